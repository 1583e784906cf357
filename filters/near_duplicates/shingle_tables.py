"""What the compiled passes of `filters.near_duplicates.shingles` look into: a row of bits for every code point.

Built from Python's own Unicode data: `unicodedata.unidata_version` is part of what decides a shingle.
"""

import unicodedata
from functools import cache
from itertools import chain
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from filters.text.characters import CONNECTOR, DECOMPOSABLE, IDEOGRAPH, JOINER, LETTER, MARK, NUMBER, SIZE, classes

# Graphemes that carry about what one word carries elsewhere; n words are round(n times this) graphemes. Han: 1.6
# characters a word. The others are syllabic: a word is two to three written syllables.
SCRIPTS_WITHOUT_SPACES: dict[str, tuple[float, tuple[tuple[int, int], ...]]] = {
    "Hani": (1.6, ()),  # Han and kana, by the class IDEOGRAPH
    "Thai": (2.6, ((0x0E00, 0x0E80),)),
    "Laoo": (2.6, ((0x0E80, 0x0F00),)),
    "Khmr": (2.4, ((0x1780, 0x1800),)),
    "Mymr": (2.4, ((0x1000, 0x10A0), (0xA9E0, 0xAA00), (0xAA60, 0xAA80))),
    "Tibt": (2.6, ((0x0F00, 0x1000),)),
}
_STACKERS = (0x17D2, 0x1039)  # Khmer coeng, Burmese virama: the letter after them is written below the one before
_JOINS = (0x200C, 0x200D)  # may tell words apart (Persian, Sinhala, Malayalam); other format characters are left out

Uint64s = npt.NDArray[np.uint64]

# A row of the table of code points: 21 bits of folded code point, then these.
KIND = 21  # 3 bits: 0 between units, 1 part of a word, 2.. a unit of its own in the script of that number
EXTENDS = 1 << 24  # a mark: belongs to the unit before it
SECOND = 1 << 25  # may compose with what stands before it
IGNORED = 1 << 26  # format character without meaning of its own
EXPANDS = 1 << 27  # folds to several characters: the low bits are a row of the table of expansions
BARE = 1 << 28  # no part of the exact digest
UNSTABLE = 1 << 29  # never in a text in NFC; with EXPANDS: there its expansion always stands in its place
STACKER = 1 << 30
FIRST = 1 << 31  # may compose with what stands after it
RARE = SECOND | IGNORED | EXPANDS | UNSTABLE | STACKER
FOLDED = (1 << 21) - 1


class Tables(NamedTuple):
    """How texts are cut into units and shingles, as the compiled passes take it."""

    points: npt.NDArray[np.uint32]  # (0x110000,) a row a code point
    orders: npt.NDArray[np.uint16]  # (0x110000,) canonical combining class; times 256 that of the last mark in it
    pairs: Uint64s  # sorted (first << 21 | second) that compose
    expansions: npt.NDArray[np.int32]  # (rows, 4) length, code points
    lengths: npt.NDArray[np.int64]  # (8,) units in a shingle, by the kind of its first unit
    powers: Uint64s  # (8,) the polynomial's base to the power of every length


BASE = np.uint64(0xDABA0B6EB09322E3)  # of the polynomial that is a shingle


@cache
def tables(words: int, digest: str = "roots") -> Tables:
    """The tables for shingles of so many words.

    `digest` says what the exact digest leaves out: "roots", white space, digits and ASCII punctuation (as ROOTS did);
    "space", white space alone (for code, where a sign is a word).
    """
    points, orders, pairs, expansions = _unicode()
    points = points.copy()
    spaces = [code for code in range(0x3001) if chr(code).isspace()]
    alphabet = {*range(0x41, 0x5B), *range(0x61, 0x7B)}
    points[sorted({*spaces, *range(0x21, 0x7F), *_digits()} - alphabet) if digest == "roots" else spaces] |= BARE
    lengths = _reach(words)
    powers = np.array([pow(int(BASE), int(length), 1 << 64) for length in lengths], dtype=np.uint64)
    return Tables(points, orders, pairs, expansions, lengths, powers)


