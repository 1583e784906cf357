"""One way to compile a function with Numba, used by every compiled pass of this package.

Compiling costs about a second a function, loading a compiled one a few milliseconds. Numba keeps what it compiled
beside the source, or in the user's cache folder where the source may not be written. Where neither may be written
(a read-only installation run by a user without a home) it refuses to cache at all; the function is then compiled
anew in every process, which is slow but right.
"""

from collections.abc import Callable
from typing import TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., object])


def compiled(function: F) -> F:
    """Compile `function` in Numba's nopython mode, cached on disk where a place for it can be written."""
    try:
        return cast(F, numba.njit(cache=True, nogil=True)(function))
    except RuntimeError as error:
        if "no locator available" not in str(error):
            raise
        return cast(F, numba.njit(nogil=True)(function))
