"""Records that were fetched before, for another list of seeds or by a run that had to stop: never asked for twice.

<folder>/<name>.parquet    what came of each range (pipelines.pseudocrawl.FETCH)
<folder>/<name>.warc.gz    the records
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from roots import shards
from roots.errors import ShardError
from roots.shards import BATCH_ROWS

COLUMNS = ("id", "archive_offset", "length")


@dataclass(frozen=True)
class Earlier:
    """A folder of archives that are in the way of nobody, kept until the run that may need them has ended."""

    folder: Path

    def retire(self, shard: Path, archive: Path) -> None:
        """Put a shard and its archive away: the archive first, so that no shard is left without one."""
        receipt = shards.read_receipt(shard)
        if receipt is not None and archive.is_file():
            self.folder.mkdir(parents=True, exist_ok=True)
            name = f"{receipt.fingerprint[:16]}-{shard.stem}"
            archive.replace(self.folder / f"{name}.warc.gz")
            shard.replace(self.folder / f"{name}.parquet")
        else:
            shard.unlink(missing_ok=True)

    def keep(self, name: str, schema: pa.Schema, rows: Sequence[Mapping[str, Any]], archive: Path) -> None:
        """Put away what an unfinished part has: its rows, and the temporary file with its records."""
        self.folder.mkdir(parents=True, exist_ok=True)
        number = 0
        while (target := self.folder / f"unfinished-{number:03d}-{name}").exists():
            number += 1
        archive.replace(target.with_suffix(".warc.gz"))
        batches = (
            pa.RecordBatch.from_pylist(list(rows[start : start + BATCH_ROWS]), schema=schema)
            for start in range(0, len(rows), BATCH_ROWS)
        )
        shards.write(target, schema, batches, "fetch", 0, "unfinished")

    def find(self, ids: Iterable[str]) -> dict[str, tuple[Path, int, int]]:
        """Of these captures, those that are here: archive, offset, length."""
        wanted = pa.array(sorted(ids), pa.string())
        found: dict[str, tuple[Path, int, int]] = {}
        for shard in sorted(self.folder.glob("*.parquet")):
            for batch in shards.read_kept([shard], COLUMNS):
                for row in batch.filter(pc.is_in(batch["id"], wanted)).to_pylist():
                    found[row["id"]] = (shard.with_suffix(".warc.gz"), row["archive_offset"], row["length"])
        return found

    def clear(self) -> None:
        """Remove all of it: the run has ended, and its archives hold what is still wanted."""
        for path in sorted(self.folder.glob("*")):
            path.unlink(missing_ok=True)
        if self.folder.is_dir():
            self.folder.rmdir()


def read_record(place: tuple[Path, int, int]) -> bytes:
    """The bytes of a record that was fetched before; none where its archive is damaged."""
    archive, offset, length = place
    try:
        with archive.open("rb") as file:
            file.seek(offset)
            return file.read(length)
    except OSError as error:
        raise ShardError(f"cannot read {archive}: {error.strerror or error}") from None
