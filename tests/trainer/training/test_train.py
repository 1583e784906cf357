import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install 'roots-corpus[train]'")

import numpy as np
import torch
from safetensors import SafetensorError
from torch.utils._python_dispatch import TorchDispatchMode

from roots.errors import InputError, SettingsError, ShardError, TrainingFailed
from roots.identity import sha256_of
from trainer.data.feed import IGNORE_INDEX
from trainer.export import export_model
from trainer.model import checkpoint
from trainer.model.attention import layout_of
from trainer.model.shapes import SHAPES, Shape
from trainer.settings import ExportSettings
from trainer.training import optimiser, parallel, recipe
from trainer.training.journal import Journal, read_log
from trainer.training.recipe import Recipe
from trainer.training.run import Run
from trainer.training.state import SpikeGuard
from trainer.training.train import train_decoder

TINY = Recipe(
    length=32, tokens=20 * 256, batch_tokens=256, micro_rows=8, save_every=10, evaluate_every=0, evaluate_bytes=500,
    attention="key_bias", lr=3e-3,
)  # fmt: skip


@pytest.fixture(autouse=True)
def _tiny(monkeypatch):
    torch.set_num_threads(1)
    monkeypatch.setattr("trainer.model.shapes.SHAPES", {**SHAPES, "demo": Shape(2, 32, 4, 384)})


def quiet(text):
    pass


def fit(world, target, settings=TINY, languages=("fr", "sw")):
    sources = {language: world / "tokens" / language for language in languages}
    return train_decoder(settings, sources, world / "tokenizer", target, quiet)


def held(target):
    return checkpoint.load_checkpoint(checkpoint.latest_checkpoint(target / "checkpoints"))


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def lines(target):
    return [{k: v for k, v in line.items() if k != "speed"} for line in read_log(target)]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"optimiser": "muon", "packing": "bestfit"},
        {"precision": "bf16"},
        {"dropout": 0.2},
        {"precision": "bf16", "attention": "blocks", "mask_documents": False},
    ],
)
def test_a_resumed_run_ends_with_the_bits_of_an_undisturbed_one(world, tmp_path, changes, monkeypatch):
    monkeypatch.setattr("trainer.model.block_attention.BLOCK_QUERIES", 16)
    settings = replace(TINY, **changes)
    whole = fit(world, tmp_path / "whole", settings)
    assert whole.finished
    assert whole.step == 20

    seen = []
    real = Run.update

    def dies(self, batch):
        if len(seen) == 14:  # four updates after the checkpoint
            raise KeyboardInterrupt
        seen.append(1)
        return real(self, batch)

    monkeypatch.setattr(Run, "update", dies)
    with pytest.raises(KeyboardInterrupt):
        fit(world, tmp_path / "parts", settings)
    monkeypatch.setattr(Run, "update", real)
    assert fit(world, tmp_path / "parts", settings).step == 20
    a, b = held(tmp_path / "whole"), held(tmp_path / "parts")
    assert same(a.weights, b.weights)
    assert same(a.optimiser, b.optimiser)
    assert a.state == b.state
    assert lines(tmp_path / "whole") == lines(tmp_path / "parts")


def test_every_seed_up_to_63_bits_gives_a_run_of_its_own(world, tmp_path):
    few = replace(TINY, dropout=0.1, tokens=2 * 256)
    seeds = (0, 2**24, 2**63 - 1, 2**63 - 1 - 2**24)
    for seed in seeds:
        fit(world, tmp_path / str(seed), replace(few, seed=seed))
    ends = {seed: held(tmp_path / str(seed)).weights for seed in seeds}
    for one, two in pairwise(seeds):
        assert not same(ends[one], ends[two])
    with pytest.raises(ValueError, match="seed must lie"):
        replace(few, seed=-1)


class SeenTypes(TorchDispatchMode):
    """Keeps the types of all results of torch's operations."""

    def __init__(self):
        super().__init__()
        self.types = set()

    def __torch_dispatch__(self, function, types, arguments=(), named=None):
        found = function(*arguments, **(named or {}))
        self.types |= {found.dtype} if isinstance(found, torch.Tensor) else set()
        return found


