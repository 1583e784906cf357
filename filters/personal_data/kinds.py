"""KINDS: every kind of personal data, one row each. REDACTION_PRESETS: ours, and the rules that others published."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from filters.personal_data.candidate import Kind
from filters.personal_data.devices import COORDINATES, MAC_ADDRESS, PLATE, WALLET
from filters.personal_data.handles import USER
from filters.personal_data.keys import ACCESS_KEY, PRIVATE_KEY
from filters.personal_data.national_ids import NATIONAL_ID
from filters.personal_data.network import EMAIL, IP_ADDRESS
from filters.personal_data.numbers import IBAN, PAYMENT_CARD
from filters.personal_data.phones import PHONE
from filters.personal_data.published_rules import BIGCODE_KINDS, FINEWEB_KINDS, ROOTS_KINDS

_ROWS = (  # where two overlap, the earlier one wins
    EMAIL, PRIVATE_KEY, IBAN, WALLET, ACCESS_KEY, MAC_ADDRESS, IP_ADDRESS, PAYMENT_CARD, NATIONAL_ID, COORDINATES,
    PHONE, USER, PLATE,
)  # fmt: skip
KINDS: dict[str, Kind] = {kind.name: kind for kind in _ROWS}
DEFAULT_KINDS: tuple[str, ...] = tuple(kind.name for kind in KINDS.values() if kind.by_default)
# In source code at signs and pairs of numbers are syntax and data: of the kinds on by default, only these are searched.
CODE_KINDS: tuple[str, ...] = (EMAIL.name, PRIVATE_KEY.name, ACCESS_KEY.name, IP_ADDRESS.name)
_LINE_CHARACTERS = 110


@dataclass(frozen=True)
class _Preset:
    """A set of rules, and the style that replaces what they find unless another is named."""

    kinds: Mapping[str, Kind]
    style: str


def _published(kinds: Sequence[Kind], style: str) -> _Preset:
    return _Preset({kind.name: kind for kind in kinds}, style)


REDACTION_PRESETS: Mapping[str, _Preset] = {
    "ours": _Preset(KINDS, "roots"),
    "roots": _published(ROOTS_KINDS, "roots"),
    "fineweb": _published(FINEWEB_KINDS, "fineweb"),
    "bigcode": _published(BIGCODE_KINDS, "starcoder"),
}


def describe_kinds() -> Iterator[str]:
    """Lines of `roots pii kinds`: for each kind its rule, context words, texts it finds and texts it spares."""
    for kind in KINDS.values():
        off = "" if kind.by_default else "   (off by default)"
        yield f"{kind.name}   PI:{kind.tag}{off}"
        yield from _wrapped("", kind.words)
        if kind.context:
            count = sum(map(len, kind.context.values()))
            yield from _wrapped("context: ", f"{count} words in {', '.join(sorted(kind.context))}")
        yield from _wrapped("finds: ", " | ".join(map(_one_line, kind.finds)))
        yield from _wrapped("spares: ", " | ".join(map(_one_line, kind.spares)))
        yield ""


def _one_line(text: str) -> str:
    """A text without line breaks; the middle of a long one is left out."""
    plain = " ".join(text.split())
    return plain if len(plain) <= 76 else f"{plain[:40]} … {plain[-32:]}"


def _wrapped(head: str, text: str) -> list[str]:
    return textwrap.wrap(
        head + text, _LINE_CHARACTERS, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False
    )
