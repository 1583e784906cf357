"""How a working process is set up: garbage collection, freed memory, and modules it does without.

Only glibc's allocator can be set here; with another C library freed memory is left to its defaults.
"""

import ctypes
import gc
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

_COLLECT_EVERY = 50_000  # new objects between two collections: stages make millions of objects and hardly a cycle
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -2, -3, -4  # M_TRIM_THRESHOLD and so on of malloc.h
_ARRAY_BYTES = 5 << 20  # arrays from this size on go back to the system at once; smaller ones are soon needed again
_SPARE_BYTES = 32 << 20  # freed memory below that size which is kept: the next page or piece needs as much
_PAD_BYTES = 4 << 20  # taken from the system at a time


def begin(arrow: bool = True) -> None:
    """Set up a process that works for us; a command calls this at its start, and so does every worker.

    Python looks for garbage seldom, and never among the objects that exist now. Freed arrays go back to the system,
    and some smaller freed memory is kept. Without `arrow` PyArrow is not imported: for processes that never use it.
    Calling it again does no harm.
    """
    gc.freeze()
    gc.set_threshold(_COLLECT_EVERY, 20, 20)
    _mallopt(_MMAP_THRESHOLD, _ARRAY_BYTES)
    _mallopt(_TRIM_THRESHOLD, _SPARE_BYTES)
    _mallopt(_TOP_PAD, _PAD_BYTES)
    if arrow:
        _hide_pandas()


def keep_freed_memory() -> None:
    """Keep all freed memory: for a process that needs the same large blocks again and again, as training does.

    Otherwise the system would take back each step's logits, activations and gradients, and clear them for the next.
    """
    _mallopt(_MMAP_MAX, 0)
    _mallopt(_TRIM_THRESHOLD, -1)


def _mallopt(parameter: int, value: int) -> None:
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(parameter, value)


def _hide_pandas() -> None:
    """Let Arrow find no pandas in this process, unless it is imported already: importing it costs time and memory.

    Arrow looks for pandas once, when it is first given a Python object, to recognise pandas' own; our shards hold
    none. `to_pandas` looks again, and works as ever.
    """
    import pyarrow as pa

    with absent("pandas"):
        pa.array([True]).to_numpy(zero_copy_only=False)


class _Hidden(MetaPathFinder):
    """Finds no module of one name."""

    def __init__(self, name: str) -> None:
        self._name = name

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Raise ModuleNotFoundError for that name; leave others to the finders that follow."""
        if name == self._name:
            raise ModuleNotFoundError(f"{name} is left out", name=name)
        return None


@contextmanager
def absent(name: str) -> Iterator[None]:
    """Let nothing import the module `name` for a while, as if it were not installed. An imported one stays."""
    hidden = _Hidden(name)
    sys.meta_path.insert(0, hidden)
    try:
        yield
    finally:
        sys.meta_path.remove(hidden)
