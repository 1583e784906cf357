"""Exact similarity of some documents to all others, without bands: the measure that bands are judged by.

An index holds every shingle of the chosen documents. One pass over the shingles of another document counts what it
shares with each of them. The result is that of comparing all pairs.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from filters.near_duplicates.shingle_tables import Uint64s
from filters.near_duplicates.shingles import Array
from filters.near_duplicates.signatures import Int64s, Sets
from filters.text.compiled import compiled, inlined

_FILTER_BITS = 8  # for each key: about one in nine shingles that no chosen document has is looked up anyway


class _ShingleIndex(NamedTuple):
    """Which of the chosen documents have a shingle."""

    keys: Uint64s  # (distinct shingles,) ascending
    starts: Int64s  # by the top bits of a shingle: where in `keys` those begin
    shift: np.uint64  # leaves the top bits
    ends: Int64s  # (distinct shingles + 1,) where in `holders` those of each key begin
    holders: Int64s  # chosen documents, shingle by shingle
    sizes: Int64s  # (chosen,) of their sets
    bloom: Uint64s  # a bit for the low bits of each key; most shingles of other documents find none


def index_sets(chosen: Sets) -> _ShingleIndex:
    """Index some sets of shingles."""
    sizes = np.diff(chosen.offsets)
    order = np.argsort(chosen.values)  # the order of the holders of one shingle does not matter
    holders = np.repeat(np.arange(sizes.size), sizes)[order]
    values = chosen.values[order]
    first = np.flatnonzero(np.r_[values.size > 0, values[1:] != values[:-1]])
    keys = values[first]
    bits = max(1, int(keys.size).bit_length())
    shift = np.uint64(64 - bits)
    counts = np.bincount((keys >> shift).astype(np.int64), minlength=1 << bits)
    bloom = np.zeros(max(1, (_FILTER_BITS << bits) // 64), dtype=np.uint64)
    _fill_filter(keys, bloom)
    starts = np.r_[0, np.cumsum(counts), keys.size]
    return _ShingleIndex(keys, starts, shift, np.r_[first, order.size], holders, sizes, bloom)


@inlined
def _filter_bit(key: np.uint64, bloom: Uint64s) -> tuple[np.int64, np.uint64]:
    """The word of the filter that has the bit of a key, and that bit."""
    return np.int64(key >> np.uint64(6)) & (bloom.size - 1), np.uint64(1) << (key & np.uint64(63))


@compiled
def _fill_filter(keys: Uint64s, bloom: Uint64s) -> None:
    for key in keys:
        word, bit = _filter_bit(key, bloom)
        bloom[word] |= bit


@compiled
def _compare(
    index: _ShingleIndex, offsets: Array, values: Array, least: float, shared: Array, found: Array, scores: Array
) -> int:
    """Fill `found` (document, chosen) and `scores` as far as there is room; returns how many were found."""
    filled = 0
    for document in range(offsets.size - 1):
        shared[:] = 0
        for place in range(offsets[document], offsets[document + 1]):
            key = values[place]
            word, bit = _filter_bit(key, index.bloom)
            if index.bloom[word] & bit == 0:
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


def find_similar(index: _ShingleIndex, sets: Sets, least: float) -> tuple[Int64s, Int64s, npt.NDArray[np.float64]]:
    """All (document, chosen document, Jaccard similarity) of at least `least`, which is above 0."""
    workspace = (sets.offsets.size - 1) * index.sizes.size
    found: npt.NDArray[Any] = np.empty((workspace, 2), dtype=np.int64)
    scores = np.empty(workspace, dtype=np.float64)
    count = _compare(index, *sets, least, np.zeros(index.sizes.size, dtype=np.int64), found, scores)
    return found[:count, 0].copy(), found[:count, 1].copy(), scores[:count].copy()
