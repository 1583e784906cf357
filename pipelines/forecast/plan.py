"""Forecast what a crawl will take: run the main job on pieces of it, on this machine, and scale the costs up.

Every stage runs on the pieces, one after another. CPU seconds, memory, bytes and documents of each piece are measured
and scaled to the whole crawl (`pipelines.forecast.costs`). The interval covers how much the pieces differ. It does not
cover another kind of machine. A sample holds few of the copies that a whole crawl holds, so the upper end of dedup's
range adds the growth that its benchmark allows.
"""

import json
import math
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from pipelines import pipeline
from pipelines.dedup.settings import parse_bytes
from pipelines.dedup.space import GROUP_BYTES_EACH
from pipelines.forecast.costs import LEAST_PIECES, NOTHING, Cost, Interval, Metered, elapsed, total_of
from pipelines.forecast.pieces import Piece, draw_pieces
from pipelines.jobs import build_settings, plan_jobs
from pipelines.stages import STAGES
from pipelines.work import find_archives
from roots.identity import sha256_of
from roots.settings import build
from roots.shards import write_text
from roots.stage import Manifest

_GROWTH = 1.5  # times the cost of a document, for ten times the documents: the bound of tests/benchmarks/dedup_scale.py
_ALONE = ("dedup.groups",)  # sub-steps of dedup that are one task, where its memory holds something of each document
_SPREAD = 8  # times the CPU seconds of that task, where many share it: measured on 4 million documents
_ENOUGH = 1000  # documents in dedup's sample; with fewer its cost is a guess
GROUP_BYTES = 64 << 20  # a shard's row group in the making, its copy and its packed form: small pieces never fill one
_ROW_BYTES = 600  # what a worker holds of each record of an archive while it works on it
_LEAST_DRIVER_SECONDS = 0.0005  # a shard: reading a receipt and handing out a task are never less
_TINY = 7  # pieces of one record
DIGESTED = "index"  # the stage whose workers digest the archives, before they read them


@dataclass(frozen=True)
class Plan:
    """Settings of a plan."""

    pieces: int = 12
    piece_bytes: int = 2 << 20
    seed: int = 1
    archives: int = 0  # in the crawl; 0: those that are named
    archive_bytes: float = 0.0  # of one of them, on average; 0: as those that are named

    def __post_init__(self) -> None:
        if self.pieces < LEAST_PIECES or self.piece_bytes < 1:
            raise ValueError(f"pieces must be at least {LEAST_PIECES}, piece_bytes at least 1")
        if self.archives < 0 or self.archive_bytes < 0:
            raise ValueError("archives and archive_bytes must not be below 0")


@dataclass(frozen=True)
class Measured:
    """One stage on all pieces."""

    language: str
    stage: str
    cpu_seconds: tuple[float, ...]  # of each piece; of dedup and shard, of all together
    alone_seconds: float  # of them, CPU seconds of what is one task, whatever the crawl
    rows: tuple[int, ...]
    kept: tuple[int, ...]
    written: tuple[float, ...]  # bytes
    peak_bytes: int
    driver_seconds: float  # a shard: everything that is done in the process that gives out the tasks
    fixed_seconds: float = 0.0  # CPU seconds that a piece of one record costs
    fixed_bytes: float = 0.0  # and what is written of it
    fixed_alone: float = 0.0  # and of its CPU seconds, those of what is one task


@dataclass(frozen=True)
class Stage:
    """What one stage will take."""

    language: str
    stage: str
    tasks: int
    documents: Interval
    kept: Interval
    core_seconds: Interval
    disk_bytes: Interval
    memory_bytes: tuple[float, float]  # of a worker, at least and at most
    driver_seconds: float
    alone_seconds: float  # CPU seconds that no second worker can share

    def hours(self, workers: int) -> float:
        """Hours that it takes with so many workers."""
        shared = max(0.0, self.core_seconds.middle - self.alone_seconds)
        each = shared / self.tasks if self.tasks else 0.0
        return (elapsed(self.tasks, each, self.driver_seconds, workers) + self.alone_seconds) / 3600


@dataclass(frozen=True)
class Forecast:
    """What the whole crawl will take."""

    archives: int
    archive_bytes: float
    sampled_bytes: float
    seconds: float  # that the sample took
    hash_seconds: float  # to digest a byte
    stages: tuple[Stage, ...]
    measured: tuple[Measured, ...]
    sizes: tuple[float, ...]  # bytes of the pieces

    @property
    def warnings(self) -> list[str]:
        """What makes the forecast worth little."""
        few = {one.language: sum(one.rows) for one in self.measured if one.stage == "dedup" and sum(one.rows) < _ENOUGH}
        return [
            f"{language}: only {rows} documents of the sample came as far as dedup, so its cost is a guess; draw more: "
            f"--set plan.pieces={len(self.sizes) * min(100, math.ceil(_ENOUGH / max(1, rows)))}"
            for language, rows in few.items()
        ]

    @property
    def core_seconds(self) -> Interval:
        """Of all stages."""
        total = NOTHING
        for stage in self.stages:
            total = total.plus(stage.core_seconds)
        return total

    @property
    def disk_bytes(self) -> Interval:
        """Of all stages; nothing is removed between them."""
        total = NOTHING
        for stage in self.stages:
            total = total.plus(stage.disk_bytes)
        return total

    def hours(self, workers: int) -> float:
        """Hours from the first archive to the dataset with so many workers."""
        return sum(stage.hours(workers) for stage in self.stages)

    def as_values(self) -> dict[str, Any]:
        """All of it as plain values, for a file."""
        return asdict(self) | {"core_seconds": asdict(self.core_seconds), "disk_bytes": asdict(self.disk_bytes)}


