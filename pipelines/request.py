"""One request for work, as the command line or a program makes it: check it, preview it, run it.

A Request is checked when it is made, so that a mistake is answered before anything heavy is imported.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.jobs import Job, build_settings, plan_jobs
from pipelines.work import find_archives
from roots.errors import SettingsError
from roots.settings import build

if TYPE_CHECKING:
    from pipelines.pseudocrawl.sites import FetchedSites, Sites
    from roots.executors import Executor
    from roots.stage import Manifest, Progress, Share

_SITES = "pseudocrawl"  # group of settings


@dataclass(frozen=True)
class Request:
    """Which stages to run, for which languages, on what, with which settings."""

    work: Path
    stages: tuple[str, ...]  # names of pipelines.stages, in order
    languages: tuple[str, ...] = ()  # codes or names; none: only stages that all languages share
    inputs: tuple[str, ...] = ()  # paths and patterns of archives; none: those that the work folder knows
    settings: Mapping[str, Mapping[str, object]] = field(default_factory=dict)  # group -> setting -> plain value
    seeds: Path | None = None  # fetch the pages of these sites first: pipelines.pseudocrawl.seeds
    seeds_index: tuple[str, ...] = ()  # the index of the crawl that has them

    def __post_init__(self) -> None:
        """Raise SettingsError for a mistake in a setting, InputError for a language that cannot be read."""
        if bool(self.seeds) != bool(self.seeds_index):
            raise SettingsError(
                "--domains and --cc-index go together: which sites, and in which index to look for them"
            )
        if not self.seeds and _SITES in self.settings:
            raise SettingsError("settings of the group pseudocrawl need --domains and --cc-index")
        build_settings(self.job_settings)

    @property
    def job_settings(self) -> dict[str, Mapping[str, object]]:
        """The settings of the stages."""
        return {group: values for group, values in self.settings.items() if group != _SITES}

    @cached_property
    def sites(self) -> "Sites | None":
        """The sites to fetch first, if there are seeds."""
        if not self.seeds:
            return None
        from pipelines.pseudocrawl.fetch import Pseudocrawl
        from pipelines.pseudocrawl.sites import Sites

        return Sites(self.seeds, self.seeds_index, build(Pseudocrawl, self.settings.get(_SITES, {}), _SITES))

    def plan(self, fetched: Mapping[str, Path] | None = None) -> list[Job]:
        """Plan the jobs, one for each language; `fetched` are archives of `sites`."""
        archives = find_archives(self.inputs) if self.inputs else {} if self.seeds else None
        if archives is not None:
            archives |= fetched or {}
        return plan_jobs(self.work, self.languages, archives, self.job_settings)


def _no_progress(_: str) -> AbstractContextManager[None]:
    """Show nothing."""
    return nullcontext()


@dataclass(frozen=True)
class JobResult:
    """Stages of a job that have run, with their manifests."""

    job: Job
    stages: tuple[str, ...]
    manifests: "tuple[Manifest, ...]"

    def lines(self) -> Iterator[str]:
        """Describe them for a person: rows, drops, and where the dataset is."""
        from pipelines.stages import STAGES
        from pipelines.watching.progress import table

        yield f"\n{self.job.title}\n{table(self.manifests)}"
        if any(STAGES[name].final for name in self.stages):
            yield f"\nThe dataset is in {self.job.dataset}"
            yield f"To see what became of a page: roots why URL --work {self.job.work}"


def preview_request(request: Request) -> Iterator[str]:
    """Describe what is done already and what would be done, for a person; do nothing."""
    from pipelines.pipeline import preview

    jobs = request.plan()
    if request.sites:
        yield from request.sites.lines()
    yield from preview(jobs, request.stages)


def run_request(
    request: Request,
    executor: "Executor",
    share: "Share | None" = None,
    new_progress: "Callable[[str], AbstractContextManager[Progress | None]]" = _no_progress,
) -> "Iterator[FetchedSites | JobResult]":
    """Fetch pages where asked, then run the stages of each job in order; yield each result as soon as it is there.

    `share` is this process's share of the work, by default all of it. `new_progress` gives progress for one part of the
    work, labelled by its language. Raises StageFailed, NotReady and SettingsError as `pipelines.pipeline` does.
    """
    from pipelines.pipeline import in_order, run_stages
    from roots.stage import ALONE

    share = share or ALONE
    jobs = request.plan()
    if request.sites:
        if share.of > 1:
            raise SettingsError(
                "a pseudocrawl is fetched by one command, at one pace: run `roots index` without --of first"
            )
        with new_progress("") as progress:
            fetched = request.sites.fetch(request.work, executor, progress)
        yield fetched
        jobs = request.plan(fetched.archives)
    for job, stages in in_order(jobs, request.stages):
        with new_progress(job.code) as progress:
            manifests = run_stages(job, stages, executor, progress, share)
        yield JobResult(job, tuple(stages), tuple(manifests))
