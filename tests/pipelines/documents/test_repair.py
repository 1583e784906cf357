import doctest
import unicodedata

import pytest

from pipelines.documents import order, repair
from pipelines.documents.layout import Line, columns, paragraphs, without_heads
from pipelines.documents.order import Glyph, logical_line
from pipelines.documents.repair import compose_accents, join_hyphens, letters_of_pictures
from pipelines.documents.signals import broken_text


@pytest.mark.parametrize("module", [repair, order])
def test_examples_in_docstrings_hold(module):
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize(
    ("pictures", "letters"),
    [
        ("ofﬁce eﬀort", "office effort"),
        ("x² ½ ＡＢ", "x² ½ ＡＢ"),
        ("ﻣﺮﺣﺒﺎ", "مرحبا"),
        ("e\u0301\u0323", "e\u0301\u0323"),
    ],
)
def test_only_pictures_of_letters_are_folded(pictures, letters):
    assert letters_of_pictures(pictures) == letters


def test_accents_are_composed_only_in_a_text_full_of_them():
    assert compose_accents(["´et´e r´ev`ele", "na¨ıf fenˆetre"]) == ["été révèle", "naïf fenêtre"]
    assert compose_accents(["2^n and `code`"]) == ["2^n and `code`"]


@pytest.mark.parametrize(
    ("divided", "whole"),
    [
        (["Re\ufffeport", "a report"], "Report"),
        (["well-\nknown", "a well-known man"], "well-known"),
        (["docu-\nment", "this document"], "document"),
        (["orílẹ̀‐èdè"], "orílẹ̀‐èdè"),
        (["ẹ̀tọ́-\nọmọ", "ẹ̀tọ́ ọmọ"], "ẹ̀tọ́-ọmọ"),
    ],
)
def test_words_divided_at_a_line_end_are_whole_again(divided, whole):
    assert join_hyphens(divided)[0] == whole


def page(*texts, top=700.0, left=50.0, width=200.0):
    return [Line(text, left, left + width * len(text) / 40, top - 12 * n) for n, text in enumerate(texts)]


def test_a_short_line_ends_a_paragraph():
    full = "a line of as many letters as will fit on"
    assert list(paragraphs([page(full, "and its end.", full, "the end.")])) == [
        f"{full} and its end.",
        f"{full} the end.",
    ]


def test_chinese_lines_are_joined_without_a_space():
    assert list(paragraphs([page("人人生而自由在尊严和权利上一律平等他们", "赋有理性和良心。")])) == [
        "人人生而自由在尊严和权利上一律平等他们赋有理性和良心。"
    ]


def test_running_heads_and_page_numbers_go_and_text_stays():
    body = [f"the text of page {word} is its own and no other" for word in ("one", "two", "three", "four")]
    pages = [[*page("The Book of Life", text, "and it goes on for more lines"), *page(str(n + 7), top=40.0)]
             for n, text in enumerate(body)]  # fmt: skip
    kept = [[line.text for line in each] for each in without_heads(pages)]
    assert all(text in lines and "The Book of Life" not in lines for text, lines in zip(body, kept, strict=True))
    assert not any(str(n + 7) in lines for n, lines in enumerate(kept))


def test_two_columns_written_line_by_line_are_read_one_after_the_other():
    left, right = page(*[f"left {n}" for n in range(9)]), page(*[f"right {n}" for n in range(9)], left=300.0)
    mixed = [line for pair in zip(left, right, strict=True) for line in pair]
    assert [line.text for line in columns(mixed)] == [line.text for line in [*left, *right]]


@pytest.mark.parametrize("text", ["שלום 2026 עולם", "القيمة rgb في سطر", "محمد"])
def test_a_line_from_right_to_left_is_read_by_the_places_of_its_letters(text):
    runs = text.split(" ")
    seen, x = [], 0.0
    for run in reversed(runs):
        for sign in run if run.isascii() else reversed(run):
            seen.append(Glyph(sign, x, x + 5, x, x + 5, 10))
            x += 5
        x += 5
    assert logical_line(sorted(seen, key=lambda glyph: glyph.text)) == unicodedata.normalize("NFC", text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("पढ़ना और लिखना सबके लिए ज़रूरी है। " * 20, None),
        ("பொதுகொக்கொது ெதொடுவைத ைககைளைக் " * 40, "extract.garbled"),
        ("ab\x18cd\ue000 efgh " * 40, "extract.garbled"),
        ("قرأت المدرسة الكتاب الجديد " * 40, None),
        ("ةسردملا تأرق ىلع باتكلا " * 40, "extract.order"),
        ("Re\ufffeport of the year " * 40, None),
        ("Ouvrez la fenêtre du navigateur de rapport " * 9, None),
        ("".join(chr(ord(sign) - 29) for sign in "ouvrez la fenetre du navigateur " * 9), "extract.garbled"),
        (unicodedata.normalize("NFD", "மொழி பொருள் சொல் கொடு நோக்கு " * 12), None),
        ("मनुष्यों को गौरव और अधिकारों के मामले में स्वतन्त्रता प्राप्त है। " * 9, None),
        ("मनु6यों को गौ(व और अधि*रों के मा9ले में स्व:तन्त्रता प्रा4प्त है। " * 9, "extract.garbled"),
    ],
)
def test_text_that_is_not_what_a_reader_sees_is_known(text, reason):
    assert broken_text(text) == reason
