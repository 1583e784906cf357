"""Commands from the corpus to a model: tokenizer, tokens, train, evaluate, export, ablate, memorization.

Settings are built before slow modules are imported, so that a mistake is answered at once.
"""

import sys
from pathlib import Path

import click

from pipelines.cli.evaluate import evaluate_tasks
from pipelines.cli.options import (
    ANY_LANGUAGES,
    FOLDER,
    LANGUAGE,
    LANGUAGES,
    WORK,
    CommandGroup,
    RunOptions,
    run_options,
    settings_options,
    show_errors,
)
from roots.errors import SettingsError
from trainer.settings import TOKEN_FORMAT_NAMES

_STOPPED = 75  # exit code of a run that was asked to stop: "try again", EX_TEMPFAIL of sysexits.h
_ANY_PATH = click.Path(path_type=Path)
_TREEBANK = click.Path(dir_okay=False, path_type=Path)
_RUN = click.option("--run", type=FOLDER, default=None, help="Run folder. [default: the model folder in WORK]")
_DEMO = click.option(
    "--preset", type=click.Choice(["demo"]), default=None, help="demo: settings that fit a small text, as in `train`."
)


def _languages(work: Path, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the code of each language named: its folder in `work`, any of its names, or a language file.

    Raises SettingsError for an unknown language.
    """
    from pipelines.job.languages import find_any_code

    return tuple(dict.fromkeys(name if (work / name / "shards").is_dir() else find_any_code(name) for name in names))


def _warn_of_old_datasets(work: Path, codes: tuple[str, ...]) -> None:
    """Say which datasets are out of date, and why."""
    from pipelines.watching.outdated import Freshness

    for code in codes:
        for stage, why in list(Freshness(work).outdated(code).items())[:1]:  # the stages after it follow from it
            click.echo(f"warning: the dataset of {code} is out of date: {stage}: {why}", err=True)


@click.command("train")
@WORK
@LANGUAGES
@click.option("--parallel", type=FOLDER, help="Folder of the same text in each language, for fertility feedback.")
@click.option("--to", "target", type=FOLDER, default=None, help="Folder to write. [default: in WORK]")
@_DEMO
@settings_options
@show_errors
def _tokenizer_train(
    work: Path,
    codes: tuple[str, ...],
    parallel: Path | None,
    target: Path | None,
    preset: str | None,
    options: RunOptions,
) -> None:
    """Trains a byte-level BPE tokenizer on the shards of one or many languages.

    \b
    Example:
      roots tokenizer train work --lang "fr sw" --set tokenizer.vocabulary=32768
    """
    from trainer.demo import preset_settings
    from trainer.settings import TokenizerSettings

    codes = _languages(work, codes)
    settings = options.build(TokenizerSettings, "tokenizer", preset_settings(preset, work, codes, "tokenizer"))
    _warn_of_old_datasets(work, codes)
    from trainer.steps import make_tokenizer

    folder, made = make_tokenizer(work, codes, settings, parallel, target)
    click.echo(
        f"{folder}: {made['tokens']:,} tokens, {made['mb_per_second']} MB/s ({made['mb_per_cpu_second']} per core), "
        f"{made['peak_memory_mb']} MB of memory"
    )


@click.command("eval")
@click.argument("tokenizers", nargs=-1, required=True, metavar="TOKENIZER...")
@click.option("--parallel", type=FOLDER, required=True, help="Folder of the same text in each language.")
@click.option("--treebank", "treebanks", multiple=True, type=_TREEBANK, help="CoNLL-U.")
@click.option(
    "--monolingual", type=FOLDER, help="Work folder: compare with a tokenizer of each of its languages alone."
)
@click.option("--to", "target", type=FOLDER, default=Path("tokenizer-eval"), show_default=True, help="Folder to write.")
@show_errors
def _tokenizer_eval(
    tokenizers: tuple[str, ...], parallel: Path, treebanks: tuple[Path, ...], monolingual: Path | None, target: Path
) -> None:
    """Measures tokenizers on the same text: cost by language, fertility, round trip; a table and a picture.

    A tokenizer is a folder, a file, or package:file inside an installed package. Monolingual tokenizers are trained
    here, as large as the first one named.

    \b
    Example:
      roots tokenizer eval work/fr/tokenizer --parallel flores
    """
    from trainer.steps import compare_tokenizer_files

    click.echo(compare_tokenizer_files(tokenizers, parallel, treebanks, monolingual, target))


@click.command("tokens")
@WORK
@LANGUAGES
@click.option("--tokenizer", type=_ANY_PATH, default=None, help="Any Hugging Face tokenizer. [default: that of WORK]")
@click.option("--format", "form", type=click.Choice(TOKEN_FORMAT_NAMES), help="Write files for another trainer.")
@click.option("--to", "target", type=FOLDER, default=None, help="Folder of these files.")
@_DEMO
@run_options
@settings_options
@show_errors
def _tokens(
    work: Path,
    codes: tuple[str, ...],
    tokenizer: Path | None,
    form: str | None,
    target: Path | None,
    preset: str | None,
    options: RunOptions,
) -> None:
    """Turns the shards into token shards, or into token files for other trainers.

    Without --format they are for `roots train`. Files of a format have a manifest with the tokenizer, the tokens and
    share of each language, and the sha256 of each file; documents end with the tokenizer's eos_token, or the one that
    --set tokens.end names.

    \b
    Example:
      roots tokens work --lang fr
      roots tokens work --lang "fr sw" --format megatron --to megatron --tokenizer gpt2/tokenizer.json
    """
    from trainer.demo import preset_settings
    from trainer.settings import TokenFilesRequest, TokensSettings

    codes = _languages(work, codes)
    settings = options.build(TokensSettings, "tokens", preset_settings(preset, work, codes, "tokens"))
    if (form is None) != (target is None):
        raise SettingsError("--format NAME and --to DIR belong together: give both, or none for `roots train`")
    _warn_of_old_datasets(work, codes)
    from trainer.steps import make_token_files, make_tokens

    if form and target:
        request = TokenFilesRequest(work, codes, form, target, tokenizer, settings)
        with options.progress() as progress:
            click.echo("\n".join(make_token_files(request, options.make_executor(), progress)))
        return
    for folder, count in make_tokens(work, codes, settings, tokenizer):
        click.echo(f"{folder}: {count:,} tokens")


@click.command("train")
@WORK
@LANGUAGES
@click.option("--preset", default=None, help="Size of the model: demo, or one of BLOOM's. [default: demo]")
@click.option("--from", "start", type=FOLDER, default=None, help="Run or model folder whose weights it begins with.")
@click.option("--to", "target", type=FOLDER, default=None, help="Run folder. [default: the model folder in WORK]")
@settings_options
@show_errors
def _train(
    work: Path, codes: tuple[str, ...], preset: str | None, start: Path | None, target: Path | None, options: RunOptions
) -> None:
    """Trains the decoder on the token shards.

    It saves on SIGTERM and ends with exit code 75; the same command continues from there. On several
    processes, start it with torchrun.

    \b
    Example:
      roots train work --lang fr --preset demo
      roots train work --lang fr --from model --to continued --set train.lr=1e-3
      torchrun --nproc-per-node 8 -m pipelines.cli train work --lang fr --preset 1b --set train.shard=8
    """
    from trainer.demo import preset_settings
    from trainer.training.recipe import recipe_for

    codes = _languages(work, codes)
    first = {"start": str(start)} if start else {}
    recipe = recipe_for({**preset_settings(preset, work, codes, "train"), **options.only("train")["train"], **first})
    _warn_of_old_datasets(work, codes)
    from trainer.steps import make_model

    run, result = make_model(work, codes, recipe, target, click.echo)
    if result.first:
        click.echo(f"{run}: {result.summary()}, picture loss.svg")
    if not result.finished:
        sys.exit(_STOPPED)


@click.command("evaluate")
@WORK
@ANY_LANGUAGES
@_RUN
@click.option("--tasks", type=_ANY_PATH, default=None, help="Task files, TOML or YAML of lm-evaluation-harness.")
@click.option("--shots", default="", metavar="NUMBERS", help="Solved examples before a question: --shots 0,1")
@click.option("--tokenizer", type=_ANY_PATH, default=None, help="Of a run that does not lie beside its own.")
@click.option("--to", "target", type=FOLDER, default=None, help="Folder of the page. [default: tasks, in the model's]")
@settings_options
@show_errors
def _evaluate(
    work: Path,
    codes: tuple[str, ...],
    run: Path | None,
    tasks: Path | None,
    shots: str,
    tokenizer: Path | None,
    target: Path | None,
    options: RunOptions,
) -> None:
    """Measures a model on held-out text, or by tasks.

    On held-out text: bits per byte beside what counting scores, a curve over texts longer than those of training,
    samples. With --tasks, WORK may also be a run, an export, or a folder of a causal model of transformers; the page
    has accuracies, BLEU, chrF2 and ROUGE with intervals, and chance beside them.

    \b
    Example:
      roots evaluate work --lang fr
      roots evaluate work --lang fr --tasks tasks --shots 0,1
      roots evaluate exported-model --tasks tasks
    """
    if tasks is not None:
        known = _languages(work, codes) if codes else ()
        evaluate_tasks((run, work), known, (tasks, shots, tokenizer, target), options)
        return
    if not codes:
        raise click.UsageError("Name the languages of the held-out text with --lang, or tasks with --tasks.")
    if shots or target or tokenizer:
        raise click.UsageError("--shots, --tokenizer and --to need --tasks.")
    from trainer.settings import EvaluateSettings

    settings = options.build(EvaluateSettings, "evaluate")
    from trainer.evaluation.report import evaluate_run

    click.echo(evaluate_run(run, work, _languages(work, codes), settings)["table"])


@click.command("export")
@WORK
@LANGUAGES
@_RUN
@click.option("--to", "target", type=FOLDER, required=True, help="Folder to write.")
@click.option("--gguf", is_flag=True, help="A GGUF file for llama.cpp, too; needs tokenizer.pattern=bloom.")
@settings_options
@show_errors
def _export(
    work: Path, codes: tuple[str, ...], run: Path | None, target: Path, gguf: bool, options: RunOptions
) -> None:
    """Writes a folder that transformers loads as BloomForCausalLM.

    It holds tokenizer, card and licence, too.

    \b
    Example:
      roots export work --lang fr --to model
    """
    from trainer.settings import ExportSettings

    settings = options.build(ExportSettings, "export", gguf=gguf)
    from trainer.steps import export_run

    click.echo(export_run(work, _languages(work, codes), target, settings, run, click.echo))


@click.command("ablate")
@click.argument("first", type=FOLDER)
@click.argument("second", type=FOLDER)
@LANGUAGES
@click.option("--to", "target", type=FOLDER, default=Path("ablation"), show_default=True, help="Folder to write.")
@settings_options
@show_errors
def _ablate(first: Path, second: Path, codes: tuple[str, ...], target: Path, options: RunOptions) -> None:
    """Compares two corpora by the models they make.

    Both sides have the same tokenizer and the same bytes; several seeds give a verdict.

    \b
    Example:
      roots ablate raw work --lang fr
    """
    from roots.settings import build
    from trainer.settings import AblateSettings
    from trainer.training.recipe import recipe_for

    values = options.only("ablate", "train")
    settings, recipe = build(AblateSettings, values["ablate"], "ablate"), recipe_for(values["train"])
    from trainer.ablate import ablate_corpora

    codes = _languages(second, _languages(first, codes))
    for work in (first, second):
        _warn_of_old_datasets(work, codes)
    click.echo(ablate_corpora(first, second, codes, target, recipe, settings, click.echo)["table"])


@click.command("memorization")
@WORK
@LANGUAGE
@click.option("--beside", type=FOLDER, default=None, help="Another work folder, such as one before dedup.")
@click.option("--to", "target", type=FOLDER, default=Path("memorization"), show_default=True, help="Folder to write.")
@settings_options
@show_errors
def _memorization(work: Path, code: str, beside: Path | None, target: Path, options: RunOptions) -> None:
    """Measures how often a model completes what its corpus repeats.

    \b
    Example:
      roots memorization work --lang fr --beside raw
    """
    from trainer.settings import MemorizationSettings

    settings = options.build(MemorizationSettings, "memorization")
    from trainer.steps import measure_works

    (known,) = _languages(work, (code,))
    click.echo(measure_works([work, beside] if beside else [work], known, target, settings))


COMMANDS: dict[str, click.Command] = {
    "tokenizer": CommandGroup(
        "tokenizer",
        [_tokenizer_train, _tokenizer_eval],
        help="Byte-level BPE: train a tokenizer on the shards, measure any.",
    ),
    "tokens": _tokens,
    "train": _train,
    "evaluate": _evaluate,
    "export": _export,
    "ablate": _ablate,
    "memorization": _memorization,
}
