"""Decodes the bytes of a page by evidence: byte order mark, UTF-8 sequences, HTTP header, meta element, a detector.

A label is a claim; bytes that contradict it win. A few stray bytes do not make a UTF-8 page anything else. Labels mean
what they mean to browsers (iso-8859-1 is windows-1252, gb2312 is gb18030).

Source: WHATWG Encoding Standard, sections 4.2 and 6; HTML Standard, 13.2.3.
"""

import codecs
import re
from collections.abc import Iterator
from html import unescape
from typing import NamedTuple

import cchardet
from resiliparse.parse.encoding import map_encoding_to_html5

_META_BYTES = 8192  # the standard says 1024; real pages put scripts before their meta element
_DETECT_BYTES = 1 << 18  # that the detector reads
_TOLERANCE = 0.01  # largest share of undecodable characters outside ASCII with which a label is believed
_SEQUENCES = 3  # least number of valid UTF-8 sequences for each bad byte of a UTF-8 page

_BOMS = {b"\xef\xbb\xbf": "utf-8", b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}
_META = re.compile(rb"<meta\s[^>]{0,512}?charset\s*=\s*[\"']?\s*([\w.:-]{2,40})", re.IGNORECASE)
_HIDING = re.compile(rb"<(?:!--|script|style|textarea|iframe|xmp|noembed|template)", re.IGNORECASE)
_LABEL = re.compile(rb"([\w.:-]{2,40})")
_CHARSET = re.compile(rb"charset\s*=\s*[\"']?\s*([\w.:-]{2,40})", re.IGNORECASE)
_XML = re.compile(rb"\s*<\?xml[^>]{0,256}?encoding\s*=\s*[\"']([\w.:-]{2,40})", re.IGNORECASE)
# Charset of a label -> the larger one that browsers decode with, and that such pages are written in.
_WIDER = {
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "uhc": "cp949",
    "big5": "big5hkscs",
    "iso8859-11": "cp874",
}
# Python's name -> the WHATWG name, where they differ
_NAMES = (
    {f"cp{number}": f"windows-{number}" for number in (874, *range(1250, 1259))}
    | {
        "utf-16-le": "utf-16le",
        "utf-16-be": "utf-16be",
        "cp932": "shift_jis",
        "cp949": "euc-kr",
        "big5hkscs": "big5",
        "euc_jp": "euc-jp",
        "iso2022_jp": "iso-2022-jp",
        "cp866": "ibm866",
        "mac-roman": "macintosh",
    }
    | {f"iso8859-{part}": f"iso-8859-{part}" for part in range(2, 17)}
)
_LATIN = frozenset({"cp1252", "cp1254", "iso8859-15", "iso8859-3", "iso8859-10", "iso8859-14", "mac-roman"})
_MULTIBYTE = frozenset({"gb18030", "cp932", "cp949", "big5hkscs", "euc_jp", "iso2022_jp"})
# Characters that every Chinese text has many of, in the order of their frequency
_COMMON = frozenset(
    "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里用道行所然家种"
    "事成方多经么去法学如都同现当没动面起看定天分还进好小部其些主样理心本前开但因只从想实日者意无力它与长把机十民第公此"
    "已工使情明性知全三又关点正业外将两高间由问很最重并物手应向头文体相见被利二等产或新制身果加月话合回特代内信表化老给"
    "世位次度门任常先通教原东提立及比员解水名处走各入几口条平系气题更别打变四总何电数安少报结反受目太量再建务做接必件计"
    "管期市直资指统区保至形便空书非则光放强设式色路记南品类求据程北边交规万取格确传切让识带导运"
)
_MOST_COMMON = 0.25  # least share of them in Chinese; texts in other scripts read as GB 2312 have few
_FEWEST = 8  # ideographs that are needed to tell
_GB_RUN = re.compile(rb"(?:[\xa1-\xf7][\xa1-\xfe])+")
_SPACES = 0.02  # largest share of single-byte spaces in UTF-16
_HIGH = bytes(range(128, 256))
_HIGH_RUN = re.compile(rb"[\x80-\xff]{2,}")


class Decoded(NamedTuple):
    """Text, the WHATWG name of the charset it was in, and the evidence: bom, http, meta, utf-8 or detector."""

    text: str
    charset: str
    charset_from: str


