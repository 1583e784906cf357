"""How well and how fast languages are identified, by the default pair and by lid.176 alone: all tables.

    python -m tests.benchmarks.lid --data ../shared/data
    python -m tests.benchmarks.lid --part sentences --folder MORE_TEXT

Parts: `sentences` (FLORES-200 dev, or any folder that `roots lid eval` reads), `lengths` (the same, cut short), `pages`
(main text and quick text of the shared archives against the language in their manifests), `speed`, `library` (our
reader of fastText models beside the library fasttext-predict, on both models, one line and eight lines at once),
`mixed` (texts of two languages).
`python -m tests.benchmarks.lid.roots46` makes the model that the package carries.
"""

import argparse
import csv
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import TypeVar

import fasttext

from filters.language_id.identify import gate, identify
from filters.language_id.samples import TextSource
from filters.language_id.scripts import standard_label
from pipelines.extract import Extract
from pipelines.models.files import OWN, WIDE, load_model, open_fasttext, wide_path
from pipelines.models.language_id_eval import IdentificationReport, language_of, measure_identification
from pipelines.models.language_id_text import TextsByLabel, read_folder, wanted_labels
from tests.benchmarks.gate_recall import ARCHIVES, read_pages
from tests.benchmarks.lid.mixed import mixed

DATA = Path(__file__).parents[4] / "shared" / "data"
TAUGHT = {"tum_Latn": 500, "aka_Latn": 500}  # sentences of FLORES dev that the model learnt from, so they are not asked
SPEED_GOAL = 10_000  # texts of 500 characters a second
PARTS = ("sentences", "lengths", "pages", "speed", "library", "mixed")
MODELS = {"pair": "", WIDE: WIDE}


def sentences(folder: Path, is_flores: bool) -> list[str]:
    """Print the tables of a folder of sentences; returns what misses a goal."""
    texts = read_folder(folder)
    if is_flores:
        texts = {label: _without(label, texts) for label in texts}
    reports = {name: measure_identification(texts, load_model(model)) for name, model in MODELS.items()}
    ours, wide = reports["pair"], {score.language: score for score in reports[WIDE].wanted}
    print("| language | texts | F1 | recall | precision | score >= 0.5 | median score | lid.176 F1 | taken for |")
    print("|---" * 9 + "|")
    for score in sorted(ours.wanted, key=lambda score: score.f1):
        taken = ", ".join(f"{code} {count}" for code, count in score.others)
        shares = (score.f1, score.recall, score.precision, score.passing, score.median, wide[score.language].f1)
        print(
            f"| {score.language} | {score.texts} | " + " | ".join(f"{share:.3f}" for share in shares) + f" | {taken} |"
        )
    for name, report in reports.items():
        print(
            f"\n{name}: macro F1 {report.macro_f1:.4f}, least {min(score.f1 for score in report.wanted):.3f}; ", end=""
        )
        print(
            f"{100 * report.taken_in_all:.2f} % of {sum(report.texts.values())} texts in other languages taken for one"
        )
        worst = sorted(report.taken.items(), key=lambda item: -item[1])[:12]
        print("  " + ", ".join(f"{code} {100 * share:.1f} %" for code, share in worst))
    return _missed(ours) if is_flores else []


def _without(label: str, texts: TextsByLabel) -> list[TextSource]:
    return [replace(found, documents=found.documents[TAUGHT.get(label, 0) :]) for found in texts[label]]


def _missed(report: IdentificationReport) -> list[str]:
    missed = [f"macro F1 {report.macro_f1:.4f}"] if report.macro_f1 < 0.98 else []
    missed += [f"F1 of {score.language} {score.f1:.3f}" for score in report.wanted if score.f1 < 0.9]
    return missed + ([f"{report.taken_in_all:.3f} of other languages taken"] if report.taken_in_all > 0.02 else [])


def lengths(folder: Path) -> list[str]:
    """Print how well short cuts of texts are identified."""
    texts = read_folder(folder)
    print("| characters | macro F1 | score >= 0.5 | others taken |")
    print("|---" * 4 + "|")
    for size in (10, 20, 40, 80, 160):
        cut = {
            label: [replace(found, documents=tuple(text[:size] for text in found.documents[500:700])) for found in kept]
            for label, kept in texts.items()
        }
        report = measure_identification(cut, load_model())
        passing = sum(score.passing for score in report.wanted) / len(report.wanted)
        print(f"| {size} | {report.macro_f1:.3f} | {passing:.3f} | {report.taken_in_all:.3f} |")
    return []


