"""A language that little of a text is in gets no high score."""

import pytest

from filters.language_id.identify import identify, limit_scores
from pipelines.models.files import load_model

ENGLISH = (
    "The allotments behind the station were cleared last week, and the tenants have been given new plots by the river."
    "\nMost of them are pleased, because the soil there is better, but the old men miss the noise of the trains.\nThe"
    " railway will use the ground as a car park, which the neighbours had feared for years.\nA committee of gardeners"
    " is collecting seeds, tools and memories for a small exhibition in the town hall this summer.\n"
)
BENGALI = "কাল রাতে ঝড়ে আমাদের বাড়ির পাশের পুরনো বটগাছটা ভেঙে পড়েছে।\nসকালে সবাই এসে ডাল কেটে রাস্তা পরিষ্কার করল।\n"
FRENCH = (
    "Les jardins ouvriers derrière la gare ont été rasés la semaine dernière, et chacun a reçu une nouvelle parcelle.\n"
    "La plupart sont contents, car la terre y est meilleure, mais les anciens regrettent le bruit des trains.\n"
)


@pytest.mark.parametrize("text", [BENGALI + ENGLISH, ENGLISH + BENGALI])
def test_a_language_of_a_fifth_of_the_letters_has_no_score_above_a_half(text: str) -> None:
    assert dict(identify(text, load_model())).get("ben_Beng", 0.0) <= 0.5


def test_a_language_of_a_quarter_of_a_text_in_one_script_has_no_high_score() -> None:
    assert dict(identify(FRENCH + ENGLISH * 3, load_model())).get("fra_Latn", 0.0) <= 0.5


def test_a_text_in_one_language_keeps_its_score() -> None:
    first, score = identify(FRENCH * 3, load_model())[0]
    assert (first, score > 0.95) == ("fra_Latn", True)


def test_a_score_is_at_most_nine_tenths_where_most_letters_are_in_another_script() -> None:
    text = "aaaaaa কখগঘ"
    ((label, score),) = limit_scores([("ben_Beng", 0.99)], text, lambda pieces, least: [])
    assert (label, 0.5 <= score < 0.9) == ("ben_Beng", True)


@pytest.mark.parametrize(("share", "most"), [(1.0, 0.99), (0.7, 0.99), (0.5, 0.9), (0.4, 0.9)])
def test_a_score_above_nine_tenths_needs_most_pieces_in_the_language(share, most) -> None:
    text = "a" * int(3000 * share) + "b" * int(3000 * (1 - share))

    def glances(pieces: list[str], least: float) -> list[str]:
        """The model knows no label for the language of b."""
        return ["fra_Latn" for piece in pieces if "b" not in piece]

    assert limit_scores([("fra_Latn", 0.99)], text, glances) == [("fra_Latn", most)]


@pytest.mark.parametrize(("others", "most"), [(0, 0.99), (2, 0.99), (3, 0.9), (6, 0.9)])
def test_a_score_above_nine_tenths_is_refused_where_a_few_pieces_are_in_one_other_language(others, most) -> None:
    """Ten pieces of sixteen can be drawn from a language of less than half of the text."""
    tail = 3000 * others // 16
    text = "a" * (3000 - tail) + "b" * tail

    def glances(pieces: list[str], least: float) -> list[str]:
        return ["eng_Latn" if "b" in piece else "fra_Latn" for piece in pieces]

    assert limit_scores([("fra_Latn", 0.99)], text, glances) == [("fra_Latn", most)]


def test_one_piece_in_another_language_is_looked_into() -> None:
    """Seven sure pieces of the first eight allow every score, but not beside a piece in another language."""
    looks: list[list[str]] = []

    def glances(pieces: list[str], least: float) -> list[str]:
        looks.append(pieces)
        return ["eng_Latn" if "b" in piece else "fra_Latn" for piece in pieces]

    limit_scores([("fra_Latn", 0.99)], "a" * 3000, glances)
    assert len(looks) == 1
    limit_scores([("fra_Latn", 0.99)], "a" * 2900 + "b" * 100 + "a" * 600, glances)
    assert len(looks) > 1
