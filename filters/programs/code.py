"""Programs: whether a person of the project wrote them, their licence, and ROOTS's measures of code.

The tables are in `code_languages.toml`. Measures are columns, judged by `filters.signals.rules` like those of text.
Source: Laurençon et al. 2022 (ROOTS) and the pipeline's code for GitHub, section "code" of the data preparation.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa

from filters.language import Bound
from filters.programs.languages import HEAD, code_tables
from filters.signals.batch import share
from filters.signals.counting import Counts, Table
from filters.signals.rules import Rule
from filters.text import characters
from filters.text.characters import CONNECTOR, LETTER, NUMBER, SPACE
from filters.text.compiled import compiled
from filters.text.words import Codes, Places, decode
from roots.errors import SettingsError, unknown_name

_LONGEST_EXPRESSION = 200  # characters of an SPDX expression that is read: a file may hold anything after its name
# Columns of `_count_code`.
_CHARACTERS, WORD_CHARACTERS, LETTERS, LINES, LONGEST_LINE, TOKENS, TOKEN_SUM, TOKEN_SQUARES = range(8)


def vendored(path: str) -> bool:
    """Whether a file lies where a project keeps what others wrote, or is named as such."""
    parts = PurePosixPath(path).parts
    table = code_tables()["vendored"]
    if any(part in table["folders"] for part in parts[:-1]):
        return True
    return any(re.search(pattern, parts[-1]) for pattern in table["names"]) if parts else False


def generated(path: str, text: str) -> bool:
    """Whether a program wrote the file: by its name, or by a mark in its first ten lines."""
    table = code_tables()["generated"]
    name = PurePosixPath(path).name
    if any(re.search(pattern, name) for pattern in table["names"]):
        return True
    head = "\n".join(text[:HEAD].split("\n", 10)[:10])
    return any(re.search(pattern, head, re.IGNORECASE) for pattern in table["marks"])


def declared_licence(text: str) -> str | None:
    """The SPDX expression that a file declares in its first lines, or None."""
    found = re.search(r"SPDX-License-Identifier:\s*([^\n*/#;\"'<>]+)", text[:HEAD])
    return found.group(1).strip() if found else None


def licence_allowed(expression: str | None) -> bool:
    """Whether an SPDX expression allows use without copyleft: "MIT", "GPL-2.0-only OR MIT", "MIT AND Zlib".

    None and what cannot be parsed is not allowed. A WITH exception changes nothing: only the licence before it counts.
    """
    if not expression or len(expression) > _LONGEST_EXPRESSION:
        return False
    tokens = re.findall(r"[()]|[^\s()]+", expression)
    allowed, rest = _either(tokens)
    return allowed and not rest


def _either(tokens: list[str]) -> tuple[bool, list[str]]:
    allowed, rest = _both(tokens)
    while rest and rest[0].upper() == "OR":
        other, rest = _both(rest[1:])
        allowed = allowed or other
    return allowed, rest


def _both(tokens: list[str]) -> tuple[bool, list[str]]:
    allowed, rest = _one(tokens)
    while rest and rest[0].upper() == "AND":
        other, rest = _one(rest[1:])
        allowed = allowed and other
    return allowed, rest


def _one(tokens: list[str]) -> tuple[bool, list[str]]:
    if not tokens or tokens[0] == ")" or tokens[0].upper() in ("AND", "OR", "WITH"):
        return False, ["malformed"]
    if tokens[0] == "(":
        allowed, rest = _either(tokens[1:])
        return (allowed, rest[1:]) if rest[:1] == [")"] else (False, ["malformed"])
    known = {name.lower() for name in code_tables()["licences"]["allowed"]}
    rest = tokens[1:]
    if rest[:1] and rest[0].upper() == "WITH":
        rest = rest[2:]
    return tokens[0].lower().removesuffix("+") in known, rest


@compiled
def _count_code(codes: Codes, offsets: Places, table: Table) -> Counts:
    """Characters, lines and tokens of each text; int64 (texts, 8), columns as named above.

    A word character is a letter, number or underscore (`\\w`), a token what stands between white space.
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
                row[LINES] += line > 0 or inside
                line = 0
            else:
                line += 1
            if inside:
                word += (bits & (LETTER | NUMBER | CONNECTOR)) != 0
                letters += (bits & LETTER) != 0
        row[_CHARACTERS] = offsets[text + 1] - offsets[text]
        row[WORD_CHARACTERS], row[LETTERS], row[LONGEST_LINE] = word, letters, longest
        row[TOKENS], row[TOKEN_SUM], row[TOKEN_SQUARES] = tokens, total, squares
    return counts


