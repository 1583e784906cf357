"""The pseudocrawl from an object store that fails now and then: the same pages as from a folder."""

import random
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("upath", reason="URLs are an extra: pip install -e '.[cloud]'")
pytest.importorskip("s3fs", reason="URLs are an extra: pip install -e '.[cloud]'")
pytest.importorskip("moto.server", reason="the S3 server of these tests: pip install -e '.[dev]'")

import fsspec

from pipelines.pseudocrawl.captures import Lookup
from pipelines.pseudocrawl.fetch import Pseudocrawl, fetch_archives
from pipelines.pseudocrawl.index_files import find_index
from pipelines.pseudocrawl.ranges import Manners, PathRanges
from pipelines.pseudocrawl.seeds import Seed
from roots import retry, storage
from roots.errors import InputError, MissingRange, SettingsError, ShardError, StageFailed
from roots.executors import Serial
from tests.pipelines.pseudocrawl.test_fetch import ARCHIVES, fetched, hosts, members
from tests.support.cc_index import TABLE, build, write_index
from tests.support.s3_server import Faults, s3_server

pytestmark = pytest.mark.filterwarnings("ignore::Warning")
STORE = "s3://commons"


def put(path: Path, name: str) -> None:
    storage.send(path, storage.path_of(f"{STORE}/{name}"))


@pytest.fixture(scope="module")
def crawl(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, list[dict[str, Any]], Faults]]:
    """A crawl in a folder and in a store where one request in ten fails; the rows of its index."""
    root = tmp_path_factory.mktemp("crawl")
    rows = build(root, ARCHIVES)
    with s3_server(share=0.1) as (url, faults), pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", url)
        patch.setenv("AWS_ACCESS_KEY_ID", "an-access-key")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret-key")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_MAX_ATTEMPTS", "1")
        patch.setattr(retry, "_PATIENCE", retry.Patience(first_seconds=0.01))
        fsspec.get_filesystem_class("s3").clear_instance_cache()  # of another module's server
        filesystem: Any = storage.path_of(STORE)
        retry.patiently("a bucket", partial(filesystem.fs.mkdir, "commons"))
        for path in sorted(path for path in root.rglob("*") if path.is_file()):
            put(path, path.relative_to(root).as_posix())
        yield root, rows, faults
        fsspec.get_filesystem_class("s3").clear_instance_cache()


def test_an_index_in_a_store_gives_the_pages_that_one_in_a_folder_gives(
    crawl: tuple[Path, list[dict[str, Any]], Faults], tmp_path: Path
) -> None:
    root, rows, faults = crawl
    seeds = [Seed(host, "fr") for host in hosts(rows)[::2]]
    fetch_archives(tmp_path / "folder", seeds, [str(root / TABLE)], Pseudocrawl(data=str(root)), Serial())
    before = faults.made["503"]
    place = f"{STORE}/cc-index-table.paths"
    fetch_archives(tmp_path / "store", seeds, [place], Pseudocrawl(data=STORE), Serial())
    assert faults.made["503"] > before
    assert members(tmp_path / "store") == members(tmp_path / "folder")
    assert len(members(tmp_path / "store")) > 5
    assert [row["drop"] for row in fetched(tmp_path / "store")] == [row["drop"] for row in fetched(tmp_path / "folder")]
    written = "".join(path.read_text() for path in (tmp_path / "store").rglob("*.json"))
    assert "a-secret-key" not in written


@pytest.mark.parametrize("place", ["", "/cc-index", f"/{TABLE}/*.parquet", "/cc-index-table.paths"])
def test_an_index_is_named_by_a_folder_a_pattern_or_a_list(
    crawl: tuple[Path, list[dict[str, Any]], Faults], tmp_path: Path, place: str
) -> None:
    root, _, _ = crawl
    names = sorted(path.name for path in (root / TABLE).iterdir())
    assert list(find_index([STORE + place], STORE, Manners(), tmp_path)) == names
    one = find_index([f"{STORE}/{TABLE}/{names[0]}"], STORE, Manners(), tmp_path)
    assert list(one) == names[:1]
    assert (
        f'"url": "{STORE}/{TABLE}/{names[0]}", "bytes": {(root / TABLE / names[0]).stat().st_size}, "mark": "ETag:'
        in (one[names[0]].read_text())
    )


def test_only_what_can_hold_a_seed_is_read(crawl: tuple[Path, list[dict[str, Any]], Faults], tmp_path: Path) -> None:
    _, _, faults = crawl
    chance = random.Random(1)
    rows = [
        {"url_surtkey": f"org,site{number:04d})/", "url": chance.randbytes(100).hex(), "fetch_status": 404}
        for number in range(5000)
    ]
    path = write_index(rows, tmp_path / "large.parquet", group=250)
    put(path, "large.parquet")
    source = find_index([f"{STORE}/large.parquet"], STORE, Manners(), tmp_path)["large.parquet"]
    before = faults.sent
    (batch,) = Lookup((Seed("site0777.org", "fr"),)).make("large.parquet", [source])
    assert batch["url"].to_pylist() == [rows[777]["url"]]
    assert faults.sent - before < path.stat().st_size / 3


def test_a_missing_file_is_named(crawl: tuple[Path, list[dict[str, Any]], Faults], tmp_path: Path) -> None:
    for place in ("nothing", "nothing/*.parquet", "nothing.parquet"):
        with pytest.raises(InputError, match="no Parquet file is there"):
            find_index([f"{STORE}/{place}"], STORE, Manners(), tmp_path)
    with pytest.raises(InputError, match="no file"):
        find_index([f"{STORE}/nothing.paths.gz"], STORE, Manners(), tmp_path)
    size = (crawl[0] / "cc-index-table.paths").stat().st_size
    for name, start in (("nothing", 0), ("cc-index-table.paths", size - 1)):
        with pytest.raises(MissingRange):
            PathRanges(STORE).read(name, start, 2)
    with pytest.raises(SettingsError, match="gopher"):
        Pseudocrawl(data="gopher://host.org/crawl")


def test_what_is_fetched_into_a_store_is_kept_there_and_not_fetched_again(
    crawl: tuple[Path, list[dict[str, Any]], Faults], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, rows, _ = crawl
    seeds = [Seed(host, "fr") for host in hosts(rows)[:8]]
    settings = Pseudocrawl(data=str(root), records=40)
    read: list[str] = []
    fetch_archives(tmp_path, seeds, [str(root / TABLE)], settings, Serial())
    work = storage.path_of(f"{STORE}/work")
    index = [f"{STORE}/{TABLE}"]
    fetch_archives(work, seeds[::2], index, settings, Serial())
    whole = PathRanges.read

    def dying(ranges: PathRanges, name: str, start: int, length: int) -> bytes:
        read.append(f"{name}:{start}")
        if len(read) == 10:
            raise ShardError("the link is broken")
        return whole(ranges, name, start, length)

    monkeypatch.setattr(PathRanges, "read", dying)
    for _ in range(2):
        with suppress(StageFailed):
            got = fetch_archives(work, seeds, index, settings, Serial())
    packed = {record["id"]: record for record in fetched(tmp_path) if not record["drop"]}
    first = {record["id"] for record in packed.values() if record["seed"] in {seed.site for seed in seeds[::2]}}
    assert len(read) > 10
    assert not first & set(read)
    mine = {path.name: path.read_bytes() for path in (tmp_path / "pseudocrawl/archives").iterdir()}
    assert {path.name: storage.open_binary(path).read() for path in got.values()} == mine
    assert storage.find_files(f"{STORE}/work/pseudocrawl/earlier/*") == []
