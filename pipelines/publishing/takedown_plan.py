"""The plan of a takedown: what is requested, which documents of which files that means, and what replaces them.

A list has one request in each line: a URL, or one of

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
from pipelines.catalogue import Catalogue, host_of
from pipelines.dataset import read_dataset
from pipelines.job import work as folders
from pipelines.redact import Redact, edited
from pipelines.release import RELEASED
from roots import shards
from roots.errors import InputError
from roots.settings import build


@dataclass(frozen=True)
class Requests:
    """What is requested to be removed, as sets for look-ups."""

    urls: frozenset[str] = frozenset()  # as `_plain_url` writes them
    domains: frozenset[str] = frozenset()
    ids: frozenset[str] = frozenset()
    digests: frozenset[str] = frozenset()  # sha256 of texts
    sources: frozenset[str] = frozenset()

    def match(self, id_: str, url: str | None, text: str | None = None, source: str | None = None) -> bool:
        """Whether a document is requested. Its text is needed only if `digests` holds any."""
        if id_ in self.ids or (source is not None and source in self.sources):
            return True
        if url and (_plain_url(url) in self.urls or (self.domains and self._of_domain(url))):
            return True
        return bool(self.digests) and text is not None and digest(text) in self.digests

    def _of_domain(self, url: str) -> bool:
        labels = host_of(url).split(".")
        return any(".".join(labels[place:]) in self.domains for place in range(len(labels)))


def digest(text: str) -> str:
    """sha256 of a text in UTF-8, as hexadecimal digits."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _plain_url(url: str) -> str:
    """A URL in the form that is compared: no scheme, `www.`, fragment or slash at the end; the host in lower case.

    E-mail addresses in it are replaced as in a release, so a page can be requested by its URL as crawled.
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
    """Read a list. Raises InputError with the line number for a line that is not a request; none may be ignored."""
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
            raise InputError(f"{path}, line {number}: not a request: write a URL, domain:, id:, sha256: or source:")
        found[kind].add(value)
    if not any(found.values()):
        raise InputError(f"{path} requests nothing")
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
        return "url", _plain_url(text)
    return "", ""


@dataclass(frozen=True)
class Change:
    """What happens to the documents of one release file."""

    name: str
    removed: frozenset[str]  # ids
    # Removed id -> id of the copy in its place. In a table of copies: old -> new id of the document they are copies of.
    replacements: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Copy:
    """A dropped copy of a released document."""

    id: str
    url: str | None
    of: str
    jaccard: float
    source: str


def plan_changes(folder: Path, manifest: release.ReleaseManifest, requests: Requests, policy: str) -> list[Change]:
    """Which documents of which files are removed, and which copies replace them."""
    catalogue = Catalogue.of_values(manifest["sources"])
    copies = {tag: _copies(folder, manifest, tag, catalogue) for tag in manifest["languages"]}
    changes: list[Change] = []
    for name in sorted(name for name in manifest["files"] if name.startswith("data/")):
        removed, replacements = _plan_file(folder / name, copies[name.split("/")[1]], requests, policy)
        if removed:
            changes.append(Change(name, frozenset(removed), replacements))
    return [*changes, *_plan_clusters(changes, manifest, copies, requests)]


def _plan_clusters(
    changes: Sequence[Change],
    manifest: release.ReleaseManifest,
    copies: Mapping[str, Mapping[str, Sequence[_Copy]]],
    requests: Requests,
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
            if of in ended or copy.id in replacements.values() or requests.match(copy.id, copy.url, None, copy.source)
        )
        if gone or replacements:
            yield Change(f"clusters/{tag}.parquet", gone, replacements)


def _copies(folder: Path, manifest: release.ReleaseManifest, tag: str, catalogue: Catalogue) -> dict[str, list[_Copy]]:
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
    """The ids to remove from one file of documents, and what replaces them: id -> id of a copy."""
    columns = ["id", "url", "source", *(["text"] if requests.digests else [])]
    removed: set[str] = set()
    replacements: dict[str, str] = {}
    for batch in release.read_parquet(path, columns):
        for row in batch.to_pylist():
            requested = requests.match(row["id"], row["url"], row.get("text"), row["source"])
            group = copies.get(row["id"], ())
            others = [copy for copy in group if not requests.match(copy.id, copy.url, None, copy.source)]
            if requested or (len(others) < len(group) and policy == "cluster"):
                removed.add(row["id"])
            # A text requested by its digest is not replaced: a copy with the same text would bring it back.
            by_text = bool(requests.digests) and digest(row["text"]) in requests.digests
            if requested and policy == "promote" and others and not by_text:
                replacements[row["id"]] = max(others, key=lambda copy: (copy.jaccard, copy.id)).id
    return removed, replacements


def promoted_rows(
    work: Path, language: release.LanguageEntry, manifest: release.ReleaseManifest, ids: frozenset[str]
) -> dict[str, dict[str, Any]]:
    """Rows of a release for these dropped copies, by id. Their text comes from the work folder, redacted as all others.

    Raises InputError if the release was made from another work folder, or if copies are missing there.
    """
    code = str(language["code"])
    if read_dataset(work, code)["inputs"] != language["inputs"]:
        raise InputError(f"{work} is not the work folder of this release: it has other archives")
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
        raise InputError(f"{work} lacks the text of {len(missing)} copies that should replace documents")
    return rows


def _lines(path: Path, ids: frozenset[str]) -> dict[str, list[dict[str, Any]]]:
    """The lines to cut out of some copies, by id; dedup has marked them for this case."""
    found: dict[str, list[dict[str, Any]]] = {}
    for batch in shards.read(path, ["id", "lines"]):
        some = batch.filter(pc.is_in(batch["id"], pa.array(sorted(ids), pa.string())))
        found.update(zip(some["id"].to_pylist(), some["lines"].to_pylist(), strict=True))
    return found
