"""The `roots` command. Every command: read the options, call one function, print. Nothing is decided here."""

import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from pipelines import pipeline
from pipelines.cli import pseudocrawl as cli_pseudocrawl
from pipelines.cli.options import (
    INPUT,
    LANGUAGE,
    WORK,
    Place,
    errors_are_lines,
    executor_of,
    progress_of,
    read_settings,
    split_codes,
    stage_options,
)
from pipelines.extraction.extractors import EXTRACTORS
from pipelines.jobs import plan_jobs
from pipelines.languages import find_code
from pipelines.stages import StageCommand, stage_commands
from pipelines.verify import verify as check
from pipelines.watching.progress import table
from pipelines.why import explain
from pipelines.work import find_archives, languages
from roots.errors import InputError
from roots.stage import Share

# Commands beside the main job, and where they are: imported only when they are asked for, as some need half a second.
LAZY = {
    "pipelines.cli.watch": ("status", "plan"),
    "pipelines.cli.language": ("judge", "derive", "report", "lid", "pii"),
    "pipelines.cli.models": ("perplexity", "quality"),
    "pipelines.cli.release": ("publish", "push", "signatures", "takedown", "pointers", "rebuild"),
    "pipelines.cli.trainer": ("tokenizer", "tokens", "train", "evaluate", "export", "ablate", "memorization"),
}


class Roots(click.Group):
    """The commands in the order of use; those of LAZY are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all commands."""
        return [*self.commands, *(name for names in LAZY.values() for name in names)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name; None for an unknown one."""
        for module, names in LAZY.items():
            if cmd_name in names:
                found: click.Command = import_module(module).COMMANDS[cmd_name]
                return found
        return super().get_command(ctx, cmd_name)


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


AGAINST = click.option(
    "--against", multiple=True, metavar="RELEASE",
    help="A release whose documents new ones must not repeat; its signatures are used where it has them.",
)  # fmt: skip
STRICT = click.option("--strict", is_flag=True, help="A source that loses more than dedup.alarm of itself is an error.")
EXTRACTOR = click.option("--extractor", default=None, help=f"How main text is found: {', '.join(EXTRACTORS)}.")


def _go(
    stages: Sequence[str], work: Path, codes: Sequence[str], inputs: Sequence[str], options: dict[str, Any]
) -> None:
    """Run some stages for some languages and print a table for each."""
    values = read_settings(options["pairs"], options["config"])
    if options.get("extractor"):
        values["extract"] = {**values.get("extract", {}), "extractor": options["extractor"]}
    if options.get("strict"):
        values["dedup"] = {**values.get("dedup", {}), "strict": True}
    if options.get("against"):
        values["dedup"] = {**values.get("dedup", {}), "against": list(options["against"])}
    executor = executor_of(options["executor"], options["workers"], options["ray_address"])
    share = Share(options["rank"], options["of"], options["wait"])
    pseudocrawl = cli_pseudocrawl.take_settings(values, options)
    archives = find_archives(inputs) if inputs else {} if pseudocrawl else None
    jobs = plan_jobs(work, split_codes(codes), archives, values)
    if pseudocrawl and options["dry_run"]:
        click.echo(cli_pseudocrawl.describe(pseudocrawl, options))
    elif pseudocrawl:
        with progress_of("", options["quiet"]) as progress:
            fetched = cli_pseudocrawl.fetch(work, pseudocrawl, options, executor, progress)
        jobs = plan_jobs(work, split_codes(codes), {**(archives or {}), **fetched}, values)
    if options["dry_run"]:
        for line in pipeline.preview(jobs, stages):
            click.echo(line)
        return
    for job, part in pipeline.in_order(jobs, stages):
        with progress_of(f"{job.code} " if job.code else "", options["quiet"]) as progress:
            manifests = pipeline.run_stages(job, part, executor, progress, share)
        click.echo(f"\n{job.title}\n{table(manifests)}")
        if "shard" in part:
            click.echo(f"\nThe dataset is in {job.dataset}\nWhat became of a page: roots why URL --work {work}")


def _add_stage(name: str, stage: StageCommand) -> None:
    """Add a command that runs stages."""

    @errors_are_lines
    def command(work: Path, codes: Sequence[str] = (), inputs: Sequence[str] = (), **options: Any) -> None:
        _go(stage.stages, work, codes, inputs, options)

    command.__doc__ = f"{stage.summary}\n\n\b\nExample:\n  {stage.example}"
    decorated = stage_options(command)
    if name != "index":
        decorated = LANGUAGE(decorated)
    if name in ("index", "run"):
        decorated = cli_pseudocrawl.pseudocrawl_options(INPUT(decorated))
    if name in ("extract", "run"):
        decorated = EXTRACTOR(decorated)
    if name in ("dedup", "run"):
        decorated = STRICT(AGAINST(decorated))
    main.command(name)(WORK(decorated))


for name, command in stage_commands().items():
    _add_stage(name, command)


@main.command()
@click.argument("document", metavar="URL-OR-ID")
@click.option("--work", "-w", default="work", show_default=True, type=Place(), help="The work folder.")
@click.option("--lang", "-l", "code", default=None, help="Only this language. [default: all that were run]")
@errors_are_lines
def why(document: str, work: Path, code: str | None) -> None:
    """Tell the whole path of one document, and why it was kept or dropped.

    \b
    Example:
      roots why https://example.org/page --work work
    """
    for line in explain(work, document, find_code(code) if code else None):
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
    codes = [find_code(code)] if code else languages(work)
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


if __name__ == "__main__":
    main()
