import io
import json
import re
import zipfile
from pathlib import Path

import pytest

from pipelines.documents.forms import DOCX, EPUB, ODT, OLD_OFFICE, PDF, PPTX, form_of, read_document
from pipelines.documents.repair import page_starts

FOLDER = Path(__file__).resolve().parents[2] / "fixtures" / "documents"
W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
OFFICE = "urn:oasis:names:tc:opendocument:xmlns"


def zipped(files: dict[str, str | bytes]) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data, zipfile.ZIP_STORED if name == "mimetype" else None)
    return held.getvalue()


def docx(body: str, **more: str) -> bytes:
    parts = {f"word/{name}.xml": text for name, text in more.items()}
    document = f"<w:document {W}><w:body>{body}</w:body></w:document>"
    return zipped({"[Content_Types].xml": "<x/>", "word/document.xml": document, **parts})


def paragraph(text: str) -> str:
    return f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p>"


def epub(chapters: dict[str, str], **more: str) -> bytes:
    items = "".join(f'<item id="{name}" href="{name}.xhtml"/>' for name in chapters)
    spine = "".join(f'<itemref idref="{name}"/>' for name in chapters)
    container = '<container><rootfiles><rootfile full-path="OPS/book.opf"/></rootfiles></container>'
    package = f"<package><manifest>{items}</manifest><spine>{spine}</spine></package>"
    pages = {f"OPS/{name}.xhtml": f"<html><body>{body}</body></html>" for name, body in chapters.items()}
    start = {"mimetype": "application/epub+zip", "META-INF/container.xml": container, "OPS/book.opf": package}
    return zipped({**start, **pages, **more})


def text_of(body: bytes, form: str) -> str | None:
    return read_document(body, form, 100, lambda chapter: chapter.decode()).text


@pytest.mark.parametrize(
    ("body", "form"),
    [
        (b"%PDF-1.7 ...", PDF),
        (b"<html>%PDF-1.7", None),
        (docx(""), DOCX),
        (epub({"one": ""}), EPUB),
        (zipped({"mimetype": ODT, "content.xml": ""}), ODT),
        (zipped({"ppt/presentation.xml": ""}), PPTX),
        (b"{\\rtf1 ...", OLD_OFFICE),
        (zipped({"xl/workbook.xml": ""}), None),
        (zipped({"main.py": ""}), None),
        (b"<html>", None),
    ],
)
def test_a_form_is_known_by_its_bytes(body, form):
    assert form_of(body, body) == form


def test_docx_gives_paragraphs_rows_and_notes_without_what_was_deleted():
    body = (
        paragraph("One")
        + "<w:p><w:del><w:r><w:delText>gone</w:delText></w:r></w:del><w:ins><w:r><w:t>Two</w:t></w:r></w:ins></w:p>"
        + f"<w:tbl><w:tr><w:tc>{paragraph('a')}</w:tc><w:tc>{paragraph('b')}</w:tc></w:tr></w:tbl>"
    )
    notes = f'<w:footnotes {W}><w:footnote w:type="separator">{paragraph("x")}</w:footnote>'
    notes += f"<w:footnote>{paragraph('A note')}</w:footnote></w:footnotes>"
    assert text_of(docx(body, footnotes=notes), DOCX) == "One\nTwo\n| a | b |\n\nA note"


def test_odt_gives_spaces_and_lists_without_annotations():
    content = (
        f'<o:c xmlns:o="{OFFICE}:office:1.0" xmlns:t="{OFFICE}:text:1.0"><o:body><o:text><t:h>Title</t:h>'
        '<t:p>one<t:s t:c="2"/>two<o:annotation><t:p>no</t:p></o:annotation></t:p>'
        "<t:list><t:list-item><t:p>item</t:p></t:list-item></t:list></o:text></o:body></o:c>"
    )
    assert text_of(zipped({"mimetype": ODT, "content.xml": content}), ODT) == "Title\none  two\n- item"


def test_pptx_gives_slides_in_their_order():
    slide = (
        "<p:sld xmlns:p='p' xmlns:a='a'><p:sp><p:txBody><a:p><a:r><a:t>{}</a:t></a:r></a:p></p:txBody></p:sp></p:sld>"
    )
    files = {
        "ppt/presentation.xml": "<p:x xmlns:p='p' xmlns:r='r'><p:sldId r:id='b'/><p:sldId r:id='a'/></p:x>",
        "ppt/_rels/presentation.xml.rels": "<R><I Id='a' Target='slides/1.xml'/><I Id='b' Target='slides/2.xml'/></R>",
        "ppt/slides/1.xml": slide.format("last"),
        "ppt/slides/2.xml": slide.format("first"),
    }
    assert text_of(zipped(files), PPTX) == "first\n\nlast"


