"""The card of a release: README.md, made from the manifest alone.

The head is the Hub's YAML. The body has the sections that readers of data sets expect. Values from outside, such as the
name of a source, are escaped.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from pipelines.dataset import StageEntry
from pipelines.extraction.extractors import unsure_lines
from pipelines.job.languages import is_program
from pipelines.job.stages import STAGES
from pipelines.publishing.card_head import LICENSE_FILE, Code, card_table, code, escape, make_head
from pipelines.publishing.croissant import write_croissant
from pipelines.release import LanguageEntry, ReleaseManifest
from roots.atomic import write_text


def write_release_card(release: Path, manifest: ReleaseManifest) -> None:
    """Write README.md and croissant.json of a release.

    LICENSE.md is written, too, if the licence is `other` and no link names its text.
    """
    write_text(release / "README.md", _make_card(manifest))
    write_croissant(release, manifest, _citation(manifest))
    if manifest["settings"]["license"] == "other" and not manifest["settings"]["license_link"]:
        write_text(release / LICENSE_FILE, "\n".join(_license_text(manifest)))


def _make_card(manifest: ReleaseManifest) -> str:
    """The card, as Markdown with a YAML head."""
    body = "\n".join(line for section in _SECTIONS for line in (*section(manifest), ""))
    return f"---\n{make_head(manifest)}\n---\n\n{body}"


def _languages(manifest: ReleaseManifest) -> list[tuple[str, LanguageEntry]]:
    return sorted(manifest["languages"].items())


def _total(language: LanguageEntry, key: str) -> int:
    return sum(int(split[key]) for split in language["splits"].values())


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "-"


def _what_it_is(manifest: ReleaseManifest) -> Iterator[str]:
    """Title and table of languages."""
    yield f"# {escape(manifest['name'])} {manifest['version']}"
    yield ""
    yield "Text for training language models, from web archives. Each document names its archive and its place in it."
    yield "The tables below count what was dropped, and why."
    yield ""
    rows = (
        (
            Code(tag), each["name"], _total(each, "rows"), each["words"] or "-", _total(each, "characters"),
            _total(each, "text_bytes"), _dropped(each),
        )
        for tag, each in _languages(manifest)
    )  # fmt: skip
    yield from card_table(("Language", "Name", "Documents", "Words", "Characters", "Bytes (UTF-8)", "Dropped"), rows)
    yield ""
    yield "Words: in all documents that passed every stage, before redaction and before sources were left out. Dropped:"
    yield "the share of the documents extracted in the language that filters and deduplication removed."


def _dropped(language: LanguageEntry) -> str:
    extracted = language["stages"]["extract"]["kept"]
    return _share(extracted - language["stages"]["redact"]["kept"], extracted)


def _how_to_load(manifest: ReleaseManifest) -> Iterator[str]:
    """Code that loads and streams it, the splits, and the columns."""
    tag = next((tag for tag, _ in _languages(manifest)), None)
    yield "## How to load it"
    yield ""
    if tag is None:
        yield "This release has no documents left."
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
    yield from card_table(("Language", "Split", "Documents", "Characters", "Bytes on disk"), rows)
    yield ""
    yield "Columns: `text`, `id` (WARC-Record-ID), `url`, `date`, `file_path` and `offset` (the archive's record),"
    yield "`language`, `language_script`, `language_score`, `minhash_cluster_size`, `top_langs`, `lines` (lines and"
    yield "passages that were cut out because they are repeated), `pii` (kind, start and end of each replaced span, in"
    yield "characters of the text before), `page_starts` (of PDF and books: where each page or chapter begins in the"
    yield "text, in characters), `use_signals` (what the page says about its use by machines), `source` and `license`."
    if any(is_program(tag) for tag in manifest["languages"]):
        yield "Programs also have the `path` of their file."


def _plain(text: str) -> str:
    """A name without characters that could end a string in code."""
    return re.sub(r"[^\w./-]", "-", text)


def _processing(manifest: ReleaseManifest) -> Iterator[str]:
    """The stages, how many documents each kept, and their settings by value."""
    yield "## How it was made"
    yield ""
    for stage, row in STAGES.items():
        yield f"- **{stage}**: {row.summary}"
    yield ""
    yield "Documents that each stage kept (index: out of all records of the archives):"
    yield ""
    rows = (
        (Code(tag), each["stages"]["index"]["rows"] if "index" in each["stages"] else 0, *_kept(each["stages"]))
        for tag, each in _languages(manifest)
    )
    yield from card_table(("Language", "Records", *STAGES), rows)
    yield ""
    yield "<details><summary>Settings by value</summary>"
    yield ""
    shared, own = _settings(manifest)
    yield from card_table(("Stage", "Setting", "Value"), shared)
    if own:
        yield ""
        yield "Where languages differ:"
        yield ""
        yield from card_table(("Language", "Stage", "Setting", "Value"), own)
    stages = [stage for _, each in _languages(manifest) for name, stage in each["stages"].items() if name != "index"]
    if apart := {source for stage in stages for source in stage.get("apart", {})}:
        yield ""
        yield f"{len(apart)} sources have settings of their own: they are under `apart` in manifest.json."
    yield ""
    versions = sorted({f"{n} {v}" for _, each in _languages(manifest) for n, v in each["made_by"].items()})
    yield f"Made by {escape(', '.join(versions))}."
    yield ""
    yield "</details>"


def _kept(stages: Mapping[str, StageEntry]) -> list[int]:
    return [stages[stage]["kept"] if stage in stages else 0 for stage in STAGES]


def _settings(manifest: ReleaseManifest) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
    """Rows for two tables: settings that all languages share, and settings in which they differ."""
    shared: list[tuple[object, ...]] = []
    own: list[tuple[object, ...]] = []
    for stage in STAGES:
        values: dict[str, dict[str, str]] = {}
        for tag, each in _languages(manifest):
            for key, value in _settings_of(each, stage).items():
                values.setdefault(key, {})[tag] = _said(value)
        for key, by_language in sorted(values.items()):
            if len(set(by_language.values())) == 1:
                shared.append((stage, Code(key), next(iter(by_language.values()))))
            else:
                own += [(Code(tag), stage, Code(key), text) for tag, text in by_language.items()]
    return shared, sorted(own, key=lambda row: (str(row[0]), list(STAGES).index(str(row[1]))))


def _settings_of(language: LanguageEntry, stage: str) -> Mapping[str, object]:
    """The settings of a stage. Those of the last are left out: the cut into shards does not show in a release."""
    if stage not in language["stages"] or STAGES[stage].final:
        return {}
    own: Mapping[str, object] = language["stages"][stage]["settings"]
    return language["dedup"].get("settings", own) if stage == "dedup" else own


def _said(value: object) -> str:
    """A setting's value, as text for a cell."""
    if isinstance(value, list):
        return ", ".join(map(_said, value)) or "none"
    if isinstance(value, Mapping) and set(value) == {"signal", "min", "max"}:
        low, high = (None if value[end] is None else f"{value[end]:g}" for end in ("min", "max"))
        bound = f"{low} to {high}" if low and high else f"at least {low}" if low else f"at most {high}"
        return f"{value['signal']} {bound}"
    if isinstance(value, Mapping):
        return "; ".join(f"{key}: {_said(inner)}" for key, inner in value.items())
    return value if isinstance(value, str) and value else json.dumps(value)


