"""dedup: copies of one URL, exact copies, then near-duplicates, then lines that a source repeats.

Each document is removed only for evidence against the one that is kept. The work is cut into sub-steps
(`dedup_stages`, `dedup_groups`, `dedup_settle`, `dedup_lines`), whose shards lie in folders below the stage's own. The
stage's shards, in the folder itself, hold one row for every document read.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from filters.near_duplicates.repeated_lines import parse_rule
from pipelines.dedup.candidates import Exact, Pairs, Sign, Urls
from pipelines.dedup.groups import Groups, ShingleSets
from pipelines.dedup.keep import parse_keep
from pipelines.dedup.lines import Count, Edits, Repeats, Sizes
from pipelines.dedup.parts import band_parts_of, groups_of, parts_of
from pipelines.dedup.released import RELEASED, label_of
from pipelines.dedup.report import Evidence, report
from pipelines.dedup.scratch import Scratch, columns_of, read_batches
from pipelines.dedup.settings import Dedup, parse_bytes
from pipelines.dedup.settle import Mark, Settle
from pipelines.dedup.sources import FOUND
from pipelines.dedup.space import Cuts, check_space, cut, group_parts, line_parts
from pipelines.dedup.stars import clear_spread, spread_groups
from pipelines.dedup.steps import Chains, Places, Roomy, Steps, places_of
from roots.errors import SettingsError, unknown_name
from roots.executors import Executor
from roots.stage import ALONE, Manifest, Progress, Share, run

__all__ = ["Dedup", "run_dedup", "run_together"]


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
    steps = Steps(target, executor, progress, share)
    return run_together({target: chains}, steps, settings, against)[target]


def run_together(
    corpora: Mapping[Path, Chains], steps: Steps, settings: Dedup, against: Chains | None = None
) -> dict[Path, Manifest]:
    """Make the shards of several folders, {folder: its chains}, as those of one corpus; see `run_dedup`.

    Scratch files and the report are in the folder of `steps`. Gives back the manifest of each folder.
    """
    # Ranks and machines must all cut alike, whatever each has: there `memory` is of one task.
    workers = steps.executor.tasks_sharing_memory if steps.share.of == 1 else 1
    memory = parse_bytes(settings.memory)
    cut(0, 0, memory, workers)
    places = places_of(corpora)
    chains = {name: place.chain for name, place in places.items()}
    _check_columns(chains, settings)
    everything = {**chains, **{RELEASED + name + ".parquet": chain for name, chain in (against or {}).items()}}
    if steps.share.rank == 0:
        check_space(everything, steps.target, settings)
    steps = replace(steps, executor=Roomy(steps.executor, memory))
    sign, settled, cuts = find(steps, dict(sorted(everything.items())), settings, workers)
    repeats, edits = (
        _edit_lines(steps, places, settings, cuts, sign, settled) if settings.lines else _clear_lines(steps)
    )
    found = Evidence(sign, settled, repeats, edits)
    manifests = {folder: mark(steps, folder, places, settings, found) for folder in corpora}
    for folder in corpora:
        if folder != steps.target:  # of an earlier run with another scope
            (folder / "report.json").unlink(missing_ok=True)
    if settings.audit:
        report(steps, places, settings, list(manifests.values()), found)
    return manifests


def _check_columns(chains: Chains, settings: Dedup) -> None:
    """Refuse a policy that asks for a column no stage before has made. Raises SettingsError."""
    for chain in list(chains.values())[:1]:
        known = {column for path in chain for column in columns_of(path)}
        known |= set(FOUND) if settings.catalogue else set()
        for column in parse_keep(settings.keep).columns:
            if column not in known:
                hint = "; a catalogue has it: dedup.catalogue=PATH" if column in FOUND else ""
                raise SettingsError(f"dedup.keep = {settings.keep}: {unknown_name('column', column, known)}{hint}")


def mark(steps: Steps, folder: Path, places: Places, settings: Dedup, found: Evidence) -> Manifest:
    """Make the shards of one folder."""
    releases = _releases_of(Scratch.of(found.sign))
    stage = Mark(settings.as_values(), _digest_of(Scratch.of(found.settled)), releases, found.sign, found.settled)
    edits = [found.edits] if found.edits else []
    plan = {
        place.name: [path.with_name(name) for path in (found.sign, *edits)]
        for name, place in places.items()
        if place.folder == folder
    }
    return run(stage, plan, folder, steps.executor, steps.progress, steps.share)


def _releases_of(signed: Scratch) -> tuple[tuple[str, int, int], ...]:
    """The shards of documents released before: their release, first document, and the one after the last."""
    found = [(label_of(name), signed.start(name), rows) for name, rows in signed.rows.items()]
    return tuple((label, first, first + rows) for label, first, rows in found if label)


class Found(NamedTuple):
    """Manifests of the sub-steps that find copies."""

    sign: Path
    urls: Path
    exact: Path
    pairs: Path


def find(steps: Steps, everything: Chains, settings: Dedup, workers: int) -> tuple[Path, Path, Cuts]:
    """Find who is removed for whom, among all documents there are.

    Gives back the manifests of sign and of settle, and how the work was cut.
    """
    signing = Sign(settings.scheme, settings.keep, settings.url, settings.sources, settings.scope == "source")
    sign = steps.run(signing, everything, "sign")
    signed = Scratch.of(sign)
    shingles = sum(int(piece["shingles"].sum()) for _, piece in signed.stream(["shingles"]))
    cuts = cut(signed.total, shingles, parse_bytes(settings.memory), workers)
    parts = parts_of(cuts.exact_parts)
    urls = steps.run(Urls(cuts.exact_parts), {part: [sign] for part in parts}, "urls")
    exact = steps.run(Exact(cuts.exact_parts), {part: [sign, urls] for part in parts}, "exact")
    pairs = steps.run(
        Pairs(settings.bands, cuts.pair_parts),
        {part: [sign, urls, exact] for part in band_parts_of(settings.bands, cuts.pair_parts)},
        "pairs",
    )
    return sign, _verify_pairs(steps, everything, settings, cuts, Found(sign, urls, exact, pairs)), cuts


def _verify_pairs(steps: Steps, everything: Chains, settings: Dedup, cuts: Cuts, found: Found) -> Path:
    """Verify candidates group by group, and decide. Gives back the manifest of settle."""
    sign, urls, exact, pairs = found
    edges = sum(Scratch.of(each).total for each in (urls, exact, pairs))
    parts = group_parts(Scratch.of(sign).total, edges, cuts)
    if parts == 1:
        clear_spread(steps)
        stage = Groups(cuts.group_bytes, steps.advance_of(Groups.name))
        grouped = steps.run(stage, {"groups.parquet": [*found]}, "groups")
    else:
        grouped = spread_groups(steps, found, cuts.group_bytes, parts)
    groups = Scratch.of(grouped).paths()
    sets = steps.run(
        ShingleSets(settings.scheme, sign, cuts.stretch_bytes, parts),
        {name: [*groups, sign.with_name(name), *everything[name]] for name in everything},
        "sets",
    )
    count = _count_groups(groups)
    settling = Settle(settings.jaccard, settings.exact != "roots", cuts.set_bytes, count)
    return steps.run(settling, {group: [urls, exact, pairs, sets] for group in groups_of(count)}, "settle")


def _edit_lines(
    steps: Steps, places: Places, settings: Dedup, cuts: Cuts, sign: Path, settled: Path
) -> tuple[Path, Path]:
    """Find the lines that go of what is left. Gives back the manifests of repeats and of edits."""
    rules = tuple(parse_rule(rule) for rule in settings.lines)
    least = min(rule.characters for rule in rules)
    releases = _releases_of(Scratch.of(sign)) if settings.released == "mark" else ()
    marked = tuple((first, end) for _, first, end in releases)
    inputs = {name: [sign.with_name(name), *place.chain] for name, place in places.items()}
    lines = steps.run(Count(least, marked, sign), {name: [settled, *paths] for name, paths in inputs.items()}, "lines")
    parts = parts_of(cuts.exact_parts)
    sizes = steps.run(Sizes(rules, cuts.exact_parts, marked), {part: [sign, settled] for part in parts}, "sizes")
    count = line_parts(Scratch.of(lines).total, cuts)
    repeats = steps.run(Repeats(rules, count), {part: [lines, sizes] for part in parts_of(count)}, "repeats")
    editing = Edits(settings.lines, least, settings.every_copy, marked, sign)
    plan = {name: [repeats, settled, *paths] for name, paths in inputs.items()}
    return repeats, steps.run(editing, plan, "edits")


def _clear_lines(steps: Steps) -> tuple[None, None]:
    """Remove what an earlier run with other settings left of line removal."""
    for folder in ("lines", "sizes", "repeats", "edits"):
        steps.clear(folder)
    return None, None


def _count_groups(groups: Sequence[Path]) -> int:
    """How many groups there are."""
    batches = (batch for path in groups for batch in read_batches(path, ["group"]))
    most = [pc.max(batch["group"]).as_py() for batch in batches if batch.num_rows]
    return max(most, default=-1) + 1


_ODD = np.uint64(0xD1342543DE82EF95)


def _digest_of(settled: Scratch) -> str:
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
