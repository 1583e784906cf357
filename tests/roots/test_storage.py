"""Files at URLs: an object store and a web server that fail now and then, and never give an error for data."""

import hashlib
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("upath", reason="URLs are an extra: pip install -e '.[cloud]'")
pytest.importorskip("s3fs", reason="URLs are an extra: pip install -e '.[cloud]'")
pytest.importorskip("moto.server", reason="the S3 server of these tests: pip install -e '.[dev]'")

from pipelines.archives.limits import Limits
from pipelines.archives.records import read_at
from pipelines.index import faults_of
from pipelines.sources import doors
from pipelines.watching.status import Watcher
from roots import retry, shards, storage
from roots.errors import InputError, SettingsError, ShardError
from tests.roots.test_shards import FIRST, put
from tests.support.s3_server import Faults, s3_server
from tests.test_end_to_end import CRAWL, digests, roots

pytestmark = pytest.mark.filterwarnings("ignore::Warning")


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[str, Faults]]:
    """The store, with one request in twenty that goes wrong, the example crawl in it, and a key in the environment."""
    with s3_server() as (url, faults), pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", url)
        patch.setenv("AWS_ACCESS_KEY_ID", "an-access-key")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret-key")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_MAX_ATTEMPTS", "1")  # the library's own patience is longer than a test's
        patch.setattr(retry, "_PATIENCE", retry.Patience(first_seconds=0.01))
        retry.patiently("a bucket", lambda: _fs().mkdir("store"))
        for path in sorted(CRAWL.glob("*.gz")):
            target = storage.path_of(f"s3://store/crawl/{path.name}")
            storage.send(path, target)
            retry.patiently(str(target), partial(_fs().chmod, f"store/crawl/{path.name}", "public-read"))
        yield url, faults


def _fs() -> Any:
    return storage.path_of("s3://store").fs  # type: ignore[attr-defined]


