"""What files contain, as digests: the part of a shard's fingerprint that stands for its sources.

A shard's digest is in its receipt. The digest of a raw file or a folder is computed once and remembered.
"""

import hashlib
import json
import os
import stat
from collections.abc import Iterable, Mapping
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any

from roots import shards, storage
from roots.atomic import write_text
from roots.errors import InputError
from roots.executors import Executor, Needs, Threads

_SMALL_BYTES = 16 << 20  # a file up to this size is digested in this process: sending it to a worker takes as long
_DIGEST_BYTES = 256 << 20  # memory that a worker needs to digest a file
_GIT = frozenset({"HEAD", "config", "packed-refs"})  # the files of .git that say which commit is checked out


class Identities:
    """The digests of sources: a shard's is in its receipt; a raw file's is computed once and remembered.

    A remembered digest counts while the file has the same size and modification time. `notes` is the JSON file that
    keeps the digests. Digests are also looked up in the notes of other ranks, which lie beside it, and in the notes
    beside the shards that a shard is made from: index digests an archive, extract does not.
    """

    def __init__(self, notes: Path) -> None:
        self._notes = notes
        self._known: dict[str, list[Any]] = {}
        self._asked: dict[Path, str] = {}
        self.raw: dict[str, str] = {}  # name of a raw source -> its digest
        self._recall(notes.parent)

    def _recall(self, folder: Path) -> None:
        for path in storage.files_in(folder, ".inputs*.json"):
            with suppress(ValueError, FileNotFoundError):  # unreadable notes are no loss: digests are computed again
                self._known |= json.loads(storage.read_text(path))

    def of(self, path: Path) -> str:
        """Digest of what `path` holds. Raises InputError for what cannot be read."""
        if path in self._asked:
            return self._asked[path]
        receipt = shards.read_receipt(path) if path.suffix in shards.SUFFIXES else None
        if receipt is not None:
            return receipt.digest
        if storage.is_remote(path):  # an archive is not read for its digest; a manifest is small
            self.raw[path.name] = sha256_of(path) if path.suffix == ".json" else storage.identity(path)
            return self.raw[path.name]
        if path.is_dir():  # a source tree: its modification time says nothing about the files in it
            self._asked[path] = self.raw[path.name] = sha256_of_folder(path)
            return self._asked[path]
        key, stamp = self._stamp(path)
        if key not in self._known or self._known[key][:2] != stamp:
            self._known[key] = [*stamp, sha256_of(path)]
        self.raw[path.name] = str(self._known[key][2])
        return self.raw[path.name]

    def know(self, paths: Iterable[Path], executor: Executor) -> None:
        """Digest those of the raw files that are not known yet: small ones here, large ones by the executor.

        Files at URLs, shards too, are asked for many at a time, since each answer of a store takes some 20 ms.
        Raises InputError for a file that cannot be read.
        """
        every = set(paths)
        far = [path for path in every if storage.is_remote(path)]
        self._asked = dict(zip(far, storage.at_once(self.of, far), strict=True))
        near = sorted(path for path in every if not storage.is_remote(path))
        stamps = {path: self._stamp(path) for path in near if path.suffix not in shards.SUFFIXES and path.is_file()}
        if self._unknown(stamps):
            for folder in sorted({path.parent for path in every if path.suffix in shards.SUFFIXES}):
                self._recall(folder)
        new = self._unknown(stamps)
        large = [path for path in new if stamps[path][1][0] > _SMALL_BYTES]
        small = [path for path in new if stamps[path][1][0] <= _SMALL_BYTES]
        needs = Needs("digest", memory=_DIGEST_BYTES)
        for path, digest in chain(Threads().map(sha256_of, small), executor.map(sha256_of, large, needs)):
            if isinstance(digest, Exception):
                raise digest
            key, stamp = stamps[path]
            self._known[key] = [*stamp, digest]

    def _unknown(self, stamps: Mapping[Path, tuple[str, list[int]]]) -> list[Path]:
        return [path for path, (key, stamp) in stamps.items() if self._known.get(key, [])[:2] != stamp]

    @staticmethod
    def _stamp(path: Path) -> tuple[str, list[int]]:
        stamp = [path.stat().st_size, path.stat().st_mtime_ns] if path.exists() else []
        return str(path.resolve()), stamp

    def save(self) -> None:
        """Write the notes."""
        write_text(self._notes, json.dumps(self._known, indent=1, sort_keys=True))


def sha256_of(path: Path) -> str:
    """sha256 of a file's bytes, in hexadecimal. Raises InputError for what cannot be read as a file."""
    try:
        with storage.open_binary(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type] # a reader of either kind
    except FileNotFoundError:
        raise InputError(f"no file {path}") from None
    except IsADirectoryError:
        raise InputError(f"{path} is a folder: name files, or quote a pattern such as '{path}/*.warc.gz'") from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from None


def sha256_of_folder(root: Path) -> str:
    """sha256 of all regular files below `root`, in hexadecimal. A copy of the folder has the same digest.

    A link counts as the path it names and is not followed. Of a .git folder only what names the commit counts.
    Raises InputError for an empty folder and for a file that cannot be read.
    """
    digest = hashlib.sha256()
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(folder) as found:
                entries = sorted(found, key=lambda entry: entry.name)
            if folder == root and not entries:
                raise InputError(f"{root} is a folder with nothing in it")
            in_git = folder.name == ".git"
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    if not in_git or entry.name == "refs":
                        waiting.append(Path(entry.path))
                elif not in_git or entry.name in _GIT:
                    name = os.fsencode(os.path.relpath(entry.path, root))
                    content = _content(Path(entry.path))
                    digest.update(b"%d:%s%d:%s" % (len(name), name, len(content), content))
        except OSError as error:
            raise InputError(f"cannot read {error.filename or folder}: {error.strerror or error}") from None
    return digest.hexdigest()


def _content(path: Path) -> bytes:
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        return b"link:" + os.fsencode(path.readlink())
    if not stat.S_ISREG(mode):
        return b"special"
    with path.open("rb") as file:
        return b"file:" + hashlib.file_digest(file, "sha256").digest()
