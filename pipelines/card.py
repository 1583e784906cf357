"""The card of a release: README.md, made from its manifest alone.

The head is the Hub's YAML (configs, dataset_info, licence, languages, size); the body has the sections that readers of
data sets expect. All that comes from outside is escaped: a source's name may hold anything.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipelines.release import RELEASED
from roots import shards

SIZES = (
    (10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"),
    (10**8, "10M<n<100M"), (10**9, "100M<n<1B"), (10**10, "1B<n<10B"), (10**11, "10B<n<100B"), (10**12, "100B<n<1T"),
)  # fmt: skip
STAGES = {
    "index": "read the archives, find charsets, name languages of the quick plain text",
    "extract": "main text, language of the main text",
    "measure": "signals of every document",
    "filter": "signals against the language's bounds",
    "dedup": "exact and near-duplicates, each removal with a verified pair",
    "redact": "personal data replaced by tags, by span",
    "shard": "split by a hash of the id",
}


def write_card(release: Path, manifest: Mapping[str, Any]) -> None:
    """Write README.md of a release."""
    shards.write_text(release / "README.md", make_card(manifest))


def make_card(manifest: Mapping[str, Any]) -> str:
    """The card as text."""
    head = "\n".join(_yaml(_metadata(manifest)))
    body = "\n".join(line for section in SECTIONS for line in (*section(manifest), ""))
    return f"---\n{head}\n---\n\n{body}"


def escape(value: object) -> str:
    """Text as Markdown shows it literally, on one line, in a table cell too."""
    text = " ".join(str(value).split())
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]()#+!|~$-])", r"\\\1", text)


def _metadata(manifest: Mapping[str, Any]) -> dict[str, Any]:
    languages = manifest["languages"]
    rows = sum(split["rows"] for each in languages.values() for split in each["splits"].values())
    metadata: dict[str, Any] = {
        "pretty_name": manifest["name"],
        "license": manifest["settings"]["license"],
        "language": sorted({each["code"] for each in languages.values()}),
        "task_categories": ["text-generation"],
        "size_categories": [next((name for bound, name in SIZES if rows < bound), "n>1T")],
    }
    if manifest["settings"]["license"] == "other":
        metadata["license_name"] = "see-sources"
        metadata["license_link"] = manifest["settings"]["license_link"] or "README.md"
    metadata["configs"] = [
        {
            "config_name": tag,
            "data_files": [{"split": split, "path": f"data/{tag}/{split}-*.parquet"} for split in each["splits"]],
        }
        for tag, each in sorted(languages.items())
    ]
    metadata["dataset_info"] = [_dataset_info(tag, each) for tag, each in sorted(languages.items())]
    return metadata


def _dataset_info(tag: str, language: Mapping[str, Any]) -> dict[str, Any]:
    splits = language["splits"]
    return {
        "config_name": tag,
        "features": [_feature(field) for field in RELEASED],
        "splits": [
            {"name": split, "num_bytes": counts["text_bytes"], "num_examples": counts["rows"]}
            for split, counts in splits.items()
        ],
        "download_size": sum(counts["bytes"] for counts in splits.values()),
        "dataset_size": sum(counts["text_bytes"] for counts in splits.values()),
    }


def _feature(field: pa.Field) -> dict[str, Any]:
    """A column as the Hub writes features."""
    names = {pa.string(): "string", pa.float32(): "float32", pa.int32(): "int32", pa.int64(): "int64"}
    if not pa.types.is_list(field.type):
        return {"name": field.name, "dtype": names[field.type]}
    inner = field.type.value_type
    parts = [_feature(part) for part in inner] if pa.types.is_struct(inner) else names[inner]
    return {"name": field.name, "list": parts}


def _yaml(value: Any, indent: str = "") -> Iterator[str]:
    """Block YAML of maps, lists and scalars; text is quoted as JSON, which YAML 1.2 contains."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if isinstance(inner, Mapping | list):
                yield f"{indent}{key}:"
                yield from _yaml(inner, indent + ("  " if isinstance(inner, Mapping) else ""))
            else:
                yield f"{indent}{key}: {json.dumps(inner, ensure_ascii=False)}"
    else:
        for item in value:
            if isinstance(item, Mapping):
                first, *rest = _yaml(item, indent + "  ")
                yield f"{indent}- {first.strip()}"
                yield from rest
            else:
                yield f"{indent}- {json.dumps(item, ensure_ascii=False)}"


