"""Documents of earlier releases: what is stored of them beside a release, and how dedup reads them.

    release/data/fra_Latn/train-00000-of-00012.parquet          the documents
    release/signatures/fra_Latn/train-00000-of-00012.parquet    one row for each of them, in the same order

A file of signatures (format 1, the version of the stage below) has these columns. Equal schemes give equal numbers:

    id             of the document
    shingles       int32: how many it has, with repeats; 0 for a text that is too short for a shingle
    content_high, content_low
                   uint64: 128 bits of its text without white space, digits and ASCII punctuation
    units          uint64: digest of its units in order; equal units mean equal shingles
    signature      uint32, bands * rows of them: its MinHash values (filters.near_duplicates); band b has the values
                   from b * rows on, so that other numbers of bands with as many values need no other file

The footer holds a receipt like that of every shard; `signatures/manifest.json` has the scheme by value. A file counts
only if its fingerprint fits the scheme and the sha256 of the file of documents; otherwise it is made again, or ignored.
Signatures save the time to read and sign a released text. They change no result: what is removed is verified against
the text itself.
"""

import json
import re
import shutil
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filters.near_duplicates.rules import Scheme
from filters.near_duplicates.signatures import TextSignatures, sign_texts
from pipelines import release
from pipelines.dedup.scratch import StepShards, holds_signatures, read_documents
from roots import shards, storage
from roots.atomic import write_text
from roots.errors import SettingsError, ShardError
from roots.executors import Executor
from roots.stage import Manifest, Progress, Stage, fingerprint, run

_FOLDER = "signatures"
_AGAINST = "against.json"  # names the releases that a folder of dedup was compared with
RELEASED_PREFIX = "released--"  # of the names of scratch shards of released documents
_COLUMNS = ("content_high", "content_low", "units")


