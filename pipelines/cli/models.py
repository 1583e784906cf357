"""Commands that train the models which two signals may have: perplexity and quality."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from pipelines.cli.options import errors_are_lines, one_group, settings_options
from pipelines.models.perplexity import ModelTraining, train_perplexity
from pipelines.models.quality import QualityTraining, describe_quality, train_quality

FILE = click.Path(dir_okay=False, path_type=Path)
TO = click.option("--to", "target", type=FILE, required=True, help="Model to write.")


@click.command("train")
@click.option("--reference", "-r", "references", multiple=True, type=FILE, required=True,
              help="Trusted text: .txt, .jsonl, .parquet.")  # fmt: skip
@click.option("--pieces", default="", help="SentencePiece model whose pieces are counted. [default: words]")
@TO
@settings_options
@errors_are_lines
def perplexity_train(references: Sequence[Path], pieces: str, target: Path, **options: Any) -> None:
    """Train a KenLM model of trusted text, with KenLM's lmplz on the PATH.

    \b
    Example:
      roots perplexity train --reference good.txt --to fr.kenlm
      roots filter work --lang fr --set filter.perplexity_model=fr.kenlm
    """
    how = one_group(ModelTraining, "perplexity", options["pairs"], options["config"])
    made = train_perplexity(references, target, how, pieces)
    click.echo(f"{target}: sha256 {made['sha256']}, median perplexity of held-out text {made['median perplexity']}")


@click.command("train")
@click.option("--good", multiple=True, type=FILE, required=True, help="Good text: .txt, .jsonl, .parquet.")
@click.option("--bad", multiple=True, type=FILE, required=True, help="Bad text, as many documents as of the good.")
@TO
@settings_options
@errors_are_lines
def quality_train(good: Sequence[Path], bad: Sequence[Path], target: Path, **options: Any) -> None:
    """Train a classifier of good and bad text; its card with what it was measured at is written beside it.

    \b
    Example:
      roots quality train --good good.jsonl --bad bad.jsonl --to fr.quality.bin
      roots filter work --lang fr --set filter.quality_model=fr.quality.bin --set filter.bounds=my.toml
    """
    how = one_group(QualityTraining, "quality", options["pairs"], options["config"])
    card = train_quality(good, bad, target, how)
    click.echo(f"{target}: sha256 {card['sha256']}\n{describe_quality(card)}")


COMMANDS: dict[str, click.Command] = {
    "perplexity": click.Group("perplexity", [perplexity_train], help="The signal perplexity: train its model."),
    "quality": click.Group("quality", [quality_train], help="The signal quality: train its classifier."),
}
