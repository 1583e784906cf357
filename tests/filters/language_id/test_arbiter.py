"""The arbiter: which of two models it trusts, and how it doubts a neighbour."""

from collections.abc import Sequence
from math import log

import pytest

from filters.language_id.arbiter import FEATURES, Arbiter, Pair, learn_arbiter, model_line, with_doubt


def test_the_arbiter_learns_whom_to_believe() -> None:
    """Ours takes the foreign x for a; the wide model knows x, and is right about it."""
    wide = frozenset({"a", "x"})
    examples = [([("a", 0.9), ("b", 0.1)], [("a", 0.8), ("x", 0.1)], "a")] * 50
    examples += [([("a", 0.9), ("b", 0.1)], [("x", 0.9), ("a", 0.05)], "x")] * 50
    examples += [([("b", 0.9), ("a", 0.1)], [("x", 0.3), ("a", 0.2)], "b")] * 50
    arbiter = learn_arbiter(["a", "b"], wide, examples)
    for own, said, truth in examples[::50]:
        found = arbiter.judge(own, said)
        assert found[0][0] == truth
        assert found[0][1] > 0.8
        assert sum(score for _, score in found) == pytest.approx(1)


def test_an_arbiter_without_opinions_has_none() -> None:
    assert Arbiter({"a": (0.0,) * len(FEATURES)}, frozenset()).judge([], []) == []


def test_a_neighbour_in_new_topics_makes_the_arbiter_doubt_as_far_as_its_own_texts_allow() -> None:
    def example(own: float, truth: str) -> tuple[list[tuple[str, float]], list[tuple[str, float]], str]:
        return [("a", own), ("x", 1 - own)], [], truth

    # The logit of "a" is that of its score: 10 foreign texts from 0.5 to 0.95, 10 of its own from 0.6 to 0.96.
    arbiter = Arbiter({"a": (1.0, 0.0, 0.0, 0.0, 0.0, 0.0)}, frozenset())
    foreign = [example(0.5 + 0.05 * place, "near") for place in range(10)]
    mine = [example(0.6 + 0.04 * place, "a") for place in range(10)]
    asked = [*foreign, *mine, *(example(0.99, "far") for _ in range(9))]

    free = with_doubt(arbiter, asked, {"near"}, 0.2, 1.0 - 1e-9)
    assert free.weights["a"][-1] == pytest.approx(-log(0.85 / 0.15), abs=1e-3)
    bound = with_doubt(arbiter, asked, {"near"}, 0.2, 0.3)
    assert bound.weights["a"][-1] == pytest.approx(-log(0.72 / 0.28), abs=1e-3)
    assert with_doubt(arbiter, asked, {"near"}, 1.0, 0.3) == with_doubt(arbiter, asked, (), 0.2, 0.3) == arbiter


class Recorder:
    """A model that records what it is asked, and answers with one label and score."""

    def __init__(self, label: str, score: float) -> None:
        self.label, self.score = label, score
        self.asked: list[str] = []

    def predict(self, lines: Sequence[str], k: int) -> list[list[tuple[float, str]]]:
        self.asked += lines
        return [[(self.score, f"__label__{self.label}")] for _ in lines]


@pytest.mark.parametrize(
    ("line", "score", "readings"),
    [
        ("word " * 100, 0.95, ["pieces"]),
        ("word " * 100, 0.85, ["pieces", "whole"]),  # in doubt
        ("12.50 x 9 " * 50, 0.95, ["whole"]),  # pieces of a price list hold few letters
        ("word " * 20, 0.95, ["whole"]),
    ],
)
def test_the_whole_of_a_long_line_is_read_only_where_its_pieces_leave_doubt(
    line: str, score: float, readings: list[str]
) -> None:
    own, wide = Recorder("wol_Latn", score), Recorder("fr", 0.5)
    Pair(own, wide, Arbiter({"wol_Latn": (1.0,) * 6}, frozenset()), {"__label__fr": "fra_Latn"}).predict(line, 3)
    whole = len(model_line(line).strip())
    assert ["whole" if len(asked) == whole else "pieces" for asked in own.asked] == readings
