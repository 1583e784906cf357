"""Documents through the stages that read them, hostile ones among them."""

import json
import shutil
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pipelines.catalogue import Rights
from pipelines.cli.main import main
from pipelines.documents.forms import DOCUMENT_REASONS, NO_ENGINE, PDF, read_document
from pipelines.extract import Extract
from roots import shards
from roots.stage import fingerprint
from tests.support.hostile import packed, record

FOLDER = Path(__file__).resolve().parents[2] / "fixtures" / "documents"


def stream(data: bytes, more: bytes = b"") -> bytes:
    return b"<</Length %d%s>>stream\n%s\nendstream" % (len(data), more, data)


def pdf(content: bytes, form: bytes) -> bytes:
    """A PDF of one page with this content, on which /F draws a form."""
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Contents 4 0 R/Resources<</XObject<</F 5 0 R>>>>>>",
        content,
        form,
    ]
    held, starts = b"%PDF-1.7\n", []
    for number, body in enumerate(objects, 1):
        starts.append(len(held))
        held += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % start for start in starts)
    end = b"trailer\n<</Size 6/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % len(held)
    return held + b"xref\n0 6\n0000000000 65535 f \n" + table + end


def rows_of(shard: Path, *columns: str) -> list[dict[str, Any]]:
    return [row for batch in shards.read(shard, list(columns)) for row in batch.to_pylist()]


FORM = stream(b"/F Do /F Do", b"/Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<</XObject<</F 5 0 R>>>>")


def test_documents_of_a_folder_are_read_and_hostile_ones_are_rows_with_reasons(tmp_path, monkeypatch):
    pytest.importorskip("pypdfium2")
    monkeypatch.setattr("pipelines.index._GLANCE_SECONDS", 1.0)
    books, work = tmp_path / "books", tmp_path / "work"
    books.mkdir()
    for name in ("typst-fr.pdf", "pdflatex-fr.pdf", "chromium-ar.pdf"):
        shutil.copy(FOLDER / name, books)
    (books / "calls_itself.pdf").write_bytes(pdf(stream(b"/F Do"), FORM))
    bomb = zlib.compress(b"q " * 30_000_000, 1)
    (books / "deflate_bomb.pdf").write_bytes(pdf(stream(bomb, b"/Filter/FlateDecode"), FORM))
    (books / "cut.pdf").write_bytes((FOLDER / "typst-fr.pdf").read_bytes()[:6000])
    (books / "not.pdf").write_bytes(b"\x00\x01 no PDF")
    (books / "old.rtf").write_text("{\\rtf1 text}")
    french = json.loads((FOLDER / "texts.json").read_text("utf-8"))["fr"]
    page = f"<html><meta charset=latin-1><nav><a href=a>Accueil</a></nav><article><p>{french}</p></article></html>"
    (books / "page.htm").write_bytes(page.encode("latin-1"))
    bound = ["--set", "extract.document_seconds=2"]
    for command in (
        ["index", str(work), "--input", str(books)],
        ["extract", str(work), "--lang", "fr", *bound],
    ):
        done = CliRunner().invoke(main, [*command, "--executor", "serial", "-q"])
        assert done.exit_code == 0, done.output
    index = rows_of(work / "index" / "books.parquet", "id", "url", "drop")
    rows = {
        row["id"]: row
        for row in rows_of(work / "fr" / "extract" / "books.parquet", "id", "text", "drop", "pages", "page_starts")
    }
    found = {row["url"].removeprefix("books/"): row["drop"] or rows[row["id"]]["drop"] for row in index}
    evil = {"extract.timeout", "extract.memory", "extract.crash"}
    assert found.pop("calls_itself.pdf") in evil
    assert found.pop("deflate_bomb.pdf") in evil
    assert found == {
        "typst-fr.pdf": None,
        "pdflatex-fr.pdf": None,
        "chromium-ar.pdf": "extract.other_language",
        "cut.pdf": "extract.truncated",
        "not.pdf": "index.not_html",
        "old.rtf": "extract.old_office",
        "page.htm": None,
    }
    html, *pdfs = sorted((row for row in rows.values() if row["text"]), key=lambda row: row["pages"] or 0)
    assert (html["text"], html["page_starts"]) == (french, None)
    assert [(row["pages"], row["page_starts"]) for row in pdfs] == [(1, [0])] * 2
    assert {tuple(row["page_starts"] or ()) for row in rows.values() if not row["text"]} == {()}


