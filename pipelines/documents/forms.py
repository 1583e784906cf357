"""Which form a document has, by its bytes; and one function that reads any of them, in the guarded process.

This file imports nothing slow, because index asks it about every record. An engine is imported when it is needed.
"""

from collections.abc import Callable
from dataclasses import dataclass

from pipelines.documents.layout import columns, paragraphs, without_heads
from pipelines.documents.repair import compose_accents, join_hyphens, letters_of_pictures
from pipelines.documents.signals import broken_text

PDF = "application/pdf"
EPUB = "application/epub+zip"
ODT = "application/vnd.oasis.opendocument.text"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
PPTX = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
PDF_ENGINES = ("pypdfium2", "pdf_oxide")  # modules of the extra `documents`
OLD_OFFICE = "application/msword"  # stands for all forms of before 2007, and for RTF

_BEFORE_PDF = b" \t\r\n\x00\xef\xbb\xbf"  # that may stand before a PDF's first sign
_ZIP = b"PK\x03\x04"
_OLD = (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"{\\rtf")
# A part that only this form of zip has -> the form
_PARTS = {
    b"word/document.xml": DOCX, b"ppt/presentation.xml": PPTX, b"META-INF/container.xml": EPUB,
}  # fmt: skip
_MIMETYPES = {b"mimetypeapplication/epub+zip": EPUB, b"mimetypeapplication/vnd.oasis.opendocument.text": ODT}
_TEXT_CHARS = 16 << 20  # kept of a document's text

# Why a document has no text; reasons that pages share are in pipelines.extract.
DOCUMENT_REASONS: dict[str, str] = {
    "extract.no_engine": "a PDF, and no engine for it is installed: pip install 'roots-corpus[documents]'",
    "extract.encrypted": "it needs a password, or a licence of its reader",
    "extract.truncated": "the file ends early, and no page of it can be read",
    "extract.scanned": "its pages are pictures without text",
    "extract.garbled": "the file does not say which letters it shows, so its text is not what a reader sees",
    "extract.order": "its letters are not in the order of reading",
    "extract.legacy_font": "its letters are those of a font that shows others in their place, as before Unicode",
    "extract.old_office": "a form of before 2007 (DOC, PPT, RTF), which nothing here reads",
}


@dataclass(frozen=True, slots=True)
class Document:
    """What was read of a document. `drop` says why there is no text."""

    text: str | None
    engine: str
    drop: str | None = None
    pages: int | None = None  # of the file: pages, slides, chapters
    producer: str | None = None  # the program that made the file


def form_of(head: bytes, directory: bytes) -> str | None:
    """The type of a document, or None for any other file; by its first bytes and the directory of a zip.

    `directory` is the end of the file, or all of it.
    """
    if head.lstrip(_BEFORE_PDF).startswith(b"%PDF-"):
        return PDF
    if head.startswith(_OLD):
        return OLD_OFFICE
    if not head.startswith(_ZIP):
        return None
    first = head[30:100]  # the name of the first file, then its content
    named = next((form for start, form in _MIMETYPES.items() if first.startswith(start)), None)
    end = directory.rfind(b"PK\x05\x06")  # PKWARE APPNOTE 6.3, section 4.3.16
    size = int.from_bytes(directory[end + 12 : end + 16], "little")
    names = directory[max(0, end - size) : end] if end >= 0 else b""
    return named or next((form for part, form in _PARTS.items() if part in names), None)


def read_document(body: bytes, form: str, most_pages: int, chapter_text: Callable[[bytes], str]) -> Document:
    """Read a document of a known form. Never raises for what is wrong with the document.

    `chapter_text` turns the HTML of a book's chapter into text.
    """
    if form == OLD_OFFICE:
        return Document(None, "", "extract.old_office")
    return _read_pdf(body, most_pages) if form == PDF else _read_zipped(body, most_pages, chapter_text)


def _read_pdf(body: bytes, most_pages: int) -> Document:
    from pipelines.documents.pdf import EncryptedError, UnreadableError, read_pdf

    try:
        found = read_pdf(body, most_pages)
    except ImportError:
        return Document(None, "", "extract.no_engine")
    except EncryptedError:
        return Document(None, "pypdfium2", "extract.encrypted")
    except UnreadableError:
        return Document(None, "pypdfium2", "extract.unreadable" if b"%%EOF" in body[-2048:] else "extract.truncated")
    texts = list(paragraphs(without_heads([columns(page) for page in found.pages])))
    raw = "\n".join(texts)
    drop = found.refusal or broken_text(raw)
    text = "\n".join(join_hyphens(compose_accents([letters_of_pictures(each) for each in texts])))
    return _checked(text, found.engine, drop, found.page_count, found.producer)


def _read_zipped(body: bytes, most_pages: int, chapter_text: Callable[[bytes], str]) -> Document:
    from pipelines.documents.zipped import RefusedError, read_zipped

    try:
        found = read_zipped(body, most_pages, chapter_text)
    except RefusedError as refusal:
        return Document(None, "", f"extract.{refusal}")
    return _checked(found.text, found.form, broken_text(found.text), found.pages, found.producer)


def _checked(text: str, engine: str, drop: str | None, pages: int | None, producer: str) -> Document:
    drop = drop or (None if text.strip() else "extract.empty")
    return Document(None if drop else text[:_TEXT_CHARS], engine, drop, pages, producer or None)
