"""Measure how well a language model identifies languages: `roots lid eval`."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from filters.language_id.identify import LanguageModel, identify
from filters.language_id.scripts import split_label
from pipelines.models.files import load_model
from pipelines.models.language_id_text import TextsByLabel, read_folder, wanted_labels

_FLOOR = 0.5  # score below which a text is in no wanted language: language_score in filters/languages/default.toml
# Codes of one language: FLORES has Twi, which is Akan, under both names
_ONE = {"aka": "twi", "fat": "twi"}

_Answer = tuple[str, float]  # language, its score


@dataclass(frozen=True)
class _Score:
    """How texts of one language were identified. Shares are of its texts, except `precision`."""

    language: str
    texts: int
    recall: float
    precision: float  # share of the texts identified as this language that are; foreign texts are not counted
    f1: float
    passing: float  # identified right, with a score of at least _FLOOR
    median: float  # score of texts identified right
    others: tuple[tuple[str, int], ...]  # what the others were taken for, most frequent first


@dataclass(frozen=True)
class IdentificationReport:
    """Scores of the wanted languages, and the share of each other language that was taken for one of them."""

    wanted: tuple[_Score, ...]
    taken: Mapping[str, float]  # foreign language -> share of its texts taken for a wanted one with _FLOOR or more
    texts: Mapping[str, int]  # foreign language -> number of texts

    @property
    def macro_f1(self) -> float:
        """The mean F1 of the wanted languages."""
        return sum(score.f1 for score in self.wanted) / max(1, len(self.wanted))

    @property
    def taken_in_all(self) -> float:
        """Share of all texts in foreign languages that were taken for a wanted one."""
        return sum(self.taken[code] * count for code, count in self.texts.items()) / max(1, sum(self.texts.values()))

    def __str__(self) -> str:
        """The table of `roots lid eval`: worst language first, then the languages taken for a wanted one."""
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


def evaluate_folder(folder: Path, model: str = "") -> IdentificationReport:
    """Measure a model on a folder of text, a file per language. Raises InputError if the folder has no text."""
    return measure_identification(read_folder(folder), load_model(model))


def measure_identification(texts: TextsByLabel, model: LanguageModel) -> IdentificationReport:
    """Identify every text and compare with its label."""
    wanted = {language_of(label) for label in wanted_labels().values()}
    answers: dict[str, list[_Answer]] = defaultdict(list)
    for label, sources in texts.items():
        for source in sources:
            answers[language_of(label)] += (_answer(text, model) for text in source.documents)
    named = Counter(language for code in answers if code in wanted for language, _ in answers[code])
    foreign = {code: found for code, found in answers.items() if code not in wanted}
    return IdentificationReport(
        tuple(_score(code, answers[code], named[code]) for code in sorted(answers) if code in wanted),
        {code: _share(lang in wanted and sure >= _FLOOR for lang, sure in found) for code, found in foreign.items()},
        {code: len(found) for code, found in foreign.items()},
    )


def _answer(text: str, model: LanguageModel) -> _Answer:
    """The language of a text and its score; ("und", 0) for a text without letters."""
    labels = identify(text, model, 1)
    return (language_of(labels[0][0]), labels[0][1]) if labels else ("und", 0.0)


def language_of(label: str) -> str:
    """The language of a label; codes of the same language give the same one."""
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
