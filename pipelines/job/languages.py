"""Languages as a user names them: natural languages and programming languages."""

from functools import cache
from pathlib import Path

from filters import language as natural
from filters.language import BoundTables, Language, Reading
from filters.programs.languages import code_bounds, code_languages
from roots.errors import SettingsError
from roots.settings import read_toml


@cache
def program_codes() -> dict[str, str]:
    """Code of every programming language -> its name: "cpp" -> "C++"."""
    return {known.code: known.name for known in code_languages()}


def all_languages() -> dict[str, str]:
    """Code of every language -> its name: natural languages, then programming languages."""
    return natural.full_names() | program_codes()


def is_program(code: str) -> bool:
    """Whether a code is that of a programming language."""
    return code in program_codes()


def find_any_code(name: str) -> str:
    """The code of a natural or programming language by any of its names.

    Raises SettingsError, with the nearest known name.
    """
    wanted = name.strip().lower()
    found = [code for code, full in program_codes().items() if wanted in (code, full.lower())]
    if found:
        return found[0]
    return natural.find_code(name, program_codes())


def load_any_language(name: str, bounds: str | Path = natural.DEFAULT_SET, definitions: str = "repaired") -> Language:
    """Load a natural or programming language by any of its names, with a bound set (see filters.language).

    `definitions` apply to natural languages only. Raises SettingsError for an unknown language or set.
    """
    code = find_any_code(name)
    if not is_program(code):
        return natural.load_language(code, read_bounds(bounds), definitions)
    return Language(
        code=code,
        iso639_3=code,
        name=program_codes()[code],
        reading=Reading("Zyyy"),
        tag=code,
        bounds=code_bounds(read_bounds(bounds)),
    )


def read_bounds(bounds: str | Path) -> str | BoundTables:
    """Bounds as `load_any_language` takes them: the name of a set as it is, or the tables of a TOML file by path.

    Raises InputError for a file that cannot be read, SettingsError for one without a table [bounds].
    """
    if isinstance(bounds, str) and not bounds.endswith(".toml"):
        return bounds
    tables = read_toml(Path(bounds)).get("bounds")
    if not isinstance(tables, dict):
        raise SettingsError(f"{bounds} has no table [bounds]")
    return tables
