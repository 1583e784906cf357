"""Who may import whom, walked over every import of every file."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.support.source import file_accesses, forget, graph, loops, room_graph

OURS = {
    "roots": set[str](),
    "filters": {"roots"},
    "trainer": {"roots"},
    "pipelines": {"roots", "filters", "trainer"},
}
FILES = sorted(path for package in OURS for path in (ROOT / package).rglob("*.py"))


@pytest.fixture(scope="module", autouse=True)
def _trees_are_forgotten() -> Iterator[None]:
    yield
    forget()


def imports(path: Path) -> set[str]:
    """First words of all modules a file imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: write imports from the top"
            found.add((node.module or "").partition(".")[0])
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    used = imports(path)
    assert used & set(OURS) <= OURS[package] | {package}
    assert package == "trainer" or "torch" not in used
    if package == "roots":
        assert not used & {"click", "numba", "trafilatura", "fastwarc", "resiliparse", "fasttext"}


def broad_handlers(tree: ast.Module) -> list[int]:
    """Lines of `except` clauses that catch everything: bare, by name, inside a tuple, or by the name of a tuple."""
    tuples = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler):
            kind = tuples.get(node.type.id, node.type) if isinstance(node.type, ast.Name) else node.type
            names = {name.id for name in ast.walk(kind) if isinstance(name, ast.Name)} if kind else {"Exception"}
            if names & {"Exception", "BaseException"}:
                found.append(node.lineno)
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_executors_catch_everything(path: Path) -> None:
    broad = broad_handlers(ast.parse(path.read_text(encoding="utf-8")))
    assert not broad or path == ROOT / "roots" / "executors" / "local.py", f"broad except in lines {broad}"


@pytest.mark.parametrize("clause", ["except:", "except Exception:", "except (OSError, Exception):", "except ALL:"])
def test_a_broad_clause_is_found(clause: str) -> None:
    assert broad_handlers(ast.parse(f"ALL = (ValueError, BaseException)\ntry:\n    f()\n{clause}\n    g()")) == [4]


EXECUTORS = {"Local", "Serial", "Threads", "Ray"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_stage_code_does_not_know_its_executor(path: Path) -> None:
    asked = [
        node.lineno
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ("isinstance", "issubclass")
        and EXECUTORS & {name.id for name in ast.walk(node) if isinstance(name, ast.Name)}
    ]
    assert not asked or path.parent == ROOT / "roots" / "executors", f"asks for its executor in lines {asked}"


CONNECTIONS = {"socket", "ssl", "http", "urllib3", "requests", "fsspec", "s3fs", "gcsfs", "huggingface_hub", "upath"}
CONNECTED = {
    "roots/storage.py": "URLs in place of paths",
    "roots/atomic.py": "the name of this machine",
    "pipelines/extraction/guard.py": "a pair of sockets to a child",
    "pipelines/watching/status.py": "the name of this machine",
    "trainer/model/checkpoint.py": "the name of this machine",
    "pipelines/publishing/push.py": "the Hub",
    "pipelines/pseudocrawl": "the servers of a crawl",
}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_few_files_open_connections(path: Path) -> None:
    place = path.relative_to(ROOT)
    allowed = {str(place), str(place.parent)} & set(CONNECTED)
    assert allowed or not imports(path) & CONNECTIONS, f"{place} imports {imports(path) & CONNECTIONS}"


ANYWHERE = (  # a work folder may be at a URL
    "pipelines/dedup", "pipelines/watching", "pipelines/why.py", "pipelines/verify.py", "pipelines/shard.py",
    "pipelines/pipeline.py", "pipelines/dataset.py", "roots/stage.py",
)  # fmt: skip
ON_DISK = {"pipelines/dedup/run.py", "pipelines/dedup/released.py"}  # the space of a disk, and releases


@pytest.mark.parametrize("place", ANYWHERE)
def test_a_work_folder_is_listed_by_the_functions_that_ask_a_server_again(place: str) -> None:
    files = sorted((ROOT / place).rglob("*.py")) or [ROOT / place]
    for path in files:
        called = {
            node.func.attr
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        }
        assert str(path.relative_to(ROOT)) in ON_DISK or not called & {"glob", "rglob", "iterdir", "unlink"}, path


def test_no_file_imports_itself_through_others() -> None:
    assert loops(graph()) == []


def test_no_room_imports_itself_through_others() -> None:
    assert loops(room_graph()) == []


def test_a_loop_is_found() -> None:
    assert loops({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == [["b", "c"]]


OPENED = {
    "filters/text/compiled.py": {"pathlib.Path", "file.read_bytes()"},  # digests of the sources that it compiles
}


@pytest.mark.parametrize("path", sorted((ROOT / "filters").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_filters_open_no_file_but_packaged_data(path: Path) -> None:
    found = set(file_accesses(path.read_text(encoding="utf-8")))
    assert found == OPENED.get(str(path.relative_to(ROOT)), set())


@pytest.mark.parametrize(
    ("line", "is_found"),
    [
        ("open(name)", True),
        ("with open(name) as file: pass", True),
        ("from pathlib import Path", True),
        ("path.read_bytes()", True),
        ("here.joinpath('x').open('rb')", True),
        ("np.load(name)", True),
        ("import os", True),
        ("import numpy as np, tempfile", True),
        ("from roots.settings import build, read_toml", True),
        ("from roots.settings import build", False),
        ("from pathlib import PurePosixPath", False),
        ("resources.files('filters.languages').joinpath('fr.toml').read_text()", False),
        ("(resources.files('filters') / 'models' / 'x').read_bytes()", False),
        ("text.replace('a', 'b')", False),
    ],
)
def test_an_opened_file_is_found(line: str, is_found: bool) -> None:
    assert bool(file_accesses(line)) == is_found


def test_no_data_is_unpickled() -> None:
    users = [str(path) for path in FILES if imports(path) & {"pickle", "dill", "shelve", "marshal"}]
    assert users == []
