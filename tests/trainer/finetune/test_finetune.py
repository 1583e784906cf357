"""Fine-tuning: what counts in the loss, packed rows, LoRA, and a run from a model to its report."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install 'roots-corpus[train]'")

import torch
import torch.nn.functional as F  # noqa: N812
from click.testing import CliRunner

from pipelines.cli.main import main
from pipelines.prompts.mixture import prompt_shards
from roots.atomic import read_manifest
from roots.errors import InputError
from trainer.export import export_model
from trainer.finetune import finetune as loop
from trainer.finetune.examples import PackedRows, TokenExample, encode_pair, fill_rows, read_examples, target_text
from trainer.finetune.finetune import finetune_model, target_loss
from trainer.finetune.lora import add_lora, merged_weights
from trainer.finetune.settings import FinetuneRequest, FinetuneSettings
from trainer.model.checkpoint import load_decoder, read_start
from trainer.model.decoder import empty_model
from trainer.model.shapes import SHAPES, Shape
from trainer.settings import ExportSettings
from trainer.tasks.pretrained import open_model
from trainer.tokenizer.files import END_ID, PAD_ID, load_tokenizer
from trainer.training.recipe import recipe_for
from trainer.training.train import train_decoder

SHAPE = Shape(2, 32, 4, 96)
ANSWERS = {"cat": "meows", "dog": "barks", "cow": "moos", "hen": "clucks"}


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def model_of(shape: Shape = SHAPE, kernel: str = "key_bias") -> Any:
    model = empty_model(shape, kernel)
    model.init_weights(3)
    return model


def example(length: int, target: int, seed: int) -> TokenExample:
    tokens = np.random.default_rng(seed).integers(4, SHAPE.vocabulary, length)
    tokens[0] = tokens[-1] = END_ID
    return TokenExample(tokens, target, "set")


EXAMPLES = [example(12, 7, 1), example(9, 3, 2), example(6, 4, 3)]


def loss_of_each(model: Any, rows: list[list[TokenExample]], length: int) -> list[list[float]]:
    """Loss of each target token, a list for each example in order."""
    batch = fill_rows(rows, length, "token")
    layout = loop.layout_of(torch.from_numpy(batch.docs))
    with torch.no_grad():
        logits = model(torch.from_numpy(batch.tokens), layout=layout)
        losses = F.cross_entropy(logits.flatten(0, 1), torch.from_numpy(batch.targets).flatten(), reduction="none")
    losses = losses.view(batch.targets.shape)
    found = []
    for row, examples in enumerate(rows):
        for number in range(len(examples)):
            mine = (batch.docs[row] == number) & (batch.targets[row] >= 0)
            found.append(losses[row][torch.from_numpy(mine)].tolist())
    return found


@pytest.mark.parametrize("kernel", ["additive", "key_bias", "blocks"])
def test_a_packed_row_is_its_examples_alone_and_others_change_no_bit(kernel: str) -> None:
    model = model_of(kernel=kernel)
    packed = loss_of_each(model, [EXAMPLES], 32)
    alone = loss_of_each(model, [[each] for each in EXAMPLES], 32)
    assert [len(losses) for losses in packed] == [5, 6, 2]
    for one, other in zip(packed, alone, strict=True):
        assert one == pytest.approx(other, abs=2e-4)
    for poisoned in range(3):
        rows = [replace_tokens(each) if number == poisoned else each for number, each in enumerate(EXAMPLES)]
        changed = loss_of_each(model, [rows], 32)
        for number in {0, 1, 2} - {poisoned}:
            assert changed[number] == packed[number]
        assert changed[poisoned] != packed[poisoned]


def replace_tokens(old: TokenExample) -> TokenExample:
    return old._replace(tokens=np.where(np.arange(len(old.tokens)) % 2, 95 - old.tokens % 90, old.tokens))


def test_only_targets_and_their_end_have_a_gradient() -> None:
    model, held = model_of(), []
    hidden = model.hidden

    def watched(*arguments: Any) -> Any:
        held.append(hidden(*arguments))
        held[-1].retain_grad()
        return held[-1]

    model.hidden = watched
    batch = fill_rows([EXAMPLES[:2], EXAMPLES[2:]], 24, "target")
    target_loss(model, batch).backward()
    moved = held[0].grad.abs().sum(-1) > 0
    assert torch.equal(moved, torch.from_numpy(batch.targets != loop.IGNORE_INDEX))
    ends = (batch.targets == END_ID).sum()
    assert ends == 3
    assert (batch.tokens[batch.docs < 0] == PAD_ID).all()
    assert (batch.targets[batch.docs < 0] == loop.IGNORE_INDEX).all()


def test_the_loss_is_that_of_plain_logits_with_weights() -> None:
    model = model_of()
    batch = fill_rows([EXAMPLES], 32, "target")
    alone = loss_of_each(model, [[each] for each in EXAMPLES], 32)
    assert batch.whole_weight == pytest.approx(3)
    assert float(target_loss(model, batch).detach()) == pytest.approx(
        sum(np.mean(losses) for losses in alone), rel=1e-5
    )
    root = fill_rows([EXAMPLES], 32, "sqrt")
    assert root.whole_weight == pytest.approx(5**0.5 + 6**0.5 + 2**0.5)


def tuning_of(model: Any, **settings: Any) -> Any:
    chosen = FinetuneSettings(batch_rows=8, **settings)
    return loop._Tuning(chosen, model, PackedRows({"en": EXAMPLES * 4}, 24, {"en": 1.0}, 0), None, 24, 1e-3)


def test_micro_batches_change_nothing_but_rounding() -> None:
    found = []
    for micro in (1, 3, 8):
        model = model_of()
        tuning = tuning_of(model, micro_rows=micro)
        loss = tuning.gradients(tuning.batches(0))
        found.append((loss, torch.cat([p.grad.flatten() for p in model.parameters()])))
    for loss, gradient in found[1:]:
        assert loss == pytest.approx(found[0][0], abs=1e-6)
        torch.testing.assert_close(gradient, found[0][1], atol=1e-6, rtol=1e-4)


def test_lora_changes_its_own_weights_alone_and_merged_equals_unmerged() -> None:
    model = model_of()
    tokens = torch.arange(4, 28)[None]
    first, before = merged_weights(model), model(tokens)
    add_lora(model, 4, 16.0, 0)
    assert torch.equal(model(tokens), before)
    tuning = tuning_of(model, lora=4)
    for step in range(3):
        tuning.update(step)
    merged = merged_weights(model)
    changed = {name for name, value in merged.items() if not torch.equal(value, first[name])}
    assert changed == {name for name in first if name.endswith("weight") and ".h." in name and "norm" not in name}
    plain = empty_model(SHAPE)
    plain.load_state_dict(merged)
    torch.testing.assert_close(plain(tokens), model(tokens), atol=1e-6, rtol=1e-6)
    assert not torch.equal(plain(tokens), before)


def test_rows_are_packed_with_little_padding_and_read_by_the_weights_of_languages() -> None:
    lengths = np.clip(np.random.default_rng(0).lognormal(4, 0.8, 3000), 4, 500).astype(int)
    sets = {"en": [example(n + 1, 2, 0) for n in lengths], "sw": [example(n + 1, 2, 0) for n in lengths[:300]]}
    rows = PackedRows(sets, 512, {"en": 0.5, "sw": 0.5}, 0)
    assert rows.padding < 0.01
    first = rows.at(np.arange(60))
    assert max(sum(len(each.tokens) - 1 for each in row) for row in first) <= 512
    assert [len(row) for row in rows.at(np.arange(20, 25))] == [len(row) for row in first[20:25]]
    source, _ = rows._turns.at(np.arange(1000))
    assert 450 < (source == 1).sum() < 550


def test_a_target_follows_a_space_unless_white_space_is_there() -> None:
    assert target_text("a", "b", " ") == " b"
    assert target_text("a\n", "b", " ") == target_text("a", "b", "") == "b"
    assert target_text("a", "\nb", " ") == "\nb"


@pytest.fixture(scope="module")
def prompts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of prompts: three wordings of one question, the third held out or not by digest."""
    pytest.importorskip("jinja2", reason="Jinja is not installed: pip install 'roots-corpus[prompts]'")
    folder = tmp_path_factory.mktemp("prompts")
    records = [{"animal": animal, "sound": sound} for animal, sound in ANSWERS.items()]
    (folder / "animals.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    wordings = (
        "le {{animal}} ||| {{sound}}",
        "{{animal}} dans la cour ||| {{sound}}",
        "le chat, {{animal}} ||| {{sound}}",
    )
    text = "".join(f'[[templates]]\nname = "{n}"\njinja = "{jinja}"\n' for n, jinja in enumerate(wordings))
    (folder / "t.toml").write_text('dataset = "animals"\n' + text)
    arguments = ["prompts", f"{folder}/animals.jsonl", "--templates", f"{folder}/t.toml", "--language", "en"]
    done = CliRunner().invoke(main, [*arguments, "--to", f"{folder}/made", "-q", "--executor", "serial"])
    assert done.exit_code == 0, done.output
    assert "12 of 12 examples stay" in done.output
    return folder / "made"


