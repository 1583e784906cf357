"""The columns of a document, declared once and never inferred from rows.

The names are those that FineWeb-2 publishes. A stage writes `id`, the columns it adds, and `drop`, which is null for a
kept row and `<stage>.<reason>` for a dropped one. Text is stored where it is made (extract) and where it is changed
(redact), and nowhere else.
"""

import pyarrow as pa

ID = pa.field("id", pa.string(), nullable=False)
DROP = pa.field("drop", pa.string())

_LABELS = pa.list_(pa.struct([pa.field("label", pa.string()), pa.field("score", pa.float32())]))
# Where each page or chapter of a document begins in its text, in characters; null for other texts
_PAGE_STARTS = pa.field("page_starts", pa.list_(pa.int32()))

INDEX = pa.schema(
    [
        ID,  # WARC-Record-ID; if the record has none, a digest of source and offset
        pa.field("url", pa.string()),
        pa.field("date", pa.string()),  # ISO 8601, UTC
        pa.field("file_path", pa.string(), nullable=False),  # name of the archive, without folders
        pa.field("offset", pa.int64(), nullable=False),  # of the record in the stored archive, in bytes
        pa.field("kind", pa.string()),  # WARC record type, or "wet"
        pa.field("status", pa.int16()),  # HTTP
        pa.field("content_type", pa.string()),
        pa.field("payload_bytes", pa.int64()),
        pa.field("charset", pa.string()),
        pa.field("charset_from", pa.string()),  # bom, http, meta, utf-8, detector
        pa.field("quick_chars", pa.int32()),  # characters of the quick plain text
        pa.field("use_signals", pa.list_(pa.string())),  # what the page says about its use: see filters/programs
        pa.field("languages", _LABELS),  # the 3 likeliest of the quick plain text
        pa.field("path", pa.string()),  # of a file in a source tree, below the tree's root
        pa.field("license", pa.string()),  # of a file (SPDX), as a table of texts states it, or of the source
        pa.field("source", pa.string()),  # of the catalogue that was read; null without one
        DROP,
    ]
)

EXTRACT = pa.schema(
    [
        ID,
        pa.field("text", pa.string()),
        pa.field("extractor", pa.string()),  # the engine and its settings
        pa.field("language", pa.string()),  # ISO 639-3
        pa.field("language_script", pa.string()),  # ISO 15924
        pa.field("language_score", pa.float32()),
        pa.field("top_langs", _LABELS),
        pa.field("share", pa.float32()),  # of a page's characters that the learned extractor took
        pa.field("pages", pa.int32()),  # of a document: pages, slides or chapters
        _PAGE_STARTS,
        pa.field("producer", pa.string()),  # the program that made a document, as the document says
        pa.field("judged_chars", pa.int64()),  # of the main text of a page dropped for its language
        pa.field("judged_start", pa.string()),  # how that text begins
        DROP,
    ]
)

VERDICT = pa.schema(
    [
        ID,
        pa.field("failed", pa.list_(pa.string())),  # all bounds that were crossed; `drop` names the first
        DROP,
    ]
)

PASSAGE_RULE = "passage"  # the rule of a passage that stands in other documents, too
# Lines and passages that were removed because they are repeated: the rule, the place in the extracted text, how often.
LINES = pa.list_(
    pa.struct(
        [
            pa.field("rule", pa.string()),
            pa.field("start", pa.int32()),
            pa.field("end", pa.int32()),
            pa.field("times", pa.int32()),  # that the line occurs in its source, or the passage anywhere
        ]
    )
)

DEDUP = pa.schema(
    [
        ID,
        pa.field("duplicate_of", pa.string()),  # id of the document that was kept instead
        pa.field("release", pa.string()),  # name and version of the earlier release that has that document, if one has
        pa.field("jaccard", pa.float32()),  # of the shingle sets, exact; 1 for an exact copy
        pa.field("minhash_cluster_size", pa.int32()),  # on the kept row: itself and all its copies
        # Lines and passages removed from the extracted text. For a dropped copy: lines to remove if it is promoted.
        pa.field("lines", LINES),
        DROP,
    ]
)

_SPANS = pa.list_(
    pa.struct([pa.field("kind", pa.string()), pa.field("start", pa.int32()), pa.field("end", pa.int32())])
)

REDACT = pa.schema(
    [
        ID,
        pa.field("text", pa.string()),  # without repeated lines, redacted
        pa.field("url", pa.string()),  # without e-mail addresses
        _PAGE_STARTS,
        pa.field("pii", _SPANS),  # in characters of the text before redaction, without repeated lines; never the value
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
        _PAGE_STARTS,
        pa.field("lines", LINES),
        pa.field("pii", _SPANS),
        pa.field("use_signals", pa.list_(pa.string())),
        pa.field("license", pa.string()),  # as the source states it; null for pages of a crawl
        pa.field("source", pa.string()),  # of the catalogue that was read; null without one
    ]
)
