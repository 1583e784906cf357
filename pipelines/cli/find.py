"""What `roots find` reads and prints, and what `roots decontaminate` prints."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from pipelines.fingerprints.decontaminate import SetReport, leak_lines
from pipelines.fingerprints.find import Finding
from pipelines.fingerprints.page import find_page, found_lines, summary
from roots.atomic import write_text
from roots.errors import InputError


def read_texts(text: str) -> list[str]:
    """The text as it is, or those of the file behind @. Raises InputError for a file that cannot be read."""
    if not text.startswith("@"):
        return [text]
    path = Path(text[1:])
    try:
        data = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from None
    if path.suffix != ".jsonl":
        return [data]
    found = [_text_of(line, path, number) for number, line in enumerate(data.splitlines(), 1) if line.strip()]
    if not found:
        raise InputError(f"{path} holds no text")
    return found


def _text_of(line: str, path: Path, number: int) -> str:
    try:
        values = json.loads(line)
    except ValueError:
        values = None
    text = values.get("text") if isinstance(values, dict) else None
    if not isinstance(text, str):
        raise InputError(f"{path}, line {number}: no JSON object with a `text`")
    return text


def show_findings(found: Sequence[Finding], place: str, limit: int, files: tuple[Path | None, Path | None]) -> int:
    """Print what was found, and write the HTML and the JSON file where they are named; 1 if nothing was found."""
    html, target = files
    for number, finding in enumerate(found, 1):
        lines = found_lines(finding, limit) if len(found) == 1 else [f"{number} of {len(found)}: {summary(finding)}"]
        for line in lines:
            click.echo(line)
    if html:
        write_text(html, find_page(found, place, limit))
        click.echo(f"The passages are in {html}")
    if target:
        lines = [json.dumps(_as_values(finding), ensure_ascii=False) + "\n" for finding in found]
        write_text(target, "".join(lines))
        click.echo(f"All that was found is in {target}")
    return 0 if any(finding.documents for finding in found) else 1


def show_leaks(found: Sequence[SetReport], target: Path | None) -> int:
    """Print which items of evaluation sets were found, and write all to a file if one is named; 1 if there are any."""
    for line in leak_lines(found):
        click.echo(line)
    if target:
        write_text(target, json.dumps([each.as_values() for each in found], indent=1, ensure_ascii=False) + "\n")
        click.echo(f"Every item is in {target}")
    return 1 if any(each.found for each in found) else 0


def _as_values(finding: Finding) -> dict[str, object]:
    documents = [
        {**asdict(document), "passages": [passage._asdict() for passage in document.passages]}
        for document in finding.documents
    ]
    return {"text": finding.text, "letters": finding.letters, "covered": finding.covered(), "documents": documents}
