import io
import zipfile
from pathlib import Path

import pytest

from pipelines.archives.limits import Limits
from pipelines.documents.forms import DOCX, PDF
from pipelines.sources.documents import holds_documents, read_documents

LIMITS = Limits()
PDF_BYTES = b"%PDF-1.7 not a whole one"


def docx() -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("[Content_Types].xml", "<x/>")
        archive.writestr("word/document.xml", "<x/>")
    return held.getvalue()


def folder_of(tmp_path: Path) -> Path:
    folder = tmp_path / "books"
    (folder / "b").mkdir(parents=True)
    (folder / "b" / "one.pdf").write_bytes(PDF_BYTES)
    (folder / "named.txt.docx").write_bytes(docx())
    (folder / "page.html").write_text("<p>text</p>")
    (folder / "notes").write_text("no document")
    (folder / "odd.pdf").write_text("<!DOCTYPE html><p>text")
    (folder / "plain.txt").write_text("a plain text")
    (folder / "link.pdf").symlink_to("b/one.pdf")
    return folder


def zip_of(tmp_path: Path) -> Path:
    path = tmp_path / "books.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("b/one.pdf", PDF_BYTES)
        archive.writestr("named.docx", docx())
    return path


def test_the_files_of_a_folder_are_records_by_path(tmp_path):
    found = list(read_documents(folder_of(tmp_path), LIMITS))
    assert [(record.url, record.content_type, record.problem) for record in found] == [
        ("books/link.pdf", None, "link"),
        ("books/named.txt.docx", DOCX, None),
        ("books/notes", None, None),
        ("books/odd.pdf", "text/html", None),
        ("books/page.html", "text/html", None),
        ("books/plain.txt", "text/plain", None),
        ("books/b/one.pdf", PDF, None),
    ]
    assert len({record.id for record in found}) == len(found)


def test_records_are_read_again_by_their_places(tmp_path):
    path = zip_of(tmp_path)
    first = list(read_documents(path, LIMITS))
    assert [record.content_type for record in first] == [PDF, DOCX]
    assert list(read_documents(path, LIMITS, [1])) == first[1:]


@pytest.mark.parametrize("name", ["a.pdf", "a.docx", "folder", "zip"])
def test_documents_are_known_by_their_bytes(tmp_path, name):
    if name in ("folder", "zip"):
        path = folder_of(tmp_path) if name == "folder" else zip_of(tmp_path)
    else:
        path = tmp_path / "no ending"
        path.write_bytes(PDF_BYTES if name == "a.pdf" else docx())
    assert holds_documents(path)


def test_a_saved_web_page_with_its_pictures_is_a_folder_of_documents(tmp_path):
    (tmp_path / "page.html").write_text("<html><p>text")
    for number in range(9):
        (tmp_path / f"{number}.PNG").write_bytes(b"\x89PNG")
    assert holds_documents(tmp_path)
    assert not holds_documents(tmp_path / "0.PNG")


def test_programs_archives_and_tables_are_no_documents(tmp_path):
    (tmp_path / "src").mkdir()
    for name, data in {"a.py": b"print()", "b.c": b"int a;", "manual.pdf": PDF_BYTES}.items():
        (tmp_path / "src" / name).write_bytes(data)
    (tmp_path / "a.jsonl").write_bytes(b'{"text": "a"}')
    with zipfile.ZipFile(tmp_path / "a.wacz", "w") as archive:
        archive.writestr("datapackage.json", "{}")
        archive.writestr("pages/a.pdf", PDF_BYTES)
        archive.writestr("pages/b.pdf", PDF_BYTES)
    (tmp_path / "broken.zip").write_bytes(b"PK\x03\x04 broken")
    assert not any(map(holds_documents, [tmp_path / name for name in ("src", "a.jsonl", "a.wacz", "broken.zip", "no")]))


def test_a_document_over_the_bound_is_a_row_with_a_reason(tmp_path, monkeypatch):
    monkeypatch.setattr("pipelines.sources.documents._DOCUMENT_BYTES", 10)
    found = list(read_documents(folder_of(tmp_path), Limits(body_bytes=10)))
    assert [record.problem for record in found if record.content_type or record.problem] == [
        "link",
        *["too_large"] * 6,
    ]
