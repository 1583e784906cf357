"""The engines that find the main text of a page, and the table of them.

An engine is a function of a page's HTML that gives plain text, or None where it finds none. It keeps nothing between
pages: the same page gives the same text whatever came before it. Which engines are offered, and which is the default,
was decided by measurement: `tests/benchmarks/extraction_quality.py` makes the table.
"""

import logging
import re
from collections.abc import Callable
from html import unescape

from resiliparse.extract.html2text import extract_plain_text
from trafilatura import extract as trafilatura_extract
from trafilatura.settings import Extractor as TrafilaturaOptions

from roots.errors import SettingsError, unknown_name

Engine = Callable[[str], str | None]

for _name in ("trafilatura", "readability", "justext"):
    # They log a line for every page without text; such a page is a row with a reason here.
    logging.getLogger(_name).addHandler(logging.NullHandler())
    logging.getLogger(_name).propagate = False

JOINERS = "\u200b\u200c\u200d"  # zero width: space (ends a word in Khmer, Thai), non-joiner (Persian, Bengali), joiner
_JOINER_ENTITY = re.compile(r"&(?:zwnj|zwj|#0*820[345]|#[xX]0*200[bBcCdD]);?", re.ASCII)
_STAND_INS = range(0x13000, 0x13430)  # Egyptian hieroglyphs: letters to every library, and on no page as a whole

_UNWANTED = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufeff]")
_LONE_CELL = re.compile(r"^\| ([^|\n]*?) *\|$", re.MULTILINE)
_EMPTY_ROW = re.compile(r"^\|[ |-]*\|\n?", re.MULTILINE)
_INDENT = re.compile(r"^[ \t\u00a0]+", re.MULTILINE)
_BLANK_LINES = re.compile(r"\n{3,}")


def tidy(text: str) -> str:
    """The text as it is stored: no control characters, one kind of newline, at most one blank line in a row.

    Nothing else changes: no normal form is applied, no mark or joiner is taken away.
    """
    text = _UNWANTED.sub("", "\n".join(text.splitlines()))
    text = "\n".join([line.rstrip(" \t\u00a0") for line in text.split("\n")])
    return (_BLANK_LINES.sub("\n\n", text) if "\n\n\n" in text else text).strip("\n")


def _shield(html: str) -> tuple[str, dict[str, str]]:
    """Put letters in the place of joiners, and say how to put them back.

    trafilatura takes away every character that Python calls unprintable, and with them the joiners that Persian, Urdu,
    Hindi, Bengali and Malayalam spell words with.
    """
    if "&zw" in html or "&#82" in html or "&#x20" in html or "&#X20" in html:
        html = _JOINER_ENTITY.sub(lambda found: unescape(found.group()), html)
    present = [joiner for joiner in JOINERS if joiner in html]
    if not present:
        return html, {}
    free = (chr(code) for code in _STAND_INS if chr(code) not in html)
    stand_ins = dict(zip(free, present, strict=False))
    for stand_in, joiner in stand_ins.items():
        html = html.replace(joiner, stand_in)
    return html, stand_ins


def _unframe(text: str, html: str) -> str:
    """Take away what trafilatura lets through of a page's layout: table rows of one cell or none, indented source.

    White space at the start of a line means something only where a page has preformatted text.
    """
    if "|" in text:
        text = _LONE_CELL.sub(r"\1", _EMPTY_ROW.sub("", text))
    if "<pre" in html or "<PRE" in html or "<code" in html:
        return text
    return _INDENT.sub("", text)


def _trafilatura(focus: str = "", fast: bool = False, comments: bool = True, tables: bool = True) -> Engine:
    """trafilatura with these settings: no metadata, no deduplication (it would remember pages), no date search."""
    options = TrafilaturaOptions(
        fast=fast, precision=focus == "precision", recall=focus == "recall", comments=comments, tables=tables
    )

    def engine(html: str) -> str | None:
        html, stand_ins = _shield(html)
        text: str | None = trafilatura_extract(html, options=options)
        if not text:
            return None
        for stand_in, joiner in stand_ins.items():
            text = text.replace(stand_in, joiner)
        return _unframe(text, html)

    return engine


def _resiliparse(html: str) -> str | None:
    """resiliparse's main content, without the texts that stand for pictures: measured, they cost precision."""
    text: str = extract_plain_text(html, main_content=True, alt_texts=False)
    return text


def _cascade(html: str) -> str | None:
    """The quick engine of resiliparse as a yardstick: how much text could there be?

    trafilatura's precise setting without its fallbacks finds the text of most pages. Where that is little against the
    yardstick, its recall setting is asked, and where that too is little, the yardstick itself is the text.
    """
    yardstick = _resiliparse(html) or ""
    text = _PRECISE(html) or ""
    if len(text) >= ENOUGH * len(yardstick):
        return text
    text = max(text, _RECALL(html) or "", key=len)
    return text if len(text) >= LITTLE * len(yardstick) else yardstick


ENOUGH = 0.6
LITTLE = 0.1
_PRECISE = _trafilatura("precision", fast=True)
_RECALL = _trafilatura("recall")

EXTRACTORS: dict[str, Engine] = {
    "cascade": _cascade,
    "trafilatura": _trafilatura(),
    "trafilatura-precision": _trafilatura("precision"),
    "trafilatura-recall": _trafilatura("recall"),
    "trafilatura-fast": _trafilatura(fast=True),
    "resiliparse": _resiliparse,
}
DEFAULT = "cascade"


def find_engine(name: str) -> Engine:
    """The engine of that name. Raises SettingsError for an unknown one."""
    if name not in EXTRACTORS:
        raise SettingsError(unknown_name("extractor", name, EXTRACTORS))
    return EXTRACTORS[name]


def _is_clean(html: str) -> bool:
    """Whether a page has no NUL and no lone surrogate, which parsers cannot take. Other controls go at the end."""
    try:
        html.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in html


def main_text(html: str, engine: Engine) -> str | None:
    """The tidy main text of a page; None where the engine finds none."""
    if not _is_clean(html):
        html = _UNWANTED.sub("", html)
    text = engine(html)
    return (tidy(text) or None) if text else None
