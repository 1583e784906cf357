"""A stage, and how it is run: only what is missing is made, what failed is named, nothing is half done.

A shard is done when its receipt's fingerprint is the wanted one. The fingerprint is a digest of the stage's name and
version, of all settings by value, and of the *contents* of its sources; so a changed bound, model or input redoes the
shards it touches and no others, and a shard that came out the same spares all that follow it.

Several commands may make one work folder together, each a share of the shards (`Share`). Nothing is claimed or locked:
what is there is seen by its receipt, and a shard that two of them make comes out in the same bytes.
"""

import hashlib
import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

import pyarrow as pa

from roots import shards, storage
from roots.atomic import making
from roots.errors import InputError, NotReady, SettingsError, ShardError, StageFailed
from roots.executors import Executor, Needs, Threads
from roots.identity import Identities
from roots.settings import as_values
from roots.shards import Receipt

R = TypeVar("R")
Plan = Mapping[str, Sequence[Path]]  # shard to make (a name below the target) -> the files it is made from


class Stage(Protocol):
    """What a stage derives from: a frozen dataclass whose fields are all that decides its rows.

    A field that does not (a path whose digest is another field) is marked `field(metadata=ASIDE)`.
    """

    name: ClassVar[str]
    version: ClassVar[int]  # raised whenever the same input and settings would give other rows
    row_group_bytes: ClassVar[int] = shards.GROUP_BYTES  # less where the shards are read in parts
    memory_needed: ClassVar[int] = Needs.memory  # bytes, to make one shard

    @property
    def schema(self) -> pa.Schema:
        """The columns of its shards."""
        ...

    def make(self, name: str, sources: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        """Make the rows of the shard `name` from its sources."""
        ...


@dataclass(frozen=True)
class Share:
    """Which shards of a stage this command makes: every `of`-th by name, from number `rank` on.

    `wait` is how many seconds a step that needs the shards of all ranks waits for them.
    """

    rank: int = 0
    of: int = 1
    wait: float = 0.0

    def __post_init__(self) -> None:
        if self.of < 1 or not 0 <= self.rank < self.of:
            raise SettingsError(f"--rank {self.rank} --of {self.of}: ranks are 0 to {max(0, self.of - 1)}")
        if self.wait < 0:
            raise SettingsError(f"--wait {self.wait:g} is below 0")

    def ranks(self, plan: Plan) -> dict[str, int]:
        """The rank that makes each shard."""
        return {name: number % self.of for number, name in enumerate(sorted(plan))}

    def mine(self, plan: Plan) -> Plan:
        """What this rank makes of a plan."""
        return plan if self.of == 1 else {n: plan[n] for n, rank in self.ranks(plan).items() if rank == self.rank}

    @property
    def memory(self) -> str:
        """Name of the file in which this rank remembers digests of raw inputs."""
        return ".inputs.json" if self.of == 1 else f".inputs-{self.rank}.json"


ALONE = Share()
_POLL_SECONDS = (0.1, 10.0)  # between two looks for the shards of others: at first, and at most


@dataclass(frozen=True)
class _Task:
    """One shard to make."""

    name: str
    sources: tuple[Path, ...]
    fingerprint: str


@dataclass(frozen=True)
class Manifest:
    """What a stage made: a summary of its receipts, and how long this run of it took."""

    stage: str
    version: int
    settings: Mapping[str, Any]
    shards: Mapping[str, Receipt]
    made: int = 0  # shards made by this run; the others were done before
    seconds: float = 0.0  # of this run
    sources: Mapping[str, str] = field(default_factory=dict)  # raw input -> sha256

    @property
    def rows(self) -> int:
        """Rows read."""
        return sum(receipt.rows for receipt in self.shards.values())

    @property
    def kept(self) -> int:
        """Rows kept."""
        return sum(receipt.kept for receipt in self.shards.values())

    @property
    def drops(self) -> dict[str, int]:
        """Rows dropped, by reason, most frequent first."""
        total: dict[str, int] = {}
        for receipt in self.shards.values():
            for reason, rows in receipt.drops.items():
                total[reason] = total.get(reason, 0) + rows
        return dict(sorted(total.items(), key=lambda item: (-item[1], item[0])))

    def as_values(self) -> dict[str, Any]:
        """The manifest as it is written: everything but the time it took, so that equal runs write equal files."""
        return {
            "stage": self.stage,
            "version": self.version,
            "settings": self.settings,
            "rows": self.rows,
            "kept": self.kept,
            "drops": self.drops,
            "sources": dict(sorted(self.sources.items())),
            "shards": {name: vars(receipt) for name, receipt in sorted(self.shards.items())},
        }

    def write(self, path: Path) -> None:
        """Write it, piece by piece: of many shards the text is larger than all that is held of them."""
        with making(path) as place, place.open("w", encoding="utf-8") as file:
            json.dump(self.as_values(), file, indent=1, sort_keys=True, ensure_ascii=False)
            file.write("\n")


class Progress(Protocol):
    """Called with how far some work is."""

    def __call__(self, what: str, done: float, total: int, receipt: Receipt | None = None, /) -> None:
        """Take note that `done` of `total` parts of `what` are done; a part of a shard counts as a fraction.

        `receipt` is of the shard made last.
        """


def settings_of(stage: Stage) -> dict[str, Any]:
    """All settings that decide a stage's rows, as plain values."""
    decisive = [f.name for f in fields(stage) if f.metadata.get("decides_rows", True)]  # type: ignore[arg-type]
    return {name: as_values(getattr(stage, name)) for name in decisive}


def fingerprint(stage: Stage, name: str, identities: Sequence[str]) -> str:
    """Digest of all that decides a shard: the stage by value, the shard's name, and the contents of its sources."""
    values = [stage.name, stage.version, settings_of(stage), name, list(identities)]
    text = json.dumps(values, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def read_manifest(target: Path) -> dict[str, Any]:
    """The manifest of a stage's folder. Raises InputError where the stage has not finished."""
    try:
        manifest: dict[str, Any] = json.loads(storage.read_text(target / "manifest.json"))
    except FileNotFoundError:
        raise InputError(f"{target} has no manifest: the stage that makes it has not finished") from None
    except ValueError as error:
        raise InputError(f"{target / 'manifest.json'} is damaged ({error}): run its stage again") from None
    return manifest


def tasks_of(
    stage: Stage, plan: Plan, target: Path, memory: str = ALONE.memory, executor: Executor | None = None
) -> tuple[list[_Task], dict[str, Receipt], dict[str, str]]:
    """What is still to make, what is done, and the digests of raw sources; without an executor they are made here."""
    identities = Identities(target / memory)
    identities.know((source for sources in plan.values() for source in sources), executor or Threads())
    missing: list[_Task] = []
    done: dict[str, Receipt] = {}
    names = sorted(plan)
    receipts = storage.at_once(shards.read_receipt, [target / name for name in names])
    for name, receipt in zip(names, receipts, strict=True):
        sources = tuple(plan[name])
        wanted = fingerprint(stage, name, [identities.of(source) for source in sources])
        if receipt is not None and receipt.fingerprint == wanted:
            done[name] = receipt
        else:
            missing.append(_Task(name, sources, wanted))
    if identities.raw and storage.is_folder(target):
        identities.save()
    return missing, done, identities.raw


def needs_of(stage: Stage) -> Needs:
    """What making one shard needs."""
    return Needs(stage.name, memory=stage.memory_needed)


def failure_note(path: Path) -> Path:
    """Where it is written why a shard could not be made, for those who watch from elsewhere; gone once it is made."""
    return path.with_name(f".{path.name}.failed")


def _make_shard(stage: Stage, target: Path, task: _Task) -> Receipt:
    """Make one shard: what an executor runs."""
    path = target / task.name
    storage.make_folder(path.parent)
    batches = stage.make(task.name, task.sources)
    try:
        size = stage.row_group_bytes
        return shards.write(path, stage.schema, batches, stage.name, stage.version, task.fingerprint, size)
    finally:
        pa.default_memory_pool().release_unused()  # workers are kept: else each holds 70 MB for nothing (measured)


def outcomes(
    stage: str, ended: Iterable[tuple[str, R | Exception]], done: int = 0
) -> Iterator[tuple[str, R | None, str]]:
    """For each task that ends: its name and result, or its name, None and what went wrong.

    `done` tasks were done before. Raises StageFailed after the last task when some failed.
    """
    failures: dict[str, str] = {}
    for name, result in ended:
        if isinstance(result, Exception):
            failures[name] = f"{type(result).__name__}: {result}"
            yield name, None, failures[name]
        else:
            done += 1
            yield name, result, ""
    if failures:
        raise StageFailed(stage, failures, done)


def run(
    stage: Stage,
    plan: Plan,
    target: Path,
    executor: Executor,
    progress: Progress | None = None,
    share: Share = ALONE,
    whole: bool = True,
) -> Manifest:
    """Make all shards of `plan` that are not done yet and of this share, and the stage's manifest.

    With several ranks, `whole` says that all shards are needed now: those of the others are waited for. Otherwise the
    manifest that is given back is of this rank's shards, and the rank that finds all of them there writes the whole.
    Raises StageFailed, after all others are made, when some shards could not be made; no manifest is written then.
    Raises NotReady where the wait was in vain.
    """
    start = time.monotonic()
    storage.make_folder(target)
    shards.remove_stale(target)
    mine = share.mine(plan)
    missing, done, raw = tasks_of(stage, mine, target, share.memory, executor)
    if progress:
        progress(stage.name, len(done), len(mine), None)
    ended = executor.map(partial(_make_shard, stage, target), missing, needs_of(stage))
    named = ((task.name, result) for task, result in ended)
    for number, (name, receipt, failure) in enumerate(outcomes(stage.name, named, len(done)), len(done) + 1):
        if receipt is None:
            with suppress(ShardError):  # a full disk fails the shard and the note alike
                shards.write_text(failure_note(target / name), failure + "\n")
        else:
            done[name] = receipt
            failure_note(target / name).unlink(missing_ok=True)
        if progress:
            progress(stage.name, number, len(mine), receipt)
    everything = (done, raw) if share.of == 1 else _with_others(stage, plan, target, share, whole)
    done, raw = everything or (done, raw)
    receipts = {name: done[name] for name in sorted(done)}
    manifest = Manifest(
        stage.name, stage.version, settings_of(stage), receipts, len(missing), time.monotonic() - start, raw
    )
    if everything:
        manifest.write(target / "manifest.json")
    return manifest


def _is_there(path: Path) -> bool:
    return storage.is_file(path) or storage.is_folder(path)  # a source tree is a folder


def _with_others(
    stage: Stage, plan: Plan, target: Path, share: Share, whole: bool
) -> tuple[dict[str, Receipt], dict[str, str]] | None:
    """The receipts of all ranks' shards, and the digests of all raw sources; None where they are not there.

    Where the whole is needed they are waited for, then NotReady is raised.
    """
    end = time.monotonic() + share.wait
    pause, longest = _POLL_SECONDS
    waiting = sorted(plan)
    while True:
        # A look at the names comes first: what is not there need not be compared with its sources.
        waiting = [name for name in waiting if not all(_is_there(path) for path in (target / name, *plan[name]))]
        if not waiting:
            missing, done, raw = tasks_of(stage, plan, target, share.memory)
            if not missing:
                return done, raw
            waiting = [task.name for task in missing]
        if not whole:
            return None
        if time.monotonic() >= end:
            ranks = share.ranks(plan)
            raise NotReady(stage.name, {name: ranks[name] for name in waiting}, share.wait)
        time.sleep(min(pause, max(0.0, end - time.monotonic())))
        pause = min(longest, 1.3 * pause)
