"""The source as tests read it: modules, what they import, what they define, which names others use."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.support.paths import ROOT

PACKAGES = ("roots", "filters", "pipelines", "trainer")


@dataclass(frozen=True)
class Module:
    """One source file: its dotted name, path and syntax tree."""

    name: str
    path: Path
    tree: ast.Module

    @property
    def place(self) -> str:
        """The path below the checkout."""
        return str(self.path.relative_to(ROOT))


def files() -> list[Path]:
    """All source files of the four packages."""
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def forget() -> None:
    """Drop the syntax trees: those of all files take more than 100 MB."""
    modules.cache_clear()
    _parse.cache_clear()


@cache
def modules() -> Mapping[str, Module]:
    """All modules of the four packages by dotted name."""
    found = {}
    for path in files():
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        found[name] = Module(name, path, _parse(path))
    return found


@cache
def _parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(tree: ast.Module, known: Mapping[str, object]) -> set[str]:
    """The known modules that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    # `from package.module import name` enters the module; `from package import module` enters that one alone
    return {
        name
        for name in found
        if name in known and not any(other.startswith(f"{name}.") for other in found & set(known))
    }


def graph() -> dict[str, set[str]]:
    """Module -> the modules of ours that it imports."""
    known = modules()
    return {name: imported(module.tree, known) - {name} for name, module in known.items()}


def room(module: str) -> str:
    """The room of a module: `pipelines.dedup` for pipelines.dedup.run, the file itself for one on top of a package."""
    return ".".join(module.split(".")[:2])


def room_graph() -> dict[str, set[str]]:
    """Room -> the rooms that it imports."""
    rooms: dict[str, set[str]] = defaultdict(set)
    for name, others in graph().items():
        rooms[room(name)] |= {room(other) for other in others} - {room(name)}
    return rooms


def loops(edges: Mapping[str, set[str]]) -> list[list[str]]:
    """Sets of nodes that reach each other, by Tarjan's algorithm (1972)."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        order[node] = low[node] = len(order)
        stack.append(node)
        for other in sorted(edges.get(node, ())):
            if other not in order:
                visit(other)
            if other in stack:
                low[node] = min(low[node], low[other])
        if low[node] == order[node]:
            loop = []
            while not loop or loop[-1] != node:
                loop.append(stack.pop())
            if len(loop) > 1:
                found.append(sorted(loop))

    for node in sorted(edges):
        if node not in order:
            visit(node)
    return found


_ABOUT_FILES = {
    *("bz2", "fileinput", "glob", "gzip", "io", "lzma", "mmap", "os", "shutil", "sqlite3", "subprocess", "tarfile"),
    *("tempfile", "zipfile", "pyarrow.parquet", "pyarrow.fs", "pathlib.Path", "roots.settings.read_toml"),
    *(f"roots.{name}" for name in ("shards", "stage", "storage", "work")),
}
_OPENERS = {
    *("open", "read_text", "read_bytes", "write_text", "write_bytes", "iterdir"),
    *("load", "save", "savez", "savez_compressed", "memmap", "fromfile", "tofile", "loadtxt", "genfromtxt"),
    *("OSFile", "memory_map"),
}


def file_accesses(source: str) -> list[str]:
    """Code of a source that opens files, or imports what does; reading packaged data in one expression is none.

    Packaged data is what `resources.files("package").joinpath("name").read_text()` reads.
    """
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name in _ABOUT_FILES]
        elif isinstance(node, ast.ImportFrom):
            names = {f"{node.module}.{alias.name}" for alias in node.names} | {str(node.module)}
            found += sorted(names & _ABOUT_FILES)
        elif isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else ast.unparse(node.func)
            if called in _OPENERS and not _is_packaged(node):
                found.append(ast.unparse(node))
    return found


def _is_packaged(node: ast.expr) -> bool:
    """Whether an expression goes on from a call of `resources.files`."""
    while not (isinstance(node, ast.Call) and ast.unparse(node.func) == "resources.files"):
        if isinstance(node, ast.Call):
            node = node.func
        elif isinstance(node, ast.Attribute):
            node = node.value
        elif isinstance(node, ast.BinOp):
            node = node.left
        else:
            return False
    return True


def defined(module: Module) -> Iterator[str]:
    """Names that a module defines on its top level, but for those of its imports."""
    for node in module.tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign):
            yield from (
                name.id for target in node.targets for name in ast.walk(target)
                if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store)
            )  # fmt: skip
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id


def public(module: Module) -> set[str]:
    """Names that a module defines for others; one capital is a type variable."""
    return {name for name in defined(module) if not name.startswith("_") and not re.fullmatch("[A-Z]", name)}


def signatures(module: Module) -> set[str]:
    """Names in the annotations of what a module shows: a caller meets them without importing them."""
    found: set[str] = set()
    for node in ast.walk(module.tree):
        shown = isinstance(node, ast.FunctionDef) and (not node.name.startswith("_") or node.name == "__init__")
        if isinstance(node, ast.FunctionDef) and shown:
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            annotations = [argument.annotation for argument in arguments] + [node.returns]
        elif isinstance(node, ast.AnnAssign):
            annotations = [node.annotation]
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            annotations = list(node.bases)
        else:
            continue
        for annotation in filter(None, annotations):
            found |= {name.id for name in ast.walk(annotation) if isinstance(name, ast.Name)}
    return found


@cache
def _test_files() -> tuple[Path, ...]:
    return tuple(sorted((ROOT / "tests").rglob("*.py")))


def used() -> set[tuple[str, str]]:
    """(module, name) for every name that another file takes from a module, tests and benchmarks among them."""
    known = modules()
    found: set[tuple[str, str]] = set()
    trees = [(module.tree, module.name) for module in known.values()] + [(_parse(path), "") for path in _test_files()]
    for tree, own in trees:
        aliases: dict[str, str] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    found.add((node.module, alias.name))
                    if f"{node.module}.{alias.name}" in known:
                        aliases[alias.asname or alias.name] = f"{node.module}.{alias.name}"
            elif isinstance(node, ast.Import):
                aliases |= {alias.asname: alias.name for alias in node.names if alias.asname and alias.name in known}
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute):
                place, _, name = ast.unparse(node).rpartition(".")
                if aliases.get(place, place) in known and aliases.get(place, place) != own:
                    found.add((aliases.get(place, place), name))
    return found


def quoted() -> set[str]:
    """Words inside the strings of tests and of settings files: names that are reached by text."""
    found: set[str] = set()
    for path in _test_files():
        for node in ast.walk(_parse(path)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found |= set(re.findall(r"\w+", node.value))
    for module in modules().values():
        for node in ast.walk(module.tree):
            match node:
                case ast.Constant(value=str(text)) if re.fullmatch(r"[\w.]+:\w+", text):
                    found.add(text.rpartition(":")[2])
                case ast.Attribute(value=ast.Call(func=ast.Name(id="import_module")), attr=name):
                    found.add(name)
    return found | set(re.findall(r"\w+", (ROOT / "pyproject.toml").read_text(encoding="utf-8")))
