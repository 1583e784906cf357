"""The inputs of a request: those that paths and patterns name, or those of each source of a catalogue."""

import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.catalogue import Source
from pipelines.job import work as folders
from pipelines.job.settings import IndexSettings
from pipelines.sources.layouts import TableSettings
from roots import storage
from roots.errors import InputError, SettingsError, with_lines
from roots.settings import build

FaultsOf = Callable[[Sequence[Path], Sequence[str], TableSettings], Mapping[Path, str]]  # why some inputs are bad
_Found = tuple[dict[str, Path], dict[str, str]]  # archives by name; inputs that are left out: path -> why


@dataclass(frozen=True)
class Looking:
    """Looks for the inputs of a work folder. `faults_of` says which cannot be read; `skip_bad` leaves those out."""

    work: Path
    languages: Sequence[str]
    settings: Mapping[str, Mapping[str, Any]]  # group -> setting -> plain value
    faults_of: FaultsOf | None
    skip_bad: bool

    def inputs(self, patterns: Sequence[str]) -> _Found:
        """Those that paths and patterns name. Raises InputError if some cannot be read and are not left out."""
        found = folders.match_inputs(patterns, _tables(self.settings).config)
        faults = self._faults(found, self.settings)
        return folders.name_archives(self._good(found, faults), self._known()), _plain(faults)

    def sources(self, sources: Mapping[str, Source], beside: Path) -> _Found:
        """Those of each source; names begin with the source's, and paths are looked for from the folder `beside` on.

        Raises InputError as `inputs` does, and for a file of two sources.
        """
        held: dict[Path, str] = {}
        faults: dict[Path, str] = {}
        for name, source in sources.items():
            if source.kill:
                continue
            with naming(name):
                places = [place if storage.is_url(place) else str(beside / place) for place in source.path]
                found = folders.match_inputs(places, _tables(source.over(self.settings)).config)
                if twice := next((path for path in found if path in held), None):
                    raise InputError(f"{twice} is in the source {held[twice]}, too: a file belongs to one source")
                bad = self._faults(found, source.over(self.settings))
            held |= dict.fromkeys(found, name)
            faults |= {path: f"source {name} of the catalogue: {fault}" for path, fault in bad.items()}
        known, good = self._known(), self._good(held, faults)
        archives: dict[str, Path] = {}
        for name in sources:
            start = f"{name}__"
            before = {key.removeprefix(start): path for key, path in known.items() if key.startswith(start)}
            own = folders.name_archives([path for path in good if held[path] == name], before)
            archives |= {start + key: path for key, path in own.items()}
        return dict(sorted(archives.items())), _plain(faults)

    def _faults(self, found: Sequence[Path], settings: Mapping[str, Mapping[str, object]]) -> dict[Path, str]:
        return dict(self.faults_of(found, self.languages, _tables(settings))) if self.faults_of else {}

    def _good(self, found: Collection[Path], faults: Mapping[Path, str]) -> list[Path]:
        """The inputs without a fault. Raises InputError for faults of inputs that may not be left out."""
        good = [path for path in found if path not in faults]
        if faults and not (good and self.skip_bad):
            raise InputError(_refusal(list(faults.values()), len(good)))
        return good

    def _known(self) -> dict[str, Path]:
        """The archives that the work folder knows."""
        try:
            return folders.known_inputs(self.work)
        except InputError:  # none yet, or damaged: they are written again
            return {}


def _tables(settings: Mapping[str, Mapping[str, object]]) -> TableSettings:
    return build(TableSettings, settings.get("source", {}), "source")


def _plain(faults: Mapping[Path, str]) -> dict[str, str]:
    return {str(path): fault for path, fault in faults.items()}


def shards_of_sources(
    archives: Mapping[str, Path], sources: Mapping[str, Source], settings: Mapping[str, Mapping[str, object]]
) -> dict[str, list[str]]:
    """The shards of archives, as `folders.shards_of` has them; each source of a catalogue has shards of its own."""
    if not sources:
        return folders.shards_of(archives, _part_bytes(settings))
    found: dict[str, list[str]] = {}
    for name, source in sources.items():
        own = {key: path for key, path in archives.items() if key.startswith(f"{name}__")}
        found |= folders.shards_of(own, _part_bytes(source.over(settings)))
    return dict(sorted(found.items()))


def _part_bytes(settings: Mapping[str, Mapping[str, object]]) -> int:
    """How much of an archive is in a shard: all, where its form is given, since it is cut by the form of its bytes."""
    index = build(IndexSettings, settings.get("index", {}), "index")
    return sys.maxsize if _tables(settings).table_form else index.part_bytes


@contextmanager
def naming(source: str) -> Iterator[None]:
    """Name a source of the catalogue in an error about it."""
    try:
        yield
    except (SettingsError, InputError) as error:
        raise type(error)(f"source {source} of the catalogue: {error}") from None


def _refusal(faults: Sequence[str], good: int) -> str:
    """What to say of inputs that cannot be read, beside some good ones."""
    if not good:
        return faults[0] if len(faults) == 1 else with_lines(f"none of the {len(faults)} inputs can be read:", faults)
    head = f"{len(faults)} of {len(faults) + good} inputs cannot be read, and nothing was done."
    return with_lines(f"{head} --skip-bad-inputs leaves them out:", faults)
