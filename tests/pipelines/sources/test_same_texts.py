"""The same documents as a WARC, as tables and as data sets of the Hub end in the same dataset."""

from pathlib import Path

import pyarrow as pa
import pytest

from filters.text.charset import decode_page
from filters.text.quick_text import quick_text
from pipelines.archives.limits import Limits
from pipelines.archives.records import read_records
from pipelines.job.work import find_archives
from pipelines.verify import verify
from tests.support.doors import WAYS, Outcome, hub_folder, run_job
from tests.support.paths import ROOT
from tests.support.tables import Rows, rows_of


def documents() -> Rows:
    """Texts of the example crawl, in several languages, with some that every run drops."""
    texts: dict[str, None] = {}
    for path in sorted((ROOT / "tests" / "fixtures" / "crawl").glob("*.warc.gz")):
        for record in read_records(path, Limits()):
            if record.content_type == "text/html" and record.status == 200 and not record.problem:
                html = decode_page(record.body, record.header_charset).text.encode()
                texts[quick_text(html).decode("utf-8", "replace").strip()] = None
    return rows_of(list(texts)[:90])


@pytest.fixture(scope="module")
def wanted(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    folder = tmp_path_factory.mktemp("wet")
    kept, drops = run_job(WAYS["wet"](documents(), folder), folder / "work")
    assert len(kept) >= 5
    assert len(set(drops.values())) >= 2
    return kept, drops


@pytest.mark.parametrize("way", [name for name in WAYS if name != "wet"])
def test_the_same_documents_end_the_same_in_every_form(way: str, wanted: Outcome, tmp_path: Path) -> None:
    assert run_job(WAYS[way](documents(), tmp_path), tmp_path / "work") == wanted
    assert list(verify(tmp_path / "work", "fr")) == []


def test_the_licence_of_a_card_is_in_the_dataset(tmp_path: Path) -> None:
    place = hub_folder(documents(), tmp_path)
    assert sorted(path.name for path in find_archives([place]).values()) == ["train-0.parquet", "train-1.parquet"]
    run_job(place, tmp_path / "work")
    (path,) = (tmp_path / "work" / "fr" / "shards" / "train").glob("*.arrow")
    with pa.memory_map(str(path)) as source:
        assert set(pa.ipc.open_stream(source).read_all()["license"].to_pylist()) == {"cc-by-4.0"}
