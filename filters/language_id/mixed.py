"""Keeps the score of a language low where little of a text is in it.

A model reads a sample, and names the language whose n-grams are rarest rather than the one of most letters. So letters
are counted by script, and short pieces of the text, evenly spread, are looked at.
"""

from collections.abc import Callable, Sequence

from filters.language_id.labels import split_label
from filters.language_id.scripts import SCRIPT_PARTS, script_counts

_Label = tuple[str, float]
_Glances = Callable[[Sequence[str], float], list[str]]
_HALF, _MOST = 0.5, 0.9  # a language of less than half of a text has no greater score
_QUARTER, _LEAST_SURE = 0.25, 0.5  # the same for a quarter of it; below, the score falls with the share
_LOOKED = 400  # characters of the shortest text of which pieces are looked at
_PIECES, _PIECE = 8, 60  # pieces, and their characters
_SURE = 0.8  # score of a piece that is surely in its language
_FEW = 3  # pieces in other languages that lower a score
_COUNTED = 4000  # characters whose script is counted, evenly spread; more would not change a share


def limit_scores(labels: Sequence[_Label], text: str, glances: _Glances) -> list[_Label]:
    """The labels of a text with the scores that their shares of the text allow, best first."""
    if not labels or labels[0][1] <= _LEAST_SURE:
        return list(labels)
    counts = script_counts(text[:: 1 + len(text) // _COUNTED])
    letters = sum(counts.values())
    first, score = labels[0]
    most = min(_limit(_share_in_script(first, counts, letters)), _limit(_share_of_pieces(first, text, glances)))
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


def _share_of_pieces(label: str, text: str, glances: _Glances) -> float:
    """The share of the pieces that are surely in a language that are in this one; 1 where few are in others."""
    if len(text) < _LOOKED:
        return 1.0
    step = (len(text) - _PIECE) // (_PIECES - 1)
    pieces = [text[at : at + _PIECE].replace("\n", " ") for at in range(0, step * _PIECES, step)]
    code = split_label(label)[0]
    found = [split_label(each)[0] for each in glances(pieces[::2], _SURE)]
    if all(each == code for each in found):  # half of the pieces show a second language that is half of the text
        return 1.0
    found += [split_label(each)[0] for each in glances(pieces[1::2], _SURE)]
    own = found.count(code)
    others = [each for each in found if each != code]
    # Pieces of a text in a language that the model knows badly get many labels; a second language gets one.
    most = max(map(others.count, others), default=0)
    return own / (own + most) if most >= _FEW else 1.0
