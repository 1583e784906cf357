import numpy as np

from filters.main_text.boosting import Growth, grow
from filters.main_text.forest import Forest


def rows(count=3000):
    chance = np.random.default_rng(3)
    numbers = chance.random((12, count)).astype(np.float32)
    numbers[5] = np.round(numbers[5] * 3)
    wanted = ((numbers[2] > 0.4) ^ (numbers[5] == 1)).astype(np.float32)
    return numbers, wanted


def test_a_forest_learns_what_one_question_cannot_say():
    numbers, wanted = rows()
    forest = grow(numbers[:, :2000], wanted[:2000], np.ones(2000, np.float32), 1, Growth(trees=30, features=0.8))
    right = (forest.answer(numbers[:, 2000:]) > 0.5) == (wanted[2000:] > 0.5)
    assert right.mean() > 0.97


def test_the_same_rows_and_seed_make_the_same_trees():
    numbers, wanted = rows(500)
    made = [grow(numbers, wanted, np.ones(500, np.float32), seed, Growth(trees=5)) for seed in (1, 1, 2)]
    assert np.array_equal(made[0].bounds, made[1].bounds)
    assert np.array_equal(made[0].values, made[1].values)
    assert not np.array_equal(made[0].features, made[2].features)


def test_a_forest_is_read_as_its_arrays_say():
    features = np.zeros((1, 6), np.int32)
    features[0, 5] = 1
    bounds = np.array([[0.5, np.inf, np.inf, np.inf, np.inf, 2.0]], np.float32)
    values = np.arange(64, dtype=np.float32)[None] / 16 - 1
    numbers = np.array([[0.5, 0.6, 0.6], [9.0, 2.0, 3.0]], np.float32)
    sums = np.array([values[0, 1], values[0, 32], values[0, 33]])
    assert np.allclose(Forest(features, bounds, values).answer(numbers), 1 / (1 + np.exp(-sums)), atol=1e-3)
