"""pointers: a release without its text, and the corpus made again from the archives.

A pointer release has for every document its id, archive, offset, the spans that were replaced and the digest of its
text, but no text: it can be given away where the text may not be. Whoever has the same archives makes the release
again: the records are read at their offsets, extracted with the settings of the manifest, and edited by the spans;
every text must have its digest and every file its sha256.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa

from filters.personal_data import Span, redact
from pipelines import release
from pipelines.archives.spool import on_this_machine
from pipelines.extract import Extract
from pipelines.extraction.extractors import PAGES, Bounds
from pipelines.extraction.guard import Failure, Limits, guarded
from pipelines.publishing.card import write_card
from pipelines.publishing.files import collect_files
from pipelines.publishing.takedown_plan import digest
from pipelines.redact import Redact, edited
from pipelines.work import find_archives
from roots import shards, storage
from roots.errors import InputError, RebuildError
from roots.executors import Executor
from roots.identity import sha256_of
from roots.settings import build
from roots.stage import Progress

_POINTERS = pa.schema(
    [*(each for each in release.RELEASED if each.name != "text"), pa.field("text_sha256", pa.string())]
)


@dataclass(frozen=True)
class Rebuild:
    """Settings of making a corpus again."""

    secret_file: str = ""  # the secret of the style "synthetic", where the release has it


def make_pointers(folder: Path, target: Path, executor: Executor, progress: Progress | None = None) -> dict[str, Any]:
    """Write the pointer release of a release folder. Returns its manifest.

    Raises InputError for a release that is not whole.
    """
    manifest = release.read_manifest(folder)
    for problem in release.check_files(folder):
        raise InputError(f"{folder}: {problem}")
    data = sorted(name for name in manifest["files"] if name.startswith("data/"))
    ended = executor.map(partial(_point, folder, target), data)
    written = collect_files("pointers", ended, len(data), progress)
    clusters = sorted(name for name in manifest["files"] if name.startswith("clusters/"))
    for name in clusters:
        release.write_parquet(target / name, release.CLUSTERS, release.read_parquet(folder / name))
    pointers = {_pointer_name(name): written[name].as_values() for name in data}
    manifest = {**manifest, "pointers": pointers}
    release.write_manifest(target, manifest)
    shards.write_text(target / "README.md", _readme(manifest))
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


def _readme(manifest: Mapping[str, Any]) -> str:
    """How to make the corpus again."""
    rows = sum(entry["rows"] for entry in manifest["pointers"].values())
    archives = sorted({name for each in manifest["languages"].values() for name in each["inputs"]})
    lines = [
        "# A release without its text",
        "",
        f"{rows:,} documents of {len(archives)} archives: id, archive, offset, replaced spans and digest of each.",
        "With the same archives (sha256 in `manifest.json`) the whole release is made again, byte for byte:",
        "",
        "    roots rebuild THIS-FOLDER TARGET --input 'archives/*.warc.gz'",
        "",
    ]
    return "\n".join(lines)


def rebuild(
    folder: Path,
    target: Path,
    patterns: Sequence[str],
    settings: Rebuild,
    executor: Executor,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Make a release again from its pointers and the archives. Returns its manifest.

    Raises InputError for archives that are missing or others, StageFailed where a text or a file did not come out as it
    was; the files that did are kept, and a second run makes only the others.
    """
    manifest = release.read_manifest(folder)
    if "pointers" not in manifest:
        raise InputError(f"{folder} is no pointer release: make one with `roots pointers`")
    _check_versions(manifest)
    archives = _find(manifest, patterns)
    plain = {key: value for key, value in manifest.items() if key != "pointers"}
    data = sorted(name for name in manifest["files"] if name.startswith("data/"))
    missing = [name for name in data if not _same(target / name, manifest["files"][name])]
    ended = executor.map(partial(_remake, folder, target, manifest, archives, settings), missing)
    collect_files("rebuild", ended, len(missing), progress)
    for name in sorted(name for name in manifest["files"] if name.startswith("clusters/")):
        release.write_parquet(target / name, release.CLUSTERS, release.read_parquet(folder / name))
    release.write_manifest(target, plain)
    write_card(target, plain)
    for problem in release.check_files(target):
        raise RebuildError(
            f"{target}: {problem}: libraries of other versions write other bytes; see made_by in the manifest"
        )
    return plain


def _check_versions(manifest: Mapping[str, Any]) -> None:
    """Raise InputError where our own stages are others than those that made the text."""
    for tag, language in sorted(manifest["languages"].items()):
        for stage in (Extract, Redact):
            made = language["stages"][stage.name]["version"]
            if made != stage.version:
                raise InputError(
                    f"{tag} was made by version {made} of {stage.name}, this is version {stage.version}: "
                    f"install roots-corpus {language['made_by'].get('roots-corpus', 'of that time')}"
                )


