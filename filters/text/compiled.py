"""One way to compile a function with Numba, used by every compiled pass of this package.

Compiling costs about a second a function, loading a compiled one a few milliseconds. Numba keeps what it compiled
beside the source, or in the user's cache folder where the source may not be written. Where neither may be written
(a read-only installation run by a user without a home) it refuses to cache at all; the function is then compiled
again in every process, which is slow but right.

Numba reuses a cached function as long as its own file is unchanged. But what it calls and the constants it uses are
compiled into it, wherever they are: after a change in one file, the passes of another would go on with the old ones.
So the version here has a digest of the source and of every module of ours that it imports, directly or through others.
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

# Asked for when these are loaded, at the first call; used by passes that multiply matrices, and that call C.
with absent("scipy.linalg"):
    import numba.np.arraymath
with absent("cffi"):
    import numba.core.typing.cffi_utils

F = TypeVar("F", bound=Callable[..., object])


# An import statement, wherever in a file, up to the end of its line or of its parentheses. Python's own parser takes
# ten times as long, at every start; prose that looks like an import only names what is no module.
_IMPORT = re.compile(r"(?:^|[:;])[ \t]*((?:from|import)\b(?:[^(\n\\]|\\\n)*(?:\((?:#[^\n]*|[^)#])*\))?)", re.MULTILINE)
_PACKAGES = {"filters", "roots"}  # a pass may use these beside its own package


@cache
def _scan(file: Path) -> tuple[str, frozenset[str]]:
    """Digest of a source, and the dotted names it imports: of `from a.b import c`, a, a.b and a.b.c."""
    source = file.read_bytes()
    names: set[str] = set()
    for statement in _IMPORT.findall(source.decode("utf-8")):
        word, *modules = re.findall(r"[\w.]+", statement)
        if word == "from":
            modules = [*modules[:1], *(f"{modules[0]}.{name}" for name in modules[1:])]
        for module in modules:
            names.update(accumulate(module.split("."), "{}.{}".format))
    return hashlib.sha256(source).hexdigest(), frozenset(names)


@cache
def _module(root: Path, name: str) -> Path | None:
    """The source of a module or package by its dotted name; None where `root` has none of this name."""
    path = root.joinpath(*name.split("."))
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


@cache
def digest_of(file: Path) -> str:
    """Digest of a source and of all it imports from its own package, filters and roots, and that these import."""
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
        digests[key], names = _scan(path)
        modules = (_module(root, name) for name in names if name.partition(".")[0] in packages)
        todo += [module for module in modules if module]
    return hashlib.sha256(repr(sorted(digests.items())).encode()).hexdigest()


def compiled(function: F) -> F:
    """Compile `function` in Numba's nopython mode, cached on disk where a place for it can be written."""
    try:
        made: Any = numba.njit(cache=True, nogil=True)(function)
    except RuntimeError as error:
        if "no locator available" not in str(error):
            raise
        return cast(F, numba.njit(nogil=True)(function))
    index = made._cache._cache_file  # no public name; tests/filters/text/test_compiled.py tells when Numba moves it
    # Numba compares the version before it unpickles the rest, which may name a class that is gone.
    index._version = f"{index._version} {digest_of(Path(function.__code__.co_filename))}"
    return cast(F, made)


def inlined(function: F) -> F:
    """Compile `function` into whatever compiled pass calls it: for the small parts of a loop over every character.

    LLVM left a decoder of 15 lines as a call of its own, which made its loop a third slower.
    """
    return cast(F, numba.njit(nogil=True, forceinline=True)(function))
