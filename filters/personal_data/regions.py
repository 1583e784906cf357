"""Where the languages of ROOTS are spoken, and the words that stand before a telephone number in them."""

import re

from filters.personal_data.candidate import seen_in

# ISO 639-1 -> countries (ISO 3166) whose national numbers are likely in such a text, the likeliest first.
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
# Extraction writes ISO 639-3; the macro-languages have members.
_LONG = """aka=ak arb=ar ara=ar asm=as bam=bm ben=bn cat=ca eng=en spa=es eus=eu fra=fr guj=gu hin=hi ind=id ibo=ig
    kik=ki kan=kn lug=lg lin=ln mal=ml mar=mr nep=ne npi=ne nya=ny ori=or ory=or pan=pa por=pt run=rn kin=rw sna=sn
    sot=st swa=sw swh=sw tam=ta tel=te tsn=tn tso=ts twi=tw urd=ur vie=vi wol=wo xho=xh yor=yo zho=zh cmn=zh zul=zu"""
_SHORT = dict(pair.split("=") for pair in _LONG.split())


def regions_of(language: str | None) -> tuple[str, ...]:
    """Countries for a language code (ISO 639-1 or 639-3); none for a language not in the table."""
    return REGIONS.get(_SHORT.get(language or "", language or ""), ())


PHONE_CUES: dict[str, tuple[str, ...]] = {
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
_ALL_CUES = "|".join(
    sorted({re.escape(cue) for cues in PHONE_CUES.values() for cue in cues}, key=lambda cue: (-len(cue), cue))
)
_FILLER = (
    r"(?:[ \t]?(?:no|nr|nº|n°|num|number|numéro|número|नंबर|নম্বর|نمبر|رقم|號碼|号码|code|us|at|on|"
    r":|：|\.|\(|\)|-|–|=|#|/)){0,4}"
)
# A cue with nothing but signs and "number" between it and the digits.
_EDGE = r"[^\pL_]"
cue_before = seen_in(
    rf"(?:^|{_EDGE})(?:{_ALL_CUES}){_FILLER}[\s\x{{a0}}:：.(+-]{{0,4}}$|(?:电话|電話|手机|手機|热线|熱線|传真){_FILLER}\s?$"
)
cue_near = seen_in(rf"(?:^|{_EDGE})(?:{_ALL_CUES})(?:{_EDGE}|$)|电话|電話|手机|手機")
