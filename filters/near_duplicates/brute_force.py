"""Exact similarity of some documents to all others, without bands: the measure that bands are judged by.

Every shingle of the chosen documents goes into an index; what another document shares with each of them is counted in
one walk over its shingles. The result is that of comparing each with each, in a hundredth of the time.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from filters.near_duplicates.shingle_tables import Uint64s
from filters.near_duplicates.shingles import Array
from filters.near_duplicates.signatures import Int64s, Sets
from filters.text.compiled import compiled, inlined

_MARKS = 8  # bits for every key: one in nine shingles that no chosen document has is looked up all the same


class Index(NamedTuple):
    """Which of the chosen documents hold a shingle."""

    keys: Uint64s  # (distinct shingles,) ascending
    starts: Int64s  # where in `keys` the shingles begin whose top bits are the place here
    shift: np.uint64  # leaves those top bits
    ends: Int64s  # (distinct shingles + 1,) places in `holders`
    holders: Int64s  # chosen documents, shingle by shingle
    sizes: Int64s  # (chosen,) of their sets
    marks: Uint64s  # a bit for the low bits of every key: small, and most shingles of other documents have none


def index_sets(chosen: Sets) -> Index:
    """Index some sets of shingles."""
    sizes = np.diff(chosen.offsets)
    order = np.argsort(chosen.values)  # not stable: in which order holders of a shingle stand is no matter
    holders = np.repeat(np.arange(sizes.size), sizes)[order]
    values = chosen.values[order]
    first = np.flatnonzero(np.r_[values.size > 0, values[1:] != values[:-1]])
    keys = values[first]
    bits = max(1, int(keys.size).bit_length())
    shift = np.uint64(64 - bits)
    counts = np.bincount((keys >> shift).astype(np.int64), minlength=1 << bits)
    marks = np.zeros(max(1, (_MARKS << bits) // 64), dtype=np.uint64)
    _mark(keys, marks)
    starts = np.r_[0, np.cumsum(counts), keys.size]
    return Index(keys, starts, shift, np.r_[first, order.size], holders, sizes, marks)


@inlined
def _place_of(key: np.uint64, marks: Uint64s) -> tuple[np.int64, np.uint64]:
    """Which word of `marks` a key's bit is in, and that bit."""
    return np.int64(key >> np.uint64(6)) & (marks.size - 1), np.uint64(1) << (key & np.uint64(63))


@compiled
def _mark(keys: Uint64s, marks: Uint64s) -> None:
    for key in keys:
        word, bit = _place_of(key, marks)
        marks[word] |= bit


@compiled
def _compare(
    index: Index, offsets: Array, values: Array, least: float, shared: Array, found: Array, scores: Array
) -> int:
    """Fill `found` (document, chosen) and `scores`; gives back how many, at most as many as there is room for."""
    filled = 0
    for document in range(offsets.size - 1):
        shared[:] = 0
        for place in range(offsets[document], offsets[document + 1]):
            key = values[place]
            word, bit = _place_of(key, index.marks)
            if index.marks[word] & bit == 0:
                continue
            slot = np.int64(key >> index.shift)
            at = index.starts[slot]
            while at < index.starts[slot + 1] and index.keys[at] < key:
                at += 1
            if at < index.starts[slot + 1] and index.keys[at] == key:
                for holder in range(index.ends[at], index.ends[at + 1]):
                    shared[index.holders[holder]] += 1
        size = offsets[document + 1] - offsets[document]
        for chosen in range(shared.size):
            if shared[chosen] and filled < scores.size:
                score = shared[chosen] / (size + index.sizes[chosen] - shared[chosen])
                if score >= least:
                    found[filled, 0] = document
                    found[filled, 1] = chosen
                    scores[filled] = score
                    filled += 1
    return filled


def similar(index: Index, sets: Sets, least: float) -> tuple[Int64s, Int64s, npt.NDArray[np.float64]]:
    """All (document, chosen document, Jaccard) with a Jaccard similarity of at least `least` > 0."""
    room = (sets.offsets.size - 1) * index.sizes.size
    found: npt.NDArray[Any] = np.empty((room, 2), dtype=np.int64)
    scores = np.empty(room, dtype=np.float64)
    count = _compare(index, *sets, least, np.zeros(index.sizes.size, dtype=np.int64), found, scores)
    return found[:count, 0].copy(), found[:count, 1].copy(), scores[:count].copy()
