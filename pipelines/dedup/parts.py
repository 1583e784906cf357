"""The shards of sub-steps that are cut into numbered parts: plan and stage look up the same table, name -> number.

Names are in the order of numbers, so that Scratch reads parts in that order.
"""

from collections.abc import Mapping
from functools import cache


def _numbered(kind: str, digits: int, count: int) -> dict[str, int]:
    digits = max(digits, len(str(count - 1)))
    return {f"{kind}-{number:0{digits}d}.parquet": number for number in range(count)}


@cache
def parts_of(count: int) -> Mapping[str, int]:
    """Parts of all documents, keys or sources: {"part-0003.parquet": 3}."""
    return _numbered("part", 4, count)


@cache
def groups_of(count: int) -> Mapping[str, int]:
    """Groups of documents that are settled together: {"group-000007.parquet": 7}."""
    return _numbered("group", 6, count)


@cache
def band_parts_of(bands: int, count: int) -> Mapping[str, tuple[int, int]]:
    """Parts of the keys of each band: {"band-003-part-0001.parquet": (3, 1)}."""
    parts = _numbered("part", 4, count)
    return {f"band-{band:03d}-{name}": (band, part) for band in range(bands) for name, part in parts.items()}
