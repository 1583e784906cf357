"""Takedown: remove documents from a release. Only the files that hold them are rewritten.

`takedown_list` reads the requests, and `takedown_plan` says which documents they mean. A request also reaches
copies that deduplication dropped: if a requested page was dropped as a copy of a released document, that document has
its text. The policy decides about that document:

    cluster     remove every document that is requested, or that stands for a requested copy
    promote     remove only what is requested: a released document with another URL stays, and a requested document is
                replaced by its best copy that is not requested
"""

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypedDict

import pyarrow as pa

from filters.text.passages import for_terminal
from pipelines import release
from pipelines.dedup.released import signature_file
from pipelines.publishing.card import write_release_card
from pipelines.publishing.files import collect_files
from pipelines.publishing.settings import TakedownSettings
from pipelines.publishing.takedown_list import Requests, digest
from pipelines.publishing.takedown_plan import Change, plan_changes, promoted_rows
from roots.atomic import write_text
from roots.errors import TakedownError
from roots.executors import Executor
from roots.stage import Progress

_STAGING = ".takedown"  # folder of the new files until all are written


class _FileDifference(TypedDict):
    """What a takedown changed in one file; `after` is None if the file is gone."""

    before: str
    after: str | None
    rows_before: int
    rows_after: int


# What a takedown changed; takedowns/<version>.json. `proof` counts the requests, those that match no document, what was
# searched, and what was found: nothing.
Difference = TypedDict(
    "Difference",
    {
        "from": str, "to": str, "date": str, "signed_off_by": str, "policy": str,
        "removed": list[str], "replaced": list[str], "files": dict[str, _FileDifference], "proof": dict[str, int],
    },
)  # fmt: skip


@dataclass(frozen=True)
class TakedownResult:
    """What a takedown did."""

    difference: Difference | None  # None: the release holds nothing that is requested
    unmatched: tuple[str, ...]  # requests that mean nothing in the release, as they were written


def takedown(
    folder: Path, requests: Requests, settings: TakedownSettings, executor: Executor, progress: Progress | None = None
) -> TakedownResult:
    """Remove what is requested from a release folder; returns what changed, and which requests mean nothing in it.

    Only files with removed documents are rewritten; all others stay the same, byte for byte. Raises TakedownError if
    something requested is still there afterwards; the release is then as before.
    """
    _finish(folder)
    manifest = release.read_release_manifest(folder)
    settings = settings if settings.date else replace(settings, date=datetime.now(UTC).date().isoformat())
    plan = plan_changes(folder, manifest, requests, settings.policy)
    changes = plan.changes
    if not changes:
        return TakedownResult(None, plan.unmatched)
    ended = executor.map(partial(_rewrite, folder, manifest, settings), changes)
    written = collect_files("takedown", ((change.name, result) for change, result in ended), len(changes), progress)
    after = _next_manifest(folder, manifest, changes, written, settings)
    proof = _prove_absence(folder, after, requests, changes, settings)
    proof |= {"requests": len(requests.requests), "unmatched": len(plan.unmatched)}
    diff = _diff(manifest, after, changes, proof, settings)
    write_text(folder / _STAGING / "diff.json", json.dumps(diff))
    write_text(folder / _STAGING / "manifest.json", json.dumps(after))  # from here on it will finish
    _finish(folder)
    return TakedownResult(diff, plan.unmatched)


def _rewrite(
    folder: Path, manifest: release.ReleaseManifest, settings: TakedownSettings, change: Change
) -> release.Written:
    """Write the new version of one file, beside the release. An executor runs this."""
    old, new = release.read_parquet(folder / change.name), folder / _STAGING / change.name
    if change.name.startswith("clusters/"):
        return release.write_parquet(new, release.CLUSTERS, _changed_copies(old, change))
    promoted: Mapping[str, dict[str, Any]] = {}
    if change.replacements:
        language = manifest["languages"][change.name.split("/")[1]]
        promoted = promoted_rows(Path(settings.work), language, manifest, frozenset(change.replacements.values()))
    return release.write_parquet(new, release.schema_of(change.name), _changed(old, change, promoted))


def _changed_copies(batches: Iterable[pa.RecordBatch], change: Change) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        rows = [
            {**row, "duplicate_of": change.replacements.get(row["duplicate_of"], row["duplicate_of"])}
            for row in batch.to_pylist()
            if row["id"] not in change.removed
        ]
        yield pa.RecordBatch.from_pylist(rows, release.CLUSTERS)


