"""Which language a text is in, and how sure that is: any fastText model is asked, and the script is counted.

The default model is a pair: a small one of ours that knows all wanted languages (filters/models/README.md), and
lid.176.ftz (Joulin et al. 2016, CC-BY-SA 3.0) for the others; `arbiter` joins their answers. `pipelines.models.files`
opens models.
"""

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypedDict

from filters.language_id.arbiter import Pair
from filters.language_id.fasttext_model import FastTextModel
from filters.language_id.relatives import settle_relatives
from filters.language_id.scripts import (
    CHINESE,
    HAN,
    SCRIPT_PARTS,
    bare_arabic,
    han_form,
    script_counts,
    script_of,
    settle_han,
    split_label,
    standard_label,
    urdu_letters,
)
from filters.text.charset import mend
from filters.text.quick_text import PIECES, page_glances, page_sample, with_plain_spaces

TEXT_SAMPLE = 1200  # characters of a text that are read: longer samples change next to no label
_OWN_SCRIPT = 0.1  # share of letters in the model's script for a language from which its label keeps that script
_SURE_GLANCE = 0.4  # least score of a short piece of a page that is surely in a language
_GLANCED = 0.1  # score that a page gets for a language that only such a piece is in
_ASKED = 6  # labels that a model is asked for: more than are wanted, since some are taken out
_CERTAIN = 0.9  # score from which formulas in a text did no harm
_FORMULAS = 0.15  # share of a text's words from which they are taken out
_FORMULA = re.compile(
    "[=<>^_{}\\\\\u00b1\u00d7\u00f7\u2070-\u209f\u2102\u2115\u211a\u211d\u2124\u2190-\u21ff\u2200-\u22ff\u25a1\u27c0-\u27ff\u2980-\u2aff]"
)
_WORD = re.compile(r"[^\W\d_]{2}")
# Languages whose texts are easily confused: the gate lets one pass for the other.
_NEAR: dict[str, tuple[str, ...]] = {
    "arb": ("arz",),
    "aka": ("twi", "fat"),
    "twi": ("aka", "fat"),
    "hin": ("bho", "mag", "mai", "awa"),
    "ind": ("zsm", "jav", "sun", "min"),
    "kin": ("run",),
    "npi": ("dty",),
    "nso": ("tsn", "sot"),
    "por": ("glg",),
    "run": ("kin",),
    "sot": ("tsn", "nso"),
    "spa": ("glg", "ast"),
    "tsn": ("nso", "sot"),
    "xho": ("zul", "ssw", "nbl"),
    "zho": ("wuu", "yue", "jpn"),
    "zul": ("xho", "ssw", "nbl"),
}

_Label = tuple[str, float]  # "fra_Latn", score


class _StoredLabel(TypedDict):
    """A label as the stages store it."""

    label: str
    score: float


@dataclass(frozen=True)
class LanguageModel:
    """A fastText model of languages, or a pair of them: `sha256` identifies it, `path` says where the file is."""

    path: str
    sha256: str
    labels: frozenset[str]  # "fra_Latn"
    raw: FastTextModel | Pair = field(repr=False, compare=False)

    def predict(self, text: str, k: int = 3) -> list[_Label]:
        """The k likeliest labels of a whole text, best first, with scores from 0 to 1; none for an empty text."""
        line = bare_arabic(urdu_letters(with_plain_spaces(text.replace("\n", " "))))
        if isinstance(self.raw, Pair):
            return self.raw.predict(line, k)
        return [(standard_label(raw), min(1.0, score)) for score, raw in self.raw.predict([line], k)[0]]

    def glances(self, pieces: Sequence[str], least: float) -> list[str]:
        """The likeliest label of each short piece whose score is at least `least`: quick, and less sure.

        Of a pair, only our model is asked, without the arbiter.
        """
        pieces = [bare_arabic(piece) for piece in pieces]
        ask = self.raw.glances(pieces, least) if isinstance(self.raw, Pair) else self.raw.predict(pieces, 1, least)
        return [standard_label(raw) for found in ask for _, raw in found]

    def knows(self, iso639_3: str) -> bool:
        """Whether the model has a label for the language."""
        return any(split_label(label)[0] == iso639_3 for label in self.labels)


def identify(text: str, model: LanguageModel, k: int = 3) -> list[_Label]:
    """The k likeliest languages of a text, best first, in the script of the text; none for a text without letters.

    A sample of the text is read (`text_sample`). A label keeps the script its language has in the model where a tenth
    of the letters are in it (a manual in Hindi is full of Latin names), else it gets the script of most letters. In
    texts of 400 characters or more, a language that less than half of the text is in rarely has a score above 0.9, and
    one in a fifth of it rarely one above 0.5.
    """
    labels = _identify_sample(text_sample(text), model)
    return limit_scores(labels, text, model.glances)[:k]


def identify_page(text: str, model: LanguageModel, k: int = 3) -> list[_Label]:
    """The k likeliest languages of a page by its quick text, and those that a short piece of it is surely in.

    A piece gives its language a score of 0.1 at least, so that a second language of the page passes the gate.
    """
    text = with_plain_spaces(text)
    labels = _identify_sample(mend(page_sample(text)), model)[:k]
    if labels:
        found = dict(labels)
        for label in model.glances(page_glances(text), _SURE_GLANCE):
            found[label] = max(found.get(label, 0.0), _GLANCED)
        labels = sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))
    return labels


