"""Tables of the compiled passes in `filters.near_duplicates.shingles`: a row of bits for each code point.

They are built from the Unicode data of Python, so `unicodedata.unidata_version` is part of what decides a shingle.
"""

import unicodedata
from functools import cache
from itertools import chain
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from filters.text.characters import (
    ARABIC_SILENT,
    ARABIC_VARIANTS,
    CONNECTOR,
    IDEOGRAPH,
    JOINER,
    LETTER,
    MARK,
    NUMBER,
    SIZE,
    classes,
    decomposable,
)

# Graphemes that say about as much as one word elsewhere; n words are round(n * this) graphemes. Han has 1.6 characters
# a word; in the others, which are syllabic, a word has two to three written syllables.
SCRIPTS_WITHOUT_SPACES: dict[str, tuple[float, tuple[tuple[int, int], ...]]] = {
    "Hani": (1.6, ()),  # Han and kana, by the class IDEOGRAPH
    "Thai": (2.6, ((0x0E00, 0x0E80),)),
    "Laoo": (2.6, ((0x0E80, 0x0F00),)),
    "Khmr": (2.4, ((0x1780, 0x1800),)),
    "Mymr": (2.4, ((0x1000, 0x10A0), (0xA9E0, 0xAA00), (0xAA60, 0xAA80))),
    "Tibt": (2.6, ((0x0F00, 0x1000),)),
}
_STACKERS = (0x17D2, 0x1039)  # Khmer coeng, Burmese virama: the next letter is written below the one before
_ZERO_WIDTH_SPACE, _TATWEEL = 0x200B, 0x0640
_JOINS = (0x200C, 0x200D)  # part of words in Persian, Sinhala, Malayalam; other format characters are left out

Uint64s = npt.NDArray[np.uint64]

# A row of the table of code points: 21 bits of folded code point, then these.
KIND_SHIFT = 21  # 3 bits: 0 between units, 1 part of a word, 2.. a unit by itself in the script of that number
EXTENDS = 1 << 24  # a mark: belongs to the unit before it
SECOND = 1 << 25  # may compose with the character before it
IGNORED = 1 << 26  # a format character without a meaning, or an Arabic vowel sign, which nearly all texts leave out
EXPANDS = 1 << 27  # folds to several characters: the low bits are a row of the table of expansions
BARE = 1 << 28  # not part of the exact digest
UNSTABLE = 1 << 29  # never in a text in NFC; with EXPANDS, NFC always replaces it by its expansion
STACKER = 1 << 30
FIRST = 1 << 31  # may compose with the character after it
RARE = SECOND | IGNORED | EXPANDS | UNSTABLE | STACKER
FOLDED = (1 << 21) - 1


class ShingleTables(NamedTuple):
    """How texts are cut into units and shingles, as arrays for the compiled passes."""

    points: npt.NDArray[np.uint32]  # (0x110000,) a row for each code point
    orders: npt.NDArray[np.uint16]  # (0x110000,) canonical combining class, plus 256 times that of its last mark
    pairs: Uint64s  # sorted (first << 21 | second) that compose
    expansions: npt.NDArray[np.int32]  # (rows, 4) length, code points
    lengths: npt.NDArray[np.int64]  # (8,) units in a shingle, by the kind of its first unit
    powers: Uint64s  # (8,) the polynomial's base to the power of every length


BASE = np.uint64(0xDABA0B6EB09322E3)  # of the polynomial that hashes a shingle


@cache
def make_tables(words: int, digest: str = "roots") -> ShingleTables:
    """The tables for shingles of `words` words.

    `digest` says what the exact digest leaves out: "roots" leaves out white space, digits and ASCII punctuation (as
    ROOTS did) and characters without a width or a meaning, "space" only white space (for code, where
    punctuation is content).
    """
    points, orders, pairs, expansions = _unicode()
    points = points.copy()
    spaces = [code for code in range(0x3001) if chr(code).isspace()]
    alphabet = {*range(0x41, 0x5B), *range(0x61, 0x7B)}
    if digest == "roots":
        points[sorted({*spaces, *range(0x21, 0x7F), *_digits()} - alphabet)] |= BARE
        invisible = (classes() & JOINER) != 0
        invisible[list(_JOINS)] = False
        invisible[[_ZERO_WIDTH_SPACE, _TATWEEL]] = True
        points[invisible] |= BARE
    else:
        points[spaces] |= BARE
    lengths = _shingle_lengths(words)
    powers = np.array([pow(int(BASE), int(length), 1 << 64) for length in lengths], dtype=np.uint64)
    return ShingleTables(points, orders, pairs, expansions, lengths, powers)


def _digits() -> list[int]:
    kinds = classes()
    return [code for code in np.flatnonzero(kinds[:0x20000] & NUMBER).tolist() if chr(code).isdecimal()]