WATCHED = ("index", "fr/extract", "fr/dedup/sign")
NAMES = ("example-2024-00001.warc.gz", "example-2024-00003.warc.wet.gz")


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The main job on two archives, all of it on this machine."""
    target = tmp_path_factory.mktemp("here") / "work"
    roots(*job(target, str(CRAWL)))
    return target


def job(work: Path | str, place: str) -> list[str]:
    inputs = [part for name in NAMES for part in ("--input", f"{place}/{name}")]
    return ["run", str(work), *inputs, "-l", "fr", "-q", "--executor", "serial", "--set", "dedup.audit=0"]


def test_the_main_job_on_an_object_store_makes_the_same_documents(
    server: tuple[str, Faults], work: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    said = roots(*job("s3://store/work", "s3://store/crawl"))
    assert min(server[1].made[kind] for kind in ("503", "reset", "slow")) > 0
    copied = tmp_path / "copied"
    for path in storage.path_of("s3://store/work").rglob("*"):
        if storage.is_file(path):
            place = copied / path.relative_to(storage.path_of("s3://store/work")).as_posix()
            place.parent.mkdir(parents=True, exist_ok=True)
            storage.fetch(path, place)
    mine, theirs = digests(work), digests(copied)
    assert set(mine) == set(theirs)
    other = {name for name in mine if mine[name] != theirs[name] and not name.endswith("manifest.json")}
    # Receipts of what is made from the archives name these by what the store says of them; the rows are the same.
    assert {name.rpartition("/")[0] for name in other} == {"index", "fr/extract"}
    assert [shards.check(work / name).digest for name in other] == [
        shards.check(copied / name).digest for name in other
    ]
    assert "every checksum is right" in roots("verify", "s3://store/work")
    assert re.search(r"fr shard +2/2 ", roots("status", "s3://store/work"))
    written = said + capfd.readouterr().err + "".join(path.read_text() for path in copied.rglob("*.json"))
    assert "a-secret-key" not in written
    assert "an-access-key" not in written


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("a/*.warc.gz", ["a/1.warc.gz", "a/[2].warc.gz"]),
        ("a/**.warc.gz", ["a/1.warc.gz", "a/[2].warc.gz"]),
        ("**/*.warc.gz", ["a/1.warc.gz", "a/[2].warc.gz", "a/b/3.warc.gz", "a/dir.warc.gz/4.warc.gz"]),
        ("a/**", ["a/1.warc.gz", "a/[2].warc.gz", "a/b/3.warc.gz", "a/dir.warc.gz/4.warc.gz", "a/none"]),
        ("a/[2].warc.gz", ["a/[2].warc.gz"]),
        ("a/[1-2].warc.gz", ["a/1.warc.gz"]),
        ("a/[[]2].warc.gz", ["a/[2].warc.gz"]),
        ("a/dir.warc.gz", []),
        ("a/mark.warc.gz/", []),
        ("a/b", []),
    ],
)
def test_a_pattern_at_a_url_means_files_as_on_disk(server: tuple[str, Faults], pattern: str, found: list[str]) -> None:
    root = "store/patterns"
    for name in ("1.warc.gz", "[2].warc.gz", "b/3.warc.gz", "dir.warc.gz/4.warc.gz", "mark.warc.gz/", "none"):
        retry.patiently(name, partial(_fs().pipe_file, f"{root}/a/{name}", b""))
    names = sorted(str(path).removeprefix(f"s3://{root}/") for path in storage.find_files(f"s3://{root}/{pattern}"))
    assert names == found


def test_an_input_at_a_url_is_looked_at_by_its_first_bytes(server: tuple[str, Faults], monkeypatch: Any) -> None:
    names = {"notes.md": b"no archive", "old.warc.gz": b"BZh91", "none.warc": b""}
    for name, content in names.items():
        retry.patiently(name, partial(_fs().pipe_file, f"store/bad/{name}", content))
    good = [storage.path_of(f"s3://store/crawl/{name}") for name in NAMES]
    bad = [storage.path_of(f"s3://store/bad/{name}") for name in names]
    faults = faults_of([*bad, *good], ["fr"])
    assert list(faults) == bad
    for path, fact in zip(bad, ("holds no WARC record", "is packed with bzip2", "is empty"), strict=True):
        assert faults[path].startswith(f"{path} {fact}")
    monkeypatch.setattr("pipelines.index._FETCHED_BYTES", 1)
    assert list(faults_of([*bad, *good])) == bad[2:]  # larger ones are not fetched for a look


def test_a_second_run_makes_nothing(server: tuple[str, Faults]) -> None:
    again = roots("extract", "s3://store/work", "--lang", "fr", "--quiet", "--executor", "serial")
    assert "before" in again


def test_a_run_on_a_store_is_watched_as_one_in_a_folder(server: tuple[str, Faults], work: Path) -> None:
    half = storage.path_of("s3://store/half")
    for name in ("inputs.json", *(f"{stage}/{NAMES[0].partition('.')[0]}.parquet" for stage in WATCHED)):
        storage.send(work / name, half / name)
    there, here = Watcher(half).look(), Watcher(work).look()
    found = {each.stage: (each.done, each.total, each.rows, each.kept) for each in there}
    whole = {each.stage: each for each in here}
    assert found["index"][:2] == (1, 2)
    assert found["dedup.sign"][:2] == (1, None)
    assert found["extract"][2] < whole["extract"].rows
    assert found["redact"] == (0, 2, 0, 0)


def test_archives_by_http(server: tuple[str, Faults], work: Path, tmp_path: Path) -> None:
    before = server[1].sent
    inputs = [part for name in NAMES for part in ("--input", f"{server[0]}/store/crawl/{name}")]
    roots("index", str(tmp_path), *inputs, "-q", "--executor", "serial")
    read = server[1].sent - before
    roots("extract", str(tmp_path), "-l", "fr", "-q", "--executor", "serial")
    for name in ("index/example-2024-00001.parquet", "fr/extract/example-2024-00001.parquet"):
        assert shards.check(tmp_path / name).digest == shards.check(work / name).digest
    assert read >= sum((CRAWL / name).stat().st_size for name in NAMES)
    assert server[1].sent > before + read


def test_only_the_bytes_of_wanted_records_are_fetched(server: tuple[str, Faults], work: Path) -> None:
    archive, index = storage.path_of(f"s3://store/crawl/{NAMES[0]}"), work / "index" / "example-2024-00001.parquet"
    offsets = sorted(offset for batch in shards.read(index, ["offset"]) for offset in batch["offset"].to_pylist())
    whole = (CRAWL / NAMES[0]).read_bytes()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(doors, "GAP_BYTES", 0)
        patch.setattr(doors, "STEP", 1000)
        before = server[1].sent
        with doors.on_this_machine(archive, offsets[-2:], index) as place:
            got = place.read_bytes()
            found = [record.url for record in read_at(place, offsets[-2:], Limits())]
        assert server[1].sent - before < len(whole) / 2
    assert len(got) == len(whole)
    assert got[offsets[-2] :] == whole[offsets[-2] :]
    assert got[2000 : offsets[-2] - 100] == bytes(offsets[-2] - 2100)
    assert found == [record.url for record in read_at(CRAWL / NAMES[0], offsets[-2:], Limits())]


def test_a_shard_is_there_whole_or_not_at_all(server: tuple[str, Faults]) -> None:
    path = storage.path_of("s3://store/a/x.parquet")
    shards.write(path, FIRST, [], "a", 1, "f")

    def broken() -> Iterator[Any]:
        yield from ()
        raise ValueError("half way")

    other = path.with_name("y.parquet")
    with pytest.raises(ValueError, match="half way"):
        shards.write(other, FIRST, broken(), "a", 1, "f")
    assert [p.name for p in path.parent.glob("*")] == ["x.parquet"]
    assert shards.read_receipt(other) is None
    assert shards.check(path).rows == 0


def test_ranges_of_a_file_are_its_bytes(server: tuple[str, Faults], tmp_path: Path) -> None:
    source = CRAWL / "example-2024-00002.warc.gz"
    data = source.read_bytes()
    storage.fetch(storage.path_of(f"s3://store/crawl/{source.name}"), tmp_path / "some", [(10, 20), (70_000, 10**9)])
    some = (tmp_path / "some").read_bytes()
    assert (len(some), some[10:20], some[70_000:]) == (len(data), data[10:20], data[70_000:])
    assert some[20:70_000] == bytes(70_000 - 20)


class Server:
    """A file system that gives the answers of a list."""

    def __init__(self, *answers: bytes | BaseException, size: int = 100) -> None:
        self.answers = list(answers)
        self.size = size
        self.fs, self.path = self, "x"

    def __str__(self) -> str:
        return "s3://bucket/x"

    def info(self, path: str) -> dict[str, Any]:
        return {"size": self.size, "ETag": '"e"'}

    def cat_file(self, path: str, start: int, end: int) -> bytes:
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer


DATA = hashlib.sha512(b"data").digest()[:50] * 2


@pytest.mark.parametrize(
    "answers",
    [
        (b"<Error><Code>SlowDown</Code></Error>", DATA),
        (OSError("503"), TimeoutError(), DATA[:60], DATA),
        (ConnectionResetError(), DATA),
    ],
    ids=["error body", "overloaded, then cut short", "reset"],
)
def test_an_answer_of_the_wrong_length_is_asked_for_again(
    answers: tuple[Any, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "_PATIENCE", retry.Patience(first_seconds=0.0001))
    server: Any = Server(*answers)
    storage.fetch(server, tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == DATA
    assert server.answers == []


def test_every_call_to_a_store_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "_PATIENCE", retry.Patience(first_seconds=0.0))
    folder: Any = storage.path_of("memory://asked-again")
    folder.fs.pipe_file("/asked-again/a.txt", b"text")
    (tmp_path / "b.txt").write_text("more")
    failed: list[str] = []

    def failing(name: str) -> Any:
        """The call, which breaks the first time."""
        call = getattr(folder.fs, name)

        def once(*arguments: Any, **options: Any) -> Any:
            if name not in failed:
                failed.append(name)
                raise ConnectionResetError("reset by peer")
            return call(*arguments, **options)

        return once

    for name in ("ls", "glob", "info", "cat_file", "put_file", "cp_file", "rm_file"):
        monkeypatch.setattr(folder.fs, name, failing(name))
    calls: list[tuple[Any, Any]] = [
        (partial(storage.names_in, folder), ["a.txt"]),
        (partial(storage.names_in, folder / "none"), []),
        (partial(storage.files_in, folder, "*.txt"), [folder / "a.txt"]),
        (partial(storage.is_file, folder / "a.txt"), True),
        (partial(storage.is_folder, folder), True),
        (partial(storage.size_of, folder / "a.txt"), 4),
        (partial(storage.read_text, folder / "a.txt"), "text"),
        (partial(storage.send, tmp_path / "b.txt", folder / "b.txt"), None),
        (partial(storage.move, folder / "b.txt", folder / "c.txt"), None),
        (partial(storage.remove, folder / "a.txt"), None),
        (partial(storage.names_in, folder), ["c.txt"]),
    ]
    seen: set[str] = set()
    for call, result in calls:
        failed.clear()
        assert call() == result
        assert failed
        seen |= set(failed)
    assert len(seen) == 7


def test_a_server_that_never_answers_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "_PATIENCE", retry.Patience(first_seconds=0.0001))
    server: Any = Server(*[b"<Error/>"] * 20)
    with pytest.raises(ShardError, match=r"s3://bucket/x: the server sent 8 bytes instead of 100 \(asked 10 times\)"):
        storage.fetch(server, tmp_path / "x")


def test_refusals_are_not_asked_again(tmp_path: Path) -> None:
    server: Any = Server(PermissionError("Forbidden"), DATA)
    with pytest.raises(InputError, match="environment"):
        storage.fetch(server, tmp_path / "x")


@pytest.mark.parametrize(
    "url", ["https://me:secret@host.org/a.warc.gz", "https://host.org/a.warc.gz?X-Amz-Signature=s"]
)
def test_urls_with_secrets_are_refused(url: str) -> None:
    with pytest.raises(SettingsError) as caught:
        storage.path_of(url)
    assert "secret@" not in str(caught.value)
    assert "Signature" not in str(caught.value)


def test_an_unknown_kind_of_url_is_named() -> None:
    with pytest.raises(SettingsError, match="gopher"):
        storage.path_of("gopher://host.org/a.warc.gz")


def test_nothing_is_written_by_http() -> None:
    with pytest.raises(SettingsError, match="nothing can be written"):
        storage.make_folder(storage.path_of("https://host.org/work"))


def test_a_url_of_this_machine_is_a_path(tmp_path: Path) -> None:
    put(tmp_path / "x.parquet", FIRST, [])
    assert storage.path_of(f"file://{tmp_path}/x.parquet") == tmp_path / "x.parquet"
