"""A few of the runs of tests/support/killing.py: killed at random moments, resumed, the same bytes."""

from pathlib import Path

import pytest

from tests.support.killing import kill_often


@pytest.mark.slow
def test_a_killed_run_resumes_to_the_same_bytes(tmp_path: Path) -> None:
    assert kill_often(tmp_path, "fr", runs=3, seed=42) == 0
