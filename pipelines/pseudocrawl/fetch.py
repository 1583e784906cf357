"""The pseudocrawl: pages of chosen sites, taken out of a crawl that others made, as ordinary archives.

    seeds.tsv + index -> lookup, select (captures.py) -> fetch -> archives -> index, extract, ...

`fetch` asks for the selected records range by range, and appends each one, packed as it is, to an archive of ours. So a
record is fetched once, however often the job runs, and the later stages read it like any other. The bytes of a range
must be one whole record of the URL that the index names. Nothing else is ever written.

    work/pseudocrawl/lookup/<file of the index>.parquet    every capture of a seed
    work/pseudocrawl/select/captures.parquet               the newest of each URL
    work/pseudocrawl/fetch/<archive>.parquet               what came of each range
    work/pseudocrawl/archives/<archive>.warc.gz            the records
    work/pseudocrawl/earlier/                              what was fetched before, until the new selection is there
    work/pseudocrawl/seeds.tsv                             what each seed gave

Source: Laurençon et al. 2022, section 2.2: the pseudocrawl of ROOTS.
"""

import hashlib
import re
import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import ClassVar

import pyarrow as pa

from pipelines.pseudocrawl.captures import Capture, Lookup, Select
from pipelines.pseudocrawl.index_files import find_index
from pipelines.pseudocrawl.ranges import CONNECTIONS, Manners, Ranges, is_http, open_ranges
from pipelines.pseudocrawl.records import Earlier, read_record
from pipelines.pseudocrawl.seeds import Seed
from roots import shards, storage
from roots.atomic import making, remove_stale, write_text
from roots.errors import InputError, MissingRange, ShardError
from roots.executors import Executor, Serial, Threads
from roots.schema import DROP, ID
from roots.settings import ASIDE
from roots.shards import BATCH_ROWS
from roots.stage import Plan, Progress, Stage, run, take_inventory

