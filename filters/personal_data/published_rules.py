"""Rules that others published, to compare with ours: ROOTS, FineWeb and BigCode (StarCoder).

They find what the originals find, their mistakes included. Redaction still replaces by span. `kinds.REDACTION_PRESETS`
gives each set its name.
"""

import ipaddress
import re

from filters.personal_data.candidate import Candidate, Kind
from filters.personal_data.keys import ISSUED, ISSUED_KEY, entropy
from filters.personal_data.network import WELL_KNOWN

# ROOTS, stage 02. Its matches end at the end of a line, a blank, one of these signs or a Han character.
_ROOTS_EDGE = re.compile(r"[\s@?,!;:'\")(.一-鿿㐀-䶿]")
_ROOTS_UNITS = re.compile(
    r"(?:(?:[A-Za-z]+[\d/+=:_-]+|[\d/+=:-]+[A-Za-z]+){4,}|(?:(?:\d{3,}|[A-Z]+\d+[A-Z]*|\d+[A-Z]+\d*)[ -]?){3,}).*?",
    re.DOTALL,
)
_DATES = re.compile(r"\d{4}[-/]\d{4}|\d{4}[-/]\d{1,2}(?:[-/]\d{1,2})?|\d{1,2}[-/]\d{1,2}[-/]\d{2,4}|\d{1,2}[-/]\d{4}")


def _edge(char: str) -> bool:
    return not char or _ROOTS_EDGE.match(char) is not None


def _roots_key(candidate: Candidate) -> tuple[int, int] | None:
    """The longest start of the candidate that consists of whole units and ends at an edge."""
    text = candidate.text + candidate.after[:1]
    if not _edge(candidate.before[-1:]):
        return None
    for end in range(len(candidate.text), 8, -1):
        if _edge(text[end : end + 1]) and _ROOTS_UNITS.fullmatch(text[:end]):
            return 0, len(text[:end].rstrip())
    return None


def _between_edges(candidate: Candidate) -> tuple[int, int] | None:
    fit = _edge(candidate.before[-1:]) or candidate.before[-1:] == "<"
    return (0, len(candidate.text)) if fit else None


def _roots_ip(candidate: Candidate) -> tuple[int, int] | None:
    """Any address, private or public, that does not look like a date."""
    text = candidate.text
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return None
    fit = _edge(candidate.before[-1:]) and _edge(candidate.after[:1]) and any(map(str.isdigit, text))
    return (0, len(text)) if fit and not _DATES.search(text) else None


_IPV4 = r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}"
_IPV6 = r"[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?:\.[0-9]{1,3}){0,3}"


ROOTS_KINDS = (
    Kind(
        "key", "KEY", "at least four units of letters and digits in turn, or three groups of digits or capitals",
        r"[0-9/+=:-]",
        r"(?:[A-Za-z]{1,30}[0-9/+=:_-]{1,30}|[0-9/+=:-]{1,30}[A-Za-z]{1,30}){4,30}"
        r"|(?:(?:[0-9]{3,30}|[A-Z]{1,30}[0-9]{1,30}[A-Z]{0,30}|[0-9]{1,30}[A-Z]{1,30}[0-9]{0,30})[ -]?){3,30}",
        _roots_key,
    ),
    Kind(
        "email", "EMAIL", "no blanks or quotes, an at sign, no blanks, a dot, a letter and more",
        "@", r"[^\s@?!;,:)('\"<]{1,64}@[^\s@!?;,/]{1,250}\.[A-Za-z][0-9A-Za-z_]{1,30}", _between_edges,
    ),
    Kind("user", "USER", "an at sign at an edge, then at least three characters that are no edge",
          "@", r"@[^\s@?,!;:'\")(\x{4e00}-\x{9fff}\x{3400}-\x{4dbf}]{3,60}", _between_edges),
    Kind("ip_address", "IP_ADDRESS", "IPv4 or IPv6, private or public", r"[0-9]\.[0-9]{1,3}\.[0-9]|:[0-9A-Fa-f]{0,4}:",
          f"{_IPV4}|{_IPV6}", _roots_ip),
)  # fmt: skip


def _word_edges(candidate: Candidate) -> bool:
    return not (re.match(r"\w", candidate.before[-1:]) or re.match(r"\w", candidate.after[:1]))


def _fineweb_email(candidate: Candidate) -> tuple[int, int] | None:
    return (0, len(candidate.text)) if not re.match(r"[A-Za-z0-9]", candidate.before[-1:]) else None


def _public_ipv4(candidate: Candidate) -> tuple[int, int] | None:
    try:
        public = ipaddress.IPv4Address(candidate.text).is_global
    except ValueError:
        return None
    return (0, len(candidate.text)) if public and _word_edges(candidate) else None


_ASCII_EMAIL = (
    r"[A-Za-z0-9!#$%&'*+/=?^_{|}~-]{1,64}(?:\.[A-Za-z0-9!#$%&'*+/=?^_{|}~-]{1,64}){0,8}@"
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,8}[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
)
FINEWEB_KINDS = (
    Kind("email", "EMAIL", "an ASCII address", "@", _ASCII_EMAIL, _fineweb_email),
    Kind("ip_address", "IP_ADDRESS", "public IPv4", r"[0-9]\.[0-9]{1,3}\.[0-9]", _IPV4, _public_ipv4),
)


def _bigcode_ip(candidate: Candidate) -> tuple[int, int] | None:
    """A public address of no well-known resolver; one of seven characters only near `dns` or `server`."""
    text = candidate.text
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if not _word_edges(candidate) or not address.is_global or text in WELL_KNOWN:
        return None
    near = (candidate.before[-100:] + candidate.after[:100]).lower()
    return None if len(text) == 7 and "dns" not in near and "server" not in near else (0, len(text))


def _bigcode_email(candidate: Candidate) -> tuple[int, int] | None:
    fit = _word_edges(candidate) and re.search(r"\.[A-Za-z]{2,}$", candidate.text)
    return (0, len(candidate.text)) if fit else None


def _bigcode_key(candidate: Candidate) -> tuple[int, int] | None:
    """A quoted string of high entropy, with the limits of detect-secrets: 3 bits for hexadecimal, 4.5 for base 64."""
    text = candidate.text
    issued = ISSUED_KEY.match(text)
    if issued:
        return 0, issued.end()
    if text[0] not in "\"'" or text[-1] != text[0]:
        return None
    inner = text[1:-1]
    limit = 3.0 if re.fullmatch(r"[0-9a-fA-F]+", inner) else 4.5
    return (1, len(text) - 1) if entropy(inner) > limit else None


BIGCODE_KINDS = (
    Kind("email", "EMAIL", "an ASCII address with a top-level domain of letters", "@", _ASCII_EMAIL, _bigcode_email),
    Kind("key", "KEY", "published prefixes; quoted strings of high entropy", r"[A-Za-z0-9_+/=.-]{16}",
          "|".join([*ISSUED, r"[\"'][A-Za-z0-9+/=_-]{16,200}[\"']"]), _bigcode_key),
    Kind("ip_address", "IP_ADDRESS", "public IPv4 or IPv6", r"[0-9]\.[0-9]{1,3}\.[0-9]|:[0-9A-Fa-f]{0,4}:",
          f"{_IPV4}|{_IPV6}", _bigcode_ip),
)  # fmt: skip