def decode_page(body: bytes, header_charset: str | None = None) -> Decoded:
    """Decode the body of a page. Never fails: without any evidence it is read as windows-1252.

    NUL characters are left out, undecodable bytes become U+FFFD, and the text holds no lone surrogates.
    """
    for mark, codec in _BOMS.items():
        if body.startswith(mark):
            return _decoded(body[len(mark) :], codec, "bom")
    wide = _utf16_without_mark(body)
    if wide:
        return _decoded(body, wide, "detector")
    header = codec_of(header_charset)
    if header is not None and header.startswith("utf-16") and _may_be_utf16(body, header):
        return _decoded(body, header, "http")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        return _by_evidence(body, header, codec_of(_meta(body)))
    meta = None if header == "utf-8" else codec_of(_meta(body))
    if "iso2022_jp" in (header, meta) and b"\x1b$" in body:
        return _decoded(body, "iso2022_jp", "http" if header == "iso2022_jp" else "meta")
    return _utf8(text, body, header, meta)


def _utf8(text: str, body: bytes, header: str | None, meta: str | None) -> Decoded:
    evidence = "http" if header == "utf-8" else "meta" if meta == "utf-8" else "utf-8"
    return Decoded(text.replace("\0", "") if b"\0" in body else text, "utf-8", evidence)


def codec_of(label: str | None) -> str | None:
    """Python's name of the codec that browsers use for a label; None for an unknown label."""
    if not label:
        return None
    name = label.strip().strip("\"'").lower()
    mapped = "uhc" if name in ("uhc", "cp949") else map_encoding_to_html5(name, fallback_utf8=False)
    return _WIDER.get(mapped, mapped) if mapped else None


def _meta(body: bytes) -> str | None:
    """The label in a meta element or an XML declaration; "UTF-16" is wrong, since it was read as ASCII."""
    found = _XML.match(body, 0, _META_BYTES)
    if found is None and (hint := _META.search(body, 0, _META_BYTES)):
        # What stands before may hide the element: then all of it must be read.
        in_tag = body.rfind(b"<", 0, hint.start()) > body.rfind(b">", 0, hint.start())
        start = 0 if in_tag or _HIDING.search(body, 0, hint.start()) else hint.start()
        found = next(filter(None, map(_label_in, meta_elements(body[start:_META_BYTES]))), None)
    if found is None:
        return None
    label = found[1].decode("ascii", "ignore")
    return "utf-8" if label.lower().startswith("utf-16") else label


def _label_in(meta: dict[str, bytes]) -> re.Match[bytes] | None:
    """The label in one meta element: its attribute `charset`, or the content of one that stands for the header."""
    if "charset" in meta:
        return _LABEL.match(meta["charset"])
    stands = meta.get("http-equiv", b"").lower() == b"content-type"
    return _CHARSET.search(meta.get("content", b"")) if stands else None


def _by_evidence(body: bytes, header: str | None, meta: str | None) -> Decoded:
    """Decode bytes that are not valid UTF-8 throughout.

    UTF-8 with stray bytes comes first, then the first label that the bytes do not contradict, then a detector.
    """
    outside = len(body) - len(body.translate(None, _HIGH))  # bytes outside ASCII
    text = body.decode("utf-8", "replace")
    bad = text.count("�") - body.count(b"\xef\xbf\xbd")
    good = len(text) - (len(body) - outside) - bad  # characters of two bytes or more
    if good >= _SEQUENCES * bad:
        return _utf8(text, body, header, meta)
    for codec, evidence in ((header, "http"), (meta, "meta")):
        if codec is not None and not codec.startswith("utf-"):
            decoded = _decoded(body, codec, evidence)
            if _fits(decoded.text, body, codec, outside):
                return decoded
    guess = codec_of(cchardet.detect(body[:_DETECT_BYTES])["encoding"])
    if guess == "utf-8":
        return _utf8(text, body, header, meta)
    if guess in (None, "utf-16-le", "utf-16-be"):
        guess = "cp1252"
    if guess != "gb18030" and _is_gb2312(body[:_DETECT_BYTES], str(guess)):
        guess = "gb18030"
    return _decoded(body, str(guess), "detector")


def _is_gb2312(body: bytes, guess: str) -> bool:
    """Whether bytes are pairs of GB 2312 and read so make Chinese, more than in the detector's charset.

    The detector takes short lines of it for Big5 and others. Big5's second bytes are often below 0xA1.
    """
    runs = [run for run in _HIGH_RUN.findall(body) if len(run) > 1]
    if not runs or not all(map(_GB_RUN.fullmatch, runs)):
        return False
    pairs = b"".join(runs)
    share = _common_share(pairs.decode("gb2312", "replace"))
    return share >= _MOST_COMMON and share > _common_share(pairs.decode(guess, "replace"))


def _common_share(text: str) -> float:
    """The share of common characters among a text's ideographs; 0 if there are too few of them."""
    ideographs = [character for character in text if "\u4e00" <= character <= "\u9fff"]
    return sum(map(_COMMON.__contains__, ideographs)) / len(ideographs) if len(ideographs) >= _FEWEST else 0.0


