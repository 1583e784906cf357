"""A forecast as text for a person."""

from collections.abc import Iterator, Sequence

from pipelines.dedup.run import GROUPING_BYTES
from pipelines.forecast.plan import Forecast
from pipelines.forecast.scale import Interval, StageForecast
from pipelines.watching.progress import clock


def forecast_lines(found: Forecast, workers: Sequence[int], node_cores: int) -> Iterator[str]:
    """A table of the stages, the totals, and the hours for each number of workers."""
    whole = found.archives * found.archive_bytes
    share = f"{100 * found.sampled_bytes / whole:.2g} %"
    yield (
        f"{found.archives:,} archives of {size(found.archive_bytes)}; {len(found.sizes)} pieces, "
        f"{size(found.sampled_bytes)} ({share}), processed here in {clock(found.seconds)}"
    )
    titles = f"{'core-hours':>12}{'95 % range':>24}{'disk':>10}{'memory a worker':>22}"
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
        yield f"{count:>8,} workers {number(found.hours(count)):>10}   {part:.0f} % of it in {_name(stage)}"
    yield from (_grouping_line(stage) for stage in found.stages if stage.stage == "dedup")
    yield from found.warnings
    yield "The ranges do not cover other kinds of machine, reading over a network, or lost workers."
    yield "The upper end of dedup allows for growth: 1.5 times the cost for each document at ten times the documents."


def _row(stage: StageForecast) -> str:
    hours = stage.core_seconds.times(1 / 3600)
    memory = f"{size(stage.memory_bytes[0])} to {size(stage.memory_bytes[1])}"
    return (
        f"{_name(stage):<12}{stage.documents.middle:>16,.0f}{number(hours.middle):>12}{_range(hours):>24}"
        f"{size(stage.disk_bytes.middle):>10}{memory:>22}"
    )


def _grouping_line(stage: StageForecast) -> str:
    """Memory of the sub-step of dedup that holds something of every document, and the tasks that it needs."""
    alone, allowed = stage.documents.middle * GROUPING_BYTES, stage.memory_bytes[1]
    where = f"one task of {size(alone)}"
    if alone > allowed:
        where = f"many tasks of {size(allowed)} each; one task would need {size(alone)}"
    return f"{_name(stage)} groups all documents in {where}"


def _name(stage: StageForecast) -> str:
    return f"{stage.language} {stage.stage}".strip()


def _range(interval: Interval) -> str:
    return f"{number(interval.low)} to {number(interval.high)}"


def number(value: float) -> str:
    """A number with two or three figures, which is all that an estimate is worth."""
    if value >= 10:
        return f"{float(f'{value:.3g}'):,.0f}" if value >= 100 else f"{value:.0f}"
    return f"{value:.2g}"


def size(value: float) -> str:
    """Bytes with a unit, in powers of 1,000."""
    for unit, factor in (("PB", 1e15), ("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= factor:
            return f"{value / factor:.3g} {unit}"
    return f"{value:.0f} B"
