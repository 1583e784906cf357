"""Commands after pre-training: prompts, finetune, generate.

Settings are built before slow modules are imported, so that a mistake is answered at once.
"""

from pathlib import Path

import click

from pipelines.cli.options import FILE, FOLDER, RunOptions, run_options, settings_options, show_errors

_ANY_PATH = click.Path(path_type=Path)


def _labels(_: click.Context, __: click.Parameter, texts: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Columns and the names of their numbers, each given as COLUMN=NAME,NAME."""
    for text in texts:
        if not all(text.partition("=")):
            raise click.BadParameter(f"{text!r} is not COLUMN=NAME,NAME")
    return {column: tuple(names.split(",")) for column, _, names in (text.partition("=") for text in texts)}


@click.command("prompts")
@click.argument("data", nargs=-1, required=True, type=_ANY_PATH)
@click.option("--templates", type=FILE, help="promptsource's YAML, or TOML. [default: the rows are pairs]")
@click.option("--to", "target", type=FOLDER, required=True, help="Folder of prompts; the data set is added to it.")
@click.option("--against", multiple=True, type=_ANY_PATH, help="Evaluation file, whose records must not be in it.")
@click.option("--tokenizer", type=_ANY_PATH, default=None, help="Count shares in its tokens. [default: in bytes]")
@click.option("--columns", default="", metavar="NAME,NAME", help="Columns of CSV or TSV without a row of names.")
@click.option("--label", "labels", multiple=True, callback=_labels, metavar="COLUMN=NAME,NAME",
              help="Names of the numbers of a column, from 0.")  # fmt: skip
@click.option("--name", default="", help="Name of the data set. [default: that in the templates, or of the file]")
@click.option("--language", default="", metavar="CODE", help="Language of the records that do not name theirs.")
@click.option("--task", default="", help="Kind of task, such as nli. [default: the name]")
@click.option("--license", default="", help="Licence of the records.")
@click.option("--lenient", is_flag=True, help="Unknown fields are empty, as in promptsource.")
@click.option("--truncate", is_flag=True, help="Values are cut after 2,048 characters, as in promptsource.")
@run_options
@settings_options
@show_errors
def _prompts(options: RunOptions, lenient: bool, truncate: bool, **given: object) -> None:
    """Makes prompted examples of labelled records by templates, or of ready pairs.

    Ready pairs are known by their columns: xP3, prompt and completion, Alpaca, messages. The manifest has the shares
    of languages and tasks.

    \b
    Example:
      roots prompts xnli.fr.jsonl --templates xnli/templates.yaml --language fr --to prompts
    """
    from pipelines.prompts.settings import PromptsSettings, prompts_request

    settings = options.build(PromptsSettings, "prompts", lenient=lenient, truncate=truncate)
    request = prompts_request(settings, given)
    from pipelines.prompts.make import describe_prompts, make_prompts

    with options.progress() as progress:
        manifest = make_prompts(request, options.make_executor(), progress)
    click.echo(describe_prompts(manifest))


@click.command("finetune")
@click.argument("model", type=FOLDER)
@click.option("--on", "prompts", type=FOLDER, required=True, help="Folder that `roots prompts` made.")
@click.option("--to", "target", type=FOLDER, required=True, help="Run folder.")
@click.option("--tokenizer", type=_ANY_PATH, default=None, help="[default: that of the model, or beside the run]")
@click.option("--tokens", multiple=True, type=FOLDER,
              help="Token shards of pre-training, for replay. [default: those beside the run]")  # fmt: skip
@settings_options
@show_errors
def _finetune(
    model: Path, prompts: Path, target: Path, tokenizer: Path | None, tokens: tuple[Path, ...], options: RunOptions
) -> None:
    """Fine-tunes a model on prompts: only targets count, and the best checkpoint stays.

    The model is a run of `roots train`, or a Bloom of transformers. The run folder is used as any run.

    \b
    Example:
      roots finetune work/fr/model --on prompts --to work/fr/tuned --set finetune.replay=0.1
    """
    from trainer.finetune.settings import FinetuneRequest, FinetuneSettings

    settings = options.build(FinetuneSettings, "finetune")
    from pipelines.prompts.mixture import prompt_shards
    from roots.atomic import read_manifest

    chains, weights = [shard.chain for shard in prompt_shards(prompts)], read_manifest(prompts)["weights"]
    from trainer.finetune.finetune import finetune_model

    finetune_model(FinetuneRequest(model, chains, weights, target, tokenizer, tokens, settings), click.echo)


@click.command("generate")
@click.argument("model", type=FOLDER)
@click.argument("texts", nargs=-1, metavar="[PROMPT]...")
@click.option("--prompts", "file", type=click.Path(allow_dash=True, path_type=Path),
              help="File of prompts: one a line, or JSON lines with `prompt`; - reads standard input.")  # fmt: skip
@click.option("--tokenizer", type=_ANY_PATH, default=None, help="Of a run that does not lie beside its own.")
@click.option("--tokens", type=int, help="Length of a continuation, at most. [default: 128]")
@click.option(
    "--temperature", type=float, help="0 takes the likeliest token, 1 draws as the model thinks. [default: 0]"
)
@click.option("--top-k", type=int, help="Draw from this many likeliest tokens. [default: all]")
@click.option("--top-p", type=float, help="Draw from the likeliest tokens whose chances sum up to this. [default: 1]")
@click.option("--samples", type=int, help="Continuations of each prompt. [default: 1]")
@click.option("--seed", type=int, help="Of the draws: the same seed gives the same text. [default: 0]")
@click.option("--stop", multiple=True, metavar="TEXT", help="A text that ends a continuation. Repeat it to name more.")
@click.option("--json", "target", type=FILE, help="Write JSON lines with prompt, sample and text.")
@settings_options
@show_errors
def _generate(
    model: Path,
    texts: tuple[str, ...],
    file: Path | None,
    tokenizer: Path | None,
    target: Path | None,
    options: RunOptions,
    **given: object,
) -> None:
    """Continues prompts by a model: a run, an export, or another causal model.

    \b
    Example:
      roots generate work/fr/model "Le chat"
      roots generate work/fr/model --prompts prompts.txt --temperature 0.8 --samples 3 --json out.jsonl
    """
    from trainer.settings import GenerateSettings

    settings = options.build(GenerateSettings, "generate", {}, **given)
    from pipelines.cli.generate import print_texts, read_prompts
    from trainer.generate import GenerateRequest

    request = GenerateRequest(model, read_prompts(texts, file), (tokenizer,) if tokenizer else (), settings)
    print_texts(request, target)


COMMANDS: dict[str, click.Command] = {"prompts": _prompts, "finetune": _finetune, "generate": _generate}
