"""What all commands share: the options every stage has, and how errors are shown."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from pipelines.watching.progress import EventLog, StageProgress
from roots import process
from roots.errors import RootsError, SettingsError, StageFailed, unknown_name
from roots.executors import EXECUTORS, Executor, default_workers, make_executor
from roots.settings import build, parse_pairs, read_toml
from roots.storage import is_remote, path_of

Command = Callable[..., None]
T = TypeVar("T")
LOG = "roots.log"
PRELOAD = ("pipelines.preload",)  # a worker needs all of it, and it takes most of a second to import


class Place(click.ParamType[Path]):
    """A folder of this machine, or the URL of one."""

    name = "folder"

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> Path:
        """Turn what was typed into a path. Raises click's error for a file, and for a URL that cannot be used."""
        try:
            path = path_of(value) if isinstance(value, str) else value
        except SettingsError as error:
            self.fail(str(error), param, context)
        if not is_remote(path) and path.is_file():
            self.fail(f"Directory {str(path)!r} is a file.", param, context)
        return path


WORK = click.argument("work", type=Place())
INPUT = click.option(
    "--input", "-i", "inputs", multiple=True, metavar="PATTERN",
    help="Archives to read: a path or a quoted pattern such as 'crawl/*.warc.gz'. May be given several times.",
)  # fmt: skip
LANGUAGE = click.option(
    "--lang", "-l", "codes", multiple=True, required=True, metavar="CODE",
    help="Language to make, such as fr; several: --lang 'fr sw yo'.",
)  # fmt: skip


def settings_options(command: Command) -> Command:
    """The two ways to change a setting."""
    options = [
        click.option("--set", "pairs", multiple=True, metavar="GROUP.KEY=VALUE", help="Change one setting."),
        click.option("--config", type=click.Path(dir_okay=False, path_type=Path), help="TOML file, one table a group."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def run_options(command: Command) -> Command:
    """Where to run, and how much to say."""
    options = [
        click.option("--executor", default="local", show_default=True, help=f"Where to run: {', '.join(EXECUTORS)}."),
        click.option("--workers", "-j", default=None, type=int, help="Processes at a time. [default: one a core]"),
        click.option("--quiet", "-q", is_flag=True, help="No progress, only what came of it."),
        click.option(
            "--log",
            type=click.Path(dir_okay=False, path_type=Path),
            expose_value=False,
            metavar="FILE",
            callback=_keep_log,
            help="Append what happens to a file, one line of JSON each.",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def _keep_log(context: click.Context, _: click.Parameter, path: Path | None) -> None:
    """Keep the log for `progress_of`, so that no command can forget it."""
    context.meta[LOG] = path


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


DRY_RUN = click.option("--dry-run", is_flag=True, help="Say what would be done and what is done already; do nothing.")


def share_options(command: Command) -> Command:
    """Which share of the work this command does: for any scheduler that starts several (see roots.stage.Share)."""
    options = [
        click.option("--rank", default=0, show_default=True, help="This command's number, from 0: with --of."),
        click.option(
            "--of", default=1, show_default=True, help="How many such commands share the work, on any machine."
        ),
        click.option("--ray-address", default="", help="Ray cluster, as host:port. [default: one started for the run]"),
        click.option("--wait", default=0.0, metavar="SECONDS", help="Wait for other ranks' shards. [default: do not]"),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def stage_options(command: Command) -> Command:
    """The options every stage has."""
    return run_options(share_options(settings_options(DRY_RUN(command))))


def read_settings(pairs: Sequence[str], config: Path | None) -> dict[str, dict[str, Any]]:
    """The settings that `--config` and `--set` name, by group; `--set` has the last word."""
    values: dict[str, dict[str, Any]] = read_toml(config) if config else {}
    for group, found in parse_pairs(pairs).items():
        values[group] = {**values.get(group, {}), **found}
    return values


def only_groups(names: Sequence[str], pairs: Sequence[str], config: Path | None) -> dict[str, dict[str, Any]]:
    """The settings of these groups. Raises SettingsError for any other group in `pairs`: it would be ignored."""
    for group in parse_pairs(pairs):
        if group not in names:
            raise SettingsError(unknown_name("group of settings", group, names))
    values = read_settings(pairs, config)
    return {name: values.get(name, {}) for name in names}


def only_group(name: str, pairs: Sequence[str], config: Path | None) -> dict[str, Any]:
    """The settings of a command that has one group of them."""
    return only_groups((name,), pairs, config)[name]


def one_group(cls: type[T], group: str, pairs: Sequence[str], config: Path | None = None, **given: Any) -> T:
    """Settings of a command that has one group of them; `given` are options of its own that were used."""
    return build(cls, {**only_group(group, pairs, config), **{k: v for k, v in given.items() if v}}, group)


def executor_of(executor: str, workers: int | None, address: str = "") -> Executor:
    """The executor that the options name; this process works too."""
    process.begin()
    return make_executor(executor, workers if workers is not None else default_workers(), PRELOAD, address)


@contextmanager
def progress_of(label: str, quiet: bool) -> Iterator[StageProgress]:
    """Progress for the time of a run."""
    context = click.get_current_context(silent=True)
    log = context.meta.get(LOG) if context else None
    progress = StageProgress(label, quiet=quiet, log=EventLog(log, label.strip()) if log else None)
    try:
        yield progress
    except StageFailed as failed:
        progress.failed(failed.stage, failed.failures)
        raise
    finally:
        progress.close()


def split_codes(codes: Sequence[str]) -> list[str]:
    """Language codes, said one by one or in one text, each once."""
    return list(dict.fromkeys(code for text in codes for code in text.replace(",", " ").split()))
