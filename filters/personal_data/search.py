"""Find personal data and replace it, by span.

One RE2 set with the gates of all kinds reads the bytes of a text and says which kinds can be in it. Only those are
searched, and Python checks only their matches. RE2 is linear for every pattern, and patterns are of bounded length, so
no text can make a search slow. The set holds gates, not whole patterns, because a set of patterns has too many states
and reads 20 times slower.
"""

import hashlib
import hmac
import re
import string
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from itertools import accumulate

import re2

from filters.personal_data.candidate import CONTEXT_BYTES, MEMORY, Candidate, Kind, Span
from filters.personal_data.kinds import DEFAULT_KINDS, KINDS, REDACTION_PRESETS
from roots.errors import SettingsError, unknown_name

# Characters without a width: between letters and digits of an address they are no part of it.
_INVISIBLE = "\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufe00-\ufe0f\ufeff"
_BROKEN = re.compile(rf"[{_INVISIBLE}](?<=[!-~\d].)[{_INVISIBLE}]*(?=[!-~\d])")


class SpanFinder:
    """Compiled kinds. Make it once and use it for many texts; it keeps no state between them."""

    def __init__(self, kinds: Iterable[Kind]) -> None:
        options = re2.Options()
        options.max_mem = MEMORY
        options.log_errors = False
        options.longest_match = True  # the longest alternative of a pattern counts, in any order
        self._kinds = tuple(kinds)
        self._pattern = cache(lambda position: re2.compile(self._kinds[position].pattern, options))  # some are slow
        self._set = re2.Set.SearchSet(options)
        for kind in self._kinds:
            self._set.Add(kind.gate)
        if self._kinds:
            self._set.Add(f"[{_INVISIBLE}]")
            self._set.Compile()

    def find(self, text: str, regions: Sequence[str] = ()) -> list[Span]:
        """All spans in a text, in order and without overlaps.

        `regions` are countries (ISO 3166) whose national numbers are likely in it.
        """
        data = text.encode("utf-8", "surrogatepass")
        present = self._set.Match(data) if self._kinds else None
        if not present:
            return []
        if len(self._kinds) in present:
            present.remove(len(self._kinds))
            if cuts := [found.span() for found in _BROKEN.finditer(text)]:
                return _without_cuts(self.find(_BROKEN.sub("", text), regions), cuts)
        claimed = bytearray(len(data))
        found: list[tuple[int, int, str]] = []
        for position in sorted(present):
            kind = self._kinds[position]
            for start, end in _accepted(kind, self._pattern(position), data, regions):
                if claimed.find(1, start, end) < 0:
                    claimed[start:end] = b"\x01" * (end - start)
                    found.append((start, end, kind.name))
        found.sort()
        return _in_characters(found, data, text)


def _without_cuts(spans: Sequence[Span], cuts: Sequence[tuple[int, int]]) -> list[Span]:
    """Spans of a text from which `cuts` were taken, in characters of the whole text."""
    before = list(accumulate((end - start for start, end in cuts), initial=0))
    places = [start - gone for (start, _), gone in zip(cuts, before, strict=False)]
    return [
        Span(kind, start + before[bisect_right(places, start)], end + before[bisect_left(places, end)])
        for kind, start, end in spans
    ]


def _accepted(kind: Kind, pattern: "re2._Regexp", data: bytes, regions: Sequence[str]) -> Iterator[tuple[int, int]]:
    """The byte spans of a kind that its check accepts.

    After a refusal the search continues after the first word of the match: a card number may follow a year.
    """
    position = 0
    while (match := pattern.search(data, position)) is not None:
        start, end = match.span()
        candidate = Candidate(_decode(data[start:end]), _before(data, start), _after(data, end, kind.reach), regions)
        span = kind.check(candidate)
        if span is None:
            position = start + _first_word(candidate.text)
        else:
            seen = candidate.text if span[1] <= len(candidate.text) else candidate.text + candidate.after
            first = start + len(_encode(seen[: span[0]]))
            last = start + len(_encode(seen[: span[1]]))
            yield first, last
            position = max(last, start + 1)


def _first_word(text: str) -> int:
    """Bytes of the first run of letters and digits, or of the first character if it is neither."""
    length = 0
    while length < len(text) and text[length].isalnum():
        length += 1
    return len(_encode(text[: max(length, 1)]))


def _before(data: bytes, start: int) -> str:
    return _decode(data[max(0, start - CONTEXT_BYTES) : start], "ignore")


def _after(data: bytes, end: int, reach: int) -> str:
    return _decode(data[end : end + reach], "ignore")


def _decode(data: bytes, errors: str = "surrogatepass") -> str:
    return data.decode("utf-8", errors)


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _in_characters(found: Sequence[tuple[int, int, str]], data: bytes, text: str) -> list[Span]:
    """Byte spans as character spans. A span includes the marks on its last character."""
    spans: list[Span] = []
    place = bytes_done = 0
    for start, end, name in found:
        first = place + len(_decode(data[bytes_done:start]))
        last = first + len(_decode(data[start:end]))
        place, bytes_done = last, end
        while last < len(text) and unicodedata.category(text[last])[0] == "M":
            last += 1
        spans.append(Span(name, first, last))
    return spans


