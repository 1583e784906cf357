"""A disk that is full: a clear error, nothing half written, and the same command goes on when there is room."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipelines.cli.main import main
from tests.support.killing import CRAWL, check_whole, digests


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A tmpfs of 200 KB, where this machine lets us mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    if not shutil.which("mount"):
        pytest.skip("no mount command")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(place)], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a small tmpfs is not permitted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def run(work: Path, code: int) -> str:
    arguments = ["run", str(work), "--input", str(CRAWL / "*.gz"), "--lang", "fr", "--quiet", "--executor", "serial"]
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result.output


def test_a_full_disk_is_named_and_a_later_run_goes_on(small_disk: Path, tmp_path: Path) -> None:
    said = run(small_disk / "work", code=1)
    assert "no space left to write" in said
    assert "free some" in said
    assert not [path for path in small_disk.rglob("*.tmp") if "parquet" in path.name]
    check_whole(small_disk / "work")
    subprocess.run(["mount", "-o", "remount,size=50m", str(small_disk)], check=True)
    run(small_disk / "work", code=0)
    run(tmp_path / "roomy", code=0)
    assert digests(small_disk / "work") == digests(tmp_path / "roomy")
