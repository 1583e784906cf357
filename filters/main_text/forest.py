"""Forests of oblivious trees: all nodes of a level ask the same question, so a tree is 6 features, 6 bounds, 64 values.

A tree reads one feature of all blocks at a time, which is many times faster than a block at a time.
"""

from dataclasses import dataclass

import numpy as np

from filters.main_text.layout import Floats, Ints
from filters.text.compiled import compiled

DEPTH = 6  # questions of a tree
_STEPS, _MOST = 512, 8  # steps of the table of the logistic function for each unit, and where it ends
_LOGISTIC = np.round(1 / (1 + np.exp(-np.arange(-_MOST * _STEPS, _MOST * _STEPS + 1) / _STEPS)), 4).astype(np.float32)


@dataclass(frozen=True)
class Forest:
    """Trees: `features` and `bounds` (T, 6), `values` (T, 64)."""

    features: Ints
    bounds: Floats
    values: Floats

    def answer(self, numbers: Floats) -> Floats:
        """The probability of each column of `numbers` (F, B), in steps of 0.0001; (B,)."""
        return logistic(_sums(numbers, self.features, self.bounds, self.values))


@compiled
def logistic(sums: Floats) -> Floats:
    """The logistic function from a table, so that it is the same on every processor."""
    found = np.empty(len(sums), np.float32)
    for place in range(len(sums)):
        step = np.int64(np.rint((min(max(sums[place], -_MOST), _MOST) + _MOST) * _STEPS))
        found[place] = _LOGISTIC[step]
    return found


@compiled
def _sums(numbers: Floats, features: Ints, bounds: Floats, values: Floats) -> Floats:
    """The sum of the values that all trees give to each column."""
    size = numbers.shape[1]
    found, leaves = np.zeros(size, np.float32), np.empty(size, np.int32)
    for tree in range(len(features)):
        leaves[:] = 0
        for level in range(DEPTH):
            row, bound = numbers[features[tree, level]], bounds[tree, level]
            for block in range(size):
                leaves[block] = leaves[block] * 2 + (row[block] > bound)
        held = values[tree]
        for block in range(size):
            found[block] += held[leaves[block]]
    return found
