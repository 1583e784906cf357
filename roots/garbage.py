"""How a working process deals with what it no longer needs: cycles of objects, and large arrays.

Stages make millions of short-lived objects and hardly a cycle.
"""

import ctypes
import gc

EVERY = 50_000  # new objects; Python's own 700 made looking 6 % of a run


def collect_seldom() -> None:
    """Look seldom from now on, and never among the half million objects that imports made. Once a process is enough."""
    gc.freeze()
    gc.set_threshold(EVERY, 20, 20)


MMAP_THRESHOLD = -3  # M_MMAP_THRESHOLD of malloc.h
ARRAY_BYTES = 1 << 20


def return_arrays() -> None:
    """Give freed arrays of a megabyte and more back to the system at once, where the C library can be told to.

    glibc begins so, but raises its bound to 32 MB as arrays are freed, and then keeps what every thread has freed: 20
    to 50 MB of a process of dedup, for no time that could be measured.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(MMAP_THRESHOLD, ARRAY_BYTES)
