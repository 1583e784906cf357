"""Every measure against values worked by hand, and against the plainest Python that computes the same."""

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.language import Reading
from filters.signals import counting, lines
from filters.signals.batch import TextBatch
from filters.signals.measures import MEASURES, measure, prepare
from filters.text.words import code_points

LATIN = Reading(script="Latn")


def value(name: str, text: str, reading: Reading = LATIN) -> Any:
    return measure(pa.array([text]), reading)[name][0].as_py()


def reading(**values: Any) -> Reading:
    return Reading(**{"script": "Latn", **values})


# "ok_ok_good_ok", n = 3: ok_ k_o _ok ok_ k_g _go goo ood od_ d_o _ok: 11 n-grams, N = 9 different, two of them twice
# (ok_, _ok), s = 7 once. Paper: k = floor(sqrt 9) = 3, (2 + 2 + 1) / 11. Code: k = min(3, 9 - 7) = 2, (2 + 2) / 11.
OK = "ok_ok_good_ok"
WORKED = [
    ("words", "", LATIN, 0),
    ("words", "One, two; three!", LATIN, 3),
    ("words", "আমি বাংলায় গান গাই।", reading(script="Beng"), 4),
    ("words", "今天天气很好", reading(script="Hans", segmenter="icu"), 3),
    ("bytes", "é ক!", LATIN, 2 + 1 + 3 + 1),
    ("bytes", " é  \n", reading(definitions="roots"), 6),  # as it is stored, not as ROOTS's filters saw it
    ("character_repetition", OK, reading(character_ngram=3), 4 / 11),
    ("character_repetition", "abcabcabcd", LATIN, 0),  # one n-gram of 10, once
    ("character_repetition", "short", LATIN, 0),
    ("character_repetition", "哈哈哈哈哈", reading(script="Hans", character_ngram=3), 1),  # N = 1, k = 1: 3 / 3
    ("character_repetition", "किकिकि", reading(script="Deva", character_ngram=2), 3 / 5),  # कि x3, िक x2; k = 1
    ("word_repetition", "a b c d e a b c d e", LATIN, 2 / 6),  # abcde twice; bcdea, cdeab, deabc, eabcd once
    ("word_repetition", "A b A B c", reading(word_ngram=2), 2 / 4),  # ab ba ab bc, in lower case
    ("word_repetition", "a b c d", LATIN, 0),
    ("special_characters", "a b1.", LATIN, 3 / 5),
    ("special_characters", "की", reading(script="Deva"), 0),
    ("special_characters", "की", reading(script="Deva", definitions="roots"), 1 / 2),  # the vowel sign is on its list
    ("special_characters", "ok 👍", LATIN, 2 / 4),
    ("special_characters", "你好。", reading(script="Hans", segmenter="icu"), 1 / 3),
    ("function_words", "The cat and the hat", reading(function_words=("and", "the")), 3 / 5),
    ("function_words", "و البيت في", reading(script="Arab", function_words=("و", "في")), 2 / 3),
    ("function_words", "bây giờ tôi đi", reading(function_words=("bây giờ", "tôi"), joiner=" "), 2 / 4),
    ("function_words", "the cat", LATIN, None),  # no list: not applicable
    ("flagged_words", "porn here porn", reading(flagged_words=("porn",)), 2 / 3),
    ("flagged_words", "", reading(flagged_words=("porn",)), 0),
    ("flagged_words", "a a", reading(flagged_words=("a", "a a"), joiner=" "), 1),  # 3 hits of 2 words: at most 1
    ("script", "abc дом", LATIN, 1 / 2),
    ("script", "123", LATIN, 1),
    ("script", "தமிழ் ok", reading(script="Taml"), 3 / 5),  # marks are no letters: த ம ழ of த ம ழ o k
    ("script", "漢字 kanji", reading(script="Hant"), 2 / 7),
    ("digits", "a1 ২৩", LATIN, 3 / 4),
    ("signs", "a, b!", LATIN, 2 / 4),
    ("signs", "क्या?", reading(script="Deva"), 1 / 5),
]


