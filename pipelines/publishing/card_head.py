"""Parts of a release's card: its head in the Hub's YAML, and the Markdown cells and tables of its body.

The head has configs, dataset_info, licence, languages and size.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping

import pyarrow as pa

from pipelines.job.languages import is_program
from pipelines.release import LanguageEntry, ReleaseManifest, schema_of

_SIZES = (
    (10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"),
    (10**8, "10M<n<100M"), (10**9, "100M<n<1B"), (10**10, "1B<n<10B"), (10**11, "10B<n<100B"), (10**12, "100B<n<1T"),
)  # fmt: skip
LICENSE_FILE = "LICENSE.md"  # the Hub accepts a file of this name in the repository, or a URL


def make_head(manifest: ReleaseManifest) -> str:
    """The metadata of a release as YAML, without the lines of hyphens around it."""
    return "\n".join(_yaml(_metadata(manifest)))


def _metadata(manifest: ReleaseManifest) -> dict[str, object]:
    """The metadata of a release, with the keys that the Hub defines."""
    languages, settings = manifest["languages"], manifest["settings"]
    rows = sum(split["rows"] for each in languages.values() for split in each["splits"].values())
    known: dict[str, object] = {
        "pretty_name": manifest["name"],
        "license": settings["license"],
        "language": sorted({each["code"] for tag, each in languages.items() if not is_program(tag)}),
        "multilinguality": ["multilingual" if len(languages) > 1 else "monolingual"],
        "task_categories": ["text-generation"],
        "size_categories": [next((name for bound, name in _SIZES if rows < bound), "n>1T")],
    }
    if settings["license"] == "other":
        known["license_name"] = "see-sources"
        known["license_link"] = settings["license_link"] or LICENSE_FILE
    known["configs"] = [
        {
            "config_name": tag,
            "data_files": [{"split": split, "path": f"data/{tag}/{split}-*.parquet"} for split in each["splits"]],
        }
        for tag, each in sorted(languages.items())
    ]
    known["dataset_info"] = [_dataset_info(tag, each) for tag, each in sorted(languages.items())]
    return {key: value for key, value in known.items() if value not in ([], "")}


def _dataset_info(tag: str, language: LanguageEntry) -> dict[str, object]:
    splits = language["splits"]
    return {
        "config_name": tag,
        "features": [_feature(field) for field in schema_of(f"data/{tag}")],
        "splits": [
            {"name": split, "num_bytes": counts["text_bytes"], "num_examples": counts["rows"]}
            for split, counts in splits.items()
        ],
        "download_size": sum(counts["bytes"] for counts in splits.values()),
        "dataset_size": sum(counts["text_bytes"] for counts in splits.values()),
    }


def _feature(field: pa.Field) -> dict[str, object]:
    """A column as the Hub describes features."""
    names = {pa.string(): "string", pa.float32(): "float32", pa.int32(): "int32", pa.int64(): "int64"}
    if not pa.types.is_list(field.type):
        return {"name": field.name, "dtype": names[field.type]}
    inner = field.type.value_type
    parts = [_feature(part) for part in inner] if pa.types.is_struct(inner) else names[inner]
    return {"name": field.name, "list": parts}


def _yaml(value: object, indent: str = "") -> Iterator[str]:
    """Block YAML of maps, lists and scalars; text is quoted as JSON, which is valid YAML 1.2."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if isinstance(inner, Mapping | list):
                yield f"{indent}{key}:"
                yield from _yaml(inner, indent + ("  " if isinstance(inner, Mapping) else ""))
            else:
                yield f"{indent}{key}: {json.dumps(inner, ensure_ascii=False)}"
    elif isinstance(value, list):
        for item in value:
            if isinstance(item, Mapping):
                first, *rest = _yaml(item, indent + "  ")
                yield f"{indent}- {first.strip()}"
                yield from rest
            else:
                yield f"{indent}- {json.dumps(item, ensure_ascii=False)}"


def escape(value: object) -> str:
    """Text as Markdown shows it literally, on one line, also in a cell of a table."""
    text = " ".join(str(value).split())
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]()#+!|~$])", r"\\\1", text)


def code(value: object) -> str:
    """A name in a code span, without characters that could end the span or the cell of a table."""
    return f"`{re.sub(r'[`|]', '', ' '.join(str(value).split()))}`"


class Code(str):
    """A cell that is shown in a code span."""


def card_table(head: tuple[str, ...], rows: Iterable[tuple[object, ...]], none: str = "None.") -> Iterator[str]:
    """A table; columns of numbers are aligned to the right. Without rows, the sentence `none`."""
    cells = list(rows)
    if not cells:
        yield none
        return
    numeric = [all(isinstance(row[place], int) for row in cells) for place in range(len(head))]
    yield "| " + " | ".join(head) + " |"
    yield "|" + "|".join(" ---: " if right else " --- " for right in numeric) + "|"
    for row in cells:
        yield "| " + " | ".join(map(_cell, row)) + " |"


def _cell(value: object) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return code(value) if isinstance(value, Code) else escape(value)
