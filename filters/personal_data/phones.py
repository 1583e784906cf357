"""Telephone numbers, by libphonenumber's tables and by the text around them."""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import phonenumbers

from filters.personal_data.candidate import Candidate, Kind, digits_of, follows_group, goes_on_before, goes_on_behind
from filters.personal_data.cues import (
    PHONE_CUES,
    counted_behind,
    cue_before,
    cue_behind,
    cue_near,
    dialled_before,
    weak_cue_before,
)
from filters.personal_data.network import fold_digits
from filters.personal_data.numbers import LONG_NUMBER, in_url, other_number_before

_D = r"\p{Nd}"
_ABROAD = ("+", "(+", "00")
_DATE = re.compile(
    r"(?:(?:1\d|20)\d{2}[-/. ]\d{1,2}[-/. ]\d{1,2}|\d{1,2}[-/. ]\d{1,2}[-/. ](?:19|20)\d{2}|"
    r"(?:(?:1[0-9]|20)\d{2}[-/ ]){1,5}(?:1[0-9]|20)\d{2})"
)
_GROUPED = re.compile(r"\d{1,3}(?:[ .]\d{3}){2,5}")
_EXTENSION = re.compile(r"\s?(?:x|ext\.?|extension|poste)\s?\d{1,6}(?!\w)", re.IGNORECASE)
_TRUNK = re.compile(r"\( ?0 ?\)")  # "+41 (0)44": the zero is dialled only inside the country
_YEARS = re.compile(r"(?:19|20)\d{2}(?:[-/ –](?:19|20)?\d{2})+")


def _check_phone(candidate: Candidate) -> tuple[int, int] | None:
    """A valid number with country code, or one valid in a likely country that is grouped or named as a number.

    libphonenumber decides what is valid. After a context word ("Tel.") 7 digits are enough. Two numbers with a sign
    between them are two numbers, and a context word before the first names both.
    """
    whole = fold_digits(candidate.text)
    before = _without_numbers(candidate.before, whole)
    dialled = before[-1:] in tuple("/=:+") and dialled_before(before[-60:])
    joint = _joint(whole, candidate.after)
    text, rest = whole[:joint], whole[joint:] + candidate.after
    if not dialled and (goes_on_before(before) or (follows_group(before) and not text.startswith("+"))):
        return None
    near = dialled or cue_near(before[-40:])
    named = dialled or cue_before(before[-40:]) or cue_behind(rest[:12])
    if not (near or named or candidate.regions or text.startswith(_ABROAD)):
        return None
    ends = [
        end
        for end in _phone_ends(text)
        if _grouped_like_a_number(text[:end])
        and (
            not goes_on_behind(text[end:] + rest)
            or _extension(candidate, end)
            or end == joint < len(whole)
            or _JOINED.match((text + rest)[end:])
        )
    ]
    if not ends:
        return None
    end = _number_end(text, rest, ends, candidate.regions, _Evidence(near, named, dialled, before[-20:]))
    if end is None or other_number_before(before[-24:]) or (in_url(before) and not dialled):
        return None
    return (1 if text[0] == "(" and ")" not in text[:end] else 0), end + _extension(candidate, end)


class _Evidence(NamedTuple):
    """What the text before a number says about it."""

    near: bool  # a context word stands near
    named: bool  # only "number" and signs are between a context word and the number
    dialled: bool  # the number is part of a link that dials
    before: str  # the end of that text


def _number_end(text: str, rest: str, ends: Sequence[int], regions: Sequence[str], evidence: _Evidence) -> int | None:
    """The end of the number among these ends; None if it is none, or a count, a sum or a date."""
    if evidence.dialled and _valid("+" + digits_of(text), None):
        return ends[0]
    end = next((end for end in ends if _is_number(text[:end], regions, evidence.near)), None)
    if end is None and evidence.named and not weak_cue_before(evidence.before):
        end = next((end for end in ends if _could_be_called(text[:end])), None)
    if end is None or _DECIMAL_PAIR.search(text[: ends[0]] + "|" + rest[:20]) or _dated(text):
        return None
    return None if counted_behind(text[end:] + rest[:24]) else end


