"""redact: personal data out of the text of every document kept so far, by span.

The text is stored here for the second time, so here it also loses the lines that dedup found repeated. The spans (kind,
start, end) are stored, counted in characters of the text before redaction and after that; the values are nowhere.
A page's address may hold an e-mail address, too: what follows this stage has the address without it.
"""

import hashlib
import hmac
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from filters.near_duplicates.repeated_lines import without
from filters.personal_data import DEFAULT_KINDS, PRESETS, STYLES, find, redact, redact_url, regions_of
from roots.errors import unknown_name
from roots.schema import REDACT
from roots.shards import open_shard, read_kept
from roots.stage import ASIDE, Stage

BATCH_BYTES = 8 << 20  # of text after redaction
_SECRET_BYTES = 16  # fewer could be guessed


@dataclass(frozen=True)
class Redact(Stage):
    """Find personal data of `kinds` by the rules of a `preset`, replace it in `style`.

    No kinds named: those of the preset that are on by default. No style named: the preset's own. A document with more
    than `drop_over` spans is dropped as `redact.too_many`; 0 drops none. The style "synthetic" needs `secret_file`,
    whose bytes decide the stand-ins; only a digest of it is kept, so that another secret makes other shards.
    """

    name: ClassVar[str] = "redact"
    version: ClassVar[int] = 2  # 2: addresses; lists of years are no identity numbers
    schema: ClassVar[pa.Schema] = REDACT

    preset: str = "ours"
    kinds: tuple[str, ...] = ()
    style: str = ""
    drop_over: int = 0
    secret_file: str = field(default="", metadata=ASIDE)
    secret_digest: str = field(default="", init=False)

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise ValueError(unknown_name("preset", self.preset, PRESETS))
        preset = PRESETS[self.preset]
        for kind in self.kinds:
            if kind not in preset.kinds:
                raise ValueError(unknown_name("kind of personal data", kind, preset.kinds))
        if self.style and self.style not in STYLES:
            raise ValueError(unknown_name("style of redaction", self.style, STYLES))
        if self.drop_over < 0:
            raise ValueError(f"drop_over = {self.drop_over}: 0 or more is needed")
        on = DEFAULT_KINDS if self.preset == "ours" else preset.kinds
        chosen = self.kinds or on
        object.__setattr__(self, "kinds", tuple(kind for kind in preset.kinds if kind in chosen))
        object.__setattr__(self, "style", self.style or preset.style)
        if self.style == "synthetic":
            digest = hmac.new(self._secret(), b"roots.redact", hashlib.sha256).hexdigest()[:16]
            object.__setattr__(self, "secret_digest", digest)

    def _secret(self) -> bytes:
        if not self.secret_file:
            raise ValueError("style synthetic needs a secret: name a file of random bytes with redact.secret_file=PATH")
        try:
            secret = Path(self.secret_file).read_bytes()
        except OSError as error:
            raise ValueError(f"cannot read secret_file {self.secret_file}: {error.strerror}") from None
        if len(secret) < _SECRET_BYTES:
            raise ValueError(
                f"secret_file {self.secret_file} has {len(secret)} bytes: {_SECRET_BYTES} or more are needed"
            )
        return secret

    def make(self, name: str, sources: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        """Redact what the chain `sources` (index, extract, measure, filter, dedup) keeps, repeated lines cut out."""
        rows: list[dict[str, Any]] = []
        size = 0
        stored = {name for path in sources for name in open_shard(path).schema_arrow.names}
        columns = ["id", "text", "language", *(name for name in ("lines", "url") if name in stored)]
        for batch in read_kept(sources, columns):
            for row in batch.to_pylist():
                text = edited(row["text"], row.get("lines"))
                rows.append({**self.redacted(row["id"], text, row["language"]), "url": self.address(row.get("url"))})
                size += 2 * len(rows[-1]["text"] or "")
                if size >= BATCH_BYTES:
                    yield pa.RecordBatch.from_pylist(rows, self.schema)
                    rows, size = [], 0
        if rows:
            yield pa.RecordBatch.from_pylist(rows, self.schema)

    def secret_of(self, identity: str) -> bytes:
        """The secret of one document: a person cannot be followed from one to another by the stand-in."""
        if self.style != "synthetic":
            return b""
        return hmac.new(self._secret(), identity.encode(), hashlib.sha256).digest()

    def address(self, url: str | None) -> str | None:
        """A page's address as it may be seen."""
        return redact_url(url) if url and "email" in self.kinds else url

    def redacted(self, identity: str, text: str, language: str | None) -> dict[str, Any]:
        """The row of one document."""
        spans = find(text, self.kinds, regions_of(language), self.preset)
        dropped = 0 < self.drop_over < len(spans)
        return {
            "id": identity,
            "text": None if dropped else redact(text, spans, self.style, self.secret_of(identity)),
            "pii": [span._asdict() for span in spans],
            "drop": "redact.too_many" if dropped else None,
        }


def edited(text: str | None, lines: Sequence[Mapping[str, Any]] | None) -> str:
    """The text of extract without the lines that dedup takes from it: what redact reads."""
    return without(text or "", [(line["start"], line["end"]) for line in lines or ()])
