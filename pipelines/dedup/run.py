"""dedup: copies of one URL, exact copies, then near-duplicates, then lines that a source repeats.

Each document is removed only for evidence against the one that is kept. The work is cut into sub-steps, each a stage of
its own, so that resume, receipts and atomicity come with that; their shards lie in folders below the stage's:

    sign     every document by itself: digests, band keys, its right to be kept (pipelines.dedup.sign)
    urls, exact, pairs
             which documents may be copies of which (pipelines.dedup.candidates)
    groups   those that hang together, packed into groups that fit in memory (pipelines.dedup.groups)
    sets, settle
             one group at a time: exact similarity, who is removed for whom (pipelines.dedup.settle)
    lines, sizes, repeats, edits
             lines that a source repeats (pipelines.dedup.lines)

All but `sign`, `sets`, `lines` and `edits` pass numbers only, never text. What a part or a group may hold is bounded by
the setting `memory`; that a bucket or a group is cut differently changes no document's fate. The stage's shards, in the
folder itself, hold one row for every document read (pipelines.dedup.mark).
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from pipelines.dedup.candidates import find_candidates
from pipelines.dedup.groups import group_documents
from pipelines.dedup.lines import clear_lines, edit_lines
from pipelines.dedup.mark import mark
from pipelines.dedup.released import RELEASED
from pipelines.dedup.report import Evidence, report
from pipelines.dedup.scratch import Chains, Roomy, Scratch, Steps, columns_of, places_of
from pipelines.dedup.settings import Dedup, keep_columns, parse_bytes
from pipelines.dedup.settle import settle_groups
from pipelines.dedup.sign import Sign
from pipelines.dedup.sources import FOUND, Sources
from pipelines.dedup.space import Cuts, check_space, cut
from roots.errors import SettingsError, unknown_name
from roots.executors import Executor
from roots.stage import ALONE, Manifest, Progress, Share

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
    everything = dict(sorted(everything.items()))
    sources = Sources.read(settings.source, settings.catalogue)
    signing = Sign(settings.scheme, settings.keep, settings.url, sources, settings.scope == "source")
    sign = steps.run(signing, everything, "sign")
    cuts = _plan_work(Scratch.of(sign), memory, workers)
    candidates = find_candidates(steps, sign, settings, cuts)
    groups = group_documents(steps, candidates, cuts)
    settled = settle_groups(steps, everything, settings, cuts, candidates, groups)
    repeats, edits = edit_lines(steps, places, settings, cuts, sign, settled) if settings.lines else clear_lines(steps)
    found = Evidence(sign, settled, repeats, edits)
    manifests = {folder: mark(steps, folder, places, settings, found) for folder in corpora}
    for folder in corpora:
        if folder != steps.target:  # of an earlier run with another scope
            (folder / "report.json").unlink(missing_ok=True)
    if settings.audit:
        report(steps, places, settings, list(manifests.values()), found)
    return manifests


def _plan_work(signed: Scratch, memory: int, workers: int) -> Cuts:
    """Cut the work of all documents."""
    shingles = sum(int(piece["shingles"].sum()) for _, piece in signed.stream(["shingles"]))
    return cut(signed.total, shingles, memory, workers)


def _check_columns(chains: Chains, settings: Dedup) -> None:
    """Refuse a policy that asks for a column no stage before has made. Raises SettingsError."""
    for chain in list(chains.values())[:1]:
        known = {column for path in chain for column in columns_of(path)}
        known |= set(FOUND) if settings.catalogue else set()
        for column in keep_columns(settings.keep):
            if column not in known:
                hint = "; a catalogue has it: dedup.catalogue=PATH" if column in FOUND else ""
                raise SettingsError(f"dedup.keep: {unknown_name('column', column, known)}{hint}")
