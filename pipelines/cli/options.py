"""What the commands share: their options, gathered in one RunOptions, and how an error is shown.

Only click and light modules are imported at the top: `roots COMMAND --help` must not wait for Arrow or Numba.
"""

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import click

from roots.errors import RootsError, SettingsError, StageFailed, unknown_name
from roots.settings import build, parse_pairs, read_toml
from roots.storage import is_remote, path_of

if TYPE_CHECKING:
    from pipelines.watching.progress import StageProgress
    from roots.executors import Executor
    from roots.stage import Share

Command = Callable[..., None]
Option = Callable[[Command], Command]
Settings = Mapping[str, Mapping[str, object]]  # group -> setting -> plain value
_T = TypeVar("_T")
_PRELOAD = ("pipelines.preload",)  # what every worker needs; it takes most of a second to import
# module -> extra that installs it
_EXTRAS = dict.fromkeys(("regex", "safetensors", "tokenizers", "torch"), "train") | {"jinja2": "prompts"}


class Place(click.ParamType[Path]):
    """A folder on this machine, or the URL of one."""

    name = "folder"

    def convert(self, value: str | Path, param: click.Parameter | None, context: click.Context | None) -> Path:
        """Turn the argument into a path. Raises click's error for a file, and for a URL that cannot be used."""
        try:
            path = path_of(value) if isinstance(value, str) else value
        except SettingsError as error:
            self.fail(str(error), param, context)
        if not is_remote(path) and path.is_file():
            self.fail(f"Directory {str(path)!r} is a file.", param, context)
        return path


class CommandGroup(click.Group):
    """Commands, of which an unknown one is answered with the nearest known one."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the first word names. Raises click's error for an unknown one."""
        name = args[0]
        if not (name.startswith("-") or name in self.list_commands(ctx)):
            ctx.fail(unknown_name("command", name, self.list_commands(ctx)))
        return super().resolve_command(ctx, args)


def _split_codes(_: click.Context, __: click.Parameter, texts: tuple[str, ...]) -> tuple[str, ...]:
    """Language codes, given one by one or several in one text; each once, in order. The path of a file stays whole."""
    split = ([text] if Path(text).is_file() else text.replace(",", " ").split() for text in texts)
    return tuple(dict.fromkeys(code for codes in split for code in codes))


FILE = click.Path(dir_okay=False, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)
WORK = click.argument("work", type=Place())
INPUT = click.option(
    "--input", "-i", "inputs", multiple=True, metavar="PATTERN",
    help="What to read: archives, tables of text or documents, by a path, a quoted pattern such as 'crawl/*.warc.gz', "
    "or a data set of the Hub, hf://datasets/OWNER/NAME. Repeat it to name more.",
)  # fmt: skip
LANGUAGE = click.option(
    "--lang", "-l", "code", required=True, metavar="CODE", help="Language, such as fr, or a language file."
)
ONE_OF_ALL = click.option(
    "--lang", "-l", "code", default="", metavar="CODE", help="Only this language. [default: all that were run]"
)
LANGUAGES = click.option(
    "--lang", "-l", "codes", multiple=True, required=True, metavar="CODE", callback=_split_codes,
    help="Language to make, such as fr; several: --lang 'fr sw yo'; a language file of your own: --lang ./uk.toml.",
)  # fmt: skip
ANY_LANGUAGES = click.option(
    "--lang", "-l", "codes", multiple=True, metavar="CODE", callback=_split_codes,
    help="Only these languages. [default: all that are there]",
)  # fmt: skip


@dataclass(frozen=True)
class RunOptions:
    """The options that many commands have. A command without one of them has its default here."""

    pairs: tuple[str, ...] = ()  # of --set
    config: Path | None = None
    executor: str = "local"
    workers: int | None = None  # None: one for each core
    ray_address: str = ""
    quiet: bool = False
    log: Path | None = None
    rank: int = 0
    of: int = 1
    wait: float = 0.0  # seconds
    dry_run: bool = False

    def settings(self, given: Settings | None = None) -> dict[str, dict[str, object]]:
        """Return the settings by group: those of --config, below those of --set, below `given` by other options.

        A given value that is empty or false counts as not given. Raises SettingsError for a group that is no table.
        """
        groups: dict[str, dict[str, object]] = read_toml(self.config) if self.config else {}
        for group, table in groups.items():
            if not isinstance(table, dict):
                raise SettingsError(f"{self.config}: {group} is not a table: write [{group}] with its settings below")
        own = {group: {key: value for key, value in values.items() if value} for group, values in (given or {}).items()}
        for group, values in (*parse_pairs(self.pairs).items(), *own.items()):
            if values:
                groups[group] = groups.get(group, {}) | values
        return groups

    def only(self, *groups: str) -> dict[str, dict[str, object]]:
        """Return the settings of these groups. Raises SettingsError if --set names another one, which is a mistake."""
        for group in parse_pairs(self.pairs):
            if group not in groups:
                raise SettingsError(unknown_name("group of settings", group, groups))
        found = self.settings()
        return {name: found.get(name, {}) for name in groups}

    def build(self, cls: type[_T], group: str, below: Mapping[str, object] | None = None, **given: object) -> _T:
        """Build the settings of a command with one group of them: `below` those of the user, `given` above them.

        A given value that is empty or false counts as not given. Raises SettingsError for a mistake.
        """
        used = {key: value for key, value in given.items() if value}
        return build(cls, {**(below or {}), **self.only(group)[group], **used}, group)

    def make_executor(self) -> "Executor":
        """Make the executor that the options name, and set up this process, which works too."""
        from roots import process
        from roots.executors import default_workers, make_executor

        process.begin()
        workers = default_workers() if self.workers is None else self.workers
        return make_executor(self.executor, workers, _PRELOAD, self.ray_address)

    def share(self) -> "Share":
        """Return which share of the work this command does."""
        from roots.stage import Share

        return Share(self.rank, self.of, self.wait)

    @contextmanager
    def progress(self, label: str = "") -> "Iterator[StageProgress]":
        """Show progress for the length of a run; `label` stands before each line, such as a language."""
        from pipelines.watching.progress import EventLog, StageProgress

        log = EventLog(self.log, label) if self.log else None
        progress = StageProgress(f"{label} " if label else "", quiet=self.quiet, log=log)
        try:
            yield progress
        except StageFailed as failed:
            progress.failed(failed.stage, failed.failures)
            raise
        finally:
            progress.close()


