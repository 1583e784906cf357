"""Checkpoints: folders that appear whole or not at all, hold all that a run needs, and are verified by digests.

checkpoints/step_00001000/model.safetensors        float32 masters under BLOOM's names
                          optimiser.safetensors    state of the update rule
                          state.json               step, tokens, place in the data, guard, shape, recipe, identities
                          manifest.json            sha256 of the three
"""

import json
import os
import re
import shutil
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from roots.errors import InputError, ShardError
from roots.identity import sha256_of
from trainer.model import attention
from trainer.model.decoder import AlibiLM, empty_model
from trainer.model.shapes import Shape

CHECKPOINT_FILES = ("model.safetensors", "optimiser.safetensors", "state.json")
_NAME = re.compile(r"step_(\d{8})")


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds."""

    weights: dict[str, Tensor]
    optimiser: dict[str, Tensor]
    state: dict[str, Any]


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_tensors(tensors: dict[str, Tensor], path: Path) -> None:
    """Write tensors as safetensors. Raises OSError if the disk is full."""
    try:
        save_file(tensors, path, metadata={"format": "pt"})
    except SafetensorError as error:
        raise OSError(str(error)) from None
    path.chmod(path.parent.stat().st_mode & 0o666)  # the library lets nobody else read the file


def save_checkpoint(folder: Path, step: int, held: Checkpoint, keep: int) -> Path:
    """Write `folder`/step_00001000 whole or not at all, then remove all but the newest `keep` checkpoints.

    Raises ShardError if it cannot be written; earlier checkpoints are then untouched.
    """
    target = checkpoint_path(folder, step)
    temporary = folder / f".{target.name}.{socket.gethostname()}-{os.getpid()}.tmp"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _remove_stale(folder)
        temporary.mkdir()
        write_tensors(held.weights, temporary / CHECKPOINT_FILES[0])
        write_tensors(held.optimiser, temporary / CHECKPOINT_FILES[1])
        (temporary / CHECKPOINT_FILES[2]).write_text(
            json.dumps(held.state, indent=1, sort_keys=True) + "\n", encoding="utf-8"
        )
        digests = {name: sha256_of(temporary / name) for name in CHECKPOINT_FILES}
        (temporary / "manifest.json").write_text(json.dumps(digests, indent=1) + "\n", encoding="utf-8")
        for name in (*CHECKPOINT_FILES, "manifest.json"):
            _sync(temporary / name)
        if target.exists():
            shutil.rmtree(target)
        temporary.rename(target)
        _sync(folder)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise ShardError(f"cannot write checkpoint {target}: {error.strerror or error}") from error
    for old in checkpoint_steps(folder)[:-keep]:
        shutil.rmtree(checkpoint_path(folder, old))
    return target


def _remove_stale(folder: Path) -> None:
    """Remove what killed processes of this machine left behind."""
    for path in folder.glob(".step_*.tmp"):
        host, _, pid = path.name.removesuffix(".tmp").rpartition(".")[2].rpartition("-")
        if host == socket.gethostname() and pid.isdigit() and not Path(f"/proc/{pid}").exists():
            shutil.rmtree(path, ignore_errors=True)


def checkpoint_steps(folder: Path) -> list[int]:
    """Return the steps of all checkpoints in a folder, oldest first."""
    names = (_NAME.fullmatch(path.name) for path in folder.glob("step_*"))
    return sorted(int(match[1]) for match in names if match)


def checkpoint_path(folder: Path, step: int) -> Path:
    """Return the path of the checkpoint of a step."""
    return folder / f"step_{step:08d}"


def latest_checkpoint(folder: Path) -> Path | None:
    """Return the newest checkpoint, or None."""
    known = checkpoint_steps(folder)
    return checkpoint_path(folder, known[-1]) if known else None


def read_state(path: Path) -> dict[str, Any]:
    """Read state.json of a checkpoint. Raises InputError if there is none."""
    try:
        found: dict[str, Any] = json.loads((path / CHECKPOINT_FILES[2]).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is not a checkpoint: {error}") from None
    return found


def _verify(path: Path) -> None:
    """Raise ShardError if a file of a checkpoint is missing or differs from its digest."""
    try:
        digests = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ShardError(f"{path} is incomplete: {error}. Delete it to resume from the checkpoint before") from None
    for name in CHECKPOINT_FILES:
        if not (path / name).is_file() or sha256_of(path / name) != digests.get(name):
            raise ShardError(f"{path / name} was changed or is damaged. Delete {path} to resume from the one before it")


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint. Raises ShardError if a file differs from its digest."""
    _verify(path)
    return Checkpoint(load_file(path / CHECKPOINT_FILES[0]), load_file(path / CHECKPOINT_FILES[1]), read_state(path))


def find_checkpoint(run: Path) -> Path:
    """Return the newest checkpoint of a run folder, or `run` if it is one.

    Raises InputError if there is none, ShardError if one of its files is missing or differs from its digest.
    """
    found = run if (run / CHECKPOINT_FILES[0]).is_file() else latest_checkpoint(run / "checkpoints")
    if found is None:
        raise InputError(f"no checkpoint in {run}: run `roots train` first")
    _verify(found)
    return found


def unfinished(state: Mapping[str, Any]) -> str:
    """Say how far the run of a checkpoint is, or return an empty text if it is finished."""
    wanted = state["recipe"]["tokens"]
    if state["tokens"] >= wanted:
        return ""
    return f"unfinished: step {state['step']}, {state['tokens']:,} of {wanted:,} tokens"


def load_decoder(run: Path, device: torch.device | None = None) -> tuple[AlibiLM, dict[str, Any]]:
    """Load the newest checkpoint of a run: its model in float32, ready to evaluate, and its state.

    Raises InputError if there is none, ShardError if a file differs from its digest.
    """
    path = find_checkpoint(run)
    state = read_state(path)
    model = empty_model(Shape(**state["shape"]), device=device)
    model.load_state_dict(load_file(path / CHECKPOINT_FILES[0]), strict=True)
    if state["attention"] in attention.CANDIDATES["cpu"]:
        model.set_kernel(state["attention"])
    return model.eval(), state
