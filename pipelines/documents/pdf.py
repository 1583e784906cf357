"""The lines of a PDF: by PDFium, and by pdf_oxide on pages of scripts whose clusters PDFium misreads.

Both run only in the guarded process. Neither is safe alone: a form that calls itself keeps PDFium busy without end.
"""

import ctypes
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from html import unescape
from types import ModuleType
from typing import Any

from pipelines.documents.layout import RIGHT_TO_LEFT, Line
from pipelines.documents.order import Glyph, logical_line
from pipelines.documents.signals import illegal_share

# Scripts in which one sign shows several letters, or letters in another order.
_CLUSTERS = re.compile("[\u0900-\u0dff\u0e00-\u0eff\u0f00-\u109f\u1780-\u17ff\u1a20-\u1aaf\ua8e0-\ua8ff\uaa60-\uaa7f]")
# Fonts that show letters of another script, or with other accents, in the place of Latin ones
_LEGACY = re.compile(
    r"kruti|dev-?lys|chanakya|shusha|shivaji|akruti|aps-?dv|bamini|tscu?_|vanavil|suntommy|mylai|lt-tm|nudi|brh-"
    r"|sutonny|bijoy|sulekha|shree-?(?:dev|lipi|tam|tel|kan|guj|ban)|ml-?tt|fml-|anmol ?lipi|asees|gurbani|lmg-"
    r"|terafont|preeti|kantipur|himali|sagarmatha|vni-|\.vn[a-z]|vntime|zawgyi|visual ?geez|inpage|noori ?nastaliq ?\d",
    re.IGNORECASE,
)
_SOME, _MOST = 0.2, 0.8  # shares of the pages
_FEW_CHARS = 50  # of a page without text, though a stamp or a number may be on it
_LOOKED = 20  # pages of which some letters are looked at
_OBJECTS = 20  # of a page, among which a picture is searched
_NAME_BYTES = 128  # of a font
_MOST_ILLEGAL = 0.005  # share of characters
_LONGEST = 2_000  # characters of a line whose letters are put in order
_WORD_GAP = 0.15  # heights of a letter between two words
_COPYING = 1 << 4  # of the permissions of a file: its text may be taken out (ISO 32000-1, table 22)
_METADATA_BYTES = 64 << 10
# Of XMP (ISO 16684): the licence of Creative Commons' and Adobe's namespaces, and a statement in words
_LICENSE = re.compile(
    rb"<cc:license\b[^>]*?(?:resource=[\"']([^\"']+)|>([^<]+))|WebStatement(?:>|=[\"'])\s*([^<\"']+)", re.IGNORECASE
)
_RIGHTS = re.compile(rb"<dc:rights>.{0,200}?<rdf:li\b[^>]*>([^<]+)", re.IGNORECASE | re.DOTALL)
_SAME_LINE = 0.4  # of a height, by which the parts of a line may be shifted


@dataclass
class PdfText:
    """What was read: the lines of each page, and what is known of the file."""

    pages: list[list[Line]] = field(default_factory=list)
    page_count: int = 0
    producer: str = ""
    license: str = ""
    no_copy: bool = False
    engine: str = "pypdfium2"
    unread: int = 0  # pages that only pdf_oxide could read, where it is not installed
    pictures: int = 0  # pages with a picture and hardly a letter
    legacy: int = 0  # pages in a font of before Unicode
    illegal: int = 0  # pages of clusters with characters that no text has
    hidden: int = 0  # pages, of those whose letters were looked at, with letters that are not drawn
    form: bool = False  # whether the file is a form to be filled in
    no_pages: bool = False  # whether its reader makes its pages, which are not in the file (XFA)

    @property
    def refusal(self) -> str | None:
        """Why this text is not what a reader sees, by what was noticed page by page."""
        count = len(self.pages)
        if self.unread > _SOME * count:
            return "extract.no_engine"
        if self.pictures > _MOST * count:
            return "extract.scanned"
        letters = sum(len(line.text) for page in self.pages for line in page)
        if self.no_pages or (self.form and letters < _FEW_CHARS * count):
            return "extract.form"
        if self.legacy > _SOME * count:
            return "extract.legacy_font"
        return "extract.garbled" if self.illegal > _SOME * count else None


class EncryptedError(ValueError):
    """A PDF that needs a password."""


class UnreadableError(ValueError):
    """A PDF that no engine opens: cut, or no PDF."""