_FETCH = pa.schema(
    [
        ID,
        pa.field("url", pa.string()),
        pa.field("file_path", pa.string()),  # where the record came from: archive below the root, and offset
        pa.field("offset", pa.int64()),
        pa.field("length", pa.int64()),
        pa.field("seed", pa.string()),
        pa.field("archive", pa.string()),  # the archive of ours that holds it now
        pa.field("archive_offset", pa.int64()),
        DROP,
    ]
)
# Why a selected capture has no record here.
FETCH_REASONS: dict[str, str] = {
    "fetch.missing": "the archive, or that part of it, is not there",
    "fetch.no_record": "what lies there is not one whole packed record",
    "fetch.other_url": "the record that lies there is of another URL",
}
_TARGET_URI = re.compile(rb"^WARC-Target-URI[ \t]*:[ \t]*<?([^\r\n]*?)>?[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
_HEAD_BYTES = 64 << 10
_STEP_BYTES = 1 << 20


@dataclass(frozen=True)
class Pseudocrawl:
    """Settings of a pseudocrawl."""

    data: str = "https://data.commoncrawl.org/"  # root of the paths in the index: a URL or a folder
    content_types: tuple[str, ...] = Lookup.content_types  # of the captures that are fetched
    record_bytes: int = Lookup.record_bytes  # of one record, packed
    unpacked_bytes: int = 256 << 20  # of one record, unpacked; it is checked in steps and never held whole
    records: int = 5000  # in one archive: about 150 MB
    connections: int = CONNECTIONS  # open at a time
    requests_per_second: float = Manners.requests_per_second  # of all connections together
    attempts: int = Manners.attempts  # at one request
    backoff_seconds: float = Manners.backoff_seconds  # first wait after a failure; it doubles
    most_seconds: float = Manners.most_seconds  # longest wait between two attempts
    timeout_seconds: float = Manners.timeout_seconds  # for an answer
    contact: str = Manners.contact  # address or URL for the User-Agent; required for http

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
class _Fetch(Stage):
    """Fetches the records of one archive of ours, several ranges at a time."""

    name: ClassVar[str] = "fetch"
    version: ClassVar[int] = 1
    schema: ClassVar[pa.Schema] = _FETCH

    records: int
    unpacked_bytes: int
    parts: tuple[str, ...] = field(metadata=ASIDE)  # all shards, in order: each has `records` captures
    data: str = field(metadata=ASIDE)
    archives: Path = field(metadata=ASIDE)
    earlier: Earlier = field(metadata=ASIDE)
    manners: Manners = field(metadata=ASIDE)
    connections: int = field(default=CONNECTIONS, metadata=ASIDE)

    def make(self, name: str, sources: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        """Fetch part `name` of the captures. Its archive is complete before the first row is given."""
        path = self.archives / f"{name.removesuffix('.parquet')}.warc.gz"
        storage.make_folder(path.parent)
        remove_stale(path.parent)
        rows: list[dict[str, object]] = []
        captures = list(_selected(sources[0], self.parts.index(name), self.records))
        with making(path) as place:
            try:
                with place.open("wb") as file:
                    for capture, data, drop in self._fetched(captures):
                        row: dict[str, object] = {key: value for key, value in capture.items() if key in _FETCH.names}
                        place_here = {} if drop else {"archive": path.name, "archive_offset": file.tell()}
                        file.write(data)
                        rows.append(row | place_here | {"drop": drop})
            except ShardError:
                self.earlier.keep(name, _FETCH, rows, place)
                raise
        for start in range(0, len(rows), BATCH_ROWS):
            yield pa.RecordBatch.from_pylist(rows[start : start + BATCH_ROWS], schema=_FETCH)

    def _fetched(self, captures: Sequence[Capture]) -> Iterator[tuple[Capture, bytes, str | None]]:
        """Yield every capture with its record, or with the reason why there is none; in order, a few at a time."""
        ranges = open_ranges(self.data, self.manners, self.connections)
        known = self.earlier.find(capture["id"] for capture in captures)
        waiting: deque[tuple[Capture, Future[tuple[bytes, str | None]]]] = deque()
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

    def _fetch(self, ranges: Ranges, capture: Capture, known: tuple[Path, int, int] | None) -> tuple[bytes, str | None]:
        """A record, or why there is none. Bytes that are no record are asked for again until they come twice alike."""
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
                raise ShardError(f"{capture['file_path']}: other bytes on {len(seen)} reads at {capture['offset']}")
            seen.add(digest)


def _selected(captures: Path, part: int, size: int) -> Iterator[Capture]:
    """The kept captures of one part: of the `size` rows from part * size on."""
    low, high, start = part * size, (part + 1) * size, 0
    file = shards.open_shard(captures)
    for group in range(file.metadata.num_row_groups):
        rows = file.metadata.row_group(group).num_rows
        if start < high and start + rows > low:
            table = file.read_row_group(group, use_threads=False).slice(max(0, low - start), high - max(low, start))
            yield from (row for batch in table.to_batches(BATCH_ROWS) for row in batch.to_pylist() if not row["drop"])
        start += rows


def record_url(data: bytes, bound: int) -> str | None:
    """The URL of the WARC record in `data`, or None if that is anything but one whole record packed with gzip.

    It must begin as a WARC record does, unpack with the right checksum to at most `bound` bytes, and end where `data`
    ends. An error page, a part of a record or two records are none.
    """
    member = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        head = member.decompress(data, _HEAD_BYTES)
        size = len(head)
        while not member.eof and size <= bound and (part := member.decompress(member.unconsumed_tail, _STEP_BYTES)):
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
    """Look the seeds up in an index and fetch their pages. Returns the archives by the names of their shards.

    What was fetched before is not fetched again. Raises StageFailed if a server did not give everything now, and
    InputError if no seed has a page.
    """
    home = work / "pseudocrawl"
    sources = find_index(places, settings.data, settings.manners, home / "index")
    lookup = Lookup(tuple(seeds), settings.content_types, settings.record_bytes, settings.manners)
    if any(source.suffix == ".url" for source in sources.values()):
        executor = Threads(settings.connections)  # in one process all requests share one pace
    run(lookup, {name: [source] for name, source in sources.items()}, home / "lookup", executor, progress)
    plan = {"captures.parquet": [home / "lookup" / name for name in sorted(sources)]}
    captures = run(Select(), plan, home / "select", Serial(), progress)
    if not captures.kept:
        _write_seed_table(home, seeds, [])
        raise InputError(f"no seed has a page in this index: {home / 'seeds.tsv'} says what was found for each")
    count = -(-captures.rows // settings.records)
    names = [f"pseudocrawl-{number:05d}-of-{count:05d}.parquet" for number in range(count)]
    earlier = Earlier(home / "earlier")
    fetch = _Fetch(
        settings.records, settings.unpacked_bytes, tuple(names), settings.data, home / "archives", earlier,
        settings.manners, settings.connections,
    )  # fmt: skip
    parts = {name: [home / "select" / "captures.parquet"] for name in names}
    _put_away(home, earlier, fetch, parts)
    run(fetch, parts, home / "fetch", Serial(), progress)
    earlier.clear()
    _write_seed_table(home, seeds, names)
    return {name: _archive_of(home, name) for name in names}


def _archive_of(home: Path, name: str) -> Path:
    return home / "archives" / f"{name.removesuffix('.parquet')}.warc.gz"


def _put_away(home: Path, earlier: Earlier, fetch: _Fetch, parts: Plan) -> None:
    """Move the parts of another selection to `earlier`, and remove those whose archive is gone or of another length."""
    for name in parts:
        shard = home / "fetch" / name
        if shards.read_receipt(shard) is not None:
            wanted = sum(sum(batch["length"].to_pylist()) for batch in shards.read_kept([shard], ["length"]))
            archive = _archive_of(home, name)
            if not storage.is_file(archive) or storage.size_of(archive) != wanted:
                storage.remove(shard)
    done = take_inventory(fetch, parts, home / "fetch").done
    for shard in storage.files_in(home / "fetch", "*.parquet"):
        if shard.name not in done:
            earlier.retire(shard, _archive_of(home, shard.name))


def _write_seed_table(home: Path, seeds: Sequence[Seed], parts: Sequence[str]) -> None:
    """Write what each seed gave: captures, pages among them, the newest of each URL, fetched."""
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
    write_text(home / "seeds.tsv", "\n".join(lines) + "\n")
