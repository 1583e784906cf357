"""dropped: documents that a run dropped, drawn for a person to read. `why` needs an address; this gives some."""

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from filters.personal_data import as_shown
from filters.text.passages import beginning, for_terminal
from pipelines.job.request import languages_in
from pipelines.job.stages import chain_stages
from pipelines.job.work import folder, known_shards
from pipelines.why import explain_row, judging_rules
from roots import shards, storage
from roots.errors import InputError, unknown_name

_FILTER = "filter"
_OUT = "OUT OF BOUNDS"


class _Drop(NamedTuple):
    """One row that a stage dropped. The draws of rows are even, and the same in each call."""

    draw: bytes  # a digest of the id: the rows with the smallest are shown
    shard: str
    id: str
    reason: str


def list_dropped(work: Path, language: str = "", reason: str = "", limit: int = 20) -> Iterator[str]:
    """Yield what was dropped in lines for a person: counts by reason, then `limit` documents drawn evenly (0: all).

    `reason` is a drop reason as "filter.words", or its first part, as "filter". Raises InputError if no language was
    run or nothing was dropped for the reason, SettingsError for an unknown language.
    """
    codes = languages_in(work, language)
    if not codes:
        raise InputError(f"no language was run in {work} yet: run `roots run {work} --lang fr` first")
    for code in codes:
        counts: Counter[str] = Counter()
        drawn = _draw(_drops(work, code, counts), reason, limit)
        matching = {name: count for name, count in counts.items() if _is_meant(name, reason)}
        if counts and not matching:
            raise InputError(f"{code}: {unknown_name('drop reason', reason, counts)}")
        yield f"{code}: {sum(matching.values()):,} documents dropped" + (f" for {reason}" if reason else "")
        yield from (f"  {count:>10,}  {name}" for name, count in sorted(matching.items(), key=lambda e: (-e[1], e[0])))
        if len(drawn) < sum(matching.values()):
            yield f"  {len(drawn)} of them, drawn evenly (--limit 0 for all):"
        yield from _show(work, code, drawn)


def _is_meant(name: str, reason: str) -> bool:
    return not reason or name == reason or name.startswith(f"{reason}.")


def _drops(work: Path, code: str, counts: Counter[str]) -> Iterator[_Drop]:
    """Yield each row that a stage dropped, counted in `counts`."""
    for name in known_shards(work):
        for stage in chain_stages():
            path = folder(work, code, stage) / name
            if not storage.is_file(path):
                break  # the run is not further
            for batch in shards.read(path, ["id", "drop"]):
                gone = batch.filter(batch["drop"].is_valid())
                for id_, why in zip(gone["id"].to_pylist(), gone["drop"].to_pylist(), strict=True):
                    counts[why] += 1
                    yield _Drop(blake2b(id_.encode(), digest_size=8).digest(), name, id_, why)


def _draw(drops: Iterator[_Drop], reason: str, limit: int) -> list[_Drop]:
    """`limit` of the drops that are meant, all if it is 0, by reason. Every drop is read, so that all are counted."""
    meant = (drop for drop in drops if _is_meant(drop.reason, reason))
    found = heapq.nsmallest(limit, meant) if limit else list(meant)
    return sorted(found, key=lambda drop: (drop.reason, drop.draw, drop.shard))


def _show(work: Path, code: str, drawn: Sequence[_Drop]) -> Iterator[str]:
    """For each document its address, why it was dropped, and its first words."""
    lines: dict[_Drop, list[str]] = {}
    in_shards: defaultdict[str, list[_Drop]] = defaultdict(list)
    for drop in drawn:
        in_shards[drop.shard].append(drop)
    for name, drops in in_shards.items():
        rows = {stage: _rows(folder(work, code, stage) / name, drops) for stage in chain_stages()}
        for drop in drops:
            lines[drop] = list(_describe(work, code, {stage: rows[stage].get(drop.id) for stage in rows}))
    for drop in drawn:
        yield ""
        yield from lines[drop]


def _rows(path: Path, drops: Sequence[_Drop]) -> dict[str, Mapping[str, object]]:
    """The rows of a shard that are about the dropped documents, by id."""
    wanted = pa.array(sorted({drop.id for drop in drops}))
    found: dict[str, Mapping[str, object]] = {}
    for batch in shards.read(path) if storage.is_file(path) else ():
        found |= {row["id"]: row for row in batch.filter(pc.is_in(batch["id"], wanted)).to_pylist()}
    return found


def _describe(work: Path, code: str, rows: Mapping[str, Mapping[str, object] | None]) -> Iterator[str]:
    """A document in lines: the last stage that has its row dropped it."""
    known: dict[str, object] = {}
    stage, last = "", known
    for name, row in rows.items():
        if row is not None:
            stage, last = name, dict(row)
            known |= row
    source = known.get("source")
    known["rules"] = judging_rules(work, code, str(source) if source else None)
    yield f"{known['url'] or '(no URL)'}   {known['id']}"
    yield f"  {last['drop']}"
    if known.get("quick_chars") and not known.get("language"):  # only the quick text was looked at
        yield f"    {[*explain_row('index', known, known)][-1]}"
    for line in explain_row(stage, last, known):
        if line and (stage != _FILTER or _OUT in line):
            yield f"    {line.replace(_OUT, '').rstrip()}"
    if known.get("text"):
        yield f"    the text begins: {for_terminal(beginning(as_shown(str(known['text']), code)))}"
