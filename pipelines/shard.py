"""shard: the documents that all stages kept, as Arrow IPC shards of a train and a validation split.

A hash of its id decides the split of a document, so it stays the same when others are added or removed. Within a split
documents keep the order of the crawl. Each shard has an equal share of the text's bytes.

`datasets.load_from_disk` reads the folder; `datasets.load_dataset("arrow", data_files=...)` reads its files.
"""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.dataset import cut, place_of, spanned
from pipelines.job.settings import ShardSettings
from roots import shards, storage
from roots.atomic import write_text
from roots.errors import ShardError
from roots.executors import Executor
from roots.schema import DOCUMENT
from roots.shards import Receipt
from roots.stage import ALONE, Manifest, Progress, Share, Stage, run

SPLITS = ("train", "validation")
PROGRAM_DOCUMENT = pa.schema([*DOCUMENT, pa.field("path", pa.string())])


@dataclass(frozen=True)
class Shard(Stage):
    """The stage: its settings, and the place of each archive's documents among all, in bytes of text."""

    name: ClassVar[str] = "shard"
    version: ClassVar[int] = 6  # 6: the column source
    schema: ClassVar[pa.Schema] = DOCUMENT
    settings: ShardSettings
    starts: tuple[tuple[str, int], ...]  # name of an archive's shard, bytes of kept text before it
    total: int  # bytes of kept text in all

    def make(self, name: str, sources: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        """Rows of shard `name` ("train/data-00003-of-00012.arrow") from the chains of the archives it spans."""
        split, low, high = self._part(name)
        starts = dict(self.starts)
        for chain_name, group in groupby(sources, key=lambda path: path.name):
            position = starts[chain_name]
            for batch in shards.read_kept(list(group), self.schema.names):
                sizes = pc.binary_length(batch["text"]).to_numpy(zero_copy_only=False).astype(np.int64)
                ends = position + np.cumsum(sizes)
                middles = ends - (sizes + 1) // 2
                wanted = (middles >= low) & (middles < high)
                wanted &= in_validation(batch["id"], self.settings) == (split == "validation")
                if len(ends):
                    position = int(ends[-1])
                if wanted.any():
                    some = batch.filter(pa.array(wanted)).cast(self.schema)
                    yield from _in_pieces(some, times_of(some["id"], some["minhash_cluster_size"], self.settings))

    def _part(self, name: str) -> tuple[str, int, int]:
        """The split of a shard, and its range of all bytes of text: from `low` up to but not including `high`."""
        split, number, count = place_of(name)
        return split, cut(self.total, number, count), cut(self.total, number + 1, count)


@dataclass(frozen=True)
class ProgramShard(Shard):
    """The dataset of a programming language, with the path and licence of each file."""

    schema: ClassVar[pa.Schema] = PROGRAM_DOCUMENT


def _in_pieces(rows: pa.RecordBatch, times: npt.NDArray[np.int64]) -> Iterator[pa.RecordBatch]:
    """The rows, each `times` times, in batches no larger than the given one."""
    place = np.repeat(np.arange(rows.num_rows), times)
    if place.size == rows.num_rows:
        yield rows
        return
    for low in range(0, place.size, rows.num_rows):
        yield rows.take(pa.array(place[low : low + rows.num_rows]))


def times_of(ids: pa.Array, sizes: pa.Array, settings: ShardSettings) -> npt.NDArray[np.int64]:
    """How often each document is in the dataset, by the size of its cluster; int64 (rows,).

    A hash of the id decides whether a fraction is rounded up.
    """
    weights = settings.weights
    if not weights:
        return np.ones(len(ids), dtype=np.int64)
    found = sizes.fill_null(1).to_numpy(zero_copy_only=False)
    place = np.searchsorted([size for size, _ in weights], found, side="right")
    times = np.array([1.0, *(times for _, times in weights)])[place]
    whole: npt.NDArray[np.int64] = np.floor(times + _draws(ids, settings.salt + " rehydrate")).astype(np.int64)
    return whole


def in_validation(ids: pa.Array, settings: ShardSettings) -> npt.NDArray[np.bool_]:
    """Which documents are in the validation split; bool (rows,)."""
    bound = int(settings.validation_share * 2**64)
    return np.fromiter((key < bound for key in _keys(ids, settings.salt)), dtype=np.bool_, count=len(ids))


def _keys(ids: pa.Array, salt: str) -> Iterator[int]:
    """A number from 0 to 2 ** 64 - 1 for every id."""
    for id_ in ids.to_pylist():
        yield int.from_bytes(hashlib.blake2b(id_.encode(), digest_size=8, key=salt.encode()[:64]).digest(), "big")


def _draws(ids: pa.Array, salt: str) -> npt.NDArray[np.float64]:
    """A number in [0, 1) for every id; float64 (rows,)."""
    return np.fromiter(((key >> 11) / 2**53 for key in _keys(ids, salt)), dtype=np.float64, count=len(ids))


def _plan_shards(
    chains: Mapping[str, Sequence[Path]], settings: ShardSettings, made_by: type[Shard] = Shard
) -> tuple[Shard, dict[str, list[Path]]]:
    """Decide from receipts how many shards each split has, and which archives each shard spans."""
    starts: list[tuple[str, int]] = []
    total = 0
    for name in sorted(chains):
        receipt = shards.read_receipt(chains[name][-1])
        if receipt is None:
            raise ShardError(f"no shard {chains[name][-1]}: run the stage that makes it")
        starts.append((name, total))
        total += receipt.text_bytes
    stage = made_by(settings, tuple(starts), total)
    shares = {"train": 1 - settings.validation_share, "validation": settings.validation_share}
    plan: dict[str, list[Path]] = {}
    for split in SPLITS:
        count = max(1, math.ceil(total * shares[split] / settings.shard_bytes))
        for number in range(count):
            shard = f"{split}/data-{number:05d}-of-{count:05d}.arrow"
            plan[shard] = [path for name in spanned(shard, starts, total) for path in chains[name]]
    return stage, plan


def run_shard(
    chains: Mapping[str, Sequence[Path]],
    target: Path,
    settings: ShardSettings,
    executor: Executor,
    progress: Progress | None = None,
    share: Share = ALONE,
    made_by: type[Shard] = Shard,
) -> Manifest:
    """Write the final shards of one language, and the files that let `datasets` load the folder."""
    stage, plan = _plan_shards(chains, settings, made_by)
    manifest = run(stage, plan, target, executor, progress, share)
    for path in storage.files_in(target, "*/data-*.arrow"):
        if path.relative_to(target).as_posix() not in plan:
            storage.remove(path)  # from a run with another number of shards: its documents would be there twice
    for split in SPLITS:
        receipts = {Path(name).name: manifest.shards[name] for name in sorted(plan) if name.startswith(split + "/")}
        _describe_split(target / split, split, receipts)
    write_text(target / "dataset_dict.json", json.dumps({"splits": list(SPLITS)}))
    return manifest


def described_otherwise(target: Path, names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield (file, problem) for each file that `datasets` reads that is missing, or lists others than these shards."""
    wanted: dict[str, dict[str, object]] = {"dataset_dict.json": {"splits": list(SPLITS)}}
    for split in SPLITS:
        files = [{"filename": name.partition("/")[2]} for name in sorted(names) if name.startswith(split + "/")]
        wanted |= {f"{split}/state.json": {"_data_files": files}, f"{split}/dataset_info.json": {}}
    for name, values in wanted.items():
        try:
            found = json.loads(storage.read_text(target / name))
        except FileNotFoundError:
            yield name, "is missing"
        except ValueError:
            yield name, "is damaged"
        else:
            if not isinstance(found, dict) or any(found.get(key) != value for key, value in values.items()):
                yield name, "does not list the shards that are there"


def _describe_split(folder: Path, split: str, receipts: Mapping[str, Receipt]) -> None:
    """Write the two small files that `datasets.load_from_disk` reads for a split."""
    together = hashlib.sha256("".join(receipt.digest for receipt in receipts.values()).encode())
    state = {
        "_data_files": [{"filename": name} for name in receipts],
        "_fingerprint": together.hexdigest()[:16],
        "_format_columns": None,
        "_format_kwargs": dict[str, str](),
        "_format_type": None,
        "_output_all_columns": False,
        "_split": split,
    }
    write_text(folder / "state.json", json.dumps(state, indent=1, sort_keys=True))
    write_text(folder / "dataset_info.json", "{}")
