"""How the work of dedup is divided to fit in memory, and whether its scratch files fit on the disk."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.dedup.settings import DedupSettings
from roots import shards, storage
from roots.errors import SettingsError

_PROCESS_BYTES = 130 << 20  # of a Python process with Arrow and Numba loaded
_LEAST_BYTES = 48 << 20  # a worker needs this for batches of text and for writing

# Bytes of memory
_EXACT_BYTES = 100  # of a document in a part of urls or exact, where all digests are equal
_BAND_BYTES = 72  # of a document in a part of pairs
_GROUP_NODE_BYTES = 40  # of a document while one task groups all
GROUPING_BYTES = _GROUP_NODE_BYTES + 1  # of a document, at most, where one task groups all
_COST_BYTES = 64  # of a document in a part of weigh
_END_BYTES = 64  # of one end of an edge while a part of stars sorts it
_LINE_BYTES = 130  # of a line while a part of repeats sorts it

# Bytes of disk
_SIGN_BYTES = 10 * 8 + 60  # of a document in sign, and 8 more for each band
_LINE_SCRATCH = 1.0  # of a byte of text, in the sub-steps of lines
_PAIR_SCRATCH = 24  # of a document and band, in pairs


@dataclass(frozen=True)
class MemoryPlan:
    """How the work is divided so that it stays within the memory. It never changes which documents are kept."""

    exact_parts: int
    pair_parts: int
    nodes: int  # documents that one task can group
    group_bytes: int  # what the work on one group may take
    set_bytes: int  # sets of shingles in memory at once
    block_bytes: int  # sets of shingles that are ordered by group before they are written


def plan_memory(documents: int, shingles: int, memory: int, workers: int) -> MemoryPlan:
    """Divide the work on `documents` with `shingles` in all among `workers`, within `memory` bytes.

    Raises SettingsError where memory cannot hold the processes themselves.
    """
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
    return MemoryPlan(
        exact_parts=max(1, -(-documents * _EXACT_BYTES // held)),
        pair_parts=max(1, -(-documents * _BAND_BYTES // held)),
        nodes=max(1, alone // _GROUP_NODE_BYTES),
        group_bytes=max(4 << 20, min(held // 3, shingles // workers)),
        set_bytes=held // 2,
        block_bytes=min(32 << 20, max(8 << 20, shingles // (2 * workers)), held // 4),
    )


def group_parts(documents: int, edges: int, plan: MemoryPlan) -> int:
    """How many tasks group the documents, which `edges` connect: one, where it can hold all of them."""
    if documents <= plan.nodes:
        return 1
    return max(2, -(-(documents * _COST_BYTES + 2 * edges * _END_BYTES) // (2 * plan.set_bytes)))


def line_parts(lines: int, plan: MemoryPlan) -> int:
    """Into how many parts the lines are divided."""
    return max(1, -(-lines * _LINE_BYTES // (2 * plan.set_bytes)))  # no sets are in memory then


def estimate_scratch(chains: Mapping[str, Sequence[Path]], settings: DedupSettings) -> int:
    """Upper bound of the bytes of disk that the sub-steps take, from the receipts of the chains' shards.

    A shingle is 8 bytes in `sets` and stands for about 8 bytes of text or more. Only documents with candidates are
    written there, so this is a bound and no forecast.
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
    """Documents and bytes of text of a released Parquet file, from its footer; (0, 0) for a shard with a receipt."""
    if path.suffix != ".parquet" or not path.is_file() or shards.read_receipt(path):
        return 0, 0
    metadata = shards.open_shard(path).metadata
    groups = (metadata.row_group(number) for number in range(metadata.num_row_groups))
    leaves = (group.column(number) for group in groups for number in range(group.num_columns))
    return metadata.num_rows, sum(leaf.total_uncompressed_size for leaf in leaves if leaf.path_in_schema == "text")


def check_space(chains: Mapping[str, Sequence[Path]], target: Path, settings: DedupSettings) -> None:
    """Raise SettingsError if the scratch files may not fit on the disk, with what is needed and what is free."""
    if storage.is_remote(target):
        return
    existing = target
    while not existing.exists():
        existing = existing.parent
    there = sum(path.stat().st_size for path in target.rglob("*.parquet")) if target.exists() else 0
    needed = estimate_scratch(chains, settings)
    free = shutil.disk_usage(existing).free + there
    if needed > free:
        raise SettingsError(
            f"dedup may need {needed / 1e9:.1f} GB of scratch space in {target}, and {free / 1e9:.1f} GB are free: "
            "free some, or put the work folder on a larger disk"
        )
