"""Stages: only what is missing is made, a change by value is seen, what failed is named."""

import json
import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pytest

from roots import identity, shards
from roots.errors import InputError, SettingsError, StageFailed
from roots.executors import EXECUTORS, Executor, Local, Serial, make_executor
from roots.settings import ASIDE
from roots.stage import Manifest, Stage, fingerprint, needs_of, run, settings_of

SCHEMA = pa.schema([("id", pa.string()), ("text", pa.string()), ("drop", pa.string())])


@dataclass(frozen=True)
class Cut(Stage):
    """Lines of a text file as documents; short ones are dropped. A line may ask for trouble."""

    name: ClassVar[str] = "cut"
    version: ClassVar[int] = 1
    schema: ClassVar[pa.Schema] = SCHEMA
    least: int = 3
    kinds: frozenset[str] = frozenset({"x", "y", "z"})
    place: str = field(default="", metadata=ASIDE)

    def make(self, name: str, sources: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        for line in sources[0].read_text().splitlines():
            if line == "die once" and self.place and not Path(self.place).exists():
                Path(self.place).touch()
                os.kill(os.getpid(), signal.SIGKILL)
            if line == "die always":
                os.kill(os.getpid(), signal.SIGKILL)
            if line == "raise":
                raise ValueError("a bad shard")
            row = {"id": f"{name}:{line}", "text": line, "drop": None if len(line) >= self.least else "cut.short"}
            yield pa.RecordBatch.from_pylist([row], SCHEMA)


@dataclass(frozen=True)
class Upper(Stage):
    """The kept texts in capitals."""

    name: ClassVar[str] = "upper"
    version: ClassVar[int] = 1
    schema: ClassVar[pa.Schema] = SCHEMA

    def make(self, name: str, sources: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        for batch in shards.read_kept(sources, ["id", "text"]):
            rows = [{**row, "text": row["text"].upper(), "drop": None} for row in batch.to_pylist()]
            yield pa.RecordBatch.from_pylist(rows, SCHEMA)


@pytest.fixture
def plan(tmp_path: Path) -> dict[str, list[Path]]:
    files = {"a": "one\ntwo\nno", "b": "three\nup", "c": "four\nfive"}
    for name, text in files.items():
        (tmp_path / f"{name}.txt").write_text(text)
    return {f"{name}.parquet": [tmp_path / f"{name}.txt"] for name in files}


HERE = sorted(set(EXECUTORS) - {"ray"})  # Ray is an extra: tests/roots/test_ray.py


@pytest.fixture(params=HERE)
def executor(request: pytest.FixtureRequest) -> Executor:
    return make_executor(request.param, 2)


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir()) if not p.name.startswith(".")}


def test_every_executor_makes_the_same_bytes(plan: dict[str, list[Path]], tmp_path: Path) -> None:
    made = {}
    for name in HERE:
        manifest = run(Cut(), plan, tmp_path / name, make_executor(name, 2))
        assert (manifest.rows, manifest.kept, manifest.drops) == (7, 5, {"cut.short": 2})
        made[name] = bytes_of(tmp_path / name)
    assert made["serial"] == made["local"]


def test_what_is_done_is_not_done_again(plan: dict[str, list[Path]], tmp_path: Path, executor: Executor) -> None:
    assert run(Cut(), plan, tmp_path / "cut", executor).made == 3
    before = bytes_of(tmp_path / "cut")
    assert run(Cut(), plan, tmp_path / "cut", executor).made == 0
    (tmp_path / "cut" / "b.parquet").unlink()
    assert run(Cut(), plan, tmp_path / "cut", executor).made == 1
    assert bytes_of(tmp_path / "cut") == before


@pytest.mark.parametrize(
    ("stage", "made"),
    [(Cut(), 0), (Cut(place="elsewhere"), 0), (Cut(kinds=frozenset("zyx")), 0), (Cut(least=4), 3)],
    ids=["same", "set aside", "same set", "changed bound"],
)
def test_settings_count_by_value(plan: dict[str, list[Path]], tmp_path: Path, stage: Cut, made: int) -> None:
    run(Cut(), plan, tmp_path / "cut", Serial())
    assert run(stage, plan, tmp_path / "cut", Serial()).made == made


def test_a_changed_input_redoes_its_shard_only(plan: dict[str, list[Path]], tmp_path: Path) -> None:
    run(Cut(), plan, tmp_path / "cut", Serial())
    plan["b.parquet"][0].write_text("three\nseven")
    assert run(Cut(), plan, tmp_path / "cut", Serial()).made == 1


def test_a_shard_that_comes_out_the_same_keeps_those_made_from_it(plan: dict[str, list[Path]], tmp_path: Path) -> None:
    after = {name: [tmp_path / "cut" / name] for name in plan}
    run(Cut(least=3), plan, tmp_path / "cut", Serial())
    assert run(Upper(), after, tmp_path / "upper", Serial()).made == 3
    assert run(Cut(least=5), plan, tmp_path / "cut", Serial()).made == 3
    assert run(Upper(), after, tmp_path / "upper", Serial()).made == 2  # of b, "three" is still all that is kept