@dataclass(frozen=True)
class _CodeMeasure:
    """A signal of code: its type, unit and meaning."""

    type: pa.DataType
    unit: str
    meaning: str


CODE_MEASURES: dict[str, _CodeMeasure] = {
    "vendored": _CodeMeasure(pa.int8(), "0 or 1", "Whether others wrote the file, and the project carries it along."),
    "generated": _CodeMeasure(pa.int8(), "0 or 1", "Whether a program wrote the file."),
    "licensed": _CodeMeasure(pa.int8(), "0 or 1", "Whether its licence allows use without copyleft."),
    "characters": _CodeMeasure(pa.int32(), "characters", "Characters of the file."),
    "longest_line": _CodeMeasure(pa.int32(), "characters", "Characters of the longest line."),
    "mean_line": _CodeMeasure(pa.float32(), "characters / lines", "Characters of a line on average."),
    "token_length_deviation": _CodeMeasure(
        pa.float32(), "characters / token", "Standard deviation of the lengths of what stands between white space."
    ),
    "non_word_characters": _CodeMeasure(
        pa.float32(), "characters / characters", "Share of characters that are no letter, number or underscore."
    ),
    "letters": _CodeMeasure(pa.float32(), "characters / characters", "Share of characters that are letters."),
}


def measure_code(texts: pa.Array, paths: Sequence[str], licences: Sequence[str | None]) -> dict[str, pa.Array]:
    """All signals of files with these texts, paths within their trees and SPDX expressions, by name; (texts,) each.

    An empty text has 0 for all that is measured of text.
    """
    codes, offsets = decode(texts)
    counts = _count_code(codes, offsets, characters.classes())
    total = counts[:, _CHARACTERS]
    mean = share(counts[:, TOKEN_SUM], counts[:, TOKENS])
    variance = np.maximum(share(counts[:, TOKEN_SQUARES], counts[:, TOKENS]) - mean**2, 0)
    strings = texts.to_pylist()
    numbers: dict[str, Any] = {
        "vendored": [vendored(path) for path in paths],
        "generated": [generated(path, text or "") for path, text in zip(paths, strings, strict=True)],
        "licensed": [licence_allowed(expression) for expression in licences],
        "characters": total,
        "longest_line": counts[:, LONGEST_LINE],
        "mean_line": share(total - counts[:, LINES] + 1, counts[:, LINES]),
        "token_length_deviation": np.sqrt(variance),
        "non_word_characters": share(total - counts[:, WORD_CHARACTERS], total),
        "letters": share(counts[:, LETTERS], total),
    }
    return {
        name: pa.array(np.asarray(numbers[name], np.float64)).cast(kind.type, safe=False)
        for name, kind in CODE_MEASURES.items()
    }


def code_rules(bounds: Mapping[str, Bound]) -> tuple[Rule, ...]:
    """The rules of some bounds, for `signals.rules.judge`. Raises SettingsError for a bound on no known signal."""
    for name in bounds:
        if name not in CODE_MEASURES:
            raise SettingsError(unknown_name("signal of code", name, CODE_MEASURES))
    bounded = [(name, bounds[name]) for name in CODE_MEASURES if name in bounds]
    return tuple(Rule(name, bound.min, bound.max) for name, bound in bounded if (bound.min, bound.max) != (None, None))
