import json

import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install 'roots-corpus[train]'")

import torch

from roots.errors import InputError
from trainer import corpus, demo
from trainer.evaluation import report
from trainer.model.shapes import SHAPES, Shape
from trainer.settings import EvaluateSettings, MemorizationSettings, TokensSettings
from trainer.steps import make_model
from trainer.training.recipe import recipe_for

SETTINGS = {
    "length": 32, "tokens": 10240, "batch_tokens": 512, "attention": "key_bias", "evaluate_every": 0,
    "evaluate_bytes": 300,
}  # fmt: skip


@pytest.fixture(scope="module")
def run(world, tmp_path_factory):
    torch.set_num_threads(1)
    target = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("trainer.model.shapes.SHAPES", {**SHAPES, "demo": Shape(1, 32, 4, 384)})
        folder, result = make_model(world, ["fr", "sw"], recipe_for(SETTINGS), target, lambda text: None)
    assert (folder, result.finished) == (target, True)
    assert result.summary().startswith("finished at step 20, 10,240 tokens")
    return target


def test_a_run_is_judged_beside_counting(world, run):
    found = report.evaluate_run(run, world, ["fr", "sw"], EvaluateSettings(bytes=2000, sample_tokens=5, samples=1))
    entry = found["languages"]["sw"]
    assert entry["shared_documents"] == 0
    assert entry["baselines"]["ngram"] < entry["baselines"]["unigram"]
    table = (run / "evaluation.md").read_text()
    for language, judged in found["languages"].items():
        names = {"unigram": "unigram", "5-gram, Witten-Bell": "ngram", "5-gram, Kneser-Ney": "kneser_ney"}
        (line,) = [line for line in table.splitlines() if line.startswith(f"{language}: the model needs")]
        for name, key in names.items():
            apart = judged["baselines"][key] - judged["bits_per_byte"]
            assert f"{abs(apart):.3f} {'fewer' if apart > 0 else 'MORE'} than {name}" in line
    assert (run / "extrapolation.svg").read_text().startswith("<svg")
    assert json.loads((run / "evaluation.json").read_text())["step"] == 20


def test_held_out_documents_that_were_trained_on_are_counted(tmp_path, write_shards):
    path = write_shards(tmp_path / "xx", ["a", "b"], "train")
    assert report.count_shared(path, path) == 2
    assert report.count_shared(path, write_shards(tmp_path / "xx", ["a"], "validation")) == 0


def test_two_runs_stand_side_by_side(world, run, tmp_path):
    runs = {"before": (run, world / "tokens"), "after": (run, world / "tokens")}
    found = report.memorization_of(runs, "fr", tmp_path, MemorizationSettings(8, 4, 5))
    assert found["groups"]["before"] == found["groups"]["after"]
    assert "known, after" in (tmp_path / "memorization.md").read_text()


def test_one_language_has_its_folders_below_its_own_and_several_share_them(world):
    assert corpus.run_folders(world, ["fr"]).tokens == world / "fr" / "tokens"
    assert corpus.run_folders(world, ["fr", "sw"]).tokens == world / "tokens"


def test_the_demo_fits_the_text_there_is(tmp_path, write_shards):
    write_shards(tmp_path / "fr", ["x" * 1000] * 140)
    write_shards(tmp_path / "sw", ["y" * 1000] * 20)
    small, larger = demo.demo_settings(tmp_path, ["fr"]), demo.demo_settings(tmp_path, ["fr", "sw"])
    assert (small["tokenizer"]["vocabulary"], larger["tokenizer"]["vocabulary"]) == (1024, 2048)
    assert small["tokens"]["copies"] > larger["tokens"]["copies"]
    for fit in demo.FITS:  # all of them are settings that can be used
        TokensSettings(copies=fit.copies, dropout=fit.merges)
        assert recipe_for({"preset": "demo", "dropout": fit.dropout, "tokens": fit.tokens}).dropout == fit.dropout
    with pytest.raises(InputError, match="no shards"):
        demo.demo_settings(tmp_path, ["yo"])
