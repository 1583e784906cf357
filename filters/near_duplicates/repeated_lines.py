"""Lines that a source repeats: its templates, menus, notices and teasers.

A source (a site, an archive) has the same lines on many pages. ROOTS (Laurençon et al. 2022, arXiv 2303.03915) had
three rules for them, which are all here:

    template      lines of 15 characters or more that occur 10 times or more in the source
    newspaper     any line that occurs twice or more
    boilerplate   any line on more than 1 % of the source's pages, and on more than 10 (its "skip list" of a seed)

ROOTS deleted every copy; `pipelines.dedup.lines` keeps the first one unless a setting says otherwise. ROOTS made its
skip list from a sample of at most 10,000 pages of a source; here all pages count.

Lines end at a line feed. Two lines are equal if they are equal without outer white space and in one normal form (UAX
#15); case counts. A line is removed whole or kept unchanged.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from filters.near_duplicates.rules import LineRule
from filters.near_duplicates.signatures import mix_all
from filters.text import characters
from filters.text.characters import SPACE
from filters.text.compiled import compiled
from filters.text.words import Codes, Offsets, code_points, hash_spans

_Keys = npt.NDArray[np.int64]
NO_RULE = -1


class TextLines(NamedTuple):
    """Lines of texts, without outer white space; all arrays are (lines,)."""

    text: Offsets  # row of the text
    start: Offsets  # in characters of the text
    end: Offsets
    key: _Keys  # equal for equal lines of one source; 0 or more
    again: npt.NDArray[np.bool_]  # whether the text has the line before, too


def find_lines(texts: pa.Array, sources: npt.NDArray[np.uint64], least: int) -> TextLines:
    """Find the lines of `least` characters or more; `sources` is a number for the source of each text, uint64 (texts,).

    A key has 63 bits: the chance that a line has the key of one of n others in its source is n / 2 ** 63.
    """
    codes, offsets = code_points(texts)
    text, start, end = _find(codes, offsets, characters.classes(), max(1, least))
    hashes = hash_spans(codes, start, end, *characters.canonical())
    key = (mix_all(hashes ^ mix_all(sources[text])) >> np.uint64(1)).view(np.int64)
    order = np.lexsort((start, key, text))
    again = np.zeros(text.size, dtype=np.bool_)
    again[order[1:]] = (key[order[1:]] == key[order[:-1]]) & (text[order[1:]] == text[order[:-1]])
    return TextLines(text, start - offsets[text], end - offsets[text], key, again)


@compiled
def _find(
    codes: Codes, offsets: Offsets, table: npt.NDArray[np.uint16], least: int
) -> tuple[Offsets, Offsets, Offsets]:
    most = len(offsets) - 1
    for code in codes:
        most += code == 10
    text, start, end = np.empty(most, np.int64), np.empty(most, np.int64), np.empty(most, np.int64)
    count = 0
    for row in range(len(offsets) - 1):
        at = offsets[row]
        while at < offsets[row + 1]:
            stop = at
            while stop < offsets[row + 1] and codes[stop] != 10:
                stop += 1
            first, last = at, stop
            while first < last and table[codes[first]] & SPACE:
                first += 1
            while last > first and table[codes[last - 1]] & SPACE:
                last -= 1
            if last - first >= least:
                text[count], start[count], end[count] = row, first, last
                count += 1
            at = stop + 1
    return text[:count].copy(), start[:count].copy(), end[:count].copy()


def first_rule(
    rules: Sequence[LineRule],
    length: npt.NDArray[np.int64],
    times: npt.NDArray[np.int64],
    pages: npt.NDArray[np.int64],
    of: npt.NDArray[np.int64],
) -> npt.NDArray[np.int8]:
    """The index of the first rule that removes each line, NO_RULE if none does; int8 (lines,).

    `length` is in characters; a line occurs `times` times in its source, on `pages` of the source's `of` pages.
    """
    found = np.full(length.size, NO_RULE, dtype=np.int8)
    for number, rule in reversed(list(enumerate(rules))):
        often = times >= rule.times if rule.times else pages > np.maximum(rule.pages, rule.share * of)
        found[(length >= rule.characters) & often] = number
    return found


def removal_spans(texts: pa.Array, text: Offsets, start: Offsets, end: Offsets) -> tuple[Offsets, Offsets]:
    """The spans to remove for each of these lines, which are in order: (starts, ends) in characters of its text.

    A span has the line's own line feed. It also has blank lines that would otherwise join other blank lines, or begin
    or end the text. No span overlaps another.
    """
    codes, offsets = code_points(texts)
    return _spans(codes, offsets, characters.classes(), text, start + offsets[text], end + offsets[text])


@compiled
def _spans(
    codes: Codes, offsets: Offsets, table: npt.NDArray[np.uint16], text: Offsets, start: Offsets, end: Offsets
) -> tuple[Offsets, Offsets]:
    starts, ends = np.empty_like(start), np.empty_like(end)
    after_blank = False
    for line in range(len(text)):
        low, high = offsets[text[line]], offsets[text[line] + 1]
        first, last = start[line], end[line]
        while first > low and codes[first - 1] != 10:
            first -= 1
        while last < high and codes[last] != 10:
            last += 1
        last = min(high, last + 1)
        joins = line > 0 and text[line - 1] == text[line] and ends[line - 1] == first
        before = first - 1  # the line feed before the line
        while before > low and codes[before - 1] != 10 and table[codes[before - 1]] & SPACE:
            before -= 1
        after_blank = (joins and after_blank) or before <= low or codes[before - 1] == 10
        at = last
        while after_blank and at < high and table[codes[at]] & SPACE:
            at += 1
            if at == high or codes[at - 1] == 10:
                last = at
        starts[line], ends[line] = first, last
        rest = last
        while rest < high and table[codes[rest]] & SPACE:
            rest += 1
        if rest == high:  # nothing follows: the line feed before it would end the text
            ends[line] = high
            head = line
            while starts[head] > low and table[codes[starts[head] - 1]] & SPACE:
                if head > 0 and text[head - 1] == text[line] and ends[head - 1] == starts[head]:
                    head -= 1
                else:
                    starts[head] -= 1
    for line in range(len(text)):
        starts[line] -= offsets[text[line]]
        ends[line] -= offsets[text[line]]
    return starts, ends
