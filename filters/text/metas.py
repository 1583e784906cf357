"""The meta elements of a page, as a browser would find them: none in comments, scripts, or values of attributes.

The bytes of a page are read, before its charset is known. Source: HTML Standard, 13.2.3.2 (prescan).
"""

import re
from collections.abc import Iterator

# Comments, elements whose content is no mark-up, and tags. The first that begins at a "<" counts.
_MARKUP = re.compile(
    rb"<!--(?:-?>|.*?(?:--!?>|\Z))"
    rb"|<(script|style|title|textarea|iframe|xmp|noembed|template)\b(?:[^>]*/>|.*?(?:</\1|\Z))"
    rb"|<(meta)(?=[\s/])((?:[^>\"'<]+|\"[^\"]*\"|'[^']*'|[\"'])*)>?"
    rb"|<[a-z/](?:[^>\"'<]+|\"[^\"]*\"|'[^']*'|[\"'])*>?",
    re.IGNORECASE | re.DOTALL,
)
_ATTRIBUTE = re.compile(rb"([^\s\"'>/=]+)(?:\s*=\s*(?:\"([^\"]*)\"?|'([^']*)'?|([^\s\"'>]+)))?")


def meta_elements(head: bytes) -> Iterator[dict[str, bytes]]:
    """The attributes of each meta element in a part of a page, by their names in lower case."""
    for found in _MARKUP.finditer(head):
        if found[2]:
            attributes: dict[str, bytes] = {}
            for name, double, single, bare in _ATTRIBUTE.findall(found[3]):
                attributes.setdefault(name.decode("latin-1").lower(), (double or single or bare).strip())
            yield attributes
