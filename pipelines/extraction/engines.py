"""What all engines share, and the quick engine.

An engine is a function that takes a page's HTML and returns plain text, or None if it finds none. It keeps nothing
between pages, so the same page always gives the same text. Users see the table in extractors.py. The engines that read
trees are slow to import and have a file of their own, tree_engines.py.
"""

import re
from collections.abc import Callable

from resiliparse.extract.html2text import extract_plain_text

Engine = Callable[[str], str | None]

_UNWANTED = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufeff]")
_BLANK_LINES = re.compile(r"\n{3,}")


def tidy(text: str) -> str:
    """Return the text as it is stored: no control characters, one kind of newline, at most one blank line in a row.

    Nothing else changes. Normal form, combining marks and joiners stay as they are.
    """
    text = _UNWANTED.sub("", "\n".join(text.splitlines()))
    text = "\n".join([line.rstrip(" \t\u00a0") for line in text.split("\n")])
    return (_BLANK_LINES.sub("\n\n", text) if "\n\n\n" in text else text).strip("\n")


def resiliparse(html: str) -> str | None:
    """Return resiliparse's main content, without image descriptions and lines of authors and dates.

    Both lower precision. Comments stay, because forums consist of them.
    """
    text: str = extract_plain_text(html, main_content=True, alt_texts=False, post_meta=False)
    return text
