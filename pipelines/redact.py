"""redact: personal data out of the text of every document kept so far, by span.

The spans (kind, start, end) are stored, counted in characters of the text before redaction; the values are nowhere.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from filters.personal_data import DEFAULT_KINDS, KINDS, STYLES, find, redact
from roots.errors import unknown_name
from roots.schema import REDACT
from roots.shards import read_kept

BATCH_BYTES = 8 << 20  # of text after redaction


@dataclass(frozen=True)
class Redact:
    """Find personal data of `kinds`, replace it in `style`.

    A document with more than `drop_over` spans is dropped as `redact.too_many`; 0 drops none.
    """

    name: ClassVar[str] = "redact"
    version: ClassVar[int] = 1
    schema: ClassVar[pa.Schema] = REDACT

    kinds: tuple[str, ...] = DEFAULT_KINDS
    style: str = "roots"
    drop_over: int = 0

    def __post_init__(self) -> None:
        for kind in self.kinds:
            if kind not in KINDS:
                raise ValueError(unknown_name("kind of personal data", kind, KINDS))
        if self.style not in STYLES:
            raise ValueError(unknown_name("style of redaction", self.style, STYLES))
        if self.drop_over < 0:
            raise ValueError(f"drop_over = {self.drop_over}: 0 or more is needed")

    def make(self, name: str, sources: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        """Redact what the chain `sources` (index, extract, measure, filter, dedup) keeps."""
        rows: list[dict[str, Any]] = []
        size = 0
        for batch in read_kept(sources, ["id", "text"]):
            for identity, text in zip(batch["id"], batch["text"], strict=True):
                row = self._row(identity.as_py(), text.as_py() or "")
                rows.append(row)
                size += len(row["text"] or "") * 2
                if size >= BATCH_BYTES:
                    yield pa.RecordBatch.from_pylist(rows, self.schema)
                    rows, size = [], 0
        if rows:
            yield pa.RecordBatch.from_pylist(rows, self.schema)

    def _row(self, identity: str, text: str) -> dict[str, Any]:
        spans = find(text, self.kinds)
        dropped = 0 < self.drop_over < len(spans)
        return {
            "id": identity,
            "text": None if dropped else redact(text, spans, self.style),
            "pii": [span._asdict() for span in spans],
            "drop": "redact.too_many" if dropped else None,
        }
