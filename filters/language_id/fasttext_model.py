"""Asks fastText classifiers: of languages, and of good and bad text. `fasttext_file` reads them.

Joulin et al. 2016, arXiv 1607.01759 (bags of n-grams) and 1612.03651 (product quantisation). The answers are those of
fastText's own `predict`, to rounding, in half the time (`python -m tests.benchmarks.lid --part library`): the hash of
an n-gram grows letter by letter, and several lines are one call.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from filters.text.compiled import compiled, inlined

_Bytes = npt.NDArray[np.uint8]
_Int32s = npt.NDArray[np.int32]
_Int64s = npt.NDArray[np.int64]
_Floats = npt.NDArray[np.float32]
_RowNumbers = npt.NDArray[np.uint32]
Prediction = tuple[float, str]  # chance, label

HIERARCHICAL, NEGATIVE, SOFTMAX, ONE_VS_ALL = 1, 2, 3, 4  # losses
FNV_OFFSET, _FNV_PRIME = np.uint32(2166136261), np.uint32(16777619)
_WORD_NGRAM_FACTOR = np.uint64(116049371)
_LINE_END = np.uint8(10)
_BEGIN, _END = np.uint8(60), np.uint8(62)  # "<" and ">" around a word, when it is cut into n-grams
_EOS, _PREFIX = (np.frombuffer(word, dtype=np.uint8).copy() for word in (b"</s>", b"__label__"))  # end of line, label
_NEAR_ZERO = np.float32(1e-5)  # fastText adds it to a chance before it takes the logarithm
HELD = 4096  # rows that are added at once


class Rows(NamedTuple):
    """A matrix, of float32 or quantised; the arrays of the other form are empty."""

    dense: _Floats  # (rows, width)
    codes: _Bytes  # (rows, parts)
    centroids: _Floats  # (parts, 256, size of a part); a narrower last part is filled up with 0
    norms: _Floats  # (rows,)


class Vocabulary(NamedTuple):
    """The dictionary: words, then labels."""

    letters: _Bytes  # of all words and labels, one after the other
    ends: _Int64s  # (words + labels + 1,) where each ends; the first is 0
    table: _Int32s  # open addressing by hash, its length a power of two; -1 for an empty slot
    pruned: _Int32s  # (buckets,) row of an n-gram behind the words, or -1; empty where none was pruned


class FastTextSettings(NamedTuple):
    """How a model cuts text, and how it turns products into chances."""

    words: int  # in the dictionary, without labels
    word_ngrams: int
    buckets: int
    shortest: int  # characters of an n-gram
    longest: int  # 0: words have none
    loss: int


class Network(NamedTuple):
    """All arrays and numbers of a model, as the compiled passes take them."""

    rows: Rows
    output: _Floats  # (width, rows) of labels, or of the inner nodes of the tree
    words: Vocabulary
    settings: FastTextSettings
    children: _Int32s  # (labels - 1, 2) of the inner nodes of the tree; empty for other losses


@inlined
def grown(value: np.uint32, byte: np.uint8) -> np.uint32:
    """FNV-1a of one byte more; fastText takes bytes as signed."""
    return np.uint32((value ^ np.uint32(np.int32(np.int8(byte)))) * _FNV_PRIME)


@inlined
def _find(text: _Bytes, value: np.uint32, words: Vocabulary) -> int:
    """Number of a word of the dictionary; -1 for none."""
    mask = words.table.size - 1
    slot = np.int64(value) & mask
    while True:
        number = words.table[slot]
        if number < 0:
            return -1
        first = words.ends[number]
        if words.ends[number + 1] - first == text.size:
            place = 0
            while place < text.size and words.letters[first + place] == text[place]:
                place += 1
            if place == text.size:
                return int(number)
        slot = (slot + 1) & mask


@compiled
def _add_rows(total: _Floats, rows: Rows, chosen: _RowNumbers) -> None:
    """Add some rows to `total`, float32 (width,)."""
    if rows.dense.shape[0]:
        for row in chosen:
            for place in range(total.size):
                total[place] += rows.dense[row, place]
        return
    size = rows.centroids.shape[2]
    for part in range(rows.codes.shape[1]):
        codes = rows.codes[:, part]
        for place in range(0, size - 1, 2):  # two sums at a time stay in registers, and neither waits for the other
            first, second = total[part * size + place], total[part * size + place + 1]
            for row in chosen:
                centroid = rows.centroids[part, codes[row]]
                first += rows.norms[row] * centroid[place]
                second += rows.norms[row] * centroid[place + 1]
            total[part * size + place], total[part * size + place + 1] = first, second
        if size % 2:
            for row in chosen:
                total[part * size + size - 1] += rows.norms[row] * rows.centroids[part, codes[row], size - 1]


@inlined
def _bucket_row(bucket: int, words: Vocabulary, settings: FastTextSettings) -> int:
    """The row of an n-gram; -1 where it was pruned."""
    if words.pruned.size:
        row = words.pruned[bucket]
        return settings.words + row if row >= 0 else -1
    return settings.words + bucket


@inlined
def _ngram_rows(word: _Bytes, words: Vocabulary, settings: FastTextSettings, chosen: _RowNumbers, count: int) -> int:
    """Put the rows of a word's n-grams behind the first `count`; gives how many there are then.

    The word stands between "<" and ">".
    """
    size = word.size
    inverse = 1.0 / settings.buckets
    for start in range(size):
        if word[start] & 0xC0 == 0x80:
            continue
        value = FNV_OFFSET
        at = start
        length = 0
        while at < size and length < settings.longest:
            value = grown(value, word[at])
            at += 1
            while at < size and word[at] & 0xC0 == 0x80:
                value = grown(value, word[at])
                at += 1
            length += 1
            if length >= settings.shortest and not (length == 1 and (start == 0 or at == size)):
                # The remainder by way of the inverse takes half the time of a division; it may be `buckets` too large.
                bucket = int(value) - int(value * inverse) * settings.buckets
                bucket -= settings.buckets if bucket >= settings.buckets else 0
                row = _bucket_row(bucket, words, settings)
                if row >= 0:
                    chosen[count] = row
                    count += 1
    return count


@inlined
def _is_space(byte: np.uint8) -> bool:
    return bool(byte == 32 or 9 <= byte <= 13 or byte == 0)


@inlined
def _begins(text: _Bytes, known: _Bytes) -> bool:
    if text.size < known.size:
        return False
    for place in range(known.size):  # noqa: SIM110 - compiled
        if text[place] != known[place]:
            return False
    return True


@inlined
def _add_word_ngrams(total: _Floats, hashes: _Int32s, network: Network, chosen: _RowNumbers) -> int:
    """Add the n-grams of a line's words, given by their hashes, to `total`; returns how many."""
    added = 0
    for first in range(hashes.size):
        joined = np.uint64(np.int64(hashes[first]))
        for other in range(first + 1, min(hashes.size, first + network.settings.word_ngrams)):
            joined = joined * _WORD_NGRAM_FACTOR + np.uint64(np.int64(hashes[other]))
            bucket = int(joined % np.uint64(network.settings.buckets))
            row = _bucket_row(bucket, network.words, network.settings)
            if row >= 0:
                chosen[0] = row
                _add_rows(total, network.rows, chosen[:1])
                added += 1
    return added


