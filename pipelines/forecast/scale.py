"""Scale the costs of pieces up to a whole crawl, with ranges.

Cost is proportional to the bytes of an archive, and every byte has the same chance to be in a piece. So the estimate
is a ratio of sums. Its error comes from the jackknife (each piece left out once), widened by Student's t because pieces
are few, and narrowed by the share of the crawl that was measured itself.

Source: Cochran 1977, SampleRun Techniques, sections 6.2 and 6.17.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from pipelines.dedup.run import GROUPING_BYTES
from pipelines.dedup.settings import parse_bytes
from pipelines.forecast.sample import LEAST_DRIVER_SECONDS, WHOLE, StageSample
from pipelines.forecast.settings import LEAST_PIECES
from roots.intervals import student

_GROWTH = 1.5  # factor of dedup's cost for each document when documents grow tenfold, at most (tests/benchmarks)
_SPREAD = 8  # factor of the CPU seconds of grouping if many tasks share it
_ROW_GROUP_BYTES = 64 << 20  # a row group in the making, with copies; a piece is too small to fill one
_ROW_BYTES = 600  # that a worker holds for each record of an archive
_PACKED = 2.5  # bytes of text for each byte of a final shard
_DIGESTING = "index"  # the stage whose workers digest the archives before they read them


@dataclass(frozen=True)
class Interval:
    """An estimate, and the range that holds the true value in 95 of 100 such samples."""

    low: float
    middle: float
    high: float

    def times(self, factor: float) -> "Interval":
        """All three, multiplied by a factor."""
        return Interval(self.low * factor, self.middle * factor, self.high * factor)

    def plus(self, amount: float) -> "Interval":
        """All three, plus an amount that is known exactly."""
        return Interval(self.low + amount, self.middle + amount, self.high + amount)

    def spread(self, low: float, high: float) -> "Interval":
        """The same estimate with a range of its own: from `low` times to `high` times the estimate."""
        return Interval(self.middle * low, self.middle, self.middle * high)


def sum_of(intervals: Iterable[Interval]) -> Interval:
    """The sum; its range assumes that all errors have the same sign."""
    found = list(intervals)
    return Interval(sum(one.low for one in found), sum(one.middle for one in found), sum(one.high for one in found))


def _total_of(costs: Sequence[float], sizes: Sequence[float], whole: float) -> Interval:
    """The cost of a crawl of `whole` bytes, if pieces of these sizes (bytes) cost that much.

    Raises ValueError for fewer than LEAST_PIECES pieces.
    """
    count = len(costs)
    if count < LEAST_PIECES or len(sizes) != count or min(sizes) <= 0:
        raise ValueError(f"{count} pieces are too few to estimate an error: {LEAST_PIECES} are needed")
    cost, size = sum(costs), sum(sizes)
    without = [(cost - c) / (size - s) for c, s in zip(costs, sizes, strict=True)]
    mean = sum(without) / count
    error = math.sqrt((count - 1) / count * sum((ratio - mean) ** 2 for ratio in without))
    error *= math.sqrt(max(0.0, 1 - size / whole))
    wide = error * student(count - 1)
    ratio = cost / size
    return Interval(max(0.0, ratio - wide) * whole, ratio * whole, (ratio + wide) * whole)


def _elapsed(tasks: int, task_seconds: float, driver_seconds: float, workers: int) -> float:
    """Seconds of a stage of equal tasks: the driver's part, and as many rounds as the workers need."""
    return driver_seconds + (math.ceil(tasks / workers) * task_seconds if tasks else 0.0)


@dataclass(frozen=True)
class StageForecast:
    """What one stage will take."""

    language: str
    stage: str
    tasks: int
    documents: Interval
    kept: Interval
    core_seconds: Interval
    disk_bytes: Interval
    memory_bytes: tuple[float, float]  # of one worker, at least and at most
    driver_seconds: float
    alone_seconds: float  # CPU seconds that only one worker can do

    def hours(self, workers: int) -> float:
        """Hours with that number of workers."""
        shared = max(0.0, self.core_seconds.middle - self.alone_seconds)
        each = shared / self.tasks if self.tasks else 0.0
        return (_elapsed(self.tasks, each, self.driver_seconds, workers) + self.alone_seconds) / 3600


