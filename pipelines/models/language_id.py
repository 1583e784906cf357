"""Train a small model that knows the languages of ROOTS: `roots lid train`.

Training runs up to three rounds. The first leaves out half of the foreign languages with little text; the arbiter
(filters.language_id.arbiter) learns from them how far to trust our model on languages it has never seen. The second,
if `strange` names sources, leaves those out and measures how often their language passes for a wanted one. The last
round trains on all text and makes the model that is written.
"""

import hashlib
import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from random import Random
from typing import TypedDict

from filters.language_id.arbiter import Arbiter, ArbiterExample, Pair, learn_arbiter, model_line, with_doubt
from filters.language_id.samples import TextSource, samples
from filters.language_id.scripts import split_label, wide_names
from pipelines.models.fasttext import train_fasttext
from pipelines.models.files import WIDE, load_model, open_fasttext, wide_path
from pipelines.models.language_id_text import TextsByLabel, wanted_labels
from pipelines.models.settings import LanguageIdTraining
from roots.errors import InputError


class LanguageCard(TypedDict):
    """The JSON file beside a model."""

    sha256: str
    training: dict[str, object]  # the settings
    sources: dict[str, dict[str, list[str | int]]]  # label -> source -> [licence, characters]
    wide: list[str]  # labels of lid.176 that the arbiter knows
    weights: dict[str, list[float]]  # of the arbiter, by label


def train_language_id(texts: TextsByLabel, target: Path, settings: LanguageIdTraining | None = None) -> LanguageCard:
    """Train a model and its arbiter; write `target` (.ftz) and beside it the card (.json), which is returned.

    The same text and settings give the same files, byte for byte, on one thread. Raises InputError if a wanted language
    has no text, SettingsError if floret is not installed.
    """
    settings = settings or LanguageIdTraining()
    texts = dict(sorted(texts.items()))
    wanted = sorted(set(wanted_labels().values()))
    lacking = [label for label in wanted if label not in texts]
    if lacking:
        raise InputError(f"no text of {', '.join(lacking)}")
    parts = {label: _split_held_out(sources, settings.held_out) for label, sources in texts.items()}
    learnt = {label: part[0] for label, part in parts.items()}
    with tempfile.TemporaryDirectory() as folder:
        arbiter = _teach_arbiter(texts, parts, settings, Path(folder))
        _train_model(learnt, settings, Path(folder), target)
    card: LanguageCard = {
        "sha256": hashlib.sha256(target.read_bytes()).hexdigest(),
        "training": asdict(settings),
        "sources": {label: _described(sources) for label, sources in texts.items()},
        "wide": sorted(arbiter.wide),
        "weights": {label: list(weights) for label, weights in sorted(arbiter.weights.items())},
    }
    write_card(card, target)
    return card


def write_card(card: LanguageCard, model: Path) -> None:
    """Write the card of a model beside it."""
    model.with_suffix(".json").write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _split_held_out(sources: Sequence[TextSource], held_out: int) -> tuple[list[TextSource], list[TextSource]]:
    """Documents to learn from, and every `held_out`-th, to calibrate with.

    The documents of a source with fewer than `held_out` are cut into parts first.
    """
    learnt, kept = [], []
    for source in sources:
        documents = source.documents
        if len(documents) < held_out:
            documents = tuple(part for text in documents for part in _parts(text, held_out))
        learnt.append(replace(source, documents=tuple(text for at, text in enumerate(documents) if at % held_out)))
        kept.append(replace(source, documents=documents[::held_out]))
    return learnt, kept


def _parts(text: str, count: int) -> Iterator[str]:
    size = len(text) // count + 1
    return (text[at : at + size] for at in range(0, len(text), size))


def _teach_arbiter(
    texts: TextsByLabel,
    parts: dict[str, tuple[list[TextSource], list[TextSource]]],
    settings: LanguageIdTraining,
    folder: Path,
) -> Arbiter:
    """The first rounds: train drafts without some of the text, and learn from what they say of it."""
    draft = folder / "draft.ftz"
    wanted = sorted(set(wanted_labels().values()))
    kept = {label: part[1] for label, part in parts.items()}
    known = load_model(WIDE).labels - set(wanted)
    poor = [label for label in texts if label in known and not _is_rich(texts[label], settings)]
    unmet = set(poor[::2])  # lid.176 knows these, so the arbiter can correct our model
    met = {label: part[0] for label, part in parts.items() if label not in unmet}
    _train_model(met, settings, folder, draft)
    unseen = {**kept, **{label: texts[label] for label in unmet}}
    arbiter = learn_arbiter(wanted, load_model(WIDE).labels, _examples(draft, unseen, wanted, settings))
    left_out, without = _leave_out_strange(texts, met, settings)
    if left_out:
        _train_model(without, settings, folder, draft)
        asked = {**{label: kept[label] for label in wanted}, **left_out}
        examples = _examples(draft, asked, wanted, settings)
        arbiter = with_doubt(arbiter, examples, left_out, settings.passing, settings.lost)
    return arbiter


