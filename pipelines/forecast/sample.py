"""Run the main job on pieces of a crawl, and record what each stage costs.

The job runs on pieces of the wanted size and, before that, on pieces of one record. The second run shows what every
archive costs however small it is, so that this part does not grow with the bytes.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from pipelines import pipeline
from pipelines.forecast.costs import Cost, Metered
from pipelines.forecast.pieces import Piece
from pipelines.job.request import plan_jobs
from pipelines.job.stages import STAGES
from roots.identity import sha256_of
from roots.stage import Manifest

LEAST_DRIVER_SECONDS = 0.0005  # for each shard: reading a receipt and submitting a task take at least this
WHOLE = ("dedup", "shard")  # stages whose tasks are not archives: only their total cost is known
_ONE_TASK = ("dedup.groups",)  # sub-steps of dedup that are one task while all documents fit in memory


@dataclass(frozen=True)
class StageSample:
    """What one stage cost on all pieces."""

    language: str
    stage: str
    cpu_seconds: tuple[float, ...]  # of each piece; for stages in WHOLE, of all together
    alone_seconds: float  # the part of them that only one worker can do
    rows: tuple[int, ...]  # of each shard
    kept: tuple[int, ...]
    written: tuple[float, ...]  # bytes of each shard; for stages in WHOLE, of all files together
    peak_bytes: int
    driver_seconds: float  # for each piece, in the process that submits the tasks
    fixed_seconds: float = 0.0  # CPU seconds for a piece of one record
    fixed_bytes: float = 0.0  # bytes written for it
    fixed_alone: float = 0.0  # the part of fixed_seconds that only one worker can do


@dataclass(frozen=True)
class SampleRun:
    """The job to sample: languages, and settings by group."""

    codes: Sequence[str]
    values: Mapping[str, Mapping[str, object]]

    def run(self, pieces: Sequence[Piece], tiny: Sequence[Piece], scratch: Path) -> list[StageSample]:
        """Run the job on `tiny` pieces of one record and on `pieces`, in the folder `scratch`."""
        meter = Metered()
        self._measure(scratch / "warm", pieces[:1], meter)  # loads models, compiles passes
        least = self._measure(scratch / "least", tiny, meter)
        samples = self._measure(scratch / "work", pieces, meter)
        return [_subtract_fixed(one, fixed, len(pieces), len(tiny)) for one, fixed in zip(samples, least, strict=True)]

    def _measure(self, work: Path, pieces: Sequence[Piece], meter: Metered) -> list[StageSample]:
        archives = {f"{piece.path.name.partition('.')[0]}.parquet": piece.path for piece in pieces}
        found: list[StageSample] = []
        for number, job in enumerate(plan_jobs(work, self.codes, archives, self.values)):
            for stage in (name for name, row in STAGES.items() if number == 0 or not row.shared):
                start = time.perf_counter()
                manifest = pipeline.run_stages(job, [stage], meter)[0]
                seconds = time.perf_counter() - start
                costs, metered = meter.take()
                language = "" if STAGES[stage].shared else job.code
                one = _stage_sample(language, manifest, costs, job.folder(stage))
                found.append(replace(one, driver_seconds=max(0.0, seconds - metered) / len(archives)))
        return found


def _stage_sample(language: str, manifest: Manifest, costs: Sequence[Cost], folder: Path) -> StageSample:
    """The costs of one stage, without the driver's."""
    receipts = [manifest.shards[name] for name in sorted(manifest.shards)]
    cpu = tuple(cost.cpu_seconds for cost in costs)
    written = tuple(float(one.body_bytes) for one in receipts)
    if manifest.stage in WHOLE:
        cpu = (sum(cpu),)
        written = (float(sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())),)
    return StageSample(
        language,
        manifest.stage,
        cpu,
        sum(cost.cpu_seconds for cost in costs if cost.stage in _ONE_TASK),
        tuple(one.rows for one in receipts),
        tuple(one.kept for one in receipts),
        written,
        max((cost.peak_bytes for cost in costs), default=0),
        driver_seconds=0.0,
    )


def _subtract_fixed(one: StageSample, least: StageSample, pieces: int, tiny: int) -> StageSample:
    """Separate what grows with the bytes from what a piece of one record costs (`least`)."""
    # The difference of two runs leaves out what a run itself costs, whatever it works on.
    driver = (one.driver_seconds * pieces - least.driver_seconds * tiny) / max(1, pieces - tiny)
    return replace(
        one,
        driver_seconds=max(LEAST_DRIVER_SECONDS, driver),
        fixed_seconds=median(least.cpu_seconds),
        fixed_bytes=median(least.written),
        fixed_alone=least.alone_seconds,
    )


def hash_seconds(pieces: Sequence[Piece]) -> float:
    """CPU seconds to digest one byte of an archive."""
    start, size = time.process_time(), 0
    while time.process_time() - start < 0.1:  # small pieces are too short for the clock
        for piece in pieces:
            sha256_of(piece.path)
            size += piece.path.stat().st_size
    return (time.process_time() - start) / size
