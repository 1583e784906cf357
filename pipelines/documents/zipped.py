"""The text of DOCX, PPTX, ODT and EPUB: zips of XML, read by the standard library and lxml.

Nothing in a zip is believed: not its sizes, its names or its entities. Only parts that are needed are unpacked.
Sources: ECMA-376 (Office Open XML), OASIS OpenDocument 1.3, EPUB 3.3.
"""

import io
import posixpath
import re
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from lxml import etree

from pipelines.archives.limits import UNPACKING_ERRORS

_RATIO, _FREE_BYTES = 200, 64 << 20  # to which a zip may unpack: times its size, and what every one may
_PART_BYTES = 64 << 20  # of one part
_PARSER_SETTINGS = {"resolve_entities": False, "no_network": True, "huge_tree": False, "load_dtd": False}
_CONTAINER = "META-INF/container.xml"  # of EPUB
_METADATA = ("docProps/app.xml", "docProps/core.xml", "docProps/custom.xml", "meta.xml")
# Names of elements, or of the properties that elements hold -> what they state
_STATED = {
    "application": "producer", "generator": "producer",
    "rights": "license", "license": "license", "licence": "license",
}  # fmt: skip
_OBFUSCATED_FONTS = ("http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC")


# Which pages or chapters are read, by how many there are
_Choice = Callable[[int], Sequence[int]]


class RefusedError(ValueError):
    """A file without text for us; the message is the reason: encrypted, unreadable, too_large."""


@dataclass(frozen=True, slots=True)
class ZippedText:
    """The parts of a file, its form, and what it states."""

    parts: list[str]  # slides or chapters; of other forms the body and its notes
    form: str
    pages: int | None  # slides or chapters in all, if it has such
    producer: str
    license: str


class _Zip:
    """A zip whose parts are unpacked one by one, up to a bound in all."""

    def __init__(self, body: bytes) -> None:
        self._left = max(_FREE_BYTES, _RATIO * len(body))
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(body))
        except UNPACKING_ERRORS:
            raise RefusedError("unreadable") from None
        self.names = frozenset(self._zip.namelist())

    def part(self, name: str) -> bytes:
        """The bytes of a part. Raises RefusedError."""
        try:
            member = self._zip.getinfo(name)
            if member.flag_bits & 1:
                raise RefusedError("encrypted")
            most = min(_PART_BYTES, self._left)
            with self._zip.open(member) as file:
                data = file.read(most + 1)
        except RefusedError:
            raise
        except UNPACKING_ERRORS:
            raise RefusedError("unreadable") from None
        if len(data) > most:
            raise RefusedError("too_large")
        self._left -= len(data)
        return data

    def xml(self, name: str) -> etree._Element:
        """The root of a part that is XML. Raises RefusedError."""
        try:
            return etree.fromstring(self.part(name), etree.XMLParser(**_PARSER_SETTINGS))
        except etree.XMLSyntaxError:
            raise RefusedError("unreadable") from None


def read_zipped(body: bytes, choose: _Choice, chapter_text: Callable[[bytes], str]) -> ZippedText:
    """Read a DOCX, PPTX, ODT or EPUB; `chapter_text` turns a chapter's HTML into text. Raises RefusedError."""
    archive = _Zip(body)
    for part, (form, read) in _FORMS.items():
        if part in archive.names:
            count, parts = read(archive, choose)
            texts = [chapter_text(each) if isinstance(each, bytes) else each for each in parts]
            return ZippedText(texts, form, count, *_described(archive))
    raise RefusedError("unreadable")


def _described(archive: _Zip) -> tuple[str, str]:
    """The program that made a file, and its licence, as its metadata state them; "" where they do not."""
    found = {"producer": "", "license": ""}
    for part in (*_METADATA, _package(archive) if _CONTAINER in archive.names else None):
        if part not in archive.names:
            continue
        try:
            nodes = list(archive.xml(part).iter())
        except RefusedError:
            continue
        for node in nodes:
            named = _attribute(node, "name") or _attribute(node, "property") or _attribute(node, "rel") or ""
            for key in (_name(node).lower(), named.rpartition(":")[2].lower()):
                if key in _STATED and not found[_STATED[key]]:
                    value = _attribute(node, "content") or _attribute(node, "href") or "".join(node.itertext())
                    found[_STATED[key]] = value
    return found["producer"], found["license"]


def _name(node: etree._Element) -> str:
    """The name of an element without its namespace; "" for comments and entities."""
    return str(node.tag).rpartition("}")[2] if isinstance(node.tag, str) else ""


def _attribute(node: etree._Element, name: str) -> str | None:
    return next((value for key, value in node.attrib.items() if key.rpartition("}")[2] == name), None)


# What an element of text means, by its name; names differ between the forms but do not clash.
_SKIPPED = frozenset(
    {
        "del",
        "moveFrom",
        "instrText",
        "delText",
        "Fallback",
        "rPr",
        "pPr",
        "annotation",
        "tracked-changes",
        "note-citation",
    }
)
_SIGNS = {"tab": "\t", "br": "\n", "cr": "\n", "line-break": "\n", "noBreakHyphen": "-", "softHyphen": ""}
_NOTES = frozenset({"note"})  # whose text follows the paragraph


def _blocks(node: etree._Element) -> Iterator[str]:
    """The paragraphs and rows below an element, in order."""
    for child in node:
        name = _name(child)
        if name in ("p", "h"):
            yield from _paragraph(child)
        elif name in ("tr", "table-row"):
            cells = [" ".join(_blocks(cell)) for cell in child if _name(cell) in ("tc", "table-cell")]
            if any(cells):
                yield f"| {' | '.join(cells)} |"
        elif name == "list-item":
            yield from (line if line.startswith("- ") else f"- {line}" for line in _blocks(child))
        elif name == "sp" and _placeholder(child) in ("sldNum", "ftr", "dt"):
            continue
        elif name and name not in _SKIPPED:
            yield from _blocks(child)