def test_index_looks_into_documents_for_languages_licence_and_a_ban_on_copying(tmp_path):
    pytest.importorskip("pypdfium2")
    books, work = tmp_path / "books", tmp_path / "work"
    books.mkdir()
    for path in (FOLDER / "chromium-ar.pdf", FOLDER / "odd" / "no_copy.pdf", FOLDER / "odd" / "scanned.pdf"):
        shutil.copy(path, books)
    xmp = b"<x:xmpmeta><cc:license rdf:resource='https://example.org/by'/></x:xmpmeta>"
    (books / "typst-vi.pdf").write_bytes((FOLDER / "typst-vi.pdf").read_bytes() + xmp)
    done = CliRunner().invoke(main, ["index", str(work), "--input", str(books), "--executor", "serial", "-q"])
    assert done.exit_code == 0, done.output
    rows = rows_of(work / "index" / "books.parquet", "languages", "license", "use_signals", "quick_chars", "drop")
    found = [
        (each["languages"] and each["languages"][0]["label"], each["license"], each["use_signals"]) for each in rows
    ]
    assert found == [
        ("arb_Arab", None, []),
        ("fra_Latn", None, ["no-copy"]),
        (None, None, []),
        ("vie_Latn", "https://example.org/by", []),
    ]
    assert [each["drop"] for each in rows] == [None] * 4
    assert "no-copy" in Rights().refuse_use_signals


def test_documents_of_a_crawl_are_read_where_they_are(tmp_path):
    pytest.importorskip("pypdfium2")
    pdf_head, cut = "Content-Type: application/pdf\r\n", "WARC-Truncated: length\r\n"
    french, arabic = ((FOLDER / name).read_bytes() for name in ("typst-fr.pdf", "chromium-ar.pdf"))
    records = [
        record(number=1),
        record(french, number=2, head=pdf_head),
        record(french, number=3, head="Content-Type: application/octet-stream\r\n"),
        record(arabic, number=4, head=pdf_head),
        record(french[: len(french) // 2], number=5, head=pdf_head, warc=cut),
        record(b"\x00\x01 no PDF", number=6, head=pdf_head),
    ]
    (tmp_path / "a.warc.gz").write_bytes(packed(*records))
    work = tmp_path / "work"
    for command in (
        ["index", str(work), "--input", str(tmp_path / "a.warc.gz")],
        ["extract", str(work), "--lang", "fr"],
    ):
        done = CliRunner().invoke(main, [*command, "--executor", "serial", "-q"])
        assert done.exit_code == 0, done.output
    index = rows_of(work / "index" / "a.parquet", "id", "drop", "languages")
    rows = {row["id"]: row for row in rows_of(work / "fr" / "extract" / "a.parquet", "id", "drop", "extractor")}
    assert [row["drop"] or rows[row["id"]]["drop"] for row in index] == [
        None,
        None,
        None,
        "extract.other_language",
        "extract.truncated",
        "index.not_html",
    ]
    assert [row["extractor"] for row in rows.values()][1:3] == ["pypdfium2"] * 2


def test_a_run_without_the_extra_says_what_to_install_and_how_many_documents_wait(tmp_path, monkeypatch):
    (tmp_path / "without").mkdir()
    (tmp_path / "without" / "pypdfium2.py").write_text("raise ImportError('absent')")
    monkeypatch.syspath_prepend(tmp_path / "without")
    books, work = tmp_path / "books", tmp_path / "work"
    books.mkdir()
    for name in ("typst-fr.pdf", "typst-vi.pdf"):
        shutil.copy(FOLDER / name, books)
    runs = (["index", str(work), "--input", str(books)], ["extract", str(work), "--lang", "fr"])
    said = [CliRunner().invoke(main, [*run, "--executor", "serial", "-q"]).output for run in runs]
    assert "roots-corpus[documents" not in said[0]
    assert f"2 documents were dropped, since {DOCUMENT_REASONS[NO_ENGINE]}" in said[1]
    assert "pip install 'roots-corpus[documents" in said[1]


def test_without_the_extra_a_pdf_is_a_row_that_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pypdfium2", None)
    body = (FOLDER / "typst-fr.pdf").read_bytes()
    assert read_document(body, PDF, 10, lambda chapter: "").drop == "extract.no_engine"


def test_without_the_second_engine_a_page_of_clusters_is_not_trusted(monkeypatch):
    pytest.importorskip("pypdfium2")
    monkeypatch.setitem(sys.modules, "pdf_oxide", None)
    body = (FOLDER / "chromium-ta.pdf").read_bytes()
    assert read_document(body, PDF, 10, lambda chapter: "").drop == "extract.no_engine"


def test_documents_are_read_again_once_an_engine_is_there(monkeypatch):
    def made_with(found: object) -> str:
        monkeypatch.setattr("pipelines.documents.forms.find_spec", lambda name: found)
        return fingerprint(Extract(language="fra"), "a", [])

    assert made_with(None) != made_with(True)
