"""Commands about what judges text: models of languages, of perplexity and of quality, and rules for personal data.

Settings are built before slow modules are imported, so that a mistake is answered at once.
"""

from pathlib import Path

import click

from pipelines.cli.options import ANY_LANGUAGES, FILE, FOLDER, CommandGroup, RunOptions, settings_options, show_errors

_MODEL = click.option("--to", "target", type=FILE, required=True, help="Model to write; a card is written beside it.")


@click.command("train")
@click.option("--text", "folders", multiple=True, type=FOLDER, required=True,
              help="Folder of text, a file per language: fr.txt, fr.jsonl.gz, fra_Latn.dev.")  # fmt: skip
@_MODEL
@settings_options
@show_errors
def _lid_train(folders: tuple[Path, ...], target: Path, options: RunOptions) -> None:
    """Trains a small model that knows all languages of ROOTS.

    \b
    Example:
      roots lid train --text text/ --to my.ftz
    """
    from pipelines.models.settings import LanguageIdTraining

    settings = options.build(LanguageIdTraining, "lid")
    from pipelines.models.language_id import train_language_id
    from pipelines.models.language_id_text import read_folders

    card = train_language_id(read_folders(folders), target, settings)
    click.echo(f"{target}: sha256 {card['sha256']}")


@click.command("eval")
@click.argument("folder", type=FOLDER)
@click.option("--model", default="", help="A fastText model by path, or lid.176. [default: ours with lid.176]")
@show_errors
def _lid_eval(folder: Path, model: str) -> None:
    """Measures a model on a folder of labelled text, a file per language such as fra_Latn.dev.

    \b
    Example:
      roots lid eval flores200_dev
    """
    from pipelines.models.language_id_eval import evaluate_folder

    click.echo(str(evaluate_folder(folder, model)))


@click.command("train")
@click.option("--pages", "-p", multiple=True, type=FILE, required=True,
              help="Archive of pages, or a package: a tar file with gold.jsonl and the pages it names.")  # fmt: skip
@click.option("--gold", "-g", multiple=True, type=FILE,
              help="Main text of an archive's pages, JSON lines: record_id or url, text, lang, type.")  # fmt: skip
@click.option("--text", "folders", multiple=True, type=FOLDER,
              help="Folder of text, a file per language, to put into the places of real pages' text.")  # fmt: skip
@_MODEL
@settings_options
@show_errors
def _extractor_train(
    pages: tuple[Path, ...], gold: tuple[Path, ...], folders: tuple[Path, ...], target: Path, options: RunOptions
) -> None:
    """Trains a model that finds the main text of pages.

    \b
    Example:
      roots extractor train --pages my.warc.gz --gold my.gold.jsonl --text text/ --to my.npz
      roots run work --input 'crawl/*.warc.gz' --lang fr --set extract.main_text_model=my.npz
    """
    from pipelines.models.settings import MainTextTraining

    settings = options.build(MainTextTraining, "main_text")
    from pipelines.models.language_id_text import read_folders
    from pipelines.models.main_text.card import train_main_text
    from pipelines.models.main_text.pages import read_samples

    texts = read_folders(folders) if folders else {}
    card = train_main_text(read_samples(pages, gold), texts, target, settings)
    click.echo(f"{target}: sha256 {card['sha256']}, {card['pages']} pages")


@click.command("train")
@click.option("--reference", "-r", "references", multiple=True, type=FILE, required=True,
              help="Trusted text: .jsonl, .parquet, or .txt with a blank line between documents.")  # fmt: skip
@click.option("--pieces", default="", help="SentencePiece model whose pieces are counted. [default: words]")
@click.option("--to", "target", type=FILE, required=True, help="Model to write.")
@settings_options
@show_errors
def _perplexity_train(references: tuple[Path, ...], pieces: str, target: Path, options: RunOptions) -> None:
    """Trains a KenLM model on trusted text; KenLM's lmplz must be on the PATH.

    \b
    Example:
      roots perplexity train --reference good.txt --to fr.kenlm
      roots filter work --lang fr --set filter.perplexity_model=fr.kenlm
    """
    from pipelines.models.settings import PerplexityTraining

    settings = options.build(PerplexityTraining, "perplexity")
    from pipelines.models.perplexity import train_perplexity

    made = train_perplexity(references, target, settings, pieces)
    click.echo(f"{target}: sha256 {made['sha256']}, median perplexity of held-out text {made['median perplexity']}")


@click.command("train")
@click.option("--good", multiple=True, type=FILE, required=True,
              help="Good text: .jsonl, .parquet, or .txt with a blank line between documents.")  # fmt: skip
@click.option("--bad", multiple=True, type=FILE, required=True, help="Bad text, as many documents as good ones.")
@_MODEL
@settings_options
@show_errors
def _quality_train(good: tuple[Path, ...], bad: tuple[Path, ...], target: Path, options: RunOptions) -> None:
    """Trains a classifier of good and bad text; its card says how well it does.

    \b
    Example:
      roots quality train --good good.jsonl --bad bad.jsonl --to fr.quality.bin
      roots filter work --lang fr --set filter.quality_model=fr.quality.bin --set filter.bounds=my.toml
    """
    from pipelines.models.settings import QualityTraining

    settings = options.build(QualityTraining, "quality")
    from pipelines.models.quality import describe_quality, train_quality

    card = train_quality(good, bad, target, settings)
    click.echo(f"{target}: sha256 {card['sha256']}\n{describe_quality(card)}")


@click.command("eval")
@click.argument("labelled", type=FILE)
@ANY_LANGUAGES
@show_errors
def _pii_eval(labelled: Path, codes: tuple[str, ...]) -> None:
    """Measures how well personal data is found in your labelled text: precision, recall and F1 by kind and language.

    A line of the file is {"text": ..., "lang": "fr", "spans": [{"start": 0, "end": 5, "type": "EMAIL"}]}.

    \b
    Example:
      roots pii eval labelled.jsonl.gz
    """
    from pipelines.models.personal_data_eval import evaluate_detection

    click.echo("\n".join(evaluate_detection(labelled, codes).lines()))


@click.command("kinds")
@show_errors
def _pii_kinds() -> None:
    """Prints every kind of personal data: the rule, context words, texts that it finds and texts that it spares.

    \b
    Example:
      roots pii kinds
    """
    from filters.personal_data import describe_kinds

    click.echo("\n".join(describe_kinds()))


COMMANDS: dict[str, click.Command] = {
    "extractor": CommandGroup("extractor", [_extractor_train], help="Main text: train the model that finds it."),
    "lid": CommandGroup("lid", [_lid_train, _lid_eval], help="Language identification: train a model, measure any."),
    "perplexity": CommandGroup("perplexity", [_perplexity_train], help="The signal perplexity: train its model."),
    "quality": CommandGroup("quality", [_quality_train], help="The signal quality: train its classifier."),
    "pii": CommandGroup(
        "pii", [_pii_kinds, _pii_eval], help="Personal data: what is looked for, and how well it is found."
    ),
}
