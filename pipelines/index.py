"""index: one row for each record, without text: its place in the archive, its charset, and its likely languages.

It costs less than a millisecond a page, and main text costs tens of them. Of a document a few pages are read in the
guarded process, spread over it. So a run for one language extracts only pages
that can be in it. The index is also a census of the crawl.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple

import pyarrow as pa

from filters.language import Language
from filters.language_id.identify import LanguageModel, identify_page
from filters.programs.use_signals import NO_COPY, SEARCHED_BYTES, use_signals_of
from filters.text.charset import Decoded, decode_page, is_xhtml
from filters.text.quick_text import quick_text
from pipelines.archives.limits import Limits
from pipelines.archives.packing import LOOK, begins_with_record, recognise
from pipelines.archives.records import Record
from pipelines.documents.forms import READ_FORMS, form_of, installed_engines
from pipelines.documents.wikitext import quick_prose
from pipelines.extraction.extractors import PAGES, QUICK, Bounds, preload
from pipelines.extraction.guard import Failure, guarded
from pipelines.extraction.guard import Limits as GuardLimits
from pipelines.job.languages import find_any_code, is_program
from pipelines.job.settings import IndexSettings
from pipelines.job.work import fault_of_place, part_of_shard
from pipelines.models.files import load_model, sha256_of_model
from pipelines.programs.index import SOURCE_KIND, TREE_REASONS, index_programs, index_tree
from pipelines.programs.trees import is_source_tree
from pipelines.sources.documents import holds_documents
from pipelines.sources.doors import begins_as_archive, on_this_machine, read_source
from pipelines.sources.layouts import CARD, WIKITEXT, TableSettings, licence_of_card
from pipelines.sources.tables import find_table
from roots import storage
from roots.errors import InputError
from roots.schema import INDEX
from roots.shards import BATCH_ROWS
from roots.stage import Stage

_GLANCE_SECONDS = 5.0  # of CPU time for the pages of a document that are looked at
_FETCHED_BYTES = 16 << 20  # of an input at a URL that is fetched to see what it is
_TOP = 3  # languages stored with a record
_NAMED_IDS = frozenset({"row", "document", SOURCE_KIND})  # kinds whose ids are not those of a web archive
_PLAIN = frozenset({"text/plain"})
_WANTED = frozenset({"text/html", "application/xhtml+xml", WIKITEXT}) | _PLAIN
_UNDECODABLE = 0.1  # largest share of undecodable characters in a page
_CONTROL = 0.05  # largest share of control characters in its first bytes
_HEAD_BYTES = 4096  # that are searched for control characters
_CONTROLS = bytes({*range(1, 9), 11, *range(14, 27), *range(28, 32), 127})  # without NUL (UTF-16) and ESC (ISO 2022)
_FOREIGN = (b"%PDF-", b"\x89PNG", b"GIF8", b"\xff\xd8\xff", b"PK\x03\x04", b"RIFF", b"\x1f\x8b\x08", b"%!PS", b"ID3")

# Why a record is dropped; the first that applies is recorded.
INDEX_REASONS: dict[str, str] = {
    "index.broken": "no record can be read at this offset: garbage, or a damaged head",
    "index.truncated": "the archive, or the page in it, ends early",
    "index.bad_length": "the record does not end where its Content-Length says",
    "index.bad_http": "no HTTP head, or invalid chunks",
    "index.too_large": "longer than `body_bytes`, decompressed",
    "index.revisit": "the page was fetched before and is not stored again",
    "index.not_http": "a DNS answer, a segment, or another record type without a page",
    "index.status": "the server did not answer 2xx",
    "index.robots": "a robots.txt",
    "index.not_html": "neither HTML, plain text nor a document that can be read, by its type or its first bytes",
    "index.redirect": "a page of a wiki that leads to another one",
    "index.no_article": "a page of a wiki that is no article: talk, user, template, data",
    "index.undecodable": "no text in any likely charset: undecodable, or full of control characters",
    "index.empty": "no letter of any script in the text",
    **TREE_REASONS,
}


@dataclass(frozen=True)
class Index(IndexSettings, Stage):
    """The stage: its settings, and the digest of its language model."""

    name: ClassVar[str] = "index"
    version: ClassVar[int] = 8  # 8: the column source
    schema: ClassVar[pa.Schema] = INDEX

    model_sha256: str = ""  # of the language model; computed if not given
    engines: str = ""  # of PDF that are installed; found if not given
    source: str = ""  # of the catalogue, whose archives these are
    source_license: str | None = None  # for documents that state none

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "engines", self.engines or installed_engines())
        object.__setattr__(self, "model_sha256", sha256_of_model(self.model, self.model_sha256))

    def make(self, name: str, sources: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        """Make the rows of one archive, or of several small ones."""
        limits = Limits(self.body_bytes, self.head_bytes, self.unpacked_bytes)
        rows: list[dict[str, object]] = []
        archives = [source for source in sources if source.name != CARD]
        cards = [source for source in sources if source.name == CARD and not self.source_license]
        licences = {card.parent: licence_of_card(card) for card in cards}
        reading = _Reading(
            limits, self.tables, load_model(self.model), licences, self.document_pages, part_of_shard(name)
        )
        for row in _rows_of_all(archives, reading):
            rows.append(self._of_source(row) if self.source else row)
            if len(rows) == BATCH_ROWS:
                yield pa.RecordBatch.from_pylist(rows, schema=INDEX)
                rows = []
        if rows:
            yield pa.RecordBatch.from_pylist(rows, schema=INDEX)

    def _of_source(self, row: dict[str, object]) -> dict[str, object]:
        """A row of a catalogue's source, which is named in its id unless that is a UUID of a web archive.

        Two sources may have equal ids: those made from the names of files, or the ids of one crawl in two tables. Two
        files of the same name may be in both, too, and their addresses have no host.
        """
        url = row["url"]
        if isinstance(url, str) and "://" not in url:
            url = f"{self.source}/{url}"
        of_archive = row["kind"] not in _NAMED_IDS and str(row["id"]).startswith("<urn:uuid:")
        id_ = row["id"] if of_archive else f"{self.source}:{row['id']}"
        stated = row.get("license") or (self.source_license if row["kind"] != SOURCE_KIND else None)
        return {**row, "id": id_, "url": url, "source": self.source, "license": stated}


def make_index(settings: IndexSettings, language: Language | None) -> Index:
    """Make the stage, which all languages share."""
    return Index(**vars(settings))


class _Reading(NamedTuple):
    """How inputs are read."""

    limits: Limits
    tables: TableSettings
    model: LanguageModel
    licences: Mapping[Path, str | None]  # folder of a data set -> the licence on its card
    document_pages: int  # of a document that are looked at
    part: range | None  # of a large input: the offsets that the shard is about


class _Held(NamedTuple):
    """A row that waits for a glance at its document."""

    source: Path  # on this machine
    license: str | None  # on the card of its data set
    row: dict[str, object]


def _rows_of_all(archives: Sequence[Path], reading: _Reading) -> Iterator[dict[str, object]]:
    """The rows of some archives, in order. Raises InputError, at the end, that names all that cannot be read."""
    faults: list[str] = []
    held: list[_Held] = []  # documents are looked at together, since a guarded process costs as much as some of them
    for archive in archives:
        try:
            licence = next((reading.licences[above] for above in archive.parents if above in reading.licences), None)
            with on_this_machine(archive) as source:
                for row in _rows_of(source, reading):
                    held.append(_Held(source, licence, row))
                    if len(held) == BATCH_ROWS:
                        yield from _with_glances(held, reading)
                        held = []
                if source != archive:  # it is gone afterwards
                    yield from _with_glances(held, reading)
                    held = []
        except InputError as error:
            faults.append(str(error))
    yield from _with_glances(held, reading)
    if faults:
        raise InputError("; ".join(faults))


def _rows_of(source: Path, reading: _Reading) -> Iterator[dict[str, object]]:
    """The rows of a table of texts, a source tree, documents, or an archive of pages."""
    limits, tables, part = reading.limits, reading.tables, reading.part
    if not begins_as_archive(source):
        table = find_table(source, tables)
        if table and table.layout.program:
            return index_programs(table, limits, part)
        if table is None and not holds_documents(source) and is_source_tree(source):
            return index_tree(source, limits)
    return (_index_record(record, source.name, reading.model) for record in read_source(source, tables, limits, part))


def _with_glances(held: Sequence[_Held], reading: _Reading) -> Iterator[dict[str, object]]:
    """The rows, those of documents with what a glance at their pages finds, and the licence of their card."""
    documents = [each for each in held if each.row.get("drop") is None and each.row.get("content_type") in READ_FORMS]
    if documents and reading.document_pages:
        _glance(documents, reading)
    for _, licence, row in held:
        yield row if row.get("license") else row | {"license": licence}


def _glance(documents: Sequence[_Held], reading: _Reading) -> None:
    """Add languages, licence and use signals to the rows of documents, by a few pages of each.

    A document whose pages say nothing keeps a row without languages, so that extract reads it for every language.
    """
    sources = list(dict.fromkeys(each.source for each in documents))
    bounds = Bounds(
        reading.limits.body_bytes,
        document_pages=reading.document_pages,
        document_spread=True,
        document_seconds=_GLANCE_SECONDS,
    )
    arguments = {
        "archives": [str(source) for source in sources],
        "extractor": QUICK,
        "bounds": asdict(bounds),
        "tables": asdict(reading.tables),
    }
    numbers = {source: number for number, source in enumerate(sources)}
    places = [(numbers[each.source], each.row["offset"]) for each in documents]
    answers = guarded(PAGES, arguments, places, GuardLimits(_GLANCE_SECONDS), preload(QUICK))
    for (_, _, row), found in zip(documents, answers, strict=True):
        if isinstance(found, Failure):
            continue
        row["license"] = row["license"] or found["license"]
        if found["no_copy"] and isinstance(signals := row["use_signals"], list):
            row["use_signals"] = sorted([*signals, NO_COPY])
        if text := found["text"]:
            row |= {"quick_chars": len(text), "languages": _languages(text, reading.model) or None}


def faults_of(
    inputs: Sequence[Path], languages: Sequence[str] = (), tables: TableSettings | None = None
) -> dict[Path, str]:
    """Why some inputs cannot be read, found before any work by their first bytes: {input: why}, without the good ones.

    A source tree has no document of natural languages, so it is none if only such are asked for.
    """
    programs = not languages or any(is_program(find_any_code(code)) for code in languages)

    tables = tables or TableSettings()

    def fault_of(path: Path) -> str:
        try:
            if _has_texts(path, tables) or programs:
                return ""
        except InputError as error:
            return str(error)
        return (
            f"{path} holds no archive of pages (WARC, WET, ARC, WACZ) or table of texts, so it has no document of "
            f"{', '.join(languages)}; for the programs in it, name a programming language with --lang"
        )

    faults = zip(inputs, storage.at_once(fault_of, inputs), strict=True)
    return {path: fault for path, fault in faults if fault}


def _has_texts(path: Path, tables: TableSettings) -> bool:
    """Whether an input is an archive or a table of texts; if not, it holds programs. Raises InputError otherwise."""
    if fault := fault_of_place(path):
        raise InputError(fault)
    if storage.is_remote(path) or path.is_file():
        try:
            file = storage.open_ranged(path)
            if begins_with_record(file.range(0, min(file.size, LOOK))):
                return True
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror or error}") from None
        if storage.is_remote(path) and file.size > _FETCHED_BYTES:
            return True  # too large to fetch for a look: reading it will say
    with on_this_machine(path) as local:
        if begins_as_archive(local):
            recognise(local)
            return True
        if table := find_table(local, tables):
            return not table.layout.program
        if holds_documents(local):
            return True
        if is_source_tree(local):
            return False
        recognise(local)
    return True


def _index_record(record: Record, file_path: str, model: LanguageModel) -> dict[str, object]:
    """The row of one record. A document is not opened here, since only the guarded process may read it."""
    form = form_of(record.body[:LOOK], record.body)
    row: dict[str, object] = {
        "id": record.id,
        "url": record.url,
        "date": record.date,
        "file_path": file_path,
        "offset": record.offset,
        "kind": record.kind,
        "status": record.status,
        "content_type": form or record.content_type,
        "payload_bytes": len(record.body),
        "license": record.license,
        "drop": _refusal(record, form),
    }
    if row["drop"] is None:
        row |= {"use_signals": use_signals_of(record.rights, b"")} if form else _read_page(record, model)
    return row


def _refusal(record: Record, form: str | None) -> str | None:
    """Why a record is no page or document, by its head and first bytes; None if it may be one."""
    if record.problem:
        return f"index.{record.problem}"
    if record.status is not None and not 200 <= record.status < 300:
        return "index.status"
    if record.url and record.url.partition("?")[0].endswith("/robots.txt"):
        return "index.robots"
    if not record.body or record.body.isspace():
        return "index.empty"
    if form is None and (record.content_type not in _WANTED or record.body.startswith(_FOREIGN)):
        return "index.not_html"
    return None


def _read_page(record: Record, model: LanguageModel) -> dict[str, object]:
    """Charset and languages of a page."""
    decoded = decode_page(record.body, record.header_charset)
    row: dict[str, object] = {"charset": decoded.charset, "charset_from": decoded.charset_from}
    undecodable = decoded.text.count("�") if "�" in decoded.text else 0  # `in` is faster than `count`
    if undecodable > _UNDECODABLE * len(decoded.text) or _is_noise(_head_of(record, decoded)):
        return row | {"drop": "index.undecodable"}
    text = _text_of(record, decoded, not undecodable)
    row["use_signals"] = use_signals_of(record.rights, b"" if _is_plain(record) else _head_of(record, decoded))
    row |= {"quick_chars": len(text), "languages": _languages(text, model)}
    return row if row["languages"] else row | {"drop": "index.empty"}


def _languages(text: str, model: LanguageModel) -> list[dict[str, object]]:
    """The likely languages of a quick text, as they are stored."""
    return [{"label": label, "score": score} for label, score in identify_page(text, model, _TOP)]


def _is_noise(body: bytes) -> bool:
    """Whether a body is full of control characters, as no text is."""
    head = body[:_HEAD_BYTES]
    return len(head) - len(head.translate(None, _CONTROLS)) > _CONTROL * len(head)


def _is_plain(record: Record) -> bool:
    """Whether a record is plain text."""
    return record.kind == "wet" or record.content_type in _PLAIN or record.content_type == WIKITEXT


def _head_of(record: Record, decoded: Decoded) -> bytes:
    """The bytes in which meta elements are searched: those of UTF-16 are written again in UTF-8."""
    if decoded.charset.startswith("utf-16"):
        return decoded.text[:SEARCHED_BYTES].encode("utf-8", "replace")
    return record.body


def _text_of(record: Record, decoded: Decoded, clean: bool) -> str:
    """The quick text of a page; `clean` says that all of it was decoded."""
    if record.content_type == WIKITEXT:
        return quick_prose(decoded.text)
    if _is_plain(record):
        return decoded.text
    # Valid UTF-8 is read from the body itself; a page in another charset is encoded first.
    as_stored = clean and decoded.charset == "utf-8" and decoded.charset_from != "bom"
    page = record.body if as_stored else decoded.text.encode("utf-8", "replace")
    return quick_text(page, is_xhtml(record.content_type, page)).decode("utf-8", "replace")
