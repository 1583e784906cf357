"""Which source a document belongs to: what repeats its lines, what may lose too much, what `scope = source` separates.

host         the host of its URL; without a URL, its archive
file         its archive
catalogue    its source in a catalogue (pipelines.catalogue); its host, if the catalogue does not list it
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from filters.near_duplicates.signatures import text_digests
from pipelines.catalogue import UNLISTED, Catalogue, load_catalogue
from roots.settings import as_values

# For a whole column at once; unlike addresses.host_of it keeps a dot at the end and cuts IPv6 at its first colon.
_HOST = r"^[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#@]*@)?(?P<host>[^/?#:]*)"
_READ = ("url", "file_path")  # columns that a source is found from
CATALOGUE_COLUMNS = ("source", "license")  # added from a catalogue, unless an earlier stage has them


@dataclass(frozen=True)
class SourceRule:
    """How the source of a document is found, and the catalogue by value: {source: its fields}."""

    rule: str
    catalogue: Mapping[str, Mapping[str, Any]]

    @classmethod
    def read(cls, rule: str, catalogue: str) -> "SourceRule":
        """Read the catalogue at a path; "" for none."""
        sources = load_catalogue(catalogue).sources
        return cls(rule, {name: as_values(source) for name, source in sources.items()})

    def columns(self, known: Collection[str]) -> list[str]:
        """The columns, of those `known`, that a source is found from."""
        return [name for name in _READ if name in known]

    def names(self, batch: pa.RecordBatch) -> pa.Array:
        """The source of each document; "" if it has neither URL nor archive."""
        files = batch["file_path"].fill_null("") if "file_path" in batch.schema.names else _empty_texts(batch)
        if self.rule == "file":
            return files
        urls = batch["url"].fill_null("") if "url" in batch.schema.names else _empty_texts(batch)
        hosts = pc.utf8_lower(pc.struct_field(pc.extract_regex(urls, _HOST), [0]).fill_null(""))
        hosts = pc.if_else(pc.equal(hosts, ""), files, hosts)
        if self.rule == "host":
            return hosts
        found = self._catalogued(batch)
        return pc.if_else(pc.equal(found, UNLISTED), hosts, found)

    def digests(self, batch: pa.RecordBatch) -> npt.NDArray[np.uint64]:
        """A digest of each document's source, never 0; uint64 (rows,)."""
        return np.maximum(text_digests(self.names(batch), 3), np.uint64(1))

    def with_rights(self, batch: pa.RecordBatch, wanted: Collection[str]) -> pa.RecordBatch:
        """The batch with the columns `source` and `license` from the catalogue, if wanted and missing."""
        missing = [name for name in CATALOGUE_COLUMNS if name in wanted and name not in batch.schema.names]
        if not missing:
            return batch
        found = self._catalogued(batch)
        licenses = {name: source["license"] for name, source in self.catalogue.items()}
        columns = {
            "source": found,
            "license": pa.array([licenses.get(name) for name in found.to_pylist()], pa.string()),
        }
        for name in missing:
            batch = batch.append_column(name, columns[name])
        return batch

    def _catalogued(self, batch: pa.RecordBatch) -> pa.Array:
        catalogue = Catalogue.of_values(self.catalogue)
        urls, files = (
            batch[name].to_pylist() if name in batch.schema.names else [None] * batch.num_rows for name in _READ
        )
        return pa.array([catalogue.source_of(*each) for each in zip(urls, files, strict=True)], pa.string())


def _empty_texts(batch: pa.RecordBatch) -> pa.Array:
    return pa.repeat("", batch.num_rows)
