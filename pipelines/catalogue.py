"""Sources and rights: whose text a document is, and whether it may be released.

The catalogue is a TOML file with one table for each source. Its fields are those of ROOTS's catalogue (McMillan-Major
et al. 2022, arXiv 2201.10066): custodian, licence, availability, languages, personal information. A document belongs to
the source with the longest matching address, otherwise to the source that lists its archive:

    [press-example]
    name = "Example Press"
    custodian = "Example Press Ltd, press@example.org"
    license = "CC-BY-4.0"                      # SPDX
    availability = "direct"                    # direct, after agreement, contact known, no contact
    languages = ["fr"]
    personal_information = "author names"      # yes, author names, no, unclear
    addresses = ["press.example.org/news/"]    # domain, or domain and path; subdomains count, too
    files = ["press-*.warc.gz"]                # archives whose documents are all from this source
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from filters.programs.use_signals import USE_SIGNALS
from pipelines.addresses import normal_url
from roots.errors import InputError, SettingsError, unknown_name
from roots.settings import build, read_toml

UNLISTED = "unlisted"
_AVAILABILITY = ("direct", "after agreement", "contact known", "no contact", "unknown")
_PERSONAL_INFORMATION = ("yes", "author names", "no", "unclear")


@dataclass(frozen=True)
class Source:
    """One source of the catalogue."""

    name: str
    license: str
    custodian: str = "unknown"
    homepage: str = ""
    availability: str = "unknown"
    languages: tuple[str, ...] = ()
    personal_information: str = "unclear"
    addresses: tuple[str, ...] = ()
    files: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for value, known in ((self.availability, _AVAILABILITY), (self.personal_information, _PERSONAL_INFORMATION)):
            if value not in known:
                raise ValueError(f"{value!r} is not one of {', '.join(known)}")
        if not (self.addresses or self.files):
            raise ValueError("name addresses or files; without them no document belongs to this source")


@dataclass(frozen=True)
class Rights:
    """Settings of what may be released: everything, unless sources or licences are named."""

    catalogue: str = ""  # path of the catalogue; empty: every document belongs to the source "unlisted"
    licenses: tuple[str, ...] = ()  # allow-list, as the catalogue spells them; empty: all
    leave_out: tuple[str, ...] = ()  # sources to leave out
    unlisted: str = "keep"  # or "drop": documents without a source in the catalogue
    # Use signals that keep a page out; by default those that forbid training (filters.programs.use_signals).
    refuse_use_signals: tuple[str, ...] = ("no-copy", "no-train-ai", "noai", "noml", "tdm-reservation")

    def __post_init__(self) -> None:
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
        return self.sources[source].license if source in self.sources else None

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
    tables = read_toml(Path(path))
    sources: dict[str, Source] = {}
    for name, table in tables.items():
        if not isinstance(table, dict) or not name.isascii() or name == UNLISTED:
            raise InputError(f"{path}: {name!r} is not a source: write a table [short-ascii-name]")
        sources[name] = build(Source, table, f"{path}: {name}")
    return Catalogue(sources)


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
