"""Numbers of accounts: payment card and IBAN; and the words that go before numbers of other kinds."""

import re
from collections.abc import Iterator

from stdnum import iban, luhn

from filters.personal_data.candidate import Candidate, Kind, digits_of, goes_on_before, goes_on_behind, is_word, seen_in
from filters.personal_data.cues import CARD_CUES, card_before
from filters.personal_data.network import fold_digits

_DASH = r"[-‐‑‒–−－]"
_SPACE = r"[ \x{a0}\x{2009}\x{202f}]"
_GAPS = (f"{_SPACE}{{1,2}}", _DASH, r"\.")
_D = r"\p{Nd}"
# Six digits with signs between them: the gate of every kind of long number
LONG_NUMBER = rf"{_D}(?:[ \x{{a0}}\x{{2009}}\x{{202f}}./()‐‑‒–−－-]{{0,3}}{_D}){{5}}"

# Words before a number of another kind: books, articles, references
other_number_before = seen_in(
    r"(?:^|[^\pL])(?:isbn(?:-1[03])?|issn|doi|ean|upc|sku|gtin|pmid|oclc|asin|arxiv|rfc|art\.?|ref\.?|réf\.?|order|item|part|model|"
    r"modelo|modèle|serial|s/n|id|version|v\.?|§|n\.º de pedido|订单号|货号|书号|型号)"
    r"[\s\x{a0}:#.°º№-]{0,4}(?:no\.?|number)?[\s:#.-]{0,3}$"
)
in_url = seen_in(r"(?:://|www\.)\S*$|[/=&?#_]$")


# Issuers by first digits (ISO/IEC 7812), and the lengths of their numbers: Visa, Mastercard, American Express,
# Discover, Diners, JCB, UnionPay, Maestro and Verve, Mir, RuPay
_ISSUER_RANGES: tuple[tuple[str, frozenset[int]], ...] = (
    (r"4", frozenset([13, 16, 19])),
    (r"5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720", frozenset([16])),
    (r"3[47]", frozenset([15])),
    (r"6011|65|64[4-9]|622", frozenset([16, 17, 18, 19])),
    (r"30[0-5]|3095|36|38|39", frozenset([14, 16])),
    (r"352[89]|35[3-8]", frozenset([16])),
    (r"62|81", frozenset([16, 17, 18, 19])),
    (r"50(?:18|20|38|6[01])|58[19]|6304|67(?:0|59|6)", frozenset([16, 18, 19])),
    (r"220[0-4]", frozenset([16])),
    (r"508|60|82", frozenset([16])),
)
_ISSUERS = tuple((re.compile(pattern), lengths) for pattern, lengths in _ISSUER_RANGES)


def _check_card(candidate: Candidate) -> tuple[int, int] | None:
    """An issuer's range and length, or a word for cards before it; and the Luhn check digit (ISO/IEC 7812-1)."""
    if goes_on_before(candidate.before):
        return None
    text = fold_digits(candidate.text)
    named = card_before(candidate.before[-48:])
    for end in _ends(text):
        digits = digits_of(text[:end])
        known = (named and 12 <= len(digits) <= 19 and len(set(digits)) > 2) or any(
            len(digits) in lengths and pattern.match(digits) for pattern, lengths in _ISSUERS
        )
        if known and luhn.is_valid(digits) and not goes_on_behind(text[end:] + candidate.after):
            before = candidate.before
            return None if in_url(before) or other_number_before(before[-24:]) else (0, end)
    return None


def _ends(text: str) -> Iterator[int]:
    """Where a grouped number may end: at its end, then before each sign or space from the right."""
    yield len(text)
    for place in reversed(range(12, len(text))):
        if not text[place].isalnum():
            yield place


