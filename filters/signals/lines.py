"""Compiled passes over lines: how they begin and end, how long they are, what they contain.

One pass counts for the rules of Gopher, FineWeb, C4 and MADLAD-400; `measures` gives the columns meaning.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from filters.signals.counting import Counts, mix_bits
from filters.signals.seen import Seen, blank, seen
from filters.text.characters import LETTER, NUMBER, SPACE, TERMINAL
from filters.text.compiled import compiled
from filters.text.words import Codes, Offsets

_Table = npt.NDArray[np.uint16]

# Columns of `count_line_kinds`.
(
    ALL_LINES, BULLETS, ELLIPSES_AT_END, FILLED_LINES, PUNCTUATED, SHORT_LINES, REPEATED_CHARACTERS, LINE_FEEDS,
    QUESTIONABLE, HASHES, ELLIPSES, C4_LINES, C4_SENTENCES, C4_LOREM, C4_BRACKETS,
) = range(15)  # fmt: skip

_SHORT_LINE = 30  # FineWeb: characters of a short line
_LONG_WORD = 1000  # C4: a line with a longer word is no text
_C4_WORDS = 3  # C4: words of the shortest line

# C4: a line with one of these, in lower case, is not text of the page.
_C4_PHRASES = (
    "javascript", "terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies",
)  # fmt: skip
_LOREM = "lorem ipsum"
_CITATIONS = ("[edit]", "[citation needed]")


class _Phrases(NamedTuple):
    """Some phrases, each of two characters or more."""

    codes: Codes  # of all phrases
    offsets: Offsets  # where each phrase begins in `codes`, and the end of the last
    begins: npt.NDArray[np.bool_]  # (65536,): whether any begins with a pair of characters, by the pair's low 16 bits


def _pack(phrases: tuple[str, ...]) -> _Phrases:
    codes = np.array([ord(character) for phrase in phrases for character in phrase], np.int32)
    offsets = np.cumsum([0, *map(len, phrases)]).astype(np.int64)
    begins = np.zeros(1 << 16, np.bool_)
    begins[(codes[offsets[:-1]] * 256 + codes[offsets[:-1] + 1]).astype(np.uint16)] = True
    return _Phrases(codes, offsets, begins)


PHRASES = _pack((_LOREM, *_C4_PHRASES))  # `_c4_line` treats the first two apart
CITATION_PHRASES = _pack(_CITATIONS)


class LineTables(NamedTuple):
    """The tables of a pass over lines: classes and lower case of code points, and the phrases of C4."""

    classes: _Table
    lower: Codes
    same: Codes  # every code point as itself, where case counts
    phrases: _Phrases
    citations: _Phrases


@compiled
def _is_break(code: int) -> bool:
    """Whether Python's splitlines breaks here."""
    return (10 <= code <= 13) or (28 <= code <= 30) or code == 0x85 or code == 0x2028 or code == 0x2029


@compiled
def _ends_with_ellipsis(codes: Codes, start: int, end: int) -> bool:
    if end > start and codes[end - 1] == 0x2026:
        return True
    return end - start >= 3 and codes[end - 1] == 46 and codes[end - 2] == 46 and codes[end - 3] == 46


@compiled
def _matches(codes: Codes, at: int, end: int, phrase: Codes, lower: Codes) -> bool:
    if at + len(phrase) > end:
        return False
    same = 0
    while same < len(phrase) and lower[codes[at + same]] == phrase[same]:
        same += 1
    return same == len(phrase)


@compiled
def _phrase_in(codes: Codes, start: int, end: int, phrases: _Phrases, lower: Codes) -> int:
    """Bits of the phrases found in a line that is not empty: 1 for the first, 2 for the second, 4 for any other."""
    found = 0
    packed, offsets, begins = phrases
    before = lower[codes[start]]
    for at in range(start + 1, end):
        small = lower[codes[at]]
        pair = np.uint16(before * 256 + small)
        before = small
        if not begins[pair]:  # two letters rule out nearly all positions
            continue
        for phrase in range(len(offsets) - 1):
            wanted = packed[offsets[phrase] : offsets[phrase + 1]]
            if _matches(codes, at - 1, end, wanted, lower):
                found |= 1 if phrase == 0 else 2 if phrase == 1 else 4
    return found


