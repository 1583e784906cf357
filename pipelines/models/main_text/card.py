"""Trains the model that finds main text, and writes its card: how good it is on pages it was not trained on."""

import json
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from filters.main_text.boosting import Growth
from filters.main_text.choose import Model, choose, text_of
from filters.main_text.labels import words
from pipelines.models.language_id_text import TextsByLabel
from pipelines.models.main_text.files import write_main_text
from pipelines.models.main_text.pages import transplants
from pipelines.models.main_text.training import Prepared, Sample, folds, prepare, shortened, train_model
from pipelines.models.settings import MainTextTraining
from roots.errors import InputError

_FEW = 20  # pages of a group from which the card names it
_BAD = 0.5  # F1 below which a page counts as lost


def train_main_text(
    samples: Iterable[Sample], texts: TextsByLabel, target: Path, settings: MainTextTraining
) -> dict[str, object]:
    """Train a model, measure its like on pages of other sites, and write it with its card. Returns the card.

    The same pages and settings make the same bytes. Raises InputError for too few pages.
    """
    weights = dict(settings.weights)
    weighted = (replace(sample, weight=weights.get(sample.source, 1.0)) for sample in samples)
    pages = [page for page in prepare(weighted) if len(page.labels)]
    usable = [
        page for page in pages if page.sample.source not in settings.left_out and _best(page) >= settings.least_best
    ]
    if len(usable) < 2 * settings.folds:
        raise InputError(f"{len(usable)} pages are too few to train on: give {2 * settings.folds} or more")
    usable += transplants(usable, texts, settings.transplants, settings.seed) if texts else ()
    measured = _measure(pages, usable, target, settings) if settings.folds > 1 else []
    sha256 = write_main_text(_fit(usable, settings), target)
    card = {
        "sha256": sha256,
        "settings": asdict(settings),
        "pages": sum(page.sample.labels is None for page in usable),
        "transplants": sum(page.sample.labels is not None for page in usable),
        "on pages of other sites": dict(_table(measured)),
    }
    target.with_suffix(".json").write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return card


def _measure(
    pages: Sequence[Prepared], usable: Sequence[Prepared], target: Path, settings: MainTextTraining
) -> list[tuple[Sample, float]]:
    """The F1 of each page by a model of the pages of other folds."""
    measured = []
    fold_of = folds([*pages, *usable], settings.folds)
    for fold in range(settings.folds):
        others = [page for page, own in zip(usable, fold_of[len(pages) :], strict=True) if own != fold]
        model = _fit(others, settings)
        measured += [
            (page.sample, _word_f1(_text(page, model), page.sample.gold))
            for page, own in zip(pages, fold_of, strict=False)
            if own == fold
        ]
        if settings.keep_folds:
            write_main_text(model, target.with_name(f"{target.stem}.fold{fold}.npz"))
    if settings.keep_folds:
        known = {page.sample.id: fold for page, fold in zip(pages, fold_of, strict=False)}
        target.with_name(f"{target.stem}.folds.json").write_text(json.dumps(known), encoding="utf-8")
    return measured


def _fit(pages: Sequence[Prepared], settings: MainTextTraining) -> Model:
    """The model of these pages, and of some of them with less of their main text."""
    chance = random.Random(settings.seed)
    short = (shortened(page, chance) for page in pages if chance.random() < settings.shortened)
    growth = Growth(settings.trees, settings.rate, settings.penalty, settings.rows, settings.features)
    return train_model([*pages, *filter(None, short)], growth, settings.seed)


def _best(page: Prepared) -> float:
    """The F1 of the best choice of blocks: pages whose gold text is not on them teach nothing."""
    if page.sample.labels is not None:
        return 1.0
    return _word_f1(text_of(page.page, page.labels >= 0.5), page.sample.gold)


def _text(page: Prepared, model: Model) -> str:
    return text_of(page.page, choose(page.page, model.judge(page.page)).taken)


def _word_f1(text: str, gold: str) -> float:
    """F1 of two texts as bags of words; 1 for two empty ones."""
    found, wanted = Counter(words(text)), Counter(words(gold))
    if not found or not wanted:
        return float(not found and not wanted)
    return 2 * (found & wanted).total() / (found.total() + wanted.total())


def _table(measured: Sequence[tuple[Sample, float]]) -> Iterator[tuple[str, dict[str, float]]]:
    """Mean F1 and share of lost pages: of all, by source, language, kind and site."""
    keys: dict[str, Callable[[Sample], str]] = {
        "all": lambda _: "",
        "source": lambda sample: sample.source,
        "language": lambda sample: sample.language,
        "kind": lambda sample: sample.kind,
        "site": lambda sample: sample.site,
    }
    for what, key in keys.items():
        groups: dict[str, list[float]] = defaultdict(list)
        for sample, score in measured:
            groups[key(sample)].append(score)
        for name, scores in sorted(groups.items(), key=lambda group: (-len(group[1]), group[0])):
            if what == "all" or (name and len(scores) >= _FEW):
                lost = float(np.mean(np.array(scores) < _BAD))
                yield (
                    f"{what} {name}".strip(),
                    {"pages": len(scores), "F1": round(float(np.mean(scores)), 4), "below 0.5": round(lost, 4)},
                )
