"""Programs through the whole job, from index to shard, with path and licence as columns."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from click.testing import CliRunner
from identify.vendor.licenses import LICENSES

from pipelines.cli.main import main
from pipelines.index import INDEX_REASONS
from pipelines.job.languages import find_any_code, load_any_language, program_codes
from pipelines.job.work import folder
from pipelines.shard import PROGRAM_DOCUMENT
from roots import shards
from roots.errors import SettingsError

TEXTS = dict(LICENSES)
GO = 'package main\n\nimport "fmt"\n\nfunc main() {\n\tfor number := 0; number < 10; number++ {\n\t\tfmt.Println("hello, number", number)\n\t}\n}\n'  # noqa: E501


def program(number: int, more: str = "") -> str:
    """A Python file; each number gives another one."""
    words = [f"name_{number}_{place}" for place in range(number, number + 25)]
    lines = [f"def {word}(left, right):\n    return left * {place} + right\n\n" for place, word in enumerate(words)]
    return "import collections\r\n\r\n" + more + "\n".join(lines)


TREE: dict[str, str] = {
    "LICENSE": TEXTS["MIT"],
    "src/one.py": program(1),
    "src/copy.py": program(1),
    "src/mail.py": program(2, "AUTHOR = 'Ada <ada.lovelace@mail.example-host.org>'\n"),
    "src/spdx.py": program(3, "# SPDX-License-Identifier: GPL-3.0-only\n"),
    "src/made_pb2.py": program(4),
    "vendor/other.py": program(5),
    "gpl/COPYING": TEXTS["GPL-3.0"],
    "gpl/deep/six.py": program(6),
    "odd/LICENSE": "You may look at this, and that is all.",
    "odd/seven.py": program(7),
    "odd/mit/package.json": '{"license": "MIT"}',
    "odd/mit/eight.py": program(8),
    "cmd/main.go": GO * 3,
    "doc/text.md": "# No program",
    "doc/empty.py": " \n",
    "logo.py": "\0\1\2\3" * 40,
}
FATES = {
    "src/one.py": (None, "MIT"),
    "src/copy.py": ("dedup.exact", "MIT"),
    "src/mail.py": (None, "MIT"),
    "src/spdx.py": ("filter.licensed", "GPL-3.0-only"),
    "src/made_pb2.py": ("filter.generated", "MIT"),
    "vendor/other.py": ("filter.vendored", "MIT"),
    "gpl/deep/six.py": ("filter.licensed", "GPL-3.0"),
    "odd/seven.py": ("filter.licensed", "LicenseRef-unknown"),
    "odd/mit/eight.py": (None, "MIT"),
    "cmd/main.go": ("extract.other_language", "MIT"),
    "doc/text.md": ("index.not_source", None),
    "doc/empty.py": ("index.empty", None),
    "logo.py": ("index.undecodable", None),
    "LICENSE": ("index.not_source", None),
    "gpl/COPYING": ("index.not_source", None),
    "odd/LICENSE": ("index.not_source", None),
    "odd/mit/package.json": ("index.not_source", None),
}


def roots(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(main, list(arguments), catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result.output


def write_folder(root: Path) -> Path:
    for name, text in TREE.items():
        path = root / "project" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    return root / "project"


def write_tar(root: Path) -> Path:
    with tarfile.open(root / "project.tar.gz", "w:gz") as archive:
        for name, text in sorted(TREE.items(), reverse=True):
            member = tarfile.TarInfo(f"project/{name}")
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    return root / "project.tar.gz"


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("programs")
    options = ["--lang", "Python go", "--quiet", "--executor", "serial", "--set", "shard.validation_share=0"]
    roots("run", str(root / "work"), "--input", str(write_folder(root)), *options)
    return root / "work"


def fates(work: Path, code: str, strip: str = "") -> dict[str, tuple[str | None, str | None]]:
    """path -> (why the file was dropped, its licence)."""
    found: dict[str, tuple[str, str | None, str | None]] = {}
    for stage in ("index", "extract", "measure", "filter", "dedup", "redact"):
        for path in sorted(folder(work, code, stage).glob("*.parquet")):
            for row in (row for batch in shards.read(path) for row in batch.to_pylist()):
                name, _, licence = found.get(row["id"], (row.get("path") or "", None, row.get("license")))
                found[row["id"]] = (name.removeprefix(strip), row["drop"], licence)
    return {name: (drop, licence) for name, drop, licence in found.values()}


def documents(work: Path, code: str) -> list[dict[str, Any]]:
    files = sorted(folder(work, code, "shard").glob("train/*.arrow"))
    return [row for path in files for batch in shards.read_stream(path) for row in batch.to_pylist()]


def test_every_file_has_its_fate_and_its_licence(work: Path) -> None:
    assert fates(work, "python") == FATES
    assert "every row is accounted for" in roots("verify", str(work))


def test_every_reason_of_the_index_is_described(work: Path) -> None:
    reasons = {reason for reason, _ in fates(work, "python").values() if reason and reason.startswith("index.")}
    assert reasons == {"index.not_source", "index.empty", "index.undecodable"}
    assert reasons <= set(INDEX_REASONS)


def test_the_dataset_holds_the_unchanged_files_with_path_and_licence(work: Path) -> None:
    found = {row["path"]: row for row in documents(work, "python")}
    assert sorted(found) == ["odd/mit/eight.py", "src/mail.py", "src/one.py"]
    assert {row["license"] for row in found.values()} == {"MIT"}
    assert {row["language"] for row in found.values()} == {"python"}
    assert found["src/one.py"]["text"] == program(1).replace("\r\n", "\n")
    assert found["src/one.py"]["url"] == "project/src/one.py"
    assert "lovelace" not in found["src/mail.py"]["text"]
    assert "PI:EMAIL" in found["src/mail.py"]["text"]
    assert [row["path"] for row in documents(work, "go")] == ["cmd/main.go"]


def test_a_tar_in_another_order_gives_the_same_fates(work: Path, tmp_path: Path) -> None:
    other = tmp_path / "work"
    options = ["--lang", "python", "--quiet", "--executor", "serial", "--set", "shard.validation_share=0"]
    roots("run", str(other), "--input", str(write_tar(tmp_path)), *options)
    found = fates(other, "python", "project/")
    copies = {"src/one.py", "src/copy.py"}  # which of two equal files stays is decided by their ids
    assert {name: fate for name, fate in found.items() if name not in copies} == {
        name: fate for name, fate in FATES.items() if name not in copies
    }
    assert sorted(str(found[name][0]) for name in copies) == ["None", "dedup.exact"]
    assert json.loads((other / "python" / "manifest.json").read_text())["language"]["name"] == "Python"


def test_a_changed_file_of_a_folder_is_seen(tmp_path: Path) -> None:
    tree, work = write_folder(tmp_path), tmp_path / "work"
    command = ["index", str(work), "--input", str(tree), "--quiet", "--executor", "serial"]
    roots(*command)
    before = shards.read_receipt(work / "index" / "project.parquet")
    roots(*command)
    assert shards.read_receipt(work / "index" / "project.parquet") == before
    (tree / "src" / "one.py").write_text(program(9))
    roots(*command)
    assert shards.read_receipt(work / "index" / "project.parquet") != before


def test_judging_again_reads_no_text(work: Path, tmp_path: Path) -> None:
    bounds = tmp_path / "my.toml"
    bounds.write_text('[bounds.licensed]\nmin = "none"\n')
    roots("judge", str(work), "--lang", "python", "--bounds", str(bounds), "--quiet", "--executor", "serial")
    kept = {name for name, (drop, _) in fates(work, "python").items() if not str(drop).startswith(("filter", "index"))}
    assert {"gpl/deep/six.py", "src/spdx.py", "odd/seven.py"} <= kept
    roots("judge", str(work), "--lang", "python", "--bounds", "default", "--quiet", "--executor", "serial")


def test_why_shows_path_licence_and_bounds(work: Path) -> None:
    said = roots("why", "project/gpl/deep/six.py", "--work", str(work), "--lang", "python")
    assert "path gpl/deep/six.py, licence GPL-3.0" in said
    assert "filter   DROPPED: filter.licensed" in said


def test_the_workbench_refuses_programs(work: Path) -> None:
    assert "this is for text" in roots("report", str(work), "--lang", "python", code=2)


def test_languages_are_found_by_any_of_their_names() -> None:
    assert [find_any_code(name) for name in ("C++", "cpp", "c#", "Python", "fr", "fra_Latn")] == [
        "cpp", "cpp", "csharp", "python", "fr", "fr",
    ]  # fmt: skip
    assert len(program_codes()) == 13
    assert {load_any_language(code).name for code in program_codes()} == set(program_codes().values())
    with pytest.raises(SettingsError, match="python"):
        find_any_code("pyton")


def test_columns_are_declared() -> None:
    assert PROGRAM_DOCUMENT.field("path").type == PROGRAM_DOCUMENT.field("license").type == pa.string()
