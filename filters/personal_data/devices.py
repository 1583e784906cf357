"""Devices, wallets, places and vehicles."""

import hashlib
import re

from stdnum import bitcoin

from filters.personal_data.candidate import Candidate, Kind, is_word, seen_in
from filters.personal_data.cues import PLATE_CUES, plate_before
from filters.personal_data.network import fold_digits


def _check_mac(candidate: Candidate) -> tuple[int, int] | None:
    """Six pairs with one separator that are no broadcast address, date, time or part of a fingerprint."""
    text, before, after = candidate.text, candidate.before[-1:], candidate.after
    if (
        is_word(before)
        or before in (":", "-")
        or is_word(after[:1])
        or (after[:1] in (":", "-") and is_word(after[1:2]))
    ):
        return None
    pairs = re.split(r"[:-]", text.lower())
    if len({char for char in text if char in ":-"}) != 1 or len(set(pairs)) < 4 or not re.search("[a-f]", text.lower()):
        return None
    return None if int(pairs[0], 16) & 1 else (0, len(text))


MAC_ADDRESS = Kind(
    name="mac_address",
    tag="MAC_ADDRESS",
    words="the hardware address of one device: six pairs of hexadecimal digits with colons or hyphens",
    gate=r"[0-9A-Fa-f]{2}[:-][0-9A-Fa-f]{2}[:-][0-9A-Fa-f]{2}[:-]",
    pattern=r"[0-9A-Fa-f]{2}(?:[:-][0-9A-Fa-f]{2}){5}",
    check=_check_mac,
    finds=("MAC ⟪00:1A:2B:3C:4D:5E⟫.", "⟪a4-83-e7-2f-19-0b⟫", "设备⟪00:1a:2b:3c:4d:5e⟫。"),
    spares=(
        "ff:ff:ff:ff:ff:ff",
        "20-11-21-10-22-33",
        "12:34:56:07:08:09",
        "00:1A:2B:3C:4D:5E:6F:70",
        "01:00:5e:aa:bb:cc",
    ),
)

# Two numbers of four decimals are a place only beside a word, a link or a sign that says so.
_PLACES = (
    r"gps|wgs ?84|lat|latitude|lng|lon|long|longitude|coords?|coordinates?|geo|geolocation|location|located|situated|"
    r"waypoint|map|maps|coordonnées|coordonnees|emplacement|localisation|latitud|longitud|coordenadas?|ubicación|ubicacion|localização|"
    r"localizacao|coordenades|ubicació|koordenatuak|koordinat|lokasi|toạ độ|tọa độ|vị trí|kuratibu|viwianishi|mahali|"
    r"إحداثيات|الإحداثيات|احداثيات|الموقع|موقع|خط العرض|محل وقوع|مقام|عرض بلد|"
    r"निर्देशांक|निर्देशाङ्क|अक्षांश|देशांतर|स्थान|जीपीएस|স্থানাঙ্ক|অক্ষাংশ|"
    r"অবস্থান|જીપીએસ|અક્ષાંશ|ஆயத்தொலைவு|அட்சரேகை|இருப்பிடம்|అక్షాంశం|స్థానం|ಅಕ್ಷಾಂಶ|ಸ್ಥಳ|അക്ഷാംശം|സ്ഥാനം"
)
_place_before = seen_in(
    rf"(?:(?:^|[^\pL\pM])(?:{_PLACES})(?:[^\pL\pM]|$)|坐标|座標|坐標|经纬度|經緯度|纬度|緯度|定位|位置|位于|位於|地处)[^\n;]{{0,40}}$|"
    r"(?:/maps?|maps?\.|openstreetmap|geo:)\S{0,80}$"
)
_place_behind = seen_in(rf"^[\s)\]]{{0,3}}\(?(?:{_PLACES}|坐标|座標)(?:[^\pL\pM]|$)")
_IN_LIST = re.compile(r"\d\s{0,2}[,;]\s{0,2}$")
_ZOOM = re.compile(r"^,\d{1,2}(?:\.\d{1,2})?z")  # in a map's address
_SIGNED = re.compile(r"[-−+]?\d{1,3}[.,]\d+")


