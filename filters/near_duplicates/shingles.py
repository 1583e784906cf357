"""Texts cut into shingles: n units in a row, where a unit is a word, or a letter in scripts without spaces.

A *unit* is a maximal run of word characters (letters, combining marks, numbers, connectors: UTS #18's `\\w`) or, in
scripts without spaces between words, one grapheme: a letter with all its marks. A *shingle* is n units in a row,
whatever is between them. n depends on the script of the first unit (shingle_tables.SCRIPTS_WITHOUT_SPACES), so no
language label is needed, and a text that mixes scripts is cut the same everywhere.

Text is taken in NFC and case folded. Arabic vowel signs, tatweel and characters without a width are left out, and the
yeh, kaf and heh of Arabic, Persian and Urdu are one letter each. All passes are compiled and read the buffers of
Arrow: a Python object is made only for the few documents whose text is not in NFC.
"""

import unicodedata
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from filters.near_duplicates.shingle_tables import (
    BARE,
    BASE,
    EXPANDS,
    EXTENDS,
    FIRST,
    FOLDED,
    IGNORED,
    KIND_SHIFT,
    RARE,
    SECOND,
    STACKER,
    UNSTABLE,
    ShingleTables,
    Uint64s,
)
from filters.text.compiled import compiled, inlined

Array = npt.NDArray[Any]

_SEED = np.uint64(0x9E3779B97F4A7C15)
_STEP = np.uint64(0xD1342543DE82EF95)  # odd multipliers with good spectra (Steele and Vigna 2021, table 5 and others)
_STEP2 = np.uint64(0xAF251AF3B0F025B5)
_MIX1 = np.uint64(0xBF58476D1CE4E5B9)  # splitmix64's finaliser
_MIX2 = np.uint64(0x94D049BB133111EB)


@compiled
def mix(value: np.uint64) -> np.uint64:
    """Spread the bits of a 64-bit number evenly: the finaliser of splitmix64, a bijection."""
    value = (value ^ (value >> np.uint64(30))) * _MIX1
    value = (value ^ (value >> np.uint64(27))) * _MIX2
    return value ^ (value >> np.uint64(31))


@compiled
def _composes(pairs: Uint64s, first: np.int64, second: np.int64) -> bool:
    """Whether NFC composes two code points into one."""
    wanted = np.uint64((first << 21) | second)
    low, high = 0, pairs.size
    while low < high:
        middle = (low + high) >> 1
        if pairs[middle] < wanted:
            low = middle + 1
        else:
            high = middle
    return low < pairs.size and pairs[low] == wanted


class Buffers(NamedTuple):
    """An Arrow array of strings, as the compiled passes read it."""

    offsets: npt.NDArray[np.int64]  # (rows + 1,)
    data: npt.NDArray[np.uint8]


class _Workspace(NamedTuple):
    """Arrays for the units and shingles of one text at a time."""

    units: Uint64s  # digests
    kinds: npt.NDArray[np.uint8]  # of units, as in shingle_tables
    sums: Uint64s  # running sums of the polynomial
    shingles: Uint64s


@compiled
def workspace_for(buffers: Buffers) -> _Workspace:
    """A workspace large enough for the longest of some texts."""
    longest = np.int64(0)
    for index in range(buffers.offsets.size - 1):
        longest = max(longest, buffers.offsets[index + 1] - buffers.offsets[index])
    most = longest // 2 + 2
    return _Workspace(
        np.empty(most, dtype=np.uint64),
        np.empty(most, dtype=np.uint8),
        np.empty(most + 1, dtype=np.uint64),
        np.empty(most, dtype=np.uint64),
    )


@inlined
def _code_at(data: Array, at: int, end: int) -> tuple[np.int64, int]:
    """The code point whose UTF-8 begins at `at`, and where the next one begins.

    -1 for a last character that is cut off, which a damaged file may have.
    """
    byte = np.int64(data[at])
    if byte < 0x80:
        return byte, at + 1
    if byte < 0xE0 and at + 1 < end:
        return ((byte & 0x1F) << 6) | np.int64(data[at + 1] & 0x3F), at + 2
    if byte < 0xF0 and at + 2 < end:
        return ((byte & 0x0F) << 12) | (np.int64(data[at + 1] & 0x3F) << 6) | np.int64(data[at + 2] & 0x3F), at + 3
    if at + 3 < end:
        high = ((byte & 0x07) << 18) | (np.int64(data[at + 1] & 0x3F) << 12)
        code = high | (np.int64(data[at + 2] & 0x3F) << 6) | np.int64(data[at + 3] & 0x3F)
        return min(code, np.int64(0x10FFFF)), at + 4
    return np.int64(-1), end


@inlined
def _may_change(tables: ShingleTables, row: np.int64, code: np.int64, starter: np.int64) -> bool:
    """Whether NFC may change a text at `code`, whose row in the table is `row`: the quick check of UAX #15.

    It is also true for some texts that NFC leaves alone (a mark between two that would compose).
    """
    if row & UNSTABLE:
        return not row & EXPANDS
    return bool(row & SECOND and tables.points[starter] & np.uint32(FIRST) and _composes(tables.pairs, starter, code))


