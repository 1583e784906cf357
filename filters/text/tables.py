"""Tables over all code points, built once a machine and not once a process.

Building one walks Unicode's data in Python, 0.1 to 0.3 s each and a second in all; reading them takes a hundredth of
that. They are kept beside the source as Numba keeps what it compiled, and like that under a digest of the source they
come from. Where nothing may be written there, every process builds its own.
"""

import hashlib
import sys
import tempfile
import unicodedata
import zipfile
from collections.abc import Callable
from functools import cache, wraps
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt

from filters.text.compiled import digest_of

Arrays = tuple[npt.NDArray[Any], ...]
T = TypeVar("T", bound=npt.NDArray[Any] | tuple[npt.NDArray[Any], ...])
_BROKEN = (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile)


def kept(build: Callable[[], T]) -> Callable[[], T]:
    """Keep what `build` gives, an array or a tuple of arrays, for the life of the process and on disk for others."""

    @cache
    @wraps(build)
    def table() -> T:
        path = _path_of(build)
        found = _read(path)
        if found is None:
            built = build()
            _write(path, cast(Arrays, built if isinstance(built, tuple) else (built,)))
            return built
        return cast(T, found if len(found) > 1 else found[0])

    return table


def _path_of(build: Callable[[], Any]) -> Path:
    source = Path(build.__code__.co_filename)
    known = (digest_of(source), unicodedata.unidata_version, np.lib.format.MAGIC_PREFIX.hex(), sys.byteorder)
    key = hashlib.sha256(repr(known).encode()).hexdigest()[:16]
    return source.parent / "__pycache__" / f"{source.stem}.{build.__name__}-{key}.npz"


def _read(path: Path) -> Arrays | None:
    """The arrays in a file; None where there is none, or it is damaged (a zip file has checksums)."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as held:
            return tuple(held[f"arr_{number}"] for number in range(len(held.files)))
    except _BROKEN:
        return None


def _write(path: Path, arrays: Arrays) -> None:
    """Write a file whole or not at all; nothing where nothing can be written, for it is a cache."""
    part: Path | None = None
    try:
        path.parent.mkdir(exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as file:
            part = Path(file.name)
            np.savez(file, *arrays)
        part.chmod(0o644)  # whoever runs the source may read it
        part.replace(path)
    except OSError:
        if part is not None:
            part.unlink(missing_ok=True)
