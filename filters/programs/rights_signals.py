"""What a page says about its use by machines: robots directives, and the reservations made against training models.

Signals, each recorded as said, whoever is to judge it:

    noindex, nosnippet, noarchive      robots directives (Google's robots meta tag specification)
    noai, noimageai                    no use for training (DeviantArt 2022, as robots directives)
    tdm-reservation                    rights to text and data mining reserved (W3C TDM Reservation Protocol, 2024)
    no-train-ai                        Content-Usage: train-ai=n (IETF AI Preferences, draft-ietf-aipref-attach)

A directive for one named crawler is not recorded: it says nothing to others.
"""

import re
from collections.abc import Iterable, Iterator

_DIRECTIVES = frozenset({"noindex", "nosnippet", "noarchive", "noai", "noimageai"})
_RESERVED = "tdm-reservation"
NO_TRAINING = "no-train-ai"
SIGNALS = _DIRECTIVES | {_RESERVED, NO_TRAINING}
_HEADERS = ("x-robots-tag", "tdm-reservation", "content-usage")
_HEAD_BYTES = 64 << 10  # of a page, in which its meta elements are looked for

_META = re.compile(rb"<meta\s([^<>]{1,600})>", re.IGNORECASE)
_NAME = re.compile(rb"\bname\s*=\s*[\"']?\s*(robots|tdm-reservation|content-usage)\s*(?:[\"'\s/]|$)", re.IGNORECASE)
_CONTENT = re.compile(rb"\bcontent\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'>]+))", re.IGNORECASE)
_NO_TRAINING = re.compile(r"\btrain-ai\s*=\s*n\b", re.IGNORECASE)
_NAMED = re.compile(r"^\s*[a-z][\w-]*\s*:", re.IGNORECASE)
_WITH_VALUE = ("max-snippet", "max-image-preview", "max-video-preview", "unavailable_after")


def signals_of(headers: Iterable[tuple[str, str]], body: bytes) -> list[str]:
    """All signals of a page, sorted: from its HTTP headers (name, value) and from its first _HEAD_BYTES."""
    found = set[str]()
    for name, value in headers:
        found.update(_read_signal(name, value))
    for name, value in _metas(body[:_HEAD_BYTES]):
        found.update(_read_signal("x-robots-tag" if name == "robots" else name, value))
    return sorted(found)


def _read_signal(name: str, value: str) -> Iterator[str]:
    """The signals that one header makes."""
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
            if _NO_TRAINING.search(value):
                yield NO_TRAINING


def _metas(head: bytes) -> Iterator[tuple[str, str]]:
    """Name and content of the meta elements that make signals."""
    for meta in _META.finditer(head):
        name = _NAME.search(meta[1])
        if name and (content := _CONTENT.search(meta[1])):
            value = next(group for group in content.groups() if group is not None)
            yield name[1].decode("ascii").lower(), value.decode("latin-1")