POEM = "o rose\no rose\n\nred"  # 18 characters
WORKED_GOPHER = [
    ("mean_word_length", "aa bbbb, ক্ষ", LATIN, 3),  # 2, 4 and 3 code points
    ("mean_word_length", "", LATIN, 0),
    ("alphabetic_words", "one 22 three3 ৪", LATIN, 2 / 4),
    ("hash_signs", "#a #b c", LATIN, 2 / 3),
    ("ellipses", "wait... and… so.... on", LATIN, 3 / 4),
    ("bullet_lines", "• a\n  - b\nc\n", LATIN, 2 / 3),
    ("ellipsis_lines", "read more...\nagain…  \nend.\n\n", LATIN, 2 / 4),
    ("different_function_words", "the and the", reading(function_words=("and", "the", "of")), 2),
    ("different_function_words", "the", LATIN, None),
    ("repeated_lines", POEM, LATIN, 1 / 3),
    ("repeated_line_characters", POEM, LATIN, 6 / 18),
    ("repeated_paragraphs", "एक\n\nदो\n\n\nएक", reading(script="Deva"), 1 / 3),
    ("repeated_paragraph_characters", "एक\n\nदो\n\n\nएक", reading(script="Deva"), 2 / 11),
    ("top_2_gram", "a b a b c", LATIN, 2 * 3 / 9),  # "a b" twice
    ("top_2_gram", "a", LATIN, 0),
    ("top_3_gram", "x y z", LATIN, 1),
    ("top_3_gram", "xx y z w", LATIN, 6 / 8),  # all once: the first, "xx y z"
    ("top_4_gram", "Ab b c d ab b c d", LATIN, 2 * 8 / 17),  # in lower case, with its spaces
    ("top_2_gram", "ha, ha, ha, ha!", LATIN, 14 / 15),  # three that overlap: one passage
    ("top_2_gram", "ha ha no ha ha ha", LATIN, (5 + 8) / 17),
    ("top_2_gram", "一二一二", LATIN, 1),  # without spaces, so no more than the text has
    ("top_3_gram", "no no no stop no no no", LATIN, 2 * 8 / 22),  # they do not touch
    ("top_4_gram", "dün bugün dün bugün dün bugün", reading(script="Latn"), 1),
    ("repeated_5_grams", "a b c d e a b c d e", LATIN, 5 / 19),
    ("repeated_5_grams", "a a a a a a a a a a a", LATIN, 10 / 21),  # met at word 2 and word 7
    ("repeated_6_grams", "a b c d e f a b c d e f g", LATIN, 6 / 25),
    ("repeated_7_grams", "a b c d e f a b c d e f g", LATIN, 0),
    ("repeated_8_grams", "আ ই উ এ ও ক খ গ আ ই উ এ ও ক খ গ", reading(script="Beng"), 8 / 31),
    ("repeated_9_grams", "one two", LATIN, 0),
    ("repeated_10_grams", " ".join("abcdefghij" * 2), LATIN, 10 / 39),
]
WORKED_LINES = [
    ("punctuated_lines", "He came.\nMenu\n\nवह आया।\nجاء؟\n他来了。\nwait…", LATIN, 4 / 6),
    ("punctuated_lines", "He said: “come.”", LATIN, 0),
    ("short_lines", "a" * 30 + "\n" + "b" * 31, LATIN, 1 / 2),
    ("short_lines", "\n \n", LATIN, 0),
    ("repeated_text", POEM, LATIN, 6 / 15),  # three line feeds do not count
    ("line_feeds", POEM, LATIN, 3 / 5),
    (
        "c4_lines",
        "This is a line.\nToo short.\nNo mark at the end\nAnd so on...\n\nCited is this one.[12][edit]",
        LATIN,
        2 / 6,
    ),
    ("c4_lines", "Please turn JavaScript on now.\nSee our Privacy Policy right here.\nWe like you.", LATIN, 1 / 3),
    ("c4_lines", "A word of " + "a" * 1001 + " letters.", LATIN, 0),
    ("c4_sentences", "It rains. Is it so? Yes, 3.5 mm!\nshort one\nThe end is here.", LATIN, 4),
    ("c4_sentences", "", LATIN, 0),
    ("lorem_ipsum", "Here: Lorem Ipsum dolor sit.\nlorem ipsum without an end", LATIN, 1),
    ("curly_brackets", "if (a) { b = 1; } is code.\n{ no mark }\nJavascript has { too, you know.", LATIN, 1),
    ("questionable_lines", "A line that is long enough to be one.\nMenu\n" + "1" * 30, LATIN, 2 / 3),
    ("questionable_lines", "Aa Bb Cc Dd Ee Ff Gg hh ii jj kk ll", LATIN, 1),  # 7 of 12 words
    ("questionable_lines", "Aa Bb Cc Dd Ee Ff gg hh ii jj kk ll", LATIN, 0),  # 6 of 12
    ("questionable_lines", "यह पंक्ति काफी लंबी है और ठीक है।", reading(script="Deva"), 0),
]
WORKED += WORKED_GOPHER + WORKED_LINES