def _find(manifest: Mapping[str, Any], patterns: Sequence[str]) -> dict[str, str]:
    """The archives by their name in the release: those whose sha256 the manifest has. Raises InputError for others."""
    wanted = {value for each in manifest["languages"].values() for value in each["inputs"].values()}
    found: dict[str, str] = {}
    for path in find_archives(patterns).values():
        if (storage.identity(path) if storage.is_remote(path) else sha256_of(path)) in wanted:
            found[path.name] = str(path)
    if len(found) < len(wanted):
        raise InputError(
            f"{len(wanted) - len(found)} of the {len(wanted)} archives of this release are not among those named, or "
            "are other files of the same name: their sha256 is in manifest.json, under inputs"
        )
    return found


def _same(path: Path, entry: Mapping[str, Any]) -> bool:
    return path.is_file() and path.stat().st_size == entry["bytes"] and sha256_of(path) == entry["sha256"]


def _remake(
    folder: Path, target: Path, manifest: Mapping[str, Any], archives: Mapping[str, str], settings: Rebuild, name: str
) -> release.Written:
    """Make one file of documents again: what an executor runs."""
    stages = manifest["languages"][name.split("/")[1]]["stages"]
    values = {key: value for key, value in stages["redact"]["settings"].items() if key != "secret_digest"}
    stage: Redact = build(Redact, {**values, "secret_file": settings.secret_file}, "rebuild")
    if stage.secret_digest != stages["redact"]["settings"].get("secret_digest", ""):
        raise InputError("rebuild.secret_file is not the secret of this release")
    rows = _with_text(folder / _pointer_name(name), stages["extract"]["settings"], archives, stage)
    written = release.write_parquet(target / name, release.RELEASED, rows)
    if written.sha256 != manifest["files"][name]["sha256"]:
        raise RebuildError("its texts are right but its bytes are not: it was written by another version of pyarrow")
    return written


def _with_text(
    path: Path, extract: Mapping[str, Any], archives: Mapping[str, str], stage: Redact
) -> Iterator[pa.RecordBatch]:
    """The rows of a pointer file with their texts, in order."""
    for batch in release.read_parquet(path):
        for file, group in groupby(enumerate(batch["file_path"].to_pylist()), key=lambda pair: pair[1]):
            places = [place for place, _ in group]
            if file not in archives:
                raise InputError(f"the archive {file} is not among those named")
            part = batch.slice(places[0], len(places))
            texts = _texts(archives[file], part, extract)
            rows = [_row(row, text, stage) for row, text in zip(part.to_pylist(), texts, strict=True)]
            yield pa.RecordBatch.from_pylist(rows, release.RELEASED)


def _texts(archive: str, rows: pa.RecordBatch, extract: Mapping[str, Any]) -> list[str | None]:
    """The extracted text of each row, with the engine and the bounds of the release."""
    with on_this_machine(storage.path_of(archive)) as place:
        return _texts_at(place, rows, extract)


def _texts_at(archive: Path, rows: pa.RecordBatch, extract: Mapping[str, Any]) -> list[str | None]:
    bounds = asdict(Bounds(extract["body_bytes"], extract["html_chars"], extract["depth"]))
    arguments = {"archive": str(archive), "extractor": extract["extractor"], "bounds": bounds}
    limits = Limits(extract["cpu_seconds"], extract["memory_bytes"])
    offsets = rows["offset"].to_pylist()
    order = sorted(range(len(offsets)), key=lambda place: offsets[place])
    texts: list[str | None] = [None] * len(offsets)
    found = guarded(PAGES, arguments, [offsets[place] for place in order], limits)
    for place, page in zip(order, found, strict=True):
        texts[place] = None if isinstance(page, Failure) else page["text"]
    return texts


def _row(row: Mapping[str, Any], text: str | None, stage: Redact) -> dict[str, Any]:
    """One document as it was released. Raises RebuildError where the text is another."""
    spans = [Span(**span) for span in row["pii"]]
    clean = redact(edited(text, row["lines"]), spans, stage.style, stage.secret_of(row["id"]))
    if digest(clean) != row["text_sha256"]:
        raise RebuildError(
            f"the text of {row['id']} is another than it was: extractors of other versions differ "
            "(see made_by in the manifest)"
        )
    return {**{key: value for key, value in row.items() if key != "text_sha256"}, "text": clean}
