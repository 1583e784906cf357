"""The engines that read a page's tree: trafilatura and the cascade. They are slow to import."""

import logging
import re
from dataclasses import dataclass
from html import unescape
from itertools import pairwise, zip_longest

from lxml.etree import Comment, ElementDefaultClassLookup, XPath
from lxml.html import HtmlComment, HtmlElement
from trafilatura import bare_extraction, xpaths
from trafilatura.settings import Document
from trafilatura.settings import Extractor as TrafilaturaOptions
from trafilatura.utils import HTML_PARSER, load_html

from pipelines.extraction.engines import Engine, resiliparse

for _name in ("trafilatura", "readability", "justext"):
    # They log a line for every page without text; here such a page is a row with a reason.
    logging.getLogger(_name).addHandler(logging.NullHandler())
    logging.getLogger(_name).propagate = False

# One class for every element, found in C: lxml's own look-up by tag is slow Python.
HTML_PARSER.set_element_class_lookup(ElementDefaultClassLookup(element=HtmlElement, comment=HtmlComment))

# "any element that is a div or a list and ...", and a test of an attribute by a regular expression, in XPath
_ANY = re.compile(r"\.//\*\[(self::\w+(?: or self::\w+)*)\]\s*((?:\[(?:[^\[\]'\"]|'[^']*'|\"[^\"]*\")*\])+)(?!\s*\[)")
_TEST = re.compile(r"re:test\((@\w+(?:\|@\w+)*), '([^']*)'(?:, 'i')?\)")


def _quicker(path: str) -> str:
    """Write one of trafilatura's XPaths so that it finds the same elements sooner.

    Elements are found by their names, and a regular expression, which Python runs, is asked only of attributes that are
    there.
    """
    path = _TEST.sub(lambda test: test[0] if re.search(test[2], "") else f"({test[1]} and {test[0]})", path)
    return _ANY.sub(_by_name, path)


def _by_name(found: re.Match[str]) -> str:
    if re.search(r"\[\s*\d+\s*\]", found[2]):  # the place among the children of one parent
        return found[0]
    names = [name.removeprefix("self::") for name in found[1].split(" or ")]
    return "(" + "|".join(f"descendant::{name}{found[2]}" for name in names) + ")"


for _found in vars(xpaths).values():
    if isinstance(_found, list) and all(isinstance(_each, XPath) for _each in _found):
        _found[:] = [XPath(_quicker(_each.path), namespaces={"re": xpaths.REGEXP_NS}) for _each in _found]

JOINERS = (
    "\u200b\u200c\u200d"  # zero width: space (ends a word in Khmer, Thai), non-joiner (Persian, Bengali), joiner
    "\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"  # direction of text
    "\u2060\u06dd"  # word joiner; end of a verse of the Quran
)
_JOINER_ENTITY = re.compile(
    r"&(?:zwnj|zwj|lrm|rlm|ZeroWidthSpace|NoBreak|#0*(?:820[3-7]|823[4-8]|8288|829[4-7]|1564)"
    r"|#[xX]0*(?:200[b-fB-F]|202[a-eA-E]|206[06-9]|61[cC]));?",
    re.ASCII,
)
_ENCODED_TWICE = re.compile(r"&(?=amp;#?\w+;)amp;")
_STAND_INS = range(0x13000, 0x13430)  # Egyptian hieroglyphs: letters to every library, and on no page as a whole

_LONE_CELL = re.compile(r"^\| ([^|\n]*?) *\|$", re.MULTILINE)
_EMPTY_ROW = re.compile(r"^\|[ |-]*\|\n?", re.MULTILINE)


_BLOCKS = ("body", "div", "section", "article", "main", "center", "td", "form", "font", "blockquote")
_LEAVES = ("div", "section", "center")  # blocks without blocks in them that are paragraphs
_INLINE = frozenset(
    [
        *(
            "a",
            "abbr",
            "acronym",
            "b",
            "bdi",
            "bdo",
            "big",
            "br",
            "cite",
            "code",
            "del",
            "dfn",
            "em",
            "font",
            "i",
            "img",
        ),
        *("ins", "kbd", "mark", "nobr", "q", "s", "samp", "small", "span", "strike", "strong", "sub", "sup", "tt"),
        *("u", "var", "wbr", Comment),
    ]
)
# What holds several paragraphs is shown later by a script.
_HIDDEN = XPath(
    "//*[@hidden and @hidden!='until-found' and not(self::body or starts-with(@id, 'S:') or count(.//p) > 2)]"
)
_HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
_LEAF = 80  # bytes, which Han needs three of for a character, from which a block is a paragraph
_BETWEEN = 10  # bytes from which a block between paragraphs is
_RUN = 20  # bytes from which loose text is
_START = 30  # characters by which a line is known
_HEADING = 200  # characters of the longest heading


