import json
import math
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install 'roots-corpus[train]'")

import torch

from roots.errors import InputError
from trainer import corpus, export
from trainer.data.token_shards import TokenShards, write_token_shards
from trainer.evaluation import baselines, held_out
from trainer.model import checkpoint
from trainer.model.attention import additive
from trainer.model.decoder import Sampling, empty_model
from trainer.model.shapes import SHAPES, Shape
from trainer.settings import EvaluateSettings, TokenizerSettings, TokensSettings
from trainer.tokenizer.files import END_ID, load_tokenizer, save_tokenizer
from trainer.tokenizer.training import train_on_texts, train_tokenizer
from trainer.training.recipe import Recipe
from trainer.training.train import train_decoder

SIZE = Shape(2, 48, 4, 384)
SETTINGS = Recipe(
    length=64, tokens=250 * 512, batch_tokens=512, evaluate_every=0, save_every=1000, attention="key_bias", lr=5e-3,
    mask_documents=False,
)  # fmt: skip


def trained(world, target, **kernels):
    """Train on both languages; `kernels` replace those of the model."""
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("trainer.model.shapes.SHAPES", {**SHAPES, "demo": SIZE})
        if kernels:
            patch.setattr("trainer.model.decoder.KERNELS", kernels)
        sources = {language: world / "tokens" / language for language in ("fr", "sw")}
        train_decoder(SETTINGS, sources, world / "tokenizer", target, lambda text: None)
    return target


@pytest.fixture(scope="module")
def run(world, tmp_path_factory):
    return trained(world, tmp_path_factory.mktemp("run"))


def blind(q, k, v, slopes, layout=None):
    """Attention without ALiBi."""
    return additive(q, k, v, torch.zeros_like(slopes), layout)


def validation(world, language="fr"):
    return TokenShards(world / "tokens" / language, "validation")


