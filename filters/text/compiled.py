"""Compiles functions with Numba: every compiled pass of this package goes through here.

Compiling takes about a second per function, loading a compiled one a few milliseconds. Numba keeps compiled functions
beside the source, or in the user's cache folder where the source folder is read-only. Where both are read-only, every
process compiles for itself, which is slow but correct.

Numba reuses a cached function as long as its own file is unchanged. But the functions it calls and the constants it
uses are compiled into it, from whatever file: after a change in one file, passes of another would keep the old code.
So a digest of the source, and of every module of ours that it imports, is part of the version of a cached function.
"""

import hashlib
import re
from collections.abc import Callable
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

from roots.process import absent

# Numba imports these on the first call, for passes that multiply matrices or call C; we have none.
with absent("scipy.linalg"):
    import numba.np.arraymath
with absent("cffi"):
    import numba.core.typing.cffi_utils

_F = TypeVar("_F", bound=Callable[..., object])


# An import statement, anywhere in a file, to the end of its line or parentheses. Python's own parser takes ten times as
# long; prose that looks like an import names no module and does no harm.
_IMPORT = re.compile(r"(?:^|[:;])[ \t]*((?:from|import)\b(?:[^(\n\\]|\\\n)*(?:\((?:#[^\n]*|[^)#])*\))?)", re.MULTILINE)
_PACKAGES = {"filters", "roots"}  # packages that a pass may use besides its own


@cache
def _scan(file: Path, package: str = "") -> tuple[str, frozenset[str]]:
    """Digest of a source of a package, and the dotted names it imports: a, a.b and a.b.c for `from a.b import c`."""
    source = file.read_bytes()
    names: set[str] = set()
    for statement in _IMPORT.findall(source.decode("utf-8")):
        word, *modules = re.findall(r"[\w.]+", statement)
        if word == "from":
            modules[0] = _absolute(modules[0], package)
            modules = [*modules[:1], *(f"{modules[0]}.{name}" for name in modules[1:])]
        for module in modules:
            names.update(accumulate(module.split("."), "{}.{}".format))
    return hashlib.sha256(source).hexdigest(), frozenset(names)


def _absolute(module: str, package: str) -> str:
    """The full name of a module that a source of `package` imports: of `..text`, in the package a.b, it is a.text."""
    name = module.lstrip(".")
    up = len(module) - len(name)
    above = package.split(".")[: len(package.split(".")) - up + 1] if up else []
    return ".".join([*above, name] if name else above)


@cache
def _module(root: Path, name: str) -> Path | None:
    """The source of a module or package below `root` by its dotted name; None where there is none."""
    path = root.joinpath(*name.split("."))
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


@cache
def digest_of(file: Path) -> str:
    """Digest of a source and of all modules of its own package, filters and roots that it imports, also indirectly."""
    root = file.parent
    while (root / "__init__.py").is_file():
        root = root.parent
    packages = {*_PACKAGES, file.relative_to(root).parts[0]}
    todo, digests = [file], dict[str, str]()
    while todo:
        path = todo.pop()
        key = path.relative_to(root).as_posix()
        if key in digests:
            continue
        digests[key], names = _scan(path, ".".join(path.relative_to(root).parts[:-1]))
        modules = (_module(root, name) for name in names if name.partition(".")[0] in packages)
        todo += [module for module in modules if module]
    return hashlib.sha256(repr(sorted(digests.items())).encode()).hexdigest()


def compiled(function: _F) -> _F:
    """Compile `function` in Numba's nopython mode, cached on disk where a folder for it is writable."""
    try:
        made: Any = numba.njit(cache=True, nogil=True)(function)
    except RuntimeError as error:
        if "no locator available" not in str(error):
            raise
        return cast(_F, numba.njit(nogil=True)(function))
    index = made._cache._cache_file  # not public; tests/filters/text/test_compiled.py fails when Numba moves it
    # Numba compares the version before it unpickles the rest, which may name a class that is gone.
    index._version = f"{index._version} {digest_of(Path(function.__code__.co_filename))}"
    return cast(_F, made)


def inlined(function: _F) -> _F:
    """Compile `function` into the passes that call it: for small parts of a loop over every character.

    LLVM alone leaves some of them as calls, which makes such a loop a third slower.
    """
    return cast(_F, numba.njit(nogil=True, forceinline=True)(function))