def _changed(
    batches: Iterable[pa.RecordBatch], change: Change, promoted: Mapping[str, dict[str, object]]
) -> Iterator[pa.RecordBatch]:
    schema = release.schema_of(change.name)
    for batch in batches:
        ids = batch["id"].to_pylist()
        if any(id_ in change.replacements for id_ in ids):
            rows = [
                promoted[change.replacements[row["id"]]] if row["id"] in change.replacements else row
                for row in batch.to_pylist()
                if row["id"] not in change.removed or row["id"] in change.replacements
            ]
            yield pa.RecordBatch.from_pylist(rows, schema)
        else:
            yield batch.filter(pa.array([id_ not in change.removed for id_ in ids])).cast(schema)


def _next_manifest(
    folder: Path,
    manifest: release.ReleaseManifest,
    changes: Sequence[Change],
    written: Mapping[str, release.Written],
    settings: TakedownSettings,
) -> release.ReleaseManifest:
    """The manifest of the version after this takedown."""
    major, minor, patch = manifest["version"].split(".")
    version = f"{major}.{minor}.{int(patch) + 1}"
    files = {**manifest["files"], **{name: each.as_values() for name, each in written.items()}}
    data = {name: entry["rows"] for name, entry in files.items() if name.startswith("data/")}
    kept = set(release.with_rows(data))
    files = {name: entry for name, entry in files.items() if name in kept or not name.startswith("data/")}
    languages = {
        tag: _recounted(folder, each, _splits(tag, files), _of(tag, changes))
        for tag, each in manifest["languages"].items()
    }
    return {
        **manifest,
        "version": version,
        "files": files,
        "languages": {tag: each for tag, each in languages.items() if each["splits"]},
        "history": [*manifest["history"], {"version": version, "date": settings.date, "note": _note(changes)}],
    }


def _note(changes: Sequence[Change]) -> str:
    """The note on this version, which the card shows."""
    data = [change for change in changes if change.name.startswith("data/")]
    promoted = sum(len(change.replacements) for change in data)
    gone = sum(len(change.removed) for change in data) - promoted
    parts = [f"{gone} document{'' if gone == 1 else 's'} removed"]
    parts += [f"{promoted} replaced by a copy"] if promoted else []
    return f"takedown: {', '.join(parts)}; {len(changes)} files rewritten"


def _of(tag: str, changes: Sequence[Change]) -> list[str]:
    """The changed files of documents of one language."""
    return [change.name for change in changes if change.name.startswith(f"data/{tag}/")]


def _splits(tag: str, files: Mapping[str, release.FileEntry]) -> dict[str, dict[str, int]]:
    """The splits of a language, counted from its files."""
    splits: dict[str, dict[str, int]] = {}
    for name, entry in files.items():
        if name.startswith(f"data/{tag}/"):
            split = release.split_of(name).rpartition("/")[2]
            counts = splits.setdefault(split, {"rows": 0, "text_bytes": 0, "bytes": 0, "characters": 0})
            counts["rows"] += entry["rows"]
            counts["text_bytes"] += entry["text_bytes"]
            counts["bytes"] += entry["bytes"]
            counts["characters"] += entry["characters"]
    return dict(sorted(splits.items()))


def _recounted(
    folder: Path, language: release.LanguageEntry, splits: dict[str, dict[str, int]], names: Sequence[str]
) -> release.LanguageEntry:
    """The entry of a language with new counts: minus the old version of each changed file, plus the new one."""
    old, new = release.Tally(), release.Tally()
    for name in names:
        for tally, path in ((old, folder / name), (new, folder / _STAGING / name)):
            for batch in release.read_parquet(path, ["text", "pii", "source"]):
                tally.add(batch)
    sources: dict[str, dict[str, int]] = {}
    for source in sorted({*language["sources"], *new.sources}):
        was, less, more = (table.get(source, {}) for table in (language["sources"], old.sources, new.sources))
        sources[source] = {key: was.get(key, 0) - less.get(key, 0) + more.get(key, 0) for key in ("rows", "text_bytes")}
    pii = {
        kind: language["pii"].get(kind, 0) - old.pii[kind] + new.pii[kind] for kind in {**new.pii, **language["pii"]}
    }
    return {
        **language,
        "splits": splits,
        "sources": {source: counts for source, counts in sources.items() if counts["rows"]},
        "pii": {kind: count for kind, count in sorted(pii.items()) if count},
    }


