"""What the documentation says is so: its links, paths, commands, options, settings and laws."""

import importlib.util
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from pipelines.cli.main import main
from tests.support.paths import ROOT

SKIP = {".venv", "build", "work"}
DOCS = sorted(
    path for path in ROOT.rglob("*.md") if not SKIP & set(path.relative_to(ROOT).parts) and path.name != "LICENSE.md"
)
LINK = re.compile(r"\[[^\]]+\]\(([^)#\s]+)(?:#[^)]*)?\)")
SOURCE = re.compile(
    r"(?<![\w/*{])((?:roots|filters|pipelines|trainer|tests)/[\w/.-]+\.(?:py|toml|md|json|ftz|svg))(?!\w)"
)
MODULE = re.compile(r"python3? -m ((?:roots|filters|pipelines|trainer|tests)[\w.]*)")
TARGET = re.compile(r"`make ([a-z]+)|^    make ([a-z]+)", re.MULTILINE)
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def code_of(text: str) -> Iterator[str]:
    """Lines of indented and fenced blocks, joined where a backslash continues them, and what stands in backticks."""
    fenced = False
    held = ""
    for line in text.splitlines():
        if line.strip().startswith("```"):
            fenced = not fenced
        elif fenced or line.startswith("    ") or held:
            held += line.strip().removesuffix("\\") + " "
            if not line.endswith("\\"):
                yield held.strip()
                held = ""
        else:
            yield from re.findall(r"`([^`]+)`", line)


def commands_of(text: str) -> Iterator[list[str]]:
    """Every `roots ...` of a text, as words."""
    for code in code_of(text):
        for part in re.split(r";|&&|\|\s|\s#\s|\s\[|\s\.\.\.|<", code):
            found = re.match(r"(?:sh -c \")?(?:~/roots/bin/)?roots (.+)", part.strip())
            if found:
                try:
                    yield shlex.split(found[1].strip('"'))
                except ValueError:
                    yield found[1].split()


def resolve(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command that the words name, and what follows its name."""
    command: click.Command = main
    context = click.Context(main)
    rest = list(words)
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        inner = command.get_command(context, rest[0].strip(",.)"))
        assert inner is not None, f"roots has no command {rest[0]!r}: {' '.join(words)}"
        command, rest = inner, rest[1:]
    return command, rest


@pytest.mark.parametrize("path", DOCS, ids=name_of)
def test_links_lead_somewhere(path: Path) -> None:
    targets = [
        target for target in LINK.findall(text_of(path)) if "://" not in target and not target.startswith("mailto:")
    ]
    missing = [target for target in targets if not (path.parent / target).exists()]
    assert not missing, f"{name_of(path)}: {missing}"


@pytest.mark.parametrize("path", DOCS, ids=name_of)
def test_files_that_are_named_exist(path: Path) -> None:
    missing = [name for name in SOURCE.findall(text_of(path)) if not (ROOT / name).exists() and "xx" not in name]
    assert not missing, f"{name_of(path)}: {missing}"


@pytest.mark.parametrize("path", DOCS, ids=name_of)
def test_modules_that_are_run_exist(path: Path) -> None:
    missing = [name for name in MODULE.findall(text_of(path)) if importlib.util.find_spec(name) is None]
    assert not missing, f"{name_of(path)}: {missing}"


@pytest.mark.parametrize("path", DOCS, ids=name_of)
def test_commands_and_their_options_exist(path: Path) -> None:
    for words in commands_of(text_of(path)):
        command, rest = resolve(words)
        known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        for word in rest:
            if re.match(r"--?[a-z]", word):
                assert word.partition("=")[0].rstrip(".,)") in known | {"--help", "-h"}, f"{' '.join(words)}: no {word}"


@pytest.mark.parametrize("path", DOCS, ids=name_of)
def test_targets_of_make_exist(path: Path) -> None:
    known = set(re.findall(r"^([a-z]+):", text_of(ROOT / "Makefile"), re.MULTILINE))
    named = {one or other for one, other in TARGET.findall(text_of(path))}
    assert named <= known, f"{name_of(path)}: make has no {sorted(named - known)}"


def laws() -> list[str]:
    section = text_of(ROOT / "CONTRIBUTING.md").partition("## The laws\n")[2].partition("\n## ")[0]
    return [law.strip() for law in re.split(r"^\d+\. ", section, flags=re.MULTILINE)[1:]]


@pytest.mark.parametrize("law", laws(), ids=lambda law: re.sub(r"\W+", "-", law[:40]))
def test_a_law_names_tests_that_exist(law: str) -> None:
    tests = TEST.findall(law)
    assert tests, f"no test holds this law: {law[:80]}"
    for file, name in tests:
        assert re.search(rf"^def {name}\(", text_of(ROOT / file), re.MULTILINE), f"{file} has no test {name}"


def test_there_are_laws() -> None:
    assert len(laws()) >= 10