def _shield(html: str) -> tuple[str, dict[str, str]]:
    """Replace joiners and marks of direction by letters, and return how to put them back.

    trafilatura removes every character that Python calls unprintable. Persian, Urdu, Hindi, Bengali and Malayalam spell
    words with some of them. The same is done for the first sign of `&amp;lt;`, which trafilatura would decode twice.
    """
    html = _JOINER_ENTITY.sub(lambda found: unescape(found.group()), html)
    present = [joiner for joiner in JOINERS if joiner in html]
    twice = _ENCODED_TWICE.search(html) is not None
    if not present and not twice:
        return html, {}
    free = (chr(code) for code in _STAND_INS if chr(code) not in html)
    stand_ins = dict(zip(free, ["&", *present], strict=False))
    for stand_in, joiner in stand_ins.items():
        html = _ENCODED_TWICE.sub(stand_in, html) if joiner == "&" else html.replace(joiner, stand_in)
    return html, stand_ins


def _unframe(text: str) -> str:
    """Remove table rows of one cell or none, which trafilatura lets through."""
    return _LONE_CELL.sub(r"\1", _EMPTY_ROW.sub("", text)) if "|" in text else text


def _with_paragraphs(tree: HtmlElement) -> None:
    """Make paragraphs of text that stands in other blocks or loose between them: trafilatura takes little but <p>."""
    for block in list(tree.iter(*_BLOCKS)):
        children = list(block)
        tags = {child.tag for child in children}
        if tags <= _INLINE and not _has_double_break(children):
            least = _BETWEEN if _is_paragraph(block.getprevious()) and _is_paragraph(block.getnext()) else _LEAF
            if block.tag in _LEAVES and _is_text(block.text, children, least):
                block.tag = "p"
        else:
            _wrap_loose_text(block, children)
    for header in list(tree.iter("header")):  # inside main text, with text: no header of the site
        if next(header.iterancestors("article", "main"), None) is not None and any(
            _is_text(paragraph.text, list(paragraph), _LEAF) for paragraph in header.iter("p")
        ):
            header.tag = "div"


def _is_paragraph(element: HtmlElement | None) -> bool:
    return element is not None and element.tag == "p"


def _has_double_break(children: list[HtmlElement]) -> bool:
    return any(_breaks_twice(child, after) for child, after in pairwise(children))


def _breaks_twice(child: HtmlElement, after: HtmlElement) -> bool:
    return child.tag == "br" and after.tag == "br" and not (child.tail and child.tail.strip())


def _is_text(lead: str | None, children: list[HtmlElement], least: int) -> bool:
    """Whether loose text and elements behind it are `least` bytes or more, half of them outside links."""
    size = len((lead or "").strip().encode()) + sum(
        len("".join(child.itertext()).encode()) + len((child.tail or "").encode())
        for child in children
        if isinstance(child.tag, str)
    )
    if size < least:
        return False
    links = [link for child in children if isinstance(child.tag, str) for link in child.iter("a")]
    return not links or sum(len("".join(link.itertext()).encode()) for link in links) < size / 2


def _wrap_loose_text(block: HtmlElement, children: list[HtmlElement]) -> None:
    """Put each run of text and inline elements between blocks, or between double line breaks, into a <p>."""
    if block.tag == "font":
        block.tag = "div"
    before: HtmlElement | None = None  # what the run stands behind; None at the start
    run: list[HtmlElement] = []
    for child, after in zip_longest(children, children[1:]):
        double = after is not None and _breaks_twice(child, after)
        if child.tag in _INLINE and not double:
            run.append(child)
            continue
        _wrap_run(block, before, run)
        before, run = child, []
    _wrap_run(block, before, run)


def _wrap_run(block: HtmlElement, before: HtmlElement | None, run: list[HtmlElement]) -> None:
    lead = block.text if before is None else before.tail
    if (not run and (not lead or lead.isspace())) or not _is_text(lead, run, _RUN):
        return
    paragraph = block.makeelement("p")
    paragraph.text = lead
    if before is None:
        block.text = None
        block.insert(0, paragraph)
    else:
        before.tail = None
        before.addnext(paragraph)
    paragraph.extend(run)