def _prove_absence(
    folder: Path,
    after: release.ReleaseManifest,
    requests: Requests,
    changes: Sequence[Change],
    settings: TakedownSettings,
) -> dict[str, int]:
    """Search every file of the new version for what was requested, and for the removed texts.

    Raises TakedownError if any of it is found; returns how much was searched: files, rows, texts.
    """
    gone = {id_ for change in changes if change.name.startswith("data/") for id_ in change.removed}
    texts = _texts_gone(folder, changes, settings)
    counts = {"files": 0, "rows": 0, "texts": len(texts)}
    for name in sorted(after["files"]):
        path = folder / _STAGING / name if (folder / _STAGING / name).is_file() else folder / name
        counts["files"] += 1
        clusters = name.startswith("clusters/")
        for batch in release.read_parquet(path, None if clusters else ["id", "url", "text", "source"]):
            for row in batch.to_pylist():
                counts["rows"] += 1
                left = requests.match(row["id"], row["url"], row.get("text"), row.get("source"))
                if left or row["id"] in gone or (not clusters and digest(row["text"]) in texts):
                    raise TakedownError(f"{name} still has the document {row['id']}: the release was left as it was")
    return counts


def _texts_gone(folder: Path, changes: Sequence[Change], settings: TakedownSettings) -> frozenset[str]:
    """Digests of the removed texts. None with promotion: the copy in the place may have the same text."""
    if settings.policy == "promote":
        return frozenset()
    found: set[str] = set()
    for change in changes:
        if change.name.startswith("data/"):
            for batch in release.read_parquet(folder / change.name, ["id", "text"]):
                found.update(digest(row["text"]) for row in batch.to_pylist() if row["id"] in change.removed)
    return frozenset(found)


def _diff(
    before: release.ReleaseManifest,
    after: release.ReleaseManifest,
    changes: Sequence[Change],
    proof: Mapping[str, int],
    settings: TakedownSettings,
) -> Difference:
    """What this version changed. Documents are named by digests of their ids, so the list helps nobody find them."""
    names = [change.name for change in changes]
    data = [change for change in changes if change.name.startswith("data/")]
    return {
        "from": before["version"],
        "to": after["version"],
        "date": settings.date,
        "signed_off_by": settings.signed_off_by,
        "policy": settings.policy,
        "removed": sorted(digest(id_) for change in data for id_ in change.removed if id_ not in change.replacements),
        "replaced": sorted(digest(id_) for change in data for id_ in change.replacements),
        "files": {name: _file_difference(before["files"][name], after["files"].get(name)) for name in names},
        "proof": {**proof, "found": 0},
    }


def _file_difference(before: release.FileEntry, after: release.FileEntry | None) -> _FileDifference:
    return {
        "before": before["sha256"],
        "after": after["sha256"] if after else None,
        "rows_before": before["rows"],
        "rows_after": after["rows"] if after else 0,
    }


def _finish(folder: Path) -> None:
    """Put the new files of a takedown in place. If it broke before it wrote its manifest, remove them instead.

    Once the manifest is written, the takedown will be finished: after a break, the next run continues here.
    """
    staging = folder / _STAGING
    if not (staging / "manifest.json").is_file():
        shutil.rmtree(staging, ignore_errors=True)
        return
    after = release.read_release_manifest(staging)
    diff = json.loads((staging / "diff.json").read_text(encoding="utf-8"))
    for name in sorted(diff["files"]):
        if name not in after["files"]:
            (folder / name).unlink(missing_ok=True)
        elif (staging / name).is_file():
            (staging / name).replace(folder / name)
        if name.startswith("data/"):  # signatures of removed documents must go, too
            (folder / signature_file(name)).unlink(missing_ok=True)
    (folder / "takedowns").mkdir(exist_ok=True)
    text = json.dumps(diff, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    write_text(folder / "takedowns" / f"{after['version']}.json", text)
    release.write_release_manifest(folder, after)
    write_release_card(folder, after)
    shutil.rmtree(staging)


def describe_takedown(folder: Path, result: TakedownResult) -> Iterator[str]:
    """Describe what `takedown` changed in a release, for a person."""
    diff = result.difference
    if diff is None:
        yield f"{folder}: it holds nothing that is requested; nothing was changed"
    else:
        proof = diff["proof"]
        yield (
            f"{folder}: version {diff['to']}: {len(diff['removed'])} documents removed, {len(diff['replaced'])} "
            f"replaced by a copy; {len(diff['files'])} files rewritten, all others as they were"
        )
        yield f"searched {proof['rows']} rows in {proof['files']} files for what was requested: found {proof['found']}"
        yield f"what changed: {folder / 'takedowns' / (diff['to'] + '.json')}"
    if result.unmatched:
        yield f"{len(result.unmatched)} requests match no document of this release:"
        yield from (f"  {for_terminal(written)}" for written in result.unmatched)
