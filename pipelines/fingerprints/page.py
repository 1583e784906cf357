"""What `find` shows: lines for a terminal, and one HTML file that loads nothing."""

from collections.abc import Iterator, Sequence
from html import escape

from filters.text.passages import for_terminal
from pipelines.fingerprints.find import Finding, FoundDocument, Passage, is_short

_MOST_CHARS = 400  # of a passage on a terminal
_MOST_SHOWN = 3  # passages of a document on a terminal
_STYLE = """
:root { color-scheme: light dark; --mark: #fff1a8; }
@media (prefers-color-scheme: dark) { :root { --mark: #5c4b00; } }
body { font: 1rem/1.5 system-ui, "Noto Sans", sans-serif; max-width: 46rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.2rem; } h2 { font-size: 1rem; overflow-wrap: anywhere; }
mark { background: var(--mark); color: inherit; } p { white-space: pre-wrap; overflow-wrap: anywhere; }
.place { font-size: .85rem; }
"""


def summary(finding: Finding) -> str:
    """What was found, in a sentence."""
    count = len(finding.documents)
    if not count:
        what = "the whole of it" if is_short(finding) else f"a passage of {finding.least} letters or more"
        return f"{finding.letters:,} letters: no document holds {what}"
    longest = finding.documents[0].passages[0].letters
    noun = "document holds" if count == 1 else "documents hold"
    return (
        f"{finding.letters:,} letters: {count:,} {noun} parts of it, the longest of {longest:,} letters; "
        f"{finding.covered():.0%} of the text stands in them"
    )


def found_lines(finding: Finding, limit: int) -> Iterator[str]:
    """The summary, and the first documents with their passages between brackets, in lines for a terminal."""
    yield summary(finding)
    for number, document in enumerate(finding.documents[:limit], 1):
        yield ""
        yield f"{number}. {for_terminal(document.url or '(no URL)')}   {for_terminal(document.id)}"
        yield f"   row {document.row} of {document.file}"
        for passage in document.passages[:_MOST_SHOWN]:
            yield f"   {passage.letters:,} letters: {_marked(passage)}"
        if len(document.passages) > _MOST_SHOWN:
            yield f"   and {len(document.passages) - _MOST_SHOWN} passages more"
    if len(finding.documents) > limit:
        yield f"\nand {len(finding.documents) - limit:,} documents more (--limit)"


def _marked(passage: Passage) -> str:
    text = passage.text if len(passage.text) <= _MOST_CHARS else f"{passage.text[: _MOST_CHARS // 2]} ... "
    rest = "" if text == passage.text else passage.text[-_MOST_CHARS // 2 :]
    return for_terminal(f"{passage.before}\u27e6{text}{rest}\u27e7{passage.after}")


def find_page(findings: Sequence[Finding], place: str, limit: int) -> str:
    """The HTML file of what was found: the text with its found parts marked, then the documents."""
    head = (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>Found in {escape(place)}</title>\n<style>{_STYLE}</style>\n<h1>Found in {escape(place)}</h1>\n"
    )
    return head + "\n".join(line for finding in findings for line in _section(finding, limit)) + "\n"


def _section(finding: Finding, limit: int) -> Iterator[str]:
    yield f"<h2>{escape(summary(finding))}</h2>"
    yield f'<p dir="auto">{_with_marks(finding)}</p>'
    yield from (_document(document) for document in finding.documents[:limit])
    if len(finding.documents) > limit:
        yield f"<p>and {len(finding.documents) - limit:,} documents more</p>"


def _with_marks(finding: Finding) -> str:
    """The text that was looked for, with the parts that were found marked."""
    text, out, end = finding.text, [], 0
    spans = sorted((p.query_start, p.query_stop) for each in finding.documents for p in each.passages)
    for start, stop in spans:
        if stop <= end:
            continue
        out += [escape(text[end : max(start, end)]), f"<mark>{escape(text[max(start, end) : stop])}</mark>"]
        end = stop
    return "".join([*out, escape(text[end:])])


def _document(document: FoundDocument) -> str:
    parts = [
        f'<p dir="auto">{escape(each.before)}<mark>{escape(each.text)}</mark>{escape(each.after)}</p>'
        for each in document.passages
    ]
    place = f"{document.id}, row {document.row} of {document.file}"
    head = f'<h2 dir="ltr">{escape(document.url or document.id)}</h2><p class="place" dir="ltr">{escape(place)}</p>'
    return head + "".join(parts)
