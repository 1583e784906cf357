"""How documents fill rows: cut from the stream, or packed whole by best fit.

A row holds T + 1 tokens: T inputs, and the T targets one position to the right.
"""

from bisect import bisect_left, insort
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from trainer.data.token_shards import Ints, TokenShards
from trainer.tokenizer.files import END_ID

_DOCUMENTS_PACKED = 65_536  # documents packed together


class _Concatenated:
    """Rows cut from the stream of documents, T tokens each; a document may go on in the next row."""

    def __init__(self, shards: TokenShards, length: int) -> None:
        self.shards, self.length = shards, length
        self.rows = max(0, (shards.tokens - 1) // length)

    def fill(self, row: int, tokens: Ints, docs: npt.NDArray[np.int16]) -> None:
        """Write the T + 1 tokens of a row, and their document numbers, counted from 0 in each row."""
        start = row * self.length
        tokens[:] = self.shards.read(start, self.length + 1)
        first = int(np.searchsorted(self.shards.starts, start, side="right"))
        last = int(np.searchsorted(self.shards.starts, start + self.length, side="right"))
        docs[:] = 0
        docs[self.shards.starts[first:last] - start] = 1
        np.cumsum(docs, out=docs)


class BestFit:
    """Rows of whole documents, packed by best fit decreasing; only documents longer than a row are cut.

    _DOCUMENTS_PACKED documents are packed at a time.
    """

    def __init__(self, shards: TokenShards, length: int) -> None:
        self.shards, self.length = shards, length
        starts: list[Ints] = []
        sizes: list[Ints] = []
        rows: list[Ints] = []
        count = 0
        for begin in range(0, len(shards.starts) - 1, _DOCUMENTS_PACKED):
            block = shards.starts[begin : begin + _DOCUMENTS_PACKED + 1]
            start, size = _cut(block, length + 1)
            row = best_fit(size, length + 1)
            starts.append(start)
            sizes.append(size)
            rows.append(row + count)
            count = int(rows[-1].max(initial=count - 1)) + 1
        all_rows = np.concatenate(rows) if rows else np.zeros(0, np.int64)
        order = np.argsort(all_rows, kind="stable")
        self._start = (np.concatenate(starts) if starts else all_rows)[order]
        self._size = (np.concatenate(sizes) if sizes else all_rows)[order]
        self._first = np.searchsorted(all_rows[order], np.arange(count + 1))
        self.rows = count

    def fill(self, row: int, tokens: Ints, docs: npt.NDArray[np.int16]) -> None:
        """Write the T + 1 tokens of a row, and their document numbers; empty places hold `</s>` and number -1."""
        at = 0
        tokens[:] = END_ID
        docs[:] = -1
        for number, piece in enumerate(range(int(self._first[row]), int(self._first[row + 1]))):
            size = int(self._size[piece])
            tokens[at : at + size] = self.shards.read(int(self._start[piece]), size)
            docs[at : at + size] = number
            at += size


def _cut(starts: Ints, longest: int) -> tuple[Ints, Ints]:
    """Cut the documents that begin at `starts` into pieces of at most `longest`; return their starts and sizes."""
    sizes = np.diff(starts)
    pieces = np.maximum(1, -(-sizes // longest))
    which = np.repeat(np.arange(len(sizes)), pieces)
    within = np.arange(len(which)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    start = starts[:-1][which] + within * longest
    return start, np.minimum(longest, starts[1:][which] - start)


def best_fit(sizes: Ints, capacity: int) -> Ints:
    """Return the bin of each size by best fit decreasing: the fullest bin that has room. Bins are counted from 0.

    Equal sizes keep their order, so equal input gives equal bins.
    """
    bins = np.zeros(len(sizes), dtype=np.int64)
    room: dict[int, list[int]] = {}  # room left -> bins
    rooms: list[int] = []  # the keys, sorted
    count = 0
    for item in np.argsort(-sizes, kind="stable"):
        size = int(sizes[item])
        at = bisect_left(rooms, size)
        if at < len(rooms):
            left = rooms[at]
            chosen = room[left].pop()
            if not room[left]:
                del room[left]
                rooms.pop(at)
        else:
            left, chosen, count = capacity, count, count + 1
        bins[item] = chosen
        if left > size:
            if left - size not in room:
                insort(rooms, left - size)
                room[left - size] = []
            room[left - size].append(chosen)
    return bins


PACKINGS: Mapping[str, type[_Concatenated] | type[BestFit]] = {"concat": _Concatenated, "bestfit": BestFit}
