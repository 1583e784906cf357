"""Commands that look at a run and change nothing: plan, status, why, find, decontaminate, dropped, verify, settings."""

import sys
from pathlib import Path

import click

from pipelines.cli.options import (
    FILE,
    INPUT,
    LANGUAGES,
    ONE_OF_ALL,
    WORK,
    Place,
    RunOptions,
    run_options,
    settings_options,
    show_errors,
)


def _split_counts(_: click.Context, __: click.Parameter, text: str) -> tuple[int, ...]:
    """Numbers of workers, separated by commas. Raises click's error for anything else."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words or not all(word.isdigit() and int(word) > 0 for word in words):
        raise click.BadParameter(f"{text!r}: write numbers such as 1,10,100")
    return tuple(int(word) for word in words)


@click.command("status")
@WORK
@click.option("--missing", is_flag=True, help="Name every shard that is missing, not only the first three.")
@click.option("--watch", "again", is_flag=True, help="Look again and again until all is done: rates, time left.")
@click.option("--every", type=click.FloatRange(0, min_open=True), default=5.0, show_default=True, metavar="SECONDS",
              help="Time between two looks of --watch.")  # fmt: skip
@click.option("--log", type=FILE, metavar="FILE", help="Append each look to a file, one line of JSON.")
@click.option("--prometheus", type=FILE, metavar="FILE", help="Write each look as a text file for the node exporter.")
@show_errors
def _status(work: Path, missing: bool, again: bool, every: float, log: Path | None, prometheus: Path | None) -> None:
    """Prints how far each language is, and which shards are missing.

    It reads only receipts and names of files, so it can run while others work, on any machine that sees the folder.

    \b
    Example:
      roots status work
      roots status work --watch --log status.jsonl --prometheus /var/lib/node_exporter/roots.prom
    """
    from pipelines.watching.status import screen, watch

    if missing and again:
        raise click.UsageError("--missing prints too much for --watch")
    clear = "\x1b[H\x1b[J" if again and sys.stdout.isatty() else ""
    for states, now in watch(work, every if again else None, log, prometheus):
        click.echo(clear + "\n".join(screen(work, states, now, missing)))


@click.command("why")
@click.argument("document", metavar="URL-OR-ID")
@click.option("--work", "-w", default="work", show_default=True, type=Place(), help="The work folder.")
@ONE_OF_ALL
@click.option("--page", type=FILE, metavar="FILE",
              help="Write an HTML file of the page's blocks, kept and left out, with the model's scores.")  # fmt: skip
@click.option("--main-text-model", "model", default="", metavar="FILE", help="The model of the run, if it is not ours.")
@show_errors
def _why(document: str, work: Path, code: str, page: Path | None, model: str) -> None:
    """Prints the path of one document, and why it was kept or dropped.

    \b
    Example:
      roots why https://example.org/page --work work
      roots why https://example.org/page --work work --page page.html     # why a paragraph is missing
    """
    from pipelines.why import explain, write_page

    for line in explain(work, document, code):
        click.echo(line)
    if page:
        write_page(work, document, page, code, model)
        click.echo(f"The blocks of the page are in {page}")


@click.command("find")
@click.argument("place", metavar="WORK-OR-RELEASE", type=Place())
@click.argument("text")
@ONE_OF_ALL
@click.option("--limit", type=click.IntRange(1), default=10, show_default=True, metavar="N", help="Documents shown.")
@click.option("--html", type=FILE, metavar="FILE", help="Write an HTML file of the text and all passages.")
@click.option("--json", "target", type=FILE, metavar="FILE", help="Write all that was found, one line of JSON a text.")
@run_options
@show_errors
def _find(
    place: Path, text: str, code: str, limit: int, html: Path | None, target: Path | None, options: RunOptions
) -> None:
    """Names the documents that hold a text, or parts of it.

    @FILE reads the text from a file; of a .jsonl, such as `roots generate --json` writes, each line's `text` is looked
    for. The exit code is 1 where nothing was found.

    \b
    Example:
      roots find work "a passage of a hundred letters or more ..."
      roots find release @text.txt --html found.html
    """
    from pipelines.cli.find import read_texts, show_findings
    from pipelines.fingerprints.find import find_texts

    texts = read_texts(text)
    with options.progress() as progress:
        found = find_texts(place, texts, options.make_executor(), code, progress)
    sys.exit(show_findings(found, str(place), limit, (html, target)))


@click.command("decontaminate")
@click.argument("place", metavar="WORK-OR-RELEASE", type=Place())
@click.option("--against", multiple=True, required=True, type=click.Path(exists=True, path_type=Path), metavar="PATH",
              help="Evaluation set: JSONL, JSON, Parquet, Arrow, CSV or TSV, or a folder of them.")  # fmt: skip
@click.option("--columns", default="", metavar="NAME,NAME", help="Columns of CSV or TSV without a row of names.")
@ONE_OF_ALL
@click.option(
    "--json", "target", type=FILE, metavar="FILE", help="Write every item that was found, with its documents."
)
@run_options
@show_errors
def _decontaminate(
    place: Path, against: tuple[Path, ...], columns: str, code: str, target: Path | None, options: RunOptions
) -> None:
    """Reports which texts of evaluation sets stand in the dataset.

    A text may differ in case, punctuation and single words. What is too short to judge is counted apart. Nothing is
    removed: `roots takedown` removes documents. The exit code is 1 where something was found.

    \b
    Example:
      roots decontaminate work --against evals/
      roots decontaminate release --against test.jsonl --json leaks.json
    """
    from pipelines.cli.find import show_leaks
    from pipelines.fingerprints.decontaminate import find_evaluation_leaks

    with options.progress() as progress:
        names = [name for name in columns.split(",") if name]
        found = find_evaluation_leaks(place, against, options.make_executor(), code, progress, names)
    sys.exit(show_leaks(found, target))


@click.command("dropped")
@WORK
@ONE_OF_ALL
@click.option(
    "--reason", default="", metavar="NAME", help="Only this reason: filter.words, or filter for all of filter."
)
@click.option("--limit", type=click.IntRange(0), default=20, show_default=True, metavar="N",
              help="Documents shown, drawn evenly; 0: all.")  # fmt: skip
@show_errors
def _dropped(work: Path, code: str, reason: str, limit: int) -> None:
    """Prints what was dropped: counts by reason, and some documents with their numbers.

    \b
    Example:
      roots dropped work --lang fr
      roots dropped work --lang fr --reason filter.words --limit 50
    """
    from pipelines.watching.dropped import list_dropped

    for line in list_dropped(work, code, reason, limit):
        click.echo(line)


@click.command("verify")
@WORK
@ONE_OF_ALL
@show_errors
def _verify(work: Path, code: str) -> None:
    """Checks that every row is accounted for and every byte is as written.

    \b
    Example:
      roots verify work
    """
    from pipelines.verify import passed, verify_all

    wrong = False
    for name, problems in verify_all(work, code):
        for problem in problems or [passed(work, name)]:
            click.echo(f"{name}: {problem}")
        wrong = wrong or bool(problems)
    sys.exit(1 if wrong else 0)


@click.command("plan")
@INPUT
@LANGUAGES
@click.option("--archives", type=int, help="Archives in the crawl. [default: those that --input names]")
@click.option("--archive-bytes", type=float, help="Average bytes of one of them. [default: of those named]")
@click.option("--workers", "-j", "counts", default="1,10,100,1000", show_default=True, callback=_split_counts,
              help="Numbers of workers to forecast hours for.")  # fmt: skip
@click.option("--node-cores", default=None, type=click.IntRange(1), help="Cores of a node. [default: of this machine]")
@click.option("--json", "target", type=FILE, help="Write everything that was measured and estimated to a file.")
@settings_options
@show_errors
def _plan(
    inputs: tuple[str, ...],
    codes: tuple[str, ...],
    archives: int | None,
    archive_bytes: float | None,
    counts: tuple[int, ...],
    node_cores: int | None,
    target: Path | None,
    options: RunOptions,
) -> None:
    """Forecasts the hours, memory and disk of a crawl.

    It runs the whole job on pieces of the archives named, on this machine. These may be a few archives of a larger
    crawl: give the number of its archives with --archives. By default there are twelve pieces of 2 MB; more pieces
    make the interval narrower (--set plan.pieces=50).

    \b
    Example:
      roots plan --input 'crawl/*.warc.gz' --lang fr
      roots plan --input 'sample/*.warc.gz' --lang 'fr sw' --archives 90000 --archive-bytes 1e9 --node-cores 64
    """
    from pipelines.forecast.settings import ForecastRequest

    settings = options.settings({"plan": {"archives": archives, "archive_bytes": archive_bytes}})
    request = ForecastRequest(inputs, codes, settings)  # checked before slow modules are imported
    from pipelines.forecast.plan import forecast_request, write_forecast
    from pipelines.forecast.report import forecast_lines
    from roots.executors import default_workers

    found = forecast_request(request)
    click.echo("\n".join(forecast_lines(found, counts, node_cores or default_workers())))
    if target:
        write_forecast(found, target)


@click.command("settings")
@click.argument("groups", nargs=-1, metavar="[GROUP]...")
@show_errors
def _settings(groups: tuple[str, ...]) -> None:
    """Prints every setting with its default and meaning, as a TOML file.

    For --config, keep the groups that your command reads.

    \b
    Example:
      roots settings
      roots settings extract dedup > my.toml
    """
    from pipelines.job.listing import list_settings

    click.echo("\n".join(list_settings(groups)))


COMMANDS: dict[str, click.Command] = {
    "plan": _plan,
    "status": _status,
    "why": _why,
    "find": _find,
    "decontaminate": _decontaminate,
    "dropped": _dropped,
    "verify": _verify,
    "settings": _settings,
}
