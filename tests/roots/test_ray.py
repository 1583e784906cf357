"""The executor for many machines, on a cluster of three nodes on this one."""

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pytest

pytest.importorskip("ray", reason="Ray is an extra: pip install -e '.[ray]'")

from roots.errors import SettingsError, StageFailed
from roots.executors import Needs, Serial, make_executor
from roots.executors import ray as ray_executor
from roots.executors.ray import Ray
from roots.stage import run
from tests.roots.test_stage import SCHEMA, Cut, bytes_of
from tests.support.ray_cluster import Nodes, three_nodes
from tests.test_end_to_end import digests, roots, run_args

pytestmark = pytest.mark.filterwarnings("ignore::Warning:ray")


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    with three_nodes() as found:
        yield found


@pytest.fixture
def plan(tmp_path: Path) -> dict[str, list[Path]]:
    files = {name: f"one\n{name * 3}\nno" for name in "abcdefgh"}
    for name, text in files.items():
        (tmp_path / f"{name}.txt").write_text(text)
    return {f"{name}.parquet": [tmp_path / f"{name}.txt"] for name in files}


@dataclass(frozen=True)
class Slow(Cut):
    """A third of a second a shard."""

    name: ClassVar[str] = "slow"
    schema: ClassVar[pa.Schema] = SCHEMA

    def make(self, name: str, sources: object) -> Iterator[pa.RecordBatch]:
        time.sleep(0.3)
        yield from super().make(name, sources)  # type: ignore[arg-type]


def test_bad_and_deadly_tasks_are_named_and_the_others_made(
    nodes: Nodes, plan: dict[str, list[Path]], tmp_path: Path
) -> None:
    plan["b.parquet"][0].write_text("raise")
    plan["c.parquet"][0].write_text("die always")
    plan["d.parquet"][0].write_text("three\ndie once")
    with pytest.raises(StageFailed) as caught:
        run(Cut(place=str(tmp_path / "died")), plan, tmp_path / "cut", Ray())
    assert sorted(caught.value.failures) == ["b.parquet", "c.parquet"]
    assert "ValueError: a bad shard" in caught.value.failures["b.parquet"]
    assert "died three times" in caught.value.failures["c.parquet"]
    assert (tmp_path / "died").exists()
    assert set(bytes_of(tmp_path / "cut")) == set(plan) - {"b.parquet", "c.parquet"}


def test_submitted_tasks_are_bounded(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    held: list[int] = []
    real = ray.wait

    def watch(references: list[object], **options: object) -> object:
        held.append(len(references))
        return real(references, **options)

    monkeypatch.setattr(ray, "wait", watch)
    results = dict(Ray().map(abs, [-number for number in range(40)]))
    assert results == {-number: number for number in range(40)}
    assert 1 < max(held) <= ray_executor._AHEAD * len(nodes.workers)


def _die_of_99(number: int) -> int:
    if number == 99:
        os._exit(1)
    return -number


def test_quick_tasks_share_calls_and_a_deadly_one_fails_alone(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    real = ray_executor._next_call

    def count(*of: Any) -> Any:
        calls.append(len(call := real(*of)))
        return call

    monkeypatch.setattr(ray_executor, "_next_call", count)
    results = dict(Ray().map(_die_of_99, range(200)))
    assert {number for number, result in results.items() if result != -number} == {99}
    assert "died three times" in str(results[99])
    assert max(calls) > 1


def test_the_time_of_a_call_ends_it() -> None:
    pause = ray_executor._CALL_SECONDS
    seconds, results = ray_executor._some(time.sleep, [0.0, pause, pause])
    assert results == [None, None]
    assert pause <= seconds < 2 * pause


def test_a_task_that_no_machine_can_hold_is_named(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_executor, "_ROOM_SECONDS", 0.2)
    monkeypatch.setattr(ray_executor, "_LOOK_SECONDS", 0.1)
    with pytest.raises(SettingsError, match=r"large: no machine .* 1 CPU and 1024\.0 GiB"):
        list(Ray().map(abs, [1], Needs("large", memory=1 << 40)))


def test_the_main_job_on_ray_makes_the_same_bytes(nodes: Nodes, tmp_path: Path) -> None:
    roots(*run_args(tmp_path / "serial", "--executor", "serial", languages="fr"))
    roots(*run_args(tmp_path / "ray", "--executor", "ray", languages="fr"))
    assert digests(tmp_path / "ray") == digests(tmp_path / "serial")


def test_an_address_is_for_ray() -> None:
    with pytest.raises(SettingsError, match="--ray-address"):
        make_executor("local", 1, address="127.0.0.1:6379")


def test_a_killed_node_loses_nothing(nodes: Nodes, plan: dict[str, list[Path]], tmp_path: Path) -> None:
    run(Slow(), plan, tmp_path / "serial", Serial())
    killing = threading.Timer(0.4, nodes.kill, [0])
    killing.start()
    manifest = run(Slow(), plan, tmp_path / "ray", Ray())
    killing.join()
    assert (len(nodes.workers), manifest.made) == (1, len(plan))
    assert bytes_of(tmp_path / "ray") == bytes_of(tmp_path / "serial")
