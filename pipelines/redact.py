"""redact: replace personal data in the text and the address of every document kept so far.

This stage stores the text again, so it also removes the lines that dedup found repeated. It stores the kind and span of
each replacement, in characters of the text before redaction and after the removal of lines; it never stores the value.
"""

import hashlib
import hmac
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypedDict

import pyarrow as pa

from filters.language import Language
from filters.personal_data import (
    CODE_KINDS,
    DEFAULT_KINDS,
    REDACTION_PRESETS,
    Span,
    find_spans,
    redact,
    redact_url,
    regions_of,
    replacements,
)
from filters.text.words import moved, remove_spans
from pipelines.job.languages import is_program
from pipelines.job.settings import RedactSettings
from roots.schema import REDACT
from roots.shards import open_shard, read_kept
from roots.stage import Stage

_BATCH_BYTES = 8 << 20  # of text in a batch, about 2 for each character


class _Removed(TypedDict):
    """A line that dedup removes, in characters of extract's text."""

    start: int
    end: int


@dataclass(frozen=True)
class Redact(RedactSettings, Stage):
    """The stage: its settings, with the kinds and the style that they leave to the preset."""

    name: ClassVar[str] = "redact"
    version: ClassVar[int] = 4  # 4: page_starts
    schema: ClassVar[pa.Schema] = REDACT

    secret_digest: str = field(default="", init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        preset = REDACTION_PRESETS[self.preset]
        chosen = self.kinds or (DEFAULT_KINDS if self.preset == "ours" else preset.kinds)
        object.__setattr__(self, "kinds", tuple(kind for kind in preset.kinds if kind in chosen))
        object.__setattr__(self, "style", self.style or preset.style)
        if self.style == "synthetic":
            digest = hmac.new(self.secret(), b"roots.redact", hashlib.sha256).hexdigest()[:16]
            object.__setattr__(self, "secret_digest", digest)

    def make(self, name: str, sources: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        """Redact the documents that the chain `sources` keeps, without their repeated lines."""
        rows: list[dict[str, Any]] = []
        size = 0
        stored = {name for path in sources for name in open_shard(path).schema_arrow.names}
        columns = ["id", "text", "language", *(name for name in ("lines", "url", "page_starts") if name in stored)]
        for batch in read_kept(sources, columns):
            for row in batch.to_pylist():
                rows.append({**self.redacted(row), "url": self.address(row.get("url"))})
                size += 2 * len(rows[-1]["text"] or "")
                if size >= _BATCH_BYTES:
                    yield pa.RecordBatch.from_pylist(rows, self.schema)
                    rows, size = [], 0
        if rows:
            yield pa.RecordBatch.from_pylist(rows, self.schema)

    def secret_of(self, identity: str) -> bytes:
        """The secret of one document, so that replacements do not link the documents of one person."""
        if self.style != "synthetic":
            return b""
        return hmac.new(self.secret(), identity.encode(), hashlib.sha256).digest()

    def address(self, url: str | None) -> str | None:
        """The address of a page, without an e-mail address in it."""
        return redact_url(url) if url and "email" in self.kinds else url

    def redacted(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """The row of a document as extract and dedup left it, without its address."""
        text, language, secret = edited(row["text"], row.get("lines")), row["language"], self.secret_of(row["id"])
        kinds = CODE_KINDS if self.kinds == DEFAULT_KINDS and language and is_program(language) else self.kinds
        spans = find_spans(text, kinds, regions_of(language), self.preset)
        dropped = 0 < self.drop_over < len(spans)
        return {
            "id": row["id"],
            "text": None if dropped else redact(text, spans, self.style, secret),
            "page_starts": None if dropped else self._page_starts(row, text, spans),
            "pii": [span._asdict() for span in spans],
            "drop": "redact.too_many" if dropped else None,
        }

    def _page_starts(self, row: Mapping[str, Any], text: str, spans: Sequence[Span]) -> list[int] | None:
        """Where the pages of a document begin in its redacted text."""
        if not row.get("page_starts"):
            return None
        lines = _spans_of(row.get("lines"))
        new = replacements(text, spans, self.style, self.secret_of(row["id"]))
        starts = moved(row["page_starts"], lines, [0] * len(lines))
        return moved(starts, [(span.start, span.end) for span in spans], list(map(len, new)))


def make_redact(settings: RedactSettings, language: Language | None) -> Redact:
    """Make the stage, which is the same for every language."""
    return Redact(**vars(settings))


def edited(text: str | None, lines: Sequence[_Removed] | None) -> str:
    """The text of extract without the lines that dedup removes."""
    return remove_spans(text or "", _spans_of(lines))


def _spans_of(lines: Sequence[_Removed] | None) -> list[tuple[int, int]]:
    return [(line["start"], line["end"]) for line in lines or ()]
