"""The forecast of a crawl from pieces of it."""

import json
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipelines.archives.limits import Limits
from pipelines.archives.records import read_records
from pipelines.cli.main import main
from pipelines.forecast.costs import Metered, _memory_peak, cpu_seconds
from pipelines.forecast.pieces import Piece, draw_pieces
from pipelines.forecast.plan import forecast
from pipelines.forecast.report import _grouping_line, number, size
from pipelines.forecast.sample import SampleRun, StageSample, _subtract_fixed
from pipelines.forecast.scale import Interval, Scale, _elapsed, _total_of
from pipelines.forecast.settings import PlanSettings
from pipelines.job.work import group_archives
from roots.errors import InputError
from roots.executors import Needs
from tests.support.paths import ROOT

CRAWL = ROOT / "tests/fixtures" / "crawl"
ARCHIVES = sorted(CRAWL.glob("*.warc.gz"))


# Pieces


def test_pieces_are_whole_records_from_everywhere_and_never_overlap(tmp_path: Path) -> None:
    pieces = draw_pieces(ARCHIVES, tmp_path / "a", 8, 9000, seed=3)
    assert len(pieces) == 8
    records = [record for piece in pieces for record in read_records(piece.path, Limits())]
    assert all(record.problem in (None, "revisit", "truncated", "bad_http", "not_http") for record in records)
    assert len({record.id for record in records}) == len(records)
    assert len({record.url for record in records}) > 8
    again = draw_pieces(ARCHIVES, tmp_path / "b", 8, 9000, seed=3)
    assert [piece.path.read_bytes() for piece in again] == [piece.path.read_bytes() for piece in pieces]
    other = draw_pieces(ARCHIVES, tmp_path / "c", 8, 9000, seed=4)
    assert [piece.path.read_bytes() for piece in other] != [piece.path.read_bytes() for piece in pieces]


def test_pieces_of_one_record_and_pieces_larger_than_the_crawl(tmp_path: Path) -> None:
    for piece in draw_pieces(ARCHIVES, tmp_path / "one", 3, 1, seed=1):
        assert len(list(read_records(piece.path, Limits()))) <= 1
    whole = draw_pieces(ARCHIVES[:1], tmp_path / "all", 3, 10**9, seed=1)
    assert sum(piece.size for piece in whole) <= ARCHIVES[0].stat().st_size
    (tmp_path / "no.warc.gz").write_bytes(b"nothing")
    with pytest.raises(InputError):
        draw_pieces([tmp_path / "no.warc.gz"], tmp_path / "none", 3, 100, seed=1)


# Estimates


def test_a_total_and_its_range_by_hand() -> None:
    exact = _total_of([1.0, 2.0, 3.0], [10.0, 20.0, 30.0], 600.0)
    assert (exact.low, exact.middle, exact.high) == pytest.approx((60.0, 60.0, 60.0))
    # Without each: 5/20, 4/20, 3/20; their mean 1/5; jackknife variance 2/3 * (1/400 + 1/400) = 1/300.
    found = _total_of([1.0, 2.0, 3.0], [10.0, 10.0, 10.0], 1e12)
    assert found.middle == pytest.approx(0.2e12)
    assert found.high == pytest.approx((0.2 + 4.303 / 300**0.5) * 1e12)
    assert found.low == 0.0
    measured_all = _total_of([1.0, 2.0, 3.0], [10.0, 10.0, 10.0], 30.0)
    assert (measured_all.low, measured_all.high) == pytest.approx((6.0, 6.0))
    with pytest.raises(ValueError, match="2 pieces are too few"):
        _total_of([1.0, 2.0], [1.0, 1.0], 10.0)


def test_the_range_holds_the_truth_about_as_often_as_it_promises() -> None:
    chance = random.Random(7)
    sizes = [chance.uniform(0.5, 1.5) for _ in range(3000)]
    costs = [s * chance.lognormvariate(0, 0.5) for s in sizes]
    truth, held, tries = sum(costs), 0, 400
    for _ in range(tries):
        drawn = chance.sample(range(len(sizes)), 10)
        found = _total_of([costs[n] for n in drawn], [sizes[n] for n in drawn], sum(sizes))
        held += found.low <= truth <= found.high
    assert 0.88 <= held / tries <= 0.99


def test_elapsed_time_is_rounds_of_workers_after_the_driver() -> None:
    assert _elapsed(10, 2.0, 1.0, 4) == 1.0 + 3 * 2.0
    assert _elapsed(10, 2.0, 1.0, 1000) == 1.0 + 2.0
    assert _elapsed(0, 2.0, 1.0, 4) == 1.0


def test_the_fixed_cost_of_a_piece_does_not_grow_with_the_bytes() -> None:
    base = {"language": "", "stage": "filter", "alone_seconds": 0.0, "peak_bytes": 10}
    ten = StageSample(
        cpu_seconds=(1.1,) * 10, rows=(5,) * 10, kept=(5,) * 10, written=(7.0,) * 10, driver_seconds=0.2, **base
    )
    tiny = StageSample(
        cpu_seconds=(0.1, 0.2, 0.05), rows=(1,) * 3, kept=(1,) * 3, written=(4.0,) * 3, driver_seconds=0.4, **base
    )
    one = _subtract_fixed(ten, tiny, 10, 3)
    assert (one.fixed_seconds, one.fixed_bytes) == (0.1, 4.0)
    assert one.driver_seconds == pytest.approx((0.2 * 10 - 0.4 * 3) / 7)
    stage = Scale(1000, 100.0, (1.0,) * 10, 0.0, {}).stage(one)
    assert stage.core_seconds.middle == pytest.approx(1.0 * 100_000 + 0.1 * 1000)
    assert stage.disk_bytes.middle == pytest.approx(3.0 * 100_000 + 4.0 * 1000)
    assert stage.documents.middle == pytest.approx(500_000)