@pytest.mark.parametrize(("name", "text", "how", "expected"), WORKED)
def test_signals_equal_the_numbers_worked_by_hand(name: str, text: str, how: Reading, expected: float | None) -> None:
    assert value(name, text, how) == (None if expected is None else pytest.approx(expected, rel=1e-6))


@pytest.mark.parametrize("name", MEASURES)
def test_every_measure_has_a_worked_example_and_says_what_it_is(name: str) -> None:
    elsewhere = ("perplexity", "quality")  # test_perplexity.py and test_quality.py have their own
    assert name in elsewhere or any(name == worked[0] for worked in WORKED)
    assert MEASURES[name].unit
    assert MEASURES[name].source
    assert MEASURES[name].meaning.endswith((".", "over."))


def test_the_paper_and_the_code_of_roots_differ_on_ok_ok_good_ok() -> None:
    codes, offsets = code_points(pa.array([OK]))
    assert counting.top_character_grams(codes, offsets, 3, False)[0] == pytest.approx(5 / 11)
    assert counting.top_character_grams(codes, offsets, 3, True)[0] == pytest.approx(4 / 11)


def plain_character_repetition(text: str, n: int) -> float:
    counts = sorted(Counter(text[at : at + n] for at in range(len(text) - n + 1)).values(), reverse=True)
    most = min(int(len(counts) ** 0.5), sum(count > 1 for count in counts))
    return sum(counts[:most]) / sum(counts) if counts else 0


def plain_word_repetition(words: list[str], n: int) -> float:
    counts = Counter(tuple(words[at : at + n]) for at in range(len(words) - n + 1)).values()
    return sum(count for count in counts if count > 1) / sum(counts) if counts else 0


def plain_top(words: list[str], n: int) -> int:
    grams = Counter(" ".join(words[at : at + n]) for at in range(len(words) - n + 1))
    return len(grams.most_common(1)[0][0]) * grams.most_common(1)[0][1] if grams else 0


def plain_repeated(words: list[str], n: int) -> int:
    seen: set[tuple[str, ...]] = set()
    characters, at = 0, 0
    while at <= len(words) - n:
        gram = tuple(words[at : at + n])
        characters += sum(map(len, gram)) if gram in seen else 0
        at += n if gram in seen else 1
        seen.add(gram)
    return characters


@settings(max_examples=60)
@given(texts=st.lists(st.text("ab ক.", max_size=120), min_size=1, max_size=4))
def test_gophers_repetition_is_what_plain_counting_gives(texts: list[str]) -> None:
    found = measure(pa.array(texts), LATIN)
    batch = TextBatch.of(pa.array(texts), LATIN)
    spans = batch.texts.words
    for row, text in enumerate(texts):
        own = range(spans.offsets[row], spans.offsets[row + 1])
        words = ["".join(map(chr, batch.texts.codes[spans.starts[at] : spans.ends[at]])) for at in own]
        whole = max(1, len(text))
        for n in (2, 3, 4):
            assert found[f"top_{n}_gram"][row].as_py() == pytest.approx(plain_top(words, n) / whole, rel=1e-6)
        for n in range(5, 11):
            assert found[f"repeated_{n}_grams"][row].as_py() == pytest.approx(
                plain_repeated(words, n) / whole, rel=1e-6
            )


REPETITIVE = st.text("ab ক্ি好.\n", max_size=200)


