"""Joins two models of languages: ours, which knows the wanted languages, and a wide one, which knows many others.

Ours learned the wanted languages well and a few hundred others a little. The wide one does not know half of the wanted
languages and gives them other names. So ours proposes the likeliest wanted language, and a logistic regression of that
language turns the scores of both models into the chance that the proposal is right. That chance is the score. The rest
of 1 goes to the foreign languages that the models name, and to other wanted ones.

The regressions are trained on text kept back from our model, in which it does not know half of the foreign languages.
"""

import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import exp, log

import numpy as np
import numpy.typing as npt

from filters.language_id.fasttext_model import FastTextModel, Prediction

_Label = tuple[str, float]
_PREFIX = "__label__"
# Letters that every text of a language has: without them neither model may name it.
_HAN = re.compile("[\u3400-\u9fff\U00020000-\U000323af]")
_WRITTEN = {"jpn_Jpan": re.compile("[\u3040-\u30ff]"), "zho_Hans": _HAN, "zho_Hant": _HAN}
_WITHIN = 0.5  # power of the wide model's score, where it knows a wanted language, to choose among the wanted ones
_UNASKED = 0.3  # stands for the wide model's score of a language it does not know
_LEAST = 0.01  # stands for the wide model's score of a language it knows and does not name
_SURE = 0.999  # scores nearer to 0 or 1 count as this, so that their logits stay finite
_SHARED_RIDGE, _OWN_RIDGE, _BIAS_RIDGE = 0.01, 10.0, 1.0  # ridge of shared weights, of a language's own, of its bias
_OWN_LOOK, _WIDE_LOOK = 6, 4  # likeliest labels that are read of each model
_SURE_ALONE = 0.95  # score of ours from which the wide model is not asked: that one takes longer
_SURE_KNOWN = 0.85  # the same for a wanted language that both models know: these are seldom confused
_LONG_ALONE = 100  # characters of the shortest line for which ours is enough
_NEVER = 2.0  # no score is as high: of a foreign language ours alone is never enough
_WIDE_PIECE = 80  # characters of each of the two pieces of a long line that the wide model reads
_LONG_LOOK = 330  # characters from which on ours reads pieces of a line before the whole
_LOOKS, _LOOK_PIECE = 5, 27  # how many pieces, and their characters
_LEAST_LETTERS = 100  # letters that the pieces must hold; price lists have fewer
_SURE_LOOK = 0.9  # score of the pieces from which the whole is not read
# Signs, digits and control characters carry no language; apostrophes do (Kikuyu "ng'ombe").
_BLANK = bytes(
    32 if byte < 128 and not (chr(byte).isalpha() or chr(byte) == "'") else byte for byte in range(256)
)  # a table for UTF-8 bytes, in which only ASCII changes
FEATURES = ("score", "share among the wanted", "score of the wide model", "foreign score of the wide model",
            "foreign score of ours", "bias")  # fmt: skip


@dataclass(frozen=True)
class Arbiter:
    """The weights of every wanted label, in the order of FEATURES, and the labels the wide model knows."""

    weights: Mapping[str, tuple[float, ...]]
    wide: frozenset[str]

    def judge(self, own: Sequence[_Label], wide: Sequence[_Label]) -> list[_Label]:
        """Labels with calibrated scores from the answers of both models, best first; they sum to 1 at most.

        Where the models disagree, the answers of both are among the first three.
        """
        among = self.wanted_scores(own, wide)
        foreign = self._foreign(own, wide)
        best: list[_Label] = []
        left = 1.0
        if among:
            first = max(among, key=among.__getitem__)
            values = self.features(first, among, own, wide)
            score = 1 / (1 + exp(-sum(map(float.__mul__, self.weights[first], values))))
            best, left = [(first, score)], 1 - score
            foreign += [found for found in among.items() if found[0] != first]
        whole = sum([score for _, score in foreign]) or 1.0
        best += [(label, left * score / whole) for label, score in foreign]
        return sorted(best, key=_best_first)

    def wanted_scores(self, own: Sequence[_Label], wide: Sequence[_Label]) -> dict[str, float]:
        """The wanted labels that ours names; their scores take in the wide model's, where it knows the language."""
        said = dict(wide)
        return {
            label: score * (max(said.get(label, 0.0), _LEAST) if label in self.wide else _UNASKED) ** _WITHIN
            for label, score in own
            if label in self.weights
        }

    def features(
        self, label: str, among: Mapping[str, float], own: Sequence[_Label], wide: Sequence[_Label]
    ) -> tuple[float, ...]:
        """The evidence for and against a wanted label, in the order of FEATURES."""
        weights = self.weights
        return (
            _logit(dict(own)[label]),
            _logit(among[label] / sum(among.values())),
            _logit(dict(wide).get(label, 0.0)) if label in self.wide else 0.0,
            _logit(max([score for name, score in wide if name not in weights], default=0.0)),
            _logit(sum([score for name, score in own if name not in weights])),
            1.0,
        )

    def _foreign(self, own: Sequence[_Label], wide: Sequence[_Label]) -> list[_Label]:
        """Foreign languages: as the wide model names those it knows, and as ours names the others."""
        named = [found for found in wide if found[0] not in self.weights]
        return named + [found for found in own if found[0] not in self.weights and found[0] not in self.wide]


