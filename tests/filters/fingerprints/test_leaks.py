"""Leaks: items of evaluation sets in texts, by alignment."""

import random

import numpy as np
import pyarrow as pa
import pytest

from filters.fingerprints import leaks
from filters.fingerprints.leaks import Items, Leak, find_leaks

ITEM = "The ferry leaves the harbour at seven in the morning and comes back long after dark every day."
OTHER = "Nobody has ever seen the keeper of the lighthouse without his old brown coat and a small dog."


def found(items: list[str], *texts: str) -> list[tuple[int, int, float]]:
    return [(leak.text, leak.item, round(leak.similarity, 2)) for leak in find_leaks(Items(items), pa.array(texts))[0]]


def test_an_item_is_found_where_it_stands_with_its_letters() -> None:
    before = "Some words before it. "
    (leak,), letters = find_leaks(Items([OTHER, ITEM]), pa.array([before + ITEM + " And after."]))
    assert (leak.text, leak.item, leak.similarity) == (0, 1, 1.0)
    places = letters.places[: letters.offsets[1]]
    assert (places[leak.start], places[leak.stop - 1]) == (len(before), len(before + ITEM) - 2)


@pytest.mark.parametrize(
    ("text", "similarity"),
    [
        (ITEM.upper().replace(" ", "\n"), 1.0),
        (ITEM.replace("harbour", "station"), 0.9),
        (ITEM.replace("seven in the", "seven or eight in the"), 0.89),
        (ITEM.replace(" every day", ""), 0.9),
    ],
)
def test_changed_words_lower_the_similarity(text: str, similarity: float) -> None:
    ((_, _, seen),) = found([ITEM], f"Before. {text} After.")
    assert seen == pytest.approx(similarity, abs=0.04)


@pytest.mark.parametrize(
    "text",
    [
        "The ferry leaves the harbour at seven in the morning, and nothing else of it is here at all, is it?",
        " ".join(random.Random(0).sample(ITEM.split(), len(ITEM.split()))),
        "",
    ],
)
def test_what_is_not_the_item_is_not_found(text: str) -> None:
    assert found([ITEM], text) == []


def test_items_of_scripts_without_spaces_need_fewer_letters() -> None:
    item, latin = "每天早晨七点钟渡船离开港口天黑以后才回来", "A short line"
    assert Items([item, item[:15], latin]).judged.tolist() == [True, False, False]
    assert found([item], f"前面的一些话。{item}后面的话。") == [(0, 0, 1.0)]


def test_a_text_that_repeats_an_item_is_aligned_in_a_few_places(monkeypatch: pytest.MonkeyPatch) -> None:
    align, calls = leaks._align, []

    def counted(wanted: np.ndarray, units: np.ndarray) -> tuple[int, int, int]:
        calls.append(len(units))
        return align(wanted, units)

    monkeypatch.setattr(leaks, "_align", counted)
    assert found([ITEM], f"{ITEM} " * 500) == [(0, 0, 1.0)]
    assert len(calls) <= 8
    assert max(calls) < 4 * len(ITEM)


def test_the_alignment_is_that_of_brute_force() -> None:
    rng = random.Random(1)
    for _ in range(200):
        wanted, units = ([rng.randrange(3) for _ in range(rng.randint(1, size))] for size in (6, 9))
        edits, start, stop = leaks._align(np.array(wanted, np.uint32), np.array(units, np.uint32))
        every = [(low, high) for low in range(len(units) + 1) for high in range(low, len(units) + 1)]
        assert edits == min(distance(wanted, units[low:high]) for low, high in every)
        assert edits == distance(wanted, units[start:stop])


def distance(one: list[int], other: list[int]) -> int:
    row = list(range(len(other) + 1))
    for number, left in enumerate(one, 1):
        above, row[0] = row[0], number
        for at, right in enumerate(other, 1):
            above, row[at] = row[at], min(row[at] + 1, row[at - 1] + 1, above + (left != right))
    return row[-1]


def test_leaks_are_in_order() -> None:
    texts = [f"{OTHER} {ITEM}", "nothing", ITEM]
    assert [(leak.text, leak.item) for leak in find_leaks(Items([ITEM, OTHER]), pa.array(texts))[0]] == [
        (0, 0),
        (0, 1),
        (2, 0),
    ]
    assert Leak._fields == ("text", "item", "similarity", "start", "stop")