@inlined
def _folded(value: np.uint64, row: np.int64, expansions: Array) -> np.uint64:
    """The digest of a unit with one more character, which is case folded here."""
    if row & EXPANDS:
        index = row & FOLDED
        for part in range(1, 1 + expansions[index, 0]):
            value = (value ^ np.uint64(expansions[index, part])) * _STEP
            value ^= value >> np.uint64(29)
        return value
    value = (value ^ np.uint64(row & FOLDED)) * _STEP
    return value ^ (value >> np.uint64(29))


@inlined
def _digested(left: np.uint64, right: np.uint64, code: np.int64) -> tuple[np.uint64, np.uint64]:
    """The two halves of a text's digest with one more character."""
    return (left ^ np.uint64(code)) * _STEP, (right ^ np.uint64(code)) * _STEP2


@inlined
def _taken_apart(
    taken: int, left: np.uint64, right: np.uint64, row: np.int64, expansions: Array
) -> tuple[int, np.uint64, np.uint64]:
    """Add the parts of a character that NFC takes apart: (characters in the text's digest, its two halves)."""
    if row & UNSTABLE and row & EXPANDS:
        left, right = _digested(left, right, np.int64(expansions[row & FOLDED, 1]))
        left, right = _digested(left, right, np.int64(expansions[row & FOLDED, 2]))
        taken += 2
    return taken, left, right


@inlined
def _close(units: Array, kinds: Array, count: int, value: np.uint64, kind: np.int64) -> int:
    """Append the open unit, if its kind is not 0; returns the number of units."""
    if kind:
        units[count] = mix(value)
        kinds[count] = kind
        return count + 1
    return count


@compiled
def cut_units(
    buffers: Buffers, index: int, tables: ShingleTables, trusted: bool, workspace: _Workspace, digest: Array
) -> int:
    """Cut a text into units; returns how many, or -1 if the text may not be in NFC, unless `trusted`.

    Fills `workspace.units`, `workspace.kinds` and `digest` (uint64 (2,)): 128 bits of the text without the characters
    that are BARE in the tables, or of the whole text if it has no others.
    """
    at, end = int(buffers.offsets[index]), int(buffers.offsets[index + 1])
    data, points, orders, expansions = buffers.data, tables.points, tables.orders, tables.expansions
    units, kinds = workspace.units, workspace.kinds  # read from the tuple once: each read counts a reference
    count, taken = 0, 0
    value, left, right, whole_left, whole_right = _SEED, _SEED, _STEP, _MIX1, _MIX2
    open_kind, starter, order, stacked = np.int64(0), np.int64(0), np.int64(0), False
    while at < end:
        code, at = _code_at(data, at, end)
        if code < 0:
            break
        row = np.int64(points[code])
        if not row & BARE:
            taken += 1
            left, right = _digested(left, right, code)
        elif taken == 0:
            whole_left, whole_right = _digested(whole_left, whole_right, code)
        if row & RARE:
            if not trusted and _may_change(tables, row, code, starter):
                return -1
            taken, left, right = _taken_apart(taken, left, right, row, expansions)
        both = np.int64(orders[code]) if code >= 0xC0 else np.int64(0)
        rank = both & 0xFF
        if rank == 0:
            starter = code
        elif rank < order and not trusted:
            return -1
        order = both >> 8
        if row & IGNORED:
            continue
        kind = (row >> KIND_SHIFT) & 7
        joined = open_kind > 0 and (
            (row & EXTENDS) != 0 or (kind == 1 and open_kind == 1) or (stacked and kind == open_kind)
        )
        if kind == 0 or not joined:
            count = _close(units, kinds, count, value, open_kind)
            open_kind = kind
            value = _SEED
        stacked = bool(kind > 0 and (row & STACKER) != 0)
        if kind:
            value = _folded(value, row, expansions)
    count = _close(units, kinds, count, value, open_kind)
    digest[0], digest[1] = mix(left if taken else whole_left), mix(right if taken else whole_right)
    return count


@compiled
def hash_shingles(workspace: _Workspace, count: int, tables: ShingleTables) -> int:
    """Hash every shingle of a text of `count` units.

    The hash of a shingle is the polynomial of its unit hashes, computed from running sums, then mixed. Fills
    `workspace.shingles` and `workspace.sums` (count + 1,); returns the number of shingles.
    """
    units, kinds, sums, shingles = workspace.units, workspace.kinds, workspace.sums, workspace.shingles
    lengths, powers = tables.lengths, tables.powers
    sums[0] = np.uint64(0)
    for index in range(count):
        sums[index + 1] = sums[index] * BASE + units[index]
    found = 0
    for index in range(count):
        kind = kinds[index]
        last = index + lengths[kind]
        if last <= count:
            shingles[found] = mix(sums[last] - sums[index] * powers[kind])
            found += 1
    return found


def to_nfc(buffers: Buffers, rows: npt.NDArray[np.int64]) -> Buffers:
    """Some texts in NFC. Bytes that are not UTF-8 become the replacement character."""
    ends = [0]
    parts: list[bytes] = []
    for row in rows.tolist():
        text = buffers.data[buffers.offsets[row] : buffers.offsets[row + 1]].tobytes().decode("utf-8", "replace")
        parts.append(unicodedata.normalize("NFC", text).encode())
        ends.append(ends[-1] + len(parts[-1]))
    return Buffers(np.array(ends, dtype=np.int64), np.frombuffer(b"".join(parts) or b"\0", dtype=np.uint8))
