"""A working process: freed memory goes back or stays at hand, and modules that it does without are not loaded."""

import gc
import platform
import subprocess
import sys
from importlib.util import find_spec

import pytest

from roots.executors import Local
from roots.process import absent

SCRIPT = """
import sys
import numpy as np
from roots.process import begin

def held() -> int:
    status = open("/proc/self/status").read()
    return int(status.split("RssAnon:")[1].split()[0]) // 1024

if sys.argv[1] == "returned":
    begin()
before = held()
for megabytes in (24, 20, 16):
    array = np.ones(megabytes << 17)
    del array
print(held() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc keeps freed memory and can be set")
@pytest.mark.parametrize(("how", "most"), [("returned", 2), ("kept", 40)])
def test_freed_arrays_are_returned(how: str, most: int) -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT, how], capture_output=True, text=True, check=True)
    left = int(done.stdout)
    assert left <= most
    assert (left > 10) is (how == "kept")  # or else there is no need for it any more


FAULTS = """
import ctypes, resource, sys
from roots import process

if sys.argv[2]:
    getattr(process, sys.argv[2])()
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


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be set")
@pytest.mark.parametrize(
    ("size", "call", "kept"),
    [
        (900_000, "begin", True),  # a large page of the web
        (4 << 20, "begin", True),  # of a piece that is measured
        (6 << 20, "begin", False),
        (64 << 20, "", False),
        (64 << 20, "keep_freed_memory", True),
    ],
)
def test_freed_memory_is_used_again(size: int, call: str, kept: bool) -> None:
    done = subprocess.run([sys.executable, "-c", FAULTS, str(size), call], capture_output=True, text=True, check=True)
    assert (int(done.stdout) < 20) is kept


needs_pandas = pytest.mark.skipif(not find_spec("pandas"), reason="pandas is not installed")
needs_scipy = pytest.mark.skipif(not find_spec("scipy"), reason="SciPy is not installed")


def fresh(script: str) -> list[str]:
    """What a script prints in a process of its own, a line each."""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


@needs_pandas
def test_arrow_loads_pandas_only_for_to_pandas() -> None:
    said = fresh("""
import sys
import numpy as np
import pyarrow as pa
from roots.process import begin
begin()
numbers = pa.array(np.arange(3), mask=np.array([True, False, False]))
assert numbers.to_pylist() == [None, 1, 2]
assert np.isnan(numbers.to_numpy(zero_copy_only=False)[0])
assert pa.array(["a", None]).to_numpy(zero_copy_only=False).tolist() == ["a", None]
print("pandas" in sys.modules)
print(pa.table({"n": [1, 2]}).to_pandas()["n"].sum())
""")
    assert said == ["False", "3"]


@needs_scipy
def test_compiled_passes_load_no_scipy_and_others_find_it() -> None:
    said = fresh("""
import sys
import numpy as np
from filters.near_duplicates.signatures import mix_all
assert mix_all(np.zeros(1, np.uint64)).size == 1
print("scipy.linalg" in sys.modules)
from numba.np.linalg import ensure_blas
ensure_blas()
print("scipy.linalg" in sys.modules)
""")
    assert said == ["False", "True"]


def test_a_module_is_absent_only_for_a_while() -> None:
    assert "this" not in sys.modules  # "The Zen of Python": nothing else imports it
    with absent("this"), pytest.raises(ModuleNotFoundError, match="left out"):
        __import__("this")
    assert find_spec("this")


def test_a_worker_is_set_up_before_its_first_task() -> None:
    (found,) = Local(1).map(threshold, [0])
    assert found == (0, WORKERS)


WORKERS = (50_000, 20, 20)


def threshold(_: int) -> tuple[int, int, int]:
    return gc.get_threshold()
