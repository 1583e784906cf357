"""Bounds and function words from trusted text: the same text gives the same numbers, within limits."""

import numpy as np
import pyarrow as pa
import pytest

from filters.language import load_language
from filters.signals.derive import (
    LIMITS,
    choose_texts,
    derive_bounds,
    derive_from_labels,
    derive_function_words,
    measure_texts,
    word_shares,
)
from roots.errors import InputError, SettingsError
from tests.support.stories import STORIES

ENGLISH = load_language("en")


def test_function_words_are_frequent_in_every_source() -> None:
    boats = ["The boat and the boat and the sail of the boat."] * 300
    bread = ["The bread and the flour and the oven of the bread."] * 300
    assert derive_function_words({"a": boats, "b": bread}, "unicode", 3) == ["the", "and", "of"]
    assert "boat" in derive_function_words({"a": boats}, "unicode", 3)
    assert derive_function_words({"a": ["The 2 of 3 2nd"]}, "unicode") == ["of", "the"]
    leaking = {"a": ["Rumah itu besar dan the"] * 9, "b": ["Kapal itu baru dan the"] * 9}
    assert derive_function_words(leaking, "unicode", 3) == ["dan", "itu", "the"]
    english = word_shares({"en": ["the house of the man"]}, "unicode")
    assert derive_function_words(leaking, "unicode", 3, {**english, "the": 0.9}) == ["dan", "itu", "baru"]
    with pytest.raises(InputError, match="no words"):
        derive_function_words({"a": ["12 34"]}, "unicode")


def test_function_words_of_one_normal_form() -> None:
    assert derive_function_words({"a": ["ọ̀rọ̀", "o\u0323\u0300ro\u0323\u0300"]}, "unicode") == ["ọ̀rọ̀"]


def test_every_bound_is_within_its_limits_and_names_its_source() -> None:
    derived = derive_bounds(measure_texts(STORIES, ENGLISH.reading), "test")
    assert derived.documents == 80
    for signal, bound in derived.bounds.items():
        low, high = sorted((LIMITS[signal].strictest, LIMITS[signal].laxest))
        value = getattr(bound, LIMITS[signal].side)
        assert low <= value <= high
        assert "of 80 documents" in bound.source
    assert set(derived.bounds) == {signal for signal, limit in LIMITS.items() if not limit.by_labels}


def test_a_bound_follows_its_quantile_between_the_limits() -> None:
    numbers = np.linspace(0.16, 0.26, 9901)
    derived = derive_bounds({"digits": pa.array(numbers, pa.float32())}, "test", 0.1)
    assert derived.bounds["digits"].max == pytest.approx(0.25, abs=0.002)
    assert derived.dropped == pytest.approx(0.1, abs=0.02)


def test_a_quantile_of_few_documents_is_moved_away_from_the_median() -> None:
    few, many = (pa.array(np.linspace(0.16, 0.26, count), pa.float32()) for count in (60, 60_000))
    bounds = [derive_bounds({"digits": numbers}, "test", 0.1).bounds["digits"].max for numbers in (few, many)]
    # median 0.21, quantile 0.25; six documents lie beyond it: 0.04 * (1 + 1 / (2 * 7 ** 0.5)) above the median
    assert bounds == [pytest.approx(0.21 + 0.04 * (1 + 0.5 / 7**0.5), abs=5e-4), pytest.approx(0.25, abs=1e-3)]


def test_short_lines_are_bounded_by_labels_only() -> None:
    signals = {"short_lines": pa.array(np.repeat([0.2, 1.0], 40), pa.float32())}
    assert derive_bounds(signals, "test").bounds == {}
    good = np.repeat([True, False], 40)
    assert derive_from_labels(signals, good, "labels").bounds["short_lines"].max == pytest.approx(0.2, abs=2e-3)


def test_bounds_that_drop_much_text_give_a_warning() -> None:
    numbers = np.where(np.arange(100) < 60, 0.9, 0.1)
    derived = derive_bounds({"digits": pa.array(numbers, pa.float32())}, "test")
    assert "drop 60%" in derived.warnings[0]


def test_too_little_text_and_odd_quantiles_are_refused() -> None:
    with pytest.raises(InputError, match="too few"):
        derive_bounds(measure_texts(STORIES[:10], ENGLISH.reading), "test")
    with pytest.raises(SettingsError, match="quantile"):
        derive_bounds(measure_texts(STORIES, ENGLISH.reading), "test", 0.5)


def test_labels_give_bounds_that_separate_junk_from_good_text() -> None:
    junk = ["Price 12,50 99 % 14.30 | 44 55 66 | 12:30 ## 7 8 9 10 11 12 13"] * 12
    signals = measure_texts([*STORIES[:30], *junk], ENGLISH.reading)
    derived = derive_from_labels(signals, np.array([True] * 30 + [False] * 12), "labels")
    assert derived.dropped == pytest.approx(12 / 42, abs=0.05)
    assert "drops 100% of 12 junk documents" in derived.bounds["digits"].source
    with pytest.raises(InputError, match="at least 10 of each"):
        derive_from_labels(signals, np.array([True] * 42), "labels")


def test_a_sample_is_the_same_for_the_same_seed_and_in_order() -> None:
    texts = [str(number) for number in range(100)]
    assert choose_texts(texts, 10, 1) == choose_texts(texts, 10, 1) != choose_texts(texts, 10, 2)
    assert choose_texts(texts, 10, 1) == sorted(choose_texts(texts, 10, 1), key=int)
    assert choose_texts(texts, 200, 1) == texts
