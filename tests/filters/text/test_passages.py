"""Where two texts differ is shown where it is, in every script, and nothing of a text steers the terminal."""

import pytest

from filters.text.passages import (
    CONTEXT,
    MOST_COMPARED,
    PASSAGE,
    beginning,
    changes,
    cut_between_letters,
    differing,
    for_terminal,
    parted,
)

ARABIC = "اللُّغَةُ العَرَبِيَّةُ هي أكثر اللغات السامية تحدثا وإحدى أكثر اللغات انتشارا في العالم "
HEBREW = "עברית היא שפה שמית ממשפחת השפות האפרו אסייתיות הידועה כשפתם של היהודים "
THAI = "ภาษาไทยเป็นภาษาราชการและภาษาประจำชาติของประเทศไทยและไม่มีการเว้นวรรคระหว่างคำ"
HINDI = "हिन्दी विश्व की एक प्रमुख भाषा है और भारत की एक राजभाषा है "


def test_short_lines_are_shown_whole_and_equal_ones_not_at_all() -> None:
    found = list(differing(["same", "old line", "gone"], ["same", "new line"]))
    assert found == [("old line", "new line"), ("gone", "")]
    assert list(differing(["same"], ["first", "same", "last"])) == [("", "first"), ("", "last")]
    assert not list(differing(["a", "b"], ["a", "b"]))


@pytest.mark.parametrize(
    ("text", "one", "other"),
    [
        (ARABIC, "كتاب", "قلم"),
        (HEBREW, "ספר", "עיפרון"),
        (HINDI, "किताब", "कलम"),
        (THAI, "ไม้", "ไหม"),
        ("All of this is the same everywhere. ", "pen", "book"),
    ],
)
def test_a_word_that_differs_deep_in_a_long_line_is_shown_with_what_is_around_it(
    text: str, one: str, other: str
) -> None:
    before, after = text * 4, " " + text * 4
    ((here, there),) = differing([before + one + after], [before + other + after])
    assert one in here
    assert other in there
    assert other not in here
    for shown in (here, there):
        assert shown[0] == shown[-1] == "\u2026"
        assert len(shown) <= PASSAGE + 2 * CONTEXT + 8
        assert shown.strip("\u2026") in before + one + after + before + other + after


def test_every_place_of_a_long_line_is_a_passage_of_its_own() -> None:
    one = ARABIC * 2 + "واحد " + ARABIC * 2 + "اثنان " + ARABIC
    other = ARABIC * 2 + "ثلاثة " + ARABIC * 2 + ARABIC + "زائد"
    (first, second, third) = parted(one, other)
    assert "واحد" in first[0]
    assert "ثلاثة" in first[1]
    assert "اثنان" in second[0]
    assert second[1] == ""
    assert third[0] == ""
    assert third[1].endswith("زائد")


def test_no_letter_loses_its_marks() -> None:
    assert cut_between_letters("xकि" + "y", 2, 3) == "कि"
    assert cut_between_letters("xक", 1, 2) == "क"
    assert beginning("क" * (PASSAGE - 2) + "कि" + "z" * 9).endswith("कि\u2026")


def test_text_from_right_to_left_is_isolated_and_no_sign_steers_the_terminal() -> None:
    assert for_terminal("plain, é") == "plain, é"
    assert for_terminal(ARABIC) == f"\u2068{ARABIC}\u2069"
    assert for_terminal("\u202eevil\u202c \u2066x\u2069 a\tb\x1b[31m\x07\x9b") == "evil x a b\ufffd[31m\ufffd\ufffd"
    assert for_terminal("two\u2028lines\udcff") == "two lines\ufffd"
    assert for_terminal("می\u200cخواهم") == "\u2068می\u200cخواهم\u2069"  # a non-joiner is part of the word


def test_of_very_long_texts_the_beginning_is_compared_and_the_rest_is_one_change() -> None:
    # a hundred thousand words would take minutes
    words = [f"w{number * number % 4999}" for number in range(100_000)]
    other = [f"x{number}" if number % 50 == 7 else word for number, word in enumerate(words)]
    found = list(changes(words, other))
    assert found[:2] == [(7, 8, 7, 8), (57, 58, 57, 58)]
    assert found[-1] == (7 + MOST_COMPARED, 99_958, 7 + MOST_COMPARED, 99_958)
    assert len(found) == MOST_COMPARED // 50 + 1
    assert list(changes(words, words)) == []
    assert list(changes(words[:5], words)) == [(5, 5, 5, 5 + MOST_COMPARED), (5, 5, 5 + MOST_COMPARED, 100_000)]
