"""Executors by name."""

from roots.executors.local import (
    EXECUTORS,
    Executor,
    Local,
    Needs,
    Serial,
    Threads,
    default_workers,
    make_executor,
)

__all__ = ["EXECUTORS", "Executor", "Local", "Needs", "Serial", "Threads", "default_workers", "make_executor"]
