"""STYLES: how personal data is replaced."""

import hashlib
import hmac
import string
from collections.abc import Callable, Mapping

from filters.personal_data.candidate import Kind

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
