"""What a page says about its use by machines: robots directives, and reservations against training models.

Signals, each recorded as the page states it:

    noindex, nosnippet, noarchive      robots directives (Google's robots meta tag specification)
    noai, noimageai, noml              no use for training (DeviantArt 2022, noml.info; as robots directives)
    tdm-reservation                    rights to text and data mining reserved (W3C TDM Reservation Protocol, 2024)
    no-train-ai                        Content-Usage: train-ai=n (IETF AI Preferences, draft-ietf-aipref-attach),
                                       Content-Signal: ai-train=no (contentsignals.org)
    no-copy                            a PDF that forbids taking text out of it (ISO 32000-1, table 22)

A directive for one named crawler is not recorded: it does not concern others. Directives may be separated by commas,
semicolons or spaces. A meta element counts only where a browser sees one.
"""

import re
from collections.abc import Iterable, Iterator

from filters.text.charset import meta_elements

HEADERS = ("x-robots-tag", "tdm-reservation", "content-usage", "content-signal")  # HTTP headers that carry signals
_DIRECTIVES = frozenset({"noindex", "nosnippet", "noarchive", "noai", "noimageai", "noml"})
_RESERVED = "tdm-reservation"
_NO_TRAINING = "no-train-ai"
NO_COPY = "no-copy"  # found by those who read documents
USE_SIGNALS = _DIRECTIVES | {_RESERVED, _NO_TRAINING, NO_COPY}
SEARCHED_BYTES = 64 << 10  # of a page, in which its meta elements are searched
_HEADER_OF_META = {"robots": "x-robots-tag"} | {name: name for name in HEADERS}

_AROUND = 4096  # bytes read behind an element, in which what it stands in may end

# A quick look for signals; where it finds one, the page's meta elements are read as a browser reads them.
_META = re.compile(rb"<meta\s([^<>]{1,600})>", re.IGNORECASE)
_NAME = re.compile(rf"=\s*[\"']?\s*(?:{'|'.join(_HEADER_OF_META)})".encode(), re.IGNORECASE)
_SIGNAL = re.compile(rb"noindex|nosnippet|noarchive|noai|noimageai|noml|none|tdm-res|train", re.IGNORECASE)
_TRAIN_NO = re.compile(r"\btrain-ai\s*=\s*\"?n(?:o)?\b|\bai-train\s*=\s*\"?n(?:o)?\b", re.IGNORECASE)
_WITH_VALUE = r"max-snippet|max-image-preview|max-video-preview|unavailable_after"
_NAMED = re.compile(rf"(?:^|[,;])\s*(?!(?:{_WITH_VALUE})\s*:)[a-z][\w.-]*\s*:", re.IGNORECASE)
_SEPARATORS = re.compile(r"[\s,;]+")


def use_signals_of(headers: Iterable[tuple[str, str]], body: bytes) -> list[str]:
    """All signals of a page, sorted: from its HTTP headers (name, value) and from its first SEARCHED_BYTES."""
    found = set[str]()
    for name, value in headers:
        found.update(_read_signal(name, value))
    for name, value in _metas(body[:SEARCHED_BYTES]):
        found.update(_read_signal(_HEADER_OF_META[name], value))
    return sorted(found)


def _read_signal(name: str, value: str) -> Iterator[str]:
    """The signals in one header."""
    match name.lower():
        case "x-robots-tag":
            named = _NAMED.search(value)  # what follows a name is for that crawler alone
            words = set(_SEPARATORS.split((value[: named.start()] if named else value).lower()))
            yield from words & _DIRECTIVES
            if "none" in words:
                yield "noindex"
        case "tdm-reservation":
            if value.strip() == "1":
                yield _RESERVED
        case "content-usage" | "content-signal":
            if _TRAIN_NO.search(value):
                yield _NO_TRAINING


def _metas(head: bytes) -> Iterator[tuple[str, str]]:
    """Name and content of the meta elements that carry signals."""
    hints = [found.end() for found in _META.finditer(head) if _NAME.search(found[1]) and _SIGNAL.search(found[1])]
    for meta in meta_elements(head[: hints[-1] + _AROUND]) if hints else ():
        name = meta.get("name", meta.get("http-equiv", b"")).decode("latin-1").lower()
        if name in _HEADER_OF_META and "content" in meta:
            yield name, meta["content"].decode("latin-1")
