"""Where a document of a pseudocrawl came from, and why a capture of a seed never became one."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from roots import shards

_STEPS = ("lookup", "select", "fetch")


def captures_of(work: Path, url: str) -> Iterator[tuple[str, bool]]:
    """What the steps of the pseudocrawl say of a URL: a line for each capture and step, and whether it was fetched."""
    for step in _STEPS:
        for path in sorted((work / "pseudocrawl" / step).glob("*.parquet")):
            for batch in shards.read(path, ["id", "url", "drop", "seed"]):
                for row in batch.filter(pc.equal(batch["url"], pa.scalar(url))).to_pylist():
                    verdict = f"DROPPED: {row['drop']}" if row["drop"] else "kept"
                    yield (
                        f"  {step:<8} {verdict}   {row['id']}   seed {row['seed']}",
                        step == "fetch" and not row["drop"],
                    )