@dataclass(frozen=True)
class Pair:
    """Two fastText models and their arbiter."""

    own: FastTextModel
    wide: FastTextModel
    arbiter: Arbiter
    names: Mapping[str, str]  # the wide model's labels -> ours

    def ask(self, line: str) -> tuple[list[_Label], list[_Label]]:
        """The likeliest labels of a line by ours and by the wide model."""
        return self._ask_wide(line, self._ask_own(line))

    def _ask_own(self, line: str) -> list[_Label]:
        """The likeliest labels by ours: of pieces of a long line, and of the whole where those leave doubt."""
        if len(line) >= _LONG_LOOK:
            letters = " ".join(model_line(_pieces(line, _LOOKS, _LOOK_PIECE)).split())
            if len(letters) >= _LEAST_LETTERS:
                found = self._read(letters, line)
                if found and found[0][1] >= _SURE_LOOK:
                    return found
        return self._read(model_line(line), line)

    def _read(self, letters: str, line: str) -> list[_Label]:
        (found,) = self.own.predict([letters.strip()], _OWN_LOOK)
        return _possible([(raw.removeprefix(_PREFIX), min(1.0, score)) for score, raw in found], line)

    def _sure_of(self, label: str) -> float:
        """The score from which the wide model is not asked."""
        if label in self.arbiter.wide:
            return _SURE_KNOWN
        return _SURE_ALONE if label in self.arbiter.weights else _NEVER

    def _ask_wide(self, line: str, own: list[_Label]) -> tuple[list[_Label], list[_Label]]:
        said: dict[str, float] = {}
        for score, raw in self.wide.predict([_two_pieces(line)], _WIDE_LOOK)[0]:
            said[self.names[raw]] = min(1.0, said.get(self.names[raw], 0.0) + score)  # two labels may be one
        return own, _possible(list(said.items()), line)

    def glances(self, pieces: Sequence[str], least: float) -> list[list[Prediction]]:
        """The likeliest label of each short piece by ours alone, where its score is at least `least`."""
        return self.own.predict([model_line(piece) for piece in pieces], 1, least)

    def predict(self, line: str, k: int) -> list[_Label]:
        """The k best labels of a line."""
        own = self._ask_own(line)
        first, score = own[0] if own else ("", 0.0)
        if score >= self._sure_of(first) and len(line) >= _LONG_ALONE:
            return self.arbiter.judge(own, [(first, score)])[:k]
        return self.arbiter.judge(*self._ask_wide(line, own))[:k]


ArbiterExample = tuple[
    Sequence[_Label], Sequence[_Label], str
]  # labels by ours, labels by the wide model, the true label


def learn_arbiter(wanted: Sequence[str], wide: frozenset[str], examples: Sequence[ArbiterExample]) -> Arbiter:
    """Train an arbiter on texts of known languages that ours was not trained on.

    Languages the wide model knows and those it does not are two groups. All languages of a group share weights, and
    each departs from them as far as its examples ask (ridge regression): Indonesian, close to Malay, leans on the wide
    model, others hardly. Newton's method, 30 steps, no random start.
    """
    blank = Arbiter(dict.fromkeys(wanted, ()), wide)
    rows: dict[bool, list[tuple[str, tuple[float, ...], bool]]] = {True: [], False: []}
    for own, said, truth in examples:
        among = blank.wanted_scores(own, said)
        if among:
            first = max(among, key=among.__getitem__)
            rows[first in wide].append((first, blank.features(first, among, own, said), first == truth))
    weights: dict[str, tuple[float, ...]] = {}
    for known, group in rows.items():
        labels = [label for label in wanted if (label in wide) == known]
        weights |= _regress(labels, group)
    return Arbiter(weights, wide)


