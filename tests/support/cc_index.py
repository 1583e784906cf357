"""An index as Common Crawl publishes it, made of archives of our own, and a server on loopback that can misbehave."""

import random
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
from warcio.archiveiterator import ArchiveIterator

PREFIX = "crawl-data/CC-MAIN-2024-20/segments/1715.1/warc"
TABLE = "cc-index/table/cc-main/warc/crawl=CC-MAIN-2024-20/subset=warc"
SCHEMA = pa.schema(
    [
        pa.field("url_surtkey", pa.string(), nullable=False),
        ("url", pa.string()),
        ("fetch_time", pa.timestamp("ms")),
        ("fetch_status", pa.int16()),
        ("content_mime_type", pa.string()),
        ("content_mime_detected", pa.string()),
        ("content_languages", pa.string()),
        ("warc_filename", pa.string()),
        ("warc_record_offset", pa.int32()),
        ("warc_record_length", pa.int32()),
    ]
)
SLOW_DOWN = (
    b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
)


def surt(url: str) -> str:
    """The key of a plain URL; what the seeds' keys were checked against is the package of that name."""
    parts = urlsplit(url)
    host = ",".join(reversed((parts.hostname or "").removeprefix("www.").split(".")))
    path = parts.path.lower().rstrip("/") or "/"
    return f"{host}){path}" + (f"?{parts.query.lower()}" if parts.query else "")


def rows_of(archive: Path, name: str) -> Iterator[dict[str, Any]]:
    """The rows of an index for one archive: its responses, with where they lie."""
    with archive.open("rb") as file:
        records = ArchiveIterator(file)
        for record in records:
            url = record.rec_headers.get_header("WARC-Target-URI")
            if record.rec_type != "response" or record.http_headers is None:
                continue
            kind = (record.http_headers.get_header("Content-Type") or "text/html").partition(";")[0]
            row = {
                "url_surtkey": surt(url),
                "url": url,
                "fetch_time": datetime.fromisoformat(record.rec_headers.get_header("WARC-Date").replace("Z", "+00:00")),
                "fetch_status": int(record.http_headers.get_statuscode()),
                "content_mime_type": kind,
                "content_mime_detected": kind,
                "content_languages": None,
                "warc_filename": f"{PREFIX}/{name}",
                "warc_record_offset": records.get_record_offset(),
            }
            yield row | {"warc_record_length": records.get_record_length()}


def write_index(rows: Sequence[dict[str, Any]], path: Path, group: int = 16) -> Path:
    """Write rows as a file of the index, sorted, in small row groups."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist(sorted(rows, key=lambda row: row["url_surtkey"].encode()), schema=SCHEMA)
    pq.write_table(table, path, row_group_size=group, compression="gzip")
    return path


def build(root: Path, archives: Sequence[Path], files: int = 2) -> list[dict[str, Any]]:
    """Lay out a crawl below `root` as Common Crawl's bucket is, and give back the rows of its index."""
    folder = root / PREFIX
    folder.mkdir(parents=True)
    rows: list[dict[str, Any]] = []
    for archive in archives:
        (folder / archive.name).write_bytes(archive.read_bytes())
        rows += rows_of(archive, archive.name)
    for number in range(files):
        write_index(rows[number::files], root / TABLE / f"part-{number:05d}.c000.gz.parquet")
    listed = "\n".join(f"{TABLE}/part-{number:05d}.c000.gz.parquet" for number in range(files))
    (root / "cc-index-table.paths").write_text(listed + "\n")
    return rows


@dataclass
class Mischief:
    """What a server does wrong, and what was asked of it."""

    share: float = 0.0  # of requests
    kinds: tuple[str, ...] = ("503", "reset", "short", "wrong", "lie")
    forbidden: str = ""  # a path that is answered with 403
    always: str = ""  # requests for a range of this path always fail in the first of `kinds`
    requests: list[tuple[str, str]] = field(default_factory=list)  # method, path
    agents: set[str] = field(default_factory=set)
    done: dict[str, int] = field(default_factory=dict)
    chance: random.Random = field(default_factory=lambda: random.Random(5))
    lock: threading.Lock = field(default_factory=threading.Lock)

    def draw(self, method: str, path: str, agent: str) -> str:
        """What is done to a request: a kind, or nothing."""
        with self.lock:
            self.requests.append((method, path))
            self.agents.add(agent)
            kind = ""
            if self.always and path.endswith(self.always):
                kind = self.kinds[0]
            elif method == "GET" and self.chance.random() < self.share:
                kind = self.chance.choice(self.kinds)
            self.done[kind] = self.done.get(kind, 0) + 1
            return kind


class RangeHandler(BaseHTTPRequestHandler):
    root: Path
    mischief: Mischief

    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._go(False)

    def do_GET(self) -> None:
        self._go(True)

    def _answer(self, status: int, data: bytes, body: bool = True, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if body:
            self.wfile.write(data)

    def _go(self, body: bool) -> None:
        kind = self.mischief.draw(self.command, self.path, self.headers.get("User-Agent", ""))
        path = self.root / self.path.lstrip("/")
        if self.mischief.forbidden and self.path.endswith(self.mischief.forbidden):
            return self._answer(403, SLOW_DOWN, body)
        if kind == "503":
            return self._answer(503, SLOW_DOWN, body, Retry_After="0")
        if kind == "reset":
            self.close_connection = True
            return None
        if not path.is_file():
            return self._answer(404, SLOW_DOWN, body)
        data, status, headers = path.read_bytes(), 200, {"ETag": f'"{path.stat().st_size}"'}
        if (asked := self.headers.get("Range")) and kind != "whole":
            first, _, last = asked.removeprefix("bytes=").partition("-")
            start, end = int(first), min(int(last), len(data) - 1)
            if start >= len(data):
                return self._answer(416, SLOW_DOWN, body)
            shift = 1 if kind == "wrong" else 0
            headers["Content-Range"] = f"bytes {start + shift}-{end + shift}/{len(data)}"
            data, status = data[start : end + 1], 206
        if kind == "lie":  # an error page under the name of the range that was asked for
            data = (SLOW_DOWN + str(self.mischief.chance.random()).encode()).ljust(len(data), b" ")[: len(data)]
        if kind == "short":
            self.close_connection = True
            self.send_response(status)
            for name, value in (headers | {"Content-Length": str(len(data))}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data[: len(data) // 2])
            return None
        return self._answer(status, data, body, **headers)


@contextmanager
def serve(root: Path, mischief: Mischief | None = None) -> Iterator[tuple[str, Mischief]]:
    """Serve a folder on loopback, with ranges."""
    mischief = mischief or Mischief()

    handler = type("Handler", (RangeHandler,), {"root": root, "mischief": mischief})

    class Server(ThreadingHTTPServer):
        request_queue_size = 128  # or connections are lost, and tried again a second later

        def handle_error(self, *arguments: Any) -> None:
            pass  # a client that hangs up is what is tested

    server = Server(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/", mischief
    finally:
        server.shutdown()
        server.server_close()
