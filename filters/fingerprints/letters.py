"""Texts as letters and numbers alone, so that case, punctuation, white space and normal form make no difference.

A letter is its lower-case form with the digest of its marks; Arabic vowel signs and the variants of yeh, kaf and heh
make no difference (`characters.folding`). A sign that normal form D writes as several letters counts as these: some
vowel signs of India, the syllables of Hangul. A digit of any script is its value. Signs without a width are left out.
"""

import unicodedata
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from filters.near_duplicates.shingles import mix
from filters.text import characters
from filters.text.characters import LETTER, MARK, NUMBER
from filters.text.compiled import compiled
from filters.text.words import Codes, Hashes, Offsets, code_points

_BASE_BITS = 21  # of a code point; the marks of a letter have the others
_SKIPPED = -2
_HANGUL, _HANGUL_END = 0xAC00, 0xD7A4  # syllables, which normal form D writes as two or three letters (UAX #15)
_LEADS, _VOWELS, _TAILS, _VOWEL_COUNT, _TAIL_COUNT = 0x1100, 0x1161, 0x11A7, 21, 28
_LetterUnits = npt.NDArray[np.uint32]


class Letters(NamedTuple):
    """Letters of texts: text t is units[offsets[t]:offsets[t + 1]], and `places` says where each is in its text."""

    units: _LetterUnits  # (letters,)
    places: npt.NDArray[np.int32]  # characters from the beginning of the text, (letters,)
    offsets: Offsets  # (texts + 1,)


@cache
def _folds() -> tuple[Codes, Hashes]:
    """For each code point the letter it stands for, -1 for a mark, -2 for what is left out; and its marks' digest."""
    bases, marks = characters.folding()
    table, kinds = bases.copy(), characters.classes()
    table[((kinds & (LETTER | MARK | NUMBER)) == 0) & (bases >= 0)] = _SKIPPED
    for code in np.flatnonzero(kinds & NUMBER).tolist():
        value = unicodedata.decimal(chr(code), None)
        if value is not None:
            table[code] = ord("0") + value
    return table, marks


@cache
def _several() -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Code points that are several letters in normal form D: for each code point its row, 0 for none; and the rows."""
    rows, found = [[0] * 4], np.zeros(characters.SIZE, np.int32)
    for code in range(0xC0, 0x20000):
        if _HANGUL <= code < _HANGUL_END:
            continue
        is_canonical = unicodedata.decomposition(chr(code))[:1] not in ("", "<")
        parts = unicodedata.normalize("NFD", chr(code)) if is_canonical else ""
        if sum(not unicodedata.combining(part) for part in parts) > 1:
            found[code] = len(rows)
            rows.append([*map(ord, parts[:4]), *([0] * (4 - len(parts)))])
    return found, np.array(rows, np.int32)


def letters_of(texts: pa.Array) -> Letters:
    """The letters and numbers of an Arrow array of strings; a null has none."""
    codes, offsets = code_points(texts)
    return Letters(*_letters(codes, offsets, *_folds(), *_several()))


@compiled
def _letters(
    codes: Codes, offsets: Offsets, bases: Codes, marks: Hashes, several: Codes, rows: Codes
) -> tuple[_LetterUnits, npt.NDArray[np.int32], Offsets]:
    room = len(codes)
    for at in range(len(codes)):
        room += 3 if several[codes[at]] or _HANGUL <= codes[at] < _HANGUL_END else 0
    units, places = np.empty(room, np.uint32), np.empty(room, np.int32)
    starts, parts = np.empty(len(offsets), np.int64), np.empty(4, np.int32)
    out = 0
    for text in range(len(offsets) - 1):
        starts[text] = out
        held = np.uint64(0)
        for at in range(offsets[text], offsets[text + 1]):
            for part in range(_split(codes[at], several, rows, parts)):
                code = parts[part]
                base = bases[code]
                if base >= 0:
                    held = marks[code]
                    units[out], places[out] = _with_marks(np.uint32(base), held), at - offsets[text]
                    out += 1
                elif base != _SKIPPED and out > starts[text]:
                    held += marks[code]
                    units[out - 1] = _with_marks(units[out - 1], held)
    starts[-1] = out
    return units[:out].copy(), places[:out].copy(), starts


@compiled
def _split(code: int, several: Codes, rows: Codes, parts: Codes) -> int:
    """Write the code points that one stands for to `parts`; returns how many they are."""
    parts[0] = code
    if _HANGUL <= code < _HANGUL_END:
        syllable = code - _HANGUL
        parts[0] = _LEADS + syllable // (_VOWEL_COUNT * _TAIL_COUNT)
        parts[1] = _VOWELS + syllable % (_VOWEL_COUNT * _TAIL_COUNT) // _TAIL_COUNT
        parts[2] = _TAILS + syllable % _TAIL_COUNT
        return 3 if syllable % _TAIL_COUNT else 2
    if not several[code]:
        return 1
    count = 0
    while count < 4 and rows[several[code], count]:
        parts[count] = rows[several[code], count]
        count += 1
    return count


@compiled
def _with_marks(unit: np.uint32, marks: np.uint64) -> np.uint32:
    """A letter with the digest of all its marks in the high bits."""
    low = np.uint32(unit) & np.uint32((1 << _BASE_BITS) - 1)
    if marks == np.uint64(0):
        return low
    return low | np.uint32((mix(marks) >> np.uint64(64 - (32 - _BASE_BITS))) << np.uint64(_BASE_BITS))
