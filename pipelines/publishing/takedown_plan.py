"""What a takedown changes: which documents of which files of a release go, and which copies take their place."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipelines import release
from pipelines.catalogue import Catalogue
from pipelines.publishing.takedown_list import Requests, digest


@dataclass(frozen=True)
class Change:
    """What happens to the documents of one release file."""

    name: str
    go: frozenset[str]  # ids
    stead: Mapping[str, str] = field(default_factory=dict)  # id that goes -> id of the copy in its place; in a table
    # of copies: id of a document -> the id that its copies are copies of from now on


@dataclass(frozen=True)
class _Copy:
    """A dropped copy of a released document."""

    id: str
    url: str | None
    of: str
    jaccard: float
    source: str


def plan_changes(folder: Path, manifest: Mapping[str, Any], requests: Requests, policy: str) -> list[Change]:
    """Which documents of which files go, and which copies take their place."""
    catalogue = Catalogue.of_values(manifest["sources"])
    copies = {tag: _copies(folder, manifest, tag, catalogue) for tag in manifest["languages"]}
    changes: list[Change] = []
    for name in sorted(name for name in manifest["files"] if name.startswith("data/")):
        go, stead = _plan_file(folder / name, copies[name.split("/")[1]], requests, policy)
        if go:
            changes.append(Change(name, frozenset(go), stead))
    return [*changes, *_plan_clusters(changes, manifest, copies, requests)]


def _plan_clusters(
    changes: Sequence[Change],
    manifest: Mapping[str, Any],
    copies: Mapping[str, Mapping[str, Sequence[_Copy]]],
    requests: Requests,
) -> Iterator[Change]:
    """What happens to the tables of copies: those asked for go, with all of a document that goes without another."""
    for tag in sorted(manifest["languages"]):
        data = [change for change in changes if change.name.startswith(f"data/{tag}/")]
        stead = {old: new for change in data for old, new in change.stead.items()}
        ended = {id_ for change in data for id_ in change.go} - set(stead)
        gone = frozenset(
            copy.id
            for of, group in copies[tag].items()
            for copy in group
            if of in ended or copy.id in stead.values() or requests.ask_for(copy.id, copy.url, None, copy.source)
        )
        if gone or stead:
            yield Change(f"clusters/{tag}.parquet", gone, stead)


def _copies(folder: Path, manifest: Mapping[str, Any], tag: str, catalogue: Catalogue) -> dict[str, list[_Copy]]:
    """The dropped copies of each released document of a language."""
    name = f"clusters/{tag}.parquet"
    found: dict[str, list[_Copy]] = {}
    if name in manifest["files"]:
        for batch in release.read_parquet(folder / name):
            for row in batch.to_pylist():
                source = catalogue.source_of(row["url"], row["file_path"])
                copy = _Copy(row["id"], row["url"], row["duplicate_of"], row["jaccard"] or 0.0, source)
                found.setdefault(copy.of, []).append(copy)
    return found


def _plan_file(
    path: Path, copies: Mapping[str, Sequence[_Copy]], requests: Requests, policy: str
) -> tuple[set[str], dict[str, str]]:
    """Of one file of documents: the ids that go, and what takes their place."""
    columns = ["id", "url", "source", *(["text"] if requests.digests else [])]
    go: set[str] = set()
    stead: dict[str, str] = {}
    for batch in release.read_parquet(path, columns):
        for row in batch.to_pylist():
            asked = requests.ask_for(row["id"], row["url"], row.get("text"), row["source"])
            group = copies.get(row["id"], ())
            asked_for = [requests.ask_for(copy.id, copy.url, None, copy.source) for copy in group]
            if asked or (any(asked_for) and policy == "cluster"):
                go.add(row["id"])
            # A text asked for by its digest has no innocent copy: an equal one would bring it back.
            by_text = bool(requests.digests) and digest(row["text"]) in requests.digests
            innocent = [copy for copy, also in zip(group, asked_for, strict=True) if not also]
            if asked and policy == "promote" and innocent and not by_text:
                stead[row["id"]] = max(innocent, key=lambda copy: (copy.jaccard, copy.id)).id
    return go, stead
