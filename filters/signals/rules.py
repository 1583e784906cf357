"""Compares signals with bounds: which documents are dropped, and why.

Judging reads only numbers, so a new bound never reads a text again. All bounds are tried, in the order of SIGNALS:
`failed` names every bound that is crossed, `drop` the first.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from filters.language import Bound
from filters.signals.measures import MEASURES
from roots.errors import SettingsError, unknown_name

LANGUAGE_SCORE = "language_score"  # measured by extract: the chance that the text is in its language
SIGNALS = (LANGUAGE_SCORE, *MEASURES)


@dataclass(frozen=True)
class Rule:
    """The bound of one signal; both ends are allowed values, None is no limit."""

    signal: str
    min: float | None
    max: float | None


def rules_of(bounds: Mapping[str, Bound]) -> tuple[Rule, ...]:
    """The bounds that limit anything, in the order of SIGNALS. Raises SettingsError for an unknown signal."""
    for signal in bounds:
        if signal not in SIGNALS:
            raise SettingsError(unknown_name("signal", signal, SIGNALS))
    order = sorted(bounds, key=SIGNALS.index)
    rules = [Rule(signal, bounds[signal].min, bounds[signal].max) for signal in order]
    return tuple(rule for rule in rules if rule.min is not None or rule.max is not None)


def judge(signals: Mapping[str, pa.Array], rules: tuple[Rule, ...], stage: str = "filter") -> tuple[pa.Array, pa.Array]:
    """Judge rows of signals by rules.

    `signals` holds one array (rows,) for every signal the rules name. Returns `drop`, a string such as
    "filter.special_characters" for the first rule that fails or null, and `failed`, the list of all signals that fail.
    A null signal does not apply, and passes. Raises ValueError for NaN.
    """
    rows = len(next(iter(signals.values()))) if signals else 0
    crossed = np.zeros((rows, len(rules)), np.bool_, order="F")
    for column, rule in enumerate(rules):
        crossed[:, column] = _crossed(signals[rule.signal], rule)
    names = pa.array([rule.signal for rule in rules], pa.string())
    row, at = np.nonzero(crossed)
    offsets = np.zeros(rows + 1, np.int32)
    np.cumsum(np.bincount(row, minlength=rows), out=offsets[1:])
    failed = pa.ListArray.from_arrays(pa.array(offsets), names.take(pa.array(at)))
    reasons = pa.array([f"{stage}.{rule.signal}" for rule in rules], pa.string())
    any_crossed = crossed.any(axis=1) if rules else np.zeros(rows, np.bool_)
    first = crossed.argmax(axis=1) if rules else np.zeros(rows, np.int64)
    return reasons.take(pa.array(first, mask=~any_crossed)), failed


def _crossed(values: pa.Array, rule: Rule) -> npt.NDArray[np.bool_]:
    """Which rows a rule drops; compared as float32, as signals are stored, so that a bound of 0.1 lets 0.1 pass."""
    missing = np.asarray(values.is_null())
    numbers = np.asarray(values.fill_null(0) if values.null_count else values)
    if np.isnan(numbers).any():
        raise ValueError(f"{rule.signal} is NaN in {int(np.isnan(numbers).sum())} rows: a measure must give a number")
    kind = np.float32 if numbers.dtype == np.float32 else np.float64
    crossed = np.zeros(len(numbers), np.bool_)
    if rule.min is not None:
        crossed |= numbers < kind(rule.min)
    if rule.max is not None:
        crossed |= numbers > kind(rule.max)
    crossed &= ~missing
    return crossed
