"""Write a model as one GGUF file, which llama.cpp reads: version 3, little endian, float32.

    "GGUF", version, number of tensors and of values; values by key; names, shapes and places of tensors; tensors

llama.cpp knows how text is cut by a name, not by a pattern, so only tokenizers that cut as BLOOM's can be written.
Source: the specification of GGUF in the repository of ggml (docs/gguf.md).
"""

import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from tokenizers import Tokenizer
from torch import Tensor

from roots.atomic import making
from roots.errors import InputError
from trainer.settings import SPECIAL_TOKENS
from trainer.tokenizer.files import special_ids
from trainer.tokenizer.patterns import PATTERNS

_Value = bool | int | float | str | Sequence[str] | Sequence[int]

_ALIGNMENT = 32  # bytes; each tensor begins at a multiple
_NORMAL, _CONTROL, _ADDED, _UNUSED = 1, 3, 4, 5  # kinds of tokens
_IDS = {"unk_token": "unknown", "bos_token": "bos", "eos_token": "eos", "pad_token": "padding"}  # ggml's names
_RELEASED = r" ?[^(\s|[.,!?…。，、।۔،])]+"  # how the released tokenizer of BLOOM writes its pattern
_OUTER = {"word_embeddings": "token_embd", "word_embeddings_layernorm": "token_embd_norm", "ln_f": "output_norm"}
_INNER = {
    "input_layernorm": "attn_norm",
    "self_attention.query_key_value": "attn_qkv",
    "self_attention.dense": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.dense_h_to_4h": "ffn_up",
    "mlp.dense_4h_to_h": "ffn_down",
}


def read_bloom_tokenizer(path: Path) -> dict[str, object]:
    """Read a tokenizer.json. Raises InputError unless it is a byte-level BPE that cuts text as BLOOM's does."""
    held: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    model, steps = held["model"], (held.get("pre_tokenizer") or {}).get("pretokenizers", [])
    plain = held.get("normalizer") is None and model["type"] == "BPE" and not model.get("byte_fallback")
    affixes = any(model.get(key) for key in ("continuing_subword_prefix", "end_of_word_suffix", "ignore_merges"))
    if not plain or affixes or [step["type"] for step in steps] != ["Split", "ByteLevel"] or not _cuts_as_bloom(*steps):
        raise InputError(
            f"no GGUF of {path}: llama.cpp cannot cut text by its pattern. Train a tokenizer with "
            "--set tokenizer.pattern=bloom, or export without --gguf"
        )
    return held


def _cuts_as_bloom(split: Mapping[str, Any], bytes_: Mapping[str, Any]) -> bool:
    """Whether these two steps of a pre-tokenizer are those of BLOOM."""
    pattern = split["pattern"].get("Regex")
    kept_whole = split["behavior"] == "Isolated" and not split["invert"]
    as_they_are = not bytes_["add_prefix_space"] and not bytes_.get("use_regex", True)
    return pattern in (_RELEASED, PATTERNS["bloom"].released) and kept_whole and as_they_are


