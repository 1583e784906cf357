"""Folders of tables: data sets of the Hub and of `save_to_disk`, as the files of rows in them; and their cards.

A card is a README.md that begins with YAML between two lines of dashes. Nothing slow is imported here.
"""

import json
import re
from pathlib import Path

import yaml

from roots import storage

CARD = "README.md"
_TABLE = re.compile(r"\.(parquet|arrow|(jsonl|ndjson|json|csv|tsv|txt)(\.(gz|zst|bz2|xz))?)$", re.IGNORECASE)
_BESIDE = re.compile(
    r"^(\..*|README.*|LICEN[CS]E.*|.*\.md|dataset_infos?\.json|dataset_dict\.json|state\.json|manifest\.json)$",
    re.IGNORECASE,
)
_DEPTH = 3  # folders above a table in which its card may be
_CARD_BYTES = 1 << 20


def _is_table_name(name: str) -> bool:
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
    tables = [path for path in files if _is_table_name(path.name)]
    others = [path for path in files if not _is_table_name(path.name) and not _BESIDE.match(path.name)]
    return [] if others and _read_card(folder / CARD) is None else tables


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
    if not _is_table_name(table.name):
        return None
    folder = table.parent
    for _ in range(_DEPTH + 1):
        if storage.is_file(folder / CARD) and _read_card(folder / CARD) is not None:
            return folder / CARD
        if folder.parent == folder:
            break
        folder = folder.parent
    return None


def _read_card(path: Path) -> dict[str, object] | None:
    """The YAML head of a card; None for a file that is missing or has no such head."""
    try:
        with storage.open_binary(path) as file:
            text = file.read(_CARD_BYTES).decode("utf-8", "replace")
    except OSError:
        return None
    head = re.match(r"---\s*\n(.*?\n)---\s*(\n|$)", text, re.DOTALL)
    try:
        values = yaml.safe_load(head[1]) if head else None
    except (yaml.YAMLError, RecursionError):
        return None
    return values if isinstance(values, dict) else None


def licence_of_card(path: Path) -> str | None:
    """The licence that a card states, as it states it; several are joined by AND."""
    values = _read_card(path) or {}
    stated = values.get("license_name") if values.get("license") == "other" else values.get("license")
    names = stated if isinstance(stated, list) else [stated]
    return " AND ".join(str(name) for name in names if name) or None
