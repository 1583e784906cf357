"""Commands that run stages: `run` for all, and one for each stage, as the table of stages has them.

A request is checked before slow modules are imported, so that a mistake is answered at once.
"""

from pathlib import Path

import click

from pipelines.cli.options import (
    FILE,
    INPUT,
    LANGUAGES,
    WORK,
    Command,
    Option,
    RunOptions,
    Settings,
    show_errors,
    show_results,
    stage_options,
)
from pipelines.extraction.extractors import EXTRACTORS
from pipelines.job.stages import STAGES, StageCommand, stage_commands
from roots.errors import SettingsError

_DOMAINS = click.option(
    "--domains", "seeds", type=click.Path(path_type=Path), metavar="SEEDS.TSV",
    help="Sites to take out of another's crawl, one a line: a domain or a URL prefix, a tab, a language.",
)  # fmt: skip
_CC_INDEX = click.option(
    "--cc-index", "index", multiple=True, metavar="PATH-OR-URL",
    help="Columnar index of that crawl: Parquet files, a folder, a list (cc-index-table.paths.gz), or URLs.",
)  # fmt: skip
_CATALOGUE = click.option(
    "--catalogue", type=FILE, metavar="SOURCES.TOML",
    help="Read the sources of a catalogue in place of --input: each with its path, language, licence and own settings.",
)  # fmt: skip
_EXTRACTOR = click.option("--extractor", default="", help=f"How main text is found: {', '.join(EXTRACTORS)}.")
_AGAINST = click.option(
    "--against", multiple=True, metavar="RELEASE",
    help="A release whose documents new ones must not repeat; its signatures are used if it has them.",
)  # fmt: skip
_SKIP_BAD = click.option(
    "--skip-bad-inputs", "skip_bad", is_flag=True,
    help="Leave out inputs that cannot be read, and name them. [default: refuse them before any work]",
)  # fmt: skip
_FIELD = click.option(
    "--field",
    "columns",
    multiple=True,
    metavar="FIELD=COLUMN",
    callback=lambda _context, _option, pairs: tuple(map(_field, pairs)),
    help="Where a table has its texts: text=body. Fields: text, id, url, date, license.",
)
_FORMAT = click.option(
    "--format", "form", type=click.Choice(["jsonl.zst", "parquet"]),
    help="Also write the dataset as text files of this form, into WORK/LANG/FORMAT.",
)  # fmt: skip
_REPLACE = click.option(
    "--replace", is_flag=True, help="Replace a finished dataset, even if none of its archives is an input any more."
)
_LIKE = click.option(
    "--like", metavar="PROJECT:PATH", default="", callback=lambda _context, _option, text: _like(text),
    help="Judge as another project does: fineweb2:PATH, its configuration of the language or the folder of all.",
)  # fmt: skip
_STRICT = click.option("--strict", is_flag=True, help="Fail if a source loses more than dedup.alarm of its documents.")


def _field(pair: str) -> tuple[str, str]:
    """A pair of --field. Raises click's error for another form."""
    field, _, column = pair.partition("=")
    if not column or field not in ("text", "id", "url", "date", "license"):
        raise click.BadParameter(f"{pair!r}: write it as text=COLUMN, or with id, url, date or license for text")
    return field, column


def _like(text: str) -> Settings:
    """The settings of --like. Raises click's error for a wrong one."""
    if not text:
        return {}
    from pipelines.job.fineweb2 import like_settings

    try:
        settings = like_settings(text)
    except SettingsError as error:
        raise click.BadParameter(str(error)) from None
    if ":" not in text:
        note = f"--like {text} names no configuration: bounds and function words are those of our language files"
        click.echo(f"roots: {note}", err=True)
    return settings


def _own_settings(
    extractor: str, against: tuple[str, ...], strict: bool, columns: tuple[tuple[str, str], ...], like: Settings
) -> Settings:
    """The settings that options of their own give."""
    own: Settings = {
        "extract": {"extractor": extractor},
        "dedup": {"against": list(against), "strict": strict},
        "source": {f"{field}_column": column for field, column in columns},
    }
    return {group: {**like.get(group, {}), **own.get(group, {})} for group in {**own, **like}}


def _make_command(name: str, info: StageCommand) -> click.Command:
    """Make the command of some stages, with the options that they have a use for."""

    @stage_options
    @show_errors
    def command(
        work: Path,
        options: RunOptions,
        codes: tuple[str, ...] = (),
        inputs: tuple[str, ...] = (),
        seeds: Path | None = None,
        index: tuple[str, ...] = (),
        extractor: str = "",
        against: tuple[str, ...] = (),
        strict: bool = False,
        skip_bad: bool = False,
        columns: tuple[tuple[str, str], ...] = (),
        replace: bool = False,
        form: str | None = None,
        catalogue: Path | None = None,
        like: Settings | None = None,
    ) -> None:
        from pipelines.job.request import Request

        own = _own_settings(extractor, against, strict, columns, like or {})
        settings = options.settings(own)
        request = Request(work, info.stages, codes, inputs, settings, seeds, index, skip_bad, replace, catalogue)
        from pipelines.pipeline import preview_request, run_request

        if options.dry_run:
            click.echo("\n".join(preview_request(request)))
            return
        show_results(run_request(request, options.make_executor(), options.share(), options.progress))
        if form:
            from pipelines.publishing.text_files import write_text_files

            click.echo("\n".join(write_text_files(request, form, options.make_executor(), options.progress)))

    decorated: Command = command
    for option in reversed(_options_of(info.stages)):
        decorated = option(decorated)
    text = f"{info.summary}\n\n\b\nExample:\n  {info.example}"
    return click.command(name, help=text)(decorated)


def _options_of(stages: tuple[str, ...]) -> list[Option]:
    """The work folder, and the options that only some stages have a use for."""
    options: list[Option] = [WORK]
    if any(STAGES[name].shared for name in stages):
        options += [INPUT, _CATALOGUE, _FIELD, _SKIP_BAD, _DOMAINS, _CC_INDEX]
    if any(STAGES[name].shared or STAGES[name].final for name in stages):
        options.append(_REPLACE)
    if all(STAGES[name].final for name in stages):
        options.append(_FORMAT)
    if "extract" in stages:
        options.append(_EXTRACTOR)
    if "dedup" in stages:
        options += [_AGAINST, _STRICT]
    if {"extract", "filter", "dedup"} & set(stages):
        options.append(_LIKE)
    if not all(STAGES[name].shared for name in stages):
        options.append(LANGUAGES)
    return options


COMMANDS: dict[str, click.Command] = {name: _make_command(name, info) for name, info in stage_commands().items()}
