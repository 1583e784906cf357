"""Settings of the demo that fit the amount of text: less text takes a smaller vocabulary, BPE dropout, and dropout.

A small corpus is read many times and memorised otherwise. The values were found on folds of the training text of the
example crawl, not on its held-out text; `trainer/README.md` has the figures. Does not import torch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class _Fit:
    """Settings of the demo for up to `limit` bytes of training text."""

    limit: float  # bytes
    vocabulary: int  # tokens
    copies: int  # of the text, each cut in another way; about the number of times it is read
    merges: float  # probability that a merge is skipped in them
    dropout: float
    tokens: int  # to train on


FITS = (
    _Fit(150_000, 1_024, 24, 0.2, 0.25, 400_000),
    _Fit(1_000_000, 2_048, 4, 0.1, 0.1, 600_000),
    _Fit(float("inf"), 4_096, 1, 0.0, 0.0, 800_000),
)


def _fit_of(size: int) -> _Fit:
    """Return the settings for training text of `size` bytes."""
    return next(fit for fit in FITS if size <= fit.limit)


def demo_settings(work: Path, languages: Sequence[str]) -> Mapping[str, dict[str, object]]:
    """Return settings of the groups tokenizer, tokens and train that fit the training text of these languages.

    Raises InputError if a language has no shards.
    """
    from trainer import corpus  # Arrow: only if there is text to measure

    fit = _fit_of(sum(corpus.text_bytes(corpus.shard_paths(work, language, "train")) for language in languages))
    return {
        "tokenizer": {"vocabulary": fit.vocabulary},
        "tokens": {"copies": fit.copies, "dropout": fit.merges},
        "train": {"preset": "demo", "dropout": fit.dropout, "tokens": fit.tokens},
    }


def preset_settings(preset: str | None, work: Path, languages: Sequence[str], group: str) -> dict[str, object]:
    """Return the settings of a preset for one group: tokenizer, tokens or train. Settings of the user come first.

    "demo" fits the amount of text; another preset names the size of a model. Raises InputError if a language has no
    shards.
    """
    if preset == "demo":
        return demo_settings(work, languages)[group]
    return {"preset": preset} if preset else {}
