"""Write what an evaluation finds to a folder: values, tables with samples, and pictures.

Beside the bits per byte of the model are those of n-gram models fitted on the same training text: one number alone says
little.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from roots.atomic import write_text
from roots.errors import InputError
from roots.settings import as_values
from roots.storage import make_folder
from trainer import corpus, picture
from trainer.data.token_shards import TokenShards, tokenizer_of, tokens_of
from trainer.evaluation import baselines, memorization
from trainer.evaluation.held_out import evaluate_model
from trainer.evaluation.memorization import CopyGroup
from trainer.model import checkpoint
from trainer.settings import EvaluateSettings, MemorizationSettings
from trainer.tokenizer.files import load_tokenizer


def evaluate_run(
    run: Path | None, work: Path, languages: Sequence[str], settings: EvaluateSettings
) -> dict[str, object]:
    """Measure the newest checkpoint of a run (None: that of `work`) on held-out text of `work`; write and return it.

    Raises InputError for another tokenizer or missing tokens.
    """
    run = run or corpus.run_folders(work, languages).model
    model, state = checkpoint.load_decoder(run, _device())
    digest = state["tokenizer"]
    places = tokens_of(work, languages, digest)
    held_out = {k: TokenShards(place, "validation", digest) for k, place in places.items()}
    silent = [k for k in languages if not len(held_out[k].n_bytes)]
    if len(silent) < len(held_out):  # else evaluate_model says what to do
        held_out = {k: shards for k, shards in held_out.items() if k not in silent}
    loaded = load_tokenizer(tokenizer_of(work, languages, digest))
    found = evaluate_model(model, loaded, held_out, state["length"], settings)
    for language in held_out:
        train, validation = (corpus.shard_paths(work, language, split) for split in corpus.SPLITS)
        counted = baselines.measure_baselines(train, validation, held_limit=settings.bytes)
        found["languages"][language] |= {
            "baselines": asdict(counted),
            "shared_documents": count_shared(train, validation),
        }
    found |= {"settings": as_values(settings), "step": state["step"], "tokens": state["tokens"]}
    _keep_others(found, run / "evaluation.json")
    write_text(run / "evaluation.json", json.dumps(found, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    table, curve = _render(found)
    notes = [f"{language}: no held-out text, so it is not measured\n" for language in silent]
    notes += [f"The run is {text}\n" for text in [checkpoint.unfinished(state)] if text]
    table = "\n".join([table, *notes])
    write_text(run / "evaluation.md", table)
    write_text(run / "extrapolation.svg", curve)
    return {**found, "table": table}


def _keep_others(found: dict[str, Any], file: Path) -> None:
    """Add what `file` holds of other languages, measured at the same step with the same settings."""
    try:
        before = json.loads(file.read_text(encoding="utf-8"))
        alike = all(before[name] == json.loads(json.dumps(found[name])) for name in ("settings", "step", "length"))
        others = before["languages"] if alike else {}
        found["languages"] = {**others, **found["languages"]}
        values = [entry["bits_per_byte"] for entry in found["languages"].values()]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return  # no earlier result, or one of another version
    found["mean_bits_per_byte"] = sum(values) / len(values)


def count_shared(train: Sequence[Path], validation: Sequence[Path]) -> int:
    """Count the held-out documents that are in the training shards, too, by id. Above 0, the numbers mean nothing."""
    held = {identity for identity, _ in corpus.documents(validation)}
    return sum(identity in held for identity, _ in corpus.documents(train))


def _render(found: Mapping[str, Any]) -> tuple[str, str]:
    """Return the table with samples (Markdown) and the extrapolation curve (SVG)."""
    rows, curves, samples = [], {}, []
    for language, entry in sorted(found["languages"].items()):
        counted = entry["baselines"]
        rows.append([language, entry["bits_per_byte"], counted["unigram"], counted["ngram"], counted["kneser_ney"],
                     entry["bytes"], entry["documents"], entry["shared_documents"]])  # fmt: skip
        curves[language] = [(float(length), bits) for length, bits in entry["extrapolation"].items()]
        samples += [f"**{language}**: {' '.join(text.split())}\n" for text in entry["samples"]]
    head = [
        "language",
        "model",
        "unigram",
        "5-gram, Witten-Bell",
        "5-gram, Kneser-Ney",
        "bytes",
        "documents",
        "of them in training",
    ]
    title = "Bits per byte of held-out text; unigram and 5-grams are counts of bytes in the same training text\n"
    verdicts = [f"{row[0]}: {_verdict(row[1], dict(zip(head[2:5], row[2:5], strict=True)))}\n" for row in rows]
    verdicts += [
        f"{k}: too little held-out text for a curve over window lengths\n" for k, v in curves.items() if len(v) < 2
    ]
    curve = picture.draw_curves("Reading beyond the length of training", "tokens a window", "bits per byte", curves)
    return "\n".join([title, picture.markdown_table(head, rows), *verdicts, *samples]), curve


def _verdict(model: float, counted: Mapping[str, float]) -> str:
    """Say which n-gram models the model beats, and by how much."""
    beaten = [f"{bits - model:.3f} fewer than {name}" for name, bits in counted.items() if model < bits]
    others = [f"{model - bits:.3f} MORE than {name}" for name, bits in counted.items() if model >= bits]
    return f"the model needs, in bits a byte, {', '.join([*beaten, *others])}"


def memorization_of(
    runs: Mapping[str, tuple[Path, Path]], language: str, target: Path, settings: MemorizationSettings
) -> dict[str, object]:
    """Measure what models have memorised (`runs`: name -> run folder, token folder); write and return the result.

    Several runs, such as before and after dedup, stand side by side in the table and the picture. Raises InputError if
    a corpus has no text that is long enough to ask for.
    """
    results: dict[str, Sequence[CopyGroup]] = {}
    notes = []
    for name, (run, folder) in runs.items():
        model, state = checkpoint.load_decoder(run, _device())
        train, held_out = (TokenShards(folder / language, split, state["tokenizer"]) for split in corpus.SPLITS)
        results[name] = memorization.measure_memorization(model, train, held_out, settings)
        if not any(group.asked for group in results[name]):
            size = settings.prefix + settings.suffix
            raise InputError(
                f"{name}: the text of {language!r} has fewer than {size} tokens (memorization.prefix, suffix)"
            )
        notes += [f"{name} is {text}\n" for text in [checkpoint.unfinished(state)] if text]
    table, svg = memorization.render_memorization(results)
    table = "\n".join([table, *notes])
    make_folder(target)
    found = {
        "settings": as_values(settings),
        "groups": {k: memorization.groups_as_values(v) for k, v in results.items()},
    }
    write_text(target / "memorization.json", json.dumps(found, indent=1, sort_keys=True) + "\n")
    write_text(target / "memorization.md", table)
    write_text(target / "memorization.svg", svg)
    return {**found, "table": table}


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
