"""Sources and rights: whose text a document is, how it is read, and whether it may be released.

The catalogue is a TOML file with an entry for each source. Its fields are those of ROOTS's catalogue (McMillan-Major
et al. 2022, arXiv 2201.10066): custodian, licence, availability, languages, personal information:

    [[source]]
    name = "press-example"
    custodian = "Example Press Ltd, press@example.org"
    license = "CC-BY-4.0"                      # SPDX
    availability = "direct"                    # direct, after agreement, contact known, no contact
    languages = ["fr"]
    personal_information = "author names"      # yes, author names, no, unclear
    path = "press/*.jsonl.zst"                 # what `roots run --catalogue` reads, beside the catalogue
    min_bytes = 300                            # this and what else `Source` has: how it is cleaned
    addresses = ["press.example.org/news/"]    # domain, or domain and path; subdomains count, too
    files = ["press-*.warc.gz"]                # archives whose documents are all from this source

A table `[press-example]` whose `name` is a title is an entry, too. A document that a run read from the `path` of a
source belongs to it. Any other belongs to the source with the longest matching address, otherwise to the source that
lists its archive.
"""

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from filters.language import Bound
from filters.near_duplicates.rules import LineRule, check_line_rules
from pipelines.addresses import normal_url
from roots import storage
from roots.atomic import write_text
from roots.errors import InputError, SettingsError, unknown_name
from roots.settings import as_values, build, read_toml

