"""The prose of wikitext, and its quick text.

Templates are not expanded, since a dump does not hold what they need. What they show is lost, and so are tables, files,
galleries, formulas, references and lists of categories. A page in which that leaves a gap in a sentence is marked.
"""

import re
from collections.abc import Iterator
from typing import Any

WITH_GAPS = "mwparserfromhell, with gaps"  # in the column `extractor`: a sentence lacks what a template shows
_ENGINE = "mwparserfromhell"
# Templates that show one of their arguments as it stands -> which one
_SHOWN = {"lang": "2", "langue": "2", "nowrap": "1", "nobr": "1"}
_NUMBER = "formatnum:"
_DROPPED = frozenset(
    {
        "ref", "references", "gallery", "table", "math", "chem", "ce", "timeline", "score", "imagemap", "mapframe",
        "maplink", "templatestyles", "style", "script", "includeonly", "syntaxhighlight", "source", "hiero", "graph",
    }
)  # fmt: skip
_GAPS = frozenset({"math", "chem", "ce"})  # of these, those that stand for words
_BREAKS = frozenset({"br", "hr", "p", "div", "li", "dd", "dt", "blockquote"})
_FILE = re.compile(
    r"\.(?:jpe?g|png|svg|gif|tiff?|webp|og[agv]|webm|mp[34]|wav|pdf|djvu|stl|midi?|flac)$", re.IGNORECASE
)
_GAP, _HEADING, _SORTS, _SORTED = "\x01", "\x02", "\x03", "\x04"
# _GAP stands where a reader sees something that is not known; _HEADING before a heading, once for each level; the last
# two around a link to another namespace, which only sorts the page if it has a line of its own.
_OURS = re.compile("[\x01-\x04]")
_QUOTES = re.compile("'{2,5}")
_SWITCH = re.compile(r"__[^\W\d_a-z]+__")  # such as __NOTOC__
_EMPTY = re.compile(rf"[(\[（](?:{_GAP}|[\s,;:،、/–-])*[)\]）]")  # brackets whose contents went
_OPENING = re.compile(rf"(?<=[(\[（])[^\S\n]*{_GAP}(?:{_GAP}|[,;:،、]|[^\S\n])*")
_BEFORE_STOP = re.compile(rf"[^\S\n]*{_GAP}+[^\S\n]*(?=[,.;:!?)\]）،。、।])")
_IN_SENTENCE = re.compile(rf"""\w(?:[^\S\n]|[,;:(«“"']){{0,3}}{_GAP}+(?:[^\S\n]|[,;:)»”"']){{0,3}}(?:\w|[.!?।。])""")
_SPACES = re.compile(r"[^\S\n]+")
_MARKS = re.compile(r"[\s*#:;|!.,·•-]*")
_ONLY_SORTS = re.compile(rf"{_SORTS}[^{_SORTS}{_SORTED}]*{_SORTED}")
# For a quick text: what is markup, from within outwards.
_QUICK = [
    re.compile(pattern, re.DOTALL)
    for pattern in (
        r"<!--.*?(?:-->|\Z)|<(ref|math|gallery|timeline)\b[^<>]*>[^<>]*</\1>|<[^<>]{1,300}>",
        r"\{\{[^{}]*\}\}",
        r"\{\{[^{}]*\}\}",
        r"\{\{[^{}]*\}\}",
        r"\{\|[^{}]*\|\}",
        r"\[\[[^\[\]|:]*:[^\[\]]*\]\]|\[\[[^\[\]|]*\||https?:\S*|'{2,5}|[\[\]={}]",
    )
]


def quick_prose(text: str) -> str:
    """Wikitext with most markup left out, in linear time: enough to tell its language."""
    for pattern in _QUICK:
        text = pattern.sub(" ", text)
    return text


def prose_of(text: str) -> tuple[str, str]:
    """The prose of wikitext, and the engine that found it, which is WITH_GAPS where sentences have gaps.

    Raises ImportError without the extra `wikipedia`. Run it in the guarded process only.
    """
    import mwparserfromhell

    found = "".join(_shown(mwparserfromhell.parse(text, skip_style_tags=True).nodes))
    gaps = _IN_SENTENCE.search(_EMPTY.sub("", found)) is not None
    return _paragraphs(found), WITH_GAPS if gaps else _ENGINE


def _shown(nodes: list[Any]) -> Iterator[str]:
    """What a reader sees of some nodes, with `_GAP` for what is not known."""
    for node in nodes:
        kind = type(node).__name__
        if kind == "Text":
            yield _OURS.sub("", str(node))
        elif kind == "HTMLEntity":
            yield node.normalize() or ""
        elif kind == "Wikilink":
            yield from _link(node)
        elif kind == "ExternalLink":
            yield from _shown(node.title.nodes) if node.title is not None else ("" if node.brackets else str(node.url),)
        elif kind == "Heading":
            yield f"\n{_HEADING * node.level}{''.join(_shown(node.title.nodes)).strip()}\n"
        elif kind == "Template":
            yield from _template(node)
        elif kind == "Tag":
            yield from _tag(node)


def _link(node: Any) -> Iterator[str]:
    """A link by its text; none for a file, and for a link that only sorts the page, such as one to a category."""
    title, text = str(node.title).strip(), node.text
    if title.startswith(":"):
        title = title[1:]
    elif ":" in title:
        if text is not None and "|" not in str(text) and not _FILE.search(title):
            yield f"{_SORTS}{''.join(_shown(text.nodes))}{_SORTED}"
        return
    yield from _shown(text.nodes) if text is not None else (title,)


def _template(node: Any) -> Iterator[str]:
    name = str(node.name).strip().lower()
    argument = _SHOWN.get(name)
    if argument and node.has(argument):
        yield from _shown(node.get(argument).value.nodes)
    elif name.startswith(_NUMBER):
        yield name.removeprefix(_NUMBER)
    else:
        yield _GAP


def _tag(node: Any) -> Iterator[str]:
    name = str(node.tag).strip().lower()
    edge = "\n" if name in _BREAKS and not node.wiki_markup else ""
    yield edge
    if name in _GAPS:
        yield _GAP
    elif name not in _DROPPED and node.contents is not None:
        yield from _shown(node.contents.nodes)
        yield edge


def _paragraphs(found: str) -> str:
    """The lines that have words, without headings that nothing follows."""
    text = _SWITCH.sub("", _QUOTES.sub("", _EMPTY.sub("", found)))
    text = _BEFORE_STOP.sub("", _OPENING.sub("", text)).replace(_GAP, "")
    kept: list[str] = []
    for line in text.split("\n"):
        line = _SPACES.sub(" ", line).strip()
        words = line.lstrip(_HEADING)
        level = len(line) - len(words)
        while level and kept and kept[-1].startswith(_HEADING * level):
            kept.pop()  # nothing stands below it
        if not _MARKS.fullmatch(words) and not _ONLY_SORTS.fullmatch(words):
            kept.append(line)
    while kept and kept[-1].startswith(_HEADING):
        kept.pop()
    return _OURS.sub("", "\n".join(kept))
