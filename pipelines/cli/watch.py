"""Commands about a run itself: how far it is, and what it will take."""

import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from pipelines.cli.options import INPUT, LANGUAGE, WORK, errors_are_lines, read_settings, settings_options, split_codes
from pipelines.forecast import plan as planning
from pipelines.forecast import report as planning_report
from pipelines.watching import status as watching
from pipelines.work import find_archives
from roots.errors import SettingsError
from roots.executors import default_workers
from roots.settings import build
from roots.shards import write_text

FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@WORK
@click.option("--missing", is_flag=True, help="Name every shard that is missing, not the first three only.")
@click.option(
    "--watch", is_flag=True, help="Look again and again: shards, rates, time left, failures; until all is done."
)
@click.option("--every", default=5.0, show_default=True, metavar="SECONDS", help="Between two looks of --watch.")
@click.option("--log", type=FILE, metavar="FILE", help="Append each look to a file, one line of JSON.")
@click.option("--prometheus", type=FILE, metavar="FILE", help="Write each look as a text file for the node exporter.")
@errors_are_lines
def status(work: Path, missing: bool, watch: bool, every: float, log: Path | None, prometheus: Path | None) -> None:
    """Say how far each language is, and which shards are missing.

    Only receipts and names of files are read, so it can run on any machine that sees the folder, while others work.

    \b
    Example:
      roots status work
      roots status work --watch --log status.jsonl --prometheus /var/lib/node_exporter/roots.prom
    """
    if every <= 0:
        raise SettingsError(f"--every {every:g}: at least a moment is needed")
    if missing and watch:
        raise SettingsError("--missing prints too much for --watch")
    clear = "\x1b[H\x1b[J" if watch and sys.stdout.isatty() else ""
    for states, now in watching.watch(work, every if watch else None, log, prometheus):
        click.echo(clear + "\n".join(watching.screen(work, states, now, missing)))


@click.command()
@INPUT
@LANGUAGE
@click.option("--archives", type=int, help="Archives in the crawl. [default: those that --input names]")
@click.option("--archive-bytes", type=float, help="Bytes of one of them, on average. [default: as those named]")
@click.option("--workers", "-j", default="1,10,100,1000", show_default=True, help="How many workers to tell hours for.")
@click.option("--node-cores", default=None, type=int, help="Cores of a node. [default: those of this machine]")
@click.option("--json", "target", type=FILE, help="Write all that was measured and estimated to a file.")
@settings_options
@errors_are_lines
def plan(inputs: Sequence[str], codes: Sequence[str], workers: str, target: Path | None, **options: Any) -> None:
    """Say what a crawl will take, in hours, memory and disk, from pieces of it that are really worked on here.

    The archives named may be a few of a larger crawl: say with --archives how many it has. Pieces are of 2 MB, twelve
    of them; more of them make the interval narrower (--set plan.pieces=50).

    \b
    Example:
      roots plan --input 'crawl/*.warc.gz' --lang fr
      roots plan --input 'sample/*.warc.gz' --lang 'fr sw' --archives 90000 --archive-bytes 1e9 --node-cores 64
    """
    values = read_settings(options["pairs"], options["config"])
    given = {key: options[key] for key in ("archives", "archive_bytes") if options[key]}
    settings = build(planning.Plan, {**values.pop("plan", {}), **given}, "plan")
    counts = [int(word) for word in workers.split(",") if word.strip().isdigit()]
    cores = options["node_cores"] or default_workers()
    if not counts or min(counts) < 1 or cores < 1:
        raise SettingsError(f"--workers {workers}: write numbers such as 1,10,100; --node-cores is at least 1")
    with tempfile.TemporaryDirectory(prefix="roots-plan-") as scratch:
        found = planning.forecast(find_archives(inputs), split_codes(codes), values, settings, Path(scratch))
    for line in planning_report.report(found, counts, cores):
        click.echo(line)
    if target is not None:
        write_text(target, json.dumps(found.as_values(), indent=1) + "\n")


COMMANDS: dict[str, click.Command] = {"status": status, "plan": plan}