@dataclass(frozen=True)
class _ReleaseSignatures(Stage):
    """The signatures of released documents: one file for each file of documents."""

    name: ClassVar[str] = _FOLDER
    version: ClassVar[int] = 1  # also that of the format
    scheme: Scheme
    unicode: str = unicodedata.unidata_version

    @property
    def schema(self) -> pa.Schema:
        """The columns described above."""
        return pa.schema(
            [
                pa.field("id", pa.string(), nullable=False),
                pa.field("shingles", pa.int32()),
                *(pa.field(name, pa.uint64()) for name in _COLUMNS),
                pa.field("signature", pa.list_(pa.uint32(), self.scheme.hashes)),
            ]
        )

    def make(self, name: str, sources: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        """Sign one file of documents."""
        for batch in read_documents(sources, ["id", "text"]):
            signs = sign_texts(batch["text"], self.scheme)
            numbers = [np.ascontiguousarray(column) for column in (*signs.content.T, signs.units)]
            flat = pa.array(signs.minhashes.reshape(-1))
            signatures = pa.FixedSizeListArray.from_arrays(flat, self.scheme.hashes)
            columns = [batch["id"], pa.array(signs.shingles), *map(pa.array, numbers), signatures]
            yield pa.RecordBatch.from_arrays(columns, schema=self.schema)


def signature_file(name: str) -> str:
    """Name of the file of signatures of a file of documents, both as paths in the release."""
    return name.replace("data/", _FOLDER + "/", 1)


def write_signatures(folder: Path, scheme: Scheme, executor: Executor, progress: Progress | None = None) -> Manifest:
    """Write the signatures of a release beside it, those that are missing or out of date.

    Raises InputError if `folder` is not a release, StageFailed if files could not be signed.
    """
    target = folder / _FOLDER
    plan = {name.removeprefix("data/"): [folder / name] for name in _documents(release.read_release_manifest(folder))}
    for path in sorted(target.glob("*/*.parquet")):
        if path.relative_to(target).as_posix() not in plan:
            path.unlink()
    return run(_ReleaseSignatures(scheme), plan, target, executor, progress)


def remove_signatures(folder: Path) -> None:
    """Remove the signatures of a release, if there are any."""
    if (folder / _FOLDER).is_dir():
        shutil.rmtree(folder / _FOLDER)


def _documents(manifest: Mapping[str, object]) -> list[str]:
    files = cast(Mapping[str, object], manifest["files"])
    return sorted(name for name in files if name.startswith("data/"))


class _Released(NamedTuple):
    """One release that new documents are compared with."""

    label: str  # its name and version, as in the column `release`
    folder: Path
    chains: Mapping[str, Sequence[Path]]  # name of its scratch shard -> file of documents, and of signatures
    signed: int  # files with signatures


def read_release(folder: Path, tags: Sequence[str], scheme: Scheme) -> _Released:
    """The documents of a release in the languages `tags` (fra_Latn).

    Raises InputError if `folder` is not a release.
    """
    manifest = release.read_release_manifest(folder)
    label = re.sub(r"[^\w.]+", "-", f"{manifest.get('name', 'release')}-{manifest.get('version', '')}").strip("-")
    chains: dict[str, list[Path]] = {}
    for name in _documents(manifest):
        tag, file = name.split("/")[1:]
        if tag not in tags:
            continue
        stored = folder / signature_file(name)
        digest = manifest["files"][name]["sha256"]
        wanted = fingerprint(_ReleaseSignatures(scheme), name.removeprefix("data/"), [digest])
        receipt = shards.read_receipt(stored)
        fresh = receipt is not None and receipt.fingerprint == wanted
        chains[f"{label}--{tag}--{file.removesuffix('.parquet')}"] = [folder / name, *([stored] if fresh else [])]
    return _Released(label, folder, chains, sum(len(chain) > 1 for chain in chains.values()))


def read_releases(folders: Sequence[str], tags: Sequence[str], scheme: Scheme) -> list[_Released]:
    """Several releases. Raises SettingsError if two have the same name and version."""
    found = [read_release(Path(folder), tags, scheme) for folder in folders]
    labels = [each.label for each in found]
    for each in found:
        if labels.count(each.label) > 1:
            raise SettingsError(f"two releases are {each.label}: compare with one of them, or with each in turn")
    return found


def write_against(target: Path, releases: Sequence[_Released]) -> None:
    """Write beside the shards of dedup which releases they were compared with and where those are."""
    path = target / _AGAINST
    if not releases:
        storage.remove(path)
        return
    storage.make_folder(target)
    values = {
        each.label: {"folder": str(each.folder.resolve()), "files": len(each.chains), "signed": each.signed}
        for each in releases
    }
    write_text(path, json.dumps(values, indent=1, sort_keys=True) + "\n")


def read_released_text(target: Path, label: str, id_: str) -> str | None:
    """The text of a released document that dedup in `target` was compared with; None if it cannot be found."""
    path = target / _AGAINST
    known = json.loads(storage.read_text(path)) if storage.is_file(path) else {}
    folder = Path(known.get(label, {}).get("folder", ""))
    if label not in known or not (folder / "manifest.json").is_file():
        return None
    for name in _documents(release.read_release_manifest(folder)):
        for batch in release.read_parquet(folder / name, ["id", "text"]):
            place = pc.index(batch["id"], id_).as_py()
            if place >= 0:
                return str(batch["text"][place].as_py())
    return None


def unknown_matches(targets: Sequence[Path], matches: Mapping[str, Sequence[tuple[str, str]]]) -> Iterator[str]:
    """Messages about rows of dedup that name a document which its release does not hold.

    `matches` are {release: (id of the row, id it names)}; `targets` are folders that may have the scratch files of
    dedup.
    """
    for label, pairs in sorted(matches.items()):
        signed = f"{RELEASED_PREFIX}{label}--"
        wanted = pa.array(sorted({other for _, other in pairs}), pa.string())
        found: set[str] = set()
        paths = (path for target in targets for path in storage.files_in(target / "sign", "*.parquet"))
        for path in sorted(path for path in paths if path.name.startswith(signed)):
            for batch in shards.read(path, ["id"]):
                found.update(batch["id"].filter(pc.is_in(batch["id"], wanted)).to_pylist())
        for id_, other in pairs:
            if other not in found:
                yield f"dedup: {id_} is said to be a copy of {other} in {label}, which that release does not hold"


def _release_of(shard: str) -> str | None:
    """The release of a scratch shard of dedup; None for one of new documents."""
    return shard.removeprefix(RELEASED_PREFIX).partition("--")[0] if shard.startswith(RELEASED_PREFIX) else None


def read_signatures(
    sources: Sequence[Path], columns: Sequence[str], scheme: Scheme
) -> Iterator[tuple[pa.RecordBatch, TextSignatures]]:
    """Columns of the documents of a chain with their signatures: the stored ones, or else computed from the text.

    Raises ShardError if stored signatures belong to other documents.
    """
    if not holds_signatures(sources[-1]):
        for batch in read_documents(sources, sorted({*columns, "text"})):
            yield batch, sign_texts(batch["text"], scheme)
        return
    documents, stored = sources
    names = [name for name in columns if name != "text"]
    if shards.open_shard(documents).metadata.num_rows != shards.open_shard(stored).metadata.num_rows:
        raise ShardError(f"{stored} has not as many rows as {documents}: run `roots signatures` again")
    for batch, known in shards.align([shards.read(documents, names), shards.read(stored)]):
        if not batch["id"].equals(known["id"]):
            raise ShardError(f"{stored} is of other documents than {documents}: run `roots signatures` again")
        content = np.stack([known[name].to_numpy() for name in _COLUMNS[:2]], axis=1)
        values = known["signature"].flatten().to_numpy().reshape(-1, scheme.hashes)
        yield batch, TextSignatures(content, known["units"].to_numpy(), known["shingles"].to_numpy(), values)


def release_ranges(signed: StepShards) -> tuple[tuple[str, int, int], ...]:
    """The document numbers of each shard of released documents: (release, first, number after the last)."""
    found = [(_release_of(name), signed.start(name), rows) for name, rows in signed.rows.items()]
    return tuple((label, first, first + rows) for label, first, rows in found if label)
