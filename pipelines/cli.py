"""The `roots` command. Every command: read the options, call one function, print. Nothing is decided here."""

import os
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

import click

from pipelines import pipeline
from pipelines.folders import find_archives, languages
from pipelines.progress import StageProgress, table
from pipelines.why import explain
from roots.errors import InputError, RootsError, SettingsError
from roots.executors import EXECUTORS, make_executor
from roots.settings import parse_pairs, read_toml

Command = Callable[..., None]
PRELOAD = ("pipelines.pipeline",)  # a worker needs all of it, and it takes most of a second to import

WORK = click.argument("work", type=click.Path(file_okay=False, path_type=Path))
INPUT = click.option(
    "--input", "-i", "inputs", multiple=True, metavar="PATTERN",
    help="Archives to read: a path or a quoted pattern such as 'crawl/*.warc.gz'. May be given several times.",
)  # fmt: skip
LANGUAGE = click.option(
    "--lang", "-l", "codes", multiple=True, required=True, metavar="CODE",
    help="Language to make, such as fr; several: --lang 'fr sw yo'.",
)  # fmt: skip


def stage_options(command: Command) -> Command:
    """The options every stage has."""
    options = [
        click.option("--executor", default="local", show_default=True, help=f"Where to run: {', '.join(EXECUTORS)}."),
        click.option("--workers", "-j", default=None, type=int, help="Processes at a time. [default: one a core]"),
        click.option("--set", "pairs", multiple=True, metavar="STAGE.KEY=VALUE", help="Change one setting."),
        click.option("--config", type=click.Path(dir_okay=False, path_type=Path), help="TOML file, one table a stage."),
        click.option("--dry-run", is_flag=True, help="Say what would be done and what is done already; do nothing."),
        click.option("--quiet", "-q", is_flag=True, help="No progress, only the table at the end."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def errors_are_lines(command: Command) -> Command:
    """Show an error of ours as one line, with its exit code; anything else is a bug and keeps its traceback."""

    @wraps(command)
    def wrapped(*arguments: Any, **options: Any) -> None:
        try:
            command(*arguments, **options)
        except RootsError as error:
            click.echo(f"roots: {error}", err=True)
            sys.exit(error.exit_code)
        except KeyboardInterrupt:
            click.echo("\nroots: stopped. What is done is kept; the same command goes on from here.", err=True)
            sys.stderr.flush()
            os._exit(130)  # at once: workers end with this process, and what they had not finished was never visible

    return wrapped


class Roots(click.Group):
    """A group that answers an unknown command with the nearest known one, and lists commands in the order of use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group(cls=Roots, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="roots-corpus")
def main() -> None:
    """From web archives to a corpus you can account for.

    \b
    The whole job, and what came of it:
      roots run work --input 'crawl/*.warc.gz' --lang fr
      roots why https://example.org/page --work work
      roots verify work
    """


def _go(
    stages: Sequence[str], work: Path, codes: Sequence[str], inputs: Sequence[str], options: dict[str, Any]
) -> None:
    """Run some stages for some languages and print a table for each."""
    values = read_toml(options["config"]) if options["config"] else {}
    for group, pairs in parse_pairs(options["pairs"]).items():
        values[group] = {**values.get(group, {}), **pairs}
    workers = options["workers"] if options["workers"] is not None else pipeline.default_workers()
    executor = make_executor(options["executor"], workers, PRELOAD)
    archives = find_archives(inputs) if inputs else None
    names = list(dict.fromkeys(code for text in codes for code in text.replace(",", " ").split()))
    jobs = pipeline.plan_jobs(work, names, archives, values)
    if options["dry_run"]:
        for line in pipeline.preview(jobs, stages):
            click.echo(line)
        return
    for job in jobs:
        label = f"{job.code} " if job.code else ""
        progress = StageProgress(label, quiet=options["quiet"])
        try:
            manifests = pipeline.run_stages(job, stages, executor, progress)
        finally:
            progress.close()
        click.echo(f"\n{job.title}\n{table(manifests)}")
        if "shard" in stages:
            click.echo(f"\nThe dataset is in {job.dataset}\nWhat became of a page: roots why URL --work {work}")


def _add_stage(name: str, summary: str, example: str) -> None:
    """Add the command of one stage."""

    @errors_are_lines
    def command(work: Path, codes: Sequence[str] = (), inputs: Sequence[str] = (), **options: Any) -> None:
        _go(pipeline.COMMANDS[name], work, codes, inputs, options)

    command.__doc__ = f"{summary}\n\n\b\nExample:\n  {example}"
    decorated = stage_options(command)
    if name != "index":
        decorated = LANGUAGE(decorated)
    if name in ("index", "run"):
        decorated = INPUT(decorated)
    main.command(name)(WORK(decorated))


_add_stage(
    "run",
    "Run the whole job: from archives to the dataset of one or several languages.",
    "roots run work --input 'crawl/*.warc.gz' --lang fr",
)
_add_stage(
    "index",
    "Read archives once: one row a record, with charset and likely languages, no text.",
    "roots index work --input 'crawl/*.warc.gz'",
)
_add_stage("extract", "Take the main text of the pages that can be in the language.", "roots extract work --lang fr")
_add_stage("filter", "Measure every signal, then judge it by the language's bounds.", "roots filter work --lang fr")
_add_stage("dedup", "Find exact copies and verified near-duplicates.", "roots dedup work --lang fr")
_add_stage("redact", "Replace personal data by tags.", "roots redact work --lang fr --set redact.style=roots")
_add_stage(
    "shard", "Write the dataset: Arrow shards of a train and a validation split.",
    "roots shard work --lang fr --set shard.shard_bytes=500000000",
)  # fmt: skip


@main.command()
@click.argument("document", metavar="URL-OR-ID")
@click.option(
    "--work", "-w", default="work", show_default=True, type=click.Path(path_type=Path), help="The work folder."
)
@click.option("--lang", "-l", "code", default=None, help="Only this language. [default: all that were run]")
@errors_are_lines
def why(document: str, work: Path, code: str | None) -> None:
    """Tell the whole path of one document, and why it was kept or dropped.

    \b
    Example:
      roots why https://example.org/page --work work
    """
    for line in explain(work, document, pipeline.find_code(code) if code else None):
        click.echo(line)


@main.command()
@WORK
@click.option("--lang", "-l", "code", default=None, help="Only this language. [default: all that were run]")
@errors_are_lines
def verify(work: Path, code: str | None) -> None:
    """Check that every row is accounted for and every byte is what was written.

    \b
    Example:
      roots verify work
    """
    from pipelines.verify import verify as check

    codes = [pipeline.find_code(code)] if code else languages(work)
    if not codes:
        raise InputError(f"{work} holds no results: run `roots run {work} --input 'crawl/*.warc.gz' --lang fr`")
    wrong = 0
    for name in codes:
        problems = list(check(work, name))
        wrong += len(problems)
        for problem in problems:
            click.echo(f"{name}: {problem}")
        if not problems:
            click.echo(f"{name}: every row is accounted for, every checksum is right")
    if wrong:
        sys.exit(1)


@main.command()
@WORK
@errors_are_lines
def status(work: Path) -> None:
    """Say how far each language is.

    \b
    Example:
      roots status work
    """
    for line in pipeline.status(work):
        click.echo(line)


__all__ = ["SettingsError", "main"]

if __name__ == "__main__":
    main()
