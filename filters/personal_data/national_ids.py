"""Identity numbers of persons, checked by form and check digits, for countries that speak the languages of ROOTS."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from stdnum import luhn
from stdnum.ar import cuit
from stdnum.br import cpf
from stdnum.ca import sin
from stdnum.cl import rut
from stdnum.cn import ric
from stdnum.ec import ci
from stdnum.es import dni, nie
from stdnum.exceptions import ValidationError
from stdnum.fr import nir
from stdnum.gb import nhs
from stdnum.id import nik
from stdnum.in_ import aadhaar, pan
from stdnum.mx import curp, rfc
from stdnum.my import nric
from stdnum.pe import cui
from stdnum.pk import cnic
from stdnum.pt import cc
from stdnum.us import ssn
from stdnum.za import idnr

from filters.personal_data.candidate import Candidate, Kind, digits_of, follows_group, touches_number
from filters.personal_data.cues import ID_CUES, counted_behind, coupon_before, id_before, id_named_before
from filters.personal_data.network import fold_digits
from filters.personal_data.numbers import LONG_NUMBER, other_number_before

_NOTHING, _REGION, _CUE = "nothing", "region", "cue"


@dataclass(frozen=True)
class _NationalId:
    """An identity number: its form, its check, and the further evidence it needs.

    `needs` is _NOTHING if form and check digits make chance matches rare; _REGION if the language of the text must
    point to the country; _CUE if a context word must come before it.
    """

    name: str
    country: str
    form: re.Pattern[str]  # of the folded text
    valid: Callable[[str], bool]
    needs: str


def _is_ric(text: str) -> bool:
    """Date and check digit; the county is not looked up, because counties change."""
    number = ric.compact(text)
    try:
        ric.get_birth_date(number)
    except ValidationError:
        return False
    return bool(ric.calc_check_digit(number) == number[-1])


def _is_nik(text: str) -> bool:
    """Province and date of birth; 40 is added to a woman's day of birth, so no day is above 71."""
    return nik.is_valid(text) and int(text[6:8]) <= 71


def _is_ssn(text: str) -> bool:
    """A social security number without hyphens."""
    digits = digits_of(text)
    return bool(ssn.is_valid(f"{digits[:3]}-{digits[3:5]}-{digits[5:]}"))


def _is_cnic(text: str) -> bool:
    """A Pakistani identity number without hyphens."""
    return bool(cnic.is_valid(f"{text[:5]}-{text[5:12]}-{text[12:]}"))


def _is_dotted_dni(text: str) -> bool:
    """A Spanish identity number in groups."""
    return bool(dni.is_valid(re.sub("[. ]", "", text)))


