"""The status of a run, read from its folder alone."""

import json
import os
import re
import threading
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pyarrow as pa
import pytest
from click.testing import CliRunner

from pipelines.cli.main import main
from pipelines.job.stages import STAGES, chain_stages
from pipelines.job.work import folder, remember_inputs
from pipelines.pipeline import JobResult
from pipelines.watching import status as watching
from pipelines.watching.status import Watcher, as_prometheus, is_finished, screen
from roots import shards
from roots.errors import InputError, StageFailed
from roots.executors import Serial
from roots.schema import EXTRACT, VERDICT
from roots.shards import Receipt
from roots.stage import Manifest, Stage, failure_note, run
from tests.support.paths import ROOT

NAMES = [f"a{number}.parquet" for number in range(4)]


def shard(path: Path, rows: int = 10, at: float | None = None) -> None:
    """A shard with that many rows, one of them dropped, as if written `at` that time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    found = [{"id": str(row), "failed": [], "drop": "filter.words" if row == 0 else None} for row in range(rows)]
    shards.write(path, VERDICT, [pa.RecordBatch.from_pylist(found, schema=VERDICT)], path.parent.name, 1, "f")
    if at is not None:
        os.utime(path, (at, at))


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """Four archives: all indexed, one every ten seconds; two extracted."""
    remember_inputs(tmp_path, {name: Path(f"/x/{name}") for name in NAMES})
    for number, name in enumerate(NAMES):
        shard(tmp_path / "index" / name, at=1000 + 10 * number)
    for number, name in enumerate(NAMES[:3]):
        shard(folder(tmp_path, "fr", "extract") / name, rows=40, at=2000 + 20 * number)
    return tmp_path


def state(work: Path, stage: str) -> watching.StageState:
    (found,) = [each for each in Watcher(work).look() if each.stage == stage]
    return found


def test_shards_rates_and_the_time_left_come_from_receipts_alone(work: Path) -> None:
    index, extract = state(work, "index"), state(work, "extract")
    assert (index.done, index.total, index.rows, index.kept, index.finished) == (4, 4, 40, 36, True)
    assert index.seconds_left is None
    assert (extract.done, extract.total, extract.newest) == (3, 4, 2040)
    assert extract.per_second == pytest.approx(80 / 40)  # two shards of 40 documents in the 40 s after the first
    assert extract.seconds_left == pytest.approx(20)
    assert extract.drops == {"filter.words": 3}
    assert state(work, "measure").done == 0
    assert state(work, "shard").total is None


def test_a_pseudocrawl_is_watched_before_there_are_archives(tmp_path: Path) -> None:
    home = tmp_path / "pseudocrawl"
    shard(home / "lookup" / "part-1.parquet", at=1000)
    assert [(each.stage, each.done, each.total) for each in Watcher(tmp_path).look()] == [("lookup", 1, None)]
    assert not is_finished(Watcher(tmp_path).look())
    (home / "lookup" / "manifest.json").write_text(json.dumps({"shards": {"part-1.parquet": {}}}))
    shard(home / "select" / "captures.parquet")
    shard(home / "fetch" / "pseudocrawl-00001-of-00003.parquet")
    found = [(each.stage, each.done, each.total, each.finished) for each in Watcher(tmp_path).look()]
    assert found == [("lookup", 1, 1, True), ("select", 1, 1, True), ("fetch", 1, 3, False)]


def test_old_shards_do_not_count_for_the_rate(work: Path) -> None:
    os.utime(folder(work, "fr", "extract") / NAMES[0], (5, 5))
    assert state(work, "extract").per_second == pytest.approx(40 / 20)


def test_unfinished_and_failed_shards_are_seen_from_another_machine(work: Path) -> None:
    place = folder(work, "fr", "extract")
    (place / f".{NAMES[3]}.node7.example-123.tmp").touch()
    failure_note(place / NAMES[3]).write_text("ShardError: \x1b[31mno space\nleft")
    failure_note(place / NAMES[0]).write_text("of an earlier try")
    extract = state(work, "extract")
    assert extract.making == {"node7.example": 1}
    assert list(extract.failures) == [NAMES[3]]  # the other is done
    text = "\n".join(screen(work, Watcher(work).look(), 3000))
    assert "1 shards failed" in text
    assert f"failed: {NAMES[3]}: ShardError: \ufffd[31mno space left" in text
    assert "\x1b" not in text
    assert "node7.example 1" in text


def test_a_run_that_has_stopped_is_seen(work: Path) -> None:
    assert "no machine works on it; last shard 16 min 00 s ago" in "\n".join(screen(work, Watcher(work).look(), 3000))


def test_pages_that_another_engine_took_are_counted(work: Path) -> None:
    engines = ["learned", "learned", "learned, resiliparse", "learned, resiliparse", "plain"]
    found = [
        {"id": str(row), "extractor": engine, "drop": "extract.language" if row == 3 else None}
        for row, engine in enumerate(engines)
    ]
    shards.write(
        folder(work, "fr", "extract") / NAMES[0], EXTRACT, [pa.RecordBatch.from_pylist(found, schema=EXTRACT)],
        "extract", 8, "f",
    )  # fmt: skip
    assert state(work, "extract").engines == {"learned": 2, "learned, resiliparse": 1, "plain": 1}
    lines = list(screen(work, Watcher(work).look(), 3000))
    assert "      1 of 3 pages by resiliparse, where the model was unsure" in lines
    manifest = Manifest("extract", 8, {}, {"a": Receipt("extract", 8, "f", 4, 4, engines={"learned, resiliparse": 4})})
    result = JobResult(SimpleNamespace(title="French", sources={}), ("extract",), (manifest,))  # type: ignore[arg-type]
    assert list(result.lines())[1:] == ["4 of 4 pages by resiliparse, where the model was unsure"]
    assert manifest.as_values()["engines"] == {"learned, resiliparse": 4}


def test_missing_shards_are_named_the_first_three_or_all(work: Path) -> None:
    place = folder(work, "fr", "measure")
    shard(place / NAMES[0])
    shard(place / "of_another_run.parquet")
    assert (state(work, "measure").done, state(work, "measure").missing) == (1, tuple(NAMES[1:]))
    few, every = (list(screen(work, Watcher(work).look(), 3000, missing)) for missing in (False, True))
    assert [line.split()[-1] for line in few if "missing: " in line] == [NAMES[3], *NAMES[1:]]
    assert sum("missing: " in line for line in every) == 1 + 3 + 3 * 4  # filter, dedup and redact have not begun


def test_a_shard_is_read_again_only_when_it_changed(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watcher = Watcher(work)
    watcher.look()
    read: list[Path] = []
    whole = shards.read_receipt
    monkeypatch.setattr(shards, "read_receipt", lambda path: (read.append(path), whole(path))[1])
    watcher.look()
    assert read == []
    shard(folder(work, "fr", "extract") / NAMES[1], rows=3)
    assert [each.rows for each in watcher.look() if each.stage == "extract"] == [83]
    assert read == [folder(work, "fr", "extract") / NAMES[1]]


def test_the_watch_ends_when_all_is_done(work: Path) -> None:
    def finish() -> None:
        for name in NAMES:
            for stage in chain_stages()[1:]:
                shard(folder(work, "fr", stage) / name)
        for split in ("train", "validation"):
            target = folder(work, "fr", "shard") / split / "data-00000-of-00001.arrow"
            target.parent.mkdir(parents=True)
            shards.write(target, VERDICT, [], "shard", 1, "f")
        (work / "fr" / "manifest.json").write_text("{}")

    looks = []
    for states, _ in watching.watch(work, 0.02, work / "log.jsonl", work / "roots.prom"):
        looks.append(is_finished(states))
        if len(looks) == 2:
            finish()
    assert looks[:2] == [False, False]
    assert looks[-1] is True
    assert len(looks) == 3
    lines = [json.loads(line) for line in (work / "log.jsonl").read_text().splitlines()]
    assert len(lines) == 3
    assert {stage["stage"] for stage in lines[-1]["stages"]} == set(STAGES)


def test_prometheus_can_read_it(work: Path) -> None:
    shard(folder(work, "fr", "extract") / NAMES[3])
    text = as_prometheus([*Watcher(work).look(), watching.StageState('a"\\\n', "x", 1, None)])
    sample = re.compile(r'[a-z_]+\{(?:[a-z]+="(?:[^"\\\n]|\\["\\n])*",?)*\} -?\d+(?:\.\d+)?(?:e[+-]?\d+)?')
    for line in text.splitlines():
        assert line.startswith(("# HELP ", "# TYPE ")) or sample.fullmatch(line), line
    assert 'roots_shards_done{language="fr",stage="extract"} 4' in text
    assert 'roots_documents_dropped{language="fr",stage="extract",reason="filter.words"} 4' in text
    types = re.findall(r"# TYPE (\S+)", text)
    assert len(types) == len(set(types))


@dataclass(frozen=True)
class Broken(Stage):
    """A stage that fails on one shard until `broken` is false."""

    name: ClassVar[str] = "filter"
    version: ClassVar[int] = 1
    schema: ClassVar[pa.Schema] = VERDICT
    broken: ClassVar[bool] = True

    def make(self, name: str, sources: Any) -> Any:
        if name == NAMES[1] and Broken.broken:
            raise ValueError("bad luck")
        yield pa.RecordBatch.from_pylist([{"id": "1", "failed": [], "drop": None}], schema=VERDICT)


def test_a_failure_is_noted_at_once_and_removed_when_the_shard_is_made(work: Path) -> None:
    place = folder(work, "fr", "filter")
    plan = {name: [work / "index" / name] for name in NAMES}
    seen: list[dict[str, str]] = []

    def look(stage: str, done: int, total: int, receipt: Receipt | None) -> None:
        seen.append(dict(state(work, "filter").failures))

    with pytest.raises(StageFailed):
        run(Broken(), plan, place, Serial(), look)
    assert seen[-1] == {NAMES[1]: "ValueError: bad luck"}
    assert seen[2] == seen[-1]  # two shards were still to be made
    Broken.broken = False
    run(Broken(), plan, place, Serial())
    assert not failure_note(place / NAMES[1]).exists()


def test_the_command_watches_and_logs(work: Path, tmp_path: Path) -> None:
    log, metrics = tmp_path / "status.jsonl", tmp_path / "roots.prom"
    arguments = ["status", str(work), "--log", str(log), "--prometheus", str(metrics)]
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert re.search(r"fr extract +3/4 ", result.output)
    assert json.loads(log.read_text())["event"] == "status"
    assert "roots_shards_done" in metrics.read_text()
    for wrong in (["--watch", "--missing"], ["--every", "0"]):
        assert CliRunner().invoke(main, ["status", str(work), *wrong]).exit_code == 2
    result = CliRunner().invoke(main, ["status", str(tmp_path / "nowhere"), "--log", str(log)])
    assert result.exit_code == InputError.exit_code
    assert "no work folder" in result.output


def test_a_run_logs_every_shard_when_it_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    crawl = ROOT / "tests/fixtures" / "crawl" / "*-0000[01].warc.gz"
    log = tmp_path / "run.jsonl"
    arguments = ["index", str(tmp_path / "work"), "--input", str(crawl), "--executor", "serial", "--quiet"]
    result = CliRunner().invoke(main, [*arguments, "--log", str(log)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    events = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(each["event"], each["stage"], each["done"]) for each in events] == [
        ("stage", "index", 0), ("shard", "index", 1), ("shard", "index", 2),
    ]  # fmt: skip
    assert all(each["rows"] == each["kept"] + sum(each["drops"].values()) for each in events[1:])
    (tmp_path / "garbage.warc.gz").write_bytes(b"no archive")
    monkeypatch.setattr("pipelines.index.faults_of", lambda *_: {})  # it was good when the run began
    arguments[3] = str(tmp_path / "garbage.warc.gz")
    assert CliRunner().invoke(main, [*arguments, "--log", str(log)]).exit_code == 1
    last = json.loads(log.read_text().splitlines()[-1])
    assert (last["event"], last["stage"], last["shard"]) == ("failure", "index", "garbage.parquet")


def test_lines_of_many_writers_do_not_mix(tmp_path: Path) -> None:
    def write(number: int) -> None:
        for _ in range(50):
            watching.append_line(tmp_path / "log", json.dumps({"writer": number, "pad": "x" * 2000}))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = [json.loads(line)["writer"] for line in (tmp_path / "log").read_text().splitlines()]
    assert sorted(lines) == sorted(list(range(4)) * 50)
