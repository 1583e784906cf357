"""What all tests share: repeatable property tests, and memory that goes back to the system."""

import ctypes
from collections.abc import Iterator

import pyarrow as pa
import pytest
from hypothesis import settings

# The same examples every time, and no time limit of their own: machines are shared and noisy.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.load_profile("repeatable")

# One process runs all tests, so freed memory must go back: large arrays at once, the rest after each file.
_LIBC = ctypes.CDLL(None)
_MMAP_THRESHOLD, _ARRAY_BYTES = -3, 5 << 20  # glibc's M_MMAP_THRESHOLD
if hasattr(_LIBC, "mallopt"):
    _LIBC.mallopt(_MMAP_THRESHOLD, _ARRAY_BYTES)


@pytest.fixture(scope="module", autouse=True)
def _freed_memory_goes_back() -> Iterator[None]:
    """After each file, give back what Arrow and the C library keep of freed memory."""
    yield
    pa.default_memory_pool().release_unused()
    if hasattr(_LIBC, "malloc_trim"):
        _LIBC.malloc_trim(0)
