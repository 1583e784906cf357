"""Files that appear whole or not at all: made under a temporary name, and renamed when they are finished.

The manifest of a stage is one of them. It is read here, without Arrow.
"""

import errno
import json
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from roots import storage
from roots.errors import InputError, ShardError


def temporary_name(path: Path) -> Path:
    """A hidden name beside `path` that holds this process's id: no reader takes it for a shard."""
    return path.with_name(f".{path.name}.{socket.gethostname()}-{os.getpid()}.tmp")


def remove_stale(folder: Path) -> None:
    """Remove temporary files left by processes of this machine that have ended. At a URL there are none."""
    if storage.is_remote(folder):
        return
    for path in sorted(folder.glob(".*.tmp")):
        host, _, pid = path.name.removesuffix(".tmp").rpartition(".")[2].rpartition("-")
        if host == socket.gethostname() and pid.isdigit() and not Path(f"/proc/{pid}").exists():
            path.unlink(missing_ok=True)


def put_in_place(temporary: Path, path: Path) -> None:
    """Rename a finished temporary file to `path`, so that after a power cut it is there whole or not at all."""
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextmanager
def making(path: Path) -> Iterator[Path]:
    """Give a temporary path to write to; at the end it becomes `path`. After an error nothing is left of it.

    Raises ShardError if the file cannot be written.
    """
    if storage.is_remote(path):
        with tempfile.TemporaryDirectory(prefix="roots-") as folder:
            local = Path(folder) / path.name
            yield local
            storage.send(local, path)
        return
    temporary = temporary_name(path)
    try:
        yield temporary
        put_in_place(temporary, path)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ShardError(f"no space left to write {path}: free some, then run the same command again") from error
        raise ShardError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a small text file whole or not at all. Raises ShardError if it cannot be written."""
    with making(path) as place:
        place.write_text(text, encoding="utf-8")


def read_manifest(target: Path) -> dict[str, Any]:
    """The manifest of a stage's folder. Raises InputError if the stage has not finished."""
    try:
        manifest: dict[str, Any] = json.loads(storage.read_text(target / "manifest.json"))
    except FileNotFoundError:
        raise InputError(f"{target} has no manifest: the stage that makes it has not finished") from None
    except ValueError as error:
        raise InputError(f"{target / 'manifest.json'} is damaged ({error}): run its stage again") from None
    return manifest