def _table(head: tuple[str, ...], rows: Iterator[tuple[object, ...]]) -> Iterator[str]:
    yield "| " + " | ".join(head) + " |"
    yield "|" + "|".join(" --- " if not place else " ---: " for place in range(len(head))) + "|"
    for row in rows:
        yield "| " + " | ".join(f"{cell:,}" if isinstance(cell, int) else escape(cell) for cell in row) + " |"


def _total(language: Mapping[str, Any], key: str) -> int:
    return sum(int(split[key]) for split in language["splits"].values())


def what_it_is(manifest: Mapping[str, Any]) -> Iterator[str]:
    """Title and table of languages."""
    yield f"# {escape(manifest['name'])} {manifest['version']}"
    yield ""
    yield "Text for training language models, taken from web archives."
    yield "Each document can be traced to its archive and the offset in it."
    yield ""
    rows = (
        (
            tag, each["name"], _total(each, "rows"), each["words"], _total(each, "characters"),
            _total(each, "text_bytes"), _share_dropped(each),
        )
        for tag, each in sorted(manifest["languages"].items())
    )  # fmt: skip
    yield from _table(("Language", "Name", "Documents", "Words", "Characters", "Bytes (UTF-8)", "Dropped"), rows)
    yield ""
    yield "Words are those of the documents before redaction and before sources were left out. Dropped: of the"
    yield "documents in the language that were extracted, those that filters and deduplication removed."


def _share_dropped(language: Mapping[str, Any]) -> str:
    extracted = language["stages"]["extract"]["kept"]
    kept = language["stages"]["redact"]["kept"]
    return f"{1 - kept / extracted:.1%}" if extracted else "-"


def how_to_load(manifest: Mapping[str, Any]) -> Iterator[str]:
    """Code that loads and streams it."""
    tag = next(iter(sorted(manifest["languages"])))
    yield "## How to load it"
    yield ""
    yield "```python"
    yield "from datasets import load_dataset"
    yield ""
    yield f'documents = load_dataset("{_plain(manifest["name"])}", "{tag}", split="train")'
    yield f'stream = load_dataset("{_plain(manifest["name"])}", "{tag}", split="train", streaming=True)'
    yield "```"
    yield ""
    yield "Columns: `text`, `id` (WARC-Record-ID), `url`, `date`, `file_path` and `offset` (the archive's record),"
    yield "`language`, `language_script`, `language_score`, `minhash_cluster_size`, `top_langs`, `pii` (kind, start and"
    yield "end of what was replaced, in characters of the text before), `signals` (what the page says of its use by"
    yield "machines), `source`, `license`."


def _plain(text: str) -> str:
    """A name without what could end a string of code."""
    return re.sub(r"[^\w./-]", "-", text)


def processing(manifest: Mapping[str, Any]) -> Iterator[str]:
    """Stages with their settings, a language."""
    yield "## How it was made"
    for tag, each in sorted(manifest["languages"].items()):
        yield ""
        yield f"### {tag}"
        yield ""
        rows = (
            (stage, STAGES[stage], counts["rows"], counts["kept"])
            for stage, counts in ((stage, each["stages"][stage]) for stage in STAGES if stage in each["stages"])
        )
        yield from _table(("Stage", "What it does", "Documents in", "Kept"), rows)
        yield ""
        yield "<details><summary>Settings by value</summary>"
        yield ""
        for stage in STAGES:
            if stage in each["stages"] and stage != "shard":
                text = json.dumps(each["stages"][stage]["settings"], sort_keys=True, ensure_ascii=True)
                yield f"- {stage}: {escape(text)}"
        yield ""
        versions = ", ".join(f"{name} {number}" for name, number in sorted(each["made_by"].items()))
        yield f"Made by {escape(versions)}."
        yield ""
        yield "</details>"


