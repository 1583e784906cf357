"""Tables over all code points are kept on disk, and built anew where they are damaged, stale or cannot be kept."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from filters.text import tables


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place of its own for the tables, instead of the one beside the source."""
    path = tmp_path / "held" / "table.npz"
    monkeypatch.setattr(tables, "_path_of", lambda build: path)
    return path


def counted(result: tables.Arrays) -> tuple[list[int], Callable[[], tables.Arrays]]:
    calls: list[int] = []

    def build() -> tables.Arrays:
        calls.append(1)
        return result

    return calls, build


def test_a_table_is_built_once_and_read_by_the_next(place: Path) -> None:
    calls, build = counted((np.arange(9), np.ones(2, np.uint8)))
    for _ in range(3):  # three processes
        found = tables.kept(build)()
        assert [list(array) for array in found] == [list(range(9)), [1, 1]]
        assert found[1].dtype == np.uint8
    assert len(calls) == 1
    assert sorted(path.name for path in place.parent.iterdir()) == ["table.npz"]


@pytest.mark.parametrize("damage", [b"", b"no archive", "half", "flipped"])
def test_a_damaged_table_is_built_anew(place: Path, damage: bytes | str) -> None:
    calls, build = counted((np.arange(999), np.ones(2)))
    tables.kept(build)()
    whole = place.read_bytes()
    flipped = whole[:1500] + bytes([whole[1500] ^ 1]) + whole[1501:]
    place.write_bytes({"half": whole[: len(whole) // 2], "flipped": flipped}.get(str(damage), b""))
    assert list(tables.kept(build)()[0]) == list(range(999))
    assert len(calls) == 2
    assert place.read_bytes() == whole


def test_where_nothing_may_be_written_it_is_built_all_the_same(place: Path) -> None:
    place.parent.write_text("a file, so that no folder of this name can be made")
    calls, build = counted((np.arange(9), np.ones(2)))
    assert list(tables.kept(build)()[0]) == list(range(9))
    assert len(calls) == 1


def test_a_single_array_comes_back_as_one(place: Path) -> None:
    for _ in range(2):
        assert tables.kept(lambda: np.arange(9))().tolist() == list(range(9))
