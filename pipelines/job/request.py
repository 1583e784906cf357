"""A Request is what a user asks for. It becomes one Job for each language, with all settings checked.

The settings of a stage are a table of its name in the configuration (`--config`, `--set stage.key=value`). Everything
else about a language comes from the language's file.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from filters.language import Language
from pipelines.dedup.settings import with_preset
from pipelines.job import work as folders
from pipelines.job.languages import find_any_code, is_program, load_any_language
from pipelines.job.settings import FilterSettings, LanguageIdSettings
from pipelines.job.stages import STAGES, Reads, load, settings_groups
from pipelines.sources.layouts import TableSettings, card_of
from roots import storage
from roots.errors import InputError, SettingsError, unknown_name, with_lines
from roots.settings import build

if TYPE_CHECKING:
    from pipelines.pseudocrawl.sites import Sites
    from roots.stage import Plan, Stage

_SITES = "pseudocrawl"  # group of settings
_WHERE_BOUNDS = " A bound stands in a TOML file, as [bounds.words] with min = 10: --set filter.bounds=FILE.toml"
_Values = Mapping[str, Mapping[str, Any]]
_Settings = TypeVar("_Settings")
_FaultsOf = Callable[[Sequence[Path], Sequence[str], TableSettings], Mapping[Path, str]]  # why some inputs are bad


@dataclass(frozen=True)
class Job:
    """One language's work, or the index alone where `language` is None."""

    work: Path
    archives: Mapping[str, Path]  # name -> archive
    language: Language | None
    settings: Mapping[str, Any]  # group -> its frozen dataclass
    shards: Mapping[str, Sequence[str]]  # shard name -> names of its archives
    skipped: Mapping[str, str] = field(default_factory=dict)  # path of an input that was left out -> why
    together: tuple[Language, ...] = ()  # all languages of the request: dedup's scope "global" compares them
    _made: "dict[str, Stage]" = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def code(self) -> str:
        """Code of the language, which is also its folder; empty for the index alone."""
        return self.language.code if self.language else ""

    @property
    def title(self) -> str:
        """The job in words."""
        files = f"{len(self.archives)} archive" + ("s" if len(self.archives) != 1 else "")
        return f"{self.language.name} ({self.code}) from {files}" if self.language else f"index of {files}"

    @property
    def dataset(self) -> Path:
        """The folder of the final shards."""
        return folders.folder(self.work, self.code, "shard")

    def of(self, kind: type[_Settings]) -> _Settings:
        """The settings of a class."""
        return next(each for each in self.settings.values() if isinstance(each, kind))

    def folder(self, stage: str) -> Path:
        """The folder of a stage's shards."""
        return folders.folder(self.work, self.code, stage)

    def chains(self, before: str) -> dict[str, list[Path]]:
        """For every shard name, the shards of all stages before `before`."""
        return {name: folders.chain(self.work, self.code, name, before) for name in self.shards}

    def stage(self, name: str) -> "Stage":
        """Make a stage that has one shard for each archive or group of small ones, with the job's settings.

        Raises SettingsError or InputError if a setting names a model or a signal that cannot be used.
        """
        row = STAGES[name]
        if self.language is None and not row.shared:
            raise SettingsError(f"{name}: say which language with --lang")
        if name not in self._made:
            settings = self.settings[row.group or name]
            make = row.program_make or row.make if is_program(self.code) else row.make
            self._made[name] = load(make)(settings, self.language) if make else settings
        return self._made[name]

    def check(self, stages: Sequence[str]) -> None:
        """Make those stages that can be made before any work. Raises SettingsError or InputError, as `stage` does."""
        for name in stages:
            if not STAGES[name].run:
                self.stage(name)

    def plan(self, name: str) -> "Plan":
        """The shards of such a stage, with the files that each is made from."""
        archives = {shard: [self.archives[each] for each in names] for shard, names in self.shards.items()}
        if STAGES[name].reads is Reads.ARCHIVE:
            return {shard: [*paths, *_cards_of(paths)] for shard, paths in archives.items()}
        chains = self.chains(name)
        if STAGES[name].reads is Reads.CHAIN_AND_ARCHIVE:
            return {shard: [*chains[shard], *archives[shard]] for shard in chains}
        return chains


