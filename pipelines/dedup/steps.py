"""How the sub-steps of dedup are run: each a stage in a folder of its own, its scratch files checked before use."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, TypeVar

import pyarrow as pa

from roots import shards
from roots.errors import ShardError
from roots.executors import Executor, Needs
from roots.stage import ALONE, Plan, Progress, Share, Stage, run

Chains = Mapping[str, Sequence[Path]]  # shard name -> its shards of the stages before, first to last


class Place(NamedTuple):
    """A shard of dedup: its folder, its name there, and the shards of the stages before."""

    folder: Path
    name: str
    chain: Sequence[Path]

    @property
    def shard(self) -> Path:
        """Where it is."""
        return self.folder / self.name


Places = Mapping[str, Place]  # by the name that all its scratch files have


def places_of(corpora: Mapping[Path, Chains]) -> dict[str, Place]:
    """The shards of dedup that are made, {folder: its chains}; of several folders the names tell the language."""
    places: dict[str, Place] = {}
    for folder, chains in corpora.items():
        prefix = f"{folder.parent.name}--" if len(corpora) > 1 else ""
        places |= {prefix + name: Place(folder, name, chain) for name, chain in chains.items()}
    return dict(sorted(places.items()))


T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Roomy(Executor):
    """An executor whose every task is given `memory` bytes, where it is placed by what it needs."""

    executor: Executor
    memory: int

    @property
    def in_process(self) -> bool:
        """As the executor inside."""
        return self.executor.in_process

    @property
    def tasks_sharing_memory(self) -> int:
        """As the executor inside."""
        return self.executor.tasks_sharing_memory

    def map(
        self, work: Callable[[T], R], tasks: Sequence[T], needs: Needs | None = None
    ) -> Iterator[tuple[T, R | Exception]]:
        """Run the tasks."""
        yield from self.executor.map(work, tasks, replace(needs or Needs(), memory=self.memory))


@dataclass(frozen=True)
class Steps:
    """Runs sub-steps below one folder."""

    target: Path
    executor: Executor
    progress: Progress | None
    share: Share = ALONE

    def run(self, stage: Stage, plan: Plan, folder: str) -> Path:
        """Run one sub-step; gives back its manifest's path.

        Shards of an earlier run that are damaged are removed first, so that they are made again; so are those that
        this run has no use for. A rank looks at its own only: another's may be new.
        """
        place = self.target / folder
        mine = self.share.mine(plan)
        for path in sorted(place.glob("*.parquet")):
            useless = path.name not in plan and self.share.rank == 0
            if useless or (path.name in mine and not is_whole(path, stage)):
                path.unlink(missing_ok=True)
        run(stage, plan, place, self.executor, self.progress, self.share)
        return place / "manifest.json"

    def advance_of(self, name: str) -> Callable[[float], None]:
        """What a sub-step of one task tells its share to, so that the time left is known: where it runs in here."""
        progress = self.progress
        if progress is None or not self.executor.in_process:
            return ignore
        return lambda share: progress(name, share, 1, None)

    def clear(self, folder: str) -> None:
        """Remove what an earlier run left of a sub-step that this one has no use for."""
        if self.share.rank == 0:
            for path in sorted((self.target / folder).glob("*.parquet")):
                path.unlink(missing_ok=True)


def ignore(share: float) -> None:
    """Tell nobody."""


def is_whole(path: Path, stage: Stage) -> bool:
    """Whether a scratch shard is what its receipt says, read through, and of this stage's columns."""
    try:
        shards.check(path)
        with shards.open_shard(path) as shard:
            return bool(shard.schema_arrow.equals(stage.schema, check_metadata=False))
    except (ShardError, pa.ArrowException, OSError):
        return False