def test_muon_on_a_cpu_is_torchs_in_float32():
    torch.manual_seed(1)
    layers = [torch.nn.Linear(*shape) for shape in ((48, 16), (16, 48), (32, 32))]
    model, before = torch.nn.Sequential(*layers), [layer.weight.detach().clone() for layer in layers]
    ours = optimiser.Optimiser(model, replace(TINY, optimiser="muon", schedule="constant", warmup=0.0), masters=False)
    theirs = [torch.nn.Parameter(weight) for weight in before]
    reference = torch.optim.Muon(theirs, lr=TINY.muon_lr, weight_decay=TINY.weight_decay)
    for _ in range(3):
        for layer, parameter in zip(layers, theirs, strict=True):
            parameter.grad = torch.randn_like(parameter)
            layer.weight.grad = parameter.grad.clone()
        with SeenTypes() as seen:
            ours.step(256)
        reference.step()
        assert torch.bfloat16 not in seen.types
    for layer, parameter in zip(layers, theirs, strict=True):
        assert (layer.weight - parameter).abs().max() < 2e-3


@pytest.mark.parametrize(("rows", "columns"), [(16, 48), (48, 16), (32, 32)])
def test_muon_orthogonalises_nearly_singular_gradients(rows, columns):
    torch.manual_seed(2)
    left, _, right = torch.linalg.svd(torch.randn(rows, columns), full_matrices=False)
    spread = torch.logspace(0, -6, len(right))
    values = spread.double() / spread.double().norm()
    for _ in range(5):  # torch's polynomial, on the singular values themselves
        values = 3.4445 * values - 4.775 * values**3 + 2.0315 * values**5
    true = left.double() * values @ right.double()
    layer = torch.nn.Linear(columns, rows)
    torch.nn.init.zeros_(layer.weight)
    ours = optimiser.Optimiser(layer, replace(TINY, optimiser="muon", schedule="constant", warmup=0.0), masters=False)
    layer.weight.grad = left * spread @ right
    ours.step(256)
    change = -layer.weight.detach() / TINY.muon_lr / max(1, rows / columns) ** 0.5
    assert (change - true).norm() / true.norm() < 2e-3


@pytest.mark.parametrize("chosen", ["", "ACTIVE"])
def test_threads_of_torch_sleep_while_they_wait_unless_the_user_says_otherwise(chosen):
    environment = {key: value for key, value in os.environ.items() if key != "OMP_WAIT_POLICY"}
    environment |= {"OMP_WAIT_POLICY": chosen} if chosen else {}
    code = "import trainer, os; print(os.environ['OMP_WAIT_POLICY'])"
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == (chosen or "PASSIVE")


def test_a_run_begins_with_the_weights_of_a_run_or_of_an_exported_model(world, tmp_path):
    fit(world, tmp_path / "first", replace(TINY, tokens=2 * 256, save_every=2))
    export_model(tmp_path / "first", world / "tokenizer", tmp_path / "model", ExportSettings())
    sources = {"fr": world / "tokens" / "fr"}
    for place in ("first", "model"):
        settings = replace(TINY, start=str(tmp_path / place), seed=7)
        run = Run(settings, sources, world / "tokenizer", tmp_path / "next")
        assert same(run.optimiser.weights(), held(tmp_path / "first").weights)
        assert (
            fit(world, tmp_path / "next", replace(settings, tokens=2 * 256)).step == 2
        )  # the second goes on, as finished
    with pytest.raises(SettingsError, match="another start"):
        fit(world, tmp_path / "first", replace(TINY, tokens=4 * 256, start=str(tmp_path / "model")))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model_type": "gpt2"}, "another architecture"),
        ({"n_layer": 3}, "no model of its shape"),
        ({"n_head": "x"}, "config"),
    ],
)
def test_a_model_that_cannot_be_trained_on_is_refused(world, tmp_path, changes, said):
    fit(world, tmp_path / "first", replace(TINY, tokens=256))
    export_model(tmp_path / "first", world / "tokenizer", tmp_path / "model", ExportSettings())
    path = tmp_path / "model" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises((InputError, SettingsError), match=said):
        fit(world, tmp_path / "next", replace(TINY, start=str(tmp_path / "model")))