PAYMENT_CARD = Kind(
    name="payment_card",
    tag="CARD",
    words="12 to 19 digits with a right Luhn digit, solid or grouped, of a known issuer or after a context word",
    gate=LONG_NUMBER,
    pattern="|".join(
        [
            *(f"{_D}{{4}}{sep}{_D}{{4}}{sep}{_D}{{4}}{sep}{_D}{{1,4}}(?:{sep}{_D}{{3}})?" for sep in _GAPS),
            *(f"{_D}{{4}}{sep}{_D}{{6}}{sep}{_D}{{4,5}}" for sep in _GAPS),
            f"{_D}{{12,19}}",
        ]
    ),
    check=_check_card,
    context=CARD_CUES,
    finds=(
        "card ⟪4111 1111 1111 1111⟫ exp",
        "⟪5555-5555-5555-4444⟫,",
        "(⟪378282246310005⟫)",
        "2019 ⟪6011 1111 1111 1117⟫",
        "卡号⟪6200000000000005⟫。",
        "بطاقة ⟪٤١١١ ١١١١ ١١١١ ١١١١⟫",
        "कार्ड ⟪४१११११११११११११११⟫ है",
        "⟪3782 822463 10005⟫",
        "my card ⟪180000000000002⟫ is lost",
        "⟪4111.1111.1111.1111⟫ or ⟪4111  1111  1111  1111⟫",
    ),
    spares=(
        "4111 1111 1111 1112",
        "ISBN 978-3-16-148410-0",
        "9783161484100",
        "0000 0000 0000 0000",
        "3.1415926535897932",
        "1990 1994 1998 2002",
        "https://example.org/s/4111111111111111",
        "4111111111111111111111111",
        "1234567890123",
        "lost 180000000000002",
        "card 0000 0000 0000 0000",
        "card 41 11 11 11 14",
        "4111.1111.1111.1112",
    ),
)


def _check_iban(candidate: Candidate) -> tuple[int, int] | None:
    """Country, length and check digits of an IBAN (ISO 13616, mod 97). Words after it are not part of it."""
    if is_word(candidate.before[-1:]) and candidate.before[-1:].isascii():
        return None
    text = candidate.text
    for end in _ends(text):
        if is_word((text + candidate.after)[end : end + 1]):
            continue
        number = fold_digits(text[:end])
        number = number.upper() if number.islower() else number
        if _mod_97(number) == 1 and iban.is_valid(number, check_country=False):
            return 0, end
    return None


def _mod_97(number: str) -> int:
    """The remainder, 1 for a right IBAN (ISO 7064): a tenth of the cost of the full check."""
    compact = "".join(filter(str.isalnum, number))
    return int("".join(str(int(char, 36)) for char in compact[4:] + compact[:4])) % 97


_IBAN_GAP = rf"(?:{_SPACE}{{0,2}}|{_DASH}|\.)"
_IBAN_FORM = rf"[A-Z]{{2}}{_D}{{2}}(?:{_IBAN_GAP}[A-Z0-9{_D}]{{4}}){{2,7}}(?:{_IBAN_GAP}[A-Z0-9{_D}]{{1,4}})?"
IBAN = Kind(
    name="iban",
    tag="IBAN",
    words="an international bank account number, solid or in groups of four, in its country's form, mod 97 = 1",
    gate=rf"[A-Za-z]{{2}}{_D}{{2}}{_IBAN_GAP}[A-Za-z0-9{_D}]{{4}}",
    pattern=rf"{_IBAN_FORM}|{_IBAN_FORM.replace('A-Z', 'a-z')}",
    check=_check_iban,
    finds=(
        "IBAN ⟪DE89370400440532013000⟫.",
        "⟪GB82 WEST 1234 5698 7654 32⟫ is it",
        "⟪FR14 2004 1010 0505 0001 3M02 606⟫",
        "الحساب ⟪SA0380000000608010167519⟫",
        "⟪BR1800360305000010009795493C1⟫, x",
        "账号⟪DE89370400440532013000⟫。",
        "⟪DE89 3704 0044 0532 0130 00⟫ BANK",
        "my iban is ⟪gb82west12345698765432⟫",
        "⟪DE89-3704-0044-0532-0130-00⟫, ⟪FR14.2004.1010.0505.0001.3M02.606⟫",
    ),
    spares=(
        "DE89370400440532013001",
        "IT IS 1234 FOR REAL",
        "XX89370400440532013000",
        "AB12CDEFGHIJKLMNOPQR",
        "ISO 9001 2015 ABCD EFGH",
    ),
)
