"""Which reader an input gets: tables of text and documents have their own, all else is read as a web archive.

Inputs at URLs become files of this machine: the guarded process that reads pages has no network and no credentials.
The local file is as long as the archive, with holes where nothing is read: a language is a small part of a crawl.
"""

from bisect import bisect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from pipelines.archives.heads import STEP
from pipelines.archives.limits import Limits
from pipelines.archives.packing import LOOK, begins_with_record, is_one_stream, is_wacz, recognise
from pipelines.archives.records import Record, read_at, read_records
from pipelines.sources.documents import holds_documents, parts_of_documents, read_documents
from pipelines.sources.layouts import TableSettings
from pipelines.sources.tables import find_table, parts_of_table, read_table
from roots import storage
from roots.errors import InputError


def begins_as_archive(path: Path) -> bool:
    """Whether a file is a web archive by its first bytes. Most inputs are, and no other reader looks at them."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        head = file.read(LOOK)
    return begins_with_record(head) or is_wacz(path, head)


def parts_of(path: Path, part_bytes: int) -> list[range]:
    """The parts of a large table, folder or zip of documents, of about `part_bytes` each: ranges of offsets.

    One or none: it is read as a whole, as archives of pages are.
    """
    if path.is_dir():
        return parts_of_documents(path, part_bytes) if holds_documents(path) else []
    if path.stat().st_size <= part_bytes or begins_as_archive(path):
        return []
    if found := parts_of_table(path, -(-path.stat().st_size // part_bytes)):
        return found
    return parts_of_documents(path, part_bytes) if holds_documents(path) else []


def read_source(path: Path, settings: TableSettings, limits: Limits, part: range | None = None) -> Iterator[Record]:
    """Every record of an input, in order, or those in a part. Raises InputError as `read_records` and `find_table`."""
    if begins_as_archive(path):
        return read_records(path, limits)
    if table := find_table(path, settings):
        return read_table(table, limits, part)
    return read_documents(path, limits, part) if holds_documents(path) else read_records(path, limits)


def read_source_at(
    path: Path, offsets: Sequence[int], settings: TableSettings, limits: Limits, dense: bool
) -> Iterator[Record]:
    """The records at these offsets (ascending), which `read_source` gave without a problem."""
    if begins_as_archive(path):
        return read_at(path, offsets, limits, dense)
    if table := find_table(path, settings):
        return read_table(table, limits, offsets)
    return read_documents(path, limits, offsets) if holds_documents(path) else read_at(path, offsets, limits, dense)


GAP_BYTES = 256 << 10  # a smaller hole is fetched too, because another request would cost more
_WHOLE_SHARE = 0.6  # of an archive; if more is wanted, all of it is fetched


def numbers_of(archives: Sequence[Path], files: Sequence[str]) -> list[int]:
    """Which of a shard's archives each of its rows is from, by the column `file_path`."""
    if len(archives) == 1:
        return [0] * len(files)  # an archive keeps its shard under another name
    numbers = {archive.name: number for number, archive in enumerate(archives)}
    return [numbers[file] for file in files]


@contextmanager
def on_this_machine(archive: Path, wanted: Sequence[int] | None = None, index: Path | None = None) -> Iterator[Path]:
    """Yield a local file with the archive's name; the archive itself if it is already local.

    `wanted` are the offsets (ascending) of the records that will be read. `index` is the shard that says where all
    records begin. Raises InputError if the archive does not exist, ShardError if a server does not answer.
    """
    if not storage.is_remote(archive):
        yield archive
        return
    with TemporaryDirectory(prefix="roots-") as folder:
        local = Path(folder) / archive.name
        if wanted is None or index is None or not _fetch_records(archive, local, wanted, index):
            storage.fetch(archive, local)
        try:
            yield local
        except InputError as error:  # names the file that the user knows
            raise InputError(str(error).replace(str(local), str(archive))) from None


def _fetch_records(archive: Path, local: Path, wanted: Sequence[int], index: Path) -> bool:
    """Fetch the wanted records. Returns False if their ranges are unknown or are most of the archive."""
    from roots import shards  # the process that reads pages does without Arrow

    size = storage.size_of(archive)
    offsets = [offset for batch in shards.read(index, ["offset"]) for offset in batch["offset"].to_pylist()]
    ranges = ranges_of(wanted, offsets, size)
    if sum(high - low for low, high in ranges) > _WHOLE_SHARE * size:
        return False
    storage.fetch(archive, local, [(0, STEP)])
    try:
        found = recognise(local)
    except InputError:  # not a web archive: its offsets are not positions in the file
        return False
    if is_one_stream(found):
        return False
    storage.fetch(archive, local, ranges)
    return all(found.begins_at(offset) for offset in wanted)


def ranges_of(wanted: Sequence[int], offsets: Sequence[int], size: int) -> list[tuple[int, int]]:
    """Return byte ranges (from, up to) of the wanted records, each with the beginning of the next record.

    `offsets` are those of all known records, in any order. `size` is the length of the archive in bytes.
    """
    known = [*sorted(set(offsets)), size]
    ends = [known[bisect(known, low, hi=len(known) - 1)] for low in wanted]
    ranges: list[tuple[int, int]] = []
    for low, end in zip(wanted, ends, strict=True):
        high = min(size, end + LOOK)  # readers check what follows a record
        if ranges and low <= ranges[-1][1] + GAP_BYTES:
            ranges[-1] = (ranges[-1][0], max(high, ranges[-1][1]))
        else:
            ranges.append((low, high))
    return ranges