@cache
def _unicode() -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint16], Uint64s, npt.NDArray[np.int32]]:
    """The tables that do not depend on settings."""
    kinds = classes()
    points = np.arange(SIZE, dtype=np.uint32)
    word = (kinds & (LETTER | MARK | NUMBER | CONNECTOR)) != 0
    points[word] |= 1 << KIND_SHIFT
    for number, (_, ranges) in enumerate(SCRIPTS_WITHOUT_SPACES.values(), start=2):
        own = (kinds & IDEOGRAPH) != 0
        if ranges:
            own[:] = False
            for low, high in ranges:
                own[low:high] = (kinds[low:high] & LETTER) != 0
        points[own] = (points[own] & ~np.uint32(7 << KIND_SHIFT)) | np.uint32(number << KIND_SHIFT)
    points[(kinds & MARK) != 0] |= EXTENDS
    points[[0x0E33, 0x0EB3]] |= EXTENDS  # SARA AM: a letter by category, part of the grapheme before it (UAX #29)
    points[(kinds & JOINER) != 0] |= IGNORED
    points[[_ZERO_WIDTH_SPACE, *(code for low, high in ARABIC_SILENT for code in range(low, high))]] |= IGNORED
    points[list(_JOINS)] = (points[list(_JOINS)] & ~np.uint32(IGNORED)) | np.uint32(EXTENDS | 1 << KIND_SHIFT)
    points[list(_STACKERS)] |= STACKER
    expansions = _fold(points)
    for letter, plain in ARABIC_VARIANTS.items():
        points[ord(letter)] = (points[ord(letter)] & ~np.uint32(FOLDED)) | np.uint32(ord(plain))
    orders, pairs = _compositions(points)
    return points, orders, pairs, np.concatenate([expansions, _nukta_parts(points, len(expansions))])


def _fold(points: npt.NDArray[np.uint32]) -> npt.NDArray[np.int32]:
    """Add full case folding (Unicode, CaseFolding.txt C and F) to the table; returns the expansions."""
    rows: list[list[int]] = []
    # Whole blocks are compared first, so code points without case cost next to nothing.
    blocks = ["".join(map(chr, range(start, start + 64))) for start in range(0, 0x1E944, 64)]
    cased = chain.from_iterable(block for block in blocks if block.casefold() != block)
    for character in [each for each in cased if each.casefold() != each]:
        code, folded = ord(character), character.casefold()
        if len(folded) == 1:
            points[code] = (points[code] & ~np.uint32(FOLDED)) | np.uint32(ord(folded))
        else:
            points[code] = (points[code] & ~np.uint32(FOLDED)) | np.uint32(len(rows) | EXPANDS)
            rows.append([len(folded), *(ord(part) for part in folded), *[0] * (3 - len(folded))])
    return np.array(rows, dtype=np.int32)


def _compositions(points: npt.NDArray[np.uint32]) -> tuple[npt.NDArray[np.uint16], Uint64s]:
    """Mark what NFC may change (UAX #15); returns combining classes and the pairs that compose."""
    orders = np.zeros(SIZE, dtype=np.uint16)
    pairs: list[int] = []
    for character in decomposable():
        code = ord(character)
        # NFC puts a mark below before one above, so è + dot below (Yoruba) and â + dot below (Vietnamese) are not in
        # NFC.
        last = unicodedata.combining(unicodedata.normalize("NFD", character)[-1])
        orders[code] = unicodedata.combining(character) | last << 8
        parts = unicodedata.decomposition(character)
        if not parts or parts[0] == "<":
            continue
        if not unicodedata.is_normalized("NFC", character):
            points[code] |= UNSTABLE
            continue
        first, second = (int(part, 16) for part in parts.split())
        pairs.append(first << 21 | second)
        points[first] |= np.uint32(FIRST)
        points[second] |= SECOND
    for code in range(0x2F800, 0x2FA1E):
        points[code] |= UNSTABLE
    points[0x1161:0x1176] |= UNSTABLE  # conjoining jamo: their syllables are composed by rule, not by table
    points[0x11A8:0x11C3] |= UNSTABLE
    return orders, np.array(sorted(set(pairs)), dtype=np.uint64)


def _nukta_parts(points: npt.NDArray[np.uint32], rows: int) -> npt.NDArray[np.int32]:
    """Add the letters with a nukta that NFC always takes apart (UAX #15, 5.1) to the table; returns their parts.

    Nothing composes with their base letters, so no later mark can change them. Texts in Bengali have many of them,
    which would else be normalized one by one in Python.
    """
    points[(points & UNSTABLE) != 0] &= ~np.uint32(EXPANDS)
    parts: list[list[int]] = []
    for code in range(0x900, 0xC00):
        letters = [ord(part) for part in unicodedata.normalize("NFC", chr(code))]
        if points[code] & UNSTABLE and len(letters) == 2 and not points[letters[0]] & np.uint32(FIRST):
            points[code] = (points[code] & ~np.uint32(FOLDED)) | np.uint32(rows + len(parts) | EXPANDS | BARE)
            parts.append([2, *letters, 0])
    return np.array(parts, dtype=np.int32)


def _shingle_lengths(words: int) -> npt.NDArray[np.int64]:
    """Number of units in a shingle, by the kind of its first unit; int64 (8,)."""
    graphemes = [max(1, round(words * share)) for share, _ in SCRIPTS_WITHOUT_SPACES.values()]
    return np.array([words, words, *graphemes], dtype=np.int64)
