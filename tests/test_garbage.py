"""What a process no longer needs goes back to the system."""

import platform
import subprocess
import sys

import pytest

SCRIPT = """
import sys
import numpy as np
from roots.garbage import return_arrays

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
