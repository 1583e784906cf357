"""The tree of errors: all of them in one file, each drawn there, each with an exit code."""

import ast
import re

from roots import errors
from tests.support.paths import ROOT

SOURCES = sorted(path for room in ("roots", "filters", "pipelines", "trainer") for path in (ROOT / room).rglob("*.py"))
CLASSES = [value for value in vars(errors).values() if isinstance(value, type)]
ERRORS = {error.__name__: error for error in CLASSES if issubclass(error, errors.RootsError)}


def bases_of(node: ast.ClassDef) -> set[str]:
    return {ast.unparse(base).rpartition(".")[2] for base in node.bases}


def test_every_error_for_users_is_in_the_tree() -> None:
    elsewhere = [
        f"{path.relative_to(ROOT)}: {node.name}"
        for path in SOURCES
        if path != ROOT / "roots/errors.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef) and bases_of(node) & set(ERRORS)
    ]
    assert elsewhere == []


def test_the_drawing_has_every_error_with_its_exit_code() -> None:
    drawn = re.findall(r"^ +(?:│ +)?[├└]── (\w+) .*?(?:\(exit code (\d)\))?$", errors.__doc__ or "", re.MULTILINE)
    codes = {name: error.exit_code for name, error in ERRORS.items() if error is not errors.RootsError}
    assert {name: int(code or 1) for name, code in drawn} == codes
