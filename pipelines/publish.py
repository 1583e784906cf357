"""publish: the datasets of a work folder as one release, in the layout of the Hugging Face Hub.

Text that did not pass `redact`, or a work folder that does not pass `verify`, is refused unless told otherwise: a
release can hardly be called back. Every file of the release is made from whole shards by itself, so the work runs on
any executor, and a file whose sources and settings are as before is not made again.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipelines import folders, release
from pipelines.card import write_card
from pipelines.rights import Catalogue, Rights, check_rights, load_catalogue, refusal
from pipelines.verify import verify
from roots import shards
from roots.errors import InputError, RootsError, SettingsError, StageFailed
from roots.executors import Executor
from roots.settings import as_values
from roots.stage import read_manifest, sha256_of

NOTES = ".publish"  # what is done, for a run that goes on after a break; no part of the release
Progress = Callable[[str, int, int], None]  # what is done, how much of it, of how much


class PublishError(RootsError):
    """Something must not be published as it is."""


@dataclass(frozen=True)
class Publish:
    """Settings of a release."""

    name: str = "roots"
    version: str = "1.0.0"
    date: str = ""  # of the version, ISO 8601; a release never reads the clock
    license: str = "other"  # of the collection, as the Hub spells it; the texts keep their own
    license_link: str = ""
    contact: str = ""  # where to ask for a takedown; needed
    citation: str = ""  # BibTeX; empty: made from the name and the version
    file_bytes: int = 1_000_000_000  # of text in a file: about 400 MB of Parquet
    unredacted: bool = False  # publish text that did not pass `redact`
    unverified: bool = False  # publish a work folder that does not pass `verify`

    def __post_init__(self) -> None:
        if self.file_bytes < 1:
            raise ValueError(f"file_bytes = {self.file_bytes} is below 1")
        if not self.contact:
            raise ValueError("a release needs a contact for takedowns: publish.contact=ADDRESS")
        if len(self.version.split(".")) != 3 or not all(part.isdigit() for part in self.version.split(".")):
            raise ValueError(f"version = {self.version!r}: three numbers with dots, such as 1.0.0")


@dataclass(frozen=True)
class FileTask:
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


def publish(
    work: Path,
    target: Path,
    codes: Sequence[str],
    settings: Publish,
    rights: Rights,
    executor: Executor,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write a release of some languages of a work folder; no codes: all that have a dataset. Returns its manifest.

    Raises PublishError where redact or verify did not pass, StageFailed when some files could not be made.
    """
    codes = list(codes) or [code for code in folders.languages(work) if (work / code / "manifest.json").is_file()]
    catalogue = load_catalogue(rights.catalogue)
    check_rights(rights, catalogue)
    made = {code: _language_manifest(work, code) for code in codes}
    if not codes:
        raise InputError(f"{work} has no dataset yet: run `roots run` first")
    for code in codes:
        _check_publishable(work, code, made[code], settings)
    _check_target(target)
    files: dict[str, Any] = {}
    languages: dict[str, Any] = {}
    for code in codes:
        tasks = plan_files(work, code, made[code], settings, rights, catalogue)
        results = _make_files(target, tasks, rights, executor, progress)
        results = {name: result for name, result in results.items() if name in release.with_rows(_rows(results))}
        clusters = _write_clusters(work, code, target, made[code]["language"]["tag"], results)
        files |= clusters | {name: _entry(result) for name, result in results.items()}
        if results:
            languages[made[code]["language"]["tag"]] = _account(work, code, made[code], results)
    manifest = {
        "format": 1,
        "name": settings.name,
        "version": settings.version,
        "settings": as_values(settings),
        "rights": {name: value for name, value in as_values(rights).items() if name != "catalogue"},
        "sources": {name: as_values(source) for name, source in catalogue.sources.items()},
        "languages": languages,
        "files": files,
        "history": [{"version": settings.version, "date": settings.date, "note": "first release"}],
    }
    _remove_others(target, files)
    release.write_manifest(target, manifest)
    write_card(target, manifest)
    return manifest


def _check_target(target: Path) -> None:
    """Raise PublishError for a release that takedowns were applied to."""
    if (target / "manifest.json").is_file() and len(release.read_manifest(target).get("history", [])) > 1:
        raise PublishError(
            f"{target} is a release with takedowns: publishing over it would bring back what was taken down. "
            "Publish to another folder, and apply its lists of takedowns there"
        )


def _language_manifest(work: Path, code: str) -> dict[str, Any]:
    path = work / code / "manifest.json"
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} is missing: run `roots run {work} --lang {code}` to its end first") from None
    except ValueError as error:
        raise InputError(f"{path} is damaged: {error}. Run `roots shard` again") from None
    if not manifest.get("language"):
        raise InputError(f"{path} names no language: run `roots shard {work} --lang {code}` again")
    return dict(manifest)