@pytest.mark.parametrize(("size", "length"), [(1, 8), (2, 8), (8, 8), (9, 8), (33, 8), (100, 7), (5, 1)])
def test_every_token_is_judged_once_with_half_a_window_before_it(size, length):
    document = [END_ID, *range(10, 10 + size - 1)]
    judged = []
    for number, (inputs, targets) in enumerate(held_out.judged_windows(document, length)):
        assert len(inputs) == len(targets) <= length
        counted = [at for at, target in enumerate(targets) if target != -100]
        judged += [targets[at] for at in counted]
        assert number == 0 or counted[0] >= length - max(1, length // 2) or length == 1
        assert all(targets[at] == inputs[at + 1] for at in counted[:-1])
    assert judged == [*document[1:], END_ID]


@pytest.mark.parametrize("language", ["fr", "sw"])
def test_bytes_are_those_of_the_text_and_uniform_logits_cost_log_of_the_vocabulary(world, language):
    model = empty_model(SIZE)
    model.init_weights(0)
    with torch.no_grad():
        model.transformer.word_embeddings.weight.zero_()
    shards = validation(world, language)
    bits = held_out.bits_per_byte(model, shards, 16, 10**9)
    texts = [text for _, text in corpus.documents(corpus.shard_paths(world, language, "validation"))]
    assert bits.bytes == sum(len(text.encode()) for text in texts)
    assert bits.tokens == shards.tokens - bits.documents
    assert bits.bits_per_byte == pytest.approx(math.log2(384) * bits.tokens / bits.bytes, rel=1e-6)
    assert bits.end_nats == pytest.approx(math.log(384), rel=1e-6)


def test_a_vocabulary_of_bytes_with_uniform_logits_costs_eight_bits(tmp_path, write_shards):
    texts = ["Ọ̀sán yìí, ajá náà ń sùn.", "नदी", "狗在河边睡觉。", "a"]
    path = write_shards(tmp_path / "xx", texts, "validation")
    byte_level = train_on_texts(iter([""]), TokenizerSettings(vocabulary=384, reserved=0))
    assert byte_level.get_vocab_size() == 260
    write_token_shards({"validation": path}, byte_level, "xx", tmp_path / "tokens", TokensSettings())
    model = empty_model(Shape(1, 16, 2, 384))
    model.init_weights(0)
    with torch.no_grad():  # only the 256 bytes are possible, all alike: their logit is 0, that of the others -1000
        model.transformer.ln_f.weight.zero_()
        model.transformer.ln_f.bias.copy_(torch.tensor([1.0] + [0.0] * 15))
        model.transformer.word_embeddings.weight.zero_()
        model.transformer.word_embeddings.weight[:4, 0] = model.transformer.word_embeddings.weight[260:, 0] = -1000.0
    shards = TokenShards(tmp_path / "tokens", "validation")
    bits = held_out.bits_per_byte(model, shards, 8, 10**6)
    assert bits.bytes == sum(len(text.encode()) for text in texts)
    assert bits.bits_per_byte == pytest.approx(8.0, abs=1e-6)


def test_a_language_without_held_out_text_is_named(tmp_path, write_shards, world):
    sources = {"validation": write_shards(tmp_path / "xx", [], "validation")}
    write_token_shards(sources, load_tokenizer(world / "tokenizer"), "xx", tmp_path / "tokens", TokensSettings())
    model = empty_model(SIZE)
    with pytest.raises(InputError, match="no held-out text of 'xx'"):
        held_out.bits_per_byte(model, TokenShards(tmp_path / "tokens", "validation"), 8, 100)


def test_windows_change_nothing_where_the_document_fits(world, run):
    model, _ = checkpoint.load_decoder(run)
    shards = validation(world)
    document = shards.document(0).tolist()
    one = torch.tensor([document])
    targets = torch.tensor([[*document[1:], END_ID]])
    alone = model(one, targets).item()
    single = held_out.bits_per_byte(model, shards, len(document) + 1, 1)
    total = single.bits_per_byte * math.log(2) * single.bytes + single.end_nats
    assert single.documents == 1
    assert total == pytest.approx(alone, rel=1e-5)


def test_a_trained_model_beats_counting_and_reads_beyond_its_training(world, run):
    model, state = checkpoint.load_decoder(run)
    tokenizer = load_tokenizer(world / "tokenizer")
    shards = {language: validation(world, language) for language in ("fr", "sw")}
    settings = EvaluateSettings(bytes=4000, sample_tokens=10, samples=2)
    found = held_out.evaluate_model(model, tokenizer, shards, state["length"], settings)
    json.dumps(found)
    for language in shards:
        entry = found["languages"][language]
        counted = baselines.measure_baselines(
            corpus.shard_paths(world, language, "train"), corpus.shard_paths(world, language, "validation"), 10**6, 4000
        )
        assert entry["bits_per_byte"] < 0.5 * counted.unigram
        curve = entry["extrapolation"]
        assert list(curve) == ["64", "128", "256"]
        assert max(curve["128"], curve["256"]) <= 1.05 * curve["64"]
        assert len(entry["samples"]) == 2
        assert "<|reserved" not in "".join(entry["samples"])


def test_a_model_trained_without_alibi_is_worse_beyond_its_training_and_ours_better(world, run, tmp_path, monkeypatch):
    model, _ = checkpoint.load_decoder(run)
    control, _ = checkpoint.load_decoder(trained(world, tmp_path / "control", key_bias=blind))
    for language in ("fr", "sw"):
        shards = validation(world, language)
        ours = held_out.extrapolation(model, shards, [64, 256], 8000)
        with monkeypatch.context() as patch:
            patch.setattr("trainer.model.decoder.KERNELS", {"key_bias": blind})
            without = held_out.extrapolation(control, shards, [64, 256], 8000)
        assert ours[256] < ours[64] < without[64]
        assert without[256] > 1.01 * without[64]


def test_without_alibi_reading_beyond_training_degrades(world, run, monkeypatch):
    model, _ = checkpoint.load_decoder(run)
    shards = validation(world)
    plain = held_out.extrapolation(model, shards, [64, 256], 4000)
    monkeypatch.setattr("trainer.model.decoder.KERNELS", {"key_bias": blind})
    control = held_out.extrapolation(model, shards, [64, 256], 4000)
    assert control[256] / control[64] > plain[256] / plain[64]
    assert control[256] > 1.05 * plain[256]


def test_windows_longer_than_the_text_are_left_out_of_the_curve(world, run):
    model, _ = checkpoint.load_decoder(run)
    assert held_out.extrapolation(model, validation(world), [10**6], 4000) == {}
    assert list(held_out.extrapolation(model, validation(world), [64, 10**6], 4000)) == [64]


@pytest.mark.parametrize("rule", baselines.RULES)
def test_ngrams_are_probabilities_and_learn(rule):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, 5000, dtype=np.uint8)
    assert 7.5 < baselines.ngram(noise[:4000], noise[4000:], 5, rule) < 9.5
    pattern = np.frombuffer(b"abcabd" * 500, dtype=np.uint8)
    assert baselines.ngram(pattern, pattern[:600], 5, rule) < 0.1
    assert baselines.unigram(pattern, pattern) == pytest.approx(-np.log2([(1001) / 3256] * 4 + [501 / 3256] * 2).mean())
    train_, word = np.frombuffer(b"abracadabra" * 3, dtype=np.uint8), b"abra"
    total = 0.0
    for last in range(256):  # chances of all bytes after a context sum to 1
        data = np.frombuffer(word + bytes([last]), dtype=np.uint8)
        total += 2 ** -baselines.ngram_bits(train_, data, 5, rule)[-1]
    assert total == pytest.approx(1.0)
    ends = np.frombuffer(b"abra\0abra\0", dtype=np.uint8)  # where documents end is not counted
    assert baselines.ngram(train_, ends, 5, rule) == pytest.approx(
        baselines.ngram_bits(train_, ends, 5, rule)[[0, 1, 2, 3, 5, 6, 7, 8]].mean()
    )
    with pytest.raises(ValueError, match="between 1 and 8"):
        baselines.ngram(noise, noise, 9, rule)