def _digits() -> list[int]:
    kinds = classes()
    return [code for code in np.flatnonzero(kinds[:0x20000] & NUMBER).tolist() if chr(code).isdecimal()]


@cache
def _unicode() -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint16], Uint64s, npt.NDArray[np.int32]]:
    """The tables that no setting changes."""
    kinds = classes()
    points = np.arange(SIZE, dtype=np.uint32)
    word = (kinds & (LETTER | MARK | NUMBER | CONNECTOR)) != 0
    points[word] |= 1 << KIND
    for number, (_, ranges) in enumerate(SCRIPTS_WITHOUT_SPACES.values(), start=2):
        own = (kinds & IDEOGRAPH) != 0
        if ranges:
            own[:] = False
            for low, high in ranges:
                own[low:high] = (kinds[low:high] & LETTER) != 0
        points[own] = (points[own] & ~np.uint32(7 << KIND)) | np.uint32(number << KIND)
    points[(kinds & MARK) != 0] |= EXTENDS
    points[[0x0E33, 0x0EB3]] |= EXTENDS  # SARA AM: a letter by category, part of the grapheme before it (UAX #29)
    points[(kinds & JOINER) != 0] |= IGNORED
    points[list(_JOINS)] = (points[list(_JOINS)] & ~np.uint32(IGNORED)) | np.uint32(EXTENDS | 1 << KIND)
    points[list(_STACKERS)] |= STACKER
    expansions = _fold(points)
    orders, pairs = _compositions(points)
    return points, orders, pairs, np.concatenate([expansions, _part(points, len(expansions))])


def _fold(points: npt.NDArray[np.uint32]) -> npt.NDArray[np.int32]:
    """Put full case folding (Unicode, CaseFolding.txt C and F) into the table; give back the expansions."""
    rows: list[list[int]] = []
    for code in range(0x1E944):
        character = chr(code)
        folded = character.casefold()
        if folded == character:
            continue
        if len(folded) == 1:
            points[code] = (points[code] & ~np.uint32(FOLDED)) | np.uint32(ord(folded))
        else:
            points[code] = (points[code] & ~np.uint32(FOLDED)) | np.uint32(len(rows) | EXPANDS)
            rows.append([len(folded), *(ord(part) for part in folded), *[0] * (3 - len(folded))])
    return np.array(rows, dtype=np.int32)


def _compositions(points: npt.NDArray[np.uint32]) -> tuple[npt.NDArray[np.uint16], Uint64s]:
    """Mark what NFC may change (UAX #15); give back combining classes and the pairs that compose."""
    orders = np.zeros(SIZE, dtype=np.uint16)
    pairs: list[int] = []
    for code in chain.from_iterable(DECOMPOSABLE):
        character = chr(code)
        # A mark that goes below its letter stands before one above: e + grave + dot below is e + dot below + grave, so
        # è + dot below (Yoruba) and â + dot below (Vietnamese as Windows-1258 writes it) are not in NFC.
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


def _part(points: npt.NDArray[np.uint32], rows: int) -> npt.NDArray[np.int32]:
    """Put the letters with a nukta that NFC always takes apart (UAX #15, 5.1) into the table; give back their parts.

    Nothing composes with their letters, so that no mark that follows can change them. Of 2,074 texts of 45 languages
    that were suspected, 752 were for these alone, nearly all of them Bengali.
    """
    points[(points & UNSTABLE) != 0] &= ~np.uint32(EXPANDS)
    parts: list[list[int]] = []
    for code in range(0x900, 0xC00):
        letters = [ord(part) for part in unicodedata.normalize("NFC", chr(code))]
        if points[code] & UNSTABLE and len(letters) == 2 and not points[letters[0]] & np.uint32(FIRST):
            points[code] = (points[code] & ~np.uint32(FOLDED)) | np.uint32(rows + len(parts) | EXPANDS | BARE)
            parts.append([2, *letters, 0])
    return np.array(parts, dtype=np.int32)


def _reach(words: int) -> npt.NDArray[np.int64]:
    """Units in a shingle, by the kind of its first unit; int64 (8,)."""
    graphemes = [max(1, round(words * share)) for share, _ in SCRIPTS_WITHOUT_SPACES.values()]
    return np.array([words, words, *graphemes], dtype=np.int64)
