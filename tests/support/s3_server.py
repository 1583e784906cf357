"""An S3 server on loopback (moto's) that misbehaves as real ones do: overloaded, broken off, slow."""

import io
import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from wsgiref.types import StartResponse

SLOW_DOWN = (
    b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
)


class Faults:
    """A WSGI application in front of another: a share of its answers are 503s, resets or slow."""

    def __init__(self, inner: Callable[..., Iterable[bytes]], share: float, seed: int) -> None:
        self.inner = inner
        self.share = share
        self.chance = random.Random(seed)
        self.made: dict[str, int] = {"503": 0, "reset": 0, "slow": 0, "asked": 0}
        self.sent = 0  # bytes of objects
        self.lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start: StartResponse) -> Iterable[bytes]:
        with self.lock:
            kind = self.chance.choice(("503", "reset", "slow")) if self.chance.random() < self.share else "asked"
            self.made[kind] += 1
        if kind == "slow":
            time.sleep(0.2)
        elif kind != "asked":
            body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            environ["wsgi.input"] = io.BytesIO(body)
        if kind == "503":
            start("503 Slow Down", [("Content-Type", "application/xml"), ("Content-Length", str(len(SLOW_DOWN)))])
            return [] if environ["REQUEST_METHOD"] == "HEAD" else [SLOW_DOWN]
        if kind == "reset":
            link: socket.socket = environ["werkzeug.socket"]
            link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            link.shutdown(socket.SHUT_RD)
            link.close()
            raise ConnectionAbortedError("as it was meant to")
        answer = list(self.inner(environ, start))
        if environ["REQUEST_METHOD"] == "GET":
            self.sent += sum(len(part) for part in answer)
        return answer


@contextmanager
def s3_server(share: float = 0.05, seed: int = 1) -> Iterator[tuple[str, Faults]]:
    """The server for a time: (its URL, its faults)."""
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        """Says nothing of what it is asked, or of what was broken off on purpose."""

        def log(self, type: str, message: str, *args: Any) -> None:
            pass

        def connection_dropped(self, error: BaseException, environ: Any = None) -> None:
            pass

    faults = Faults(DomainDispatcherApplication(create_backend_app), share, seed)
    server = make_server("127.0.0.1", 0, faults, threaded=True, request_handler=Quiet)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", faults
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
