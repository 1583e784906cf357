"""Archives by hf://, read through huggingface_hub's own file system from a server on loopback."""

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

pytest.importorskip("huggingface_hub", reason="hf:// is an extra: pip install -e '.[datasets]'")
pytest.importorskip("upath", reason="URLs are an extra: pip install -e '.[cloud]'")

import fsspec.config

from roots import retry, shards, storage
from roots.errors import InputError, ShardError
from tests.support.killing import CRAWL
from tests.test_end_to_end import roots

REPO = "hf://datasets/org/data"
FILES = {path.name: path.read_bytes() for path in sorted(CRAWL.glob("*.warc.gz"))[:2]}


class Hub(BaseHTTPRequestHandler):
    """As much of the Hub's protocol as reading takes."""

    protocol_version = "HTTP/1.1"
    ranges: list[str]
    broken = 0  # connections that break before an answer; counted down
    refused = 0  # answer to all requests, if it is not 0

    def parse_request(self) -> bool:
        fine = super().parse_request()
        if self.broken:
            type(self).broken -= 1
            self.close_connection = True
            return False
        if fine and self.refused:
            self.say(self.refused, b"no")
            return False
        return fine

    def say(self, status: int, data: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def say_json(self, value: Any) -> None:
        self.say(200, json.dumps(value).encode(), Content_Type="application/json")

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if "/resolve/" in path:
            data = FILES[path.rpartition("/")[2]]
            low, high = self.headers["Range"].removeprefix("bytes=").split("-")
            self.ranges.append(f"{low}-{high}")
            part = data[int(low) : int(high or len(data)) + 1]
            self.say(206, part, Content_Range=f"bytes {low}-{int(low) + len(part) - 1}/{len(data)}")
        elif "/tree/" in path:
            self.say_json([self.item(name) for name in FILES])
        else:
            self.say_json({"id": "org/data", "sha": "0" * 40, "private": False, "siblings": []})

    do_HEAD = do_GET  # noqa: N815 - the name is http.server's

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        is_json = self.headers["Content-Type"].startswith("application/json")
        asked = json.loads(body)["paths"] if is_json else parse_qs(body.decode())["paths"]
        self.say_json([self.item(name) for name in asked if name in FILES])

    @staticmethod
    def item(name: str) -> dict[str, Any]:
        data = FILES[name]
        return {"type": "file", "path": name, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def ranges(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The server; gives what was asked of its files."""
    Hub.ranges = []
    Hub.broken = Hub.refused = 0
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setitem(fsspec.config.conf, "hf", {"endpoint": f"http://127.0.0.1:{server.server_port}"})
    monkeypatch.setattr(retry, "_PATIENCE", retry.Patience(attempts=2))
    yield Hub.ranges
    server.shutdown()
    server.server_close()
    thread.join()


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
