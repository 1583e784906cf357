"""One way to compile a function with Numba, used by every compiled pass of this package.

Compiling costs about a second a function, loading a compiled one a few milliseconds. Numba keeps what it compiled
beside the source, or in the user's cache folder where the source may not be written. Where neither may be written
(a read-only installation run by a user without a home) it refuses to cache at all; the function is then compiled
anew in every process, which is slow but right.

Numba takes a kept function for fresh as long as its own file is unchanged. But what it calls and the constants it
uses are compiled into it, wherever they stand: after an update of one file, the passes of another would go on with
the old ones. So the stamp of freshness here is a digest of the source and of all that it imports from its folder.
"""

import hashlib
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

from roots.absent import absent

# Asked for when these are loaded, at the first call; used by passes that multiply matrices, and that call C.
with absent("scipy.linalg"):
    import numba.np.arraymath
with absent("cffi"):
    import numba.core.typing.cffi_utils

F = TypeVar("F", bound=Callable[..., object])


@cache
def digest_of(file: Path) -> str:
    """Digest of a source and of all in its folder that it imports, and that these import."""
    known = {path.stem: path for path in file.parent.glob("*.py")}
    todo, texts = [file], dict[str, bytes]()
    while todo:
        path = todo.pop()
        texts[path.name] = path.read_bytes()
        for line in re.findall(r"^(?:from|import) .*", texts[path.name].decode("utf-8"), re.MULTILINE):
            todo += [known[word] for word in re.findall(r"\w+", line) if word in known and f"{word}.py" not in texts]
    return hashlib.sha256(repr(sorted(texts.items())).encode()).hexdigest()


def compiled(function: F) -> F:
    """Compile `function` in Numba's nopython mode, cached on disk where a place for it can be written."""
    try:
        made: Any = numba.njit(cache=True, nogil=True)(function)
    except RuntimeError as error:
        if "no locator available" not in str(error):
            raise
        return cast(F, numba.njit(nogil=True)(function))
    index = made._cache._cache_file  # no public name; tests/test_compiled.py tells when Numba moves it
    index._source_stamp = (index._source_stamp, digest_of(Path(function.__code__.co_filename)))
    return cast(F, made)


def inlined(function: F) -> F:
    """Compile `function` into whatever compiled pass calls it: for the small parts of a loop over every character.

    LLVM left a decoder of 15 lines as a call of its own, which made its loop a third slower.
    """
    return cast(F, numba.njit(nogil=True, forceinline=True)(function))
