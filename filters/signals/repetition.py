"""Compiled passes for repeated text: n-grams of words, lines and paragraphs, after Gopher.

Rae et al. 2021, Scaling Language Models, arXiv 2112.11446, table A1.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from filters.signals.counting import Counts, mix_bits, size_for
from filters.signals.seen import Seen, blank, seen
from filters.text.compiled import compiled
from filters.text.words import Codes, Hashes, Offsets, Words

TOP_SIZES = (2, 3, 4)  # n of the n-grams of which the most frequent one counts
REPEATED_SIZES = (5, 6, 7, 8, 9, 10)  # n of the n-grams of which all repetitions count

# Columns of `count_repeated_lines`.
(
    SPLIT_LINES,
    REPEATED_LINES,
    REPEATED_LINE_CHARACTERS,
    PARAGRAPHS,
    REPEATED_PARAGRAPHS,
    REPEATED_PARAGRAPH_CHARACTERS,
) = range(6)

_BASE = np.uint64(0x9E3779B97F4A7C15)
_INVERSE = np.uint64(pow(0x9E3779B97F4A7C15, -1, 1 << 64))


class _Grams(NamedTuple):
    """Running sums over the words of a text: the digest and length of any n-gram are a difference of two.

    Word k, of all before it, adds its digest times BASE to the power of its place, so the difference is divided by that
    power: equal n-grams have equal digests wherever they stand.
    """

    digests: Hashes  # of all words before
    scales: Hashes  # what a difference of digests is multiplied by
    lengths: Offsets  # characters of all words before


class _Tally(NamedTuple):
    """How often each n-gram occurs, and where first, in the slots of a `Seen`."""

    counts: Offsets
    firsts: Offsets


@compiled
def _blank_grams(words: int) -> _Grams:
    """Sums with room for that many words; the scales are those of words as the places."""
    grams = _Grams(np.zeros(words + 1, np.uint64), np.ones(words + 1, np.uint64), np.zeros(words + 1, np.int64))
    for at in range(words):
        grams.scales[at + 1] = grams.scales[at] * _INVERSE
    return grams


@compiled
def _sum_words(grams: _Grams, words: Words, first: int, count: int) -> None:
    """Sum up the words of one text. Two n-grams are equal if their words are."""
    starts, ends, hashes, _ = words
    power = np.uint64(1)
    for at in range(count):
        grams.digests[at + 1] = grams.digests[at] + hashes[first + at] * power
        grams.lengths[at + 1] = grams.lengths[at] + ends[first + at] - starts[first + at]
        power *= _BASE


@compiled
def _sum_characters(grams: _Grams, codes: Codes, words: Words, first: int, count: int) -> None:
    """Sum up the characters of one text's words. Two n-grams are equal if they are written alike without spaces."""
    starts, ends, _, _ = words
    power, scale = np.uint64(1), np.uint64(1)
    for at in range(count):
        value = grams.digests[at]
        for place in range(starts[first + at], ends[first + at]):
            value += np.uint64(codes[place]) * power
            power *= _BASE
            scale *= _INVERSE
        grams.digests[at + 1] = value
        grams.scales[at + 1] = scale
        grams.lengths[at + 1] = grams.lengths[at] + ends[first + at] - starts[first + at]


@compiled
def _digest(grams: _Grams, at: int, n: int) -> np.uint64:
    """Digest of the n-gram that begins at word `at`."""
    return mix_bits((grams.digests[at + n] - grams.digests[at]) * grams.scales[at])


@compiled
def count_repeated_words(words: Words, codes: Codes, published: bool) -> Counts:
    """Characters of each text in repeated word n-grams; int64 (texts, 9).

    Columns: for n = 2, 3, 4 the length of the most frequent n-gram (with a space between words) times how often it
    occurs, the first one of several; occurrences that overlap count as the one passage that they are. For n = 5 to 10
    the length, without spaces, of all n-grams that occurred before, counted from left to right. No character is counted
    twice. `published`, as datatrove counts: overlapping occurrences count whole, and for n = 5 to 10 equal n-grams are
    those with the same letters, wherever their words end.
    """
    starts, ends, hashes, offsets = words
    longest = 0
    for text in range(len(offsets) - 1):
        longest = max(longest, offsets[text + 1] - offsets[text])
    held = blank(longest)
    tally = _Tally(np.empty(len(held.keys), np.int64), np.empty(len(held.keys), np.int64))
    grams = _blank_grams(longest)
    letters = _blank_grams(longest) if published else grams
    found = np.zeros((len(offsets) - 1, 9), np.int64)
    stamp = 0
    for text in range(len(offsets) - 1):
        first, count = offsets[text], offsets[text + 1] - offsets[text]
        _sum_words(grams, words, first, count)
        if published:
            _sum_characters(letters, codes, words, first, count)
        for n in range(2, 11):
            stamp += 1
            if count < n:
                continue
            if n > 4:
                found[text, n - 2] = _repeated_grams(letters, count, n, held, stamp)
                continue
            top, times = _top_gram(grams, count, n, held, tally, stamp)
            length = grams.lengths[top + n] - grams.lengths[top] + n - 1
            covered = times * length
            if not published:
                if _overlaps_itself(hashes, first + top, n):
                    covered = _passages(words, first, count, first + top, n, length)
                # A text without spaces has fewer characters than n-grams with a space between words.
                covered = min(covered, ends[first + count - 1] - starts[first])
            found[text, n - 2] = covered
    return found


