"""The digest of a folder: of the names and contents of its files, and of nothing that a copy of it would not have."""

import hashlib
import os
import stat
from pathlib import Path

from roots.errors import InputError

# Of what Git keeps, only what says which commit is checked out and where it comes from decides anything.
_GIT = frozenset({"HEAD", "config", "packed-refs"})


def sha256_of_folder(root: Path) -> str:
    """sha256 of all regular files below `root`, in hexadecimal; links are digested as what they say, not followed.

    Raises InputError for a folder that holds nothing, and for a file that cannot be read.
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