def _check_coordinates(candidate: Candidate) -> tuple[int, int] | None:
    """Latitude and longitude within their ranges, with four decimals (11 metres) or seconds of arc."""
    before, after = candidate.before, candidate.after
    if is_word(before[-1:]) or is_word(after[:1]) or (before[-1:] in tuple(".,") and before[-2:-1].isdigit()):
        return None
    after = _ZOOM.sub("", after)
    if (after[:1] in (".", ",") and after[1:2].isdigit()) or _IN_LIST.search(before[-4:]):
        return None
    text = fold_digits(candidate.text)
    numbers = [float(part.replace("−", "-").replace(",", ".")) for part in _SIGNED.findall(text)]
    if "°" in text and ("'" in text or "′" in text or "’" in text):
        return 0, len(text)
    signed = "°" in text or re.search("[NSEWO]", text) is not None
    if not (signed or _place_before(before[-120:]) or _place_behind(after[:24])):
        return None
    fit = len(numbers) == 2 and abs(numbers[0]) <= 90 and abs(numbers[1]) <= 180
    return (0, len(text)) if fit and re.match(r"\s*[,;]\s*[-+−]?\d", after) is None else None


_D = r"\p{Nd}"
_DECIMAL = rf"[-−+]?{_D}{{1,3}}\.{_D}{{4,15}}(?: ?°)?"
_ARC = rf"{_D}{{1,3}} ?° ?{_D}{{1,2}} ?['′’] ?{_D}{{1,2}}(?:[.,]{_D}{{1,6}})? ?(?:[\"″”]|''|’’)? ?"
COORDINATES = Kind(
    name="coordinates",
    tag="COORDINATES",
    words="latitude and longitude: four decimals beside a word or sign of a place, or seconds of arc",
    gate=rf"{_D}\.{_D}{{4}}|°",
    pattern=(
        rf"{_DECIMAL} ?[,;/] ?{_DECIMAL}|{_DECIMAL} ?[NS][ ,;/]{{1,3}}{_DECIMAL} ?[EWO]|"
        rf"{_ARC}[NSns] ?[,;/ ]? ?{_ARC}[EWOewo]"
    ),
    check=_check_coordinates,
    finds=(
        "GPS: ⟪48.85837, 2.29448⟫.",
        "location (⟪-33.8567844,151.2152967⟫)",
        "https://www.example.org/maps/@⟪48.85837,2.29448⟫,17z",
        "坐标为⟪39.90420, 116.40739⟫",
        "WGS 84: ⟪48.85837, 2.29448⟫, निर्देशाङ्क ⟪27.71725, 85.32396⟫",
        "⟪48.85837° N, 2.29448° E⟫",
        "⟪48°51'30.1\"N 2°17'40.2\"E⟫",
        "الموقع ⟪٢٤.٧١٣٥٥١, ٤٦.٦٧٥٢٩٦⟫",
    ),
    spares=(
        "between 14.99999 e 15.00001",
        "48.85, 2.29",
        "at 48.85837, 2.29448.",
        "a loss of 2.4026, 1.7945",
        "CI (0.9234, 2.3567)",
        "M 22.3456, 68.9012 L 23.1234, 69.5678",
        "98.9014, -56.1164",
        "3.14159 and 2.71828",
        "0.1234, 0.2345, 0.3456",
        "v1.20304.55, 2.30405.1",
        "48°N",
    ),
)

_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_VERSIONS = {"1": 0, "3": 5, "L": 48, "M": 50, "D": 30, "X": 76, "T": 65}  # Bitcoin, Litecoin, Dogecoin, Dash, Tron


