"""Commands for people who speak a language: report, judge, derive, languages.

Settings are built before slow modules are imported, so that a mistake is answered at once.
"""

import shlex
from pathlib import Path

import click

from pipelines.cli.options import (
    FILE,
    FOLDER,
    LANGUAGE,
    LANGUAGES,
    WORK,
    RunOptions,
    run_options,
    settings_options,
    show_errors,
    show_results,
)


@click.command("report")
@WORK
@LANGUAGE
@click.option("--to", "target", type=FILE, default=None, help="HTML file to write. [default: WORK/CODE/report.html]")
@settings_options
@show_errors
def _report(work: Path, code: str, target: Path | None, options: RunOptions) -> None:
    """Writes the threshold workbench of a language, one HTML file.

    It opens from disk and needs no server.

    \b
    Example:
      roots report work --lang fr
    """
    from pipelines.workbench.settings import ReportSettings

    settings = options.build(ReportSettings, "report")
    from pipelines.job.languages import find_any_code
    from pipelines.watching.outdated import Freshness
    from pipelines.workbench.page import write_report

    click.echo(write_report(work, code, target, settings))
    for stage, why in Freshness(work).outdated(find_any_code(code)).items():
        click.echo(f"warning: {stage} is out of date: {why}", err=True)


@click.command("judge")
@WORK
@LANGUAGES
@click.option("--bounds", "-b", required=True, help="A bound set of the language's file, or a TOML file of bounds.")
@run_options
@show_errors
def _judge(work: Path, codes: tuple[str, ...], bounds: str, options: RunOptions) -> None:
    """Filters again by other bounds, from the stored measures.

    No text is read. The dataset changes when `roots run` with these bounds has made the stages after it again.

    \b
    Example:
      roots judge work --lang fr --bounds my.toml
    """
    from pipelines.job.request import Request

    request = Request(work, ("filter",), codes, settings={"filter": {"bounds": bounds}})
    from pipelines.pipeline import run_request

    show_results(run_request(request, options.make_executor(), new_progress=options.progress))
    again = ["roots", "run", str(work), "--lang", " ".join(codes), "--set", f"filter.bounds={bounds}"]
    click.echo(f"\nNo dataset has changed yet. To make it by these bounds: {shlex.join(again)}")


@click.command("derive")
@LANGUAGE
@click.option("--reference", "-r", "references", multiple=True, type=FILE,
              help="Trusted text: .jsonl, .parquet, or .txt with a blank line between documents.")  # fmt: skip
@click.option("--labels", type=FILE, help="A speaker's labels, as the report saves them.")
@click.option(
    "--work", "-w", type=FOLDER, default=Path("work"), show_default=True, help="Work folder of the labelled documents."
)
@click.option("--to", "target", type=FILE, required=True, help="TOML file to write.")
@settings_options
@show_errors
def _derive(
    code: str, references: tuple[Path, ...], labels: Path | None, work: Path, target: Path, options: RunOptions
) -> None:
    """Derives bounds from trusted text or from a speaker's labels.

    The source of each number is written beside it.

    \b
    Example:
      roots derive --lang sw --reference good.txt --to my.toml
    """
    from pipelines.job.languages import load_text_language
    from pipelines.models.settings import DeriveSettings

    if not (references or labels):
        raise click.UsageError("name trusted text with --reference, or labels with --labels")
    language, settings = load_text_language(code), options.build(DeriveSettings, "derive")
    from pipelines.job.work import all_chains
    from pipelines.models.bounds import derive_from_text, derive_labelled

    if labels:
        derived = derive_labelled(language, labels, all_chains(work, language.code, "filter"), target)
    else:
        derived = derive_from_text(language, references, target, settings)
    for warning in derived.warnings:
        click.echo(f"warning: {warning}", err=True)
    click.echo(f"{target}: use it with --set filter.bounds={target}, or roots judge {work} --bounds {target}")


@click.command("languages")
@show_errors
def _languages() -> None:
    """Prints every language that can be made, with its code.

    \b
    Example:
      roots languages
    """
    from pipelines.job.languages import all_languages

    for code, name in all_languages().items():
        click.echo(f"{code:<10} {name}")


COMMANDS: dict[str, click.Command] = {
    "report": _report,
    "judge": _judge,
    "derive": _derive,
    "languages": _languages,
}
