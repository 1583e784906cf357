"""The report of a run of dedup, `report.json`: what went, how sure that is, who lost much, which lines were cut out."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from filters.near_duplicates.repeated_lines import parse_rule
from filters.near_duplicates.signatures import probability
from pipelines.dedup.audit import Compare, Losses, Queries, largest_clusters, losses_above, measure
from pipelines.dedup.line_report import line_report
from pipelines.dedup.scratch import Scratch
from pipelines.dedup.settings import Dedup
from pipelines.dedup.steps import Places, Steps
from roots import shards
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
    losses = Scratch.of(
        steps.run(Losses(settings.sources), {name: [at.shard, *at.chain] for name, at in places.items()}, "losses")
    )
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
    shards.write_text(steps.target / "report.json", json.dumps(values, indent=1, ensure_ascii=False) + "\n")
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
    rules = [parse_rule(rule) for rule in settings.lines]
    scratch = (Scratch.of(found.edits), Scratch.of(found.repeats), Scratch.of(found.sign))
    return line_report(scratch, {name: at.chain for name, at in places.items()}, rules, settings.sources)
