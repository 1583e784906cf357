"""Plain text of a page, quick and rough: enough to identify its language, never kept.

One compiled pass over the bytes leaves out tags, comments and elements that hold no text. White space becomes one
space, and every tag ends a line but those that stand inside lines. It builds no tree, so no page is nested too deep.
"""

import html
import re

import numpy as np
import numpy.typing as npt

from filters.text.compiled import compiled

_Bytes = npt.NDArray[np.uint8]
_Keys = npt.NDArray[np.uint64]
_LINE, _SPACE = 10, 32
# Elements whose content is no text of the page.
_SILENT_TAGS = ("script", "style", "template", "svg", "textarea", "noscript", "select", "iframe", "math")


# Elements inside a line of text.
_INLINE_TAGS = (
    *("a", "abbr", "b", "bdi", "bdo", "cite", "code", "del", "dfn", "em", "font", "i", "ins", "kbd", "mark", "q"),
    *("s", "samp", "small", "span", "strong", "sub", "sup", "tt", "u", "var", "wbr"),
)
_READING_TAGS, _RUBY_TAGS = ("rt", "rp", "rtc"), ("ruby", "rb")  # readings of characters, and what they stand in
_BLOCK, _SILENT, _INLINE, _READING, _RUBY = range(5)  # kinds of elements
_SPREAD = np.uint64(0x9E3779B97F4A7C15)  # spreads keys over the table
_ONES, _HIGHS, _OPENS = np.uint64(0x0101010101010101), np.uint64(0x8080808080808080), np.uint64(0x3C3C3C3C3C3C3C3C)
PIECES = 4  # places at which a long text is read
PAGE_SAMPLE = 500  # characters of a page's sample: half are its longest lines, where main text is, half are spread
_LINE_CHARS = 200  # characters of one line in the sample
_LINES = 64  # longest lines that are looked at
_GLANCES = 8  # short pieces that show a second language, which the sample hides where most of the page is in the first
_GLANCE_CHARS = 80
_SPACE_REFERENCE = re.compile(
    "&(?:nbsp;?|NonBreakingSpace;|e[mn]sp;|thinsp;|#0*(?:160|819[45]|8201|8239);?|#[xX]0*(?:[aA]0|200[239]|202[fF]);?)"
)
_OTHER_SPACES = "\u00a0\u202f\u2002\u2003\u2009\u3000"


def _key(name: str) -> int:
    """A tag name of up to eight letters as a number."""
    return int.from_bytes(name.encode("ascii")[:8], "little")


def _table() -> tuple[_Keys, _Bytes]:
    """The kinds of all names that are not block elements, by open addressing: keys and kinds, (256,) each."""
    keys, kinds = np.zeros(256, dtype=np.uint64), np.zeros(256, dtype=np.uint8)
    named = {_SILENT: _SILENT_TAGS, _INLINE: _INLINE_TAGS, _READING: _READING_TAGS, _RUBY: _RUBY_TAGS}
    for kind, names in named.items():
        for name in names:
            slot = _key(name) * int(_SPREAD) % (1 << 64) >> 56
            while keys[slot]:
                slot = (slot + 1) % 256
            keys[slot], kinds[slot] = _key(name), kind
    return keys, kinds


_KEYS, _KINDS = _table()


def quick_text(page: bytes, xhtml: bool = False) -> bytes:
    """The text of an HTML page, both in UTF-8: one line per block, character references as they are.

    In XHTML an element that closes itself (`<script src="a.js"/>`) holds nothing.
    """
    source = np.frombuffer(page, dtype=np.uint8)
    target = np.empty(len(source) + 1, dtype=np.uint8)
    return target[: _strip(source, target, xhtml)].tobytes()