@compiled
def _without_citations(codes: Codes, start: int, end: int, citations: _Phrases, same: Codes) -> int:
    """The end of a line without citations such as [12], [] and [edit]."""
    packed, offsets, _ = citations
    while end > start and codes[end - 1] == 93:
        at = end - 2
        while at >= start and 48 <= codes[at] <= 57:
            at -= 1
        if at >= start and codes[at] == 91:
            end = at
            continue
        cut = -1
        for phrase in range(len(offsets) - 1):
            wanted = packed[offsets[phrase] : offsets[phrase + 1]]
            if end - len(wanted) >= start and _matches(codes, end - len(wanted), end, wanted, same):
                cut = end - len(wanted)
        if cut < 0:
            return end
        end = cut
    return end


@compiled
def _sentences(codes: Codes, start: int, end: int, table: _Table, lower: Codes) -> int:
    """Sentences of a line: one ends at the end of the line, and one at each terminal mark inside it.

    A mark counts before white space, between a small letter and a capital ("end.Begin"), and in scripts that write no
    space after it. Two or more full stops are not a mark: the sentence goes on.
    """
    count, at, any_word = 0, start, False
    while at < end:
        bits = table[codes[at]]
        if bits & (LETTER | NUMBER):
            any_word = True
        if bits & TERMINAL and any_word:
            first = at
            while at + 1 < end and not table[codes[at + 1]] & (LETTER | NUMBER | SPACE):
                at += 1
            dots = codes[first] == 46 and first + 1 < end and codes[first + 1] == 46
            following = codes[at + 1] if at + 1 < end else 32
            capital = lower[following] != following and table[codes[first - 1]] & LETTER and at == first
            capital = capital and lower[codes[first - 1]] == codes[first - 1]
            if not dots and (table[following] & SPACE or capital or codes[first] > 0x2000):
                count += 1
                any_word = False
        at += 1
    return count + any_word


@compiled
def _c4_line(codes: Codes, start: int, end: int, tables: LineTables, row: Counts) -> None:
    """Add one line, without outer white space, to `row` by C4's rules."""
    words, at = 0, start
    while at < end:
        stop = at
        while stop < end and not tables.classes[codes[stop]] & SPACE:
            stop += 1
        if stop > at:
            words += 1
            if stop - at > _LONG_WORD:
                return
        at = stop + 1
    last = _without_citations(codes, start, end, tables.citations, tables.same)
    if last == start:
        return
    mark = codes[last - 1]
    if not (mark == 46 or mark == 63 or mark == 33 or mark == 34 or mark == 39):
        return
    if mark == 46 and _ends_with_ellipsis(codes, start, last):
        return
    if words < _C4_WORDS:
        return
    found = _phrase_in(codes, start, last, tables.phrases, tables.lower)
    if found & 1:
        row[C4_LOREM] += 1
        return
    if found & 2:
        return
    for place in range(start, last):
        if codes[place] == 123:
            row[C4_BRACKETS] += 1
            return
    if found & 4:
        return
    row[C4_LINES] += 1
    row[C4_SENTENCES] += _sentences(codes, start, last, tables.classes, tables.lower)


@compiled
def _questionable(codes: Codes, start: int, end: int, table: _Table, lower: Codes) -> bool:
    """MADLAD-400's rules for a sentence, applied to a line: too short, too long, technical, or a list in title case."""
    length = end - start
    if length < 20 or length > 500:
        return True
    technical, tokens, capital = 0, 0, 0
    inside = False
    for at in range(start, end):
        code = codes[at]
        technical += 48 <= code <= 57 or code == 123 or code == 125 or code == 43 or code == 47 or (
            code == 40 or code == 41 or code == 62
        )  # fmt: skip
        blank = (table[code] & SPACE) != 0
        if not blank and not inside:
            tokens += 1
            capital += lower[code] != code
        inside = not blank
    return technical > 0.2 * length or (tokens >= 12 and capital > 0.5 * tokens)


