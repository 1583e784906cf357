"""Which licence a project is under: from the text of a licence file, or from what a manifest says, as SPDX expressions.

A licence file is compared with the texts that the package `identify` carries, by the word triples they share, so that a
changed name, year or line break does not matter. What is not recognised is None, and None is never allowed
(`filters.programs.code.licence_allowed`): a licence that nobody could name is no permission.
"""

import json
import re
import tomllib
from collections.abc import Callable
from functools import cache
from typing import Any

from identify.vendor.licenses import LICENSES

LONGEST = 200_000  # characters of a licence file that are looked at: the longest licence known has 35,129
_ENOUGH = 0.8  # share of a licence's word triples that a file must hold: names in its clauses cost up to 0.15
_NAMED = 0.5  # share of the file's that must be explained: of a list of many licences, one that is known says nothing
_COVERED = 0.7  # share of them that another licence found explains: MIT-0 lies within MIT, two clauses within three
FILES = re.compile(r"^(un)?(licen[cs]e|copying|copyright)([-._].*)?$", re.IGNORECASE)
_WORD = re.compile(r"[a-z0-9]+")
_SPDX = re.compile(r"[A-Za-z0-9.+-]+( (AND|OR|WITH) [A-Za-z0-9.+-]+)*")

_Triples = frozenset[tuple[str, ...]]


def _triples(text: str) -> _Triples:
    words = _WORD.findall(text[:LONGEST].lower())
    return frozenset(zip(words, words[1:], words[2:], strict=False))


@cache
def _known() -> tuple[tuple[str, _Triples], ...]:
    return tuple((name, _triples(text)) for name, text in sorted(LICENSES))


def licence_of_text(text: str) -> str | None:
    """The licence whose text a file holds, as an SPDX identifier; several are joined by AND; None for none known.

    AND, for what two texts in one place mean is not said: all must allow what is done then.
    """
    held = _triples(text)
    known = [(name, triples) for name, triples in _known() if len(triples & held) >= _ENOUGH * len(triples)]
    explained: set[tuple[str, ...]] = set()
    names = []
    # The likest first, so that of a licence and its variants the right one explains the others.
    for name, triples in sorted(known, key=lambda item: -len(item[1] & held) / len(item[1] | held)):
        if len(triples & explained) < _COVERED * len(triples):
            names.append(name)
            explained |= triples
    return " AND ".join(sorted(names)) if names and len(explained & held) >= _NAMED * len(held) else None


def licence_of_manifest(name: str, text: str) -> str | None:
    """The SPDX expression in a manifest such as package.json; None where there is none, or the file cannot be read."""
    reader = MANIFESTS.get(name)
    try:
        said = reader(text) if reader else None
    except (ValueError, RecursionError, AttributeError, TypeError):  # a file of any kind under that name
        return None
    if isinstance(said, list):
        said = " OR ".join(map(str, said))
    if not isinstance(said, str):
        return None
    expression = said.strip().replace("/", " OR ")  # Cargo's way before 2018: "MIT/Apache-2.0"
    return expression if _SPDX.fullmatch(re.sub(r"[()]", "", expression)) else None


def _toml(table: str) -> Callable[[str], Any]:
    return lambda text: tomllib.loads(text).get(table, {}).get("license")


def _json(text: str) -> Any:
    return json.loads(text).get("license")


# Name of a file in which a project says its licence -> what it says
MANIFESTS: dict[str, Callable[[str], Any]] = {
    "Cargo.toml": _toml("package"),
    "pyproject.toml": _toml("project"),
    "package.json": _json,
    "composer.json": _json,
}
