import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install 'roots-corpus[train]'")

import torch

from roots.errors import SettingsError
from roots.settings import build
from trainer import corpus
from trainer.data.token_shards import TokenShards, write_token_shards
from trainer.evaluation import memorization
from trainer.model import checkpoint
from trainer.model.shapes import SHAPES, Shape
from trainer.settings import MemorizationSettings, TokenizerSettings, TokensSettings
from trainer.tokenizer.files import load_tokenizer, save_tokenizer
from trainer.tokenizer.training import train_tokenizer
from trainer.training.recipe import Recipe
from trainer.training.train import train_decoder


@pytest.mark.parametrize("size", [1, 2, 3, 7, 16, 48])
def test_keys_are_equal_exactly_where_windows_are(size):
    rng = np.random.default_rng(0)
    stream = rng.integers(0, 3, 400, dtype=np.uint16)
    stream[200:300] = stream[:100]
    keys = memorization.window_keys(stream, size)
    windows = [tuple(stream[i : i + size]) for i in range(len(stream) - size + 1)]
    assert len(keys) == len(windows)
    assert len(set(windows)) == len(set(keys.tolist()))
    first, copies = memorization.copies_of(stream, size)
    assert copies.sum() == len(windows)
    for at, count in zip(first, copies, strict=True):
        assert windows.count(windows[at]) == count
    assert len(memorization.window_keys(stream, 401)) == 0


@pytest.fixture(scope="module")
def learned(tmp_path_factory, write_shards):
    """A model that saw some texts once and one forty times."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    letters = list("abcdefghijklmnop")

    def text():
        return " ".join("".join(rng.choice(letters, 4)) for _ in range(30))

    work = tmp_path_factory.mktemp("heart")
    again = text()
    texts = [text() for _ in range(60)] + [again] * 40
    rng.shuffle(texts)
    write_shards(work / "xx", texts, "train")
    write_shards(work / "xx", [text() for _ in range(10)], "validation")
    splits = {split: corpus.shard_paths(work, "xx", split) for split in corpus.SPLITS}
    settings = TokenizerSettings(vocabulary=384, reserved=8, budget_mb=1)
    save_tokenizer(train_tokenizer({"xx": splits["train"]}, settings), work / "tok")
    write_token_shards(splits, load_tokenizer(work / "tok"), "xx", work / "tokens", TokensSettings())
    recipe = Recipe(
        length=64, tokens=150 * 1024, batch_tokens=1024, evaluate_every=0, save_every=10**6, attention="key_bias",
        optimiser="muon", lr=5e-3, evaluate_bytes=100,
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("trainer.model.shapes.SHAPES", {**SHAPES, "demo": Shape(2, 64, 4, 384)})
        train_decoder(recipe, {"xx": work / "tokens"}, work / "tok", work / "model", lambda text: None)
    return work


def test_text_with_many_copies_is_memorised_and_unseen_text_is_not(learned):
    model, _ = checkpoint.load_decoder(learned / "model")
    shards = {split: TokenShards(learned / "tokens", split) for split in corpus.SPLITS}
    settings = MemorizationSettings(prefix=16, suffix=8, windows=40)
    groups = memorization.measure_memorization(model, shards["train"], shards["validation"], settings)
    by_label = {group.copies: group for group in groups}
    assert groups[0].copies == "0"
    assert by_label["0"].asked == 40
    assert by_label["32 to 63"].share > 0.5
    assert by_label["0"].share == 0
    assert by_label["1"].share < 0.2
    table, svg = memorization.render_memorization({"before": groups, "after": groups[:2]})
    assert table.count("\n") == len(groups) + 2
    assert "| - |" in table
    assert svg.startswith("<svg")
    assert memorization.groups_as_values(groups)[0]["known"] == 0


def test_bad_settings_are_refused():
    with pytest.raises(SettingsError, match="at least 1"):
        build(MemorizationSettings, {"suffix": 0}, "memorization")
