"""prints, places, excerpts and cuts: passages that stand in several documents are cut out of all but one.

    prints     each shard: a few hashes of each document, by which passages are found (filters.fingerprints)
    places     a part of all hashes at a time: which place of a hash is compared with which earlier ones
    excerpts   each shard: the text around the earlier place of each pair
    cuts       each shard: pairs compared character by character; the spans to cut, beside the lines that are removed

A passage stays in the document that `keep` prefers. A removed copy gets its cuts too, as if it stood in the place of
the kept document. Nothing is cut because of a removed copy. Texts are compared as `extract` left them, so that another
rule for lines does not change the passages; what is in a removed line is recorded with the line only.

An excerpt reaches one window beyond its hash on either side. So no shard is opened for the text of another's document,
and text that repeats one character takes linear time. Longer runs are put together from the excerpts of neighbours.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from filters.fingerprints.borders import snap
from filters.fingerprints.repeats import Places, Runs, Windows, extend, join, link
from filters.fingerprints.winnowing import CONTEXTS, Prints, context_keys, lengths_for, winnow
from filters.near_duplicates.signatures import Int64s, mix_all
from filters.text.characters import SPACE, classes
from filters.text.words import Codes, Offsets, code_points
from pipelines.dedup.lines import DocumentRanges, LineEdits, kept_for_each, read_columns
from pipelines.dedup.released import release_ranges
from pipelines.dedup.scratch import (
    DOCUMENT_NUMBER,
    U64,
    MemoryPlan,
    Outputs,
    StepManifests,
    Steps,
    StepShards,
    concat,
    numbered_parts,
    order_by,
    print_parts,
    read_between,
    read_documents,
    run_starts,
    to_batches,
)
from pipelines.dedup.settings import DedupSettings
from pipelines.dedup.sign import digests_of
from roots import shards
from roots.schema import PASSAGE_RULE
from roots.settings import ASIDE
from roots.stage import Stage

PASSAGE_STEPS = ("prints", "places", "excerpts", "cuts")  # the sub-steps of this file
BLOCK_BYTES = 4 << 20  # of texts in memory at once
_SORTED_PRINTS = 1 << 18  # prints that are sorted together
_SORTED_CHARACTERS = 1 << 21  # of excerpts that are sorted together
_READ_CHARACTERS = 1 << 18  # of excerpts in memory at once
_KEYS = 1 << 63  # all keys are smaller
_Table = dict[str, npt.NDArray[Any]]
_Span = tuple[int, int, int]  # start, end, times


def cut_passages(
    steps: Steps, outputs: Outputs, settings: DedupSettings, plan: MemoryPlan, found: StepManifests
) -> StepManifests:
    """Run the sub-steps that find passages and cut them out; returns `found` with their edits."""
    sign, settled, least = found.sign, found.settled, settings.passages
    releases = release_ranges(StepShards.of(sign)) if settings.released == "mark" else ()
    marked = tuple((first, end) for _, first, end in releases)
    chains = {name: list(output.chain) for name, output in outputs.items()}
    signs = {name: sign.with_name(name) for name in chains}
    printing = PassagePrints(least, settings.scope == "source", settings.alone, marked, sign)
    prints = steps.run(printing, {name: [settled, signs[name], *chains[name]] for name in chains}, "prints")
    parts = print_parts(StepShards.of(prints).total, plan)
    places = steps.run(PassagePlaces(least, parts), {part: [prints] for part in numbered_parts(parts)}, "places")
    reading = PassageExcerpts(least, sign)
    excerpts = steps.run(reading, {name: [places, *chains[name]] for name in chains}, "excerpts")
    lines = {name: [found.edits.with_name(name)] if found.edits else [] for name in chains}
    cutting = PassageCuts(least, settings.passage_border, bool(found.edits), marked, sign)
    sources = {name: [excerpts, settled, signs[name], *lines[name], *chains[name]] for name in chains}
    return found._replace(edits=steps.run(cutting, sources, "cuts"))


@dataclass(frozen=True)
class _Block:
    """Some documents of a shard as code points; document d is codes[offsets[d]:offsets[d + 1]]."""

    first: int  # row of the first in the shard
    codes: Codes
    offsets: Offsets

    def windows(self, row: Int64s, place: Int64s, gram: int, reach: int) -> Windows:
        """Grams in these documents, and `reach` characters on either side."""
        at = self.offsets[row] + place
        low = np.maximum(self.offsets[row], at - reach)
        return Windows(low, at, np.minimum(self.offsets[row + 1], at + gram + reach))


def _read_blocks(chain: Sequence[Path]) -> Iterator[_Block]:
    """The documents of a shard, at least BLOCK_BYTES of text at once."""
    held: list[pa.Array] = []
    first = rows = size = 0
    for batch in read_documents(chain, ["id", "text"]):
        held.append(batch["text"].fill_null(""))
        rows += batch.num_rows
        size += pc.sum(pc.binary_length(held[-1])).as_py() or 0
        if size >= BLOCK_BYTES:
            yield _Block(first, *code_points(pa.concat_arrays(held)))
            held, first, size = [], rows, 0
    if held:
        yield _Block(first, *code_points(pa.concat_arrays(held)))


_CONTEXT_NAMES = tuple(f"context_{number}" for number in range(CONTEXTS))


@dataclass(frozen=True)
class PassagePrints(Stage):
    """The prints of one shard, sorted by key in stretches."""

    name: ClassVar[str] = "dedup.prints"
    version: ClassVar[int] = 1
    schema: ClassVar[pa.Schema] = pa.schema(
        [
            pa.field("key", pa.int64()), DOCUMENT_NUMBER, pa.field("place", pa.int32()),
            pa.field("stands_for", pa.int64()),  # the document itself, or the one that is kept for a removed copy
            pa.field("rank", U64), pa.field("tie", U64),  # of the document
            *(pa.field(name, pa.uint32()) for name in _CONTEXT_NAMES),
        ]
    )  # fmt: skip
    row_group_bytes: ClassVar[int] = 1 << 20
    least: int
    within: bool  # documents of different sources share no key
    alone: tuple[str, ...]  # sources whose documents have no prints
    marked: DocumentRanges  # released documents whose copies are kept
    signed: Path = field(metadata=ASIDE)

    def make(self, name: str, sources: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        """Read one shard; sources are settle, its shard of sign, and its chain."""
        settled, signs, *chain = sources
        start = StepShards.of(self.signed).start(name)
        source, rank, tie = read_columns(signs, ["source", "rank", "tie"])
        stands_for = kept_for_each(StepShards.of(settled), start, source.size, self.marked)
        alone = np.isin(source, digests_of(pa.array(self.alone, pa.string())))
        salt = mix_all(source) if self.within else np.zeros(source.size, np.uint64)
        gram, window = lengths_for(self.least)
        held: list[list[npt.NDArray[Any]]] = []
        for block in _read_blocks(chain):
            prints = winnow(block.codes, block.offsets, gram, window)
            row = prints.text + block.first
            wanted = ~alone[row] & (np.diff(block.offsets)[prints.text] >= self.least)
            prints, row = Prints(prints.text[wanted], prints.place[wanted], prints.key[wanted]), row[wanted]
            contexts = context_keys(block.codes, block.offsets, prints, gram, window - 1)
            key = (mix_all(prints.key ^ salt[row]) >> np.uint64(1)).view(np.int64)
            place = prints.place.astype(np.int32)
            held.append([key, row + start, place, stands_for[row], rank[row], tie[row], *list(contexts.T)])
            if sum(each[0].size for each in held) >= _SORTED_PRINTS:
                yield from self._sorted(held)
                held = []
        yield from self._sorted(held)

    def _sorted(self, held: Sequence[Sequence[npt.NDArray[np.generic]]]) -> Iterator[pa.RecordBatch]:
        columns = [np.concatenate(pieces) for pieces in zip(*held, strict=True)]
        if columns:
            order = np.argsort(columns[0], kind="stable")
            for low in range(0, order.size, 1 << 13):  # small row groups: a part reads only those it needs
                some = order[low : low + (1 << 13)]
                yield from to_batches(self.schema, *(column[some] for column in columns))


@dataclass(frozen=True)
class PassagePlaces(Stage):
    """Pairs of places to compare, one part of all keys at a time: sorted by the document whose text is needed."""

    name: ClassVar[str] = "dedup.places"
    version: ClassVar[int] = 1
    schema: ClassVar[pa.Schema] = pa.schema(
        [
            DOCUMENT_NUMBER, pa.field("place", pa.int32()),
            pa.field("of", pa.int64()), pa.field("at", pa.int32()),  # document and place that come before
            pa.field("times", pa.int32()),  # places of the key in kept documents
        ]
    )  # fmt: skip
    row_group_bytes: ClassVar[int] = 1 << 20
    least: int
    parts: int

    def make(self, name: str, sources: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        """Pair the places of one part; the source is prints."""
        part = numbered_parts(self.parts)[name]
        low, high = _KEYS * part // self.parts, min(_KEYS * (part + 1) // self.parts, _KEYS - 1)
        table = _read_repeated(StepShards.of(sources[0]), low, high)
        removed = table["stands_for"] != table["document"]
        order = order_by(table["key"], removed, *(table[name] for name in ("rank", "tie", "document", "place")))
        table = {name: table.pop(name)[order] for name in PassagePrints.schema.names}
        contexts = np.stack([table[name] for name in _CONTEXT_NAMES], axis=1)
        document, place = table["document"], table["place"].astype(np.int64)
        later, earlier = link(Places(table["key"], document, place, table["stands_for"], contexts), self.least)
        if not later.size:
            return
        run = run_starts(table["key"])
        times = np.add.reduceat((~removed[order]).astype(np.int64), np.flatnonzero(run))[np.cumsum(run) - 1]
        order = order_by(document[earlier], document[later], place[later], place[earlier])
        later, earlier = later[order], earlier[order]
        yield from to_batches(
            self.schema, document[later], table["place"][later], document[earlier], table["place"][earlier],
            np.minimum(times[later], (1 << 31) - 1).astype(np.int32),
        )  # fmt: skip


def _read_repeated(prints: StepShards, low: int, high: int) -> _Table:
    """All prints with low <= key < high whose key another print has, too."""
    names = PassagePrints.schema.names
    columns: dict[str, list[npt.NDArray[Any]]] = {name: [] for name in names}
    for path in prints.paths():
        for batch in read_between(path, "key", low, high, names):
            for name in names:
                columns[name].append(batch[name].to_numpy())
    key = concat(columns["key"], np.int64)
    order = np.argsort(key, kind="stable")
    same = key[order[1:]] == key[order[:-1]]
    twice = np.zeros(key.size, np.bool_)
    twice[order[1:][same]] = twice[order[:-1][same]] = True
    dtypes = {name: PassagePrints.schema.field(name).type.to_pandas_dtype() for name in names}
    return {name: concat(columns.pop(name), dtypes[name])[twice] for name in names}


_PAIR_NAMES = PassagePlaces.schema.names


@dataclass(frozen=True)
class PassageExcerpts(Stage):
    """The pairs whose earlier place is in one shard, with the text around it; sorted by the later document."""

    name: ClassVar[str] = "dedup.excerpts"
    version: ClassVar[int] = 1
    schema: ClassVar[pa.Schema] = pa.schema(
        [
            *PassagePlaces.schema,
            pa.field("left", pa.int32()),  # characters of the excerpt before the earlier place
            pa.field("around", pa.list_(pa.int32())),  # code points
        ]
    )
    row_group_bytes: ClassVar[int] = 1 << 20
    least: int
    signed: Path = field(metadata=ASIDE)

    def make(self, name: str, sources: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        """Read the texts of one shard; sources are places and its chain."""
        places, chain = StepShards.of(sources[0]), sources[1:]
        start = StepShards.of(self.signed).start(name)
        held: list[pa.RecordBatch] = []
        size = 0
        for block in _read_blocks(chain):
            low = start + block.first
            high, rows = low + block.offsets.size - 1, _rows_at_once(self.least)
            for path in places.paths():
                for batch in read_between(path, "of", low, high, _PAIR_NAMES, rows):
                    held.append(self._excerpts(batch, block, low))
                    size += len(held[-1]["around"].flatten())
                    if size >= _SORTED_CHARACTERS:
                        yield from _by_document(held)
                        held, size = [], 0
        yield from _by_document(held)

    def _excerpts(self, pairs: pa.RecordBatch, block: _Block, start: int) -> pa.RecordBatch:
        gram, window = lengths_for(self.least)
        row, at = pairs["of"].to_numpy() - start, pairs["at"].to_numpy().astype(np.int64)
        windows = block.windows(row, at, gram, window)
        length = windows.high - windows.low
        ends = np.cumsum(length)
        index = np.arange(length.sum()) + np.repeat(windows.low - ends + length, length)
        offsets = pa.array(np.r_[0, ends].astype(np.int32))
        around = pa.ListArray.from_arrays(offsets, pa.array(block.codes[index]))
        left = pa.array((windows.gram - windows.low).astype(np.int32))
        return pa.RecordBatch.from_arrays([*pairs.columns, left, around], schema=self.schema)


def _rows_at_once(least: int) -> int:
    gram, window = lengths_for(least)
    return max(1, _READ_CHARACTERS // (gram + 2 * window))


def _by_document(held: Sequence[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    if held:
        table = pa.Table.from_batches(held).combine_chunks()
        order = order_by(*(table[name].to_numpy() for name in ("document", "place", "of", "at")))
        yield from table.take(pa.array(order)).to_batches(max_chunksize=512)


@dataclass(frozen=True)
class PassageCuts(Stage):
    """The lines and passages to remove from each document of one shard."""

    name: ClassVar[str] = "dedup.cuts"
    version: ClassVar[int] = 1
    schema: ClassVar[pa.Schema] = LineEdits.schema
    least: int
    border: str
    with_lines: bool  # whether lines are removed, too
    marked: DocumentRanges
    signed: Path = field(metadata=ASIDE)

    def make(self, name: str, sources: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        """Cut one shard; sources are excerpts, settle, its shards of sign and, with lines, of edits, and its chain."""
        excerpts, settled = (StepShards.of(source) for source in sources[:2])
        start = StepShards.of(self.signed).start(name)
        (rank,) = read_columns(sources[2], ["rank"])
        kept = kept_for_each(settled, start, rank.size, self.marked) == np.arange(start, start + rank.size)
        chain = sources[4:] if self.with_lines else sources[3:]
        edits = pa.Table.from_batches(shards.read(sources[3]) if self.with_lines else [], LineEdits.schema)
        for block in _read_blocks(chain):
            spans = self._spans(block, self._runs(excerpts, block, start + block.first))
            low, high = np.searchsorted(edits["row"], [block.first, block.first + block.offsets.size - 1])
            removed = {row["row"]: row for row in edits.slice(low, high - low).to_pylist()}
            rows = sorted({row + block.first for row in spans} | set(removed))
            made = [
                {**_edit(row, removed.get(row), spans.get(row - block.first, []), block), "kept": bool(kept[row])}
                for row in rows
            ]
            if made:
                yield pa.RecordBatch.from_pylist(made, self.schema)

    def _runs(self, excerpts: StepShards, block: _Block, start: int) -> Runs:
        """The passages of the documents of a block, the first of which has the number `start`."""
        gram, window = lengths_for(self.least)
        found: list[Runs] = []
        for path in excerpts.paths():
            end = start + block.offsets.size - 1
            names = PassageExcerpts.schema.names
            for batch in read_between(path, "document", start, end, names, _rows_at_once(self.least)):
                row, place = batch["document"].to_numpy() - start, batch["place"].to_numpy().astype(np.int64)
                here = block.windows(row, place, gram, window)
                offsets = batch["around"].offsets.to_numpy().astype(np.int64)
                offsets -= offsets[0]
                there = Windows(offsets[:-1], offsets[:-1] + batch["left"].to_numpy(), offsets[1:])
                around = batch["around"].flatten().to_numpy()
                first, last = extend(block.codes, here, around, there, gram)
                # A run that ends before the bound on both sides is whole.
                open_ = (first == here.gram - window) | (last == here.gram + gram + window)
                long = (last > first) & (open_ | (last - first >= self.least))
                shift = batch["at"].to_numpy() - place
                begin = block.offsets[row]
                runs = (row, first - begin, last - begin, batch["of"].to_numpy(), shift, batch["times"].to_numpy())
                found.append(Runs(*(column[long].astype(np.int64) for column in runs)))
        found = found or [Runs(*[np.zeros(0, np.int64)] * 6)]
        return join(Runs(*(np.concatenate(pieces) for pieces in zip(*found, strict=True))), self.least)

    def _spans(self, block: _Block, runs: Runs) -> dict[int, list[_Span]]:
        """What is cut out of each document of a block, in order: {its number in the block: spans}."""
        starts, ends = snap(block.codes, block.offsets, self.border, runs.text, (runs.start, runs.end))
        order = order_by(runs.text, starts, ends)
        spans: dict[int, list[_Span]] = {}
        for index in order[ends[order] > starts[order]].tolist():
            span = int(starts[index]), int(ends[index]), int(runs.times[index])
            here = spans.setdefault(int(runs.text[index]), [])
            if here and here[-1][1] >= span[0]:
                low, high, times = here.pop()
                span = low, max(high, span[1]), max(times, span[2])
            here.append(span)
        return spans


def _edit(row: int, edit: Mapping[str, Any] | None, spans: Sequence[_Span], block: _Block) -> dict[str, Any]:
    """A row of cuts for one document: its removed lines, and what of its passages is outside them."""
    if edit and not spans:
        return {"row": row, "lines": edit["lines"], "empty": edit["empty"]}
    lines: list[dict[str, Any]] = list(edit["lines"]) if edit else []
    pieces: list[dict[str, Any]] = []
    for start, end, times in spans:
        at = start
        for line in [line for line in lines if line["end"] > start and line["start"] < end]:
            pieces.append({"rule": PASSAGE_RULE, "start": at, "end": line["start"], "times": times})
            at = line["end"]
        pieces.append({"rule": PASSAGE_RULE, "start": at, "end": end, "times": times})
    lines = sorted(
        [*lines, *(piece for piece in pieces if piece["start"] < piece["end"])], key=lambda one: one["start"]
    )
    low, high = block.offsets[row - block.first], block.offsets[row - block.first + 1]
    left = np.ones(high - low, np.bool_)
    for line in lines:
        left[line["start"] : line["end"]] = False
    empty = bool((classes()[block.codes[low:high][left]] & SPACE).all())
    return {"row": row, "lines": lines, "empty": empty}
