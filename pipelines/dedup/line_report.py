"""What line removal took, for `report.json`: counts by rule, and the lines that stood most often."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from filters.near_duplicates.repeated_lines import LineRule, lines_of
from filters.personal_data import as_shown
from pipelines.dedup.lines import signed_columns
from pipelines.dedup.scratch import Scratch, columns_of, read_batches, read_documents, read_pieces
from pipelines.dedup.sources import Sources

_MOST = 20  # lines shown
_SHOWN = 120  # characters of each


def line_report(
    scratch: tuple[Scratch, Scratch, Scratch],
    chains: Mapping[str, Sequence[Path]],
    rules: Sequence[LineRule],
    sources: Sources,
) -> dict[str, Any]:
    """What went: counts, and the lines that stood most often in one source, personal data taken out.

    `scratch` are the shards of edits, of repeats and of sign.
    """
    edits, repeats, signs = scratch
    wanted = most_repeated(repeats)
    found = _texts_of_lines(wanted, signs, chains, min(rule.characters for rule in rules), sources)
    shown = [
        {"times": times, "rule": rules[rule].name, "source": found[key][0], "line": found[key][1]}
        for times, key, rule, _ in wanted
    ]
    return {**count_lines(edits), "most_repeated": shown}


def count_lines(edits: Scratch) -> dict[str, Any]:
    """What went of the documents that were kept, by rule, for the report."""
    rules: dict[str, dict[str, int]] = {}
    documents = empty = 0
    for path in edits.paths():
        for batch in read_batches(path, ["lines", "kept", "empty"]):
            some = batch.filter(batch["kept"])
            documents += some.num_rows
            empty += sum(some["empty"].to_pylist())
            flat = some["lines"].flatten()
            size = np.subtract(*(flat.field(end).to_numpy() for end in ("end", "start")))
            names = flat.field("rule").dictionary_encode()
            for number, rule in enumerate(names.dictionary.to_pylist()):
                mine = names.indices.to_numpy() == number
                counts = rules.setdefault(rule, {"lines": 0, "characters": 0})
                counts["lines"] += int(mine.sum())
                counts["characters"] += int(size[mine].sum())
    return {"documents": documents, "emptied": empty, "rules": dict(sorted(rules.items()))}


def most_repeated(repeats: Scratch, most: int = _MOST) -> list[tuple[int, int, int, int]]:
    """The lines that stood most often: (times, key, rule, holder), most first."""
    best: set[tuple[int, int, int, int]] = set()
    for path in repeats.paths():
        for piece in read_pieces(path, ["times", "key", "rule", "holder"]):
            _, first = np.unique(piece["key"], return_index=True)
            first = first[np.argsort(-piece["times"][first], kind="stable")][:most]
            columns = (piece[name][first].tolist() for name in ("times", "key", "rule", "holder"))
            best |= set(zip(*columns, strict=True))
            best = set(sorted(best, key=lambda row: (-row[0], row[1:]))[:most])
    return sorted(best, key=lambda row: (-row[0], row[1:]))


def _texts_of_lines(
    wanted: Sequence[tuple[int, int, int, int]],
    signs: Scratch,
    chains: Mapping[str, Sequence[Path]],
    least: int,
    sources: Sources,
) -> dict[int, tuple[str, str]]:
    """The source and the text of some lines, by key, as their holders have it."""
    found: dict[int, tuple[str, str]] = {}
    for name, chain in sorted(chains.items()):
        start = signs.start(name)
        mine: dict[int, list[int]] = {}
        for _, key, _, holder in wanted:
            if 0 <= holder - start < signs.rows[name]:
                mine.setdefault(holder - start, []).append(key)
        if not mine:
            continue
        (source,) = signed_columns(signs.folder / name, ["source"])
        at = 0
        known = {column for path in chain for column in columns_of(path)}
        language = [name for name in ("language",) if name in known]
        for batch in read_documents(chain, list(dict.fromkeys(["id", "text", *language, *sources.columns(known)]))):
            for row in [row for row in mine if at <= row < at + batch.num_rows]:
                text = batch["text"].slice(row - at, 1)
                lines = lines_of(text, source[row : row + 1], least)
                of = sources.names(batch.slice(row - at, 1))[0].as_py()
                for key in mine[row]:
                    place = int(np.flatnonzero(lines.key == key)[0])
                    line = text[0].as_py()[lines.start[place] : lines.end[place]]
                    spoken = batch["language"][row - at].as_py() if language else None
                    found[key] = of, as_shown(line, spoken)[:_SHOWN]
            at += batch.num_rows
    return found
