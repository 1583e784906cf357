"""The plan of a takedown: which documents of which files the requests mean, and what replaces them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipelines import release
from pipelines.catalogue import Catalogue
from pipelines.dataset import read_dataset
from pipelines.job import work as folders
from pipelines.job.languages import is_program
from pipelines.publishing.takedown_list import Requests
from pipelines.redact import Redact
from roots import shards
from roots.errors import InputError
from roots.settings import build


@dataclass(frozen=True)
class Change:
    """What happens to the documents of one release file."""

    name: str
    removed: frozenset[str]  # ids
    # Removed id -> id of the copy in its place. In a table of copies: old -> new id of the document they are copies of.
    replacements: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """What a takedown changes."""

    changes: tuple[Change, ...]
    unmatched: tuple[str, ...]  # requests that mean nothing in the release, as they were written


@dataclass
class _Search:
    """Looks for requested documents, and remembers which requests meant any."""

    requests: Requests
    hits: set[tuple[str, str]] = field(default_factory=set)

    def match(self, id_: str, url: str | None, text: str | None = None, source: str | None = None) -> bool:
        found = set(self.requests.hits(id_, url, text, source))
        self.hits |= found
        return bool(found)


@dataclass(frozen=True)
class _Copy:
    """A dropped copy of a released document."""

    id: str
    url: str | None
    of: str
    jaccard: float
    source: str


def plan_changes(folder: Path, manifest: release.ReleaseManifest, requests: Requests, policy: str) -> Plan:
    """Which documents of which files are removed, which copies replace them, and which requests mean none."""
    search = _Search(requests)
    catalogue = Catalogue.of_values(manifest["sources"])
    copies = {tag: _copies(folder, manifest, tag, catalogue) for tag in manifest["languages"]}
    changes: list[Change] = []
    for name in sorted(name for name in manifest["files"] if name.startswith("data/")):
        removed, replacements = _plan_file(folder / name, copies[name.split("/")[1]], search, policy)
        if removed:
            changes.append(Change(name, frozenset(removed), replacements))
    changes += list(_plan_clusters(changes, manifest, copies, search))
    return Plan(tuple(changes), requests.unmatched(search.hits))


def _plan_clusters(
    changes: Sequence[Change],
    manifest: release.ReleaseManifest,
    copies: Mapping[str, Mapping[str, Sequence[_Copy]]],
    search: _Search,
) -> Iterator[Change]:
    """Changes to the tables of copies: removes what is requested, and all copies of a document that is not replaced."""
    for tag in sorted(manifest["languages"]):
        data = [change for change in changes if change.name.startswith(f"data/{tag}/")]
        replacements = {old: new for change in data for old, new in change.replacements.items()}
        ended = {id_ for change in data for id_ in change.removed} - set(replacements)
        gone = frozenset(
            copy.id
            for of, group in copies[tag].items()
            for copy in group
            if of in ended or copy.id in replacements.values() or search.match(copy.id, copy.url, None, copy.source)
        )
        if gone or replacements:
            yield Change(f"clusters/{tag}.parquet", gone, replacements)


def _copies(folder: Path, manifest: release.ReleaseManifest, tag: str, catalogue: Catalogue) -> dict[str, list[_Copy]]:
    """The dropped copies of each released document of a language."""
    name = f"clusters/{tag}.parquet"
    found: dict[str, list[_Copy]] = {}
    if name in manifest["files"]:
        for batch in release.read_clusters(folder / name):
            for row in batch.to_pylist():
                source = row["source"] or catalogue.source_of(row["url"], row["file_path"])
                copy = _Copy(row["id"], row["url"], row["duplicate_of"], row["jaccard"] or 0.0, source)
                found.setdefault(copy.of, []).append(copy)
    return found


def _plan_file(
    path: Path, copies: Mapping[str, Sequence[_Copy]], search: _Search, policy: str
) -> tuple[set[str], dict[str, str]]:
    """The ids to remove from one file of documents, and what replaces them: id -> id of a copy."""
    columns = ["id", "url", "source", *(["text"] if search.requests.by_text else [])]
    removed: set[str] = set()
    replacements: dict[str, str] = {}
    for batch in release.read_parquet(path, columns):
        for row in batch.to_pylist():
            requested = search.match(row["id"], row["url"], row.get("text"), row["source"])
            group = copies.get(row["id"], ())
            others = [copy for copy in group if not search.match(copy.id, copy.url, None, copy.source)]
            if requested or (len(others) < len(group) and policy == "cluster"):
                removed.add(row["id"])
            # A text requested by its digest is not replaced: a copy with the same text would bring it back.
            by_text = search.requests.by_text and search.requests.wants_text(row["text"])
            if requested and policy == "promote" and others and not by_text:
                replacements[row["id"]] = max(others, key=lambda copy: (copy.jaccard, copy.id)).id
    return removed, replacements


def promoted_rows(
    work: Path, language: release.LanguageEntry, manifest: release.ReleaseManifest, ids: frozenset[str]
) -> dict[str, dict[str, object]]:
    """Rows of a release for these dropped copies, by id. Their text comes from the work folder, redacted as all others.

    Raises InputError if the release was made from another work folder, or if copies are missing there.
    """
    code = str(language["code"])
    if read_dataset(work, code)["inputs"] != language["inputs"]:
        raise InputError(f"{work} is not the work folder of this release: it has other archives")
    settings = {key: value for key, value in language["stages"]["redact"]["settings"].items() if key != "secret_digest"}
    stage: Redact = build(Redact, settings, "redact")
    catalogue = Catalogue.of_values(manifest["sources"])
    later = ("minhash_cluster_size", "lines", "pii")
    columns = [name for name in release.schema_of(f"data/{code}").names if name not in later]
    rows: dict[str, dict[str, Any]] = {}
    for shard in folders.shards_of_dedup(work, code):
        lines = _lines(shard, ids)
        for batch in shards.read_kept(folders.chain(work, shard.parent.parent.name, shard.name, "dedup"), columns):
            for row in batch.to_pylist():
                if row["id"] in ids:
                    cut = lines.get(row["id"])
                    redacted = stage.redacted({**row, "lines": cut})
                    source = row["source"] or catalogue.source_of(row["url"], row["file_path"])
                    rows[row["id"]] = {
                        **row,
                        "url": stage.address(row["url"]),
                        "text": redacted["text"],
                        "page_starts": redacted["page_starts"],
                        "lines": cut,
                        "pii": redacted["pii"],
                        "minhash_cluster_size": None,
                        "source": source,
                        "license": row["license"] or (None if is_program(code) else catalogue.license_of(source)),
                    }
    missing = sorted(ids - set(rows))
    if missing:
        raise InputError(f"{work} lacks the text of {len(missing)} copies that should replace documents")
    return rows


def _lines(path: Path, ids: frozenset[str]) -> dict[str, list[dict[str, object]]]:
    """The lines to cut out of some copies, by id; dedup has marked them for this case."""
    found: dict[str, list[dict[str, Any]]] = {}
    for batch in shards.read(path, ["id", "lines"]):
        some = batch.filter(pc.is_in(batch["id"], pa.array(sorted(ids), pa.string())))
        found.update(zip(some["id"].to_pylist(), some["lines"].to_pylist(), strict=True))
    return found
