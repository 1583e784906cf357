"""The report of a run of dedup, `report.json`: what went, how sure that is, who lost much, which lines were cut out."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from filters.near_duplicates.repeated_lines import lines_of
from filters.near_duplicates.rules import LineRule
from filters.near_duplicates.signatures import probability
from filters.personal_data import as_shown
from pipelines.dedup.audit import Compare, Losses, Queries, largest_clusters, losses_above, measure
from pipelines.dedup.lines import signed_columns
from pipelines.dedup.scratch import Places, Scratch, Steps, columns_of, read_batches, read_documents, read_pieces
from pipelines.dedup.settings import Dedup
from pipelines.dedup.sources import Sources
from roots.atomic import write_text
from roots.errors import LossError
from roots.stage import Manifest

_AUDITED = 10_000  # compared with the looked up; at 35,000 documents this is a fifth of the whole job's time
_LEAST = 100  # documents of a source that an alarm may be about


class Evidence(NamedTuple):
    """Manifests of the sub-steps that a report is made from."""

    sign: Path
    settled: Path
    repeats: Path | None  # of line removal; None without it
    edits: Path | None


def report(steps: Steps, places: Places, settings: Dedup, manifests: Sequence[Manifest], found: Evidence) -> None:
    """Measure a sample and write `report.json`. Raises LossError for a loss beyond the alarm, with `strict`."""
    total = sum(manifest.rows for manifest in manifests)
    sampled = sample(steps, places, settings, found, total)
    counting = Losses(Sources.read(settings.source, settings.catalogue))
    losses = Scratch.of(steps.run(counting, {name: [at.shard, *at.chain] for name, at in places.items()}, "losses"))
    alarms = losses_above(losses, settings.alarm, _LEAST)
    drops: dict[str, int] = {}
    for reason, rows in (item for manifest in manifests for item in manifest.drops.items()):
        drops[reason] = drops.get(reason, 0) + rows
    values: dict[str, Any] = {
        "documents": total,
        "kept": sum(manifest.kept for manifest in manifests),
        "drops": dict(sorted(drops.items(), key=lambda item: (-item[1], item[0]))),
        "settings": settings.as_values(),
        "s_curve": {
            f"{jaccard / 20:.2f}": round(probability(jaccard / 20, settings.bands, settings.rows), 4)
            for jaccard in range(8, 21)
        },
        "sample": sampled,
        "largest_clusters": largest_clusters(Scratch.of(found.settled)),
        "lines": lines(places, settings, found),
        "alarms": alarms,
    }
    write_text(steps.target / "report.json", json.dumps(values, indent=1, ensure_ascii=False) + "\n")
    if alarms and settings.strict:
        lost = [f"  {row['source']}: {row['lost']} of {row['rows']} documents were removed" for row in alarms[:20]]
        raise LossError("\n".join(["dedup: sources lost more than dedup.alarm allows (see report.json):", *lost]))


def sample(steps: Steps, places: Places, settings: Dedup, found: Evidence, total: int) -> dict[str, Any]:
    """Recall and precision of a sample."""
    sign, settled = found.sign, found.settled
    plan = {name: [sign.with_name(name), *at.chain] for name, at in places.items()}
    queries = steps.run(Queries(settings.scheme, settings.audit / max(1, total), sign), plan, "queries")
    within = settings.scope == "source"
    comparing = Compare(settings.scheme, _AUDITED / max(1, total), settings.jaccard, within, sign)
    compared = steps.run(comparing, {name: [queries, settled, *plan[name]] for name in plan}, "compare")
    measured = measure(Scratch.of(compared), Scratch.of(settled), settings.scheme, settings.jaccard)
    return {"looked_up": Scratch.of(queries).total, **measured}


def lines(places: Places, settings: Dedup, found: Evidence) -> dict[str, Any] | None:
    """What line removal took; None where no rule is set."""
    if not (found.repeats and found.edits):
        return None
    scratch = (Scratch.of(found.edits), Scratch.of(found.repeats), Scratch.of(found.sign))
    sources = Sources.read(settings.source, settings.catalogue)
    return line_report(scratch, {name: at.chain for name, at in places.items()}, settings.line_rules, sources)


_MOST = 20  # lines shown
_SHOWN = 120  # characters of each


def line_report(
    scratch: tuple[Scratch, Scratch, Scratch],
    chains: Mapping[str, Sequence[Path]],
    rules: Sequence[LineRule],
    sources: Sources,
) -> dict[str, Any]:
    """What went: counts, and the lines that stood most often in one source, personal data taken out.

    `scratch` are the shards of edits, of repeats and of sign.
    """
    edits, repeats, signs = scratch
    wanted = most_repeated(repeats)
    found = _texts_of_lines(wanted, signs, chains, min(rule.characters for rule in rules), sources)
    shown = [
        {"times": times, "rule": rules[rule].label, "source": found[key][0], "line": found[key][1]}
        for times, key, rule, _ in wanted
    ]
    return {**count_lines(edits), "most_repeated": shown}


def count_lines(edits: Scratch) -> dict[str, Any]:
    """What went of the documents that were kept, by rule, for the report."""
    rules: dict[str, dict[str, int]] = {}
    documents = empty = 0
    for path in edits.paths():
        for batch in read_batches(path, ["lines", "kept", "empty"]):
            some = batch.filter(batch["kept"])
            documents += some.num_rows
            empty += sum(some["empty"].to_pylist())
            flat = some["lines"].flatten()
            size = np.subtract(*(flat.field(end).to_numpy() for end in ("end", "start")))
            names = flat.field("rule").dictionary_encode()
            for number, rule in enumerate(names.dictionary.to_pylist()):
                mine = names.indices.to_numpy() == number
                counts = rules.setdefault(rule, {"lines": 0, "characters": 0})
                counts["lines"] += int(mine.sum())
                counts["characters"] += int(size[mine].sum())
    return {"documents": documents, "emptied": empty, "rules": dict(sorted(rules.items()))}


def most_repeated(repeats: Scratch, most: int = _MOST) -> list[tuple[int, int, int, int]]:
    """The lines that stood most often: (times, key, rule, holder), most first."""
    best: set[tuple[int, int, int, int]] = set()
    for path in repeats.paths():
        for piece in read_pieces(path, ["times", "key", "rule", "holder"]):
            _, first = np.unique(piece["key"], return_index=True)
            first = first[np.argsort(-piece["times"][first], kind="stable")][:most]
            columns = (piece[name][first].tolist() for name in ("times", "key", "rule", "holder"))
            best |= set(zip(*columns, strict=True))
            best = set(sorted(best, key=lambda row: (-row[0], row[1:]))[:most])
    return sorted(best, key=lambda row: (-row[0], row[1:]))


def _texts_of_lines(
    wanted: Sequence[tuple[int, int, int, int]],
    signs: Scratch,
    chains: Mapping[str, Sequence[Path]],
    least: int,
    sources: Sources,
) -> dict[int, tuple[str, str]]:
    """The source and the text of some lines, by key, as their holders have it."""
    found: dict[int, tuple[str, str]] = {}
    for name, chain in sorted(chains.items()):
        start = signs.start(name)
        mine: dict[int, list[int]] = {}
        for _, key, _, holder in wanted:
            if 0 <= holder - start < signs.rows[name]:
                mine.setdefault(holder - start, []).append(key)
        if not mine:
            continue
        (source,) = signed_columns(signs.folder / name, ["source"])
        at = 0
        known = {column for path in chain for column in columns_of(path)}
        language = [name for name in ("language",) if name in known]
        for batch in read_documents(chain, list(dict.fromkeys(["id", "text", *language, *sources.columns(known)]))):
            for row in [row for row in mine if at <= row < at + batch.num_rows]:
                text = batch["text"].slice(row - at, 1)
                lines = lines_of(text, source[row : row + 1], least)
                of = sources.names(batch.slice(row - at, 1))[0].as_py()
                for key in mine[row]:
                    place = int(np.flatnonzero(lines.key == key)[0])
                    line = text[0].as_py()[lines.start[place] : lines.end[place]]
                    spoken = batch["language"][row - at].as_py() if language else None
                    found[key] = of, as_shown(line, spoken)[:_SHOWN]
            at += batch.num_rows
    return found
