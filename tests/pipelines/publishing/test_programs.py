"""Programs in a release: their path and their own licence, beside pages."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from identify.vendor.licenses import LICENSES

from pipelines import release
from pipelines.job.request import plan_jobs
from pipelines.job.stages import STAGES
from pipelines.job.work import find_archives
from pipelines.pipeline import run_stages
from pipelines.publishing.deliver import Delivered, deliver
from pipelines.publishing.pointers import make_pointers
from pipelines.publishing.settings import Delivery, TakedownSettings
from pipelines.publishing.takedown import takedown
from pipelines.publishing.takedown_list import digest, parse_requests
from roots.errors import InputError
from roots.executors import Serial
from tests.support.paths import ROOT

SIGNED = TakedownSettings(signed_off_by="A. Person")


def program(name: str) -> str:
    head = f"package {name}\n\n"
    return head + "\n".join(
        f"func {name}{place}(left int, right int) int {{\n\treturn left*{place} + right\n}}\n" for place in range(30)
    )


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Path:
    """A work folder of French and of Go, from an archive of pages and a source tree."""
    root = tmp_path_factory.mktemp("programs")
    for name, license_ in (("free", "BSD-3-Clause"), ("open", "Apache-2.0")):
        (root / "tree" / name).mkdir(parents=True)
        (root / "tree" / name / "LICENSE").write_text(dict(LICENSES)[license_])
        (root / "tree" / name / f"{name}.go").write_text(program(name))
    (root / "tree/open/copy.go").write_text(program("open"))
    inputs = find_archives([str(root / "tree"), str(ROOT / "tests/fixtures/crawl/example-2024-00000.warc.gz")])
    for job in plan_jobs(root / "work", ["fr", "go"], inputs, {"shard": {"validation_share": 0}}):
        run_stages(job, tuple(STAGES), Serial())
    return root / "work"


@pytest.fixture
def released(work, tmp_path, monkeypatch) -> Delivered:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return deliver(Delivery(work, str(tmp_path / "release"), settings={"publish": {"contact": "me"}}), Serial())


def rows_of(folder: Path, tag: str) -> list[dict]:
    return [row for path in sorted(folder.glob(f"data/{tag}/*")) for row in pq.read_table(path).to_pylist()]


def test_programs_are_released_beside_pages_with_path_and_own_licence(released):
    folder = released.delivery.folder
    assert set(released.manifest["languages"]) == {"fra_Latn", "go"}
    assert {(row["path"].split("/")[0], row["license"]) for row in rows_of(folder, "go")} == {
        ("free", "BSD-3-Clause"),
        ("open", "Apache-2.0"),
    }
    assert all("path" not in row for row in rows_of(folder, "fra_Latn"))
    card = (folder / "README.md").read_text()
    assert "- go" not in card.partition("configs:")[0]
    assert "licence of its own file" in card


@pytest.mark.parametrize("by", ["id", "sha256"])
def test_a_program_is_taken_down(released, by):
    folder = released.delivery.folder
    first, second = rows_of(folder, "go")
    asked = {"id": f"id:{first['id']}", "sha256": f"sha256:{digest(first['text'])}"}[by]
    assert takedown(folder, parse_requests([asked]), SIGNED, Serial()).unmatched == ()
    assert rows_of(folder, "go") == [second]
    assert list(release.check_files(folder)) == []


def test_a_copy_of_a_program_that_replaces_it_has_its_own_path(released, work):
    folder = released.delivery.folder
    before = next(row for row in rows_of(folder, "go") if row["path"].startswith("open/"))
    settings = TakedownSettings(signed_off_by="A. Person", policy="promote", work=str(work))
    takedown(folder, parse_requests([f"id:{before['id']}"]), settings, Serial())
    after = next(row for row in rows_of(folder, "go") if row["path"].startswith("open/"))
    assert {before["path"], after["path"]} == {"open/open.go", "open/copy.go"}
    assert after["license"] == "Apache-2.0"


def test_pointers_of_programs_are_refused(released, tmp_path):
    with pytest.raises(InputError, match="programs"):
        make_pointers(released.delivery.folder, tmp_path / "pointers", Serial())
