import numpy as np
import pytest

from filters.main_text.choose import choose, text_of
from filters.main_text.labels import label
from filters.main_text.scan import scan


def page_of(body):
    return scan(body.encode())


def text(body):
    page = page_of(body)
    return text_of(page, np.ones(len(page.blocks), np.bool_))


@pytest.mark.parametrize(
    ("body", "lines"),
    [
        ("<p>a</p><p>b</p>", ["a", "b"]),
        ("<ul><li>a<li><p>b</p><p>c</p></ul>", ["- a", "- b", "c"]),
        ("<table><tr><th>x<th>y<tr><td>1<td>2</table>", ["| x | y |", "| 1 | 2 |"]),
        ("<table><tr><td>1<br>one<td>2</table>", ["| 1 one | 2 |"]),
        ("<table><tr><td>alone</table>", ["alone"]),
        ("<table><tr><td><div>menu</div><td><p>text</p></table>", ["menu", "text"]),
        ("<table><tr><td>m<td>" + "a line of verse<br>" * 8 + "</table>", ["m", *["a line of verse"] * 8]),
        ("<table><tr><td><table><tr><td>1<td>2</table><td>x</table>", ["| 1 | 2 |", "x"]),
        ("<pre>a\n  b</pre>c", ["a", "  b", "c"]),
    ],
)
def test_text_is_put_together_as_it_is_shown(body, lines):
    assert text(body).split("\n") == lines


def test_the_choice_has_the_greatest_expected_f1():
    page = page_of(
        "<p>" + "</p><p>".join(sign * size for sign, size in zip("abcd", (100, 100, 50, 400), strict=True)) + "</p>"
    )
    judged = np.array([0.9, 0.8, 0.7, 0.1], np.float32)
    choice = choose(page, judged)
    assert choice.taken.tolist() == [True, True, True, False]
    assert choice.expected == pytest.approx(2 * (90 + 80 + 35) / (250 + 90 + 80 + 35 + 40))
    assert choice.share == pytest.approx(250 / 650)
    assert choose(page, np.array([0.9, 0.2, 0.16, 0.1], np.float32), whole=True).taken.tolist() == [
        True,
        True,
        True,
        False,
    ]


def test_a_long_block_is_taken_once_and_a_refrain_each_time():
    verse, refrain = "A long line of the song that somebody wrote about the river and its mill.", "Row on, row on."
    page = page_of("".join(f"<p>{line}</p>" for line in (verse, refrain, verse, refrain)))
    assert choose(page, np.full(4, 0.9, np.float32)).taken.tolist() == [True, True, False, True]
    assert choose(page_of(f"<p>{verse}" * 9), np.full(9, 0.9, np.float32)).taken.all()  # spam, which filters must see


def test_labels_are_of_the_text_and_not_of_a_teaser_that_repeats_it():
    lead = "The ferry leaves the harbour at seven and comes back after dark."
    gold = f"The ferry\n{lead}\nNobody on the island has ever missed it twice in a week.\nSo they say."
    blocks = ["Home", lead, *gold.split("\n"), "Home"]
    found = label(blocks, gold)
    assert [value >= 0.5 for value in found] == [False, False, True, True, True, True, False]


def test_labels_know_scripts_without_spaces():
    gold = "老渔夫每天清晨划着小船去湖心撒网。\n傍晚带着满舱的鲤鱼回到村口。"
    assert label(["首页", *gold.split("\n"), "相关新闻"], gold).tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize(
    ("body", "whole"),
    [
        ("<article><p>{0}</p><table><tr><td>a<td>b<tr><td>1<td>2</table><p>{1}</p></article>", True),
        ("<article><p>{0}</p><div><pre>x = 1</pre></div><p>{1}</p></article>", True),
        (
            "<article><p>{0}</p><p>{1}</p></article><div><table><tr><td>a<td>b<tr><td>1<td>2</table><p>{2}</p></div>",
            False,
        ),
    ],
)
def test_a_table_in_the_text_is_taken_whole(body, whole):
    page = page_of(body.format("A" * 90, "B" * 90, "C" * 90))
    judged = np.array(
        [0.9 if page.block_text(n)[0] in "AB" and page.blocks[n, 3] > 9 else 0.1 for n in range(len(page.blocks))]
    )
    taken = choose(page, judged.astype(np.float32)).taken
    assert taken.all() == whole
    assert taken.sum() >= 2
