"""A forecast as a person reads it."""

from collections.abc import Iterator, Sequence

from pipelines.dedup.space import GROUP_BYTES_EACH
from pipelines.forecast.costs import Interval
from pipelines.forecast.plan import Forecast, Stage
from pipelines.watching.progress import clock


def report(found: Forecast, workers: Sequence[int], node_cores: int) -> Iterator[str]:
    """The table of stages, what all of it takes, and how long with so many workers."""
    whole = found.archives * found.archive_bytes
    share = f"{100 * found.sampled_bytes / whole:.2g} %"
    yield (
        f"{found.archives:,} archives of {size(found.archive_bytes)}; {len(found.sizes)} pieces, "
        f"{size(found.sampled_bytes)} ({share}), worked on here in {clock(found.seconds)}"
    )
    titles = f"{'core-hours':>12}{'95 % of such samples':>24}{'disk':>10}{'memory a worker':>22}"
    yield f"{'stage':<12}{'documents':>16}{titles}"
    for stage in found.stages:
        yield _row(stage)
    hours = found.core_seconds.times(1 / 3600)
    yield f"{'all':<12}{'':>16}{number(hours.middle):>12}{_range(hours):>24}{size(found.disk_bytes.middle):>10}"
    nodes = hours.times(1 / node_cores)
    yield f"node-hours (of {node_cores} cores like these): {number(nodes.middle)} ({_range(nodes)})"
    yield "hours from the first archive to the dataset, with"
    for count in workers:
        stage = max(found.stages, key=lambda one: one.hours(count))
        part = 100 * stage.hours(count) / found.hours(count)
        yield f"{count:>8,} workers {number(found.hours(count)):>10}   of it {part:.0f} % {_name(stage)}"
    yield from (_grouping(stage) for stage in found.stages if stage.stage == "dedup")
    yield from found.warnings
    yield "Not in the ranges: machines of another kind, reading over a network, workers that are lost."
    yield "Dedup's upper end is what its benchmark allows: half as much again a document for ten times the documents."


def _row(stage: Stage) -> str:
    hours = stage.core_seconds.times(1 / 3600)
    memory = f"{size(stage.memory_bytes[0])} to {size(stage.memory_bytes[1])}"
    return (
        f"{_name(stage):<12}{stage.documents.middle:>16,.0f}{number(hours.middle):>12}{_range(hours):>24}"
        f"{size(stage.disk_bytes.middle):>10}{memory:>22}"
    )


def _grouping(stage: Stage) -> str:
    """What the one sub-step of dedup takes that holds something of every document."""
    alone, allowed = stage.documents.middle * GROUP_BYTES_EACH, stage.memory_bytes[1]
    where = "one task" if alone <= allowed else f"many tasks of {size(allowed)} each: one would be"
    return f"{_name(stage)} groups all documents in {where} of {size(alone)}"


def _name(stage: Stage) -> str:
    return f"{stage.language} {stage.stage}".strip()


def _range(interval: Interval) -> str:
    return f"{number(interval.low)} to {number(interval.high)}"


def number(value: float) -> str:
    """A number to three figures: more would be a lie."""
    if value >= 10:
        return f"{float(f'{value:.3g}'):,.0f}" if value >= 100 else f"{value:.0f}"
    return f"{value:.2g}"


def size(value: float) -> str:
    """Bytes as people say them, in powers of 1,000."""
    for unit, factor in (("PB", 1e15), ("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= factor:
            return f"{value / factor:.3g} {unit}"
    return f"{value:.0f} B"
