"""The files of a release: which shards each is made of, making them, and the copies that their documents stand for.

Every file is made from whole shards by itself, so the work runs on any executor; a file whose sources and settings are
as before is not made again.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from filters.personal_data import redact_url
from pipelines import release
from pipelines import work as folders
from pipelines.catalogue import Catalogue, Rights, load_catalogue, refusal
from roots import shards
from roots.errors import StageFailed
from roots.executors import Executor
from roots.settings import as_values
from roots.stage import Progress, sha256_of

NOTES = ".publish"  # what is done, for a run that goes on after a break; no part of the release


@dataclass(frozen=True)
class _FileTask:
    """One file to make: its name in the release, and the shards it is made of."""

    name: str
    sources: tuple[Path, ...]
    fingerprint: str


@dataclass(frozen=True)
class FileResult:
    """What one file of documents holds, and what was left out of it."""

    written: release.Written
    sources: Mapping[str, Mapping[str, int]] = field(default_factory=dict)  # source -> rows, text_bytes
    left_out: Mapping[str, int] = field(default_factory=dict)  # reason -> rows
    pii: Mapping[str, int] = field(default_factory=dict)  # kind -> spans


def plan_files(
    work: Path, code: str, made: Mapping[str, Any], file_bytes: int, rights: Rights, catalogue: Catalogue
) -> list[_FileTask]:
    """Which file is made of which shards: neighbours together until `file_bytes` of text are reached."""
    tag = made["language"]["tag"]
    ways = [
        as_values(rights),
        {name: as_values(source) for name, source in catalogue.sources.items()},
        release.GROUP_BYTES,
    ]
    tasks: list[_FileTask] = []
    for split in ("train", "validation"):
        groups: list[list[str]] = []
        size = file_bytes
        for name in sorted(name for name in made["shards"] if name.startswith(split + "/")):
            if size >= file_bytes:
                groups.append([])
                size = 0
            groups[-1].append(name)
            size += made["shards"][name]["text_bytes"]
        for number, names in enumerate(groups):
            values = [[made["shards"][name]["sha256"] for name in names], *ways]
            fingerprint = hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
            shards_ = tuple(folders.folder(work, code, "shard") / name for name in names)
            tasks.append(
                _FileTask(f"data/{tag}/{split}-{number:05d}-of-{len(groups):05d}.parquet", shards_, fingerprint)
            )
    return tasks


def make_files(
    target: Path,
    tasks: Sequence[_FileTask],
    rights: Rights,
    executor: Executor,
    progress: Progress | None,
) -> dict[str, FileResult]:
    """Make the files that are not there yet. Raises StageFailed, after all others, when some could not be made."""
    (target / NOTES).mkdir(parents=True, exist_ok=True)
    notes = {task.name: target / NOTES / f"{task.fingerprint}.json" for task in tasks}
    results: dict[str, FileResult] = {}
    for task in tasks:
        known = _known(target / task.name, notes[task.name])
        if known:
            results[task.name] = known
    missing = [task for task in tasks if task.name not in results]
    failures: dict[str, str] = {}
    for task, result in executor.map(partial(_make_file, target, rights), missing):
        if isinstance(result, Exception):
            failures[task.name] = f"{type(result).__name__}: {result}"
        else:
            results[task.name] = result
            shards.write_text(notes[task.name], json.dumps({**as_values(result), "written": as_values(result.written)}))
        if progress:
            progress(task.name, len(results) + len(failures), len(tasks))
    if failures:
        raise StageFailed("publish", failures, len(results))
    return results


def _known(path: Path, note: Path) -> FileResult | None:
    """What a run before noted of a file, if the file is still the one it made."""
    if not (note.is_file() and path.is_file()):
        return None
    values = json.loads(note.read_text(encoding="utf-8"))
    written = release.Written(**values.pop("written"))
    same = path.stat().st_size == written.bytes and sha256_of(path) == written.sha256
    return FileResult(written, **values) if same else None


def _make_file(target: Path, rights: Rights, task: _FileTask) -> FileResult:
    """Make one file of documents: what an executor runs."""
    catalogue = load_catalogue(rights.catalogue)
    tally = release.Tally()
    left_out: Counter[str] = Counter()

    def batches() -> Iterator[pa.RecordBatch]:
        for path in task.sources:
            for batch in shards.read_stream(path):
                kept = _with_rights(batch, rights, catalogue, left_out)
                if kept.num_rows:
                    tally.add(kept)
                    yield kept

    written = release.write_parquet(target / task.name, release.RELEASED, batches())
    return FileResult(written, tally.sources, dict(left_out), dict(tally.pii))


def _with_rights(batch: pa.RecordBatch, rights: Rights, catalogue: Catalogue, left_out: Counter[str]) -> pa.RecordBatch:
    """The rows that may be released, with source and licence; counts those that may not."""
    pairs = zip(batch["url"].to_pylist(), batch["file_path"].to_pylist(), strict=True)
    names = [catalogue.source_of(url, file) for url, file in pairs]
    licenses = [catalogue.license_of(name) for name in names]
    judged = zip(names, licenses, batch["signals"].to_pylist(), strict=True)
    reasons = [refusal(rights, name, license_, signals) for name, license_, signals in judged]
    left_out.update(reason for reason in reasons if reason)
    columns = [*batch.columns, pa.array(names, pa.string()), pa.array(licenses, pa.string())]
    whole = pa.RecordBatch.from_arrays(columns, schema=release.RELEASED)
    return whole.filter(pa.array([reason is None for reason in reasons]))


def rows_of(results: Mapping[str, FileResult]) -> dict[str, int]:
    """Rows by name of file."""
    return {name: result.written.rows for name, result in results.items()}


def write_clusters(work: Path, code: str, target: Path, tag: str, results: Mapping[str, FileResult]) -> dict[str, Any]:
    """Write which dropped copies each released document stands for: a takedown must reach them too."""
    released: set[str] = set()
    for name in results:
        for batch in release.read_parquet(target / name, ["id"]):
            released.update(batch["id"].to_pylist())
    name = f"clusters/{tag}.parquet"
    written = release.write_parquet(target / name, release.CLUSTERS, _copies(work, code, released))
    return {name: written.as_values()}


def _copies(work: Path, code: str, released: set[str]) -> Iterator[pa.RecordBatch]:
    """Rows that dedup dropped as copies of a released document, archive by archive.

    Those of other languages are among them where dedup went over several.
    """
    for shard in folders.shards_of_dedup(work, code):
        before = folders.chain(work, shard.parent.parent.name, shard.name, "dedup")
        parts = list(shards.read_kept(before, ["id", "url", "file_path", "offset"]))
        if not parts:
            continue
        rows = pa.Table.from_batches(parts)
        judged = shards.read(shard, ["id", "duplicate_of", "jaccard"])
        marks = pa.Table.from_batches(list(judged))
        for field_ in ("duplicate_of", "jaccard"):
            rows = rows.append_column(field_, marks[field_])
        addresses = [url and redact_url(url) for url in rows["url"].to_pylist()]
        rows = rows.set_column(rows.schema.get_field_index("url"), "url", pa.array(addresses, pa.string()))
        wanted = pc.is_in(rows["duplicate_of"], pa.array(sorted(released), pa.string()))
        yield from rows.filter(wanted).select(release.CLUSTERS.names).cast(release.CLUSTERS).to_batches()
