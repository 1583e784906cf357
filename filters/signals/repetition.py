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


class _Grams(NamedTuple):
    """Running sums over the words of a text: the digest and length of any n-gram are a difference of two."""

    digests: Hashes  # of all words before, rolled
    lengths: Offsets  # characters of all words before


class _Tally(NamedTuple):
    """How often each n-gram occurs, and where first, in the slots of a `Seen`."""

    counts: Offsets
    firsts: Offsets


@compiled
def count_repeated_words(words: Words) -> Counts:
    """Characters of each text in repeated word n-grams; int64 (texts, 9).

    Columns: for n = 2, 3, 4 the length of the most frequent n-gram (with a space between words) times how often it
    occurs, the first one of several; occurrences that overlap count as the one passage that they are. For n = 5 to 10
    the length, without spaces, of all n-grams that occurred before, counted from left to right. No character is counted
    twice.
    """
    starts, ends, hashes, offsets = words
    longest = 0
    for text in range(len(offsets) - 1):
        longest = max(longest, offsets[text + 1] - offsets[text])
    held = blank(longest)
    tally = _Tally(np.empty(len(held.keys), np.int64), np.empty(len(held.keys), np.int64))
    grams = _Grams(np.zeros(longest + 1, np.uint64), np.zeros(longest + 1, np.int64))
    found = np.zeros((len(offsets) - 1, 9), np.int64)
    stamp = 0
    for text in range(len(offsets) - 1):
        first, count = offsets[text], offsets[text + 1] - offsets[text]
        for at in range(count):
            grams.digests[at + 1] = grams.digests[at] * _BASE + hashes[first + at]
            grams.lengths[at + 1] = grams.lengths[at] + ends[first + at] - starts[first + at]
        power = _BASE
        for n in range(2, 11):
            power *= _BASE
            stamp += 1
            if count < n:
                continue
            if n <= 4:
                top, times = _top_gram(grams, count, n, power, held, tally, stamp)
                length = grams.lengths[top + n] - grams.lengths[top] + n - 1
                covered = times * length
                if _overlaps_itself(hashes, first + top, n):
                    covered = _passages(words, first, count, first + top, n, length)
                # A text without spaces has fewer characters than n-grams with a space between words.
                found[text, n - 2] = min(covered, ends[first + count - 1] - starts[first])
            else:
                found[text, n - 2] = _repeated_grams(grams, count, n, power, held, stamp)
    return found


@compiled
def _top_gram(
    grams: _Grams, words: int, n: int, power: np.uint64, held: Seen, tally: _Tally, stamp: int
) -> tuple[int, int]:
    """Where the most frequent n-gram begins, the first one of several, and how often it occurs."""
    mask = np.uint64(size_for(words) - 1)  # a short text uses few slots, which stay in the processor's cache
    most = 0
    for at in range(words - n + 1):
        key = mix_bits(grams.digests[at + n] - grams.digests[at] * power)
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
def _repeated_grams(grams: _Grams, words: int, n: int, power: np.uint64, held: Seen, stamp: int) -> int:
    """Characters of all n-grams that occurred before, from left to right, each character once."""
    mask = np.uint64(size_for(words) - 1)
    repeated, at = 0, 0
    while at <= words - n:
        if seen(held, mask, stamp, mix_bits(grams.digests[at + n] - grams.digests[at] * power)):
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
def count_repeated_lines(codes: Codes, offsets: Offsets, table: npt.NDArray[np.uint16], space: int) -> Counts:
    """Lines and paragraphs of each text, those that occurred before, and their characters; int64 (texts, 6).

    A line ends at a line feed, a paragraph at two or more; empty lines and outer white space do not count.
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
        start, end = offsets[text], offsets[text + 1]
        while start < end and table[codes[start]] & space:
            start += 1
        while end > start and table[codes[end - 1]] & space:
            end -= 1
        for kind in range(2):
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
    return counts
