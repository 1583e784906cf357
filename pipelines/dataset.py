"""The manifest of a language's dataset: what it was made of, stage by stage (work/<language>/manifest.json)."""

import hashlib
import json
from pathlib import Path
from typing import Any, TypedDict

from roots import storage
from roots.errors import InputError, ShardError
from roots.shards import Receipt


class StageEntry(TypedDict):
    """One stage in the manifest of a dataset: its settings by value, and its counts of rows."""

    version: int
    settings: dict[str, Any]
    rows: int
    kept: int
    drops: dict[str, int]  # reason -> rows


class _ShardEntry(TypedDict):
    """One final shard in the manifest of a dataset."""

    rows: int
    text_bytes: int
    sha256: str


class DatasetManifest(TypedDict):
    """work/<language>/manifest.json: what a dataset was made of."""

    language: dict[str, str]  # code, tag, name
    made_by: dict[str, str]  # library -> version
    inputs: dict[str, str]  # archive -> sha256
    stages: dict[str, StageEntry]
    shards: dict[str, _ShardEntry]


def read_dataset(work: Path, language: str) -> DatasetManifest:
    """The manifest of a language's dataset. Raises InputError if it is missing, damaged or names no language."""
    path = work / language / "manifest.json"
    try:
        manifest: DatasetManifest = json.loads(storage.read_text(path))
    except FileNotFoundError:
        raise InputError(f"{path} is missing: run `roots run {work} --lang {language}` to its end first") from None
    except ValueError as error:
        raise InputError(f"{path} is damaged: {error}. Run `roots shard` again") from None
    if not manifest.get("language"):
        raise InputError(f"{path} names no language: run `roots shard {work} --lang {language}` again")
    return manifest


def sha256_of_shard(path: Path, receipt: Receipt) -> str:
    """sha256 of a final shard, in hexadecimal. Raises ShardError if its rows are not the bytes that were written."""
    digest = hashlib.sha256()
    left = receipt.body_bytes
    with storage.open_binary(path) as file:
        while left > 0 and (block := file.read(min(left, 1 << 20))):
            digest.update(block)
            left -= len(block)
        if left or digest.hexdigest() != receipt.digest:
            raise ShardError(f"{path} was changed after it was written: delete it and run the same command again")
        digest.update(file.read())
    return digest.hexdigest()
