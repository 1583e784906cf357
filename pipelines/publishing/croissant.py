"""croissant.json of a release: what it holds, for machines, in Croissant 1.1 with the fields of responsible AI.

It comes from the manifest alone, so a takedown renews it. Specification: MLCommons Croissant 1.1 (January 2026) and
Croissant RAI 1.0. A language has a file set, its splits, and a record set with a field for each column.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

import pyarrow as pa

from pipelines.job.languages import is_program
from pipelines.job.stages import STAGES
from pipelines.release import LanguageEntry, ReleaseManifest, schema_of
from roots.atomic import write_text

CROISSANT_FILE = "croissant.json"
_REPOSITORY = "repo"
_CONTEXT: dict[str, object] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "prov": "http://www.w3.org/ns/prov#",
    "dct": "http://purl.org/dc/terms/",
    "conformsTo": "dct:conformsTo",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    **{
        name: f"cr:{name}"
        for name in (
            "arrayShape", "equivalentProperty", "excludes", "extract", "field", "fileObject", "fileProperty", "fileSet",
            "format", "includes", "isArray", "isLiveDataset", "jsonPath", "key", "md5", "parentField", "recordSet",
            "references", "regex", "separator", "source", "subField", "transform", "value",
        )
    },
}  # fmt: skip
_TYPES = {pa.string(): "sc:Text", pa.float32(): "cr:Float32", pa.int32(): "cr:Int32", pa.int64(): "cr:Int64"}


def write_croissant(release: Path, manifest: ReleaseManifest, citation: str) -> None:
    """Write croissant.json of a release."""
    text = json.dumps(_describe(manifest, citation), indent=1, ensure_ascii=False) + "\n"
    write_text(release / CROISSANT_FILE, text)


def _describe(manifest: ReleaseManifest, citation: str) -> dict[str, object]:
    """The description of a release, with the keys that Croissant defines; those without a value are left out."""
    settings, languages = manifest["settings"], sorted(manifest["languages"].items())
    repo, last = str(settings.get("repo", "")), manifest["history"][-1]
    rows = sum(split["rows"] for _, each in languages for split in each["splits"].values())
    address = f"https://huggingface.co/datasets/{repo}" if repo else ""
    found: dict[str, object] = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": ["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"],
        "name": manifest["name"],
        "description": f"{rows:,} documents of text in {', '.join(each['name'] for _, each in languages)}, "
        "each traceable to the archive it came from.",
        "license": settings["license_link"] or settings["license"],
        "url": address,
        "creator": {"@type": "sc:Organization", "name": settings["contact"]},
        "datePublished": manifest["history"][0]["date"],
        "dateModified": last["date"],
        "version": manifest["version"],
        "citeAs": citation,
        "inLanguage": sorted({each["code"] for tag, each in languages if not is_program(tag)}),
        "distribution": [_repository(address), *(_files(tag) for tag, _ in languages), *_single_files(manifest)],
        "recordSet": [part for tag, each in languages for part in (_splits(tag, each), _records(tag, each))],
        **_responsible(manifest),
        **_provenance(manifest),
    }
    return {key: value for key, value in found.items() if value not in ("", [], None)}


def _repository(address: str) -> dict[str, object]:
    """The folder of the release. It has no digest of its own; those of its files follow."""
    return {
        "@type": "cr:FileObject",
        "@id": _REPOSITORY,
        "name": _REPOSITORY,
        "description": "the folder of the release; its files have digests of their own",
        "contentUrl": address or ".",
        "encodingFormat": "git+https",
        "sha256": "0" * 64,
    }


def _files(tag: str) -> dict[str, object]:
    return {
        "@type": "cr:FileSet",
        "@id": f"files-{tag}",
        "name": f"files-{tag}",
        "containedIn": {"@id": _REPOSITORY},
        "encodingFormat": "application/x-parquet",
        "includes": f"data/{tag}/*.parquet",
    }


def _single_files(manifest: ReleaseManifest) -> Iterator[dict[str, object]]:
    """Every file of documents with its size and digest."""
    for name, entry in sorted(manifest["files"].items()):
        if name.startswith("data/"):
            yield {
                "@type": "cr:FileObject",
                "@id": name.replace("/", "-"),
                "name": name,
                "contentUrl": name,
                "contentSize": f"{entry['bytes']} B",
                "encodingFormat": "application/x-parquet",
                "sha256": entry["sha256"],
            }


def _splits(tag: str, language: LanguageEntry) -> dict[str, object]:
    """The names of the splits of a language, with their documents."""
    field = f"splits-{tag}/name"
    return {
        "@type": "cr:RecordSet",
        "@id": f"splits-{tag}",
        "name": f"splits-{tag}",
        "description": ", ".join(f"{name}: {split['rows']:,} documents" for name, split in language["splits"].items()),
        "dataType": "cr:Split",
        "key": {"@id": field},
        "field": [{"@type": "cr:Field", "@id": field, "name": "name", "dataType": "sc:Text"}],
        "data": [{field: name} for name in language["splits"]],
    }


def _records(tag: str, language: LanguageEntry) -> dict[str, object]:
    """The documents of a language: their split, and a field for each column."""
    splits = "|".join(language["splits"])
    files = {"fileSet": {"@id": f"files-{tag}"}}
    split = {
        "@type": "cr:Field",
        "@id": f"{tag}/split",
        "name": "split",
        "dataType": "sc:Text",
        "source": {
            **files,
            "extract": {"fileProperty": "fullpath"},
            "transform": {"regex": f"data/{tag}/({splits})-.+parquet$"},
        },
        "references": {"field": {"@id": f"splits-{tag}/name"}},
    }
    schema = schema_of(f"data/{tag}")
    nested = [column for column in schema if _is_nested(column)]
    columns = [_field(tag, column) for column in schema if not _is_nested(column)]
    others = "; ".join(f"{each.name} ({', '.join(part.name for part in each.type.value_type)})" for each in nested)
    return {
        "@type": "cr:RecordSet",
        "@id": tag,
        "name": tag,
        "description": f"{language['name']}; the files also have lists of records: {others}",
        "field": [split, *columns],
    }


def _is_nested(column: pa.Field) -> bool:
    """Whether a column is a list of records, which mlcroissant 1.1.1 cannot read."""
    return bool(pa.types.is_list(column.type) and pa.types.is_struct(column.type.value_type))


def _field(tag: str, column: pa.Field) -> dict[str, object]:
    """A column of texts or numbers, or of lists of them."""
    kind = column.type.value_type if pa.types.is_list(column.type) else column.type
    found: dict[str, object] = {
        "@type": "cr:Field",
        "@id": f"{tag}/{column.name}",
        "name": column.name,
        "dataType": _TYPES[kind],
        "source": {"fileSet": {"@id": f"files-{tag}"}, "extract": {"column": column.name}},
    }
    return found | ({"isArray": True, "arrayShape": "-1"} if kind != column.type else {})


def _responsible(manifest: ReleaseManifest) -> dict[str, object]:
    """How the data were collected and changed, and what of persons is in them: Croissant RAI 1.0."""
    languages, settings = manifest["languages"], manifest["settings"]
    pii = sum((Counter(each["pii"]) for each in languages.values()), Counter[str]())
    left_out = sum((Counter(each["left_out"]) for each in languages.values()), Counter[str]())
    inputs = {name for each in languages.values() for name in each["inputs"]}
    types = ["Web Scraping"] if inputs else []
    types += ["Secondary Data analysis"] if any(each.get("data_sets") for each in languages.values()) else []
    types += ["Software Collection"] if any(map(is_program, languages)) else []
    kinds = ", ".join(f"{kind} {count:,}" for kind, count in pii.most_common())
    missing = ", ".join(f"{reason} {count:,}" for reason, count in left_out.most_common())
    return {
        "rai:dataCollection": f"{len(inputs):,} inputs; the manifest names each with its sha256.",
        "rai:dataCollectionType": types,
        "rai:dataCollectionMissingData": f"Documents left out by their rights: {missing}." if missing else "",
        "rai:dataPreprocessingProtocol": [*_steps(languages)],
        "rai:personalSensitiveInformation": f"Replaced in the text: {kinds}."
        if kinds
        else "No personal data were replaced.",
        "rai:dataReleaseMaintenancePlan": f"Requests for removal go to {settings['contact']}; each takedown is a new "
        "version, in the history of the manifest.",
    }


def _steps(languages: Mapping[str, LanguageEntry]) -> Iterator[str]:
    """The stages that documents went through, in order, with what they keep of all languages together."""
    for name, stage in STAGES.items():
        made = [each["stages"][name] for each in languages.values() if name in each["stages"]]
        if made:
            rows, kept = sum(each["rows"] for each in made), sum(each["kept"] for each in made)
            yield f"{name} (version {made[0]['version']}): {stage.summary} {kept:,} of {rows:,} rows kept."


def _provenance(manifest: ReleaseManifest) -> dict[str, object]:
    """What the release was derived from: data sets of the Hub and the sources of a catalogue (PROV-O)."""
    urls = {url for each in manifest["languages"].values() for url in each.get("data_sets", {})}
    derived = [{"@id": url} for url in sorted(urls)]
    custodians = {str(source.get("custodian") or "") for source in manifest["sources"].values()} - {""}
    agents = [{"@type": "prov:Agent", "prov:label": name} for name in sorted(custodians)]
    return cast(dict[str, object], {"prov:wasDerivedFrom": derived, "prov:wasAttributedTo": agents})
