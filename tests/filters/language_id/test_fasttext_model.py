"""fastText models read by us answer as fastText's own library does, whatever they are made of."""

import random
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import fasttext
import numpy as np
import pytest

from filters.language_id.fasttext_file import read_model
from filters.language_id.fasttext_model import HELD, FastTextModel
from pipelines.models.fasttext import train_fasttext
from pipelines.models.files import OWN, open_fasttext, wide_path
from roots.errors import InputError

LINES = [
    "", " ", "\t\v \f", "a", "the river bends past the mill", "the the the", "word</s> </s> not read", "</s>",
    "__label__good is no word", "__label__never seen", "__label__", "مرحبا بالعالم", "नमस्ते दुनिया के लोग", "สวัสดีชาวโลก",
    "你好世界", "Tiếng Việt có dấu", "Ọjọ́ kẹta ọdún", "x" * 5000, "é" * 3000 + " " + "ab " * 3000, "a\0b c",
    "\u00a0nbsp \u2003em", "it's 12.50 €", "🙂🙂 🙂", "  spaces   between  ", "e\u0301 combined",
]  # fmt: skip


def library(path: Path) -> Any:
    return fasttext.load_model(str(path)).f


def assert_same(path: Path, lines: list[str], k: int = 5, threshold: float = 0.0) -> None:
    model, known = open_fasttext(path), library(path)
    for line, found in zip(lines, model.predict(lines, k, threshold), strict=True):
        expected = known.predict(line + "\n", k, threshold, "strict")
        assert [score for score, _ in found] == pytest.approx([score for score, _ in expected], abs=2e-5), line
        around = [2.0, *(score for score, _ in expected), -1.0]
        for place, (_, label) in enumerate(expected):
            if around[place] - around[place + 1] > 1e-4 < around[place + 1] - around[place + 2]:
                assert found[place][1] == label, line


@pytest.mark.parametrize("path", [OWN / "roots46.ftz", Path(wide_path())], ids=["softmax", "tree, pruned"])
@pytest.mark.parametrize(("k", "threshold"), [(1, 0.0), (5, 0.0), (3, 0.2), (10_000, 0.0)])
def test_the_models_we_ship_answer_as_the_library_does(path: Path, k: int, threshold: float) -> None:
    assert_same(path, LINES, k, threshold)


WORDS = {
    "__label__en": [
        "the",
        "river",
        "bends",
        "past",
        "mill",
        "farmer",
        "brings",
        "wheat",
        "children",
        "fish",
        "from",
        "bridge",
    ],
    "__label__fr": [
        "la",
        "rivière",
        "passe",
        "près",
        "du",
        "moulin",
        "fermier",
        "apporte",
        "blé",
        "enfants",
        "pêchent",
    ],
    "__label__ru": ["река", "течёт", "мимо", "мельницы", "крестьянин", "везёт", "пшеницу", "дети", "ловят", "рыбу"],
    "__label__sw": ["mto", "unapita", "kinu", "mkulima", "analeta", "ngano", "watoto", "wanavua", "samaki", "darajani"],
    "__label__zh": ["河流", "经过", "磨坊", "农民", "带来", "小麦", "孩子", "钓鱼", "桥上", "水位", "很高"],
}
KINDS: dict[str, Mapping[str, Any]] = {
    "softmax": {"loss": "softmax", "minn": 2, "maxn": 4, "dim": 7},  # a last part of one number,
    "tree": {"loss": "hs", "minn": 1, "maxn": 3, "dim": 16},
    "one against all": {"loss": "ova", "minn": 3, "maxn": 6, "dim": 8},
    "negative sampling": {"loss": "ns", "minn": 2, "maxn": 3, "dim": 8},
    "words alone": {"loss": "softmax", "minn": 0, "maxn": 0, "dim": 8, "bucket": 0},
    "n-grams of words": {"loss": "softmax", "minn": 0, "maxn": 0, "wordNgrams": 3, "dim": 8},
    "both": {"loss": "softmax", "minn": 2, "maxn": 3, "wordNgrams": 2, "dim": 8},
    "few rows": {"loss": "softmax", "minn": 1, "maxn": 5, "dim": 8, "bucket": 49},  # 49 * (1 / 49) is below 1
}