@settings(max_examples=60)
@given(texts=st.lists(REPETITIVE, min_size=1, max_size=4), n=st.integers(1, 4))
def test_repetition_is_what_plain_counting_gives(texts: list[str], n: int) -> None:
    how = reading(character_ngram=n, word_ngram=n, definitions="repaired")
    found = measure(pa.array(texts), how)
    batch = TextBatch.of(pa.array(texts), how)
    spans = batch.texts.words
    for row, text in enumerate(texts):
        own = range(spans.offsets[row], spans.offsets[row + 1])
        words = ["".join(map(chr, batch.texts.codes[spans.starts[at] : spans.ends[at]])) for at in own]
        assert found["character_repetition"][row].as_py() == pytest.approx(
            plain_character_repetition(text, n), rel=1e-6
        )
        assert found["word_repetition"][row].as_py() == pytest.approx(plain_word_repetition(words, n), rel=1e-6)


def test_a_text_counted_in_several_passes_gives_the_same() -> None:
    signs = np.random.default_rng(0).integers(97, 105, 2_500_000).astype(np.uint8).tobytes() + b"spam " * 5000
    grams = np.lib.stride_tricks.sliding_window_view(np.frombuffer(signs, np.uint8), 10)
    counts = np.sort(np.unique(np.ascontiguousarray(grams).view("S10"), return_counts=True)[1])[::-1]
    most = min(int(len(counts) ** 0.5), int((counts > 1).sum()))
    expected = counts[:most].sum() / counts.sum()
    assert value("character_repetition", signs.decode()) == pytest.approx(expected, rel=1e-6)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=40), max_size=4))
@settings(max_examples=60)
def test_all_numbers_are_finite_and_in_range(texts: list[str]) -> None:
    for how in (LATIN, reading(definitions="roots", segmenter="roots", longest_word=5, flagged_words=("a",))):
        for name, found in measure(pa.array(texts, pa.string()), how).items():
            kind = MEASURES[name]
            assert found.type == kind.type
            for number in found.drop_null().to_pylist():
                assert kind.low <= number
                assert kind.high is None or number <= kind.high


def test_a_batch_of_many_gives_the_same_as_one_by_one() -> None:
    texts = ["A first text, quite short.", "", "word " * 400_000, "The last one. " * 30]
    together = measure(pa.array(texts), LATIN)
    for row, text in enumerate(texts):
        alone = measure(pa.array([text]), LATIN)
        assert {name: column[row].as_py() for name, column in together.items()} == {
            name: column[0].as_py() for name, column in alone.items()
        }


def test_every_pass_can_be_compiled_beforehand() -> None:
    prepare()
    assert all(len(kernel.signatures) == 1 for kernel in (counting.count_characters, counting.repeated_word_grams))


VIEWS = [
    ("  two   spaces\t\ttabs \n\n line ", "two spaces\ttabs\nline"),
    ("see http://x.org or www.a.b now", "see or now"),
    ("a\u00a0b\u3000c", "a b c"),
    ("waytoolongaword ok (waytoolong)", "ok (waytoolong)"),
    ("!!!!!!!!!!!!! gone", "gone"),
    ("www.only.here\nnext", "next"),
]


@pytest.mark.parametrize(("text", "seen"), VIEWS)
def test_roots_filters_saw_a_modified_text(text: str, seen: str) -> None:
    batch = TextBatch.of(pa.array([text]), reading(definitions="roots", segmenter="roots", longest_word=10))
    assert "".join(map(chr, batch.texts.codes)) == seen


@pytest.mark.parametrize("phrase", [*lines._C4_PHRASES, "enable scripts", "включите скрипты", "请启用脚本"])
def test_a_phrase_added_to_the_table_is_found(monkeypatch: pytest.MonkeyPatch, phrase: str) -> None:
    text = f"This is a line.\nPlease do {phrase} now."
    monkeypatch.setattr(lines, "PHRASES", lines._pack((lines._LOREM, "another phrase")))
    assert value("c4_lines", text) == 1
    monkeypatch.setattr(lines, "PHRASES", lines._pack((lines._LOREM, "another phrase", phrase)))
    assert value("c4_lines", text) == 1 / 2