def _may_be_utf16(body: bytes, codec: str) -> bool:
    """Whether bytes that a header calls UTF-16 may be so: text in 8 bits has spaces without a zero byte beside them."""
    head = body[: 2 * _META_BYTES]
    spaces = head.count(b" ") - head.count(b" \0" if codec == "utf-16-le" else b"\0 ")
    if len(head) < 4 or spaces > _SPACES * len(head):
        return False
    text = codecs.decode(head[: len(head) // 2 * 2], codec, "replace")
    return all(character.isprintable() or character.isspace() for character in text) and "�" not in text


def _fits(text: str, body: bytes, codec: str, outside: int) -> bool:
    """Whether bytes may be in a charset: nearly all decode, and a Latin charset gives text that looks Latin.

    In Latin text few letters outside ASCII stand beside another; in Cyrillic, Arabic or Chinese nearly all do.
    """
    characters = outside / (2 if codec in _MULTIBYTE else 1)
    if text.count("�") > _TOLERANCE * characters + body.count(b"\xef\xbf\xbd"):
        return False
    return codec not in _LATIN or 2 * sum(map(len, _HIGH_RUN.findall(body))) <= outside


def _utf16_without_mark(body: bytes) -> str | None:
    """The codec of UTF-16 without a mark, seen by its zero bytes: every second byte of mark-up is zero."""
    head = body[:1024]
    if head.count(0) * 5 < len(head) or len(head) < 4:
        return None
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if even > 4 * odd:
        return "utf-16-be"
    return "utf-16-le" if odd > 4 * even else None


def _decoded(body: bytes, codec: str, evidence: str) -> Decoded:
    text = codecs.decode(body, codec, "replace").replace("\0", "")
    return Decoded(text, _NAMES.get(codec, codec), evidence)


# In XHTML any element may close itself, so `<script src='a.js'/>` holds nothing; in HTML the slash means nothing.
# Source: XHTML 1.0; HTML Standard, 13.1.2 (void elements).
_XHTML_TYPE = "application/xhtml+xml"
_XHTML_HEAD = 4096  # bytes in which the root is searched
_XHTML_NAMESPACE = b"http://www.w3.org/1999/xhtml"
_XHTML_ROOT = re.compile(
    rb"(?:\xef\xbb\xbf)?(?:\s|<\?[^>]*>|<!--(?:(?!-->).)*-->|<![a-z][^>\[]*(?:\[[^\]]*\]\s*)?>)*"
    rb"<html\s[^>]*\bxmlns\s*=\s*[\"']\s*http://www\.w3\.org/1999/xhtml\s*[\"']",
    re.IGNORECASE | re.DOTALL,
)
_VOID = re.compile(r"(?:area|base|br|col|embed|hr|img|input|link|meta|param|source|track|wbr)\b", re.IGNORECASE)
# Comments and elements without mark-up inside stay as they are; others that close themselves are matched by name.
_SELF_CLOSED = re.compile(
    r"<(?:!--.*?(?:-->|\Z)"
    r"|(script|style|textarea|title)\b(?:[^<>\"'/]++|/(?!>)|\"[^\"<]*\"|'[^'<]*')*+>.*?(?:</\1|\Z)"
    rf"|(?!{_VOID.pattern})([a-z][\w:-]*+)((?:\s(?:[^<>\"'/]++|/(?!>)|\"[^\"<]*\"|'[^'<]*')*+)?)/>)",
    re.IGNORECASE | re.DOTALL,
)


def has_xhtml_root(page: bytes) -> bool:
    """Whether the root of a page is `html` in XHTML's namespace."""
    head = page[:_XHTML_HEAD]
    return _XHTML_NAMESPACE in head and _XHTML_ROOT.match(head) is not None


def is_xhtml(content_type: str | None, page: bytes) -> bool:
    """Whether a page is XHTML, by its type or by its root; its first bytes are enough."""
    return content_type == _XHTML_TYPE or has_xhtml_root(page)


def with_end_tags(page: str) -> str:
    """XHTML as a parser of HTML must have it: elements that close themselves get an end tag."""
    return _SELF_CLOSED.sub(_with_end_tag, page) if _closes_more_than_void(page) else page


def _closes_more_than_void(page: str) -> bool:
    """Whether anything but a void element seems to close itself; comments and scripts count here."""
    start, end = 0, page.find("/>")
    while end >= 0:
        tag = page.rfind("<", start, end)
        if tag >= 0 and not _VOID.match(page, tag + 1):
            return True
        start, end = end, page.find("/>", end + 1)
    return False


def _with_end_tag(found: re.Match[str]) -> str:
    return f"<{found[2]}{found[3]}></{found[2]}>" if found[2] else found[0]


# Mojibake: UTF-8 that was read as windows-1252 before it was stored, "Ã©" for "é".
_LEAST_SEQUENCES = 3  # such sequences from which a text may be broken throughout
_BROKEN_SHARE = 0.9  # of the characters outside ASCII that belong to such sequences in a broken text
# Bytes 0x80 to 0x9F in windows-1252; the five it lacks are control characters, as browsers read them.
_WINDOWS_BYTES = {
    bytes([byte]).decode("cp1252") if byte not in (0x81, 0x8D, 0x8F, 0x90, 0x9D) else chr(byte): byte
    for byte in range(0x80, 0x100)
}
_WINDOWS_BYTES |= {chr(byte): byte for byte in range(0x80, 0xA0)}  # read as ISO 8859-1
_LATER_BYTE = "[" + "".join(map(re.escape, (sign for sign, byte in _WINDOWS_BYTES.items() if byte < 0xC0))) + "]"
_BROKEN = re.compile(f"[Â-ß]{_LATER_BYTE}|[à-ï]{_LATER_BYTE}{{2}}|[ð-ô]{_LATER_BYTE}{{3}}")
# A no-break space ends "à" and stands alone as "Â\xa0"; extractors write it as a plain one.
_CUT_OFF = re.compile("[ÃÂ](?=[ \n])")
_REFERENCE = re.compile(r"&(?!(?:lt|gt|amp|quot|apos);)(?:[A-Za-z]{2,8}|#(?:1[6-9]|2[0-5])\d);")
_CONTROLS = re.compile("[\x80-\x9f]")
_BROKEN_SIGNS = re.compile("[ÃÂØÙÐÑÄÅâãæåèÎÏ×]|à[¤¦®]|á»")


def may_be_broken(text: str, source: str = "") -> bool:
    """Whether a text has as many such sequences as a broken one, or its source has controls that are parts of some."""
    return (
        not text.isascii()
        and _BROKEN_SIGNS.search(text) is not None
        and (len(_BROKEN.findall(text)) >= _LEAST_SEQUENCES or _CONTROLS.search(source) is not None)
    )


def mend(text: str) -> str:
    """The text with each sequence as the character it was; as it is unless nearly all of it outside ASCII is broken.

    A text about encodings, which shows a few such sequences among proper letters, stays as it is.
    """
    if not may_be_broken(text):
        return text
    outside = sum(1 for sign in text if sign > "\x7f")
    if sum(map(len, _BROKEN.findall(text))) + len(_CUT_OFF.findall(text)) < _BROKEN_SHARE * outside:
        return text
    text = _BROKEN.sub(_mended, text)
    return text.replace("Ã  ", "Ã ").replace("Ã ", "à ").replace("Ã\n", "à\n").replace("Â ", " ").replace("Â\n", "\n")


def mend_source(html: str) -> str:
    """The source of a page, mended as a text is; broken letters may be written as references (`&Atilde;&copy;`)."""
    spelled = _REFERENCE.sub(lambda found: unescape(found[0]), html)
    mended = mend(spelled)
    return html if mended == spelled else mended


def _mended(found: re.Match[str]) -> str:
    try:
        return bytes(_WINDOWS_BYTES[sign] for sign in found[0]).decode("utf-8")
    except UnicodeDecodeError:
        return found[0]


# Comments, elements whose content is no mark-up, and tags. The first that begins at a "<" counts.
_MARKUP = re.compile(
    rb"<!--(?:-?>|.*?(?:--!?>|\Z))"
    rb"|<(script|style|title|textarea|iframe|xmp|noembed|template)\b(?:[^>]*/>|.*?(?:</\1|\Z))"
    rb"|<(meta)(?=[\s/])((?:[^>\"'<]+|\"[^\"]*\"|'[^']*'|[\"'])*)>?"
    rb"|<[a-z/](?:[^>\"'<]+|\"[^\"]*\"|'[^']*'|[\"'])*>?",
    re.IGNORECASE | re.DOTALL,
)
_ATTRIBUTE = re.compile(rb"([^\s\"'>/=]+)(?:\s*=\s*(?:\"([^\"]*)\"?|'([^']*)'?|([^\s\"'>]+)))?")


def meta_elements(head: bytes) -> Iterator[dict[str, bytes]]:
    """The attributes of each meta element in a part of a page, by their names in lower case.

    As a browser finds them: none in comments, scripts, or values of attributes. Source: HTML Standard, 13.2.3.2.
    """
    for found in _MARKUP.finditer(head):
        if found[2]:
            attributes: dict[str, bytes] = {}
            for name, double, single, bare in _ATTRIBUTE.findall(found[3]):
                attributes.setdefault(name.decode("latin-1").lower(), (double or single or bare).strip())
            yield attributes
