"""What an evaluation of personal data found: counts, intervals, and the tables that show them. No value is in them."""

import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from filters.personal_data import KINDS

# Kinds whose values have a form that can be checked: here misses and false alarms count as faults.
STRICT: Mapping[str, tuple[float, float]] = dict.fromkeys(
    ("email", "ip_address", "iban", "payment_card", "key"), (0.95, 0.9)
)  # precision and recall wanted


@dataclass
class Counts:
    """What was found, of one kind in some documents."""

    hit: int = 0  # labelled spans that were found
    exact: int = 0  # of them, with the same ends
    missed: int = 0
    right: int = 0  # found spans that are labelled
    wrong: int = 0
    documents: list[tuple[int, int, int]] = field(default_factory=list)  # (right, wrong, missed) of each with any

    def add(self, other: "Counts") -> None:
        """Count another's as well."""
        for name in ("hit", "exact", "missed", "right", "wrong"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.documents += other.documents

    @property
    def precision(self) -> float:
        """Share of found spans that are right; NaN when nothing was found."""
        return self.right / (self.right + self.wrong) if self.right + self.wrong else math.nan

    @property
    def recall(self) -> float:
        """Share of labelled spans that were found; NaN when there were none."""
        return self.hit / (self.hit + self.missed) if self.hit + self.missed else math.nan

    @property
    def f1(self) -> float:
        """2 right / (2 right + wrong + missed), counted over labelled spans."""
        total = 2 * self.hit + self.wrong + self.missed
        return 2 * self.hit / total if total else math.nan

    def f1_interval(self, seed: int = 0, rounds: int = 500) -> tuple[float, float]:
        """95 % interval of F1 by the bootstrap over documents (Efron 1979)."""
        if not self.documents:
            return math.nan, math.nan
        table = np.array(self.documents, dtype=np.int64)
        rng = np.random.default_rng(seed)
        weights = rng.multinomial(len(table), np.full(len(table), 1 / len(table)), size=rounds)
        right, wrong, missed = (weights @ table).T
        f1 = 2 * right / np.maximum(2 * right + wrong + missed, 1)
        low, high = np.quantile(f1, [0.025, 0.975])
        return float(low), float(high)


def wilson(right: int, total: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927); (NaN, NaN) for none."""
    if not total:
        return math.nan, math.nan
    z, share = 1.959964, right / total
    middle = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z / (1 + z * z / total) * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    return middle - half, middle + half


@dataclass(frozen=True)
class FalsePositive:
    """A span that is none of what it was taken for: its shape and its place, never its value."""

    document: str
    language: str
    kind: str
    start: int
    shape: str


@dataclass(frozen=True)
class Report:
    """What each contender found: contender -> (kind, language) -> counts; and our false positives."""

    source: str
    scores: Mapping[str, Mapping[tuple[str, str], Counts]]
    wrong: Sequence[FalsePositive]

    def total(self, contender: str, kind: str) -> Counts:
        """Counts of a kind over all languages."""
        total = Counts()
        for (name, _), counts in sorted(self.scores[contender].items()):
            if name == kind:
                total.add(counts)
        return total

    def kinds(self, contender: str) -> list[str]:
        """The kinds a contender was judged on."""
        judged = {kind for kind, _ in self.scores[contender]}
        return [kind for kind in KINDS if kind in judged]

    def lines(self, by_language: bool = True) -> Iterator[str]:
        """The report as text."""
        yield f"{self.source}: by kind, all languages; 95 % intervals (Wilson; F1: bootstrap over documents)"
        yield f"{'kind':<15}{'who':<11}{'spans':>6}  {'precision':<21}{'recall':<21}{'F1':<21}{'exact':>6}"
        for kind in self.kinds("ours"):
            for contender in self.scores:
                if kind in self.kinds(contender):
                    yield _line(kind, contender, self.total(contender, kind))
        if by_language:
            yield ""
            yield "ours, by kind and language; 95 % intervals"
            yield from self._by_language()
        yield ""
        yield f"false positives of ours: {len(self.wrong)}"
        for each in self.wrong:
            yield f"  {each.kind:<15}{each.language:<5}{each.document} at {each.start}: {each.shape}"

    def _by_language(self) -> Iterator[str]:
        yield f"{'kind':<15}{'language':<11}{'spans':>6}  {'precision':<21}{'recall':<21}{'F1':<21}{'exact':>6}"
        order = list(KINDS)
        for kind, language in sorted(self.scores["ours"], key=lambda key: (order.index(key[0]), key[1])):
            yield _line(kind, language, self.scores["ours"][kind, language])

    def shortfalls(self) -> Iterator[str]:
        """One sentence for every aim that is missed: ours at least as good as anyone's F1, and STRICT."""
        for kind in self.kinds("ours"):
            ours = self.total("ours", kind)
            for other in self.scores:
                if kind in self.kinds(other) and ours.f1 < self.total(other, kind).f1:
                    yield f"{kind}: F1 {ours.f1:.4f} is below that of {other}, {self.total(other, kind).f1:.4f}"
            precision, recall = STRICT.get(kind, (0, 0))
            if ours.precision < precision or ours.recall < recall:
                yield (
                    f"{kind}: precision {ours.precision:.3f} and recall {ours.recall:.3f} where {precision} and "
                    f"{recall} are wanted"
                )


def _line(kind: str, who: str, counts: Counts) -> str:
    spans = counts.hit + counts.missed
    cells = [
        _cell(counts.precision, wilson(counts.right, counts.right + counts.wrong)),
        _cell(counts.recall, wilson(counts.hit, spans)),
        _cell(counts.f1, counts.f1_interval()),
    ]
    exact = f"{counts.exact / spans:.3f}" if spans else "-"
    return f"{kind:<15}{who:<11}{spans:>6}  {''.join(f'{cell:<21}' for cell in cells)}{exact:>6}"


def _cell(value: float, interval: tuple[float, float]) -> str:
    return "-" if math.isnan(value) else f"{value:.3f} [{interval[0]:.3f},{interval[1]:.3f}]"


def kinds_table() -> Iterator[str]:
    """All kinds, a paragraph each: what is looked for, context words by language, what is found and spared."""
    for kind in KINDS.values():
        off = "" if kind.by_default else "   (off by default)"
        yield f"{kind.name}   PI:{kind.tag}{off}"
        yield from _wrapped("", kind.words)
        if kind.context:
            count = sum(map(len, kind.context.values()))
            yield from _wrapped("context: ", f"{count} words in {', '.join(sorted(kind.context))}")
        yield from _wrapped("finds: ", " | ".join(map(_on_a_line, kind.finds)))
        yield from _wrapped("spares: ", " | ".join(map(_on_a_line, kind.spares)))
        yield ""


def _on_a_line(text: str) -> str:
    """A row of a table on one line, its middle left out where it is long."""
    plain = " ".join(text.split())
    return plain if len(plain) <= 76 else f"{plain[:40]} … {plain[-32:]}"


def _wrapped(head: str, text: str) -> list[str]:
    return textwrap.wrap(head + text, 110, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False)
