"""The report of a run of dedup, `report.json`: what was removed, how reliably, which sources lost much, which lines."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from filters.near_duplicates.repeated_lines import find_lines
from filters.near_duplicates.rules import LineRule
from filters.near_duplicates.signatures import candidate_probability
from filters.personal_data import as_shown
from pipelines.dedup.audit import (
    AuditPairs,
    AuditQueries,
    SourceLosses,
    largest_clusters,
    losses_above,
    measure_sample,
)
from pipelines.dedup.lines import read_columns
from pipelines.dedup.scratch import (
    Outputs,
    StepManifests,
    Steps,
    StepShards,
    column_names,
    read_batches,
    read_documents,
    read_pieces,
)
from pipelines.dedup.settings import DedupSettings
from pipelines.dedup.sign import SourceRule
from roots.atomic import write_text
from roots.errors import LossError
from roots.stage import Manifest

_COMPARED = 10_000  # documents that the looked-up ones are compared with
_LEAST = 100  # documents of a source that an alarm may be about
_LINES = 20  # lines shown
_LINE_CHARACTERS = 120  # shown of each line


def write_dedup_report(
    steps: Steps, outputs: Outputs, settings: DedupSettings, manifests: Sequence[Manifest], found: StepManifests
) -> None:
    """Measure a sample and write `report.json`.

    Raises LossError if a source lost more than the setting `alarm` allows and `strict` is set.
    """
    total = sum(manifest.rows for manifest in manifests)
    sampled = _audit(steps, outputs, settings, found, total)
    plan = {name: [output.path, *output.chain] for name, output in outputs.items()}
    losses = steps.run(SourceLosses(SourceRule.read(settings.source, settings.catalogue)), plan, "losses")
    alarms = losses_above(StepShards.of(losses), settings.alarm, _LEAST)
    drops: dict[str, int] = {}
    for reason, rows in (item for manifest in manifests for item in manifest.drops.items()):
        drops[reason] = drops.get(reason, 0) + rows
    values: dict[str, object] = {
        "documents": total,
        "kept": sum(manifest.kept for manifest in manifests),
        "drops": dict(sorted(drops.items(), key=lambda item: (-item[1], item[0]))),
        "settings": settings.as_values(),
        "s_curve": {
            f"{jaccard / 20:.2f}": round(candidate_probability(jaccard / 20, settings.bands, settings.rows), 4)
            for jaccard in range(8, 21)
        },
        "sample": sampled,
        "largest_clusters": largest_clusters(StepShards.of(found.settled)),
        "lines": _report_lines(outputs, settings, found),
        "alarms": [alarm._asdict() for alarm in alarms],
    }
    write_text(steps.target / "report.json", json.dumps(values, indent=1, ensure_ascii=False) + "\n")
    if alarms and settings.strict:
        lost = [f"  {each.source}: {each.lost} of {each.rows} documents were removed" for each in alarms[:20]]
        raise LossError("\n".join(["dedup: sources lost more than dedup.alarm allows (see report.json):", *lost]))


def _audit(
    steps: Steps, outputs: Outputs, settings: DedupSettings, found: StepManifests, total: int
) -> dict[str, object]:
    """Recall and precision of a sample."""
    plan = {name: [found.sign.with_name(name), *output.chain] for name, output in outputs.items()}
    querying = AuditQueries(settings.scheme, settings.audit / max(1, total), found.sign)
    queries = steps.run(querying, plan, "queries")
    within = settings.scope == "source"
    share = _COMPARED / max(1, total)
    comparing = AuditPairs(settings.scheme, share, settings.jaccard, within, settings.alone, found.sign)
    compared = steps.run(comparing, {name: [queries, found.settled, *plan[name]] for name in plan}, "compare")
    settled = StepShards.of(found.settled)
    measured = measure_sample(StepShards.of(compared), settled, settings.scheme, settings.jaccard)
    return {"looked_up": StepShards.of(queries).total, **measured}


def _report_lines(outputs: Outputs, settings: DedupSettings, found: StepManifests) -> dict[str, object] | None:
    """Counts of removed lines and passages, and the lines that occur most often in one source; None without any.

    Personal data in the lines is replaced.
    """
    if not found.edits:
        return None
    removed = _count_removed_lines(StepShards.of(found.edits))
    if not found.repeats:
        return {**removed, "most_repeated": []}
    rules, signed = settings.line_rules, StepShards.of(found.sign)
    repeated = _most_repeated(StepShards.of(found.repeats))
    chains = {name: output.chain for name, output in outputs.items()}
    sources = SourceRule.read(settings.source, settings.catalogue)
    texts = _texts_of_lines(repeated, signed, chains, rules, sources)
    shown = [
        {"times": line.times, "rule": rules[line.rule].label, "source": texts[line.key][0], "line": texts[line.key][1]}
        for line in repeated
    ]
    return {**removed, "most_repeated": shown}


def _count_removed_lines(edits: StepShards) -> dict[str, object]:
    """What was removed of kept documents, by rule."""
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


class _RepeatedLine(NamedTuple):
    """A line that a rule removes: how often it occurs in its source, its key, the rule, and a document that has it."""

    times: int
    key: int
    rule: int
    holder: int


def _most_repeated(repeats: StepShards) -> list[_RepeatedLine]:
    """The lines that occur most often, most first."""
    best: set[_RepeatedLine] = set()
    for path in repeats.paths():
        for piece in read_pieces(path, ["times", "key", "rule", "holder"]):
            _, first = np.unique(piece["key"], return_index=True)
            first = first[np.argsort(-piece["times"][first], kind="stable")][:_LINES]
            columns = (piece[name][first].tolist() for name in ("times", "key", "rule", "holder"))
            best |= {_RepeatedLine(*row) for row in zip(*columns, strict=True)}
            best = set(sorted(best, key=lambda line: (-line.times, line[1:]))[:_LINES])
    return sorted(best, key=lambda line: (-line.times, line[1:]))


def _texts_of_lines(
    wanted: Sequence[_RepeatedLine],
    signed: StepShards,
    chains: Mapping[str, Sequence[Path]],
    rules: Sequence[LineRule],
    sources: SourceRule,
) -> dict[int, tuple[str, str]]:
    """The source and the text of some lines by key, as their holders have them."""
    found: dict[int, tuple[str, str]] = {}
    least = min(rule.characters for rule in rules)
    for name, chain in sorted(chains.items()):
        start = signed.start(name)
        mine: dict[int, list[int]] = {}
        for line in wanted:
            if 0 <= line.holder - start < signed.rows[name]:
                mine.setdefault(line.holder - start, []).append(line.key)
        if not mine:
            continue
        (source,) = read_columns(signed.folder / name, ["source"])
        at = 0
        known = {column for path in chain for column in column_names(path)}
        language = [name for name in ("language",) if name in known]
        for batch in read_documents(chain, list(dict.fromkeys(["id", "text", *language, *sources.columns(known)]))):
            for row in [row for row in mine if at <= row < at + batch.num_rows]:
                text = batch["text"].slice(row - at, 1)
                lines = find_lines(text, source[row : row + 1], least)
                source_name = sources.names(batch.slice(row - at, 1))[0].as_py()
                for key in mine[row]:
                    number = int(np.flatnonzero(lines.key == key)[0])
                    cut = text[0].as_py()[lines.start[number] : lines.end[number]]
                    spoken = batch["language"][row - at].as_py() if language else None
                    found[key] = source_name, as_shown(cut, spoken)[:_LINE_CHARACTERS]
            at += batch.num_rows
    return found
