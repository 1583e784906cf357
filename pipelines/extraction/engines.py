"""What all engines share, and the quick engine.

An engine is a function that takes a page's HTML and returns plain text, or None if it finds none. It keeps nothing
between pages, so the same page always gives the same text. Users see the table in extractors.py. The engines that read
trees are slow to import and have a file of their own, tree_engines.py.
"""

import itertools
import re
from collections.abc import Callable

from resiliparse.extract.html2text import extract_plain_text

Engine = Callable[[str], str | None]

_UNWANTED = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufeff]")
_BLANK_LINES = re.compile(r"\n{3,}")
_UNSHOWN = re.compile("[\u00ad\ue000-\uf8ff\U000f0000-\U0010ffff]")  # soft hyphens, signs of a site's own font
_OTHER_SPACES = "\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000"
_WIDE_INDENT = re.compile(f"^[ \t{_OTHER_SPACES}]*\u3000[ \t{_OTHER_SPACES}]*", re.MULTILINE)
_SPACES = re.compile(f"[{_OTHER_SPACES}][ \t{_OTHER_SPACES}]*")
_BULLET = re.compile(r"^ *\u2022(?: +|$)", re.MULTILINE)
_ROW = re.compile(r"^([^\t\n]*(?:\t\t[^\t\n]*)+)$", re.MULTILINE)


# A space without a width, where neither side is in a script that marks words with it: Thai to Burmese, Khmer and kin
_MARKING = "\u0e00-\u109f\u1780-\u17ff\u1950-\u1aaf\ua9e0-\uaadf"
_STRAY_BREAK = re.compile(f"(?<![{_MARKING}])\u200b+(?![{_MARKING}])")
_COPY_SHARE = 0.4  # of a page's text that a second copy of it is, at least
_WHOLE = 0.7  # of the copied text that each copy has, at least
_COPIES = 4  # of its text that a page holds for phones, desks and print; more is repetition, which signals measure
_COPY_BYTES = 200  # of such a copy; a refrain is shorter


def tidy(text: str) -> str:
    """Return the text as it is stored: no control characters, one kind of newline, at most one blank line in a row.

    Spaces without a width go where the script writes spaces. Nothing else changes: normal form, combining marks and
    joiners stay as they are.
    """
    if "\u200b" in text:
        text = _STRAY_BREAK.sub("", text)
    text = _UNWANTED.sub("", "\n".join(text.splitlines()))
    text = "\n".join([line.rstrip(" \t\u00a0") for line in text.split("\n")])
    return (_BLANK_LINES.sub("\n\n", text) if "\n\n\n" in text else text).strip("\n")


def without_copies(text: str) -> str:
    """Return the text once, where a page holds all of it twice or more: for phones, for desks, for print.

    The lines of a copy follow in the order of the first; a refrain or a repeated advert is too little of the page.
    """
    lines = text.split("\n")
    keys = [line.strip() for line in lines]
    first: dict[str, int] = {}
    again = [place for place, key in enumerate(keys) if key and first.setdefault(key, place) != place]
    repeated = sum(len(keys[place].encode()) for place in again)
    if repeated < max(_COPY_BYTES, _COPY_SHARE * len(text.encode())):
        return text
    sources = [first[keys[place]] for place in again]
    copies = 1 + sum(after <= before for before, after in itertools.pairwise(sources))
    whole = sum(len(keys[place].encode()) for place in set(sources))
    if copies + 1 > _COPIES or max(sources) > again[0] or whole < _COPY_BYTES or repeated < _WHOLE * copies * whole:
        return text
    gone = set(again)
    return _BLANK_LINES.sub("\n\n", "\n".join(x for n, x in enumerate(lines) if n not in gone)).strip("\n")


def without_layout(text: str, preformatted: bool) -> str:
    """Return a page's text without soft hyphens, wide spaces and indents, so that all pages of a site are alike.

    Indents mean something only on pages with `preformatted` text.
    """
    if not text.isascii():
        text = _UNSHOWN.sub("", text)
        text = _WIDE_INDENT.sub("", text) if "\u3000" in text else text
        text = text.replace("\u00a0", " ") if preformatted else _plain_spaces(text)
    return text if preformatted else "\n".join([line.lstrip(" \t") for line in text.split("\n")])


def _plain_spaces(text: str) -> str:
    """One plain space for each run of spaces with a wide or no-break one in it."""
    *parts, last = _SPACES.split(text)
    return " ".join([*[part.rstrip(" \t") for part in parts], last])


def resiliparse(html: str) -> str | None:
    """Return resiliparse's main content, without image descriptions and lines of authors and dates.

    Both lower precision. Comments stay, because forums consist of them. Lists and rows are written as the other engines
    write them.
    """
    text: str = extract_plain_text(html, main_content=True, alt_texts=False, post_meta=False)
    if "\u2022" in text:
        text = _BULLET.sub("- ", text)
    return _ROW.sub(_row, text) if "\t\t" in text else text


def whole_text(html: str) -> str | None:
    """Return all text of a page, as a browser shows it."""
    text: str = extract_plain_text(html, main_content=False, alt_texts=False)
    return _BULLET.sub("- ", text) if "\u2022" in text else text


def _row(found: re.Match[str]) -> str:
    cells = [cell.strip() for cell in found[1].split("\t\t")]
    return f"| {' | '.join(cells)} |" if any(cells) else ""