@dataclass(frozen=True)
class Scale:
    """From the pieces to the crawl."""

    archives: int  # or groups of small archives, which share a shard
    archive_bytes: float
    sizes: tuple[float, ...]  # bytes of the pieces
    hash_seconds: float  # CPU seconds to digest a byte
    values: Mapping[str, Mapping[str, object]]  # settings by group

    @property
    def _whole(self) -> float:
        return self.archives * self.archive_bytes

    def stages(self, samples: Sequence[StageSample]) -> Iterator[StageForecast]:
        """What each stage will take. Final shards are not pieces: for them the rows of the stage before count."""
        before: StageSample | None = None
        for one in samples:
            if len(one.rows) != len(self.sizes) and before is not None:
                one = replace(one, rows=before.kept, kept=before.kept)
            yield self.stage(one)
            before = one

    def stage(self, one: StageSample) -> StageForecast:
        """What a stage will take."""
        rows, kept = self._total(one.rows), self._total(one.kept)
        if one.stage in WHOLE:
            cpu, disk = self._whole_stage(one, rows)
        else:
            cpu = self._each_archive(one.cpu_seconds, one.fixed_seconds)
            disk = self._each_archive(one.written, one.fixed_bytes)
        driver = one.driver_seconds
        if one.stage == _DIGESTING:  # in the sample the driver digested the pieces, because they are small
            driver = max(LEAST_DRIVER_SECONDS, driver - sum(self.sizes) / len(self.sizes) * self.hash_seconds)
            cpu = cpu.plus(self._whole * self.hash_seconds)
        alone = one.fixed_alone + self._share(max(0.0, one.alone_seconds - one.fixed_alone))
        memory = self._memory(one, rows.middle)
        if one.stage == "dedup" and rows.middle * GROUPING_BYTES > memory[1]:  # grouping becomes many tasks
            cpu, alone = cpu.plus(alone * (_SPREAD - 1)), 0.0
        tasks = self._final_shards(disk.middle) if one.stage == "shard" else self.archives
        return StageForecast(
            one.language, one.stage, tasks, rows, kept, cpu, disk, memory, self.archives * driver, alone
        )

    def _each_archive(self, measured: Sequence[float], fixed: float) -> Interval:
        """A part that grows with the bytes, and a fixed part for each archive."""
        return self._total([max(0.0, cost - fixed) for cost in measured]).plus(fixed * self.archives)

    def _whole_stage(self, one: StageSample, rows: Interval) -> tuple[Interval, Interval]:
        """CPU seconds and disk of a stage that reads all documents at once; the fixed part counts once.

        The range is that of the number of documents, widened for a small sample; for dedup also by its growth.
        """
        cpu = self._share(max(0.0, sum(one.cpu_seconds) - one.fixed_seconds)) + one.fixed_seconds
        disk = self._share(max(0.0, sum(one.written) - one.fixed_bytes)) + one.fixed_bytes
        low, high = 1.0, 1.0
        if rows.middle:
            few = 1.96 / math.sqrt(max(1, sum(one.rows)))
            low, high = max(0.0, rows.low / rows.middle - few), rows.high / rows.middle + few
        growth = _GROWTH ** max(0.0, math.log10(self._whole / sum(self.sizes))) if one.stage == "dedup" else 1.0
        return Interval(cpu, cpu, cpu).spread(low, high * growth), Interval(disk, disk, disk).spread(low, high)

    def _total(self, measured: Sequence[float]) -> Interval:
        return _total_of(measured, self.sizes, self._whole)

    def _share(self, measured: float) -> float:
        """A cost of all pieces together, scaled to the crawl."""
        return measured * self._whole / sum(self.sizes)

    def _memory(self, one: StageSample, rows: float) -> tuple[float, float]:
        """Of one worker; all processes of dedup together stay within its setting."""
        if one.stage == "dedup":
            return float(one.peak_bytes), float(parse_bytes(str(self.values.get("dedup", {}).get("memory", "2G"))))
        return float(one.peak_bytes), one.peak_bytes + _ROW_GROUP_BYTES + _ROW_BYTES * rows / self.archives

    def _final_shards(self, size: float) -> int:
        shard_bytes = float(str(self.values.get("shard", {}).get("shard_bytes", 256_000_000)))
        return max(2, math.ceil(size / (shard_bytes / _PACKED)))
