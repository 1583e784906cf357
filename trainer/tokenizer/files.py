"""Tokenizers on disk: their special tokens, reading and writing them, and the digest that identifies one."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from roots.atomic import write_text
from roots.errors import InputError
from roots.storage import make_folder
from trainer.settings import SPECIAL_TOKENS

_CONFIGURATIONS = ("tokenizer_config.json", "special_tokens_map.json")  # as transformers writes them
_, _, END_ID, PAD_ID = range(len(SPECIAL_TOKENS))


@dataclass(frozen=True)
class TrainedTokenizer:
    """A tokenizer and the report of its training."""

    tokenizer: Tokenizer
    report: Mapping[str, Any] = field(default_factory=dict)


def padded_rows(tokens: int, multiple: int = 128) -> int:
    """Return the rows of an embedding for this many tokens: the next multiple."""
    return math.ceil(tokens / multiple) * multiple


def save_tokenizer(trained: TrainedTokenizer, folder: Path) -> None:
    """Write tokenizer.json, the two files that transformers reads beside it, and report.json.

    tokenizer.json depends on the texts and settings alone; times and memory are in report.json.
    """
    make_folder(folder)
    write_configuration(folder, trained.tokenizer)
    write_text(folder / "report.json", json.dumps(trained.report, indent=1, sort_keys=True) + "\n")
    write_text(folder / "tokenizer.json", trained.tokenizer.to_str(pretty=True))


def special_ids(tokenizer: Tokenizer) -> dict[str, int]:
    """Return the ids of special tokens by transformers' names, such as `eos_token`.

    A document begins with the end of the one before. A tokenizer without `<pad>` pads with the end of documents.
    """
    known = {token.content: at for at, token in tokenizer.get_added_tokens_decoder().items() if token.special}
    unknown, _, end, pad = SPECIAL_TOKENS
    found = {"unk_token": known[unknown]} if unknown in known else {}
    return {**found, "bos_token": known[end], "eos_token": known[end], "pad_token": known.get(pad, known[end])}


def write_configuration(folder: Path, tokenizer: Tokenizer) -> None:
    """Write the two files that transformers reads beside tokenizer.json.

    Special tokens typed in a text are plain text, as in training. A text begins with `</s>`, as each document did.
    """
    names = {name: tokenizer.id_to_token(at) for name, at in special_ids(tokenizer).items()}
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "add_prefix_space": False,
        "clean_up_tokenization_spaces": False,
        "padding_side": "left",
        "split_special_tokens": True,
        **names,
    }
    write_text(folder / "tokenizer_config.json", json.dumps(config, indent=1) + "\n")
    write_text(folder / "special_tokens_map.json", json.dumps(names, indent=1) + "\n")


def check_end(tokenizer: Tokenizer) -> None:
    """Raise InputError unless `</s>` is a special token with id 2 that no text is cut into: documents end with it."""
    end = SPECIAL_TOKENS[END_ID]
    token = tokenizer.get_added_tokens_decoder().get(END_ID)
    if token is None or token.content != end or not token.special:
        raise InputError(
            f"the tokenizer has no special token {end} with id {END_ID}, which ends documents: use one that has"
        )
    if tokenizer.encode_special_tokens and END_ID in tokenizer.encode(end, add_special_tokens=False).ids:
        raise InputError(f"the tokenizer cuts a typed {end} into the token that ends documents: use another tokenizer")


def tokenizer_file(path: Path) -> Path:
    """Return the file of a tokenizer that is named by its file or folder."""
    return path / "tokenizer.json" if path.is_dir() else path


def find_end_token(tokenizer: Tokenizer, file: Path, wanted: str = "") -> tuple[str, str, int]:
    """Return the name of a tokenizer, the token that ends documents, and its id.

    The token is `wanted`, or the `eos_token` of the files that transformers reads beside the tokenizer, or `</s>`.
    Raises InputError if the tokenizer has not added such a token to its vocabulary.
    """
    known = {token.content: at for at, token in tokenizer.get_added_tokens_decoder().items()}
    beside = [read_configuration(file.with_name(name)) for name in _CONFIGURATIONS]
    ends = [wanted, *(each.get("eos_token") for each in beside)]
    stated = [end.get("content") if isinstance(end, dict) else end for end in ends]
    end = next((token for token in stated if isinstance(token, str) and token), SPECIAL_TOKENS[END_ID])
    if end not in known:
        names = ", ".join(sorted(known)[:20]) or "none"
        raise InputError(
            f"{file} has no added token {end!r} to end documents: name one with --set tokens.end=TOKEN. It has: {names}"
        )
    name = beside[0].get("name_or_path")
    return name if isinstance(name, str) and name else file.resolve().parent.name, end, known[end]


def read_configuration(path: Path) -> dict[str, object]:
    """The object in a JSON file; empty if there is no file, or no object in it. Raises InputError for other files."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}") from None
    return found if isinstance(found, dict) else {}


def load_tokenizer(path: Path) -> Tokenizer:
    """Load a tokenizer from its file or folder; it reads special tokens in a text as plain text.

    Raises InputError if the file is missing or is not a tokenizer.
    """
    file = tokenizer_file(path)
    try:
        raw = file.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"no tokenizer {file} ({error.strerror}): make one with `roots tokenizer train`") from None
    except UnicodeDecodeError:
        raise InputError(f"{file} is not a tokenizer.json: it is not UTF-8") from None
    try:
        kind = json.loads(raw)["model"]["type"]  # checked here: the library raises a bare Exception for a wrong file
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{file} is not a tokenizer.json") from None
    if kind not in ("BPE", "Unigram", "WordPiece", "WordLevel"):
        raise InputError(f"{file} holds an unknown kind of tokenizer, {kind!r}")
    tokenizer = Tokenizer.from_str(raw)
    tokenizer.no_truncation()  # a file may carry both from its model's training; here every text is cut whole
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = True
    return tokenizer


def find_tokenizer(name: str) -> Tokenizer:
    """Load a tokenizer by path, or as `package:file` from an installed package. Raises InputError if there is none."""
    package, colon, file = name.partition(":")
    if Path(name).exists() or not colon:
        return load_tokenizer(Path(name))
    try:
        with as_file(files(package).joinpath(file)) as path:
            return load_tokenizer(path)
    except ModuleNotFoundError:
        raise InputError(f"the package {package!r}, which should hold {file}, is not installed") from None


def tokenizer_digest(tokenizer: Tokenizer) -> str:
    """Return the sha256 of a tokenizer's content; token shards made with another tokenizer are refused."""
    return hashlib.sha256(json.dumps(json.loads(tokenizer.to_str()), sort_keys=True).encode()).hexdigest()