def _base58check(text: str) -> bytes | None:
    """Version byte and payload of a Base58Check string, or None if its checksum is wrong."""
    number = 0
    for char in text:
        place = _BASE58.find(char)
        if place < 0:
            return None
        number = number * 58 + place
    zeros = len(text) - len(text.lstrip("1"))
    data = bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")
    body, check = data[:-4], data[-4:]
    return body if hashlib.sha256(hashlib.sha256(body).digest()).digest()[:4] == check else None


def _check_wallet(candidate: Candidate) -> tuple[int, int] | None:
    """An address of a crypto currency with a right checksum; Ethereum's 40 hexadecimal digits by their form."""
    if is_word(candidate.before[-1:]) or is_word(candidate.after[:1]):
        return None
    text = candidate.text
    if text.startswith("0x"):
        fit = len(set(text[2:].lower())) > 6
    elif text.startswith("bc1"):
        fit = bitcoin.is_valid(text)
    else:
        body = _base58check(text)
        fit = body is not None and len(body) == 21 and body[0] == _VERSIONS.get(text[0])
    return (0, len(text)) if fit else None


WALLET = Kind(
    name="crypto_address",
    tag="CRYPTO_ADDRESS",
    words="Bitcoin (Base58Check, Bech32), Litecoin, Dogecoin, Dash, Tron, with right checksums; Ethereum's form",
    gate=r"[13LMDXT][1-9A-HJ-NP-Za-km-z]{25}|bc1[0-9a-z]{11}|0x[0-9a-fA-F]{40}",
    pattern=r"[13LMDXT][1-9A-HJ-NP-Za-km-z]{25,34}|bc1[02-9ac-hj-np-z]{11,71}|0x[0-9a-fA-F]{40}",
    check=_check_wallet,
    finds=(
        "⟪1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2⟫ or ⟪3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy⟫",
        "⟪bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq⟫.",
        "ETH ⟪0x52908400098527886E0F7030069857D2E4169EE7⟫",
    ),
    spares=(
        "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN3",
        "0x0000000000000000000000000000000000000000",
        "da39a3ee5e6b4b0d3255bfef95601890afd80709",
        "Thisisjustaverylongwordinsome",
    ),
)


def _check_plate(candidate: Candidate) -> tuple[int, int] | None:
    """A plate's form after a word for plates."""
    if is_word(candidate.before[-1:]) or is_word(candidate.after[:1]) or not plate_before(candidate.before[-40:]):
        return None
    return 0, len(candidate.text)


PLATE = Kind(
    name="license_plate",
    tag="LICENSE_PLATE",
    words="a plate of France, Spain, Brazil, India, China, Indonesia, Kenya or Britain after a word for plates",
    gate="[0-9]",
    pattern=(
        r"[A-Z]{2}-[0-9]{3}-[A-Z]{2}|[0-9]{4} ?[B-DF-HJ-NP-TV-Z]{3}|[A-Z]{3}-?[0-9][A-Z0-9][0-9]{2}|"
        r"[A-Z]{2}[ -]?[0-9]{1,2}[ -]?[A-Z]{1,3}[ -]?[0-9]{4}|[\x{4e00}-\x{9fff}][A-Z][· ]?[A-Z0-9]{5,6}|"
        r"[A-Z]{1,2} [0-9]{1,4} [A-Z]{1,3}|K[A-Z]{2} ?[0-9]{3}[A-Z]|[A-Z]{2}[0-9]{2} ?[A-Z]{3}"
    ),
    check=_check_plate,
    context=PLATE_CUES,
    finds=(
        "immatriculée ⟪AB-123-CD⟫ à",
        "matrícula ⟪1234 BCD⟫",
        "车牌：⟪京A12345⟫",
        "placa ⟪ABC1D23⟫",
        "number plate ⟪MH 12 AB 1234⟫",
    ),
    spares=("AB-123-CD", "model ABC-1234", "flight BA 1234 A", "1234 BCD"),
    by_default=False,
)