def _check_publishable(work: Path, code: str, made: Mapping[str, Any], settings: Publish) -> None:
    """Raise PublishError unless the text passed redact and the folder passes verify, or the settings allow it."""
    redact = made["stages"].get("redact", {})
    known = redact.get("settings", {})
    if not settings.unredacted and not known.get("kinds"):
        raise PublishError(f"{code}: its text did not pass redact. Run `roots redact`, or set publish.unredacted=true")
    if settings.unverified:
        return
    problems = list(verify(work, code))
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise PublishError(
            f"{code}: does not pass verify: {problems[0]}{more}. Mend it, or set publish.unverified=true"
        )


def plan_files(
    work: Path, code: str, made: Mapping[str, Any], settings: Publish, rights: Rights, catalogue: Catalogue
) -> list[FileTask]:
    """Which file is made of which shards: neighbours together until `file_bytes` of text are reached."""
    tag = made["language"]["tag"]
    ways = [
        as_values(rights),
        {name: as_values(source) for name, source in catalogue.sources.items()},
        release.GROUP_BYTES,
    ]
    tasks: list[FileTask] = []
    for split in ("train", "validation"):
        groups: list[list[str]] = []
        size = settings.file_bytes
        for name in sorted(name for name in made["shards"] if name.startswith(split + "/")):
            if size >= settings.file_bytes:
                groups.append([])
                size = 0
            groups[-1].append(name)
            size += made["shards"][name]["text_bytes"]
        for number, names in enumerate(groups):
            values = [[made["shards"][name]["sha256"] for name in names], *ways]
            fingerprint = hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
            shards_ = tuple(folders.folder(work, code, "shard") / name for name in names)
            tasks.append(
                FileTask(f"data/{tag}/{split}-{number:05d}-of-{len(groups):05d}.parquet", shards_, fingerprint)
            )
    return tasks