def _cards_of(paths: Sequence[Path]) -> list[Path]:
    """The cards of the data sets that some inputs are in: they state licences."""
    return sorted({card for card in map(card_of, paths) if card})


def languages_in(work: Path, name: str = "") -> list[str]:
    """Codes of the languages with results in a work folder, or the code of the one that the user named.

    A language file of the user's own is known there by its code. Raises SettingsError for an unknown language.
    """
    found = folders.languages(work)
    if not name:
        return found
    return [name if name in found else find_any_code(name)]


def plan_jobs(
    work: Path,
    codes: Sequence[str],
    archives: Mapping[str, Path] | None,
    values: _Values,
    shards: Mapping[str, Sequence[str]] | None = None,
) -> list[Job]:
    """Turn what the user said into jobs, one a language. A mistake in a setting is raised here, before any work.

    `archives` is None for the stages that go on from what was indexed. `shards` says which archives share a shard;
    without it, each has its own.
    """
    settings = build_settings(values)
    judging = settings["filter"]
    assert isinstance(judging, FilterSettings)
    languages = [judging.models(load_any_language(code, judging.bounds, judging.definitions)) for code in codes]
    if archives is None:
        archives, shards = folders.known_inputs(work), folders.known_shards(work)
    shards = shards or {name: [name] for name in archives}
    if not languages:
        return [Job(work, archives, None, settings, shards)]
    each = [build_settings(values, program=True) if is_program(one.code) else settings for one in languages]
    pairs = zip(languages, each, strict=True)
    return [Job(work, archives, *pair, shards, together=tuple(languages)) for pair in pairs]


def build_settings(values: _Values, program: bool = False) -> dict[str, Any]:
    """Build the settings of every group, for a natural or for a programming language.

    Raises SettingsError for an unknown group or setting, or a wrong value.
    """
    groups = {"language_id", "source", *settings_groups()}
    for group in values:
        if group not in groups:
            hint = _WHERE_BOUNDS if group == "bounds" else ""
            raise SettingsError(unknown_name("group of settings", group, groups) + hint)
    judging = {field.name for field in fields(FilterSettings)}
    for key in values.get("filter", {}):
        if key not in judging:
            raise SettingsError(f"filter: {unknown_name('setting', key, judging)}{_WHERE_BOUNDS}")
    model = build(LanguageIdSettings, values.get("language_id", {}), "language_id").model
    tables = build(TableSettings, values.get("source", {}), "source")
    settings: dict[str, Any] = {}
    for group, row in settings_groups().items():
        kind = load(row.settings)
        own = dict(values.get(group, {}))
        if group == "dedup":
            own = with_preset(own)
        if issubclass(kind, LanguageIdSettings):
            if "model" in own:
                raise SettingsError(f"{group}.model: write it as language_id.model, for all stages that ask a model")
            own["model"] = model
        if issubclass(kind, TableSettings):
            if wrong := own.keys() & vars(tables).keys():
                name = min(wrong)
                raise SettingsError(f"{group}.{name}: write it as source.{name}, for all stages that read tables")
            own |= vars(tables)
        if program and row.program_settings:
            # Settings that only pages have (which engine, how long it may run) do not touch programs.
            pages, kind = kind, load(row.program_settings)
            names = {field.name for field in fields(pages)} - {field.name for field in fields(kind)}
            own = {name: value for name, value in own.items() if name not in names}
        settings[group] = build(kind, own, group)
    return settings


