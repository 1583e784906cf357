import subprocess
import sys

import pytest

from trainer import memory

SCRIPT = """
import ctypes, resource, sys
from trainer import memory
if sys.argv[1] == "keep" and not memory.keep():
    sys.exit("no mallopt")
c = ctypes.CDLL(None)
c.malloc.restype, c.malloc.argtypes, c.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
c.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
def touch():
    block = c.malloc(64 << 20)
    c.memset(block, 1, 64 << 20)
    c.free(block)
touch()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    touch()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def test_freed_memory_is_used_again_and_not_asked_for_anew():
    faults = {}
    for how in ("keep", "as usual"):
        done = subprocess.run([sys.executable, "-c", SCRIPT, how], capture_output=True, text=True, check=False)
        if "no mallopt" in done.stderr:
            pytest.skip("the C library here has no mallopt: freed memory goes back to the system")
        assert done.returncode == 0, done.stderr
        faults[how] = int(done.stdout)
    assert faults["keep"] < 100
    assert faults["as usual"] > 20 * max(1, faults["keep"])


def test_where_the_library_cannot_it_says_so(monkeypatch):
    monkeypatch.setattr("sys.platform", "darwin")
    assert not memory.keep()