def test_a_model_of_another_tokenizer_is_refused(world, tmp_path):
    fit(world, tmp_path / "first", replace(TINY, tokens=256))
    state = tmp_path / "first" / "checkpoints" / "step_00000001" / "state.json"
    state.write_text(json.dumps(json.loads(state.read_text()) | {"tokenizer": "other"}))
    manifest = state.with_name("manifest.json")
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"state.json": sha256_of(state)}))
    with pytest.raises(InputError, match="another tokenizer"):
        fit(world, tmp_path / "next", replace(TINY, start=str(tmp_path / "first")))


def test_the_mean_of_the_last_checkpoints_is_a_run_that_can_be_evaluated(world, tmp_path):
    said = []
    settings = replace(TINY, tokens=6 * 256, save_every=2, keep=3, average=3)
    sources = {language: world / "tokens" / language for language in ("fr", "sw")}
    train_decoder(settings, sources, world / "tokenizer", tmp_path, said.append)
    folder = tmp_path / "checkpoints"
    ends = [checkpoint.load_checkpoint(checkpoint.checkpoint_path(folder, step)) for step in (2, 4, 6)]
    mean, state = checkpoint.load_decoder(tmp_path / "average")
    assert state["mean"] == [2, 4, 6]
    for name, weight in mean.state_dict().items():
        assert torch.allclose(weight, torch.stack([end.weights[name] for end in ends]).mean(0), atol=1e-7)
    assert "mean of the last 3 checkpoints, bits per byte fr" in said[-1]
    assert not same(held(tmp_path).weights, mean.state_dict())
    with pytest.raises(ValueError, match="keep=3"):
        replace(settings, keep=2)


def test_a_run_from_before_a_setting_was_there_goes_on(world, tmp_path, monkeypatch):
    first = replace(TINY, tokens=2 * 256, save_every=2)
    real = Run.decisive
    with monkeypatch.context() as older:
        older.setattr(Run, "decisive", lambda self: real(self) | {"recipe": without(real(self)["recipe"], "alpha")})
        fit(world, tmp_path, first)
    assert fit(world, tmp_path, replace(first, tokens=4 * 256)).step == 4
    with pytest.raises(SettingsError, match=r"train\.alpha is"):
        fit(world, tmp_path, replace(first, tokens=6 * 256, alpha=0.5))


def without(values, key):
    return {name: value for name, value in values.items() if name != key}


def test_what_decides_a_run_holds_the_weights_of_languages_as_text(world):
    sources = {language: world / "tokens" / language for language in ("fr", "sw")}
    run = Run(replace(TINY, weights={"sw": 3.0, "fr": 1.5}), sources, world / "tokenizer", Path("unused"))
    assert run.decisive()["recipe"]["weights"] == ["sw=3.0", "fr=1.5"]


def test_micro_batches_change_nothing_but_rounding(world, tmp_path):
    for name, rows in (("one", 8), ("eight", 1), ("three", 3)):
        fit(world, tmp_path / name, replace(TINY, micro_rows=rows, tokens=5 * 256, packing="bestfit"))
    losses = {
        name: [line["loss"] for line in lines(tmp_path / name) if "loss" in line] for name in ("one", "eight", "three")
    }
    assert losses["one"] == pytest.approx(losses["eight"], abs=1e-5)
    assert losses["one"] == pytest.approx(losses["three"], abs=1e-5)
    a, b = held(tmp_path / "one"), held(tmp_path / "eight")
    assert a.state["place"] == b.state["place"]
    assert max((a.weights[k] - b.weights[k]).abs().max() for k in a.weights) < 1e-4


