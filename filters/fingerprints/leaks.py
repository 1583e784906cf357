"""Items of evaluation sets that stand in a text, whole or slightly changed.

Every gram of the items is known. A few grams of each text are looked up (winnowing), and where one is an item's, the
item is aligned with the text around it: a hit is judged by its similarity, 1 - edits / letters of the item, since runs
alone miss an item with one word in twelve changed.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from filters.fingerprints.letters import Letters, letters_of
from filters.fingerprints.lookup import LEAST, LEAST_DENSE, leasts_of
from filters.fingerprints.winnowing import winnow
from filters.text.compiled import compiled
from filters.text.words import Hashes

_SIMILAR = 0.75  # of an item that is in a text; below, stock sentences of clean text are taken for items
_SHORT, _SHORT_SIMILAR = 60, 0.8  # letters of a short item, and what it asks for
_JUDGED = {LEAST: 40, LEAST_DENSE: 16}  # letters of an item that can be judged; the second in scripts without spaces
_GRAM = {LEAST: 16, LEAST_DENSE: 6}
_WINDOW = 5  # any run of gram + window - 1 letters leads to an item
_LETTERS_A_SEED = 60  # of an item, for which one gram in the text is asked: a similar one has ten times as many
_LONGEST = 4000  # letters of an item that are aligned; of a longer one its first ones
_MOST_PLACES = 8  # of an item in a text that are aligned, those with most grams in common first
_MOST_ITEMS = 64  # that have one gram: more is a stock phrase
_FILTER_BITS = 24


class Leak(NamedTuple):
    """An item that stands in a text."""

    text: int  # row
    item: int
    similarity: float  # from 0 to 1
    start: int  # letters of the text, by number
    stop: int


class Items:
    """Items of evaluation sets, ready to be looked for."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.letters = letters_of(pa.array(list(texts), pa.large_string()))
        self.sizes = np.diff(self.letters.offsets)
        leasts = leasts_of(self.letters)
        self.judged = self.sizes >= np.array([_JUDGED[least] for least in leasts.tolist()], np.int64)
        self._tables = {least: self._grams(least) for least in _GRAM}

    def _grams(self, least: int) -> tuple[Hashes, npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """All grams of the items that can be judged: keys ascending, items, places; and a filter of first bits."""
        found = winnow(self.letters.units, self.letters.offsets, _GRAM[least], 1)
        kept = self.judged[found.text]
        key, item, place = found.key[kept], found.text[kept], found.place[kept]
        order = np.lexsort((place, item, key))
        key, item, place = key[order], item[order], place[order]
        known = np.zeros(1 << _FILTER_BITS, np.bool_)
        known[(key >> np.uint64(64 - _FILTER_BITS)).astype(np.int64)] = True
        return key, item, place, known

    def text_of(self, item: int) -> npt.NDArray[np.uint32]:
        """The letters of an item that are aligned."""
        start = self.letters.offsets[item]
        found: npt.NDArray[np.uint32] = self.letters.units[
            start : min(self.letters.offsets[item + 1], start + _LONGEST)
        ]
        return found

    def seeds(self, letters: Letters) -> Iterator[tuple[int, int, int]]:
        """Where a gram of a text is one of an item's: (text, item, letter of the text where the item would begin)."""
        dense = leasts_of(letters) == LEAST_DENSE
        for least, (keys, items, places, known) in self._tables.items():
            prints = winnow(letters.units, letters.offsets, _GRAM[least], _WINDOW)
            maybe = known[(prints.key >> np.uint64(64 - _FILTER_BITS)).astype(np.int64)]
            maybe &= dense[prints.text] == (least == LEAST_DENSE)
            at = np.flatnonzero(maybe)
            low, high = np.searchsorted(keys, prints.key[at], "left"), np.searchsorted(keys, prints.key[at], "right")
            for index in np.flatnonzero((high > low) & (high - low <= _MOST_ITEMS)).tolist():
                text, place = int(prints.text[at[index]]), int(prints.place[at[index]])
                for entry in range(low[index], high[index]):
                    yield text, int(items[entry]), place - int(places[entry])


def find_leaks(items: Items, texts: pa.Array) -> tuple[list[Leak], Letters]:
    """The items that stand in each text, at their best place, by text and item; and the letters of the texts."""
    letters = letters_of(texts)
    begins: dict[tuple[int, int], Counter[int]] = {}
    for text, item, begin in items.seeds(letters):
        step = max(8, int(items.sizes[item]) // 4)
        begins.setdefault((text, item), Counter())[begin // step * step] += 1
    found = []
    for text, item in sorted(begins):
        if begins[text, item].total() < int(items.sizes[item]) // _LETTERS_A_SEED:
            continue
        units = letters.units[letters.offsets[text] : letters.offsets[text + 1]]
        wanted = items.text_of(item)
        best = Leak(text, item, 0.0, 0, 0)
        tried = sorted(begins[text, item].items(), key=lambda each: (-each[1], each[0]))
        for begin, _ in tried[:_MOST_PLACES]:
            slack = max(16, len(wanted) // 2)
            low = max(0, begin - slack)
            edits, start, stop = _align(wanted, units[low : begin + len(wanted) + 2 * slack])
            similarity = 1 - edits / len(wanted)
            if similarity > best.similarity:
                best = Leak(text, item, similarity, low + start, low + stop)
        if best.similarity >= (_SHORT_SIMILAR if len(wanted) < _SHORT else _SIMILAR):
            found.append(best)
    return found, letters


@compiled
def _align(wanted: npt.NDArray[np.uint32], units: npt.NDArray[np.uint32]) -> tuple[int, int, int]:
    """The fewest edits that make a part of `units` of `wanted`, and that part (Sellers 1980)."""
    width = len(units)
    above, line = np.zeros(width + 1, np.int32), np.zeros(width + 1, np.int32)
    begin_above, begin = np.arange(width + 1).astype(np.int32), np.zeros(width + 1, np.int32)
    for row in range(len(wanted)):
        line[0], begin[0] = row + 1, 0
        for at in range(width):
            least, start = above[at] + (wanted[row] != units[at]), begin_above[at]
            if above[at + 1] + 1 < least:
                least, start = above[at + 1] + 1, begin_above[at + 1]
            if line[at] + 1 < least:
                least, start = line[at] + 1, begin[at]
            line[at + 1], begin[at + 1] = least, start
        above, line = line, above
        begin_above, begin = begin, begin_above
    stop = 0
    for at in range(1, width + 1):
        if above[at] < above[stop]:
            stop = at
    return int(above[stop]), int(begin_above[stop]), stop
