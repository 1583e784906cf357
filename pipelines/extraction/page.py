"""What the guarded process does with one page: read it, decode it, take its main text.

The guard's server imports this module before it forks, so it imports nothing slow: no Arrow, no NumPy.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

from filters.text.charset import decode_page, is_xhtml, may_be_broken, mend, mend_source, with_end_tags
from pipelines.archives.limits import Limits
from pipelines.archives.records import Record
from pipelines.documents.forms import NO_ENGINE, form_of, read_document
from pipelines.documents.repair import page_starts
from pipelines.documents.wikitext import prose_of
from pipelines.extraction.engines import Engine, resiliparse, tidy, whole_text, without_copies, without_layout
from pipelines.extraction.extractors import FALLBACK, LEARNED, QUICK, UNSURE, Bounds, check_extractor
from pipelines.extraction.guard import Row, allow_seconds
from pipelines.extraction.markup import readable
from pipelines.sources.doors import read_source_at
from pipelines.sources.layouts import WIKITEXT, TableSettings

_IDENTITY = "plain"  # stands for the engine where plain text and WET are taken as they are
_PLAIN = frozenset({"text/plain", "text/markdown", "text/x-rst"})

# What engines raise on bad pages. Anything else ends the child: also a crash, but a new child must start.
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
# elements whose end tag is missing or optional say nothing about depth
_OPEN_ENDED = frozenset(
    {"area", "base", "br", "col", "dd", "dt", "embed", "hr", "img", "input", "li", "link", "meta", "p"}
)
_PREFORMATTED = re.compile("<(?:pre|code|PRE|CODE)")
_NOT_READ = re.compile(
    r"<(\w+)\b[^<>]*\bepub:type\s*=\s*[\"'](?:pagebreak|noteref)\b[^<>]*>[^<>]*</\1\s*>", re.IGNORECASE
)  # elements of a book that are no text of it
_ROOT_CHARS = 4096  # of a page, in which the root of XHTML is searched
_MANY_TAGS = 10_000  # with fewer, even a quadratic parser takes three seconds at most


class Extracted(NamedTuple):
    """What became of a page: its main text and the engine that found it, or the reason why there is no text."""

    text: str | None
    engine: str
    drop: str | None
    share: float | None = None  # of the page's characters, where the learned engine chose them


def find_engine(name: str, model: str = "", content: str = "text", form: str = "text") -> Engine:
    """Return the engine of that name; the learned one with its model, what it takes for content, and its form.

    Raises SettingsError for an unknown name.
    """
    check_extractor(name)
    if name == LEARNED:
        from pipelines.extraction.learned import Learned

        return Learned(model, content, form)
    if name == QUICK:
        return resiliparse
    from pipelines.extraction.tree_engines import ENGINES

    return ENGINES[name]


def pages(
    archives: Sequence[str],
    extractor: str,
    bounds: Mapping[str, Any],
    tables: Mapping[str, str],
    dense: bool = False,
    learned: tuple[str, str, str] = ("", "text", "text"),
) -> Callable[[Sequence[tuple[int, int]]], Iterator[Row]]:
    """Return the work of a guarded child: a function from places to one row a record.

    A place is the number of an archive and an offset in it; both ascend. A row has `text`, `engine` and `drop`: None,
    or the reason why there is no text; of a document also what it states of itself, and `page_starts`. `dense`: see
    `records.read_at`; `learned`: the model, the content and the form of the learned engine.
    """
    engine = find_engine(extractor, *learned)
    limits, columns = Bounds(**bounds), TableSettings(**tables)

    def rows(places: Sequence[tuple[int, int]]) -> Iterator[Row]:
        for number, group in groupby(places, key=itemgetter(0)):
            offsets = [offset for _, offset in group]
            sizes = Limits(body_bytes=limits.body_bytes)
            for record in read_source_at(Path(archives[number]), offsets, columns, sizes, dense):
                form = form_of(record.body[:_ROOT_CHARS], record.body) if record.problem is None else None
                if form is None:
                    yield extract_page(record, engine, extractor, limits)._asdict()
                    continue
                allow_seconds(limits.document_seconds)
                yield _extract_document(record.body, form, limits)

    return rows


def _extract_document(body: bytes, form: str, bounds: Bounds) -> Row:
    """Return the row of a document of a known form, with what it states."""
    found = read_document(body, form, bounds.document_pages, _chapter_text, bounds.document_spread)
    text = tidy(without_layout(found.text, preformatted=False)) if found.text else None
    drop = found.drop or (None if text else "extract.empty")
    return {
        "text": text,
        "engine": found.engine,
        "drop": drop,
        "pages": found.pages,
        "page_starts": page_starts(text, found.page_letters) if text else None,
        "producer": found.producer,
        "license": found.license,
        "no_copy": found.no_copy,
    }


def _chapter_text(body: bytes) -> str:
    """The text of a book's chapter, all of which is main text, without marks of pages and notes."""
    return whole_text(readable(_NOT_READ.sub("", with_end_tags(decode_page(body).text)))) or ""


