"""Runs that stand in more than one place: from prints that share a key to verified runs of the text.

1. `link` pairs each print with places before it that have the same key. Places are in the order in which copies are
   preferred, so the first of a key stays. Up to 16 places, all pairs are made. Among more, such as boilerplate, a
   print is paired with the first place and with the first that shares one of its contexts (winnowing.context_keys): the
   number of pairs grows with that of places, and every run is still found that holds a context.
2. `extend` compares the text itself around a pair, no further than a bound, so that constant text takes linear time.
3. `join` puts the runs of neighbouring pairs together and keeps those that are long enough.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from filters.fingerprints.winnowing import CONTEXTS, Contexts, Units
from filters.text.compiled import compiled
from filters.text.words import Offsets

_SMALL = 16  # places of a key up to which all pairs are made
_Keys = npt.NDArray[np.int64]


class Places(NamedTuple):
    """Prints of many documents, sorted by key; within a key those that stay come first, the preferred ones foremost."""

    key: _Keys  # (places,)
    document: Offsets
    place: Offsets  # in its document, ascending within a document
    stands_for: Offsets  # the document itself, or the kept one that a removed copy would take the place of
    contexts: Contexts  # (places, CONTEXTS)


class Windows(NamedTuple):
    """Grams in an array of units, with the bounds within which they may be extended; all arrays are (pairs,)."""

    low: Offsets
    gram: Offsets  # its first unit
    high: Offsets


class Runs(NamedTuple):
    """Runs of a text that equal runs of another; all arrays are (runs,)."""

    text: Offsets  # row of the text
    start: Offsets  # in its text
    end: Offsets
    of: Offsets  # the document that has the run, too
    shift: Offsets  # the start there, less the start here
    times: Offsets  # how many places a print of the run has


@compiled
def link(places: Places, apart: int) -> tuple[Offsets, Offsets]:
    """Pairs of places that share a key: (indices of the later ones, of the earlier ones).

    A removed copy is paired with the places that come before the document it stands for, as if it stood there; nothing
    is paired with it. Places of one document are paired if they are at least `apart` units from each other.
    """
    key, document = places.key, places.document
    stands_for, place = places.stands_for, places.place
    most, low = 0, 0
    while low < len(key):
        high = _bucket_end(key, low)
        size = high - low
        most += size * (size - 1) // 2 if size <= _SMALL else size * (CONTEXTS + 1)
        low = high
    later, earlier = np.empty(most, np.int64), np.empty(most, np.int64)
    count, low = 0, 0
    while low < len(key):
        high = _bucket_end(key, low)
        if high - low > _SMALL:
            count = _link_many(places, (low, high), apart, (later, earlier), count)
            low = high
            continue
        for index in range(low + 1, high):
            removed = stands_for[index] != document[index]
            for other in range(low, index):
                if stands_for[other] != document[other] or (removed and document[other] == stands_for[index]):
                    break
                if document[other] != document[index] or place[index] - place[other] >= apart:
                    later[count], earlier[count] = index, other
                    count += 1
        low = high
    return later[:count].copy(), earlier[:count].copy()


@compiled
def _bucket_end(key: _Keys, low: int) -> int:
    high = low + 1
    while high < len(key) and key[high] == key[low]:
        high += 1
    return high


@compiled
def _link_many(places: Places, bucket: tuple[int, int], apart: int, pairs: tuple[Offsets, Offsets], count: int) -> int:
    """Pair the places of a large bucket with its first and with the first of each context; returns the new count."""
    low, high = bucket
    document, stands_for = places.document, places.stands_for
    heads = np.full((high - low, CONTEXTS + 1), low, np.int64)
    for context in range(CONTEXTS):
        keys = places.contexts[low:high, context].copy()
        order = np.argsort(keys, kind="mergesort")  # stable: the first of equal keys is the preferred one
        head = order[0]
        for index in order:
            if keys[index] != keys[head]:
                head = index
            heads[index, context + 1] = low + head if keys[index] else low
    for index in range(low + 1, high):
        removed = stands_for[index] != document[index]
        for column in range(CONTEXTS + 1):
            head = heads[index - low, column]
            known = stands_for[head] != document[head] or (removed and document[head] == stands_for[index])
            near = document[head] == document[index] and places.place[index] - places.place[head] < apart
            for before in range(column):
                known = known or heads[index - low, before] == head
            if not (known or near):
                pairs[0][count], pairs[1][count] = index, head
                count += 1
    return count


@compiled
def extend(units: Units, here: Windows, others: Units, there: Windows, gram: int) -> tuple[Offsets, Offsets]:
    """Compare `units` around each gram with `others` around its pair: (starts, ends) of the equal run in `units`.

    Start and end are equal if the grams differ. No run goes past the bounds of either window.
    """
    starts, ends = here.gram.copy(), here.gram.copy()
    for pair in range(len(starts)):
        start = end = here.gram[pair]
        shift = there.gram[pair] - start
        top = min(here.high[pair], there.high[pair] - shift)
        while end < top and units[end] == others[end + shift]:
            end += 1
        if end - start < gram:
            continue
        bottom = max(here.low[pair], there.low[pair] - shift)
        while start > bottom and units[start - 1] == others[start - 1 + shift]:
            start -= 1
        starts[pair], ends[pair] = start, end
    return starts, ends


def join(runs: Runs, least: int) -> Runs:
    """Join runs that overlap or touch and have the same shift; keep those of `least` units or more."""
    if not runs.text.size:
        return runs
    order = np.lexsort((runs.end, runs.start, runs.shift, runs.of, runs.text))
    text, start, end, of, shift, times = (column[order] for column in runs)
    fresh = np.ones(text.size, dtype=np.bool_)
    fresh[1:] = (text[1:] != text[:-1]) | (of[1:] != of[:-1]) | (shift[1:] != shift[:-1]) | (start[1:] > end[:-1])
    first = np.flatnonzero(fresh)
    last = np.r_[first[1:], text.size] - 1
    most = np.maximum.reduceat(times, first)
    keep = end[last] - start[first] >= least
    first, last = first[keep], last[keep]
    return Runs(text[first], start[first], end[last], of[first], shift[first], most[keep])
