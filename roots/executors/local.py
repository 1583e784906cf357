"""Where work runs. An executor is one method, `map`; no stage knows which one it is on.

`map` yields (task, result) in the order of completion, and (task, exception) where the work failed: one failed task
never stops the others. Tasks and results are small (paths and receipts), never documents. The executor for many
machines is in roots.ray_executor.
"""

import os
import signal
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, ThreadPoolExecutor, as_completed, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing import connection, get_context, parent_process
from typing import Protocol, TypeVar

from roots import process

T = TypeVar("T")
R = TypeVar("R")


def default_workers() -> int:
    """One worker for each core this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


RETRIES = 2  # a worker that dies takes its task with it; the third death in a row is the task's fault


@dataclass(frozen=True)
class Needs:
    """What one task needs, for an executor that looks for a place with room; and the name it is shown under."""

    name: str = "task"
    cpus: float = 1.0
    memory: int = 1 << 30  # bytes


class Executor(Protocol):
    """Something that runs work on tasks. Every executor derives from it; the defaults hold for a cluster."""

    @property
    def in_process(self) -> bool:
        """Whether tasks run in this process, so that they can report to it."""
        return False

    @property
    def tasks_sharing_memory(self) -> int:
        """How many tasks at a time share the memory of one machine."""
        return 1

    def for_compiled(self) -> "Executor":
        """The executor for work that is compiled and releases the interpreter: threads, where tasks run here."""
        return self

    def map(
        self, work: Callable[[T], R], tasks: Sequence[T], needs: Needs | None = None
    ) -> Iterator[tuple[T, R | Exception]]:
        """Run `work` on every task; yield each task once, with its result or its exception, as they finish."""
        ...


@dataclass(frozen=True)
class Serial(Executor):
    """One task after another, in this process: for tests, debugging and small jobs."""

    workers: int = 1

    @property
    def in_process(self) -> bool:
        """They do."""
        return True

    @property
    def tasks_sharing_memory(self) -> int:
        """As many as there are workers."""
        return self.workers

    def map(
        self, work: Callable[[T], R], tasks: Sequence[T], needs: Needs | None = None
    ) -> Iterator[tuple[T, R | Exception]]:
        """Run the tasks in order."""
        for task in tasks:
            try:
                result: R | Exception = work(task)
            except Exception as error:
                result = error
            yield task, result


@dataclass
class Local(Executor):
    """Processes on this machine, one task each, `workers` at a time. They are kept from one `map` to the next.

    A worker that is killed (by the system for memory, by a person) is replaced and its task is tried again; a task
    whose worker dies three times is given back as an error. Workers never outlive the process that started them.
    """

    workers: int = os.cpu_count() or 1
    preload: tuple[str, ...] = ()  # modules to import once, before workers are forked: a worker then starts in 20 ms
    _pool: ProcessPoolExecutor | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def tasks_sharing_memory(self) -> int:
        """As many as there are workers."""
        return self.workers

    def for_compiled(self) -> Executor:
        """Threads: one process holds Python, Arrow and Numba once."""
        return Threads(self.workers)

    def map(
        self, work: Callable[[T], R], tasks: Sequence[T], needs: Needs | None = None
    ) -> Iterator[tuple[T, R | Exception]]:
        """Run the tasks, at most `workers` at a time."""
        todo = list(reversed(tasks))
        deaths: dict[int, int] = {}
        running: dict[Future[R], T] = {}
        while todo or running:
            try:
                # After a death it is not known whose task was the cause: one at a time until they have passed.
                while todo and len(running) < (1 if deaths else self.workers):
                    running[self._start().submit(work, todo[-1])] = todo[-1]
                    todo.pop()
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    error = future.exception()
                    if isinstance(error, BrokenProcessPool):
                        raise error
                    task = running.pop(future)
                    deaths.pop(id(task), None)
                    yield task, future.result() if error is None else _plain(error)
            except BrokenProcessPool:
                self._pool = None
                for task in running.values():
                    deaths[id(task)] = deaths.get(id(task), 0) + 1
                    if deaths[id(task)] > RETRIES:
                        del deaths[id(task)]
                        yield task, RuntimeError("its worker process died three times (out of memory?)")
                    else:
                        todo.append(task)
                running = {}

    def _start(self) -> ProcessPoolExecutor:
        if self._pool is None:
            context = get_context("forkserver")
            context.set_forkserver_preload(["__main__", *self.preload])
            self._pool = ProcessPoolExecutor(self.workers, context, initializer=_begin_worker)
            # A pool that is merely forgotten may end while the interpreter does, and then complains on stderr.
            weakref.finalize(self, self._pool.shutdown)
        return self._pool


@dataclass(frozen=True)
class Threads(Executor):
    """Threads of this process: for work that is compiled and lets go of the interpreter, such as dedup's.

    One process holds Python, Arrow and Numba once: half the memory of two worker processes, and none to start.
    """

    workers: int = os.cpu_count() or 1

    @property
    def in_process(self) -> bool:
        """They do."""
        return True

    @property
    def tasks_sharing_memory(self) -> int:
        """As many as there are workers."""
        return self.workers

    def map(
        self, work: Callable[[T], R], tasks: Sequence[T], needs: Needs | None = None
    ) -> Iterator[tuple[T, R | Exception]]:
        """Run the tasks, at most `workers` at a time."""
        with ThreadPoolExecutor(self.workers) as pool:
            running = {pool.submit(work, task): task for task in tasks}
            for future in as_completed(running):
                error = future.exception()
                yield running[future], future.result() if error is None else _plain(error)


def _plain(error: BaseException) -> Exception:
    """A worker's exception, with KeyboardInterrupt and its like let through."""
    if isinstance(error, Exception):
        return error
    raise error


def _begin_worker() -> None:
    """Leave interrupts to the parent, and die with it: an orphan would go on writing."""
    process.begin()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=_die_with, args=(parent.sentinel,), daemon=True).start()


def _die_with(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)
