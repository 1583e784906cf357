"""Letters: what makes no difference between texts, and where each letter is."""

import unicodedata

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.fingerprints.letters import letters_of


def units(text: str) -> list[int]:
    found: list[int] = letters_of(pa.array([text])).units.tolist()
    return found


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Việt Nam, cà-phê!", "việt nam CÀ PHÊ"),
        ("١٢٣ نصّ", "123نص"),
        ("قَالَ", "قال"),
        ("a\u200bb\u00adc", "abc"),
        ("Ọ̀rọ̀", "ọ̀rọ̀"),
        ("२०२४", "2024"),
    ],
)
def test_these_are_equal(one: str, other: str) -> None:
    assert units(one) == units(other)


@pytest.mark.parametrize(
    ("one", "other"), [("café", "cafe"), ("कि", "की"), ("ọ̀", "ó"), ("ab", "ba"), ("天地", "地天"), ("ক", "ক্")]
)
def test_these_are_different(one: str, other: str) -> None:
    assert units(one) != units(other)


@pytest.mark.parametrize(
    "text",
    ["ভালো কৌশল", "മലയാളം കൊച്ചി കൈ", "ଓଡ଼ିଆ ଲୋକ", "ಕನ್ನಡ ಕೋಟಿ", "தமிழ் கொடு", "한국어 문장", "tiếng Việt", "ꯃꯩꯇꯩ", "ශ්‍රී ලෝක"],
)
def test_normal_form_makes_no_difference(text: str) -> None:
    assert units(unicodedata.normalize("NFD", text)) == units(unicodedata.normalize("NFC", text))


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_every_text_has_equal_letters_in_both_normal_forms(text: str) -> None:
    assert units(unicodedata.normalize("NFD", text)) == units(unicodedata.normalize("NFC", text))


def test_places_count_characters_of_their_own_text() -> None:
    found = letters_of(pa.array(["a, é b", None, "ক্ষ!", "한"]))
    assert found.offsets.tolist() == [0, 3, 3, 5, 8]
    assert found.places.tolist() == [0, 3, 5, 0, 2, 0, 0, 0]
