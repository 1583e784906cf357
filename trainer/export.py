"""Write a folder that transformers loads as BloomForCausalLM: weights, tokenizer, configuration, card and licence.

The model has BLOOM's parameter names already, so the export changes no number. Load it in float32: transformers builds
ALiBi in the dtype of the weights, which is wrong by 8 to 12 % in bfloat16 beyond 1,000 tokens.
"""

import json
import shutil
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from roots.atomic import making, write_text
from roots.errors import InputError
from roots.storage import make_folder
from trainer import picture
from trainer.gguf import read_bloom_tokenizer, write_gguf
from trainer.model import checkpoint
from trainer.settings import ExportSettings
from trainer.tokenizer.files import load_tokenizer, special_ids, tokenizer_digest, write_configuration

_GGUF = "model-f32.gguf"


def _configuration(shape: Mapping[str, object], length: int, ids: Mapping[str, int]) -> dict[str, object]:
    """Return config.json as transformers' BloomConfig reads it."""
    return {
        "architectures": ["BloomForCausalLM"],
        "model_type": "bloom",
        "vocab_size": shape["vocabulary"],
        "hidden_size": shape["hidden"],
        "n_layer": shape["layers"],
        "n_head": shape["heads"],
        "layer_norm_epsilon": shape["epsilon"],
        "initializer_range": shape["init_std"],
        "apply_residual_connection_post_layernorm": False,
        "hidden_dropout": 0.0,
        "attention_dropout": 0.0,
        "seq_length": length,
        **ids,
        "tie_word_embeddings": True,
        "dtype": "float32",
        "torch_dtype": "float32",
    }


def export_model(
    run: Path, tokenizer: Path, target: Path, settings: ExportSettings, report: Mapping[str, object] | None = None
) -> Path:
    """Write the newest checkpoint of a run and its tokenizer as a Hugging Face model folder; return that folder.

    `report` is the result of `evaluate_model`, for the card. Raises InputError for another tokenizer, or one that
    llama.cpp cannot read where a GGUF file is wanted; ShardError for a damaged checkpoint.
    """
    path = checkpoint.find_checkpoint(run)
    state = checkpoint.read_state(path)
    loaded = load_tokenizer(tokenizer)
    if tokenizer_digest(loaded) != state["tokenizer"]:
        raise InputError(f"{tokenizer} is not the tokenizer of {run}")
    file = tokenizer / "tokenizer.json" if tokenizer.is_dir() else tokenizer
    vocabulary = read_bloom_tokenizer(file) if settings.gguf else None
    make_folder(target)
    (target / _GGUF).unlink(missing_ok=True)  # an earlier export's would stay beside new weights
    with making(target / "tokenizer.json") as place:
        shutil.copyfile(file, place)
    write_configuration(target, loaded)
    ids = {f"{name}_id": at for name, at in special_ids(loaded).items()}
    config = _configuration(state["shape"], state["length"], ids)
    write_text(target / "config.json", json.dumps(config, indent=1) + "\n")
    ids.pop("unk_token_id", None)
    write_text(target / "generation_config.json", json.dumps(ids, indent=1) + "\n")
    write_text(target / "LICENSE", licence_text(settings))
    write_text(target / "README.md", _model_card(state, settings, report))
    weights = load_file(path / "model.safetensors")
    with making(target / "model.safetensors") as place:
        checkpoint.write_tensors(weights, place)
    if vocabulary is not None:
        write_gguf(target / _GGUF, weights, vocabulary, state, settings.name)
    return target


def licence_text(settings: ExportSettings) -> str:
    """Return the text of the licence. Raises InputError if the file cannot be read."""
    if settings.licence_file:
        try:
            return Path(settings.licence_file).read_text(encoding="utf-8")
        except OSError as error:
            raise InputError(f"licence file {settings.licence_file}: {error.strerror}") from None
    beside = Path(__file__).parents[1] / "LICENSE"  # in a checkout; an installed copy has it in its metadata
    found = [known.read_text("licenses/LICENSE") for known in metadata.distributions(name="roots-corpus")]
    texts = [text for text in (*found, beside.read_text(encoding="utf-8") if beside.is_file() else "") if text]
    if not texts or settings.licence != "apache-2.0":
        raise InputError(f"name a file with the text of {settings.licence!r} in export.licence_file")
    return texts[0]


def _model_card(state: Mapping[str, Any], settings: ExportSettings, report: Mapping[str, Any] | None) -> str:
    """Return the model card: what the model is, its training, its scores, and its limits."""
    shape, recipe = state["shape"], state["recipe"]
    if report and report.get("step", state["step"]) != state["step"]:
        report = None  # its numbers are those of another checkpoint
    languages = state.get("languages") or (sorted(report["languages"]) if report else [])
    tags = "".join(f"- {language}\n" for language in languages)
    head = f"---\nlicense: {settings.licence}\nlibrary_name: transformers\npipeline_tag: text-generation\n"
    parts = [
        head + (f"language:\n{tags}" if tags else "") + "---\n",
        f"# {settings.name}\n",
        f"A decoder of BLOOM's architecture (ALiBi, embedding LayerNorm, tied head): {shape['layers']} layers, width "
        f"{shape['hidden']}, {shape['heads']} heads, {shape['vocabulary']:,} embedding rows. Trained on "
        f"{state['tokens']:,} tokens in rows of {recipe['length']}, {state['step']} updates, seed {recipe['seed']}.\n",
        "```python\nfrom transformers import AutoModelForCausalLM, AutoTokenizer\n"
        'model = AutoModelForCausalLM.from_pretrained(FOLDER, dtype="float32")  # bfloat16 makes its ALiBi wrong\n'
        "tokenizer = AutoTokenizer.from_pretrained(FOLDER)\n```\n",
    ]
    if settings.gguf:
        parts.append(f"`{_GGUF}` is the same model for llama.cpp.\n")
    if unfinished := checkpoint.unfinished(state):
        parts.append(f"This run is {unfinished}.\n")
    for step, before, after in state.get("lengths", []):
        parts.append(f"At step {step} its length was changed from {before:,} to {after:,} tokens.\n")
    if report:
        rows = [
            [language, entry["bits_per_byte"], entry["bytes"], entry["documents"]]
            for language, entry in sorted(report["languages"].items())
        ]
        parts.append("## Held-out text\n")
        parts.append(picture.markdown_table(["language", "bits per byte", "bytes", "documents"], rows))
    parts.append(
        "## Limits\n\nA small language model trained on web text: it makes things up, repeats what is biased or "
        "hurtful in its sources, and is no source of facts. The licence covers the weights; the texts belong to their "
        "authors.\n\n"
        f"Data `{state['data'][:16]}`, tokenizer `{state['tokenizer'][:16]}` (sha256, first half bytes).\n"
    )
    return "\n".join(parts)
