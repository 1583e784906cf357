"""What the scanner must know of each character, and the references that stand for characters.

Sources: Unicode's categories and Sentence_Terminal (filters.text.characters); HTML Standard, 13.2.5.72 to 13.2.5.80
(character references) and 13.5 (their names); CSS Text 3, 4.1.3 (line breaks between wide characters).
"""

import html.entities

import numpy as np
import numpy.typing as npt

from filters.main_text.tags import hashed
from filters.text.characters import LETTER, MARK, NUMBER, PUNCTUATION, SPACE, TERMINAL, classes
from filters.text.compiled import compiled

# What a character is; bits.
IN_WORD, DIGIT, ENDING, MARKING, UNSPACED, BLANK, WIDE, UNSHOWN = (1 << bit for bit in range(8))
_UNSPACED = ((0xE00, 0xF00), (0x1000, 0x10A0), (0x1780, 0x1800), (0x3040, 0x3100), (0x3400, 0xA000), (0xF900, 0xFB00))
_WIDE = ((0x2E80, 0x3130), (0x3190, 0xA000), (0xA000, 0xA4D0), (0xF900, 0xFB00), (0xFE30, 0xFE70), (0xFF01, 0xFFA0))
_BESIDE = "\u2018\u2019\u201c\u201d\u2014\u2026\u00b7"  # wide beside a wide character
_UNSHOWN = ((0, 9), (0xE, 0x20), (0x7F, 0xA0), (0xAD, 0xAE), (0xD800, 0xF900), (0xFEFF, 0xFF00), (0xFFFE, 0x10000))
_PLANES = (0x20000, 0x40000)  # of ideographs beyond the basic plane
_LOWERED = 0x590  # code points below which letters have cases: Latin, Greek, Cyrillic, Armenian
_BASIC = 0x10000

_WINDOWS = bytes(range(0x80, 0xA0)).decode("cp1252", "replace").replace("\ufffd", "\0")
_NAME_BITS = 13
_LONGEST = 32  # letters of a name


def _table() -> npt.NDArray[np.uint8]:
    """The bits of every code point of the basic plane."""
    known = classes()[:_BASIC]
    found = np.zeros(_BASIC, np.uint8)
    for theirs, ours in (
        (LETTER | MARK | NUMBER, IN_WORD),
        (NUMBER, DIGIT),
        (PUNCTUATION, MARKING),
        (TERMINAL, ENDING),
        (SPACE, BLANK),
    ):
        found[(known & theirs) != 0] |= ours
    for ranges, bit in ((_UNSPACED, UNSPACED), (_WIDE, WIDE)):
        for low, high in ranges:
            part = found[low:high]
            part[((part & IN_WORD) != 0) | (bit == WIDE)] |= bit
    for low, high in _UNSHOWN:
        found[low:high] = UNSHOWN
    found[[ord(sign) for sign in _BESIDE]] |= UNSHOWN | WIDE  # both bits: not wide alone
    found[[0x85, 0x2028, 0x2029]] = BLANK
    found[[0x200C, 0x200D]] |= IN_WORD  # joiners inside words
    return found


_SIGNS = _table()
_IDEOGRAPH = IN_WORD | UNSPACED | WIDE
LOWER = np.array(
    [ord(chr(code).lower()) if len(chr(code).lower()) == 1 else code for code in range(_LOWERED)], np.uint16
)


def _names() -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.bool_]]:
    """Hashes of all names, their first and second code points (0 for none), and whether they need no semicolon."""
    known = {name.rstrip(";"): text for name, text in html.entities.html5.items()}
    keys, first = hashed({name: ord(text[0]) for name, text in known.items()}, _NAME_BITS)
    second = hashed({name: ord(text[1]) if len(text) > 1 else 0 for name, text in known.items()}, _NAME_BITS)[1]
    bare = hashed({name: name in html.entities.html5 for name in known}, _NAME_BITS)[1]
    return keys, first, second, bare.astype(np.bool_)


_KEYS, _FIRST, _SECOND, _BARE = _names()
_MASK = (1 << _NAME_BITS) - 1
_FROM_WINDOWS = np.array([ord(sign) or 0x80 + place for place, sign in enumerate(_WINDOWS)], np.int32)


@compiled
def sign_of(code: int) -> int:
    """The bits of a code point."""
    if code < _BASIC:
        return int(_SIGNS[code])
    if _PLANES[0] <= code < _PLANES[1]:
        return _IDEOGRAPH
    return UNSHOWN if code >= 0xF0000 else IN_WORD if code < 0x1D000 else 0


@compiled
def _number_at(source: npt.NDArray[np.uint8], at: int) -> tuple[int, int, int]:
    """A numeric reference whose "#" is at `at`: its code point, 0, and where it ends; else "&"."""
    size, mark = len(source), at
    at += 1
    base = 10
    if at < size and source[at] | 32 == 120:
        base = 16
        at += 1
    begin, code = at, 0
    while at < size:
        digit = int(source[at])
        digit = (digit | 32) - 87 if digit >= 97 or 65 <= digit <= 70 else digit - 48 if digit <= 57 else 99
        if digit < 0 or digit >= base:
            break
        code = min(code * base + digit, 0x110000)
        at += 1
    if at == begin:
        return 38, 0, mark
    if at < size and source[at] == 59:
        at += 1
    if 0x80 <= code < 0xA0:
        code = int(_FROM_WINDOWS[code - 0x80])
    elif code == 0 or code > 0x10FFFF or 0xD800 <= code < 0xE000:
        code = 0xFFFD
    return code, 0, at


@compiled
def reference_at(source: npt.NDArray[np.uint8], at: int) -> tuple[int, int, int]:
    """The reference behind the "&" before `at`: one or two code points (0 for none), and where it ends; else "&"."""
    size = len(source)
    if at < size and source[at] == 35:
        return _number_at(source, at)
    found, begin = 2166136261, at
    slot, end = -1, at
    while at < size and at - begin < _LONGEST:
        byte = int(source[at])
        if not (97 <= byte | 32 <= 122 or 48 <= byte <= 57):
            break
        found = (found ^ byte) * 16777619 & 0xFFFFFFFF
        at += 1
        ends = at < size and source[at] == 59
        if ends or at - begin <= 6:  # names without a semicolon have six letters at most
            place = found & _MASK
            while _KEYS[place] and _KEYS[place] != found:
                place = (place + 1) & _MASK
            if _KEYS[place] and (ends or _BARE[place]):
                slot, end = place, at + 1 if ends else at
    if slot < 0:
        return 38, 0, begin
    return int(_FIRST[slot]), int(_SECOND[slot]), end


@compiled
def code_at(source: npt.NDArray[np.uint8], at: int) -> tuple[int, int]:
    """The code point that begins at `at`, which is not in ASCII, and where it ends."""
    byte = int(source[at])
    more = 1 if byte < 0xE0 else 2 if byte < 0xF0 else 3
    if at + more >= len(source) or byte < 0xC0:
        return 0xFFFD, at + 1
    code = byte & (0x3F >> more)
    for place in range(1, more + 1):
        code = code << 6 | (int(source[at + place]) & 0x3F)
    return (code if code <= 0x10FFFF and not 0xD800 <= code < 0xE000 else 0xFFFD), at + more + 1
