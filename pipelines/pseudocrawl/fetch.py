"""The pseudocrawl: the pages of chosen sites out of a crawl that others made, as archives like any others.

    seeds.tsv + index  -> lookup, select (pipelines.captures)  -> fetch -> archives -> index, extract, ...

`fetch` asks for the records that were selected, range by range, and appends each, as it is packed, to an archive of
ours: so a record is fetched once, however often the job is run, and all that follows reads it as it reads any archive.
What lies at a range must be one whole record of the URL that the index names; nothing else is ever written.

    work/pseudocrawl/lookup/<file of the index>.parquet    every capture of a seed
    work/pseudocrawl/select/captures.parquet               the newest of each URL
    work/pseudocrawl/fetch/<archive>.parquet               what came of each range
    work/pseudocrawl/archives/<archive>.warc.gz            the records
    work/pseudocrawl/earlier/                              what was fetched before, while another selection is fetched
    work/pseudocrawl/seeds.tsv                             how much each seed gave

Source: Laurençon et al. 2022, section 2.2: the pseudocrawl of ROOTS.
"""

import hashlib
import re
import zlib
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from pipelines.pseudocrawl.captures import CAPTURE, Lookup, Select
from pipelines.pseudocrawl.index_files import find_index
from pipelines.pseudocrawl.ranges import CONNECTIONS, Manners, Ranges, is_http, open_ranges
from pipelines.pseudocrawl.records import Earlier, read_record
from pipelines.pseudocrawl.seeds import Seed
from roots import shards, storage
from roots.atomic import making, remove_stale
from roots.errors import InputError, MissingRange, ShardError
from roots.executors import Executor, Serial, Threads
from roots.schema import DROP, ID
from roots.settings import ASIDE
from roots.shards import BATCH_ROWS
from roots.stage import Plan, Progress, Stage, run, tasks_of