def test_grouping_becomes_many_tasks_if_one_cannot_hold_it() -> None:
    dedup = StageSample("fr", "dedup", (10.0,), 2.0, (5,) * 10, (5,) * 10, (7.0,), 10, 0.2)
    values = {memory: {"dedup": {"memory": memory}} for memory in ("2G", "99T")}
    few, one = (Scale(1000, 1e8, (1.0,) * 10, 0.0, values[memory]).stage(dedup) for memory in ("2G", "99T"))
    assert few.alone_seconds == 0.0  # 5e11 documents, 41 bytes each: 20.5 TB
    assert one.alone_seconds == pytest.approx(2.0e10)
    assert few.core_seconds.middle > one.core_seconds.middle
    assert few.hours(1000) < one.hours(1000)
    assert "many tasks of 2" in _grouping_line(few)
    assert "in one task of 20.5 TB" in _grouping_line(one)


def test_small_archives_that_share_a_shard_cost_one_shard(tmp_path: Path) -> None:
    class Sampled(SampleRun):
        def run(self, pieces: Sequence[Piece], tiny: Sequence[Piece], scratch: Path) -> list[StageSample]:
            each = (1.0,) * len(pieces)
            return [StageSample("fr", "filter", each, 0.0, (9,) * len(pieces), (9,) * len(pieces), each, 1, 0.5, 1.0)]

    archives = {}
    for each in range(40):
        path = tmp_path / f"a{each:02}.warc.gz"
        path.write_bytes(ARCHIVES[0].read_bytes()[:9000])
        archives[f"a{each:02}.parquet"] = path
    found = forecast(archives, Sampled(["fr"], {}), PlanSettings(pieces=4, piece_bytes=9000), tmp_path)
    (stage,) = found.stages
    assert found.archives == 40
    assert stage.tasks == len(group_archives(archives)) < 10
    assert stage.core_seconds.middle == pytest.approx(stage.tasks * 1.0)
    assert stage.driver_seconds == pytest.approx(stage.tasks * 0.5)


# Metering


def test_the_cost_of_a_task_includes_its_children(tmp_path: Path) -> None:
    spin = "import time\nend=time.process_time()+0.3\nb=bytearray(60<<20)\nwhile time.process_time()<end: pass"
    meter = Metered()
    before = cpu_seconds()
    task = lambda _: subprocess.run([sys.executable, "-c", spin], check=True).returncode  # noqa: E731
    assert [result for _, result in meter.map(task, ["x"], Needs("spin"))] == [0]
    (cost,), seconds = meter.take()
    assert seconds >= cost.wall_seconds
    assert cost.stage == "spin"
    assert 0.28 <= cost.cpu_seconds <= cpu_seconds() - before + 0.02
    with _memory_peak() as alone:
        time.sleep(0.05)
    assert cost.peak_bytes > alone.bytes + (50 << 20)
    assert meter.take() == ([], 0.0)


# All of it


def test_the_range_of_the_command_holds_the_true_number_of_records(tmp_path: Path) -> None:
    target = tmp_path / "plan.json"
    arguments = [
        "plan",
        "--input",
        str(CRAWL / "*.warc.gz"),
        "--lang",
        "fr",
        "--json",
        str(target),
        "--node-cores",
        "4",
    ]
    options = ["--set", "plan.pieces=4", "--set", "plan.piece_bytes=25000"]
    result = CliRunner().invoke(main, [*arguments, *options, "--workers", "1,50"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    found = json.loads(target.read_text())
    stages = {stage["stage"]: stage for stage in found["stages"]}
    assert list(stages) == ["index", "extract", "measure", "filter", "dedup", "redact", "shard"]
    records = sum(1 for path in ARCHIVES for _ in read_records(path, Limits()))
    documents = Interval(**stages["index"]["documents"])
    assert documents.low <= records <= documents.high
    assert documents.high < 3 * records
    assert stages["extract"]["core_seconds"]["middle"] > 0
    assert all(stage["memory_bytes"][0] <= stage["memory_bytes"][1] for stage in stages.values())
    assert "only" in result.output  # so few documents came to dedup that its cost is a guess
    assert "50 workers" in result.output
    assert "fr dedup groups all documents in one task of " in result.output


def test_archives_too_small_for_a_forecast_are_said_so() -> None:
    command = ["plan", "--input", str(ARCHIVES[0]), "--lang", "sw"]
    result = CliRunner().invoke(main, command, catch_exceptions=False)
    assert result.exit_code == 2
    assert "only 1 of the 3 pieces" in result.output
    assert "plan.piece_bytes" in result.output


@pytest.mark.parametrize("wrong", [["--workers", "none"], ["--set", "plan.pieces=2"], ["--set", "extract.nothing=1"]])
def test_a_wrong_setting_is_reported_before_any_work(wrong: list[str]) -> None:
    result = CliRunner().invoke(main, ["plan", "--input", str(CRAWL / "*.warc.gz"), "--lang", "fr", *wrong])
    assert result.exit_code == 2, result.output


def test_numbers_and_sizes_are_short() -> None:
    assert (number(12_345), number(99.96), number(0.0123)) == ("12,300", "100", "0.012")
    assert (size(1.5e12), size(999), size(2_000)) == ("1.5 TB", "999 B", "2 kB")
    assert PlanSettings().pieces >= 3
