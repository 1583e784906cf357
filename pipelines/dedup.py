"""dedup: exact copies, then near-duplicates, each removed only for evidence against the document that is kept.

The work is cut into sub-steps (pipelines.dedup_stages, pipelines.dedup_settle), whose shards lie in folders below the
stage's own. The stage's shards, in the folder itself, hold one row for every document read.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from filters.near_duplicates import Scheme, probability
from pipelines.dedup_audit import Compare, Losses, Queries, largest_clusters, losses_above, measure
from pipelines.dedup_columns import Scratch, read_batches
from pipelines.dedup_groups import Groups, ShingleSets
from pipelines.dedup_keep import URLS, parse_keep
from pipelines.dedup_settle import Mark, Settle
from pipelines.dedup_stages import RELEASED, Exact, Pairs, Sign, Urls
from roots import shards
from roots.errors import SettingsError, ShardError, StageFailed, unknown_name
from roots.executors import Executor
from roots.settings import as_values
from roots.stage import Manifest, Plan, Progress, Stage, run

PROCESS_BYTES = 130 << 20  # of a Python process with Arrow and Numba before it holds anything; measured 125 to 132
LEAST_BYTES = 48 << 20  # a worker needs this for batches of text and for writing

EXACT = ("verified", "roots", "code")


@dataclass(frozen=True)
class Dedup:
    """Settings of dedup. Defaults of the scheme are FineWeb-2's: 112 hashes, 14 bands of 8, shingles of 5 words."""

    words: int = 5
    bands: int = 14
    rows: int = 8
    seed: int = 1
    jaccard: float = 0.8  # of the shingle sets, verified; Lee et al. 2022, Gopher and SlimPajama aim at the same
    # Equal but for white space, digits and ASCII punctuation is a copy to ROOTS ("roots"). By that rule alone a table
    # of other numbers is a copy too, so where any word differs, the Jaccard must bear it out ("verified"). "code"
    # leaves out white space alone.
    exact: str = "verified"
    keep: str = "longest"  # which copy: pipelines.dedup_keep
    url: str = "exact"  # "none"; or of one URL only the newest fetch: "exact", or "page" as ROOTS cut URLs
    memory: str = "2G"  # of all processes together; decides no row
    audit: int = 500  # documents compared by brute force with AUDITED others, for report.json; 0: no report
    alarm: float = 0.75  # share of its documents that a host (of 100 or more) may lose before it is named in the report
    strict: bool = False  # whether an alarm is an error

    def __post_init__(self) -> None:
        for name in ("jaccard", "alarm"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"{name} = {getattr(self, name)} is not in (0, 1]")
        if self.audit < 0:
            raise ValueError(f"audit = {self.audit} is below 0")
        if self.exact not in EXACT:
            raise ValueError(unknown_name("rule for exact", self.exact, EXACT))
        if self.url not in URLS:
            raise ValueError(unknown_name("rule for url", self.url, URLS))
        parse_keep(self.keep)
        parse_bytes(self.memory)
        _ = self.scheme

    @property
    def scheme(self) -> Scheme:
        """How a document becomes bands."""
        return Scheme(self.words, self.bands, self.rows, self.seed, "space" if self.exact == "code" else "roots")


# What others published, as settings of ours. All are verified here, which of them only Lee et al. did (by edit
# similarity); FineWeb-2's midpoint of the curve is taken as the Jaccard it aims at.
PRESETS: dict[str, dict[str, Any]] = {
    "fineweb2": {"words": 5, "bands": 14, "rows": 8, "jaccard": 0.72, "url": "none"},  # Penedo et al. 2025
    "thorough": {"words": 5, "bands": 32, "rows": 8, "jaccard": 0.8},  # finds .997 of pairs at .8, all above .85
    # Laurençon et al. 2022. Its near-duplicates were SimHash (64 bits, 4 apart, 6 words), unverified, on OSCAR alone;
    # a shingle set of 6 words at .8 stands for it: SimHash's false positives on long texts do not come back.
    "roots": {"words": 6, "bands": 14, "rows": 8, "jaccard": 0.8, "exact": "roots", "url": "page"},
    "slimpajama": {"words": 13, "bands": 9, "rows": 13, "jaccard": 0.8, "url": "none"},  # Soboleva et al. 2023
    "lee2022": {"words": 5, "bands": 450, "rows": 20, "jaccard": 0.8, "url": "none"},  # Lee et al. 2022, 9,000 hashes
    "gopher": {
        "words": 13,
        "bands": 14,
        "rows": 8,
        "jaccard": 0.8,
        "url": "none",
    },  # Rae et al. 2021; bands ours
    "code": {
        "words": 5,
        "bands": 32,
        "rows": 8,
        "jaccard": 0.7,
        "exact": "code",
        "url": "none",
    },  # The Stack
}


