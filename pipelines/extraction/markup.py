"""A page's source as every engine is given it: what a browser never shows is gone, what stands in a sentence stays.

Scripts and styles are emptied, which spares every engine a third of the page. Tables that lay out a page are blocks.

Engines disagree about readings of characters, formulas, soft hyphens, dates inside sentences and line breaks between
wide characters. All of this is settled in the source, so pages are cleaned alike whatever the engine.
Sources: HTML Standard, 4.5.10 (ruby) and 15.3 (what is not shown); CSS Text 3, 4.1.3 (line breaks).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise


def _either(names: str) -> str:
    """Names in lower or in upper case: patterns that ignore case are searched three times slower."""
    return f"(?:{names}|{names.upper()})"


_UNSEEN = "|".join(
    [
        _either("template|canvas|dialog|noembed|xml"),
        "(?:[wox]:(?:WordDocument|LatentStyles|ExcelWorkbook)|o:(?:OfficeDocumentSettings|DocumentProperties)|m:mathPr)",
        "span class=[\"']katex-html",
    ]
)
_READING = _either("rt|rp|rtc")
_RUBY = f"/?{_either('ruby|rb')}|/{_READING}"  # some engines drop lines that consist of it
_SENTENCE = _either("time|label")  # dates and names of fields, unless text stands beside them
_SPAN = _either("q|data|output|meter|progress|blink|marquee")  # some engines drop them or break the line
_INSTEAD = {"summary": "h4", "legend": "div", "search": "div", "dir": "ul", "menu": "ul", "listing": "pre"}
_BLOCK = _either("|".join(_INSTEAD))  # some engines glue their text to what stands beside it
_MATH = _either("math")
_MARK = re.compile(
    rf"<(?:(?P<comment>!--)|(?:(?P<raw>{_either('script|style|textarea|title|iframe|xmp')})|(?P<reading>{_READING})|(?P<ruby>{_RUBY})"
    rf"|(?P<math>{_MATH})|(?P<unseen>{_UNSEEN})|(?P<sentence>{_SENTENCE})|(?P<other>/?(?:{_SPAN}|{_BLOCK})))(?=[\s>/\"']))"
)
_TAG_END = re.compile(r"(?:[^<>\"']|\"[^\"<]*\"|'[^'<]*')*>")
_READING_END = re.compile(r"</(?:rt|rp|rtc)\s*>|(?=<(?:rt|rp|rb|/?rtc|/ruby|/?p|/?div)[\s>])", re.IGNORECASE)
_UNLESS = {  # attributes with which such an element is shown
    "template": re.compile(r"[^<>]*\bshadowrootmode", re.IGNORECASE),
    "dialog": re.compile(r"[^<>]*\sopen\b", re.IGNORECASE),
}
_SHOWN = re.compile(r"<(?:p|div|br|body|table|h[1-6]|article|span)[\s>/]", re.IGNORECASE)  # in <xml>: it is no data
_STRAY = {
    "style": re.compile(r"</style\s*>([^<{]*\{[^<]*\}[^<]*)", re.IGNORECASE),
    "script": re.compile(r"</script\s*>([^<{;]*[{;][^<]*)(?=</script)", re.IGNORECASE),
}
_TEX = re.compile(r"<annotation\b[^<>]*\bapplication/x-tex\b[^<>]*>([^<]*[^<\s][^<]*)", re.IGNORECASE)
_ALTTEXT = re.compile(r"<math\b[^<>]*?\balttext\s*=\s*(?:\"([^\"<]*)\"|'([^'<]*)')", re.IGNORECASE)
_NOT_TEX = re.compile(r"<annotation\b.*", re.IGNORECASE | re.DOTALL)
_BLOCK_MATH = re.compile(r"<math\b[^<>]*\bdisplay\s*=\s*[\"']?block", re.IGNORECASE)
_HIDDEN_SPAN = re.compile(r"<span\b[^<>]*\bdisplay:\s*none[^<>]*>\s*$", re.IGNORECASE)
_TAG = re.compile(r"<[^<>]*>")
_INLINE = (
    "</?(?:a|abbr|b|bdi|bdo|big|cite|code|dfn|em|font|i|kbd|mark|ruby|s|samp|small|span|strong|sub|sup|tt|u|var)"
    r"(?:\s[^<>]*)?>"
)
_TEXT_BEFORE = re.compile(rf"[^<>\s]\s*(?:{_INLINE}\s*)*$", re.IGNORECASE)
_TEXT_AFTER = re.compile(rf"\s*(?:{_INLINE}\s*)*[^<\s]", re.IGNORECASE)
_NESTED = ("template", "span")  # counted up to their own end tag
_NEAR = 200  # characters in which text beside a date is searched

# Characters as wide as Han, without Hangul, whose words have spaces between them; and marks that may stand beside them.
_WIDE = (
    "\u2e80-\u312f\u3190-\u9fff\ua000-\ua4cf\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff9f\uffe0-\uffe6\U00020000-\U0003ffff"
)
_BESIDE = "\u2018\u2019\u201c\u201d\u2014\u2026\u00b7"
_WIDE_LINE = re.compile(rf"\n(?:[ \t]*+[{_WIDE}]|(?<=[{_WIDE}]\n))")
_WIDE_BREAK = re.compile(rf"\n(?:(?<=[{_WIDE}]\n)\s*(?=[{_WIDE}{_BESIDE}<])|(?<=[{_BESIDE}>]\n)\s*(?=[{_WIDE}]))")
_WIDE_BEFORE = re.compile(rf"[{_WIDE}{_BESIDE}](?:{_INLINE})*$", re.IGNORECASE)
_WIDE_AFTER = re.compile(rf"(?:{_INLINE})*[{_WIDE}{_BESIDE}]", re.IGNORECASE)
_PRE = re.compile(r"(<(?P<name>pre|textarea|listing|xmp)[\s>].*?</(?P=name))", re.IGNORECASE | re.DOTALL)

_TABLE_MARK = re.compile(
    rf"<(?:(?P<comment>!--)|(?P<raw>{_either('script|style|textarea')})(?=[\s>])"
    rf"|(?P<end>/?)(?P<name>{_either('table|caption|thead|tbody|tfoot|tr|td|th')})(?P<rest>(?:\s[^<>]*)?/?>))"
)
_LAYOUT = re.compile(rf"<{_either('div|section|article|ul|ol|h[123]|blockquote|center|form|hr')}[\s>/]")
_LINE_TAG = re.compile(rf"<{_either('p|br|font')}[\s>/]")
_WIDE_SIGN = re.compile(f"[{_WIDE}]")
_WIDE_EXTRA = 1.5  # Latin letters that a wide character is worth, besides one
_RUNNING = 100  # characters of a cell from which its lines are running text
_DATA_ROWS = 3  # rows of two cells or more


def readable(html: str) -> str:
    """Return the source as engines must have it. Text changes only where a browser shows it otherwise than engines."""
    html = _Source(html).settled()
    if "</table" in html or "</TABLE" in html:
        html = _plain_layout(html)
    if not html.isascii() and _WIDE_LINE.search(html):
        html = _joined(html)
    return html


class _Source:
    """One page's source, and how far it has been taken."""

    def __init__(self, html: str) -> None:
        self.html = html
        self.parts: list[str] = []
        self.written = 0
        self.unclosed: set[str] = set()  # names without an end tag from here on

    def settled(self) -> str:
        """Take the marks one by one; comments are stepped over."""
        at = 0
        while found := _MARK.search(self.html, at):
            at = max(self._take(found), found.end())
        return self.made()

    def made(self) -> str:
        """The source with all replacements made so far."""
        return "".join(self.parts) + self.html[self.written :]

    def replace(self, start: int, end: int, text: str) -> int:
        """Put a text in the place of a piece behind all others; returns where the piece ends."""
        self.parts += (self.html[self.written : start], text)
        self.written = end
        return end

    def _take(self, found: re.Match[str]) -> int:
        """Settle one mark, and return where to go on."""
        start, kind, name = found.start(), found.lastgroup, found[0][1:].lower()
        if kind == "comment":
            end = self.html.find("-->", found.end())
            return end + 3 if end >= 0 else len(self.html)
        if kind == "other":
            instead = _INSTEAD.get(name.lstrip("/"), "span")
            return self.replace(start, found.end(), f"</{instead}" if name[0] == "/" else f"<{instead}")
        tag = _TAG_END.match(self.html, start + 1)
        if not tag:
            return found.end()
        if kind == "reading":
            reading_end = _READING_END.search(self.html, tag.end())
            return self.replace(start, reading_end.end(), "") if reading_end else tag.end()
        if kind == "ruby":
            return self.replace(start, tag.end(), "")
        if kind == "unseen" and name in _UNLESS and _UNLESS[name].match(self.html, found.end()):
            return tag.end()
        inside_end, end = self._end_of(name.partition(" ")[0], tag.end())
        if end < 0:
            return len(self.html) if kind == "raw" else tag.end()
        inside = self.html[tag.end() : inside_end]
        if kind == "raw":
            if name not in _STRAY:
                return end
            if "ld+json" not in tag[0]:
                self.replace(tag.end(), inside_end, "")
            stray = _STRAY[name].match(self.html, inside_end)
            return self.replace(stray.start(1), stray.end(), "") if stray else end
        if kind == "unseen":
            return tag.end() if name == "xml" and _SHOWN.search(inside) else self.replace(start, end, "")
        if kind == "math":
            hidden = _HIDDEN_SPAN.search(self.html, max(self.written, start - _NEAR), start)
            return self.replace(hidden.start() if hidden else start, end, _formula(self.html[start:inside_end]))
        beside = _TEXT_BEFORE.search(self.html, max(0, start - _NEAR), start) or _TEXT_AFTER.match(self.html, end)
        return self.replace(start, end, f"<span>{inside}</span>") if beside else end

    def _end_of(self, name: str, at: int) -> tuple[int, int]:
        """Return where the end tag of an element begins and ends; -1 if there is none."""
        deep = 1
        for tag in _tags_of(name).finditer(self.html, at) if name not in self.unclosed else ():
            deep += -1 if tag[1] else name in _NESTED
            if not deep:
                return tag.span()
        self.unclosed.add(name)
        return -1, -1


