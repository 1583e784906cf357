"""Near-duplicates: signatures, bands, exact similarity, and which documents are removed for which.

MinHash (Broder 1997) estimates the Jaccard similarity of two sets of shingles by the share of equal values in their
signatures. Locality-sensitive hashing (Indyk and Motwani 1998) finds the pairs to compare: those with a band of equal
values. Such a pair is only a *candidate*: `decide_removals` removes a document only for its exact Jaccard similarity to
a document that is kept, so there are no chains A ~ B ~ C.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from filters.near_duplicates.rules import Scheme
from filters.near_duplicates.shingle_tables import ShingleTables, Uint64s, make_tables
from filters.near_duplicates.shingles import (
    Array,
    Buffers,
    cut_units,
    hash_shingles,
    mix,
    to_nfc,
    workspace_for,
)
from filters.text.compiled import compiled

Int64s = npt.NDArray[np.int64]
_NONE = np.uint64(0xFFFFFFFFFFFFFFFF)
_GOLDEN = 0x9E3779B97F4A7C15

ALL_PAIRS = 16  # members of a bucket up to which all pairs are candidates
BUCKET_HEADS = 4  # in a larger bucket, each member is paired with this many of the best


class TextSignatures(NamedTuple):
    """Digests and signatures of texts."""

    content: Uint64s  # (texts, 2) digest without white space, digits and ASCII punctuation (ROOTS's exact copies)
    units: Uint64s  # (texts,) digest of the units in order; equal units mean equal shingles
    shingles: npt.NDArray[np.int32]  # (texts,) how many, with repeats; 0 for a text that is too short for one
    minhashes: npt.NDArray[np.uint32]  # (texts, hashes); all bits are 1 for a text without shingles


def candidate_probability(jaccard: float, bands: int, rows: int) -> float:
    """Probability that a pair of that similarity becomes a candidate: the S-curve (Leskovec et al., MMDS, 3.4.2)."""
    return float(1 - (1 - jaccard**rows) ** bands)


class _Functions(NamedTuple):
    """Hash functions x -> (a x + b mod 2^64) >> 32 on 32-bit x."""

    a: Uint64s  # (hashes,)
    b: Uint64s


@cache
def hash_functions(hashes: int, seed: int) -> _Functions:
    """Draw hash functions.

    They are strongly universal for a and b drawn from [0, 2^64) (Thorup 2015, arXiv 1504.06804, section 3.3). The
    numbers come from splitmix64, so that no version of a library changes them.
    """
    numbers = (seed * 0x632BE59BD9B4E019 + _GOLDEN * np.arange(1, 2 * hashes + 1, dtype=object)) % (1 << 64)
    drawn = mix_all(numbers.astype(np.uint64))
    return _Functions(drawn[:hashes].copy(), drawn[hashes:].copy())


@compiled
def mix_all(numbers: Uint64s) -> Uint64s:
    """Apply `mix` to every number."""
    mixed = np.empty_like(numbers)
    for index in range(numbers.size):
        mixed[index] = mix(numbers[index])
    return mixed


@compiled
def _minimum_hashes(shingles: Uint64s, total: int, functions: _Functions, least: Uint64s) -> None:
    """The lowest value of each hash function over the first `total` shingles.

    It takes eight shingles at a time, to read each function and write its minimum so far an eighth as often.
    """
    a, b = functions.a, functions.b  # read from the tuple once: each read counts a reference
    high = np.uint64(32)
    least[:] = _NONE
    for index in range(0, total - 7, 8):
        v0, v1 = shingles[index] >> high, shingles[index + 1] >> high
        v2, v3 = shingles[index + 2] >> high, shingles[index + 3] >> high
        v4, v5 = shingles[index + 4] >> high, shingles[index + 5] >> high
        v6, v7 = shingles[index + 6] >> high, shingles[index + 7] >> high
        for function in range(least.size):
            x, y = a[function], b[function]
            one = min(min(x * v0 + y, x * v1 + y), min(x * v2 + y, x * v3 + y))
            other = min(min(x * v4 + y, x * v5 + y), min(x * v6 + y, x * v7 + y))
            least[function] = min(least[function], min(one, other))
    for index in range(total - total % 8, total):
        value = shingles[index] >> high
        for function in range(least.size):
            least[function] = min(least[function], a[function] * value + b[function])


@compiled
def _sign(
    buffers: Buffers, rows: Array, tables: ShingleTables, trusted: bool, functions: _Functions, signs: TextSignatures
) -> None:
    """Fill the rows `rows` of `signs`; `shingles` becomes -1 for a text that may not be in NFC, unless `trusted`."""
    workspace = workspace_for(buffers)
    least = np.empty(functions.a.size, dtype=np.uint64)
    for index in range(rows.size):
        row = rows[index]
        count = cut_units(buffers, index, tables, trusted, workspace, signs.content[row])
        if count < 0:
            signs.shingles[row] = -1
            continue
        total = hash_shingles(workspace, count, tables)
        signs.units[row] = mix(workspace.sums[count] + np.uint64(count))
        signs.shingles[row] = total
        _minimum_hashes(workspace.shingles, total, functions, least)
        for function in range(least.size):
            signs.minhashes[row, function] = np.uint32(least[function] >> np.uint64(32))


def sign_texts(texts: pa.Array, scheme: Scheme) -> TextSignatures:
    """Digests and signatures of an array of strings; a null counts as an empty text."""
    buffers = _text_buffers(texts)
    count = buffers.offsets.size - 1
    signs = TextSignatures(
        np.zeros((count, 2), np.uint64),
        np.zeros(count, np.uint64),
        np.zeros(count, np.int32),
        np.empty((count, scheme.hashes), np.uint32),
    )
    tables = make_tables(scheme.words, scheme.digest)
    functions = hash_functions(scheme.hashes, scheme.seed)
    _sign(buffers, np.arange(count), tables, False, functions, signs)
    suspects = np.flatnonzero(signs.shingles < 0)
    if suspects.size:
        _sign(to_nfc(buffers, suspects), suspects, tables, True, functions, signs)
    return signs


@compiled
def _text_digests(offsets: Array, data: Array, seed: int, digests: Array) -> None:
    for index in range(digests.size):
        value = np.uint64(offsets[index + 1] - offsets[index]) + mix(np.uint64(seed))
        for at in range(offsets[index], offsets[index + 1]):
            value = mix(value ^ np.uint64(data[at])) + np.uint64(1)
        digests[index] = mix(value)


def text_digests(texts: pa.Array, seed: int = 0) -> Uint64s:
    """A 64-bit digest of each string, such as an id; uint64 (texts,). Two seeds give 128 bits."""
    buffers = _text_buffers(texts)
    digests = np.zeros(buffers.offsets.size - 1, dtype=np.uint64)
    _text_digests(buffers.offsets, buffers.data, seed, digests)
    return digests


@compiled
def _band_keys(signatures: Array, shingles: Array, bands: int, rows: int) -> Array:
    keys = np.zeros((shingles.size, bands), dtype=np.uint64)
    for index in range(shingles.size):
        if shingles[index] == 0:
            continue
        for band in range(bands):
            key = np.uint64(band + 1)
            for row in range(rows):
                key = mix(key ^ np.uint64(signatures[index, band * rows + row])) + np.uint64(row)
            keys[index, band] = max(key, np.uint64(1))
    return keys


def band_keys(signs: TextSignatures, scheme: Scheme) -> Uint64s:
    """A number for each band, equal where all rows of the band are equal; uint64 (texts, bands).

    0 stands for a text without shingles.
    """
    return _band_keys(signs.minhashes, signs.shingles, scheme.bands, scheme.rows)


class Sets(NamedTuple):
    """Sets of shingles: set i is values[offsets[i] : offsets[i + 1]], sorted and without repeats."""

    offsets: Int64s
    values: Uint64s


@compiled
def _order(numbers: Array, count: int, starts: Array, ordered: Array) -> None:
    """Sort mixed numbers into `ordered`: they are spread evenly, so one pass by their top bits nearly sorts them.

    This is faster than np.sort, which compiles to a quicksort.
    """
    bits = 1
    while (1 << bits) < count:
        bits += 1
    shift = np.uint64(64 - bits)
    starts[: (1 << bits) + 1] = 0
    for index in range(count):
        starts[np.int64(numbers[index] >> shift) + 1] += 1
    for bucket in range(1 << bits):
        starts[bucket + 1] += starts[bucket]
    for index in range(count):
        slot = np.int64(numbers[index] >> shift)
        ordered[starts[slot]] = numbers[index]
        starts[slot] += 1
    for index in range(1, count):
        number = ordered[index]
        before = index - 1
        while before >= 0 and ordered[before] > number:
            ordered[before + 1] = ordered[before]
            before -= 1
        ordered[before + 1] = number


@compiled
def copy_sets(sets: Sets, indices: Int64s, ends: Int64s, flat: Uint64s) -> None:
    """Copy sets from `flat`, where each ends at its value of `ends`, to the sets with those indices."""
    start = 0
    for one in range(indices.size):
        low = sets.offsets[indices[one]]
        sets.values[low : low + ends[one] - start] = flat[start : ends[one]]
        start = ends[one]


@compiled
def _sets(buffers: Buffers, tables: ShingleTables, trusted: bool, sizes: Int64s, values: Uint64s) -> int:
    """Fill `values` with one set after the other, and `sizes`; a size is -1 if the text may not be in NFC."""
    workspace = workspace_for(buffers)
    digest = np.empty(2, dtype=np.uint64)
    ordered = np.empty_like(workspace.shingles)
    starts = np.empty(4 * ordered.size + 2, dtype=np.int64)
    filled = 0
    for index in range(sizes.size):
        count = cut_units(buffers, index, tables, trusted, workspace, digest)
        if count < 0:
            sizes[index] = -1
            continue
        total = hash_shingles(workspace, count, tables)
        _order(workspace.shingles, total, starts, ordered)
        before = filled
        for shingle in range(total):
            if shingle == 0 or ordered[shingle] != ordered[shingle - 1]:
                values[filled] = ordered[shingle]
                filled += 1
        sizes[index] = filled - before
    return filled


def _sets_of(buffers: Buffers, tables: ShingleTables, trusted: bool) -> tuple[Int64s, Uint64s]:
    """Sizes of the sets, and their values."""
    sizes = np.zeros(buffers.offsets.size - 1, dtype=np.int64)
    values = np.empty(int(buffers.offsets[-1] - buffers.offsets[0]) // 2 + sizes.size + 1, dtype=np.uint64)
    return sizes, values[: _sets(buffers, tables, trusted, sizes, values)]


def shingle_sets(texts: pa.Array, scheme: Scheme) -> Sets:
    """The set of shingle hashes (64 bits) of each text."""
    buffers = _text_buffers(texts)
    tables = make_tables(scheme.words)
    sizes, values = _sets_of(buffers, tables, trusted=False)
    suspects = np.flatnonzero(sizes < 0)
    if not suspects.size:
        return Sets(np.r_[0, np.cumsum(sizes)], values)
    sure = np.flatnonzero(sizes >= 0)
    ends = np.cumsum(sizes[sure])
    sizes[suspects], others = _sets_of(to_nfc(buffers, suspects), tables, trusted=True)
    sets = Sets(np.r_[0, np.cumsum(sizes)], np.empty(int(sizes.sum()), dtype=np.uint64))
    copy_sets(sets, sure, ends, values)
    copy_sets(sets, suspects, np.cumsum(sizes[suspects]), others)
    return sets


@compiled
def _jaccard(offsets: Array, values: Array, first: int, second: int) -> float:
    left, left_end = offsets[first], offsets[first + 1]
    right, right_end = offsets[second], offsets[second + 1]
    union = (left_end - left) + (right_end - right)
    if union == 0:
        return 0.0
    common = 0
    while left < left_end and right < right_end:
        one, other = values[left], values[right]
        common += one == other
        left += one <= other
        right += other <= one
    return float(common / (union - common))


@compiled
def jaccards(offsets: Array, values: Array, first: Array, second: Array) -> Array:
    """Exact Jaccard similarity of pairs of sets, float64 (pairs,); 0 for two empty sets."""
    found = np.empty(first.size, dtype=np.float64)
    for pair in range(first.size):
        found[pair] = _jaccard(offsets, values, first[pair], second[pair])
    return found


def bucket_pairs(bucket: Int64s, documents: Int64s) -> tuple[Int64s, Int64s]:
    """Candidate pairs (better, worse) of buckets whose members are listed together, best document first.

    `bucket` (members,) ascends. Up to ALL_PAIRS members, all pairs are candidates. In a larger bucket, such as copies
    of a template, each member is paired with the BUCKET_HEADS best, so that the number of pairs grows with that of
    members.
    """
    if not (bucket[1:] == bucket[:-1]).any():
        none = np.zeros(0, dtype=np.int64)
        return none, none
    fresh = np.flatnonzero(np.r_[True, bucket[1:] != bucket[:-1]])
    sizes = np.diff(np.r_[fresh, bucket.size])
    index = np.arange(bucket.size) - np.repeat(fresh, sizes)
    size = np.repeat(sizes, sizes)
    first, second = [], []
    for distance in range(1, min(ALL_PAIRS, int(sizes.max()))):
        later = np.flatnonzero((index >= distance) & (size <= ALL_PAIRS))
        first.append(documents[later - distance])
        second.append(documents[later])
    hot = np.flatnonzero(size > ALL_PAIRS)
    for head in range(BUCKET_HEADS if hot.size else 0):
        later = hot[index[hot] > head]
        first.append(documents[later - index[later] + head])
        second.append(documents[later])
    return np.concatenate(first), np.concatenate(second)


@compiled
def join_components(parents: npt.NDArray[np.int64], first: Int64s, second: Int64s) -> None:
    """Join the trees in `parents` of each pair by union-find with path halving; the root is the lowest number."""
    for pair in range(first.size):
        one, other = first[pair], second[pair]
        while parents[one] != one:
            parents[one] = parents[parents[one]]
            one = parents[one]
        while parents[other] != other:
            parents[other] = parents[parents[other]]
            other = parents[other]
        if one < other:
            parents[other] = one
        elif other < one:
            parents[one] = other


@compiled
def decide_removals(
    sets: Sets, better: Array, worse: Array, known: Array, threshold: float, fixed: Array, evidence: Array
) -> int:
    """Decide which documents are removed, and for which kept document.

    Documents are numbered by rank, best first. Pairs (`better` < `worse`) are sorted by `worse`, then `better`. `known`
    (float64) holds the similarity of each pair, or -1; this computes missing ones from the sets and fills them in.
    `evidence` (int64, documents) becomes the index of the pair for which a document is removed, -1 for a kept one.

    A document is removed exactly if it has a pair of at least `threshold` with a kept document; the best such document
    counts. Documents that are `fixed` (released ones) always stay. Returns how many similarities were computed.
    """
    offsets, values = sets.offsets, sets.values
    evidence[:] = -1
    verified = 0
    for pair in range(better.size):
        document, head = worse[pair], better[pair]
        if fixed[document] or evidence[document] >= 0 or evidence[head] >= 0:
            continue
        if known[pair] < 0:
            known[pair] = _jaccard(offsets, values, head, document)
            verified += 1
        if known[pair] >= threshold:
            evidence[document] = pair
    return verified


def _text_buffers(texts: pa.Array | pa.ChunkedArray) -> Buffers:
    """Offsets and bytes of an array of strings; a null is an empty text. Only the offsets are copied."""
    if isinstance(texts, pa.ChunkedArray):
        texts = texts.combine_chunks() if texts.num_chunks != 1 else texts.chunk(0)
    if texts.null_count:
        texts = texts.fill_null("")
    wide = pa.types.is_large_string(texts.type) or pa.types.is_large_binary(texts.type)
    _, offsets, data = texts.buffers()
    if offsets is None or not len(texts):
        return Buffers(np.zeros(1, dtype=np.int64), np.frombuffer(b"\0", np.uint8))
    starts = np.frombuffer(offsets, dtype=np.int64 if wide else np.int32)[texts.offset : texts.offset + len(texts) + 1]
    content = np.frombuffer(data, dtype=np.uint8) if data is not None and data.size else np.frombuffer(b"\0", np.uint8)
    return Buffers(starts.astype(np.int64), content)
