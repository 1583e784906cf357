"""A work folder that cannot be one is named in a line, before any work."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from pipelines.cli.main import main
from tests.support.paths import ROOT

ARCHIVE = ROOT / "tests" / "fixtures" / "crawl" / "example-2024-00000.warc.gz"


def roots(*arguments: str | Path) -> tuple[int, str]:
    """The exit code of a run in this process, and what it prints; a traceback is raised."""
    words = ["run", *map(str, arguments), "--lang", "sw", "--quiet", "--executor", "serial"]
    result = CliRunner().invoke(main, words, catch_exceptions=False)
    return result.exit_code, result.output


@pytest.mark.parametrize("taken", ["work/sw", "work/index", "work/all", "work"])
@pytest.mark.parametrize("more", [(), ("--dry-run",)])
def test_a_file_where_a_folder_has_to_be_is_named(taken: str, more: tuple[str, ...], tmp_path: Path) -> None:
    place = tmp_path / taken
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("a letter")
    work = tmp_path / "work" if taken != "work" else place / "below"
    code, said = roots(work, "--input", ARCHIVE, *more)
    assert (code, said.count("\n")) == (2, 1)
    assert f"{place} is a file" in said
    assert place.read_text() == "a letter"


def test_a_folder_that_cannot_be_made_is_named() -> None:
    code, said = roots("/proc/corpus", "--input", ARCHIVE)
    assert code == 2
    assert "cannot make the folder /proc/corpus" in said


def test_a_new_work_folder_needs_inputs(tmp_path: Path) -> None:
    code, said = roots(tmp_path / "new")
    assert code == 2
    assert "--input" in said
    assert "roots index" not in said
