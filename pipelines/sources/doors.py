"""Which reader an input gets: tables of text and documents have their own, all else is read as a web archive."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from pipelines.archives.limits import Limits
from pipelines.archives.packing import LOOK, begins_with_record
from pipelines.archives.records import Record, read_at, read_records
from pipelines.sources.documents import holds_documents, read_documents
from pipelines.sources.layouts import TableSettings
from pipelines.sources.tables import find_table, read_table


def begins_as_archive(path: Path) -> bool:
    """Whether a file begins with a record of a web archive. Most inputs do, and no other reader looks at them."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return begins_with_record(file.read(LOOK))


def read_source(path: Path, settings: TableSettings, limits: Limits) -> Iterator[Record]:
    """Every record of an input, in order. Raises InputError as `read_records` and `find_table` do."""
    if begins_as_archive(path):
        return read_records(path, limits)
    if table := find_table(path, settings):
        return read_table(table, limits)
    return read_documents(path, limits) if holds_documents(path) else read_records(path, limits)


def read_source_at(
    path: Path, offsets: Sequence[int], settings: TableSettings, limits: Limits, dense: bool
) -> Iterator[Record]:
    """The records at these offsets (ascending), which `read_source` gave without a problem."""
    if begins_as_archive(path):
        return read_at(path, offsets, limits, dense)
    if table := find_table(path, settings):
        return read_table(table, limits, offsets)
    return read_documents(path, limits, offsets) if holds_documents(path) else read_at(path, offsets, limits, dense)
