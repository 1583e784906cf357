"""The numbers by which the first forest judges a block. None knows a language or a script.

A matrix has a row a feature and a column a block, because forests read one feature of all blocks at a time. No feature
is a logarithm: trees need none, and so the numbers are the same on every processor.
"""

import numpy as np

from filters.main_text import layout as col
from filters.main_text.alike import distances, group_keys, slots_of
from filters.main_text.layout import Floats, Ints, Page
from filters.main_text.tags import NAMES, NUMBER, numbers_of_tags
from filters.text.compiled import compiled, inlined

_RANKS = (  # elements from the least to the most like main text
    "button option legend label form", "nav footer menu", "aside", "ul ol tr table tbody", "li", "td th",
    "div body section custom", "header", "address", "figcaption caption", "dt dd details summary", "article main",
    "h1", "h2", "h3", "h4 h5 h6", "blockquote", "pre", "p",
)  # fmt: skip
_ABOVE = (  # elements whose distance above a block is a feature; those of a group count as one
    "nav menu", "header", "footer", "aside", "article", "main", "ul ol", "table", "form", "section", "p", "blockquote",
    "figure", "dl dd", "pre", "button", "li", "td th", "custom",
)  # fmt: skip
_AROUND = (-3, -2, -1, 1, 2, 3)  # blocks beside one that are looked at
_CENTRES = 5  # nodes to which a block's distance is a feature
_LEVELS = 4  # nodes from a block up whose sums are looked at
_FAR = 999.0
_LONG = 100  # characters outside links of a long block
_TABLE_BITS = 14  # of words on a page
_FREQUENT = 64

_OWN = (
    "chars", "words", "word_chars", "linked", "endings", "endings_share", "marks_share", "digits_share", "unspaced",
    "last", "images", "inline", "rank", "heading", "hidden", "after_break", "pre", "depth",
)  # fmt: skip
_WORDS = ("rarity", "single", "titled", "about")
_PAGE = (
    "place", "before", "blocks", "page_chars", "mean_chars", "page_linked", "good_chars", "good_share", "long_blocks",
    "good_before", "good_after",
)  # fmt: skip
_CLASS = ("word_sum", "word_least", "word_most", "word_own", "word_parent", "word_grandparent")
_NEAR = (
    "near_5", "near_15", "near_linked", "long_before", "long_after", "heading_before", "heading_after", "near_titled",
    "near_about", "headline_section",
)  # fmt: skip
FEATURES: tuple[str, ...] = (
    *_OWN,
    *_WORDS,
    *_PAGE,
    *(f"above_{names.split()[0]}" for names in _ABOVE),
    *_CLASS,
    *(
        f"level_{level}_{what}"
        for level in range(_LEVELS)
        for what in ("share", "linked", "blocks", "mean", "good", "titled", "about")
    ),
    *(f"{where}_{way}" for where in ("half", "most", "nearly_all", "largest", "headline") for way in ("up", "down")),
    "headline_before",
    *(f"{group}_{what}" for group in ("path", "class") for what in ("count", "share", "linked", "mean")),
    "copies",
    *(f"beside_{place}_{what}" for place in _AROUND for what in ("chars", "linked", "alike", "last")),
    *_NEAR,
)
_AT_WORDS = len(_OWN)
_AT_PAGE = _AT_WORDS + len(_WORDS)
_AT_ABOVE = _AT_PAGE + len(_PAGE)
_AT_CLASS = _AT_ABOVE + len(_ABOVE)
_AT_LEVEL = _AT_CLASS + len(_CLASS)
_AT_CENTRE = _AT_LEVEL + 7 * _LEVELS
_AT_GROUP = _AT_CENTRE + 2 * _CENTRES + 1
_AT_BESIDE = _AT_GROUP + 9
_AT_NEAR = _AT_BESIDE + 4 * len(_AROUND)

_H1, _H6 = NUMBER["h1"], NUMBER["h6"]


def _by_tag(groups: tuple[str, ...], first: int, other: int) -> Ints:
    """A table from an element to the number of its group, from `first` on; `other` for the rest."""
    found = np.full(len(NAMES), other, np.int32)
    for number, names in enumerate(groups, first):
        found[numbers_of_tags(names)] = number
    return found


_RANK, _GROUP_ABOVE = _by_tag(_RANKS, 1, 0), _by_tag(_ABOVE, 0, -1)
_LOGS = np.round(np.log(np.arange(1, _FREQUENT + 1)), 3).astype(np.float32)


