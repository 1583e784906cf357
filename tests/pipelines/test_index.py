"""The index stage: one row for each record."""

from pathlib import Path

import pyarrow as pa
import pytest

from pipelines.index import INDEX_REASONS, Index
from pipelines.models.files import WIDE_SHA256, wide_path
from pipelines.programs.index import TREE_REASONS
from roots.errors import SettingsError
from roots.schema import INDEX
from roots.settings import build
from roots.stage import fingerprint
from tests.support.hostile import CASES, PAGE, TEXT, packed, record


def rows_of(path: Path, stage: Index | None = None) -> list[dict[str, object]]:
    batches = list((stage or Index()).make("a.parquet", [path]))
    return [row for batch in batches for row in batch.to_pylist()]


def test_a_row_has_the_place_and_kind_of_a_page(tmp_path: Path) -> None:
    path = tmp_path / "crawl.warc.gz"
    path.write_bytes(packed(record(number=7)))
    (row,) = rows_of(path)
    languages = row.pop("languages")
    assert isinstance(languages, list)
    assert languages[0]["label"] == "fra_Latn"
    assert len(languages) == 3
    assert row == {
        "id": "<urn:uuid:00000000000000000000000000000007>",
        "url": "http://page.test/7",
        "date": "2024-05-06T07:08:09Z",
        "file_path": "crawl.warc.gz",
        "offset": 0,
        "kind": "response",
        "status": 200,
        "content_type": "text/html",
        "payload_bytes": len(PAGE),
        "charset": "utf-8",
        "charset_from": "http",
        "quick_chars": len(f"Titre\n{TEXT}".strip()),
        "use_signals": [],
        "path": None,
        "license": None,
        "source": None,
        "drop": None,
    }


def test_wet_and_plain_text_are_text(tmp_path: Path) -> None:
    path = tmp_path / "crawl.wet"
    wet = record(TEXT.encode(), kind="conversion", content_type="text/plain")
    plain = record(TEXT.encode(), number=2, head="Content-Type: text/plain\r\n")
    markup = record(b"a < b and <p> is a tag. " + TEXT.encode(), number=3, head="Content-Type: text/plain\r\n")
    path.write_bytes(wet + plain + markup)
    rows = rows_of(path)
    assert [row["kind"] for row in rows] == ["wet", "response", "response"]
    assert [row["drop"] for row in rows] == [None] * 3
    assert rows[2]["quick_chars"] == len(TEXT) + len("a < b and <p> is a tag. ")


def test_a_robots_txt_is_not_a_page(tmp_path: Path) -> None:
    path = tmp_path / "a.warc"
    path.write_bytes(record(b"User-agent: *\nDisallow: /", number=1).replace(b"page.test/1", b"page.test/robots.txt"))
    assert [row["drop"] for row in rows_of(path)] == ["index.robots"]


def test_every_reason_is_given_by_some_case() -> None:
    given = {row for case in CASES.values() for row in case.rows if row}
    others = {"index.robots", "index.redirect", "index.no_article"}  # the last two are of wikis
    assert given | others == set(INDEX_REASONS) - set(TREE_REASONS)


def test_batches_have_the_declared_schema(tmp_path: Path) -> None:
    path = tmp_path / "a.warc"
    path.write_bytes(b"".join(record(number=number) for number in range(1500)))
    batches = list(Index().make("a.parquet", [path]))
    assert [batch.num_rows for batch in batches] == [1024, 476]
    assert all(batch.schema.equals(INDEX) for batch in batches)
    assert pa.Table.from_batches(batches)["drop"].null_count == 1500


def test_a_smaller_limit_is_another_index(tmp_path: Path) -> None:
    small = Index(body_bytes=100)
    path = tmp_path / "a.warc"
    path.write_bytes(record())
    assert [row["drop"] for row in rows_of(path, small)] == ["index.too_large"]
    assert fingerprint(small, "a", ["x"]) != fingerprint(Index(), "a", ["x"])


def test_a_model_counts_by_its_contents(tmp_path: Path) -> None:
    copy = tmp_path / "model.ftz"
    copy.write_bytes(Path(wide_path()).read_bytes())
    wide = Index(model="lid.176")
    assert wide.model_sha256 == WIDE_SHA256 != Index().model_sha256
    assert fingerprint(Index(model=str(copy)), "a", ["x"]) == fingerprint(wide, "a", ["x"])
    assert fingerprint(wide, "a", ["x"]) != fingerprint(Index(), "a", ["x"])
    with pytest.raises(SettingsError, match="model_sha256"):
        build(Index, {"model_sha256": "0" * 64}, "index")
    with pytest.raises(SettingsError, match="at least 1"):
        build(Index, {"body_bytes": 0}, "index")
