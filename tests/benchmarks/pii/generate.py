"""Make labelled text with personal data: sentences of ours, random values, and look-alikes that are no personal data.

Every value has the right form and check digits and belongs to nobody we know of. A quarter of the numbers use the
digits of the language's script. The same seed makes the same documents.
"""

import hashlib
import random
import string
import tomllib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import phonenumbers
from phonenumbers import PhoneNumberFormat, PhoneNumberType
from stdnum import iban, luhn, verhoeff
from stdnum.br import cpf
from stdnum.cn import ric
from stdnum.es import dni
from stdnum.fr import nir

from filters.personal_data import Span, regions_of
from pipelines.models.personal_data_eval import Labelled

_SENTENCES = Path(__file__).with_name("sentences.toml")
_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_Draw = Callable[[random.Random, str], str]  # language -> value


def _digits(rng: random.Random, count: int) -> str:
    return "".join(rng.choice(string.digits) for _ in range(count))


def _text(rng: random.Random, alphabet: str, count: int) -> str:
    return "".join(rng.choice(alphabet) for _ in range(count))


def _email(rng: random.Random, language: str) -> str:
    name = rng.choice(
        ["amina", "bruno", "chen", "devi", "elif", "fatou", "gita", "hugo", "ines", "jomo", "kofi", "lindiwe"]
    )
    rest = (
        rng.choice(["", ".", "_", "-"])
        + _text(rng, string.ascii_lowercase, rng.randint(2, 8))
        + rng.choice(["", _digits(rng, 2)])
    )
    host = _text(rng, string.ascii_lowercase, rng.randint(3, 9))
    top = rng.choice(
        ["org", "com", "net", "info", "co.uk", "com.br", "fr", "in", "ac.ke", "edu.sa", "com.cn", "africa"]
    )
    return f"{name}{rest}{rng.choice(['', '+list'])}@{rng.choice(['', 'mail.'])}{host}.{top}"


def _ip(rng: random.Random, language: str) -> str:
    if rng.random() < 0.4:
        groups = [f"2{rng.choice('0468a')}{_text(rng, '0123456789abcdef', 2)}"]
        groups += [f"{rng.randrange(65536):x}" for _ in range(7)]
        short = rng.random() < 0.5
        return ":".join([*groups[:3], "", *groups[6:]]) if short else ":".join(groups)
    first = rng.choice([n for n in range(11, 191) if n not in (100, 127, 169, 172)])
    return f"{first}.{rng.randint(32, 250)}.{rng.randint(0, 255)}.{rng.randint(1, 254)}"


def _card(rng: random.Random, language: str) -> str:
    start, length = rng.choice(
        [("4", 16), ("5" + rng.choice("12345"), 16), ("37", 15), ("6011", 16), ("62", 16), ("3530", 16)]
    )
    body = start + _digits(rng, length - 1 - len(start))
    number = body + luhn.calc_check_digit(body)
    sign = rng.choice(["", " ", "-"])
    if length == 15:
        return sign.join([number[:4], number[4:10], number[10:]])
    return sign.join(number[n : n + 4] for n in range(0, 16, 4))


# Country -> form of its account numbers: n digits, a capitals, c both (ISO 13616 registry).
_ACCOUNTS = {
    "DE": "18n",
    "FR": "10n11c2n",
    "SA": "2n18c",
    "ES": "20n",
    "PK": "4a16c",
    "GB": "4a14n",
    "AE": "19n",
    "PT": "21n",
}
_ALPHABETS = {"n": string.digits, "a": string.ascii_uppercase, "c": string.digits + string.ascii_uppercase}


def _iban(rng: random.Random, language: str) -> str:
    while True:
        country = rng.choice(sorted(_ACCOUNTS))
        body, count = "", ""
        for char in _ACCOUNTS[country]:
            if char.isdigit():
                count += char
            else:
                body, count = body + _text(rng, _ALPHABETS[char], int(count)), ""
        number = country + iban.calc_check_digits(f"{country}00{body}") + body
        if iban.is_valid(number, check_country=False):
            return number if rng.random() < 0.5 else " ".join(number[n : n + 4] for n in range(0, len(number), 4))


