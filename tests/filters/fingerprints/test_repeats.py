"""Repeated runs: every long enough one is found, none that is not there, and hostile text takes bounded work."""

import random
import unicodedata

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from icu4py.breakers import CharacterBreaker

from filters.fingerprints.borders import snap
from filters.fingerprints.repeats import Places, Runs, Windows, extend, join, link
from filters.fingerprints.winnowing import context_keys, lengths_for, winnow
from filters.text.words import code_points

LEAST = 40
# The first and the last letter of each script.
SCRIPTS = {
    "Latn": "az", "Cyrl": "ая", "Arab": "بي", "Deva": "कह", "Hani": "一龥", "Thai": "กฮ", "Ethi": "ሀፐ", "Hang": "가힣",
}  # fmt: skip
Cover = list[set[int]]


def corpus(script: str, seed: int = 5) -> list[str]:
    """Texts of words, with passages of about LEAST characters that stand in several of them."""
    rng = random.Random(f"{seed} {script}")
    first, last = map(ord, SCRIPTS[script])
    letters = [chr(code) for code in range(first, last + 1)][:400]

    def words(characters: int) -> str:
        text = ""
        while len(text) < characters:
            text += "".join(rng.choices(letters, k=rng.randrange(2, 8))) + " "
        return text[:characters]

    passages = [words(rng.choice([LEAST - 1, LEAST, LEAST + 1, 2 * LEAST, 7 * LEAST])) for _ in range(12)]
    texts = [
        "".join(words(rng.randrange(5, 90)) + rng.choice(passages) for _ in range(rng.randrange(5))) for _ in range(30)
    ]
    texts[3] += passages[0][:LEAST] + words(9) + passages[0]  # a text that repeats itself
    return texts


def found(texts: list[str], least: int = LEAST, stands_for: dict[int, int] | None = None) -> tuple[Runs, int]:
    """The repeated runs of texts, of which the first are preferred; and the number of pairs."""
    codes, offsets = code_points(pa.array(texts, pa.string()))
    gram, window = lengths_for(least)
    prints = winnow(codes, offsets, gram, window)
    contexts = context_keys(codes, offsets, prints, gram, window - 1)
    heads = np.array([(stands_for or {}).get(text, text) for text in range(len(texts))])
    order = np.lexsort((prints.place, prints.text, heads[prints.text] != prints.text, prints.key))
    text, place = prints.text[order], prints.place[order]
    places = Places(prints.key[order].view(np.int64), text, place, heads[text], contexts[order])
    later, earlier = link(places, least)
    at = offsets[text] + place
    bounds = [
        Windows(
            np.maximum(offsets[text[side]], at[side] - window),
            at[side],
            np.minimum(offsets[text[side] + 1], at[side] + gram + window),
        )
        for side in (later, earlier)
    ]
    start, end = extend(codes, bounds[0], codes, bounds[1], gram)
    begin = offsets[text[later]]
    shift = place[earlier] - place[later]
    return join(Runs(text[later], start - begin, end - begin, text[earlier], shift, shift), least), later.size


def cover(texts: list[str], runs: Runs) -> Cover:
    covered: Cover = [set() for _ in texts]
    for text, start, end, of, shift, _ in zip(*(column.tolist() for column in runs), strict=True):
        assert texts[text][start:end] == texts[of][start + shift : end + shift], "a run that is not there"
        assert (of, start + shift) < (text, start)
        covered[text].update(range(start, end))
    return covered


def expected(texts: list[str], least: int = LEAST) -> Cover:
    """The same from a table of all runs of `least` characters, which is what a suffix array gives."""
    seen: dict[str, tuple[int, int]] = {}
    covered: Cover = [set() for _ in texts]
    for text, each in enumerate(texts):
        for at in range(len(each) - least + 1):
            first = seen.setdefault(each[at : at + least], (text, at))
            if first[0] != text or at - first[1] >= least:
                covered[text].update(range(at, at + least))
    return covered


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_repeated_run_is_found_and_no_other(script: str) -> None:
    texts = corpus(script)
    must = expected(texts)
    assert sum(map(len, must)) > 2000
    assert cover(texts, found(texts)[0]) == must


@pytest.mark.parametrize("least", [20, 33, 64])
def test_any_length_can_be_asked(least: int) -> None:
    texts = corpus("Deva", seed=least)
    assert cover(texts, found(texts, least)[0]) == expected(texts, least)