@compiled
def _add_line(total: _Floats, text: _Bytes, network: Network, chosen: _RowNumbers, padded: _Bytes) -> int:
    """Add the words and n-grams of one line to `total`, float32 (width,); gives how many rows those were.

    `chosen` and `padded` are room to work in.
    """
    rows, words, settings = network.rows, network.words, network.settings
    added = count = seen = at = 0
    size = text.size
    hashes = np.empty(size // 2 + 2 if settings.word_ngrams > 1 else 0, dtype=np.int32)
    ended = False
    while not ended:
        while at < size and _is_space(text[at]):
            at += 1
        start = at
        while at < size and not _is_space(text[at]):
            at += 1
        word = text[start:at] if at > start else _EOS
        value = FNV_OFFSET
        for byte in word:
            value = grown(value, byte)
        ended = word.size == _EOS.size and _begins(word, _EOS)
        number = _find(word, value, words)
        if number >= settings.words or (number < 0 and _begins(word, _PREFIX)):
            continue  # a label
        if hashes.size:
            hashes[seen] = np.int32(value)
            seen += 1
        room = (word.size + 2) * settings.longest + 1
        if count + room > chosen.size:
            _add_rows(total, rows, chosen[:count])
            added, count = added + count, 0
            if room > chosen.size:
                chosen, padded = np.empty(room, dtype=np.uint32), np.empty(room, dtype=np.uint8)
        if number >= 0:
            chosen[count] = number
            count += 1
        if settings.longest > 0 and not ended:
            padded[0] = _BEGIN
            padded[1 : word.size + 1] = word
            padded[word.size + 1] = _END
            count = _ngram_rows(padded[: word.size + 2], words, settings, chosen, count)
    _add_rows(total, rows, chosen[:count])
    return added + count + _add_word_ngrams(total, hashes[:seen], network, chosen)


@compiled
def _products(output: _Floats, vector: _Floats) -> _Floats:
    """The inner product of a vector with every label's; float32 (labels,)."""
    found = np.zeros(output.shape[1], dtype=np.float32)
    for place in range(output.shape[0]):  # the inner loop runs over labels, many at once
        value = vector[place]
        for label in range(found.size):
            found[label] += value * output[place, label]
    return found


@compiled
def _chances(products: _Floats, loss: int, children: _Int32s) -> _Floats:
    """The chance of every label from the output's products, as fastText gives it; float32 (labels,)."""
    labels = products.size
    if loss == HIERARCHICAL:
        chances = np.zeros(2 * labels - 1, dtype=np.float32)
        chances[2 * labels - 2] = 1
        for node in range(2 * labels - 2, labels - 1, -1):
            right = np.float32(1) / (np.float32(1) + np.exp(-products[node - labels]))
            chances[children[node - labels, 0]] = chances[node] * (np.float32(1) - right + _NEAR_ZERO)
            chances[children[node - labels, 1]] = chances[node] * (right + _NEAR_ZERO)
        return chances[:labels]
    chances = np.empty(labels, dtype=np.float32)
    if loss == SOFTMAX:
        chances[:] = np.exp(products - products.max())
        chances /= chances.sum()
    else:
        for label in range(labels):
            # fastText looks a logistic function up in a table of 32 steps to 1, from -8 to 8
            at = np.floor((products[label] + np.float32(8)) * np.float32(32)) / np.float32(32) - np.float32(8)
            chances[label] = np.float32(1) / (np.float32(1) + np.exp(-at)) if abs(at) <= 8 else np.float32(at > 0)
    return chances + _NEAR_ZERO


@compiled
def _best(chances: _Floats, least: np.float32, best: _Int64s) -> int:
    """Put the likeliest labels of at least that chance into `best`, the likeliest first; gives how many there are."""
    found = 0
    for label in range(chances.size):
        chance = chances[label]
        if chance < least or (found == best.size and chance <= chances[best[found - 1]]):
            continue
        place = found if found < best.size else found - 1
        while place > 0 and chances[best[place - 1]] < chance:
            best[place] = best[place - 1]
            place -= 1
        best[place] = label
        found = min(found + 1, best.size)
    return found


@compiled
def _predict(text: _Bytes, k: int, threshold: float, network: Network) -> tuple[_Int64s, _Floats]:
    """The k likeliest labels of every line whose chance is at least `threshold`, best first, and their chances.

    Both (lines, k), with -1 for no label.
    """
    lines = 0
    for byte in text:
        lines += byte == _LINE_END
    rows = network.rows
    width = rows.dense.shape[1] if rows.dense.shape[0] else rows.codes.shape[1] * rows.centroids.shape[2]
    vector = np.empty(width, dtype=np.float32)  # wider than the model where a quantiser's last part is narrower
    chosen, padded = np.empty(HELD, dtype=np.uint32), np.empty(HELD, dtype=np.uint8)
    labels = np.full((lines, k), -1, dtype=np.int64)
    scores = np.zeros((lines, k), dtype=np.float32)
    start = 0
    for line in range(lines):
        end = start
        while text[end] != _LINE_END:
            end += 1
        vector[:] = 0
        count = _add_line(vector, text[start:end], network, chosen, padded)
        start = end + 1
        if count:
            vector /= np.float32(count)
            chances = _chances(_products(network.output, vector), network.settings.loss, network.children)
            found = _best(chances, np.float32(threshold) + _NEAR_ZERO, labels[line])
            scores[line, :found] = chances[labels[line, :found]]
    return labels, scores


@dataclass(frozen=True)
class FastTextModel:
    """A fastText classifier. `labels` are as the file has them: `__label__fra_Latn`."""

    labels: tuple[str, ...]
    _network: Network

    def predict(self, lines: Sequence[str], k: int = 1, threshold: float = 0.0) -> list[list[Prediction]]:
        """The likeliest labels of every line, at most k, best first, with chances of at least `threshold`.

        The end of a line counts as a word, as everywhere in fastText: published thresholds assume it. A line without
        anything the model knows has no label. Chances are up to 0.00001 above 1, as fastText's are.
        """
        text = "".join([line.replace("\n", " ") + "\n" for line in lines]).encode("utf-8", "replace")
        found, chances = _predict(
            np.frombuffer(text, dtype=np.uint8), min(k, len(self.labels)), threshold, self._network
        )
        return [
            [(chance, self.labels[label]) for label, chance in zip(*line, strict=True) if label >= 0]
            for line in zip(found.tolist(), chances.tolist(), strict=True)
        ]