def features(page: Page, word_weights: Floats) -> Floats:
    """The features of all blocks of a page, (F, B). `word_weights` (65536,) says how often a class is of main text."""
    found = np.zeros((len(FEATURES), len(page.blocks)), np.float32)
    if found.size:
        blocks, nodes = page.blocks, page.nodes
        marks = _likeness(blocks, page.tokens, page.title, page.about, found)
        headline = _own(blocks, nodes, len(page.title), found)
        _place(blocks, nodes, found)
        _above(blocks, nodes, found)
        _classes(blocks, nodes, page.class_words, word_weights, found)
        _levels(blocks, nodes, marks, found)
        _centres(blocks, nodes, headline, found)
        _groups(blocks, nodes, found)
        _beside(blocks, nodes, found)
        _near(blocks, nodes, found)
        _near_head(blocks, nodes, marks, headline, found)
    return found


@compiled
def _likeness(blocks: Ints, tokens: Ints, title: Ints, about: Ints, found: Floats) -> Floats:
    """How usual a block's words are on the page, and how many are in the title and the description.

    Returns of each block its part of the title's and the description's words, (B, 2): each word counts once in all, so
    that words which are all over the page say little.
    """
    mask = (1 << _TABLE_BITS) - 1
    seen, kinds = np.zeros(mask + 1, np.int32), np.zeros(mask + 1, np.uint8)
    for block in range(len(blocks)):
        for place in range(blocks[block, col.B_TOKEN], blocks[block, col.B_TOKEN_END]):
            seen[tokens[place] & mask] += 1
    for token in title:
        kinds[token & mask] |= 1
    for token in about:
        kinds[token & mask] |= 2
    marks = np.zeros((len(blocks), 2), np.float32)
    for block in range(len(blocks)):
        begin, end = blocks[block, col.B_TOKEN], blocks[block, col.B_TOKEN_END]
        count = max(1, end - begin)
        rarity, single, titled, told = 0.0, 0, 0, 0
        for place in range(begin, end):
            token = tokens[place] & mask
            rarity += _LOGS[min(seen[token], _FREQUENT) - 1]
            single += seen[token] == 1
            titled += kinds[token] & 1
            told += kinds[token] >> 1
            marks[block, 0] += np.float32(kinds[token] & 1) / np.float32(seen[token])
            marks[block, 1] += np.float32(kinds[token] >> 1) / np.float32(seen[token])
        for number, value in enumerate((rarity / count, single / count, titled / count, told / count)):
            found[_AT_WORDS + number, block] = value
    return marks


@compiled
def _own(blocks: Ints, nodes: Ints, title: int, found: Floats) -> int:
    """What a block says of itself. Returns the block of the headline: most like the title, a heading if it can be."""
    headline, most = -1, 0.0
    for block in range(len(blocks)):
        row, node = blocks[block], blocks[block, col.B_NODE]
        chars, words, unspaced = row[col.B_CHARS], row[col.B_WORDS], row[col.B_UNSPACED]
        tag = nodes[node, col.N_TAG]
        heading = tag - _H1 + 1 if _H1 <= tag <= _H6 else 0
        values = (
            float(chars), words + 0.6 * unspaced, (chars - unspaced) / max(1, words),
            min(1.0, row[col.B_LINKED] / chars), float(row[col.B_ENDINGS]), row[col.B_ENDINGS] / chars,
            row[col.B_MARKS] / chars, row[col.B_DIGITS] / chars, unspaced / chars, float(row[col.B_LAST]),
            float(row[col.B_IMAGES]), float(row[col.B_INLINE]), float(_RANK[tag]), float(heading),
            float(nodes[node, col.N_FLAGS] & col.IS_HIDDEN), float(row[col.B_AFTER_BREAK]), float(row[col.B_PRE]),
            float(nodes[node, col.N_DEPTH]),
        )  # fmt: skip
        for feature, value in enumerate(values):
            found[feature, block] = value
        count = max(1, row[col.B_TOKEN_END] - row[col.B_TOKEN])
        titled = found[_AT_WORDS + 2, block] * count
        likeness = titled / (count + 0.5 * title) * (1.5 if heading else 1.0) * (1.2 if heading == 1 else 1.0)
        if likeness > most or (likeness == most and heading == 1 and headline < 0):
            headline, most = block, likeness
    return headline


@compiled
def _place(blocks: Ints, nodes: Ints, found: Floats) -> None:
    """Where a block is on the page, and what the page is like."""
    size, chars, linked, good = len(blocks), nodes[0, col.N_CHARS], nodes[0, col.N_LINKED], nodes[0, col.N_GOOD]
    long_blocks = 0
    for block in range(size):
        long_blocks += blocks[block, col.B_CHARS] - blocks[block, col.B_LINKED] >= _LONG
    before, good_before = 0, 0
    for block in range(size):
        count, link = blocks[block, col.B_CHARS], blocks[block, col.B_LINKED]
        own = count - link if blocks[block, col.B_ENDINGS] and count >= col.FEW_CHARS and count > link else 0
        values = (
            block / size, before / chars, float(size), float(chars), chars / size, linked / chars, float(good),
            good / chars, float(long_blocks),
            good_before / max(1, good), (good - good_before - own) / max(1, good),
        )  # fmt: skip
        for feature, value in enumerate(values):
            found[_AT_PAGE + feature, block] = value
        before += count
        good_before += own