@compiled
def count_line_kinds(codes: Codes, offsets: Offsets, tables: LineTables) -> Counts:
    """Lines of each text by kind; int64 (texts, 15), columns as named above.

    Lines of Gopher and C4 end where Python's `splitlines` ends them, those of FineWeb and MADLAD-400 at a line feed.
    """
    most = 1
    for text in range(len(offsets) - 1):
        breaks = 1
        for at in range(offsets[text], offsets[text + 1]):
            breaks += codes[at] == 10
        most = max(most, breaks)
    held = blank(most)
    counts = np.zeros((len(offsets) - 1, 15), np.int64)
    for text in range(len(offsets) - 1):
        row = counts[text]
        start, end = offsets[text], offsets[text + 1]
        _split_lines(codes, start, end, tables, row)
        if start < end:
            _fed_lines(codes, start, end, tables, row, held, text + 1)
        row[ELLIPSES] += _three_dots(codes, start, end)
    return counts


@compiled
def _split_lines(codes: Codes, start: int, end: int, tables: LineTables, row: Counts) -> None:
    """Count the lines of one text as `splitlines` cuts them, without outer white space: rules of Gopher and C4."""
    at = start
    while at < end:
        stop = at
        while stop < end and not _is_break(codes[stop]):
            stop += 1
        first, last = at, stop
        while first < last and tables.classes[codes[first]] & SPACE:
            first += 1
        while last > first and tables.classes[codes[last - 1]] & SPACE:
            last -= 1
        row[ALL_LINES] += 1
        row[BULLETS] += first < last and (codes[first] == 0x2022 or codes[first] == 45)
        row[ELLIPSES_AT_END] += _ends_with_ellipsis(codes, first, last)
        if first < last:
            _c4_line(codes, first, last, tables, row)
        if stop + 1 < end and codes[stop] == 13 and codes[stop + 1] == 10:
            stop += 1
        at = stop + 1


@compiled
def _fed_lines(codes: Codes, start: int, end: int, tables: LineTables, row: Counts, held: Seen, stamp: int) -> None:
    """Count the lines of one text between line feeds: rules of FineWeb and MADLAD-400."""
    mask = np.uint64(len(held.keys) - 1)
    at = start
    while at <= end:
        stop = at
        blank_line, hashes, ellipses = True, 0, 0
        value = np.uint64(0xCBF29CE484222325)
        while stop < end and codes[stop] != 10:
            code = codes[stop]
            blank_line = blank_line and (tables.classes[code] & SPACE) != 0
            hashes += code == 35
            ellipses += code == 0x2026
            value = (value ^ np.uint64(code)) * np.uint64(0x100000001B3)
            stop += 1
        row[LINE_FEEDS] += stop < end
        row[HASHES] += hashes
        row[ELLIPSES] += ellipses
        if not blank_line:
            row[FILLED_LINES] += 1
            row[PUNCTUATED] += (tables.classes[codes[stop - 1]] & TERMINAL) != 0
            row[SHORT_LINES] += stop - at <= _SHORT_LINE
            row[QUESTIONABLE] += _questionable(codes, at, stop, tables.classes, tables.lower)
            if seen(held, mask, stamp, mix_bits(value)):
                row[REPEATED_CHARACTERS] += stop - at
        at = stop + 1


@compiled
def _three_dots(codes: Codes, start: int, end: int) -> int:
    """How many times "..." occurs in a text, without overlap."""
    count, run = 0, 0
    for at in range(start, end):
        run = run + 1 if codes[at] == 46 else 0
        if run == 3:
            count += 1
            run = 0
    return count
