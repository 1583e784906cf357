"""Context words by language: words before a telephone number, an identity number, a card, a key or a plate."""

import re
from collections.abc import Iterable, Mapping

from filters.personal_data.candidate import seen_in

_Words = Mapping[str, tuple[str, ...]]  # ISO 639-1 -> words

# A language, then its words; a language may have several lines
_PHONE_TABLE = """
en: tels, tele, gsm, wa, whats app, telegram, viber, signal, text, txt, helpline, landline, toll free
en: mobile no, cell phone, handphone, contact, imo, tel, telephone, phone, ph, mobile, mob, cell, call
en: whatsapp, fax, contact no, hotline, desk, office, dial, sms
fr: tel, tels, mob, gsm, fixe, joindre, contacter, contactez, sms au, tél, téléphone, portable, appelez le
fr: appeler le, télécopie
es: tel, tels, cel, telf, fijo, teléfonos, telefonos, celulares, móviles, contacto, contactar, comunícate al
es: comunicarse al, wasap, wsp, teléfono, telefono, tlf, tfno, móvil, movil, celular, llame al, llamar al
pt: cel, fones, telefones, celulares, zap, whats, contato, contacto, contatos, fixo, ligar, telefone, telemóvel
pt: celular, ligue, fone
ca: mòbils, telèfons, contacte, telèfon, mòbil, truqueu al
eu: telefonoa, telefono, mugikorra, deitu
id: wa, hub, kontak, nomor telepon, nomor hp, no hp, no wa, narahubung, telp, telepon, telpon, hp, ponsel
id: hubungi
vi: liên hệ, zalo, lh, đtdđ, số điện thoại, hotline, tel, điện thoại, đt, sđt, di động, gọi
sw: wasiliana, wasiliana nasi, namba ya simu, whatsapp, mawasiliano, simu, nambari ya simu, piga
yo: pè, ẹ pè, nọ́mbà, fóònù, foonu, tẹlifóònù, aago
ig: ekwentị, ekwenti
zu: ucingo, umakhalekhukhwini
xh: umnxeba, ifowuni
st: mohala, founu
sn: runhare, foni
rw: telefone, terefone
lg: essimu, esimu
ar: للتواصل, تواصل, واتس, واتس اب, واتس آب, واتسآب, الواتساب, الواتس, للاتصال, الاتصال, اتصلوا, للاستفسار
ar: للحجز, هواتف, جوالي, الموبايل, نقال, التلفون, التليفون, الفاكس, هاتف, الهاتف, تلفون, تليفون, جوال, الجوال
ar: موبايل, محمول, واتساب, اتصل, فاكس, ت
ur: واٹس ایپ, واٹس اپ, واٹساپ, موبائل نمبر, فون نمبر, رابطہ نمبر, کال کریں, کال, فون, موبائل, ٹیلی فون, رابطہ
ur: فیکس
hi: मो, मोब, कॉल, कॉल करें, व्हाट्सऐप, व्हाट्सअप, व्हाट्सएप्प, वाट्सएप, वॉट्सऐप, संपर्क करें, सम्पर्क, मोबाइल नंबर
hi: फोन नंबर, फोन, फ़ोन, मोबाइल, दूरभाष, संपर्क, टेलीफोन, व्हाट्सएप
mr: मो, भ्रमणध्वनी, संपर्क, व्हॉट्सॲप, व्हॉट्सअॅप, कॉल, फोन, मोबाईल, दूरध्वनी
ne: मो, फोन नं, व्हाट्सएप, भाइबर, फोन, मोबाइल, सम्पर्क
bn: মোবা, মো, কল করুন, কল, হোয়াটসঅ্যাপ, হোয়াটসঅ্যাপ, ফোন নম্বর, ইমো, ফোন, মোবাইল, টেলিফোন, যোগাযোগ
as: যোগাযোগ, ম'বাইল, ফোন, মোবাইল
gu: મો, મોબા, કૉલ, કોલ, વોટ્સએપ, વૉટ્સઍપ, સંપર્ક કરો, ફોન, મોબાઇલ, મોબાઈલ, સંપર્ક
pa: ਮੋ, ਕਾਲ, ਵਟਸਐਪ, ਫੋਨ, ਫ਼ੋਨ, ਮੋਬਾਈਲ, ਸੰਪਰਕ
or: ମୋ, ଯୋଗାଯୋଗ, ହ୍ୱାଟସଆପ, ଫୋନ, ମୋବାଇଲ
ta: செல், அலைபேசி, வாட்ஸ்அப், வாட்ஸ்ஆப், அழைக்க, தொடர்பு, தொலைபேசி, கைபேசி, போன், மொபைல், தொடர்புக்கு
te: సెల్, వాట్సాప్, సంప్రదించండి, కాల్, మొ, ఫోన్, మొబైల్, ఫోను
kn: ಮೊ, ಸೆಲ್, ವಾಟ್ಸಾಪ್, ವಾಟ್ಸ್ಆ್ಯಪ್, ಸಂಪರ್ಕಿಸಿ, ಕರೆ, ಫೋನ್, ಮೊಬೈಲ್, ದೂರವಾಣಿ
ml: മൊ, സെൽ, വാട്സാപ്പ്, വാട്സ്ആപ്പ്, വിളിക്കുക, ബന്ധപ്പെടുക, ഫോൺ, മൊബൈൽ, ഫോണ്‍
zh: 手机号, 手機號, 手机号码, 手機號碼, 电话号码, 電話號碼, 联系方式, 聯絡方式, 聯繫方式, 联系人, 聯絡人
zh: 聯繫人, 短信至, 短信, 咨询, 諮詢, 拨打, 撥打, 微信号, 微信號, 加微, 致電, 来电, 來電, 客服, 固话, 座机
zh: 行動電話, 洽, 热线电话, 电话, 電話, 手机, 手機, 联系电话, 热线, 熱線, 传真, 傳真, 微信, 致电
"""
# Names of a person's number. After these alone, any number of such a form counts ...
_ID_TABLE = """
en: passport, passports no, national id, national identity, national identification, identity card, id card, nin, bvn
en: ssn, social security, social insurance, national insurance, nino, nhs number, nhs no, pan card, pan no, voter id
en: epic no, driving licence, driving license, driver's licence, driver's license, drivers license, ghana card
en: aadhaar, aadhar, hkid, nric, identity document, citizenship no
fr: passeport, sécurité sociale, carte d'identité, carte d’identité, carte nationale d'identité
fr: carte nationale d’identité, numéro d'identité, numéro d’identité, cni, pièce d'identité, pièce d’identité
fr: permis de conduire
es: pasaporte, dni, d.n.i, curp, rut, cédula, cedula, c.c, cuit, cuil, documento de identidad, carné de identidad
es: carnet de identidad, cédula de identidad, cédula de ciudadanía, licencia de conducir
pt: passaporte, cpf, c.p.f, rg, r.g, bilhete de identidade, cartão de cidadão, cartão do cidadão, carteira de identidade
pt: documento de identidade, cnh
ca: passaport, document d'identitat, dni, permís de conduir
eu: pasaportea, pasaporte, nortasun agiria
id: paspor, nik, ktp, no ktp, nomor ktp, nomor induk kependudukan
vi: hộ chiếu, cmnd, cccd, cmt, căn cước, căn cước công dân, chứng minh nhân dân, chứng minh thư, số định danh
sw: kitambulisho, kitambulisho cha taifa, nida, pasipoti, pasi, hati ya kusafiria, leseni ya udereva
rw: indangamuntu, irangamuntu, pasiporo
rn: karangamuntu
lg: endagamuntu, paasipooti
zu: umazisi, inombolo kamazisi, iphasipoti
xh: isazisi, ipasipoti
st: lengolo la boitsebiso
tn: karata ya boitshupo
sn: chitupa
ny: chiphaso
yo: ìwé ìrìnnà, nọ́mbà ìdánimọ̀
zh: 身份证, 身分证, 身分證, 身份證, 护照, 護照, 通行证, 驾驶证, 駕駛證, 统一编号
ar: هوية, الهوية, بطاقة الهوية, البطاقة الوطنية, الرقم القومي, الرقم الوطني, بطاقة التعريف الوطنية, جواز
ar: جواز السفر, جواز سفر, الجواز, رقم الهوية
ur: شناختی کارڈ, شناختی, cnic, پاسپورٹ, قومی شناختی کارڈ
hi: आधार कार्ड, आधार नंबर, आधार संख्या, आधार क्रमांक, पासपोर्ट, मतदाता पहचान पत्र, पहचान पत्र, पैन कार्ड
mr: आधार कार्ड, आधार क्रमांक, आधार नंबर, पासपोर्ट, पारपत्र, ओळखपत्र
ne: नागरिकता, राहदानी, पासपोर्ट, नागरिकता प्रमाणपत्र, राष्ट्रिय परिचयपत्र
bn: জাতীয় পরিচয়পত্র, জাতীয় পরিচয়, পরিচয়পত্র, এনআইডি, পাসপোর্ট, আধার কার্ড, আধার নম্বর, nid no
as: পাছপৰ্ট, আধাৰ কাৰ্ড, আধাৰ নম্বৰ
ta: ஆதார், பாஸ்போர்ட், கடவுச்சீட்டு, அடையாள அட்டை
te: ఆధార్, పాస్‌పోర్ట్, పాస్పోర్ట్
kn: ಆಧಾರ್, ಪಾಸ್‌ಪೋರ್ಟ್, ಪಾಸ್ಪೋರ್ಟ್
ml: ആധാർ, പാസ്‌പോർട്ട്, പാസ്പോർട്ട്
pa: ਆਧਾਰ ਕਾਰਡ, ਆਧਾਰ ਨੰਬਰ, ਪਾਸਪੋਰਟ
gu: આધાર કાર્ડ, આધાર નંબર, પાસપોર્ટ
or: ଆଧାର କାର୍ଡ, ଆଧାର ନମ୍ବର, ପାସପୋର୍ଟ
"""
# ... after these only one with right check digits.
_WEAK_ID_TABLE = """
en: identity, id no, id number, sin, nhs
fr: nir
es: nie, rfc, identidad
pt: identidade
ca: identitat
hi: आधार
mr: आधार
bn: পরিচয়
pa: ਆਧਾਰ
gu: આધાર
"""