@compiled
def _top_gram(grams: _Grams, words: int, n: int, held: Seen, tally: _Tally, stamp: int) -> tuple[int, int]:
    """Where the most frequent n-gram begins, the first one of several, and how often it occurs."""
    mask = np.uint64(size_for(words) - 1)  # a short text uses few slots, which stay in the processor's cache
    most = 0
    for at in range(words - n + 1):
        key = _digest(grams, at, n)
        slot = key & mask
        while held.stamps[slot] == stamp and held.keys[slot] != key:
            slot = (slot + np.uint64(1)) & mask
        if held.stamps[slot] != stamp:
            held.stamps[slot], held.keys[slot], tally.counts[slot], tally.firsts[slot] = stamp, key, 0, at
        tally.counts[slot] += 1
        most = max(most, tally.counts[slot])
    first = words
    for slot_of in range(np.int64(mask) + 1):
        if held.stamps[slot_of] == stamp and tally.counts[slot_of] == most:
            first = min(first, tally.firsts[slot_of])
    return first, most


@compiled
def _overlaps_itself(hashes: Hashes, top: int, n: int) -> bool:
    """Whether the n-gram that begins at word `top` ends as it begins, so that two occurrences can overlap."""
    for shift in range(1, n):
        same = True
        for at in range(top, top + n - shift):
            same &= hashes[at] == hashes[at + shift]
        if same:
            return True
    return False


@compiled
def _passages(words: Words, first: int, count: int, top: int, n: int, length: int) -> int:
    """Characters of all occurrences of the n-gram at word `top`, in `count` words from `first`, each character once.

    One that touches no other has `length` characters, and a passage of several those of the text, with what is between
    its words.
    """
    starts, ends, hashes, _ = words
    covered, begin, last = 0, -1, -1  # begin and last: the first and the last occurrence of a passage
    for at in range(first, first + count - n + 1):
        same = True
        for place in range(n):
            same &= hashes[at + place] == hashes[top + place]
        if not same:
            continue
        if begin < 0 or at >= last + n:
            if begin >= 0:
                covered += length if begin == last else ends[last + n - 1] - starts[begin]
            begin = at
        last = at
    return covered + (length if begin == last else ends[last + n - 1] - starts[begin])


@compiled
def _repeated_grams(grams: _Grams, words: int, n: int, held: Seen, stamp: int) -> int:
    """Characters of all n-grams that occurred before, from left to right, each character once."""
    mask = np.uint64(size_for(words) - 1)
    repeated, at = 0, 0
    while at <= words - n:
        if seen(held, mask, stamp, _digest(grams, at, n)):
            repeated += grams.lengths[at + n] - grams.lengths[at]
            at += n
        else:
            at += 1
    return repeated


@compiled
def _hash_raw(codes: Codes, start: int, end: int) -> np.uint64:
    value = np.uint64(0xCBF29CE484222325)
    for at in range(start, end):
        value = (value ^ np.uint64(codes[at])) * np.uint64(0x100000001B3)
    return mix_bits(value)


@compiled
def count_repeated_lines(
    codes: Codes, offsets: Offsets, table: npt.NDArray[np.uint16], space: int, published: bool
) -> Counts:
    """Lines and paragraphs of each text, those that occurred before, and their characters; int64 (texts, 6).

    A line ends at a line feed, a paragraph at two or more; empty lines and outer white space do not count.
    `published`, as datatrove counts: outer white space belongs to the lines, and line feeds at the beginning or the end
    of a text make one empty line there.
    """
    most = 0
    for text in range(len(offsets) - 1):
        breaks = 1
        for at in range(offsets[text], offsets[text + 1]):
            breaks += codes[at] == 10
        most = max(most, breaks)
    held = blank(most)
    mask = np.uint64(len(held.keys) - 1)
    counts = np.zeros((len(offsets) - 1, 6), np.int64)
    for text in range(len(offsets) - 1):
        first, last = offsets[text], offsets[text + 1]
        while first < last and table[codes[first]] & space:
            first += 1
        while last > first and table[codes[last - 1]] & space:
            last -= 1
        for kind in range(2):
            start, end = (offsets[text], offsets[text + 1]) if published and kind == 0 else (first, last)
            stamp = 2 * text + kind + 1
            at = start
            while at < end:
                stop = at
                while stop < end and not (
                    codes[stop] == 10 and (kind == 0 or (stop + 1 < end and codes[stop + 1] == 10))
                ):
                    stop += 1
                counts[text, 3 * kind] += 1
                if seen(held, mask, stamp, _hash_raw(codes, at, stop)):
                    counts[text, 3 * kind + 1] += 1
                    counts[text, 3 * kind + 2] += stop - at
                while stop < end and codes[stop] == 10:
                    stop += 1
                at = stop
            if end > start and codes[end - 1] == 10:  # only as published: any other text ends in a sign
                counts[text, 0] += 1
                counts[text, 1] += seen(held, mask, stamp, _hash_raw(codes, end, end))
    return counts
