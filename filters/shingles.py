"""Texts cut into shingles: runs of n units, where a unit is a word, or a letter in scripts without spaces.

A *unit* is a maximal run of word characters (letters, combining marks, numbers, connectors: UTS #18's `\\w`) or, in
scripts that put no space between words, one grapheme: a letter with all its marks. A *shingle* is n units in a row,
whatever stands between them. n depends on the script of the first unit, by the table SCRIPTS_WITHOUT_SPACES; so no
label of a language decides, and a text that mixes scripts is cut the same wherever it stands.

Text is taken in NFC and case folded; nothing is stripped, no mark and no vowel sign. All passes run compiled over
Arrow's own buffers: no Python object is made for a document, but for the few whose text is not in NFC.
"""

import unicodedata
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from filters.characters import CONNECTOR, IDEOGRAPH, JOINER, LETTER, MARK, NUMBER, SIZE, classes
from filters.compiled import compiled

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
STACKERS = (0x17D2, 0x1039)  # Khmer coeng, Burmese virama: the letter after them is written below the one before
JOINS = (0x200C, 0x200D)  # may tell words apart (Persian, Sinhala, Malayalam); other format characters are left out

Uint64s = npt.NDArray[np.uint64]
Array = npt.NDArray[Any]

# A row of the table of code points: 21 bits of folded code point, then these.
_KIND = 21  # 3 bits: 0 between units, 1 part of a word, 2.. a unit of its own in the script of that number
_EXTENDS = 1 << 24  # a mark: belongs to the unit before it
_SECOND = 1 << 25  # may compose with what stands before it
_IGNORED = 1 << 26  # format character without meaning of its own
_EXPANDS = 1 << 27  # folds to several characters: the low bits are a row of the table of expansions
_BARE = 1 << 28  # no part of the exact digest
_UNSTABLE = 1 << 29  # never in a text in NFC
_STACKER = 1 << 30
_FIRST = 1 << 31  # may compose with what stands after it
_RARE = _SECOND | _IGNORED | _EXPANDS | _UNSTABLE | _STACKER
_FOLDED = (1 << 21) - 1
_KINDS = 7

_SEED = np.uint64(0x9E3779B97F4A7C15)
_STEP = np.uint64(0xD1342543DE82EF95)  # odd multipliers with good spectra (Steele and Vigna 2021, table 5 and others)
_STEP2 = np.uint64(0xAF251AF3B0F025B5)
_POWER = np.uint64(0xDABA0B6EB09322E3)
_MIX1 = np.uint64(0xBF58476D1CE4E5B9)  # splitmix64's finaliser
_MIX2 = np.uint64(0x94D049BB133111EB)


class Tables(NamedTuple):
    """What the compiled pass looks into, made once a process (about 0.1 s)."""

    points: npt.NDArray[np.uint32]  # (0x110000,) a row a code point
    orders: npt.NDArray[np.uint8]  # (0x110000,) canonical combining class
    pairs: Uint64s  # sorted (first << 21 | second) that compose
    expansions: npt.NDArray[np.int32]  # (rows, 4) length, code points


DIGEST_RULES = ("roots", "space")


@cache
def tables(digest: str = "roots") -> Tables:
    """Build the tables from Python's Unicode data.

    `digest` says what the exact digest leaves out: "roots", white space, digits and ASCII punctuation (as ROOTS did);
    "space", white space alone (for code, where a sign is a word).
    """
    kinds = classes()
    points = np.arange(SIZE, dtype=np.uint32)
    word = (kinds & (LETTER | MARK | NUMBER | CONNECTOR)) != 0
    points[word] |= 1 << _KIND
    for number, (_, ranges) in enumerate(SCRIPTS_WITHOUT_SPACES.values(), start=2):
        own = (kinds & IDEOGRAPH) != 0
        if ranges:
            own[:] = False
            for low, high in ranges:
                own[low:high] = (kinds[low:high] & LETTER) != 0
        points[own] = (points[own] & ~np.uint32(7 << _KIND)) | np.uint32(number << _KIND)
    points[(kinds & MARK) != 0] |= _EXTENDS
    points[[0x0E33, 0x0EB3]] |= _EXTENDS  # SARA AM: a letter by category, part of the grapheme before it (UAX #29)
    points[(kinds & JOINER) != 0] |= _IGNORED
    points[list(JOINS)] = (points[list(JOINS)] & ~np.uint32(_IGNORED)) | np.uint32(_EXTENDS | 1 << _KIND)
    points[list(STACKERS)] |= _STACKER
    expansions = _fold(points)
    orders, pairs = _compositions(points)
    spaces = [code for code in range(0x3001) if chr(code).isspace()]
    signs = range(0x21, 0x7F)
    digits = [code for code in range(0x20000) if kinds[code] & NUMBER and chr(code).isdecimal()]
    alphabet = {*range(0x41, 0x5B), *range(0x61, 0x7B)}
    points[sorted({*spaces, *signs, *digits} - alphabet) if digest == "roots" else spaces] |= _BARE
    return Tables(points, orders, pairs, expansions)


