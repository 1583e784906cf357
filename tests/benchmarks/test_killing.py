"""A few of the runs of tests/support/killing.py: killed at random moments, resumed, the same bytes."""

from pathlib import Path

import pytest

from tests.benchmarks.catalogue import kill_in_a_row
from tests.support.killing import kill_often
from tests.support.sources import write_sources


@pytest.mark.slow
def test_a_killed_run_resumes_to_the_same_bytes(tmp_path: Path) -> None:
    assert kill_often(tmp_path, "fr", runs=3, seed=42) == 0


@pytest.mark.slow
def test_a_killed_catalogue_run_resumes_to_the_same_bytes(tmp_path: Path) -> None:
    assert kill_in_a_row(write_sources(tmp_path / "sources", 12, 4), tmp_path, kills=3, seed=3)
