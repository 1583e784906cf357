"""Commands for people who speak a language: judge, derive, report; and the measurements lid and pii."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from filters.language import load_language
from filters.personal_data import describe_kinds
from pipelines import pipeline
from pipelines.cli.options import (
    LANGUAGE,
    WORK,
    errors_are_lines,
    executor_of,
    one_group,
    progress_of,
    run_options,
    settings_options,
    split_codes,
)
from pipelines.jobs import plan_jobs
from pipelines.languages import find_code, is_program
from pipelines.models.bounds import Reference, derive_from_text, derive_labelled
from pipelines.models.language_id import Training, train_language_id
from pipelines.models.language_id_eval import evaluate_folder
from pipelines.models.language_id_text import read_folders
from pipelines.models.personal_data_eval import evaluate_detection
from pipelines.watching.progress import table
from pipelines.work import chain, known_inputs
from pipelines.workbench import page as report
from roots.errors import SettingsError

FILE = click.Path(dir_okay=False, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)
ONE = click.option("--lang", "-l", "code", required=True, metavar="CODE", help="Language, such as fr.")


@click.command()
@WORK
@LANGUAGE
@click.option("--bounds", "-b", required=True, help="A bound set of the language's file, or a TOML file of bounds.")
@run_options
@errors_are_lines
def judge(work: Path, codes: Sequence[str], bounds: str, executor: str, workers: int | None, quiet: bool) -> None:
    """Decide again from the stored numbers, without reading text. The stages after it then redo what changed.

    \b
    Example:
      roots judge work --lang fr --bounds my.toml
    """
    for job in plan_jobs(work, split_codes(codes), None, {"filter": {"bounds": bounds}}):
        with progress_of(f"{job.code} ", quiet) as progress:
            click.echo(table(pipeline.run_stages(job, ("filter",), executor_of(executor, workers), progress)))


@click.command()
@ONE
@click.option("--reference", "-r", "references", multiple=True, type=FILE, help="Trusted text: .txt, .jsonl, .parquet.")
@click.option("--labels", type=FILE, help="A speaker's labels, as the report saves them.")
@click.option(
    "--work", "-w", type=FOLDER, default=Path("work"), show_default=True, help="Where labelled documents are."
)
@click.option("--to", "target", type=FILE, required=True, help="TOML file to write.")
@settings_options
@errors_are_lines
def derive(
    code: str, references: Sequence[Path], labels: Path | None, work: Path, target: Path, **options: Any
) -> None:
    """Derive bounds from trusted text or from a speaker's labels, with their source written beside each number.

    \b
    Example:
      roots derive --lang sw --reference good.txt --to my.toml
    """
    language = load_language(code)
    how = one_group(Reference, "derive", options["pairs"], options["config"])
    if labels:
        chains = [chain(work, language.code, name, "filter") for name in known_inputs(work)]
        derived = derive_labelled(language, labels, chains, target)
    elif references:
        derived = derive_from_text(language, references, target, how)
    else:
        raise SettingsError("derive: name trusted text with --reference, or labels with --labels")
    for warning in derived.warnings:
        click.echo(f"warning: {warning}", err=True)
    click.echo(f"{target}: use it with --set filter.bounds={target}, or roots judge {work} --bounds {target}")


@click.command("report")
@WORK
@ONE
@click.option("--to", "target", type=FILE, default=None, help="HTML file to write. [default: WORK/CODE/report.html]")
@settings_options
@errors_are_lines
def report_command(work: Path, code: str, target: Path | None, **options: Any) -> None:
    """Write the threshold workbench of a language: one HTML file that opens from disk.

    \b
    Example:
      roots report work --lang fr
    """
    settings = one_group(report.Report, "report", options["pairs"], options["config"])
    code = find_code(code)
    if is_program(code):
        raise SettingsError(f"{code}: the workbench is for text; set bounds of code in a TOML file for `roots judge`")
    click.echo(report.write_report(work, code, target or work / code / "report.html", settings))


@click.command("train")
@click.option("--text", "folders", multiple=True, type=FOLDER, required=True,
              help="Folder of text, a file per language: fr.txt, fr.jsonl.gz, fra_Latn.dev.")  # fmt: skip
@click.option("--to", "target", type=FILE, required=True, help="Model to write (.ftz); its card is written beside it.")
@settings_options
@errors_are_lines
def lid_train(folders: Sequence[Path], target: Path, **options: Any) -> None:
    """Train a small model that knows all languages of ROOTS.

    \b
    Example:
      roots lid train --text text/ --to my.ftz
    """
    settings = one_group(Training, "lid", options["pairs"], options["config"])
    card = train_language_id(read_folders(folders), target, settings)
    click.echo(f"{target}: sha256 {card['sha256']}")


@click.command("eval")
@click.argument("folder", type=FOLDER)
@click.option("--model", default="", help="A fastText model by path, or lid.176. [default: ours with lid.176]")
@errors_are_lines
def lid_eval_command(folder: Path, model: str) -> None:
    """Measure a model on a folder of text, a file per language such as fra_Latn.dev.

    \b
    Example:
      roots lid eval flores200_dev
    """
    click.echo(str(evaluate_folder(folder, model)))


@click.command("eval")
@click.argument("labelled", type=FILE)
@click.option("--lang", "-l", "codes", multiple=True, metavar="CODES", help="Languages of the file. [default: all]")
@errors_are_lines
def pii_eval(labelled: Path, codes: Sequence[str]) -> None:
    """Measure how well personal data is found in your labelled text: precision, recall and F1 by kind and language.

    A line of the file is {"text": ..., "lang": "fr", "spans": [{"start": 0, "end": 5, "type": "EMAIL"}]}.

    \b
    Example:
      roots pii eval labelled.jsonl.gz
    """
    click.echo("\n".join(evaluate_detection(labelled, split_codes(codes)).lines()))


@click.command("kinds")
@errors_are_lines
def pii_kinds() -> None:
    """Print every kind of personal data: the rule, context words, texts that it finds and texts that it spares.

    \b
    Example:
      roots pii kinds
    """
    click.echo("\n".join(describe_kinds()))


COMMANDS: dict[str, click.Command] = {
    "judge": judge,
    "derive": derive,
    "report": report_command,
    "lid": click.Group(
        "lid", [lid_train, lid_eval_command], help="Language identification: train a model, measure any."
    ),
    "pii": click.Group("pii", [pii_kinds, pii_eval], help="Personal data: which kinds are found, and how well."),
}
