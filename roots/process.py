"""How a working process deals with what it no longer needs: cycles of objects, and freed memory.

Stages make millions of short-lived objects and hardly a cycle. Freed memory is the C library's to keep or to give back;
only glibc can be told which, and elsewhere these functions do nothing.
"""

import ctypes
import gc

_EVERY = 50_000  # new objects; Python's own 700 made looking 6 % of a run


def collect_seldom() -> None:
    """Look seldom from now on, and never among the half million objects that imports made. Once a process is enough."""
    gc.freeze()
    gc.set_threshold(_EVERY, 20, 20)


_TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD, MMAP_MAX = -1, -2, -3, -4  # M_TRIM_THRESHOLD and so on of malloc.h
_ARRAY_BYTES = 5 << 20
_SPARE_BYTES = 32 << 20
_PAD_BYTES = 4 << 20


def return_arrays() -> None:
    """Give freed arrays of _ARRAY_BYTES and more back to the system at once.

    glibc begins so from 128 KB on, but raises its bound to 32 MB as arrays are freed, and then keeps what every thread
    has freed: 20 to 50 MB of a process of dedup. Measured, whole main job: with a bound of 1 MB its CPU time is a
    twentieth more than with 4, 8 or 24, for the arrays of a piece that is measured (some MB) are cleared by the system
    each time; dedup of 200,000 documents has no higher peak with 5 than with 1.
    """
    _mallopt(MMAP_THRESHOLD, _ARRAY_BYTES)
    keep_spare()


def keep_spare() -> None:
    """Keep up to _SPARE_BYTES of freed memory at hand, beside large arrays.

    glibc gives back whatever lies free above 128 KB at the end of its heap, which is less than a page of the web: at
    the next page the system must clear the same memory again. That was 4 % of a run.
    """
    _mallopt(_TRIM_THRESHOLD, _SPARE_BYTES)
    _mallopt(TOP_PAD, _PAD_BYTES)


def keep_all() -> None:
    """Keep all freed memory: for a process that asks for the same large blocks again and again, as training does.

    A step's logits, activations and gradients went back to the system and came anew, page by page and zeroed: 9 to 18 %
    of its time. The process stays as large as it once was, which each step makes it anyway.
    """
    _mallopt(MMAP_MAX, 0)
    _mallopt(_TRIM_THRESHOLD, -1)


def _mallopt(parameter: int, value: int) -> None:
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(parameter, value)
