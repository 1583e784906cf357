"""Prints of letters, packed so that a text is looked up in a few places, and the runs that two texts share.

A run of 100 letters, or of 40 in scripts without spaces between words, is found wherever it stands: it holds a whole
window, so its lowest gram is in the index. What the index gives is only where to look; `shared_runs` compares letters.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from filters.fingerprints.letters import Letters, letters_of
from filters.fingerprints.winnowing import Prints, winnow
from filters.near_duplicates.shingle_tables import SCRIPTS_WITHOUT_SPACES
from filters.text.characters import IDEOGRAPH, classes
from filters.text.compiled import compiled
from filters.text.words import Hashes, Offsets

LEAST, LEAST_DENSE = 100, 40  # letters of a run that is found; the second in scripts without spaces
_GRAMS = {LEAST: 50, LEAST_DENSE: 20}
_LOW_BITS, _IN_BUCKET = 16, 16  # bits that are compared in a bucket, and about how many prints it has
_MOST_PLACES = 8  # of one gram in the query
_CODE = (1 << 21) - 1


class Packed(NamedTuple):
    """Prints whose keys share their first bits. Bucket b has low[starts[b]:starts[b + 1]], ascending."""

    starts: npt.NDArray[np.uint32]  # (buckets + 1,)
    low: npt.NDArray[np.uint16]  # (prints,)
    block: npt.NDArray[np.uint8]  # (prints,): the part of the file that holds the print


class SharedRun(NamedTuple):
    """Letters that a text and a query share, by number: those of the text, and those of the query."""

    start: int
    stop: int
    query_start: int
    query_stop: int


@cache
def _without_spaces() -> npt.NDArray[np.bool_]:
    """Which code points are of scripts without spaces between words."""
    table: npt.NDArray[np.bool_] = (classes() & IDEOGRAPH) != 0
    for _, ranges in SCRIPTS_WITHOUT_SPACES.values():
        for low, high in ranges:
            table[low:high] = True
    return table


def leasts_of(letters: Letters) -> npt.NDArray[np.int64]:
    """Letters of a run that is found in each text: LEAST_DENSE if half of it is in scripts without spaces."""
    held = _count_marked(letters.units, letters.offsets, _without_spaces())
    return np.where(2 * held >= np.maximum(1, np.diff(letters.offsets)), LEAST_DENSE, LEAST)


@compiled
def _count_marked(
    units: npt.NDArray[np.uint32], offsets: Offsets, table: npt.NDArray[np.bool_]
) -> npt.NDArray[np.int64]:
    """How many letters of each text are of code points that the table marks."""
    found = np.zeros(len(offsets) - 1, np.int64)
    for text in range(len(offsets) - 1):
        for at in range(offsets[text], offsets[text + 1]):
            found[text] += table[units[at] & _CODE]
    return found


def _prints_of(letters: Letters, least: int) -> Prints:
    """The prints of the texts in which runs of `least` letters are found."""
    chosen = np.flatnonzero(leasts_of(letters) == least)
    pieces = [letters.units[letters.offsets[row] : letters.offsets[row + 1]] for row in chosen]
    offsets = np.concatenate(([0], np.cumsum([len(piece) for piece in pieces], dtype=np.int64)))
    units = np.concatenate(pieces) if pieces else np.zeros(0, np.uint32)
    found = winnow(units, offsets, *_sizes(least))
    return found._replace(text=chosen[found.text] if len(chosen) else found.text)


def _sizes(least: int) -> tuple[int, int]:
    gram = _GRAMS[least]
    return gram, least - gram + 1


def keys_of_batch(texts: pa.Array) -> Hashes:
    """The keys of all prints of some texts."""
    letters = letters_of(texts)
    return np.concatenate([_prints_of(letters, least).key for least in _GRAMS])


def pack(keys: Hashes, blocks: npt.NDArray[np.uint8], bits: int) -> Iterator[Packed]:
    """Pack prints by the first `bits` of their keys: 2 ** bits parts, in order."""
    order = np.lexsort((blocks, keys))
    keys, blocks = keys[order], blocks[order]
    same = np.concatenate(([False], (keys[1:] == keys[:-1]) & (blocks[1:] == blocks[:-1])))
    keys, blocks = keys[~same], blocks[~same]
    tops = (keys >> np.uint64(64 - bits)).astype(np.int64) if bits else np.zeros(len(keys), np.int64)
    ends = np.searchsorted(tops, np.arange(1, (1 << bits) + 1))
    start = 0
    for stop in ends.tolist():
        part = keys[start:stop] << np.uint64(bits) if bits else keys[start:stop]
        own = _bucket_bits(stop - start)
        buckets = _bucket(part, own)
        starts = np.searchsorted(buckets, np.arange((1 << own) + 1)).astype(np.uint32)
        low = ((part << np.uint64(own)) >> np.uint64(64 - _LOW_BITS)).astype(np.uint16)
        yield Packed(starts, low, blocks[start:stop])
        start = stop


def _bucket_bits(prints: int) -> int:
    return max(0, (prints // _IN_BUCKET).bit_length() - 1)


def _bucket(keys: Hashes, bits: int) -> npt.NDArray[np.int64]:
    found: npt.NDArray[np.int64] = (keys >> np.uint64(64 - bits)).astype(np.int64) if bits else np.zeros(len(keys), int)
    return found


def part_of(key: int, bits: int) -> int:
    """The part in which a key is."""
    return key >> (64 - bits)


def blocks_with(packed: Packed, key: int, bits: int) -> set[int]:
    """The blocks that may hold a print; a few are wrong by chance. `bits` as in `pack`."""
    own = _bucket_bits(len(packed.low))
    rest = (key << bits) & 0xFFFF_FFFF_FFFF_FFFF
    bucket = rest >> (64 - own)
    low = ((rest << own) & 0xFFFF_FFFF_FFFF_FFFF) >> (64 - _LOW_BITS)
    first, last = int(packed.starts[bucket]), int(packed.starts[bucket + 1])
    here = packed.low[first:last] == low
    return set(packed.block[first:last][here].tolist())


class Query:
    """A text that is looked for."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.letters = letters_of(pa.array([text], pa.large_string()))
        self.units = self.letters.units
        self._grams = {least: self._index(least) for least in _GRAMS}

    def keys(self) -> list[int]:
        """The keys to look up, each once, for texts of both kinds of scripts."""
        offsets = self.letters.offsets
        found = [winnow(self.units, offsets, *_sizes(least)).key for least in _GRAMS if len(self.units) >= least]
        return sorted({key for keys in found for key in keys.tolist()})

    def _index(self, least: int) -> tuple[Hashes, npt.NDArray[np.int64]]:
        """All grams of the query, by key: keys ascending, and their places."""
        if len(self.units) < least:
            return np.zeros(0, np.uint64), np.zeros(0, np.int64)
        found = winnow(self.units, self.letters.offsets, _sizes(least)[0], 1)
        order = np.argsort(found.key, kind="stable")
        return found.key[order], found.place[order]

    def seeds(self, letters: Letters) -> Iterator[tuple[int, int, int, int]]:
        """Places where a gram of the texts is one of the query: (text, letter, letter of the query, least of a run)."""
        for least, (keys, places) in self._grams.items():
            if not len(keys):
                continue
            prints = _prints_of(letters, least)
            low, high = np.searchsorted(keys, prints.key, "left"), np.searchsorted(keys, prints.key, "right")
            for at in np.flatnonzero(high > low).tolist():
                for place in places[low[at] : min(high[at], low[at] + _MOST_PLACES)].tolist():
                    yield int(prints.text[at]), int(prints.place[at]), place, least