def _gather(command: Command, *options: tuple[str, Option]) -> Command:
    """Add options to a command; their values reach it together, as the RunOptions `options`."""

    @wraps(command)
    def gathered(options: RunOptions = RunOptions(), **values: object) -> None:
        own: dict[str, Any] = {name: values.pop(name) for name in names}
        command(options=replace(options, **own), **values)

    names = [name for name, _ in options]
    decorated: Command = gathered
    for _, option in reversed(options):
        decorated = option(decorated)
    return decorated


def settings_options(command: Command) -> Command:
    """Add the two ways to change a setting."""
    return _gather(
        command,
        ("pairs", click.option("--set", "pairs", multiple=True, metavar="GROUP.KEY=VALUE", help="Change one setting.")),
        ("config", click.option("--config", type=FILE, help="TOML file, one table a group.")),
    )


def run_options(command: Command) -> Command:
    """Add where to run, and how much to print."""
    return _gather(
        command,
        ("executor", click.option("--executor", default="local", show_default=True,
                                  help="Where to run: serial, local, ray.")),
        ("workers", click.option("--workers", "-j", default=None, type=int,
                                 help="Processes at a time. [default: one for each core]")),
        ("quiet", click.option("--quiet", "-q", is_flag=True, help="Show no progress, only the result.")),
        ("log", click.option("--log", type=FILE, metavar="FILE",
                             help="Append events to a file, one line of JSON each.")),
    )  # fmt: skip


def dry_run_option(text: str) -> Option:
    """Add --dry-run with this help text."""

    def decorate(command: Command) -> Command:
        return _gather(command, ("dry_run", click.option("--dry-run", is_flag=True, help=text)))

    return decorate


def _share_options(command: Command) -> Command:
    """Add which share of the work this command does, for any scheduler that starts several (see roots.stage.Share)."""
    return _gather(
        command,
        ("rank", click.option("--rank", default=0, show_default=True,
                              help="Number of this command, from 0; needs --of.")),
        ("of", click.option("--of", default=1, show_default=True,
                            help="How many such commands share the work, on any machine.")),
        ("ray_address", click.option("--ray-address", default="",
                                     help="Ray cluster, as host:port. [default: start one for this run]")),
        ("wait", click.option("--wait", default=0.0, metavar="SECONDS",
                              help="Wait for shards of other ranks. [default: do not]")),
    )  # fmt: skip


def stage_options(command: Command) -> Command:
    """Add the options that every command has which runs stages."""
    dry_run = dry_run_option("Print what would be done and what is done already; do nothing.")
    return run_options(_share_options(settings_options(dry_run(command))))


class _Result(Protocol):
    """What a part of a run came to."""

    def lines(self) -> Iterator[str]:
        """Describe it for a person."""

    def warnings(self) -> Iterator[str]:
        """What must not be overlooked."""


def show_results(results: Iterable[_Result]) -> None:
    """Print each result as soon as it is there; what must not be overlooked goes to stderr."""
    for result in results:
        for line in result.lines():
            click.echo(line)
        for warning in result.warnings():
            click.echo(f"roots: {warning}", err=True)


def show_errors(command: Command) -> Command:
    """Print one of our errors as one line and exit with its code; any other error is a bug and keeps its traceback."""

    @wraps(command)
    def wrapped(*arguments: object, **options: object) -> None:
        try:
            command(*arguments, **options)
        except RootsError as error:
            _fail(error)
        except ModuleNotFoundError as error:
            extra = _EXTRAS.get(error.name or "")
            if extra is None:
                raise
            _fail(SettingsError(f"this needs {error.name}: install it with `pip install 'roots-corpus[{extra}]'`"))
        except KeyboardInterrupt:
            click.echo("\nroots: stopped. What is done is kept; the same command continues from here.", err=True)
            sys.stderr.flush()
            os._exit(130)  # at once: workers end with this process, and an unfinished shard was never visible

    return wrapped


def _fail(error: RootsError) -> None:
    """Print an error and exit with its code."""
    click.echo(f"roots: {error}", err=True)
    sys.exit(error.exit_code)