def test_epub_gives_its_chapters_in_the_order_of_the_spine():
    found = read_document(epub({"b": "first", "a": "last"}), EPUB, 100, lambda chapter: chapter.decode()[12:-14])
    assert (found.text, found.pages, found.engine) == ("first\n\nlast", 2, "epub")


@pytest.mark.parametrize(
    ("body", "form", "reason"),
    [
        (docx("")[:-60], DOCX, "extract.unreadable"),
        (docx("<w:p>"), DOCX, "extract.unreadable"),
        (docx(""), DOCX, "extract.empty"),
        (
            zipped(
                {"word/document.xml": '<!DOCTYPE a [<!ENTITY b "bb"><!ENTITY c "&b;&b;">]><a><p><t>&c;</t></p></a>'}
            ),
            DOCX,
            "extract.empty",
        ),
        (zipped({"word/document.xml": b" " * (65 << 20)}), DOCX, "extract.too_large"),
        (
            epub({"a": "x"}, **{"META-INF/encryption.xml": "<e><EncryptionMethod Algorithm='aes'/></e>"}),
            EPUB,
            "extract.encrypted",
        ),
        (b"{\\rtf1 hello}", OLD_OFFICE, "extract.old_office"),
        (b"\xd0\xcf\x11\xe0" + "EncryptedPackage".encode("utf-16-le"), OLD_OFFICE, "extract.encrypted"),
    ],
)
def test_hostile_and_broken_files_have_a_reason(body, form, reason):
    assert read_document(body, form, 100, lambda chapter: "").drop == reason


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.pdf")), ids=lambda path: path.stem)
def test_pdf_of_many_programs_gives_the_text_that_was_printed(path):
    pytest.importorskip("pypdfium2")
    pytest.importorskip("pdf_oxide")
    found = read_document(path.read_bytes(), PDF, 10, lambda chapter: "")
    printed = json.loads((FOLDER / "texts.json").read_text("utf-8"))[path.stem.split("-")[1]]
    assert found.drop is None
    assert found.text is not None
    assert found.text.removeprefix("Human rights").strip() == printed  # the running head of a single page stays
    assert found.pages == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda body: body[: len(body) // 2], "extract.truncated"),
        (lambda body: b"%PDF-1.4\n%%EOF", "extract.unreadable"),
    ],
)
def test_pdf_that_cannot_be_opened_has_a_reason(change, reason):
    pytest.importorskip("pypdfium2")
    body = (FOLDER / "typst-fr.pdf").read_bytes()
    assert read_document(change(body), PDF, 10, lambda chapter: "").drop == reason


def odd(name: str) -> bytes:
    return (FOLDER / "odd" / f"{name}.pdf").read_bytes()


def renamed(body: bytes, pattern: bytes, new: bytes) -> bytes:
    """The file with other names in it, of the same length, so that its table of objects stays right."""
    return re.sub(pattern, lambda found: new[: len(found[0])].ljust(len(found[0]), b" "), body)


@pytest.mark.parametrize(
    ("body", "reason", "engine"),
    [
        (odd("plain"), None, "pypdfium2"),
        (odd("password"), "extract.encrypted", "pypdfium2"),
        (odd("no_copy"), None, "pypdfium2"),
        (odd("scanned"), "extract.scanned", "pypdfium2"),
        (odd("ocr"), None, "pypdfium2, of hidden text"),
        (odd("form"), "extract.form", "pypdfium2"),
        (renamed(odd("plain"), rb"/ToUnicode \d+ 0 R", b""), "extract.garbled", "pypdfium2"),
        (renamed(odd("plain"), rb"[A-Z]{6}\+\w+", b"ABCDEF+KrutiDev01"), "extract.legacy_font", "pypdfium2"),
    ],
    ids=["plain", "password", "no_copy", "scanned", "ocr", "form", "garbled", "legacy_font"],
)
def test_pdf_without_text_that_can_be_trusted_has_a_reason(body, reason, engine):
    pytest.importorskip("pypdfium2")
    found = read_document(body, PDF, 10, lambda chapter: "")
    assert (found.drop, found.engine) == (reason, engine)
    assert found.no_copy == (body == odd("no_copy"))
    assert (found.text or "Tous les êtres humains").startswith("Tous les êtres humains")


