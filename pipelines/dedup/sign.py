"""sign: what is known of each document alone: digests, band keys, and a rank that says which copy is kept."""

import unicodedata
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from filters.near_duplicates.rules import Scheme
from filters.near_duplicates.shingle_tables import Uint64s
from filters.near_duplicates.signatures import band_keys, mix_all, text_digests
from pipelines.catalogue import UNLISTED, Catalogue, load_catalogue
from pipelines.dedup.released import RELEASED_PREFIX, read_signatures
from pipelines.dedup.scratch import U64, Chains, Steps, column_names
from pipelines.dedup.settings import DedupSettings, KeepBy, keep_columns
from roots.settings import as_values
from roots.stage import Stage

# For a whole column at once; unlike addresses.host_of it keeps a dot at the end and cuts IPv6 at its first colon.
_HOST = r"^[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#@]*@)?(?P<host>[^/?#:]*)"
_READ = ("url", "file_path")  # columns that a source is found from
_ENTRY = "source"  # a column: the entry of the catalogue that the run read
CATALOGUE_COLUMNS = ("source", "license")  # added from a catalogue, unless an earlier stage has them


@dataclass(frozen=True)
class SourceRule:
    """How the source of a document is found, and the catalogue by value: {source: its fields}."""

    rule: str
    catalogue: Mapping[str, Mapping[str, Any]]

    @classmethod
    def read(cls, rule: str, catalogue: str) -> "SourceRule":
        """Read the catalogue at a path; "" for none."""
        sources = load_catalogue(catalogue).sources
        return cls(rule, {name: as_values(source) for name, source in sources.items()})

    def columns(self, known: Collection[str]) -> list[str]:
        """The columns, of those `known`, that a source is found from."""
        return [name for name in (*_READ, *([_ENTRY] if self.rule == "entry" else [])) if name in known]

    def names(self, batch: pa.RecordBatch) -> pa.Array:
        """The source of each document; "" if it has neither URL nor archive."""
        files = batch["file_path"].fill_null("") if "file_path" in batch.schema.names else _empty_texts(batch)
        if self.rule == "file":
            return files
        urls = batch["url"].fill_null("") if "url" in batch.schema.names else _empty_texts(batch)
        hosts = pc.utf8_lower(pc.struct_field(pc.extract_regex(urls, _HOST), [0]).fill_null(""))
        hosts = pc.if_else(pc.equal(hosts, ""), files, hosts)
        if self.rule == "host":
            return hosts
        if self.rule == "entry":
            return pc.coalesce(batch[_ENTRY], hosts) if _ENTRY in batch.schema.names else hosts
        found = self._catalogued(batch)
        return pc.if_else(pc.equal(found, UNLISTED), hosts, found)

    def digests(self, batch: pa.RecordBatch) -> Uint64s:
        """A digest of each document's source, never 0; uint64 (rows,)."""
        return digests_of(self.names(batch))

    def with_rights(self, batch: pa.RecordBatch, wanted: Collection[str]) -> pa.RecordBatch:
        """The batch with the columns `source` and `license`: those of the catalogue where the batch has none."""
        needed = [name for name in CATALOGUE_COLUMNS if name in wanted]
        if not (needed and self.catalogue):
            return batch
        found = self._catalogued(batch)
        licenses = {name: source["license"] for name, source in self.catalogue.items()}
        columns = {
            "source": found,
            "license": pa.array([licenses.get(name) for name in found.to_pylist()], pa.string()),
        }
        for name in needed:
            at = batch.schema.get_field_index(name)
            if at < 0:
                batch = batch.append_column(name, columns[name])
            else:
                batch = batch.set_column(at, name, pc.coalesce(batch[name], columns[name]))
        return batch

    def _catalogued(self, batch: pa.RecordBatch) -> pa.Array:
        catalogue = Catalogue.of_values(self.catalogue)
        urls, files = (
            batch[name].to_pylist() if name in batch.schema.names else [None] * batch.num_rows for name in _READ
        )
        return pa.array([catalogue.source_of(*each) for each in zip(urls, files, strict=True)], pa.string())


