"""The card of a release: README.md, made from its manifest alone.

The head is the Hub's YAML; the body has the sections that readers of data sets expect. All that comes from outside is
escaped: a source's name may hold anything.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipelines.publishing.card_head import LICENSE_FILE, Code, code, escape, make_head, table
from pipelines.stages import STAGES
from roots import shards


def write_card(release: Path, manifest: Mapping[str, Any]) -> None:
    """Write README.md of a release, and LICENSE.md where its licence is none that has a name."""
    shards.write_text(release / "README.md", make_card(manifest))
    if manifest["settings"]["license"] == "other" and not manifest["settings"]["license_link"]:
        shards.write_text(release / LICENSE_FILE, "\n".join(_license_text(manifest)))


def make_card(manifest: Mapping[str, Any]) -> str:
    """The card as text."""
    body = "\n".join(line for section in _SECTIONS for line in (*section(manifest), ""))
    return f"---\n{make_head(manifest)}\n---\n\n{body}"


def _languages(manifest: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    return sorted(manifest["languages"].items())


def _total(language: Mapping[str, Any], key: str) -> int:
    return sum(int(split[key]) for split in language["splits"].values())


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "-"


def _what_it_is(manifest: Mapping[str, Any]) -> Iterator[str]:
    """Title and table of languages."""
    yield f"# {escape(manifest['name'])} {manifest['version']}"
    yield ""
    yield "Text for training language models, taken from web archives. Each document can be traced to its archive and"
    yield "to its place in it; what was dropped, and why, is counted below."
    yield ""
    rows = (
        (
            Code(tag), each["name"], _total(each, "rows"), each["words"], _total(each, "characters"),
            _total(each, "text_bytes"), _dropped(each),
        )
        for tag, each in _languages(manifest)
    )  # fmt: skip
    yield from table(("Language", "Name", "Documents", "Words", "Characters", "Bytes (UTF-8)", "Dropped"), rows)
    yield ""
    yield "Words are those of all documents that passed every stage, before redaction and before any source was left"
    yield "out. Dropped: of the documents extracted in the language, those that filters and deduplication removed."


def _dropped(language: Mapping[str, Any]) -> str:
    extracted = language["stages"]["extract"]["kept"]
    return _share(extracted - language["stages"]["redact"]["kept"], extracted)


def _how_to_load(manifest: Mapping[str, Any]) -> Iterator[str]:
    """Code that loads and streams it, its columns and splits."""
    tag = next((tag for tag, _ in _languages(manifest)), None)
    yield "## How to load it"
    yield ""
    if tag is None:
        yield "Nothing is left to load."
        return
    name = _plain(manifest["settings"].get("repo") or "path/to/this/folder")
    yield "```python"
    yield "from datasets import load_dataset"
    yield ""
    yield f'documents = load_dataset("{name}", "{tag}", split="train")'
    yield f'stream = load_dataset("{name}", "{tag}", split="train", streaming=True)'
    yield "```"
    yield ""
    rows = (
        (Code(tag), split, counts["rows"], counts["characters"], counts["bytes"])
        for tag, each in _languages(manifest)
        for split, counts in each["splits"].items()
    )
    yield from table(("Language", "Split", "Documents", "Characters", "Bytes on disk"), rows)
    yield ""
    yield "Columns: `text`, `id` (WARC-Record-ID), `url`, `date`, `file_path` and `offset` (the archive's record),"
    yield "`language`, `language_script`, `language_score`, `minhash_cluster_size`, `top_langs`, `lines` (what was"
    yield "cut out because its source repeats it), `pii` (kind, start and end of what was replaced, in characters of"
    yield "the text before), `signals` (what the page says of its use by machines), `source`, `license`."


def _plain(text: str) -> str:
    """A name without what could end a string of code."""
    return re.sub(r"[^\w./-]", "-", text)


def _processing(manifest: Mapping[str, Any]) -> Iterator[str]:
    """Stages, how many documents each kept, and their settings by value."""
    yield "## How it was made"
    yield ""
    for stage, row in STAGES.items():
        yield f"- **{stage}**: {row.summary}"
    yield ""
    yield "Documents that each stage kept (index: of all records of the archives):"
    yield ""
    rows = (
        (Code(tag), each["stages"].get("index", {}).get("rows", 0), *_kept(each["stages"]))
        for tag, each in _languages(manifest)
    )
    yield from table(("Language", "Records", *STAGES), rows)
    yield ""
    yield "<details><summary>Settings by value</summary>"
    yield ""
    shared, own = _settings(manifest)
    yield from table(("Stage", "Setting", "Value"), shared)
    if own:
        yield ""
        yield "Where languages differ:"
        yield ""
        yield from table(("Language", "Stage", "Setting", "Value"), own)
    yield ""
    versions = sorted({f"{n} {v}" for _, each in _languages(manifest) for n, v in each["made_by"].items()})
    yield f"Made by {escape(', '.join(versions))}."
    yield ""
    yield "</details>"


def _kept(stages: Mapping[str, Any]) -> list[int]:
    return [stages[stage]["kept"] if stage in stages else 0 for stage in STAGES]


def _settings(manifest: Mapping[str, Any]) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
    """The settings that all languages share, and those in which they differ, as rows of tables."""
    shared: list[tuple[object, ...]] = []
    own: list[tuple[object, ...]] = []
    for stage in STAGES:
        values: dict[str, dict[str, str]] = {}
        for tag, each in _languages(manifest):
            known = each["stages"].get(stage, {}).get("settings", {})
            for key, value in (each.get("dedup", {}).get("settings", known) if stage == "dedup" else known).items():
                if not STAGES[stage].final:  # how it was cut there does not show in a release
                    values.setdefault(key, {})[tag] = _said(value)
        for key, by_language in sorted(values.items()):
            if len(set(by_language.values())) == 1:
                shared.append((stage, Code(key), next(iter(by_language.values()))))
            else:
                own += [(Code(tag), stage, Code(key), text) for tag, text in by_language.items()]
    return shared, sorted(own, key=lambda row: (str(row[0]), list(STAGES).index(str(row[1]))))


def _said(value: Any) -> str:
    """A setting's value in a cell."""
    if isinstance(value, list):
        return ", ".join(map(_said, value)) or "none"
    if isinstance(value, Mapping) and set(value) == {"signal", "min", "max"}:
        low, high = (None if value[end] is None else f"{value[end]:g}" for end in ("min", "max"))
        bound = f"{low} to {high}" if low and high else f"at least {low}" if low else f"at most {high}"
        return f"{value['signal']} {bound}"
    if isinstance(value, Mapping):
        return "; ".join(f"{key}: {_said(inner)}" for key, inner in value.items())
    return value if isinstance(value, str) and value else json.dumps(value)