_ROWS = (
    ("Aadhaar", "IN", r"[2-9]\d{3}([ -])\d{4}\1\d{4}", aadhaar.is_valid, _REGION),
    ("Aadhaar, solid", "IN", r"[2-9]\d{11}", aadhaar.is_valid, _REGION),
    ("PAN", "IN", r"[A-Z]{3}[ABCFGHJLPT][A-Z](?!19|20)\d{4}[A-Z]", pan.is_valid, _REGION),  # HELPS2024A is a coupon
    ("PAN", "IN", r"[A-Z]{3}[ABCFGHJLPT][A-Z]\d{4}[A-Z]", pan.is_valid, _CUE),
    ("RIC", "CN", r"\d{17}[\dXx]", _is_ric, _NOTHING),
    ("CPF", "BR", r"\d{3}\.\d{3}\.\d{3}-\d{2}", cpf.is_valid, _NOTHING),
    ("CPF, solid", "BR", r"\d{11}", cpf.is_valid, _CUE),
    ("CPF, two groups", "BR", r"\d{9}-\d{2}", cpf.is_valid, _CUE),
    ("DNI", "ES", r"\d{8}[- ]?[A-HJ-NP-TV-Z]", dni.is_valid, _NOTHING),
    ("DNI, grouped", "ES", r"\d{1,2}[. ]\d{3}[. ]\d{3}[ -]?[A-HJ-NP-TV-Z]", _is_dotted_dni, _NOTHING),
    ("NIE", "ES", r"[XYZ][- ]?\d{7}[- ]?[A-HJ-NP-TV-Z]", nie.is_valid, _NOTHING),
    ("NIR", "FR", r"[12] ?\d{2} ?\d{2} ?\d[\dAB] ?\d{3} ?\d{3} ?\d{2}", nir.is_valid, _NOTHING),
    ("CC", "PT", r"\d{8}[ -]?\d[ -]?[A-Z0-9]{2}\d", cc.is_valid, _REGION),
    ("SSN", "US", r"\d{3}-\d{2}-\d{4}", ssn.is_valid, _NOTHING),
    ("SSN, solid", "US", r"\d{9}|\d{3} \d{2} \d{4}", _is_ssn, _CUE),
    ("SIN", "CA", r"\d{3}([ -])\d{3}\1\d{3}", sin.is_valid, _CUE),
    ("NHS number", "GB", r"\d{3}([ -])\d{3}\1\d{4}", nhs.is_valid, _CUE),
    ("CURP", "MX", r"[A-Z]{4}\d{6}[HMX][A-Z]{5}[A-Z0-9]\d", curp.is_valid, _NOTHING),
    ("RFC", "MX", r"[A-ZÑ&]{4}\d{6}[A-Z0-9]{3}", rfc.is_valid, _REGION),
    ("CUIT", "AR", r"\d{2}-\d{8}-\d", cuit.is_valid, _NOTHING),
    ("RUT", "CL", r"\d{1,2}\.\d{3}\.\d{3}-[\dKk]", rut.is_valid, _NOTHING),
    ("CI", "EC", r"\d{10}", ci.is_valid, _CUE),
    ("DNI", "PE", r"\d{8}-\d", cui.is_valid, _CUE),
    ("identity number", "ZA", r"\d{6} ?\d{4} ?\d{3}", idnr.is_valid, _REGION),
    ("CNIC", "PK", r"\d{5}-\d{7}-\d", cnic.is_valid, _NOTHING),
    ("CNIC, solid", "PK", r"\d{13}", _is_cnic, _CUE),
    ("NIK", "ID", r"\d{16}", _is_nik, _REGION),
    ("NRIC", "MY", r"\d{6}-\d{2}-\d{4}", nric.is_valid, _NOTHING),
    ("national identity", "SA", r"[12]\d{9}", luhn.is_valid, _REGION),
)
_NATIONAL_IDS: tuple[_NationalId, ...] = tuple(
    _NationalId(name, country, re.compile(form), valid, needs) for name, country, form, valid, needs in _ROWS
)
_WIDE_GAP = re.compile(" {2,}|\u00a0")
_MONTH_DAY = r"(?:0\d|1[0-2])[-/.]?(?:[0-2]\d|3[01])"
_DATE = re.compile(rf"(?:19|20)\d{{2}}[-/.]?{_MONTH_DAY}|(?:[0-2]\d|3[01])[-/.]\d{{2}}[-/.](?:19|20)\d{{2}}")
_YEARS = re.compile(r"(?:(?:19|20)\d{2}[ -]?)+")


def _check_national_id(candidate: Candidate) -> tuple[int, int] | None:
    """The form and check digits of some country, and the further evidence that it needs."""
    if touches_number(candidate):
        return None
    text = fold_digits(candidate.text)
    if len(set(digits_of(text))) < 3:
        return None
    before = candidate.before
    if follows_group(candidate.before):
        return None
    if _YEARS.fullmatch(text):
        return None
    sign = re.search(r"[ -]", text)
    if sign and re.match(rf"{sign[0]}(?!19|20)\d{{4}}(?![\d/-])", candidate.after):
        return None  # another group of four follows: a card, or no identity number
    text = _WIDE_GAP.sub(" ", text)
    for row in _NATIONAL_IDS:
        if not row.form.fullmatch(text) or not row.valid(text):
            continue
        cue = id_before(before[-60:])
        here = row.needs == _NOTHING or cue or (row.needs == _REGION and row.country in candidate.regions)
        if here and (cue or not (other_number_before(before[-24:]) or coupon_before(before[-24:]))):
            return 0, len(candidate.text)
    named = _is_long(text) and id_named_before(before[-60:]) and not counted_behind(candidate.after[:16])
    return (0, len(candidate.text)) if named else None


def _is_long(text: str) -> bool:
    """Whether a number is long enough to be a person's, and no date."""
    digits = digits_of(text)
    return len(digits) >= (6 if text != digits and re.search("[A-Z]", text) else 7) and not _DATE.fullmatch(text)


