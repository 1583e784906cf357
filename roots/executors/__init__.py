"""Executors by name."""

from collections.abc import Callable
from typing import Any

from roots.errors import SettingsError, unknown_name
from roots.executors.local import Executor, Local, Needs, Serial, Threads, default_workers
from roots.executors.ray import Ray

__all__ = ["EXECUTORS", "Executor", "Local", "Needs", "Ray", "Serial", "Threads", "default_workers", "make_executor"]

EXECUTORS: dict[str, Callable[..., Executor]] = {"serial": Serial, "local": Local, "ray": Ray}


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
    return EXECUTORS[name](workers, **more.get(name, {}))
