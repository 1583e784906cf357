import json
import random

import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install 'roots-corpus[train]'")

import torch

from roots.errors import InputError, SettingsError, TrainingFailed
from roots.settings import build
from trainer import ablate
from trainer.model.shapes import SHAPES, Shape
from trainer.training.recipe import Recipe
from trainer.training.train import TrainingResult

RECIPE = Recipe(
    length=32, tokens=60 * 512, batch_tokens=512, save_every=1000, evaluate_every=0, attention="key_bias", lr=5e-3,
    mask_documents=False,
)  # fmt: skip


@pytest.fixture(scope="module")
def corpora(tmp_path_factory, write_shards):
    """A clean corpus, and one of which most is noise."""
    folder = tmp_path_factory.mktemp("corpora")
    rng = random.Random(1)
    words = [
        "le",
        "chat",
        "dort",
        "sous",
        "la",
        "table",
        "et",
        "le",
        "chien",
        "mange",
        "dans",
        "cette",
        "cour",
        "du",
        "vieux",
        "voisin",
        "qui",
        "chante",
        "toujours",
    ]

    def clean():  # of every word one of two follows: no two texts are near-copies, and the model can learn the rule
        at, text = rng.randrange(len(words)), []
        for _ in range(30):
            at = (at * 5 + rng.choice((1, 4))) % len(words)
            text.append(words[at])
        return " ".join(text)

    def noise():
        return " ".join("".join(rng.choices("abcdefghijklmnop", k=5)) for _ in range(30))

    write_shards(folder / "clean" / "fr", [clean() for _ in range(300)], "train")
    write_shards(folder / "clean" / "fr", [clean() for _ in range(20)], "validation")
    write_shards(folder / "noisy" / "fr", [clean() if rng.random() < 0.1 else noise() for _ in range(300)], "train")
    write_shards(folder / "noisy" / "fr", [clean() for _ in range(20)], "validation")
    return folder


def test_the_better_corpus_is_found(corpora, tmp_path, monkeypatch):
    torch.set_num_threads(1)
    monkeypatch.setattr("trainer.model.shapes.SHAPES", {**SHAPES, "demo": Shape(1, 32, 4, 384)})
    settings = ablate.AblateSettings(seeds=2, vocabulary=512, held_out_bytes=1500)
    said = []
    found = ablate.ablate_corpora(corpora / "noisy", corpora / "clean", ["fr"], tmp_path, RECIPE, settings, said.append)
    entry = found["languages"]["fr"]
    assert entry["difference"] < -0.2
    assert entry["low"] < entry["difference"] < entry["high"]
    assert len(said) == 4
    assert json.loads((tmp_path / "result.json").read_text())["bytes"]["fr"] > 5000
    assert "| fr |" in (tmp_path / "ablation.md").read_text()
    assert (tmp_path / "ablation.svg").read_text().startswith("<svg")


def test_both_get_the_same_bytes_and_nothing_of_the_held_out_text(corpora):
    judged = ablate.held_out_texts([corpora / "clean", corpora / "noisy"], "fr", 1500)
    assert 1400 < sum(len(text.encode()) for text in judged) < 2000
    barred = ablate.HeldOutWindows.of(judged)
    for work in (corpora / "clean", corpora / "noisy"):
        documents = ablate.usable_documents(work, "fr", barred)
        texts = list(ablate.training_texts(documents, 5000, seed=3))
        assert sum(len(text.encode()) for text in texts) == 5000
        assert not {"".join(t.split()) for t in texts} & {"".join(t.split()) for t in judged}
        everything = list(ablate.training_texts(documents, 10**9, 0))
        assert sum(len(t.encode()) for t in everything) == ablate.bytes_of(documents)
        assert texts != list(ablate.training_texts(documents, 5000, seed=2))


def test_near_copies_of_held_out_text_are_not_trained_on(tmp_path, write_shards):
    story = " ".join(f"sentence {i} of a long story about river {i * 7}" for i in range(30))
    other = " ".join(f"quite another text, number {i}, on mountains {i * 3}" for i in range(30))
    barred = ablate.HeldOutWindows.of([story])
    assert barred.holds(story.upper().replace(" ", "\n"))
    assert barred.holds(story.replace("river 49", "lake 50"))
    assert barred.holds(other[: len(story)] + story[:800])
    assert not barred.holds(other)
    assert not barred.holds("")
    write_shards(tmp_path / "en", [story, other, story + "!"])
    assert [text for _, text in ablate.usable_documents(tmp_path, "en", barred)] == [other]
    write_shards(tmp_path / "en", [story, story + "!", other], "validation")
    assert ablate.held_out_texts([tmp_path], "en", 10**6) == [story, other]


def test_a_cut_text_ends_with_a_whole_character():
    (text,) = ablate.training_texts([("a", "नदी" * 10)], 20, 0)
    assert text == "नदी" * 2


def test_the_interval_is_that_of_student():
    found = ablate.compare_scores([1.00, 1.02, 0.98], [0.90, 0.93, 0.87])
    assert found.difference == pytest.approx(-0.1)
    assert found.high - found.difference == pytest.approx(4.303 * 0.01 / 3**0.5, rel=1e-3)
    assert found.verdict == "second"
    assert ablate.compare_scores([1.0, 1.1], [1.1, 1.0]).verdict == "no difference shown"
    assert ablate.compare_scores([0.9, 0.91], [1.1, 1.11]).verdict == "first"
    with pytest.raises(ValueError, match="two pairs"):
        ablate.compare_scores([1.0], [2.0])


def test_a_run_that_was_stopped_is_not_compared(corpora, tmp_path, monkeypatch):
    stopped = TrainingResult(3, 300, False, {}, 900, 1.0, 1.0)
    monkeypatch.setattr(ablate, "train_decoder", lambda *arguments: stopped)
    settings = ablate.AblateSettings(seeds=2, vocabulary=512, held_out_bytes=1500)
    with pytest.raises(TrainingFailed, match="resumes it"):
        ablate.ablate_corpora(corpora / "noisy", corpora / "clean", ["fr"], tmp_path, RECIPE, settings)


def test_runs_of_another_length_are_not_compared(corpora, tmp_path):
    settings = ablate.AblateSettings(seeds=2, vocabulary=512, held_out_bytes=1500)
    old = tmp_path / "first-0" / "fr" / "model" / "checkpoints" / "step_00000001"
    old.mkdir(parents=True)
    (old / "state.json").write_text(json.dumps({"recipe": {"tokens": RECIPE.tokens - 1}}))
    with pytest.raises(SettingsError, match=r"another train\.tokens"):
        ablate.ablate_corpora(corpora / "noisy", corpora / "clean", ["fr"], tmp_path, RECIPE, settings)


def test_bad_comparisons_are_refused(corpora, tmp_path):
    with pytest.raises(SettingsError, match="seeds"):
        build(ablate.AblateSettings, {"seeds": 1}, "ablate")
    with pytest.raises(InputError, match="no shards"):
        ablate.ablate_corpora(corpora / "clean", tmp_path, ["fr"], tmp_path / "x", RECIPE, ablate.AblateSettings())
