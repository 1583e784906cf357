"""Costs: CPU seconds and memory of work on this machine, and what the costs of a sample say about a whole crawl.

CPU seconds are the kernel's, of the whole tree of processes (`/proc`): pages are worked on in guarded children, which a
clock of this process alone would miss. Memory is the sum of what all of them hold resident, looked at every few
milliseconds; pages that a parent and its child share are counted twice, so it errs upwards. Linux only.

Cost is proportional to the bytes of an archive, and pieces are drawn byte by byte, so the ratio of sums is the
estimate. Its error is found by the jackknife (each piece left out once), widened by Student's t for so few pieces, and
narrowed by the part of the crawl that was measured itself.

Source: Cochran 1977, Sampling Techniques, sections 6.2 and 6.17.
"""

import math
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from roots.executors import Executor, Needs
from roots.intervals import student

T = TypeVar("T")
R = TypeVar("R")
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
LOOK_SECONDS = 0.02
_LIST_SECONDS = 0.25


@dataclass(frozen=True)
class Cost:
    """What one task took."""

    stage: str
    cpu_seconds: float
    wall_seconds: float
    peak_bytes: int


def tree() -> dict[int, list[str]]:
    """This process and all below it: number -> the fields of its `stat` behind its name."""
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
    """CPU seconds of this process and of all below it, those that have ended included."""
    below = [fields for pid, fields in tree().items() if pid != os.getpid()]
    ended = os.times()
    mine = time.process_time() + ended.children_user + ended.children_system
    return mine + sum(sum(int(ticks) for ticks in fields[11:15]) for fields in below) / _TICKS


@dataclass
class Peak:
    """The most bytes that all processes held together, and the CPU seconds that looking for it took."""

    bytes: int = 0
    cpu_seconds: float = 0.0


@contextmanager
def memory_peak() -> Iterator[Peak]:
    """Gives the peak of the time in which it is open, once that has ended."""
    peak = Peak()
    ended = threading.Event()

    def look() -> None:
        pids: list[int] = []
        listed = 0.0
        while True:
            if time.monotonic() - listed > _LIST_SECONDS:
                pids, listed = list(tree()), time.monotonic()
            peak.bytes = max(peak.bytes, sum(_resident(pid) for pid in pids))
            if ended.wait(LOOK_SECONDS):
                peak.cpu_seconds = time.thread_time()
                return

    thread = threading.Thread(target=look, daemon=True)
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
    """An executor that does one task after another and keeps what each cost."""

    costs: list[Cost] = field(default_factory=list)
    seconds: float = 0.0  # in tasks, and in metering them

    def map(
        self, work: Callable[[T], R], tasks: Sequence[T], needs: Needs | None = None
    ) -> Iterator[tuple[T, R | Exception]]:
        """Run the tasks in order. A task that fails ends the run: a sample must be whole."""
        for task in tasks:
            start = time.perf_counter()
            with memory_peak() as peak:
                cpu, wall = cpu_seconds(), time.perf_counter()
                result = work(task)
                wall, cpu = time.perf_counter() - wall, cpu_seconds() - cpu
            cpu = max(0.0, cpu - peak.cpu_seconds)  # looking is our own cost, and on a busy machine not a small one
            self.costs.append(Cost(needs.name if needs else "task", cpu, wall, peak.bytes))
            self.seconds += time.perf_counter() - start
            yield task, result

    def take(self) -> tuple[list[Cost], float]:
        """The costs since the last time, and the seconds that the tasks took with all the metering."""
        taken, self.costs = (self.costs, self.seconds), []
        self.seconds = 0.0
        return taken


LEAST_PIECES = 3


@dataclass(frozen=True)
class Interval:
    """An estimate, and the range in which the truth lies in 95 of 100 such samples."""

    low: float
    middle: float
    high: float

    def times(self, factor: float) -> "Interval":
        """All three, so many times."""
        return Interval(self.low * factor, self.middle * factor, self.high * factor)

    def plus(self, other: "Interval") -> "Interval":
        """Sums of both; the range is that of errors that all fall on the same side."""
        return Interval(self.low + other.low, self.middle + other.middle, self.high + other.high)


NOTHING = Interval(0.0, 0.0, 0.0)


def total_of(costs: Sequence[float], sizes: Sequence[float], whole: float) -> Interval:
    """What a crawl of `whole` bytes will cost, when pieces of these sizes (bytes) cost that much.

    Raises ValueError for fewer than LEAST_PIECES pieces.
    """
    count = len(costs)
    if count < LEAST_PIECES or len(sizes) != count or min(sizes) <= 0:
        raise ValueError(f"{count} pieces are too few to say how sure an estimate is: {LEAST_PIECES} are needed")
    cost, size = sum(costs), sum(sizes)
    without = [(cost - c) / (size - s) for c, s in zip(costs, sizes, strict=True)]
    mean = sum(without) / count
    error = math.sqrt((count - 1) / count * sum((ratio - mean) ** 2 for ratio in without))
    error *= math.sqrt(max(0.0, 1 - size / whole))
    wide = error * student(count - 1)
    ratio = cost / size
    return Interval(max(0.0, ratio - wide) * whole, ratio * whole, (ratio + wide) * whole)


def elapsed(tasks: int, task_seconds: float, driver_seconds: float, workers: int) -> float:
    """Seconds that a stage of equal tasks takes: the driver's part, full rounds of all workers, and the last round."""
    return driver_seconds + (math.ceil(tasks / workers) * task_seconds if tasks else 0.0)
