"""The plan of a takedown: what is asked to go, which documents of which files that means, and what takes their place.

A list has one request a line: an address, or one of

    domain:example.org            a site with all its subdomains
    id:<urn:uuid:...>             a document
    sha256:9f86d0...              a document by the digest of its text (UTF-8)
    source:press-example          a source of the catalogue
"""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.compute as pc

from filters.personal_data import redact_url
from pipelines import release
from pipelines import work as folders
from pipelines.catalogue import Catalogue, host_of
from pipelines.redact import Redact, edited
from pipelines.release import RELEASED
from roots import shards
from roots.errors import InputError
from roots.settings import build


@dataclass(frozen=True)
class Requests:
    """What is asked to go, ready to be looked up."""

    urls: frozenset[str] = frozenset()
    domains: frozenset[str] = frozenset()
    ids: frozenset[str] = frozenset()
    digests: frozenset[str] = frozenset()
    sources: frozenset[str] = frozenset()

    def ask_for(self, id_: str, url: str | None, text: str | None = None, source: str | None = None) -> bool:
        """Whether a document is asked for. Its text is looked at only where digests are."""
        if id_ in self.ids or (source is not None and source in self.sources):
            return True
        if url and (plain_url(url) in self.urls or (self.domains and self._of_domain(url))):
            return True
        return bool(self.digests) and text is not None and digest(text) in self.digests

    def _of_domain(self, url: str) -> bool:
        labels = host_of(url).split(".")
        return any(".".join(labels[place:]) in self.domains for place in range(len(labels)))


def digest(text: str) -> str:
    """sha256 of a text in UTF-8."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def plain_url(url: str) -> str:
    """An address as it is compared: without scheme, `www.`, fragment and slash at the end; the host in lower case.

    E-mail addresses in it are tagged as in a release, so that a page can be named by its address as it was crawled.
    """
    plain = redact_url(url.strip())
    try:
        parts = urlsplit(plain)
    except ValueError:
        return url.strip()
    path = parts.path.rstrip("/")
    return host_of(plain).removeprefix("www.") + path + (f"?{parts.query}" if parts.query else "")


_HEX = re.compile(r"[0-9a-f]{64}")


def read_requests(path: Path) -> Requests:
    """Read a list. Raises InputError, naming the line, for what is no request: nothing asked for may be passed over."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8: {error}") from None
    found: dict[str, set[str]] = {"url": set(), "domain": set(), "id": set(), "sha256": set(), "source": set()}
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        kind, value = _request(text)
        if kind not in found or not value:
            raise InputError(f"{path}, line {number}: no request: write an address, domain:, id:, sha256: or source:")
        found[kind].add(value)
    if not any(found.values()):
        raise InputError(f"{path} asks for nothing")
    return Requests(*(frozenset(found[kind]) for kind in ("url", "domain", "id", "sha256", "source")))


def _request(text: str) -> tuple[str, str]:
    kind, colon, value = text.partition(":")
    value = value.strip()
    if colon and kind in ("id", "source"):
        return kind, value
    if colon and kind == "domain":
        return kind, host_of(f"//{value.removeprefix('*.')}")
    if colon and kind == "sha256":
        return kind, value.lower() if _HEX.fullmatch(value.lower()) else ""
    if text.startswith(("http://", "https://")) and host_of(text):
        return "url", plain_url(text)
    return "", ""


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


def promoted_rows(
    work: Path, language: Mapping[str, Any], manifest: Mapping[str, Any], ids: frozenset[str]
) -> dict[str, dict[str, Any]]:
    """The rows of these copies as a release has them, by id.

    Raises InputError when the work folder is not the one of the release, or lacks some of them.
    """
    code = str(language["code"])
    if folders.read_dataset(work, code)["inputs"] != language["inputs"]:
        raise InputError(f"{work} is not the work folder this release was made from: its archives are others")
    settings = {key: value for key, value in language["stages"]["redact"]["settings"].items() if key != "secret_digest"}
    stage: Redact = build(Redact, settings, "redact")
    catalogue = Catalogue.of_values(manifest["sources"])
    later = ("minhash_cluster_size", "lines", "pii", "source", "license")
    columns = [name for name in RELEASED.names if name not in later]
    rows: dict[str, dict[str, Any]] = {}
    for shard in folders.shards_of_dedup(work, code):
        lines = _lines(shard, ids)
        for batch in shards.read_kept(folders.chain(work, shard.parent.parent.name, shard.name, "dedup"), columns):
            for row in batch.to_pylist():
                if row["id"] in ids:
                    cut = lines.get(row["id"])
                    redacted = stage.redacted(row["id"], edited(row["text"], cut), row["language"])
                    source = catalogue.source_of(row["url"], row["file_path"])
                    rows[row["id"]] = {
                        **row,
                        "url": stage.address(row["url"]),
                        "text": redacted["text"],
                        "lines": cut,
                        "pii": redacted["pii"],
                        "minhash_cluster_size": None,
                        "source": source,
                        "license": catalogue.license_of(source),
                    }
    missing = sorted(ids - set(rows))
    if missing:
        raise InputError(f"{work} has no text of {len(missing)} copies that should take a place")
    return rows


def _lines(path: Path, ids: frozenset[str]) -> dict[str, list[dict[str, Any]]]:
    """What goes of the texts of some copies: dedup edits them as if they stood in the place they now take."""
    found: dict[str, list[dict[str, Any]]] = {}
    for batch in shards.read(path, ["id", "lines"]):
        some = batch.filter(pc.is_in(batch["id"], pa.array(sorted(ids), pa.string())))
        found.update(zip(some["id"].to_pylist(), some["lines"].to_pylist(), strict=True))
    return found
