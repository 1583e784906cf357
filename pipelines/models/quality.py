"""Train a classifier of good and bad text for the signal `quality`: `roots quality train`."""

import hashlib
import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from random import Random
from typing import TypedDict

from filters.signals.quality import BAD, GOOD, qualities, quality_line
from pipelines.models.bounds import BETWEEN_DOCUMENTS, read_reference
from pipelines.models.fasttext import train_fasttext
from pipelines.models.files import quality_model
from pipelines.models.settings import QualityTraining
from roots.errors import InputError, SettingsError
from roots.identity import sha256_of

_LEAST = 50  # documents of each kind: from fewer, a classifier learns the documents by heart
_LEAST_AREA = 0.6  # under the ROC curve; 0.5 is chance


# The JSON file beside a classifier
_QualityCard = TypedDict(
    "_QualityCard",
    {
        "sha256": str,
        "training": dict[str, object],  # the settings
        "files": dict[str, dict[str, str]],  # "good" or "bad" -> file name -> sha256
        "documents": dict[str, int],
        "held out": dict[str, float],
    },
)


def train_quality(
    good: Sequence[Path], bad: Sequence[Path], target: Path, how: QualityTraining | None = None
) -> _QualityCard:
    """Train on files of good and of bad text (see `models.bounds.read_reference`); write the model and its card.

    The card, the same name with .json, is returned: settings, digests of the files, and how well the model separates
    documents it was not trained on. Both kinds get the same number of documents, so that 0.5 means "as likely as not".
    Raises InputError for too little text, SettingsError if floret is not installed.
    """
    how = how or QualityTraining()
    kinds = {GOOD: _documents(good, how), BAD: _documents(bad, how)}
    least = min(len(texts) for texts in kinds.values())
    if least < _LEAST:
        raise InputError(
            f"{least} documents are too few to learn from: at least {_LEAST} good and {_LEAST} bad ones. "
            + BETWEEN_DOCUMENTS
        )
    learnt: list[str] = []
    kept: dict[str, list[str]] = {}
    for label, texts in kinds.items():
        cut = max(1, round(how.held_out * least))
        kept[label] = texts[:cut]
        learnt += [f"{label} {line}\n" for line in map(quality_line, texts[cut:least])]
    Random(how.seed).shuffle(learnt)
    with tempfile.TemporaryDirectory() as folder:
        lines = Path(folder) / "samples.txt"
        lines.write_text("".join(learnt), encoding="utf-8")
        options: dict[str, str | int | float] = {
                   "dim": how.dim, "bucket": how.bucket, "wordNgrams": how.word_ngrams, "minCount": how.rare,
                   "epoch": how.epochs, "lr": how.rate, "loss": "softmax", "thread": how.threads}  # fmt: skip
        train_fasttext(lines, options, target, small=False)
    card: _QualityCard = {
        "sha256": sha256_of(target),
        "training": asdict(how),
        "files": {"good": _digests(good), "bad": _digests(bad)},
        "documents": {"good": len(kinds[GOOD]), "bad": len(kinds[BAD]), "of each": least},
        "held out": _measured(kept, str(target)),
    }
    target.with_suffix(".json").write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return card


def _documents(paths: Sequence[Path], how: QualityTraining) -> list[str]:
    """The documents of files, each once, in an order that only the seed and their texts decide."""
    found = {
        hashlib.sha256(text.encode("utf-8", "replace")).digest(): text for p in paths for text in read_reference(p)
    }
    texts = [found[key] for key in sorted(found)]
    Random(how.seed).shuffle(texts)
    return texts[: how.most]


def _digests(paths: Sequence[Path]) -> dict[str, str]:
    return {path.name: sha256_of(path) for path in paths}


def _measured(kept: dict[str, list[str]], model: str) -> dict[str, float]:
    """Shares of unseen good and bad documents that are classified right at 0.5, and the area under the ROC curve."""
    good, bad = (qualities(kept[label], quality_model(model)) for label in (GOOD, BAD))
    above = (good[:, None] > bad[None, :]).mean() + 0.5 * (good[:, None] == bad[None, :]).mean()
    return {
        "documents": len(good) + len(bad),
        "good recognised": round(float((good >= 0.5).mean()), 4),
        "bad recognised": round(float((bad < 0.5).mean()), 4),
        "area under ROC": round(float(above), 4),
    }


def describe_quality(card: _QualityCard) -> str:
    """A sentence about a trained model's accuracy. Raises SettingsError for a model that separates nothing."""
    held = card["held out"]
    if held["area under ROC"] < _LEAST_AREA:
        raise SettingsError(
            f"the model cannot separate good from bad (area under ROC {held['area under ROC']}): "
            "do the files hold text of both kinds?"
        )
    return (
        f"of {held['documents']} documents it was not trained on, {held['good recognised']:.1%} of the good and "
        f"{held['bad recognised']:.1%} of the bad are classified right; area under ROC {held['area under ROC']:.3f}"
    )