def pages(data: Path) -> list[str]:
    """Print, by language, how pages of known language are identified by their main text and by the gate."""
    rows: dict[str, Counter[str]] = defaultdict(Counter)
    known, wanted = load_model().labels, wanted_labels()
    for name, made in ARCHIVES.items():
        place = data / "warc" / "built"
        with (place / f"{name}.manifest.tsv").open(encoding="utf-8", newline="") as file:
            said = {row["url"]: row["lang"] for row in csv.DictReader(file, delimiter="\t") if row["lang"]}
        for page in read_pages(place / f"{name}.warc.gz", made, Extract.extractor):
            code = said.get(page.url)
            if code is None or not page.language:
                continue
            language = language_of(wanted.get(code) or standard_label(code))
            rows[language]["pages"] += 1
            rows[language]["made"] += made
            right = language_of(page.language) == language
            rows[language]["right"] += right
            rows[language]["sure"] += right and page.score >= 0.5
            rows[language]["gate"] += gate([page.quick], language, Extract.gate_score, known)[0]
    print("| language | pages | made | main text right % | with score >= 0.5 % | let through by the gate % |")
    print("|---" * 6 + "|")
    for language, row in sorted(rows.items(), key=lambda item: -item[1]["pages"]):
        shares = (f"{100 * row[key] / row['pages']:.1f}" for key in ("right", "sure", "gate"))
        print(f"| {language} | {row['pages']} | {row['made']} | {' | '.join(shares)} |")
    return []


def speed(folder: Path) -> list[str]:
    """Print how many texts of 500 characters are identified per CPU second, in the best round."""
    texts = [" ".join(kept[0].documents)[:25_000] for kept in read_folder(folder).values()]
    lines = [text[at : at + 500] for text in texts for at in range(0, 3000, 500)]
    rate = 0.0
    for name, model in MODELS.items():
        loaded = load_model(model)
        best = min(_seconds(lambda text: identify(text, loaded), lines) for _ in range(12))  # noqa: B023
        rate = rate or len(lines) / best
        print(f"{name}: {len(lines) / best:,.0f} texts of 500 characters a CPU second")
    return [] if rate >= SPEED_GOAL else [f"{rate:,.0f} texts a second"]


def library(folder: Path) -> list[str]:
    """Print the time per line of our reader and of fastText's library, in turn, and how far their scores differ."""
    texts = [" ".join(" ".join(kept[0].documents)[:25_000].split()) for kept in read_folder(folder).values()]
    missed = []
    print("| model | characters | library us | ours us | times | eight at once us | times | largest difference |")
    print("|---" * 8 + "|")
    for name, path in (("roots46", str(OWN / "roots46.ftz")), (WIDE, wide_path())):
        ours, known = open_fasttext(Path(path)), fasttext.load_model(path).f
        for size in (80, 500):
            lines = [text[at : at + size] for text in texts for at in range(0, 8 * size, size)]
            apart = max(
                abs(one - other)
                for line, found in zip(lines, ours.predict(lines, 3), strict=True)
                for (one, _), (other, _) in zip(found, known.predict(line + "\n", 3, 0.0, "strict"), strict=True)
            )
            eights = [lines[at : at + 8] for at in range(0, len(lines), 8)]
            rounds = [
                (
                    _seconds(lambda line: known.predict(line + "\n", 3, 0.0, "strict"), lines),  # noqa: B023
                    _seconds(lambda line: ours.predict([line], 3), lines),  # noqa: B023
                    _seconds(lambda lines: ours.predict(lines, 3), eights),  # noqa: B023
                )
                for _ in range(7)
            ]
            theirs, one, eight = (1e6 * median(times) / len(lines) for times in zip(*rounds, strict=True))
            print(f"| {name} | {size} | {theirs:.1f} | {one:.1f} | {theirs / one:.2f} | ", end="")
            print(f"{eight:.1f} | {theirs / eight:.2f} | {apart:.1e} |")
            missed += [f"{name} differs by {apart:.1e}"] if apart > 1e-4 else []
    return missed


Work = TypeVar("Work")


def _seconds(work: Callable[[Work], object], items: Sequence[Work]) -> float:
    start = time.process_time()
    for item in items:
        work(item)
    return time.process_time() - start


def main() -> None:
    """Print the tables; the exit code says whether the goals are met."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--folder", type=Path, help="sentences to ask instead of FLORES-200 dev")
    parser.add_argument("--part", action="append", choices=PARTS)
    options = parser.parse_args()
    flores = options.data / "lid_eval" / "flores200_dev"
    if not (options.folder or flores).is_dir():
        sys.exit(f"nothing to measure: there is no {options.folder or flores}")
    parts: dict[str, Callable[[], list[str]]] = {
        "sentences": lambda: sentences(options.folder or flores, options.folder is None),
        "lengths": lambda: lengths(options.folder or flores),
        "pages": lambda: pages(options.data),
        "speed": lambda: speed(flores),
        "library": lambda: library(flores),
        "mixed": lambda: mixed(options.folder or flores),
    }
    missed: list[str] = []
    for name in options.part or parts:
        print(f"\n## {name}\n")
        missed += parts[name]()
    sys.exit("MISSED: " + "; ".join(missed) if missed else 0)


if __name__ == "__main__":
    main()
