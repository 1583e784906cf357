"""Make an archive at a URL a local file: all of it, or only the wanted records.

The guarded process that reads pages has no network and no credentials, so this file fetches for it. Wanted records are
fetched by range, and ranges close to each other as one. The local file is as long as the archive, with holes where
nothing is read. A language is usually a small part of a crawl, and so are its bytes.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from pipelines.archives.packing import LOOK, STEP, is_one_stream, recognise
from roots import shards, storage
from roots.errors import InputError

GAP_BYTES = 256 << 10  # a smaller hole is fetched too, because another request would cost more
_WHOLE_SHARE = 0.6  # of an archive; if more is wanted, all of it is fetched


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
        yield local


def _fetch_records(archive: Path, local: Path, wanted: Sequence[int], index: Path) -> bool:
    """Fetch the wanted records. Returns False if their ranges are unknown or are most of the archive."""
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
    known = np.unique(np.asarray(offsets, dtype=np.int64))
    ends = np.append(known, size)[np.searchsorted(known, np.asarray(wanted, dtype=np.int64), side="right")]
    ranges: list[tuple[int, int]] = []
    for low, end in zip(wanted, ends.tolist(), strict=True):
        high = min(size, end + LOOK)  # readers check what follows a record
        if ranges and low <= ranges[-1][1] + GAP_BYTES:
            ranges[-1] = (ranges[-1][0], max(high, ranges[-1][1]))
        else:
            ranges.append((low, high))
    return ranges
