"""Languages as a user names them: natural languages, one's own language files by path, and programming languages."""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from filters import language as natural
from filters.language import BoundTables, Language, Reading
from filters.programs.languages import code_bounds, code_languages
from pipelines.job.fineweb2 import PROJECT, is_configuration, like_fineweb2
from roots.errors import SettingsError
from roots.settings import read_toml

_CODE = re.compile(r"[a-z]{2,8}([_-][a-z0-9]{2,8})*")  # of a language file, which names a folder of the work folder
_TAKEN = ("all", "index", "pseudocrawl", natural.DEFAULT_SET)  # names of other folders and files


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


def own_file(name: str) -> Mapping[str, object] | None:
    """What a language file of the user's holds, named by its path such as ./uk.toml; None for any other name.

    Raises InputError for a file that cannot be read.
    """
    return read_toml(Path(name)) if name.lower().endswith(".toml") else None


def find_any_code(name: str) -> str:
    """The code of a natural or programming language by any of its names; of a language file, the name of the file.

    Raises SettingsError, with the nearest known name, and InputError as `own_file` does.
    """
    if own_file(name) is not None:
        code = Path(name).stem
        if not _CODE.fullmatch(code) or code in _TAKEN or is_program(code):
            raise SettingsError(f"{name}: a language file has the name of its language's code, such as uk.toml")
        return code
    wanted = name.strip().lower()
    found = [code for code, full in program_codes().items() if wanted in (code, full.lower())]
    if found:
        return found[0]
    return natural.find_code(name, program_codes())


def load_any_language(
    name: str, bounds: str | Path = natural.DEFAULT_SET, definitions: str = "repaired", splitter: str = ""
) -> Language:
    """Load a natural or programming language by any of its names, with a bound set (see filters.language).

    `definitions` apply to natural languages only. Raises SettingsError for an unknown language or set, and InputError
    for a file that cannot be read.
    """
    code = find_any_code(name)
    if definitions == PROJECT:
        if is_program(code):
            raise SettingsError(f"{code}: FineWeb-2 judges natural languages only")
        below = PROJECT if is_configuration(bounds) else read_bounds(bounds)
        return like_fineweb2(natural.load_language(code, below, own=own_file(name)), bounds, splitter)
    if not is_program(code):
        return natural.load_language(code, read_bounds(bounds), definitions, own_file(name))
    return Language(
        code=code,
        iso639_3=code,
        name=program_codes()[code],
        reading=Reading("Zyyy"),
        tag=code,
        bounds=code_bounds(read_bounds(bounds)),
    )


def load_text_language(name: str) -> Language:
    """Load a natural language with its default bounds, as `load_any_language` does.

    Raises SettingsError for a programming language, too.
    """
    language = load_any_language(name)
    if is_program(language.code):
        raise SettingsError(
            f"{language.code}: this is for text; set bounds of code in a TOML file, and judge by it with `roots judge`"
        )
    return language


def read_bounds(bounds: str | Path) -> str | BoundTables:
    """Bounds as `load_any_language` takes them: the name of a set as it is, or the tables of a TOML file by path.

    Raises InputError for a file that cannot be read, SettingsError for one without a table [bounds].
    """
    if isinstance(bounds, str) and not bounds.endswith(".toml"):
        if bounds != natural.DEFAULT_SET and is_configuration(bounds):
            raise SettingsError(f"{bounds} is for FineWeb-2's definitions: name it as --like {PROJECT}:{bounds}")
        return bounds
    tables = read_toml(Path(bounds)).get("bounds")
    if not isinstance(tables, dict):
        raise SettingsError(f"{bounds} has no table [bounds]")
    return tables
