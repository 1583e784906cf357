"""The known layouts of tables of text: which column holds the text of a row, and which its id, URL, date and licence.

A layout is found by the columns of a table, so no name of a data set is needed. The first that fits counts. Nothing
slow is imported here, for the settings are built from it.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields

from roots.errors import InputError, SettingsError, unknown_name


@dataclass(frozen=True)
class Layout:
    """Which columns are read. A column within another is written with a dot: `warc_headers.warc-date`."""

    summary: str
    columns: Mapping[str, str]  # field -> column
    also: tuple[str, ...] = ()  # other columns that a table of this layout has
    html: bool = False  # the text is HTML, and its main text is wanted
    program: bool = False  # a row is a file of a program

    def fits(self, columns: Collection[str]) -> bool:
        """Whether a table with these columns has this layout."""
        top = {column.partition(".")[0] for column in (*self.columns.values(), *self.also)}
        return top <= set(columns)


def _layout(summary: str, also: str = "", **columns: str | bool) -> Layout:
    html, program = bool(columns.pop("html", False)), bool(columns.pop("program", False))
    return Layout(summary, {name: str(column) for name, column in columns.items()}, tuple(also.split()), html, program)


_WARC = {
    "id": "warc_headers.warc-record-id",
    "url": "warc_headers.warc-target-uri",
    "date": "warc_headers.warc-date",
}

# Sources: the cards of the data sets. More columns come before fewer, so that the narrowest layout is found.
LAYOUTS: dict[str, Layout] = {
    "oscar-23.01": _layout("OSCAR 23.01 and 22.01: JSONL, by documents", text="content", **_WARC, also="metadata"),
    "oscar-hub": _layout(
        "OSCAR 22.01 as the Hub's script gives it",
        text="text",
        id="meta.warc_headers.warc-record-id",
        url="meta.warc_headers.warc-target-uri",
        date="meta.warc_headers.warc-date",
        also="id",
    ),
    "glotcc": _layout(
        "GlotCC-V1: Parquet",
        text="content",
        id="warc-record-id",
        url="warc-target-uri",
        date="warc-date",
    ),
    "wikipedia-html": _layout(
        "HTML dumps of Wikipedia: NDJSON in a tar",
        text="article_body.html",
        id="identifier",
        url="url",
        date="date_modified",
        license="license",
        also="name",
        html=True,
    ),
    "the-stack": _layout(
        "The Stack: a file of a program in a row",
        text="content",
        id="hexsha",
        path="max_stars_repo_path",
        license="max_stars_repo_licenses",
        program=True,
    ),
    "the-stack-v2": _layout(
        "The Stack v2 with contents",
        text="content",
        id="blob_id",
        path="path",
        license="detected_licenses",
        program=True,
    ),
    "fineweb": _layout(
        "FineWeb and FineWeb-2, and our own releases", text="text", id="id", url="url", date="date", also="file_path"
    ),
    "hplt": _layout("HPLT 2 and 3", text="text", id="id", url="u", date="ts", also="lang"),
    "hplt-1": _layout("HPLT 1.2", text="text", id="id", url="url", also="document_lang collection"),
    "culturax": _layout("CulturaX", text="text", url="url", date="timestamp", also="source"),
    "c4": _layout("C4 and mC4", text="text", url="url", date="timestamp"),
    "roots": _layout("ROOTS: text, and meta as a string", text="text", url="meta.url", also="meta"),
    "madlad": _layout("MADLAD-400, and any table of texts", text="text"),
}

# For a table of no known layout: the first of these columns that it has.
_LIKELY = {
    "text": ("text", "content", "raw_content", "body", "document"),
    "id": ("id", "doc_id", "document_id", "warc-record-id", "_id", "uuid"),
    "url": ("url", "u", "source_url", "warc-target-uri", "link"),
    "date": ("date", "timestamp", "ts", "warc-date", "date_download", "created", "crawl_date"),
    "license": ("license", "licence"),
}


@dataclass(frozen=True)
class TableSettings:
    """How tables of text are read: the group `source`. An empty column is found by the layout."""

    layout: str = ""  # a name in LAYOUTS; empty: found by the columns
    text_column: str = ""  # with the text of a document
    id_column: str = ""  # with its id
    url_column: str = ""  # with its address
    date_column: str = ""  # with its date
    license_column: str = ""  # with its licence
    split: str = "file"  # documents of plain text: "file" is one a file; "blank" ends them at blank lines

    def __post_init__(self) -> None:
        if self.layout and self.layout not in LAYOUTS:
            raise SettingsError(unknown_name("layout", self.layout, LAYOUTS))
        if self.split not in ("file", "blank"):
            raise ValueError(f"split is file or blank, not {self.split!r}")

    @property
    def tables(self) -> "TableSettings":
        """These settings alone, where a class has more of them."""
        return TableSettings(**{each.name: getattr(self, each.name) for each in fields(TableSettings)})

    @property
    def named(self) -> dict[str, str]:
        """The columns that the user named: field -> column."""
        columns = {
            "text": self.text_column,
            "id": self.id_column,
            "url": self.url_column,
            "date": self.date_column,
            "license": self.license_column,
        }
        return {name: column for name, column in columns.items() if column}


def find_layout(columns: Collection[str], settings: TableSettings, place: str) -> Layout:
    """The layout of a table with these columns. Raises InputError, with the columns, if none is its text.

    `place` names the table in the message.
    """
    named = settings.named
    if settings.layout:
        known = LAYOUTS[settings.layout]
    else:
        likely = {
            name: next((column for column in choices if column in columns), "") for name, choices in _LIKELY.items()
        }
        guess = Layout("", {name: column for name, column in likely.items() if column})
        known = next((layout for layout in LAYOUTS.values() if layout.fits(columns)), guess)
        # A column that the layout does not name may still say more, such as a licence beside the text.
        known = Layout(known.summary, {**guess.columns, **known.columns}, known.also, known.html, known.program)
    found = Layout(known.summary, {**known.columns, **named}, known.also, known.html, known.program)
    text = found.columns.get("text", "").partition(".")[0]
    if text not in columns:
        raise InputError(
            f"{place} has no column of text among {', '.join(sorted(map(str, columns))[:20]) or 'its columns'}: "
            "name it with --field text=COLUMN"
        )
    return found
