"""Chosen sites as input of a job: read the seeds, fetch their pages, and report the sites that gave none."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pipelines.pseudocrawl.fetch import Pseudocrawl, fetch_archives
from pipelines.pseudocrawl.seeds import Seed, read_seeds
from roots import storage
from roots.executors import Executor
from roots.stage import Progress

_SHOWN = 10  # sites named of those that gave nothing


@dataclass(frozen=True)
class Sites:
    """The sites to take out of a crawl, and the index of that crawl."""

    seeds: Path  # file of seeds: pipelines.pseudocrawl.seeds
    index: tuple[str, ...]  # Parquet files, folders, lists or URLs
    settings: Pseudocrawl

    def fetch(self, work: Path, executor: Executor, progress: Progress | None = None) -> "FetchedSites":
        """Fetch the pages of the sites into archives of the work folder; see `fetch_archives`."""
        seeds = read_seeds(self.seeds)
        archives = fetch_archives(work, seeds, self.index, self.settings, executor, progress)
        return FetchedSites(work, tuple(seeds), archives)

    def lines(self) -> Iterator[str]:
        """Describe what would be fetched, for a person."""
        yield f"pseudocrawl: {len(read_seeds(self.seeds))} seeds, pages from {self.settings.data}"


@dataclass(frozen=True)
class FetchedSites:
    """The archives that hold the pages of the sites."""

    work: Path
    seeds: tuple[Seed, ...]
    archives: Mapping[str, Path]  # shard name -> archive

    def lines(self) -> Iterator[str]:
        """Describe what was fetched."""
        rows = self._table()
        yield f"{len(rows)} seeds: {sum(int(row[5]) for row in rows):,} pages in {len(self.archives)} archives"

    def warnings(self) -> Iterator[str]:
        """Name the sites that gave nothing."""
        rows = self._table()
        yield from self._without("no capture in the index", [row[0] for row in rows if row[2] == "0"])
        empty = [row[0] for row in rows if row[2] != "0" and row[5] == "0"]
        yield from self._without("captures, but no page fetched", empty)

    def _table(self) -> list[list[str]]:
        """What each seed gave: site, language, captures, pages, newest, fetched."""
        table = storage.read_text(self.work / "pseudocrawl" / "seeds.tsv").splitlines()[1:]
        return [line.split("\t") for line in table]

    def _without(self, what: str, sites: list[str]) -> Iterator[str]:
        if sites:
            more = f" and {len(sites) - _SHOWN} more" if len(sites) > _SHOWN else ""
            yield f"{len(sites)} of {len(self.seeds)} have {what}: {', '.join(sites[:_SHOWN])}{more}"
