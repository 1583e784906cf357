import json
import shutil

import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install 'roots-corpus[train]'")

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from roots.errors import InputError
from trainer import corpus, demo
from trainer.evaluation import report
from trainer.export import export_model
from trainer.model.shapes import SHAPES, Shape
from trainer.settings import EvaluateSettings, ExportSettings, MemorizationSettings, TokensSettings
from trainer.steps import export_run, make_model, make_tokens, measure_works
from trainer.tokenizer.files import END_ID, PAD_ID, load_tokenizer
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


def test_a_language_without_held_out_text_is_named_and_the_others_are_measured(run, world, tmp_path, write_shards):
    for name in ("fr", "sw", "tokens", "tokenizer"):
        shutil.copytree(world / name, tmp_path / name)
    write_shards(tmp_path / "fr", [], "validation")
    settings = EvaluateSettings(bytes=500, samples=0)
    list(make_tokens(tmp_path, ["fr", "sw"], TokensSettings()))
    found = report.evaluate_run(run, tmp_path, ["fr", "sw"], settings)
    assert list(found["languages"]) == ["sw"]
    assert found["mean_bits_per_byte"] == found["languages"]["sw"]["bits_per_byte"]
    assert "fr: no held-out text" in found["table"]
    assert "unfinished" not in found["table"]
    write_shards(tmp_path / "sw", [], "validation")
    list(make_tokens(tmp_path, ["fr", "sw"], TokensSettings()))
    with pytest.raises(InputError, match="no held-out text of 'fr'"):
        report.evaluate_run(run, tmp_path, ["fr", "sw"], settings)


def test_one_language_of_a_run_of_several_is_evaluated_and_exported_alone(run, world, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    found = report.evaluate_run(tmp_path / "run", world, ["sw"], EvaluateSettings(bytes=500, samples=0))
    assert list(found["languages"]) == ["sw"]
    folder = export_run(world, ["sw"], tmp_path / "out", ExportSettings(), tmp_path / "run")
    assert (folder / "tokenizer.json").read_bytes() == (world / "tokenizer" / "tokenizer.json").read_bytes()


def test_steps_after_tokens_go_on_with_the_tokenizer_that_was_named(world, tmp_path, write_shards, monkeypatch):
    monkeypatch.setattr("trainer.model.shapes.SHAPES", {**SHAPES, "demo": Shape(1, 32, 4, 384)})
    work, elsewhere = tmp_path / "work", tmp_path / "elsewhere"
    shutil.copytree(world / "tokenizer", elsewhere)
    for split in corpus.SPLITS:
        write_shards(work / "fr", ["le chat dort sous la table. " * 9] * 5, split)
    list(make_tokens(work, ["fr"], TokensSettings(), elsewhere))
    make_model(work, ["fr"], recipe_for({**SETTINGS, "tokens": 512}), say=lambda text: None)
    assert report.evaluate_run(None, work, ["fr"], EvaluateSettings(bytes=500, samples=1, sample_tokens=2))["languages"]
    folder = export_run(work, ["fr"], tmp_path / "out", ExportSettings())
    assert (folder / "tokenizer.json").read_bytes() == (elsewhere / "tokenizer.json").read_bytes()
    elsewhere.rename(tmp_path / "moved")
    with pytest.raises(InputError, match="elsewhere, which is gone"):
        make_model(work, ["fr"], recipe_for({**SETTINGS, "tokens": 512}), say=lambda text: None)


def test_an_export_names_the_special_tokens_that_a_foreign_tokenizer_has(world, tmp_path, monkeypatch):
    monkeypatch.setattr("trainer.model.shapes.SHAPES", {**SHAPES, "demo": Shape(1, 32, 4, 384)})
    foreign = Tokenizer(models.BPE())
    foreign.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    names = ["<mask>", "<unk>", "</s>"]  # id 3 is plain text, and nothing is for padding
    letters = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=names, show_progress=False, initial_alphabet=letters)
    foreign.train_from_iterator(["le chat dort"], trainer)
    foreign.save(str(tmp_path / "foreign.json"))
    shutil.copytree(world / "fr", tmp_path / "work" / "fr")
    work = tmp_path / "work", ["fr"]
    list(make_tokens(*work, TokensSettings(), tmp_path / "foreign.json"))
    make_model(*work, recipe_for({**SETTINGS, "tokens": 512}), say=lambda text: None)
    folder = export_run(*work, tmp_path / "out", ExportSettings())
    wanted = {"bos_token_id": 2, "eos_token_id": 2, "pad_token_id": 2}
    assert json.loads((folder / "generation_config.json").read_text()) == wanted
    assert json.loads((folder / "config.json").read_text()).items() >= {**wanted, "unk_token_id": 1}.items()
    said = json.loads((folder / "tokenizer_config.json").read_text())
    assert [said[f"{name}_token"] for name in ("unk", "bos", "eos", "pad")] == ["<unk>", "</s>", "</s>", "</s>"]