@compiled
def _above(blocks: Ints, nodes: Ints, found: Floats) -> None:
    """How near an element of each group is above a block: 1 for its own node, 1/2 for the parent; 0 for none."""
    steps = np.zeros((len(nodes), len(_ABOVE)), np.int32)
    for node in range(len(nodes)):
        parent = nodes[node, col.N_PARENT]
        if parent >= 0:
            for group in range(len(_ABOVE)):
                steps[node, group] = steps[parent, group] + (steps[parent, group] > 0)
        group = _GROUP_ABOVE[nodes[node, col.N_TAG]]
        if group >= 0:
            steps[node, group] = 1
    for block in range(len(blocks)):
        node = blocks[block, col.B_NODE]
        for group in range(len(_ABOVE)):
            found[_AT_ABOVE + group, block] = 1.0 / steps[node, group] if steps[node, group] else 0.0


@compiled
def _classes(blocks: Ints, nodes: Ints, class_words: Ints, weights: Floats, found: Floats) -> None:
    """What the words of class, id, role and itemprop say, of a block's node and of all above it."""
    own = np.zeros(len(nodes), np.float32)
    total, least, most = (
        np.zeros(len(nodes), np.float32),
        np.zeros(len(nodes), np.float32),
        np.zeros(len(nodes), np.float32),
    )
    for node in range(len(nodes)):
        parent = nodes[node, col.N_PARENT]
        if parent >= 0:
            total[node], least[node], most[node] = total[parent] * np.float32(0.9), least[parent], most[parent]
        for place in range(nodes[node, col.N_WORD], nodes[node, col.N_WORD_END]):
            weight = weights[class_words[place]]
            own[node] += weight
            least[node], most[node] = min(least[node], weight), max(most[node], weight)
        total[node] += own[node]
    for block in range(len(blocks)):
        node = blocks[block, col.B_NODE]
        parent = max(0, nodes[node, col.N_PARENT])
        above = max(0, nodes[parent, col.N_PARENT])
        values = (total[node], least[node], most[node], own[node], own[parent], own[above])
        for feature, value in enumerate(values):
            found[_AT_CLASS + feature, block] = value


@compiled
def _levels(blocks: Ints, nodes: Ints, marks: Floats, found: Floats) -> None:
    """The sums of a block's node, its parent and the two above."""
    chars, good = nodes[0, col.N_CHARS], max(1, nodes[0, col.N_GOOD])
    sums = np.zeros((len(nodes), 2), np.float32)
    for block in range(len(blocks)):
        for kind in range(2):
            sums[blocks[block, col.B_NODE], kind] += marks[block, kind]
    for node in range(len(nodes) - 1, 0, -1):
        for kind in range(2):
            sums[nodes[node, col.N_PARENT], kind] += sums[node, kind]
    for block in range(len(blocks)):
        node = blocks[block, col.B_NODE]
        for level in range(_LEVELS):
            own, held = nodes[node, col.N_CHARS], nodes[node, col.N_BLOCKS]
            linked, sentences = nodes[node, col.N_LINKED] / own, nodes[node, col.N_GOOD] / good
            titled, told = sums[node, 0] / (sums[0, 0] + 1e-6), sums[node, 1] / (sums[0, 1] + 1e-6)
            values = (own / chars, linked, float(held), own / held, sentences, titled, told)
            for feature, value in enumerate(values):
                found[_AT_LEVEL + 7 * level + feature, block] = value
            node = max(0, nodes[node, col.N_PARENT])


@inlined
def _deepest(nodes: Ints, share: float) -> int:
    """The deepest node with this share of the page's sentences; -1 where there are none."""
    goal, best = nodes[0, col.N_GOOD] * share, -1
    for node in range(len(nodes) if goal > 0 else 0):
        if nodes[node, col.N_GOOD] >= goal and (best < 0 or nodes[node, col.N_DEPTH] > nodes[best, col.N_DEPTH]):
            best = node
    return best


