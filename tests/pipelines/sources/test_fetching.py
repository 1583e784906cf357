"""Which bytes of an archive are asked for."""

import pytest

from pipelines.archives.packing import LOOK
from pipelines.sources.doors import GAP_BYTES, ranges_of

FAR = GAP_BYTES * 4


@pytest.mark.parametrize(
    ("wanted", "ranges"),
    [
        ([], []),
        ([0], [(0, 100 + LOOK)]),
        ([0, 100], [(0, 200 + LOOK)]),
        ([100, FAR], [(100, 200 + LOOK), (FAR, FAR + 50 + LOOK)]),
        ([2 * FAR], [(2 * FAR, 2 * FAR + 1000)]),
    ],
    ids=["none", "first", "neighbours are one", "far ones are two", "the last ends with the file"],
)
def test_a_record_reaches_to_the_next_and_a_little_further(wanted: list[int], ranges: list[tuple[int, int]]) -> None:
    offsets = [200, 0, 100, FAR, FAR + 50, 2 * FAR]
    assert ranges_of(wanted, offsets, 2 * FAR + 1000) == ranges