def _leave_out_strange(
    texts: TextsByLabel, met: TextsByLabel, settings: LanguageIdTraining
) -> tuple[TextsByLabel, TextsByLabel]:
    """The sources named in `strange`, and the text without them. A language keeps its only source."""
    names = set(settings.strange)
    without = {
        label: [source for source in sources if (label, source.name) not in names] for label, sources in met.items()
    }
    left_out = {
        label: found
        for label, sources in texts.items()
        if without.get(label) and (found := [source for source in sources if (label, source.name) in names])
    }
    return left_out, {label: sources or met[label] for label, sources in without.items()}


def _train_model(texts: TextsByLabel, settings: LanguageIdTraining, folder: Path, target: Path) -> None:
    """Write samples of the text to a file in `folder`, train on it and write the quantised model."""
    lines = folder / "samples.txt"
    _write_samples(texts, settings, lines)
    options: dict[str, str | int | float] = {
        "dim": settings.dim, "bucket": settings.bucket, "minn": settings.shortest_gram, "maxn": settings.longest_gram,
        "minCount": settings.rare, "epoch": settings.epochs, "lr": settings.rate, "loss": "softmax",
        "thread": settings.threads,
    }  # fmt: skip
    train_fasttext(lines, options, target, small=True)


def _write_samples(texts: TextsByLabel, settings: LanguageIdTraining, path: Path) -> None:
    """Write the file a model is trained from: one sample a line, in an order that only the seed decides."""
    wanted = set(wanted_labels().values())
    lines = []
    for label, sources in sorted(texts.items()):
        random = Random(f"{settings.seed}/{label}")
        count = settings.pair_count if label in settings.paired else settings.count
        count = count if label in wanted else _other_count(label, sources, settings, count)
        for sample in samples(sources, count, settings.roughness, random, _favoured_sources(label, settings)):
            text = model_line(sample).strip()
            if text:
                lines.append(f"__label__{label} {' '.join(text.split())}\n")
    Random(settings.seed).shuffle(lines)
    path.write_text("".join(lines), encoding="utf-8")


def _favoured_sources(label: str, settings: LanguageIdTraining) -> dict[str, float]:
    """The favoured sources of a language, and how many times as likely they are."""
    return {source: times for name, source, times in settings.favoured if name == label}


def _other_count(label: str, sources: Sequence[TextSource], settings: LanguageIdTraining, count: int) -> int:
    """Samples of a foreign language: few if its text is short, so that the same words do not come again and again."""
    chars = sum(source.chars for source in sources)
    most = count if split_label(label)[0] in settings.near else settings.other_most
    return max(settings.other_count, min(most, chars // settings.chars_a_sample))


def _described(sources: Sequence[TextSource]) -> dict[str, list[str | int]]:
    """Licence and characters of every source, by name."""
    found: dict[str, list[str | int]] = {}
    for source in sources:
        licence, chars = found.get(source.name, [source.licence, 0])
        found[source.name] = [licence, int(chars) + source.chars]
    return dict(sorted(found.items()))


def _is_rich(sources: Sequence[TextSource], settings: LanguageIdTraining) -> bool:
    return sum(source.chars for source in sources) >= settings.rich


def _examples(
    model: Path, texts: TextsByLabel, wanted: Sequence[str], settings: LanguageIdTraining
) -> list[ArbiterExample]:
    """What both models say of samples of text that ours has not seen."""
    pair = Pair(
        open_fasttext(model), open_fasttext(Path(wide_path())), Arbiter({}, load_model(WIDE).labels), wide_names()
    )
    examples: list[ArbiterExample] = []
    for label, sources in sorted(texts.items()):
        much = label in wanted or _is_rich(sources, settings)
        count = settings.examples if much else settings.other_examples
        count = settings.near_examples if much and split_label(label)[0] in settings.near else count
        random = Random(f"{settings.seed}/examples/{label}")
        for sample in samples(sources, count, settings.roughness, random, _favoured_sources(label, settings)):
            line = " ".join(sample.split())
            if line:
                examples.append((*pair.ask(line), label))
    return examples
