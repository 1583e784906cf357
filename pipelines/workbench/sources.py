"""The sources of a catalogue in the workbench: what each step removed of them, with examples."""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from filters.personal_data import as_shown
from filters.text.words import remove_spans
from pipelines.job import work as folders
from pipelines.watching.sources import accounts
from pipelines.workbench.sample import cut_excerpt
from roots import storage
from roots.shards import read, read_kept
from roots.stage import source_of

_STEPS = {  # stage -> the columns that say what it changed
    "extract": ("judged_start", "language"),
    "filter": ("failed",),
    "dedup": ("duplicate_of", "lines"),
    "redact": ("pii", "text"),
}
_EXAMPLES = 2  # of a source and step
_MOST = 1500  # in all
_BEFORE = 60  # characters before a replaced piece
_MARGIN = 400  # characters redacted beyond the end of what is shown
_Row = Mapping[str, Any]


def sources_of(work: Path, language: str, excerpt: int, redact: bool) -> list[dict[str, object]]:
    """Each source of the catalogue with its account, and examples of what each step changed in it.

    An example has `step`, `reason`, `before` and `after`, each of at most `excerpt` characters; `after` is empty where
    all of it was removed. If `redact` says so, personal data are replaced, and `before` is empty where they were.
    """
    held = accounts(work, language)
    shards: dict[str, str] = {}
    for name in folders.known_shards(work) if held else ():
        shards.setdefault(source_of(name), name)  # the first of each source is enough for examples
    found: list[dict[str, object]] = []
    left = _MOST
    for name, account in held.items():
        examples: list[dict[str, str]] = []
        for stage in _STEPS if name in shards and left > 0 else ():
            examples += _examples(work, language, shards[name], stage, excerpt, redact)
        left -= len(examples)
        found.append({"name": name, **account, "examples": examples})
    return found


def _examples(work: Path, language: str, name: str, stage: str, excerpt: int, redact: bool) -> Iterator[dict[str, str]]:
    """A few documents of a shard that a stage changed or dropped, chosen by a digest of their ids."""
    path = folders.folder(work, language, stage) / name
    if not storage.is_file(path):
        return
    marks = ("judged_start",) if stage == "extract" else ("drop", "lines", "pii")
    changed: list[dict[str, Any]] = []
    for batch in read(path, ["id", "drop", *_STEPS[stage]]):
        changed += [row for row in batch.to_pylist() if any(map(row.get, marks))]
        changed = sorted(changed, key=lambda row: hashlib.sha256(row["id"].encode()).digest())[:_EXAMPLES]
    wanted = {row["id"]: row for row in changed}
    if stage == "extract":  # of what it drops, only the beginning of text in another language is stored
        yield from (_example(row | {"text": row["judged_start"]}, row, stage, excerpt, redact) for row in changed)
        return
    earlier = ["lines"] if stage == "redact" else []
    chain = folders.chain(work, language, name, stage)
    for batch in read_kept(chain, ["id", "text", "language", *earlier]) if wanted else ():
        for row in batch.to_pylist():
            if row["id"] in wanted:
                yield _example(row, wanted[row["id"]], stage, excerpt, redact)


def _example(row: _Row, outcome: _Row, stage: str, excerpt: int, redact: bool) -> dict[str, str]:
    """What a stage did to a document, from its row before and the outcome."""

    def shown(text: str, start: int = 0) -> str:
        part = text[start : start + excerpt + _MARGIN]
        return cut_excerpt(as_shown(part, row["language"]) if redact else part, excerpt)

    text, reason = row["text"] or "", outcome["drop"] or ""
    before, after = shown(text), ""
    if outcome.get("duplicate_of"):
        reason = f"{reason}: a copy of {outcome['duplicate_of']}"
    elif not reason and stage == "dedup":
        line = outcome["lines"][0]
        reason = f"dedup.lines: {line['rule']}, {line['times']} times"
        before = shown(text[: line["end"]], line["start"])
    elif not reason:
        reason = f"redact: {', '.join(sorted({span['kind'] for span in outcome['pii']}))}"
        start = max(0, outcome["pii"][0]["start"] - _BEFORE)
        whole = remove_spans(text, [(line["start"], line["end"]) for line in row["lines"] or ()])
        before = "" if redact else shown(whole, start)  # what was replaced is of a kind that this page may not know
        after = cut_excerpt((outcome["text"] or "")[start:], excerpt)
    return {"step": stage, "reason": reason, "before": before, "after": after}
