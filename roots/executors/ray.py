"""The executor for many machines: runs tasks on a Ray cluster.

Ray places the tasks and moves only paths and receipts. Every machine must see the work folder under the same name (a
shared file system, or a URL: roots.storage) and have this package installed. Ray is an extra, imported when a run asks
for it: `pip install 'roots-corpus[ray]'`.

Tasks of a lost machine are tried again elsewhere. A task whose worker dies three times while its machine lives is
returned as an error, as by `Local`, and the others go on. A machine taken for lost may wake and finish its task. That
does no harm: it writes the same bytes under the same name, whole.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from types import ModuleType
from typing import TypeVar, cast

from roots import process
from roots.errors import SettingsError
from roots.executors.local import RETRIES, Executor, Needs, Serial

T = TypeVar("T")
R = TypeVar("R")

_DIED = "its worker process died three times (out of memory?)"
_MOVES = 20  # machines that one task may lose before it is to blame
_AHEAD = 2  # calls submitted for each that can run, so that no worker waits for the next
_CALL_SECONDS = 0.1  # quicker tasks share a call, since each call has a cost
_LOOK_SECONDS = 5.0  # between two looks at the cluster's size, which may change
_ROOM_SECONDS = 300.0  # to wait for a machine that can hold a task at all: a cluster may still be starting


@dataclass
class Ray(Executor):
    """Runs tasks on the Ray cluster at `address`, or on one of `cpus` workers that it starts on this machine.

    How many tasks run at once is for the cluster to decide; its machines share no memory.
    """

    cpus: int = os.cpu_count() or 1
    address: str = ""  # host:port, or "auto" for a cluster that runs on this machine
    _ray: ModuleType | None = field(default=None, init=False, repr=False, compare=False)

    def map(
        self, work: Callable[[T], R], tasks: Sequence[T], needs: Needs | None = None
    ) -> Iterator[tuple[T, R | Exception]]:
        """Run the tasks; at a time, _AHEAD times as many calls are submitted as fit the cluster."""
        if not tasks:
            return
        ray = self._start()
        wanted = needs or Needs()
        remote = ray.remote(_some).options(
            name=wanted.name, num_cpus=wanted.cpus, memory=wanted.memory, max_retries=0
        )  # we retry: Ray cannot tell a task that kills its worker from a machine that dies
        handle = ray.put(work)
        room = _Room(ray, wanted)
        todo = [_Entry(number) for number in reversed(range(len(tasks)))]
        at_once = 1
        running: dict[object, list[_Entry]] = {}
        try:
            while todo or running:
                most = room.for_tasks()
                while todo and len(running) < most:
                    call = _next_call(todo, min(at_once, len(todo) // most))
                    running[remote.remote(handle, [tasks[entry.number] for entry in call])] = call
                done, _ = ray.wait(list(running), num_returns=1, timeout=_LOOK_SECONDS)
                for reference in done:
                    call = running.pop(reference)
                    answer = self._answer(ray, reference)
                    ended: list[tuple[_Entry, R | Exception]]
                    if isinstance(answer, _Failed):
                        ended = [(entry, error) for entry in call if (error := answer.error(entry, len(call) == 1))]
                    else:
                        seconds, results = answer
                        ended = list(zip(call, cast(list[R | Exception], results), strict=False))
                        at_once = int(len(ended) * _CALL_SECONDS / max(seconds, 1e-9))
                    over = {entry.number for entry, _ in ended}
                    todo += [entry for entry in reversed(call) if entry.number not in over]
                    yield from ((tasks[entry.number], result) for entry, result in ended)
        finally:
            for reference in running:  # the caller has stopped early
                ray.cancel(reference, force=True)

    @staticmethod
    def _answer(ray: ModuleType, reference: object) -> "tuple[float, list[object]] | _Failed":
        """The outcome of a call: (its seconds, the results of its first tasks), or _Failed."""
        try:
            seconds, results = ray.get(reference)
            return seconds, results
        except (ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError):
            return _Failed("died", _DIED)
        except (ray.exceptions.NodeDiedError, ray.exceptions.ObjectLostError) as error:
            return _Failed("moved", f"{_MOVES} machines were lost with it: {str(error).splitlines()[0]}")
        except ray.exceptions.RayTaskError as error:
            # An exception of a task is a result; this one could not be sent.
            return _Failed("raised", str(error.cause or error))

    def _start(self) -> ModuleType:
        if self._ray is None:
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray sends statistics by default
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
                        # Ray runs its workers at nice 15 by default; workers of other executors have no such handicap.
                        own = {"include_dashboard": False, "_system_config": {"worker_niceness": 0}}
                        ray.init(address="local", num_cpus=self.cpus, **own, **common)
                except (ConnectionError, ValueError) as error:
                    raise SettingsError(f"no Ray cluster at {self.address}: {error}") from None
            self._ray = ray
        return self._ray


@dataclass
class _Entry:
    """A task (by number) and its failures so far."""

    number: int
    deaths: int = 0
    moves: int = 0
    alone: bool = False  # it was in a call of several that failed, perhaps because of it


@dataclass(frozen=True)
class _Failed:
    """A call that did not finish: its worker or machine died, or an exception could not be sent."""

    how: str
    said: str

    def error(self, entry: _Entry, alone: bool) -> Exception | None:
        """Count the failure against a task of the call. Returns its error, or None if it is tried again."""
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
    """How many tasks to submit, given the cluster's current size."""

    def __init__(self, ray: ModuleType, needs: Needs) -> None:
        self._ray = ray
        self._needs = needs
        self._looked = -_LOOK_SECONDS
        self._fits = 1
        self._since = time.monotonic()

    def for_tasks(self) -> int:
        """Tasks that may be submitted at a time. Raises SettingsError if no machine can ever hold one."""
        now = time.monotonic()
        if now - self._looked >= _LOOK_SECONDS:
            self._looked = now
            machines = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
            self._fits = sum(self._hold(machine) for machine in machines)
            if self._fits:
                self._since = now
            elif now - self._since > _ROOM_SECONDS:
                raise SettingsError(
                    f"{self._needs.name}: no machine of the Ray cluster has {self._needs.cpus:g} CPU and "
                    f"{self._needs.memory / 2**30:.1f} GiB of memory for a task (see `ray status`)"
                )
        return max(1, _AHEAD * self._fits)

    def _hold(self, machine: dict[str, float]) -> int:
        return int(min(machine.get("CPU", 0) / self._needs.cpus, machine.get("memory", 0) / max(1, self._needs.memory)))


_begin_worker = cache(process.begin)


def _some(work: Callable[[T], R], tasks: Sequence[T]) -> tuple[float, list[R | Exception]]:
    """Run tasks on a worker until the time of a call is over. Returns (seconds, results of the tasks that ran).

    An exception of the work is a result.
    """
    _begin_worker()
    start = time.monotonic()
    results: list[R | Exception] = []
    for _, result in Serial().map(work, tasks):
        results.append(result)
        if (seconds := time.monotonic() - start) >= _CALL_SECONDS:
            break
    return seconds, results