def page_sample(text: str) -> str:
    """The characters from which a page's language is identified, as one line, character references decoded."""
    if len(text) > PAGE_SAMPLE:
        parts = []
        left = PAGE_SAMPLE // 2
        for line in sorted(text.split("\n"), key=len, reverse=True)[:_LINES]:
            if left <= 0:
                break
            parts.append(line[: min(left, _LINE_CHARS)])
            left -= len(parts[-1]) + 1
        size = PAGE_SAMPLE // 2 // PIECES
        last = len(text) - size
        parts += (text[at : at + size] for at in (last * piece // (PIECES - 1) for piece in range(PIECES)))
        text = " ".join(parts)
    return _as_line(text)


def page_glances(text: str) -> list[str]:
    """Short pieces of a page's text, evenly spread, each as one line; none of a text that `page_sample` takes whole."""
    if len(text) <= PAGE_SAMPLE:
        return []
    step = len(text) // (_GLANCES + 1)
    return [_as_line(text[at : at + _GLANCE_CHARS]) for at in range(step, step * _GLANCES + 1, step)]


def with_plain_spaces(text: str) -> str:
    """The text with a plain space for each no-break, thin or wide space, written as a character or as a reference.

    Models of languages know words between plain spaces. Some editors join all words of a page by `&nbsp;`.
    """
    if "&" in text:
        text = _SPACE_REFERENCE.sub(" ", text)
    if not text.isascii():
        for space in _OTHER_SPACES:
            if space in text:
                text = text.replace(space, " ")
    return text


def _as_line(text: str) -> str:
    text = text.replace("\n", " ")
    return html.unescape(text) if "&" in text else text


@compiled
def _name_at(source: _Bytes, at: int) -> np.uint64:
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
def _after_element(source: _Bytes, at: int, key: np.uint64) -> int:
    """Where the end tag `</key` of an element without text begins; the end of the page where there is none."""
    size = len(source)
    words = source[: size & ~7].view(np.uint64)
    while at + 1 < size:
        if source[at] == 60 and source[at + 1] == 47 and _name_at(source, at + 2) == key:
            return at
        at += 1
        while not at & 7 and at >> 3 < len(words):  # eight bytes at once, as long as none of them is "<"
            others = words[at >> 3] ^ _OPENS
            if (others - _ONES) & ~others & _HIGHS:
                break
            at += 8
    return size


@compiled
def _after_reading(source: _Bytes, at: int) -> int:
    """Where the text of a reading ends: at the next tag, for its end tag may be left out."""
    while at < len(source) and source[at] != 60:
        at += 1
    return at


@compiled
def _after_comment(source: _Bytes, at: int) -> int:
    size = len(source)
    while at + 2 < size:
        if source[at] == 45 and source[at + 1] == 45 and source[at + 2] == 62:
            return at + 3
        at += 1
    return size


@compiled
def _after_tag(source: _Bytes, at: int) -> int:
    size = len(source)
    while at < size and source[at] != 62:
        at += 1
    return at + 1


@compiled
def _kind(key: np.uint64) -> int:
    """The kind of an element by the first letters of its name."""
    slot = np.int64((key * _SPREAD) >> np.uint64(56))
    while _KEYS[slot]:
        if _KEYS[slot] == key:
            return int(_KINDS[slot])
        slot = (slot + 1) & 255
    return _BLOCK


@compiled
def _after_markup(source: _Bytes, at: int, xhtml: bool) -> tuple[int, int]:
    """Where the mark-up at `at` ends, and what it leaves: _SPACE, _LINE or 0; `at` where there is no mark-up.

    Readings of characters (ruby) are left out, and the characters stay together.
    """
    following = source[at + 1]
    letter = following | 32
    if 97 <= letter <= 122:
        key = _name_at(source, at + 1)
        kind = _kind(key)
        end = _after_tag(source, at + 1)
        if kind == _READING:
            return _after_reading(source, end), 0
        if kind == _SILENT and not (xhtml and source[min(end, len(source)) - 2] == 47):  # />
            return _after_element(source, end, key), _LINE
        return end, 0 if kind == _RUBY else _SPACE if kind == _INLINE else _LINE
    if following == 47:  # /
        kind = _kind(_name_at(source, at + 2))
        return _after_tag(source, at + 1), 0 if kind >= _READING else _SPACE if kind == _INLINE else _LINE
    if following == 63:  # ?
        return _after_tag(source, at + 1), _LINE
    if following == 33:  # !
        is_comment = at + 3 < len(source) and source[at + 2] == 45 and source[at + 3] == 45
        return (_after_comment(source, at + 4) if is_comment else _after_tag(source, at + 1)), _SPACE
    return at, 0


@compiled
def _strip(source: _Bytes, target: _Bytes, xhtml: bool) -> int:
    """Write the text of `source` to `target`; returns its length."""
    size = len(source)
    at = 0
    length = 0
    gap = 0
    while at < size:
        byte = source[at]
        if byte == 60 and at + 1 < size:  # <
            end, left = _after_markup(source, at, xhtml)
            if end > at:
                gap = left if left and gap != _LINE else gap
                at = end
                continue
        if byte <= 32:
            gap = gap if gap else _SPACE
        else:
            if gap and length:
                target[length] = gap
                length += 1
            gap = 0
            target[length] = byte
            length += 1
        at += 1
    return length