def _with_headings(tree: HtmlElement, text: str) -> str:
    """Add each heading that is missing before the text that follows it on the page."""
    lines = text.split("\n")
    have = set(lines)
    places: dict[str, int] = {}
    for number, line in enumerate(lines):
        places.setdefault(line.lstrip("- ")[:_START], number)
    missing: dict[int, list[str]] = {}
    headings: list[tuple[str, str]] = []  # since the last paragraph: tag and text
    for element in tree.iter(*_HEADINGS, "p", "li"):
        is_heading = element.tag in _HEADINGS
        if not is_heading and not headings:
            continue
        content = " ".join("".join(element.itertext()).split())
        if is_heading and content:
            headings = [(tag, heading) for tag, heading in headings if tag < element.tag]
            headings.append((element.tag, content))
        elif content:
            place = places.get(content[:_START])
            if place is not None and place not in missing:
                missing[place] = [
                    heading for _, heading in headings if heading not in have and len(heading) <= _HEADING
                ]
                have.update(missing[place])
            headings = []
    if not any(missing.values()):
        return text
    return "\n".join(part for number, line in enumerate(lines) for part in (*missing.get(number, ()), line))


@dataclass(frozen=True)
class _Parsed:
    """A page as trafilatura reads it, parsed once for all settings that are tried."""

    tree: HtmlElement
    stand_ins: dict[str, str]


def _parse(html: str) -> _Parsed | None:
    """Parse a page, leave out what is hidden, and make paragraphs of loose text."""
    shielded, stand_ins = _shield(html)
    tree = load_html(shielded)
    if tree is None:
        return None
    if " hidden" in html:
        for unseen in _HIDDEN(tree):
            unseen.drop_tree()
    _with_paragraphs(tree)
    return _Parsed(tree, stand_ins)


def _ask(page: _Parsed, options: TrafilaturaOptions) -> str:
    found: Document | None = bare_extraction(page.tree, options=options)  # works on a copy of the tree
    if found is None:
        return ""
    text = found.text or ""
    comments = [line for line in (found.comments or "").split("\n") if line.strip(" -") not in text]  # each post once
    text = _with_headings(page.tree, "\n".join([text, *comments]))
    for stand_in, joiner in page.stand_ins.items():
        text = text.replace(stand_in, joiner)
    return _unframe(text)


def _trafilatura(options: TrafilaturaOptions) -> Engine:
    """Return trafilatura with these settings. No deduplication: it would remember earlier pages."""

    def engine(html: str) -> str | None:
        page = _parse(html)
        return _ask(page, options) if page else None

    return engine


def _cascade(html: str) -> str | None:
    """Try resiliparse, then trafilatura's precise setting, then its recall setting.

    resiliparse is quick, and its result shows how much text there could be. If it has many long lines and the page has
    few comments, the text from the first to the last long line is the result: engines agree on such pages. Otherwise
    trafilatura's precise setting without fallbacks decides. If that finds little, its recall setting is tried, and if
    that also finds little, resiliparse's text is the result.
    """
    yardstick = resiliparse(html) or ""
    body = _long_text(yardstick)
    if body and not _has_comments(html):
        return body
    page = _parse(html)
    if page is None:
        return yardstick
    text = _ask(page, _PRECISE)
    if len(text) >= _ENOUGH * len(yardstick):
        return text
    text = max(text, _ask(page, _RECALL), key=len)
    return text if len(text) >= _LITTLE * len(yardstick) else yardstick


def _long_text(text: str) -> str:
    """Return the text from the line before the first long line (a heading) to the last one; empty if there are few."""
    lines = [line for line in text.split("\n") if line.strip()]
    long = [place for place, line in enumerate(lines) if len(line) > _LONG_LINE]
    return "\n".join(lines[max(0, long[0] - 1) : long[-1] + 1]) if len(long) >= _MANY_LONG_LINES else ""


def _has_comments(html: str) -> bool:
    lowered = html.encode("utf-8", "replace").lower()  # bytes are lowered faster than characters
    return lowered.count(b"comment") + lowered.count(b"kommentar") > _FEW_COMMENTS


# Chosen on the gold pages of tests/benchmarks/extraction_quality.py; nearby values score the same.
_LONG_LINE = 100  # characters
_MANY_LONG_LINES = 20
_FEW_COMMENTS = 20  # times the word may occur in a page's source, where scripts and styles use it
_ENOUGH = 0.4  # of resiliparse's characters: the precise setting's text is taken
_LITTLE = 0.1  # of resiliparse's characters: below this, resiliparse's text is taken
_PRECISE = TrafilaturaOptions(output_format="python", precision=True, fast=True, comments=False)
_RECALL = TrafilaturaOptions(output_format="python", recall=True)

ENGINES: dict[str, Engine] = {
    "cascade": _cascade,
    "trafilatura": _trafilatura(TrafilaturaOptions(output_format="python")),
}