@compiled
def _centres(blocks: Ints, nodes: Ints, headline: int, found: Floats) -> None:
    """How far a block is from where most sentences are, from the largest block, and from the headline."""
    largest, longest = 0, -1
    for block in range(len(blocks)):
        outside = blocks[block, col.B_CHARS] - blocks[block, col.B_LINKED]
        if outside > longest:
            largest, longest = block, outside
    title = np.int64(blocks[headline, col.B_NODE]) if headline >= 0 else -1
    half, most, nearly_all = _deepest(nodes, 0.5), _deepest(nodes, 0.8), _deepest(nodes, 0.95)
    centres = (half, most, nearly_all, np.int64(blocks[largest, col.B_NODE]), title)
    for number, centre in enumerate(centres):
        distances(int(centre), blocks, nodes, found[_AT_CENTRE + 2 * number], found[_AT_CENTRE + 2 * number + 1])
    for block in range(len(blocks)):
        found[_AT_CENTRE + 10, block] = block - headline if headline >= 0 else -_FAR


@compiled
def _groups(blocks: Ints, nodes: Ints, found: Floats) -> None:
    """What blocks alike are like together, and how often a text is on the page."""
    chars = nodes[0, col.N_CHARS]
    for kind in range(3):
        keys = blocks[:, col.B_HASH].copy() if kind == 2 else group_keys(blocks, nodes, kind == 1)
        slots = slots_of(keys)
        sums = np.zeros((4 * len(blocks) + 16, 3), np.int64)
        for block in range(len(blocks)):
            sums[slots[block], 0] += 1
            sums[slots[block], 1] += blocks[block, col.B_CHARS]
            sums[slots[block], 2] += blocks[block, col.B_LINKED]
        at = _AT_GROUP + 4 * kind
        for block in range(len(blocks)):
            count, held, linked = sums[slots[block], 0], sums[slots[block], 1], sums[slots[block], 2]
            found[at, block] = count
            if kind < 2:
                found[at + 1, block], found[at + 2, block] = held / chars, linked / held
                found[at + 3, block] = held / count


@compiled
def _beside(blocks: Ints, nodes: Ints, found: Floats) -> None:
    """What the blocks before and after one are like; -1 beyond the page."""
    for block in range(len(blocks)):
        path = nodes[blocks[block, col.B_NODE], col.N_PATH]
        at = _AT_BESIDE
        for step in _AROUND:
            other = block + step
            if 0 <= other < len(blocks):
                chars = blocks[other, col.B_CHARS]
                found[at, block], found[at + 1, block] = chars, min(1.0, blocks[other, col.B_LINKED] / chars)
                found[at + 2, block] = nodes[blocks[other, col.B_NODE], col.N_PATH] == path
                found[at + 3, block] = blocks[other, col.B_LAST]
            else:
                found[at : at + 4, block] = -1
            at += 4


@compiled
def _near(blocks: Ints, nodes: Ints, found: Floats) -> None:
    """Text outside links around a block, and how far the next long block and heading are."""
    size = len(blocks)
    outside, linked = np.zeros(size + 1, np.int64), np.zeros(size + 1, np.int64)
    for block in range(size):
        outside[block + 1] = outside[block] + blocks[block, col.B_CHARS] - blocks[block, col.B_LINKED]
        linked[block + 1] = linked[block] + blocks[block, col.B_LINKED]
    for way in range(2):
        long_block, heading = -1, -1
        for place in range(size):
            block = place if way == 0 else size - 1 - place
            found[_AT_NEAR + 3 + way, block] = abs(block - long_block) if long_block >= 0 else _FAR
            found[_AT_NEAR + 5 + way, block] = abs(block - heading) if heading >= 0 else _FAR
            long_block = block if outside[block + 1] - outside[block] >= _LONG else long_block
            heading = block if _H1 <= nodes[blocks[block, col.B_NODE], col.N_TAG] <= _H6 else heading
    for block in range(size):
        low, high = max(0, block - 5), min(size, block + 6)
        near, links = outside[high] - outside[low], linked[high] - linked[low]
        found[_AT_NEAR, block], found[_AT_NEAR + 2, block] = near, links / max(1, near + links)
        low, high = max(0, block - 15), min(size, block + 16)
        found[_AT_NEAR + 1, block] = outside[high] - outside[low]


@compiled
def _near_head(blocks: Ints, nodes: Ints, marks: Floats, headline: int, found: Floats) -> None:
    """Words of the title and the description around a block, and headings since the headline; -1 before it."""
    size, at = len(blocks), _AT_NEAR + len(_NEAR) - 3
    sums = np.zeros((size + 1, 2), np.float32)
    for block in range(size):
        for kind in range(2):
            sums[block + 1, kind] = sums[block, kind] + marks[block, kind]
    section = -1
    for block in range(size):
        low, high = max(0, block - 3), min(size, block + 4)
        for kind in range(2):
            found[at + kind, block] = (sums[high, kind] - sums[low, kind]) / (sums[size, kind] + np.float32(1e-6))
        if block == headline:
            section = 0
        elif section >= 0 and _H1 <= nodes[blocks[block, col.B_NODE], col.N_TAG] < _H1 + 3:
            section += 1
        found[at + 2, block] = section