def _fold(points: npt.NDArray[np.uint32]) -> npt.NDArray[np.int32]:
    """Put full case folding (Unicode, CaseFolding.txt C and F) into the table; give back the expansions."""
    rows: list[list[int]] = []
    for code in range(0x1E944):
        character = chr(code)
        folded = character.casefold()
        if folded == character:
            continue
        if len(folded) == 1:
            points[code] = (points[code] & ~np.uint32(_FOLDED)) | np.uint32(ord(folded))
        else:
            points[code] = (points[code] & ~np.uint32(_FOLDED)) | np.uint32(len(rows) | _EXPANDS)
            rows.append([len(folded), *(ord(part) for part in folded), *[0] * (3 - len(folded))])
    return np.array(rows, dtype=np.int32)


def _compositions(points: npt.NDArray[np.uint32]) -> tuple[npt.NDArray[np.uint8], Uint64s]:
    """Mark what NFC may change (UAX #15); give back combining classes and the pairs that compose."""
    orders = np.zeros(SIZE, dtype=np.uint8)
    pairs: list[int] = []
    for code in [*range(0xC0, 0x32000), *range(0xF900, 0xFB50)]:
        character = chr(code)
        orders[code] = unicodedata.combining(character)
        parts = unicodedata.decomposition(character)
        if not parts or parts[0] == "<":
            continue
        if not unicodedata.is_normalized("NFC", character):
            points[code] |= _UNSTABLE
            continue
        first, second = (int(part, 16) for part in parts.split())
        pairs.append(first << 21 | second)
        points[first] |= np.uint32(_FIRST)
        points[second] |= _SECOND
    for code in range(0x2F800, 0x2FA1E):
        points[code] |= _UNSTABLE
    points[0x1161:0x1176] |= _UNSTABLE  # conjoining jamo: their syllables are composed by rule, not by table
    points[0x11A8:0x11C3] |= _UNSTABLE
    return orders, np.array(sorted(set(pairs)), dtype=np.uint64)


def reach(words: int) -> npt.NDArray[np.int64]:
    """Units in a shingle, by the kind of its first unit; int64 (8,)."""
    graphemes = [max(1, round(words * share)) for share, _ in SCRIPTS_WITHOUT_SPACES.values()]
    return np.array([words, words, *graphemes], dtype=np.int64)


@compiled
def mix(value: np.uint64) -> np.uint64:
    """Spread the bits of a 64-bit number over all of it (splitmix64's finaliser; a bijection)."""
    value = (value ^ (value >> np.uint64(30))) * _MIX1
    value = (value ^ (value >> np.uint64(27))) * _MIX2
    return value ^ (value >> np.uint64(31))


@compiled
def _composes(pairs: Uint64s, first: np.int64, second: np.int64) -> bool:
    wanted = np.uint64((first << 21) | second)
    low, high = 0, pairs.size
    while low < high:
        middle = (low + high) >> 1
        if pairs[middle] < wanted:
            low = middle + 1
        else:
            high = middle
    return low < pairs.size and pairs[low] == wanted


