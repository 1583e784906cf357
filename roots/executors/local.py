"""Where work runs: the Executor protocol, and executors on this machine. No stage knows which one runs it.

`map` yields (task, result) in the order of completion, or (task, exception) if the work failed. A failed task never
stops the others. Tasks and results are small (paths and receipts), never documents. The executor for many machines is
in roots.executors.ray. `make_executor` gives one by name.
"""

import importlib
import os
import signal
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, ThreadPoolExecutor, as_completed, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing import connection, get_context, parent_process
from typing import Any, Protocol, TypeVar

from roots import process
from roots.errors import SettingsError, unknown_name

T = TypeVar("T")
R = TypeVar("R")


def default_workers() -> int:
    """One worker for each core this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


RETRIES = 2  # of a task whose worker died; after that many, the task is to blame


@dataclass(frozen=True)
class Needs:
    """Resource request of one task, and its display name."""

    name: str = "task"
    cpus: float = 1.0
    memory: int = 1 << 30  # bytes


class Executor(Protocol):
    """Runs work on tasks. Base of all executors; its defaults are right for a cluster."""

    @property
    def in_process(self) -> bool:
        """Whether tasks run in this process, so that they can report to it."""
        return False

    @property
    def tasks_sharing_memory(self) -> int:
        """How many running tasks share the memory of one machine."""
        return 1

    def for_compiled(self) -> "Executor":
        """The executor for compiled work that releases the interpreter: threads, if the tasks run on this machine."""
        return self

    def map(
        self, work: Callable[[T], R], tasks: Sequence[T], needs: Needs | None = None
    ) -> Iterator[tuple[T, R | Exception]]:
        """Run `work` on every task. Yields each task once, with its result or exception, in order of completion."""
        ...


@dataclass(frozen=True)
class _InProcess(Executor):
    """An executor whose tasks all run in this process, and share its memory."""

    workers: int = 1

    @property
    def in_process(self) -> bool:
        """True."""
        return True

    @property
    def tasks_sharing_memory(self) -> int:
        """All workers do."""
        return self.workers


@dataclass(frozen=True)
class Serial(_InProcess):
    """Runs one task after another in this process: for tests, debugging and small jobs."""

    workers: int = 1

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
    """Runs `workers` processes on this machine, one task each. They live on from one `map` to the next.

    A worker that is killed, by the system for memory or by a person, is replaced, and its task is tried again. A task
    whose worker dies three times is returned as an error. Workers never outlive the process that started them.
    """

    workers: int = os.cpu_count() or 1
    preload: tuple[str, ...] = ()  # modules imported once, before workers are forked, so that workers start fast
    _pool: ProcessPoolExecutor | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def tasks_sharing_memory(self) -> int:
        """All workers do."""
        return self.workers

    def for_compiled(self) -> Executor:
        """Threads, which hold Python, Arrow and Numba in memory once."""
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
                # After a death nobody knows which task was the cause, so they run one at a time until they have passed.
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
            # A pool that is only dropped may end together with the interpreter, which then complains on stderr.
            weakref.finalize(self, self._pool.shutdown)
        return self._pool


@dataclass(frozen=True)
class Threads(_InProcess):
    """Runs threads of this process: for compiled work that releases the interpreter, such as dedup's.

    One process holds Python, Arrow and Numba once, in half the memory of two workers, and none has to start.
    """

    workers: int = os.cpu_count() or 1

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
    """Return a worker's exception; raise KeyboardInterrupt and the like."""
    if isinstance(error, Exception):
        return error
    raise error


def _begin_worker() -> None:
    """Set up a worker. It leaves interrupts to its parent and ends with it: an orphan would go on writing."""
    process.begin()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=_die_with, args=(parent.sentinel,), daemon=True).start()


def _die_with(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)


# Executors by name, as module:class, so that only the one that is used is imported.
EXECUTORS = {
    "serial": "roots.executors.local:Serial",
    "local": "roots.executors.local:Local",
    "ray": "roots.executors.ray:Ray",
}


def make_executor(name: str, workers: int, preload: tuple[str, ...] = (), address: str = "") -> Executor:
    """The executor of that name. `address` is that of a Ray cluster.

    Raises SettingsError for an unknown name, fewer than one worker, or an address if the executor takes none.
    """
    if name not in EXECUTORS:
        raise SettingsError(unknown_name("executor", name, EXECUTORS))
    if workers < 1:
        raise SettingsError(f"--workers {workers}: at least 1 is needed")
    if address and name != "ray":
        raise SettingsError(f"--ray-address {address} is for --executor ray, not for {name}")
    more: dict[str, Any] = {"local": {"preload": preload}, "ray": {"address": address}}
    module, _, kind = EXECUTORS[name].partition(":")
    made: Executor = getattr(importlib.import_module(module), kind)(workers, **more.get(name, {}))
    return made
