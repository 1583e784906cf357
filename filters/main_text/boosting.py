"""Grows forests of oblivious trees: gradient boosting of the logistic loss on features cut into 64 steps.

A level takes the question that lowers the loss most, summed over all leaves (Newton's step with an L2 penalty). One
thread and a seed: the same rows give the same trees. Source: T. Chen and C. Guestrin, "XGBoost" (KDD 2016), section 2;
A. Dorogush et al., "CatBoost" (2018), for oblivious trees.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from filters.main_text.forest import DEPTH, Forest, logistic
from filters.main_text.layout import Floats, Ints
from filters.text.compiled import compiled

_Steps = npt.NDArray[np.uint8]
_Sums = npt.NDArray[np.float64]
_STEPS = 64
_BORDER_ROWS = 200_000  # of a feature, from which its bounds are taken


@dataclass(frozen=True)
class Growth:
    """How a forest is grown."""

    trees: int = 120
    rate: float = 0.12
    penalty: float = 3.0
    rows: float = 0.6  # share of rows that a tree sees
    features: float = 0.3  # share of features that a tree may ask
    least: float = 1.0  # weight of second derivatives on both sides of a question


class _Slopes(NamedTuple):
    """The loss at the answers so far: both derivatives of all rows, and the rows that a tree sees."""

    gradients: Floats
    curvatures: Floats
    rows: Ints


def grow(numbers: Floats, wanted: Floats, weights: Floats, seed: int, growth: Growth) -> Forest:
    """A forest for the columns of `numbers` (F, N), whose answers `wanted` (N,) are from 0 to 1."""
    random = np.random.default_rng(seed)
    bounds = _bounds(numbers)
    steps = np.empty(numbers.shape, np.uint8)
    for feature in range(len(numbers)):
        steps[feature] = np.searchsorted(bounds[feature], numbers[feature], side="left")
    count = numbers.shape[1]
    sums = np.zeros(count, np.float32)
    weights = (weights / weights.mean()).astype(np.float32)
    asked, at, values = [], [], []
    for _ in range(growth.trees):
        probability = logistic(sums)
        gradients = weights * (probability - wanted)
        curvatures = weights * np.maximum(probability * (1 - probability), 1e-3)
        rows = np.flatnonzero(random.random(count) < growth.rows).astype(np.int32)
        chosen = np.flatnonzero(random.random(len(numbers)) < growth.features).astype(np.int32)
        slopes = _Slopes(gradients, curvatures, rows)
        questions, cuts, leaves = _grow_tree(steps, slopes, chosen, growth.penalty, growth.least)
        held = _values(leaves, slopes, growth.penalty) * growth.rate
        sums += held[leaves]
        asked.append(questions)
        at.append(bounds[questions, cuts])
        values.append(held)
    return Forest(np.array(asked, np.int32), np.array(at, np.float32), np.array(values, np.float32))


def _bounds(numbers: Floats) -> Floats:
    """Up to 63 bounds of each feature, halfway between values of it; unused ones are infinite. (F, 63)."""
    found = np.full((len(numbers), _STEPS - 1), np.inf, np.float32)
    step = max(1, numbers.shape[1] // _BORDER_ROWS)
    for feature in range(len(numbers)):
        values = np.sort(numbers[feature, ::step])
        distinct = np.unique(values)
        if len(distinct) > _STEPS:
            distinct = np.unique(values[np.linspace(0, len(values) - 1, _STEPS).astype(np.int64)])
        middle = ((distinct[1:].astype(np.float64) + distinct[:-1]) / 2).astype(np.float32)
        found[feature, : len(middle)] = middle[: _STEPS - 1]
    return found


@compiled
def _grow_tree(steps: _Steps, slopes: _Slopes, chosen: Ints, penalty: float, least: float) -> tuple[Ints, Ints, Ints]:
    """The features and steps of a tree's questions, (6,) each, and the leaf of every row, (N,)."""
    questions, cuts = np.zeros(DEPTH, np.int32), np.full(DEPTH, _STEPS - 2, np.int32)
    leaves = np.zeros(steps.shape[1], np.int32)
    for level in range(DEPTH):
        best = 0.0
        for feature in chosen:
            sums, weights = _histogram(steps[feature], slopes, leaves, 1 << level)
            gain, cut = _best_cut(sums, weights, penalty, least)
            if gain > best:
                best, questions[level], cuts[level] = gain, feature, cut
        asked, cut = steps[questions[level]], cuts[level]
        for row in range(len(leaves)):
            leaves[row] = leaves[row] * 2 + (asked[row] > cut)
    return questions, cuts, leaves


@compiled
def _histogram(steps: _Steps, slopes: _Slopes, leaves: Ints, count: int) -> tuple[_Sums, _Sums]:
    """The sums of both derivatives by leaf and step of one feature, (L, 64) each."""
    gradients, curvatures = slopes.gradients, slopes.curvatures
    sums, weights = np.zeros((count, _STEPS)), np.zeros((count, _STEPS))
    for row in slopes.rows:
        sums[leaves[row], steps[row]] += gradients[row]
        weights[leaves[row], steps[row]] += curvatures[row]
    return sums, weights


@compiled
def _best_cut(sums: _Sums, weights: _Sums, penalty: float, least: float) -> tuple[float, int]:
    """The largest gain of one feature over all its steps, and the step below which it cuts."""
    gains = np.zeros(_STEPS)
    for leaf in range(len(sums)):
        whole, weight = sums[leaf].sum(), weights[leaf].sum()
        base, left, left_weight = whole * whole / (weight + penalty), 0.0, 0.0
        for step in range(_STEPS - 1):
            left += sums[leaf, step]
            left_weight += weights[leaf, step]
            right, right_weight = whole - left, weight - left_weight
            if left_weight >= least and right_weight >= least:
                gains[step] += left * left / (left_weight + penalty) + right * right / (right_weight + penalty) - base
    cut = int(np.argmax(gains[: _STEPS - 1]))
    return gains[cut], cut


@compiled
def _values(leaves: Ints, slopes: _Slopes, penalty: float) -> Floats:
    """The value of every leaf of a tree, (64,)."""
    sums, weights = np.zeros(1 << DEPTH), np.zeros(1 << DEPTH)
    for row in slopes.rows:
        sums[leaves[row]] += slopes.gradients[row]
        weights[leaves[row]] += slopes.curvatures[row]
    return (-sums / (weights + penalty)).astype(np.float32)