def _by_language(table: str) -> dict[str, tuple[str, ...]]:
    """The words of a table by language."""
    words: dict[str, tuple[str, ...]] = {}
    for line in table.strip().splitlines():
        code, _, rest = line.partition(": ")
        words[code] = words.get(code, ()) + tuple(rest.split(", "))
    return words


PHONE_CUES: _Words = _by_language(_PHONE_TABLE)
_ID_NAMES = _by_language(_ID_TABLE)
_WEAK_ID_NAMES = _by_language(_WEAK_ID_TABLE)
ID_CUES: _Words = {code: words + _WEAK_ID_NAMES.get(code, ()) for code, words in _ID_NAMES.items()}
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
# In a script that writes no spaces, a cue needs no sign before it.
_UNSPACED_CUES = any_of({"zh": PHONE_CUES["zh"]})
# Between a cue and the digits only signs and words such as "number" may stand.
_FILLER = (
    r"(?:[ \t]?(?:no|nr|nº|n°|nos|num|number|numéro|número|nomor|số|namba|nambari|नंबर|नं|क्रमांक|নম্বর|নাম্বার|নং|નંબર|"
    r"નં|ਨੰਬਰ|ନମ୍ବର|எண்|నంబర్|నెం|నెంబర్|ಸಂಖ್ಯೆ|ನಂ|നമ്പർ|نمبر|رقم|號碼|号码|号|號|至|到|code|us|me|him|her|them|back|at|on|"
    r":|：|\.|\(|\)|（|）|-|–|=|#|/)){0,4}"
)
_EDGE = r"[^\pL\pM_]"
cue_before = seen_in(rf"(?:(?:^|{_EDGE})(?:{_ALL_CUES})|(?:{_UNSPACED_CUES})){_FILLER}[\s\x{{a0}}:：.(+-]{{0,4}}$")
cue_near = seen_in(rf"(?:^|{_EDGE})(?:{_ALL_CUES})(?:{_EDGE}|$)|{_UNSPACED_CUES}")
# Cues that are words of other meanings too: a short number needs a sign after them ("HP: 1234567").
weak_cue_before = seen_in(rf"(?:^|{_EDGE})(?:hp|ph|wa|ت|desk|office|cell|text|signal|contact|hub|lh|洽)\s$")
# A link that dials
dialled_before = seen_in(
    r"(?:\bwa\.me/|api\.whatsapp\.com/send/?\?phone=|whatsapp:(?://)?(?:send\?phone=)?|\btel:|\bcallto:|\bsms:|"
    r"viber://\S{0,20}number=)\+?$"
)
# In an address block the cue follows: "781 1704 Office".
cue_behind = seen_in(r"^[\s-]{1,3}(?:office|fax|mobile|desk|cell)(?:[^\pL]|$)")
# A count, a sum or a measure follows: "1234567 times"
counted_behind = seen_in(
    r"^[ \x{a0}]?(?:(?:times|units?|pieces?|copies|people|persons|users|customers|visitors|views|votes|items|words|"
    r"percent|per cent|million|billion|thousand|dollars?|euros?|pounds?|rupees?|naira|shillings?|usd|eur|gbp|inr|cfa|"
    r"bytes|kb|mb|gb|km|kg|meters?|metres?|miles|tons?|tonnes|hours|days|years|"
    r"fois|unités|exemplaires|personnes|francs?|millions?|milliards?|veces|unidades|personas|pesos|dólares|vezes|"
    r"pessoas|reais|vegades|persones|kali|orang|rupiah|buah|lần|người|đồng|watu|mara|"
    r"बार|रुपये|रुपए|लोग|लोगों|टन|টাকা|জন|বার|روپے|بار|افراد|دولار|ريال|جنيه|درهم|دينار|مرة|شخص|نسخة|ليرة|யூரோ|ரூபாய்|రూపాయలు|ರೂಪಾಯಿ|രൂപ)"
    r"(?:[^\pL\pM\pN]|$)|元|人|次|个|個|件|万|萬|亿|億|美元|块|塊|吨|噸|台|份|名|円|[%％$€£₹₦¥￥])"
)
card_before = seen_in(rf"(?:^|[^\pL])(?:{any_of(CARD_CUES)})[^\n;\pN]{{0,24}}$")
id_before = seen_in(rf"(?:^|[^\pL])(?:{any_of(ID_CUES)})[^\n;]{{0,20}}$")
# Between the name of a person's number and the number only words such as "number" may stand.
_ID_FILLER = (
    r"(?:[ \t\x{a0}]?(?:numbers?|nos?|num|nr|nº|n°|n\.º|№|numéro|número|núm|numero|zenbakia|nomor|nomer|số|namba|"
    r"nambari|ya|cha|taifa|nimero|nomoro|nọ́mbà|inombolo|id|card|code|is|est|es|é|are|sob|o|de|da|del|/mf|/nie|/nif|字号|字號|号码|"
    r"號碼|号|號|是|为|為|رقم|رقمها|رقمه|نمبر|नंबर|नं|संख्या|क्रमांक|है|নম্বর|নাম্বার|নং|নম্বৰ|નંબર|નં|ਨੰਬਰ|ନମ୍ବର|எண்|నంబర్|నెంబర్|సంఖ్య|"
    r"ಸಂಖ್ಯೆ|നമ്പർ|:|：|\.|\(|\)|（|）|-|–|=|#|/|\"|'|\*)){0,6}"
)
_UNSPACED_ID_NAMES = any_of({"zh": _ID_NAMES["zh"]})
id_named_before = seen_in(
    rf"(?:(?:^|{_EDGE})(?:{any_of(_ID_NAMES)})|(?:{_UNSPACED_ID_NAMES})){_ID_FILLER}[\s\x{{a0}}:：.#-]{{0,4}}$"
)
# A coupon has the form of some numbers: "CODE: HELPS2024A".
coupon_before = seen_in(
    r"(?:code|codes|coupons?|promo|vouchers?|cupón|cupom|código|kode|kupon|mã|kuponi|优惠码|優惠碼|折扣码|كود|كوبون|کوڈ|कूपन|कोड|কুপন|কোড|"
    r"கூப்பன்|కోడ్|ಕೋಡ್|കോഡ്|કોડ|ਕੋਡ)[^\n;]{0,16}$"
)
plate_before = seen_in(rf"(?:{any_of(PLATE_CUES)})[^\n;]{{0,16}}$")