def forecast_request(
    patterns: Sequence[str], codes: Sequence[str], values: Mapping[str, Mapping[str, Any]]
) -> Forecast:
    """Forecast the job on archives that `patterns` name, in a temporary folder; `values` are settings by group.

    Raises SettingsError for a mistake before any work.
    """
    stages = {group: own for group, own in values.items() if group != "plan"}
    settings = build(Plan, values.get("plan", {}), "plan")
    build_settings(stages)
    with tempfile.TemporaryDirectory(prefix="roots-plan-") as scratch:
        return forecast(find_archives(patterns), codes, stages, settings, Path(scratch))


def write_forecast(found: Forecast, target: Path) -> None:
    """Write everything that was measured and estimated, as JSON."""
    write_text(target, json.dumps(found.as_values(), indent=1) + "\n")


def forecast(
    archives: Mapping[str, Path],
    codes: Sequence[str],
    values: Mapping[str, Mapping[str, Any]],
    settings: Plan,
    scratch: Path,
) -> Forecast:
    """Draw pieces, run the whole job on them in the folder `scratch`, and estimate the crawl.

    Raises InputError where the archives hold no record, SettingsError for a setting that no run would take.
    """
    start = time.monotonic()
    paths = sorted(archives.values())
    pieces = draw_pieces(paths, scratch / "pieces", settings.pieces, settings.piece_bytes, settings.seed)
    named = {f"{piece.path.name.partition('.')[0]}.parquet": piece.path for piece in pieces}
    meter = Metered()
    _measure(scratch / "warm", codes, dict([min(named.items())]), values, meter)  # models are loaded, passes compiled
    tiny = draw_pieces(paths, scratch / "tiny", _TINY, 1, settings.seed)
    least = _measure(
        scratch / "least", codes, {f"{piece.path.stem}.parquet": piece.path for piece in tiny}, values, meter
    )
    measured = [
        _beside(one, fixed, len(named), len(tiny))
        for one, fixed in zip(_measure(scratch / "work", codes, named, values, meter), least, strict=True)
    ]
    count = settings.archives or len(paths)
    size = settings.archive_bytes or sum(path.stat().st_size for path in paths) / len(paths)
    sizes = tuple(piece.size for piece in pieces)
    hashing = _hash_seconds(pieces)
    estimate = _Scale(count, size, sizes, hashing, values)
    return Forecast(
        count, size, sum(sizes), time.monotonic() - start, hashing,
        tuple(estimate.stages(measured)), tuple(measured), sizes,
    )  # fmt: skip


def _measure(
    work: Path,
    codes: Sequence[str],
    archives: Mapping[str, Path],
    values: Mapping[str, Mapping[str, Any]],
    meter: Metered,
) -> list[Measured]:
    """Run every stage of the main job on the pieces."""
    found: list[Measured] = []
    for number, job in enumerate(plan_jobs(work, codes, archives, values)):
        for stage in (name for name, row in STAGES.items() if number == 0 or not row.shared):
            start = time.perf_counter()
            manifest = pipeline.run_stages(job, [stage], meter)[0]
            took = time.perf_counter() - start
            costs, metered = meter.take()
            driver = max(0.0, took - metered) / len(archives)
            folder = job.folder(stage)
            found.append(_measured("" if stage == "index" else job.code, stage, manifest, costs, driver, folder))
    return found


def _measured(
    language: str, stage: str, manifest: Manifest, costs: Sequence[Cost], driver: float, folder: Path
) -> Measured:
    """One stage's figures. Where tasks are not pieces (dedup, shard), they are shared out by documents."""
    receipts = [manifest.shards[name] for name in sorted(manifest.shards)]
    rows, kept = tuple(one.rows for one in receipts), tuple(one.kept for one in receipts)
    cpu = tuple(cost.cpu_seconds for cost in costs)
    written = tuple(float(one.body_bytes) for one in receipts)
    if stage in ("dedup", "shard"):
        held = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        cpu, written = (sum(cpu),), (float(held),)
    alone = sum(cost.cpu_seconds for cost in costs if cost.stage in _ALONE)
    peak = max((cost.peak_bytes for cost in costs), default=0)
    return Measured(language, stage, cpu, alone, rows, kept, written, peak, driver)


