"""Many small archives: several share a shard, and nothing else about their documents changes."""

import gzip
import io
import tarfile
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.archives.limits import Limits
from pipelines.archives.records import read_records
from pipelines.job.request import Request, plan_jobs
from pipelines.job.stages import STAGES, chain_stages
from pipelines.job.work import find_archives, group_archives
from pipelines.pipeline import run_stages
from pipelines.publishing.pointers import make_pointers, rebuild
from pipelines.publishing.publish import Selection, publish_release
from pipelines.publishing.settings import PublishSettings, RebuildSettings, TakedownSettings
from pipelines.publishing.takedown import takedown
from pipelines.publishing.takedown_list import parse_requests
from pipelines.verify import verify
from pipelines.watching.status import Watcher
from pipelines.why import explain
from roots import shards
from roots.errors import StageFailed
from roots.executors import Local, Serial
from roots.shards import Receipt
from tests.support.paths import ROOT

RECORDS = 6  # in each archive


@pytest.fixture(scope="module", autouse=True)
def few() -> Iterator[None]:
    """More than eight small archives share shards here, so that a small crawl has groups."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipelines.job.work._FEW", 8)
        yield


@pytest.fixture(scope="module")
def crawl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example crawl cut into small archives; one is damaged, one cut short."""
    folder = tmp_path_factory.mktemp("small") / "crawl"
    folder.mkdir()
    for source in sorted((ROOT / "tests/fixtures/crawl").glob("*.warc.gz")):
        content = source.read_bytes()
        offsets = [record.offset for record in read_records(source, Limits())]
        for number, (low, high) in enumerate(pairwise([*offsets[::RECORDS], len(content)])):
            (folder / f"visit-{source.name[13:18]}-{number:02d}.warc.gz").write_bytes(content[low:high])
    damaged, short = sorted(folder.iterdir())[5:7]
    damaged.write_bytes(damaged.read_bytes()[:700] + bytes(300) + damaged.read_bytes()[1000:])
    short.write_bytes(short.read_bytes()[:-500])
    return folder


def run_all(work: Path, crawl: Path, progress: Callable[..., None] | None = None, languages: str = "fr") -> None:
    """The whole job, as `roots run` does it."""
    request = Request(work, tuple(STAGES), tuple(languages.split()), (str(crawl / "*.gz"),))
    for job in request.plan():
        run_stages(job, request.stages, Serial(), progress)


@pytest.fixture(scope="module")
def work(crawl: Path) -> Path:
    run_all(crawl.parent / "work", crawl)
    return crawl.parent / "work"


def made(work: Path, stage: str = "index") -> dict[str, Receipt]:
    """The receipt of each shard of a stage."""
    folder = work / "index" if stage == "index" else work / "fr" / stage
    found = {path.name: shards.read_receipt(path) for path in sorted(folder.glob("*.parquet"))}
    return {name: receipt for name, receipt in found.items() if receipt}


def dataset(work: Path) -> dict[str, list[dict]]:
    """The rows of each final shard, in order."""
    paths = sorted((work / "fr/shards").glob("*/*.arrow"))
    return {path.name: pa.ipc.open_stream(path).read_all().to_pylist() for path in paths}


def index_of(work: Path) -> list[dict]:
    return [row for path in sorted((work / "index").glob("*.parquet")) for row in pq.read_table(path).to_pylist()]