def _phone(rng: random.Random, language: str) -> str:
    region = regions_of(language)[0]
    kind = rng.choice([PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE])
    example = phonenumbers.example_number_for_type(region, kind) or phonenumbers.example_number(region)
    if example is None:
        raise ValueError(f"libphonenumber has no example for {region}")
    national = str(example.national_number)
    while True:
        number = phonenumbers.PhoneNumber(example.country_code, int(national[:-5] + _digits(rng, 5)))
        if phonenumbers.is_valid_number(number):
            forms = (PhoneNumberFormat.INTERNATIONAL, PhoneNumberFormat.E164, PhoneNumberFormat.NATIONAL)
            return phonenumbers.format_number(number, rng.choice(forms))


def _national_id(rng: random.Random, language: str) -> str:
    if language in ("hi", "bn", "ta"):
        body = rng.choice("23456789") + _digits(rng, 10)
        number = body + verhoeff.calc_check_digit(body)
        return " ".join(number[n : n + 4] for n in range(0, 12, 4))
    if language == "pt":
        body = _digits(rng, 9)
        return str(cpf.format(body + cpf._calc_check_digits(body)))
    if language in ("es", "ca", "eu"):
        body = _digits(rng, 8)
        return f"{body}{dni.calc_check_digit(body)}"
    if language == "fr":
        body = f"{rng.choice('12')}{rng.randint(40, 99)}{rng.randint(1, 12):02d}{rng.randint(10, 95)}{_digits(rng, 6)}"
        return f"{body}{nir.calc_check_digits(body)}"
    born = f"{rng.randint(1950, 2004)}{rng.randint(1, 12):02d}{rng.randint(1, 28):02d}"
    if language == "zh":
        body = f"{rng.choice(['110101', '310104', '440305'])}{born}{_digits(rng, 3)}"
        return f"{body}{ric.calc_check_digit(body + '0')}"
    if language == "zu":
        body = f"{born[2:]}{_digits(rng, 4)}0{rng.choice('89')}"
        return f"{body}{luhn.calc_check_digit(body)}"
    if language == "ar":
        body = rng.choice("12") + _digits(rng, 8)
        return f"{body}{luhn.calc_check_digit(body)}"
    if language == "ur":
        return f"{rng.randint(1, 7)}{rng.randint(1, 9)}{_digits(rng, 3)}-{_digits(rng, 7)}-{rng.randint(1, 9)}"
    if language == "id":
        return f"320101{born[6:]}{born[4:6]}{born[2:4]}{rng.randint(1, 9999):04d}"
    return f"{rng.randint(100, 665)}-{rng.randint(10, 99)}-{rng.randint(1000, 9999)}"


def _key(rng: random.Random, language: str) -> str:
    word = string.ascii_letters + string.digits
    forms = [
        lambda: "AKIA" + _text(rng, string.ascii_uppercase + "234567", 16),
        lambda: rng.choice(["ghp_", "gho_", "ghs_"]) + _text(rng, word, 36),
        lambda: "sk-proj-" + _text(rng, word, 40),
        lambda: "hf_" + _text(rng, string.ascii_letters + "0123456789", 34),
        lambda: "xoxb-" + _digits(rng, 11) + "-" + _text(rng, word, 24),
        lambda: "glpat-" + _text(rng, word, 20),
        lambda: _text(rng, word, 40),
        lambda: "AIza" + _text(rng, word, 35),
    ]
    return rng.choice(forms)()


def _user(rng: random.Random, language: str) -> str:
    return (
        "@"
        + rng.choice(["amina", "bruno", "chen", "devi", "kofi"])
        + rng.choice(["_", ".", ""])
        + _text(rng, string.ascii_lowercase, 4)
        + _digits(rng, 2)
    )