def _identify_sample(part: str, model: LanguageModel) -> list[_Label]:
    """The likeliest languages of a short text, best first."""
    counts = script_counts(part)
    if not counts:
        return []
    letters = sum(counts.values())
    found = model.predict(part, _ASKED)
    if found and found[0][1] < _CERTAIN and (prose := _without_formulas(part)) != part:
        found = model.predict(prose, _ASKED)
    found = settle_relatives(found, part, model.labels)
    scores: dict[str, float] = {}
    for label, score in settle_han(found, part, counts):
        written = _in_script(label, counts, letters, part)
        scores[written] = scores.get(written, 0.0) + score  # two labels of a language may differ in script alone
    return sorted(scores.items(), key=lambda found: (-found[1], found[0]))


def _without_formulas(text: str) -> str:
    """The text without its formulas, where it has some among words: models take them for rare languages."""
    if _FORMULA.search(text) is None:
        return text
    words = text.split()
    prose = [word for word in words if _FORMULA.search(word) is None and _WORD.search(word) is not None]
    formulas = len(words) - len(prose)
    return " ".join(prose) if formulas >= _FORMULAS * len(words) and prose else text


def _in_script(label: str, counts: dict[str, int], letters: int, text: str) -> str:
    code, usual = split_label(label)
    if usual in HAN and code in CHINESE:
        return f"{code}_{han_form(text)}"
    own = sum(counts.get(part, 0) for part in SCRIPT_PARTS[usual]) if usual in SCRIPT_PARTS else counts.get(usual, 0)
    return label if own >= _OWN_SCRIPT * letters else f"{code}_{script_of(text)}"


def text_sample(text: str) -> str:
    """The characters of a text from which its language is identified: TEXT_SAMPLE of them, from four places."""
    if len(text) <= TEXT_SAMPLE:
        return text
    size = TEXT_SAMPLE // PIECES
    last = len(text) - size
    return " ".join(text[at : at + size] for at in (last * piece // (PIECES - 1) for piece in range(PIECES)))


def gate(
    languages: Iterable[Sequence[_StoredLabel] | None], iso639_3: str, floor: float, known: Collection[str]
) -> list[bool]:
    """Which pages may be in a language, by the labels of their quick text, as the index stores them.

    True where the language, or a near one, is among a page's labels with a score of at least `floor`. `known` are all
    labels of the model: it cannot rule out a language it does not know, so then every page passes. So does a document
    without labels, which nothing has looked into.
    """
    wanted = {iso639_3, *_NEAR.get(iso639_3, ())}
    if not any(split_label(label)[0] in wanted for label in known):
        return [True for _ in languages]
    return [
        labels is None or any(item["score"] >= floor and split_label(item["label"])[0] in wanted for item in labels)
        for labels in languages
    ]


# Mixed texts: a model names the language whose n-grams are rarest, not the one of most letters. So letters are counted
# by script, and short pieces of the text, evenly spread, are looked at.
_Glances = Callable[[Sequence[str], float], list[str]]
_HALF, _MOST = 0.5, 0.9  # a language of less than half of a text has no greater score
_QUARTER, _LEAST_SURE = 0.25, 0.5  # the same for a quarter of it; below, the score falls with the share
_LOOKED = 400  # characters of the shortest text of which pieces are looked at
_PIECES, _PIECE = 16, 60  # pieces, and their characters; every second one is looked at first
_NEARLY_ALL, _MANY = 7, 10  # pieces in the language, of half and of all, that allow every score beside few others
_SURE = 0.5  # score of a piece that is surely in its language
_FEW = 3  # pieces in one other language that lower a score
_COUNTED = 4000  # characters whose script is counted, evenly spread; more would not change a share


def limit_scores(labels: Sequence[_Label], text: str, glances: _Glances) -> list[_Label]:
    """The labels of a text with the scores that their shares of the text allow, best first."""
    if not labels or labels[0][1] <= _LEAST_SURE:
        return list(labels)
    counts = script_counts(text[:: 1 + len(text) // _COUNTED])
    letters = sum(counts.values())
    first, score = labels[0]
    most = min(_limit(_share_in_script(first, counts, letters)), _limit_by_pieces(first, text, glances))
    if score <= most:
        return list(labels)
    return sorted([(first, most), *labels[1:]], key=lambda found: (-found[1], found[0]))


def _limit(share: float) -> float:
    """The greatest score of a language that this share of a text is in."""
    if share >= _HALF:
        return 1.0
    if share <= _QUARTER:
        return _LEAST_SURE * share / _QUARTER
    return _LEAST_SURE + (_MOST - _LEAST_SURE) * (share - _QUARTER) / (_HALF - _QUARTER)


def _share_in_script(label: str, counts: dict[str, int], letters: int) -> float:
    script = split_label(label)[1]
    return sum(counts.get(part, 0) for part in SCRIPT_PARTS.get(script, (script,))) / letters


def _limit_by_pieces(label: str, text: str, glances: _Glances) -> float:
    """The greatest score that the pieces of a text allow: more than 0.9 only where most are surely in the language."""
    if len(text) < _LOOKED:
        return 1.0
    last = len(text) - _PIECE
    pieces = [text[at : at + _PIECE].replace("\n", " ") for at in (last * n // (_PIECES - 1) for n in range(_PIECES))]
    code = split_label(label)[0]
    found = [split_label(each)[0] for each in glances(pieces[::2], _SURE)]
    if found.count(code) >= _NEARLY_ALL and len(set(found)) == 1:
        return 1.0
    found += [split_label(each)[0] for each in glances(pieces[1::2], _SURE)]
    own = found.count(code)
    # Pieces of a text in a language that the model knows badly get many labels; a second language gets one.
    others = [each for each in found if each != code]
    most = max(map(others.count, others), default=0)
    if most >= _FEW:
        return min(_MOST, _limit(own / (own + most)))
    return 1.0 if own >= _MANY else _MOST
