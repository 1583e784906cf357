"""lines: what the documents that are left have in common within a source, line by line.

    lines      every line of every shard: how often it stands in its source, and on how many pages
    sizes      how many pages a source has, where a rule asks for a share of them
    repeats    a part of all lines at a time: which ones go, by which rule
    edits      the lines that go of each document, as spans of its text

Only documents that URL, exact and near-duplicates have left are counted: with lines first, an article that was crawled
twice would lose all its lines (ROOTS lost 95 % of a newspaper so). A removed copy gets its edits too, as if it stood
in the place of the document that was kept: it may have to (pipelines.publishing.takedown_plan).

The first copy of a line is in the document that `keep` would keep, and the first one there. It stays unless
`every_copy` is set. Released documents are not counted: their text is as it was released.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from filters.near_duplicates.repeated_lines import NONE, Lines, cut_spans, first_rule, lines_of, without
from filters.near_duplicates.rules import LineRule
from filters.near_duplicates.signatures import Int64s
from pipelines.dedup.released import RELEASED, spans_of_releases
from pipelines.dedup.scratch import (
    U64,
    Places,
    Scratch,
    Steps,
    best_first,
    in_batches,
    joined,
    parts_of,
    read_batches,
    read_between,
    read_documents,
    read_pieces,
    rows_of,
    starts_of_runs,
)
from pipelines.dedup.settings import Dedup
from pipelines.dedup.space import Cuts, line_parts
from roots.schema import LINES
from roots.settings import ASIDE
from roots.stage import Stage

_Uint64s = npt.NDArray[np.uint64]
STRETCH = 1 << 17  # lines held at once; what is written depends on it, so it is no setting
_KEYS = 1 << 63  # keys are below


_Ranges = tuple[tuple[int, int], ...]  # numbers of documents: the first, and the one after the last


def _kept_instead(settled: Scratch, start: int, rows: int, marked: _Ranges) -> Int64s:
    """For each of `rows` documents from number `start` on, the one that is kept for it: itself, where it is kept.

    Copies of the documents `marked` stay: they are only marked.
    """
    kept = np.arange(start, start + rows, dtype=np.int64)
    for path in settled.paths():
        for batch in read_between(path, "document", start, start + rows, ["document", "kept"]):
            some = batch.filter(batch["kept"].is_valid())
            place, instead = some["document"].to_numpy() - start, some["kept"].to_numpy()
            for first, end in marked:
                instead = np.where((instead >= first) & (instead < end), place + start, instead)
            kept[place] = instead
    return kept


class _Stretch(NamedTuple):
    """Some documents of a shard, in a few batches, with their lines."""

    first: int  # row of the first in the shard
    texts: list[pa.Array]
    lines: list[Lines]  # of each batch; `text` counts from the batch's first row


def _stretches(chain: Sequence[Path], sources: _Uint64s, least: int) -> Iterator[_Stretch]:
    """A shard's documents, cut where STRETCH lines are held."""
    held = _Stretch(0, [], [])
    at = count = 0
    for batch in read_documents(chain, ["id", "text"]):
        texts = batch["text"].fill_null("")
        held.texts.append(texts)
        held.lines.append(lines_of(texts, sources[at : at + len(texts)], least))
        at += len(texts)
        count += held.lines[-1].key.size
        if count >= STRETCH:
            yield held
            held, count = _Stretch(at, [], []), 0
    if held.texts:
        yield held


def signed_columns(signs: Path, names: Sequence[str]) -> list[npt.NDArray[Any]]:
    """Columns of one shard of sign."""
    pieces = list(read_pieces(signs, names))
    return [joined([piece[name] for piece in pieces], np.uint64) for name in names]