def shared_runs(query: Query, letters: Letters) -> dict[int, list[SharedRun]]:
    """For each text the runs that it shares with the query, longest first; none of them lies in another."""
    found: dict[int, list[SharedRun]] = {}
    done: dict[tuple[int, int], int] = {}  # text and diagonal -> the letter up to which it was compared
    for text, at, place, least in query.seeds(letters):
        if done.get((text, at - place), -1) > at:
            continue
        units = letters.units[letters.offsets[text] : letters.offsets[text + 1]]
        back, ahead = _equal(units[:at][::-1], query.units[:place][::-1]), _equal(units[at:], query.units[place:])
        done[text, at - place] = at + ahead
        if back + ahead >= least:
            found.setdefault(text, []).append(SharedRun(at - back, at + ahead, place - back, place + ahead))
    return {text: _outermost(runs) for text, runs in found.items()}


def _equal(one: npt.NDArray[np.uint32], other: npt.NDArray[np.uint32]) -> int:
    """How many letters two sequences begin with together."""
    length = min(len(one), len(other))
    differ = one[:length] != other[:length]
    return int(differ.argmax()) if differ.any() else length


def _outermost(runs: Sequence[SharedRun]) -> list[SharedRun]:
    """The runs, longest first, without those inside a longer one of the text."""
    kept: list[SharedRun] = []
    for run in sorted(set(runs), key=lambda run: (run.start - run.stop, run)):
        if not any(other.start <= run.start and run.stop <= other.stop for other in kept):
            kept.append(run)
    return kept


def whole_query(query: Query, letters: Letters) -> dict[int, list[SharedRun]]:
    """The same for a query that is too short for the index: the texts that hold all of it, at its first place."""
    data, wanted = letters.units.tobytes(), query.units.tobytes()
    found: dict[int, list[SharedRun]] = {}
    at = data.find(wanted)
    while at >= 0:
        place, off = divmod(at, 4)
        text = int(np.searchsorted(letters.offsets, place, "right")) - 1
        start = place - int(letters.offsets[text])
        inside = place + len(query.units) <= letters.offsets[text + 1]
        if not off and inside:
            found.setdefault(text, []).append(SharedRun(start, start + len(query.units), 0, len(query.units)))
            at = data.find(wanted, 4 * int(letters.offsets[text + 1]))
        else:
            at = data.find(wanted, at + 1)
    return found
