"""The steps from a work folder to a model. Each reads what the step before wrote in the same folder.

    shards -> tokenizer -> tokens -> model -> export

`trainer.corpus` says where each lies. Torch is imported only by the steps that need a model.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from roots.atomic import write_text
from roots.errors import InputError
from roots.executors import Executor
from roots.stage import Progress
from roots.storage import make_folder
from trainer import corpus
from trainer.data.token_files import write_token_files
from trainer.data.token_shards import named_tokenizer, tokenizer_of, write_token_shards
from trainer.settings import TokenFilesRequest, TokenizerSettings, TokensSettings
from trainer.tokenizer.fertility import compare_tokenizers, read_parallel, render_comparison
from trainer.tokenizer.files import find_tokenizer, load_tokenizer, padded_rows, save_tokenizer
from trainer.tokenizer.training import train_monolingual, train_tokenizer

if TYPE_CHECKING:
    from trainer.settings import ExportSettings, MemorizationSettings
    from trainer.training.recipe import Recipe
    from trainer.training.train import TrainingResult


def make_tokenizer(
    work: Path,
    languages: Sequence[str],
    settings: TokenizerSettings,
    parallel: Path | None = None,
    target: Path | None = None,
) -> tuple[Path, Mapping[str, object]]:
    """Train a tokenizer on the shards; return its folder and the report of its training.

    `parallel` is a folder with the same text in each language, for feedback rounds. `target` is by default the
    tokenizer folder of the work folder.
    """
    sources = {language: corpus.shard_paths(work, language, "train") for language in languages}
    trained = train_tokenizer(sources, settings, read_parallel(parallel) if parallel else None)
    folder = target or corpus.run_folders(work, languages).tokenizer
    save_tokenizer(trained, folder)
    return folder, trained.report


def compare_tokenizer_files(
    names: Sequence[str], parallel: Path, treebanks: Sequence[Path], monolingual: Path | None, target: Path
) -> str:
    """Measure tokenizers on the same text; write table, picture and values to `target`, and return the table.

    `monolingual` is a work folder: a tokenizer is trained on each of its languages alone, as large as the first one.
    """
    loaded = {name: find_tokenizer(name) for name in names}
    lines = read_parallel(parallel)
    alone = None
    if monolingual is not None:
        known = [language for language in sorted(lines) if corpus.has_shards(monolingual, language)]
        sources = {language: corpus.shard_paths(monolingual, language, "train") for language in known}
        size = padded_rows(loaded[names[0]].get_vocab_size())
        alone = train_monolingual(sources, TokenizerSettings(vocabulary=size))
    found = compare_tokenizers(loaded, lines, treebanks, alone)
    table, picture = render_comparison(found)
    make_folder(target)
    write_text(target / "tokenizer.md", table)
    write_text(target / "tokenizer.svg", picture)
    write_text(target / "tokenizer.json", json.dumps(found, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    return table


def make_tokens(
    work: Path, languages: Sequence[str], settings: TokensSettings, tokenizer: Path | None = None
) -> Iterator[tuple[Path, int]]:
    """Write the token shards of each language; yield its folder and how many tokens it holds.

    `tokenizer` is by default the one of the work folder. Another one is named in tokens.json for the later steps.
    """
    folders = corpus.run_folders(work, languages)
    loaded = load_tokenizer(tokenizer or folders.tokenizer)
    for language in languages:
        sources = {split: corpus.shard_paths(work, language, split) for split in corpus.SPLITS}
        folder = folders.tokens / language
        sidecar = write_token_shards(sources, loaded, language, folder, settings, tokenizer)
        yield folder, sum(file["tokens"] for file in sidecar["files"].values())


def make_token_files(request: TokenFilesRequest, executor: Executor, progress: Progress | None = None) -> list[str]:
    """Write datasets as token files of another project; return lines that say what they hold.

    The tokenizer is by default the one of the work folder.
    """
    tokenizer = request.tokenizer or corpus.run_folders(request.work, request.languages).tokenizer
    manifest = write_token_files(request, tokenizer, executor, progress)
    lines = [
        f"{language} {split}: {counts['documents']:,} documents, {counts['tokens']:,} tokens, "
        f"{100 * counts['share']:.3g} % of {split}; {counts['empty_documents']} empty documents left out"
        for language, splits in manifest["languages"].items()
        for split, counts in splits.items()
    ]
    left_out = sum(counts["ends_left_out"] for counts in manifest["splits"].values())
    if left_out:
        lines.append(f"{left_out} times a text spells {manifest['tokenizer']['eos_token']}: left out there")
    return [*lines, f"{request.target}: {len(manifest['files'])} files, {manifest['dtype']}, and files.json"]


def make_model(
    work: Path,
    languages: Sequence[str],
    recipe: "Recipe",
    target: Path | None = None,
    say: Callable[[str], None] = print,
) -> "tuple[Path, TrainingResult]":
    """Train a decoder on the token shards; return the run folder, by default that of the work folder, and the result.

    Each process of torchrun calls it.
    """
    if os.environ.get("RANK", "0") == "0":  # of torchrun
        say("loading torch, and trying its attention kernels")
    from trainer.training.train import train_decoder

    folders = corpus.run_folders(work, languages)
    run = target or folders.model
    sources = {language: folders.tokens / language for language in languages}
    tokenizer = named_tokenizer(sources[languages[0]]) or folders.tokenizer
    return run, train_decoder(recipe, sources, tokenizer, run, say)


def export_run(
    work: Path,
    languages: Sequence[str],
    target: Path,
    settings: "ExportSettings",
    run: Path | None = None,
    say: Callable[[str], None] = print,
) -> Path:
    """Export a run of a work folder, with its evaluation in the card if there is one; return `target`."""
    from trainer.export import export_model
    from trainer.model.checkpoint import find_checkpoint, read_state, unfinished

    run = run or corpus.run_folders(work, languages).model
    report = run / "evaluation.json"
    try:
        values = json.loads(report.read_text(encoding="utf-8")) if report.is_file() else None
    except ValueError as error:
        raise InputError(f"{report} cannot be read ({error}): delete it or run `roots evaluate` again") from None
    state = read_state(find_checkpoint(run))
    if text := unfinished(state):
        say(f"{run} is {text}")
    if values and values.get("step", state["step"]) != state["step"]:
        say(f"{report} is of step {values.get('step')}, the model of step {state['step']}: its numbers are left out")
    tokenizer = tokenizer_of(work, languages, state["tokenizer"])
    return export_model(run, tokenizer, target, settings, values)


def measure_works(works: Sequence[Path], language: str, target: Path, settings: "MemorizationSettings") -> str:
    """Measure what the models of work folders know by heart; write the result to `target` and return its table.

    The model is that of the language alone, or else that of several languages.
    """
    from trainer.evaluation.report import memorization_of
    from trainer.model.checkpoint import latest_checkpoint

    named = [work.resolve().name for work in works]
    runs = {}
    for work, name in zip(works, named, strict=True):
        places = corpus.possible_folders(work, [language])
        each = next((place for place in places if latest_checkpoint(place.model / "checkpoints")), places[0])
        runs[name if named.count(name) == 1 else str(work)] = each.model, each.tokens
    return str(memorization_of(runs, language, target, settings)["table"])
