"""Measures of answers: BLEU, chrF2, ROUGE, exact match and F1, and intervals by resampling.

BLEU and chrF2 are sums of counts over all answers, so each answer gives a row of counts, and a table of rows gives the
score. Sources: Papineni et al. 2002 with the tokens of mteval-v13a; Popovic 2015 and 2016; Lin 2004; Rajpurkar et al.
2016.
"""

import html
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

CountRows = npt.NDArray[np.float64]

CHRF_SIGNATURE = "case:mixed|eff:yes|nc:6|nw:0|space:no"
_ORDERS = 6  # of chrF
_GRAMS = 4  # of BLEU
_UNSPACED = {"zh", "yue", "ja", "th", "lo", "km", "my", "bo", "dz"}
_UNSPACED_SCRIPTS = re.compile(
    "[\\u0e00-\\u0eff\\u1000-\\u109f\\u1780-\\u17ff\\u3040-\\u30ff\\u3400-\\u9fff\\uf900-\\ufaff\\U00020000-\\U0003ffff]"
)
_SYMBOLS = re.compile(r"([!-&(-+/:-@\[-`{-~ ])")  # ASCII punctuation but apostrophe, comma, hyphen, full stop


def bleu_tokens(language: str) -> str:
    """Return how BLEU cuts a language: `13a`, or `char` for languages written without spaces."""
    return "char" if language.split("-")[0].split("_")[0] in _UNSPACED else "13a"


def bleu_signature(cut: str, references: int) -> str:
    """Say how a BLEU score was made, in sacrebleu's words."""
    return f"nrefs:{references or 'var'}|case:mixed|eff:no|tok:{cut}|smooth:exp"


def _cut_13a(text: str) -> list[str]:
    """Cut a text as mteval-v13a does: at ASCII punctuation, but not inside numbers."""
    text = text.replace("<skipped>", "").replace("-\n", "").replace("\n", " ")
    for entity in ("&quot;", "&amp;", "&lt;", "&gt;"):
        text = text.replace(entity, html.unescape(entity))
    text = _SYMBOLS.sub(r" \1 ", f" {text} ")
    text = re.sub(r"([^0-9])([.,])", r"\1 \2 ", text)
    text = re.sub(r"([.,])([^0-9])", r" \1 \2", text)
    return re.sub(r"([0-9])(-)", r"\1 \2 ", text).split()


def _grams(items: Sequence[str], order: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(items[at : at + order]) for at in range(len(items) - order + 1))


def bleu_counts(answer: str, references: Sequence[str], cut: str = "13a") -> CountRows:
    """Return lengths of answer and nearest reference, then matches and all n-grams of each order."""
    pieces = list if cut == "char" else _cut_13a
    words = pieces("".join(answer.split()) if cut == "char" else answer)
    others = [pieces("".join(each.split()) if cut == "char" else each) for each in references]
    nearest = min((abs(len(each) - len(words)), len(each)) for each in others)[1]
    counts = [float(len(words)), float(nearest)]
    for order in range(1, _GRAMS + 1):
        mine, best = _grams(words, order), Counter[tuple[str, ...]]()
        for each in others:
            best |= _grams(each, order)
        counts += [float((mine & best).total()), float(mine.total())]
    return np.array(counts)


def bleu(counts: CountRows) -> float:
    """Return BLEU, 0 to 100, of summed counts; an order without a match counts as 1/2, 1/4, ... of one."""
    length, wanted, *orders = counts.tolist()
    matched, made = orders[::2], orders[1::2]
    if not any(matched) or not all(made):
        return 0.0
    half, logs = 1.0, 0.0
    for right, total in zip(matched, made, strict=True):
        half = half if right else half * 2
        logs += math.log(right / total if right else 1 / (half * total))
    brevity = min(0.0, 1 - wanted / length)
    return 100 * math.exp(brevity + logs / _GRAMS)


def chrf_counts(answer: str, references: Sequence[str]) -> CountRows:
    """Return n-grams of characters in answer, reference, and both, for each order; of the reference it suits best."""
    bare = "".join(answer.split())
    mine = [_letters(bare, order) for order in range(1, _ORDERS + 1)]
    found = []
    for reference in references:
        other = "".join(reference.split())
        row: list[float] = []
        for order, have in enumerate(mine, 1):
            want = _letters(other, order)
            row += [float(have.total() if want else 0), float(want.total()), float((have & want).total())]
        found.append(np.array(row))
    return max(found, key=chrf)


