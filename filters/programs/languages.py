"""Programming languages: how their files are recognised, and the bounds that judge them.

The tables are in `code_languages.toml`. This module imports nothing heavy, so `roots --help` may read it.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import PurePosixPath
from typing import Any

from filters.language import DEFAULT_SET, Bound, BoundTables
from roots.errors import SettingsError, unknown_name
from roots.settings import build

HEAD_CHARACTERS = 8192  # characters from which content is recognised


@dataclass(frozen=True)
class _CodeLanguage:
    """A programming language: names of its files, and patterns that their content must or must not match."""

    code: str  # its name on the command line and in folders: "cpp"
    name: str
    extensions: tuple[str, ...]
    interpreters: tuple[str, ...] = ()
    must: str = ""
    excluded: str = ""
    claims: tuple[str, ...] = ()  # extensions of another language that are its own if `claim` matches
    claim: str = ""

    def accepts(self, text: str) -> bool:
        """Whether content may be in the language."""
        head = text[:HEAD_CHARACTERS]
        if self.must and not re.search(self.must, head, re.MULTILINE):
            return False
        return not (self.excluded and re.search(self.excluded, head, re.MULTILINE))


@cache
def code_tables() -> dict[str, Any]:
    """The content of `code_languages.toml`."""
    text = (resources.files("filters.programs") / "code_languages.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


@cache
def code_languages() -> tuple[_CodeLanguage, ...]:
    """The 13 programming languages of ROOTS, by name."""
    found = []
    for name, table in sorted(code_tables()["languages"].items()):
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
    """A file of ours; `reason` is the signal that must drop it, empty if it must be kept."""

    path: str
    text: str
    licence: str = "MIT"
    reason: str = ""


@cache
def code_examples() -> tuple[CodeExample, ...]:
    """Files to keep, at least one per language, and files to drop."""
    return tuple(CodeExample(**item) for item in code_tables()["examples"])


def code_language(path: str, text: str) -> str | None:
    """The code of a file's programming language, by extension and content; None if it is none of the 13.

    A file without extension is recognised by the interpreter that its first line names.
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
        if extension in known.claims and re.search(known.claim, text[:HEAD_CHARACTERS], re.MULTILINE):
            return known.code
    found = next((known for known in code_languages() if extension in known.extensions), None)
    return found.code if found and found.accepts(text) else None


def code_bounds(bounds: str | BoundTables = DEFAULT_SET) -> dict[str, Bound]:
    """The bounds of code: a bound set by name, or bounds of your own, which lie over the default set.

    Raises SettingsError for an unknown set.
    """
    sets: Mapping[str, Any] = code_tables()["bounds"]
    if not isinstance(bounds, str):
        default = sets[DEFAULT_SET]
        tables = {**default, **{name: {**default.get(name, {}), **own} for name, own in bounds.items()}}
    elif bounds in sets:
        tables = sets[bounds]
    else:
        raise SettingsError(unknown_name("bound set of code", bounds, sets))
    return {name: build(Bound, table, f"bounds.{name}") for name, table in tables.items()}