@dataclass(frozen=True)
class Request:
    """Which stages to run, for which languages, on what, with which settings.

    It is checked when it is made, so that a mistake is answered before anything heavy is imported.
    """

    work: Path
    stages: tuple[str, ...]  # names of pipelines.job.stages, in order
    languages: tuple[str, ...] = ()  # codes or names; none: only stages that all languages share
    inputs: tuple[str, ...] = ()  # paths and patterns of archives; none: those that the work folder knows
    settings: Mapping[str, Mapping[str, object]] = field(default_factory=dict)  # group -> setting -> plain value
    seeds: Path | None = None  # fetch the pages of these sites first: pipelines.pseudocrawl.seeds
    seeds_index: tuple[str, ...] = ()  # the index of the crawl that has them
    skip_bad: bool = False  # inputs that cannot be read are left out; otherwise they are refused
    replace: bool = False  # a finished dataset may be replaced by one of other archives

    def __post_init__(self) -> None:
        """Raise SettingsError for a mistake in a setting, InputError for a language that cannot be read."""
        if bool(self.seeds) != bool(self.seeds_index):
            raise SettingsError(
                "--domains and --cc-index go together: which sites, and in which index to look for them"
            )
        if not self.seeds and _SITES in self.settings:
            raise SettingsError("settings of the group pseudocrawl need --domains and --cc-index")
        build_settings(self.job_settings)
        for code in self.languages:
            find_any_code(code)

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

    def _check_places(self) -> None:
        """Raise InputError if there is a file where the work folder or a folder in it has to be."""
        if storage.is_remote(self.work):
            return
        below = [
            folders.ALL,
            *(find_any_code(code) for code in self.languages),
            *(row.folder for row in STAGES.values() if row.shared),
        ]
        for place in (*self.work.absolute().parents, self.work, *(self.work / name for name in below)):
            if place.exists() and not place.is_dir():
                raise InputError(f"{place} is a file where a folder has to be: move it, or name another work folder")

    def plan(self, fetched: Mapping[str, Path] | None = None, faults_of: _FaultsOf | None = None) -> list[Job]:
        """Plan the jobs, one for each language; `fetched` are archives of `sites`.

        `faults_of` says which inputs cannot be read (pipelines.index). They are left out if that is asked for; if not,
        InputError names them.
        """
        self._check_places()
        archives: dict[str, Path] | None = None
        skipped: Mapping[str, str] = {}
        if self.inputs:
            archives, skipped = self._find_inputs(faults_of)
        elif self.seeds:
            archives = {}
        elif any(STAGES[name].shared for name in self.stages) and not storage.is_file(self.work / "inputs.json"):
            raise InputError(f"{self.work} has no inputs yet: name archives with --input 'crawl/*.warc.gz'")
        else:
            skipped = folders.known_skipped(self.work)
        archives = archives if archives is None else archives | dict(fetched or {})
        most = build_settings(self.job_settings)["index"].part_bytes
        shards = None if archives is None else folders.shards_of(archives, most)
        jobs = plan_jobs(self.work, self.languages, archives, self.job_settings, shards)
        return [replace(job, skipped=skipped) for job in jobs]

    def _find_inputs(self, faults_of: _FaultsOf | None) -> tuple[dict[str, Path], dict[str, str]]:
        """The archives by name, and the inputs that are left out: path -> why."""
        found = folders.match_inputs(self.inputs)
        tables = build(TableSettings, self.job_settings.get("source", {}), "source")
        faults = faults_of(found, self.languages, tables) if faults_of else {}
        good = [path for path in found if path not in faults]
        if faults and not (good and self.skip_bad):
            raise InputError(_refusal(list(faults.values()), len(good)))
        try:
            known = folders.known_inputs(self.work)
        except InputError:  # none yet, or damaged: they are written again
            known = {}
        return folders.name_archives(good, known), {str(path): fault for path, fault in faults.items()}


def _refusal(faults: Sequence[str], good: int) -> str:
    """What to say of inputs that cannot be read, beside some good ones."""
    if not good:
        return faults[0] if len(faults) == 1 else with_lines(f"none of the {len(faults)} inputs can be read:", faults)
    head = f"{len(faults)} of {len(faults) + good} inputs cannot be read, and nothing was done."
    return with_lines(f"{head} --skip-bad-inputs leaves them out:", faults)