UNLISTED = "unlisted"
UNKNOWN = "unknown"
_LEFT_OUT = ("language", "filter", "dedup")  # steps that a source can leave out
_FIELDS = ("text", "id", "url", "date", "license")
_LANGUAGE_SCORE = "language_score"  # a signal, which means nothing where the language is believed
_GROUPS = ("source", "index", "extract", "filter")  # of settings that a source can have of its own
# Two underscores end the source in the name of a shard (roots.stage.source_of).
_NAME = re.compile(r"(?!.*__)[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_BOOKS = "catalogue.json"
_Groups = Mapping[str, Mapping[str, object]]
_AVAILABILITY = ("direct", "after agreement", "contact known", "no contact", "unknown")
_PERSONAL_INFORMATION = ("yes", "author names", "no", "unclear")


@dataclass(frozen=True)
class Source:
    """One source of the catalogue. The fields from `path` on are for a run that reads the catalogue."""

    name: str
    license: str = UNKNOWN
    custodian: str = "unknown"
    homepage: str = ""
    availability: str = "unknown"
    languages: tuple[str, ...] = ()
    personal_information: str = "unclear"
    addresses: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    path: tuple[str, ...] = ()  # files, folders, patterns or URLs
    form: str = ""  # of its tables; empty: found by their bytes
    field: Mapping[str, str] = dataclasses.field(default_factory=dict)  # text, id, url, date or license -> column
    min_bytes: int = 0  # of a document
    bounds: Mapping[str, Bound] = dataclasses.field(default_factory=dict)  # signal -> bound in place of the language's
    lines: tuple[str | LineRule, ...] | None = None  # which repeated lines are removed; None: as dedup.lines says
    # Steps: "language", its one language is believed; "filter", all bounds but its own; "dedup", it has no copies.
    leave_out: tuple[str, ...] = ()
    settings: Mapping[str, Mapping[str, object]] = dataclasses.field(default_factory=dict)  # group -> setting -> value
    kill: str = ""  # why it is not read; its entry stays in the books

    def __post_init__(self) -> None:
        if self.min_bytes < 0:
            raise ValueError(f"min_bytes = {self.min_bytes} is below 0")
        self._check_chain()
        for value, known in ((self.availability, _AVAILABILITY), (self.personal_information, _PERSONAL_INFORMATION)):
            if value not in known:
                raise ValueError(f"{value!r} is not one of {', '.join(known)}")

    def _check_chain(self) -> None:
        for step in self.leave_out:
            if step not in _LEFT_OUT:
                raise ValueError(unknown_name("step to leave out", step, _LEFT_OUT))
        if "language" in self.leave_out and len(self.languages) != 1:
            raise ValueError("to leave out language, name the one language that its documents are in")
        check_line_rules(self.lines or ())
        for name in self.field:
            if name not in _FIELDS:
                raise ValueError(unknown_name("field", name, _FIELDS))
        for group in self.settings:
            if group not in _GROUPS:
                raise ValueError(unknown_name("group of settings of a source", group, _GROUPS))

    @property
    def rights(self) -> "Source":
        """The source without what is of a run alone: what a release says of it."""
        usual = Source(self.name)
        run = ("path", "form", "field", "min_bytes", "bounds", "lines", "leave_out", "settings")
        return dataclasses.replace(self, **{name: getattr(usual, name) for name in run})

    def over(self, values: _Groups) -> dict[str, dict[str, object]]:
        """Settings by group, with those of the source over them."""
        tables = {f"{name}_column": column for name, column in self.field.items()}
        own = {"source": tables | ({"table_form": self.form} if self.form else {})}
        return {
            group: {**values.get(group, {}), **own.get(group, {}), **self.settings.get(group, {})}
            for group in {**values, **own, **self.settings}
        }

    def judged(self, bounds: Mapping[str, Bound]) -> dict[str, Bound]:
        """The bounds of a language, with those of the source over them."""
        usual = {} if "filter" in self.leave_out else dict(bounds)
        if "language" in self.leave_out:
            usual.pop(_LANGUAGE_SCORE, None)
        size = {"bytes": Bound(min=self.min_bytes, source="the catalogue")} if self.min_bytes else {}
        return {**usual, **size, **self.bounds}


@dataclass(frozen=True)
class Rights:
    """Settings of what may be released: everything, unless sources or licences are named."""

    catalogue: str = ""  # path of the catalogue; empty: every document belongs to the source "unlisted"
    licenses: tuple[str, ...] = ()  # allow-list, as the catalogue spells them; empty: all
    # Steps: "language", its one language is believed; "filter", all bounds but its own; "dedup", it has no copies.
    leave_out: tuple[str, ...] = ()
    unlisted: str = "keep"  # or "drop": documents without a source in the catalogue
    # Use signals that keep a page out; by default those that forbid training (filters.programs.use_signals).
    refuse_use_signals: tuple[str, ...] = ("no-copy", "no-train-ai", "noai", "noml", "tdm-reservation")

    def __post_init__(self) -> None:
        from filters.programs.use_signals import USE_SIGNALS  # slow to import, and few commands need it

        for signal in self.refuse_use_signals:
            if signal not in USE_SIGNALS:
                raise ValueError(unknown_name("use signal", signal, USE_SIGNALS))
        if self.unlisted not in ("keep", "drop"):
            raise ValueError(f"unlisted = {self.unlisted!r}: keep or drop")
        if self.licenses and self.unlisted == "keep":
            raise ValueError("with an allow-list of licences, unlisted documents must be dropped: set unlisted=drop")


class Catalogue:
    """The sources, and look-up of the source of a document."""

    def __init__(self, sources: Mapping[str, Source]) -> None:
        self.sources = dict(sorted(sources.items()))
        self._addresses = {
            _address(address): name for name, source in self.sources.items() for address in source.addresses
        }
        self._files = [(pattern, name) for name, source in self.sources.items() for pattern in source.files]
        self._memory: dict[str, str] = {}

    @classmethod
    def of_values(cls, values: Mapping[str, Mapping[str, object]]) -> "Catalogue":
        """Build it from the values in a release's manifest."""
        return cls({name: build(Source, table, name) for name, table in values.items()})

    def source_of(self, url: str | None, file: str | None) -> str:
        """The id of the source of a document, or "unlisted"."""
        return (self._by_address(url) if url and self._addresses else None) or self._by_file(file or "")

    def license_of(self, source: str) -> str | None:
        """The licence of a source, as the catalogue spells it; None for "unlisted"."""
        stated = self.sources[source].license if source in self.sources else UNKNOWN
        return None if stated == UNKNOWN else stated

    def _by_address(self, url: str) -> str | None:
        """The source with the longest matching path under the longest matching domain."""
        site, *path = normal_url(url).partition("?")[0].split("/")
        if not site:
            return None
        labels = site.split(".")
        steps = [step for step in path if step]
        for first in range(len(labels)):
            domain = ".".join(labels[first:])
            for last in range(len(steps), -1, -1):
                found = self._addresses.get("/".join([domain, *steps[:last]]))
                if found:
                    return found
        return None

    def _by_file(self, file: str) -> str:
        if file not in self._memory:
            fits = (name for pattern, name in self._files if fnmatchcase(file, pattern))
            self._memory[file] = next(fits, UNLISTED)
        return self._memory[file]


def _address(address: str) -> str:
    """An address of the catalogue in the form that is looked up: its site, and the steps of its path."""
    return "/".join(step for step in normal_url(f"//{address.split('://')[-1]}").split("/") if step)


def load_catalogue(path: str) -> Catalogue:
    """Read a catalogue; an empty path gives one without sources. Raises InputError or SettingsError for a bad one."""
    if not path:
        return Catalogue({})
    sources: dict[str, Source] = {}
    tables = read_toml(Path(path))
    entries = tables.pop("source", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise InputError(f"{path}: write each source as a table [[source]]")
    named = [(entry.get("name", f"entry {number}"), entry) for number, entry in enumerate(entries, 1)]
    for name, table in [*tables.items(), *named]:
        if not isinstance(table, dict) or not isinstance(name, str) or not name.isascii() or name == UNLISTED:
            raise InputError(f"{path}: {name!r} is not a source: write a table [[source]] with a short ASCII name")
        if name in sources:
            raise InputError(f"{path}: two sources have the name {name!r}")
        own = {"path": [table["path"]]} if isinstance(table.get("path"), str) else {}  # with its commas
        sources[name] = found = build(Source, {**table, **own}, f"{path}: {name}")
        if not (found.addresses or found.files or found.path or found.kill):
            raise SettingsError(
                f"{path}: {name}: name a path, addresses or files; without them no document belongs to this source"
            )
    return Catalogue(sources)


def load_run_catalogue(path: Path) -> Catalogue:
    """Read the catalogue of a run, whose sources have paths. Raises InputError or SettingsError for a bad one."""
    catalogue = load_catalogue(str(path))
    if not catalogue.sources:
        raise InputError(f"{path} has no source: write a table [[source]] for each")
    for name, source in catalogue.sources.items():
        if not _NAME.fullmatch(name):
            raise InputError(f"{path}: {name!r} names a source: use letters, digits, and single - _ . between them")
        if not (source.path or source.kill):
            raise InputError(f"{path}: {name} has no path: name a file, folder, pattern or URL, or set kill = 'reason'")
    return catalogue


def remember_catalogue(work: Path, sources: Mapping[str, Source]) -> None:
    """Write down the sources of a run in its work folder; without any, remove what a run before wrote."""
    if sources:
        write_text(work / _BOOKS, json.dumps(as_values(sources), indent=1, ensure_ascii=False))
    else:
        storage.remove(work / _BOOKS)


def known_catalogue(work: Path) -> Catalogue:
    """The catalogue that a work folder was read from; one without sources, if it was read from inputs."""
    try:
        return Catalogue.of_values(json.loads(storage.read_text(work / _BOOKS)))
    except FileNotFoundError:
        return Catalogue({})
    except (ValueError, AttributeError, SettingsError) as error:
        raise InputError(f"{work / _BOOKS} is damaged ({error}): run `roots run` with --catalogue again") from None


def check_rights(rights: Rights, catalogue: Catalogue) -> None:
    """Raise SettingsError for a source or licence that the catalogue lacks; a typing error would release documents."""
    for source in rights.leave_out:
        if source not in catalogue.sources:
            raise SettingsError(f"rights.leave_out: no source {source!r} in the catalogue {rights.catalogue!r}")
    licenses = {source.license for source in catalogue.sources.values()}
    for license_ in rights.licenses:
        if license_ not in licenses:
            raise SettingsError(
                f"rights.licenses: no source of the catalogue has {license_!r}; they have {sorted(licenses)}"
            )


def refusal(rights: Rights, source: str, license_: str | None, use_signals: Sequence[str] | None) -> str | None:
    """The reason why a document of this source with these use signals may not be released, or None."""
    if use_signals and not set(use_signals).isdisjoint(rights.refuse_use_signals):
        return "publish.use_signals"
    if source == UNLISTED:
        return "publish.unlisted" if rights.unlisted == "drop" else None
    if source in rights.leave_out:
        return "publish.source"
    if rights.licenses and license_ not in rights.licenses:
        return "publish.license"
    return None
