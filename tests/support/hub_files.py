"""A server on loopback that speaks as much of the Hub's protocol as reading the files of a data set takes."""

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import fsspec.config
import pytest

COMMIT = "c0" * 20  # of every revision


class Hub(BaseHTTPRequestHandler):
    """As much of the Hub's protocol as reading takes."""

    protocol_version = "HTTP/1.1"
    files: Mapping[str, bytes]
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
            data = self.files[unquote(path).partition("/resolve/")[2].partition("/")[2]]
            low, high = self.headers["Range"].removeprefix("bytes=").split("-")
            self.ranges.append(f"{low}-{high}")
            part = data[int(low) : int(high or len(data)) + 1]
            self.say(206, part, Content_Range=f"bytes {low}-{int(low) + len(part) - 1}/{len(data)}")
        elif "/tree/" in path:
            self.say_json(list(self.items_below(unquote(path).partition("/tree/")[2].partition("/")[2])))
        elif path.endswith("/none"):
            self.say(404, b"{}", X_Error_Code="RepoNotFound")
        else:
            self.say_json({"id": "org/data", "sha": COMMIT, "private": False, "siblings": []})

    do_HEAD = do_GET  # noqa: N815 - the name is http.server's

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        is_json = self.headers["Content-Type"].startswith("application/json")
        asked = json.loads(body)["paths"] if is_json else parse_qs(body.decode())["paths"]
        self.say_json([item for name in asked for item in self.item(name)])

    def items_below(self, folder: str) -> Iterator[dict[str, Any]]:
        """The files and folders in a folder, or below it if all of them are asked for."""
        recursive = "recursive=true" in self.path.lower()
        start = f"{folder}/" if folder else ""
        below = [name.removeprefix(start).split("/") for name in self.files if name.startswith(start)]
        names = {"/".join(parts[:count]) for parts in below for count in range(1, len(parts) + 1)}
        for name in sorted(names):
            if recursive or "/" not in name:
                yield from self.item(start + name)

    def item(self, name: str) -> Iterator[dict[str, Any]]:
        if any(other.startswith(f"{name}/") for other in self.files):
            yield {"type": "directory", "path": name, "oid": "0" * 40, "size": 0}
        if name in self.files:
            data = self.files[name]
            yield {"type": "file", "path": name, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def serve_files(files: Mapping[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Serve a data set of these files; gives the ranges that are asked of them."""
    Hub.files, Hub.ranges = files, []
    Hub.broken = Hub.refused = 0
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setitem(fsspec.config.conf, "hf", {"endpoint": f"http://127.0.0.1:{server.server_port}"})
    yield Hub.ranges
    server.shutdown()
    server.server_close()
    thread.join()