@lru_cache(maxsize=16)
def _finder(names: tuple[str, ...], preset: str = "ours") -> SpanFinder:
    """The finder of these kinds of a preset. Raises SettingsError for an unknown name."""
    if preset not in REDACTION_PRESETS:
        raise SettingsError(unknown_name("preset", preset, REDACTION_PRESETS))
    known = REDACTION_PRESETS[preset].kinds
    for name in names:
        if name not in known:
            raise SettingsError(unknown_name(f"kind of personal data of the preset {preset!r}", name, known))
    return SpanFinder(kind for kind in known.values() if kind.name in names)


def find_spans(text: str, kinds: Iterable[str], regions: Sequence[str] = (), preset: str = "ours") -> list[Span]:
    """The personal data of these kinds in a text: spans in characters, in order, without overlaps.

    Raises SettingsError for an unknown kind or preset.
    """
    return _finder(tuple(kinds), preset).find(text, regions)


def as_shown(text: str, language: str | None = None) -> str:
    """A text that people may read: personal data that redaction finds by default is replaced by tags."""
    return redact(text, find_spans(text, DEFAULT_KINDS, regions_of(language)), "roots")


def redact_url(url: str) -> str:
    """A URL without a user name, and with ROOTS's tag in place of every e-mail address in it.

    The at sign may be percent-encoded. The host stays. A URL without either is returned unchanged.
    """
    if "@" not in url and "%40" not in url:
        return url
    scheme, sign, rest = url.partition("://")
    if not sign:
        scheme, rest = "", url
    end = next((place for place, char in enumerate(rest) if char in "/?#"), len(rest))
    host = rest[:end].rpartition("@")[2]
    parts = _URL_PARTS.split(rest[end:])  # in a path, a slash ends a local part
    return f"{scheme}{sign}{host}{''.join(map(_redact_part, parts))}"


_URL_PARTS = re.compile(r"([/?#&=;]+)")


def _redact_part(part: str) -> str:
    plain = part.replace("%40", "@")
    spans = find_spans(plain, ["email"]) if "@" in plain else []
    return redact(plain, spans, "roots") if spans else part


def redact(text: str, spans: Sequence[Span], style: str, secret: bytes = b"") -> str:
    """The text with every span replaced; the rest stays unchanged. Spans are ordered and do not overlap."""
    parts: list[str] = []
    place = 0
    for span, new in zip(spans, replacements(text, spans, style, secret), strict=True):
        parts += [text[place : span.start], new]
        place = span.end
    return "".join([*parts, text[place:]])


def replacements(text: str, spans: Sequence[Span], style: str, secret: bytes = b"") -> list[str]:
    """What stands in the place of each span.

    `secret` decides the stand-ins of the style "synthetic", the only one that needs it. Raises SettingsError for an
    unknown style.
    """
    if style not in STYLES:
        raise SettingsError(unknown_name("style of redaction", style, STYLES))
    write = STYLES[style]
    found: list[str] = []
    seen: dict[str, int] = {}
    for span in spans:
        found.append(write(KINDS[span.kind], text[span.start : span.end], seen.get(span.kind, 0), secret))
        seen[span.kind] = seen.get(span.kind, 0) + 1
    return found


# ISO 639-1 -> countries (ISO 3166) whose national numbers are likely in such a text, most likely first
REGIONS: dict[str, tuple[str, ...]] = {
    "ak": ("GH",),
    "ar": ("SA", "EG", "AE", "MA", "DZ", "IQ", "TN", "SY", "JO"),
    "as": ("IN",),
    "bm": ("ML",),
    "bn": ("BD", "IN"),
    "ca": ("ES", "AD"),
    "en": ("US", "GB", "CA", "AU", "IN", "NG", "ZA", "IE", "NZ", "KE"),
    "es": ("MX", "ES", "AR", "CO", "CL", "PE", "VE", "EC"),
    "eu": ("ES", "FR"),
    "fon": ("BJ",),
    "fr": ("FR", "CA", "BE", "CH", "SN", "CI", "CM", "MA"),
    "gu": ("IN",),
    "hi": ("IN",),
    "id": ("ID",),
    "ig": ("NG",),
    "ki": ("KE",),
    "kn": ("IN",),
    "lg": ("UG",),
    "ln": ("CD", "CG"),
    "ml": ("IN",),
    "mr": ("IN",),
    "ne": ("NP", "IN"),
    "nso": ("ZA",),
    "ny": ("MW", "ZM"),
    "or": ("IN",),
    "pa": ("IN", "PK"),
    "pt": ("BR", "PT", "AO", "MZ"),
    "rn": ("BI",),
    "rw": ("RW",),
    "sn": ("ZW",),
    "st": ("LS", "ZA"),
    "sw": ("KE", "TZ", "UG"),
    "ta": ("IN", "LK", "SG"),
    "te": ("IN",),
    "tn": ("BW", "ZA"),
    "ts": ("ZA", "MZ"),
    "tum": ("MW", "ZM"),
    "tw": ("GH",),
    "ur": ("PK", "IN"),
    "vi": ("VN",),
    "wo": ("SN", "GM"),
    "xh": ("ZA",),
    "yo": ("NG", "BJ"),
    "zh": ("CN", "TW", "HK", "SG", "MO"),
    "zu": ("ZA",),
}
# ISO 639-3 -> ISO 639-1; macro-languages and their members give the same code
_LONG = """aka=ak arb=ar ara=ar asm=as bam=bm ben=bn cat=ca eng=en spa=es eus=eu fra=fr guj=gu hin=hi ind=id ibo=ig
    kik=ki kan=kn lug=lg lin=ln mal=ml mar=mr nep=ne npi=ne nya=ny ori=or ory=or pan=pa por=pt run=rn kin=rw sna=sn
    sot=st swa=sw swh=sw tam=ta tel=te tsn=tn tso=ts twi=tw urd=ur vie=vi wol=wo xho=xh yor=yo zho=zh cmn=zh zul=zu"""