def test_one_language_after_another_gives_the_report_of_both(run, world, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    settings = EvaluateSettings(bytes=500, samples=0)
    for language in ("fr", "sw"):
        found = report.evaluate_run(tmp_path / "run", world, [language], settings)
    both = report.evaluate_run(tmp_path / "run", world, ["fr", "sw"], settings)
    assert list(found["languages"]) == ["fr", "sw"]
    assert {**found, "table": ""} == {**both, "table": ""}
    other = report.evaluate_run(tmp_path / "run", world, ["sw"], EvaluateSettings(bytes=400, samples=0))
    assert list(other["languages"]) == ["sw"]


def test_a_damaged_evaluation_is_named(run, world, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    (tmp_path / "run" / "evaluation.json").write_text('{"step": 2')
    with pytest.raises(InputError, match=r"evaluation\.json cannot be read"):
        export_run(world, ["fr", "sw"], tmp_path / "out", ExportSettings(), tmp_path / "run")


def test_a_tokenizer_of_another_run_is_not_taken(run, world, tmp_path):
    for name in ("fr", "sw", "tokens"):
        shutil.copytree(world / name, tmp_path / name)
    (tmp_path / "tokenizer").mkdir()
    text = (world / "tokenizer" / "tokenizer.json").read_text()
    (tmp_path / "tokenizer" / "tokenizer.json").write_text(text.replace("reserved_1|", "spare_1|"))
    for step in (
        lambda: report.evaluate_run(run, tmp_path, ["fr"], EvaluateSettings(bytes=500, samples=0)),
        lambda: export_run(tmp_path, ["fr"], tmp_path / "out", ExportSettings(), run),
    ):
        with pytest.raises(InputError, match="tokenizer of this run is not in"):
            step()


def test_a_run_that_is_not_over_is_called_unfinished_everywhere(run, world, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    for path in sorted((tmp_path / "run" / "checkpoints").iterdir())[1:]:
        shutil.rmtree(path)
    found = report.evaluate_run(tmp_path / "run", world, ["fr", "sw"], EvaluateSettings(bytes=500, samples=0))
    said = []
    folder = export_run(world, ["fr", "sw"], tmp_path / "out", ExportSettings(), tmp_path / "run", said.append)
    for text in (found["table"], said[0], (folder / "README.md").read_text()):
        assert "unfinished: step 0, 0 of 10,240 tokens" in text


def test_the_card_names_the_languages_and_no_number_of_another_step(run, world, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    (tmp_path / "run" / "evaluation.json").unlink(missing_ok=True)
    pair = world, ["fr", "sw"]
    export_run(*pair, tmp_path / "plain", ExportSettings(), tmp_path / "run")
    assert "language:\n- fr\n- sw\n" in (tmp_path / "plain" / "README.md").read_text()
    report.evaluate_run(tmp_path / "run", *pair, EvaluateSettings(bytes=500, samples=0))
    export_run(*pair, tmp_path / "right", ExportSettings(), tmp_path / "run")
    assert "Held-out text" in (tmp_path / "right" / "README.md").read_text()
    path = tmp_path / "run" / "evaluation.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"step": 7}))
    said = []
    export_run(*pair, tmp_path / "old", ExportSettings(), tmp_path / "run", said.append)
    assert "step 7" in said[0]
    assert "Held-out text" not in (tmp_path / "old" / "README.md").read_text()


def test_an_export_cuts_typed_special_tokens_as_training_did(run, world, tmp_path):
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    bare = tmp_path / "tokenizer"
    bare.mkdir()
    shutil.copy(world / "tokenizer" / "tokenizer.json", bare)
    folder = export_model(run, bare, tmp_path / "out", ExportSettings())
    mine, theirs = load_tokenizer(bare), transformers.AutoTokenizer.from_pretrained(folder)
    theirs.save_pretrained(tmp_path / "again")
    for found in (theirs, transformers.AutoTokenizer.from_pretrained(tmp_path / "again")):
        for text in ("le </s> chat", "<s>", "x<pad>y", "<|reserved_1|> la", "le chat dort"):
            assert found(text)["input_ids"] == mine.encode(text, add_special_tokens=False).ids
        assert (found.bos_token_id, found.eos_token_id, found.pad_token_id) == (END_ID, END_ID, PAD_ID)
    for name in ("config.json", "generation_config.json"):
        assert json.loads((folder / name).read_text())["bos_token_id"] == END_ID


def test_held_out_documents_that_were_trained_on_are_counted(tmp_path, write_shards):
    path = write_shards(tmp_path / "xx", ["a", "b"], "train")
    assert report.count_shared(path, path) == 2
    assert report.count_shared(path, write_shards(tmp_path / "xx", ["a"], "validation")) == 0


def test_two_runs_stand_side_by_side(world, run, tmp_path):
    runs = {"before": (run, world / "tokens"), "after": (run, world / "tokens")}
    found = report.memorization_of(runs, "fr", tmp_path, MemorizationSettings(8, 4, 5))
    assert found["groups"]["before"] == found["groups"]["after"]
    assert "known, after" in (tmp_path / "memorization.md").read_text()


def test_a_model_of_several_languages_is_asked_for_one_of_them(run, world, tmp_path, write_shards):
    works = [tmp_path / side / "work" for side in ("raw", "clean")]
    for work in works:
        for name in ("fr", "sw", "tokens", "tokenizer"):
            shutil.copytree(world / name, work / name)
        shutil.copytree(run, work / "model")
    write_shards(works[1] / "sw", [], "validation")
    list(make_tokens(works[1], ["fr", "sw"], TokensSettings()))
    newest = sorted((works[1] / "model" / "checkpoints").iterdir())[-1]
    shutil.rmtree(newest)
    table = measure_works(works, "sw", tmp_path / "out", MemorizationSettings(8, 4, 5))
    assert all(f"known, {work}" in table for work in works)
    assert f"{works[1]} is unfinished: step 0" in table
    assert f"{works[0]} is unfinished" not in table
    with pytest.raises(InputError, match=r"fewer than 90000 tokens"):
        measure_works(works[:1], "sw", tmp_path / "out", MemorizationSettings(10_000, 80_000, 5))


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
