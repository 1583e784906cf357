"""A Request is what a user asks for. It becomes one Job for each language, with all settings checked.

The settings of a stage are a table of its name in the configuration (`--config`, `--set stage.key=value`). Everything
else about a language comes from the language's file.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from filters.language import Language
from pipelines.catalogue import UNKNOWN, Source, known_catalogue, load_run_catalogue
from pipelines.dedup.settings import for_sources, with_preset
from pipelines.job import work as folders
from pipelines.job.inputs import FaultsOf, Looking, naming, shards_of_sources
from pipelines.job.languages import find_any_code, is_program, load_any_language
from pipelines.job.settings import FilterSettings, LanguageIdSettings
from pipelines.job.stages import STAGES, Reads, load, settings_groups
from pipelines.sources.layouts import TableSettings, card_of, is_table_name
from roots import storage
from roots.errors import InputError, SettingsError, unknown_name
from roots.settings import build

if TYPE_CHECKING:
    from pipelines.pseudocrawl.sites import Sites
    from roots.stage import Plan, Stage

_SITES = "pseudocrawl"  # group of settings
_WHERE_BOUNDS = " A bound stands in a TOML file, as [bounds.words] with min = 10: --set filter.bounds=FILE.toml"
_Values = Mapping[str, Mapping[str, Any]]
_Settings = TypeVar("_Settings")


@dataclass(frozen=True)
class SourceJob:
    """One source of a catalogue in a job, with its settings and bounds over those of the job."""

    source: Source
    settings: Mapping[str, Any]  # as those of a Job
    language: Language | None
    foreign: bool = False  # whether it is said to hold other languages only


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
    sources: Mapping[str, SourceJob] = field(default_factory=dict)  # of the catalogue that is read, killed ones too
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
        if self.language is None and not STAGES[name].shared:
            raise SettingsError(f"{name}: say which language with --lang")
        if name not in self._made:
            usual = self._make(name, self.settings, self.language)
            live = {key: each for key, each in self.sources.items() if not each.source.kill}
            apart = {key: self._of_source(name, key, each) for key, each in live.items()}
            if apart:
                from roots.stage import BySource

                usual = BySource(usual, apart)
            self._made[name] = usual
        return self._made[name]

    def _make(self, name: str, settings: Mapping[str, Any], language: Language | None) -> "Stage":
        row = STAGES[name]
        own = settings[row.group or name]
        make = row.program_make or row.make if is_program(self.code) else row.make
        stage: Stage = load(make)(own, language) if make else own
        return stage

    def _of_source(self, name: str, key: str, each: SourceJob) -> "Stage":
        """The stage with the settings of a source, which is named to stages that have a field for it."""
        with naming(key):
            made: Any = self._make(name, each.settings, each.language)
        license_ = None if each.source.license == UNKNOWN else each.source.license
        believed = "language" in each.source.leave_out
        own = {"source": key, "source_license": license_, "foreign": each.foreign, "believed": believed}
        known = {one.name for one in fields(made)}
        stage: Stage = replace(made, **{field: value for field, value in own.items() if field in known})
        return stage

    def check(self, stages: Sequence[str]) -> None:
        """Make those stages that can be made before any work. Raises SettingsError or InputError, as `stage` does."""
        for name in stages:
            if not STAGES[name].run:
                self.stage(name)

    def plan(self, name: str) -> "Plan":
        """The shards of such a stage, with the files that each is made from."""
        archives = {shard: [self.archives[each] for each in names] for shard, names in self.shards.items()}
        if STAGES[name].reads is Reads.ARCHIVE:
            cards = _cards_of([path for paths in archives.values() for path in paths])
            return {
                shard: [*paths, *sorted({cards[path] for path in paths if path in cards})]
                for shard, paths in archives.items()
            }
        chains = self.chains(name)
        if STAGES[name].reads is Reads.CHAIN_AND_ARCHIVE:
            return {shard: [*chains[shard], *archives[shard]] for shard in chains}
        return chains


def _cards_of(paths: Sequence[Path]) -> dict[Path, Path]:
    """The cards of the data sets that some inputs are in: they state licences. A folder is looked at once."""
    folders_of = {path.parent: path for path in paths if is_table_name(path.name)}
    found = {folder: card_of(path) for folder, path in folders_of.items()}
    return {path: card for path in paths if is_table_name(path.name) and (card := found[path.parent])}


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
    sources: Mapping[str, Source] | None = None,
) -> list[Job]:
    """Turn what the user said into jobs, one a language. A mistake in a setting is raised here, before any work.

    `archives` is None for the stages that go on from what was indexed. `shards` says which archives share a shard;
    without it, each has its own. `sources` are those of a catalogue.
    """
    sources = sources or {}
    settings = build_settings(values)
    languages = [_load_language(code, settings) for code in codes]
    if archives is None:
        archives, shards = folders.known_inputs(work), folders.known_shards(work)
    shards = shards or {name: [name] for name in archives}
    if not languages:
        found = {key: SourceJob(each, build_settings(each.over(values)), None) for key, each in sources.items()}
        return [Job(work, archives, None, settings, shards, sources=found)]
    jobs: list[Job] = []
    for code, language in zip(codes, languages, strict=True):
        program = is_program(language.code)
        own = build_settings(values, program=True) if program else settings
        of_sources = {}
        for key, each in sources.items():
            with naming(key):
                of_sources[key] = _source_job(each, code, language, build_settings(each.over(values), program), own)
        jobs.append(Job(work, archives, language, own, shards, together=tuple(languages), sources=of_sources))
    return jobs


def _load_language(code: str, settings: Mapping[str, object]) -> Language:
    judging = settings["filter"]
    assert isinstance(judging, FilterSettings)
    return judging.models(load_any_language(code, judging.bounds, judging.definitions, judging.splitter))


def _source_job(
    source: Source, code: str, language: Language, settings: Mapping[str, object], usual: Mapping[str, object]
) -> SourceJob:
    """A source in the job of a language that the user named `code`; `usual` are the settings of the job."""
    same = settings["filter"] == usual["filter"]
    found = language if same else _load_language(code, settings)
    known = {each if each == language.code else find_any_code(each) for each in source.languages}
    foreign = bool(known) and language.code not in known
    bounds = found.bounds if foreign else source.judged(found.bounds)  # signals of text are none of programs
    return SourceJob(source, settings, replace(found, bounds=bounds), foreign)


def build_settings(values: _Values, program: bool = False) -> dict[str, object]:
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
    catalogue: Path | None = None  # whose sources are read in place of `inputs`

    def __post_init__(self) -> None:
        """Raise SettingsError for a mistake in a setting, InputError for a language that cannot be read."""
        if self.catalogue and (self.inputs or self.seeds):
            raise SettingsError("--catalogue names all that is read: leave out --input and --domains")
        if bool(self.seeds) != bool(self.seeds_index):
            raise SettingsError(
                "--domains and --cc-index go together: which sites, and in which index to look for them"
            )
        if not self.seeds and _SITES in self.settings:
            raise SettingsError("settings of the group pseudocrawl need --domains and --cc-index")
        values = self.job_settings
        build_settings(values)
        own = {find_any_code(code) for code in self.languages}
        for name, source in self.sources.items():
            with naming(name):
                build_settings(source.over(values))
                for code in source.languages:
                    _ = code in own or find_any_code(code)

    @cached_property
    def sources(self) -> Mapping[str, Source]:
        """The sources of the catalogue that is read, or that the work folder was read from."""
        if self.catalogue:
            return load_run_catalogue(self.catalogue).sources
        return {} if self.inputs or self.seeds else known_catalogue(self.work).sources

    @property
    def job_settings(self) -> dict[str, Mapping[str, object]]:
        """The settings of the stages. In a catalogue, dedup takes its entries for the sources."""
        values = {group: each for group, each in self.settings.items() if group != _SITES}
        return {**values, "dedup": for_sources(values.get("dedup", {}), self.sources)} if self.sources else values

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

    def plan(self, fetched: Mapping[str, Path] | None = None, faults_of: FaultsOf | None = None) -> list[Job]:
        """Plan the jobs, one for each language; `fetched` are archives of `sites`.

        `faults_of` says which inputs cannot be read (pipelines.index). They are left out if that is asked for; if not,
        InputError names them.
        """
        self._check_places()
        archives: dict[str, Path] | None = None
        skipped: Mapping[str, str] = {}
        if self.catalogue or self.inputs:
            looking = Looking(self.work, self.languages, self.job_settings, faults_of, self.skip_bad)
            found = (
                looking.sources(self.sources, self.catalogue.parent) if self.catalogue else looking.inputs(self.inputs)
            )
            archives, skipped = found
        elif self.seeds:
            archives = {}
        elif any(STAGES[name].shared for name in self.stages) and not storage.is_file(self.work / "inputs.json"):
            raise InputError(f"{self.work} has no inputs yet: name archives with --input 'crawl/*.warc.gz'")
        else:
            skipped = folders.known_skipped(self.work)
        archives = archives if archives is None else archives | dict(fetched or {})
        shards = None if archives is None else shards_of_sources(archives, self.sources, self.job_settings)
        jobs = plan_jobs(self.work, self.languages, archives, self.job_settings, shards, self.sources)
        return [replace(job, skipped=skipped) for job in jobs]
