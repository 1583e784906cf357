"""Which copy is kept: a number a document, the least first. Ties are broken by a digest of the id."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Ranks = npt.NDArray[np.uint64]
_LAST = (1 << 62) - 1


@dataclass(frozen=True)
class Keep:
    """A policy: what it reads, and how it ranks."""

    columns: tuple[str, ...]  # that it needs of the documents, besides id and text
    rank: Callable[[pa.RecordBatch], Ranks]


def longest(batch: pa.RecordBatch) -> Ranks:
    """Rank the longer text, in bytes of UTF-8, first."""
    sizes = pc.binary_length(batch["text"]).fill_null(0).to_numpy(zero_copy_only=False)
    ranks: Ranks = (_LAST - sizes.astype(np.int64)).astype(np.uint64)
    return ranks


def _dates(batch: pa.RecordBatch) -> npt.NDArray[np.int64]:
    """Dates as numbers that grow with time, -1 for none: the digits of an ISO 8601 date as far as the second."""
    digits = pc.replace_substring_regex(batch["date"].fill_null(""), r"[^0-9]", "")
    whole = pc.utf8_slice_codeunits(pc.utf8_rpad(digits, 14, "0"), 0, 14)
    numbers = pc.cast(whole, pa.int64()).to_numpy(zero_copy_only=False)
    return np.where(pc.equal(digits, "").to_numpy(zero_copy_only=False), -1, numbers)


def oldest(batch: pa.RecordBatch) -> Ranks:
    """Rank the earlier date first; documents without one last."""
    dates = _dates(batch)
    return np.where(dates < 0, _LAST, dates).astype(np.uint64)


def newest(batch: pa.RecordBatch) -> Ranks:
    """Rank the later date first; documents without one last."""
    return (_LAST - np.maximum(_dates(batch), 0)).astype(np.uint64)


KEEP: dict[str, Keep] = {
    "longest": Keep((), longest),
    "oldest": Keep(("date",), oldest),
    "newest": Keep(("date",), newest),
}
