"""Files that appear whole or not at all: made under another name, or on this machine, and published when finished."""

import errno
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from roots import storage
from roots.errors import ShardError


def temporary_name(path: Path) -> Path:
    """A hidden name beside `path`, of this process: never taken for a shard, and known as stale when we are dead."""
    return path.with_name(f".{path.name}.{socket.gethostname()}-{os.getpid()}.tmp")


def remove_stale(folder: Path) -> None:
    """Remove temporary files of processes of this machine that are no more; at a URL there never are any."""
    if storage.is_remote(folder):
        return
    for path in sorted(folder.glob(".*.tmp")):
        host, _, pid = path.name.removesuffix(".tmp").rpartition(".")[2].rpartition("-")
        if host == socket.gethostname() and pid.isdigit() and not Path(f"/proc/{pid}").exists():
            path.unlink(missing_ok=True)


def publish(temporary: Path, path: Path) -> None:
    """Give a finished temporary file its name, so that it survives a power cut whole or not at all."""
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
    """A place to make a file, which is published as `path` at the end; after an error nothing is left.

    Raises ShardError where the file cannot be written.
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
        publish(temporary, path)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ShardError(f"no space left to write {path}: free some, then run the same command again") from error
        raise ShardError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a small text file whole or not at all."""
    with making(path) as place:
        place.write_text(text, encoding="utf-8")