@cache
def _tags_of(name: str) -> re.Pattern[str]:
    return re.compile(rf"<(/?){re.escape(name)}(?=[\s>/])[^<>]*>?", re.IGNORECASE)


def _formula(math: str) -> str:
    """A formula as its TeX, or else as its signs, with spaces between them."""
    tex = _TEX.search(math) or _ALTTEXT.match(math)
    if tex:
        text = " ".join((tex[1] or tex[tex.lastindex or 1]).split())
        return rf"\[{text}\]" if _BLOCK_MATH.match(math) else rf"\({text}\)"
    return " ".join(_TAG.sub(" ", _NOT_TEX.sub("", math)).split())


def _joined(html: str) -> str:
    """Join lines between wide characters: there a browser shows no space. Preformatted text stays."""
    html = html.replace("\r\n", "\n")
    pieces = _PRE.split(html) if "<pre" in html or "<PRE" in html or "<textarea" in html else [html]
    for place in range(0, len(pieces), 3):  # text, preformatted element, its name
        piece = "\n".join([line.rstrip(" \t") for line in pieces[place].split("\n")])
        pieces[place] = _WIDE_BREAK.sub(_join, piece)
    return "".join(piece for place, piece in enumerate(pieces) if place % 3 != 2)


def _join(found: re.Match[str]) -> str:
    """Nothing for a line break between wide characters, with or without tags that stand inside lines."""
    html, start, end = found.string, found.start(), found.end()
    if html[start - 1] == ">" and not _WIDE_BEFORE.search(html, max(0, start - _NEAR), start):
        return found[0]
    return "" if html[end] != "<" or _WIDE_AFTER.match(html, end) else found[0]


