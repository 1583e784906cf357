"""Pointers: a release without its text, and the release rebuilt from pointers and archives.

A pointer release has the id, archive, offset, replaced spans and text digest of every document, but no text. So it can
be shared where the text may not be. Anyone who has the same archives can rebuild the release: read the records at their
offsets, extract them with the settings of the manifest, and edit them by the spans. Every text must have its digest,
and every file its sha256.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa

from filters.personal_data import Span, redact
from pipelines import release
from pipelines.dataset import StageEntry
from pipelines.extract import Extract
from pipelines.extraction.extractors import PAGES, Bounds, preload
from pipelines.extraction.guard import Failure, Limits, guarded
from pipelines.job.languages import is_program
from pipelines.job.work import find_archives
from pipelines.publishing.card import write_release_card
from pipelines.publishing.files import collect_files
from pipelines.publishing.settings import RebuildSettings
from pipelines.publishing.takedown_list import digest
from pipelines.redact import Redact, edited
from pipelines.sources.doors import on_this_machine
from pipelines.sources.layouts import TableSettings
from roots import storage
from roots.atomic import write_text
from roots.errors import InputError, RebuildError
from roots.executors import Executor
from roots.identity import sha256_of, sha256_of_folder
from roots.settings import build
from roots.stage import Progress

_POINTERS = pa.schema(
    [*(each for each in release.RELEASED if each.name != "text"), pa.field("text_sha256", pa.string())]
)


def make_pointers(
    folder: Path, target: Path, executor: Executor, progress: Progress | None = None
) -> release.ReleaseManifest:
    """Write the pointer release of a release folder. Returns its manifest.

    Raises InputError if the release is not complete, or holds programs.
    """
    manifest = release.read_release_manifest(folder)
    for problem in release.check_files(folder):
        raise InputError(f"{folder}: {problem}")
    if programs := [tag for tag in manifest["languages"] if is_program(tag)]:
        raise InputError(f"{folder} holds programs ({', '.join(programs)}), which no archive of pages can give again")
    if any("apart" in each["stages"]["extract"] for each in manifest["languages"].values()):
        raise InputError(f"{folder} has sources read with settings of their own, which cannot be rebuilt")
    data = sorted(name for name in manifest["files"] if name.startswith("data/"))
    ended = executor.map(partial(_point, folder, target), data)
    written = collect_files("pointers", ended, len(data), progress)
    clusters = sorted(name for name in manifest["files"] if name.startswith("clusters/"))
    for name in clusters:
        release.write_parquet(target / name, release.CLUSTERS, release.read_clusters(folder / name))
    manifest["pointers"] = {_pointer_name(name): written[name].as_values() for name in data}
    release.write_release_manifest(target, manifest)
    write_text(target / "README.md", _readme(manifest))
    return manifest


def _pointer_name(name: str) -> str:
    return name.replace("data/", "pointers/", 1)


def _point(folder: Path, target: Path, name: str) -> release.Written:
    return release.write_parquet(target / _pointer_name(name), _POINTERS, _without_text(folder / name))


def _without_text(path: Path) -> Iterator[pa.RecordBatch]:
    for batch in release.read_parquet(path):
        digests = pa.array([digest(text) for text in batch["text"].to_pylist()], pa.string())
        columns = [batch[name] for name in _POINTERS.names if name != "text_sha256"]
        yield pa.RecordBatch.from_arrays([*columns, digests], schema=_POINTERS)


def _readme(manifest: release.ReleaseManifest) -> str:
    """README.md of a pointer release: how to rebuild the text."""
    rows = sum(entry["rows"] for entry in manifest["pointers"].values())
    archives = sorted({name for each in manifest["languages"].values() for name in each["inputs"]})
    lines = [
        "# A release without its text",
        "",
        f"{rows:,} documents of {len(archives)} archives: id, archive, offset, replaced spans and digest of each.",
        "With the same archives (sha256 in `manifest.json`) you can rebuild the release, byte for byte:",
        "",
        "    roots rebuild THIS-FOLDER --to TARGET --input 'archives/*.warc.gz'",
        "",
    ]
    return "\n".join(lines)


def rebuild(
    folder: Path,
    target: Path,
    patterns: Sequence[str],
    settings: RebuildSettings,
    executor: Executor,
    progress: Progress | None = None,
) -> release.ReleaseManifest:
    """Rebuild a release from its pointers and the archives. Returns its manifest.

    Raises InputError if archives are missing or changed, StageFailed if a text or a file differs from the release. The
    files that match are kept; another run makes only the rest.
    """
    manifest = release.read_release_manifest(folder)
    if "pointers" not in manifest:
        raise InputError(f"{folder} is not a pointer release: make one with `roots pointers`")
    _check_versions(manifest)
    archives = _find_inputs(manifest, patterns)
    del manifest["pointers"]
    data = sorted(name for name in manifest["files"] if name.startswith("data/"))
    missing = [name for name in data if not _same(target / name, manifest["files"][name])]
    ended = executor.map(_FileRebuild(folder, target, manifest, archives, settings.secret_file), missing)
    collect_files("rebuild", ended, len(missing), progress)
    for name in sorted(name for name in manifest["files"] if name.startswith("clusters/")):
        release.write_parquet(target / name, release.CLUSTERS, release.read_clusters(folder / name))
    release.write_release_manifest(target, manifest)
    write_release_card(target, manifest)
    for problem in release.check_files(target):
        raise RebuildError(
            f"{target}: {problem}: other versions of libraries write other bytes; see made_by in the manifest"
        )
    return manifest


def _check_versions(manifest: release.ReleaseManifest) -> None:
    """Raise InputError if our own stages have other versions than those that made the text."""
    for tag, language in sorted(manifest["languages"].items()):
        for stage in (Extract, Redact):
            made = language["stages"][stage.name]["version"]
            if made != stage.version:
                raise InputError(
                    f"{tag} was made by version {made} of {stage.name}, this is version {stage.version}: "
                    f"install roots-corpus {language['made_by'].get('roots-corpus', 'of that time')}"
                )


def _find_inputs(manifest: release.ReleaseManifest, patterns: Sequence[str]) -> dict[str, str]:
    """The archives of a release: name -> path, found by sha256. Raises InputError if some are missing."""
    wanted = {value for each in manifest["languages"].values() for value in each["inputs"].values()}
    found: dict[str, str] = {}
    for path in find_archives(patterns).values():
        read = storage.identity if storage.is_remote(path) else sha256_of_folder if path.is_dir() else sha256_of
        if read(path) in wanted:
            found[path.name] = str(path)
    if len(found) < len(wanted):
        raise InputError(
            f"{len(wanted) - len(found)} of the {len(wanted)} archives of this release are missing, or are other files "
            "of the same name: their sha256 is in manifest.json, under inputs"
        )
    return found


def _same(path: Path, entry: release.FileEntry) -> bool:
    return path.is_file() and path.stat().st_size == entry["bytes"] and sha256_of(path) == entry["sha256"]


@dataclass(frozen=True)
class _Extraction:
    """How the texts of a release were extracted."""

    extractor: str
    bounds: Bounds
    limits: Limits
    tables: Mapping[str, str]
    content: str
    form: str

    @classmethod
    def of(cls, entry: StageEntry) -> "_Extraction":
        """By the settings of extract in a manifest."""
        values = entry["settings"]
        bounds = Bounds(**{each.name: values[each.name] for each in fields(Bounds) if each.name in values})
        tables = {each.name: values[each.name] for each in fields(TableSettings) if each.name in values}
        limits = Limits(values["cpu_seconds"], values["memory_bytes"])
        return cls(
            values["extractor"], bounds, limits, tables, values.get("content", "text"), values.get("form", "text")
        )

    def texts(self, archive: Path, offsets: Sequence[int]) -> list[str | None]:
        """The text of the record at each offset of an archive; None if it cannot be extracted."""
        arguments = {
            "archives": [str(archive)],
            "extractor": self.extractor,
            "bounds": asdict(self.bounds),
            "tables": self.tables,
            "learned": ("", self.content, self.form),
        }
        order = sorted(range(len(offsets)), key=lambda place: offsets[place])
        texts: list[str | None] = [None] * len(offsets)
        places = [(0, offsets[place]) for place in order]
        found = guarded(PAGES, arguments, places, self.limits, preload(self.extractor))
        for place, page in zip(order, found, strict=True):
            texts[place] = None if isinstance(page, Failure) else page["text"]
        return texts


@dataclass(frozen=True)
class _FileRebuild:
    """Rebuilds single files of documents; picklable, so that any executor can run it."""

    folder: Path  # of the pointer release
    target: Path
    manifest: release.ReleaseManifest
    archives: Mapping[str, str]  # name in the release -> path
    secret_file: str

    def __call__(self, name: str) -> release.Written:
        """Write one file. Raises RebuildError if it differs from the release."""
        stages = self.manifest["languages"][name.split("/")[1]]["stages"]
        rows = self._rows(self.folder / _pointer_name(name), _Extraction.of(stages["extract"]), self._redact(stages))
        written = release.write_parquet(self.target / name, release.RELEASED, rows)
        if written.sha256 != self.manifest["files"][name]["sha256"]:
            raise RebuildError("its texts match but its bytes do not: another version of pyarrow wrote it")
        return written

    def _redact(self, stages: Mapping[str, StageEntry]) -> Redact:
        settings = stages["redact"]["settings"]
        values = {key: value for key, value in settings.items() if key != "secret_digest"}
        stage: Redact = build(Redact, {**values, "secret_file": self.secret_file}, "rebuild")
        if stage.secret_digest != settings.get("secret_digest", ""):
            raise InputError("rebuild.secret_file is not the secret of this release")
        return stage

    def _rows(self, path: Path, extraction: _Extraction, stage: Redact) -> Iterator[pa.RecordBatch]:
        """The rows of a pointer file with their texts, in order."""
        for batch in release.read_parquet(path):
            for file, group in groupby(enumerate(batch["file_path"].to_pylist()), key=lambda pair: pair[1]):
                places = [place for place, _ in group]
                if file not in self.archives:
                    raise InputError(f"the archive {file} is missing: name it with --input")
                part = batch.slice(places[0], len(places))
                with on_this_machine(storage.path_of(self.archives[file])) as archive:
                    texts = extraction.texts(archive, part["offset"].to_pylist())
                rows = [_row(row, text, stage) for row, text in zip(part.to_pylist(), texts, strict=True)]
                yield pa.RecordBatch.from_pylist(rows, release.RELEASED)


def _row(row: Mapping[str, Any], text: str | None, stage: Redact) -> dict[str, Any]:
    """One document as it was released. Raises RebuildError if its text differs."""
    spans = [Span(**span) for span in row["pii"]]
    clean = redact(edited(text, row["lines"]), spans, stage.style, stage.secret_of(row["id"]))
    if digest(clean) != row["text_sha256"]:
        raise RebuildError(
            f"the text of {row['id']} differs from the released one: another version of the extractor made it "
            "(see made_by in the manifest)"
        )
    return {**{key: value for key, value in row.items() if key != "text_sha256"}, "text": clean}
