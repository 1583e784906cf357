"""Measures of source code: who wrote a file, whether its licence allows use, and ROOTS's measures of its text.

The tables are in `code_languages.toml`. Measures are columns that `filters.signals.rules` judges, like those of text.
Source: Laurençon et al. 2022 (ROOTS) and the pipeline's code for GitHub, section "code" of the data preparation.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filters.language import Bound
from filters.programs.languages import HEAD_CHARACTERS, code_tables
from filters.programs.licences import licence_allowed
from filters.signals.batch import share
from filters.signals.counting import Counts, Table
from filters.signals.rules import Rule
from filters.text import characters
from filters.text.characters import CONNECTOR, LETTER, NUMBER, SPACE
from filters.text.compiled import compiled
from filters.text.words import Codes, Offsets, code_points
from roots.errors import SettingsError, unknown_name

# Columns of `_count_code`
_CHARACTERS, _WORD_CHARACTERS, _LETTERS, _LINES, _LONGEST_LINE, _TOKENS, _TOKEN_SUM, _TOKEN_SQUARES = range(8)


def vendored(path: str) -> bool:
    """Whether other people wrote the file, by its folder or its name."""
    parts = PurePosixPath(path).parts
    table = code_tables()["vendored"]
    if any(part in table["folders"] for part in parts[:-1]):
        return True
    return any(re.search(pattern, parts[-1]) for pattern in table["names"]) if parts else False


def generated(path: str, text: str) -> bool:
    """Whether a program wrote the file, by its name or by a mark in its first ten lines."""
    table = code_tables()["generated"]
    name = PurePosixPath(path).name
    if any(re.search(pattern, name) for pattern in table["names"]):
        return True
    head = "\n".join(text[:HEAD_CHARACTERS].split("\n", 10)[:10])
    return any(re.search(pattern, head, re.IGNORECASE) for pattern in table["marks"])


@compiled
def _count_code(codes: Codes, offsets: Offsets, table: Table) -> Counts:
    """Characters, lines and tokens of each text; int64 (texts, 8), columns as named above.

    A word character is a letter, number or underscore (`\\w`); a token is a run of characters without white space.
    """
    counts = np.zeros((len(offsets) - 1, 8), np.int64)
    for text in range(len(offsets) - 1):
        row = counts[text]
        word, letters, longest, line, token = 0, 0, 0, 0, 0
        tokens, total, squares = 0, 0, 0
        for at in range(offsets[text], offsets[text + 1] + 1):
            inside = at < offsets[text + 1]
            bits = table[codes[at]] if inside else SPACE
            if bits & SPACE:
                if token:
                    tokens += 1
                    total += token
                    squares += token * token
                token = 0
            else:
                token += 1
            if not inside or codes[at] == 10:
                longest = max(longest, line)
                row[_LINES] += line > 0 or inside
                line = 0
            else:
                line += 1
            if inside:
                word += (bits & (LETTER | NUMBER | CONNECTOR)) != 0
                letters += (bits & LETTER) != 0
        row[_CHARACTERS] = offsets[text + 1] - offsets[text]
        row[_WORD_CHARACTERS], row[_LETTERS], row[_LONGEST_LINE] = word, letters, longest
        row[_TOKENS], row[_TOKEN_SUM], row[_TOKEN_SQUARES] = tokens, total, squares
    return counts


@dataclass(frozen=True)
class _CodeMeasure:
    """A signal of code: its type, unit and meaning."""

    type: pa.DataType
    unit: str
    meaning: str


CODE_MEASURES: dict[str, _CodeMeasure] = {
    "vendored": _CodeMeasure(pa.int8(), "0 or 1", "Whether the file is a copy of what other people wrote."),
    "generated": _CodeMeasure(pa.int8(), "0 or 1", "Whether a program wrote the file."),
    "licensed": _CodeMeasure(pa.int8(), "0 or 1", "Whether its licence allows use without copyleft."),
    "characters": _CodeMeasure(pa.int32(), "characters", "Characters of the file."),
    "bytes": _CodeMeasure(pa.int32(), "bytes", "Bytes of the file in UTF-8."),
    "longest_line": _CodeMeasure(pa.int32(), "characters", "Characters of the longest line."),
    "mean_line": _CodeMeasure(pa.float32(), "characters / lines", "Mean number of characters of a line."),
    "token_length_deviation": _CodeMeasure(
        pa.float32(), "characters / token", "Standard deviation of the lengths of tokens."
    ),
    "non_word_characters": _CodeMeasure(
        pa.float32(), "characters / characters", "Share of characters that are not a letter, number or underscore."
    ),
    "letters": _CodeMeasure(pa.float32(), "characters / characters", "Share of characters that are letters."),
}


def measure_code(texts: pa.Array, paths: Sequence[str], licences: Sequence[str | None]) -> dict[str, pa.Array]:
    """All signals of files, by name; (texts,) each.

    `paths` are within the tree of each file, `licences` are SPDX expressions. An empty text has 0 for every signal
    of text.
    """
    codes, offsets = code_points(texts)
    counts = _count_code(codes, offsets, characters.classes())
    total = counts[:, _CHARACTERS]
    mean = share(counts[:, _TOKEN_SUM], counts[:, _TOKENS])
    variance = np.maximum(share(counts[:, _TOKEN_SQUARES], counts[:, _TOKENS]) - mean**2, 0)
    strings = texts.to_pylist()
    numbers: dict[str, Any] = {
        "vendored": [vendored(path) for path in paths],
        "generated": [generated(path, text or "") for path, text in zip(paths, strings, strict=True)],
        "licensed": [licence_allowed(expression) for expression in licences],
        "characters": total,
        "bytes": pc.binary_length(texts).fill_null(0).to_numpy(zero_copy_only=False),
        "longest_line": counts[:, _LONGEST_LINE],
        "mean_line": share(total - counts[:, _LINES] + 1, counts[:, _LINES]),
        "token_length_deviation": np.sqrt(variance),
        "non_word_characters": share(total - counts[:, _WORD_CHARACTERS], total),
        "letters": share(counts[:, _LETTERS], total),
    }
    return {
        name: pa.array(np.asarray(numbers[name], np.float64)).cast(kind.type, safe=False)
        for name, kind in CODE_MEASURES.items()
    }


def code_rules(bounds: Mapping[str, Bound]) -> tuple[Rule, ...]:
    """The rules of these bounds, for `signals.rules.judge`. Raises SettingsError for a bound on an unknown signal."""
    for name in bounds:
        if name not in CODE_MEASURES:
            raise SettingsError(unknown_name("signal of code", name, CODE_MEASURES))
    bounded = [(name, bounds[name]) for name in CODE_MEASURES if name in bounds]
    return tuple(Rule(name, bound.min, bound.max) for name, bound in bounded if (bound.min, bound.max) != (None, None))
