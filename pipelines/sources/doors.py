"""Which reader an input gets: tables of text and documents have their own, all else is read as a web archive."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from pipelines.archives.limits import Limits
from pipelines.archives.packing import LOOK, begins_with_record, is_wacz
from pipelines.archives.records import Record, read_at, read_records
from pipelines.sources.documents import holds_documents, parts_of_documents, read_documents
from pipelines.sources.layouts import TableSettings
from pipelines.sources.tables import find_table, parts_of_table, read_table


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