def test_a_run_in_very_many_places_is_found_from_a_quarter_more_on() -> None:
    rng = random.Random(2)
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    notice = "".join(rng.choices(letters, k=LEAST + LEAST // 4))
    # Longer and longer parts of one notice: the first place of a print never has all that later ones share.
    texts = [
        "".join(rng.choices(letters, k=50)) + notice[: LEAST // 2 + number % 31] + "".join(rng.choices(letters, k=50))
        for number in range(400)
    ]
    covered = cover(texts, found(texts)[0])
    whole = [number for number in range(400) if LEAST // 2 + number % 31 >= len(notice)]
    assert len(whole) > 10
    assert all(len(covered[number]) >= LEAST for number in whole[1:])


def test_a_removed_copy_is_judged_as_if_it_stood_for_the_kept_one() -> None:
    passage, other = corpus("Latn")[3][:100], corpus("Cyrl")[3][:100]
    texts = ["1" * 9 + other, "2" * 7 + passage + other, "3" * 5 + passage, "4" * 3 + passage + other]
    covered = cover(texts, found(texts, stands_for={3: 1})[0])
    assert covered[1] == set(range(107, 207))
    assert covered[3] == set(range(103, 203)), "the passage stays as it does in the kept document"
    assert covered[2] == set(range(5, 105)), "a removed copy is no reason to cut another"


@pytest.mark.parametrize(
    ("text", "pairs"),
    [("a" * 200_000, 5), ("abc" * 70_000, 5), (" . . . ." * 25_000, 5)],
    ids=["one letter", "period", "leader"],
)
def test_constant_text_takes_linear_work(text: str, pairs: int) -> None:
    runs, count = found([text])
    assert count <= pairs * len(text) / 10
    (covered,) = cover([text], runs)
    assert len(text) - 3 * LEAST <= len(covered) <= len(text) - LEAST


def test_a_notice_in_every_document_takes_linear_work() -> None:
    rng = random.Random(4)
    notice = "".join(rng.choices("abcdefgh ", k=400))
    texts = [f"{number} {notice} {rng.random()}" for number in range(3000)]
    runs, count = found(texts)
    assert count <= 8 * sum(map(len, texts)) / 15
    covered = cover(texts, runs)
    assert not covered[0]
    assert all(len(each) >= 390 for each in covered[1:])


def test_the_units_may_be_bytes() -> None:
    texts = corpus("Arab")
    data = [text.encode() for text in texts]
    units: npt.NDArray[np.uint8] = np.frombuffer(b"".join(data), np.uint8)
    offsets = np.cumsum([0, *map(len, data)])
    prints = winnow(units, offsets, 10, 1)
    assert prints.key.size == sum(max(0, len(each) - 9) for each in data), "a window of 1 keeps every gram"
    places = zip(prints.text.tolist(), prints.place.tolist(), strict=True)
    grams = {data[text][at : at + 10] for text, at in places}
    assert np.unique(prints.key).size == len(grams)


def test_a_short_text_keeps_one_print() -> None:
    codes, offsets = code_points(pa.array(["", "short", "a little longer"], pa.string()))
    assert winnow(codes, offsets, 6, 100).text.tolist() == [2]
    with pytest.raises(ValueError, match="must be 1 or more"):
        winnow(codes, offsets, 0, 5)


def test_many_short_texts_keep_one_print_each() -> None:
    codes, offsets = code_points(pa.array([f"text number {number:06}" for number in range(5000)], pa.string()))
    prints = winnow(codes, offsets, 5, 1000)
    assert prints.text.tolist() == list(range(5000))
    assert np.unique(prints.key).size > 1


def cut_back(text: str, border: str, start: int, end: int) -> str:
    codes, offsets = code_points(pa.array(["before", text], pa.string()))
    span = (np.array([start]), np.array([end]))
    starts, ends = snap(codes, offsets, border, np.array([1]), span)
    return text[starts[0] : ends[0]]


SENTENCES = 'One here. "Two is it?" Three goes\non. Four'


@pytest.mark.parametrize(
    ("text", "border", "start", "end", "left"),
    [
        (SENTENCES, "sentence", 3, 37, '"Two is it?" Three goes\n'),
        (SENTENCES, "sentence", 0, len(SENTENCES), SENTENCES),
        (SENTENCES, "line", 3, 37, ""),
        (SENTENCES, "line", 0, 37, SENTENCES[: SENTENCES.index("on.")]),
        ("他说的。「是吗?」我不知道。你", "sentence", 1, 14, "「是吗?」我不知道。"),
        ("यह एक है। यह दो है। यह", "sentence", 3, 21, "यह दो है। "),
        ("Cost 3.50 now. And", "sentence", 1, 12, ""),
        ("e\u0301te\u0301", "grapheme", 1, 4, "t"),
        ("\u0915\u094d\u0937\u093f\u0915", "grapheme", 1, 5, "\u0915"),
    ],
)
def test_a_run_is_cut_back_to_the_borders_inside_it(text: str, border: str, start: int, end: int, left: str) -> None:
    assert cut_back(text, border, start, end) == left


def test_no_grapheme_is_cut() -> None:
    texts = [
        "กำลังน้ำใจ",
        "각\u1100\u1161\u11a8",
        "👩🏽\u200d🚀🇫🇷🇩🇪",
        "a\r\nb",
        "க்ஷி स्त्री ক্ষ",
        unicodedata.normalize("NFD", "Tiếng Việt"),
    ]
    for text in texts:
        lengths = [len(str(piece)) for piece in CharacterBreaker(text, "en")]
        borders = {0, *np.cumsum(lengths).tolist()}
        for start in range(len(text)):
            left = cut_back(text, "grapheme", start, len(text))
            assert len(text) - len(left) in borders
