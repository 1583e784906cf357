"""promote: a dropped copy takes the place of a released document that must go.

The copy's text is in the work folder; it gets the same redaction as all others, by the settings of the manifest.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipelines import work as folders
from pipelines.catalogue import Catalogue
from pipelines.redact import Redact, edited
from pipelines.release import RELEASED
from roots import shards
from roots.errors import InputError
from roots.settings import build


def promoted_rows(
    work: Path, language: Mapping[str, Any], manifest: Mapping[str, Any], ids: frozenset[str]
) -> dict[str, dict[str, Any]]:
    """The rows of these copies as a release has them, by id.

    Raises InputError when the work folder is not the one of the release, or lacks some of them.
    """
    code = str(language["code"])
    path = work / code / "manifest.json"
    if not path.is_file() or json.loads(path.read_text(encoding="utf-8"))["inputs"] != language["inputs"]:
        raise InputError(f"{work} is not the work folder this release was made from: its archives are others")
    settings = {key: value for key, value in language["stages"]["redact"]["settings"].items() if key != "secret_digest"}
    stage: Redact = build(Redact, settings, "redact")
    catalogue = Catalogue.of_values(manifest["sources"])
    later = ("minhash_cluster_size", "lines", "pii", "source", "license")
    columns = [name for name in RELEASED.names if name not in later]
    rows: dict[str, dict[str, Any]] = {}
    for shard in folders.shards_of_dedup(work, code):
        lines = _lines(shard, ids)
        for batch in shards.read_kept(folders.chain(work, shard.parent.parent.name, shard.name, "dedup"), columns):
            for row in batch.to_pylist():
                if row["id"] in ids:
                    cut = lines.get(row["id"])
                    redacted = stage.redacted(row["id"], edited(row["text"], cut), row["language"])
                    source = catalogue.source_of(row["url"], row["file_path"])
                    rows[row["id"]] = {
                        **row,
                        "url": stage.address(row["url"]),
                        "text": redacted["text"],
                        "lines": cut,
                        "pii": redacted["pii"],
                        "minhash_cluster_size": None,
                        "source": source,
                        "license": catalogue.license_of(source),
                    }
    missing = sorted(ids - set(rows))
    if missing:
        raise InputError(f"{work} has no text of {len(missing)} copies that should take a place")
    return rows


def _lines(path: Path, ids: frozenset[str]) -> dict[str, list[dict[str, Any]]]:
    """What goes of the texts of some copies: dedup edits them as if they stood in the place they now take."""
    found: dict[str, list[dict[str, Any]]] = {}
    for batch in shards.read(path, ["id", "lines"]):
        some = batch.filter(pc.is_in(batch["id"], pa.array(sorted(ids), pa.string())))
        found.update(zip(some["id"].to_pylist(), some["lines"].to_pylist(), strict=True))
    return found