def read_pdf(body: bytes, choose: Callable[[int], Sequence[int]]) -> PdfText:
    """Read the pages that `choose` picks of their count.

    Raises EncryptedError, UnreadableError, or ImportError without the extra.
    """
    import pypdfium2
    from pypdfium2 import raw

    try:
        document = pypdfium2.PdfDocument(body)
    except pypdfium2.PdfiumError as error:
        if getattr(error, "err_code", None) == raw.FPDF_ERR_PASSWORD or "password" in str(error).lower():
            raise EncryptedError(str(error)) from None
        return _read_rest(body, choose)
    found = PdfText(page_count=len(document), producer=_producer(document), license=_license(body))
    found.no_copy = not raw.FPDF_GetDocPermissions(document) & _COPYING
    kind = raw.FPDF_GetFormType(document)
    found.form, found.no_pages = kind != raw.FORMTYPE_NONE, kind == raw.FORMTYPE_XFA_FULL
    second = None
    for number in choose(len(document)):
        page = _pdfium_page(document, number, raw, looked=len(found.pages) < _LOOKED)
        lines = page.lines
        if any(_CLUSTERS.search(line.text) for line in lines):
            found.illegal += illegal_share("\n".join(line.text for line in lines)) > _MOST_ILLEGAL
            second = second or _open_oxide(body)
            if second is None:
                found.unread += 1
            else:
                lines = _oxide_page(second, number) or lines
                found.engine = "pypdfium2, pdf_oxide"
        found.pictures += page.picture
        found.legacy += bool(_LEGACY.search(page.fonts))
        found.hidden += page.hidden
        found.pages.append(lines)
    if 2 * found.hidden > min(len(found.pages), _LOOKED):
        found.engine += ", of hidden text"
    return found


def _producer(document: Any) -> str:
    found = document.get_metadata_dict()
    return str(found.get("Producer") or found.get("Creator") or "")[:200]


def _license(body: bytes) -> str:
    """The licence in the file's XMP metadata: an address, or else what `dc:rights` says."""
    start = body.rfind(b"<x:xmpmeta")
    metadata = body[start : start + _METADATA_BYTES].partition(b"</x:xmpmeta>")[0] if start >= 0 else b""
    found = _LICENSE.search(metadata) or _RIGHTS.search(metadata)
    stated = next(filter(None, found.groups()), b"").decode("utf-8", "replace") if found else ""
    return unescape(stated)


def _read_rest(body: bytes, choose: Callable[[int], Sequence[int]]) -> PdfText:
    """What pdf_oxide finds in a file that PDFium does not open: it rebuilds the table of a cut one."""
    document = _open_oxide(body)
    if document is None:
        raise UnreadableError("no engine opens it")
    count = int(document.page_count())
    pages = [_oxide_page(document, number) for number in choose(count)]
    if not any(pages):
        raise UnreadableError("no page can be read")
    return PdfText(pages, count, engine="pdf_oxide, of a damaged file")


@dataclass(frozen=True, slots=True)
class _Page:
    lines: list[Line]
    picture: bool = False
    fonts: str = ""  # of some letters
    hidden: bool = False  # whether these letters are not drawn, as those of a scan that was read by a machine


def _pdfium_page(document: object, number: int, raw: ModuleType, looked: bool) -> _Page:
    page = raw.FPDF_LoadPage(document, number)
    if not page:
        return _Page([])
    text = raw.FPDFText_LoadPage(page)
    try:
        if not text:
            return _Page([])
        lines = _Reader(raw, text).lines()
        picture = sum(len(line.text) for line in lines) < _FEW_CHARS and _has_picture(page, raw)
        return _Page(lines, picture, *(_letters_of(text, raw) if looked else ()))
    finally:
        if text:
            raw.FPDFText_ClosePage(text)
        raw.FPDF_ClosePage(page)


def _has_picture(page: object, raw: ModuleType) -> bool:
    count = min(_OBJECTS, raw.FPDFPage_CountObjects(page))
    kinds = (raw.FPDFPageObj_GetType(raw.FPDFPage_GetObject(page, number)) for number in range(count))
    return any(kind in (raw.FPDF_PAGEOBJ_IMAGE, raw.FPDF_PAGEOBJ_FORM) for kind in kinds)


def _letters_of(text: object, raw: ModuleType) -> tuple[str, bool]:
    """The names of the fonts of some letters of a page, and whether these letters are hidden."""
    count = raw.FPDFText_CountChars(text)
    names = []
    modes = set()
    buffer, flags = ctypes.create_string_buffer(_NAME_BYTES), ctypes.c_int()
    for part in (1, 2, 3):
        place = count * part // 4
        modes.add(raw.FPDFTextObj_GetTextRenderMode(raw.FPDFText_GetTextObject(text, place)))
        length = raw.FPDFText_GetFontInfo(text, place, buffer, _NAME_BYTES, ctypes.byref(flags))
        names.append(buffer.value.decode("latin-1") if 0 < length <= _NAME_BYTES else "")
    drawn = modes - {raw.FPDF_TEXTRENDERMODE_UNKNOWN, raw.FPDF_TEXTRENDERMODE_INVISIBLE}
    return " ".join(names), not drawn and raw.FPDF_TEXTRENDERMODE_INVISIBLE in modes


