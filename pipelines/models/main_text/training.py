"""Trains the model that finds main text, on pages whose main text is known."""

import hashlib
import random
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from filters.main_text import layout as col
from filters.main_text.answers import answers
from filters.main_text.boosting import Growth, grow
from filters.main_text.choose import Model
from filters.main_text.features import features
from filters.main_text.forest import Forest
from filters.main_text.labels import label
from filters.main_text.layout import Floats, Page
from filters.main_text.measure import sum_up
from filters.main_text.scan import scan

_SLOTS = 1 << 16
_ROWS = 150_000  # blocks from which a forest is grown
_MOST_CHARS = 400  # of a block that count for its weight
_PARTS = 2  # of the pages: the second forest learns from answers of a first one that has not seen the page
_LITTLE = 0.15  # of a page's text: pages with less main text count more
_UPWARDS = 10  # nodes above a block whose class words count
_LONG, _SHORT_BLOCKS = 80, 4  # characters of a long block; such blocks of a shortened page, at most
_SHORT_WEIGHT = 0.5
_SEEN = 3  # pages on which a class word must be


@dataclass(frozen=True)
class Sample:
    """A page with its main text."""

    html: bytes  # in UTF-8
    gold: str
    site: str
    language: str = ""
    kind: str = ""  # article, forum, ...
    source: str = ""
    weight: float = 1.0
    labels: Floats | None = None  # of the blocks, where they are known without a gold text
    id: str = ""


@dataclass
class Prepared:
    """A sample as blocks."""

    sample: Sample
    page: Page
    labels: Floats
    key: str = field(init=False)  # the start of the text, so that copies of a page are known

    def __post_init__(self) -> None:
        letters = re.sub(r"[\W_]+", "", self.sample.gold[:3000]).lower()[:400]
        self.key = hashlib.sha256(letters.encode()).hexdigest() if letters else self.sample.id


def prepare(samples: Iterable[Sample]) -> Iterator[Prepared]:
    """Read and label pages."""
    for sample in samples:
        page = scan(sample.html)
        texts = [page.block_text(number) for number in range(len(page.blocks))]
        yield Prepared(sample, page, label(texts, sample.gold) if sample.labels is None else sample.labels)


def folds(pages: Sequence[Prepared], count: int, salt: str = "") -> list[int]:
    """The fold of each page. Pages of one site, or with one text, are in one fold; another `salt` makes other folds."""
    group: dict[str, str] = {}

    def root(name: str) -> str:
        while group.setdefault(name, name) != name:
            name = group[name]
        return name

    for page in pages:
        one, other = root(f"site {page.sample.site or page.sample.id}"), root(f"text {page.key}")
        group[max(one, other)] = min(one, other)
    return [zlib.crc32((root(f"text {page.key}") + salt).encode()) % count for page in pages]


def shortened(page: Prepared, chance: random.Random) -> Prepared | None:
    """The page with little of its main text, and all else as it is; None for a page with little of it anyway.

    Models that have seen few short articles among many teasers take the teasers.
    """
    chars = page.page.blocks[:, col.B_CHARS]
    long_blocks = np.flatnonzero((page.labels >= 0.5) & (chars >= _LONG))
    left = chance.randint(1, _SHORT_BLOCKS)
    if page.sample.kind not in ("", "article") or len(long_blocks) < _SHORT_BLOCKS + left:
        return None
    kept = (page.labels < 0.5) | (np.arange(len(chars)) <= long_blocks[left - 1])
    blocks, nodes = page.page.blocks[kept], page.page.nodes.copy()
    sum_up(blocks, nodes)
    sample = replace(page.sample, weight=page.sample.weight * _SHORT_WEIGHT)
    return replace(page, sample=sample, page=replace(page.page, blocks=blocks, nodes=nodes), labels=page.labels[kept])


def train_model(pages: Sequence[Prepared], growth: Growth, seed: int = 0) -> Model:
    """The model of these pages."""
    parts = folds(pages, _PARTS, "part")
    first_answers: list[Floats] = [np.zeros(0, np.float32)] * len(pages)
    for part in range(_PARTS):
        model, weights = _first([page for page, own in zip(pages, parts, strict=True) if own != part], growth, seed)
        for number, page in enumerate(pages):
            if parts[number] == part:
                first_answers[number] = model.answer(features(page.page, weights))
    first, weights = _first(pages, growth, seed)
    both = (
        np.concatenate([features(page.page, weights), answers(page.page, first_answers[number])])
        for number, page in enumerate(pages)
    )
    return Model(first, _grow(pages, both, growth, seed), weights)


def _first(pages: Sequence[Prepared], growth: Growth, seed: int) -> tuple[Forest, Floats]:
    """The first forest, and the weights of class words."""
    weights = _word_weights(pages)
    return _grow(pages, (features(page.page, weights) for page in pages), growth, seed), weights


def _grow(pages: Sequence[Prepared], numbers: Iterable[Floats], growth: Growth, seed: int) -> Forest:
    """A forest of some of the blocks of all pages."""
    chance = np.random.default_rng(seed)
    share = min(1.0, _ROWS / max(1, sum(len(page.labels) for page in pages)))
    columns, wanted, weights = [], [], []
    for page, own in zip(pages, numbers, strict=True):
        taken = chance.random(len(page.labels)) < share
        columns.append(own[:, taken])
        wanted.append(page.labels[taken])
        weights.append(_weights(page)[taken])
    return grow(np.concatenate(columns, axis=1), np.concatenate(wanted), np.concatenate(weights), seed, growth)


def _weights(page: Prepared) -> Floats:
    """The weight of each block in training: by its text, and less than in proportion to the page's."""
    chars = page.page.blocks[:, col.B_CHARS].astype(np.float64)
    own = np.minimum(chars, _MOST_CHARS) + 5
    if not len(own):
        return own.astype(np.float32)
    wanted = float((chars * page.labels).sum() / chars.sum())
    own *= page.sample.weight * (2 if wanted < _LITTLE else 1) / float(own.sum()) ** 0.75
    return own.astype(np.float32)


def _word_weights(pages: Sequence[Prepared]) -> Floats:
    """For every slot of a class word, the logarithm of how much more often it is above main text; (65536,)."""
    good, bad = np.zeros(_SLOTS), np.zeros(_SLOTS)
    for page in pages:
        own = np.zeros((2, _SLOTS))
        above: dict[int, npt.NDArray[np.int32]] = {}
        for block, node in enumerate(page.page.blocks[:, col.B_NODE].tolist()):
            if node not in above:
                above[node] = _words_above(page.page, node)
            own[int(page.labels[block] < 0.5)][above[node]] += 1
        both = own.sum(axis=0)
        seen = both > 0
        good[seen] += own[0][seen] / both[seen]
        bad[seen] += own[1][seen] / both[seen]
    found = np.log((good + 0.5) / (bad + 0.5))
    found[good + bad < _SEEN] = 0
    return (np.round(np.clip(found, -4, 4) * 16) / 16).astype(np.float32)


def _words_above(page: Page, node: int) -> npt.NDArray[np.int32]:
    """The slots of class words of a node and those above it, each once."""
    found: list[npt.NDArray[np.int32]] = []
    for _ in range(_UPWARDS):
        found.append(page.class_words[page.nodes[node, col.N_WORD] : page.nodes[node, col.N_WORD_END]])
        node = int(page.nodes[node, col.N_PARENT])
        if node < 0:
            break
    return np.unique(np.concatenate(found))
