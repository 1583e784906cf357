"""`roots shard --format`: the dataset as JSON lines or Parquet, for programs that read neither Arrow nor a release.

    work/fr/jsonl.zst/train-00000.jsonl.zst      a document a line, with the columns of the dataset
    work/fr/parquet/train-00000.parquet
    work/fr/parquet/files.json                   documents and bytes by split, sha256 of every file

A file holds one shard. One that is made already is kept, unless its shard changed. A release has what these files have
not: a card, licences, a check of what may be published.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.job.request import Job, Request
from pipelines.release import write_parquet
from pipelines.shard import SPLITS
from roots import shards
from roots.accounts import ACCOUNT, PartsFolder, account_of, make_parts, write_parts_manifest
from roots.atomic import making
from roots.errors import InputError
from roots.executors import Executor
from roots.settings import ASIDE
from roots.stage import Progress, Stage
from roots.storage import is_remote, make_folder

_ROWS = 64  # turned into Python objects at once: bounds memory


@dataclass(frozen=True)
class _TextFiles(Stage):
    """Makes the file of one shard."""

    name: ClassVar[str] = "text"
    version: ClassVar[int] = 1
    schema: ClassVar[pa.Schema] = ACCOUNT

    form: str
    target: Path = field(metadata=ASIDE)

    def make(self, name: str, sources: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        """Write the file of the part "fr/train/00000.parquet", then give its account."""
        _, split, number = name.removesuffix(".parquet").split("/")
        path = self.target / f"{split}-{number}.{self.form}"
        make_folder(self.target)
        counts = {"documents": 0, "bytes": 0}
        batches = (batch for source in sources for batch in _counted(source, counts))
        first = next(batches, None)
        if first is not None:  # few readers take a file without a document
            write = _write_lines if self.form == "jsonl.zst" else write_parquet
            write(path, first.schema, chain([first], batches))
        yield account_of(name, self.target, [path] if first is not None else [], counts)


def _counted(source: Path, counts: dict[str, int]) -> Iterator[pa.RecordBatch]:
    for batch in shards.read_stream(source):
        if batch.num_rows:
            counts["documents"] += batch.num_rows
            counts["bytes"] += pc.sum(pc.binary_length(batch["text"])).as_py()
            yield batch


def _write_lines(path: Path, schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> None:
    """Write rows as JSON lines in one frame of zstd, whole or not at all."""
    with making(path) as place, pa.OSFile(str(place), "wb") as raw, pa.CompressedOutputStream(raw, "zstd") as packed:
        for batch in batches:
            for low in range(0, batch.num_rows, _ROWS):
                rows = batch.slice(low, _ROWS).to_pylist()
                packed.write("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode())


def write_text_files(
    request: Request,
    form: str,
    executor: Executor,
    new_progress: Callable[[str], AbstractContextManager[Progress | None]],
) -> Iterator[str]:
    """Write the datasets of a request as files of the format `form`; yield a line for each language.

    Raises InputError for a work folder at a URL.
    """
    for job in request.plan():
        target = job.dataset.parent / form
        with new_progress(job.code) as progress:
            documents, files = _write_language(job, form, target, executor, progress)
        yield f"{target}: {documents:,} documents in {files} files"


def _write_language(
    job: Job, form: str, target: Path, executor: Executor, progress: Progress | None
) -> tuple[int, int]:
    if is_remote(target):
        raise InputError(f"{target}: text files are written on this machine; copy the work folder here first")
    plan: dict[str, list[Path]] = {}
    for split in SPLITS:
        for number, path in enumerate(sorted((job.dataset / split).glob("data-*.arrow"))):
            plan[f"{job.code}/{split}/{number:05d}.parquet"] = [path]
    folder = PartsFolder(target, {"format": form})
    parts = make_parts(_TextFiles(form, target), plan, folder, executor, progress)
    manifest = write_parts_manifest(folder, parts, "bytes")
    return sum(part.counts["documents"] for part in parts.values()), len(manifest["files"])