# What may stand between two numbers; a comma and the like only between two of about the same length
_SIGN = r"[ \xa0]?[/,;|、،؛&，；／][ \xa0]?|[ \xa0][-][ \xa0]|-"
_NUMBER = r"\+?\(?\d(?:[ ().-]{0,2}\d){6,14}"
_WORD_BETWEEN = (
    " (?:and|or|y|e|o|u|et|ou|i|eta|edo|dan|atau|và|hoặc|na|au|tàbí|و|أو|او|اور|یا|और|या|तथा|व|এবং|ও|અને|மற்றும்|మరియు|"
    "ಮತ್ತು) | ?[和或及与與] ?"
)
_JOINT = re.compile(r" ?/ ?| - |(?<=\d{7})-(?=\d{7})")
_JOINING = tuple("/-‐‑‒–−－／")
_JOINED = re.compile(rf"(?:{_SIGN}){_NUMBER}")
_NEXT = re.compile(_NUMBER)
_NUMBER_BEFORE = re.compile(rf"(?<![\d.,-])({_NUMBER})({_SIGN}|{_WORD_BETWEEN})$")


def _joint(text: str, after: str) -> int:
    """Where the sign between two numbers is in a folded candidate; its length if it holds one number."""
    if "/" not in text and "-" not in text and after[:1] not in _JOINING and after[1:2] not in _JOINING:
        return len(text)
    whole = text + fold_digits(after[:24])
    for sign in _JOINT.finditer(whole):
        if sign.start() >= len(text):
            break
        if len(digits_of(whole[: sign.start()])) >= 7 and _NEXT.match(whole, sign.end()):
            return sign.start()
    return len(text)


def _without_numbers(before: str, text: str) -> str:
    """The text before a number, without the numbers that a sign or an "and" joins to it."""
    if not any(map(str.isdigit, before[-12:])):
        return before
    count = len(digits_of(text))
    for _ in range(4):
        found = _NUMBER_BEFORE.search(fold_digits(before[-48:])) if before[-1:] and not before[-1].isdigit() else None
        if found is None:
            break
        digits = len(digits_of(found[1]))
        if found[2].strip() != "/" and (digits < 9 or not digits - 1 <= count <= digits + 8):
            break
        before = before[: len(before) - len(found[0])]
    return before


# "51.123456, -0.12345": two decimal numbers, not a telephone number
_DECIMAL_PAIR = re.compile(r"(?:^|[ (])\d{1,3}\.\d{4,}\|[,;] ?[-+]?\d{1,3}\.\d{4}|^\d{1,3}\.\d{5,}\|")


def _dated(text: str) -> bool:
    """Whether eight digits are a day: 20201231."""
    return re.fullmatch(r"(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])", text) is not None


def _extension(candidate: Candidate, end: int) -> int:
    """How many characters after a number are an extension: "x769", "ext. 12"."""
    found = _EXTENSION.match((candidate.text + candidate.after)[end : end + 20])
    return found.end() if found else 0


def _grouped_like_a_number(text: str) -> bool:
    """Whether only the first three groups may have one digit ("+33 (0)1 23"); a row of single digits is a table."""
    return all(len(group) > 1 for group in re.findall(r"\d+", text)[3:])


def _phone_ends(text: str) -> Iterator[int]:
    """The end of the candidate, then the end without its last group, and so on while 7 digits are left."""
    end = len(text)
    while end and len(digits_of(text[:end])) >= 7:
        yield end
        while end and text[end - 1].isdigit():
            end -= 1
        while end and not text[end - 1].isdigit():
            end -= 1


def _is_number(text: str, regions: Sequence[str], near: bool) -> bool:
    """Whether a number is valid: with its country code, grouped as in a region, or solid after a context word."""
    if text.startswith(_ABROAD):
        return _valid("+" + digits_of(_TRUNK.sub("", text)).removeprefix("00"), None)
    whole = text.isdigit()
    if (whole and not near) or _DATE.fullmatch(text) or _YEARS.fullmatch(text):
        return False
    groups = len(re.findall(r"\d+", text))
    distinct = near or (groups >= 3 and not _GROUPED.fullmatch(text)) or text[0] in "0("
    return distinct and any(
        (whole or _written_forms(region).fullmatch(text)) and _valid(text, region)
        for region in regions[: 8 if near else 3]
    )


def _could_be_called(text: str) -> bool:
    """Whether the digits can be a number after a context word: 7 to 13 digits that are no dates or years."""
    groups = re.findall(r"\d+", text)
    dated = (
        _DATE.search(text) or _YEARS.fullmatch(text) or (len(groups) > 2 and re.fullmatch(r"(?:19|20)\d\d", groups[-1]))
    )
    return not dated and 7 <= len(digits_of(text)) <= 13