def _drops(manifest: ReleaseManifest) -> Iterator[str]:
    """Why documents were dropped, and why some were left out of the release."""
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
    yield from card_table(("Language", "Reason", "Documents"), rows)
    use_signals = ", ".join(map(code, manifest["rights"].get("refuse_use_signals", ())))
    yield ""
    if use_signals:
        yield f"Pages that declare {use_signals} are left out of the release."
        yield ""
    left = (
        (Code(tag), Code(reason), count)
        for tag, each in _languages(manifest)
        for reason, count in each["left_out"].items()
    )
    yield from card_table(("Language", "Left out for", "Documents"), left, "Nothing was left out of this release.")


def _duplicates(manifest: ReleaseManifest) -> Iterator[str]:
    """Copies that were removed, and how well that worked on a sample."""
    yield "## Duplicates"
    yield ""
    found = [(tag, each["stages"]["dedup"]) for tag, each in _languages(manifest)]
    reasons = sorted({reason for _, stage in found for reason in stage["drops"]})
    rows = (
        (
            Code(tag), *(stage["drops"].get(reason, 0) for reason in reasons),
            _share(sum(stage["drops"].values()), stage["rows"]),
            _rows_of_file(manifest, f"clusters/{tag}.parquet"),
        )
        for tag, stage in found
    )  # fmt: skip
    yield from card_table(("Language", *map(code, reasons), "Share removed", "Of released documents"), rows)
    yield ""
    yield "A near-duplicate is removed only if its exact Jaccard similarity to the kept document passes the threshold."
    yield "`clusters/` lists every removed copy of a released document: its URL and the document it is a copy of."
    pairs = [
        (Code(tag), f"{each['from']:g} to {each['to']:g}", each["pairs"], f"{each['resolved']:.1%}")
        for tag, language in _languages(manifest)
        for each in language["dedup"].get("pairs", ())
    ]
    if pairs:
        yield ""
        yield "Similar pairs found when a sample is compared with all documents, and how many of them were resolved:"
        yield ""
        yield from card_table(("Language", "Jaccard", "Pairs", "Resolved"), pairs)