def _placeholder(shape: etree._Element) -> str | None:
    """What a shape of a slide holds, if it is a place for something."""
    return next((_attribute(node, "type") for node in shape.iter() if _name(node) == "ph"), None)


def _paragraph(node: etree._Element) -> Iterator[str]:
    """A paragraph, then the texts that hang on it: notes and text boxes."""
    after: list[str] = []
    text = "".join(_runs(node, after, node_is_text=_holds_text(node))).strip()
    if text:
        listed = any(_name(child) == "pPr" and any(_name(each) == "numPr" for each in child) for child in node)
        yield f"- {text}" if listed else text
    yield from after


def _holds_text(node: etree._Element) -> bool:
    """Whether the text of a paragraph stands in it without an element around it, as in OpenDocument."""
    return "opendocument" in node.tag or "oasis" in node.tag


def _runs(node: etree._Element, after: list[str], node_is_text: bool) -> Iterator[str]:
    if node_is_text and node.text:
        yield _plain(node.text)
    for child in node:
        name = _name(child)
        if name == "t":
            yield child.text or ""
        elif name == "s" and node_is_text:
            yield (
                " " * min(100, int(_attribute(child, "c") or 1)) if (_attribute(child, "c") or "1").isdecimal() else " "
            )
        elif name in _SIGNS:
            yield _SIGNS[name]
        elif name in _NOTES or name == "txbxContent":
            after.extend(_blocks(child))
        elif name and name not in _SKIPPED:
            yield from _runs(child, after, node_is_text)
        if node_is_text and child.tail:
            yield _plain(child.tail)


def _plain(text: str) -> str:
    """Text of OpenDocument, where a line feed of the source is a space."""
    return re.sub(r"[ \t\r\n]+", " ", text)


_Parts = tuple[int | None, Iterator[str] | Iterator[bytes]]  # slides or chapters in all, and what was chosen of them


def _read_docx(archive: _Zip, choose: _Choice) -> _Parts:
    def parts() -> Iterator[str]:
        yield "\n".join(_blocks(archive.xml("word/document.xml")))
        for name in ("word/footnotes.xml", "word/endnotes.xml"):
            if name in archive.names:
                notes = [note for note in archive.xml(name) if _attribute(note, "type") is None]
                yield "\n".join(line for note in notes for line in _blocks(note))

    return None, parts()


def _read_odt(archive: _Zip, choose: _Choice) -> _Parts:
    if "META-INF/manifest.xml" in archive.names and b"encryption-data" in archive.part("META-INF/manifest.xml"):
        raise RefusedError("encrypted")
    body = next((node for node in archive.xml("content.xml").iter() if _name(node) == "body"), None)
    return None, iter(["\n".join(_blocks(body)) if body is not None else ""])


def _read_pptx(archive: _Zip, choose: _Choice) -> _Parts:
    targets = {
        _attribute(node, "Id"): posixpath.normpath(posixpath.join("ppt", _attribute(node, "Target") or "")).lstrip("/")
        for node in archive.xml("ppt/_rels/presentation.xml.rels")
    }
    order = [node for node in archive.xml("ppt/presentation.xml").iter() if _name(node) == "sldId"]
    links = [next((value for key, value in node.attrib.items() if key.endswith("}id")), None) for node in order]
    names = [name for name in map(targets.get, links) if name in archive.names]
    return len(names), ("\n".join(_blocks(archive.xml(names[number]))) for number in choose(len(names)))


def _package(archive: _Zip) -> str | None:
    """The part that describes a book, or None."""
    container = archive.xml(_CONTAINER)
    return next((_attribute(node, "full-path") for node in container.iter() if _name(node) == "rootfile"), None)


def _read_epub(archive: _Zip, choose: _Choice) -> _Parts:
    if "META-INF/encryption.xml" in archive.names:
        root = archive.xml("META-INF/encryption.xml")
        methods = [_attribute(node, "Algorithm") for node in root.iter() if _name(node) == "EncryptionMethod"]
        if any(method not in _OBFUSCATED_FONTS for method in methods):
            raise RefusedError("encrypted")
    package = _package(archive)
    if package is None or package not in archive.names:
        raise RefusedError("unreadable")
    root, folder = archive.xml(package), posixpath.dirname(package)
    items = {_attribute(node, "id"): node for node in root.iter() if _name(node) == "item"}
    asides = {_attribute(node, "href") for node in root.iter() if _name(node) == "reference" and _is_aside(node)}
    spine = [node for node in root.iter() if _name(node) == "itemref" and _attribute(node, "linear") != "no"]
    chapters = []
    for reference in spine:
        item = items.get(_attribute(reference, "idref"))
        if item is None or "nav" in (_attribute(item, "properties") or "").split():
            continue
        href = _attribute(item, "href") or ""
        name = posixpath.normpath(posixpath.join(folder, unquote(href)))
        if href not in asides and name in archive.names:
            chapters.append(name)
    return len(chapters), (archive.part(chapters[number]) for number in choose(len(chapters)))


def _is_aside(reference: etree._Element) -> bool:
    """Whether an entry of a book's guide is about the book and no part of its text."""
    return _attribute(reference, "type") in ("cover", "toc", "title-page", "index")


# The part that only this form has -> its name and reader
_FORMS: dict[str, tuple[str, Callable[[_Zip, _Choice], _Parts]]] = {
    "word/document.xml": ("docx", _read_docx),
    "ppt/presentation.xml": ("pptx", _read_pptx),
    _CONTAINER: ("epub", _read_epub),
    "content.xml": ("odt", _read_odt),
}
