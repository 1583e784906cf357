"""Archives by hf://, read through huggingface_hub's own file system from a server on loopback."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("huggingface_hub", reason="hf:// is an extra: pip install -e '.[datasets]'")
pytest.importorskip("upath", reason="URLs are an extra: pip install -e '.[cloud]'")

from roots import retry, shards, storage
from roots.errors import InputError, ShardError
from tests.support.hub_files import Hub, serve_files
from tests.support.killing import CRAWL
from tests.test_end_to_end import roots

REPO = "hf://datasets/org/data"
FILES = {path.name: path.read_bytes() for path in sorted(CRAWL.glob("*.warc.gz"))[:2]}


@pytest.fixture
def ranges(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The server; gives what was asked of its files."""
    monkeypatch.setattr(retry, "_PATIENCE", retry.Patience(attempts=2))
    with serve_files(FILES, monkeypatch) as asked:
        yield asked


def test_files_of_the_hub_are_read_by_range(ranges: list[str], tmp_path: Path) -> None:
    found = sorted(storage.find_files(f"{REPO}/*.warc.gz"), key=str)
    assert [str(path) for path in found] == [f"{REPO}/{name}" for name in FILES]
    assert storage.find_files(f"{REPO}/none.warc.gz") == []
    for path, data in zip(found, FILES.values(), strict=True):
        assert storage.identity(path) == f"blob_id:{hashlib.sha1(data).hexdigest()}:{len(data)}"
    assert ranges == []  # nothing is read for its name
    storage.fetch(found[0], tmp_path / "copy", [(10, 20)])
    assert ranges == ["10-19"]
    assert (tmp_path / "copy").read_bytes()[10:20] == FILES[found[0].name][10:20]
    with pytest.raises(InputError, match="no file"):
        storage.fetch(storage.path_of(f"{REPO}/none.warc.gz"), tmp_path / "none")


def test_archives_of_the_hub_are_indexed_as_those_of_a_folder(ranges: list[str], tmp_path: Path) -> None:
    inputs = [part for name in FILES for part in ("--input", str(CRAWL / name))]
    roots("index", str(tmp_path / "folder"), *inputs, "--executor", "serial")
    roots("index", str(tmp_path / "hub"), "--input", f"{REPO}/*.warc.gz", "--executor", "serial")
    there = [[batch.to_pylist() for path in sorted((tmp_path / one / "index").glob("*.parquet")) for batch in
              shards.read(path)] for one in ("folder", "hub")]  # fmt: skip
    assert there[0] == there[1]
    assert there[0]
    assert ranges


def test_a_connection_that_breaks_is_asked_for_again(ranges: list[str], tmp_path: Path) -> None:
    Hub.broken = 1
    assert len(storage.find_files(f"{REPO}-a/*.warc.gz")) == len(FILES)
    assert Hub.broken == 0
    Hub.broken = 100
    with pytest.raises(ShardError, match=r"asked 2 times"):
        storage.find_files(f"{REPO}-b/*.warc.gz")
    said = roots("index", str(tmp_path / "work"), "--input", f"{REPO}-c/*.warc.gz", code=1)
    assert f"{REPO}-c" in said


@pytest.mark.parametrize("url", ["hf://nonsense", "hf://datasets/a b/*.gz"])
def test_a_url_that_names_nothing_of_the_hub_is_said_in_a_line(url: str, ranges: list[str]) -> None:
    with pytest.raises(InputError, match=url.replace("*", r"\*")):
        storage.find_files(url)


@pytest.mark.parametrize(("status", "error"), [(403, InputError), (400, ShardError)])
def test_what_the_hub_refuses_is_not_asked_again(
    status: int, error: type[Exception], ranges: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry.time, "sleep", lambda _: pytest.fail("asked again"))
    Hub.refused = status
    with pytest.raises(error):
        storage.find_files(f"{REPO}-{status}/*.warc.gz")
