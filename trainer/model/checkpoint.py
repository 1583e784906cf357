"""Checkpoints: folders that appear whole or not at all, hold all that a run needs, and are verified by digests.

checkpoints/step_00001000/model.safetensors        float32 masters under BLOOM's names
                          optimiser.safetensors    state of the update rule
                          state.json               step, tokens, place in the data, guard, shape, recipe, identities
                          manifest.json            sha256 of the three
"""

import hashlib
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
from roots.settings import build
from trainer.model import attention
from trainer.model.decoder import AlibiLM, empty_model
from trainer.model.shapes import Shape
from trainer.tokenizer.files import load_tokenizer, tokenizer_digest

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


@dataclass(frozen=True)
class Start:
    """A model that a run begins with."""

    shape: Shape
    weights: dict[str, Tensor]  # float32
    tokenizer: str  # digest
    digest: str  # of the files of the weights


def read_start(folder: Path) -> Start:
    """Read a run, a checkpoint, or a model folder of `roots export` or transformers (Bloom, safetensors).

    Raises InputError if it is none of them, ShardError if a file of a checkpoint differs from its digest.
    """
    exported = (folder / "config.json").is_file()
    place = folder if exported else find_checkpoint(folder)
    files = sorted(place.glob("model*.safetensors"))
    try:
        weights = {key: value.float() for path in files for key, value in load_file(path).items()}
    except SafetensorError as error:
        raise InputError(f"the weights in {place} cannot be read: {error}") from None
    if exported:
        shape, tokenizer = _exported_shape(folder), tokenizer_digest(load_tokenizer(folder))
        weights.pop("lm_head.weight", None)  # tied to the embedding
        prefix = "" if any(key.startswith("transformer.") for key in weights) else "transformer."
        weights = {prefix + key: value for key, value in weights.items()}
    else:
        state = read_state(place)
        shape, tokenizer = Shape(**state["shape"]), state["tokenizer"]
    with torch.device("meta"):
        wanted = {key: value.shape for key, value in AlibiLM(shape).state_dict().items()}
    if wrong := sorted(wanted.items() ^ {key: value.shape for key, value in weights.items()}.items()):
        raise InputError(f"{place} is no model of its shape: {wrong[0][0]} is missing, or too much, or of another size")
    return Start(shape, weights, tokenizer, hashlib.sha256("".join(map(sha256_of, files)).encode()).hexdigest())


def _exported_shape(folder: Path) -> Shape:
    """Read the shape of a model from its config.json. Raises InputError unless it is a Bloom that we can train."""
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        if config["model_type"] != "bloom" or config.get("apply_residual_connection_post_layernorm"):
            raise InputError(
                f"{path} is of another architecture: only BLOOM's, with pre-LayerNorm residuals, is trained"
            )
        values = {
            "layers": config.get("n_layer", config.get("num_hidden_layers")),
            "hidden": config.get("n_embed", config.get("hidden_size")),
            "heads": config.get("n_head", config.get("num_attention_heads")),
            "vocabulary": config["vocab_size"],
            "epsilon": config.get("layer_norm_epsilon", 1e-5),
            "init_std": config.get("initializer_range", 0.02),
        }
        return build(Shape, values, "config")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is no configuration of a model: {error}") from None