def drops(manifest: Mapping[str, Any]) -> Iterator[str]:
    """Why documents were dropped."""
    yield "## What was dropped, and why"
    yield ""
    rows = (
        (Code(tag), Code(reason), count)
        for tag, each in _languages(manifest)
        for stage in STAGES
        if stage in each["stages"] and not STAGES[stage].shared
        for reason, count in each["stages"][stage]["drops"].items()
        if reason != "extract.other_language"
    )
    yield from table(("Language", "Reason", "Documents"), rows)
    rights = manifest.get("rights", {})
    signals = ", ".join(map(code, rights.get("refuse_signals", ())))
    yield ""
    if signals:
        yield f"A page that says of itself {signals} is left out of the release."
        yield ""
    left = (
        (Code(tag), Code(reason), count)
        for tag, each in _languages(manifest)
        for reason, count in each["left_out"].items()
    )
    yield from table(("Language", "Left out for", "Documents"), left, "Nothing was left out of this release.")


def duplicates(manifest: Mapping[str, Any]) -> Iterator[str]:
    """Copies."""
    yield "## Duplicates"
    yield ""
    found = [(tag, each["stages"]["dedup"]) for tag, each in _languages(manifest)]
    reasons = sorted({reason for _, stage in found for reason in stage["drops"]})
    rows = (
        (
            Code(tag), *(stage["drops"].get(reason, 0) for reason in reasons),
            _share(sum(stage["drops"].values()), stage["rows"]),
            manifest["files"].get(f"clusters/{tag}.parquet", {}).get("rows", 0),
        )
        for tag, stage in found
    )  # fmt: skip
    yield from table(("Language", *map(code, reasons), "Share removed", "Of released documents"), rows)
    yield ""
    yield "A near-duplicate is removed only where the exact Jaccard similarity to the very document that is kept passes"
    yield "the threshold. `clusters/` has every removed copy of a released document, its address and what it copies."
    pairs = [
        (Code(tag), f"{each['from']:g} to {each['to']:g}", each["pairs"], f"{each['resolved']:.1%}")
        for tag, language in _languages(manifest)
        for each in language.get("dedup", {}).get("pairs", ())
    ]
    if pairs:
        yield ""
        yield "Pairs that a sample has when compared with all documents, and how many of them were resolved:"
        yield ""
        yield from table(("Language", "Jaccard", "Pairs", "Resolved"), pairs)


