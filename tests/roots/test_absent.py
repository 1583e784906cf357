"""What is left out of our processes is left out, and nobody who needs it later misses it."""

import subprocess
import sys
from importlib.util import find_spec

import pytest

from roots.absent import absent

needs_pandas = pytest.mark.skipif(not find_spec("pandas"), reason="pandas is not installed")
needs_scipy = pytest.mark.skipif(not find_spec("scipy"), reason="SciPy is not installed")


def fresh(script: str) -> list[str]:
    """What a script prints in a process of its own, a line each."""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


@needs_pandas
def test_arrow_finds_no_pandas_but_for_to_pandas() -> None:
    said = fresh("""
import sys
import numpy as np
import pyarrow as pa
from roots.absent import without_pandas
without_pandas()
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


def test_a_module_is_absent_for_a_while_only() -> None:
    assert "this" not in sys.modules  # "The Zen of Python": nothing else imports it
    with absent("this"), pytest.raises(ModuleNotFoundError, match="left out"):
        __import__("this")
    assert find_spec("this")