@compiled
def cut(
    data: Array, start: int, end: int, trusted: bool, points: Array, orders: Array, pairs: Array, expansions: Array,
    units: Array, kinds: Array, digest: Array,
) -> int:  # fmt: skip
    """Cut data[start:end] (UTF-8) into units.

    Fills `units` (hashes, uint64) and `kinds` (uint8), which must hold (end - start) // 2 + 1, and `digest` (uint64
    (2,)): 128 bits of the text without white space, digits and ASCII punctuation, or of the whole text where nothing
    else is in it. Gives back the number of units, or -1 for a text that may not be in NFC, unless that is `trusted`:
    the check is a quick one, and suspects some texts that are (a mark between two that would compose).
    """
    count = 0
    open_kind = np.int64(0)
    value = _SEED
    left, right = _SEED, _STEP
    whole_left, whole_right = _MIX1, _MIX2
    taken = 0
    starter = np.int64(0)
    order = np.int64(0)
    stacked = False
    at = start
    while at < end:
        byte = np.int64(data[at])
        if byte < 0x80:
            code = byte
            at += 1
        elif byte < 0xE0 and at + 1 < end:
            code = ((byte & 0x1F) << 6) | np.int64(data[at + 1] & 0x3F)
            at += 2
        elif byte < 0xF0 and at + 2 < end:
            code = ((byte & 0x0F) << 12) | (np.int64(data[at + 1] & 0x3F) << 6) | np.int64(data[at + 2] & 0x3F)
            at += 3
        elif at + 3 < end:
            code = (
                ((byte & 0x07) << 18)
                | (np.int64(data[at + 1] & 0x3F) << 12)
                | (np.int64(data[at + 2] & 0x3F) << 6)
                | np.int64(data[at + 3] & 0x3F)
            )
            at += 4
            if code > 0x10FFFF:
                code = np.int64(0x10FFFF)
        else:
            break  # a cut-off last character: Arrow does not hold such, a damaged file may
        row = np.int64(points[code])
        if row & _BARE:
            if taken == 0:
                whole_left = (whole_left ^ np.uint64(code)) * _STEP
                whole_right = (whole_right ^ np.uint64(code)) * _STEP2
        else:
            taken += 1
            left = (left ^ np.uint64(code)) * _STEP
            right = (right ^ np.uint64(code)) * _STEP2
        if row & _RARE and not trusted:
            if row & _UNSTABLE:
                return -1
            if row & _SECOND and points[starter] & np.uint32(_FIRST) and _composes(pairs, starter, code):
                return -1
        if code >= 0x300:
            rank = np.int64(orders[code])
            if rank == 0:
                starter = code
            elif rank < order and not trusted:
                return -1
            order = rank
        else:
            starter = code
            order = np.int64(0)
        if row & _IGNORED:
            continue
        kind = (row >> _KIND) & 7
        if kind == 0:
            if open_kind:
                units[count] = mix(value)
                kinds[count] = open_kind
                count += 1
                open_kind = np.int64(0)
            stacked = False
            continue
        joined = open_kind > 0 and (
            (row & _EXTENDS) != 0 or (kind == 1 and open_kind == 1) or (stacked and kind == open_kind)
        )
        if not joined:
            if open_kind:
                units[count] = mix(value)
                kinds[count] = open_kind
                count += 1
            open_kind = kind
            value = _SEED
        stacked = (row & _STACKER) != 0
        if row & _EXPANDS:
            place = row & _FOLDED
            for part in range(1, 1 + expansions[place, 0]):
                value = (value ^ np.uint64(expansions[place, part])) * _STEP
                value ^= value >> np.uint64(29)
        else:
            value = (value ^ np.uint64(row & _FOLDED)) * _STEP
            value ^= value >> np.uint64(29)
    if open_kind:
        units[count] = mix(value)
        kinds[count] = open_kind
        count += 1
    if taken == 0:
        left, right = whole_left, whole_right
    digest[0] = mix(left)
    digest[1] = mix(right)
    return count


@compiled
def run_together(
    units: Array, kinds: Array, count: int, lengths: Array, powers: Array, sums: Array, shingles: Array,
) -> int:  # fmt: skip
    """Hash every shingle of a text.

    A shingle is the polynomial of its unit hashes, from running sums, then mixed. Fills `shingles` (uint64) and
    `sums` (count + 1); gives back how many shingles there are.
    """
    sums[0] = np.uint64(0)
    for place in range(count):
        sums[place + 1] = sums[place] * _POWER + units[place]
    found = 0
    for place in range(count):
        kind = kinds[place]
        last = place + lengths[kind]
        if last <= count:
            shingles[found] = mix(sums[last] - sums[place] * powers[kind])
            found += 1
    return found


def powers(lengths: npt.NDArray[np.int64]) -> Uint64s:
    """The polynomial's base to the power of every length."""
    return np.array([pow(int(_POWER), int(length), 1 << 64) for length in lengths], dtype=np.uint64)


class Buffers(NamedTuple):
    """An Arrow array of strings as the compiled passes read it."""

    offsets: npt.NDArray[np.int64]  # (rows + 1,)
    data: npt.NDArray[np.uint8]


def buffers(texts: pa.Array | pa.ChunkedArray) -> Buffers:
    """Offsets and bytes of an array of strings; a null is an empty text. Copies the offsets, not the text."""
    if isinstance(texts, pa.ChunkedArray):
        texts = texts.combine_chunks() if texts.num_chunks != 1 else texts.chunk(0)
    if texts.null_count:
        texts = texts.fill_null("")
    wide = pa.types.is_large_string(texts.type) or pa.types.is_large_binary(texts.type)
    _, offsets, data = texts.buffers()
    if offsets is None or not len(texts):
        return Buffers(np.zeros(1, dtype=np.int64), np.zeros(1, dtype=np.uint8))
    starts = np.frombuffer(offsets, dtype=np.int64 if wide else np.int32)[texts.offset : texts.offset + len(texts) + 1]
    held = np.frombuffer(data, dtype=np.uint8) if data is not None and data.size else np.zeros(1, dtype=np.uint8)
    return Buffers(starts.astype(np.int64), held)


def composed(held: Buffers, rows: npt.NDArray[np.int64]) -> Buffers:
    """Some texts in NFC. Bytes that are no UTF-8 become the replacement character."""
    ends = [0]
    parts: list[bytes] = []
    for row in rows.tolist():
        text = held.data[held.offsets[row] : held.offsets[row + 1]].tobytes().decode("utf-8", "replace")
        parts.append(unicodedata.normalize("NFC", text).encode())
        ends.append(ends[-1] + len(parts[-1]))
    return Buffers(np.array(ends, dtype=np.int64), np.frombuffer(b"".join(parts) or b"\0", dtype=np.uint8))
