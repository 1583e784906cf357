"""The format of a release: a folder of Parquet files in the layout of the Hugging Face Hub, and its manifest.

    release/README.md                                   the card, made from the manifest
    release/manifest.json                               every file with sha256, rows, bytes; settings; history
    release/data/fra_Latn/train-00000-of-00012.parquet  the documents
    release/clusters/fra_Latn.parquet                   dropped copies, each with the released document it is a copy of
    release/takedowns/1.0.1.json                        what a takedown changed
    release/signatures/fra_Latn/...                     optional: what a later dedup against it needs

Row groups are cut by rows and bytes of text alone. However the rows come in batches, the same documents give the same
bytes.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from filters.programs.languages import code_languages
from pipelines.dataset import StageEntry
from roots.atomic import put_in_place, temporary_name, write_text
from roots.errors import InputError, ShardError
from roots.identity import sha256_of
from roots.schema import DOCUMENT, ID

RELEASE_GROUP_BYTES = 64 << 20  # of text in a row group; a reader that streams holds one row group
_GROUP_ROWS = 10_000
RELEASED = DOCUMENT
# Programs also have the path of their file; `license` is that file's own.
_RELEASED_PROGRAMS = pa.schema([*DOCUMENT.remove(len(DOCUMENT) - 1), pa.field("path", pa.string()), DOCUMENT[-1]])
CLUSTERS = pa.schema(
    [
        ID,
        pa.field("url", pa.string()),
        pa.field("duplicate_of", pa.string(), nullable=False),
        pa.field("jaccard", pa.float32()),
        pa.field("file_path", pa.string()),
        pa.field("offset", pa.int64()),
        pa.field("source", pa.string()),  # as a run with a catalogue states it; not in older releases
    ]
)


def schema_of(name: str) -> pa.Schema:
    """The columns of a file of documents, by its name: "data/fra_Latn/train-00000-of-00012.parquet"."""
    programs = {language.code for language in code_languages()}
    return _RELEASED_PROGRAMS if name.split("/")[1] in programs else RELEASED


class FileEntry(TypedDict):
    """One file in the manifest."""

    sha256: str
    bytes: int
    rows: int
    text_bytes: int
    characters: int


class LanguageEntry(TypedDict):
    """One language in the manifest."""

    code: str
    name: str
    made_by: dict[str, str]  # library -> version
    inputs: dict[str, str]  # archive -> sha256
    stages: dict[str, StageEntry]
    dedup: dict[str, Any]  # settings, and what its audit found; empty if dedup was off
    words: int
    splits: dict[str, dict[str, int]]  # split -> rows, text_bytes, bytes, characters
    sources: dict[str, dict[str, int]]  # source -> rows, text_bytes
    left_out: dict[str, int]  # reason -> rows
    pii: dict[str, int]  # kind -> spans
    data_sets: NotRequired[dict[str, str]]  # of the Hub, that inputs are in: URL -> commit


class ReleaseManifest(TypedDict):
    """manifest.json: all that is known of a release."""

    format: int
    name: str
    version: str
    settings: dict[str, Any]
    rights: dict[str, Any]
    sources: dict[str, dict[str, Any]]  # the catalogue
    languages: dict[str, LanguageEntry]  # by tag, such as fra_Latn
    files: dict[str, FileEntry]
    history: list[dict[str, str]]  # version, date, note; oldest first
    pointers: NotRequired[dict[str, FileEntry]]  # of a pointer release, which lacks the files of `data/`


@dataclass(frozen=True)
class Written:
    """A release file that was written, and what it holds."""

    sha256: str
    bytes: int
    rows: int
    text_bytes: int
    characters: int

    def as_values(self) -> FileEntry:
        """Its entry in the manifest."""
        return {
            "sha256": self.sha256,
            "bytes": self.bytes,
            "rows": self.rows,
            "text_bytes": self.text_bytes,
            "characters": self.characters,
        }


@dataclass
class Tally:
    """Counts of documents: rows and bytes by source, replaced spans by kind of personal data."""

    sources: dict[str, dict[str, int]] = field(default_factory=dict)  # source -> rows, text_bytes
    pii: Counter[str] = field(default_factory=Counter)  # kind -> spans

    def add(self, batch: pa.RecordBatch) -> None:
        """Count the documents of a batch with the columns `source`, `text` and `pii`."""
        sizes = pc.binary_length(batch["text"]).to_pylist()
        for name, size in zip(batch["source"].to_pylist(), sizes, strict=True):
            counts = self.sources.setdefault(name, {"rows": 0, "text_bytes": 0})
            counts["rows"] += 1
            counts["text_bytes"] += size
        kinds = pc.struct_field(pc.list_flatten(batch["pii"]), "kind")
        self.pii.update({item["values"].as_py(): item["counts"].as_py() for item in pc.value_counts(kinds)})


def write_parquet(path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Written:
    """Write a release file, whole or not at all: zstd, page index, checksums, chunks cut by content.

    Chunks are cut by content (a rolling hash), so most bytes stay the same if some rows are removed. A new version of
    the file is then cheap to upload. Raises ShardError if the file cannot be written, for instance on a full disk.
    """
    temporary = temporary_name(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = text_bytes = characters = 0
    plain = [name for name in schema.names if name not in ("text", "id", "url")]
    try:
        with pq.ParquetWriter(
            temporary, schema, compression="zstd", use_dictionary=plain, write_page_index=True,
            write_page_checksum=True, use_content_defined_chunking=True,
        ) as writer:  # fmt: skip
            for table in _groups(batches, schema):
                rows += table.num_rows
                if "text" in schema.names:
                    text_bytes += pc.sum(pc.binary_length(table["text"])).as_py() or 0
                    characters += pc.sum(pc.utf8_length(table["text"])).as_py() or 0
                # In one piece: the file must not depend on how the rows came in batches.
                writer.write_table(table.combine_chunks(), row_group_size=max(1, table.num_rows))
        put_in_place(temporary, path)
    except OSError as error:
        raise ShardError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)
    return Written(sha256_of(path), path.stat().st_size, rows, text_bytes, characters)


def _groups(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.Table]:
    """Cut rows into row groups of at most _GROUP_ROWS rows, closed by the row that fills RELEASE_GROUP_BYTES."""
    held: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        sizes = pc.binary_length(batch["text"]).to_pylist() if "text" in schema.names else [0] * batch.num_rows
        start = 0
        for position, bytes_ in enumerate(sizes):
            rows, size = rows + 1, size + (bytes_ or 0)
            if rows == _GROUP_ROWS or size >= RELEASE_GROUP_BYTES:
                held.append(batch.slice(start, position + 1 - start))
                yield pa.Table.from_batches(held, schema)
                held, start, rows, size = [], position + 1, 0, 0
        if start < batch.num_rows:
            held.append(batch.slice(start))
    if held:
        yield pa.Table.from_batches(held, schema)


def read_parquet(path: Path, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
    """Read all rows of a release file, in order. Raises InputError if it is missing or damaged."""
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            yield from file.iter_batches(1024, columns=columns, use_threads=False)
    except FileNotFoundError:
        raise InputError(f"no file {path}: the release is not complete") from None
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path} is damaged: {error}") from error


def read_clusters(path: Path) -> Iterator[pa.RecordBatch]:
    """Read the dropped copies of a release; those of an older one have no source."""
    for batch in read_parquet(path):
        missing = "source" not in batch.schema.names
        yield batch.append_column("source", pa.nulls(batch.num_rows, pa.string())) if missing else batch


def with_rows(rows: Mapping[str, int]) -> list[str]:
    """The data files whose split has at least one row; `datasets` cannot load an empty split.

    `rows` maps the name of a file ("data/fra_Latn/train-00000-of-00012.parquet") to its number of rows.
    """
    totals: dict[str, int] = {}
    for name, count in rows.items():
        totals[split_of(name)] = totals.get(split_of(name), 0) + count
    return sorted(name for name in rows if totals[split_of(name)])


def split_of(name: str) -> str:
    """Language and split of a data file: "data/fra_Latn/train"."""
    return name.rpartition("-of-")[0].rpartition("-")[0]


def read_release_manifest(release: Path) -> ReleaseManifest:
    """Read the manifest of a release folder. Raises InputError if there is none or it is damaged."""
    path = release / "manifest.json"
    try:
        manifest: ReleaseManifest = json.loads(path.read_text(encoding="utf-8"))
        return {**manifest, "files": dict(manifest["files"]), "languages": dict(manifest["languages"])}
    except FileNotFoundError:
        raise InputError(f"{release} is not a release: no manifest.json. Make one with `roots publish`") from None
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is damaged: {error!r}") from None


def write_release_manifest(release: Path, manifest: ReleaseManifest) -> None:
    """Write the manifest, whole or not at all."""
    write_text(release / "manifest.json", json.dumps(manifest, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


def check_files(release: Path) -> Iterator[str]:
    """Yield one sentence for every file that is missing, changed, or not part of the release."""
    manifest = read_release_manifest(release)
    for name, written in sorted(manifest["files"].items()):
        path = release / name
        if not path.is_file():
            yield f"{name} is missing"
        elif path.stat().st_size != written["bytes"] or sha256_of(path) != written["sha256"]:
            yield f"{name} is not the file that the manifest names"
    for folder in ("data", "clusters"):
        for path in sorted((release / folder).rglob("*.parquet")):
            if path.relative_to(release).as_posix() not in manifest["files"]:
                yield f"{path.relative_to(release).as_posix()} is not part of this release: delete it"
