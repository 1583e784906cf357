"""takedown: what someone asks to have removed, removed from a release; only the files it is in are written anew.

`pipelines.publishing.takedown_plan` says what may be asked for.
A request also reaches the copies that deduplication dropped: if the page asked for was dropped as a copy of a released
document, that document has its text. What becomes of it is the policy:

    cluster     every document goes that is asked for, or that stands for a copy that is asked for
    promote     of a cluster, only those asked for go: a released document with an innocent address stays, and a
                released document that is asked for gives its place to its best copy that is not
"""

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipelines import release
from pipelines.dedup.released import file_of
from pipelines.publishing.card import write_card
from pipelines.publishing.files import collect_files
from pipelines.publishing.takedown_plan import Change, Requests, digest, plan_changes, promoted_rows
from roots import shards
from roots.errors import TakedownError
from roots.executors import Executor
from roots.stage import Progress

_STAGING = ".takedown"  # new files, until all are there
_POLICIES = ("cluster", "promote")


@dataclass(frozen=True)
class Takedown:
    """Settings of a takedown."""

    signed_off_by: str = ""  # who answers for it; needed
    date: str = ""  # ISO 8601
    policy: str = "cluster"
    work: str = ""  # the work folder of the release: where promoted copies have their text

    def __post_init__(self) -> None:
        if self.policy not in _POLICIES:
            raise ValueError(f"policy = {self.policy!r}: {' or '.join(_POLICIES)}")
        if not self.signed_off_by:
            raise ValueError("a takedown needs someone who signs it off: takedown.signed_off_by=NAME")
        if self.policy == "promote" and not self.work:
            raise ValueError("policy promote needs the work folder that has the copies' text: takedown.work=PATH")


def takedown(
    folder: Path, requests: Requests, settings: Takedown, executor: Executor, progress: Progress | None = None
) -> dict[str, Any] | None:
    """Carry out a list on a release folder; returns what changed, None when nothing that is asked for is in it.

    Only the files with documents that go are written anew; all others stay as they are, byte for byte. Raises
    TakedownError when something asked for is still there afterwards.
    """
    finish(folder)
    manifest = release.read_manifest(folder)
    changes = plan_changes(folder, manifest, requests, settings.policy)
    if not changes:
        return None
    ended = executor.map(partial(_rewrite, folder, manifest, settings), changes)
    written = collect_files("takedown", ((change.name, result) for change, result in ended), len(changes), progress)
    after = _next_manifest(folder, manifest, changes, written, settings)
    proof = prove_absence(folder, after, requests, changes, settings)
    diff = _diff(manifest, after, changes, proof, settings)
    shards.write_text(folder / _STAGING / "diff.json", json.dumps(diff))
    shards.write_text(folder / _STAGING / "manifest.json", json.dumps(after))  # from here on it will happen
    finish(folder)
    return diff


def _rewrite(folder: Path, manifest: Mapping[str, Any], settings: Takedown, change: Change) -> release.Written:
    """Write one file anew, beside the release: what an executor runs."""
    old, new = release.read_parquet(folder / change.name), folder / _STAGING / change.name
    if change.name.startswith("clusters/"):
        return release.write_parquet(new, release.CLUSTERS, _changed_copies(old, change))
    promoted: Mapping[str, dict[str, Any]] = {}
    if change.stead:
        language = manifest["languages"][change.name.split("/")[1]]
        promoted = promoted_rows(Path(settings.work), language, manifest, frozenset(change.stead.values()))
    return release.write_parquet(new, release.RELEASED, _changed(old, change, promoted))


def _changed_copies(batches: Iterable[pa.RecordBatch], change: Change) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        rows = [
            {**row, "duplicate_of": change.stead.get(row["duplicate_of"], row["duplicate_of"])}
            for row in batch.to_pylist()
            if row["id"] not in change.go
        ]
        yield pa.RecordBatch.from_pylist(rows, release.CLUSTERS)


def _changed(
    batches: Iterable[pa.RecordBatch], change: Change, promoted: Mapping[str, dict[str, Any]]
) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        ids = batch["id"].to_pylist()
        if any(id_ in change.stead for id_ in ids):
            rows = [
                promoted[change.stead[row["id"]]] if row["id"] in change.stead else row
                for row in batch.to_pylist()
                if row["id"] not in change.go or row["id"] in change.stead
            ]
            yield pa.RecordBatch.from_pylist(rows, release.RELEASED)
        else:
            yield batch.filter(pa.array([id_ not in change.go for id_ in ids])).cast(release.RELEASED)


