"""Compiled passes are cached on disk, and made again when any source they were made from changes."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from filters.text import compiled
from tests.support.paths import ROOT

IMPORT = "from filters.text.compiled import compiled\n"
HELPER = IMPORT + "SCALE = {}\n@compiled\ndef helper(x):\n    return x * SCALE\n"
CALLER = IMPORT + "from work.helper import helper\n@compiled\ndef caller(x):\n    return helper(x)\n"
SCRIPT = "from work.caller import caller\nprint(caller(1), sum(caller.stats.cache_hits.values()))"


def run(folder: Path, **environment: str) -> str:
    path = os.pathsep.join([str(folder), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT],
        env={**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", **environment},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.strip()


def write(folder: Path, sources: dict[str, str]) -> Path:
    """Write modules by their dotted names, each folder a package; gives back the folder of the whole."""
    for name, source in sources.items():
        path = folder.joinpath(*name.split(".")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
        for parent in path.relative_to(folder).parents[:-1]:
            (folder / parent / "__init__.py").touch()
    return folder


def test_a_change_in_another_file_compiles_again(tmp_path: Path) -> None:
    write(tmp_path, {"work.helper": HELPER.format(2), "work.caller": CALLER})
    assert run(tmp_path) == "2 0"
    assert run(tmp_path) == "2 1"  # cached
    write(tmp_path, {"work.helper": HELPER.format(3)})
    assert run(tmp_path) == "3 0"


PAIR = "from typing import NamedTuple\nclass {0}(NamedTuple):\n    low: int\nPAIR = {0}(2)\n"
TAKER = (
    IMPORT + "from work import pair\n@compiled\ndef inner(p):\n    return p.low\n"
    "def caller(x):\n    return inner(pair.PAIR)\ncaller.stats = inner.stats\n"
)


def test_a_class_that_was_renamed_compiles_again(tmp_path: Path) -> None:
    write(tmp_path, {"work.pair": PAIR.format("Pair"), "work.caller": TAKER})
    assert run(tmp_path) == "2 0"
    assert run(tmp_path) == "2 1"  # cached
    write(tmp_path, {"work.pair": PAIR.format("Range")})
    assert run(tmp_path) == "2 0"


def test_where_nothing_may_be_written_it_compiles_all_the_same(tmp_path: Path) -> None:
    write(tmp_path, {"work.helper": HELPER.format(2), "work.caller": CALLER})
    (tmp_path / "work" / "__pycache__").write_text("a file, so that no folder of this name can be made")
    assert run(tmp_path, HOME="/proc/none", XDG_CACHE_HOME="/proc/none", NUMBA_CACHE_DIR="") == "2 0"


@pytest.mark.parametrize(
    "statement",
    [
        "from work.tables.lower import LOWER",
        "from work.tables import lower",
        "from work.tables import (\n    upper,  # (both)\n    lower,\n)",
        "from work.tables import upper, \\\n    lower",
        "from work.tables.lower import *",
        "import work.tables.lower",
        "import os, work.tables.lower as lower",
        "import os; import work.tables.lower",
        "def late():\n    from work.tables import lower",
        "if True: import work.tables.lower",
        "from work.text.middle import LOWER",
        "from roots.lower import LOWER",
        "from ..tables.lower import LOWER",
        "from ..tables import (\n    lower,\n)",
        "from .. import tables as t\nfrom .middle import LOWER",
    ],
)
def test_the_digest_follows_an_import_into_any_folder(tmp_path: Path, statement: str) -> None:
    digests = []
    for value in (1, 2):
        table = f"LOWER = {value}\n"
        middle = "from work.tables.lower import LOWER\n"
        sources = {"work.tables.lower": table, "roots.lower": table, "work.text.middle": middle}
        folder = write(tmp_path / str(value), {**sources, "work.text.passes": f"{statement}\n"})
        digests.append(compiled.digest_of(folder / "work" / "text" / "passes.py"))
    assert digests[0] != digests[1]


def test_the_digest_stays_when_a_file_changes_that_nothing_imports(tmp_path: Path) -> None:
    digests = []
    for value in (1, 2):
        sources = {"work.text.passes": "from work.text import table\n", "work.text.table": "T = 1\n"}
        others = {"work.text.other": f"T = {value}\n", "numpy.other": f"T = {value}\n"}
        folder = write(tmp_path / str(value), {**sources, **others})
        digests.append(compiled.digest_of(folder / "work" / "text" / "passes.py"))
    assert digests[0] == digests[1]


@pytest.mark.parametrize("path", sorted((ROOT / "filters").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_import_of_ours_is_overlooked(path: Path) -> None:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    assert names <= compiled._scan(path)[1]