def digests_of(sources: pa.Array) -> Uint64s:
    """A digest of the name of each source, never 0; uint64 (sources,)."""
    return np.maximum(text_digests(sources, 3), np.uint64(1))


def _empty_texts(batch: pa.RecordBatch) -> pa.Array:
    return pa.repeat("", batch.num_rows)


_LAST = (1 << 62) - 1
_NUMBERS = ("content_high", "content_low", "units", "rank", "tie", "url_high", "url_low", "age", "source")


def band_columns(bands: int) -> list[str]:
    """Names of the columns of band keys."""
    return [f"band_{band:03d}" for band in range(bands)]


def sign_documents(steps: Steps, documents: Chains, settings: DedupSettings) -> Path:
    """Run `sign` over all documents; returns its manifest."""
    within = settings.scope == "source"
    sources = SourceRule.read(settings.source, settings.catalogue)
    stage = SignedDocuments(settings.scheme, settings.keep, settings.url, sources, within, settings.alone)
    return steps.run(stage, documents, "sign")


@dataclass(frozen=True)
class SignedDocuments(Stage):
    """A row for each document that a chain keeps."""

    name: ClassVar[str] = "dedup.sign"
    version: ClassVar[int] = 4  # 4: source and licence of the row itself come first; a path is no URL
    scheme: Scheme
    keep: str | KeepBy
    url: str
    sources: SourceRule
    within: bool  # documents of different sources share no key, so they are never copies
    alone: tuple[str, ...]  # sources whose documents share no key with any
    unicode: str = unicodedata.unidata_version

    @property
    def schema(self) -> pa.Schema:
        """The columns. Each band has its own, so that `pairs` reads only one of them."""
        return pa.schema(
            [
                pa.field("id", pa.string(), nullable=False),
                pa.field("shingles", pa.int32()),
                *(pa.field(name, U64) for name in [*_NUMBERS, *band_columns(self.scheme.bands)]),
            ]
        )

    def make(self, name: str, sources: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        """Sign the documents of a chain. Released ones come first: their rank and age are 0."""
        released = name.startswith(RELEASED_PREFIX)
        by = () if released else keep_columns(self.keep)
        known = {column for path in sources for column in column_names(path)}
        of_url = ["url", "date"] if self.url != "none" and {"url", "date"} <= known else []
        wanted = {"id", "text", *by, *of_url, *self.sources.columns(known)}
        if self.sources.catalogue:
            wanted -= set(CATALOGUE_COLUMNS) - known
        schema = self.schema
        for read, signs in read_signatures(sources, sorted(wanted), self.scheme):
            batch = self.sources.with_rights(read, by)
            zeros = np.zeros(batch.num_rows, np.uint64)
            rank = zeros if released else _above_zero(keep_ranks(batch, self.keep))
            url_high, url_low, age = self._url(batch) if of_url else (zeros, zeros, zeros)
            source = self.sources.digests(batch)
            salt = mix_all(source) if self.within else zeros
            if self.alone:
                own = np.isin(source, digests_of(pa.array(self.alone, pa.string())))
                salt = np.where(own, mix_all(text_digests(batch["id"])), salt)
            numbers = [
                signs.content[:, 0], _salted(signs.content[:, 1], salt), signs.units, rank,
                text_digests(batch["id"]), url_high, _salted(url_low, salt), age * np.uint64(not released), source,
                *(_salted(keys, salt) for keys in band_keys(signs, self.scheme).T),
            ]  # fmt: skip
            columns = [pa.array(np.ascontiguousarray(column)) for column in numbers]
            yield pa.RecordBatch.from_arrays([batch["id"], pa.array(signs.shingles), *columns], schema=schema)

    def _url(self, batch: pa.RecordBatch) -> tuple[Uint64s, Uint64s, Uint64s]:
        """128 bits of a digest of the URL, 0 for none, and an age that is lowest for the newest fetch."""
        keys = url_keys(batch["url"], self.url)
        given = pc.not_equal(keys, "").to_numpy(zero_copy_only=False)
        high, low = (np.where(given, np.maximum(text_digests(keys, seed), 1), 0) for seed in (1, 2))
        return high, low, (np.int64(1 << 62) - _dates(batch)).astype(np.uint64)


def _above_zero(ranks: Uint64s) -> Uint64s:
    """The ranks plus 1: rank 0 is for released documents."""
    return np.minimum(ranks, np.uint64((1 << 64) - 2)) + np.uint64(1)


def _salted(keys: Uint64s, salt: Uint64s) -> Uint64s:
    """Keys that are equal only where the salt is too. 0 means no key and stays 0; a salt of 0 changes nothing."""
    return np.where(keys == 0, keys, np.maximum(keys ^ salt, np.uint64(1)))


def keep_ranks(batch: pa.RecordBatch, keep: str | KeepBy) -> Uint64s:
    """The rank of each document by the setting `keep`, lowest for the copy to keep; uint64 (rows,)."""
    if isinstance(keep, KeepBy):
        return _ranks_by_column(batch[keep.column], keep)
    if keep == "longest":
        sizes = pc.binary_length(batch["text"]).fill_null(0).to_numpy(zero_copy_only=False)
        return np.asarray(_LAST - sizes.astype(np.int64), np.uint64)
    known = _dates(batch)
    if keep == "newest":
        return np.asarray(_LAST - np.maximum(known, 0), np.uint64)
    return np.where(known < 0, _LAST, known).astype(np.uint64)


def _ranks_by_column(column: pa.Array, keep: KeepBy) -> Uint64s:
    if keep.prefer:
        found = pc.index_in(column.cast(pa.string()), pa.array(keep.order, pa.string()))
        return np.asarray(found.fill_null(len(keep.order)).to_numpy(zero_copy_only=False), np.uint64)
    values = column.cast(pa.float64()).fill_null(np.nan).to_numpy(zero_copy_only=False)
    values = -values if keep.highest else values
    # With the sign bit turned, the bits of float64 sort as the numbers do. NaN and null come last.
    bits = (values + 0.0).view(np.int64)
    ordered = np.where(bits < 0, ~bits, bits | np.int64(-1 << 63)).view(np.uint64)
    return np.where(np.isnan(values), np.uint64((1 << 64) - 1), ordered)


def _dates(batch: pa.RecordBatch) -> npt.NDArray[np.int64]:
    """Dates as numbers that grow with time: the digits of an ISO 8601 date down to the second; -1 for none."""
    digits = pc.replace_substring_regex(batch["date"].fill_null(""), r"[^0-9]", "")
    whole = pc.utf8_slice_codeunits(pc.utf8_rpad(digits, 14, "0"), 0, 14)
    numbers = pc.cast(whole, pa.int64()).to_numpy(zero_copy_only=False)
    return np.where(pc.equal(digits, "").to_numpy(zero_copy_only=False), -1, numbers)


def url_keys(urls: pa.Array, rule: str) -> pa.Array:
    """The part of each URL that must be equal for two fetches of one page; "" for no URL.

    A path in a folder or zip is no URL: files of one name in two folders are no two fetches of a page.

    "exact" leaves out the scheme, the fragment and a last slash. "page" also leaves out everything from the first `?`
    and a last `/amp`, as ROOTS did; it takes pages that differ only in `?id=` for one.
    """
    keys = pc.replace_substring_regex(urls.fill_null(""), r"^[A-Za-z][A-Za-z0-9+.-]*://|#.*$", "")
    if rule == "page":
        keys = pc.replace_substring_regex(pc.replace_substring_regex(keys, r"\?.*$", ""), r"/amp/?$", "")
    keys = pc.replace_substring_regex(keys, r"/$", "")
    return pc.if_else(pc.match_substring(urls.fill_null(""), "://"), keys, "")