def _valid(text: str, region: str | None) -> bool:
    """Whether libphonenumber accepts the number. Slow (50 microseconds), so cheaper tests come first."""
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(text, region))
    except phonenumbers.NumberParseException:
        return False


@lru_cache(maxsize=256)
def _written_forms(region: str) -> re.Pattern[str]:
    """All ways in which a country groups its numbers inside the country, with the trunk prefix if it is written.

    Any one sign may separate groups. Made from libphonenumber's formats.
    """
    metadata = phonenumbers.PhoneMetadata.metadata_for_region(region, None)
    forms: list[str] = []
    for form in metadata.number_format if metadata else ():
        groups = _GROUP.findall(form.pattern or "")
        shown = (form.format or "").replace("\\1", form.national_prefix_formatting_rule or "\\1", 1)
        if not groups or any(int(number) > len(groups) for number in _REFERENCE.findall(shown)):
            continue
        parts = re.split(r"(\\\d|\d|[()])", shown)
        forms.append("".join(_part(part, groups) for part in parts))
    return re.compile("|".join(forms) or r"(?!)")


_GROUP = re.compile(r"\(((?:[^()]|\([^()]*\))*)\)")
_REFERENCE = re.compile(r"\\(\d)")


def _part(part: str, groups: Sequence[str]) -> str:
    """One piece of a format as a pattern: a group of digits, a digit, a bracket, or a separator."""
    if part.startswith("\\"):
        return f"(?:{groups[int(part[1]) - 1]})"
    if part.isdigit():
        return part
    if part in ("(", ")"):
        return re.escape(part) + "?"
    return "[ ./-]{1,2}" if part else ""


PHONE = Kind(
    name="phone",
    tag="PHONE",
    words="a telephone number: international and valid, or national with a context word or in its country's grouping",
    gate=LONG_NUMBER,
    pattern=rf"[+＋(]{{0,2}}{_D}(?:(?:[ \x{{a0}}\x{{202f}}./‐‑‒–−－-]|[-. ]?\(|\)[-. ]?| - )?{_D}){{6,16}}",
    check=_check_phone,
    context=PHONE_CUES,
    finds=(
        "call ⟪+33 1 23 45 67 89⟫ now",
        "Tel. ⟪071 123 0372⟫, 2019",
        "هاتف: ⟪٠٥٠١٢٣٤٥٦٧⟫",
        "फोन: ⟪०९८१२३४५६७८⟫",
        "电话：⟪010-62345678⟫。",
        "手机⟪13812345678⟫联系",
        "Fóònù: ⟪0802 123 4757⟫",
        "⟪+1 (212) 555-0123⟫ 2024",
        "điện thoại ⟪024 3825 1234⟫",
        "WhatsApp ⟪+234 802 123 4757⟫.",
        "தொலைபேசி: ⟪044 2345 6789⟫",
        "⟪＋３３１２３４５６７８９⟫",
        "Phone: ⟪0482 12 34 56⟫",
        "call me at ⟪0482 12 34 56⟫",
        "Zürich: ⟪+41 (0)44 668 18 00⟫",
        "Fax: ⟪212-555-0123x769⟫, then",
        "⟪781 1704 332⟫ Office",
        "Phone: ⟪9812345670⟫/⟪9812345671⟫ (day and night)",
        "Tél. : ⟪01 44 55 66 77⟫/⟪06 11 22 33 44⟫",
        "Mob: ⟪0912345611⟫-⟪0987654311⟫",
        "有事请拨打⟪13912345670⟫即可",
        "মো. ⟪০১৭১২৩৪৫৬৭০⟫",
        "للحجز: ⟪0551234560⟫",
        "https://wa.me/⟪2348031234560⟫?text=hello",
    ),
    spares=(
        "in 1990 1991 1992 1993",
        "1990-1995 and 2001-02-03",
        "12/04/2001 12.04.2001",
        "1 234 567 890 people",
        "ISBN 978-3-16-148410-0",
        "ISBN: 3161484100",
        "3.14159265 and 2.718281828",
        "426,691,754",
        "score 21-19 21-17 15-13",
        "part no. 800-555-0199-22",
        "48.8584, 2.2945",
        "order 5551234567",
        "12345678901234567890",
        "doi:10.1000/1821234567",
        "version 10.15.7.1234567",
        "at 12:34:56.7890123",
        "office of 1995-12-31",
        "call 7654321 times",
        "Phone 20191130",
        "my HP 7654321 scanner",
        "Mobile: 7654321 pieces sold",
        "电话费收入13912345670元",
    ),
)
