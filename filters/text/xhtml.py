"""XHTML, in which any element may close itself: `<script src='a.js'/>` holds nothing.

Parsers of HTML take such a script for one that is still open, and all behind it for its text. Only XHTML is read so: in
HTML the slash means nothing, as in browsers. Source: XHTML 1.0; HTML Standard, 13.1.2 (void elements).
"""

import re

_TYPE = "application/xhtml+xml"
_HEAD = 4096  # bytes in which the root is searched
_NAMESPACE = b"http://www.w3.org/1999/xhtml"
_ROOT = re.compile(
    rb"(?:\xef\xbb\xbf)?(?:\s|<\?[^>]*>|<!--(?:(?!-->).)*-->|<![a-z][^>\[]*(?:\[[^\]]*\]\s*)?>)*"
    rb"<html\s[^>]*\bxmlns\s*=\s*[\"']\s*http://www\.w3\.org/1999/xhtml\s*[\"']",
    re.IGNORECASE | re.DOTALL,
)
# Comments and elements without mark-up inside stay as they are; others that close themselves are matched by name.
_CLOSED = re.compile(
    r"<!--.*?(?:-->|\Z)"
    r"|<(script|style|textarea|title)\b(?:[^<>\"'/]|/(?!>)|\"[^\"<]*\"|'[^'<]*')*>.*?(?:</\1|\Z)"
    r"|<(?!(?:area|base|br|col|embed|hr|img|input|link|meta|param|source|track|wbr)\b)([a-z][\w:-]*)"
    r"((?:\s(?:[^<>\"'/]|/(?!>)|\"[^\"<]*\"|'[^'<]*')*)?)/>",
    re.IGNORECASE | re.DOTALL,
)


def has_xhtml_root(page: bytes) -> bool:
    """Whether the root of a page is `html` in XHTML's namespace."""
    head = page[:_HEAD]
    return _NAMESPACE in head and _ROOT.match(head) is not None


def is_xhtml(content_type: str | None, page: bytes) -> bool:
    """Whether a page is XHTML, by its type or by its root; its first bytes are enough."""
    return content_type == _TYPE or has_xhtml_root(page)


def with_end_tags(page: str) -> str:
    """XHTML as a parser of HTML must have it: elements that close themselves get an end tag."""
    return _CLOSED.sub(_closed, page) if "/>" in page else page


def _closed(found: re.Match[str]) -> str:
    return f"<{found[2]}{found[3]}></{found[2]}>" if found[2] else found[0]