def with_doubt(
    arbiter: Arbiter, examples: Sequence[ArbiterExample], strange: Collection[str], passing: float, lost: float
) -> Arbiter:
    """The arbiter with more doubt of languages that pass for a near one in text on new matter.

    A language that few texts teach passes for its neighbour as soon as it speaks of something else, and text kept back
    from the same sources does not show it. So each language's bias goes down until at most the share `passing` of the
    samples of each `strange` language have a score of 0.5 under its name; but no further than costs the share `lost` of
    its own samples.
    """
    logits: dict[tuple[str, str], list[float]] = {}
    totals: dict[str, int] = {}
    for own, wide, truth in examples:
        totals[truth] = totals.get(truth, 0) + 1
        among = arbiter.wanted_scores(own, wide)
        if among:
            first = max(among, key=among.__getitem__)
            values = arbiter.features(first, among, own, wide)
            logits.setdefault((first, truth), []).append(sum(map(float.__mul__, arbiter.weights[first], values)))
    weights = {}
    for label, found in arbiter.weights.items():
        needed = 0.0
        for truth in sorted(strange):
            passed = sorted(logits.get((label, truth), ()), reverse=True)
            allowed = int(passing * totals.get(truth, 0))
            needed = max(needed, passed[allowed]) if len(passed) > allowed else needed
        mine = sorted(logits.get((label, label), ()))
        most = mine[int(lost * len(mine))] if mine else 0.0
        weights[label] = (*found[:-1], round(found[-1] - max(0.0, min(needed, most)), 4))
    return Arbiter(weights, arbiter.wide)


def _regress(
    labels: Sequence[str], rows: Sequence[tuple[str, tuple[float, ...], bool]]
) -> dict[str, tuple[float, ...]]:
    """Logistic regression with shared weights and a departure for each label; weights by label."""
    width = len(FEATURES)
    shared = np.array([values for _, values, _ in rows], dtype=np.float64).reshape(-1, width)
    places = np.array([labels.index(label) for label, _, _ in rows], dtype=np.int64)
    right = np.array([is_right for _, _, is_right in rows], dtype=np.float64)
    own = np.zeros((len(rows), len(labels), width))
    own[np.arange(len(rows)), places] = shared
    table = np.hstack([shared, own.reshape(len(rows), -1)])
    ridge = np.concatenate(
        [np.full(width, _SHARED_RIDGE), np.tile([_OWN_RIDGE] * (width - 1) + [_BIAS_RIDGE], len(labels))]
    )
    found: npt.NDArray[np.float64] = np.zeros(table.shape[1])
    for _ in range(30):
        chance = 1 / (1 + np.exp(-np.clip(table @ found, -30, 30)))
        slope = table.T @ (right - chance) - ridge * found
        curve = (table.T * (chance * (1 - chance))) @ table + np.diag(ridge)
        found = found + np.linalg.solve(curve, slope)
    departures = found[width:].reshape(len(labels), width)
    return {
        label: tuple(round(float(weight), 4) for weight in found[:width] + departure)
        for label, departure in zip(labels, departures, strict=True)
    }


def model_line(text: str) -> str:
    """A text as our model reads it, in training and in use: composed, in lower case, without signs and digits."""
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    return text.lower().encode("utf-8", "replace").translate(_BLANK).decode()


def _possible(found: list[_Label], line: str) -> list[_Label]:
    """The labels without those whose letters the line lacks."""
    if all(label not in _WRITTEN for label, _ in found):
        return found
    return [(label, score) for label, score in found if label not in _WRITTEN or _WRITTEN[label].search(line)]


def _two_pieces(line: str) -> str:
    """The beginning and the middle of a long line."""
    return line if len(line) <= 2 * _WIDE_PIECE else _pieces(line, 2, _WIDE_PIECE)


def _pieces(line: str, count: int, size: int) -> str:
    """`count` pieces of a line, `size` characters each, evenly spread from its beginning."""
    return " ".join(line[at : at + size] for at in range(0, len(line) - size, len(line) // count))


def _best_first(found: _Label) -> tuple[float, str]:
    return -found[1], found[0]


def _logit(share: float) -> float:
    bounded = _SURE if share > _SURE else share if share > 1 - _SURE else 1 - _SURE
    return log(bounded / (1 - bounded))
