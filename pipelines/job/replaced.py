"""Which archives of a finished dataset a run takes out of it, because they are no inputs any more."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.job import work as folders
from pipelines.job.request import Job
from roots import storage
from roots.errors import InputError
from roots.executors import Executor
from roots.identity import Identities
from roots.stage import ALONE

_NAMED = 10  # archives that a message names at most


@dataclass(frozen=True)
class _Replaced:
    """The archives of a finished dataset, and those of them that a run leaves out."""

    dataset: Path  # the folder of its language
    before: int  # how many archives it was made from
    gone: tuple[str, ...]  # file names of those that go out, sorted

    def lines(self) -> list[str]:
        """Describe what goes out, for a person."""
        if not self.gone:
            return []
        return [f"{_count(self.gone)} of the former dataset in {self.dataset} not used any more: {_listed(self.gone)}"]

    def check(self) -> None:
        """Raise InputError if no archive of the dataset stays: the work folder is probably another's."""
        if self.gone and len(self.gone) == self.before:
            raise InputError(
                f"{self.dataset} was made from other archives: {_count(self.gone)} would go out, {_listed(self.gone)}. "
                "Name another work folder, or add --replace to replace this dataset"
            )


def find_replaced(
    jobs: Sequence[Job], executor: Executor | None = None, notes: str = ALONE.notes
) -> dict[str, list[_Replaced]]:
    """For each job, by its code, what goes out of the finished datasets that it would change.

    An archive stays if its path or its contents are among the inputs. Archives are digested only if a path is new, and
    then as index would; `notes` is the file in which index notes the digests. Raises InputError as `Identities` does.
    """
    found: dict[str, list[_Replaced]] = {}
    for job in jobs:
        for code in [job.code] if job.code else _finished(job.work):
            before = _inputs(job.work / code / "manifest.json")
            if before:
                gone = _gone(job, before, executor, notes)
                found.setdefault(job.code, []).append(_Replaced(job.work / code, len(before), gone))
    return found


def _finished(work: Path) -> list[str]:
    """Codes of the languages that have a dataset."""
    return [code for code in folders.languages(work) if storage.is_file(work / code / "manifest.json")]


def _inputs(manifest: Path) -> dict[str, str]:
    """The archives of a finished dataset: shard name -> digest; empty if there is none."""
    try:
        inputs: dict[str, str] = json.loads(storage.read_text(manifest))["inputs"]
    except (OSError, ValueError, LookupError, TypeError):
        return {}  # nothing finished, or damaged: `verify` reports that
    return inputs


def _gone(job: Job, before: Mapping[str, str], executor: Executor | None, notes: str) -> tuple[str, ...]:
    """File names of the archives of a dataset that are not among the inputs of a job, sorted."""
    try:
        known = folders.known_inputs(job.work)
    except InputError:
        known = {}
    now = set(job.archives.values())
    moved = {name: digest for name, digest in before.items() if known.get(name) not in now}
    new = sorted(now - {known[name] for name in before if name in known}, key=str)
    if moved and new:
        target = job.folder("index")
        identities = Identities(target / notes)
        if executor:
            identities.know(new, executor)
        contents = {identities.of(path) for path in new}
        if storage.is_folder(target):
            identities.save()
        moved = {name: digest for name, digest in moved.items() if digest not in contents}
    return tuple(sorted(known[name].name if name in known else name.removesuffix(".parquet") for name in moved))


def _count(names: Sequence[str]) -> str:
    return f"{len(names)} archive{'' if len(names) == 1 else 's'}"


def _listed(names: Sequence[str]) -> str:
    more = [f"and {len(names) - _NAMED} more"] if len(names) > _NAMED else []
    return ", ".join([*names[:_NAMED], *more])
