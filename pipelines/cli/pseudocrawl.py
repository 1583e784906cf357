"""The options of `index` and `run` that take pages of chosen sites out of a crawl that others made."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from pipelines.pseudocrawl.fetch import Pseudocrawl, fetch_archives
from pipelines.pseudocrawl.seeds import read_seeds
from roots import storage
from roots.errors import SettingsError
from roots.executors import Executor
from roots.settings import build
from roots.stage import Progress

GROUP = "pseudocrawl"


def pseudocrawl_options(command: Callable[..., None]) -> Callable[..., None]:
    """Where the seeds and the index are."""
    options = [
        click.option(
            "--domains", type=click.Path(path_type=Path), metavar="SEEDS.TSV",
            help="Sites to take out of a crawl of others, one a line: a domain or a URL prefix, a tab, a language.",
        ),
        click.option(
            "--cc-index", "places", multiple=True, metavar="PATH-OR-URL",
            help="Columnar index of that crawl: Parquet files, a folder, or a list (cc-index-table.paths.gz), or URLs.",
        ),
    ]  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def take_settings(values: dict[str, dict[str, Any]], options: Mapping[str, Any]) -> Pseudocrawl | None:
    """The settings of the pseudocrawl, taken out of `values`; None where none is asked for."""
    domains, places = options.get("domains"), options.get("places")
    if not domains and not places:
        if GROUP in values:
            raise SettingsError("settings of the group pseudocrawl need --domains and --cc-index")
        return None
    if not domains or not places:
        raise SettingsError("--domains and --cc-index go together: which sites, and in which index to look for them")
    if options.get("of", 1) > 1:
        raise SettingsError(
            "a pseudocrawl is fetched by one command, at one pace: run `roots index` without --of first"
        )
    return build(Pseudocrawl, values.pop(GROUP, {}), GROUP)


def fetch(
    work: Path, settings: Pseudocrawl, options: Mapping[str, Any], executor: Executor, progress: Progress
) -> dict[str, Path]:
    """Fetch the pages of the seeds, and say which seeds gave none."""
    seeds = read_seeds(options["domains"])
    archives = fetch_archives(work, seeds, options["places"], settings, executor, progress)
    table = [line.split("\t") for line in storage.read_text(work / GROUP / "seeds.tsv").splitlines()[1:]]
    click.echo(f"{len(seeds)} seeds: {sum(int(row[-1]) for row in table):,} pages in {len(archives)} archives")
    for what, column in (("no capture in the index", 2), ("captures, but no page fetched", 5)):
        sites = [row[0] for row in table if row[column] == "0" and (column == 2 or row[2] != "0")]
        if sites:
            more = f" and {len(sites) - 10} more" if len(sites) > 10 else ""
            click.echo(f"{len(sites)} of {len(seeds)} have {what}: {', '.join(sites[:10])}{more}")
    return archives


def describe(settings: Pseudocrawl, options: Mapping[str, Sequence[str]]) -> str:
    """What a dry run says."""
    return f"pseudocrawl: {len(read_seeds(Path(str(options['domains']))))} seeds, pages from {settings.data}"