def _next_manifest(
    folder: Path,
    manifest: Mapping[str, Any],
    changes: Sequence[Change],
    written: Mapping[str, release.Written],
    settings: Takedown,
) -> dict[str, Any]:
    """The manifest of the version after this takedown."""
    major, minor, patch = manifest["version"].split(".")
    version = f"{major}.{minor}.{int(patch) + 1}"
    files = {**manifest["files"], **{name: each.as_values() for name, each in written.items()}}
    data = {name: entry["rows"] for name, entry in files.items() if name.startswith("data/")}
    kept = set(release.with_rows(data))
    files = {name: entry for name, entry in files.items() if name in kept or not name.startswith("data/")}
    languages = {
        tag: {**each, "splits": _splits(tag, files), **_tallies(folder, each, _of(tag, changes))}
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
    """What the card says of this version."""
    data = [change for change in changes if change.name.startswith("data/")]
    promoted = sum(len(change.stead) for change in data)
    gone = sum(len(change.go) for change in data) - promoted
    told = [f"{gone} document{'' if gone == 1 else 's'} removed"]
    told += [f"{promoted} replaced by a copy"] if promoted else []
    return f"takedown: {', '.join(told)}; {len(changes)} of the files written anew"


def _of(tag: str, changes: Sequence[Change]) -> list[str]:
    """The files of documents of a language that change."""
    return [change.name for change in changes if change.name.startswith(f"data/{tag}/")]


def _splits(tag: str, files: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """The splits of a language, counted anew from the files."""
    splits: dict[str, dict[str, int]] = {}
    for name, entry in files.items():
        if name.startswith(f"data/{tag}/"):
            split = release.split_of(name).rpartition("/")[2]
            counts = splits.setdefault(split, {"rows": 0, "text_bytes": 0, "bytes": 0, "characters": 0})
            for key in counts:
                counts[key] += entry[key]
    return dict(sorted(splits.items()))


def _tallies(folder: Path, language: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Sources and personal data of a language: as they were, without the old files that change, with the new."""
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
        "sources": {source: counts for source, counts in sources.items() if counts["rows"]},
        "pii": {kind: count for kind, count in sorted(pii.items()) if count},
    }


def prove_absence(
    folder: Path,
    after: Mapping[str, Any],
    requests: Requests,
    changes: Sequence[Change],
    settings: Takedown,
) -> dict[str, int]:
    """Search every file of the new version for what was asked for, and for the texts that went with it.

    Raises TakedownError when any of it is found; returns how much was searched.
    """
    gone = {id_ for change in changes if change.name.startswith("data/") for id_ in change.go}
    texts = _texts_gone(folder, changes, settings)
    counts = {"files": 0, "rows": 0, "texts": len(texts)}
    for name in sorted(after["files"]):
        path = folder / _STAGING / name if (folder / _STAGING / name).is_file() else folder / name
        counts["files"] += 1
        clusters = name.startswith("clusters/")
        for batch in release.read_parquet(path, None if clusters else ["id", "url", "text", "source"]):
            for row in batch.to_pylist():
                counts["rows"] += 1
                left = requests.ask_for(row["id"], row["url"], row.get("text"), row.get("source"))
                if left or row["id"] in gone or (not clusters and digest(row["text"]) in texts):
                    raise TakedownError(f"{name} still has the document {row['id']}: the release was left as it was")
    return counts


def _texts_gone(folder: Path, changes: Sequence[Change], settings: Takedown) -> frozenset[str]:
    """Digests of the texts that must be nowhere any more. With promotion a copy may have the same text by right."""
    if settings.policy == "promote":
        return frozenset()
    found: set[str] = set()
    for change in changes:
        if change.name.startswith("data/"):
            for batch in release.read_parquet(folder / change.name, ["id", "text"]):
                found.update(digest(row["text"]) for row in batch.to_pylist() if row["id"] in change.go)
    return frozenset(found)


def _diff(
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    changes: Sequence[Change],
    proof: Mapping[str, int],
    settings: Takedown,
) -> dict[str, Any]:
    """What this version changed. Documents are named by the digest of their id: the list is no guide to them."""
    data = [change for change in changes if change.name.startswith("data/")]
    return {
        "from": before["version"],
        "to": after["version"],
        "date": settings.date,
        "signed_off_by": settings.signed_off_by,
        "policy": settings.policy,
        "removed": sorted(digest(id_) for change in data for id_ in change.go if id_ not in change.stead),
        "replaced": sorted(digest(id_) for change in data for id_ in change.stead),
        "files": {
            change.name: {
                "before": before["files"][change.name]["sha256"],
                "after": after["files"].get(change.name, {}).get("sha256"),
                "rows_before": before["files"][change.name]["rows"],
                "rows_after": after["files"].get(change.name, {}).get("rows", 0),
            }
            for change in changes
        },
        "proof": {**proof, "found": 0},
    }


def finish(folder: Path) -> None:
    """Put in place what a takedown made; what one left that broke before it had written its manifest is removed.

    Once the manifest is written a break does not stop it: the next run goes on from there.
    """
    staging = folder / _STAGING
    if not (staging / "manifest.json").is_file():
        shutil.rmtree(staging, ignore_errors=True)
        return
    after = release.read_manifest(staging)
    diff = json.loads((staging / "diff.json").read_text(encoding="utf-8"))
    for name in sorted(diff["files"]):
        if name not in after["files"]:
            (folder / name).unlink(missing_ok=True)
        elif (staging / name).is_file():
            (staging / name).replace(folder / name)
        if name.startswith("data/"):  # what is stored of the documents goes with them: pipelines.dedup.released
            (folder / file_of(name)).unlink(missing_ok=True)
    (folder / "takedowns").mkdir(exist_ok=True)
    text = json.dumps(diff, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    shards.write_text(folder / "takedowns" / f"{after['version']}.json", text)
    release.write_manifest(folder, after)
    write_card(folder, after)
    shutil.rmtree(staging)


def describe_takedown(folder: Path, diff: Mapping[str, Any] | None) -> Iterator[str]:
    """Describe what `takedown` changed in a release, for a person."""
    if diff is None:
        yield f"{folder}: it holds nothing that is asked for; nothing was changed"
        return
    proof = diff["proof"]
    yield (
        f"{folder}: version {diff['to']}: {len(diff['removed'])} documents removed, {len(diff['replaced'])} replaced "
        f"by a copy; {len(diff['files'])} files written again, all others as they were"
    )
    yield f"searched {proof['rows']} rows in {proof['files']} files for what was asked for: found {proof['found']}"
    yield f"what changed: {folder / 'takedowns' / (diff['to'] + '.json')}"
