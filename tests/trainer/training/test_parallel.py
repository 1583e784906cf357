import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install 'roots-corpus[train]'")

import torch
from safetensors.torch import load_file

from trainer import export
from trainer.model import checkpoint
from trainer.training.journal import read_log

SCRIPT = """
import sys, pathlib, torch
torch.set_num_threads(1)
from trainer.model import shapes
from trainer.training import recipe, train
shapes.SHAPES = {**shapes.SHAPES, "demo": shapes.Shape(2, 48, 4, 384)}
work, target, tokens = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), int(sys.argv[3])
changes = eval(sys.argv[4])
settings = recipe.Recipe(length=32, tokens=tokens, batch_tokens=256, micro_rows=2, save_every=4, evaluate_every=0,
                         keep=3, evaluate_bytes=300, attention="key_bias", **changes)
train.train_decoder(settings, {"fr": work / "tokens" / "fr"}, work / "tokenizer", target, lambda text: None)
"""

KINDS = {
    "ddp": (2, "{}"),
    "fsdp": (2, "{'shard': 2}"),
    "tensor": (2, "{'tensor': 2}"),
    "hybrid": (4, "{'replicate': 2, 'shard': 2}"),
    "fsdp and tensor": (4, "{'shard': 2, 'tensor': 2}"),
}


def launch(world, target, processes, changes="{}", tokens=6 * 256, script=SCRIPT):
    """Run the script as torchrun would start it."""
    target.mkdir(parents=True, exist_ok=True)
    file = target / "run.py"
    file.write_text(script)
    arguments = [str(file), str(world), str(target), str(tokens), changes]
    command = [sys.executable, *arguments]
    if processes > 1:
        start = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
        command = [sys.executable, *start, *arguments]
    env = {**os.environ, "PYTHONPATH": str(Path.cwd()), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        _, said = process.communicate(timeout=150)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, said[-3000:]
    return checkpoint.load_checkpoint(checkpoint.latest_checkpoint(target / "checkpoints"))


@pytest.fixture(scope="module")
def alone(world, tmp_path_factory):
    target = tmp_path_factory.mktemp("alone")
    return launch(world, target, 1), target


def test_a_signal_to_one_rank_of_a_tensor_axis_stops_all_after_the_same_update(world, tmp_path):
    asks = """
import os, signal
from trainer.training.run import Run
real = Run.update
def update(self, batch):
    if os.environ["RANK"] == "1" and self.progress.step == 2:
        os.kill(os.getpid(), signal.SIGTERM)
    return real(self, batch)
Run.update = update
"""
    held = launch(world, tmp_path, 2, "{'tensor': 2}", script=SCRIPT.replace("work, target", asks + "work, target", 1))
    assert held.state["step"] == 3


def losses(target):
    return [line["loss"] for line in read_log(target) if "loss" in line]


@pytest.mark.parametrize("kind", KINDS)
def test_any_layout_trains_the_model_of_one_process(world, tmp_path, alone, kind):
    processes, changes = KINDS[kind]
    one, target = alone
    many = launch(world, tmp_path, processes, changes)
    assert losses(tmp_path) == pytest.approx(losses(target), abs=2e-5)
    assert many.weights.keys() == one.weights.keys()
    assert many.state["place"] == one.state["place"]
    assert many.state["tokens"] == one.state["tokens"]
    assert max((many.weights[k] - one.weights[k]).abs().max() for k in one.weights) < 2e-4
    assert many.optimiser.keys() == one.optimiser.keys()
    moments = [k for k in one.optimiser if k.endswith("exp_avg")]
    assert max((many.optimiser[k] - one.optimiser[k]).abs().max() for k in moments) < 2e-5
    bits = [read_log(run)[-1]["bits_per_byte"]["fr"] for run in (tmp_path, target)]
    assert bits[0] == pytest.approx(bits[1], abs=1e-3)
    assert exported(world, tmp_path, 0) == exported(world, target, 0)  # first weights: the same bits
    kept = load_file(tmp_path / "exported" / "model.safetensors")
    assert kept.keys() == one.weights.keys()


def exported(world, run, step):
    """The bytes of the weights that `roots export` makes of a checkpoint."""
    folder = run / "exported"
    export.export_model(
        checkpoint.checkpoint_path(run / "checkpoints", step), world / "tokenizer", folder, export.ExportSettings()
    )
    return (folder / "model.safetensors").read_bytes()


def test_a_run_resumes_with_another_number_of_processes(world, tmp_path, alone):
    """Two sharded processes make four updates; the run is cut back to them, and one process resumes it."""
    launch(world, tmp_path, 2, "{'shard': 2}")
    newest = checkpoint.latest_checkpoint(tmp_path / "checkpoints")
    assert newest.name == "step_00000006"
    for path in sorted(newest.iterdir()):
        path.unlink()
    newest.rmdir()
    again = launch(world, tmp_path, 1)
    one, target = alone
    assert losses(tmp_path) == pytest.approx(losses(target), abs=2e-5)
    assert again.state["place"] == one.state["place"]
    assert torch.equal(torch.tensor(again.state["place"]["position"]), torch.tensor(6 * 8))
