"""Texts of two languages, mixed in many ways: no high score may go to the language of less than half of the letters."""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from filters.language_id.identify import identify
from filters.language_id.scripts import split_label
from pipelines.models.files import load_model
from pipelines.models.language_id_text import read_folder

TEXTS, SEED = 24_000, 15
LETTERS = (450, 600, 900, 1200, 2500, 5000, 20_000)  # of a text, about
SHARES = (0.1, 0.48)  # of the letters, in the smaller language
SHORTEST = 400  # characters of a text; shorter ones are judged by script alone
WAYS = ("first", "last", "lines", "blocks", "turns")  # where the smaller language stands


def mixed(folder: Path) -> list[str]:
    """Print, by way of mixing, how often the smaller language of two gets too high a score; returns what misses."""
    sentences = {label: found[0].documents for label, found in read_folder(folder).items()}
    rng, model = random.Random(SEED), load_model()
    made, above, quarter, surer = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    worst = []
    while made.total() < TEXTS:
        text, label, share, way = mix(sentences, rng)
        if not text:
            continue
        code = split_label(label)[0]
        score = max((each for name, each in identify(text, model, 5) if split_label(name)[0] == code), default=0.0)
        made[way] += 1
        above[way] += score > 0.9
        quarter[way] += share <= 0.25
        surer[way] += share <= 0.25 and score > 0.5
        worst += [f"{label} {share:.2f} {way} {score:.2f}"] if score > 0.9 else []
    print("| smaller language | texts | score > 0.9 | a quarter or less of the text | score > 0.5 |")
    print("|---" * 5 + "|")
    for way in WAYS:
        print(f"| {way} | {made[way]} | {above[way]} | {quarter[way]} | {surer[way]} |")
    return worst


def mix(sentences: Mapping[str, Sequence[str]], rng: random.Random) -> tuple[str, str, float, str]:
    """A text of two languages, the label of the smaller one, its share of the letters, and how they are mixed.

    The text is empty if the draw is unfit: two labels of one language, half of the letters or more, or too short.
    """
    small, large = rng.sample(sorted(sentences), 2)
    share, letters, way = rng.uniform(*SHARES), rng.choice(LETTERS), rng.choice(WAYS)
    ours = _draw(sentences[small], share * letters, rng)
    count = sum(map(_letters, ours))
    theirs = _draw(sentences[large], count * (1 - share) / share, rng)
    share = count / (count + sum(map(_letters, theirs)))
    text = rng.choice((" ", "\n")).join(_arrange(ours, theirs, way, rng))
    fit = split_label(small)[0] != split_label(large)[0] and share < SHARES[1] + 0.01 and len(text) >= SHORTEST
    return (text if fit else ""), small, share, way


def _letters(text: str) -> int:
    return sum(map(str.isalpha, text))


def _draw(sentences: Sequence[str], letters: float, rng: random.Random) -> list[str]:
    """Sentences with at least `letters` letters."""
    drawn: list[str] = []
    while letters > 0:
        drawn.append(rng.choice(sentences))
        letters -= _letters(drawn[-1])
    return drawn


def _arrange(ours: list[str], theirs: list[str], way: str, rng: random.Random) -> list[str]:
    if way == "first":
        return ours + theirs
    if way == "last":
        return theirs + ours
    if way == "lines":
        return rng.sample(ours + theirs, len(ours) + len(theirs))
    blocks = 3 if way == "blocks" else max(len(ours), len(theirs))
    places = [(at * len(ours) // blocks, at * len(theirs) // blocks) for at in range(blocks + 1)]
    return [line for (a, b), (c, d) in pairwise(places) for line in ours[a:c] + theirs[b:d]]
