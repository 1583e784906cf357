"""The text as ROOTS's filters saw it, for ROOTS's definitions. The text of the document itself never changes.

Laurençon et al. 2022 and its filtering code take off outer white space, make twelve kinds of space plain, leave out
over-long words and words that look like addresses, and make one of each run of spaces, tabs and newlines.
"""

import numpy as np
import numpy.typing as npt

from filters.text import characters
from filters.text.characters import ROOTS_SPECIAL, SPACE
from filters.text.compiled import compiled
from filters.text.words import Codes, Offsets

# The twelve characters that ROOTS made plain spaces: U+0084 and the object replacement sign among them.
_SPACES = (0x20, 0x84, 0xA0, 0x2002, 0x2003, 0x2005, 0x2008, 0x2009, 0x200A, 0x202F, 0x3000, 0xFFFC)
_ADDRESS_PARTS = ("http", "www", ".com", "href", "//")


def _packed(parts: tuple[str, ...]) -> tuple[Codes, Offsets]:
    codes = np.array([ord(character) for part in parts for character in part], np.int32)
    return codes, np.cumsum([0, *map(len, parts)]).astype(np.int64)


def view(codes: Codes, offsets: Offsets, longest_word: int) -> tuple[Codes, Offsets]:
    """Decoded texts as ROOTS modified them before filtering, in new arrays.

    `longest_word` is the length in characters above which a word is left out; 0 leaves all words in, those that look
    like addresses too, as ROOTS did for Chinese.
    """
    spaces = np.array(_SPACES, np.int32)
    parts, part_offsets = _packed(_ADDRESS_PARTS)
    return _view(codes, offsets, longest_word, spaces, parts, part_offsets, characters.classes())


@compiled
def _holds(codes: Codes, start: int, end: int, part: Codes) -> bool:
    for at in range(start, end - len(part) + 1):
        same = 0
        while same < len(part) and codes[at + same] == part[same]:
            same += 1
        if same == len(part):
            return True
    return False


@compiled
def _leaves_out(
    codes: Codes, start: int, end: int, longest: int, parts: Codes, part_offsets: Offsets, table: npt.NDArray[np.uint16]
) -> bool:
    """Whether ROOTS left out the word codes[start:end]."""
    whole = end - start
    while start < end and table[codes[start]] & ROOTS_SPECIAL:
        start += 1
    while start < end and table[codes[end - 1]] & ROOTS_SPECIAL:
        end -= 1
    for part in range(len(part_offsets) - 1):
        if _holds(codes, start, end, parts[part_offsets[part] : part_offsets[part + 1]]):
            return True
    return whole > longest and (start == end or end - start > longest)


@compiled
def _view(
    codes: Codes, offsets: Offsets, longest: int, spaces: Codes, parts: Codes, part_offsets: Offsets,
    table: npt.NDArray[np.uint16],
) -> tuple[Codes, Offsets]:  # fmt: skip
    plain = codes.copy()
    for at in range(len(plain)):
        for space in spaces:
            if plain[at] == space:
                plain[at] = 32
    seen = np.empty(len(codes), np.int32)
    starts = np.empty(len(offsets), np.int64)
    out = 0
    for text in range(len(offsets) - 1):
        starts[text] = out
        at, end = offsets[text], offsets[text + 1]
        while at < end and table[codes[at]] & SPACE:
            at += 1
        while at < end and table[codes[end - 1]] & SPACE:
            end -= 1
        if longest == 0:
            seen[out : out + end - at] = plain[at:end]
            out += end - at
            continue
        between = 0  # the strongest separator since the last word kept: newline, then tab, then space
        while at < end:
            stop = at
            while stop < end and plain[stop] != 32 and plain[stop] != 10 and plain[stop] != 9:
                stop += 1
            if stop > at and not _leaves_out(plain, at, stop, longest, parts, part_offsets, table):
                if out > starts[text]:
                    seen[out] = between
                    out += 1
                seen[out : out + stop - at] = plain[at:stop]
                out += stop - at
                between = 0
            if stop < end:
                mark = plain[stop]
                between = 10 if mark == 10 or between == 10 else 9 if mark == 9 or between == 9 else 32
            at = stop + 1
    starts[-1] = out
    return seen[:out].copy(), starts
