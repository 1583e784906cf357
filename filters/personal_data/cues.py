"""Context words by language: words before a telephone number, an identity number, a card, a key or a plate."""

import re
from collections.abc import Iterable, Mapping

from filters.personal_data.candidate import seen_in

_Words = Mapping[str, tuple[str, ...]]  # ISO 639-1 -> words

PHONE_CUES: _Words = {
    "en": (
        "tel",
        "telephone",
        "phone",
        "ph",
        "mobile",
        "mob",
        "cell",
        "call",
        "whatsapp",
        "fax",
        "contact no",
        "hotline",
        "desk",
        "office",
        "dial",
        "sms",
    ),
    "fr": ("tél", "téléphone", "portable", "appelez le", "appeler le", "télécopie"),
    "es": ("teléfono", "telefono", "tlf", "tfno", "móvil", "movil", "celular", "llame al", "llamar al"),
    "pt": ("telefone", "telemóvel", "celular", "ligue", "fone"),
    "ca": ("telèfon", "mòbil", "truqueu al"),
    "eu": ("telefonoa", "telefono", "mugikorra", "deitu"),
    "id": ("telp", "telepon", "telpon", "hp", "ponsel", "hubungi"),
    "vi": ("điện thoại", "đt", "sđt", "di động", "gọi"),
    "sw": ("simu", "nambari ya simu", "piga"),
    "yo": ("fóònù", "foonu", "tẹlifóònù", "aago"),
    "ig": ("ekwentị", "ekwenti"),
    "zu": ("ucingo", "umakhalekhukhwini"),
    "xh": ("umnxeba", "ifowuni"),
    "st": ("mohala", "founu"),
    "sn": ("runhare", "foni"),
    "rw": ("telefone", "terefone"),
    "lg": ("essimu", "esimu"),
    "ar": ("هاتف", "الهاتف", "تلفون", "تليفون", "جوال", "الجوال", "موبايل", "محمول", "واتساب", "اتصل", "فاكس", "ت"),
    "ur": ("فون", "موبائل", "ٹیلی فون", "رابطہ", "فیکس"),
    "hi": ("फोन", "फ़ोन", "मोबाइल", "दूरभाष", "संपर्क", "टेलीफोन", "व्हाट्सएप"),
    "mr": ("फोन", "मोबाईल", "दूरध्वनी"),
    "ne": ("फोन", "मोबाइल", "सम्पर्क"),
    "bn": ("ফোন", "মোবাইল", "টেলিফোন", "যোগাযোগ"),
    "as": ("ফোন", "মোবাইল"),
    "gu": ("ફોન", "મોબાઇલ", "મોબાઈલ", "સંપર્ક"),
    "pa": ("ਫੋਨ", "ਫ਼ੋਨ", "ਮੋਬਾਈਲ", "ਸੰਪਰਕ"),
    "or": ("ଫୋନ", "ମୋବାଇଲ"),
    "ta": ("தொலைபேசி", "கைபேசி", "போன்", "மொபைல்", "தொடர்புக்கு"),
    "te": ("ఫోన్", "మొబైల్", "ఫోను"),
    "kn": ("ಫೋನ್", "ಮೊಬೈಲ್", "ದೂರವಾಣಿ"),
    "ml": ("ഫോൺ", "മൊബൈൽ", "ഫോണ്‍"),
    "zh": ("电话", "電話", "手机", "手機", "联系电话", "热线", "熱線", "传真", "傳真", "微信", "致电"),
}
ID_CUES: _Words = {
    "en": (
        "ssn",
        "social security",
        "passport",
        "national id",
        "identity",
        "id card",
        "id no",
        "id number",
        "nin",
        "sin",
        "nhs",
    ),
    "fr": ("sécurité sociale", "nir", "carte d'identité", "carte d’identité", "numéro d'identité", "numéro d’identité"),
    "es": ("dni", "nie", "curp", "rfc", "rut", "cédula", "cedula", "cuit", "identidad"),
    "pt": ("cpf", "identidade", "cartão de cidadão"),
    "ca": ("identitat",),
    "id": ("nik", "ktp"),
    "vi": ("cmnd", "cccd"),
    "sw": ("kitambulisho",),
    "zh": ("身份证", "身分證"),
    "ar": ("هوية", "الهوية"),
    "ur": ("شناختی",),
    "hi": ("आधार", "aadhaar", "aadhar"),
    "mr": ("आधार",),
    "ne": ("नागरिकता",),
    "bn": ("পরিচয়",),
    "ta": ("ஆதார்",),
    "te": ("ఆధార్",),
    "kn": ("ಆಧಾರ್",),
    "ml": ("ആധാർ",),
    "pa": ("ਆਧਾਰ",),
    "gu": ("આધાર",),
}
CARD_CUES: _Words = {
    "en": ("card", "cc", "visa", "mastercard"),
    "fr": ("carte",),
    "es": ("tarjeta",),
    "pt": ("cartão",),
    "ca": ("targeta",),
    "eu": ("txartela", "txartelarekin"),
    "id": ("kartu",),
    "vi": ("thẻ",),
    "sw": ("kadi",),
    "yo": ("káàdì",),
    "zu": ("ikhadi",),
    "zh": ("卡号", "卡號", "信用卡", "银行卡"),
    "ar": ("بطاقة", "البطاقة"),
    "ur": ("کارڈ",),
    "hi": ("कार्ड",),
    "ne": ("कार्ड",),
    "mr": ("कार्ड",),
    "bn": ("কার্ড",),
    "ta": ("அட்டை",),
}
KEY_CUES: _Words = {
    "en": (
        "api key",
        "api token",
        "secret key",
        "secret access key",
        "access key",
        "access token",
        "auth token",
        "client secret",
        "private key",
        "bearer",
        "secret",
        "token",
    ),
    "fr": ("clé",),
    "es": ("clave",),
    "pt": ("chave",),
    "zh": ("密钥",),
    "ar": ("مفتاح",),
    "hi": ("कुंजी",),
}
PLATE_CUES: _Words = {
    "en": ("plate", "plates", "license", "licence", "registration", "vehicle"),
    "fr": ("immatriculation", "immatriculé", "immatriculée", "immatriculés", "immatriculées", "plaque"),
    "es": ("matrícula", "matricula", "placa"),
    "pt": ("matrícula", "placa"),
    "id": ("nomor polisi", "nopol"),
    "vi": ("biển số",),
    "sw": ("namba",),
    "zh": ("车牌", "車牌"),
    "ar": ("لوحة",),
    "hi": ("नंबर प्लेट", "गाड़ी"),
    "ne": ("नाम्बर",),
}


