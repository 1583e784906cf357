"""Read one HTTP response as a crawler stored it: its head, then the body without chunking and content codings.

All sizes are bounded, and no length is trusted. Crawlers often store a body without the chunking or coding that its
head claims; such a body is taken as it is. Source: RFC 9112 (messages), RFC 9110 section 8.4 (codings).
"""

import io
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

from fastwarc.stream_io import BrotliReader, GzipReader, ZstdReader

from filters.programs.use_signals import HEADERS

STEP = 1 << 20  # bytes asked of a decompressor at once
_STATUS = re.compile(rb"HTTP/\d(?:\.\d)?[ \t]+(\d{3})(?!\d)")
_FIELDS = "|".join(("content-type", "content-encoding", "transfer-encoding", *HEADERS))
_FIELD = re.compile(rf"^({_FIELDS})[ \t]*:[ \t]*([^\r\n]*)".encode(), re.IGNORECASE | re.MULTILINE)
_CHARSET = re.compile(r"charset\s*=\s*[\"']?\s*([^\s\"';,]+)", re.IGNORECASE)
_MIME = re.compile(r"[a-z0-9!#$&^_.+-]+/[a-z0-9!#$&^_.+-]+")
_BINARY = re.compile(rb"[\x00-\x08\x0e-\x1a]")
_CHUNK_SIZE = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]*)?\r?\n")


class Response(NamedTuple):
    """A stored response. `problem` is None, "bad_http", "truncated" or "too_large"."""

    status: int | None
    content_type: str | None
    charset: str | None
    body: bytes
    problem: str | None
    rights: tuple[
        tuple[str, str], ...
    ] = ()  # headers that say how the page may be used: see filters.programs.use_signals


# coding -> (first bytes of such a body, if it has typical ones; how to open it)
_CODINGS: dict[str, tuple[tuple[bytes, ...], Callable[[io.BytesIO], Any]]] = {
    "gzip": ((b"\x1f\x8b",), GzipReader),
    "x-gzip": ((b"\x1f\x8b",), GzipReader),
    "deflate": ((), lambda stream: GzipReader(stream, zlib=True)),
    "br": ((), BrotliReader),
    "zstd": ((b"\x28\xb5\x2f\xfd",), ZstdReader),
}


def parse_response(head: bytes, body: bytes, body_bytes: int) -> Response:
    """Parse a stored response from its head, with the empty line, and its body.

    A body over `body_bytes` is cut and its problem is "too_large".
    """
    status = _STATUS.match(head)
    if status is None or not head.endswith((b"\n\r\n", b"\n\n")):
        return Response(None, None, None, b"", "bad_http")
    content_type = charset = None
    encoding = transfer = ""
    rights: list[tuple[str, str]] = []
    for name, value in _FIELD.findall(head):
        text = value.decode("latin-1")
        match name.lower():
            case b"content-type":
                content_type, charset = split_content_type(text)
            case b"content-encoding":
                encoding = f"{encoding},{text}"
            case b"transfer-encoding":
                transfer = text.lower()
            case _:
                rights.append((name.decode("latin-1").lower(), text))
    response = Response(int(status[1]), content_type, charset, body, None, tuple(rights))
    if "chunked" in transfer:
        response = _unchunk(response)
    if encoding:
        for coding in reversed(encoding.lower().replace(" ", "").split(",")):
            if coding in _CODINGS and response.body:
                response = _undo(response, coding, body_bytes)
    if len(response.body) > body_bytes:
        return response._replace(body=response.body[:body_bytes], problem="too_large")
    return response


@lru_cache(256)
def split_content_type(value: str) -> tuple[str | None, str | None]:
    """Split "Text/HTML; charset=X" into ("text/html", "X"); None for a missing part."""
    mime = _MIME.match(value.strip().lower())
    charset = _CHARSET.search(value)
    return (mime[0] if mime else None), (charset[1] if charset else None)


def _unchunk(response: Response) -> Response:
    """Undo chunking. A body that does not begin with a chunk was stored without chunking and stays as it is."""
    body = response.body
    parts: list[bytes] = []
    at = 0
    while True:
        size = _CHUNK_SIZE.match(body, at)
        if size is None:
            if not parts:
                return response
            problem = "truncated" if at >= len(body) else "bad_http"
            return response._replace(body=b"".join(parts), problem=problem)
        length = int(size[1], 16)
        if length == 0:
            return response._replace(body=b"".join(parts))
        part = body[size.end() : size.end() + length]
        parts.append(part)
        if len(part) < length:
            return response._replace(body=b"".join(parts), problem="truncated")
        at = size.end() + length
        at += 2 if body.startswith(b"\r\n", at) else body.startswith(b"\n", at)


def _undo(response: Response, coding: str, bound: int) -> Response:
    """Undo one content coding, up to `bound` + 1 bytes.

    A body without that coding stays as it is: crawlers that decode often keep the header. A gzip body that ends early
    gives what there is, as in a browser; a damaged one is "truncated".
    """
    magics, opener = _CODINGS[coding]
    if magics and not response.body.startswith(magics):
        return response
    body, whole = inflate(opener(io.BytesIO(response.body)), bound)
    if not body and not whole and coding == "deflate":  # some servers send raw deflate: add gzip's head
        body, _ = inflate(GzipReader(io.BytesIO(b"\x1f\x8b\x08" + bytes(6) + b"\xff" + response.body)), bound)
        whole = bool(body)  # there is no trailer to check
    if not body and not whole and not magics and not _BINARY.search(response.body, 0, 512):
        return response
    return response._replace(body=body, problem=response.problem if whole else "truncated")


def inflate(stream: Any, bound: int) -> tuple[bytes, bool]:
    """Return up to `bound` + 1 decompressed bytes, and whether no error came before the end or the bound."""
    parts = []
    left = bound + 1
    try:
        while left and (part := stream.read(min(STEP, left))):
            parts.append(part)
            left -= len(part)
    except OSError:
        return b"".join(parts), False
    return b"".join(parts), True
