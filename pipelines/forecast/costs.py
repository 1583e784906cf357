"""Measure what tasks cost on this machine: CPU seconds and memory of this process and all its children. Linux only.

CPU seconds are the kernel's, for the whole tree of processes (`/proc`): guarded children extract pages, and a clock of
this process alone would miss them. Memory is the resident memory of all of them, read every few milliseconds. Pages
that parent and child share are counted twice, so it is an upper bound.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from roots.executors import Executor, Needs

T = TypeVar("T")
R = TypeVar("R")
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_READ_SECONDS = 0.02  # between two readings of memory
_LIST_SECONDS = 0.25  # between two listings of the processes


@dataclass(frozen=True)
class Cost:
    """The cost of one task."""

    stage: str
    cpu_seconds: float
    wall_seconds: float
    peak_bytes: int


def _process_tree() -> dict[int, list[str]]:
    """This process and all below it: process id -> the fields of its `stat` after its name."""
    found: dict[int, list[str]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                text = (entry / "stat").read_text(encoding="latin-1")
            except OSError:
                continue  # it has ended
            found[int(entry.name)] = text.rpartition(")")[2].split()
    mine = {os.getpid()}
    grown = True
    while grown:
        more = {pid for pid, fields in found.items() if int(fields[1]) in mine} - mine
        mine |= more
        grown = bool(more)
    return {pid: fields for pid, fields in found.items() if pid in mine}


def cpu_seconds() -> float:
    """CPU seconds of this process and of all below it, including those that have ended."""
    below = [fields for pid, fields in _process_tree().items() if pid != os.getpid()]
    ended = os.times()
    mine = time.process_time() + ended.children_user + ended.children_system
    return mine + sum(sum(int(ticks) for ticks in fields[11:15]) for fields in below) / _TICKS


@dataclass
class _MemoryPeak:
    """The most bytes that all processes held together, and the CPU seconds spent to read them."""

    bytes: int = 0
    cpu_seconds: float = 0.0


@contextmanager
def _memory_peak() -> Iterator[_MemoryPeak]:
    """Measure the peak while the context is open; the result is complete when it closes."""
    peak = _MemoryPeak()
    ended = threading.Event()

    def read() -> None:
        pids: list[int] = []
        listed = 0.0
        while True:
            if time.monotonic() - listed > _LIST_SECONDS:
                pids, listed = list(_process_tree()), time.monotonic()
            peak.bytes = max(peak.bytes, sum(_resident(pid) for pid in pids))
            if ended.wait(_READ_SECONDS):
                peak.cpu_seconds = time.thread_time()
                return

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        ended.set()
        thread.join()


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0


@dataclass
class Metered(Executor):
    """An executor that runs one task after another and records the cost of each."""

    costs: list[Cost] = field(default_factory=list)
    seconds: float = 0.0  # of wall time, in tasks and in metering them

    def map(
        self, work: Callable[[T], R], tasks: Sequence[T], needs: Needs | None = None
    ) -> Iterator[tuple[T, R | Exception]]:
        """Run the tasks in order. A task that fails ends the run: a sample must be complete."""
        for task in tasks:
            start = time.perf_counter()
            with _memory_peak() as peak:
                cpu, wall = cpu_seconds(), time.perf_counter()
                result = work(task)
                wall, cpu = time.perf_counter() - wall, cpu_seconds() - cpu
            cpu = max(0.0, cpu - peak.cpu_seconds)  # reading memory is not a cost of the task
            self.costs.append(Cost(needs.name if needs else "task", cpu, wall, peak.bytes))
            self.seconds += time.perf_counter() - start
            yield task, result

    def take(self) -> tuple[list[Cost], float]:
        """The costs since the last call, and the seconds of the tasks with their metering."""
        taken, self.costs = (self.costs, self.seconds), []
        self.seconds = 0.0
        return taken