@dataclass(frozen=True)
class Count(Stage):
    """The lines of one shard, each once a stretch; ordered by key within it."""

    name: ClassVar[str] = "dedup.lines"
    version: ClassVar[int] = 1
    schema: ClassVar[pa.Schema] = pa.schema(
        [
            pa.field("key", pa.int64()), pa.field("source", U64),
            pa.field("stretch", pa.int64()),  # number of its first document
            pa.field("length", pa.int32()),  # characters
            pa.field("times", pa.int32()), pa.field("pages", pa.int32()),  # 0: in removed copies only
            pa.field("holder", pa.int64()), pa.field("rank", U64), pa.field("tie", U64),  # of its first copy
        ]
    )  # fmt: skip
    least: int  # characters of a line that a rule may take
    marked: _Ranges  # released documents whose copies are only marked
    signed: Path = field(metadata=ASIDE)

    def make(self, name: str, sources: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        """Count one shard; sources are settle, its shard of sign, and its chain."""
        settled, signs, *chain = sources
        start = Scratch.of(self.signed).start(name)
        source, rank, tie = signed_columns(signs, ["source", "rank", "tie"])
        instead = _kept_instead(Scratch.of(settled), start, source.size, self.marked)
        live = instead == np.arange(start, start + source.size)
        for stretch in _stretches(chain, source, self.least):
            firsts = np.cumsum([stretch.first, *(len(texts) for texts in stretch.texts)])
            row = joined([first + part.text for first, part in zip(firsts, stretch.lines, strict=False)], np.int64)
            key = joined([part.key for part in stretch.lines], np.int64)
            length = joined([part.end - part.start for part in stretch.lines], np.int64)
            again = joined([part.again for part in stretch.lines], np.bool_)
            if not row.size:
                continue
            order = best_first(key, ~live[row], rank[row], tie[row], row)
            row, key = row[order], key[order]
            run = np.flatnonzero(starts_of_runs(key))
            head = row[run]
            yield from in_batches(
                self.schema, key[run], source[head], np.full(run.size, start + stretch.first),
                length[order][run].astype(np.int32), np.add.reduceat(live[row].astype(np.int32), run),
                np.add.reduceat((live[row] & ~again[order]).astype(np.int32), run),
                head + start, rank[head], tie[head],
            )  # fmt: skip


@dataclass(frozen=True)
class Sizes(Stage):
    """How many documents are left of each source that has enough of them for a share to matter."""

    name: ClassVar[str] = "dedup.sizes"
    version: ClassVar[int] = 1
    schema: ClassVar[pa.Schema] = pa.schema([pa.field("source", U64), pa.field("documents", pa.int64())])
    rules: tuple[LineRule, ...]
    parts: int
    marked: _Ranges

    def make(self, name: str, sources: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        """Count one part of all sources; sources are sign and settle."""
        signed, settled = (Scratch.of(source) for source in sources)
        gone = np.zeros(signed.total, dtype=np.bool_)
        for path in settled.paths():
            for batch in read_batches(path, ["document", "kept"]):
                some = batch.filter(batch["kept"].is_valid())
                kept = some["kept"].to_numpy()
                stays = np.zeros(kept.size, dtype=np.bool_)
                for first, end in self.marked:
                    stays |= (kept >= first) & (kept < end)
                gone[some["document"].to_numpy()] = ~stays
        for shard, rows in signed.rows.items():  # released documents are no part of the corpus
            if shard.startswith(RELEASED):
                gone[signed.start(shard) : signed.start(shard) + rows] = True
        found: _Uint64s = np.zeros(0, dtype=np.uint64)
        counts: Int64s = np.zeros(0, dtype=np.int64)
        for start, piece in signed.stream(["source"]):
            mine = piece["source"] % np.uint64(self.parts) == parts_of(self.parts)[name]
            here, of = np.unique(piece["source"][mine & ~gone[start : start + mine.size]], return_counts=True)
            found, place = np.unique(np.concatenate([found, here]), return_inverse=True)
            counts = np.bincount(place, np.concatenate([counts, of]), found.size).astype(np.int64)
        wanted = np.zeros(found.size, dtype=np.bool_)
        for rule in self.rules:
            wanted |= rule.share * counts > rule.pages
        if wanted.any():
            yield from in_batches(self.schema, found[wanted], counts[wanted])


@dataclass(frozen=True)
class Repeats(Stage):
    """The lines that go, one part of all keys at a time: a row for each stretch that has one, ordered by stretch."""

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
        lines, sizes = (Scratch.of(source) for source in sources)
        part = parts_of(self.parts)[name]
        low, high = _KEYS * part // self.parts, min(_KEYS * (part + 1) // self.parts, _KEYS - 1)
        table = _read_part(lines, low, high)
        if not table["key"].size:
            return
        order = best_first(*(table[column] for column in ("key", "no_pages", "rank", "tie", "holder")))
        for column in table:  # one at a time: two tables would take twice the memory
            table[column] = table[column][order]
        del order
        fresh = starts_of_runs(table["key"])
        run, line = np.flatnonzero(fresh), np.cumsum(fresh) - 1
        times, pages = (np.add.reduceat(table[column].astype(np.int64), run) for column in ("times", "pages"))
        source, of = _size_table(sizes)
        place = np.searchsorted(source, table["source"][run])
        place[place == source.size] = 0
        known = source[place] == table["source"][run] if source.size else np.zeros(run.size, np.bool_)
        total = np.where(known, of[place] if of.size else 0, 0)
        rule = first_rule(self.rules, table["length"][run].astype(np.int64), times, pages, total)
        taken = np.flatnonzero(rule[line] != NONE)
        taken = taken[best_first(table["stretch"][taken], table["key"][taken])]
        line = line[taken]
        yield from in_batches(
            self.schema, table["stretch"][taken], table["key"][taken], rule[line],
            np.minimum(times[line], (1 << 31) - 1).astype(np.int32), table["holder"][run][line],
        )  # fmt: skip


def _read_part(lines: Scratch, low: int, high: int) -> dict[str, npt.NDArray[Any]]:
    """All lines with low <= key < high."""
    columns: dict[str, list[npt.NDArray[Any]]] = {name: [] for name in Count.schema.names}
    for path in lines.paths():
        for batch in read_between(path, "key", low, high, Count.schema.names):
            for name, held in columns.items():
                held.append(batch[name].to_numpy())
    table = {name: joined(columns.pop(name), np.int64) for name in Count.schema.names}
    return {**table, "no_pages": table["pages"] == 0}


def _size_table(sizes: Scratch) -> tuple[_Uint64s, Int64s]:
    """Sources in order, and how many documents each has."""
    pieces = [piece for _, piece in sizes.stream(["source", "documents"])]
    source = joined([piece["source"] for piece in pieces], np.uint64)
    documents = joined([piece["documents"] for piece in pieces], np.int64)
    order = np.argsort(source)
    return source[order], documents[order]


@dataclass(frozen=True)
class Edits(Stage):
    """What goes of each document of one shard."""

    name: ClassVar[str] = "dedup.edits"
    version: ClassVar[int] = 1
    schema: ClassVar[pa.Schema] = pa.schema(
        [
            pa.field("row", pa.int64()),  # in its shard
            pa.field("lines", LINES),
            pa.field("kept", pa.bool_()),  # False: a removed copy
            pa.field("empty", pa.bool_()),  # nothing is left of it
        ]
    )
    rules: tuple[str, ...]
    least: int
    every_copy: bool
    marked: _Ranges
    signed: Path = field(metadata=ASIDE)

    def make(self, name: str, sources: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        """Cut one shard; sources are repeats, settle, its shard of sign, and its chain."""
        repeats, settled = (Scratch.of(source) for source in sources[:2])
        start = Scratch.of(self.signed).start(name)
        (source,) = signed_columns(sources[2], ["source"])
        instead = _kept_instead(settled, start, source.size, self.marked)
        for stretch in _stretches(sources[3:], source, self.least):
            decided = _read_decided(repeats, start + stretch.first)
            first = stretch.first
            for texts, lines in zip(stretch.texts, stretch.lines, strict=True):
                yield from self._edited(texts, lines, decided, instead, first, start)
                first += len(texts)

    def _edited(
        self, texts: pa.Array, lines: Lines, decided: Mapping[str, Int64s], instead: Int64s, first: int, start: int
    ) -> Iterator[pa.RecordBatch]:
        """The edits of one batch, whose first row in the shard is `first`; `start` is the number of the shard's."""
        place, hit = rows_of(decided["key"], lines.key)
        rows = lines.text + first
        if hit.any() and not self.every_copy:
            hit &= lines.again | (decided["holder"][place] != instead[rows])
        go = np.flatnonzero(hit)
        if not go.size:
            return
        start_, end_ = cut_spans(texts, lines.text[go], lines.start[go], lines.end[go])
        edited, counts = np.unique(lines.text[go], return_counts=True)
        place = place[go]
        struct = pa.StructArray.from_arrays(
            [
                pa.array(self.rules, pa.string()).take(pa.array(decided["rule"][place])),
                pa.array(start_.astype(np.int32)), pa.array(end_.astype(np.int32)),
                pa.array(decided["times"][place].astype(np.int32)),
            ],
            fields=list(LINES.value_type),
        )  # fmt: skip
        ends = np.r_[0, np.cumsum(counts)].astype(np.int32)
        all_lines = np.bincount(lines.text, minlength=len(texts))[edited]
        empty = [
            whole and self._is_empty(texts[text].as_py(), start_[low:high], end_[low:high])
            for text, whole, low, high in zip(edited.tolist(), all_lines == counts, ends[:-1], ends[1:], strict=True)
        ]
        row = edited + first
        columns = [
            pa.array(row), pa.ListArray.from_arrays(pa.array(ends), struct, type=LINES),
            pa.array(instead[row] == row + start), pa.array(empty, pa.bool_()),
        ]  # fmt: skip
        yield pa.RecordBatch.from_arrays(columns, schema=self.schema)

    @staticmethod
    def _is_empty(text: str, starts: Int64s, ends: Int64s) -> bool:
        return not without(text, list(zip(starts.tolist(), ends.tolist(), strict=True))).strip()


def _read_decided(repeats: Scratch, stretch: int) -> dict[str, Int64s]:
    """What was decided on the lines of one stretch, by key."""
    names = ["key", "rule", "times", "holder"]
    columns: dict[str, list[npt.NDArray[Any]]] = {name: [] for name in names}
    for path in repeats.paths():
        for batch in read_between(path, "stretch", stretch, stretch + 1, [*names, "stretch"]):
            for name in names:
                columns[name].append(batch[name].to_numpy())
    order = np.argsort(joined(columns["key"], np.int64))
    return {name: joined(columns[name], np.int64)[order] for name in names}


def edit_lines(
    steps: Steps, places: Places, settings: Dedup, cuts: Cuts, sign: Path, settled: Path
) -> tuple[Path, Path]:
    """Find the lines that go of what is left. Gives back the manifests of repeats and of edits."""
    rules = settings.line_rules
    least = min(rule.characters for rule in rules)
    releases = spans_of_releases(Scratch.of(sign)) if settings.released == "mark" else ()
    marked = tuple((first, end) for _, first, end in releases)
    inputs = {name: [sign.with_name(name), *place.chain] for name, place in places.items()}
    lines = steps.run(Count(least, marked, sign), {name: [settled, *paths] for name, paths in inputs.items()}, "lines")
    parts = parts_of(cuts.exact_parts)
    sizes = steps.run(Sizes(rules, cuts.exact_parts, marked), {part: [sign, settled] for part in parts}, "sizes")
    count = line_parts(Scratch.of(lines).total, cuts)
    repeats = steps.run(Repeats(rules, count), {part: [lines, sizes] for part in parts_of(count)}, "repeats")
    editing = Edits(tuple(rule.label for rule in rules), least, settings.every_copy, marked, sign)
    plan = {name: [repeats, settled, *paths] for name, paths in inputs.items()}
    return repeats, steps.run(editing, plan, "edits")


def clear_lines(steps: Steps) -> tuple[None, None]:
    """Remove what an earlier run with other settings left of line removal."""
    for folder in ("lines", "sizes", "repeats", "edits"):
        steps.clear(folder)
    return None, None
