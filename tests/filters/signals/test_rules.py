"""Judging: the first bound crossed is the reason, all are named, and numbers alone decide."""

import numpy as np
import pyarrow as pa
import pytest

from filters.language import Bound
from filters.signals.measures import MEASURES
from filters.signals.rules import SIGNALS, Rule, judge, rules_of
from roots.errors import SettingsError

RULES = (Rule("words", 10, 100), Rule("special_characters", None, 0.4), Rule("function_words", 0.1, None))


def signals(words: list[int | None], special: list[float | None], function: list[float | None]) -> dict[str, pa.Array]:
    return {
        "words": pa.array(words, pa.int32()),
        "special_characters": pa.array(special, pa.float32()),
        "function_words": pa.array(function, pa.float32()),
    }


def test_the_first_bound_crossed_is_the_reason_and_all_are_named() -> None:
    drop, failed = judge(signals([50, 5, 500, 50], [0.1, 0.9, 0.1, 0.5], [0.3, 0.0, 0.3, 0.05]), RULES)
    assert drop.to_pylist() == [None, "filter.words", "filter.words", "filter.special_characters"]
    assert failed.to_pylist() == [
        [],
        ["words", "special_characters", "function_words"],
        ["words"],
        ["special_characters", "function_words"],
    ]


def test_a_bound_itself_is_allowed_as_stored_in_32_bits() -> None:
    drop, _ = judge(signals([10, 100], [0.4, 0.4], [0.1, 0.1]), RULES)
    assert drop.to_pylist() == [None, None]


def test_a_signal_that_does_not_apply_passes() -> None:
    drop, failed = judge(signals([50], [None], [None]), RULES)
    assert drop.to_pylist() == [None]
    assert failed.to_pylist() == [[]]


def test_nan_is_refused() -> None:
    with pytest.raises(ValueError, match="function_words is NaN in 1 rows"):
        judge(signals([50], [0.1], [float("nan")]), RULES)


def test_without_rules_or_rows_nothing_is_dropped() -> None:
    assert judge(signals([1], [1.0], [0.0]), ())[0].to_pylist() == [None]
    drop, failed = judge(signals([], [], []), RULES)
    assert (len(drop), len(failed)) == (0, 0)


def test_rules_stand_in_the_order_of_the_signals_whatever_the_order_of_the_bounds() -> None:
    bounds = {name: Bound(max=1) for name in reversed(SIGNALS)} | {"words": Bound()}
    assert [rule.signal for rule in rules_of(bounds)] == [name for name in SIGNALS if name != "words"]


def test_an_unknown_signal_names_the_nearest() -> None:
    with pytest.raises(SettingsError, match="Did you mean 'special_characters'"):
        rules_of({"special_charcters": Bound(max=1)})


def test_every_row_and_signal_is_compared() -> None:
    numbers = np.random.default_rng(0).random(10_000, np.float32)
    columns = {name: pa.array(numbers) for name in MEASURES}
    drop, failed = judge(columns, tuple(Rule(name, 0.02, 0.98) for name in MEASURES))
    inside = (numbers >= np.float32(0.02)) & (numbers <= np.float32(0.98))
    assert drop.null_count == int(inside.sum())
    assert len(failed.flatten()) == len(MEASURES) * int((~inside).sum())
