"""fastText classifiers, read from their files and asked: of languages, and of good and bad text.

Joulin et al. 2016, arXiv 1607.01759 (bags of n-grams) and 1612.03651 (product quantisation). The answers are those of
fastText's own `predict`, to rounding, in half the time (`tests/benchmarks/lid.py --library`): the hash of an n-gram
grows by a letter and is not begun anew, and several lines are one call. A model that is not quantised is mapped, not
read: all processes of a machine hold it once.
"""

import mmap
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from filters.text.compiled import compiled, inlined
from roots.errors import InputError

Bytes = npt.NDArray[np.uint8]
_Int32s = npt.NDArray[np.int32]
_Int64s = npt.NDArray[np.int64]
_Floats = npt.NDArray[np.float32]
_Rownumbers = npt.NDArray[np.uint32]
Found = tuple[float, str]  # chance, label

_MAGIC, VERSION = 793712314, 12
_SUPERVISED = 3
_HIERARCHICAL, NEGATIVE, SOFTMAX, ONE_VS_ALL = 1, 2, 3, 4  # losses
_FNV_OFFSET, FNV_PRIME = np.uint32(2166136261), np.uint32(16777619)
_WORD_NGRAM_FACTOR = np.uint64(116049371)
_LINE_END = np.uint8(10)
BEGIN, END = np.uint8(60), np.uint8(62)  # "<" and ">" around a word, when it is cut into n-grams
EOS = b"</s>"  # the word that stands for the end of a line
PREFIX = b"__label__"
_NEAR_ZERO = np.float32(1e-5)  # is added to chances, as fastText adds it before it takes their logarithm
HELD = 4096  # rows that are added at once
_MOST_NGRAM = 100  # characters, or words, of an n-gram; no model has a tenth of it


class Rows(NamedTuple):
    """A matrix, of float32 or quantised; the other's arrays are empty."""

    dense: _Floats  # (rows, width)
    codes: Bytes  # (rows, parts)
    centroids: _Floats  # (parts, 256, size of a part); a narrower last part is filled up with 0
    norms: _Floats  # (rows,)


class Words(NamedTuple):
    """The dictionary: words, then labels."""

    letters: Bytes  # of all, one after the other
    ends: _Int64s  # (words + labels + 1,) where each ends; the first is 0
    table: _Int32s  # open addressing by hash, its length a power of two; -1 where there is none
    pruned: _Int32s  # (buckets,) row of an n-gram behind the words, or -1; empty where none was pruned


class Cut(NamedTuple):
    """How text is cut."""

    words: int  # of the dictionary, without labels
    word_ngrams: int
    buckets: int
    shortest: int  # characters of an n-gram
    longest: int  # 0: words have none


@inlined
def _grown(value: np.uint32, byte: np.uint8) -> np.uint32:
    """FNV-1a of one byte more; fastText takes bytes as signed."""
    return np.uint32((value ^ np.uint32(np.int32(np.int8(byte)))) * FNV_PRIME)


@inlined
def _find(text: Bytes, value: np.uint32, words: Words) -> int:
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
def _add_rows(total: _Floats, rows: Rows, chosen: _Rownumbers) -> None:
    """Add some rows to `total`, float32 (width,)."""
    if rows.dense.shape[0]:
        for row in chosen:
            for place in range(total.size):
                total[place] += rows.dense[row, place]
        return
    size = rows.centroids.shape[2]
    for part in range(rows.codes.shape[1]):
        codes = rows.codes[:, part]
        for place in range(size):
            centroids = rows.centroids[part, :, place]
            value = total[part * size + place]  # one sum at a time stays in a register: a tenth quicker than row by row
            for row in chosen:
                value += rows.norms[row] * centroids[codes[row]]
            total[part * size + place] = value


@inlined
def _bucket_row(bucket: int, words: Words, cut: Cut) -> int:
    """The row of an n-gram; -1 where it was pruned."""
    if words.pruned.size:
        row = words.pruned[bucket]
        return cut.words + row if row >= 0 else -1
    return cut.words + bucket


