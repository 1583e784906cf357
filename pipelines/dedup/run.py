"""dedup: older fetches of a URL, exact copies, near-duplicates, then lines that a source repeats.

A document is removed only for evidence against the document that is kept. The work has sub-steps. Each is a stage with
its own folder below the folder of dedup, so that it resumes, has receipts and writes files whole:

    sign                   each document alone: digests, band keys, rank (pipelines.dedup.sign)
    urls, exact, pairs     which documents may be copies of which (pipelines.dedup.candidates)
    groups                 connected documents, packed into groups that fit in memory (pipelines.dedup.groups)
    sets, settle           group by group: exact similarity, which documents are removed (pipelines.dedup.duplicates)
    lines, sizes, repeats, edits
                           lines that a source repeats (pipelines.dedup.lines)
    queries, compare, losses
                           what the report measures (pipelines.dedup.audit, pipelines.dedup.report)

Only `sign`, `sets`, `lines`, `edits`, `queries` and `compare` read text; the others read numbers. The setting `memory`
limits what a part or a group may hold. How the work is divided never changes which documents are kept. The shards of
dedup itself have a row for each document that was read (pipelines.dedup.outcomes).
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from pipelines.dedup.candidates import find_candidates
from pipelines.dedup.duplicates import find_duplicates
from pipelines.dedup.groups import group_documents
from pipelines.dedup.lines import clear_lines, remove_lines
from pipelines.dedup.outcomes import write_outcomes
from pipelines.dedup.released import RELEASED_PREFIX
from pipelines.dedup.report import write_dedup_report
from pipelines.dedup.scratch import Chains, StepManifests, Steps, StepShards, WithMemory, column_names, outputs_of
from pipelines.dedup.settings import DedupSettings, keep_columns, parse_bytes
from pipelines.dedup.sign import sign_documents
from pipelines.dedup.sources import CATALOGUE_COLUMNS
from pipelines.dedup.space import MemoryPlan, check_space, plan_memory
from roots.errors import SettingsError, unknown_name
from roots.executors import Executor
from roots.stage import ALONE, Manifest, Progress, Share


def run_dedup(
    chains: Chains,
    target: Path,
    settings: DedupSettings,
    executor: Executor,
    progress: Progress | None = None,
    against: Chains | None = None,
    share: Share = ALONE,
) -> Manifest:
    """Make the shards of dedup for all chains in `target`, and their manifest.

    `against` names released documents: chains, or single files with `id` and `text` (Parquet, or our final Arrow). New
    documents are also removed as copies of these; released documents stay, and no shards are made of them. With several
    ranks, each makes its share of every sub-step and waits for the others where the next sub-step needs all shards.

    Raises SettingsError where memory or disk cannot be enough, StageFailed if shards could not be made, NotReady if the
    shards of other ranks do not appear in time.
    """
    steps = Steps(target, executor, progress, share)
    return run_together({target: chains}, steps, settings, against)[target]


def run_together(
    corpora: Mapping[Path, Chains], steps: Steps, settings: DedupSettings, against: Chains | None = None
) -> dict[Path, Manifest]:
    """Make the shards of several folders, {folder: its chains}, as one corpus; otherwise like `run_dedup`.

    Scratch files and the report go to the folder of `steps`. Returns the manifest of each folder.
    """
    outputs = outputs_of(corpora)
    documents: Chains = {name: output.chain for name, output in outputs.items()}
    _check_columns(documents, settings)
    released = {RELEASED_PREFIX + name + ".parquet": chain for name, chain in (against or {}).items()}
    documents = dict(sorted({**documents, **released}.items()))
    # Ranks and machines must divide the work alike, so there `memory` is that of one task.
    workers = steps.executor.tasks_sharing_memory if steps.share.of == 1 else 1
    memory = parse_bytes(settings.memory)
    plan_memory(0, 0, memory, workers)  # refuses before any work
    if steps.share.rank == 0:
        check_space(documents, steps.target, settings)
    steps = replace(steps, executor=WithMemory(steps.executor, memory))

    sign = sign_documents(steps, documents, settings)
    plan = _plan(StepShards.of(sign), memory, workers)
    grouped = group_documents(steps, find_candidates(steps, sign, settings, plan), plan)
    found = StepManifests(sign, find_duplicates(steps, documents, settings, plan, grouped))
    if settings.lines:
        found = remove_lines(steps, outputs, settings, plan, found)
    else:
        clear_lines(steps)
    manifests = {folder: write_outcomes(steps, folder, outputs, settings, found) for folder in corpora}
    for folder in corpora:
        if folder != steps.target:  # left by an earlier run with another scope
            (folder / "report.json").unlink(missing_ok=True)
    if settings.audit:
        write_dedup_report(steps, outputs, settings, list(manifests.values()), found)
    return manifests


def _plan(signed: StepShards, memory: int, workers: int) -> MemoryPlan:
    shingles = sum(int(piece["shingles"].sum()) for _, piece in signed.stream(["shingles"]))
    return plan_memory(signed.total, shingles, memory, workers)


def _check_columns(chains: Chains, settings: DedupSettings) -> None:
    """Raise SettingsError if the setting `keep` names a column that no earlier stage has made."""
    for chain in list(chains.values())[:1]:
        known = {column for path in chain for column in column_names(path)}
        known |= set(CATALOGUE_COLUMNS) if settings.catalogue else set()
        for column in keep_columns(settings.keep):
            if column not in known:
                hint = "; a catalogue has it: dedup.catalogue=PATH" if column in CATALOGUE_COLUMNS else ""
                raise SettingsError(f"dedup.keep: {unknown_name('column', column, known)}{hint}")