def _mac(rng: random.Random, language: str) -> str:
    pairs = [f"{rng.randrange(128) * 2:02x}", *(f"{rng.randrange(256):02x}" for _ in range(5))]
    text = rng.choice(":-").join(pairs)
    return text.upper() if rng.random() < 0.5 else text


def _coordinates(rng: random.Random, language: str) -> str:
    return f"{rng.uniform(-60, 70):.{rng.randint(5, 7)}f}, {rng.uniform(-170, 170):.{rng.randint(5, 7)}f}"


def _wallet(rng: random.Random, language: str) -> str:
    if rng.random() < 0.4:
        return "0x" + _text(rng, "0123456789abcdef", 40)
    body = bytes([rng.choice([0, 5])]) + rng.randbytes(20)
    data = body + hashlib.sha256(hashlib.sha256(body).digest()).digest()[:4]
    number, text = int.from_bytes(data, "big"), ""
    while number:
        number, rest = divmod(number, 58)
        text = _BASE58[rest] + text
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + text


VALUES: dict[str, _Draw] = {
    "email": _email, "phone": _phone, "ip_address": _ip, "payment_card": _card, "iban": _iban,
    "national_id": _national_id, "key": _key, "user": _user, "mac_address": _mac, "coordinates": _coordinates,
    "crypto_address": _wallet,
}  # fmt: skip


def _isbn(rng: random.Random) -> str:
    body = "978" + _digits(rng, 9)
    check = (10 - sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(body))) % 10
    return rng.choice([f"ISBN {body}{check}", f"ISBN {body[:3]}-{body[3]}-{body[4:7]}-{body[7:]}-{check}"])


def _wrong_card(rng: random.Random) -> str:
    good = _card(rng, "en")
    return good[:-1] + str((int(good[-1]) + rng.randint(1, 9)) % 10)


def _date(rng: random.Random) -> str:
    day, month, year = rng.randint(1, 28), rng.randint(1, 12), rng.randint(1950, 2025)
    time = f"{rng.randint(0, 23):02d}:{rng.randint(0, 59):02d}:{rng.randint(0, 59):02d}"
    return rng.choice(
        [f"{day:02d}/{month:02d}/{year}", f"{year}-{month:02d}-{day:02d} {time}", f"{day}.{month}.{year}"]
    )


def _path(rng: random.Random) -> str:
    first, second = (_text(rng, string.ascii_lowercase, count) for count in (7, 9))
    return f"/usr/lib/{first}/{second}-{rng.randint(1, 9)}.{rng.randint(0, 20)}"


def _numbers(rng: random.Random, sign: str, low: int, high: int, count: int) -> str:
    return sign.join(str(rng.randint(low, high)) for _ in range(count))


# What looks like personal data and is none.
LOOK_ALIKES: tuple[Callable[[random.Random], str], ...] = (
    _isbn,
    _wrong_card,
    _date,
    _path,
    lambda rng: f"{rng.randint(1, 999)},{_digits(rng, 3)},{_digits(rng, 3)}",
    lambda rng: f"{rng.randint(1, 9)} {_digits(rng, 3)} {_digits(rng, 3)} {_digits(rng, 3)}",
    lambda rng: f"v{rng.randint(1, 20)}.{rng.randint(0, 30)}.{rng.randint(0, 90)}.{rng.randint(0, 400)}",
    lambda rng: _numbers(rng, " ", 1950, 2025, rng.randint(3, 5)),
    lambda rng: f"{_numbers(rng, '-', 0, 21, 2)} {_numbers(rng, '-', 0, 21, 2)}",
    lambda rng: _text(rng, "0123456789abcdef", 40),
    lambda rng: hashlib.sha256(rng.randbytes(8)).hexdigest(),
    lambda rng: f"192.168.{rng.randint(0, 255)}.{rng.randint(1, 254)}",
    lambda rng: _numbers(rng, ".", 1, 20, 4),
    lambda rng: f"icon{rng.randint(1, 99)}@2x.png",
    lambda rng: "-".join(_text(rng, "0123456789abcdef", count) for count in (8, 4, 4, 4, 12)),
    lambda rng: f"{_text(rng, string.ascii_uppercase, 3)}-{_digits(rng, 3)}-{_digits(rng, 4)}",
    lambda rng: f"{rng.uniform(0, 9):.3f} {rng.uniform(0, 9):.3f} {rng.uniform(0, 9):.3f}",
    lambda rng: "@media (max-width: 600px)",
    lambda rng: f"https://example.org/watch/{_text(rng, string.ascii_letters + string.digits, 36)}/",
)