def _beside(one: Measured, least: Measured, pieces: int, tiny: int) -> Measured:
    """What a stage costs, told apart into what grows and what even pieces of one record cost."""
    more = (
        one.driver_seconds * pieces - least.driver_seconds * tiny
    )  # a run of its own costs something, whatever it does
    return replace(
        one,
        driver_seconds=max(_LEAST_DRIVER_SECONDS, more / max(1, pieces - tiny)),
        fixed_seconds=median(least.cpu_seconds),
        fixed_bytes=median(least.written),
        fixed_alone=least.alone_seconds,
    )


def _hash_seconds(pieces: Sequence[Piece]) -> float:
    """CPU seconds to digest a byte of an archive."""
    start, size = time.process_time(), 0
    while time.process_time() - start < 0.1:  # again and again: the clock is coarse beside a small piece
        for piece in pieces:
            sha256_of(piece.path)
            size += piece.path.stat().st_size
    return (time.process_time() - start) / size


@dataclass(frozen=True)
class _Scale:
    """From the pieces to the crawl."""

    archives: int
    archive_bytes: float
    sizes: tuple[float, ...]
    hash_seconds: float
    values: Mapping[str, Mapping[str, Any]]

    @property
    def whole(self) -> float:
        return self.archives * self.archive_bytes

    def stages(self, measured: Sequence[Measured]) -> Iterator[Stage]:
        """What each stage will take. The shards of the dataset are not the pieces': dedup's and redact's rows are."""
        before: Measured | None = None
        for one in measured:
            if len(one.rows) != len(self.sizes) and before is not None:
                one = replace(one, rows=before.kept, kept=before.kept)
            yield self.stage(one)
            before = one

    def stage(self, one: Measured) -> Stage:
        """What a stage will take."""
        spread = one.stage in ("dedup", "shard")
        rows, kept = self._total(one.rows), self._total(one.kept)
        cpu = self._cost(one.cpu_seconds, one.fixed_seconds, spread)
        disk = self._cost(one.written, one.fixed_bytes, spread)
        alone = one.fixed_alone + self._share(max(0.0, one.alone_seconds - one.fixed_alone)).middle
        if spread:  # as unsure as the number of documents and what so few of them show; upwards as dedup's growth
            few = 1.96 / math.sqrt(max(1, sum(one.rows)))
            unsure = (1.0, 1.0)
            if rows.middle:
                unsure = (max(0.0, rows.low / rows.middle - few), rows.high / rows.middle + few)
            up = _GROWTH ** max(0.0, math.log10(self.whole / sum(self.sizes))) if one.stage == "dedup" else 1.0
            cpu = Interval(cpu.middle * unsure[0], cpu.middle, cpu.middle * unsure[1] * up)
            disk = Interval(disk.middle * unsure[0], disk.middle, disk.middle * unsure[1])
        driver = self.archives * one.driver_seconds
        if one.stage == DIGESTED:  # pieces are small, and were digested by the driver
            measured = sum(self.sizes) / len(self.sizes) * self.hash_seconds
            driver = self.archives * max(_LEAST_DRIVER_SECONDS, one.driver_seconds - measured)
            digests = self.whole * self.hash_seconds
            cpu = cpu.plus(Interval(digests, digests, digests))
        memory = self._memory(one, rows.middle)
        if one.stage == "dedup" and rows.middle * GROUP_BYTES_EACH > memory[1]:
            more = alone * (_SPREAD - 1)
            cpu, alone = cpu.plus(Interval(more, more, more)), 0.0
        tasks = self._final_shards(disk.middle) if one.stage == "shard" else self.archives
        return Stage(one.language, one.stage, tasks, rows, kept, cpu, disk, memory, driver, alone)

    def _cost(self, measured: Sequence[float], fixed: float, spread: bool) -> Interval:
        """What grows with the bytes, and what each archive costs however small it is (dedup and shard: only once)."""
        above = [max(0.0, cost - fixed) for cost in measured]
        each = fixed if spread else fixed * self.archives
        return (self._share(sum(above)) if spread else self._total(above)).plus(Interval(each, each, each))

    def _total(self, measured: Sequence[float]) -> Interval:
        return total_of(measured, self.sizes, self.whole)

    def _share(self, measured: float) -> Interval:
        middle = measured * self.whole / sum(self.sizes)
        return Interval(middle, middle, middle)

    def _memory(self, one: Measured, rows: float) -> tuple[float, float]:
        """Of one worker; dedup's processes share what its setting allows."""
        if one.stage == "dedup":
            return float(one.peak_bytes), float(parse_bytes(str(self.values.get("dedup", {}).get("memory", "2G"))))
        return float(one.peak_bytes), one.peak_bytes + GROUP_BYTES + _ROW_BYTES * rows / self.archives

    def _final_shards(self, size: float) -> int:
        packed = float(self.values.get("shard", {}).get("shard_bytes", 256_000_000)) / 2.5  # measured: bench of formats
        return max(2, math.ceil(size / packed))