@pytest.fixture(scope="module")
def base(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a few updates."""
    target = tmp_path_factory.mktemp("base") / "model"
    values = {"length": 32, "tokens": 4_096, "batch_tokens": 512, "evaluate_bytes": 500, "attention": "key_bias"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("trainer.model.shapes.SHAPES", {**SHAPES, "demo": Shape(2, 32, 4, 384)})
        recipe = recipe_for({**values, "optimiser": "adamw", "threads": 1})
        train_decoder(recipe, {"fr": world / "tokens" / "fr"}, world / "tokenizer", target, lambda text: None)
    return target


def request_of(base: Path, world: Path, prompts: Path, target: Path, **settings: Any) -> FinetuneRequest:
    chains, weights = [shard.chain for shard in prompt_shards(prompts)], read_manifest(prompts)["weights"]
    usual = {"batch_rows": 2, "micro_rows": 2, "lr": 3e-3, "evaluate_every": 40, "evaluate_bytes": 500, "threads": 1}
    chosen = FinetuneSettings(**{**usual, "attention": "key_bias", **settings})
    tokens = (world / "tokens" / "fr",)
    return FinetuneRequest(base, chains, weights, target, world / "tokenizer", tokens, chosen)


def test_held_out_wordings_are_not_trained_on(world: Path, prompts: Path) -> None:
    chains = [shard.chain for shard in prompt_shards(prompts)]
    tokenizer = load_tokenizer(world / "tokenizer")
    sets = read_examples(chains, tokenizer, 32, FinetuneSettings())
    assert (len(sets.train["en"]), len(sets.held_out)) == (8, 4)
    assert sets.counts["examples"] == 12
    tokens, target = encode_pair(tokenizer, "le", "chat", " ")
    assert tokenizer.decode(tokens[target:-1].tolist()) == " chat"
    with pytest.raises(InputError, match="no example fits in a row of 3 tokens"):
        read_examples(chains, tokenizer, 3, FinetuneSettings())


def test_a_model_learns_its_prompts_and_the_run_is_used_as_any_run(
    world: Path, base: Path, prompts: Path, tmp_path: Path
) -> None:
    said: list[str] = []
    wanted = request_of(base, world, prompts, tmp_path / "tuned", tokens=4_800, replay=0.5, patience=9)
    report = finetune_model(wanted, said.append)
    assert report["best"]["loss"] < 0.5 * report["curve"][0]["loss"]
    assert set(report["bits_per_byte"]["after"]) == {"fr"}
    model, state = load_decoder(tmp_path / "tuned")
    assert state["separator"] == " "
    tokens, target = encode_pair(open_model(tmp_path / "tuned", 32).tokenizer, "le cow", "moos", " ")
    with torch.no_grad():
        likeliest = model(torch.from_numpy(tokens[None, :-1]))[0].argmax(-1)[target - 1 :]
    assert likeliest.tolist() == tokens[target:].tolist()
    export_model(tmp_path / "tuned", tmp_path / "tuned" / "tokenizer", tmp_path / "exported", ExportSettings())
    again = request_of(tmp_path / "exported", world, prompts, tmp_path / "again", tokens=64, length=32, lora=2)
    finetune_model(replace(again, tokenizer=None, tokens=()), said.append)
    assert read_start(tmp_path / "again").shape == read_start(base).shape
    assert any("parameters are trained on 8 examples" in line for line in said)


def test_equal_runs_give_equal_bits_and_a_folder_is_not_overwritten(
    world: Path, base: Path, prompts: Path, tmp_path: Path
) -> None:
    found = []
    for name in ("one", "two"):
        wanted = request_of(base, world, prompts, tmp_path / name, tokens=400)
        finetune_model(wanted, lambda text: None)
        found.append(read_start(tmp_path / name).digest)
    assert found[0] == found[1]
    with pytest.raises(InputError, match="holds a run"):
        finetune_model(wanted, lambda text: None)


def test_training_stops_when_held_out_prompts_get_no_better(
    world: Path, base: Path, prompts: Path, tmp_path: Path
) -> None:
    wanted = request_of(base, world, prompts, tmp_path / "t", tokens=10_000_000, lr=0.3, evaluate_every=1, patience=2)
    report = finetune_model(wanted, lambda text: None)
    assert report["steps"] < 100
    assert load_decoder(tmp_path / "t")[1]["step"] == report["best"]["step"]
