"""Folders of files for other programs: each file whole or not at all, and a manifest that says what was made of what.

The files are made by a stage whose shards are accounts: one row with the digests of the files that it made, and its
counts. So a folder is resumed as every stage is: files are made again if their sources or settings changed, or if their
bytes are not those of the account.

    DIR/files.json       the manifest: format, settings, counts by language and split, sha256 of every file
    DIR/.accounts/       one account for each part: LANGUAGE/SPLIT/NUMBER.parquet
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from roots import shards
from roots.atomic import remove_stale, write_text
from roots.errors import InputError
from roots.executors import Executor
from roots.identity import sha256_of
from roots.schema import DROP, ID
from roots.stage import Plan, Progress, Stage, run
from roots.storage import make_folder

ACCOUNT = pa.schema(
    [
        ID,  # name of the part: "fr/train/00000.parquet"
        pa.field("files", pa.map_(pa.string(), pa.string())),  # name below the folder -> sha256
        pa.field("counts", pa.map_(pa.string(), pa.int64())),
        DROP,
    ]
)
_ACCOUNTS = ".accounts"
_MANIFEST = "files.json"  # a folder with a manifest.json inside a work folder would count as a language


class Part(NamedTuple):
    """The files of one language, split and number, and what they hold."""

    files: Mapping[str, str]  # name below the folder -> sha256
    counts: Mapping[str, int]


class PartsFolder(NamedTuple):
    """A folder of files, and what all of them have in common: the head of its manifest."""

    path: Path
    head: Mapping[str, Any]


def account_of(name: str, target: Path, files: Iterable[Path], counts: Mapping[str, int]) -> pa.RecordBatch:
    """The account of the files that a stage has made for the part `name`."""
    digests = [(path.relative_to(target).as_posix(), sha256_of(path)) for path in files]
    return pa.RecordBatch.from_pylist([{"id": name, "files": digests, "counts": list(counts.items())}], ACCOUNT)


def make_parts(
    stage: Stage, plan: Plan, folder: PartsFolder, executor: Executor, progress: Progress | None
) -> dict[str, Part]:
    """Make the parts of `plan` that are missing in the folder; return all its parts by name.

    Parts of languages that the plan does not name stay. Raises InputError if the folder holds other things. Raises
    StageFailed, after all other parts are made, if some could not be made.
    """
    target = folder.path
    _claim(target, folder.head)
    for place in sorted({path.parent for path in target.rglob(".*.tmp")}):
        remove_stale(place)
    accounts = target / _ACCOUNTS
    languages = {name.partition("/")[0] for name in plan}
    for name, part in _read(accounts).items():
        if name.partition("/")[0] in languages and not (name in plan and _is_whole(target, part)):
            for file in part.files:
                (target / file).unlink(missing_ok=True)
            (accounts / name).unlink()

    def report(name: str, done: float, total: int, _: shards.Receipt | None = None) -> None:
        if progress:
            progress(name, done, total)  # without the receipt: the rows of an account are not documents

    run(stage, plan, accounts, executor, report)
    return _read(accounts)


def _claim(target: Path, head: Mapping[str, object]) -> None:
    """Mark the folder as unfinished. Raises InputError if it holds files of others, or with another head."""
    manifest = target / _MANIFEST
    try:
        old = json.loads(manifest.read_text(encoding="utf-8")) if manifest.exists() else {}
    except (OSError, ValueError) as error:
        raise InputError(f"{manifest} cannot be read ({error}): delete the folder or name another one") from None
    if not old and target.is_dir() and any(target.iterdir()):
        raise InputError(f"{target} is not empty: name a new folder, or delete this one")
    other = [key for key, value in head.items() if old and (not isinstance(old, dict) or old.get(key) != value)]
    if other:
        raise InputError(f"{target} holds files with another {other[0]}: name a new folder, or delete this one")
    make_folder(target)
    _write(manifest, {**(old or head), "finished": False})


def _is_whole(target: Path, part: Part) -> bool:
    return all((target / file).is_file() and sha256_of(target / file) == sha for file, sha in part.files.items())


def _read(accounts: Path) -> dict[str, Part]:
    found = {}
    for path in sorted(accounts.rglob("*.parquet")):
        if shards.read_receipt(path) is None:
            path.unlink()  # damaged: its files are made again
            continue
        (row,) = (row for batch in shards.read(path) for row in batch.to_pylist())
        found[path.relative_to(accounts).as_posix()] = Part(dict(row["files"]), dict(row["counts"]))
    return found


def write_parts_manifest(
    folder: PartsFolder, parts: Mapping[str, Part], weight: str, more: Sequence[Path] = ()
) -> dict[str, Any]:
    """Write the manifest of a folder whose parts are all made, and return it.

    `more` are files that belong to no part. A language's share of a split is that of the count `weight`.
    """
    target, head = folder
    splits: dict[str, dict[str, Any]] = {}
    languages: dict[str, dict[str, dict[str, Any]]] = {}
    for name, part in sorted(parts.items()):
        language, split, _ = name.split("/")
        for counts in (splits.setdefault(split, {}), languages.setdefault(language, {}).setdefault(split, {})):
            for key, count in part.counts.items():
                counts[key] = counts.get(key, 0) + count
    for each in languages.values():
        for split, counts in each.items():
            counts["share"] = round(counts[weight] / max(1, splits[split][weight]), 6)
    digests = {name: sha for part in parts.values() for name, sha in part.files.items()}
    digests |= {path.relative_to(target).as_posix(): sha256_of(path) for path in more}
    files = {name: {"bytes": (target / name).stat().st_size, "sha256": sha} for name, sha in digests.items()}
    manifest = {**head, "splits": splits, "languages": languages, "files": files, "finished": True}
    _write(target / _MANIFEST, manifest)
    return manifest


def _write(path: Path, values: Mapping[str, object]) -> None:
    write_text(path, json.dumps(values, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
