"""How much text of each language a tokenizer is trained on, and which.

BLOOM's recipe (Workshop 2022, section 3.1.3, and the released tables of ratios): fill up from the smallest language to
a total, weigh each language by what was kept to the power alpha, and divide a budget by these weights. A line counts
once in a language, because an early BLOOM vocabulary held whole URLs and boilerplate as single tokens.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from trainer import corpus

_SPARE = 1.3  # documents are drawn for this many times the quota, because repeated lines are removed
_CUT = 10_000  # characters; longer lines are cut, so that no single text fills the memory
_BLANK = 16  # blank lines kept in a row


def water_fill(sizes: Mapping[str, int], total: float) -> dict[str, float]:
    """Return min(size, cap) for every key, with the cap at which the results sum to `total`.

    Units are those of `sizes`. A total above the sum of sizes keeps everything.
    """
    kept: dict[str, float] = {}
    left = float(total)
    order = sorted(sizes, key=lambda key: (sizes[key], key))
    for position, key in enumerate(order):
        kept[key] = min(float(sizes[key]), left / (len(order) - position))
        left -= kept[key]
    return kept


def language_weights(sizes: Mapping[str, int], fill: float, alpha: float) -> dict[str, float]:
    """Return the weight of each language, summing to 1: what the water-fill keeps, to the power alpha.

    `fill` is the share of all bytes that the water-fill keeps (BLOOM: 0.5, 800 GB of 1.6 TB). Alpha 1 weighs by size,
    alpha 0 weighs all languages equally (BLOOM: 0.3).
    """
    kept = water_fill(sizes, fill * sum(sizes.values()))
    raised = {key: kept[key] ** alpha if kept[key] > 0 else 0.0 for key in sorted(kept)}
    whole = sum(raised.values()) or 1.0
    return {key: value / whole for key, value in raised.items()}


def quotas(weights: Mapping[str, float], available: Mapping[str, float], budget: float) -> dict[str, float]:
    """Divide `budget` by weight; what a language lacks goes to the others, by their weights.

    `available` is what each language has, in the unit of the budget.
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


def _in_sample(identity: str, seed: int, share: float) -> bool:
    """Whether a document is in a random sample of this share. Depends on its id and the seed alone."""
    if share >= 1:
        return True
    digest = hashlib.blake2b(identity.encode(), digest_size=8, key=seed.to_bytes(8, "little")).digest()
    return int.from_bytes(digest, "little") < share * 2**64


def _fresh_lines(text: str, seen: set[bytes]) -> str:
    """Return the text without lines in `seen`, and add the other lines to `seen`.

    Blank lines stay between lines that stay: a break between paragraphs is worth a token.
    """
    lines: list[str] = []
    blank: list[str] = []
    for line in text.split("\n"):
        stripped = line.strip()
        if not stripped:
            if lines and len(blank) < _BLANK:
                blank.append(line[:_CUT])
            continue
        digest = hashlib.blake2b(stripped.encode(), digest_size=8).digest()
        if digest not in seen:
            seen.add(digest)
            lines += blank
            lines += [line[start : start + _CUT] for start in range(0, len(line), _CUT)]
        blank = []
    return "\n".join(lines)


def sample_texts(paths: Sequence[Path], size: int, quota: float, seed: int) -> Iterator[str]:
    """Yield texts of one language without repeated lines, up to `quota` bytes in all, drawn by id.

    `size` is the bytes of all its texts. A larger quota starts again from the first text, so that the words of a small
    language count several times.
    """
    share = _SPARE * quota / size if size else 1.0
    left = quota
    while left > 0:
        seen: set[bytes] = set()
        before = left
        for wanted in (True, False) if share < 1 else (True,):  # the other documents, if too many lines were repeated
            for identity, text in corpus.documents(paths):
                if _in_sample(identity, seed, share) is wanted and (fresh := _fresh_lines(text, seen)):
                    yield fresh
                    left -= len(fresh.encode())
                    if left <= 0:
                        return
        if left == before:
            return