def sentences(count: int) -> list[tuple[str, str]]:
    chance = random.Random(5)
    labels = [chance.choice([*WORDS, "__label__en", "__label__en"]) for _ in range(count)]
    return [(label, " ".join(chance.choices(WORDS[label], k=chance.randrange(1, 12)))) for label in labels]


def fitted(folder: Path, options: Mapping[str, Any], small: bool) -> Path:
    """Train a model of few lines; `small` needs 256 rows to quantise."""
    samples, path = folder / "samples.txt", folder / ("model.ftz" if small else "model.bin")
    samples.write_text("".join(f"{label} {text}\n" for label, text in sentences(1500)), encoding="utf-8")
    train_fasttext(samples, {"bucket": 3000, "epoch": 2, "thread": 1, "minCount": 1, **options}, path, small=small)
    return path


@pytest.mark.parametrize("small", [False, True], ids=["bin", "ftz"])
@pytest.mark.parametrize("kind", KINDS)
def test_models_of_every_kind_answer_as_the_library_does(kind: str, small: bool, tmp_path: Path) -> None:
    pytest.importorskip("floret", reason="floret is not installed: pip install 'roots-corpus[lid]'")
    if small and kind in ("words alone", "few rows"):
        pytest.skip("so few rows are not quantised")
    path = fitted(tmp_path, KINDS[kind], small)
    assert_same(path, [*LINES, *(text for _, text in sentences(100))])


def test_lines_of_one_call_do_not_change_each_other() -> None:
    model = open_fasttext(OWN / "roots46.ftz")
    alone = [model.predict([line], 3)[0] for line in LINES]
    assert model.predict(LINES, 3) == alone
    assert model.predict([], 3) == []
    assert model.predict(["two\nlines of text"], 3) == model.predict(["two lines of text"], 3)
    assert model.predict(["a lone \ud800 surrogate"], 1)[0]


def test_a_word_longer_than_what_is_held_is_read_whole() -> None:
    path = OWN / "roots46.ftz"
    long = "".join(random.Random(1).choices("abcdefghij", k=3 * HELD))
    assert_same(path, [long, f"before {long} after", *["word"] * 3, " ".join(["more words"] * HELD)])


def damaged(content: bytes) -> dict[str, bytes]:
    words_at = 8 + 12 * 4 + 8 + 4
    return {
        "empty": b"",
        "of another kind": b"PK\x03\x04" + content[4:],
        "of words without labels": content[: 8 + 4 * 7] + struct.pack("<i", 1) + content[8 + 4 * 8 :],
        "of an unknown loss": content[: 8 + 4 * 6] + struct.pack("<i", 9) + content[8 + 4 * 7 :],
        "half": content[: len(content) // 2],
        "of one byte less": content[:-1],
        "of one byte more": content + b"\0",
        "of a dictionary beyond its end": content[: words_at - 4] + struct.pack("<iii", 1 << 30, (1 << 30) - 176, 176)
        + content[words_at + 8 :],
        "of fewer words than it has": content[:words_at] + struct.pack("<ii", 10, 1) + content[words_at + 8 :],
    }  # fmt: skip


@pytest.mark.parametrize("what", damaged(b"\0" * 100))
@pytest.mark.parametrize("path", [OWN / "roots46.ftz", Path(wide_path())], ids=["whole", "pruned"])
def test_a_damaged_model_is_refused(what: str, path: Path) -> None:
    with pytest.raises(InputError, match="name is no fastText model"):
        read_model(damaged(path.read_bytes())[what], "name")


def test_a_model_with_any_byte_changed_is_read_or_refused() -> None:
    """A file is hostile input: whatever a number in it says, nothing beyond an array is read."""
    content = Path(wide_path()).read_bytes()
    chance = random.Random(3)
    head = 8 + 12 * 4 + 8 + 28
    for place in [*range(8, head, 3), *(chance.randrange(len(content)) for _ in range(40))]:
        changed = content[:place] + bytes([chance.choice([0x00, 0x7F, 0xFF])]) + content[place + 1 :]
        try:
            model: FastTextModel = read_model(changed, "name")
        except InputError:
            continue
        scores = [score for found in model.predict(LINES[:12], 3) for score, _ in found]
        assert np.isfinite(scores).all() or place >= head