def test_kneser_ney_probabilities_agree_with_a_calculation_by_hand():
    # "abab": the pairs are 0a (the padding before the text), ba, and ab twice: n1 = 2 stood once, n2 = 1 twice.
    # share = 2 / 4, so once gives up 1 - 2 x .5 x 1 / 2 = .5, twice 2 - 0 = 2, held to 1.95. As ends of pairs, a stood
    # after two kinds and b after one, so that n1 = n2 = 1: share = 1 / 3, D1 = 1 - 2 / 3 = 1 / 3, D2 = 2, held to 1.95.
    text = np.frombuffer(b"abab", dtype=np.uint8)
    alone = (1 - 1 / 3 + (1 / 3 + 1.95) / 256) / 3  # b by itself
    after_a = (2 - 1.95 + 1.95 * alone) / 2
    bits = baselines.ngram_bits(text, np.frombuffer(b"ab", dtype=np.uint8), 2, "kneser_ney")
    assert bits[1] == pytest.approx(-np.log2(after_a))


def test_an_export_is_the_same_model_in_transformers(world, run, tmp_path):
    transformers = pytest.importorskip("transformers", reason="transformers is not installed (the dev extra has it)")
    model, state = checkpoint.load_decoder(run)
    shards = {"fr": validation(world)}
    report = held_out.evaluate_model(
        model, load_tokenizer(world / "tokenizer"), shards, 64, EvaluateSettings(bytes=500, samples=0)
    )
    folder = export.export_model(
        run, world / "tokenizer", tmp_path / "model", export.ExportSettings(name="demo"), report
    )
    theirs, info = transformers.BloomForCausalLM.from_pretrained(folder, dtype="float32", output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    assert theirs.lm_head.weight.data_ptr() == theirs.transformer.word_embeddings.weight.data_ptr()
    wanted = model.state_dict()
    assert all(torch.equal(value, wanted[name]) for name, value in theirs.state_dict().items() if name in wanted)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    ids = tokenizer("le chat dort sous la table", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        logits = theirs.eval()(ids).logits
        assert (logits - model(ids)).abs().max() <= 1e-4
        again = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype="float32").eval()
        assert torch.equal(again(ids).logits, logits)
        reloaded = empty_model(SIZE)
        reloaded.load_state_dict({k: v for k, v in theirs.state_dict().items() if k != "lm_head.weight"}, strict=True)
        assert torch.equal(reloaded(ids), model(ids))
    greedy = theirs.generate(ids, max_new_tokens=8, do_sample=False)
    assert torch.equal(greedy[:, ids.shape[1] :], model.generate(ids, 8, Sampling(temperature=0))) or END_ID in greedy
    card = (folder / "README.md").read_text()
    assert "bits per byte" in card
    assert "Apache License" in (folder / "LICENSE").read_text()
    assert state["length"] == 64


def test_another_tokenizer_is_not_exported(world, run, tmp_path, write_shards):
    other = train_tokenizer(
        {"fr": corpus.shard_paths(world, "fr", "train")}, TokenizerSettings(vocabulary=512, budget_mb=1)
    )
    save_tokenizer(other, tmp_path / "other")
    with pytest.raises(InputError, match="not the tokenizer"):
        export.export_model(run, tmp_path / "other", tmp_path / "out", export.ExportSettings())
    with pytest.raises(InputError, match=r"tokenizer\.pattern=bloom"):
        export.export_model(run, world / "tokenizer", tmp_path / "out", export.ExportSettings(gguf=True))
    assert not (tmp_path / "out").exists()
    with pytest.raises(InputError, match="licence_file"):
        export.licence_text(export.ExportSettings(licence="mit"))
    with pytest.raises(InputError, match="no checkpoint in"):
        checkpoint.find_checkpoint(tmp_path)
    assert replace(SETTINGS, seed=1) != SETTINGS
