"""Commands about a run itself: how far it is, and what it will take."""

import sys
from pathlib import Path

import click

from pipelines import pipeline, watching
from pipelines.cli_options import WORK, errors_are_lines
from roots.errors import SettingsError

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
    if not (watch or log or prometheus):
        for line in pipeline.status(work, missing):
            click.echo(line)
        return
    if missing:
        raise SettingsError("--missing does not go with --watch, --log or --prometheus")
    clear = "\x1b[H\x1b[J" if watch and sys.stdout.isatty() else ""
    for states, now in watching.watch(work, every if watch else None, log, prometheus):
        click.echo(clear + "\n".join(watching.screen(work, states, now)))


COMMANDS: dict[str, click.Command] = {"status": status}
