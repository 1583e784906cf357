"""Compare two corpora: which of them makes the better model?

Both get the same tokenizer, shape, recipe and number of training bytes, and several seeds. Both are measured on the
same held-out texts. Training texts with a copy or near-copy among these are left out: a corpus without deduplication
would otherwise be measured on text that it memorised. The verdict is a confidence interval of the mean difference in
bits per byte over paired seeds (Student's t).
"""

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from roots.atomic import put_in_place, temporary_name, write_text
from roots.errors import InputError, SettingsError, TrainingFailed
from roots.intervals import student
from roots.schema import DOCUMENT
from roots.settings import as_values
from roots.storage import make_folder
from trainer import corpus, picture
from trainer.data.token_shards import TokenShards, write_token_shards
from trainer.evaluation import held_out
from trainer.evaluation.memorization import window_keys
from trainer.model import checkpoint
from trainer.settings import AblateSettings, TokenizerSettings, TokensSettings
from trainer.tokenizer.files import load_tokenizer, save_tokenizer
from trainer.tokenizer.training import train_tokenizer
from trainer.training.recipe import Recipe
from trainer.training.train import train_decoder

_WINDOW = 50  # bytes of a window, without white space and capitals
_SHARED = 0.2  # a text that shares this part of its windows with held-out text is not trained on

_Keys = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class _Comparison:
    """Bits per byte of both corpora in one language, and their difference (second - first) with its interval."""

    first: tuple[float, ...]  # one value per seed
    second: tuple[float, ...]
    difference: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """Which corpus is better, or that the runs show no difference."""
        if self.high < 0:
            return "second"
        return "first" if self.low > 0 else "no difference shown"


def compare_scores(first: Sequence[float], second: Sequence[float]) -> _Comparison:
    """Compare paired runs by Student's t, 95 %. Raises ValueError for fewer than two pairs."""
    if len(first) < 2 or len(first) != len(second):
        raise ValueError("at least two pairs of runs are needed")
    gaps = [b - a for a, b in zip(first, second, strict=True)]
    half = student(len(gaps) - 1) * stdev(gaps) / math.sqrt(len(gaps))
    return _Comparison(tuple(first), tuple(second), mean(gaps), mean(gaps) - half, mean(gaps) + half)


def _near_copy_windows(text: str) -> _Keys:
    """Return a key of every _WINDOW bytes of a text without white space and capitals; a shorter text has one key."""
    squeezed = np.frombuffer("".join(text.lower().split()).encode(), dtype=np.uint8)
    return window_keys(squeezed, max(1, min(_WINDOW, len(squeezed))))


@dataclass(frozen=True)
class HeldOutWindows:
    """The windows of held-out texts; a text that shares _SHARED of its windows with them is not trained on."""

    keys: _Keys  # sorted

    @staticmethod
    def of(texts: Sequence[str]) -> "HeldOutWindows":
        """Return the windows of all these texts."""
        return HeldOutWindows(
            np.unique(np.concatenate([_near_copy_windows(text) for text in texts]) if texts else _near_copy_windows(""))
        )

    def holds(self, text: str) -> bool:
        """Whether a text is a copy or near-copy of held-out text, as a whole or in part."""
        mine = _near_copy_windows(text)
        if not len(mine) or not len(self.keys):
            return False
        at = np.minimum(np.searchsorted(self.keys, mine), len(self.keys) - 1)
        return float((self.keys[at] == mine).mean()) >= _SHARED

    def with_text(self, text: str) -> "HeldOutWindows":
        """Return these windows and those of one more text."""
        return HeldOutWindows(np.union1d(self.keys, _near_copy_windows(text)))


def held_out_texts(works: Sequence[Path], language: str, budget: int) -> list[str]:
    """Return validation texts of all corpora without near-copies, an equal share of `budget` bytes from each."""
    found: list[str] = []
    barred = HeldOutWindows.of([])
    for work in works:
        left = budget / len(works)
        for _, text in corpus.documents(corpus.shard_paths(work, language, "validation")):
            if left <= 0:
                break
            if text.strip() and not barred.holds(text):
                found.append(text)
                barred = barred.with_text(text)
                left -= len(text.encode())
    if not found:
        raise InputError(f"no held-out text of {language!r} in {', '.join(map(str, works))}")
    return found


def usable_documents(work: Path, language: str, barred: HeldOutWindows) -> list[tuple[str, str]]:
    """Return (id, text) of the training documents that are not near-copies of held-out ones."""
    found = corpus.documents(corpus.shard_paths(work, language, "train"))
    return [(name, text) for name, text in found if not barred.holds(text)]


def training_texts(documents: Sequence[tuple[str, str]], budget: int, seed: int) -> Iterator[str]:
    """Yield texts in an order that depends on the seed, up to `budget` bytes; the last is cut at a character."""
    key = seed.to_bytes(8, "little")
    ordered = sorted(documents, key=lambda pair: hashlib.blake2b(pair[0].encode(), key=key, digest_size=8).digest())
    left = budget
    for _, text in ordered:
        raw = text.encode()[:left]
        if left <= 0:
            return
        left -= len(raw)
        yield raw.decode(errors="ignore")


def bytes_of(documents: Sequence[tuple[str, str]]) -> int:
    """Return the UTF-8 bytes of these texts."""
    return sum(len(text.encode()) for _, text in documents)


