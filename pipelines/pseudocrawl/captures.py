"""The captures of the seeds: found in the columnar index of Common Crawl, which is read only where it can hold them.

    lookup   one file of the index: every capture of a seed, and why it is not wanted
    select   all captures together: the newest fetch of each URL stays

The files are sorted by SURT key. The footer names the least and the greatest key of each row group, so most groups need
not be read. Within a group a seed is found by bisection. The other columns are read only for groups with hits.

Source: Common Crawl's index table, schema of `cc-index-table`; Laurençon et al. 2022, section 2.2.
"""

import hashlib
import json
import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, TypedDict

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.pseudocrawl.ranges import Manners, RangedFile, open_url
from pipelines.pseudocrawl.seeds import Seed
from roots import shards, storage
from roots.errors import ShardError
from roots.schema import DROP, ID
from roots.settings import ASIDE
from roots.shards import BATCH_ROWS
from roots.stage import Stage

_CAPTURE = pa.schema(
    [
        ID,  # warc_filename:offset
        pa.field("url", pa.string()),
        pa.field("date", pa.string()),  # ISO 8601, UTC
        pa.field("status", pa.int16()),
        pa.field("content_type", pa.string()),  # as the crawl detected it, else as it was declared
        pa.field("content_languages", pa.string()),  # as the crawl found them
        pa.field("file_path", pa.string()),  # the archive, below the crawl's root
        pa.field("offset", pa.int64()),
        pa.field("length", pa.int64()),  # bytes of the record, as packed
        pa.field("seed", pa.string()),
        pa.field("seed_language", pa.string()),
        DROP,
    ]
)

# Why a capture is not fetched.
LOOKUP_REASONS: dict[str, str] = {
    "lookup.status": "the server did not answer 200",
    "lookup.not_html": "its type is none of `content_types`",
    "lookup.too_large": "the record is longer than `record_bytes`",
    "lookup.no_place": "the index does not say where the record is",
    "select.older": "the same URL was fetched again later",
}


class Capture(TypedDict):
    """A row of a shard of captures."""

    id: str
    url: str
    date: str
    status: int | None
    content_type: str | None
    content_languages: str | None
    file_path: str
    offset: int
    length: int
    seed: str
    seed_language: str
    drop: str | None


KEY = "url_surtkey"
NEEDED = (KEY, "url", "fetch_time", "fetch_status", "content_mime_detected", "warc_filename", "warc_record_offset",
          "warc_record_length")  # fmt: skip
_OPTIONAL = ("content_mime_type", "content_languages")  # older indexes lack some
_PLACE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.=-]*(?:/[A-Za-z0-9_][A-Za-z0-9_.=-]*)*")


