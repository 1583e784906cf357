"""What is done to one page in the guarded process: read it, decode it, take its main text.

This module is imported by the guard's server before it forks, so it imports nothing dear: no Arrow, no NumPy.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from filters.text.charset import decode
from pipelines.archives.limits import Limits
from pipelines.archives.records import Record, read_at
from pipelines.extraction.engines import Engine, resiliparse, tidy
from pipelines.extraction.extractors import QUICK, Bounds, check_extractor
from pipelines.extraction.guard import Row

_IDENTITY = "plain"  # the name of no engine: the text as it stands, for plain text and WET
_PLAIN = frozenset({"text/plain", "text/markdown", "text/x-rst"})

# What engines raise over bad pages; anything else ends the child, which is a crash too, but costs a new child.
_ENGINE_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
)

_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]*)[^<>]*?(/?)>")
# no end tag, or one that may be left out: these say nothing of depth
_OPEN_ENDED = frozenset(
    {"area", "base", "br", "col", "dd", "dt", "embed", "hr", "img", "input", "li", "link", "meta", "p"}
)
_MANY_TAGS = 10_000  # with fewer, even a quadratic parser needs no more than three seconds


def find_engine(name: str) -> Engine:
    """The engine of that name. Raises SettingsError for an unknown one."""
    check_extractor(name)
    if name == QUICK:
        return resiliparse
    from pipelines.extraction.tree_engines import ENGINES

    return ENGINES[name]


def pages(
    archive: str, extractor: str, bounds: Mapping[str, int], dense: bool = False
) -> Callable[[Sequence[int]], Iterator[Row]]:
    """The work of a guarded child: from offsets in `archive`, `dense` or not, to one row a record.

    A row has `text`, `engine` and `drop`: the reason why there is no text, or None.
    """
    engine = find_engine(extractor)
    limits = Bounds(**bounds)

    def rows(offsets: Sequence[int]) -> Iterator[Row]:
        for record in read_at(Path(archive), offsets, Limits(body_bytes=limits.body_bytes), dense):
            text, name, drop = extract_page(record, engine, extractor, limits)
            yield {"text": text, "engine": name, "drop": drop}

    return rows


def extract_page(record: Record, engine: Engine, name: str, bounds: Bounds) -> tuple[str | None, str, str | None]:
    """The main text of a record, the engine that gave it, and the reason why there is none."""
    if record.problem == "too_large":
        return None, name, "extract.too_large"
    if not record.body:
        return None, name, "extract.unreadable" if record.problem else "extract.empty"
    html = decode(record.body, record.header_charset).text  # without NUL and lone surrogates, as engines need it
    if record.kind == "wet" or record.content_type in _PLAIN:
        plain = tidy(html)
        return (plain, _IDENTITY, None) if plain.strip() else (None, _IDENTITY, "extract.empty")
    if len(html) > bounds.html_chars:
        return None, name, "extract.too_large"
    if is_deeper(html, bounds.depth):
        return None, name, "extract.too_deep"
    try:
        text = tidy(engine(html) or "")
    except _ENGINE_ERRORS:
        return None, name, "extract.crash"
    return (text, name, None) if text else (None, name, "extract.empty")


def is_deeper(html: str, depth: int) -> bool:
    """Whether elements are nested deeper than `depth`: parsers are quadratic in that, or recurse.

    Elements whose end tag may be left out are not counted. Only pages with many tags are looked at.
    """
    if html.count("<") < _MANY_TAGS:
        return False
    deep = 0
    for end, name, empty in (found.groups() for found in _TAG.finditer(html)):
        if empty or name.lower() in _OPEN_ENDED:
            continue
        deep += -1 if end else 1
        deep = max(deep, 0)
        if deep > depth:
            return True
    return False