def drops(manifest: Mapping[str, Any]) -> Iterator[str]:
    """Why documents were dropped."""
    yield "## What was dropped, and why"
    yield ""
    rows = (
        (tag, reason, count)
        for tag, each in sorted(manifest["languages"].items())
        for stage in STAGES
        if stage in each["stages"] and stage != "index"
        for reason, count in each["stages"][stage]["drops"].items()
        if reason != "extract.other_language"
    )
    yield from _table(("Language", "Reason", "Documents"), rows)
    left = [
        (tag, reason, count)
        for tag, each in sorted(manifest["languages"].items())
        for reason, count in each["left_out"].items()
    ]
    if left:
        yield ""
        yield "Left out of this release for their rights:"
        yield ""
        yield from _table(("Language", "Reason", "Documents"), iter(left))


def duplicates(manifest: Mapping[str, Any]) -> Iterator[str]:
    """Copies and personal data."""
    yield "## Duplicates"
    yield ""
    rows = (
        (
            tag,
            drops_.get("dedup.exact", 0),
            drops_.get("dedup.near", 0),
            manifest["files"][f"clusters/{tag}.parquet"]["rows"],
        )
        for tag, drops_ in (
            (tag, each["stages"]["dedup"]["drops"]) for tag, each in sorted(manifest["languages"].items())
        )
    )
    yield from _table(("Language", "Exact copies removed", "Near copies removed", "Of released documents"), rows)
    yield ""
    yield "`clusters/` has every removed copy of a released document, its address and what it is a copy of."


def personal_data(manifest: Mapping[str, Any]) -> Iterator[str]:
    """What was replaced."""
    yield "## Personal and sensitive information"
    yield ""
    rows = (
        (tag, kind, count) for tag, each in sorted(manifest["languages"].items()) for kind, count in each["pii"].items()
    )
    yield from _table(("Language", "Kind", "Replaced"), rows)
    yield ""
    yield "Names of persons are not replaced, nor is what no rule knows. `roots pii eval` prints precision and recall"
    yield "by kind and language. If you find personal data, write to the contact below."


def limits(manifest: Mapping[str, Any]) -> Iterator[str]:
    """What a reader must know."""
    yield "## Known limits"
    yield ""
    yield "- Web text has the biases of who writes on the web, and of which sites were crawled."
    yield "- Language identification errs on short texts and among close languages: see `language_score`, `top_langs`."
    yield "- Filters measure form, not truth: false and offensive statements are in it."
    yield "- Main-text extraction drops tables, captions and some lists."


def sources(manifest: Mapping[str, Any]) -> Iterator[str]:
    """Whose text it is, under which licence, and how to have it taken out."""
    settings = manifest["settings"]
    yield "## Sources and licences"
    yield ""
    yield f"The collection is under the licence `{_plain(settings['license'])}`; every text keeps that of its source."
    yield ""
    known = manifest["sources"]
    rows = (
        (
            tag, known.get(source, {}).get("name", source), known.get(source, {}).get("custodian", "unknown"),
            known.get(source, {}).get("license", "unknown"), known.get(source, {}).get("availability", "unknown"),
            known.get(source, {}).get("personal_information", "unclear"), counts["rows"], counts["text_bytes"],
        )
        for tag, each in sorted(manifest["languages"].items())
        for source, counts in each["sources"].items()
    )  # fmt: skip
    head = ("Language", "Source", "Custodian", "Licence", "Availability", "Personal information", "Documents", "Bytes")
    yield from _table(head, rows)
    yield ""
    yield "## Takedown"
    yield ""
    yield f"To have a page, a site or a source taken out, write to {escape(settings['contact'])}, naming addresses"
    yield "(URLs), domains or ids. A takedown makes a new version of this release, without waiting for the next one."


def history(manifest: Mapping[str, Any]) -> Iterator[str]:
    """Versions and citation."""
    yield "## Versions"
    yield ""
    rows = ((each["version"], each["date"] or "-", each["note"]) for each in reversed(manifest["history"]))
    yield from _table(("Version", "Date", "Changes"), rows)
    yield ""
    yield "## Citation"
    yield ""
    name = _plain(manifest["name"])
    key = re.sub(r"\W", "", name).lower()
    yield "```bibtex"
    citation = manifest["settings"]["citation"].replace("```", "")
    yield citation or f"@misc{{{key},\n  title = {{{name}}},\n  version = {{{manifest['version']}}}\n}}"
    yield "```"


SECTIONS = (what_it_is, how_to_load, processing, drops, duplicates, personal_data, limits, sources, history)
