"""Lines that a source repeats: found, judged and removed whole; nothing else changes."""

import random
import re
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from filters.near_duplicates.repeated_lines import NO_RULE, find_lines, first_rule, removal_spans
from filters.near_duplicates.rules import LINE_RULES, LineRule
from filters.text.words import remove_spans

SOURCE = np.ones(1, np.uint64)
TEXTS = [
    "Accueil\n\nLe vent s'est levé.\nLire la suite\n",
    "  หน้าแรก \n\nไม่มีอะไร\n\n\nติดต่อเรา",
    "मुख्य पृष्ठ\nकिताब\r\nमुख्य पृष्ठ",
    "Trang chủ\n\nẸ káàárọ̀\n\n首页\n首页",
    "الصفحة الرئيسية",
    "\n \n\n",
    "",
]


def found(texts: list[str], least: int = 1) -> list[list[str]]:
    lines = find_lines(pa.array(texts), np.ones(len(texts), np.uint64), least)
    parts: list[list[str]] = [[] for _ in texts]
    for row, start, end in zip(lines.text.tolist(), lines.start.tolist(), lines.end.tolist(), strict=True):
        parts[row].append(texts[row][start:end])
    return parts


def test_lines_are_those_of_python_without_outer_white_space() -> None:
    assert found(TEXTS) == [[line.strip() for line in text.split("\n") if line.strip()] for text in TEXTS]
    assert found(["ab\nabc\n abcd "], least=3) == [["abc", "abcd"]]


def test_keys_are_equal_only_for_equal_lines_of_one_source() -> None:
    texts = ["Ẹ káàárọ̀\nमुख्य", "  Ẹ káàárọ̀ ".encode().decode(), "ẹ káàárọ̀", "Ẹ káàárò"]
    decomposed = ["E\u0323 ka\u0301a\u0300a\u0301ro\u0323\u0300"]
    keys = find_lines(pa.array(texts + decomposed), np.ones(5, np.uint64), 1).key
    assert keys[0] == keys[2] == keys[5]
    assert len({*keys.tolist()}) == 4
    assert (keys >= 0).all()
    other = find_lines(pa.array(texts), np.arange(2, 6, dtype=np.uint64), 1).key
    assert not set(other.tolist()) & set(keys.tolist())
    assert find_lines(pa.array(["a\nb\na"]), SOURCE, 1).again.tolist() == [False, False, True]


CUTS = [
    ("Nav\nA\nB", "Nav", "A\nB"),
    ("Nav\n\nA\nB", "Nav", "A\nB"),
    ("A\nNav\nB", "Nav", "A\nB"),
    ("A\n\nNav\nB", "Nav", "A\n\nB"),
    ("A\nNav\n\nB", "Nav", "A\n\nB"),
    ("A\n\nNav\n\nB", "Nav", "A\n\nB"),
    ("A\n\nNav\n\nNav\n\nB", "Nav", "A\n\nB"),
    ("A\n\nNav\nNav\n\nB", "Nav", "A\n\nB"),
    ("A\nNav\n\nNav\nB", "Nav", "A\n\nB"),
    ("A\n\nNav", "Nav", "A"),
    ("A\n \n  Nav \t\n\n", "Nav", "A"),
    ("Nav\n\nNav\nA\n\nNav\n\nNav\n", "Nav", "A"),
    ("Nav", "Nav", ""),
    ("\n\nNav\n\n", "Nav", ""),
    ("Nav\r\nA\r\nNav\r\nB", "Nav", "A\r\nB"),
    ("A\n\nB", "Nav", "A\n\nB"),
]


@pytest.mark.parametrize(("text", "line", "left"), CUTS)
def test_a_line_is_removed_with_its_line_feed_and_leaves_no_gap(text: str, line: str, left: str) -> None:
    for word, other in ((line, "A"), ("หน้าแรก", "किताब"), ("首页", "Ẹ̀kọ́")):
        here, want = (each.replace(line, word).replace("A", other) for each in (text, left))
        lines = find_lines(pa.array(["x", here]), np.ones(2, np.uint64), 1)
        mine = [here[start:end] == word for start, end in zip(lines.start[1:], lines.end[1:], strict=True)]
        go = np.flatnonzero([False, *mine])
        starts, ends = removal_spans(pa.array(["x", here]), lines.text[go], lines.start[go], lines.end[go])
        assert remove_spans(here, list(zip(starts.tolist(), ends.tolist(), strict=True))) == want


def test_removing_lines_does_not_change_the_others() -> None:
    rng = random.Random(5)
    for _ in range(400):
        text = "".join(rng.choice(["a", "ก่", " ", "\n", "\n\n", "\r\n", "é", "nav"]) for _ in range(rng.randrange(30)))
        lines = find_lines(pa.array([text]), SOURCE, 1)
        go = np.flatnonzero([rng.random() < 0.5 for _ in lines.start])
        starts, ends = removal_spans(pa.array([text]), lines.text[go], lines.start[go], lines.end[go])
        left = remove_spans(text, list(zip(starts.tolist(), ends.tolist(), strict=True)))
        stay = [text[s:e] for n, (s, e) in enumerate(zip(lines.start, lines.end, strict=True)) if n not in go]
        assert [line.strip() for line in left.split("\n") if line.strip()] == stay
        most = max([1, *(len(gap) for gap in re.findall(r"\n+", re.sub(r"[ \r]", "", text)))])
        assert all(len(gap) <= 2 * most for gap in re.findall(r"\n+", left))


def test_spans_outside_the_text_are_refused() -> None:
    for spans in ([(0, 9)], [(2, 1)], [(0, 2), (1, 3)]):
        with pytest.raises(ValueError, match="is not in a text"):
            remove_spans("abcd", spans)


def test_the_named_rules_are_those_of_roots() -> None:
    length, times, pages, of = (
        np.array(each) for each in ([15, 14, 14, 15, 3, 3, 3], [10, 10, 1, 9, 1, 1, 1], [9, 9, 1, 9, 11, 11, 10],
                                    [99, 99, 99, 99, 1000, 1200, 20])
    )  # fmt: skip
    names = ["template", "newspaper", "boilerplate"]
    taken = first_rule([LINE_RULES[name] for name in names], length, times, pages, of)
    assert taken.tolist() == [0, 1, NO_RULE, 1, 2, NO_RULE, NO_RULE]
    assert first_rule([LINE_RULES["newspaper"], LINE_RULES["template"]], length, times, pages, of)[0] == 0
    assert first_rule([], length, times, pages, of).tolist() == [NO_RULE] * 7


def test_a_rule_without_a_name_is_recorded_by_its_numbers() -> None:
    assert LineRule(characters=20, times=3).label == "characters=20 times=3"
    assert LineRule(pages=5, share=0.1).label == "characters=1 pages=5 share=0.1"
    assert LineRule("mine", times=3).label == "mine"


@pytest.mark.parametrize(
    "numbers",
    [
        {},
        {"times": 1},
        {"times": -1},
        {"characters": 0, "times": 2},
        {"pages": -1},
        {"share": 1.0},
        {"times": 2, "pages": 3},
    ],
)
def test_a_rule_with_impossible_numbers_is_refused(numbers: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="rule for lines"):
        LineRule(**numbers)
