"""What was fetched: records kept from earlier runs, so that none is asked for twice, and the captures of a URL.

<folder>/<name>.parquet    what came of each range (pipelines.pseudocrawl.fetch)
<folder>/<name>.warc.gz    the records
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.addresses import same_address
from roots import shards, storage
from roots.errors import ShardError
from roots.shards import BATCH_ROWS

_COLUMNS = ("id", "archive_offset", "length")
_STEPS = ("lookup", "select", "fetch")


@dataclass(frozen=True)
class Earlier:
    """A folder of archives from earlier runs, kept until the run that may need them has ended."""

    folder: Path

    def retire(self, shard: Path, archive: Path) -> None:
        """Move a shard and its archive here: the archive first, so that no shard is left without one."""
        receipt = shards.read_receipt(shard)
        if receipt is not None and storage.is_file(archive):
            storage.make_folder(self.folder)
            name = f"{receipt.fingerprint[:16]}-{shard.stem}"
            storage.move(archive, self.folder / f"{name}.warc.gz")
            storage.move(shard, self.folder / f"{name}.parquet")
        else:
            storage.remove(shard)

    def keep(self, name: str, schema: pa.Schema, rows: Sequence[Mapping[str, object]], archive: Path) -> None:
        """Keep an unfinished part: its rows, and the temporary file with its records."""
        storage.make_folder(self.folder)
        number = 0
        while storage.is_file(target := self.folder / f"unfinished-{number:03d}-{name}"):
            number += 1
        storage.move(archive, target.with_suffix(".warc.gz"))
        batches = (
            pa.RecordBatch.from_pylist(list(rows[start : start + BATCH_ROWS]), schema=schema)
            for start in range(0, len(rows), BATCH_ROWS)
        )
        shards.write(target, schema, batches, "fetch", 0, "unfinished")

    def find(self, ids: Iterable[str]) -> dict[str, tuple[Path, int, int]]:
        """Where the records of these captures are, of those that are here: archive, offset, length."""
        wanted = pa.array(sorted(ids), pa.string())
        found: dict[str, tuple[Path, int, int]] = {}
        for shard in storage.files_in(self.folder, "*.parquet"):
            for batch in shards.read_kept([shard], _COLUMNS):
                for row in batch.filter(pc.is_in(batch["id"], wanted)).to_pylist():
                    found[row["id"]] = (shard.with_suffix(".warc.gz"), row["archive_offset"], row["length"])
        return found

    def clear(self) -> None:
        """Remove everything: the run has ended, and its archives hold what is still wanted."""
        for path in storage.files_in(self.folder, "*"):
            storage.remove(path)
        if not storage.is_remote(self.folder) and self.folder.is_dir():
            self.folder.rmdir()


def read_record(place: tuple[Path, int, int]) -> bytes:
    """The bytes of a record at (archive, offset, length); fewer if the archive is damaged."""
    archive, offset, length = place
    try:
        with storage.open_binary(archive) as file:
            file.seek(offset)
            return file.read(length)
    except OSError as error:
        raise ShardError(f"cannot read {archive}: {error.strerror or error}") from None


def captures_of(work: Path, url: str) -> Iterator[tuple[str, bool]]:
    """What the steps of the pseudocrawl say about a URL: a line for each capture and step, and whether it was fetched.

    If no capture is of exactly this URL, those of its other spellings count. For `roots why`.
    """
    exact: list[tuple[str, bool]] = []
    near: list[tuple[str, bool]] = []
    for step in _STEPS:
        for path in storage.files_in(work / "pseudocrawl" / step, "*.parquet"):
            for batch in shards.read(path, ["id", "url", "drop", "seed"]):
                for row in batch.filter(same_address(batch["url"], url)).to_pylist():
                    verdict = f"DROPPED: {row['drop']}" if row["drop"] else "kept"
                    line = f"  {step:<8} {verdict}   {row['id']}   seed {row['seed']}"
                    fetched = step == "fetch" and not row["drop"]
                    if row["url"] == url:
                        exact.append((line, fetched))
                    else:
                        near.append((f"{line}   {row['url']}", fetched))
    yield from exact or near
