"""Measure how well languages are told: `roots lid eval`."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from filters.language_id.identify import LanguageModel, split_label
from filters.language_id.scripts import identify
from pipelines.model_files import load_model
from pipelines.models.language_id_text import Texts, read_folder, wanted_labels

_FLOOR = 0.5  # score below which a text counts as in none of the wanted languages: filters/languages/default.toml
# Codes that are one language here: Twi is Akan, and FLORES has it under both names
_ONE = {"aka": "twi", "fat": "twi"}

_Answer = tuple[str, float]  # language, its score


@dataclass(frozen=True)
class _Score:
    """How texts of one language were told. Shares are of its texts, but for `precision`."""

    language: str
    texts: int
    recall: float
    precision: float  # of texts told to be in it, over the texts of wanted languages
    f1: float
    passing: float  # told right, with a score of at least _FLOOR
    median: float  # of the scores of texts told right
    others: tuple[tuple[str, int], ...]  # what the others were taken for, most first


@dataclass(frozen=True)
class Report:
    """Scores of the wanted languages, and how many texts of each other language passed for one of them."""

    wanted: tuple[_Score, ...]
    taken: Mapping[
        str, float
    ]  # foreign language -> share of its texts told to be in a wanted one, at least _FLOOR sure
    texts: Mapping[str, int]  # foreign language -> texts

    @property
    def macro_f1(self) -> float:
        """The mean F1 of the wanted languages."""
        return sum(score.f1 for score in self.wanted) / max(1, len(self.wanted))

    @property
    def taken_in_all(self) -> float:
        """Share of all texts in foreign languages that passed for a wanted one."""
        return sum(self.taken[code] * count for code, count in self.texts.items()) / max(1, sum(self.texts.values()))

    def __str__(self) -> str:
        """The table of `roots lid eval`: worst language first, then what passed for a wanted one."""
        lines = ["language  texts     F1  recall  precision  passing  median  taken for"]
        for found in sorted(self.wanted, key=lambda score: score.f1):
            taken = ", ".join(f"{code} {count}" for code, count in found.others)
            lines.append(
                f"{found.language:8}{found.texts:7}{found.f1:7.3f}{found.recall:8.3f}{found.precision:11.3f}"
                f"{found.passing:9.3f}{found.median:8.3f}  {taken}".rstrip()
            )
        lines.append(f"macro F1 {self.macro_f1:.4f}")
        for code, share in sorted(self.taken.items(), key=lambda item: (-item[1], item[0])):
            lines.append(f"{code:8}{self.texts[code]:7} {100 * share:6.2f} % taken for a wanted language")
        return "\n".join(
            [*lines, f"{100 * self.taken_in_all:.2f} % of texts in other languages taken for a wanted one"]
        )


def evaluate(folder: Path, model: str = "") -> Report:
    """Identify every text of a folder (`models.language_id_text`) and compare. Raises InputError for no text."""
    return measure(read_folder(folder), load_model(model))


def measure(texts: Texts, model: LanguageModel) -> Report:
    """Tell the language of every text, and compare with the label it lies under."""
    wanted = {one_of(label) for label in wanted_labels().values()}
    told: dict[str, list[_Answer]] = defaultdict(list)
    for label, sources in texts.items():
        for source in sources:
            told[one_of(label)] += (answer(text, model) for text in source.documents)
    named = Counter(language for code in told if code in wanted for language, _ in told[code])
    foreign = {code: answers for code, answers in told.items() if code not in wanted}
    return Report(
        tuple(_score(code, told[code], named[code]) for code in sorted(told) if code in wanted),
        {code: _share(lang in wanted and sure >= _FLOOR for lang, sure in found) for code, found in foreign.items()},
        {code: len(found) for code, found in foreign.items()},
    )


def answer(text: str, model: LanguageModel) -> _Answer:
    """The language of a text and how sure it is; ("und", 0) for a text of no letter."""
    labels = identify(text, model, 1)
    return (one_of(labels[0][0]), labels[0][1]) if labels else ("und", 0.0)


def one_of(label: str) -> str:
    """The language of a label, with names of the same language as one."""
    code = split_label(label)[0]
    return _ONE.get(code, code)


def _score(code: str, answers: Sequence[_Answer], named: int) -> _Score:
    right = sorted(sure for language, sure in answers if language == code)
    recall, precision = len(right) / len(answers), len(right) / max(1, named)
    return _Score(
        code, len(answers), recall, precision,
        2 * recall * precision / (recall + precision) if right else 0.0,
        sum(sure >= _FLOOR for sure in right) / len(answers),
        right[len(right) // 2] if right else 0.0,
        tuple(Counter(language for language, _ in answers if language != code).most_common(3)),
    )  # fmt: skip


def _share(marks: Iterable[bool]) -> float:
    found = list(marks)
    return sum(found) / max(1, len(found))