@dataclass(frozen=True)
class Lookup(Stage):
    """The captures of the seeds in one file of the index."""

    name: ClassVar[str] = "lookup"
    version: ClassVar[int] = 1
    schema: ClassVar[pa.Schema] = _CAPTURE

    seeds: tuple[Seed, ...]
    content_types: tuple[str, ...] = ("text/html", "application/xhtml+xml")
    record_bytes: int = 32 << 20
    manners: Manners = field(default=Manners(), metadata=ASIDE)  # towards the server of the index

    def make(self, name: str, sources: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        """Make the captures of one file of the index: a Parquet file, or a note that says at which URL it is."""
        del name
        file = _open_index(sources[0], self.manners)
        known = set(file.schema_arrow.names)
        if missing := [column for column in NEEDED if column not in known]:
            raise ShardError(f"{sources[0].name} is no index of Common Crawl: it lacks the column {', '.join(missing)}")
        columns = [column for column in (*NEEDED, *_OPTIONAL) if column in known and column != KEY]
        finder = Finder(self.seeds)
        for group in finder.groups(file.metadata):
            keys = _read(file, group, [KEY], sources[0])[KEY].combine_chunks()
            seeds = finder.find(keys)
            rows = np.flatnonzero(seeds >= 0)
            if not len(rows):
                continue
            table = _read(file, group, columns, sources[0]).take(pa.array(rows))
            for start in range(0, len(rows), BATCH_ROWS):
                part = table.slice(start, BATCH_ROWS)
                yield self._batch(part, [self.seeds[seed] for seed in seeds[rows[start : start + BATCH_ROWS]]])

    def _batch(self, found: pa.Table, seeds: Sequence[Seed]) -> pa.RecordBatch:
        """Rows of the index as captures."""
        dates = pc.strftime(found["fetch_time"].cast(pa.timestamp("s"), safe=False), "%Y-%m-%dT%H:%M:%SZ").to_pylist()
        rows = []
        for row, date, seed in zip(found.to_pylist(), dates, seeds, strict=True):
            place, offset = row["warc_filename"], row["warc_record_offset"]
            capture: Capture = {
                "id": f"{place}:{offset}",
                "url": row["url"],
                "date": date,
                "status": row["fetch_status"],
                "content_type": row["content_mime_detected"] or row.get("content_mime_type"),
                "content_languages": row.get("content_languages"),
                "file_path": place,
                "offset": offset,
                "length": row["warc_record_length"],
                "seed": seed.site,
                "seed_language": seed.language,
                "drop": None,
            }
            rows.append({**capture, "drop": self._refusal(capture)})
        return pa.RecordBatch.from_pylist(rows, schema=_CAPTURE)

    def _refusal(self, capture: Capture) -> str | None:
        """Why a capture is not wanted. The index is not trusted: its values become a path and a length."""
        offset, length = capture["offset"], capture["length"]
        if capture["status"] != 200:
            return "lookup.status"
        if (capture["content_type"] or "").partition(";")[0].strip().lower() not in self.content_types:
            return "lookup.not_html"
        if not _PLACE.fullmatch(capture["file_path"] or "") or offset is None or offset < 0 or not length or length < 0:
            return "lookup.no_place"
        return "lookup.too_large" if length > self.record_bytes else None


class Finder:
    """Finds the keys of seeds in row groups of an index."""

    def __init__(self, seeds: Sequence[Seed]) -> None:
        ranges = [(low, high, number) for number, seed in enumerate(seeds) for low, high in seed.ranges]
        self._ranges = sorted(ranges, key=lambda each: (len(each[0]), each))  # the narrowest last: it wins

    def groups(self, metadata: pq.FileMetaData) -> list[int]:
        """Row groups that can hold a key of a seed, by the footer; a group without bounds can."""
        column = next((c for c in range(metadata.num_columns) if metadata.schema.column(c).path == KEY), None)
        found = []
        for group in range(metadata.num_row_groups if column is not None else 0):
            bounds = metadata.row_group(group).column(column).statistics
            if bounds is None or not bounds.has_min_max or self._within(str(bounds.min), str(bounds.max)):
                found.append(group)
        return found

    def _within(self, least: str, most: str) -> list[tuple[str, str, int]]:
        """The ranges that overlap the keys from `least` to `most`."""
        return [each for each in self._ranges if each[0] <= most and least < each[1]]

    def find(self, keys: pa.Array) -> npt.NDArray[np.int32]:
        """The number of each key's seed, or -1. Returns int32 (rows,)."""
        seeds = np.full(len(keys), -1, dtype=np.int32)
        keys = pc.fill_null(keys, "")
        if pc.all(pc.less_equal(keys[:-1], keys[1:])).as_py() is False:
            order = pc.sort_indices(keys)
            seeds[order.to_numpy()] = self.find(keys.take(order))
            return seeds
        rows = range(len(keys))
        for low, high, number in self._within(keys[0].as_py(), keys[-1].as_py()) if rows else ():
            start = bisect_left(rows, low, key=lambda row: keys[row].as_py())
            seeds[start : bisect_left(rows, high, lo=start, key=lambda row: keys[row].as_py())] = number
        return seeds


def _open_index(source: Path, manners: Manners) -> pq.ParquetFile:
    """Open a file of the index. If it is a note (`.url`), the columns are fetched by range from the URL in it.

    Raises ShardError for a file that is not Parquet.
    """
    try:
        if source.suffix != ".url":
            return pq.ParquetFile(source)
        note = json.loads(storage.read_text(source))
        file = RangedFile(open_url(note["url"], manners), note["url"], note["bytes"])
        return pq.ParquetFile(pa.PythonFile(file, mode="r"))
    except (pa.ArrowException, OSError) as error:
        raise ShardError(f"{source.name} is no Parquet file, or a damaged one: {error}") from None


def _read(file: pq.ParquetFile, group: int, columns: Sequence[str], source: Path) -> pa.Table:
    try:
        return file.read_row_group(group, columns=list(columns), use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise ShardError(f"{source.name} is damaged, or came damaged ({error}): run the same command again") from None


@dataclass(frozen=True)
class Select(Stage):
    """Keeps the newest capture of each URL, over all files of the index, with 40 bytes of memory for each capture."""

    name: ClassVar[str] = "select"
    version: ClassVar[int] = 1
    schema: ClassVar[pa.Schema] = _CAPTURE

    def make(self, name: str, sources: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        """Give one row for every capture that the look-ups keep, in their order."""
        del name
        digests: list[bytes] = []
        dates: list[npt.NDArray[np.int64]] = []
        for batch in _kept(sources, ["url", "date"]):
            digests.append(b"".join(_digest(url) for url in batch["url"].to_pylist()))
            stamps = pc.strptime(batch["date"], format="%Y-%m-%dT%H:%M:%SZ", unit="s", error_is_null=True)
            dates.append(pc.fill_null(stamps.cast(pa.int64()), 0).to_numpy(zero_copy_only=False))
        newest = _newest(b"".join(digests), np.concatenate(dates) if dates else np.zeros(0, np.int64))
        start = 0
        columns = [column for column in _CAPTURE.names if column != "drop"]
        for batch in _kept(sources, columns):
            keep = newest[start : start + batch.num_rows]
            start += batch.num_rows
            drop = pa.array([None if yes else "select.older" for yes in keep], pa.string())
            yield pa.RecordBatch.from_arrays([*(batch[column] for column in columns), drop], schema=_CAPTURE)


def _kept(sources: Sequence[Path], columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    for source in sources:
        yield from shards.read_kept([source], columns)


def _digest(url: str | None) -> bytes:
    return hashlib.blake2b((url or "").encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _newest(digests: bytes, dates: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Which captures are the newest of their URL; of two in the same second the first is. Returns bool (rows,)."""
    keys = np.frombuffer(digests, dtype=np.uint64).reshape(-1, 2)
    order = np.lexsort((-np.arange(len(dates)), dates, keys[:, 1], keys[:, 0]))
    newest = np.ones(len(dates), dtype=np.bool_)
    same = (keys[order[:-1]] == keys[order[1:]]).all(axis=1)
    newest[order[:-1][same]] = False
    return newest
