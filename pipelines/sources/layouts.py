"""The known layouts of tables of text: which column holds the text of a row, and which its id, URL, date and licence.

A layout is found by the columns of a table, so no name of a data set is needed. The first that fits counts. Folders of
tables (data sets of the Hub and of `save_to_disk`) are found here, and their cards: a README.md that begins with YAML
between two lines of dashes. Nothing slow is imported here, for the settings are built from it.
"""

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from roots import storage
from roots.errors import InputError, SettingsError, unknown_name
from roots.settings import ASIDE

WIKITEXT = "text/x-wiki"  # the type of a page of a wiki as it is written


@dataclass(frozen=True)
class Layout:
    """Which columns are read. A column within another is written with a dot: `warc_headers.warc-date`."""

    summary: str
    columns: Mapping[str, str]  # field -> column
    also: tuple[str, ...] = ()  # other columns that a table of this layout has
    content_type: str = "text/plain"  # of the text; the main text of HTML, and the prose of wikitext are wanted
    program: bool = False  # a row is a file of a program

    def fits(self, columns: Collection[str]) -> bool:
        """Whether a table with these columns has this layout."""
        top = {column.partition(".")[0] for column in (*self.columns.values(), *self.also)}
        return top <= set(columns)


def _layout(summary: str, also: str = "", kind: str = "text/plain", **columns: str | bool) -> Layout:
    program = bool(columns.pop("program", False))
    return Layout(summary, {name: str(column) for name, column in columns.items()}, tuple(also.split()), kind, program)


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
        kind="text/html",
    ),
    "wikipedia-xml": _layout(
        "XML dumps of Wikipedia and other wikis",
        kind=WIKITEXT,
        text="text",
        id="id",
        url="url",
        date="date",
        license="license",
        also="wikitext",
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
    "cc-100": _layout("CC-100, and OSCAR of 2019: plain text, where blank lines end documents", text="text"),
}

# For a table of no known layout: the first of these columns that it has.
_LIKELY = {
    "text": ("text", "content", "raw_content", "body", "document"),
    "id": ("id", "doc_id", "document_id", "warc-record-id", "_id", "uuid"),
    "url": ("url", "u", "source_url", "warc-target-uri", "link"),
    "date": ("date", "timestamp", "ts", "warc-date", "date_download", "created", "crawl_date"),
    "license": ("license", "licence"),
}


_FORMS = ("jsonl", "array", "parquet", "arrow", "csv", "tsv", "text")


@dataclass(frozen=True)
class TableSettings:
    """How tables of text are read: the group `source`. An empty column is found by the layout."""

    layout: str = ""  # a name in LAYOUTS; empty: found by the columns
    text_column: str = ""  # with the text of a document
    id_column: str = ""  # with its id
    url_column: str = ""  # with its address
    date_column: str = ""  # with its date
    license_column: str = ""  # with its licence
    table_form: str = ""  # of a table, if bytes and name do not show it: jsonl, csv, tsv, text, parquet ...
    # the configuration of a data set of the Hub that has several
    config: str = field(default="", metadata=ASIDE)
    split: str = "file"  # documents of plain text: "file" is one a file; "blank" ends them at blank lines

    @property
    def ends_at_blank(self) -> bool:
        """Whether a blank line ends a document of plain text."""
        return self.split == "blank" or self.layout == "cc-100"

    def __post_init__(self) -> None:
        if self.layout and self.layout not in LAYOUTS:
            raise SettingsError(unknown_name("layout", self.layout, LAYOUTS))
        if self.table_form and self.table_form not in _FORMS:
            raise SettingsError(unknown_name("form of a table", self.table_form, _FORMS))
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
        known = replace(known, columns={**guess.columns, **known.columns})
    found = replace(known, columns={**known.columns, **named})
    text = found.columns.get("text", "").partition(".")[0]
    if text not in columns:
        raise InputError(
            f"{place} has no column of text among {', '.join(sorted(map(str, columns))[:20]) or 'its columns'}: "
            "name it with --field text=COLUMN"
        )
    return found


CARD = "README.md"
_TABLE = re.compile(r"\.(parquet|arrow|(jsonl|ndjson|json|csv|tsv|txt)(\.(gz|zst|bz2|xz))?)$", re.IGNORECASE)
_BESIDE = re.compile(
    r"^(\..*|README.*|LICEN[CS]E.*|.*\.md|dataset_infos?\.json|dataset_dict\.json|state\.json|manifest\.json)$",
    re.IGNORECASE,
)
_DEPTH = 3  # folders above a table in which its card may be
_CARD_BYTES = 1 << 20
_HUB_SLASHES = 4  # of hf://datasets/OWNER/NAME, above which there is no file


def is_table_name(name: str) -> bool:
    """Whether a file has the name of a table of texts."""
    return bool(_TABLE.search(name)) and not _BESIDE.match(name)


def table_files(folder: Path) -> list[Path]:
    """The tables of a data set's folder, sorted; none if it holds other files, too, and is no data set.

    A folder that `save_to_disk` wrote names its files; leftovers of a cache beside them are left out.
    """
    if (folder / "dataset_dict.json").is_file():
        return sorted(path for state in folder.glob("*/state.json") for path in _saved(state.parent))
    if (folder / "state.json").is_file() and (saved := _saved(folder)):
        return saved
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and not _is_hidden(path, folder)]
    tables = [path for path in files if is_table_name(path.name)]
    others = [path for path in files if not is_table_name(path.name) and not _BESIDE.match(path.name)]
    return [] if others and read_card(folder / CARD) is None else tables


def _saved(folder: Path) -> list[Path]:
    """The files that a state.json of `datasets` names."""
    try:
        names = [each["filename"] for each in json.loads((folder / "state.json").read_bytes())["_data_files"]]
    except (OSError, ValueError, LookupError, TypeError):
        return []
    return sorted(folder / Path(str(name)).name for name in names)


def _is_hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def card_of(table: Path) -> Path | None:
    """The card of the data set that a table is in: beside it, or up to three folders above; None without one."""
    if not is_table_name(table.name):
        return None
    folder = table.parent
    for _ in range(_DEPTH + 1):
        if str(folder).startswith("hf://") and str(folder).count("/") < _HUB_SLASHES:
            break
        if storage.is_file(folder / CARD) and read_card(folder / CARD) is not None:
            return folder / CARD
        if folder.parent == folder:
            break
        folder = folder.parent
    return None


def read_card(path: Path) -> dict[str, object] | None:
    """The YAML head of a card; None for a file that is missing or has no such head."""
    try:
        with storage.open_binary(path) as file:
            text = file.read(_CARD_BYTES).decode("utf-8", "replace")
    except OSError:
        return None
    import yaml

    head = re.match(r"---\s*\n(.*?\n)---\s*(\n|$)", text, re.DOTALL)
    try:
        values = yaml.safe_load(head[1]) if head else None
    except (yaml.YAMLError, RecursionError):
        return None
    return values if isinstance(values, dict) else None


def licence_of_card(path: Path) -> str | None:
    """The licence that a card states, as it states it; several are joined by AND."""
    values = read_card(path) or {}
    stated = values.get("license_name") if values.get("license") == "other" else values.get("license")
    names = stated if isinstance(stated, list) else [stated]
    return " AND ".join(str(name) for name in names if name) or None
