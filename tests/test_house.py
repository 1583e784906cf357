"""What keeps the house readable: small rooms, names with one meaning, interfaces in sight, plain words."""

import ast
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from vulture import Vulture

from tests.support.paths import ROOT
from tests.support.source import PACKAGES, files, forget, modules, public, quoted, signatures, used

ROOM_FILES = 15
SHARED_NAMES = 30  # names that more than one file may define
UNTYPED = 100  # functions that may say Any of an argument or of what they return
ROOMS = sorted({path.parent for path in files()})
READMES = [ROOT / "README.md", *sorted(path for package in PACKAGES for path in (ROOT / package).rglob("README.md"))]
TEXTS = [
    *READMES,
    *(ROOT / name for name in ("CHANGELOG.md", "CONTRIBUTING.md")),
    *sorted((ROOT / "tests").rglob("README.md")),
    *files(),
    *sorted((ROOT / "tests").rglob("*.py")),
]
# Words and turns of phrase that no colleague says today.
STILTED = re.compile(
    r"\b(anew|dear(er|est)?|befell|in vain|go(es)? for|so many|of late|lest|whereof|wherein|nought)\b",
    re.IGNORECASE,
)


@pytest.fixture(scope="module", autouse=True)
def _trees_are_forgotten() -> Iterator[None]:
    yield
    forget()


def place(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("room", ROOMS, ids=place)
def test_a_room_holds_few_files(room: Path) -> None:
    held = sorted(path.name for path in room.glob("*.py"))
    assert len(held) <= ROOM_FILES or room == ROOT / "trainer", f"{place(room)} holds {len(held)} files"


def test_a_public_name_is_used_by_another_file() -> None:
    others, texts = used(), quoted()
    alone = [
        f"{module.place}: {name}"
        for module in modules().values()
        for name in sorted(public(module))
        if (module.name, name) not in others and name not in texts | signatures(module)
    ]
    assert not alone, "only their own file uses these: give them an underscore, or remove them\n" + "\n".join(alone)


def test_a_public_name_is_defined_in_one_file() -> None:
    places: dict[str, set[str]] = defaultdict(set)
    for module in modules().values():
        for name in public(module):
            places[name].add(module.place)
    shared = {name: sorted(held) for name, held in places.items() if len(held) > 1}
    lines = [f"{name}: {', '.join(held)}" for name, held in sorted(shared.items())]
    assert len(shared) < SHARED_NAMES, f"{len(shared)} names are defined in more than one file\n" + "\n".join(lines)


def says_any(function: ast.FunctionDef) -> bool:
    arguments = function.args
    given = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    hints = [function.returns, *(each.annotation for each in given if each)]
    return any(isinstance(node, ast.Name) and node.id == "Any" for hint in hints if hint for node in ast.walk(hint))


def test_a_signature_says_what_it_takes_and_gives() -> None:
    found = [
        f"{module.place}:{node.lineno}: {node.name}"
        for module in modules().values()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.FunctionDef) and says_any(node)
    ]
    assert 0 < len(found) < UNTYPED, f"{len(found)} signatures say Any\n" + "\n".join(found)


@pytest.mark.parametrize("room", ROOMS, ids=place)
def test_a_readme_names_every_file_of_its_room(room: Path) -> None:
    names = sorted(path.name for path in room.glob("*.py") if not path.name.startswith("__"))
    readme = next(folder / "README.md" for folder in (room, *room.parents) if (folder / "README.md").exists())
    text = readme.read_text(encoding="utf-8")
    missing = [name for name in names if not re.search(rf"(?<!\w){re.escape(name)}", text)]
    assert not missing, f"{place(readme)} does not name {', '.join(missing)}"


@pytest.mark.parametrize("readme", [path for path in READMES[1:] if path.parent in ROOMS], ids=place)
def test_a_readme_says_what_to_read_first(readme: Path) -> None:
    text = readme.read_text(encoding="utf-8")
    assert "read first" in text.lower()[:1500], f"{place(readme)}: begin with the files to read first"


KEPT = {
    "named in a table, or in the text of a program": ["make_*", "explain_*", "run_*_stage", "_serve"],
    "called by torch, click, Jinja, atexit": [
        "forward", "wrap_str_format", "convert", "format_commands", "_close_idle",
    ],
    "methods of a file or a protocol": ["seekable", "writable", "readinto", "__call__"],
    "attributes that a library reads": [
        "case_sensitive", "never_capture", "max_mem", "log_errors", "longest_match", "tempdir", "decoder",
        "post_processor", "encode_special_tokens", "intercepted_binops",
    ],
    "fields that are written as a whole": [
        "custodian", "homepage", "unicode", "decided_by", "content_languages", "seed_language", "rows_before",
        "rows_after", "train_bytes", "nats_per_token", "bytes_per_token", "*_premium", "continued", "bytes_alone",
    ],
    "types": ["ReadableBuffer", "WriteableBuffer"],
}  # fmt: skip


def test_no_code_is_dead() -> None:
    finder = Vulture(ignore_names=[name for names in KEPT.values() for name in names])
    finder.scavenge([str(ROOT / package) for package in (*PACKAGES, "tests")])
    tests = ROOT / "tests"
    dead = [item.get_report() for item in finder.get_unused_code(60) if tests not in Path(item.filename).parents]
    assert not dead, "\n".join(dead)


def test_the_prose_is_plain() -> None:
    found = [
        f"{place(path)}:{number}: {match[0]}"
        for path in TEXTS
        if path != Path(__file__).resolve()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        for match in STILTED.finditer(line)
    ]
    assert not found, "\n".join(found)


def test_the_words_are_counted_where_they_stand() -> None:
    assert [match[0] for match in STILTED.finditer("Made anew, though dear; so many rows.")] == [
        "anew",
        "dear",
        "so many",
    ]
    assert Counter(bool(STILTED.search(text)) for text in ("It goes fast.", "It goes for the newer one.")) == {
        True: 1,
        False: 1,
    }
