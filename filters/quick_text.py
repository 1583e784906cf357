"""Plain text of a page, quick and rough: enough to tell its language by, never kept.

One compiled pass over the bytes: tags, comments and what is between them in elements that hold no text are left out,
and white space is made one space. No tree is built, and nothing is too deep for it.
"""

import html

import numpy as np
import numpy.typing as npt

from filters.compiled import compiled

Bytes = npt.NDArray[np.uint8]
# Elements whose content is no text of the page. `title` and `option` are text, but in no language that counts.
SILENT = ("script", "style", "template", "svg", "textarea", "noscript", "select", "iframe", "math")


def _key(name: str) -> int:
    """A tag name of up to eight letters as a number."""
    return int.from_bytes(name.encode("ascii")[:8], "little")


_SILENT = np.array([_key(name) for name in SILENT], dtype=np.uint64)


def quick_text(page: bytes) -> bytes:
    """The text of an HTML page in UTF-8, in UTF-8, with character references as they are: see `unescape`."""
    source = np.frombuffer(page, dtype=np.uint8)
    target = np.empty(len(source) + 1, dtype=np.uint8)
    return target[: _strip(source, target, _SILENT)].tobytes()


def unescape(text: str) -> str:
    """Character references as characters: only for the part of a text that is looked at."""
    return html.unescape(text) if "&" in text else text


@compiled
def _name_at(source: Bytes, at: int) -> np.uint64:
    """The first eight letters of the tag name that begins at `at`, in lower case, as a number."""
    key = np.uint64(0)
    for place in range(8):
        if at + place >= len(source):
            break
        letter = source[at + place] | 32
        if letter < 97 or letter > 122:
            break
        key |= np.uint64(letter) << np.uint64(8 * place)
    return key


@compiled
def _after_element(source: Bytes, at: int, key: np.uint64) -> int:
    """Where the end tag `</key` of a silent element is; the end where there is none."""
    size = len(source)
    while at + 1 < size:
        if source[at] == 60 and source[at + 1] == 47 and _name_at(source, at + 2) == key:
            return at
        at += 1
    return size


@compiled
def _after_comment(source: Bytes, at: int) -> int:
    size = len(source)
    while at + 2 < size:
        if source[at] == 45 and source[at + 1] == 45 and source[at + 2] == 62:
            return at + 3
        at += 1
    return size


@compiled
def _after_tag(source: Bytes, at: int) -> int:
    size = len(source)
    while at < size and source[at] != 62:
        at += 1
    return at + 1


@compiled
def _strip(source: Bytes, target: Bytes, silent: npt.NDArray[np.uint64]) -> int:
    """Write the text of `source` to `target`; gives its length."""
    size = len(source)
    at = 0
    length = 0
    gap = False
    while at < size:
        byte = source[at]
        if byte == 60 and at + 1 < size:  # <
            following = source[at + 1]
            letter = following | 32
            if 97 <= letter <= 122:
                key = _name_at(source, at + 1)
                at = _after_tag(source, at + 1)
                for name in silent:
                    if key == name:
                        at = _after_element(source, at, key)
                        break
                gap = True
                continue
            if following == 47 or following == 63:  # </ and <?
                at = _after_tag(source, at + 1)
                gap = True
                continue
            if following == 33:  # <!
                is_comment = at + 3 < size and source[at + 2] == 45 and source[at + 3] == 45
                at = _after_comment(source, at + 4) if is_comment else _after_tag(source, at + 1)
                gap = True
                continue
        if byte <= 32:
            gap = True
        else:
            if gap and length:
                target[length] = 32
                length += 1
            gap = False
            target[length] = byte
            length += 1
        at += 1
    return length
