"""How the work of dedup is cut so that it fits in memory, and whether its scratch files fit on the disk."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.dedup.settings import Dedup
from roots import shards, storage
from roots.errors import SettingsError

_PROCESS_BYTES = 130 << 20  # of a Python process with Arrow and Numba before it holds anything; measured 125 to 132
_LEAST_BYTES = 48 << 20  # a worker needs this for batches of text and for writing


@dataclass(frozen=True)
class Cuts:
    """How the work is cut so that it stays within memory. No cut changes which documents are kept."""

    exact_parts: int
    pair_parts: int
    nodes: int  # documents that one task can group
    group_bytes: int
    set_bytes: int
    stretch_bytes: int


EXACT_BYTES = 100  # a document in a part, at the worst moment (all digests equal)
_BAND_BYTES = 72
_GROUP_NODE_BYTES = 40
GROUP_BYTES_EACH = _GROUP_NODE_BYTES + 1  # a document in groups, where that is one task; measured 37


def cut(documents: int, shingles: int, memory: int, workers: int) -> Cuts:
    """Cut the work of so many documents. Raises SettingsError where memory cannot hold the processes themselves."""
    budget = (memory - _PROCESS_BYTES) // workers - _PROCESS_BYTES
    alone = memory - 2 * _PROCESS_BYTES - documents
    if min(budget, alone) < _LEAST_BYTES:
        least = max(
            (_PROCESS_BYTES + _LEAST_BYTES) * workers + _PROCESS_BYTES, 2 * _PROCESS_BYTES + documents + _LEAST_BYTES
        )
        raise SettingsError(
            f"dedup.memory is too little for {workers} workers and {documents} documents: "
            f"at least {-(-least >> 20)}M is needed, or fewer workers"
        )
    held = budget - _LEAST_BYTES // 2 - documents
    held = max(held, _LEAST_BYTES // 2)
    return Cuts(
        exact_parts=max(1, -(-documents * EXACT_BYTES // held)),
        pair_parts=max(1, -(-documents * _BAND_BYTES // held)),
        nodes=max(1, alone // _GROUP_NODE_BYTES),
        group_bytes=max(4 << 20, min(held // 3, shingles // workers)),
        set_bytes=held // 2,
        stretch_bytes=min(32 << 20, max(8 << 20, shingles // (2 * workers)), held // 4),
    )


_STRETCH_BYTES = 64  # a document in a part of weigh
_END_BYTES = 64  # an end of an edge in a part of stars, while it is sorted


def group_parts(documents: int, edges: int, cuts: Cuts) -> int:
    """How many tasks group so many documents, which hang together by so many edges: one, where it can hold all."""
    if documents <= cuts.nodes:
        return 1
    return max(2, -(-(documents * _STRETCH_BYTES + 2 * edges * _END_BYTES) // (2 * cuts.set_bytes)))


LINE_BYTES = 130  # a line in a part of repeats, while it is sorted


def line_parts(lines: int, cuts: Cuts) -> int:
    """Into how many parts so many lines are cut."""
    return max(1, -(-lines * LINE_BYTES // (2 * cuts.set_bytes)))  # sets are not held then


_SIGN_BYTES = 10 * 8 + 60  # a document in sign, and 8 more a band
_LINE_SCRATCH = 1.0  # a byte of text, in lines and what follows: a line is 20 to 45 bytes there
_PAIR_SCRATCH = 24  # a document and band, in pairs: measured 4 to 16


def estimate_scratch(chains: Mapping[str, Sequence[Path]], settings: Dedup) -> int:
    """Bytes of disk that the sub-steps take at most, from the receipts of the chains' shards.

    A shingle is 8 bytes in `sets`, and takes at least about as many bytes of text; only documents with candidates are
    written there, so that this is a bound and no forecast.
    """
    documents = text = 0
    for chain in chains.values():
        receipts = [receipt for path in chain if (receipt := shards.read_receipt(path))]
        rows, size = released_size(chain[0])
        documents += receipts[-1].kept if receipts else rows
        text += max(size, *(receipt.text_bytes for receipt in receipts), 0)
    lines = text * _LINE_SCRATCH if settings.lines else 0
    return documents * (_SIGN_BYTES + settings.bands * (8 + _PAIR_SCRATCH)) + text + int(lines)


def released_size(path: Path) -> tuple[int, int]:
    """Documents and bytes of text of a released Parquet file, from its footer; 0 for a shard, which has a receipt."""
    if path.suffix != ".parquet" or not path.is_file() or shards.read_receipt(path):
        return 0, 0
    metadata = shards.open_shard(path).metadata
    groups = (metadata.row_group(number) for number in range(metadata.num_row_groups))
    leaves = (group.column(number) for group in groups for number in range(group.num_columns))
    return metadata.num_rows, sum(leaf.total_uncompressed_size for leaf in leaves if leaf.path_in_schema == "text")


def check_space(chains: Mapping[str, Sequence[Path]], target: Path, settings: Dedup) -> None:
    """Refuse to start where scratch files may not fit. Raises SettingsError with what is needed and what is free."""
    if storage.is_remote(target):
        return
    place = target
    while not place.exists():
        place = place.parent
    there = sum(path.stat().st_size for path in target.rglob("*.parquet")) if target.exists() else 0
    needed = estimate_scratch(chains, settings)
    free = shutil.disk_usage(place).free + there
    if needed > free:
        raise SettingsError(
            f"dedup may need {needed / 1e9:.1f} GB of scratch space in {target}, and {free / 1e9:.1f} GB are free: "
            "free some, or put the work folder on a larger disk"
        )
