"""Words as FineWeb-2's filters have them: IndicNLP's rules written again, and the table before spaCy."""

import re
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from itertools import pairwise
from types import SimpleNamespace

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.text import splitters
from filters.text.splitters import split_words
from filters.text.words import code_points


def words(texts: list[str], segmenter: str) -> list[list[str]]:
    """The words of texts, as strings."""
    cut = split_words(*code_points(pa.array(texts, pa.large_string())), segmenter)
    spans = zip(cut.words.starts.tolist(), cut.words.ends.tolist(), strict=True)
    found = ["".join(map(chr, cut.codes[start:end])) for start, end in spans]
    firsts = cut.words.offsets.tolist()
    return [found[first:last] for first, last in pairwise(firsts)]


# Worked by the rules of IndicNLP 0.92: a space on both sides of every sign, then cut at single spaces; numbers with one
# of , . : / between are joined, unless the text begins with them; white space is taken off the words.
INDIC = [
    ("राम घर गया।", ["राम", "घर", "गया", "।"]),
    ("राम\tघर", ["राम", "घर"]),
    ("पहला\nदूसरा", ["पहला\nदूसरा"]),  # only spaces and tabs part words
    ("घर।\nराम", ["घर", "।", "राम"]),
    ("कीमत 12, 50 है", ["कीमत", "12,50", "है"]),
    ("कीमत 1,23,456.78 है", ["कीमत", "1,23,456.78", "है"]),
    ("12/5 को", ["12", "/", "5", "को"]),  # the text begins with it
    ("1:2 3:4", ["1", ":", "2", "3:4"]),
    ("अ12.5ब3.4", ["अ12.5ब3.4"]),
    ("1.2अ3.4", ["1", ".", "2अ3.4"]),
    ("क\\ख", ["क\\ख"]),  # a backslash is no sign there
    ("क_ख", ["क", "_", "ख"]),
    ("  ", []),
    ("", []),
]


@pytest.mark.parametrize(("text", "expected"), INDIC)
def test_words_are_cut_as_indicnlp_cuts_them(text: str, expected: list[str]) -> None:
    assert words([text], "indic") == [expected]
    assert words(["क 1.5", text, "ख"], "indic") == [["क", "1.5"], expected, ["ख"]]


def test_urdu_has_its_own_signs_and_cuts_numbers() -> None:
    assert words(["گھر۔ کیا؟ 12.5"], "indic-urdu") == [["گھر", "۔", "کیا؟", "12", ".", "5"]]


class Tokenizer:
    """Stands for a tokenizer of spaCy's: cuts off full stops, and knows the words "A. B." and "A."."""

    rules: Mapping[str, object] = {"A. B.": [], "A.": []}
    token_match = None
    _words = re.compile(r"A\. B\.|A\.|\.|[^\s.]+|\s+")

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.prefix_search = re.compile(r"^\.").search
        self.suffix_search = re.compile(r"\.$").search
        self.infix_finditer = re.compile(r"\.|(?<=[A-Z])\.(?=[a-z])").finditer

    def __call__(self, text: str) -> Iterator[SimpleNamespace]:
        self.asked += text.split("\n\n")
        for found in self._words.finditer(text):
            yield SimpleNamespace(idx=found.start(), text=found[0])


class Stand:
    """Stands for a language of spaCy's."""

    def __init__(self) -> None:
        self.tokenizer = Tokenizer()

    def memory_zone(self) -> nullcontext[None]:
        return nullcontext()


@pytest.fixture
def stand(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stand]:
    """spaCy with one language that we know."""
    language = Stand()
    monkeypatch.setattr(splitters, "_spacy_language", lambda code: language)
    splitters._spacy_pieces.cache_clear()
    yield language
    splitters._spacy_pieces.cache_clear()


def test_spacy_is_asked_once_for_each_piece_that_is_not_plain(stand: Stand) -> None:
    texts = ["One. Tw.o .One", "Tw.o\nThree", "One A.b One.."]
    assert words(texts, "spacy:xx") == [
        ["One", ".", "Tw", ".", "o", ".", "One"],
        ["Tw", ".", "o", "Three"],
        ["One", "A.", "b", "One", ".", "."],
    ]
    assert sorted(stand.tokenizer.asked) == ["A.b", "One..", "Tw.o"]
    assert words(["\u3000Three  Tw.o. "], "spacy:xx") == [["Three", "Tw", ".", "o", "."]]
    assert sorted(stand.tokenizer.asked) == ["A.b", "One..", "Tw.o", "Tw.o."]


def test_a_piece_of_any_length_takes_little_time(stand: Stand) -> None:
    assert [len(word) for word in words([f"{'a.' * 250} {'.' * 100_000}x One."], "spacy:xx")[0]][-4:] == [
        1,
        100_001,
        3,
        1,
    ]
    assert stand.tokenizer.asked == ["a." * 250]


def test_a_word_with_a_space_in_it_is_one_word(stand: Stand) -> None:
    assert words(["In A. B. now", "(A. B.).", "A.  B."], "spacy:xx") == [
        ["In", "A. B.", "now"],
        ["(A", ".", "B", ".", ")", "."],
        ["A.", "B", "."],
    ]


def test_a_full_table_is_emptied_and_gives_the_same_words(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splitters, "_MOST_PIECES", 8)
    texts = [" ".join(f"word{n}." for n in range(low, low + 5)) for low in range(0, 40, 3)]
    for text in texts:
        assert words([text], "spacy:xx") == [[part for word in text.split() for part in (word[:-1], ".")]]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text("aB. \n\t\u3000é", max_size=30), min_size=1, max_size=5))
def test_pieces_by_a_table_are_those_of_whole_texts(texts: list[str]) -> None:
    language = Stand()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(splitters, "_spacy_language", lambda code: language)
        splitters._spacy_pieces.cache_clear()
        found = words(texts, "spacy:xx")
        splitters._spacy_pieces.cache_clear()
    whole = [[token.text for token in language.tokenizer(text) if token.text.strip()] for text in texts]
    assert found == whole


def test_words_are_those_of_spacy_itself() -> None:
    spacy = pytest.importorskip("spacy", reason="needs the extra fineweb2")
    text = "L'arbre (vieux) d'EE. UU., qu'il voit à 12 km: «oui»... 3,5€/kg www.exemple.org"
    for code in ("fr", "es", "xx"):
        tokens = [token.text.strip() for token in spacy.blank(code).tokenizer(text)]
        assert words([text], f"spacy:{code}") == [[token for token in tokens if token]]
