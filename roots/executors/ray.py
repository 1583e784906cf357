"""The executor for many machines: tasks on a Ray cluster, through the same `map` as all others.

Ray places the tasks and moves nothing of ours but paths and receipts; every machine must see the work folder under the
same name (a shared file system, or a URL: roots.storage) and have this package installed. Ray is imported when a run
asks for it, and is an extra: `pip install 'roots-corpus[ray]'`.

A lost machine is no fault of its tasks: they are tried again elsewhere. A task whose worker dies three times while its
machine lives is given back as an error, as by `Local`; the others go on. A task that a machine we take for lost still
finishes (a frozen one wakes) does no harm: it writes the same bytes under the same name, whole.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeVar

from roots import process
from roots.errors import SettingsError
from roots.executors.local import RETRIES, Executor, Needs, Serial

T = TypeVar("T")
R = TypeVar("R")

_DIED = "its worker process died three times (out of memory?)"
_MOVES = 20  # machines that one task may lose before it is given back: then it is no chance
AHEAD = 2  # tasks handed to the cluster for each that can run: none idles while the next is on its way
CALL_SECONDS = 0.1  # tasks quicker than this go several in one call: a call costs 1.5 ms of all processes (measured)
LOOK_SECONDS = 5.0  # between two looks at how large the cluster is: it may grow or shrink
ROOM_SECONDS = 300.0  # to wait for a machine that can hold a task at all: a cluster may still be starting


@dataclass
class Ray(Executor):
    """A Ray cluster: the one at `address`, or one of `cpus` workers on this machine, started for the run.

    How many tasks run at once is for the cluster to decide; its machines share no memory.
    """

    cpus: int = os.cpu_count() or 1
    address: str = ""  # host:port, or "auto" for a cluster that runs on this machine
    _ray: Any = field(default=None, init=False, repr=False, compare=False)

    def map(
        self, work: Callable[[T], R], tasks: Sequence[T], needs: Needs | None = None
    ) -> Iterator[tuple[T, R | Exception]]:
        """Run the tasks; at most AHEAD times as many calls as fit are in the cluster's hands at a time."""
        if not tasks:
            return
        ray = self._start()
        wanted = needs or Needs()
        remote = ray.remote(_some).options(
            name=wanted.name, num_cpus=wanted.cpus, memory=wanted.memory, max_retries=0
        )  # retries are ours: Ray cannot tell a task that kills its worker from a machine that dies
        handle = ray.put(work)
        room = _Room(ray, wanted)
        todo = [_Entry(number) for number in reversed(range(len(tasks)))]
        at_once = 1
        running: dict[Any, list[_Entry]] = {}
        try:
            while todo or running:
                most = room.for_tasks()
                while todo and len(running) < most:
                    call = _next_call(todo, min(at_once, len(todo) // most))
                    running[remote.remote(handle, [tasks[entry.number] for entry in call])] = call
                done, _ = ray.wait(list(running), num_returns=1, timeout=LOOK_SECONDS)
                for reference in done:
                    call = running.pop(reference)
                    answer = self._answer(ray, reference)
                    if isinstance(answer, _Failed):
                        ended = [(entry, error) for entry in call if (error := answer.error(entry, len(call) == 1))]
                    else:
                        seconds, results = answer
                        ended = list(zip(call, results, strict=False))
                        at_once = int(len(ended) * CALL_SECONDS / max(seconds, 1e-9))
                    over = {entry.number for entry, _ in ended}
                    todo += [entry for entry in reversed(call) if entry.number not in over]
                    yield from ((tasks[entry.number], result) for entry, result in ended)
        finally:
            for reference in running:  # whoever asked wants no more of it
                ray.cancel(reference, force=True)

    @staticmethod
    def _answer(ray: Any, reference: Any) -> Any:
        """What a call gave: (its seconds, the results of its first tasks), or _Failed."""
        try:
            return ray.get(reference)
        except (ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError):
            return _Failed("died", _DIED)
        except (ray.exceptions.NodeDiedError, ray.exceptions.ObjectLostError) as error:
            return _Failed("moved", f"{_MOVES} machines were lost with it: {str(error).splitlines()[0]}")
        except ray.exceptions.RayTaskError as error:
            # What a task raises is given as a value; this is one that cannot be.
            return _Failed("raised", str(error.cause or error))

    def _start(self) -> Any:
        if self._ray is None:
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent behind the user's back
            try:
                import ray
                import ray.exceptions
            except ImportError:
                raise SettingsError("--executor ray needs Ray: pip install 'roots-corpus[ray]'") from None
            if not ray.is_initialized():
                common = {"log_to_driver": False, "logging_level": "ERROR"}
                try:
                    if self.address:
                        ray.init(address=self.address, **common)
                    else:
                        # Ray would have its workers give way to all else (nice 15), as no other executor's do.
                        own = {"include_dashboard": False, "_system_config": {"worker_niceness": 0}}
                        ray.init(address="local", num_cpus=self.cpus, **own, **common)
                except (ConnectionError, ValueError) as error:
                    raise SettingsError(f"no Ray cluster at {self.address}: {error}") from None
            self._ray = ray
        return self._ray


@dataclass
class _Entry:
    """A task, by its number, and what befell it so far."""

    number: int
    deaths: int = 0
    moves: int = 0
    alone: bool = False  # a call of several failed, and it may have been this one


@dataclass(frozen=True)
class _Failed:
    """A call that came to no end: its worker died, or else its machine, or what a task raised could not be sent."""

    how: str
    said: str

    def error(self, entry: _Entry, alone: bool) -> Exception | None:
        """Count it against a task of the call; its error where it is given back, None where it is tried again."""
        if self.how == "moved":
            entry.moves += 1
            return RuntimeError(self.said) if entry.moves > _MOVES else None
        if not alone:
            entry.alone = True
            return None
        entry.deaths += self.how == "died"
        return RuntimeError(self.said) if self.how == "raised" or entry.deaths > RETRIES else None


def _next_call(todo: list[_Entry], most: int) -> list[_Entry]:
    """The tasks of the next call: one, or up to `most` that need not go alone."""
    call = [todo.pop()]
    while todo and len(call) < most and not call[0].alone and not todo[-1].alone:
        call.append(todo.pop())
    return call


class _Room:
    """How many tasks the cluster is given, as it is now."""

    def __init__(self, ray: Any, needs: Needs) -> None:
        self._ray = ray
        self._needs = needs
        self._looked = -LOOK_SECONDS
        self._fits = 1
        self._since = time.monotonic()

    def for_tasks(self) -> int:
        """Tasks that may be in the cluster's hands. Raises SettingsError where no machine can ever hold one."""
        now = time.monotonic()
        if now - self._looked >= LOOK_SECONDS:
            self._looked = now
            machines = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
            self._fits = sum(self._hold(machine) for machine in machines)
            if self._fits:
                self._since = now
            elif now - self._since > ROOM_SECONDS:
                raise SettingsError(
                    f"{self._needs.name}: no machine of the Ray cluster has {self._needs.cpus:g} CPU and "
                    f"{self._needs.memory / 2**30:.1f} GiB of memory for a task (see `ray status`)"
                )
        return max(1, AHEAD * self._fits)

    def _hold(self, machine: dict[str, float]) -> int:
        return int(min(machine.get("CPU", 0) / self._needs.cpus, machine.get("memory", 0) / max(1, self._needs.memory)))


_begin_worker = cache(process.begin)


def _some(work: Callable[[T], R], tasks: Sequence[T]) -> tuple[float, list[R | Exception]]:
    """Run tasks on a worker until the time of a call is over: (seconds, results of those that were run).

    An exception of the work is a value.
    """
    _begin_worker()
    start = time.monotonic()
    results: list[R | Exception] = []
    for _, result in Serial().map(work, tasks):
        results.append(result)
        if (seconds := time.monotonic() - start) >= CALL_SECONDS:
            break
    return seconds, results
