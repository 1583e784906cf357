"""The columns of a document, declared once. Nothing is ever inferred from a first row.

Names are those that FineWeb-2 publishes. A stage writes `id`, the columns it adds, and `drop`; text is stored where it
is made (extract) and where it is changed (redact), and nowhere else. `drop` is null for a kept row, else
`<stage>.<reason>`.
"""

import pyarrow as pa

ID = pa.field("id", pa.string(), nullable=False)
DROP = pa.field("drop", pa.string())

_LABELS = pa.list_(pa.struct([pa.field("label", pa.string()), pa.field("score", pa.float32())]))

INDEX = pa.schema(
    [
        ID,  # WARC-Record-ID, or a digest of source and offset where the record has none
        pa.field("url", pa.string()),
        pa.field("date", pa.string()),  # ISO 8601, UTC
        pa.field("file_path", pa.string(), nullable=False),  # the archive as the user named it, without folders
        pa.field("offset", pa.int64(), nullable=False),  # bytes, of the record in the archive as stored
        pa.field("kind", pa.string()),  # WARC record type, or "wet"
        pa.field("status", pa.int16()),  # HTTP
        pa.field("content_type", pa.string()),
        pa.field("payload_bytes", pa.int64()),
        pa.field("charset", pa.string()),
        pa.field("charset_from", pa.string()),  # bom, http, meta, utf-8, detector
        pa.field("quick_chars", pa.int32()),  # length of the quick plain text
        pa.field("signals", pa.list_(pa.string())),  # what the page says of its use: see filters.programs.use_signals
        pa.field("languages", _LABELS),  # top 3 of the quick plain text
        pa.field("path", pa.string()),  # of a file of a source tree: where it lies in it
        pa.field("license", pa.string()),  # of such a file: an SPDX expression
        DROP,
    ]
)

EXTRACT = pa.schema(
    [
        ID,
        pa.field("text", pa.string()),
        pa.field("extractor", pa.string()),  # which engine and settings ran
        pa.field("language", pa.string()),  # ISO 639-3
        pa.field("language_script", pa.string()),  # ISO 15924
        pa.field("language_score", pa.float32()),
        pa.field("top_langs", _LABELS),
        DROP,
    ]
)

VERDICT = pa.schema(
    [
        ID,
        pa.field("failed", pa.list_(pa.string())),  # every bound that was crossed; `drop` names the first
        DROP,
    ]
)

# Lines cut out because their source repeats them: by which rule, where in the text before, how often they stood there.
LINES = pa.list_(
    pa.struct(
        [
            pa.field("rule", pa.string()),
            pa.field("start", pa.int32()),
            pa.field("end", pa.int32()),
            pa.field("times", pa.int32()),  # in its source
        ]
    )
)

DEDUP = pa.schema(
    [
        ID,
        pa.field("duplicate_of", pa.string()),  # id of the document that was kept instead
        pa.field("release", pa.string()),  # where that document is, where it is in an earlier one: name and version
        pa.field("jaccard", pa.float32()),  # exact, of the shingle sets; 1 for an exact copy
        pa.field("minhash_cluster_size", pa.int32()),  # on the kept row: itself and all it stands for
        pa.field(
            "lines", LINES
        ),  # what goes of the text of extract; of a removed copy: would, were it ever put in place
        DROP,
    ]
)

_SPANS = pa.list_(
    pa.struct([pa.field("kind", pa.string()), pa.field("start", pa.int32()), pa.field("end", pa.int32())])
)

REDACT = pa.schema(
    [
        ID,
        pa.field("text", pa.string()),  # without repeated lines, after redaction
        pa.field("url", pa.string()),  # without e-mail addresses in it
        pa.field("pii", _SPANS),  # characters of the text before redaction, lines cut out; never the value itself
        DROP,
    ]
)

DOCUMENT = pa.schema(
    [
        pa.field("text", pa.string(), nullable=False),
        ID,
        pa.field("url", pa.string()),
        pa.field("date", pa.string()),
        pa.field("file_path", pa.string()),
        pa.field("offset", pa.int64()),
        pa.field("language", pa.string()),
        pa.field("language_script", pa.string()),
        pa.field("language_score", pa.float32()),
        pa.field("minhash_cluster_size", pa.int32()),
        pa.field("top_langs", _LABELS),
        pa.field("lines", LINES),
        pa.field("pii", _SPANS),
        pa.field("signals", pa.list_(pa.string())),
    ]
)
