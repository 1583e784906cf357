"""Archives and a work folder by gs://, through gcsfs, on a server on loopback that speaks the store's JSON protocol."""

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("upath", reason="URLs are an extra: pip install -e '.[cloud]'")
from roots import retry, shards, storage
from roots.errors import InputError, ShardError
from tests.roots.test_shards import FIRST
from tests.test_end_to_end import CRAWL, digests, roots

pytestmark = pytest.mark.filterwarnings("ignore::Warning")
NAMES = ("example-2024-00001.warc.gz", "example-2024-00003.warc.wet.gz")


@pytest.fixture(scope="module")
def made() -> Iterator[dict[str, int]]:
    """The store, with two archives of the example crawl; one request in twenty is a 503.

    Gives how many were; the status under "always" is the answer to all.
    """
    patch = pytest.MonkeyPatch()
    # gcsfs asks by gRPC first which kind of bucket it is: nothing on loopback answers. It is read at its import.
    patch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
    pytest.importorskip("gcsfs", reason="gs:// is an extra of 80 MB: pip install -e '.[gs]'")
    emulator = pytest.importorskip("gcp_storage_emulator.server", reason="the server: pip install -e '.[dev]'")
    counts = {"503": 0, "always": 0}
    chance = random.Random(1)
    handler: Any = emulator.RequestHandler

    def overloaded(answer: Any) -> Any:
        def do(self: Any) -> None:
            status = counts["always"] or (503 if chance.random() < 0.05 else 0)
            counts["503"] += status == 503
            if not status:
                return answer(self)
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(b"<Error><Code>SlowDown</Code></Error>")
            return None

        return do

    for method in ("do_GET", "do_POST", "do_PUT", "do_DELETE"):
        patch.setattr(handler, method, overloaded(getattr(handler, method)))
    patch.setattr(handler, "log_message", lambda *_: None)
    patch.setattr(emulator.server.HTTPServer, "handle_error", lambda *_: None)  # a client that hangs up
    patch.setattr("gcsfs.retry.asyncio", SimpleNamespace(sleep=lambda _: asyncio.sleep(0)))  # its own patience
    server = emulator.create_server("127.0.0.1", 0, in_memory=True, default_bucket="store")
    server.start()
    patch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{server._api._httpd.server_port}")
    patch.setattr(retry, "_PATIENCE", retry.Patience(first_seconds=0.01))
    try:
        for name in NAMES:
            storage.send(CRAWL / name, storage.path_of(f"gs://store/crawl/{name}"))
        yield counts
    finally:
        server.stop()
        patch.undo()


def test_the_main_job_on_gs_makes_the_same_documents(made: dict[str, int], tmp_path: Path) -> None:
    def job(work: Path | str, place: str) -> str:
        inputs = [part for name in NAMES for part in ("--input", f"{place}/{name}")]
        return roots("run", str(work), *inputs, "-l", "fr", "-q", "--executor", "serial", "--set", "dedup.audit=0")

    job(tmp_path / "work", str(CRAWL))
    job("gs://store/work", "gs://store/crawl")
    assert made["503"] > 0
    there, copied = storage.path_of("gs://store/work"), tmp_path / "copied"
    for path in there.rglob("*"):
        if storage.is_file(path):
            place = copied / path.relative_to(there).as_posix()
            place.parent.mkdir(parents=True, exist_ok=True)
            storage.fetch(path, place)
    mine, theirs = digests(tmp_path / "work"), digests(copied)
    assert set(mine) == set(theirs)
    # Receipts of what is made from the archives name these by what the store says of them; the rows are the same.
    other = {name for name in mine if mine[name] != theirs[name] and not name.endswith("manifest.json")}
    assert {name.rpartition("/")[0] for name in other} == {"index", "fr/extract"}
    for name in other:
        assert shards.check(tmp_path / "work" / name).digest == shards.check(copied / name).digest
    assert "every checksum is right" in roots("verify", "gs://store/work")


def test_a_shard_is_there_whole_or_not_at_all(made: dict[str, int]) -> None:
    path = storage.path_of("gs://store/a/x.parquet")
    shards.write(path, FIRST, [], "a", 1, "f")

    def broken() -> Iterator[Any]:
        yield from ()
        raise ValueError("half way")

    with pytest.raises(ValueError, match="half way"):
        shards.write(path.with_name("y.parquet"), FIRST, broken(), "a", 1, "f")
    assert [found.name for found in path.parent.glob("*")] == ["x.parquet"]
    assert shards.check(path).rows == 0


def test_ranges_of_an_archive_are_its_bytes(made: dict[str, int], tmp_path: Path) -> None:
    found = sorted(storage.find_files("gs://store/crawl/*.gz"), key=str)
    assert [path.name for path in found] == sorted(NAMES)
    storage.fetch(found[0], tmp_path / "some", [(10, 20), (70_000, 10**9)])
    some, data = (tmp_path / "some").read_bytes(), (CRAWL / NAMES[0]).read_bytes()
    assert (len(some), some[10:20], some[70_000:]) == (len(data), data[10:20], data[70_000:])
    assert some[20:70_000] == bytes(70_000 - 20)
    assert storage.identity(found[0]).startswith(("etag:", "md5Hash:"))
    with pytest.raises(InputError, match="no file"):
        storage.fetch(storage.path_of("gs://store/none"), tmp_path / "none")


@pytest.mark.parametrize(
    ("status", "kind", "said"),
    [(403, InputError, "access is refused .*environment"), (503, ShardError, "SlowDown.*asked 2 times")],
)
def test_a_refusal_and_a_store_that_never_answers_are_named(
    made: dict[str, int], monkeypatch: pytest.MonkeyPatch, status: int, kind: type[Exception], said: str
) -> None:
    path = storage.path_of(f"gs://store/crawl/{NAMES[0]}")
    monkeypatch.setattr(retry, "_PATIENCE", retry.Patience(attempts=2))
    monkeypatch.setitem(made, "always", status)
    with pytest.raises(kind, match=said):
        storage.size_of(path)