_SHORT = dict(pair.split("=") for pair in _LONG.split())


def regions_of(language: str | None) -> tuple[str, ...]:
    """Countries for a language code (ISO 639-1 or 639-3); none for a language that is not in the table."""
    return REGIONS.get(_SHORT.get(language or "", language or ""), ())


# kind, value, number of spans of the kind before it in the document, the document's secret -> replacement
_Write = Callable[[Kind, str, int, bytes], str]

_FINEWEB_EMAILS = ("email@example.com", "firstname.lastname@example.org")
# Addresses that did not answer when FineWeb chose them (FineWeb's data card)
_FINEWEB_IPS = (
    "22.214.171.124", "126.96.36.199", "188.8.131.52", "184.108.40.206", "220.127.116.11", "18.104.22.168",
)  # fmt: skip


def _roots_tag(kind: Kind, value: str, ordinal: int, secret: bytes) -> str:
    """`PI:EMAIL`, as in ROOTS."""
    return f"PI:{kind.tag}"


def _starcoder_tag(kind: Kind, value: str, ordinal: int, secret: bytes) -> str:
    """`<EMAIL>`, as in StarCoder's data."""
    return f"<{kind.tag}>"


def _fineweb_stand_in(kind: Kind, value: str, ordinal: int, secret: bytes) -> str:
    """One of a few fixed addresses in turn, as in FineWeb; kinds that FineWeb does not know get their tag."""
    if kind.tag == "EMAIL":
        return _FINEWEB_EMAILS[ordinal % len(_FINEWEB_EMAILS)]
    if kind.tag == "IP_ADDRESS":
        return _FINEWEB_IPS[ordinal % len(_FINEWEB_IPS)]
    return _roots_tag(kind, value, ordinal, secret)


def _stand_in(kind: Kind, value: str, ordinal: int, secret: bytes) -> str:
    """A value of the same shape that belongs to nobody: the same for the same value and secret.

    Hosts, addresses and numbers are those that standards reserve (RFC 2606, 5737, 3849; country code 999). Other values
    keep their shape; their characters come from an HMAC of the value, so nobody can test guesses without the secret.
    """
    draw = _draws(secret, f"{kind.tag}\0{value}")
    if kind.tag == "EMAIL":
        return f"{''.join(string.ascii_lowercase[draw(26)] for _ in range(8))}@example.{('com', 'net', 'org')[draw(3)]}"
    if kind.tag == "IP_ADDRESS":
        if ":" in value:
            return f"2001:db8:{draw(65536):x}:{draw(65536):x}::{draw(65535) + 1:x}"
        return f"{('192.0.2', '198.51.100', '203.0.113')[draw(3)]}.{draw(254) + 1}"
    if kind.tag == "PHONE":
        return f"+999 {draw(900) + 100} {draw(900) + 100} {draw(900) + 100}"
    if kind.tag == "USER":
        return f"@user_{draw(10**6):06d}"
    return "".join(_like(char, draw) for char in value)


def _draws(secret: bytes, name: str) -> Callable[[int], int]:
    """A source of numbers below a bound that depends only on secret and name."""
    count = 0

    def draw(bound: int) -> int:
        nonlocal count
        count += 1
        digest = hmac.new(secret, f"{name}\0{count}".encode("utf-8", "surrogatepass"), hashlib.sha256).digest()
        return int.from_bytes(digest[:8], "big") % bound

    return draw


def _like(char: str, draw: Callable[[int], int]) -> str:
    """Another character of the same class; signs and spaces stay."""
    if char.isdigit():
        return str(draw(10))
    if char.isalpha():
        letters = string.ascii_uppercase if char.isupper() else string.ascii_lowercase
        return letters[draw(26)]
    return char


STYLES: Mapping[str, _Write] = {
    "roots": _roots_tag,
    "starcoder": _starcoder_tag,
    "fineweb": _fineweb_stand_in,
    "synthetic": _stand_in,
}
