import math
from dataclasses import replace
from itertools import pairwise

import pytest

from roots.errors import SettingsError
from roots.settings import build
from trainer.model.shapes import SHAPES
from trainer.settings import AblateSettings, EvaluateSettings, MemorizationSettings, TokenizerSettings
from trainer.training import recipe
from trainer.training.recipe import Recipe


def test_the_rate_is_a_function_of_tokens():
    cosine = Recipe(tokens=1000, warmup=0.1, min_lr=0.1, batch_tokens=256)
    assert recipe.learning_rate_share(cosine, 50) == pytest.approx(0.5)
    assert recipe.learning_rate_share(cosine, 100) == pytest.approx(1.0)
    assert recipe.learning_rate_share(cosine, 550) == pytest.approx(0.55)
    assert recipe.learning_rate_share(cosine, 1000) == recipe.learning_rate_share(cosine, 2000) == pytest.approx(0.1)
    wsd = replace(cosine, schedule="wsd", decay=0.2)
    assert [recipe.learning_rate_share(wsd, t) for t in (400, 800, 900, 1000)] == pytest.approx([1, 1, 0.55, 0.1])
    assert recipe.learning_rate_share(replace(cosine, schedule="constant"), 999) == 1


def test_the_batch_grows_as_that_of_bloom():
    bloom = Recipe(
        length=2048, batch_tokens=2048 * 2048, tokens=366 * 10**9, ramp_rows=192, ramp_by=16, ramp_tokens=20 * 10**9
    )
    assert recipe.batch_rows(bloom, 0) == 192
    assert recipe.batch_rows(bloom, 20 * 10**9) == 2048
    sizes = [recipe.batch_rows(bloom, t) for t in range(0, 20 * 10**9, 10**8)]
    assert sizes == sorted(sizes)
    assert {b - a for a, b in pairwise(sizes)} <= {0, 16}
    small = Recipe(length=2, batch_tokens=16, tokens=100, ramp_rows=2, ramp_by=2, ramp_tokens=40)
    assert list(recipe.rows_of_updates(small))[:4] == [2, 2, 2, 4]
    assert sum(recipe.rows_of_updates(small)) * 2 >= 100


@pytest.mark.parametrize("preset", SHAPES)
def test_every_preset_has_a_recipe_and_bloom_has_its_own(preset):
    found = recipe.recipe_for({"preset": preset, "seed": 7})
    assert (found.preset, found.seed) == (preset, 7)
    if preset == "bloom":
        assert (found.lr, found.rows, found.mask_documents) == (6e-5, 2048, False)
        assert found.lr * found.min_lr == pytest.approx(6e-6)
        assert found.warmup * 410e9 == pytest.approx(375e6)
        assert recipe.batch_rows(found, 0) == 192


def test_weights_of_languages_are_a_table():
    assert build(Recipe, {"weights": {"fr": 0.7, "sw": 1}}, "train").weights == {"fr": 0.7, "sw": 1.0}
    with pytest.raises(SettingsError, match="not a table"):
        build(Recipe, {"weights": "fr=0.7"}, "train")


def test_what_the_user_says_comes_before_the_preset():
    assert recipe.recipe_for({"lr": 0.5}).lr == 0.5
    assert recipe.recipe_for({}).optimiser == "muon"
    with pytest.raises(SettingsError, match="Did you mean 'bloom-3b'"):
        recipe.recipe_for({"preset": "bloom3b"})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"preset": "dmo"}, "Did you mean 'demo'"),
        ({"batch_tokens": 1000}, "multiple of length"),
        ({"optimiser": "muon", "shard": 2}, "whole matrices"),
        ({"warmup": 2.0}, "shares between"),
        ({"learning_rate": 1}, "unknown setting"),
        ({"tokens": 0}, "at least 1"),
        ({"lr": math.nan}, "lr must be above 0"),
        ({"clip": 0.0}, "clip must be above 0"),
        ({"weight_decay": -0.1}, "weight_decay must be at least 0"),
        ({"beta2": 1.0}, "beta1 and beta2"),
        ({"evaluate_every": -1}, "evaluate_every must be at least 0"),
        ({"ramp_rows": 8, "ramp_by": 0}, "ramp_by must be at least 1"),
    ],
)
def test_bad_settings_are_refused(values, message):
    with pytest.raises(SettingsError, match=message):
        build(Recipe, values, "train")


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("length", (-5,)), ("bytes", (0, -1)), ("samples", (-1,)), ("sample_tokens", (0,)), ("top_k", (-1,)),
        ("seed", (-1, 1 << 63)), ("curve", ((0,), (1, -2))), ("temperature", (-1.0, math.nan, math.inf)),
    ],
)  # fmt: skip
def test_each_number_of_an_evaluation_has_bounds(name, values):
    for value in values:
        with pytest.raises(SettingsError, match=f"evaluate: .*{name}"):
            build(EvaluateSettings, {name: value}, "evaluate")


def test_an_evaluation_may_be_greedy_and_without_samples_or_curve():
    values = {"temperature": 0, "top_k": 0, "samples": 0, "curve": (), "length": 0}
    settings = build(EvaluateSettings, values, "evaluate")
    assert {name: getattr(settings, name) for name in values} == values


@pytest.mark.parametrize(
    ("settings", "values"),
    [
        (TokenizerSettings, {"seed": -1}),
        (TokenizerSettings, {"min_frequency": 0}),
        (TokenizerSettings, {"within": {"fr": math.nan}, "rounds": 1}),
        (AblateSettings, {"held_out_bytes": 0}),
        (AblateSettings, {"bytes": -1}),
        (AblateSettings, {"vocabulary": 100}),
        (MemorizationSettings, {"seed": -1}),
    ],
)
def test_numbers_that_no_step_can_use_are_refused(settings, values):
    with pytest.raises(SettingsError):
        build(settings, values, "group")
