"""An archive at a URL as a file of this machine: all of it, or only the records that are wanted.

Pages are read by a guarded process that knows no network and no credentials, so they are fetched for it. Of the wanted
records the bytes are asked for by range, ranges that lie near each other as one; the file that comes of it is as long
as the archive, with holes where nothing is read. Most languages are a small part of a crawl: then this is a small part
of its bytes.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from pipelines.archives.packing import LOOK, STEP, is_one_stream, recognise
from roots import shards, storage
from roots.errors import InputError

GAP_BYTES = 256 << 10  # a hole smaller than this is fetched too: a request costs as much
_WHOLE_SHARE = 0.6  # of an archive; where more is wanted, all of it is fetched


@contextmanager
def on_this_machine(archive: Path, wanted: Sequence[int] | None = None, index: Path | None = None) -> Iterator[Path]:
    """The archive as a file of the same name on this machine, for as long as it is open; where it lies, if it does.

    `wanted` are the offsets (ascending) of the records that will be read, `index` the shard that tells where the others
    begin. Raises InputError for what is not there, ShardError where a server does not answer.
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
    """Fetch what is needed to read the wanted records; False where that cannot be known, or is most of the archive."""
    size = storage.size_of(archive)
    offsets = [offset for batch in shards.read(index, ["offset"]) for offset in batch["offset"].to_pylist()]
    ranges = ranges_of(wanted, offsets, size)
    if sum(high - low for low, high in ranges) > _WHOLE_SHARE * size:
        return False
    storage.fetch(archive, local, [(0, STEP)])
    try:
        found = recognise(local)
    except InputError:  # no web archive: its offsets are no places in the file
        return False
    if is_one_stream(found):
        return False
    storage.fetch(archive, local, ranges)
    return all(found.begins_at(offset) for offset in wanted)


def ranges_of(wanted: Sequence[int], offsets: Sequence[int], size: int) -> list[tuple[int, int]]:
    """The bytes (from, up to) of the wanted records, each up to where the next one begins, and a little of that.

    `offsets` are of all records that are known, in any order; `size` is the length of the archive.
    """
    known = np.unique(np.asarray(offsets, dtype=np.int64))
    ends = np.append(known, size)[np.searchsorted(known, np.asarray(wanted, dtype=np.int64), side="right")]
    ranges: list[tuple[int, int]] = []
    for low, end in zip(wanted, ends.tolist(), strict=True):
        high = min(size, end + LOOK)  # readers look at what follows a record
        if ranges and low <= ranges[-1][1] + GAP_BYTES:
            ranges[-1] = (ranges[-1][0], max(high, ranges[-1][1]))
        else:
            ranges.append((low, high))
    return ranges
