"""Which reader an input gets: tables of text have their own, and all else is read as a web archive."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from pipelines.archives.limits import Limits
from pipelines.archives.records import Record, read_at, read_records
from pipelines.sources.layouts import TableSettings
from pipelines.sources.tables import find_table, read_table


def read_source(path: Path, settings: TableSettings, limits: Limits) -> Iterator[Record]:
    """Every record of an input, in order. Raises InputError as `read_records` and `find_table` do."""
    table = find_table(path, settings)
    return read_table(table, limits) if table else read_records(path, limits)


def read_source_at(
    path: Path, offsets: Sequence[int], settings: TableSettings, limits: Limits, dense: bool
) -> Iterator[Record]:
    """The records at these offsets (ascending), which `read_source` gave without a problem."""
    table = find_table(path, settings)
    return read_table(table, limits, offsets) if table else read_at(path, offsets, limits, dense)