@dataclass
class _Table:
    """A table whose end is searched: where it begins, its own tags, and the tables in it."""

    start: int
    tags: list[re.Match[str]] = field(default_factory=list)
    holds_table: bool = False


def _plain_layout(html: str) -> str:
    """Tables that lay out a page become blocks, one a cell; else their cells would become one line of text."""
    changes: list[tuple[int, int, str]] = []
    open_tables: list[_Table] = []
    at = 0
    while found := _TABLE_MARK.search(html, at):
        at = found.end()
        if found["raw"]:
            end = _tags_of(found["raw"].lower()).search(html, at)
            at = end.end() if end else at
        elif found["comment"]:
            end_of_comment = html.find("-->", at)
            at = end_of_comment + 3 if end_of_comment >= 0 else len(html)
        elif found["name"].lower() != "table":
            if open_tables:
                open_tables[-1].tags.append(found)
        elif not found["end"]:
            if open_tables:
                open_tables[-1].holds_table = True
            open_tables.append(_Table(found.start(), [found]))
        elif open_tables:
            table = open_tables.pop()
            table.tags.append(found)
            if table.holds_table or _is_layout(html, table):
                changes += _as_blocks(table)
    source = _Source(html)
    for start, end_of_tag, text in sorted(changes):
        source.replace(start, end_of_tag, text)
    return source.made()


def _cells(table: _Table) -> Iterator[tuple[bool, int, int]]:
    """Whether a cell begins a row, and where its content begins and ends."""
    new_row = True
    for tag, after in pairwise(table.tags):
        name = tag["name"].lower()
        new_row |= name == "tr"
        if name in ("td", "th") and not tag["end"]:
            yield new_row, tag.end(), after.start()
            new_row = False


def _is_layout(html: str, table: _Table) -> bool:
    """Whether a table holds blocks, no two cells beside each other, or running text without a head or three rows."""
    if _LAYOUT.search(html, table.start, table.tags[-1].start()):
        return True
    filled: list[int] = []  # cells with text, by row
    running = False
    for new_row, start, end in _cells(table):
        content = html[start:end]
        text = " ".join(_TAG.sub(" ", content).split())
        if new_row or not filled:
            filled.append(0)
        filled[-1] += bool(text.replace("&nbsp;", "").strip())
        size = len(text) + _WIDE_EXTRA * len(_WIDE_SIGN.findall(text))
        running |= size >= _RUNNING and _LINE_TAG.search(content) is not None
    has_head = any(tag["name"].lower() in ("th", "thead", "caption") for tag in table.tags)
    if all(cells <= 1 for cells in filled):
        return True
    return running and not has_head and sum(cells > 1 for cells in filled) < _DATA_ROWS


def _as_blocks(table: _Table) -> Iterator[tuple[int, int, str]]:
    """The changes that make each cell a block; end tags of cells may be left out."""
    cell = False
    for tag in table.tags:
        name, text = tag["name"].lower(), "</div>" if cell else ""
        if name == "table":
            text = f"{text}</div>" if tag["end"] else f"<div{tag['rest']}"
        elif name in ("td", "th") and not tag["end"]:
            text += f"<div{tag['rest']}"
        cell = name in ("td", "th") and not tag["end"]
        yield tag.start(), tag.end(), text
