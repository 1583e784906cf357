"""Compiled passes are kept on disk, and never older than any source they were made from."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
IMPORT = "from filters.compiled import compiled\n"
HELPER = IMPORT + "SCALE = {}\n@compiled\ndef helper(x):\n    return x * SCALE\n"
CALLER = IMPORT + "from helper import helper\n@compiled\ndef caller(x):\n    return helper(x)\n"
SCRIPT = "from caller import caller\nprint(caller(1), sum(caller.stats.cache_hits.values()))"


def run(folder: Path, **environment: str) -> str:
    path = os.pathsep.join([str(folder), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT],
        env={**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", **environment},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.strip()


def test_a_change_in_another_file_compiles_anew(tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text(HELPER.format(2))
    (tmp_path / "caller.py").write_text(CALLER)
    assert run(tmp_path) == "2 0"
    assert run(tmp_path) == "2 1"  # kept
    (tmp_path / "helper.py").write_text(HELPER.format(3))
    assert run(tmp_path) == "3 0"


def test_where_nothing_may_be_written_it_compiles_all_the_same(tmp_path: Path) -> None:
    folder = tmp_path / "sources"
    folder.mkdir()
    (folder / "helper.py").write_text(HELPER.format(2))
    (folder / "caller.py").write_text(CALLER)
    (folder / "__pycache__").write_text("a file, so that no folder of this name can be made")
    assert run(folder, HOME="/proc/none", XDG_CACHE_HOME="/proc/none", NUMBA_CACHE_DIR="") == "2 0"
