"""Commands of the second half: from the shards to a tokenizer and a model. Torch is imported inside them only."""

import importlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from pipelines.cli.options import (
    LANGUAGE,
    WORK,
    errors_are_lines,
    one_group,
    only_group,
    only_groups,
    settings_options,
    split_codes,
)
from roots import shards
from roots.errors import SettingsError
from roots.settings import build

FOLDER = click.Path(file_okay=False, path_type=Path)
DEMO = click.option(
    "--preset",
    type=click.Choice(["demo"]),
    default=None,
    help="demo: what fits the text there is, as in `roots train`.",
)


def _trainer(module: str) -> Any:
    """A module of the trainer, imported now. Raises SettingsError where the extra [train] is not installed."""
    try:
        return importlib.import_module(f"trainer.{module}")
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"the trainer needs {error.name}: install it with `pip install 'roots-corpus[train]'`"
        ) from None


def _values(group: str, work: Path, names: Sequence[str], options: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a group: what fits the text where the demo is asked for, and over it what the user says."""
    own = only_group(group, options["pairs"], options["config"])
    if options["preset"] != "demo":
        return {**own, "preset": options["preset"]} if options["preset"] and group == "train" else own
    return {**_trainer("demo").demo_settings(work, names)[group], **own}


def _write(folder: Path, name: str, table: str, picture: str, values: Any) -> None:
    """Write a result as table, picture and values, and show the table."""
    folder.mkdir(parents=True, exist_ok=True)
    shards.write_text(folder / f"{name}.md", table)
    shards.write_text(folder / f"{name}.svg", picture)
    shards.write_text(folder / f"{name}.json", json.dumps(values, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    click.echo(table)


@click.command("train")
@WORK
@LANGUAGE
@click.option("--parallel", type=FOLDER, help="Folder of the same text in each language, for fertility feedback.")
@click.option("--to", "target", type=FOLDER, default=None, help="Folder to write. [default: in WORK]")
@DEMO
@settings_options
@errors_are_lines
def tokenizer_train(
    work: Path, codes: Sequence[str], parallel: Path | None, target: Path | None, **options: Any
) -> None:
    """Train a byte-level BPE tokenizer on the shards of one or many languages.

    \b
    Example:
      roots tokenizer train work --lang "fr sw" --set tokenizer.vocabulary=32768
    """
    module, corpus = _trainer("tokenizer.training"), _trainer("corpus")
    names = split_codes(codes)
    settings = build(module.TokenizerSettings, _values("tokenizer", work, names, options), "tokenizer")
    sources = {name: corpus.shard_paths(work, name, "train") for name in names}
    lines = _trainer("tokenizer.fertility").read_parallel(parallel) if parallel else None
    trained = module.train_tokenizer(sources, settings, lines)
    folder = target or corpus.run_folders(work, names).tokenizer
    _trainer("tokenizer.files").save_tokenizer(trained, folder)
    said = trained.report
    click.echo(
        f"{folder}: {said['tokens']:,} tokens, {said['mb_per_second']} MB/s ({said['mb_per_cpu_second']} a core), "
        f"{said['peak_memory_mb']} MB of memory"
    )


@click.command("eval")
@click.argument("tokenizers", nargs=-1, required=True, metavar="TOKENIZER...")
@click.option("--parallel", type=FOLDER, required=True, help="Folder of the same text in each language.")
@click.option(
    "--treebank", "treebanks", multiple=True, type=click.Path(dir_okay=False, path_type=Path), help="CoNLL-U."
)
@click.option(
    "--monolingual", type=FOLDER, help="Work folder: compare with a tokenizer of each of its languages alone."
)
@click.option("--to", "target", type=FOLDER, default=Path("tokenizer-eval"), show_default=True, help="Folder to write.")
@errors_are_lines
def tokenizer_eval(
    tokenizers: Sequence[str], parallel: Path, treebanks: Sequence[Path], monolingual: Path | None, target: Path
) -> None:
    """Measure tokenizers on the same text: cost by language, fertility, round trip; a table and a picture.

    A tokenizer is a folder, a file, or package:file inside an installed package. Monolingual tokenizers are trained
    here, as large as the first one named.

    \b
    Example:
      roots tokenizer eval work/fr/tokenizer --parallel flores
    """
    module, fertility = _trainer("tokenizer.training"), _trainer("tokenizer.fertility")
    files = _trainer("tokenizer.files")
    loaded = {name: files.find_tokenizer(name) for name in tokenizers}
    lines = fertility.read_parallel(parallel)
    alone = None
    if monolingual is not None:
        corpus = _trainer("corpus")
        known = [code for code in sorted(lines) if corpus.has_shards(monolingual, code)]
        size = files.padded_rows(loaded[tokenizers[0]].get_vocab_size())
        sources = {code: corpus.shard_paths(monolingual, code, "train") for code in known}
        alone = module.train_monolingual(sources, module.TokenizerSettings(vocabulary=size))
    found = fertility.compare_tokenizers(loaded, lines, list(treebanks), alone)
    rendered, picture = fertility.render_comparison(found)
    _write(target, "tokenizer", rendered, picture, found)


@click.command()
@WORK
@LANGUAGE
@click.option("--tokenizer", type=click.Path(path_type=Path), default=None, help="[default: the one in WORK]")
@DEMO
@settings_options
@errors_are_lines
def tokens(work: Path, codes: Sequence[str], tokenizer: Path | None, **options: Any) -> None:
    """Turn the shards into token shards in Arrow.

    \b
    Example:
      roots tokens work --lang fr
    """
    module, corpus = _trainer("data.token_shards"), _trainer("corpus")
    names = split_codes(codes)
    settings = build(module.TokensSettings, _values("tokens", work, names, options), "tokens")
    places = corpus.run_folders(work, names)
    loaded = _trainer("tokenizer.files").load_tokenizer(tokenizer or places.tokenizer)
    for name in names:
        sources = {split: corpus.shard_paths(work, name, split) for split in corpus.SPLITS}
        sidecar = module.write_token_shards(sources, loaded, name, places.tokens / name, settings)
        click.echo(f"{places.tokens / name}: {sum(f['tokens'] for f in sidecar['files'].values()):,} tokens")


@click.command()
@WORK
@LANGUAGE
@click.option("--preset", default=None, help="Size of the model: demo, or one of BLOOM's. [default: demo]")
@click.option("--to", "target", type=FOLDER, default=None, help="Run folder. [default: the model folder in WORK]")
@settings_options
@errors_are_lines
def train(work: Path, codes: Sequence[str], target: Path | None, **options: Any) -> None:
    """Train the decoder on the token shards. It saves on SIGTERM, and the same command goes on from there.

    \b
    Example:
      roots train work --lang fr --preset demo
    """
    module, corpus = _trainer("training.train"), _trainer("corpus")
    names = split_codes(codes)
    recipe = _trainer("training.recipe").recipe_for(_values("train", work, names, options))
    places = corpus.run_folders(work, names)
    sources = {name: places.tokens / name for name in names}
    result = module.train_decoder(recipe, sources, places.tokenizer, target or places.model, click.echo)
    said = f"step {result.step}, {result.tokens:,} tokens, {result.seconds:.0f} s, {result.cpu_seconds:.0f} s of CPU"
    click.echo(f"{target or places.model}: {said}, picture loss.svg")


@click.command()
@WORK
@LANGUAGE
@click.option("--run", "run", type=FOLDER, default=None, help="Run folder. [default: the model folder in WORK]")
@settings_options
@errors_are_lines
def evaluate(work: Path, codes: Sequence[str], run: Path | None, **options: Any) -> None:
    """Bits per byte on held-out text beside what counting scores, the extrapolation curve, and samples.

    \b
    Example:
      roots evaluate work --lang fr
    """
    settings = one_group(
        _trainer("evaluation.held_out").EvaluateSettings, "evaluate", options["pairs"], options["config"]
    )
    names = split_codes(codes)
    found = _trainer("evaluation.report").evaluate_run(
        run or _trainer("corpus").run_folders(work, names).model, work, names, settings
    )
    click.echo(found["table"])


@click.command()
@WORK
@LANGUAGE
@click.option("--run", "run", type=FOLDER, default=None, help="Run folder. [default: the model folder in WORK]")
@click.option("--to", "target", type=FOLDER, required=True, help="Folder to write.")
@settings_options
@errors_are_lines
def export(work: Path, codes: Sequence[str], run: Path | None, target: Path, **options: Any) -> None:
    """Write a folder that transformers loads as BloomForCausalLM, with tokenizer, card and licence.

    \b
    Example:
      roots export work --lang fr --to model
    """
    module = _trainer("export")
    settings = one_group(module.ExportSettings, "export", options["pairs"], options["config"])
    places = _trainer("corpus").run_folders(work, split_codes(codes))
    run = run or places.model
    report = run / "evaluation.json"
    values = json.loads(report.read_text(encoding="utf-8")) if report.is_file() else None
    click.echo(module.export_model(run, places.tokenizer, target, settings, values))


@click.command()
@click.argument("first", type=FOLDER)
@click.argument("second", type=FOLDER)
@LANGUAGE
@click.option("--to", "target", type=FOLDER, default=Path("ablation"), show_default=True, help="Folder to write.")
@settings_options
@errors_are_lines
def ablate(first: Path, second: Path, codes: Sequence[str], target: Path, **options: Any) -> None:
    """Compare two corpora by the models they make: same tokenizer, same bytes, several seeds, a verdict.

    \b
    Example:
      roots ablate raw work --lang fr
    """
    module = _trainer("ablate")
    values = only_groups(("ablate", "train"), options["pairs"], options["config"])
    settings = build(module.AblateSettings, values["ablate"], "ablate")
    recipe = _trainer("training.recipe").recipe_for(values["train"])
    found = module.ablate_corpora(first, second, split_codes(codes), target, recipe, settings, click.echo)
    click.echo(found.get("table", f"{target}: see its table and picture"))


@click.command()
@WORK
@click.option("--lang", "-l", "code", required=True, metavar="CODE", help="Language, such as fr.")
@click.option("--beside", type=FOLDER, default=None, help="Another work folder, such as one before dedup.")
@click.option("--to", "target", type=FOLDER, default=Path("memorization"), show_default=True, help="Folder to write.")
@settings_options
@errors_are_lines
def memorization(work: Path, code: str, beside: Path | None, target: Path, **options: Any) -> None:
    """How often a model completes what stood n times in its corpus.

    \b
    Example:
      roots memorization work --lang fr --beside raw
    """
    corpus = _trainer("corpus")
    settings = one_group(
        _trainer("evaluation.memorization").MemorizationSettings, "memorization", options["pairs"], options["config"]
    )
    works = {folder.name: corpus.run_folders(folder, [code]) for folder in (work, beside) if folder}
    runs = {name: (places.model, places.tokens) for name, places in works.items()}
    click.echo(_trainer("evaluation.report").memorization_of(runs, code, target, settings)["table"])


COMMANDS: dict[str, click.Command] = {
    "tokenizer": click.Group(
        "tokenizer", [tokenizer_train, tokenizer_eval], help="Byte-level BPE: train it on the shards, measure it."
    ),
    "tokens": tokens,
    "train": train,
    "evaluate": evaluate,
    "export": export,
    "ablate": ablate,
    "memorization": memorization,
}
