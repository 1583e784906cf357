"""Where a text may be cut: between graphemes, sentences or lines. A run is cut back to the borders inside it."""

import unicodedata
from functools import cache

import numpy as np
import numpy.typing as npt

from filters.near_duplicates.rules import BORDERS
from filters.text import characters
from filters.text.characters import JOINER, MARK, PUNCTUATION, SPACE, TERMINAL
from filters.text.compiled import compiled
from filters.text.words import Codes, Offsets

_Flags = npt.NDArray[np.bool_]
_CJK = 0x2E80  # from here on, the end of a sentence needs no space after it
_OPENING = tuple(map(ord, "「『（《〈【“‘"))


@cache
def _joins() -> _Flags:
    """The characters that join the letter after them: viramas, and the zero-width joiner."""
    joins = np.zeros(characters.SIZE, np.bool_)
    joins[[code for code in range(0x900, 0x12000) if unicodedata.combining(chr(code)) == 9]] = True
    joins[0x200D] = True
    return joins


def snap(
    codes: Codes, offsets: Offsets, border: str, text: Offsets, spans: tuple[Offsets, Offsets]
) -> tuple[Offsets, Offsets]:
    """Cut spans back to the borders inside them: (starts, ends) in characters of their texts; equal if none is left.

    A sentence ends after punctuation that ends one and the white space that follows; a line, after its line feed. A
    grapheme border is one of UAX #29; in doubtful cases there is none. Raises ValueError for another `border`.
    """
    kind = BORDERS.index(border)
    return _snap(codes, offsets[text], offsets[text + 1], spans, (characters.classes(), _joins(), kind))


@compiled
def _snap(
    codes: Codes,
    lows: Offsets,
    highs: Offsets,
    spans: tuple[Offsets, Offsets],
    rules: tuple[npt.NDArray[np.uint16], _Flags, int],
) -> tuple[Offsets, Offsets]:
    table, joins, kind = rules
    starts, ends = np.empty_like(spans[0]), np.empty_like(spans[0])
    for index in range(len(lows)):
        low, high = lows[index], highs[index]
        start, end = low + spans[0][index], low + spans[1][index]
        while start < end and not _is_border(codes, start, (low, high), (table, joins, kind)):
            start += 1
        while end > start and not _is_border(codes, end, (low, high), (table, joins, kind)):
            end -= 1
        starts[index], ends[index] = start - low, end - low
    return starts, ends


@compiled
def _is_border(codes: Codes, at: int, text: tuple[int, int], rules: tuple[npt.NDArray[np.uint16], _Flags, int]) -> bool:
    """Whether a text may be cut before the character `at`."""
    table, joins, kind = rules
    if at == text[0] or at == text[1] or codes[at - 1] == 10:
        return True
    if kind == 2:
        return False
    if not _between_graphemes(codes[at - 1], codes[at], table, joins):
        return False
    return kind == 0 or _after_sentence(codes, at, text[0], table)


@compiled
def _between_graphemes(before: int, code: int, table: npt.NDArray[np.uint16], joins: _Flags) -> bool:
    if table[code] & (MARK | JOINER) or joins[before] or code == 0x0E33 or code == 0x0EB3:
        return False
    if before == 13 and code == 10:
        return False
    if 0x1F3FB <= code <= 0x1F3FF:  # skin tones
        return False
    if 0x1F1E6 <= before <= 0x1F1FF and 0x1F1E6 <= code <= 0x1F1FF:  # letters of flags
        return False
    jamo = 0x1160 <= code <= 0x11FF or 0xD7B0 <= code <= 0xD7FF  # vowels and finals of Hangul syllables
    return not (jamo or 0x1100 <= before <= 0x115F or 0xA960 <= before <= 0xA97F)


@compiled
def _after_sentence(codes: Codes, at: int, low: int, table: npt.NDArray[np.uint16]) -> bool:
    if table[codes[at]] & SPACE:
        return False
    end = at
    while end > low and table[codes[end - 1]] & SPACE:
        end -= 1
    spaced = end < at
    while end > low and table[codes[end - 1]] & PUNCTUATION and not table[codes[end - 1]] & TERMINAL:
        end -= 1  # closing quotes and brackets
    if end == low or not table[codes[end - 1]] & TERMINAL:
        return False
    closing = table[codes[at]] & PUNCTUATION and codes[at] not in _OPENING
    return spaced or (codes[end - 1] >= _CJK and not closing)