def write_gguf(
    path: Path, weights: Mapping[str, Tensor], tokenizer: Mapping[str, Any], state: Mapping[str, Any], name: str
) -> None:
    """Write weights under BLOOM's names (`state`: that of their checkpoint) and a tokenizer.json, whole or not at all.

    Raises ShardError if the file cannot be written.
    """
    shape = state["shape"]
    tensors = {_tensor_name(key): _in_order(key, tensor, shape["heads"]) for key, tensor in sorted(weights.items())}
    values = {**_model_values(shape, state["length"], name), **_tokenizer_values(tokenizer, shape["vocabulary"])}
    with making(path) as place, place.open("wb") as file:
        file.write(struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(values)))
        for key, value in values.items():
            file.write(_text(key) + _typed(value))
        offset = 0
        for key, tensor in tensors.items():
            sizes = tuple(reversed(tensor.shape))
            file.write(_text(key) + struct.pack(f"<I{len(sizes)}QIQ", len(sizes), *sizes, 0, offset))
            offset += -(-4 * tensor.numel() // _ALIGNMENT) * _ALIGNMENT
        _pad(file)
        for tensor in tensors.values():
            file.write(tensor.numpy().astype("<f4").tobytes())
            _pad(file)


def _model_values(shape: Mapping[str, Any], length: int, name: str) -> dict[str, _Value]:
    return {
        "general.architecture": "bloom",
        "general.name": name,
        "general.file_type": 0,  # float32
        "bloom.context_length": length,
        "bloom.embedding_length": shape["hidden"],
        "bloom.feed_forward_length": 4 * shape["hidden"],
        "bloom.block_count": shape["layers"],
        "bloom.attention.head_count": shape["heads"],
        "bloom.attention.head_count_kv": shape["heads"],
        "bloom.attention.layer_norm_epsilon": shape["epsilon"],
    }


def _tokenizer_values(tokenizer: Mapping[str, Any], rows: int) -> dict[str, _Value]:
    """Return the tokens of all rows of the embedding, and the merges."""
    names = [f"<|padding_{i}|>" for i in range(rows)]
    kinds = [_UNUSED] * rows
    for token, at in tokenizer["model"]["vocab"].items():
        names[at], kinds[at] = token, _NORMAL
    for token in tokenizer["added_tokens"]:
        names[token["id"]] = token["content"]
        control = _CONTROL if token["content"] in SPECIAL_TOKENS else _UNUSED
        kinds[token["id"]] = control if token["special"] else _ADDED
    ids = special_ids(Tokenizer.from_str(json.dumps(tokenizer)))
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in tokenizer["model"]["merges"]]
    return {
        "tokenizer.ggml.model": "gpt2",  # byte-level BPE
        "tokenizer.ggml.pre": "bloom",
        "tokenizer.ggml.tokens": names,
        "tokenizer.ggml.token_type": kinds,
        "tokenizer.ggml.merges": merges,
        **{f"tokenizer.ggml.{_IDS[name]}_token_id": at for name, at in ids.items()},
        "tokenizer.ggml.add_bos_token": False,  # as in transformers: a text may begin inside a document
    }


def _tensor_name(key: str) -> str:
    """Return ggml's name of a parameter of BLOOM."""
    parts = key.removeprefix("transformer.").split(".")
    if parts[0] != "h":
        return f"{_OUTER[parts[0]]}.{parts[1]}"
    return f"blk.{parts[1]}.{_INNER['.'.join(parts[2:-1])]}.{parts[-1]}"


def _in_order(key: str, tensor: Tensor, heads: int) -> Tensor:
    """Return a parameter as ggml has it: all queries, all keys, all values, where BLOOM has the three of each head."""
    if "query_key_value" not in key:
        return tensor
    return tensor.view(heads, 3, -1, *tensor.shape[1:]).transpose(0, 1).reshape(tensor.shape)


def _text(value: str) -> bytes:
    raw = value.encode()
    return struct.pack("<Q", len(raw)) + raw


def _typed(value: _Value) -> bytes:
    """Return a value with the number of its type."""
    if isinstance(value, bool):
        return struct.pack("<I?", 7, value)
    if isinstance(value, int):
        return struct.pack("<II", 4, value)
    if isinstance(value, float):
        return struct.pack("<If", 6, value)
    if isinstance(value, str):
        return struct.pack("<I", 8) + _text(value)
    texts = b"".join(_text(item) for item in value if isinstance(item, str))
    numbers = [item for item in value if isinstance(item, int)]
    inner = 5 if numbers else 8
    return struct.pack("<IIQ", 9, inner, len(value)) + texts + struct.pack(f"<{len(numbers)}i", *numbers)


def _pad(file: IO[bytes]) -> None:
    """Write zeros up to the place where a tensor may begin."""
    file.write(b"\0" * (-file.tell() % _ALIGNMENT))
