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
from typing import Any, TypeVar

from roots.errors import SettingsError
from roots.executors import RETRIES, Needs, Serial

T = TypeVar("T")
R = TypeVar("R")

DIED = "its worker process died three times (out of memory?)"
MOVES = 20  # machines that one task may lose before it is given back: then it is no chance
AHEAD = 2  # tasks handed to the cluster for each that can run: none idles while the next is on its way
LOOK_SECONDS = 5.0  # between two looks at how large the cluster is: it may grow or shrink
ROOM_SECONDS = 300.0  # to wait for a machine that can hold a task at all: a cluster may still be starting


@dataclass
class Ray:
    """A Ray cluster: the one at `address`, or one of `cpus` workers on this machine, started for the run.

    It has no `workers`: how many tasks run at once is the cluster's to say, and its machines share no memory.
    """

    cpus: int = os.cpu_count() or 1
    address: str = ""  # host:port, or "auto" for a cluster that runs on this machine
    _ray: Any = field(default=None, init=False, repr=False, compare=False)

    def map(
        self, work: Callable[[T], R], tasks: Sequence[T], needs: Needs | None = None
    ) -> Iterator[tuple[T, R | Exception]]:
        """Run the tasks; at most AHEAD times as many as fit are in the cluster's hands at a time."""
        if not tasks:
            return
        ray = self._start()
        wanted = needs or Needs()
        remote = ray.remote(_one).options(
            name=wanted.name, num_cpus=wanted.cpus, memory=wanted.memory, max_retries=0
        )  # retries are ours: Ray cannot tell a task that kills its worker from a machine that dies
        handle = ray.put(work)
        room = _Room(ray, wanted)
        todo = [(number, 0, 0) for number in reversed(range(len(tasks)))]  # its deaths and moves so far
        running: dict[Any, tuple[int, int, int]] = {}
        try:
            while todo or running:
                most = room.for_tasks()
                while todo and len(running) < most:
                    entry = todo.pop()
                    running[remote.remote(handle, tasks[entry[0]])] = entry
                done, _ = ray.wait(list(running), num_returns=1, timeout=LOOK_SECONDS)
                for reference in done:
                    number, deaths, moves = running.pop(reference)
                    result = self._result(ray, reference)
                    if isinstance(result, _Lost):
                        deaths, moves = deaths + result.death, moves + (not result.death)
                        if deaths <= RETRIES and moves <= MOVES:
                            todo.append((number, deaths, moves))
                            continue
                        result = RuntimeError(DIED if deaths > RETRIES else result.said)
                    yield tasks[number], result
        finally:
            for reference in running:  # whoever asked wants no more of it
                ray.cancel(reference, force=True)

    @staticmethod
    def _result(ray: Any, reference: Any) -> Any:
        """What a task gave: its result, its exception, or _Lost."""
        try:
            return ray.get(reference)
        except (ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError) as error:
            return _Lost(True, str(error))
        except (ray.exceptions.NodeDiedError, ray.exceptions.ObjectLostError) as error:
            return _Lost(False, f"{MOVES} machines were lost with it: {str(error).splitlines()[0]}")
        except (
            ray.exceptions.RayTaskError
        ) as error:  # what a task raised is given as a value; this is one that cannot be
            return RuntimeError(str(error.cause or error))

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
                        ray.init(address="local", num_cpus=self.cpus, include_dashboard=False, **common)
                except (ConnectionError, ValueError) as error:
                    raise SettingsError(f"no Ray cluster at {self.address}: {error}") from None
            self._ray = ray
        return self._ray


@dataclass(frozen=True)
class _Lost:
    """A task that came to no end: its worker died, or else its machine."""

    death: bool
    said: str


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


def _one(work: Callable[[T], R], task: T) -> R | Exception:
    """Run one task on a worker; an exception of the work is a value."""
    return next(Serial().map(work, [task]))[1]
