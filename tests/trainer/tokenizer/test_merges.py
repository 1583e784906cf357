"""Our merges compared with those of the library, and our cuts with those of the tokenizer."""

import json
import random
import tracemalloc
import unicodedata
from collections import Counter

import pytest

pytest.importorskip("tokenizers", reason="tokenizers is not installed: pip install 'roots-corpus[train]'")

import numba
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

from trainer.settings import SPECIAL_TOKENS
from trainer.tokenizer import fertility, merges
from trainer.tokenizer.patterns import PATTERNS, cut_by

BEFORE = [*SPECIAL_TOKENS, *sorted(pre_tokenizers.ByteLevel.alphabet())]
TEXTS = [
    "The quick brown fox's 3,141 dogs jumped over it, didn't they? The quicker foxes did not; the dogs' den is theirs.",
    "Le renard brun saute par-dessus l'été dernier, aujourd’hui\n\n\tet   demain (et après-demain).",
    "الثعلب البني السريع يقفز فوق الكلب الكسول، وكان العام ٢٠٢٤ عام الثعالب. می‌خواهم الثعلب",
    "तेज़ भूरी लोमड़ी आलसी कुत्ते के ऊपर कूदती है। यह नदी के पास हुआ। লোমশ কুকুরের কাছে শিয়াল, কুকুরের",
    "விரைவான பழுப்பு நரி சோம்பேறி நாயின் மேல் குதிக்கிறது. ശ്രീ​ന്‍റെ ശ്രീ",
    "สุนัขจิ้งจอกสีน้ำตาลกระโดดข้ามสุนัขขี้เกียจ 敏捷的棕色狐狸跳过了懒狗。今天天气很好，狐狸说：今天很好！",
    "Con cáo nâu nhanh nhẹn nhảy qua con chó lười. Ọ̀sán yìí, ajá náà ń sùn, ṣùgbọ́n kọ̀lọ̀kọ̀lọ̀ fò kọjá lórí rẹ̀.",
]


def library(texts, cutter, size, min_frequency, max_bytes):
    """Vocabulary and merges by the library's trainer."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = cutter
    trainer = trainers.BpeTrainer(
        vocab_size=size, min_frequency=min_frequency, special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=BEFORE[4:], max_token_length=max_bytes, show_progress=False,
    )  # fmt: skip
    tokenizer.train_from_iterator(texts, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    return model["vocab"], [tuple(pair) for pair in model["merges"]]


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize(("size", "min_frequency", "max_bytes"), [(600, 2, 32), (400, 3, 7), (5000, 1, 32)])
def test_merges_are_those_of_the_library(pattern, size, min_frequency, max_bytes):
    counted = PATTERNS[pattern].counted
    texts = [text[at:] for text in TEXTS for at in range(0, 60, 7)]
    vocabulary, learned = merges.learn_merges(
        merges.count_pieces(texts, counted), BEFORE, size, min_frequency, max_bytes
    )
    assert (vocabulary, learned) == library(texts, cut_by(counted), size, min_frequency, max_bytes)
    assert len(learned) > 100


@pytest.mark.parametrize("seed", range(4))
def test_merges_of_random_pieces_are_those_of_the_library(seed):
    rng = random.Random(seed)
    cutter = pre_tokenizers.Sequence([
        pre_tokenizers.Split("|", "removed"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])  # fmt: skip
    for _ in range(60):  # few letters: runs, ties, and tokens that come together in two ways
        letters = "abcdé漢"[: rng.randint(1, 6)]
        drawn = ("".join(rng.choices(letters, k=rng.randint(1, 14))) for _ in range(rng.randint(1, 40)))
        pieces = {piece: rng.randint(1, 5) for piece in drawn}
        bounds = rng.choice([270, 2000]), rng.choice([1, 2, 3]), rng.choice([4, 6, 32])
        text = "|".join(piece for piece, times in pieces.items() for _ in range(times))
        assert merges.learn_merges(pieces, BEFORE, *bounds) == library([text], cutter, *bounds)


def test_merges_do_not_depend_on_the_order_of_pieces():
    pieces = merges.count_pieces(TEXTS, PATTERNS["roots"].counted)
    other = dict(sorted(pieces.items(), reverse=True))
    assert list(other) != list(pieces)
    assert merges.learn_merges(other, BEFORE, 500, 1, 32) == merges.learn_merges(pieces, BEFORE, 500, 1, 32)


def test_counts_beyond_32_bits_are_right():
    _, learned = merges.learn_merges({"ab": 3 * 2**31, "cd": 2**31 + 5, "ef": 2**32 + 2}, BEFORE, 300, 2, 32)
    assert learned == [("a", "b"), ("e", "f"), ("c", "d")]


def test_without_text_there_are_no_merges():
    assert merges.learn_merges({}, BEFORE, 300, 2, 32) == ({name: at for at, name in enumerate(BEFORE)}, [])


@pytest.mark.parametrize("pattern", PATTERNS)
def test_pieces_are_those_that_the_tokenizer_would_cut(pattern):
    counted = PATTERNS[pattern].counted
    cutter = pre_tokenizers.Split(Regex(counted), "isolated")
    kind = unicodedata.ucd_3_2_0.category  # old letters: those that came last are not known to every library
    every = [char for char in map(chr, range(0x20000)) if kind(char) not in ("Cn", "Cs", "Co")]
    texts = [*TEXTS, *("".join(f" {char}a{char}1" for char in every[at::50]) for at in range(50))]
    texts += ["".join(char for char in text if kind(char) != "Cn") for text in fertility.random_texts(100, seed=3)]
    for text in texts:
        assert merges.count_pieces([text], counted) == Counter(piece for piece, _ in cutter.pre_tokenize_str(text))


def test_pieces_of_a_long_text_are_never_all_in_memory(monkeypatch):
    text = " ".join(f"w{at % 500}" for at in range(50_000))
    counted = PATTERNS["roots"].counted
    wanted = merges.count_pieces([text], counted)
    monkeypatch.setattr(merges, "LONG_TEXT", len(text) - 1)
    tracemalloc.start()
    found = merges.count_pieces([text], counted)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == wanted
    assert peak < 500_000  # 100,000 pieces held at once are 6 MB


def test_loops_compile_even_if_no_cache_may_be_written(monkeypatch):
    def refuse(*functions, cache=False):
        if cache:
            raise RuntimeError("cannot cache function: no locator available for file")
        return functions[0]

    monkeypatch.setattr(numba, "njit", refuse)
    assert merges._compiled(len) is len
