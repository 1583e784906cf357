"""A stage and how it is run: only missing shards are made, failed ones are named, and none is ever half done.

A shard is done if its receipt has the wanted fingerprint. The fingerprint is a digest of the stage's name and version,
of all settings by value, and of the contents of its sources. So a changed bound, model or input redoes the shards that
depend on it and no others. If a shard comes out the same as before, the shards made from it stay valid.

Several commands may fill one work folder together, each with a share of the shards (`Share`). They claim and lock
nothing: a finished shard is known by its receipt, and if two commands make the same shard, they make the same bytes.
"""

import hashlib
import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol, TypeVar

import pyarrow as pa

from roots import shards, storage
from roots.atomic import making, remove_stale, write_text
from roots.errors import NotReady, SettingsError, ShardError, StageFailed
from roots.executors import Executor, Needs, Threads
from roots.identity import Identities
from roots.settings import as_values
from roots.shards import Receipt

R = TypeVar("R")
Plan = Mapping[str, Sequence[Path]]  # name of a shard below the target -> the files that it is made from


class Stage(Protocol):
    """Base of all stages. A stage is a frozen dataclass; its fields are the settings that decide its rows.

    A field that decides no row, such as a path whose digest is another field, is marked `field(metadata=ASIDE)`.
    """

    row_group_bytes: ClassVar[int] = shards.GROUP_BYTES  # smaller in stages whose shards are read in parts

    @property
    def name(self) -> str:
        """Name of the stage."""
        ...

    @property
    def version(self) -> int:
        """It is raised when the same input and settings give other rows than before."""
        ...

    @property
    def memory_needed(self) -> int:
        """Bytes, to make one shard."""
        return Needs.memory

    @property
    def schema(self) -> pa.Schema:
        """The columns of the stage's shards."""
        ...

    def of_shard(self, name: str) -> "Stage":
        """The stage with the settings of one shard."""
        return self

    def make(self, name: str, sources: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        """Make the rows of the shard `name` from its sources."""
        ...


def source_of(shard: str) -> str:
    """The source that a shard is of, where each source has shards of its own: its name up to two underscores."""
    return shard.partition("__")[0]


@dataclass(frozen=True)
class BySource(Stage):
    """A stage some of whose sources have settings of their own."""

    usual: Stage
    apart: Mapping[str, Stage]  # source, as `source_of` names it -> the stage with its settings

    @property
    def name(self) -> str:
        """Name of the stage."""
        return self.usual.name

    @property
    def version(self) -> int:
        """Version of the stage."""
        return self.usual.version

    @property
    def memory_needed(self) -> int:
        """Bytes, to make one shard."""
        return self.usual.memory_needed

    @property
    def schema(self) -> pa.Schema:
        """The columns of the stage's shards."""
        return self.usual.schema

    def of_shard(self, name: str) -> Stage:
        """The stage with the settings of the shard's source."""
        return self.apart.get(source_of(name), self.usual)

    def make(self, name: str, sources: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        """Make the rows of the shard `name` with the settings of its source."""
        return self.of_shard(name).make(name, sources)


@dataclass(frozen=True)
class Share:
    """The shards of a stage that this command makes: every `of`-th by name, starting with number `rank`.

    `wait` is how many seconds to wait for the shards of other ranks, in a step that needs them all.
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
        """The part of a plan that this rank makes."""
        return plan if self.of == 1 else {n: plan[n] for n, rank in self.ranks(plan).items() if rank == self.rank}

    @property
    def notes(self) -> str:
        """Name of the file in which this rank notes the digests of raw inputs (see roots.identity)."""
        return ".inputs.json" if self.of == 1 else f".inputs-{self.rank}.json"


ALONE = Share()
_POLL_SECONDS = (0.1, 10.0)  # between two looks for the shards of other ranks: at first, and at most


@dataclass(frozen=True)
class _Task:
    """One shard to make."""

    stage: Stage
    name: str
    sources: tuple[Path, ...]
    fingerprint: str


def sum_counts(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """The sums of counts by name, greatest first."""
    total = Counter[str]()
    for each in counts:
        total.update(each)
    return dict(sorted(total.items(), key=lambda item: (-item[1], item[0])))


@dataclass(frozen=True)
class Manifest:
    """Summary of a stage's receipts, and how long this run of it took."""

    stage: str
    version: int
    settings: Mapping[str, Any]
    shards: Mapping[str, Receipt]
    apart: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # source -> its own settings, if any
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
        return sum_counts(receipt.drops for receipt in self.shards.values())

    @property
    def engines(self) -> dict[str, int]:
        """Rows kept, by `extractor`, most frequent first."""
        return sum_counts(receipt.engines for receipt in self.shards.values())

    def as_values(self) -> dict[str, object]:
        """The manifest as it is written. It leaves out the time, so that equal runs write equal files."""
        return {
            "stage": self.stage,
            "version": self.version,
            "settings": self.settings,
            **({"apart": self.apart} if self.apart else {}),
            "rows": self.rows,
            "kept": self.kept,
            "drops": self.drops,
            **({"engines": self.engines} if self.engines else {}),
            "sources": dict(sorted(self.sources.items())),
            "shards": {name: receipt.as_values() for name, receipt in sorted(self.shards.items())},
        }

    def write(self, path: Path) -> None:
        """Write the manifest piece by piece: its text can be larger than the receipts in memory."""
        with making(path) as place, place.open("w", encoding="utf-8") as file:
            json.dump(self.as_values(), file, indent=1, sort_keys=True, ensure_ascii=False)
            file.write("\n")


class Progress(Protocol):
    """Called with how far some work is."""

    def __call__(self, what: str, done: float, total: int, receipt: Receipt | None = None, /) -> None:
        """Report that `done` of `total` parts of `what` are done; a part of a shard counts as a fraction.

        `receipt` belongs to the shard made last.
        """


def settings_of(stage: Stage) -> dict[str, object]:
    """The settings that decide a stage's rows, as plain values; those of most sources, if some have others."""
    stage = stage.usual if isinstance(stage, BySource) else stage
    decisive = [f.name for f in fields(stage) if f.metadata.get("decides_rows", True)]  # type: ignore[arg-type]
    return {name: as_values(getattr(stage, name)) for name in decisive}


def _settings_apart(stage: Stage) -> dict[str, dict[str, object]]:
    """For each source with settings of its own, those that differ."""
    usual, apart = settings_of(stage), stage.apart if isinstance(stage, BySource) else {}
    own = {source: settings_of(each) for source, each in sorted(apart.items())}
    found = {source: {key: value for key, value in each.items() if value != usual[key]} for source, each in own.items()}
    return {source: values for source, values in found.items() if values}


def fingerprint(stage: Stage, name: str, identities: Sequence[str]) -> str:
    """Digest of everything that decides a shard: the stage by value, the shard's name, its sources' digests."""
    return fingerprint_of([stage.name, stage.version, settings_of(stage.of_shard(name))], name, identities)


def fingerprint_of(stage: Sequence[object], name: str, identities: Sequence[str]) -> str:
    """The same by plain values: `stage` is its name, version and settings, as its manifest has them."""
    text = json.dumps([*stage, name, list(identities)], sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


class _Inventory(NamedTuple):
    """What is done of a plan, and what is missing."""

    missing: list[_Task]
    done: dict[str, Receipt]  # by name of the shard
    sources: dict[str, str]  # raw source -> digest


def take_inventory(
    stage: Stage, plan: Plan, target: Path, notes: str = ALONE.notes, executor: Executor | None = None
) -> _Inventory:
    """Compare the shards of a plan with their sources. Without an executor, raw sources are digested in this process.

    Raises InputError for a source that cannot be read.
    """
    identities = Identities(target / notes)
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
            missing.append(_Task(stage.of_shard(name), name, sources, wanted))
    if identities.raw and storage.is_folder(target):
        identities.save()
    return _Inventory(missing, done, identities.raw)


def needs_of(stage: Stage) -> Needs:
    """What a task needs that makes one shard."""
    return Needs(stage.name, memory=stage.memory_needed)


def failure_note(path: Path) -> Path:
    """The file that says why a shard could not be made, for `roots status`. It goes when the shard is made."""
    return path.with_name(f".{path.name}.failed")


def _make_shard(target: Path, task: _Task) -> Receipt:
    """Make one shard. An executor runs this."""
    stage, path = task.stage, target / task.name
    storage.make_folder(path.parent)
    batches = stage.make(task.name, task.sources)
    try:
        size = stage.row_group_bytes
        return shards.write(path, stage.schema, batches, stage.name, stage.version, task.fingerprint, size)
    finally:
        pa.default_memory_pool().release_unused()  # the worker lives on, and other workers need the memory


def outcomes(
    stage: str, ended: Iterable[tuple[str, R | Exception]], done: int = 0
) -> Iterator[tuple[str, R | None, str]]:
    """Yield each task that ends: its name and result, or its name, None and what went wrong.

    `done` tasks were done before. Raises StageFailed after the last task if some failed.
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
    """Make the missing shards of `plan` in this share, and the stage's manifest.

    With several ranks, `whole` waits for the shards of all of them. Otherwise the returned manifest covers this rank's
    shards, and the rank that finds all shards done writes the manifest of all. Raises StageFailed if some shards could
    not be made; the others are made first, and no manifest is written. Raises NotReady if the shards of other ranks do
    not appear in time.
    """
    start = time.monotonic()
    storage.make_folder(target)
    remove_stale(target)
    mine = share.mine(plan)
    missing, done, raw = take_inventory(stage, mine, target, share.notes, executor)
    if progress:
        progress(stage.name, len(done), len(mine), None)
    ended = executor.map(partial(_make_shard, target), missing, needs_of(stage))
    named = ((task.name, result) for task, result in ended)
    for number, (name, receipt, failure) in enumerate(outcomes(stage.name, named, len(done)), len(done) + 1):
        if receipt is None:
            with suppress(ShardError):  # a full disk fails the shard and the note alike
                write_text(failure_note(target / name), failure + "\n")
        else:
            done[name] = receipt
            storage.remove(failure_note(target / name))
        if progress:
            progress(stage.name, number, len(mine), receipt)
    everything = (done, raw) if share.of == 1 else _with_others(stage, plan, target, share, whole)
    done, raw = everything or (done, raw)
    receipts = {name: done[name] for name in sorted(done)}
    manifest = Manifest(
        stage.name, stage.version, settings_of(stage), receipts, _settings_apart(stage), len(missing),
        time.monotonic() - start, raw,
    )  # fmt: skip
    if everything:
        manifest.write(target / "manifest.json")
    return manifest


def _is_there(path: Path) -> bool:
    return storage.is_file(path) or storage.is_folder(path)  # a source tree is a folder


def _with_others(
    stage: Stage, plan: Plan, target: Path, share: Share, whole: bool
) -> tuple[dict[str, Receipt], dict[str, str]] | None:
    """The receipts of all ranks' shards, and the digests of all raw sources; None if some shards are missing.

    `whole` waits for them. Raises NotReady if they do not appear in time.
    """
    end = time.monotonic() + share.wait
    pause, longest = _POLL_SECONDS
    waiting = sorted(plan)
    while True:
        # Names are looked at first: a shard that is missing need not be compared with its sources.
        waiting = [name for name in waiting if not all(_is_there(path) for path in (target / name, *plan[name]))]
        if not waiting:
            missing, done, raw = take_inventory(stage, plan, target, share.notes)
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