def _rows_of_file(manifest: ReleaseManifest, name: str) -> int:
    return manifest["files"][name]["rows"] if name in manifest["files"] else 0


def _personal_data(manifest: ReleaseManifest) -> Iterator[str]:
    """Which personal data were replaced."""
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
        yield f"Found by the preset {code(preset)}, replaced in the style {code(style)}:"
    yield ""
    rows = (
        (Code(tag), Code(kind), count, f"{1e6 * count / max(_total(each, 'characters'), 1):.1f}")
        for tag, each in _languages(manifest)
        for kind, count in each["pii"].items()
    )
    yield from card_table(("Language", "Kind", "Replaced", "In a million characters"), rows, "Nothing was found.")
    yield ""
    yield "Names of persons are not replaced, and neither are data that no rule finds. `roots pii kinds` explains each"
    yield "kind; `roots pii eval` prints precision and recall by kind and language. If you find personal data, write to"
    yield "the contact below."


def _limits(manifest: ReleaseManifest) -> Iterator[str]:
    """What a reader must know before using the text."""
    yield "## Known limits"
    yield ""
    settings = manifest["settings"]
    if settings.get("unredacted"):
        yield "- **Personal data were not removed from all of this text.**"
    if settings.get("unverified"):
        yield "- **It was published without the check that every row is accounted for.**"
    yield "- Web text has the biases of the people who write on the web, and of the choice of sites."
    yield "- Language identification makes errors on short texts and between close languages: see `language_score` and"
    yield "  `top_langs`."
    yield "- Filters measure form, not truth: the text contains false and offensive statements."
    yield "- Main-text extraction drops tables, captions and some lists."
    for tag, each in _languages(manifest):
        for line in unsure_lines(each["stages"]["extract"].get("engines", {})):
            yield f"- {code(tag)}: {line}."
    yield "- Personal data are found by form and check digits; data without these, such as names, stay."


def _sources(manifest: ReleaseManifest) -> Iterator[str]:
    """Whose text it is, under which licence, and how to have it removed."""
    settings = manifest["settings"]
    yield "## Sources and licences"
    yield ""
    yield f"The collection has the licence `{_plain(settings['license'])}`; every text keeps the licence of its source."
    if any(is_program(tag) for tag in manifest["languages"]):
        yield "A program has the licence of its own file, in `license`."
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
    yield from card_table(head, rows)
    yield ""
    if killed := [(source["name"], source["kill"]) for source in known.values() if source.get("kill")]:
        yield "Sources of the catalogue that were looked at and not read:"
        yield ""
        yield from card_table(("Source", "Why"), killed)
        yield ""
    yield "## Takedown"
    yield ""
    yield f"To have a page, a site or a source removed, write to {escape(settings['contact'])} and name URLs, domains"
    yield "or ids. A takedown makes a new version of this release; it does not wait for the next one."


def _license_text(manifest: ReleaseManifest) -> Iterator[str]:
    """LICENSE.md of a collection whose licence has no name."""
    yield f"# Licences of {escape(manifest['name'])}"
    yield ""
    yield "Each text of this collection has the licence of its source. The columns `source` and `license` name them for"
    yield "each document. If a source is not listed, we do not know its licence, and the rights to the text stay with"
    yield "its author or publisher. Anyone who uses a text must follow its licence."
    yield ""
    rows = (
        (source["name"], source.get("custodian", "unknown"), source["license"], source.get("homepage") or "-")
        for _, source in sorted(manifest["sources"].items())
        if not source.get("kill")
    )
    yield from card_table(("Source", "Custodian", "Licence", "Address"), rows, "No source is listed.")
    yield ""
    yield f"Takedown: {escape(manifest['settings']['contact'])}"
    yield ""


def _history(manifest: ReleaseManifest) -> Iterator[str]:
    """Versions, and how to cite."""
    yield "## Versions"
    yield ""
    rows = ((each["version"], each["date"] or "-", each["note"]) for each in reversed(manifest["history"]))
    yield from card_table(("Version", "Date", "Changes"), rows)
    yield ""
    yield "## Citation"
    yield ""
    yield "```bibtex"
    yield _citation(manifest)
    yield "```"


def _citation(manifest: ReleaseManifest) -> str:
    """How to cite the release, as BibTeX."""
    name = _plain(manifest["name"])
    key = re.sub(r"\W", "", name).lower()
    given = str(manifest["settings"]["citation"]).replace("```", "")
    return given or f"@misc{{{key},\n  title = {{{name}}},\n  version = {{{manifest['version']}}}\n}}"


_SECTIONS = (_what_it_is, _how_to_load, _processing, _drops, _duplicates, _personal_data, _limits, _sources, _history)
