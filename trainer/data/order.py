"""The order of rows: a keyed permutation of the rows of each language, and turns that give each language its share."""

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from trainer.data.token_shards import Ints

PERIOD = 4_096  # positions after which the turns of the languages repeat
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


def turns(weights: Sequence[float], period: int = PERIOD) -> npt.NDArray[np.int16]:
    """Return the language of each position of a period; in every prefix, each share is right to within one row.

    Source: Tijdeman 1980, the chairman assignment problem.
    """
    shares = np.asarray(weights, dtype=np.float64)
    shares = shares / shares.sum()
    counts = np.zeros(len(shares))
    slack = 1 / (2 * len(shares) - 2) if len(shares) > 1 else 1.0
    order = np.zeros(period, dtype=np.int16)
    for position in range(1, period + 1):
        owed = shares * position - counts
        deadline = np.where((owed >= slack) & (shares > 0), (1 - slack - owed) / np.maximum(shares, 1e-300), np.inf)
        chosen = int(np.argmin(deadline)) if np.isfinite(deadline).any() else int(np.argmax(owed))
        order[position - 1] = chosen
        counts[chosen] += 1
    return order
