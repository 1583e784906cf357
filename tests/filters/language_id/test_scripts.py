"""The script of a text, counted letter by letter."""

import pytest

from filters.language_id.scripts import han_form, script_counts, script_of

HANS = "猫在桌子上睡觉,孩子们在院子里玩耍,太阳照着这间房子,妈妈在厨房里做饭。"
HANT = "貓在桌子上睡覺,孩子們在院子裡玩耍,太陽照著這間房子,媽媽在廚房裡做飯。"


def test_letters_are_counted_by_script_and_signs_left_out() -> None:
    assert script_counts("abc где 12") == {"Cyrl": 3, "Latn": 3}
    assert list(script_counts("abcd где")) == ["Latn", "Cyrl"]


@pytest.mark.parametrize(
    ("text", "script"),
    [("የኢትዮጵያ", "Ethi"), ("漢字かな", "Jpan"), ("été", "Latn"), (HANS, "Hans"), (HANT, "Hant"), ("12 ...", "Zzzz")],
)
def test_the_script_of_a_text_is_that_of_most_letters(text: str, script: str) -> None:
    assert script_of(text) == script


def test_chinese_is_simplified_where_both_forms_are_as_many() -> None:
    assert (han_form(HANS), han_form(HANT), han_form("猫貓"), han_form("")) == ("Hans", "Hant", "Hans", "Hans")