def with_preset(values: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as a user wrote them, with those of `preset` below them. Raises SettingsError for an unknown one."""
    named = dict(values)
    preset = named.pop("preset", None)
    if preset is not None and preset not in PRESETS:
        raise SettingsError("dedup: " + unknown_name("preset", str(preset), PRESETS))
    return {**PRESETS.get(preset, {}), **named}


def parse_bytes(text: str) -> int:
    """Bytes of "512M", "2G", "1.5 GiB"; powers of 1024. Raises ValueError for anything else."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)i?B?\s*", text, re.IGNORECASE)
    if not match:
        raise ValueError(f"memory = {text!r}: write it as 512M or 2G")
    return int(float(match[1]) * 1024 ** " KMGT".index(match[2].upper() or " "))


@dataclass(frozen=True)
class Cuts:
    """How the work is cut so that it stays within memory. No cut changes which documents are kept."""

    exact_parts: int
    pair_parts: int
    nodes: int
    group_bytes: int
    set_bytes: int
    stretch_bytes: int


EXACT_BYTES = 100  # a document in a part, at the worst moment (all digests equal)
BAND_BYTES = 72
GROUP_NODE_BYTES = 40


def cut(documents: int, shingles: int, memory: int, workers: int) -> Cuts:
    """Cut the work of so many documents. Raises SettingsError where memory cannot hold the processes themselves."""
    budget = (memory - PROCESS_BYTES) // workers - PROCESS_BYTES
    alone = memory - 2 * PROCESS_BYTES - documents
    if min(budget, alone) < LEAST_BYTES:
        least = max(
            (PROCESS_BYTES + LEAST_BYTES) * workers + PROCESS_BYTES, 2 * PROCESS_BYTES + documents + LEAST_BYTES
        )
        raise SettingsError(
            f"dedup.memory is too little for {workers} workers and {documents} documents: "
            f"at least {-(-least >> 20)}M is needed, or fewer workers"
        )
    held = budget - LEAST_BYTES // 2 - documents
    held = max(held, LEAST_BYTES // 2)
    return Cuts(
        exact_parts=max(1, -(-documents * EXACT_BYTES // held)),
        pair_parts=max(1, -(-documents * BAND_BYTES // held)),
        nodes=max(1, alone // GROUP_NODE_BYTES),
        group_bytes=max(4 << 20, min(held // 3, shingles)),
        set_bytes=held // 2,
        stretch_bytes=min(32 << 20, max(8 << 20, shingles // workers), held // 4),
    )


def run_dedup(
    chains: Mapping[str, Sequence[Path]],
    target: Path,
    settings: Dedup,
    executor: Executor,
    progress: Progress | None = None,
    against: Mapping[str, Sequence[Path]] | None = None,
) -> Manifest:
    """Make the shards of dedup for all chains, {shard name: its shards of the stages before}, and their manifest.

    `against` names documents released before, in the same way, or as one file each with `id` and `text` (Parquet, or
    our final Arrow): new ones are removed for them too; they stay, and no shard is made of them.
    Raises SettingsError where memory or disk cannot suffice, StageFailed where shards could not be made.
    """
    workers = max(1, int(getattr(executor, "workers", 1)))
    memory = parse_bytes(settings.memory)
    cut(0, 0, memory, workers)
    everything = {**chains, **{RELEASED + name + ".parquet": chain for name, chain in (against or {}).items()}}
    check_space(everything, target, settings)
    steps = Steps(target, executor, progress)
    sign = steps.run(Sign(settings.scheme, settings.keep, settings.url), dict(sorted(everything.items())), "sign")
    signed = Scratch.of(sign)
    shingles = sum(int(piece["shingles"].sum()) for _, piece in signed.stream(["shingles"]))
    cuts = cut(signed.total, shingles, memory, workers)
    parts = [f"part-{part:04d}.parquet" for part in range(cuts.exact_parts)]
    urls = steps.run(Urls(cuts.exact_parts), {part: [sign] for part in parts}, "urls")
    exact = steps.run(Exact(cuts.exact_parts), {part: [sign, urls] for part in parts}, "exact")
    cells = [(band, part) for band in range(settings.bands) for part in range(cuts.pair_parts)]
    pairs = steps.run(
        Pairs(settings.bands, cuts.pair_parts),
        {f"band-{band:03d}-part-{part:04d}.parquet": [sign, urls, exact] for band, part in cells},
        "pairs",
    )
    grouping = Groups(cuts.group_bytes, cuts.nodes)
    groups = steps.run(grouping, {"groups.parquet": [sign, urls, exact, pairs]}, "groups").with_name("groups.parquet")
    sets = steps.run(
        ShingleSets(settings.scheme, sign, cuts.stretch_bytes),
        {name: [groups, sign.with_name(name), *everything[name]] for name in sorted(everything)},
        "sets",
    )
    settled = steps.run(
        Settle(settings.jaccard, settings.exact != "roots", cuts.set_bytes),
        {f"group-{group:06d}.parquet": [urls, exact, pairs, sets] for group in range(count_groups(groups))},
        "settle",
    )
    mark = Mark(digest_of(Scratch.of(settled)), sign, settled)
    marks = {name: [sign.with_name(name)] for name in sorted(chains)}
    manifest = run(cast(Stage, mark), marks, target, executor, progress)
    if settings.audit:
        report(steps, chains, settings, manifest)
    return manifest


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


@dataclass(frozen=True)
class Steps:
    """Runs sub-steps below one folder."""

    target: Path
    executor: Executor
    progress: Progress | None

    def run(self, stage: object, plan: Plan, folder: str) -> Path:
        """Run one sub-step; gives back its manifest's path.

        Shards of an earlier run that are damaged are removed first, so that they are made again; so are those that
        this run has no use for.
        """
        place = self.target / folder
        for path in sorted(place.glob("*.parquet")):
            if path.name not in plan or not is_whole(path, cast(Stage, stage)):
                path.unlink()
        run(cast(Stage, stage), plan, place, self.executor, self.progress)
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


SIGN_BYTES = 9 * 8 + 60  # a document in sign, and 8 more a band
PAIR_SCRATCH = 24  # a document and band, in pairs: measured 4 to 16


def estimate_scratch(chains: Mapping[str, Sequence[Path]], settings: Dedup) -> int:
    """Bytes of disk that the sub-steps take at most, from the receipts of the chains' shards.

    A shingle is 8 bytes in `sets`, and takes at least about as many bytes of text; only documents with candidates are
    written there, so that this is a bound and no forecast.
    """
    documents = text = 0
    for chain in chains.values():
        receipts = [receipt for path in chain if (receipt := shards.read_receipt(path))]
        documents += receipts[-1].kept if receipts else 0
        text += max((receipt.text_bytes for receipt in receipts), default=0)
    return documents * (SIGN_BYTES + settings.bands * (8 + PAIR_SCRATCH)) + text


def check_space(chains: Mapping[str, Sequence[Path]], target: Path, settings: Dedup) -> None:
    """Refuse to start where scratch files may not fit. Raises SettingsError with what is needed and what is free."""
    place = target
    while not place.exists():
        place = place.parent
    there = sum(path.stat().st_size for path in target.rglob("*.parquet")) if target.exists() else 0
    needed = estimate_scratch(chains, settings)
    free = shutil.disk_usage(place).free + there
    if needed > free:
        raise SettingsError(
            f"dedup may need {needed / 1e9:.1f} GB of scratch space in {target}, and {free / 1e9:.1f} GB are free: "
            "free some, or put the work folder on a larger disk"
        )
