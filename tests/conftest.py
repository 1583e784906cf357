"""What all tests share: repeatable property tests, and memory that is given back."""

import ctypes
from collections.abc import Iterator

import pyarrow as pa
import pytest
from hypothesis import settings

# The same examples every time, and no time limit of their own: machines are shared and noisy.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.load_profile("repeatable")


@pytest.fixture(scope="module", autouse=True)
def _freed_memory_goes_back() -> Iterator[None]:
    """One process runs all tests: after each file, what Arrow and the C library keep of freed memory goes back."""
    yield
    pa.default_memory_pool().release_unused()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc
    if trim is not None:
        trim(0)
