"""The index of fingerprints: for each file of a corpus a shard that says in which part of the file a print may stand.

    work/fr/find/train/data-00000-of-00012.arrow.parquet      of a work folder, beside the shards
    release.find/fra_Latn/train-00000-of-00012.parquet        of a release, beside its folder

A row holds the prints whose keys have the same first bits, packed (filters.fingerprints.lookup). An index is a stage as
all others: files that changed are indexed again, and any number of workers makes the same bytes.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import pyarrow as pa

from filters.fingerprints.lookup import Packed, blocks_with, keys_of_batch, pack, part_of
from pipelines import release
from pipelines.dataset import read_dataset
from pipelines.job.request import languages_in
from pipelines.job.work import folder
from roots import shards, storage
from roots.errors import InputError
from roots.executors import Executor
from roots.stage import Plan, Progress, Stage, run

_FOLDER = "find"
_MOST_BLOCKS = 256  # parts of a file; what a row says is one of them
_IN_ROW = 16_384  # prints of a row, about; a look-up reads one row for each print
_KINDS = ("<u4", "<u2", "u1")  # of the arrays of a row
_MOST_BITS = 10  # of a key that tell the row


class CorpusFile(NamedTuple):
    """One file of documents, and the shard of the index that is about it."""

    name: str  # for people: "fr/train/data-00000-of-00012.arrow"
    path: Path
    shard: Path  # of the index


@dataclass(frozen=True)
class _FindIndex(Stage):
    """The stage that makes the index of one file."""

    name: ClassVar[str] = _FOLDER
    version: ClassVar[int] = 1
    memory_needed: ClassVar[int] = 1 << 30
    row_group_bytes: ClassVar[int] = 1  # a row group for each row, so that a look-up reads no other
    schema: ClassVar[pa.Schema] = pa.schema(
        [
            pa.field("id", pa.string(), nullable=False),
            pa.field("batches", pa.int32(), nullable=False),  # of the file, that a block has
            pa.field("rows", pa.list_(pa.int32())),  # of each batch of the file; in the first row only
            pa.field("starts", pa.large_binary(), nullable=False),
            pa.field("low", pa.large_binary(), nullable=False),
            pa.field("block", pa.large_binary(), nullable=False),
            pa.field("drop", pa.string()),
        ]
    )

    def make(self, name: str, sources: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        """Make the index of one file."""
        found, rows = [], []
        for batch in documents_of(sources[0]):
            found.append(keys_of_batch(batch["text"]))
            rows.append(batch.num_rows)
        batches = -(-len(found) // _MOST_BLOCKS) or 1
        sizes = [len(keys) for keys in found]
        keys = np.concatenate(found) if found else np.zeros(0, np.uint64)
        blocks = np.repeat(np.arange(len(found)) // batches, sizes).astype(np.uint8)
        bits = min(_MOST_BITS, max(0, (len(keys) // _IN_ROW).bit_length()))
        for number, packed in enumerate(pack(keys, blocks, bits)):
            values = [array.astype(array.dtype.newbyteorder("<")).tobytes() for array in packed]
            row = {"id": f"{number:04x}", "batches": batches, "rows": None if number else rows, "drop": None}
            row |= dict(zip(Packed._fields, values, strict=True))
            yield pa.RecordBatch.from_pylist([row], schema=self.schema)


def documents_of(path: Path) -> Iterator[pa.RecordBatch]:
    """All documents of a final shard or of a file of a release."""
    return shards.read_stream(path) if path.suffix == ".arrow" else release.read_parquet(path, ["id", "url", "text"])


def index_corpus(place: Path, language: str, executor: Executor, progress: Progress | None = None) -> list[CorpusFile]:
    """Index a work folder or a release as far as needed, and return its files.

    Raises InputError for a folder that is neither, or holds nothing of the language.
    """
    found: list[CorpusFile] = []
    for target, paths in corpus_files(place, language, _FOLDER):
        plan: Plan = {f"{name}.parquet": [path] for name, path in paths.items()}
        run(_FindIndex(), plan, target, executor, progress)
        head = target.parent.name if target.name == _FOLDER else ""
        found += [
            CorpusFile("/".join(filter(None, (head, name))), path, target / f"{name}.parquet")
            for name, path in paths.items()
        ]
    return found


def corpus_files(place: Path, language: str, kind: str) -> Iterator[tuple[Path, Mapping[str, Path]]]:
    """The folders in which a stage `kind` stores what it finds in a corpus, each with the files it is about by name.

    Raises InputError for a folder that is no work folder or release, or holds nothing of the language.
    """
    if storage.is_file(place / "README.md") and storage.is_file(place / "manifest.json"):
        names = [name for name in sorted(release.read_release_manifest(place)["files"]) if name.startswith("data/")]
        chosen = {name.removeprefix("data/"): place / name for name in names if name.endswith(".parquet")}
        if language:
            chosen = {name: path for name, path in chosen.items() if name.partition("/")[0] == language}
        if not chosen:
            of = f" of {language}: name the language as its folder, such as fra_Latn" if language else ""
            raise InputError(f"the release {place} has no data{of}")
        yield place.with_name(f"{place.name}.{kind}"), chosen
        return
    codes = [code for code in languages_in(place, language) if storage.is_file(place / code / "manifest.json")]
    if not codes:
        raise InputError(f"{place} has no dataset yet: run `roots run` to its end, or name a release")
    for code in codes:
        target = folder(place, code, "shard")
        names = sorted(read_dataset(place, code)["shards"])
        yield place / code / kind, {name: target / name for name in names}


def batches_with(file: CorpusFile, keys: Sequence[int]) -> list[int]:
    """The numbers of the batches of a file that may hold a print with one of these keys, ascending."""
    shard = shards.open_shard(file.shard)
    rows = shard.metadata.num_row_groups
    bits = max(0, rows.bit_length() - 1)
    held: dict[int, tuple[Packed, int]] = {}
    found: set[int] = set()
    for key in keys:
        row = part_of(key, bits)
        if row not in held:
            (values,) = shard.read_row_group(row).to_pylist()
            arrays = (np.frombuffer(values[name], kind) for name, kind in zip(Packed._fields, _KINDS, strict=True))
            held[row] = Packed(*arrays), values["batches"]
        packed, batches = held[row]
        for block in blocks_with(packed, key, bits):
            found.update(range(block * batches, (block + 1) * batches))
    return sorted(found)


def batches_of_file(file: CorpusFile, numbers: Sequence[int] | None = None) -> Iterator[tuple[int, pa.RecordBatch]]:
    """The batches of a file, or those of these numbers: number of the first row, and batch."""
    (head,) = shards.open_shard(file.shard).read_row_group(0, columns=["rows"]).to_pylist()
    starts = [0, *accumulate(head["rows"])]
    wanted = None if numbers is None else frozenset(numbers)
    if file.path.suffix == ".arrow":
        batches = shards.read_stream_at(file.path, wanted)
    else:
        every = enumerate(documents_of(file.path))
        batches = ((number, batch) for number, batch in every if wanted is None or number in wanted)
    yield from ((starts[number], batch) for number, batch in batches)
