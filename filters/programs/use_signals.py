"""What a page says about its use by machines: robots directives, and reservations against training models.

Signals, each recorded as the page states it:

    noindex, nosnippet, noarchive      robots directives (Google's robots meta tag specification)
    noai, noimageai                    no use for training (DeviantArt 2022, as robots directives)
    tdm-reservation                    rights to text and data mining reserved (W3C TDM Reservation Protocol, 2024)
    no-train-ai                        Content-Usage: train-ai=n (IETF AI Preferences, draft-ietf-aipref-attach)

A directive for one named crawler is not recorded: it does not concern others.
"""

import re
from collections.abc import Iterable, Iterator

HEADERS = ("x-robots-tag", "tdm-reservation", "content-usage")  # HTTP headers that carry signals
_DIRECTIVES = frozenset({"noindex", "nosnippet", "noarchive", "noai", "noimageai"})
_RESERVED = "tdm-reservation"
_NO_TRAINING = "no-train-ai"
USE_SIGNALS = _DIRECTIVES | {_RESERVED, _NO_TRAINING}
_HEAD_BYTES = 64 << 10  # of a page, in which its meta elements are searched
_HEADER_OF_META = {"robots": "x-robots-tag"} | {name: name for name in HEADERS if name != "x-robots-tag"}

_META = re.compile(rb"<meta\s([^<>]{1,600})>", re.IGNORECASE)
_NAME = re.compile(rf"\bname\s*=\s*[\"']?\s*({'|'.join(_HEADER_OF_META)})\s*(?:[\"'\s/]|$)".encode(), re.IGNORECASE)
_CONTENT = re.compile(rb"\bcontent\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'>]+))", re.IGNORECASE)
_TRAIN_NO = re.compile(r"\btrain-ai\s*=\s*n\b", re.IGNORECASE)
_NAMED = re.compile(r"^\s*[a-z][\w-]*\s*:", re.IGNORECASE)
_WITH_VALUE = ("max-snippet", "max-image-preview", "max-video-preview", "unavailable_after")


def use_signals_of(headers: Iterable[tuple[str, str]], body: bytes) -> list[str]:
    """All signals of a page, sorted: from its HTTP headers (name, value) and from its first _HEAD_BYTES."""
    found = set[str]()
    for name, value in headers:
        found.update(_read_signal(name, value))
    for name, value in _metas(body[:_HEAD_BYTES]):
        found.update(_read_signal(_HEADER_OF_META[name], value))
    return sorted(found)


def _read_signal(name: str, value: str) -> Iterator[str]:
    """The signals in one header."""
    match name.lower():
        case "x-robots-tag":
            named = _NAMED.match(value)
            if named and not value.strip().lower().startswith(_WITH_VALUE):
                return
            words = {word.strip().lower() for word in value.split(",")}
            yield from words & _DIRECTIVES
            if "none" in words:
                yield "noindex"
        case "tdm-reservation":
            if value.strip() == "1":
                yield _RESERVED
        case "content-usage":
            if _TRAIN_NO.search(value):
                yield _NO_TRAINING


def _metas(head: bytes) -> Iterator[tuple[str, str]]:
    """Name and content of the meta elements that carry signals."""
    for meta in _META.finditer(head):
        name = _NAME.search(meta[1])
        if name and (content := _CONTENT.search(meta[1])):
            value = next(group for group in content.groups() if group is not None)
            yield name[1].decode("ascii").lower(), value.decode("latin-1")
