"""lines, sizes, repeats and edits: lines that a source repeats are removed from its documents.

    lines      each line of each shard: how often it occurs there, and on how many pages
    sizes      how many pages a source has, where a rule needs its share of them
    repeats    a part of all lines at a time: which lines are removed, and by which rule
    edits      the lines to remove from each document, as spans of its text

Only kept documents are counted. If lines came first, an article that was crawled twice would lose all its lines. A
removed copy gets its edits too, as if it stood in the place of the kept document, because a takedown may put it there
(pipelines.publishing.takedown_plan).

The first copy of a line is the first one in the document that `keep` prefers. It stays unless `every_copy` is set.
Released documents are not counted, and their text stays as it was released.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from filters.near_duplicates.repeated_lines import (
    NO_RULE,
    TextLines,
    find_lines,
    first_rule,
    removal_spans,
)
from filters.near_duplicates.rules import LineRule
from filters.near_duplicates.shingle_tables import Uint64s
from filters.near_duplicates.signatures import Int64s
from filters.text.words import remove_spans
from pipelines.dedup.released import RELEASED_PREFIX, release_ranges
from pipelines.dedup.scratch import (
    U64,
    MemoryPlan,
    Outputs,
    StepManifests,
    Steps,
    StepShards,
    concat,
    find_sorted,
    line_parts,
    numbered_parts,
    order_by,
    read_batches,
    read_between,
    read_documents,
    read_pieces,
    run_starts,
    to_batches,
)
from pipelines.dedup.settings import DedupSettings
from pipelines.dedup.sign import digests_of
from roots.schema import LINES
from roots.settings import ASIDE
from roots.stage import Stage

BLOCK_LINES = 1 << 17  # lines in memory at once; the scratch shards depend on it, so it is no setting
LINE_STEPS = ("lines", "sizes", "repeats", "edits")  # the sub-steps of this file
_KEYS = 1 << 63  # all keys are smaller
DocumentRanges = tuple[tuple[int, int], ...]  # of document numbers: the first, and the number after the last


def remove_lines(
    steps: Steps, outputs: Outputs, settings: DedupSettings, plan: MemoryPlan, found: StepManifests
) -> StepManifests:
    """Run the sub-steps that find and remove repeated lines; returns `found` with their manifests."""
    sign, settled = found.sign, found.settled
    rules = settings.line_rules
    least = min(rule.characters for rule in rules)
    releases = release_ranges(StepShards.of(sign)) if settings.released == "mark" else ()
    marked = tuple((first, end) for _, first, end in releases)
    inputs = {name: [sign.with_name(name), *output.chain] for name, output in outputs.items()}
    counting = LineCounts(least, marked, sign)
    lines = steps.run(counting, {name: [settled, *paths] for name, paths in inputs.items()}, "lines")
    sizing = SourceSizes(rules, plan.exact_parts, marked)
    sizes = steps.run(sizing, {part: [sign, settled] for part in numbered_parts(plan.exact_parts)}, "sizes")
    parts = line_parts(StepShards.of(lines).total, plan)
    judging = RepeatedLines(rules, parts)
    repeats = steps.run(judging, {part: [lines, sizes] for part in numbered_parts(parts)}, "repeats")
    editing = LineEdits(tuple(rule.label for rule in rules), least, settings.every_copy, marked, sign)
    edits = steps.run(editing, {name: [repeats, settled, *paths] for name, paths in inputs.items()}, "edits")
    return found._replace(repeats=repeats, edits=edits)


def kept_for_each(settled: StepShards, start: int, rows: int, marked: DocumentRanges) -> Int64s:
    """For each of `rows` documents from number `start` on, the document that is kept for it, or itself.

    Copies of the released documents in `marked` are kept.
    """
    kept = np.arange(start, start + rows, dtype=np.int64)
    for path in settled.paths():
        for batch in read_between(path, "document", start, start + rows, ["document", "kept"]):
            some = batch.filter(batch["kept"].is_valid())
            row, kept_for = some["document"].to_numpy() - start, some["kept"].to_numpy()
            for first, end in marked:
                kept_for = np.where((kept_for >= first) & (kept_for < end), row + start, kept_for)
            kept[row] = kept_for
    return kept


class _LineBlock(NamedTuple):
    """Some documents of a shard, in batches, with their lines."""

    first: int  # row of the first in the shard
    texts: list[pa.Array]
    lines: list[TextLines]  # of each batch; `text` counts from the batch's first row


def _read_blocks(chain: Sequence[Path], sources: Uint64s, least: int) -> Iterator[_LineBlock]:
    """The documents of a shard, in blocks of at least BLOCK_LINES lines."""
    held = _LineBlock(0, [], [])
    at = count = 0
    for batch in read_documents(chain, ["id", "text"]):
        texts = batch["text"].fill_null("")
        held.texts.append(texts)
        held.lines.append(find_lines(texts, sources[at : at + len(texts)], least))
        at += len(texts)
        count += held.lines[-1].key.size
        if count >= BLOCK_LINES:
            yield held
            held, count = _LineBlock(at, [], []), 0
    if held.texts:
        yield held


def read_columns(signs: Path, names: Sequence[str]) -> list[Uint64s]:
    """Whole columns of one shard of sign, uint64 (rows,)."""
    pieces = list(read_pieces(signs, names))
    return [concat([piece[name] for piece in pieces], np.uint64) for name in names]


@dataclass(frozen=True)
class LineCounts(Stage):
    """Lines of one shard, each once in a block and sorted by key."""

    name: ClassVar[str] = "dedup.lines"
    version: ClassVar[int] = 1
    schema: ClassVar[pa.Schema] = pa.schema(
        [
            pa.field("key", pa.int64()), pa.field("source", U64),
            pa.field("stretch", pa.int64()),  # its block: the number of the block's first document
            pa.field("length", pa.int32()),  # characters
            pa.field("times", pa.int32()), pa.field("pages", pa.int32()),  # 0: in removed copies only
            pa.field("holder", pa.int64()), pa.field("rank", U64), pa.field("tie", U64),  # of its first copy
        ]
    )  # fmt: skip
    least: int  # characters of a line that a rule may remove
    marked: DocumentRanges  # released documents whose copies are kept
    signed: Path = field(metadata=ASIDE)

    def make(self, name: str, sources: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        """Count one shard; sources are settle, its shard of sign, and its chain."""
        settled, signs, *chain = sources
        start = StepShards.of(self.signed).start(name)
        source, rank, tie = read_columns(signs, ["source", "rank", "tie"])
        kept_for = kept_for_each(StepShards.of(settled), start, source.size, self.marked)
        live = kept_for == np.arange(start, start + source.size)
        for block in _read_blocks(chain, source, self.least):
            firsts = np.cumsum([block.first, *(len(texts) for texts in block.texts)])
            row = concat([first + part.text for first, part in zip(firsts, block.lines, strict=False)], np.int64)
            key = concat([part.key for part in block.lines], np.int64)
            length = concat([part.end - part.start for part in block.lines], np.int64)
            again = concat([part.again for part in block.lines], np.bool_)
            if not row.size:
                continue
            order = order_by(key, ~live[row], rank[row], tie[row], row)
            row, key = row[order], key[order]
            run = np.flatnonzero(run_starts(key))
            head = row[run]
            yield from to_batches(
                self.schema, key[run], source[head], np.full(run.size, start + block.first),
                length[order][run].astype(np.int32), np.add.reduceat(live[row].astype(np.int32), run),
                np.add.reduceat((live[row] & ~again[order]).astype(np.int32), run),
                head + start, rank[head], tie[head],
            )  # fmt: skip


@dataclass(frozen=True)
class SourceSizes(Stage):
    """How many documents are kept of each source that has enough of them for a share to matter."""

    name: ClassVar[str] = "dedup.sizes"
    version: ClassVar[int] = 1
    schema: ClassVar[pa.Schema] = pa.schema([pa.field("source", U64), pa.field("documents", pa.int64())])
    rules: tuple[LineRule, ...]
    parts: int
    marked: DocumentRanges

    def make(self, name: str, sources: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        """Count one part of all sources; sources are sign and settle."""
        signed, settled = (StepShards.of(source) for source in sources)
        gone = np.zeros(signed.total, dtype=np.bool_)
        for path in settled.paths():
            for batch in read_batches(path, ["document", "kept"]):
                some = batch.filter(batch["kept"].is_valid())
                kept = some["kept"].to_numpy()
                stays = np.zeros(kept.size, dtype=np.bool_)
                for first, end in self.marked:
                    stays |= (kept >= first) & (kept < end)
                gone[some["document"].to_numpy()] = ~stays
        for shard, rows in signed.rows.items():  # released documents are not counted
            if shard.startswith(RELEASED_PREFIX):
                gone[signed.start(shard) : signed.start(shard) + rows] = True
        found: Uint64s = np.zeros(0, dtype=np.uint64)
        counts: Int64s = np.zeros(0, dtype=np.int64)
        for start, piece in signed.stream(["source"]):
            mine = piece["source"] % np.uint64(self.parts) == numbered_parts(self.parts)[name]
            here, count = np.unique(piece["source"][mine & ~gone[start : start + mine.size]], return_counts=True)
            found, index = np.unique(np.concatenate([found, here]), return_inverse=True)
            counts = np.bincount(index, np.concatenate([counts, count]), found.size).astype(np.int64)
        wanted = np.zeros(found.size, dtype=np.bool_)
        for rule in self.rules:
            wanted |= rule.share * counts > rule.pages
        if wanted.any():
            yield from to_batches(self.schema, found[wanted], counts[wanted])


@dataclass(frozen=True)
class RepeatedLines(Stage):
    """The lines to remove, one part of all keys at a time: a row for each block that has one, sorted by block."""

    name: ClassVar[str] = "dedup.repeats"
    version: ClassVar[int] = 1
    schema: ClassVar[pa.Schema] = pa.schema(
        [
            pa.field("stretch", pa.int64()), pa.field("key", pa.int64()), pa.field("rule", pa.int8()),
            pa.field("times", pa.int32()), pa.field("holder", pa.int64()),
        ]
    )  # fmt: skip
    rules: tuple[LineRule, ...]
    parts: int

    def make(self, name: str, sources: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        """Judge one part; sources are lines and sizes."""
        lines, sizes = (StepShards.of(source) for source in sources)
        part = numbered_parts(self.parts)[name]
        low, high = _KEYS * part // self.parts, min(_KEYS * (part + 1) // self.parts, _KEYS - 1)
        table = _read_part(lines, low, high)
        if not table["key"].size:
            return
        order = order_by(*(table[column] for column in ("key", "no_pages", "rank", "tie", "holder")))
        for column in table:  # one at a time, to save memory
            table[column] = table[column][order]
        del order
        starts = run_starts(table["key"])
        run, line = np.flatnonzero(starts), np.cumsum(starts) - 1
        times, pages = (np.add.reduceat(table[column].astype(np.int64), run) for column in ("times", "pages"))
        source, documents = _read_sizes(sizes)
        index = np.searchsorted(source, table["source"][run])
        index[index == source.size] = 0
        known = source[index] == table["source"][run] if source.size else np.zeros(run.size, np.bool_)
        total = np.where(known, documents[index] if documents.size else 0, 0)
        length = table["length"][run].astype(np.int64)
        rule = np.full(run.size, NO_RULE, dtype=np.int8)
        for number, each in reversed(list(enumerate(self.rules))):
            taken = first_rule([each], length, times, pages, total) != NO_RULE
            if each.sources:
                taken &= np.isin(table["source"][run], digests_of(pa.array(each.sources, pa.string())))
            rule[taken] = number
        taken = np.flatnonzero(rule[line] != NO_RULE)
        taken = taken[order_by(table["stretch"][taken], table["key"][taken])]
        line = line[taken]
        yield from to_batches(
            self.schema, table["stretch"][taken], table["key"][taken], rule[line],
            np.minimum(times[line], (1 << 31) - 1).astype(np.int32), table["holder"][run][line],
        )  # fmt: skip


def _read_part(lines: StepShards, low: int, high: int) -> dict[str, npt.NDArray[np.generic]]:
    """All lines with low <= key < high."""
    columns: dict[str, list[npt.NDArray[Any]]] = {name: [] for name in LineCounts.schema.names}
    for path in lines.paths():
        for batch in read_between(path, "key", low, high, LineCounts.schema.names):
            for name, held in columns.items():
                held.append(batch[name].to_numpy())
    table = {name: concat(columns.pop(name), np.int64) for name in LineCounts.schema.names}
    return {**table, "no_pages": table["pages"] == 0}


def _read_sizes(sizes: StepShards) -> tuple[Uint64s, Int64s]:
    """Sources in order, and how many documents each has."""
    pieces = [piece for _, piece in sizes.stream(["source", "documents"])]
    source = concat([piece["source"] for piece in pieces], np.uint64)
    documents = concat([piece["documents"] for piece in pieces], np.int64)
    order = np.argsort(source)
    return source[order], documents[order]


@dataclass(frozen=True)
class LineEdits(Stage):
    """The lines to remove from each document of one shard."""

    name: ClassVar[str] = "dedup.edits"
    version: ClassVar[int] = 1
    schema: ClassVar[pa.Schema] = pa.schema(
        [
            pa.field("row", pa.int64()),  # in its shard
            pa.field("lines", LINES),
            pa.field("kept", pa.bool_()),  # False for a removed copy
            pa.field("empty", pa.bool_()),  # whether nothing is left of it
        ]
    )
    rules: tuple[str, ...]
    least: int
    every_copy: bool
    marked: DocumentRanges
    signed: Path = field(metadata=ASIDE)

    def make(self, name: str, sources: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        """Edit one shard; sources are repeats, settle, its shard of sign, and its chain."""
        repeats, settled = (StepShards.of(source) for source in sources[:2])
        start = StepShards.of(self.signed).start(name)
        (source,) = read_columns(sources[2], ["source"])
        kept_for = kept_for_each(settled, start, source.size, self.marked)
        for block in _read_blocks(sources[3:], source, self.least):
            repeated = _read_repeated(repeats, start + block.first)
            first = block.first
            for texts, lines in zip(block.texts, block.lines, strict=True):
                yield from self._edits(texts, lines, repeated, kept_for, first, start)
                first += len(texts)

    def _edits(
        self,
        texts: pa.Array,
        lines: TextLines,
        repeated: Mapping[str, Int64s],
        kept_for: Int64s,
        first: int,
        start: int,
    ) -> Iterator[pa.RecordBatch]:
        """The edits of a batch that begins at row `first` of the shard, whose first document has the number `start`."""
        index, hit = find_sorted(repeated["key"], lines.key)
        rows = lines.text + first
        if hit.any() and not self.every_copy:
            hit &= lines.again | (repeated["holder"][index] != kept_for[rows])
        removed = np.flatnonzero(hit)
        if not removed.size:
            return
        starts, ends = removal_spans(texts, lines.text[removed], lines.start[removed], lines.end[removed])
        edited, counts = np.unique(lines.text[removed], return_counts=True)
        index = index[removed]
        struct = pa.StructArray.from_arrays(
            [
                pa.array(self.rules, pa.string()).take(pa.array(repeated["rule"][index])),
                pa.array(starts.astype(np.int32)), pa.array(ends.astype(np.int32)),
                pa.array(repeated["times"][index].astype(np.int32)),
            ],
            fields=list(LINES.value_type),
        )  # fmt: skip
        offsets = np.r_[0, np.cumsum(counts)].astype(np.int32)
        all_lines = np.bincount(lines.text, minlength=len(texts))[edited]
        empty = [
            whole and self._is_empty(texts[text].as_py(), starts[low:high], ends[low:high])
            for text, whole, low, high in zip(
                edited.tolist(), all_lines == counts, offsets[:-1], offsets[1:], strict=True
            )
        ]
        row = edited + first
        columns = [
            pa.array(row), pa.ListArray.from_arrays(pa.array(offsets), struct, type=LINES),
            pa.array(kept_for[row] == row + start), pa.array(empty, pa.bool_()),
        ]  # fmt: skip
        yield pa.RecordBatch.from_arrays(columns, schema=self.schema)

    @staticmethod
    def _is_empty(text: str, starts: Int64s, ends: Int64s) -> bool:
        return not remove_spans(text, list(zip(starts.tolist(), ends.tolist(), strict=True))).strip()


def _read_repeated(repeats: StepShards, block: int) -> dict[str, Int64s]:
    """The lines to remove from one block, sorted by key."""
    names = ["key", "rule", "times", "holder"]
    columns: dict[str, list[npt.NDArray[Any]]] = {name: [] for name in names}
    for path in repeats.paths():
        for batch in read_between(path, "stretch", block, block + 1, [*names, "stretch"]):
            for name in names:
                columns[name].append(batch[name].to_numpy())
    order = np.argsort(concat(columns["key"], np.int64))
    return {name: concat(columns[name], np.int64)[order] for name in names}
