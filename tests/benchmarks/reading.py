"""Read every page of an archive to its last byte, with one reader, and print how long that took.

`python -m tests.benchmarks.reading READER FILE` with a name from READERS. Bodies are given as bytes, their chunking and
content coding undone. A first reading, not timed, imports what is needed and adds up checksums, by which the readers
are seen to give the same; then the faster of two counts.
"""

import json
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path


def with_warcio(path: Path) -> Iterator[bytes]:
    """Bodies as warcio gives them."""
    from warcio.archiveiterator import ArchiveIterator

    with path.open("rb") as file:
        for record in ArchiveIterator(file):
            if record.rec_type == "response":
                yield record.content_stream().read()


def with_roots(path: Path) -> Iterator[bytes]:
    """Bodies as our index stage gets them, with all its checks for broken records."""
    from pipelines.archives.limits import Limits
    from pipelines.archives.records import read_records

    for record in read_records(path, Limits()):
        if record.kind == "response":
            yield record.body


READERS: dict[str, Callable[[Path], Iterator[bytes]]] = {"warcio": with_warcio, "roots": with_roots}


def main(reader: str, path: Path) -> dict[str, float]:
    """Read the archive three times, the last two of them timed."""
    pages = size = checksum = 0
    for body in READERS[reader](path):
        pages += 1
        size += len(body)
        checksum ^= zlib.crc32(body)
    cpu = wall = float("inf")
    for _ in range(2):
        began, began_cpu = time.monotonic(), time.process_time()
        if sum(len(body) for body in READERS[reader](path)) != size:
            raise ValueError(f"{reader} read {path} differently the second time")
        cpu = min(cpu, time.process_time() - began_cpu)
        wall = min(wall, time.monotonic() - began)
    return {"pages": pages, "bytes": size, "checksum": checksum, "cpu_seconds": cpu, "wall_seconds": wall}


if __name__ == "__main__":
    sys.stdout.write("\nRESULT " + json.dumps(main(sys.argv[1], Path(sys.argv[2]))) + "\n")