_FETCH = pa.schema(
    [
        ID,
        pa.field("url", pa.string()),
        pa.field("file_path", pa.string()),  # where the record came from: archive below the root, and offset
        pa.field("offset", pa.int64()),
        pa.field("length", pa.int64()),
        pa.field("seed", pa.string()),
        pa.field("archive", pa.string()),  # of ours, where it is now, and at which offset
        pa.field("archive_offset", pa.int64()),
        DROP,
    ]
)
REASONS: dict[str, str] = {
    "fetch.missing": "the archive, or that part of it, is not there",
    "fetch.no_record": "what lies there is not one whole packed record",
    "fetch.other_url": "the record that lies there is of another URL",
}
_TARGET_URI = re.compile(rb"^WARC-Target-URI[ \t]*:[ \t]*<?([^\r\n]*?)>?[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
_HEAD_BYTES = 64 << 10
STEP = 1 << 20


@dataclass(frozen=True)
class Pseudocrawl:
    """Settings of a pseudocrawl."""

    data: str = "https://data.commoncrawl.org/"  # what the paths in the index are below: a URL or a folder
    content_types: tuple[str, ...] = Lookup.content_types
    record_bytes: int = Lookup.record_bytes  # of one record, packed
    unpacked_bytes: int = 256 << 20  # of one record, unpacked; it is checked in steps, never held
    records: int = 5000  # in one archive: about 150 MB
    connections: int = CONNECTIONS
    requests_per_second: float = Manners.requests_per_second
    attempts: int = Manners.attempts
    backoff_seconds: float = Manners.backoff_seconds
    most_seconds: float = Manners.most_seconds
    timeout_seconds: float = Manners.timeout_seconds
    contact: str = Manners.contact

    def __post_init__(self) -> None:
        if min(self.record_bytes, self.unpacked_bytes, self.records, self.connections) < 1:
            raise ValueError("record_bytes, unpacked_bytes, records and connections must be at least 1")
        if storage.is_url(self.data) and not is_http(self.data):
            storage.path_of(self.data)
        _ = self.manners

    @property
    def manners(self) -> Manners:
        """How servers are asked."""
        return Manners(**{name: getattr(self, name) for name in asdict(Manners())})


@dataclass(frozen=True)
class Fetch(Stage):
    """The stage that fetches one archive's records. It asks by itself, several ranges at a time."""

    name: ClassVar[str] = "fetch"
    version: ClassVar[int] = 1
    schema: ClassVar[pa.Schema] = _FETCH

    records: int
    unpacked_bytes: int
    data: str = field(metadata=ASIDE)
    archives: Path = field(metadata=ASIDE)
    earlier: Earlier = field(metadata=ASIDE)
    manners: Manners = field(metadata=ASIDE)
    connections: int = field(default=CONNECTIONS, metadata=ASIDE)

    def make(self, name: str, sources: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        """Fetch part `name` of the captures; its archive stands before the last row is given on."""
        part = int(name.partition("-")[2].partition("-")[0])
        path = self.archives / f"{name.removesuffix('.parquet')}.warc.gz"
        storage.make_folder(path.parent)
        remove_stale(path.parent)
        rows: list[dict[str, Any]] = []
        captures = list(_wanted(sources[0], part, self.records))
        with making(path) as place:
            try:
                with place.open("wb") as file:
                    for capture, data, drop in self._fetched(captures):
                        row = {key: capture[key] for key in _FETCH.names if key in capture} | {"drop": drop}
                        row |= {} if drop else {"archive": path.name, "archive_offset": file.tell()}
                        file.write(data)
                        rows.append(row)
            except ShardError:
                self.earlier.keep(name, _FETCH, rows, place)
                raise
        for start in range(0, len(rows), BATCH_ROWS):
            yield pa.RecordBatch.from_pylist(rows[start : start + BATCH_ROWS], schema=_FETCH)

    def _fetched(self, captures: Sequence[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], bytes, str | None]]:
        """Every capture with its record, or with the reason why there is none; in order, a few at a time."""
        ranges = open_ranges(self.data, self.manners, self.connections)
        known = self.earlier.find(capture["id"] for capture in captures)
        waiting: deque[tuple[dict[str, Any], Future[tuple[bytes, str | None]]]] = deque()
        with ThreadPoolExecutor(self.connections) as pool:
            try:
                for capture in captures:
                    waiting.append((capture, pool.submit(self._fetch, ranges, capture, known.get(capture["id"]))))
                    if len(waiting) > self.connections:
                        first, future = waiting.popleft()
                        yield first, *future.result()
                while waiting:
                    first, future = waiting.popleft()
                    yield first, *future.result()
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def _fetch(
        self, ranges: Ranges, capture: Mapping[str, Any], known: tuple[Path, int, int] | None
    ) -> tuple[bytes, str | None]:
        """A record, or why there is none. What is no record is asked for again until it comes twice alike."""
        if known and record_url(data := read_record(known), self.unpacked_bytes) == capture["url"]:
            return data, None
        seen: set[bytes] = set()
        while True:
            try:
                data = ranges.read(capture["file_path"], capture["offset"], capture["length"])
            except MissingRange:
                return b"", "fetch.missing"
            url = record_url(data, self.unpacked_bytes)
            if url is not None:
                return (data, None) if url == capture["url"] else (b"", "fetch.other_url")
            digest = hashlib.blake2b(data).digest()
            if digest in seen:
                return b"", "fetch.no_record"
            if len(seen) == self.manners.attempts:
                raise ShardError(f"{capture['file_path']}: {len(seen)} times other bytes at {capture['offset']}")
            seen.add(digest)


def _wanted(captures: Path, part: int, size: int) -> Iterator[dict[str, Any]]:
    """The captures of one part: those that are kept of rows part * size and on."""
    low, high, start = part * size, (part + 1) * size, 0
    file = shards.open_shard(captures)
    for group in range(file.metadata.num_row_groups):
        rows = file.metadata.row_group(group).num_rows
        if start < high and start + rows > low:
            table = file.read_row_group(group, use_threads=False).slice(max(0, low - start), high - max(low, start))
            yield from (row for batch in table.to_batches(BATCH_ROWS) for row in batch.to_pylist() if not row["drop"])
        start += rows


def record_url(data: bytes, bound: int) -> str | None:
    """The URL of the one record that `data` is, packed with gzip; None where it is anything else.

    It must begin as a WARC record does, unpack whole with the right checksum, end where `data` ends, and unpack to at
    most `bound` bytes: an error page, a part of a record or two of them are none.
    """
    member = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        head = member.decompress(data, _HEAD_BYTES)
        size = len(head)
        while not member.eof and size <= bound and (part := member.decompress(member.unconsumed_tail, STEP)):
            size += len(part)
    except zlib.error:
        return None
    if not member.eof or member.unused_data or size > bound or not head.startswith(b"WARC/"):
        return None
    url = _TARGET_URI.search(head.partition(b"\r\n\r\n")[0])
    return url[1].decode("utf-8", "replace") if url else None


def fetch_archives(
    work: Path,
    seeds: Sequence[Seed],
    places: Sequence[str],
    settings: Pseudocrawl,
    executor: Executor,
    progress: Progress | None = None,
) -> dict[str, Path]:
    """Look the seeds up in an index, fetch their pages, and give back the archives by the names of their shards.

    What was fetched before is not fetched again. Raises StageFailed where a server gave something up for later, and
    InputError where no seed has a page.
    """
    home = work / "pseudocrawl"
    sources = find_index(places, settings.data, settings.manners, home / "index")
    lookup = Lookup(tuple(seeds), settings.content_types, settings.record_bytes, settings.manners)
    if any(source.suffix == ".url" for source in sources.values()):
        executor = Threads(settings.connections)  # one process, so that all requests keep one pace
    run(lookup, {name: [source] for name, source in sources.items()}, home / "lookup", executor, progress)
    plan = {"captures.parquet": [home / "lookup" / name for name in sorted(sources)]}
    captures = run(Select(), plan, home / "select", Serial(), progress)
    if not captures.kept:
        _write_seed_table(home, seeds, [])
        raise InputError(f"no seed has a page in this index: {home / 'seeds.tsv'} says what was found of each")
    count = -(-captures.rows // settings.records)
    names = [f"pseudocrawl-{number:05d}-of-{count:05d}.parquet" for number in range(count)]
    earlier = Earlier(home / "earlier")
    fetch = Fetch(
        settings.records, settings.unpacked_bytes, settings.data, home / "archives", earlier, settings.manners,
        settings.connections,
    )  # fmt: skip
    parts = {name: [home / "select" / "captures.parquet"] for name in names}
    _put_away(home, earlier, fetch, parts)
    run(fetch, parts, home / "fetch", Serial(), progress)
    earlier.clear()
    _write_seed_table(home, seeds, names)
    return {name: _archive_of(home, name) for name in names}


def _archive_of(home: Path, name: str) -> Path:
    return home / "archives" / f"{name.removesuffix('.parquet')}.warc.gz"


def _put_away(home: Path, earlier: Earlier, fetch: Fetch, parts: Plan) -> None:
    """Put away the parts of another selection, and forget those whose archive is gone or of another length."""
    for name in parts:
        shard = home / "fetch" / name
        if shards.read_receipt(shard) is not None:
            wanted = sum(sum(batch["length"].to_pylist()) for batch in shards.read_kept([shard], ["length"]))
            archive = _archive_of(home, name)
            if not storage.is_file(archive) or storage.size_of(archive) != wanted:
                storage.remove(shard)
    done = tasks_of(fetch, parts, home / "fetch")[1]
    for shard in storage.files_in(home / "fetch", "*.parquet"):
        if shard.name not in done:
            earlier.retire(shard, _archive_of(home, shard.name))


def _write_seed_table(home: Path, seeds: Sequence[Seed], parts: Sequence[str]) -> dict[str, dict[str, int]]:
    """Write how much each seed gave: captures, pages among them, newest of each URL, fetched. Gives it back."""
    steps = ("captures", "pages", "newest", "fetched")
    table = {seed.site: dict.fromkeys(steps, 0) for seed in seeds}
    files = storage.files_in(home / "lookup", "*.parquet")
    for before, after, paths in (
        ("captures", "pages", files),
        (None, "newest", [home / "select" / "captures.parquet"]),
        (None, "fetched", [home / "fetch" / name for name in parts]),
    ):
        for path in paths:
            for batch in shards.read(path, ["seed", "drop"]):
                for site, drop in zip(batch["seed"].to_pylist(), batch["drop"].to_pylist(), strict=True):
                    if before:
                        table[site][before] += 1
                    table[site][after] += drop is None
    lines = ["\t".join(["site", "language", *steps])]
    lines += ["\t".join([s.site, s.language, *(str(table[s.site][step]) for step in steps)]) for s in seeds]
    shards.write_text(home / "seeds.tsv", "\n".join(lines) + "\n")
    return table


__all__ = ["CAPTURE", "REASONS", "Fetch", "Pseudocrawl", "ShardError", "fetch_archives", "record_url"]
