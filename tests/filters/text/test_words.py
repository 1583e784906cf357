"""Texts are cut as the scripts of the world ask, whichever way they are batched."""

import unicodedata
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.text.words import SEGMENTERS, CutTexts, code_points, cut_texts, hash_words

ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


def words_of(texts: CutTexts) -> list[list[str]]:
    spans = texts.words
    flat = ["".join(map(chr, texts.codes[a:b])) for a, b in zip(spans.starts, spans.ends, strict=True)]
    return [flat[a:b] for a, b in pairwise(spans.offsets)]


CUTS = [
    ("unicode", "I don't know.", ["I", "don't", "know"]),
    ("unicode", "1,000.5 and v2.0, end", ["1,000.5", "and", "v2.0", "end"]),
    ("unicode", "snake_case a-b e.g. x", ["snake_case", "a", "b", "e.g", "x"]),
    ("unicode", "नमस्ते दुनिया।", ["नमस्ते", "दुनिया"]),
    ("unicode", "আমি বাংলায় গান গাই।", ["আমি", "বাংলায়", "গান", "গাই"]),
    ("unicode", "தமிழ் மொழி", ["தமிழ்", "மொழி"]),
    ("unicode", "Ẹ káàárọ̀ o", ["Ẹ", "káàárọ̀", "o"]),
    ("unicode", "e\u0301te\u0301 là", ["e\u0301te\u0301", "là"]),
    ("unicode", "می‌خواهم بروم؟", ["می‌خواهم", "بروم"]),
    ("unicode", "این\u200bها", ["این", "ها"]),
    ("unicode", "Tiếng Việt, rất đẹp", ["Tiếng", "Việt", "rất", "đẹp"]),
    ("unicode", "你好 ok", ["你", "好", "ok"]),
    ("unicode", "👍🏽 -- …", []),
    ("elision", "L'eau d’Anna, aujourd'hui", ["L", "eau", "d", "Anna", "aujourd'hui"]),
    (
        "elision",
        "Lorsqu'elle dit: grand’mère veure'l QU'IL l'a'",
        [
            "Lorsqu",
            "elle",
            "dit",
            "grand’mère",
            "veure",
            "l",
            "QU",
            "IL",
            "l",
            "a",
        ],
    ),
    ("icu", "今天天气很好,我们去公园。", ["今天", "天气", "很好", "我们", "去", "公园"]),
    ("icu", "我們在學校學習", ["我們", "在", "學校", "學習"]),
    ("icu", "สวัสดีครับผมชื่อ", ["สวัสดี", "ครับ", "ผม", "ชื่อ"]),
    ("icu", "𠀀a好", ["𠀀", "a", "好"]),
    ("roots", "“Don't!” (1,000) http://a.b\tc\nd", ["Don't", "http://a.b", "c", "d"]),
    ("roots", "दुनिया की", ["दुनिय", "क"]),  # ROOTS took vowel signs off the ends of words: section 2.3 of the facts
]


@pytest.mark.parametrize(("segmenter", "text", "words"), CUTS)
def test_words_are_cut_as_the_script_asks(segmenter: str, text: str, words: list[str]) -> None:
    assert words_of(cut_texts(pa.array([text]), segmenter)) == [words]


@given(st.lists(ANY_TEXT, max_size=5))
def test_decoding_gives_back_every_character(texts: list[str]) -> None:
    codes, offsets = code_points(pa.array(texts, pa.string()))
    assert ["".join(map(chr, codes[a:b])) for a, b in pairwise(offsets)] == texts


def test_decoding_takes_slices_nulls_and_broken_bytes() -> None:
    array = pa.array(["one", None, "zwei", "三"])
    codes, offsets = code_points(array.slice(1))
    assert offsets.tolist() == [0, 0, 4, 5]
    assert "".join(map(chr, codes)) == "zwei三"
    broken = pa.Array.from_buffers(
        pa.string(), 1, [None, pa.py_buffer(np.array([0, 4], np.int32)), pa.py_buffer(b"a\xe4\xb8b")]
    )
    assert "".join(map(chr, code_points(broken)[0])) == "a\ufffd\ufffdb"


@pytest.mark.parametrize("segmenter", SEGMENTERS)
@given(texts=st.lists(ANY_TEXT, min_size=1, max_size=4))
def test_words_are_ordered_pieces_of_their_text_in_any_batch(segmenter: str, texts: list[str]) -> None:
    together = words_of(cut_texts(pa.array(texts), segmenter))
    assert together == [words_of(cut_texts(pa.array([text]), segmenter))[0] for text in texts]
    for text, words in zip(texts, together, strict=True):
        at = 0
        for word in words:
            assert word
            at = text.index(word, at) + len(word)


def test_no_word_begins_with_a_combining_mark_of_the_word_before() -> None:
    for text in ("ක්‍ෂ", "नि", "ö̧", "ไม้", "רָ"):
        assert all(len(words) <= 1 for words in words_of(cut_texts(pa.array([text]), "unicode")))


def test_equal_words_have_equal_hashes_whatever_their_case() -> None:
    texts = cut_texts(pa.array(["Été ÉTÉ été ete"]))
    first, second, third, other = texts.words.hashes.tolist()
    assert first == second == third != other
    assert hash_words(["été", "été", "ete"]).tolist() == sorted({first, other})


@pytest.mark.parametrize("word", ["ọ̀rọ̀", "ẹ̀ẹ̀rùn", "Việt", "क़लम", "ড়", "ஸ்ரீ", "Å", "ǘ", "ẛ̣"])
def test_words_are_equal_in_every_normal_form(word: str) -> None:
    forms = {form: unicodedata.normalize(form, word) for form in ("NFC", "NFD")}
    hashes = {hash_words([text])[0] for text in forms.values()}
    assert len(hashes) == 1
    plain = "".join(c for c in forms["NFD"] if not unicodedata.combining(c))
    assert plain == forms["NFD"] or hash_words([plain])[0] not in hashes


@pytest.mark.parametrize(
    ("written", "plain"),
    [("مِنْ", "من"), ("إِلَى", "إلى"), ("هـــذا", "هذا"), ("ٱلْكِتَابُ", "الكتاب"), ("كي", "کی"), ("ہے", "هے"), ("هٰذَا", "هذا")],
)
def test_arabic_words_are_equal_without_vowel_signs_and_stretching(written: str, plain: str) -> None:
    assert hash_words([written]) == hash_words([plain])


@pytest.mark.parametrize(("one", "other"), [("سأل", "سال"), ("آن", "ان"), ("على", "علي"), ("جن", "چن"), ("אב", "אָב")])
def test_signs_that_are_parts_of_letters_tell_words_apart(one: str, other: str) -> None:
    assert hash_words([one]) != hash_words([other])