# Zero of the script's own digits, by language.
_NATIVE_ZERO = {"ar": 0x660, "ur": 0x6F0, "hi": 0x966, "ne": 0x966, "bn": 0x9E6, "ta": 0xBE6}
_NUMBERS = frozenset(["phone", "payment_card", "national_id", "ip_address"])


# "Coordinates" in the language; "GPS" for the others.
_PLACE_WORDS = {
    "en": "coordinates", "fr": "coordonnées", "es": "coordenadas", "pt": "coordenadas", "ca": "coordenades",
    "eu": "koordenatuak", "ar": "الإحداثيات", "zh": "坐标", "hi": "निर्देशांक", "bn": "স্থানাঙ্ক", "ur": "محل وقوع",
    "ta": "ஆயத்தொலைவு", "ne": "निर्देशाङ्क", "id": "koordinat", "vi": "tọa độ", "sw": "viwianishi",
}  # fmt: skip
_PLACE_SIGNS = ("lat/lon:", "geo:", "WGS 84:", "https://maps.example.org/?q=")


def _with_place_cue(carrier: str, language: str, rng: random.Random) -> str:
    """A sentence with "(GPS)", the language's own word, a sign of a place, or nothing before the coordinates."""
    cue = rng.choice(["(GPS)", _PLACE_WORDS.get(language, "GPS"), rng.choice(_PLACE_SIGNS), ""])
    return carrier.replace("(GPS) ", cue if cue.endswith(("=", "geo:")) else f"{cue} ".lstrip())


def sentences() -> dict[str, dict[str, str]]:
    """The sentences of each language by kind; the value replaces `{}`."""
    return tomllib.loads(_SENTENCES.read_text(encoding="utf-8"))


def generate(seed: int, per_kind: int, languages: Sequence[str] = ()) -> Iterator[Labelled]:
    """Make `per_kind` documents for each language and kind, with one or two look-alikes each; no languages: all."""
    table = sentences()
    for language in languages or sorted(table):
        for kind in sorted(table[language]):
            for number in range(per_kind if kind != "other" else 2 * per_kind):
                rng = random.Random(f"{seed} {language} {kind} {number}")
                yield _document(f"{language}-{kind}-{number}", language, kind, table[language], rng)


def _document(id_: str, language: str, kind: str, table: dict[str, str], rng: random.Random) -> Labelled:
    """One document: the sentence with its value, and one or two with look-alikes, in random order."""
    parts = [(table["other"], rng.choice(LOOK_ALIKES)(rng), "") for _ in range(rng.randint(1, 2))]
    if kind != "other":
        value = VALUES[kind](rng, language)
        if kind in _NUMBERS and language in _NATIVE_ZERO and ":" not in value and rng.random() < 0.25:
            value = "".join(chr(_NATIVE_ZERO[language] + int(char)) if char.isdigit() else char for char in value)
        carrier = table[kind]
        if kind == "coordinates":
            carrier = _with_place_cue(carrier, language, random.Random(f"place {value}"))
        parts.insert(rng.randint(0, len(parts)), (carrier, value, kind))
    text, spans = "", list[Span]()
    for carrier, value, name in parts:
        before, _, after = carrier.partition("{}")
        start = len(text) + len(before)
        if name:
            spans.append(Span(name, start, start + len(value)))
        text += before + value + after + rng.choice([" ", "\n"])
    return Labelled(id_, language, text, tuple(spans))
