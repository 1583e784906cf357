"""A language's dataset: its manifest (work/<language>/manifest.json), and which archives each final shard spans."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NotRequired, TypedDict

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
    engines: NotRequired[dict[str, int]]  # of extract: rows kept, by `extractor`
    apart: NotRequired[dict[str, dict[str, Any]]]  # source of a catalogue -> the settings that it has of its own


class _ShardEntry(TypedDict):
    """One final shard in the manifest of a dataset."""

    rows: int
    text_bytes: int
    sha256: str


class SourceStep(TypedDict):
    """What a stage did to the documents of a source."""

    rows: int
    kept: int
    bytes: int | None  # of the text of those kept, in UTF-8; None before extract, which finds the text
    drops: dict[str, int]


class SourceAccount(TypedDict):
    """A source of a catalogue in the manifest of a dataset."""

    license: str
    custodian: str
    kill: str  # why it was not read
    steps: dict[str, SourceStep]  # by stage


class DatasetManifest(TypedDict):
    """work/<language>/manifest.json: what a dataset was made of."""

    language: dict[str, str]  # code, tag, name
    made_by: dict[str, str]  # library -> version
    inputs: dict[str, str]  # archive -> sha256
    skipped: list[str]  # inputs that were left out, each with the reason; not in manifests of older versions
    stages: dict[str, StageEntry]
    shards: dict[str, _ShardEntry]
    sources: NotRequired[dict[str, SourceAccount]]  # of a catalogue
    data_sets: NotRequired[dict[str, str]]  # of the Hub: URL -> commit


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


def place_of(shard: str) -> tuple[str, int, int]:
    """The split of a final shard, its number, and how many there are: of "train/data-00003-of-00012.arrow"."""
    split, _, file = shard.partition("/")
    number, count = (int(part) for part in file.removeprefix("data-").removesuffix(".arrow").split("-of-"))
    return split, number, count


def cut(total: int, number: int, count: int) -> int:
    """The byte of all text at which shard `number` of `count` begins; past the end for `number` = `count`."""
    return total * number // count if number < count else total + 1


def spanned(shard: str, starts: Sequence[tuple[str, int]], total: int) -> list[str]:
    """The archives that a final shard may have documents of; `starts` are their places in all `total` bytes."""
    _, number, count = place_of(shard)
    low, high = cut(total, number, count), cut(total, number + 1, count)
    ends = [start for _, start in starts[1:]] + [total]
    return [name for (name, start), end in zip(starts, ends, strict=True) if start < high and end > low]
