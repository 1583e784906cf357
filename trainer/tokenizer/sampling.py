"""How much of each language a tokenizer (or a model) sees, and which text of it.

BLOOM's recipe (Workshop 2022, section 3.1.3, and the released ratio tables): fill up from the smallest language to a
total, weigh each by its kept share to the power alpha, and give each its part of a budget. Lines that stand twice in a
language count once: an early BLOOM vocabulary held whole URLs and boilerplate phrases as single tokens.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from trainer import corpus

_SPARE = 1.3  # documents are drawn for this many times the quota, since repeated lines fall away
_CUT = 10_000  # characters; a line longer than this is cut, so that no single text can fill the memory


def water_fill(sizes: Mapping[str, int], total: float) -> dict[str, float]:
    """Keep min(size, cap) of every key, with the one cap at which all kept parts sum to `total`.

    Units are those of `sizes`. A total beyond the sum of sizes keeps everything.
    """
    kept: dict[str, float] = {}
    left = float(total)
    order = sorted(sizes, key=lambda key: (sizes[key], key))
    for position, key in enumerate(order):
        kept[key] = min(float(sizes[key]), left / (len(order) - position))
        left -= kept[key]
    return kept


def language_weights(sizes: Mapping[str, int], fill: float, alpha: float) -> dict[str, float]:
    """Share of each language, summing to 1: (kept by the water-fill) to the power alpha.

    `fill` is the share of all bytes that the water-fill keeps (BLOOM: 800 GB of 1.6 TB, 0.5); alpha 1 is proportional,
    0 equal shares (BLOOM: 0.3).
    """
    kept = water_fill(sizes, fill * sum(sizes.values()))
    raised = {key: kept[key] ** alpha if kept[key] > 0 else 0.0 for key in sorted(kept)}
    whole = sum(raised.values()) or 1.0
    return {key: value / whole for key, value in raised.items()}


def quotas(weights: Mapping[str, float], available: Mapping[str, float], budget: float) -> dict[str, float]:
    """Divide `budget` by weight; what a language cannot give goes to the others by their weights.

    `available` is the most each can give, in the budget's unit.
    """
    given: dict[str, float] = {}
    open_keys = {key for key in weights if weights[key] > 0}
    left = float(budget)
    while open_keys:
        whole = sum(weights[key] for key in open_keys)
        short = sorted(key for key in open_keys if available[key] <= left * weights[key] / whole)
        if not short:
            given |= {key: left * weights[key] / whole for key in open_keys}
            break
        for key in short:
            given[key] = float(available[key])
            left -= given[key]
        open_keys -= set(short)
    return {key: given.get(key, 0.0) for key in sorted(weights)}


def in_sample(identity: str, seed: int, share: float) -> bool:
    """Whether a document belongs to a random sample of that share; depends on its id and the seed alone."""
    if share >= 1:
        return True
    digest = hashlib.blake2b(identity.encode(), digest_size=8, key=seed.to_bytes(8, "little")).digest()
    return int.from_bytes(digest, "little") < share * 2**64


def _fresh_lines(text: str, seen: set[bytes]) -> str:
    """The text without the lines that `seen` holds; adds the others to it."""
    lines = []
    for line in text.split("\n"):
        stripped = line.strip()
        if not stripped:
            continue
        digest = hashlib.blake2b(stripped.encode(), digest_size=8).digest()
        if digest not in seen:
            seen.add(digest)
            lines += [line[start : start + _CUT] for start in range(0, len(line), _CUT)]
    return "\n".join(lines)


def sample_texts(paths: Sequence[Path], size: int, quota: float, seed: int) -> Iterator[str]:
    """Texts of one language without repeated lines, up to `quota` bytes in all, drawn by id.

    A quota beyond what the language has, starts again from its first text: the words of a small language then count
    more often. `size` is the bytes of all its texts.
    """
    share = _SPARE * quota / size if size else 1.0
    left = quota
    while left > 0:
        seen: set[bytes] = set()
        before = left
        for wanted in (True, False) if share < 1 else (True,):  # then the others, where too many lines were repeated
            for identity, text in corpus.documents(paths):
                if in_sample(identity, seed, share) is wanted and (fresh := _fresh_lines(text, seen)):
                    yield fresh
                    left -= len(fresh.encode())
                    if left <= 0:
                        return
        if left == before:
            return