def write_texts(path: Path, texts: Sequence[str]) -> None:
    """Write an Arrow shard of texts as the pipeline writes it."""
    make_folder(path.parent)
    blank: dict[str, Any] = dict.fromkeys(DOCUMENT.names)
    temporary = temporary_name(path)
    with pa.OSFile(str(temporary), "wb") as file, pa.ipc.new_stream(file, DOCUMENT) as stream:
        for start in range(0, len(texts), 512):
            rows = [blank | {"id": str(start + i), "text": text} for i, text in enumerate(texts[start : start + 512])]
            stream.write_table(pa.Table.from_pylist(rows, DOCUMENT))
    put_in_place(temporary, path)


def ablate_corpora(
    first: Path, second: Path, languages: Sequence[str], target: Path, recipe: Recipe, settings: AblateSettings,
    say: Callable[[str], None] = print,
) -> dict[str, object]:  # fmt: skip
    """Compare two work folders; write table, picture and result.json to `target`, and return the result.

    Raises InputError if a language has no shards in one of them.
    """
    works = {"first": first, "second": second}
    judges = [Path(settings.judge)] if settings.judge else [first, second]
    judged = {language: held_out_texts(judges, language, settings.held_out_bytes) for language in languages}
    budgets = {k: _write_corpora(works, k, target, judged[k], settings) for k in languages}
    tokenizer = _tokenizer(target, languages, settings)
    scores: dict[str, dict[str, list[float]]] = {name: {k: [] for k in languages} for name in works}
    for seed in range(settings.seeds):
        for name in works:
            bits = _one_run(target / f"{name}-{seed}", languages, tokenizer, replace(recipe, seed=recipe.seed + seed))
            for language, value in bits.items():
                scores[name][language].append(value)
            say(f"{name}, seed {seed}: " + ", ".join(f"{k} {v:.4f} bits per byte" for k, v in bits.items()))
    found = {k: compare_scores(scores["first"][k], scores["second"][k]) for k in languages}
    result = {
        "first": str(first), "second": str(second), "bytes": budgets, "recipe": as_values(recipe),
        "settings": as_values(settings), "held_out_documents": {k: len(v) for k, v in judged.items()},
        "languages": {k: {**asdict(c), "verdict": c.verdict} for k, c in found.items()},
    }  # fmt: skip
    markdown, svg = _render(found)
    write_text(target / "ablation.md", markdown)
    write_text(target / "ablation.svg", svg)
    write_text(target / "result.json", json.dumps(result, indent=1, sort_keys=True) + "\n")
    return {**result, "table": markdown}


def _write_corpora(
    works: Mapping[str, Path], language: str, target: Path, judged: Sequence[str], settings: AblateSettings
) -> int:
    """Write the training and held-out text of one language for every run; return the bytes that each trains on."""
    barred = HeldOutWindows.of(judged)
    documents = {name: usable_documents(work, language, barred) for name, work in works.items()}
    smaller = min(bytes_of(mine) for mine in documents.values())
    budget = min(smaller, settings.bytes) if settings.bytes else smaller
    for seed in range(settings.seeds):
        for name, mine in documents.items():
            home = target / f"{name}-{seed}" / language / "shards"
            texts = list(training_texts(mine, budget, seed))
            write_texts(home / "train" / "data-00000-of-00001.arrow", texts)
            write_texts(home / "validation" / "data-00000-of-00001.arrow", judged)
    return budget


def _tokenizer(target: Path, languages: Sequence[str], settings: AblateSettings) -> Path:
    """Train one tokenizer on equal shares of both corpora."""
    sources = {
        language: [
            path for name in ("first-0", "second-0") for path in corpus.shard_paths(target / name, language, "train")
        ]
        for language in languages
    }
    trained = train_tokenizer(sources, TokenizerSettings(vocabulary=settings.vocabulary, budget_mb=50, repeat=1))
    save_tokenizer(trained, target / "tokenizer")
    return target / "tokenizer"


def _one_run(work: Path, languages: Sequence[str], tokenizer: Path, recipe: Recipe) -> dict[str, float]:
    """Train one model on one corpus, and measure it on all held-out text. The run is a work folder of its own."""
    sources, places = {}, corpus.run_folders(work, languages)
    for language in languages:
        splits = {split: corpus.shard_paths(work, language, split) for split in corpus.SPLITS}
        write_token_shards(splits, load_tokenizer(tokenizer), language, places.tokens / language, TokensSettings())
        sources[language] = places.tokens / language
    old = checkpoint.latest_checkpoint(places.model / "checkpoints")
    if old is not None and checkpoint.read_state(old)["recipe"]["tokens"] != recipe.tokens:
        raise SettingsError(f"{places.model} was trained with another train.tokens: name another folder (--to)")
    if not train_decoder(recipe, sources, tokenizer, places.model, lambda text: None).finished:
        raise TrainingFailed(f"{places.model} was stopped before its end: the same command resumes it")
    model, _ = checkpoint.load_decoder(places.model)
    return {
        language: held_out.bits_per_byte(model, TokenShards(folder, "validation"), recipe.length, 1 << 60).bits_per_byte
        for language, folder in sources.items()
    }


def _render(found: Mapping[str, _Comparison]) -> tuple[str, str]:
    """Return a table and a picture of a comparison."""
    rows = [
        [k, mean(c.first), mean(c.second), c.difference, f"[{c.low:+.4f}, {c.high:+.4f}]", len(c.first), c.verdict]
        for k, c in found.items()
    ]
    head = ["language", "first", "second", "second - first", "95 % interval", "seeds", "better"]
    bars = {k: {"first": mean(c.first), "second": mean(c.second)} for k, c in found.items()}
    return picture.markdown_table(head, rows), picture.draw_bars(
        "Held-out text, lower is better", "bits per byte", bars
    )
