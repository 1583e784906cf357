"""The order of rows: a keyed permutation of the rows of each language, and turns that give each language its share."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from heapq import heapify, heappop, heappush

import numpy as np
import numpy.typing as npt

from trainer.data.token_shards import Ints

_LARGEST_SUM = 1 << 31  # of weights as whole numbers, so that products of two fit in 63 bits
_Unsigned = npt.NDArray[np.uint64]


def permuted(index: Ints, size: int, key: int) -> Ints:
    """Apply a pseudo-random permutation of 0..size-1 to `index`: four Feistel rounds and cycle walking, no table.

    Raises ValueError for an index out of range. Source: Luby and Rackoff 1988; Black and Rogaway 2002.
    """
    if size < 1 or (len(index) and (index.min() < 0 or index.max() >= size)):
        raise ValueError(f"an index lies outside 0..{size - 1}")
    half = np.uint64(max(1, -(-(size - 1).bit_length() // 2)))
    mask = np.uint64((1 << int(half)) - 1)
    digest = hashlib.blake2b(key.to_bytes(16, "little", signed=True), digest_size=32).digest()
    keys = np.frombuffer(digest, dtype="<u8")
    value = index.astype(np.uint64)
    todo = np.ones(len(value), dtype=np.bool_)
    while todo.any():
        left, right = value[todo] >> half, value[todo] & mask
        for round_key in keys:
            left, right = right, left ^ (_mixed(right + round_key) & mask)
        value[todo] = (left << half) | right
        todo = value >= np.uint64(size)
    return value.astype(np.int64)


def _mixed(value: _Unsigned) -> _Unsigned:
    """Mix the bits of each number: the finaliser of SplitMix64 (Steele et al. 2014)."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@dataclass(frozen=True)
class _Split:
    """A node of the tree of languages: of `whole` turns, `first` go to the first part and the rest to the second."""

    first: int
    whole: int
    parts: tuple["_Split | int", "_Split | int"]


class Turns:
    """Which language has the turn at each position, for ever: after n positions, n times its share within 2.

    The languages are the leaves of a Huffman tree. A node gives turn t to its first part where round(t x share) rises,
    so a part is never off by more than half a turn of its node. No inner node has more than 2/3 of the one above, so
    the halves add up to less than 2. Sources: Huffman 1952; Bresenham 1965 for the rounded line.
    """

    def __init__(self, weights: Sequence[float]) -> None:
        whole = _whole_numbers(weights)
        nodes: list[tuple[int, int, _Split | int]] = [(w, at, at) for at, w in enumerate(whole) if w]
        heapify(nodes)
        while len(nodes) > 1:
            a, _, left = heappop(nodes)
            b, mark, right = heappop(nodes)
            heappush(nodes, (a + b, mark + len(whole), _Split(a, a + b, (left, right))))
        self._root = nodes[0][2]

    def at(self, positions: Ints) -> tuple[Ints, Ints]:
        """Return the language at each position, and how many turns it had before."""
        source, turn = np.zeros(len(positions), np.int64), np.zeros(len(positions), np.int64)
        todo: list[tuple[_Split | int, Ints, Ints]] = [(self._root, np.arange(len(positions)), positions)]
        while todo:
            node, where, here = todo.pop()
            if isinstance(node, int):
                source[where], turn[where] = node, here
                continue
            before = _line(here, node)
            is_first = _line(here + 1, node) > before
            for part, mine, counted in ((0, is_first, before), (1, ~is_first, here - before)):
                if mine.any():
                    todo.append((node.parts[part], where[mine], counted[mine]))
        return source, turn


def _line(turns: Ints, node: _Split) -> Ints:
    """Return how many of the first `turns` turns of a node go to its first part: exact, and halves are rounded up."""
    rounds, rest = np.divmod(turns, node.whole)
    found: Ints = rounds * node.first + (rest * node.first + node.whole // 2) // node.whole
    return found


def _whole_numbers(weights: Sequence[float]) -> list[int]:
    """Return whole numbers in the ratio of the weights; at least 1 for a weight above 0, and a sum below 2^31."""
    exact = [Fraction(repr(float(weight))) for weight in weights]  # as the user wrote it: 0.1 is a tenth
    common = math.lcm(*(weight.denominator for weight in exact))
    found = [int(weight * common) for weight in exact]
    divisor = math.gcd(*found)
    found = [weight // divisor for weight in found]
    if (total := sum(found)) >= _LARGEST_SUM:
        found = [max(1, weight * (_LARGEST_SUM // 2) // total) if weight else 0 for weight in found]
    return found
