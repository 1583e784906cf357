"""Forecast what a crawl will take: run the main job on pieces of it, on this machine, and scale the costs up.

Every stage runs on the pieces, one after another. CPU seconds, memory, bytes and documents of each piece are measured
(`sample.py`) and scaled to the whole crawl (`scale.py`). The ranges cover how much the pieces differ. They do not cover
another kind of machine. A sample holds few of the copies that a whole crawl holds, so the upper end of dedup's range
adds the growth that its benchmark allows.
"""

import json
import math
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipelines.forecast.pieces import draw_pieces
from pipelines.forecast.sample import SampleRun, StageSample, hash_seconds
from pipelines.forecast.scale import Interval, Scale, StageForecast, sum_of
from pipelines.forecast.settings import LEAST_PIECES, ForecastRequest, PlanSettings
from pipelines.index import faults_of
from pipelines.job.work import find_archives, group_archives
from roots.atomic import write_text
from roots.errors import InputError, with_lines

_ENOUGH = 1000  # documents in dedup's sample; with fewer its cost is a guess
_TINY = 7  # pieces of one record


@dataclass(frozen=True)
class Forecast:
    """What the whole crawl will take."""

    archives: int
    archive_bytes: float
    sampled_bytes: float
    seconds: float  # that the sample took
    hash_seconds: float  # to digest a byte
    stages: tuple[StageForecast, ...]
    measured: tuple[StageSample, ...]
    sizes: tuple[float, ...]  # bytes of the pieces

    @property
    def warnings(self) -> list[str]:
        """Why the forecast may be wrong."""
        few = {one.language: sum(one.rows) for one in self.measured if one.stage == "dedup" and sum(one.rows) < _ENOUGH}
        return [
            f"{language}: only {rows} documents of the sample reached dedup, so its cost is a guess; draw more: "
            f"--set plan.pieces={len(self.sizes) * min(100, math.ceil(_ENOUGH / max(1, rows)))}"
            for language, rows in few.items()
        ]

    @property
    def core_seconds(self) -> Interval:
        """Of all stages."""
        return sum_of(stage.core_seconds for stage in self.stages)

    @property
    def disk_bytes(self) -> Interval:
        """Of all stages; nothing is removed between them."""
        return sum_of(stage.disk_bytes for stage in self.stages)

    def hours(self, workers: int) -> float:
        """Hours from the first archive to the dataset with that number of workers."""
        return sum(stage.hours(workers) for stage in self.stages)


def forecast_request(request: ForecastRequest) -> Forecast:
    """Forecast the job on archives, in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="roots-plan-") as scratch:
        job = SampleRun(request.languages, request.job_settings)
        archives = find_archives(request.inputs)
        faults = faults_of(list(archives.values()), request.languages)
        if faults:
            raise InputError(with_lines("some inputs cannot be read:", list(faults.values())))
        return forecast(archives, job, request.plan, Path(scratch))


def forecast(archives: Mapping[str, Path], job: SampleRun, settings: PlanSettings, scratch: Path) -> Forecast:
    """Draw pieces, run the whole job on them in the folder `scratch`, and scale up to the crawl.

    Raises InputError if the archives hold too few records, SettingsError for a setting that a run would refuse.
    """
    start = time.monotonic()
    paths = sorted(archives.values())
    pieces = draw_pieces(paths, scratch / "pieces", settings.pieces, settings.piece_bytes, settings.seed)
    if len(pieces) < LEAST_PIECES:
        raise InputError(
            f"only {len(pieces)} of the {LEAST_PIECES} pieces that a forecast needs can be cut from these archives: "
            f"name more archives, or take smaller pieces, --set plan.piece_bytes=BYTES (it is {settings.piece_bytes})"
        )
    tiny = draw_pieces(paths, scratch / "tiny", _TINY, 1, settings.seed)
    samples = job.run(pieces, tiny, scratch)
    count = settings.archives or len(paths)
    size = settings.archive_bytes or sum(path.stat().st_size for path in paths) / len(paths)
    sizes = tuple(piece.size for piece in pieces)
    shards = max(1, round(count * len(group_archives(archives)) / len(paths)))  # small archives share one
    scale = Scale(shards, count * size / shards, sizes, hash_seconds(pieces), job.values)
    return Forecast(
        count,
        size,
        sum(sizes),
        time.monotonic() - start,
        scale.hash_seconds,
        tuple(scale.stages(samples)),
        tuple(samples),
        sizes,
    )


def write_forecast(found: Forecast, target: Path) -> None:
    """Write everything that was measured and estimated, as JSON."""
    values: dict[str, Any] = asdict(found)
    values |= {"core_seconds": asdict(found.core_seconds), "disk_bytes": asdict(found.disk_bytes)}
    write_text(target, json.dumps(values, indent=1) + "\n")
