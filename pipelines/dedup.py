"""dedup: copies of one URL, exact copies, then near-duplicates, each removed for evidence against the one that is kept.

The work is cut into sub-steps (`dedup_stages`, `dedup_groups`, `dedup_settle`), whose shards lie in folders below the
stage's own. The stage's shards, in the folder itself, hold one row for every document read.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, TypeVar, cast

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from filters.near_duplicates import probability
from pipelines.dedup_audit import Compare, Losses, Queries, largest_clusters, losses_above, measure
from pipelines.dedup_columns import Scratch, read_batches
from pipelines.dedup_groups import Groups, ShingleSets
from pipelines.dedup_settings import Dedup, parse_bytes
from pipelines.dedup_settle import Mark, Settle
from pipelines.dedup_space import Cuts, check_space, cut
from pipelines.dedup_stages import RELEASED, Exact, Pairs, Sign, Urls
from roots import shards
from roots.errors import ShardError, StageFailed
from roots.executors import Executor, Needs
from roots.settings import as_values
from roots.stage import ALONE, Manifest, Plan, Progress, Share, Stage, run

__all__ = ["Dedup", "run_dedup"]

Chains = Mapping[str, Sequence[Path]]  # shard name -> its shards of the stages before, first to last


def run_dedup(
    chains: Chains,
    target: Path,
    settings: Dedup,
    executor: Executor,
    progress: Progress | None = None,
    against: Chains | None = None,
    share: Share = ALONE,
) -> Manifest:
    """Make the shards of dedup for all chains, and their manifest.

    `against` names documents released before, in the same way, or as one file each with `id` and `text` (Parquet, or
    our final Arrow): new ones are removed for them too; they stay, and no shard is made of them.
    With several ranks each makes its share of every sub-step, and waits for the others where the next needs them all.
    Raises SettingsError where memory or disk cannot suffice, StageFailed where shards could not be made, NotReady
    where other ranks' are not there in time.
    """
    # Ranks and machines must all cut alike, whatever each has: there `memory` is of one task.
    workers = max(1, int(getattr(executor, "workers", 1))) if share.of == 1 else 1
    cut(0, 0, parse_bytes(settings.memory), workers)
    everything = {**chains, **{RELEASED + name + ".parquet": chain for name, chain in (against or {}).items()}}
    if share.rank == 0:
        check_space(everything, target, settings)
    executor = Roomy(executor, parse_bytes(settings.memory))
    steps = Steps(target, executor, progress, share)
    sign, settled = find(steps, dict(sorted(everything.items())), settings, workers)
    mark = Mark(digest_of(Scratch.of(settled)), sign, settled)
    marks = {name: [sign.with_name(name)] for name in sorted(chains)}
    manifest = run(cast(Stage, mark), marks, target, executor, progress, share)
    if settings.audit:
        report(steps, chains, settings, manifest)
    return manifest


class Found(NamedTuple):
    """Manifests of the sub-steps that find copies."""

    sign: Path
    urls: Path
    exact: Path
    pairs: Path


def find(steps: "Steps", everything: Chains, settings: Dedup, workers: int) -> tuple[Path, Path]:
    """Find who is removed for whom, among all documents there are. Gives back the manifests of sign and of settle."""
    sign = steps.run(Sign(settings.scheme, settings.keep, settings.url), everything, "sign")
    signed = Scratch.of(sign)
    shingles = sum(int(piece["shingles"].sum()) for _, piece in signed.stream(["shingles"]))
    cuts = cut(signed.total, shingles, parse_bytes(settings.memory), workers)
    parts = [f"part-{part:04d}.parquet" for part in range(cuts.exact_parts)]
    urls = steps.run(Urls(cuts.exact_parts), {part: [sign] for part in parts}, "urls")
    exact = steps.run(Exact(cuts.exact_parts), {part: [sign, urls] for part in parts}, "exact")
    cells = [(band, part) for band in range(settings.bands) for part in range(cuts.pair_parts)]
    pairs = steps.run(
        Pairs(settings.bands, cuts.pair_parts),
        {f"band-{band:03d}-part-{part:04d}.parquet": [sign, urls, exact] for band, part in cells},
        "pairs",
    )
    return sign, verify_pairs(steps, everything, settings, cuts, Found(sign, urls, exact, pairs))


def verify_pairs(steps: "Steps", everything: Chains, settings: Dedup, cuts: Cuts, found: Found) -> Path:
    """Verify candidates group by group, and decide. Gives back the manifest of settle."""
    sign, urls, exact, pairs = found
    grouping = Groups(cuts.group_bytes, cuts.nodes)
    groups = steps.run(grouping, {"groups.parquet": [*found]}, "groups").with_name("groups.parquet")
    sets = steps.run(
        ShingleSets(settings.scheme, sign, cuts.stretch_bytes),
        {name: [groups, sign.with_name(name), *everything[name]] for name in everything},
        "sets",
    )
    return steps.run(
        Settle(settings.jaccard, settings.exact != "roots", cuts.set_bytes),
        {f"group-{group:06d}.parquet": [urls, exact, pairs, sets] for group in range(count_groups(groups))},
        "settle",
    )


AUDITED = 10_000  # compared with the looked up; at 35,000 documents this is a fifth of the whole job's time


def report(steps: "Steps", chains: Mapping[str, Sequence[Path]], settings: Dedup, manifest: Manifest) -> None:
    """Measure a sample and write `report.json`. Raises StageFailed for a loss beyond the alarm, with `strict`."""
    target = steps.target
    sign, settled = target / "sign" / "manifest.json", target / "settle" / "manifest.json"
    total = max(1, manifest.rows)
    plan = {name: [sign.with_name(name), *chains[name]] for name in sorted(chains)}
    queries = steps.run(Queries(settings.scheme, settings.audit / total, sign), plan, "queries")
    comparing = Compare(settings.scheme, AUDITED / total, settings.jaccard, sign)
    compared = steps.run(comparing, {name: [queries, settled, *plan[name]] for name in plan}, "compare")
    losses = steps.run(Losses(), {name: [target / name, *chains[name]] for name in sorted(chains)}, "losses")
    alarms = losses_above(Scratch.of(losses), settings.alarm, 100)
    found = {
        "documents": manifest.rows,
        "kept": manifest.kept,
        "drops": manifest.drops,
        "settings": {name: value for name, value in as_values(settings).items() if name != "memory"},
        "s_curve": {
            f"{jaccard / 20:.2f}": round(probability(jaccard / 20, settings.bands, settings.rows), 4)
            for jaccard in range(8, 21)
        },
        "sample": {
            "looked_up": Scratch.of(queries).total,
            **measure(Scratch.of(compared), Scratch.of(settled), settings.scheme, settings.jaccard),
        },
        "largest_clusters": largest_clusters(Scratch.of(settled)),
        "alarms": alarms,
    }
    shards.write_text(target / "report.json", json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    if alarms and settings.strict:
        lost = {row["host"]: f"{row['lost']} of {row['rows']} documents were removed" for row in alarms}
        raise StageFailed("dedup", lost, len(manifest.shards))


T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Roomy:
    """An executor whose every task is given `memory` bytes, where it is placed by what it needs."""

    executor: Executor
    memory: int

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

    def run(self, stage: object, plan: Plan, folder: str) -> Path:
        """Run one sub-step; gives back its manifest's path.

        Shards of an earlier run that are damaged are removed first, so that they are made again; so are those that
        this run has no use for. A rank looks at its own only: another's may be new.
        """
        place = self.target / folder
        mine = self.share.mine(plan)
        for path in sorted(place.glob("*.parquet")):
            useless = path.name not in plan and self.share.rank == 0
            if useless or (path.name in mine and not is_whole(path, cast(Stage, stage))):
                path.unlink(missing_ok=True)
        run(cast(Stage, stage), plan, place, self.executor, self.progress, self.share)
        return place / "manifest.json"


def is_whole(path: Path, stage: Stage) -> bool:
    """Whether a scratch shard is what its receipt says. It is read through: no checksum covers a Parquet footer."""
    try:
        shards.check(path)
        for _ in shards.read(path):
            pass
        return bool(shards.open_shard(path).schema_arrow.equals(stage.schema, check_metadata=False))
    except ShardError:
        return False


def count_groups(groups: Path) -> int:
    """How many groups there are."""
    most = [pc.max(batch["group"]).as_py() for batch in read_batches(groups, ["group"]) if batch.num_rows]
    return max(most, default=-1) + 1


_ODD = np.uint64(0xD1342543DE82EF95)


def digest_of(settled: Scratch) -> str:
    """Digest of all that was settled, the same for any cut into groups."""
    total = 0
    for path in settled.paths():
        for batch in read_batches(path, ["document", "kept", "jaccard", "reason", "cluster_size"]):
            value: npt.NDArray[np.uint64] = np.zeros(batch.num_rows, dtype=np.uint64)
            for name in batch.schema.names:
                column = batch[name].cast("float64") if name == "jaccard" else batch[name].cast("int64")
                numbers = column.fill_null(-1).to_numpy(zero_copy_only=False)
                value = (value ^ numbers.view(np.uint64)) * _ODD
                value ^= value >> np.uint64(29)
            total += sum(value.tolist())
    return hashlib.sha256(str(total).encode()).hexdigest()
