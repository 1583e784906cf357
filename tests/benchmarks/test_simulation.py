"""The simulation against what can be worked out by hand, and against what `roots plan` says."""

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("simpy")

from tests.benchmarks.simulation import Work, World, main, simulate

QUIET = World(lost_hours=1e12, storage_bytes=1e18, worker_bytes=1e18)


def work(tasks: int = 100, seconds: float = 10.0, **more: Any) -> Work:
    values = {
        "read_bytes": 0.0,
        "written_bytes": 0.0,
        "driver_seconds": 0.0,
        "after_seconds": 0.0,
    }
    return Work("index", tasks, [seconds, seconds], **{**values, **more})


def hours(one: Work, workers: int, world: World = QUIET) -> float:
    return simulate([one], workers, world).total * 3600


def test_equal_tasks_take_rounds() -> None:
    assert hours(work(), 1) == pytest.approx(1000)
    assert hours(work(), 10) == pytest.approx(100)
    assert hours(work(), 60) == pytest.approx(20)
    assert hours(work(), 1000) == pytest.approx(10)


def test_the_driver_gives_out_one_task_at_a_time() -> None:
    assert hours(work(driver_seconds=5.0), 1000) == pytest.approx(100 * 5 + 10)
    assert hours(work(after_seconds=3.0), 100) == pytest.approx(13)


def test_workers_share_the_storage() -> None:
    world = World(lost_hours=1e12, storage_bytes=100.0, worker_bytes=10.0)
    assert hours(work(read_bytes=50.0), 1, world) == pytest.approx(1000)  # 5 s of reading, beside 10 s of computing
    assert hours(work(read_bytes=200.0), 1, world) == pytest.approx(2000)
    assert hours(work(read_bytes=200.0), 100, world) == pytest.approx(200)  # 20,000 bytes at 100 a second


def test_lost_workers_cost_their_shards() -> None:
    world = World(lost_hours=100 / 3600, storage_bytes=1e18, worker_bytes=1e18, restart_seconds=50.0)
    found = simulate([work(tasks=2000)], 1, world)
    # A shard of 10 s is interrupted after an exponential time of mean 100 s: e^.1 - 1 times, each 50 s and a bit.
    assert found.lost == pytest.approx(2000 * 0.1052, rel=0.15)
    assert found.total * 3600 == pytest.approx(2000 * 0.1052 * (100 + 50), rel=0.15)
    assert found.efficiency < 1


def test_the_same_seed_gives_the_same_run() -> None:
    world = World(lost_hours=1.0)
    one = Work("x", 50, [1.0, 5.0, 9.0], 0, 0, 0, 0)
    assert simulate([one], 7, world) == simulate([one], 7, world)
    assert simulate([one], 7, world) != simulate([one], 7, World(lost_hours=1.0, seed=2))


def test_the_command_agrees_with_the_plan_where_both_can_know(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def interval(value: float) -> dict[str, float]:
        return {"low": value, "middle": value, "high": value}

    def stage(name: str, language: str, seconds: float) -> dict[str, Any]:
        return {
            "language": language, "stage": name, "tasks": 400, "documents": interval(4000), "kept": interval(4000),
            "core_seconds": interval(seconds), "disk_bytes": interval(1e6), "memory_bytes": [1, 2],
            "driver_seconds": 4.0, "alone_seconds": 0.0,
        }  # fmt: skip

    stages = [stage("index", "", 4000.0), stage("extract", "fr", 8000.0), stage("measure", "fr", 400.0)]
    measured = [{"cpu_seconds": [1.0, 1.0, 1.0], "fixed_seconds": 0.0}] * len(stages)
    plan = {"archives": 400, "archive_bytes": 1e6, "hash_seconds": 1e-9, "stages": stages,
            "measured": measured, "core_seconds": interval(12_400.0)}  # fmt: skip
    source, target = tmp_path / "plan.json", tmp_path / "simulated.json"
    source.write_text(json.dumps(plan))
    assert main([str(source), "--workers", "1", "20", "--json", str(target)]) == 0
    found = json.loads(target.read_text())
    assert sum(found[0]["hours"].values()) == pytest.approx((12_400 + 12) / 3600, rel=0.01)
    assert sum(found[1]["hours"].values()) == pytest.approx((12_400 / 20 + 12) / 3600, rel=0.03)
    assert "datatrove" in capsys.readouterr().out
