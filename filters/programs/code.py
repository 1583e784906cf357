"""Programs: their language, whether a person of the project wrote them, their licence, and ROOTS's measures of code.

The tables are in `code_languages.toml`. Measures are columns, judged by `filters.signals.rules` like those of text.
Source: Laurençon et al. 2022 (ROOTS) and the pipeline's code for GitHub, section "code" of the data preparation.
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa

from filters.language import Bound
from filters.signals.batch import share
from filters.signals.counting import Counts, Table
from filters.signals.rules import Rule
from filters.text import characters
from filters.text.characters import CONNECTOR, LETTER, NUMBER, SPACE
from filters.text.compiled import compiled
from filters.text.words import Codes, Places, decode
from roots.errors import SettingsError, unknown_name
from roots.settings import build, read_toml

HEAD = 8192  # characters that content is recognised by
_LONGEST_EXPRESSION = 200  # characters of an SPDX expression that is read: a file may hold anything after its name
# Columns of `_count_code`.
_CHARACTERS, WORD_CHARACTERS, LETTERS, LINES, LONGEST_LINE, TOKENS, TOKEN_SUM, TOKEN_SQUARES = range(8)


@dataclass(frozen=True)
class _CodeLanguage:
    """A programming language: what its files are called, and what they must or must not hold."""

    code: str  # as it is named on the command line and in folders: "cpp"
    name: str
    extensions: tuple[str, ...]
    interpreters: tuple[str, ...] = ()
    must: str = ""
    excluded: str = ""
    claims: tuple[str, ...] = ()  # extensions of another language that are its own where `claim` is found
    claim: str = ""

    def accepts(self, text: str) -> bool:
        """Whether content may be of the language."""
        head = text[:HEAD]
        if self.must and not re.search(self.must, head, re.MULTILINE):
            return False
        return not (self.excluded and re.search(self.excluded, head, re.MULTILINE))


@cache
def _tables() -> dict[str, Any]:
    text = (resources.files("filters.programs") / "code_languages.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


@cache
def code_languages() -> tuple[_CodeLanguage, ...]:
    """The 13 programming languages of ROOTS, by name."""
    found = []
    for name, table in sorted(_tables()["languages"].items()):
        claims = table.get("claims", {})
        found.append(
            _CodeLanguage(
                table["code"], name, tuple(table["extensions"]), tuple(table.get("interpreters", ())),
                table.get("must", ""), table.get("not", ""), tuple(claims.get("extensions", ())),
                claims.get("must", ""),
            )
        )  # fmt: skip
    return tuple(found)


@dataclass(frozen=True)
class CodeExample:
    """A file of ours; `reason` is the signal that must drop it, empty where it must be kept."""

    path: str
    text: str
    licence: str = "MIT"
    reason: str = ""


@cache
def code_examples() -> tuple[CodeExample, ...]:
    """Files to keep, one a language at least, and files to drop."""
    return tuple(CodeExample(**item) for item in _tables()["examples"])


def code_language(path: str, text: str) -> str | None:
    """The code of a file's programming language by extension and content, or None for what is none of the 13.

    A file without extension is known by the interpreter its first line names.
    """
    name = PurePosixPath(path).name
    stem, dot, extension = name.rpartition(".")
    if not (dot and stem):
        first = text[:200].partition("\n")[0]
        if not first.startswith("#!"):
            return None
        program = re.sub(r"[\d.]+$", "", re.split(r"[/\s]", first.strip())[-1])
        return next((known.code for known in code_languages() if program in known.interpreters), None)
    for known in code_languages():
        if extension in known.claims and re.search(known.claim, text[:HEAD], re.MULTILINE):
            return known.code
    found = next((known for known in code_languages() if extension in known.extensions), None)
    return found.code if found and found.accepts(text) else None


def vendored(path: str) -> bool:
    """Whether a file lies where a project keeps what others wrote, or is named as such."""
    parts = PurePosixPath(path).parts
    table = _tables()["vendored"]
    if any(part in table["folders"] for part in parts[:-1]):
        return True
    return any(re.search(pattern, parts[-1]) for pattern in table["names"]) if parts else False


def generated(path: str, text: str) -> bool:
    """Whether a program wrote the file: by its name, or by a mark in its first ten lines."""
    table = _tables()["generated"]
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
    known = {name.lower() for name in _tables()["licences"]["allowed"]}
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


def code_bounds(bounds: str | Path = "default") -> dict[str, Bound]:
    """A bound set of code by name, or from a TOML file by path, which lies over the default set.

    Raises SettingsError for an unknown set or signal.
    """
    sets: Mapping[str, Any] = _tables()["bounds"]
    if str(bounds).endswith(".toml"):
        own = read_toml(Path(bounds)).get("bounds")
        if not isinstance(own, dict):
            raise SettingsError(f"{bounds} has no table [bounds]")
        tables = {**sets["default"], **{name: {**sets["default"].get(name, {}), **own[name]} for name in own}}
    elif bounds in sets:
        tables = sets[str(bounds)]
    else:
        raise SettingsError(unknown_name("bound set of code", str(bounds), sets))
    for name in tables:
        if name not in CODE_MEASURES:
            raise SettingsError(unknown_name("signal of code", name, CODE_MEASURES))
    return {name: build(Bound, tables[name], f"bounds.{name}") for name in CODE_MEASURES if name in tables}


def code_rules(bounds: str | Path = "default") -> tuple[Rule, ...]:
    """The rules of a bound set of code, for `signals.rules.judge`. Raises SettingsError as `code_bounds` does."""
    found = code_bounds(bounds)
    return tuple(
        Rule(name, bound.min, bound.max)
        for name, bound in found.items()
        if bound.min is not None or bound.max is not None
    )