@inlined
def _ngram_rows(word: Bytes, words: Words, cut: Cut, chosen: _Rownumbers, count: int) -> int:
    """Put the rows of a word's n-grams behind the first `count`; gives how many there are then.

    The word stands between BEGIN and END.
    """
    size = word.size
    inverse = 1.0 / cut.buckets
    for start in range(size):
        if word[start] & 0xC0 == 0x80:
            continue
        value = _FNV_OFFSET
        at = start
        length = 0
        while at < size and length < cut.longest:
            value = _grown(value, word[at])
            at += 1
            while at < size and word[at] & 0xC0 == 0x80:
                value = _grown(value, word[at])
                at += 1
            length += 1
            if length >= cut.shortest and not (length == 1 and (start == 0 or at == size)):
                # The remainder by way of the inverse, in half the time of a division: of a multiple one too few.
                bucket = int(value) - int(value * inverse) * cut.buckets
                bucket -= cut.buckets if bucket >= cut.buckets else 0
                row = _bucket_row(bucket, words, cut)
                if row >= 0:
                    chosen[count] = row
                    count += 1
    return count


@inlined
def _is_space(byte: np.uint8) -> bool:
    return bool(byte == 32 or 9 <= byte <= 13 or byte == 0)


@inlined
def _begins(text: Bytes, known: Bytes) -> bool:
    if text.size < known.size:
        return False
    for place in range(known.size):  # noqa: SIM110 - compiled
        if text[place] != known[place]:
            return False
    return True


