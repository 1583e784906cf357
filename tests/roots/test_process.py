"""What a process no longer needs goes back to the system, or stays at hand."""

import platform
import subprocess
import sys

import pytest

SCRIPT = """
import sys
import numpy as np
from roots.process import return_arrays

def held() -> int:
    status = open("/proc/self/status").read()
    return int(status.split("RssAnon:")[1].split()[0]) // 1024

if sys.argv[1] == "returned":
    return_arrays()
before = held()
for megabytes in (24, 20, 16):
    array = np.ones(megabytes << 17)
    del array
print(held() - before)
"""


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="only glibc's allocator keeps what is freed, and can be told"
)
@pytest.mark.parametrize(("how", "most"), [("returned", 2), ("kept", 40)])
def test_freed_arrays_are_returned(how: str, most: int) -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT, how], capture_output=True, text=True, check=True)
    left = int(done.stdout)
    assert left <= most
    assert (left > 10) is (how == "kept")  # or else there is no need for it any more


FAULTS = """
import ctypes, resource, sys
from roots import process

for name in filter(None, sys.argv[2].split()):
    getattr(process, name)()
c = ctypes.CDLL(None)
c.malloc.restype, c.malloc.argtypes, c.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
c.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
def touch():
    block = c.malloc(int(sys.argv[1]))
    c.memset(block, 1, int(sys.argv[1]))
    c.free(block)
touch()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    touch()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's allocator can be told")
@pytest.mark.parametrize(
    ("size", "calls", "kept"),
    [
        (900_000, "return_arrays", True),  # a large page of the web
        (4 << 20, "return_arrays", True),  # of a piece that is measured
        (6 << 20, "return_arrays", False),
        (64 << 20, "", False),
        (64 << 20, "keep_all", True),
    ],
)
def test_freed_memory_is_used_again(size: int, calls: str, kept: bool) -> None:
    done = subprocess.run([sys.executable, "-c", FAULTS, str(size), calls], capture_output=True, text=True, check=True)
    assert (int(done.stdout) < 20) is kept
