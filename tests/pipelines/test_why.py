"""why: which record is meant by a URL or an id, and of which archives."""

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pytest

from pipelines.job.work import remember_inputs
from pipelines.why import explain, explain_extract
from roots import shards
from roots.errors import InputError
from roots.schema import INDEX

PAGE = "https://www.lib.example/r%C3%A9sum%C3%A9/"
CAPITAL, SMALL = "https://lib.example/Index", "https://lib.example/index"
IDN = "http://xn--bibliothque-59a.example/a?b=%C5%82"


def lay(work: Path, archives: Mapping[str, list[str]], indexed: Mapping[str, list[str]] | None = None) -> None:
    """A work folder with the URLs of each archive; only `indexed` have a shard."""
    remember_inputs(work, {f"{name}.parquet": work.parent / f"{name}.warc.gz" for name in archives})
    (work / "index").mkdir(exist_ok=True)
    for name, urls in (archives if indexed is None else indexed).items():
        rows = [
            {
                "id": f"<urn:{name}:{number}>",
                "url": url,
                "file_path": f"{name}.warc.gz",
                "offset": number,
                "kind": "response",
            }
            for number, url in enumerate(urls)
        ]
        batch = pa.RecordBatch.from_pylist(rows, schema=INDEX)
        shards.write(work / "index" / f"{name}.parquet", INDEX, [batch], "index", 1, "f")


def found(work: Path, wanted: str) -> list[str]:
    """The URLs of the records that are explained."""
    return [line.split()[0] for line in explain(work, wanted) if not line.startswith(" ")]


@pytest.fixture
def work(tmp_path: Path) -> Path:
    lay(tmp_path / "work", {"a": [PAGE, CAPITAL, SMALL, IDN]})
    return tmp_path / "work"


@pytest.mark.parametrize(
    ("asked", "url"),
    [
        (PAGE, PAGE),
        ("https://www.lib.example/r%C3%A9sum%C3%A9", PAGE),
        ("http://lib.example:8080/résumé/", PAGE),
        ("HTTPS://LIB.example./x/../r%c3%a9sum%c3%a9#top", PAGE),
        ("lib.example/résumé", PAGE),
        (SMALL, SMALL),
        ("http://lib.example/Index/", CAPITAL),
        ("https://bibliothèque.example/a?b=ł", IDN),
        ("<urn:a:3>", IDN),
        ("urn:a:3", IDN),
    ],
)
def test_any_spelling_of_an_address_finds_the_page_as_it_was_crawled(work: Path, asked: str, url: str) -> None:
    assert found(work, asked) == [url]


@pytest.mark.parametrize(
    "asked", ["https://lib.example/r%25C3%25A9sum%25C3%25A9", SMALL + "?a=1", "https://lib.example"]
)
def test_another_address_is_no_spelling_of_it(work: Path, asked: str) -> None:
    with pytest.raises(InputError, match="no record"):
        found(work, asked)


def test_an_exact_address_is_answered_alone(tmp_path: Path) -> None:
    lay(tmp_path / "work", {"a": [SMALL + "/", SMALL], "b": [SMALL]})
    assert found(tmp_path / "work", SMALL) == [SMALL, SMALL]
    assert found(tmp_path / "work", "http://www.lib.example/index") == [SMALL + "/", SMALL, SMALL]


def test_a_record_of_an_archive_that_is_no_input_any_more_is_named_as_such(work: Path) -> None:
    lay(work, {"b": [SMALL]})
    for asked in (CAPITAL, "lib.example/Index", "<urn:a:1>"):
        with pytest.raises(InputError, match=r"is in a\.warc\.gz, which .* does not use any more"):
            found(work, asked)
    assert found(work, SMALL) == [SMALL]


def test_archives_that_are_not_indexed_yet_are_counted(tmp_path: Path) -> None:
    lay(tmp_path / "work", {"a": [], "b": [], "c": []}, {"b": [SMALL]})
    with pytest.raises(InputError, match="2 of 3 archives are not indexed yet"):
        found(tmp_path / "work", CAPITAL)


def test_an_index_of_an_older_version_is_named(work: Path) -> None:
    older = INDEX.remove(INDEX.get_field_index("source"))
    path = work / "index" / "a.parquet"
    batches = [batch.select(older.names) for batch in shards.read(path)]
    shards.write(path, older, batches, "index", 1, "f")
    with pytest.raises(InputError, match=r"a\.parquet was made by an older version"):
        found(work, PAGE)


def test_a_page_in_another_language_is_shown_without_personal_data() -> None:
    start = "Skriv till ana@example.org om den gamla kvarnen. " + "Den står vid ån. " * 18 + "Eller till bo@exa"
    row = {
        "extractor": "cascade",
        "text": None,
        "language": "swe",
        "language_script": "Latn",
        "language_score": 0.9,
        "top_langs": [],
        "judged_chars": 5120,
        "judged_start": start,
    }
    lines = list(explain_extract(row, {}))
    assert lines[0] == "cascade, 5120 characters"
    assert lines[-1].startswith("the text begins: Skriv till PI:EMAIL om den gamla kvarnen. Den står")
    assert "bo@" not in lines[-1]