class _Reader:
    """Reads the lines of one page from PDFium. Its indices count UTF-16 units."""

    def __init__(self, raw: ModuleType, text: object) -> None:
        self._raw = raw
        self._text = text
        self._box = [ctypes.c_double() for _ in range(4)]  # left, right, bottom, top
        self._pointers = [ctypes.byref(value) for value in self._box]
        self._loose = raw.FS_RECTF()
        self._aligned = True
        self._rightward = True

    def lines(self) -> list[Line]:
        count = self._raw.FPDFText_CountChars(self._text)
        if count <= 0:
            return []
        buffer = (ctypes.c_ushort * (count + 1))()
        written = self._raw.FPDFText_GetText(self._text, 0, count, buffer)
        units = bytes(buffer)[: 2 * max(0, written - 1)].decode("utf-16-le", "replace")
        wide = any(sign > "\uffff" for sign in units)
        self._aligned = written - 1 == count
        self._rightward = 2 * len(RIGHT_TO_LEFT.findall(units)) < sum(map(str.isalpha, units))
        found, start = [], 0
        for part in units.split("\n"):
            length = len(part.encode("utf-16-le")) // 2 if wide else len(part)
            kept = part.rstrip("\r \t")
            if kept and not wide:
                found.append(self._line(kept, start))
            elif kept:
                found.append(Line(kept, 0, 0, 0))
            start += length + 1
        return found

    def _line(self, text: str, start: int) -> Line:
        if RIGHT_TO_LEFT.search(text) and len(text) <= _LONGEST:
            return self._from_right(text, start)
        lead = len(text) - len(text.lstrip())
        left, _, y, _ = self._at(start + lead)
        first = self._origin(start + lead)
        _, right, _, _ = self._at(start + len(text) - 1)
        # A line that a hyphen joins to the next one begins in one place and ends in another.
        return Line(text.strip(), left, right, y if first is None else first)

    def _index(self, unit: int) -> int:
        return unit if self._aligned else int(self._raw.FPDFText_GetCharIndexFromTextIndex(self._text, unit))

    def _at(self, unit: int) -> tuple[float, float, float, float]:
        """The box of a character: left, right, bottom, top."""
        index = self._index(unit)
        if index < 0 or not self._raw.FPDFText_GetCharBox(self._text, index, *self._pointers):
            return 0.0, 0.0, 0.0, 0.0
        left, right, bottom, top = (value.value for value in self._box)
        return left, right, bottom, top

    def _origin(self, unit: int) -> float | None:
        """The baseline of a character."""
        index = self._index(unit)
        x, y = self._pointers[:2]
        if index < 0 or not self._raw.FPDFText_GetCharOrigin(self._text, index, x, y):
            return None
        return self._box[1].value

    def _from_right(self, text: str, start: int) -> Line:
        boxes = [self._at(start + number) for number in range(len(text))]
        height = max(top - bottom for _, _, bottom, top in boxes)
        glyphs = [
            Glyph(sign, left, right, *self._space_of(start + number), height)
            for number, (sign, (left, right, _, _)) in enumerate(zip(text, boxes, strict=True))
        ]
        y = self._origin(start)
        inked = [glyph for glyph in glyphs if not glyph.text.isspace()]
        left, right = min(glyph.left for glyph in inked), max(glyph.right for glyph in inked)
        return Line(logical_line(glyphs, self._rightward), left, right, boxes[0][2] if y is None else y)

    def _space_of(self, unit: int) -> tuple[float, float]:
        """The space that a character takes, left and right; all its glyph's if that shows several."""
        index, box = self._index(unit), self._loose
        if index < 0 or not self._raw.FPDFText_GetLooseCharBox(self._text, index, ctypes.byref(box)):
            return 0.0, 0.0
        return box.left, box.right


def _open_oxide(body: bytes) -> Any | None:
    """The document as pdf_oxide opens it; None where it does not or is not installed."""
    try:
        import pdf_oxide
    except ImportError:
        return None
    pdf_oxide.disable_logging()
    try:
        return pdf_oxide.PdfDocument.from_bytes(body)
    except (RuntimeError, ValueError, OSError):
        return None


@dataclass(slots=True)
class _Piece:
    text: str
    left: float
    y: float
    width: float
    height: float


def _oxide_page(document: Any, number: int) -> list[Line]:
    """The lines of a page, put together from its pieces of text in the order in which they were drawn."""
    try:
        spans = document.extract_spans(number)
    except (RuntimeError, ValueError, OSError):
        return []
    pieces = [_Piece(str(span.text), *map(float, span.bbox)) for span in sorted(spans, key=lambda span: span.sequence)]
    rows: list[list[_Piece]] = []
    for piece in pieces:
        last = rows[-1][-1] if rows else None
        if last and abs(piece.y - last.y) < _SAME_LINE * last.height and piece.left > last.left - last.height:
            rows[-1].append(piece)
        else:
            rows.append([piece])
    spaced = any(" " in piece.text for piece in pieces)
    lines = [_line_of(row, spaced) for row in rows]
    return [line for line in lines if line.text]


def _line_of(row: Sequence[_Piece], spaced: bool) -> Line:
    """A line; gaps are spaces only on a page without `spaced` pieces, since pieces may state a width of 0."""
    text, edge = "", row[0].left
    for piece in row:
        gap = not spaced and piece.left - edge > _WORD_GAP * piece.height
        text += (" " if text and gap else "") + piece.text
        edge = piece.left + piece.width
    return Line(text.strip(), row[0].left, edge, row[0].y)