def test_gradients_do_not_depend_on_how_a_batch_is_divided(world):
    settings = replace(TINY, packing="bestfit")
    run = Run(settings, {"fr": world / "tokens" / "fr"}, world / "tokenizer", Path("unused"))
    batch = run.data.feed.batch(np.arange(8))
    for row, counted in enumerate((32, 1, 0, 17, 30, 2, 9, 25)):
        batch.targets[row, counted:] = IGNORE_INDEX
    found = {}
    for rows in (8, 1, 3):
        run.recipe = replace(settings, micro_rows=rows)
        loss = run.gradients(batch)
        found[rows] = loss, {name: p.grad.clone() for name, p in run.model.named_parameters()}
        run.optimiser.clear()
    tokens, targets, docs = (torch.from_numpy(x) for x in (batch.tokens, batch.targets, batch.docs))
    logits = run.model(tokens, layout=layout_of(docs))
    plain = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORE_INDEX)
    plain.backward()
    for loss, gradients in found.values():
        assert loss == pytest.approx(plain.item(), abs=1e-6)
        for name, parameter in run.model.named_parameters():
            assert (gradients[name] - parameter.grad).abs().max() <= 1e-6, name


def test_a_run_resumes_with_another_micro_batch_on_the_same_rows(world, tmp_path, monkeypatch):
    real, seen = Run.update, []

    def watched(self, batch):
        seen.append(batch.positions.tolist())
        return real(self, batch)

    monkeypatch.setattr(Run, "update", watched)
    fit(world, tmp_path / "whole")
    undisturbed = list(seen)
    fit(world, tmp_path / "parts", replace(TINY, micro_rows=3))
    shutil.rmtree(checkpoint.latest_checkpoint(tmp_path / "parts" / "checkpoints"))
    seen.clear()
    assert fit(world, tmp_path / "parts", replace(TINY, micro_rows=5)).step == 20
    assert seen == undisturbed[10:]
    a, b = held(tmp_path / "whole"), held(tmp_path / "parts")
    assert a.state["place"] == b.state["place"]
    losses = [[line["loss"] for line in lines(tmp_path / run) if "loss" in line] for run in ("whole", "parts")]
    assert losses[0] == pytest.approx(losses[1], abs=2e-5)


def test_sigterm_saves_a_checkpoint_of_the_last_update(world, tmp_path):
    script = (
        "import sys,pathlib,torch;torch.set_num_threads(1);"
        "from trainer.model import shapes;from trainer.training import recipe,train;"
        "shapes.SHAPES={**shapes.SHAPES,'demo':shapes.Shape(2,32,4,384)};w=pathlib.Path(sys.argv[1]);"
        "r=recipe.Recipe(length=32,tokens=40000*256,batch_tokens=256,save_every=10000,evaluate_every=0,attention='key_bias');"
        "x=train.train_decoder(r,{'fr':w/'tokens'/'fr'},w/'tokenizer',pathlib.Path(sys.argv[2]));print('finished',x.finished)"
    )
    command = [sys.executable, "-c", script, str(world), str(tmp_path / "run")]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(Path.cwd())}
    )
    log = tmp_path / "run" / "log.jsonl"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (log.is_file() and log.stat().st_size > 500):
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "finished False" in out
    state = held(tmp_path / "run").state
    assert 0 < state["step"] < 10000
    assert lines(tmp_path / "run")[-1]["step"] == state["step"]