def extract_page(record: Record, engine: Engine, name: str, bounds: Bounds) -> Extracted:
    """Return a record's main text and the engine that found it, or the reason if there is no text."""
    if record.problem == "too_large":
        return Extracted(None, name, "extract.too_large")
    if not record.body:
        return Extracted(None, name, "extract.unreadable" if record.problem else "extract.empty")
    html = decode_page(record.body, record.header_charset).text  # without NUL and lone surrogates, as engines need it
    if record.kind == "wet" or record.content_type in _PLAIN:
        plain = html if bounds.plain == "exact" else without_copies(tidy(mend(html)))
        return Extracted(plain, _IDENTITY, None) if plain.strip() else Extracted(None, _IDENTITY, "extract.empty")
    if len(html) > bounds.html_chars:
        return Extracted(None, name, "extract.too_large")
    if record.content_type == WIKITEXT:
        return _extract_wikitext(html)
    if is_xhtml(record.content_type, html[:_ROOT_CHARS].encode()):
        html = with_end_tags(html)
    if name == LEARNED:
        found = _by_model(html, engine, name)
        if found is not None:
            return found
        engine, name = find_engine(FALLBACK), UNSURE
    html = readable(html)
    if is_deeper(html, bounds.depth):
        return Extracted(None, name, "extract.too_deep")
    return _by_tree(html, engine, name)


def _by_model(html: str, engine: Any, name: str) -> Extracted | None:
    """What the learned engine makes of a page; None if it is unsure."""
    found = engine.read(html)
    if may_be_broken(found.text, html):
        mended = mend_source(html)
        found = replace(found, text=mend(found.text)) if mended == html else engine.read(mended)
    if found.is_full:
        return Extracted(None, name, "extract.too_large")
    if not found.is_sure:
        return None
    text = without_copies(tidy(found.text) if "\u200b" in found.text else found.text)
    return Extracted(text, name, None, found.share) if text else Extracted(None, name, "extract.empty", found.share)


def _by_tree(html: str, engine: Engine, name: str) -> Extracted:
    """What an engine that reads a page's tree makes of it."""
    try:
        text = _main_text(html, engine)
        if may_be_broken(
            text, html
        ):  # its source is looked at: engines drop characters that broken letters are made of
            mended = mend_source(html)
            text = mend(text) if mended == html else _main_text(mended, engine)
    except _ENGINE_ERRORS:
        return Extracted(None, name, "extract.crash")
    return Extracted(without_copies(text), name, None) if text else Extracted(None, name, "extract.empty")


def _extract_wikitext(text: str) -> Extracted:
    try:
        prose, engine = prose_of(text)
    except ImportError:
        return Extracted(None, "", NO_ENGINE)
    except _ENGINE_ERRORS:
        return Extracted(None, "", "extract.crash")
    prose = without_copies(tidy(mend(prose)))
    return Extracted(prose, engine, None) if prose.strip() else Extracted(None, engine, "extract.empty")


def _main_text(html: str, engine: Engine) -> str:
    return tidy(without_layout(engine(html) or "", preformatted=_PREFORMATTED.search(html) is not None))


def is_deeper(html: str, depth: int) -> bool:
    """Return whether elements are nested deeper than `depth`: parsers recurse, or are quadratic in it.

    Elements with an optional end tag do not count. Pages with few tags are never too deep.
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
