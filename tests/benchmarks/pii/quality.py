"""Precision, recall and F1 of our rules, the presets and the installed peers on labelled and on generated text.

    python -m tests.benchmarks.pii.quality [LABELLED.jsonl ...] [--per-kind 20]

Exit code 1: a preset or peer has a better F1 than ours on some kind, or ours misses a goal of `STRICT`.
"""

import argparse
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path

from filters.personal_data import KINDS
from pipelines.models.personal_data_eval import DetectionReport, Detector, compare_detectors, evaluate_detection
from tests.benchmarks.pii.generate import VALUES, generate
from tests.benchmarks.pii.peers import installed_detectors

# Precision and recall wanted, of kinds whose values have a form that can be checked.
STRICT: Mapping[str, tuple[float, float]] = dict.fromkeys(
    ("email", "ip_address", "iban", "payment_card", "key"), (0.95, 0.9)
)


def generated_report(seed: int, per_kind: int, detectors: Mapping[str, Detector]) -> DetectionReport:
    """Measure on generated text."""
    documents = generate(seed, per_kind)
    return compare_detectors(
        f"generated, seed {seed}", documents, detectors, [kind for kind in KINDS if kind in VALUES]
    )


def shortfalls(report: DetectionReport) -> Iterator[str]:
    """One sentence for every missed goal: an F1 of ours below another's, or a value below STRICT."""
    for kind in report.kinds("ours"):
        ours = report.total("ours", kind)
        for other in report.counts:
            if kind in report.kinds(other) and ours.f1 < report.total(other, kind).f1:
                yield f"{kind}: F1 {ours.f1:.4f} is below that of {other}, {report.total(other, kind).f1:.4f}"
        precision, recall = STRICT.get(kind, (0, 0))
        if ours.precision < precision or ours.recall < recall:
            yield (
                f"{kind}: precision {ours.precision:.3f} and recall {ours.recall:.3f}; "
                f"{precision} and {recall} are wanted"
            )


def main() -> int:
    """Print every report; returns 1 if a goal was missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("labelled", nargs="*", type=Path)
    parser.add_argument("--per-kind", type=int, default=20, help="generated documents of each language and kind")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)  # Presidio warns about every recogniser of another language
    detectors = installed_detectors()
    missed: list[str] = []
    for path in [*options.labelled, None]:
        report = (
            generated_report(1, options.per_kind, detectors)
            if path is None
            else evaluate_detection(path, detectors=detectors)
        )
        print("\n".join(report.lines()))
        missed += [f"{report.source}: {each}" for each in shortfalls(report)]
    print("\n".join(missed) or "every goal is met: no preset or peer has a better F1 on any kind")
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