def test_a_bad_shard_is_named_and_the_others_are_made(
    plan: dict[str, list[Path]], tmp_path: Path, executor: Executor
) -> None:
    plan["b.parquet"][0].write_text("three\nraise\nup")
    with pytest.raises(StageFailed) as caught:
        run(Cut(), plan, tmp_path / "cut", executor)
    assert list(caught.value.failures) == ["b.parquet"]
    assert "a bad shard" in str(caught.value)
    assert set(bytes_of(tmp_path / "cut")) == {"a.parquet", "c.parquet"}
    plan["b.parquet"][0].write_text("three\nup")
    assert run(Cut(), plan, tmp_path / "cut", executor).made == 1


def test_a_killed_worker_is_replaced_and_its_task_done(plan: dict[str, list[Path]], tmp_path: Path) -> None:
    plan["b.parquet"][0].write_text("three\ndie once")
    manifest = run(Cut(place=str(tmp_path / "died")), plan, tmp_path / "cut", Local(2))
    assert (tmp_path / "died").exists()
    assert (manifest.made, manifest.rows) == (3, 7)


def test_a_task_that_kills_its_workers_is_named(plan: dict[str, list[Path]], tmp_path: Path) -> None:
    plan["b.parquet"][0].write_text("three\ndie always")
    with pytest.raises(StageFailed, match="died three times") as caught:
        run(Cut(), plan, tmp_path / "cut", Local(2))
    assert list(caught.value.failures) == ["b.parquet"]
    assert set(bytes_of(tmp_path / "cut")) == {"a.parquet", "c.parquet"}


def test_missing_inputs_are_named_before_any_work(plan: dict[str, list[Path]], tmp_path: Path) -> None:
    plan["d.parquet"] = [tmp_path / "nowhere.txt"]
    with pytest.raises(InputError, match=r"nowhere\.txt"):
        run(Cut(), plan, tmp_path / "cut", Serial())
    plan["d.parquet"] = [tmp_path / "empty"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        run(Cut(), plan, tmp_path / "cut", Serial())
    assert bytes_of(tmp_path / "cut") == {}


def test_the_manifest_sums_the_receipts(plan: dict[str, list[Path]], tmp_path: Path) -> None:
    run(Cut(), plan, tmp_path / "cut", Serial())
    written = json.loads((tmp_path / "cut" / "manifest.json").read_text())
    assert written["rows"] == written["kept"] + sum(written["drops"].values()) == 7
    assert written["settings"] == {"least": 3, "kinds": ["x", "y", "z"]}
    assert set(written["sources"]) == {"a.txt", "b.txt", "c.txt"}
    assert not any("second" in key for key in written)


def test_executors_are_known_by_name() -> None:
    with pytest.raises(SettingsError, match="Did you mean 'local'"):
        make_executor("locl", 1)
    with pytest.raises(SettingsError, match="at least 1"):
        make_executor("local", 0)


def test_a_manifest_is_a_value() -> None:
    empty = Manifest("cut", 1, {}, {})
    assert replace(empty, made=3).as_values() == empty.as_values()


@dataclass(frozen=True)
class Beside(Upper):
    """Made from a shard, and from the archive that the shard was made from."""

    name: ClassVar[str] = "beside"

    def make(self, name: str, sources: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        yield from super().make(name, sources[:1])


@dataclass(frozen=True)
class Noting(Serial):
    """Notes what it is asked to do."""

    asked: ClassVar[list[tuple[str, list[str]]]] = []

    def map(self, work: Any, tasks: Sequence[Any], needs: Any = None) -> Iterator[Any]:
        if tasks:
            self.asked.append((needs.name, [Path(getattr(task, "name", task)).name for task in tasks]))
        yield from Serial().map(work, tasks, needs)


def test_a_large_archive_is_digested_once_for_all_stages_and_by_the_executor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identity, "_SMALL_BYTES", 3)
    monkeypatch.setattr(Noting, "asked", [])
    large, small = tmp_path / "large.txt", tmp_path / "small.txt"
    large.write_text("abcd")
    small.write_text("abc")
    shard, archives = tmp_path / "cut" / "a.parquet", {"a.parquet": [large, small]}
    run(Cut(), archives, tmp_path / "cut", Noting())
    run(Beside(), {"b.parquet": [shard, large]}, tmp_path / "beside", Noting())
    assert Noting.asked == [("digest", ["large.txt"]), ("cut", ["a.parquet"]), ("beside", ["b.parquet"])]
    large.write_text("efgh")  # as long as before, but of another time
    os.utime(large, ns=(1, 1))
    run(Beside(), {"b.parquet": [shard, large]}, tmp_path / "beside", Noting())
    assert Noting.asked[3:] == [("digest", ["large.txt"]), ("beside", ["b.parquet"])]

    def refuse(path: Path) -> str:
        raise InputError(f"cannot read {path}")

    large.write_text("once more")
    monkeypatch.setattr(identity, "sha256_of", refuse)
    with pytest.raises(InputError, match="cannot read"):
        run(Cut(), {"c.parquet": [large]}, tmp_path / "cut", Noting())


def test_how_a_stage_is_run_does_not_change_its_fingerprint() -> None:
    class Wide(Cut):
        row_group_bytes = 1 << 10
        memory_needed = 1 << 33

    assert set(settings_of(Cut())) == {"least", "kinds"}
    assert fingerprint(Wide(), "a.parquet", []) == fingerprint(Cut(), "a.parquet", [])
    assert needs_of(Wide()).memory == 1 << 33