def _letters(text: str, order: int) -> Counter[str]:
    return Counter(text[at : at + order] for at in range(len(text) - order + 1))


def chrf(counts: CountRows) -> float:
    """Return chrF2, 0 to 100, of summed counts: precision and recall are means over the orders that both sides have."""
    made, wanted, both = counts.reshape(_ORDERS, 3).T
    seen = (made > 0) & (wanted > 0)
    if not seen.any():
        return 0.0
    precision, recall = float((both[seen] / made[seen]).mean()), float((both[seen] / wanted[seen]).mean())
    return 100 * 5 * precision * recall / (4 * precision + recall) if precision + recall else 0.0


def text_words(text: str) -> list[str]:
    """Return the words of a text in lower case: runs of letters, marks and digits.

    Runs in scripts without spaces are cut by ICU's dictionaries. For English they are the words of rouge-score.
    """
    found: list[str] = []
    run: list[str] = []
    for character in f"{text.lower()} ":
        if unicodedata.category(character)[0] in "LMN":
            run.append(character)
        elif run:
            found += _cut_run("".join(run))
            run = []
    return found


def _cut_run(run: str) -> list[str]:
    if not _UNSPACED_SCRIPTS.search(run):
        return [run]
    from icu4py.breakers import WordBreaker

    return [str(piece) for piece in WordBreaker(run, "zh")]


def _f_measure(both: float, made: float, wanted: float) -> float:
    return 2 * both / (made + wanted) if both else 0.0


def rouge(answer: str, references: Sequence[str]) -> tuple[float, float, float]:
    """Return ROUGE-1, ROUGE-2 and ROUGE-L (F, 0 to 1) against the best reference of each; without stemming."""
    mine = text_words(answer)
    found = []
    for reference in references:
        other = text_words(reference)
        scores = []
        for order in (1, 2):
            have, want = _grams(mine, order), _grams(other, order)
            scores.append(_f_measure((have & want).total(), have.total(), want.total()))
        found.append((*scores, _f_measure(_common_words(mine, other), len(mine), len(other))))
    first, second, longest = (max(each) for each in zip(*found, strict=True))
    return first, second, longest


def _common_words(left: Sequence[str], right: Sequence[str]) -> int:
    """Return the length of the longest common subsequence."""
    row = [0] * (len(right) + 1)
    for word in left:
        before = 0
        for at, other in enumerate(right):
            before, row[at + 1] = row[at + 1], before + 1 if word == other else max(row[at], row[at + 1])
    return row[-1]


def exact_match(answer: str, references: Sequence[str], options: Mapping[str, bool]) -> float:
    """Return 1 if the answer equals a reference, white space at both ends aside."""

    def plain(text: str) -> str:
        text = text.casefold() if options.get("ignore_case") else text
        if options.get("ignore_punctuation"):
            text = "".join(each for each in text if unicodedata.category(each)[0] != "P")
        return text.strip()

    return float(plain(answer) in {plain(each) for each in references})


def word_f1(answer: str, references: Sequence[str]) -> float:
    """Return the F1 of the words of an answer against the best reference."""
    mine = Counter(text_words(answer))
    wanted = [Counter(text_words(each)) for each in references]
    return max(_f_measure((mine & each).total(), mine.total(), each.total()) for each in wanted)


def macro_f1(right: Sequence[int], chosen: Sequence[int]) -> float:
    """Return the mean F1 over the classes that are right somewhere."""
    pairs = list(zip(right, chosen, strict=True))
    scores = []
    for label in sorted(set(right)):
        both = sum(pair == (label, label) for pair in pairs)
        scores.append(_f_measure(both, sum(c == label for c in chosen), sum(r == label for r in right)))
    return float(np.mean(scores))


def bootstrap(
    rows: CountRows, statistic: Callable[[CountRows], float], resamples: int, seed: int
) -> tuple[float, float]:
    """Return the 95 % interval of a statistic of the summed rows (N, K), by drawing rows with replacement."""
    rng, count = np.random.default_rng(seed), len(rows)
    drawn: list[float] = []
    while len(drawn) < resamples:
        many = min(resamples - len(drawn), max(1, 4_000_000 // count))
        weights = rng.multinomial(count, np.full(count, 1 / count), size=many)
        drawn += [statistic(sums) for sums in weights @ rows]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(high)