def test_a_glance_reads_pages_spread_over_the_document():
    book = epub({f"c{number}": f"chapter {number}" for number in range(100)})
    found = read_document(book, EPUB, 4, lambda chapter: chapter.decode()[12:-14], spread=True)
    assert found.text == "chapter 12\n\nchapter 37\n\nchapter 62\n\nchapter 87"
    assert read_document(book, EPUB, 200, lambda chapter: "x", spread=True).text == "\n\n".join("x" * 100)


DC = 'xmlns:dc="http://purl.org/dc/elements/1.1/"'
XMP = b"<x:xmpmeta><dc:rights><rdf:Alt><rdf:li xml:lang='x'>All &amp; mine</rdf:li></rdf:Alt></dc:rights>%s</x:xmpmeta>"


@pytest.mark.parametrize(
    ("body", "form", "stated"),
    [
        (docx(paragraph("a"), core=""), DOCX, (None, None)),
        (
            zipped(
                {
                    "word/document.xml": f"<w:document {W}>{paragraph('a')}</w:document>",
                    "docProps/app.xml": "<Properties><Application>Writer</Application></Properties>",
                    "docProps/custom.xml": "<P><property name='License'><lpwstr>CC BY\n 4.0</lpwstr></property></P>",
                }
            ),
            DOCX,
            ("Writer", "CC BY 4.0"),
        ),
        (
            zipped(
                {
                    "mimetype": ODT,
                    "content.xml": f'<c xmlns:t="{OFFICE}:text:1.0"><body><t:p>a</t:p></body></c>',
                    "meta.xml": f"<m {DC}><generator>LibreOffice</generator><dc:rights>CC0</dc:rights></m>",
                }
            ),
            ODT,
            ("LibreOffice", "CC0"),
        ),
        (
            epub(
                {"a": "a"},
                **{
                    "META-INF/container.xml": '<c><rootfile full-path="b.opf"/></c>',
                    "b.opf": f"<p {DC}><metadata><dc:rights>{'Public domain ' * 50}</dc:rights></metadata>"
                    '<item id="a" href="OPS/a.xhtml"/><itemref idref="a"/></p>',
                },
            ),
            EPUB,
            (None, ("Public domain " * 50)[:200]),
        ),
        (odd("plain") + XMP % b"", PDF, (None, "All & mine")),
        (
            odd("plain") + XMP % b"<cc:license rdf:resource='https://creativecommons.org/licenses/by/4.0/'/>",
            PDF,
            (None, "https://creativecommons.org/licenses/by/4.0/"),
        ),
    ],
)
def test_program_and_licence_are_what_the_file_states(body, form, stated):
    pytest.importorskip("pypdfium2")
    found = read_document(body, form, 10, lambda chapter: "text")
    assert found.drop is None
    assert (found.producer, found.license) == stated


def test_each_page_of_a_pdf_begins_where_its_text_does():
    pypdfium2 = pytest.importorskip("pypdfium2")
    names = ["typst-fr", "typst-zh", "chromium-ar", "typst-vi", "pdflatex-fr"]
    whole = pypdfium2.PdfDocument.new()
    for name in names:
        whole.import_pages(pypdfium2.PdfDocument(FOLDER / f"{name}.pdf"))
    held = io.BytesIO()
    whole.save(held)
    found = read_document(held.getvalue(), PDF, 10, lambda chapter: "")
    assert found.text is not None
    starts = page_starts(found.text, found.page_letters)
    assert starts is not None
    texts = json.loads((FOLDER / "texts.json").read_text("utf-8"))
    for name, start, end in zip(names, starts, [*starts[1:], len(found.text)], strict=True):
        assert found.text[start:end].removeprefix("Human rights").strip() == texts[name.split("-")[1]]


def test_each_chapter_of_a_book_begins_where_its_text_does():
    found = read_document(
        epub({"a": "One", "b": "", "c": "(Two)", "d": "- 3"}), EPUB, 9, lambda each: each.decode()[12:-14]
    )
    assert found.text == "One\n\n(Two)\n\n- 3"
    assert page_starts(found.text, found.page_letters) == [0, 5, 5, 12]
    assert page_starts(found.text + " more", found.page_letters) is None
    assert read_document(docx(paragraph("text")), DOCX, 9, lambda each: "").page_letters == ()