def _personal_data(manifest: Mapping[str, Any]) -> Iterator[str]:
    """What was replaced."""
    yield "## Personal and sensitive information"
    yield ""
    ways = {
        (
            each["stages"]["redact"]["settings"].get("preset", "-"),
            each["stages"]["redact"]["settings"].get("style", "-"),
        )
        for _, each in _languages(manifest)
    }
    for preset, style in sorted(ways):
        yield f"Found by the rules of the preset {code(preset)}, replaced in the style {code(style)}:"
    yield ""
    rows = (
        (Code(tag), Code(kind), count, f"{1e6 * count / max(_total(each, 'characters'), 1):.1f}")
        for tag, each in _languages(manifest)
        for kind, count in each["pii"].items()
    )
    yield from table(("Language", "Kind", "Replaced", "In a million characters"), rows, "Nothing was found.")
    yield ""
    yield "Names of persons are not replaced, nor is what no rule knows. `roots pii kinds` says what each kind is;"
    yield "`roots pii eval` prints precision and recall by kind and language. If you find personal data, write to the"
    yield "contact below."


def limits(manifest: Mapping[str, Any]) -> Iterator[str]:
    """What a reader must know."""
    yield "## Known limits"
    yield ""
    settings = manifest["settings"]
    if settings.get("unredacted"):
        yield "- **Personal data were not taken out of all of this text.**"
    if settings.get("unverified"):
        yield "- **It was published without a check that every row is accounted for.**"
    yield "- Web text has the biases of who writes on the web, and of which sites were crawled."
    yield "- Language identification errs on short texts and among close languages: see `language_score`, `top_langs`."
    yield "- Filters measure form, not truth: false and offensive statements are in it."
    yield "- Main-text extraction drops tables, captions and some lists."
    yield "- Personal data are found by form and check digits; what has none, such as a name, stays."


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
            Code(tag), known.get(source, {}).get("name", source), known.get(source, {}).get("custodian", "unknown"),
            known.get(source, {}).get("license", "unknown"), known.get(source, {}).get("availability", "unknown"),
            known.get(source, {}).get("personal_information", "unclear"), counts["rows"], counts["text_bytes"],
        )
        for tag, each in _languages(manifest)
        for source, counts in each["sources"].items()
    )  # fmt: skip
    head = ("Language", "Source", "Custodian", "Licence", "Availability", "Personal information", "Documents", "Bytes")
    yield from table(head, rows)
    yield ""
    yield "## Takedown"
    yield ""
    yield f"To have a page, a site or a source taken out, write to {escape(settings['contact'])}, naming addresses"
    yield "(URLs), domains or ids. A takedown makes a new version of this release, without waiting for the next one."


def _license_text(manifest: Mapping[str, Any]) -> Iterator[str]:
    """What holds for a collection whose licence has no name of its own."""
    yield f"# Licences of {escape(manifest['name'])}"
    yield ""
    yield "The texts of this collection are under the licences of their sources, which the columns `source` and"
    yield "`license` name for each document; where a source is not listed, its licence is unknown to us, and the rights"
    yield "to the text stay with its author or publisher. Whoever uses a text must keep to its licence."
    yield ""
    rows = (
        (source["name"], source.get("custodian", "unknown"), source["license"], source.get("homepage") or "-")
        for _, source in sorted(manifest["sources"].items())
    )
    yield from table(("Source", "Custodian", "Licence", "Address"), rows, "No source is listed.")
    yield ""
    yield f"Takedown: {escape(manifest['settings']['contact'])}"
    yield ""


def history(manifest: Mapping[str, Any]) -> Iterator[str]:
    """Versions and citation."""
    yield "## Versions"
    yield ""
    rows = ((each["version"], each["date"] or "-", each["note"]) for each in reversed(manifest["history"]))
    yield from table(("Version", "Date", "Changes"), rows)
    yield ""
    yield "## Citation"
    yield ""
    name = _plain(manifest["name"])
    key = re.sub(r"\W", "", name).lower()
    yield "```bibtex"
    citation = manifest["settings"]["citation"].replace("```", "")
    yield citation or f"@misc{{{key},\n  title = {{{name}}},\n  version = {{{manifest['version']}}}\n}}"
    yield "```"


_SECTIONS = (_what_it_is, _how_to_load, _processing, drops, duplicates, _personal_data, limits, sources, history)
