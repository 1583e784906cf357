"""Which form a document has, by its bytes; and one function that reads any of them, in the guarded process.

This file imports nothing slow, because index asks it about every record. An engine is imported when it is needed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec

from pipelines.documents.layout import columns, paragraphs, without_heads
from pipelines.documents.repair import compose_accents, join_hyphens, letters_in, letters_of_pictures
from pipelines.documents.signals import broken_text

PDF = "application/pdf"
EPUB = "application/epub+zip"
ODT = "application/vnd.oasis.opendocument.text"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
PPTX = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
READ_FORMS = frozenset({PDF, EPUB, ODT, DOCX, PPTX})
OLD_OFFICE = "application/msword"  # stands for all forms of before 2007, and for RTF

_ENGINES = ("pypdfium2", "pdf_oxide", "mwparserfromhell")  # modules of the extras `documents` and `wikipedia`
_BEFORE_PDF = b" \t\r\n\x00\xef\xbb\xbf"  # that may stand before a PDF's first sign
_ZIP = b"PK\x03\x04"
_OLD = (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"{\\rtf")
# A part that only this form of zip has -> the form
_PARTS = {
    b"word/document.xml": DOCX, b"ppt/presentation.xml": PPTX, b"META-INF/container.xml": EPUB,
}  # fmt: skip
_MIMETYPES = {b"mimetypeapplication/epub+zip": EPUB, b"mimetypeapplication/vnd.oasis.opendocument.text": ODT}
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")  # in an old container: DOCX or PPTX under a password (MS-OFFCRYPTO)
_TEXT_CHARS = 16 << 20  # kept of a document's text
_STATED_CHARS = 200  # kept of what a document says of itself

NO_ENGINE = "extract.no_engine"
# Why a document has no text; reasons that pages share are in pipelines.extract.
DOCUMENT_REASONS: dict[str, str] = {
    NO_ENGINE: "no engine for PDF or wikitext is installed: pip install 'roots-corpus[documents,wikipedia]'",
    "extract.encrypted": "it needs a password, or a licence of its reader",
    "extract.truncated": "the file ends early, and no page of it can be read",
    "extract.scanned": "its pages are pictures without text: let a program read them first, such as OCRmyPDF",
    "extract.form": "a form to fill in, without text of its own",
    "extract.garbled": "the file does not say which letters it shows, so its text is not what a reader sees",
    "extract.order": "its letters are not in the order of reading",
    "extract.legacy_font": "its letters are those of a font that shows others in their place, as before Unicode",
    "extract.old_office": "DOC, PPT, XLS or RTF, which nothing here reads: convert it to DOCX, PPTX or ODT, "
    "as LibreOffice does (soffice --convert-to docx FILE)",
}


@dataclass(frozen=True, slots=True)
class Document:
    """What was read of a document. `drop` says why there is no text."""

    text: str | None
    engine: str
    drop: str | None = None
    pages: int | None = None  # of the file: pages, slides, chapters
    producer: str | None = None  # the program that made the file
    license: str | None = None  # as the file states it
    no_copy: bool = False  # whether its author forbids taking text out of it
    page_letters: tuple[int, ...] = ()  # letters of each page or chapter that was read, for `page_starts`


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


def installed_engines() -> str:
    """The engines that are installed. They decide which documents have text, so shards depend on them."""
    return ", ".join(filter(find_spec, _ENGINES))


def read_document(
    body: bytes, form: str, most_pages: int, chapter_text: Callable[[bytes], str], spread: bool = False
) -> Document:
    """Read a document of a known form. Never raises for what is wrong with the document.

    Of more than `most_pages` pages or chapters the first are read, or `spread` over the document, for a glance at it.
    `chapter_text` turns the HTML of a book's chapter into text.
    """
    if form == OLD_OFFICE:
        return Document(None, "", "extract.encrypted" if _ENCRYPTED in body else "extract.old_office")
    choose = partial(_chosen, most_pages, spread)
    return _read_pdf(body, choose) if form == PDF else _read_zipped(body, choose, chapter_text)


def _chosen(most: int, spread: bool, count: int) -> Sequence[int]:
    """Which pages of `count` are read."""
    if count <= most or not spread:
        return range(min(most, count))
    return [(2 * number + 1) * count // (2 * most) for number in range(most)]


def _read_pdf(body: bytes, choose: Callable[[int], Sequence[int]]) -> Document:
    from pipelines.documents.pdf import EncryptedError, UnreadableError, read_pdf

    try:
        found = read_pdf(body, choose)
    except ImportError:
        return Document(None, "", NO_ENGINE)
    except EncryptedError:
        return Document(None, "pypdfium2", "extract.encrypted")
    except UnreadableError:
        return Document(None, "pypdfium2", "extract.unreadable" if b"%%EOF" in body[-2048:] else "extract.truncated")
    pages = without_heads([columns(page) for page in found.pages])
    texts = list(paragraphs(pages))
    raw = "\n".join(texts)
    drop = found.refusal or broken_text(raw)
    text = "\n".join(join_hyphens(compose_accents([letters_of_pictures(each) for each in texts])))
    letters = tuple(letters_in("\n".join(line.text for line in page)) for page in pages)
    made = Document(text, found.engine, drop, found.page_count, found.producer, found.license, found.no_copy, letters)
    return _checked(made)


def _read_zipped(body: bytes, choose: Callable[[int], Sequence[int]], chapter_text: Callable[[bytes], str]) -> Document:
    from pipelines.documents.zipped import RefusedError, read_zipped

    try:
        found = read_zipped(body, choose, chapter_text)
    except RefusedError as refusal:
        return Document(None, "", f"extract.{refusal}")
    text = "\n\n".join(filter(None, found.parts))
    letters = tuple(map(letters_in, found.parts)) if found.pages else ()
    made = Document(text, found.form, broken_text(text), found.pages, found.producer, found.license, False, letters)
    return _checked(made)


def _checked(found: Document) -> Document:
    """The document with its text, or why there is none, within bounds."""
    drop = found.drop or (None if found.text and found.text.strip() else "extract.empty")
    producer, license_ = (
        " ".join((stated or "").split())[:_STATED_CHARS] for stated in (found.producer, found.license)
    )
    text = None if drop or found.text is None else found.text[:_TEXT_CHARS]
    return replace(found, text=text, drop=drop, producer=producer or None, license=license_ or None)
