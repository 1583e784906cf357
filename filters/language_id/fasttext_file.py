"""Reads the file of a fastText classifier, .bin or .ftz; `fasttext_model` asks it.

A file is hostile input: every size in it is checked before anything is read.
"""

import struct
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from filters.language_id.fasttext_model import (
    FNV_OFFSET,
    HIERARCHICAL,
    NEGATIVE,
    ONE_VS_ALL,
    SOFTMAX,
    FastTextModel,
    FastTextSettings,
    Network,
    Rows,
    Vocabulary,
    grown,
)
from filters.text.compiled import compiled
from roots.errors import InputError

_Bytes = npt.NDArray[np.uint8]
_Int32s = npt.NDArray[np.int32]
_Int64s = npt.NDArray[np.int64]
_Floats = npt.NDArray[np.float32]
_Number = TypeVar("_Number", np.uint8, np.int32, np.float32)

_MAGIC, _VERSION = 793712314, 12
_SUPERVISED = 3
_MOST_NGRAM = 100  # characters, or words, of an n-gram; no model has a tenth of it


class _Reader:
    """Reads the bytes of a file in order. Raises InputError where there are fewer than asked for."""

    def __init__(self, data: bytes | memoryview, name: str) -> None:
        self.data = data
        self.name = name
        self.at = 0

    def error(self, why: str) -> InputError:
        return InputError(f"{self.name} is no fastText model (.bin or .ftz) that can be read: {why}")

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

    def array(self, kind: type[_Number], *shape: int) -> npt.NDArray[_Number]:
        """An array that is a view of the file's bytes, not a copy."""
        if min(shape) < 0:
            raise self.error("a size is below 0")
        size = np.dtype(kind).itemsize
        for length in shape:
            size *= length
        self.need(size)
        found = np.frombuffer(self.data, dtype=kind, count=size // np.dtype(kind).itemsize, offset=self.at)
        self.at += size
        return found.reshape(shape)


class _Entries(NamedTuple):
    """The entries of a dictionary: words, then labels."""

    ends: _Int64s  # (entries + 1,) where each ends in `letters`; the first is 0
    counts: _Int64s  # (entries,) occurrences in the training text
    kinds: _Bytes  # (entries,) 0 for a word, 1 for a label
    letters: _Bytes  # of all entries, one after the other


@compiled
def _read_entries(data: _Bytes, at: int, entries: _Entries) -> int:
    """Read the dictionary's entries at `at`; returns where they end, or -1 where the file ends before that."""
    ends, counts, kinds, letters = entries
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
def _fill(table: _Int32s, letters: _Bytes, ends: _Int64s) -> None:
    """Put the numbers of all words into the table."""
    mask = table.size - 1
    for number in range(ends.size - 1):
        value = FNV_OFFSET
        for place in range(ends[number], ends[number + 1]):
            value = grown(value, letters[place])
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
    letters: _Bytes
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
    end = _read_entries(data, reader.at, _Entries(ends, counts, kinds, letters))
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


def read_model(data: bytes | memoryview, name: str) -> FastTextModel:
    """Read a supervised fastText model from the bytes of its file, .bin or .ftz.

    `name` is what errors call it. Vectors that are not quantised stay views of `data`, so that processes share a file
    that is mapped into memory. Raises InputError where the bytes are no such model.
    """
    reader = _Reader(data, name)
    magic, version = reader.numbers("ii")
    if magic != _MAGIC or not 11 <= version <= _VERSION:
        raise reader.error("it begins otherwise")
    width, _, _, _, _, word_ngrams, loss, kind, buckets, shortest, longest, _ = reader.numbers("12i")
    reader.numbers("d")
    if kind != _SUPERVISED or loss not in (HIERARCHICAL, NEGATIVE, SOFTMAX, ONE_VS_ALL):
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
    words = Vocabulary(found.letters, found.ends, table, targets)
    settings = FastTextSettings(found.words, word_ngrams, buckets, shortest, longest, loss)
    children = _huffman(found.label_counts) if loss == HIERARCHICAL else np.zeros((0, 2), dtype=np.int32)
    return FastTextModel(found.labels, Network(rows, np.ascontiguousarray(output.T), words, settings, children))
