"""Licences of projects and files, as SPDX expressions: read from a file's head, a manifest or a licence text.

A licence file is compared with the texts in the package `identify` by the word triples they share, so names, years and
line breaks do not matter. A licence that is not recognised is None, and None is never allowed.
"""

import json
import re
import tomllib
from collections.abc import Callable
from functools import cache
from importlib import resources

LONGEST_LICENCE = 200_000  # characters of a licence file that are read; the longest known licence has 35,129
LICENCE_FILES = re.compile(r"^(un)?(licen[cs]e|copying|copyright)([-._].*)?$", re.IGNORECASE)
_HEAD = 8192  # characters in which a file declares its licence
_LONGEST_EXPRESSION = 200  # characters; a file may hold anything after the SPDX mark
_ENOUGH = 0.8  # share of a licence's word triples that a file must hold; names in its clauses cost up to 0.15
_NAMED = 0.5  # share of the file's triples that must be explained; one known text in a list of licences says nothing
_COVERED = 0.7  # share of a licence that others may explain: MIT-0 is part of MIT, two clauses are part of three
_WORD = re.compile(r"[a-z0-9]+")
_SPDX = re.compile(r"[A-Za-z0-9.+-]+( (AND|OR|WITH) [A-Za-z0-9.+-]+)*")

_Triples = frozenset[tuple[str, ...]]


def declared_licence(text: str) -> str | None:
    """The SPDX expression that a file declares in its first lines, or None."""
    found = re.search(r"SPDX-License-Identifier:\s*([^\n*/#;\"'<>]+)", text[:_HEAD])
    return found.group(1).strip() if found else None


def licence_allowed(expression: str | None) -> bool:
    """Whether an SPDX expression allows use without copyleft: "MIT", "GPL-2.0-only OR MIT", "MIT AND Zlib".

    None and an expression that cannot be parsed are not allowed. A WITH exception changes nothing.
    """
    if not expression or len(expression) > _LONGEST_EXPRESSION:
        return False
    allowed, rest = _parse_or(re.findall(r"[()]|[^\s()]+", expression))
    return allowed and not rest


def _parse_or(tokens: list[str]) -> tuple[bool, list[str]]:
    """Whether the first terms, joined by OR, allow use; and the tokens after them."""
    allowed, rest = _parse_and(tokens)
    while rest and rest[0].upper() == "OR":
        other, rest = _parse_and(rest[1:])
        allowed = allowed or other
    return allowed, rest


def _parse_and(tokens: list[str]) -> tuple[bool, list[str]]:
    allowed, rest = _parse_term(tokens)
    while rest and rest[0].upper() == "AND":
        other, rest = _parse_term(rest[1:])
        allowed = allowed and other
    return allowed, rest


def _parse_term(tokens: list[str]) -> tuple[bool, list[str]]:
    """A licence, with its exception, or an expression in brackets."""
    if not tokens or tokens[0] == ")" or tokens[0].upper() in ("AND", "OR", "WITH"):
        return False, ["malformed"]
    if tokens[0] == "(":
        allowed, rest = _parse_or(tokens[1:])
        return (allowed, rest[1:]) if rest[:1] == [")"] else (False, ["malformed"])
    rest = tokens[1:]
    if rest[:1] and rest[0].upper() == "WITH":
        rest = rest[2:]
    return tokens[0].lower().removesuffix("+") in _permissive(), rest


@cache
def _permissive() -> frozenset[str]:
    """The permissive licences of `licences.toml`, in lower case."""
    text = (resources.files("filters.programs") / "licences.toml").read_text(encoding="utf-8")
    return frozenset(name.lower() for name in tomllib.loads(text)["permissive"])


def _triples(text: str) -> _Triples:
    words = _WORD.findall(text[:LONGEST_LICENCE].lower())
    return frozenset(zip(words, words[1:], words[2:], strict=False))


@cache
def _known() -> tuple[tuple[str, _Triples], ...]:
    from identify.vendor.licenses import LICENSES  # 35 texts that only source trees need

    return tuple((name, _triples(text)) for name, text in sorted(LICENSES))


def licence_of_text(text: str) -> str | None:
    """The SPDX identifier of the licence whose text a file holds; None if no known licence is in it.

    Several are joined by AND: a file does not say how its texts relate, so all of them must allow the use.
    """
    held = _triples(text)
    known = [(name, triples) for name, triples in _known() if len(triples & held) >= _ENOUGH * len(triples)]
    explained: set[tuple[str, ...]] = set()
    names = []
    # The most similar first, so that a licence explains its variants.
    for name, triples in sorted(known, key=lambda item: -len(item[1] & held) / len(item[1] | held)):
        if len(triples & explained) < _COVERED * len(triples):
            names.append(name)
            explained |= triples
    return " AND ".join(sorted(names)) if names and len(explained & held) >= _NAMED * len(held) else None


def licence_of_manifest(name: str, text: str) -> str | None:
    """The SPDX expression in a manifest such as package.json; None if it has none or cannot be read."""
    reader = MANIFESTS.get(name)
    try:
        declared = reader(text) if reader else None
    except (ValueError, RecursionError, AttributeError, TypeError):  # any content may be under that name
        return None
    if isinstance(declared, list):
        declared = " OR ".join(map(str, declared))
    if not isinstance(declared, str):
        return None
    expression = declared.strip().replace("/", " OR ")  # Cargo's way before 2018: "MIT/Apache-2.0"
    return expression if _SPDX.fullmatch(re.sub(r"[()]", "", expression)) else None


def _toml(table: str) -> Callable[[str], object]:
    return lambda text: tomllib.loads(text).get(table, {}).get("license")


def _json(text: str) -> object:
    return json.loads(text).get("license")


# Name of a manifest -> reader of its licence
MANIFESTS: dict[str, Callable[[str], object]] = {
    "Cargo.toml": _toml("package"),
    "pyproject.toml": _toml("project"),
    "package.json": _json,
    "composer.json": _json,
}