@compiled
def _add_line(
    total: _Floats, text: Bytes, rows: Rows, words: Words, cut: Cut, eos: Bytes, prefix: Bytes, chosen: _Rownumbers,
    padded: Bytes,
) -> int:  # fmt: skip
    """Add the words and n-grams of one line to `total`, float32 (width,); gives how many rows those were.

    `chosen` and `padded` are room to work in.
    """
    added = count = seen = at = 0
    size = text.size
    hashes = np.empty(size // 2 + 2 if cut.word_ngrams > 1 else 0, dtype=np.int32)
    ended = False
    while not ended:
        while at < size and _is_space(text[at]):
            at += 1
        start = at
        while at < size and not _is_space(text[at]):
            at += 1
        word = text[start:at] if at > start else eos
        value = _FNV_OFFSET
        for byte in word:
            value = _grown(value, byte)
        ended = word.size == eos.size and _begins(word, eos)
        number = _find(word, value, words)
        if number >= cut.words or (number < 0 and _begins(word, prefix)):
            continue  # a label
        if hashes.size:
            hashes[seen] = np.int32(value)
            seen += 1
        room = (word.size + 2) * cut.longest + 1
        if count + room > chosen.size:
            _add_rows(total, rows, chosen[:count])
            added, count = added + count, 0
            if room > chosen.size:
                chosen, padded = np.empty(room, dtype=np.uint32), np.empty(room, dtype=np.uint8)
        if number >= 0:
            chosen[count] = number
            count += 1
        if cut.longest > 0 and not ended:
            padded[0] = BEGIN
            padded[1 : word.size + 1] = word
            padded[word.size + 1] = END
            count = _ngram_rows(padded[: word.size + 2], words, cut, chosen, count)
    _add_rows(total, rows, chosen[:count])
    added += count
    for first in range(seen):
        joined = np.uint64(np.int64(hashes[first]))
        for other in range(first + 1, min(seen, first + cut.word_ngrams)):
            joined = joined * _WORD_NGRAM_FACTOR + np.uint64(np.int64(hashes[other]))
            row = _bucket_row(int(joined % np.uint64(cut.buckets)), words, cut)
            if row >= 0:
                chosen[0] = row
                _add_rows(total, rows, chosen[:1])
                added += 1
    return added


@compiled
def _products(output: _Floats, vector: _Floats) -> _Floats:
    """The inner product of a vector with every label's; float32 (labels,)."""
    found = np.zeros(output.shape[1], dtype=np.float32)
    for place in range(output.shape[0]):  # so that the inner loop goes over labels, many at once
        value = vector[place]
        for label in range(found.size):
            found[label] += value * output[place, label]
    return found


@compiled
def _chances(products: _Floats, loss: int, children: _Int32s) -> _Floats:
    """The chance of every label from the output's products, as fastText gives it; float32 (labels,)."""
    labels = products.size
    if loss == _HIERARCHICAL:
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
def _predict(
    text: Bytes, k: int, threshold: float, rows: Rows, output: _Floats, words: Words, cut: Cut, loss: int,
    children: _Int32s, eos: Bytes, prefix: Bytes,
) -> tuple[_Int64s, _Floats]:  # fmt: skip
    """Of every line the k likeliest labels whose chance is at least `threshold`, best first, and their chances.

    Both (lines, k), with -1 for no label.
    """
    lines = 0
    for byte in text:
        lines += byte == _LINE_END
    width = rows.dense.shape[1] if rows.dense.shape[0] else rows.codes.shape[1] * rows.centroids.shape[2]
    vector = np.empty(width, dtype=np.float32)  # of a quantiser whose last part is narrower, somewhat wider
    chosen, padded = np.empty(HELD, dtype=np.uint32), np.empty(HELD, dtype=np.uint8)
    labels = np.full((lines, k), -1, dtype=np.int64)
    scores = np.zeros((lines, k), dtype=np.float32)
    start = 0
    for line in range(lines):
        end = start
        while text[end] != _LINE_END:
            end += 1
        vector[:] = 0
        count = _add_line(vector, text[start:end], rows, words, cut, eos, prefix, chosen, padded)
        start = end + 1
        if count:
            vector /= np.float32(count)
            chances = _chances(_products(output, vector), loss, children)
            found = _best(chances, np.float32(threshold) + _NEAR_ZERO, labels[line])
            scores[line, :found] = chances[labels[line, :found]]
    return labels, scores


_EOS, _PREFIX = (np.frombuffer(word, dtype=np.uint8).copy() for word in (EOS, PREFIX))


@dataclass(frozen=True)
class FastTextModel:
    """A fastText classifier. `labels` are as the file has them: `__label__fra_Latn`."""

    labels: tuple[str, ...]
    _rows: Rows
    _output: _Floats  # (width, rows) of labels, or of the inner nodes of the tree
    _words: Words
    _cut: Cut
    _loss: int
    _children: _Int32s  # (labels - 1, 2) of the inner nodes of the tree; empty for other losses

    def predict(self, lines: Sequence[str], k: int = 1, threshold: float = 0.0) -> list[list[Found]]:
        """The likeliest labels of every line, at most k, best first, with chances of at least `threshold`.

        A line's end counts as a word, as everywhere in fastText: published thresholds assume it. A line of nothing that
        the model knows has no label. Chances are up to 0.00001 above 1, as fastText's are.
        """
        text = "".join([line.replace("\n", " ") + "\n" for line in lines]).encode("utf-8", "replace")
        found, chances = _predict(
            np.frombuffer(text, dtype=np.uint8), min(k, len(self.labels)), threshold, self._rows, self._output,
            self._words, self._cut, self._loss, self._children, _EOS, _PREFIX,
        )  # fmt: skip
        return [
            [(chance, self.labels[label]) for label, chance in zip(*line, strict=True) if label >= 0]
            for line in zip(found.tolist(), chances.tolist(), strict=True)
        ]


class _Reader:
    """A file's bytes, from its beginning to its end. Raises InputError where there are fewer than asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.at = 0
        try:
            with path.open("rb") as file:
                self.data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:  # ValueError: of an empty file
            raise self.error(str(error)) from None

    def error(self, why: str) -> InputError:
        return InputError(f"{self.path} is no fastText model (.bin or .ftz) that can be read: {why}")

    def numbers(self, form: str) -> tuple[int, ...]:
        size = struct.calcsize("<" + form)
        self.need(size)
        found = struct.unpack_from("<" + form, self.data, self.at)
        self.at += size
        return found

    def number(self, form: str) -> int:
        return self.numbers(form)[0]

    def need(self, size: int) -> None:
        if not 0 <= size <= len(self.data) - self.at:
            raise self.error("it ends early")

    def array(self, kind: npt.DTypeLike, *shape: int) -> npt.NDArray[Any]:
        """An array of the file itself, not copied."""
        if min(shape) < 0:
            raise self.error("a size is below 0")
        size = np.dtype(kind).itemsize
        for length in shape:
            size *= length
        self.need(size)
        found = np.frombuffer(self.data, dtype=kind, count=size // np.dtype(kind).itemsize, offset=self.at)
        self.at += size
        return found.reshape(shape)


@compiled
def _entries(data: Bytes, at: int, ends: _Int64s, counts: _Int64s, kinds: Bytes, letters: Bytes) -> int:
    """Read the dictionary's entries at `at`; gives where they end, or -1 where the file does before."""
    length = 0
    for entry in range(counts.size):
        while at < data.size and data[at] != 0:
            letters[length] = data[at]
            length += 1
            at += 1
        if at + 10 > data.size:
            return -1
        count = np.uint64(0)
        for place in range(8):
            count |= np.uint64(data[at + 1 + place]) << np.uint64(8 * place)
        ends[entry + 1], counts[entry], kinds[entry] = length, np.int64(count), data[at + 9]
        at += 10
    return at


@compiled
def _fill(table: _Int32s, letters: Bytes, ends: _Int64s) -> None:
    """Put the numbers of all words into the table."""
    mask = table.size - 1
    for number in range(ends.size - 1):
        value = _FNV_OFFSET
        for place in range(ends[number], ends[number + 1]):
            value = _grown(value, letters[place])
        slot = np.int64(value) & mask
        while table[slot] >= 0:
            slot = (slot + 1) & mask
        table[slot] = number


def _huffman(counts: _Int64s) -> _Int32s:
    """The children of the inner nodes of fastText's tree, leaves numbered first; int32 (labels - 1, 2).

    Counts are falling, as the dictionary is sorted by them.
    """
    labels = len(counts)
    unknown = 10**15  # of a node that has no children yet: more than any leaf, which is taken first
    weights = [*np.minimum(counts, unknown - 1).tolist(), *[unknown] * (labels - 1)]
    children = np.zeros((max(0, labels - 1), 2), dtype=np.int32)
    leaf, node = labels - 1, labels
    for parent in range(labels, 2 * labels - 1):
        for side in range(2):
            if leaf >= 0 and weights[leaf] < weights[node]:
                children[parent - labels, side], leaf = leaf, leaf - 1
            else:
                children[parent - labels, side], node = node, node + 1
        left, right = children[parent - labels].tolist()
        weights[parent] = weights[left] + weights[right]
    return children


def _quantised(reader: _Reader, width: int) -> Rows:
    has_norms = bool(reader.number("b"))
    rows, columns, size = reader.numbers("qqi")
    codes = reader.array(np.uint8, size)
    centroids = _centroids(reader, columns)
    parts = centroids.shape[0]
    if columns != width or size != rows * parts:
        raise reader.error("its codes are not as many as its vectors need")
    norms = np.ones(rows, dtype=np.float32)
    if has_norms:
        of_norms = reader.array(np.uint8, rows)
        norms = np.ascontiguousarray(_centroids(reader, 1)[0, :, 0])[of_norms]
    return Rows(np.zeros((0, 0), dtype=np.float32), codes.reshape(rows, parts).copy(), centroids, norms)


def _centroids(reader: _Reader, width: int) -> _Floats:
    """The centroids of a product quantiser; float32 (parts, 256, size of a part)."""
    dim, parts, size, last = reader.numbers("iiii")
    values = reader.array(np.float32, 256 * max(dim, 0))
    if dim != width or parts < 1 or size < 1 or not 0 < last <= size or (parts - 1) * size + last != dim:
        raise reader.error("its quantiser does not fit its vectors")
    found = np.zeros((parts, 256, size), dtype=np.float32)
    whole = 256 * (parts - 1) * size
    found[:-1] = values[:whole].reshape(parts - 1, 256, size)
    found[-1, :, :last] = values[whole:].reshape(256, last)
    return found


def _dense(reader: _Reader, width: int) -> Rows:
    rows, columns = reader.numbers("qq")
    if columns != width:
        raise reader.error("its vectors are not as long as it says")
    dense = reader.array(np.float32, rows, width)
    nothing = np.zeros(0, dtype=np.float32)
    return Rows(dense, np.zeros((0, 0), dtype=np.uint8), nothing.reshape(0, 256, 0), nothing)


def _whole(rows: Rows, width: int) -> _Floats:
    """All rows of a matrix as float32 (rows, width)."""
    if rows.dense.size:
        return rows.dense
    places = np.arange(rows.codes.shape[1])
    return (rows.norms[:, None, None] * rows.centroids[places, rows.codes]).reshape(len(rows.codes), -1)[:, :width]


class _Dictionary(NamedTuple):
    words: int
    labels: tuple[str, ...]
    label_counts: _Int64s
    letters: Bytes
    ends: _Int64s
    pruned: dict[int, int] | None  # bucket -> row behind the words


def _dictionary(reader: _Reader) -> _Dictionary:
    size, words, labels = reader.numbers("iii")
    _, pruned_size = reader.numbers("qq")
    if size < 1 or words < 0 or labels < 1 or words + labels != size:
        raise reader.error("its dictionary holds no labels")
    reader.need(10 * size)
    ends, counts = np.zeros(size + 1, dtype=np.int64), np.zeros(size, dtype=np.int64)
    kinds = np.zeros(size, dtype=np.uint8)
    data = np.frombuffer(reader.data, dtype=np.uint8)
    letters = np.empty(len(data) - reader.at, dtype=np.uint8)
    end = _entries(data, reader.at, ends, counts, kinds, letters)
    if end < 0:
        raise reader.error("its dictionary ends early")
    if kinds[:words].any() or not kinds[words:].all():
        raise reader.error("its labels do not follow its words")
    reader.at = end
    letters = letters[: ends[-1]].copy()
    names = tuple(
        letters[ends[entry] : ends[entry + 1]].tobytes().decode("utf-8", "replace") for entry in range(words, size)
    )
    pruned = None
    if pruned_size >= 0:
        pairs = reader.array(np.int32, pruned_size, 2)
        pruned = dict(pairs.tolist())
    return _Dictionary(words, names, counts[words:], letters, ends, pruned)


def read_model(path: Path) -> FastTextModel:
    """Read a supervised fastText model, .bin or .ftz. Raises InputError where the file is none, or is damaged."""
    reader = _Reader(path)
    magic, version = reader.numbers("ii")
    if magic != _MAGIC or not 11 <= version <= VERSION:
        raise reader.error("it begins otherwise")
    width, _, _, _, _, word_ngrams, loss, kind, buckets, shortest, longest, _ = reader.numbers("12i")
    reader.numbers("d")
    if kind != _SUPERVISED or loss not in (_HIERARCHICAL, NEGATIVE, SOFTMAX, ONE_VS_ALL):
        raise reader.error("it is no classifier")
    if width < 1 or not (0 <= longest <= _MOST_NGRAM and 0 <= word_ngrams <= _MOST_NGRAM) or buckets < 0:
        raise reader.error("its settings are none")
    longest = 0 if version == 11 else longest  # classifiers of that version know no n-grams of letters
    has_ngrams = longest > 0 or word_ngrams > 1
    if has_ngrams and buckets < 1:
        raise reader.error("its n-grams have no rows")
    found = _dictionary(reader)
    is_quantised = bool(reader.number("b"))
    rows = (_quantised if is_quantised else _dense)(reader, width)
    count = len(rows.dense) or len(rows.codes)
    output = _whole((_quantised if reader.number("b") and is_quantised else _dense)(reader, width), width)
    if reader.at != len(reader.data):
        raise reader.error("it goes on behind its end")
    if len(output) != len(found.labels) or not count:
        raise reader.error("its matrices are not of its words and labels")
    targets = np.zeros(0, dtype=np.int32)
    if found.pruned is not None:
        targets = np.full(max(buckets, 1), -1, dtype=np.int32)
        for bucket, row in found.pruned.items():
            if not (0 <= bucket < buckets and 0 <= row < count - found.words):
                raise reader.error("an n-gram stands for no row")
            targets[bucket] = row
    elif found.words + buckets * has_ngrams > count:
        raise reader.error("it has fewer rows than n-grams")
    table = np.full(1 << (2 * len(found.ends)).bit_length(), -1, dtype=np.int32)
    _fill(table, found.letters, found.ends)
    words = Words(found.letters, found.ends, table, targets)
    cut = Cut(found.words, word_ngrams, buckets, shortest, longest)
    children = _huffman(found.label_counts) if loss == _HIERARCHICAL else np.zeros((0, 2), dtype=np.int32)
    return FastTextModel(found.labels, rows, np.ascontiguousarray(output.T), words, cut, loss, children)
