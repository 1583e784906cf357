"""FineWeb-2's definitions against the plainest Python that computes the same from what is published."""

import re
from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.language import Reading
from filters.signals.measures import measure
from filters.text import characters

READING = Reading(script="Deva", definitions="fineweb2", segmenter="indic", function_words=("का", "the"))
ASCII_SIGNS = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"


def words_of(text: str) -> list[str]:
    """Words of a text without numbers, as the segmenter "indic" cuts them."""
    spaced = re.sub(r"([!-/:-@\[\]^_`{-~।])", r" \1 ", text.replace("\t", " "))
    return [word.strip() for word in spaced.split(" ") if word.strip()]


def share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def repeated(items: list[str]) -> tuple[int, int]:
    """How many items occurred before, and their characters."""
    again = [item for place, item in enumerate(items) if item in items[:place]]
    return len(again), sum(map(len, again))


def top_gram(words: list[str], n: int) -> int:
    """Characters of all occurrences of the most frequent n-gram, the first of equal ones."""
    grams = Counter(" ".join(words[at : at + n]) for at in range(len(words) - n + 1))
    gram, times = grams.most_common(1)[0] if grams else ("", 0)
    return len(gram) * times


def repeated_grams(words: list[str], n: int) -> int:
    """Characters of the n-grams that occurred before; after one, counting goes on behind it."""
    seen, found, at = set[str](), 0, 0
    while at <= len(words) - n:
        gram = "".join(words[at : at + n])
        if gram in seen:
            found += len(gram)
            at += n
        else:
            seen.add(gram)
            at += 1
    return found


def expected(text: str) -> dict[str, float]:
    """The signals of one text."""
    words, size = words_of(text), len(text)
    table = characters.datatrove_classes()
    real = [word for word in words if not all(table[ord(sign)] & characters.PUNCTUATION for sign in word)]
    split, fed = re.split("\n+", text) if text else [], [line for line in text.split("\n") if line.strip()]
    found = {
        "words": len(real),
        "mean_word_length": share(sum(map(len, real)), len(real)),
        "alphabetic_words": share(sum(any(map(str.isalpha, word)) for word in words), len(words)),
        "hash_signs": share(text.count("#"), len(words)),
        "line_feeds": share(text.count("\n"), len(words)),
        "different_function_words": len({"का", "the"} & set(words)),
        "repeated_lines": share(repeated(split)[0], len(split)),
        "repeated_text": share(repeated(fed)[1], len(text.replace("\n", ""))),
        "punctuated_lines": share(sum(bool(table[ord(x[-1])] & characters.TERMINAL) for x in fed), len(fed)),
    }
    found |= {f"top_{n}_gram": share(top_gram(words, n), size) for n in (2, 3, 4)}
    return found | {f"repeated_{n}_grams": share(repeated_grams(words, n), size) for n in range(5, 11)}


TEXTS = st.lists(
    st.sampled_from(
        ["क", "कख", "ख", "का", "The", "the", " ", " ", "\n", "\n\n", "।", ".", "#", "\u3000", "…", "€", "１", "\t"]
    ),
    max_size=60,
).map("".join)


@settings(max_examples=200, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=4))
def test_all_signals_are_those_of_the_plainest_python(texts: list[str]) -> None:
    found = measure(pa.array(texts, pa.string()), READING)
    for row, text in enumerate(texts):
        for name, value in expected(text).items():
            assert found[name][row].as_py() == pytest.approx(value, abs=1e-6), (name, text)


# Each value worked by hand; `repaired` is what our own definitions give.
WORKED = [
    ("repeated_lines", "\na\n", 1 / 3, 0),  # the lines "", "a", "": the last one repeats the first
    ("top_2_gram", "a a a", 2 * 3 / 5, 1),  # "a a" twice, though the two overlap
    ("repeated_5_grams", "a b c d e ab cd e f g", 0, 0),
    ("repeated_5_grams", "a b c d ef g a b c de f", 6 / 23, 0),  # "abcdef" is one n-gram, wherever words end
    ("words", "€ ० . । a", 3, 2),  # a currency sign is a word, a full stop is none
    ("alphabetic_words", "a . . .", 1 / 4, 1),  # full stops are among all words
    ("line_feeds", "a .\nb .", 1 / 4, 1 / 2),
    ("different_function_words", "The the", 1, 1),
    ("different_function_words", "The", 0, 1),  # case counts
    ("punctuated_lines", "a.\nb. \nc៚", 2 / 3, 1 / 3),  # a Khmer mark that ends no sentence in Unicode
]


@pytest.mark.parametrize(("name", "text", "published", "repaired"), WORKED)
def test_what_the_published_code_counts_otherwise(name: str, text: str, published: float, repaired: float) -> None:
    ours = Reading(script="Deva", function_words=READING.function_words)
    assert measure(pa.array([text]), READING)[name][0].as_py() == pytest.approx(published)
    assert measure(pa.array([text]), ours)[name][0].as_py() == pytest.approx(repaired)


def test_sets_of_signs_are_those_of_datatrove() -> None:
    signs = characters.datatrove_classes()
    for sign in ASCII_SIGNS + "１…»—។។៚᪩\u0085\x1f":
        assert signs[ord(sign)] & characters.PUNCTUATION, sign
    for sign in "·•°€§¿¡‘०1a\n\t  ":
        assert not signs[ord(sign)] & characters.PUNCTUATION, sign
    assert signs[ord("៖")] & characters.TERMINAL
    assert not signs[ord("․")] & characters.TERMINAL