def _make_files(
    target: Path,
    tasks: Sequence[FileTask],
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
    for task, result in executor.map(partial(make_file, target, rights), missing):
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


def make_file(target: Path, rights: Rights, task: FileTask) -> FileResult:
    """Make one file of documents: what an executor runs."""
    catalogue = load_catalogue(rights.catalogue)
    sources: dict[str, dict[str, int]] = {}
    left_out: Counter[str] = Counter()
    pii: Counter[str] = Counter()

    def batches() -> Iterator[pa.RecordBatch]:
        for path in task.sources:
            for batch in shards.read_stream(path):
                yield from _with_rights(batch, rights, catalogue, sources, left_out, pii)

    written = release.write_parquet(target / task.name, release.RELEASED, batches())
    return FileResult(written, sources, dict(left_out), dict(pii))


def _with_rights(
    batch: pa.RecordBatch,
    rights: Rights,
    catalogue: Catalogue,
    sources: dict[str, dict[str, int]],
    left_out: Counter[str],
    pii: Counter[str],
) -> Iterator[pa.RecordBatch]:
    """The rows that may be released, with source and licence; counts what is kept and what is not."""
    pairs = zip(batch["url"].to_pylist(), batch["file_path"].to_pylist(), strict=True)
    names = [catalogue.source_of(url, file) for url, file in pairs]
    licenses = [catalogue.license_of(name) for name in names]
    judged = zip(names, licenses, batch["signals"].to_pylist(), strict=True)
    reasons = [refusal(rights, name, license_, signals) for name, license_, signals in judged]
    left_out.update(reason for reason in reasons if reason)
    sizes = pc.binary_length(batch["text"]).to_pylist()
    for name, reason, size in zip(names, reasons, sizes, strict=True):
        if not reason:
            counts = sources.setdefault(name, {"rows": 0, "text_bytes": 0})
            counts["rows"] += 1
            counts["text_bytes"] += size
    columns = [*batch.columns, pa.array(names, pa.string()), pa.array(licenses, pa.string())]
    whole = pa.RecordBatch.from_arrays(columns, schema=release.RELEASED)
    kept = whole.filter(pa.array([reason is None for reason in reasons]))
    if kept.num_rows:
        kinds = pc.struct_field(pc.list_flatten(kept["pii"]), "kind")
        pii.update({item["values"].as_py(): item["counts"].as_py() for item in pc.value_counts(kinds)})
        yield kept


def _entry(result: FileResult) -> dict[str, Any]:
    return result.written.as_values()


def _rows(results: Mapping[str, FileResult]) -> dict[str, int]:
    return {name: result.written.rows for name, result in results.items()}


def _write_clusters(work: Path, code: str, target: Path, tag: str, results: Mapping[str, FileResult]) -> dict[str, Any]:
    """Write which dropped copies each released document stands for: a takedown must reach them too."""
    released: set[str] = set()
    for name in results:
        for batch in release.read_parquet(target / name, ["id"]):
            released.update(batch["id"].to_pylist())
    name = f"clusters/{tag}.parquet"
    written = release.write_parquet(target / name, release.CLUSTERS, _copies(work, code, released))
    return {name: written.as_values()}


def _copies(work: Path, code: str, released: set[str]) -> Iterator[pa.RecordBatch]:
    """Rows that dedup dropped as copies of a released document, archive by archive."""
    for name in sorted(read_manifest(folders.folder(work, code, "dedup"))["shards"]):
        before = folders.chain(work, code, name, "dedup")
        parts = list(shards.read_kept(before, ["id", "url", "file_path", "offset"]))
        if not parts:
            continue
        rows = pa.Table.from_batches(parts)
        judged = shards.read(folders.folder(work, code, "dedup") / name, ["id", "duplicate_of", "jaccard"])
        marks = pa.Table.from_batches(list(judged))
        for field_ in ("duplicate_of", "jaccard"):
            rows = rows.append_column(field_, marks[field_])
        wanted = pc.is_in(rows["duplicate_of"], pa.array(sorted(released), pa.string()))
        yield from rows.filter(wanted).select(release.CLUSTERS.names).cast(release.CLUSTERS).to_batches()


def _account(work: Path, code: str, made: Mapping[str, Any], results: Mapping[str, FileResult]) -> dict[str, Any]:
    """What the release says of one language."""
    splits: dict[str, Counter[str]] = {}
    sources: dict[str, Counter[str]] = {}
    left_out: Counter[str] = Counter()
    pii: Counter[str] = Counter()
    for name, result in results.items():
        split = name.rpartition("/")[2].partition("-")[0]
        counts = {"rows": result.written.rows, "text_bytes": result.written.text_bytes, "bytes": result.written.bytes}
        splits.setdefault(split, Counter()).update({**counts, "characters": result.written.characters})
        for source, part in result.sources.items():
            sources.setdefault(source, Counter()).update(part)
        left_out.update(result.left_out)
        pii.update(result.pii)
    return {
        "code": code,
        "name": made["language"]["name"],
        "made_by": made["made_by"],
        "inputs": made["inputs"],
        "stages": made["stages"],
        "words": _words(work, code),
        "splits": {split: dict(sorted(counts.items())) for split, counts in sorted(splits.items())},
        "sources": {source: dict(sorted(counts.items())) for source, counts in sorted(sources.items())},
        "left_out": dict(sorted(left_out.items())),
        "pii": dict(sorted(pii.items())),
    }


def _words(work: Path, code: str) -> int:
    """Words of all documents that passed every stage, as `measure` counted them."""
    total = 0
    for name in sorted(read_manifest(folders.folder(work, code, "redact"))["shards"]):
        for batch in shards.read_kept(folders.chain(work, code, name, "shard"), ["words"]):
            total += pc.sum(batch["words"]).as_py() or 0
    return int(total)


def _remove_others(target: Path, files: Mapping[str, Any]) -> None:
    """Remove files of an earlier cut of the same release: a reader of the folder would count them twice."""
    for path in sorted([*target.glob("data/*/*.parquet"), *target.glob("clusters/*.parquet")]):
        if path.relative_to(target).as_posix() not in files:
            path.unlink()
    for folder in sorted(target.glob("data/*")):
        if not any(folder.iterdir()):
            folder.rmdir()


def validate(target: Path) -> Iterator[str]:
    """Yield one sentence for everything that keeps `datasets` from loading the folder whole and as a stream.

    Needs the `datasets` extra; raises SettingsError without it.
    """
    try:
        import datasets
    except ImportError:
        raise SettingsError(
            "validating a release needs the library datasets: pip install 'roots-corpus[datasets]'"
        ) from None
    manifest = release.read_manifest(target)
    yield from release.check_files(target)
    for tag, language in sorted(manifest["languages"].items()):
        with TemporaryDirectory() as cache:
            whole = datasets.load_dataset(str(target), tag, cache_dir=cache)
            stream = datasets.load_dataset(str(target), tag, streaming=True, cache_dir=cache)
            for split, counts in language["splits"].items():
                if split not in whole or whole[split].num_rows != counts["rows"]:
                    found = whole[split].num_rows if split in whole else 0
                    yield f"{tag}, {split}: datasets loads {found} rows, the manifest has {counts['rows']}"
                first = next(iter(stream[split]), None) if split in stream else None
                if (first is None) != (counts["rows"] == 0):
                    yield f"{tag}, {split}: the stream begins with nothing"