def bytes_of(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def test_small_archives_share_shards_and_give_the_same_documents_in_the_same_order(work: Path, crawl: Path) -> None:
    archives = find_archives([str(crawl / "*.gz")])
    assert 1 < len(made(work)) < len(archives) / 4
    alone = crawl.parent / "alone"
    (job,) = plan_jobs(alone, ["fr"], archives, {})
    run_stages(job, tuple(STAGES), Serial())
    assert len(made(alone)) == len(archives)
    assert dataset(work) == dataset(alone)
    assert index_of(work) == index_of(alone)
    assert {row["drop"] for row in index_of(work)} > {"index.truncated", "index.broken"}
    assert list(verify(work, "fr")) == []
    for stage in chain_stages():
        assert list(made(work, stage)) == list(made(work))


def test_every_page_of_a_shared_shard_can_be_explained(work: Path) -> None:
    rows = [row for row in index_of(work) if row["url"] and not row["drop"]]
    names = {row["file_path"] for row in rows}
    for name in sorted(names)[:4]:
        row = next(row for row in rows if row["file_path"] == name)
        said = "\n".join(explain(work, row["id"]))
        assert f"archive {name}, offset {row['offset']}" in said
        assert "extract" in said


def test_status_counts_the_shards_that_there_are(work: Path) -> None:
    states = {state.stage: state for state in Watcher(work).look()}
    assert states["index"].total == states["redact"].done == len(made(work))
    assert all(state.finished for state in states.values())


def test_a_run_stopped_anywhere_ends_in_the_same_bytes(work: Path, crawl: Path, tmp_path: Path) -> None:
    def stop_at(count: int) -> Callable[..., None]:
        left = iter(range(count))

        def progress(*_: object) -> None:
            if next(left, None) is None:
                raise KeyboardInterrupt

        return progress

    for count in (1, 4, 30):
        with pytest.raises(KeyboardInterrupt):
            run_all(tmp_path / "work", crawl, stop_at(count))
    run_all(tmp_path / "work", crawl)
    assert bytes_of(tmp_path / "work") == bytes_of(work)


def test_workers_change_no_byte(work: Path, crawl: Path, tmp_path: Path) -> None:
    (job,) = Request(tmp_path / "work", ("index", "extract"), ("fr",), (str(crawl / "*.gz"),)).plan()
    run_stages(job, ("index", "extract"), Local(2))
    for name in ("index", "fr/extract"):
        assert bytes_of(tmp_path / "work" / name) == bytes_of(work / name)


def counted(work: Path, crawl: Path) -> int:
    """How many shards index makes."""
    (job,) = Request(work, ("index",), (), (str(crawl / "*.gz"),)).plan()
    return run_stages(job, ("index",), Serial())[0].made


def test_an_archive_that_changes_or_comes_in_remakes_only_its_own_shard(crawl: Path, tmp_path: Path) -> None:
    copy = tmp_path / "crawl"
    copy.mkdir()
    for path in crawl.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    total = counted(tmp_path / "work", copy)
    assert total > 1
    assert counted(tmp_path / "work", copy) == 0
    some, other = sorted(copy.iterdir())[2:4]
    some.write_bytes(some.read_bytes() + other.read_bytes())
    assert counted(tmp_path / "work", copy) == 1
    (copy / some.name.replace(".warc", "-more.warc")).write_bytes(other.read_bytes())
    assert counted(tmp_path / "work", copy) == 1
    other.rename(copy / other.name.replace(".warc", "-other.warc"))  # its name is a column
    assert counted(tmp_path / "work", copy) == 1


def test_unreadable_archives_of_a_shard_are_all_named_and_other_shards_are_made(crawl: Path, tmp_path: Path) -> None:
    copy = tmp_path / "crawl"
    copy.mkdir()
    for path in crawl.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    bad = sorted(copy.iterdir())[:2]
    bad[0].write_bytes(b"")
    bad[1].write_bytes(gzip.compress(b"notes on the crawl\n" * 30))
    request = Request(tmp_path / "work", ("index",), (), (str(copy / "*.gz"),))
    (job,) = request.plan()
    wrong = {path.name.replace(".warc.gz", ".parquet") for path in bad}
    assert any(wrong <= set(names) for names in job.shards.values())
    with pytest.raises(StageFailed) as failed:
        run_stages(job, request.stages, Serial())
    assert all(str(path) in str(failed.value) for path in bad)
    assert len(made(tmp_path / "work")) == len(job.shards) - 1


def test_a_release_of_small_archives_is_rebuilt_and_taken_down(work: Path, crawl: Path, tmp_path: Path) -> None:
    release = tmp_path / "release"
    publish_release(Selection(work, ["fr"]), release, PublishSettings(contact="x", date="2026-12-01"), Serial())
    make_pointers(release, tmp_path / "pointers", Serial())
    rebuild(tmp_path / "pointers", tmp_path / "again", [str(crawl / "*.gz")], RebuildSettings(), Serial())
    data = {name: content for name, content in bytes_of(release).items() if name.startswith("data/")}
    assert data
    assert {name: content for name, content in bytes_of(tmp_path / "again").items() if name in data} == data
    copied = pq.read_table(release / "clusters/fra_Latn.parquet").to_pylist()[0]
    settings = TakedownSettings(policy="promote", work=str(work), signed_off_by="A. Person", date="2026-12-01")
    takedown(release, parse_requests([f"id:{copied['duplicate_of']}"]), settings, Serial())
    ids = {row["id"] for path in release.glob("data/*/*.parquet") for row in pq.read_table(path).to_pylist()}
    assert copied["duplicate_of"] not in ids


def test_source_trees_named_like_archives_keep_their_programs(tmp_path: Path) -> None:
    for number in range(10):
        with tarfile.open(tmp_path / f"tree-{number}.warc.gz", "w:gz") as tree:
            text = f"def area_{number}(width, height):\n    return width * height * {number}\n".encode() * 3
            entry = tarfile.TarInfo(f"tree-{number}/area.py")
            entry.size = len(text)
            tree.addfile(entry, io.BytesIO(text))
    (job,) = Request(tmp_path / "work", ("index", "extract"), ("python",), (str(tmp_path / "*.gz"),)).plan()
    run_stages(job, ("index", "extract"), Serial())
    (path,) = (tmp_path / "work/python/extract").glob("*.parquet")
    texts = [row["text"] for row in pq.read_table(path).to_pylist()]
    assert [f"area_{number}(" in text for number, text in enumerate(texts)] == [True] * 10


def lay(folder: Path, sizes: Mapping[str, int]) -> dict[str, Path]:
    """Files of these sizes, and the names of their shards."""
    for name, size in sizes.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(bytes(size))
    return find_archives([str(folder / "**/*.gz")])


def test_only_many_small_archives_share_shards(tmp_path: Path) -> None:
    few = lay(tmp_path / "few", {f"a{number}.warc.gz": 900 for number in range(8)})
    assert group_archives(few) == {name: [name] for name in few}
    large = lay(tmp_path / "large", {f"a{number:02}.warc.gz": 70_000 for number in range(20)})
    assert group_archives(large) == {name: [name] for name in large}
    trees = lay(tmp_path / "trees", {f"a{number:02}.tar.gz": 900 for number in range(20)})
    assert group_archives(trees) == {name: [name] for name in trees}
    same = lay(tmp_path / "same", {f"{number:02}/pages.warc.gz": 900 for number in range(20)})
    assert group_archives(same) == {name: [name] for name in same}  # a row names its archive without its folder
    mixed = lay(tmp_path / "mixed", {f"a{number:02}.warc.gz": 99_000 if number == 9 else 900 for number in range(20)})
    groups = group_archives(mixed)
    assert groups["a09.parquet"] == ["a09.parquet"]
    assert [name for names in groups.values() for name in names] == sorted(mixed)
    assert len(groups) < 8


def test_a_new_archive_changes_few_groups(tmp_path: Path) -> None:
    before = lay(tmp_path, {f"site-{number:04}.warc.gz": 400 + 97 * number for number in range(0, 600, 2)})
    groups = group_archives(before)
    assert groups == group_archives(dict(reversed(before.items())))
    assert list(groups) == sorted(groups)
    assert 10 < len(groups) < 60
    changed = []
    for number in range(1, 600, 40):
        after = group_archives(lay(tmp_path, {f"site-{number:04}.warc.gz": 3000}))
        changed.append(len(set(after) - set(groups)))
        groups = after
    assert max(changed) < 8
    assert sum(changed) < 3 * len(changed)