def any_of(words: _Words, space: str = " ") -> str:
    """A pattern of all words of a table, longest first; `space` is the pattern between the parts of a word."""
    every: Iterable[str] = {word for group in words.values() for word in group}
    return "|".join(
        re.escape(word).replace("\\ ", space) for word in sorted(every, key=lambda word: (-len(word), word))
    )


_ALL_CUES = any_of(PHONE_CUES)
# Between a cue and the digits only signs and words such as "number" may stand.
_FILLER = (
    r"(?:[ \t]?(?:no|nr|nº|n°|num|number|numéro|número|नंबर|নম্বর|نمبر|رقم|號碼|号码|code|us|me|him|her|them|back|at|on|"
    r":|：|\.|\(|\)|-|–|=|#|/)){0,4}"
)
_EDGE = r"[^\pL_]"
cue_before = seen_in(
    rf"(?:^|{_EDGE})(?:{_ALL_CUES}){_FILLER}[\s\x{{a0}}:：.(+-]{{0,4}}$|(?:电话|電話|手机|手機|热线|熱線|传真){_FILLER}\s?$"
)
cue_near = seen_in(rf"(?:^|{_EDGE})(?:{_ALL_CUES})(?:{_EDGE}|$)|电话|電話|手机|手機")
# In an address block the cue follows: "781 1704 Office".
cue_behind = seen_in(r"^[\s-]{1,3}(?:office|fax|mobile|desk|cell)(?:[^\pL]|$)")
card_before = seen_in(rf"(?:^|[^\pL])(?:{any_of(CARD_CUES)})[^\n;\pN]{{0,24}}$")
id_before = seen_in(rf"(?:^|[^\pL])(?:{any_of(ID_CUES)})[^\n;]{{0,20}}$")
plate_before = seen_in(rf"(?:{any_of(PLATE_CUES)})[^\n;]{{0,16}}$")