_D = r"\p{Nd}"
_S = r"(?:[ .\x{a0}-]|  )"  # between groups
_FORMS = (
    rf"{_D}{{4}}{_S}{_D}{{4}}{_S}{_D}{{4}}",
    rf"{_D}{{17}}[{_D}Xx]",
    rf"{_D}{{1,3}}\.{_D}{{3}}\.{_D}{{3}}(?:-[{_D}Kk]{_D}?|[ -]?[A-Z])?",
    rf"{_D}{{1,2}} {_D}{{3}} {_D}{{3}}(?:[ -]?[A-Z])?",
    rf"{_D}{{1,3}}[. ]{_D}{{3}}[. ]{_D}{{3}}[. ]{_D}{{3}}",
    rf"[XYZ][- ]?{_D}{{7}}[- ]?[A-Z]",
    rf"{_D}{{8}}[- ]?{_D}?[- ]?[A-Z0-9]{{2}}{_D}",
    rf"{_D}{{8}}[- ]?[A-Z]",
    rf"{_D} {_D}{{2}} {_D}{{2}} {_D}[{_D}AB] {_D}{{3}} {_D}{{3}}(?: {_D}{{2}})",
    rf"{_D}{{6}}[{_D}AB]{_D}{{8}}",
    rf"{_D}{{3}}{_S}{_D}{{2}}{_S}{_D}{{4}}",
    rf"{_D}{{3}}{_S}{_D}{{3}}{_S}{_D}{{3,4}}(?:[ -]{_D}{{2}})?",
    rf"[A-Z]{{4}}{_D}{{6}}[A-Z0-9]{{3,8}}",
    rf"[A-Z]{{5}}{_D}{{4}}[A-Z]",
    rf"{_D}{{2}}-{_D}{{8}}-{_D}",
    rf"{_D}{{5}}[ -]{_D}{{7}}[ -]{_D}",
    rf"{_D}{{6}}-{_D}{{2}}-{_D}{{4}}",
    rf"{_D}{{6}} {_D}{{4}} {_D}{{3}}",
    rf"{_D}{{8}}-{_D}",
    rf"{_D}{{7,20}}",
    rf"{_D}{{9}}-{_D}{{2}}",
    rf"{_D}{{13}} {_D}{{2}}",
    # without check digits: passports, cards of several countries
    rf"[A-Z]{{1,3}}-?{_D}{{6,12}}(?:[A-Z]{{0,4}}|-{_D})",
    rf"[A-Z]{{2}} ?{_D}{{2}} ?{_D}{{2}} ?{_D}{{2}} ?[A-D]",
    rf"[A-Z]{_D}{{6}}\([{_D}A]\)",
    rf"{_D}{{2}}[A-Z]{{2}}{_D}{{5}}",
    rf"[A-Z]{{2}}[ -]?{_D}{{2}}[ -]?{_D}{{4}}[ -]?{_D}{{7}}",
    rf"{_D}{{8}}-{_D}{{5}}-{_D}{{5}}-{_D}{{2}}",
    rf"{_D} {_D}{{4}} {_D} {_D}{{7}} {_D} {_D}{{2}}",
    rf"{_D} {_D}{{3}} {_D}{{4}} {_D}{{5,6}}",
    rf"{_D}{{2}}[-/]{_D}{{2}}[-/]{_D}{{2}}[-/]{_D}{{5}}",
)
NATIONAL_ID = Kind(
    name="national_id",
    tag="ID",
    words="a person's identity number with right check digits; a weak form also needs its country or a context word",
    gate=rf"{LONG_NUMBER}|[A-Z]{{5}}{_D}{{4}}[A-Z]|{_D}{{2}}[A-Z]{{2}}{_D}{{5}}",
    pattern="|".join(_FORMS),
    check=_check_national_id,
    context=ID_CUES,
    finds=(
        "Aadhaar ⟪2287 2400 6498⟫.",
        "CPF ⟪554.699.657-91⟫,",
        "身份证⟪110101195806068101⟫。",
        "DNI ⟪33126803H⟫ y",
        "(⟪190084308474470⟫)",
        "SSN ⟪442-84-3168⟫",
        "SSN ⟪442 84 3168⟫ and social security ⟪442843168⟫",
        "CPF ⟪554699657-91⟫",
        "आधार ⟪२२८७ २४०० ६४९८⟫",
        "Aadhaar no. ⟪2287.2400.6498⟫, Aadhaar ⟪2287  2400  6498⟫",
        "căn cước công dân số: ⟪079 200 012 345⟫, hộ chiếu ⟪B1234567⟫",
        "DNI ⟪33.126.803-H⟫, DNI ⟪28.456.789⟫",
        "NIN: ⟪98765432101⟫, Passport no. ⟪533380006⟫, passeport n° ⟪12AB34567⟫",
        "Kitambulisho cha Taifa: ⟪19870123-12345-00001-23⟫",
        "护照号码：⟪E12345678⟫，身份證 ⟪A123456(7)⟫",
        "رقم الهوية: ⟪1012345674⟫",
    ),
    spares=(
        "2287 2400 6499",
        "442843168",
        "CODE: HELPS2025A",
        "554.699.657-92",
        "110101195806068102",
        "33126803J",
        "000-12-3456",
        "1 234 567 890",
        "9783161484100",
        "20201121",
        "123456789012",
        "550-12-34567",
        "ref 1234567890",
        "2022 2008 1971 1974",
        "code: SAVEP1234A",
        "A passport costs 12345678, or 12.345.678",
        "passport 20201231",
        "passports: 12345678 people",
        "model AB1234567",
    ),
)