def test_a_kill_during_a_save_leaves_the_checkpoint_before(world, tmp_path):
    fit(world, tmp_path, replace(TINY, tokens=10 * 256))
    script = (
        "import sys,os,pathlib,torch;from trainer.model import checkpoint as c;p=pathlib.Path(sys.argv[1]);"
        "h=c.load_checkpoint(c.latest_checkpoint(p));real=c.save_file\n"
        "def half(t,f,**k):\n real(t,f,**k);os.kill(os.getpid(),9)\n"
        "c.save_file=half;c.save_checkpoint(p,99,h,2)"
    )
    folder = tmp_path / "checkpoints"
    killed = subprocess.run(
        [sys.executable, "-c", script, str(folder)], env={**os.environ, "PYTHONPATH": str(Path.cwd())}, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    assert list(folder.glob(".step_00000099.*.tmp"))
    assert checkpoint.checkpoint_steps(folder) == [0, 10]
    before = held(tmp_path)
    checkpoint.save_checkpoint(folder, 11, before, 2)
    assert not list(folder.glob(".*.tmp"))
    assert checkpoint.checkpoint_steps(folder) == [10, 11]


def test_a_checkpoint_appears_by_one_rename_of_a_whole_folder(world, tmp_path, monkeypatch):
    fit(world, tmp_path, replace(TINY, tokens=2 * 256))
    folder, before = tmp_path / "checkpoints", held(tmp_path)

    def full(path, target):
        assert not target.exists()
        assert sorted(p.name for p in path.iterdir()) == sorted((*checkpoint.CHECKPOINT_FILES, "manifest.json"))
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(ShardError, match="No space left"):
        checkpoint.save_checkpoint(folder, 50, before, 2)
    assert checkpoint.checkpoint_steps(folder) == [0, 2]
    assert not list(folder.glob(".*"))


def test_a_full_disk_is_reported_and_leaves_the_checkpoint_before(world, tmp_path, monkeypatch):
    fit(world, tmp_path, replace(TINY, tokens=2 * 256))
    folder, before = tmp_path / "checkpoints", held(tmp_path)

    def full(tensors, path, metadata):
        raise SafetensorError("I/O error: No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(ShardError, match="No space left"):
        checkpoint.save_checkpoint(folder, 50, before, 2)
    assert checkpoint.checkpoint_steps(folder) == [0, 2]
    assert not list(folder.glob(".*"))
    journal = Journal(tmp_path, True, False, quiet)
    journal.open(2, {})
    journal._file.close()
    with Path("/dev/full").open("a") as journal._file:
        with pytest.raises(ShardError, match=r"cannot write .*log\.jsonl: No space left"):
            journal.event({"step": 3})
        journal.close()


def test_who_may_read_a_run_folder_may_read_its_checkpoints(world, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run").chmod(0o755)
    before = os.umask(0o022)
    try:
        fit(world, tmp_path / "run", replace(TINY, tokens=256))
    finally:
        os.umask(before)
    files = [path for path in (tmp_path / "run" / "checkpoints").rglob("*") if path.is_file()]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o644}


def test_a_run_folder_that_cannot_be_made_is_named(world, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot make the folder"):
        fit(world, tmp_path / "file")
    (tmp_path / "run" / ".lock").mkdir(parents=True)
    with pytest.raises(InputError, match=r"cannot write .*\.lock"):
        fit(world, tmp_path / "run")


def test_a_damaged_checkpoint_is_refused(world, tmp_path):
    fit(world, tmp_path, replace(TINY, tokens=2 * 256))
    path = checkpoint.latest_checkpoint(tmp_path / "checkpoints") / "model.safetensors"
    raw = bytearray(path.read_bytes())
    raw[-5] ^= 1
    path.write_bytes(raw)
    for reader in (held, checkpoint.load_decoder, checkpoint.find_checkpoint):
        with pytest.raises(ShardError, match=r"model\.safetensors was changed"):
            reader(tmp_path)


@pytest.mark.parametrize("name", ["state.json", "manifest.json", "model.safetensors"])
@pytest.mark.parametrize("size", [0, 100])
def test_no_reader_takes_a_checkpoint_with_a_short_file(world, tmp_path, name, size):
    fit(world, tmp_path, replace(TINY, tokens=2 * 256))
    path = checkpoint.latest_checkpoint(tmp_path / "checkpoints") / name
    path.write_bytes(path.read_bytes()[:size])
    for reader in (held, checkpoint.load_decoder, checkpoint.find_checkpoint):
        with pytest.raises(ShardError, match="Delete"):
            reader(tmp_path)


def test_a_folder_of_another_run_is_refused(world, tmp_path):
    fit(world, tmp_path, replace(TINY, tokens=2 * 256))
    other = replace(TINY, tokens=2 * 256, lr=1e-4, weights={"fr": 1.0, "sw": 2.0})
    with pytest.raises(
        SettingsError, match=r"another data, train\.lr is 0\.003 there and 0\.0001 here, train\.weights"
    ):
        fit(world, tmp_path, other)
    with pytest.raises(SettingsError, match="another data"):
        fit(world, tmp_path, replace(TINY, tokens=2 * 256), ("fr",))
    with pytest.raises(InputError, match="roots tokens"):
        fit(tmp_path, tmp_path / "x", TINY) if (tmp_path / "tokenizer").exists() else train_decoder(
            TINY, {"fr": tmp_path / "none"}, world / "tokenizer", tmp_path / "x", quiet
        )


def test_updates_without_a_finite_loss_are_skipped(world, tmp_path, monkeypatch):
    real = Run.gradients

    def poisoned(self, batch):
        loss = real(self, batch)
        if self.progress.step in (5, 6):
            next(iter(self.model.parameters())).grad.fill_(float("nan"))
            return float("nan") if self.progress.step == 5 else loss
        return loss

    monkeypatch.setattr(Run, "gradients", poisoned)
    assert fit(world, tmp_path).finished
    log = lines(tmp_path)
    assert [line["step"] for line in log if "rows" in line] == [6, 7]
    assert all(torch.isfinite(value).all() for value in held(tmp_path).weights.values())

    monkeypatch.setattr(Run, "gradients", lambda self, batch: float("nan"))
    with pytest.raises(TrainingFailed, match="no finite loss"):
        fit(world, tmp_path / "never", replace(TINY, tokens=100 * 256))


def test_a_spike_rolls_back_and_skips_its_rows(world, tmp_path, monkeypatch):
    real = Run.gradients
    bad = range(68 * 8, 70 * 8)

    def spiky(self, batch):
        loss = real(self, batch)
        return loss * 50 if int(batch.positions[0]) in bad else loss

    monkeypatch.setattr(Run, "gradients", spiky)
    assert fit(world, tmp_path, replace(TINY, tokens=80 * 256)).finished
    events = [line for line in lines(tmp_path) if line.get("event") == "rolled back"]
    assert events == [{"step": 60, "event": "rolled back", "skipped": [bad[0], bad[-1] + 1]}]
    assert [line["step"] for line in lines(tmp_path) if "loss" in line] == list(range(1, 81))
    state = held(tmp_path).state
    assert state["place"] == {"position": 82 * 8, "skipped": [[bad[0], bad[-1] + 1]]}


def test_two_spikes_after_one_checkpoint_are_both_skipped(world, tmp_path, monkeypatch):
    real = Run.gradients
    bad = {*range(62 * 8, 64 * 8), *range(66 * 8, 68 * 8)}

    def spiky(self, batch):
        loss = real(self, batch)
        return loss * 50 if int(batch.positions[0]) in bad else loss

    monkeypatch.setattr(Run, "gradients", spiky)
    assert fit(world, tmp_path, replace(TINY, tokens=72 * 256)).finished
    assert held(tmp_path).state["place"]["skipped"] == [[62 * 8, 64 * 8], [66 * 8, 68 * 8]]
    assert [line["step"] for line in lines(tmp_path) if line.get("event") == "rolled back"] == [60, 60]
    assert [line["step"] for line in lines(tmp_path) if "loss" in line] == list(range(1, 73))


def test_two_commands_never_train_in_one_folder(world, tmp_path, monkeypatch):
    few, real, refused = replace(TINY, tokens=2 * 256), Run.update, []

    def meanwhile(self, batch):
        with pytest.raises(SettingsError, match="another command trains in") as error:
            fit(world, tmp_path / "run", few)
        refused.append(str(error.value))
        return real(self, batch)

    monkeypatch.setattr(Run, "update", meanwhile)
    assert fit(world, tmp_path / "run", few).finished
    assert len(refused) == 2
    assert all(str(tmp_path / "run") in text for text in refused)
    assert [line["step"] for line in lines(tmp_path / "run") if "loss" in line] == [1, 2]


def test_a_run_may_be_made_longer(world, tmp_path):
    flat = replace(TINY, schedule="constant", warmup=0.0, tokens=3 * 256)
    fit(world, tmp_path / "parts", flat)
    fit(world, tmp_path / "parts", replace(flat, tokens=6 * 256))
    fit(world, tmp_path / "whole", replace(flat, tokens=6 * 256))
    a, b = held(tmp_path / "parts"), held(tmp_path / "whole")
    assert same(a.weights, b.weights)
    assert same(a.optimiser, b.optimiser)
    assert (a.state["lengths"], b.state["lengths"]) == ([[3, 3 * 256, 6 * 256]], [])


def test_a_run_of_another_length_says_so_and_follows_the_new_schedule(world, tmp_path):
    said, sources = [], {"fr": world / "tokens" / "fr"}
    short, long = replace(TINY, tokens=4 * 256), replace(TINY, tokens=8 * 256, save_every=2)
    for settings in (short, long):
        train_decoder(settings, sources, world / "tokenizer", tmp_path, said.append)
    (line,) = [text for text in said if "lengthened" in text]
    assert "at step 4 from 1,024 to 2,048 tokens" in line
    events = [line for line in lines(tmp_path) if line.get("event") == "lengthened"]
    assert events == [{"step": 4, "event": "lengthened", "from": 1024, "to": 2048}]
    rates = {line["step"]: line["lr"] for line in lines(tmp_path) if "loss" in line}
    assert rates[5] == pytest.approx(TINY.lr * recipe.learning_rate_share(long, 5 * 256))
    with pytest.raises(SettingsError, match=r"tokens = 1024: .* has read 2048"):
        train_decoder(short, sources, world / "tokenizer", tmp_path, quiet)


def test_a_longer_run_that_is_killed_is_lengthened_once(world, tmp_path):
    short, long = replace(TINY, tokens=4 * 256), replace(TINY, tokens=8 * 256)
    fit(world, tmp_path, short)
    fit(world, tmp_path, long)
    shutil.rmtree(checkpoint.latest_checkpoint(tmp_path / "checkpoints"))
    fit(world, tmp_path, replace(long, tokens=6 * 256))
    events = [line for line in lines(tmp_path) if line.get("event") == "lengthened"]
    assert events == [{"step": 4, "event": "lengthened", "from": 1024, "to": 1536}]
    assert held(tmp_path).state["lengths"] == [[4, 1024, 1536]]


def test_a_finished_run_is_left_as_it_is(world, tmp_path):
    few, said = replace(TINY, tokens=2 * 256), []
    first = fit(world, tmp_path, few)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    sources = {language: world / "tokens" / language for language in ("fr", "sw")}
    again = train_decoder(few, sources, world / "tokenizer", tmp_path, said.append)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert (again.finished, again.step, again.bits_per_byte) == (True, 2, first.bits_per_byte)
    assert "is finished" in said[0]


@pytest.mark.parametrize("end", ['{"step": 3, "speed": {"seconds": 0.1}', '{"step": 3, "los', "\0" * 40, "7"])
def test_a_line_of_the_log_that_was_cut_is_dropped(world, tmp_path, end):
    few = replace(TINY, tokens=4 * 256, save_every=2)
    fit(world, tmp_path, few)
    shutil.rmtree(checkpoint.latest_checkpoint(tmp_path / "checkpoints"))
    log = tmp_path / "log.jsonl"
    log.write_text("".join(log.read_text().splitlines(keepends=True)[:2]) + end)
    assert fit(world, tmp_path, few).finished
    assert [line["step"] for line in lines(tmp_path) if "loss" in line] == [1, 2, 3, 4]


def test_a_spike_is_two_high_updates_in_a_row():
    guard = SpikeGuard()
    for _ in range(100):
        assert not guard.spiked([3.0, 1.0], 6.0, 0)
    assert not guard.spiked([60.0, 1.0], 6.0, 7)
    assert not guard.spiked([3.0, 1.0], 6.0, 8)
    assert not guard.spiked([60.0, 1.0], 6.0, 9)
    assert guard.spiked([60.0, 1.0], 6.0, 10)
    assert guard.since == 9
    assert not SpikeGuard(seen=99).spiked([1e9, 1e9], 0, 1)


def test_a_model_overfits_a_few_rows(world):
    still = replace(TINY, lr=1e-2, warmup=0.0, schedule="constant", mask_documents=False)
    settings = replace(still, batch_tokens=1024, micro_rows=32, tokens=10**6)
    run = Run(settings, {"fr": world / "tokens" / "fr"}, world / "tokenizer", Path("unused"))
    batch = run.data.feed.batch(np.arange(32))
    losses = [run.update(batch)["loss"] for _ in range(250)]
    assert losses[0] > 5
    assert min(losses) < 0.05


def test_the_log_has_falling_losses_and_is_drawn(world, tmp_path):
    said = []
    settings = replace(TINY, evaluate_every=5)
    sources = {"fr": world / "tokens" / "fr"}
    result = train_decoder(settings, sources, world / "tokenizer", tmp_path, said.append)
    assert "100 % of the run" in said[1]
    assert "tokens/s" in said[2]
    assert result.bits_per_byte["fr"] < 5
    losses = [line["loss"] for line in lines(tmp_path) if "loss" in line]
    assert losses[-1] < losses[0] - 0.5
    assert (tmp_path / "loss.svg").read_text().count("<polyline") == 3
    assert json.loads((tmp_path / "run.json").read_text())["shape"]["hidden"] == 32


@pytest.mark.parametrize(
    ("precision", "able", "warned"), [("bf16", False, True), ("bf16", True, False), ("fp32", False, False)]
)
def test_bfloat16_on_a_processor_without_it_is_named(world, tmp_path, monkeypatch, precision, able, warned):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, "avx512_bf16": able})
    said = []
    sources = {"fr": world / "tokens" / "fr"}
    settings = replace(TINY, tokens=256, precision=precision)
    train_decoder(settings, sources, world / "tokenizer", tmp_path, said.append)
    assert any("no bfloat16" in line for line in said) is warned


def test_recipe_and_number_of_processes_must_agree(world, tmp_path):
    with pytest.raises(SettingsError, match="torchrun"):
        fit(world, tmp_path, replace(TINY, shard=2))


@pytest.mark.parametrize(
    ("ramp", "fits"), [({"ramp_rows": 3, "ramp_by": 2}, False), ({"ramp_rows": 2, "ramp_by": 2}, True)]
)
def test_a_ramp_that_cannot_be_divided_among_ranks_is_refused(ramp, fits, monkeypatch):
    def opened(kind):
        raise ConnectionError(kind)

    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr("torch.distributed.init_process_group", opened)
    with pytest.raises(ConnectionError if fits else SettingsError):
        parallel.start(replace(TINY, ramp_tokens=512, **ramp))


def test_a_run_whose_batch_grows_reads_every_row_once_and_resumes(world, tmp_path):
    ramped = replace(TINY, ramp_rows=2, ramp_by=2, ramp_tokens=3 * 256, tokens=8 * 256, save_every=2)
    assert fit(world, tmp_path / "whole", ramped).finished
    sizes = [line["tokens"] for line in lines(tmp_path / "whole") if "loss" in line]
    assert [b - a for a, b in pairwise([0, *sizes])] == [rows * 32 for rows in recipe.rows_of_updates(ramped)]
    fit(world, tmp_path / "parts", ramped)
    for path in sorted((tmp_path / "parts" / "checkpoints").glob("step_*"))[-1:]:
        shutil.rmtree(path)
    assert fit(world, tmp_path / "parts", ramped).finished
    assert same(held(tmp_path / "whole").weights, held(tmp_path / "parts").weights)


def test_tensorboard_is_written_or_its_absence_reported(world, tmp_path, monkeypatch):
    written = []

    class Writer:
        def __init__(self, folder):
            self.folder = folder

        def add_scalar(self, *values):
            written.append(values)

        def close(self):
            written.append("closed")

    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", SimpleNamespace(SummaryWriter=Writer))
    wanted = replace(TINY, tensorboard=True, tokens=3 * 256)
    fit(world, tmp_path / "a", wanted)
    losses = [(line["loss"], line["tokens"]) for line in lines(tmp_path / "a") if "loss" in line]
    assert [(value, at) for key, value, at in written[:-1] if key == "loss"] == losses
    assert written[-1] == "closed"
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(SettingsError, match="pip install tensorboard"):
        fit(world, tmp_path / "b", wanted)
