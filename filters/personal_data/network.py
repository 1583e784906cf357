"""E-mail and IP addresses."""

import ipaddress
import re
import unicodedata

from filters.personal_data.candidate import Candidate, Kind, is_unspaced, is_word, seen_in
from filters.personal_data.spelled_mail import SPELLED_GATE, SPELLED_PATTERN, check_spelled

# Characters that an unquoted address cannot contain (RFC 5322, atext), with the punctuation of other scripts
_STOP = (
    r"\x00-\x20\x{7f}-\x{a0}@＠<>()\[\]{},;:\\|\"“”„«»‹›`´=!?…،؛؟।॥、，；：（）「」『』【】《》〈〉！？"
    r"\x{2000}-\x{200f}\x{2028}-\x{202f}\x{3000}\x{feff}"
)
_EMAIL_PATTERN = (
    rf"[^{_STOP}]{{1,64}}[@＠](?:[^{_STOP}./／。．]{{1,63}}[.．。]){{1,8}}[^{_STOP}./／。．]{{2,63}}"
    rf"|{SPELLED_PATTERN}"
)
# Endings that are no domains: images for dense screens (`name@2x.png`), code (`user@host.local`, `@scope/name@1.js`)
_ENDINGS = """png jpg jpeg gif svg webp avif ico bmp css scss js mjs ts jsx tsx json html htm php asp aspx jsp xml pdf
    mp3 mp4 webm woff woff2 ttf map zip gz local localhost internal lan"""
_FILE_ENDINGS = frozenset(_ENDINGS.split())
_SERVICE_NAMES = frozenset(["git", "hg", "svn"])  # git@github.com is the address of a machine
_PLAIN_MAIL = re.compile(r"[^\s@＠\[({<（【「〔]+[@＠][^\s@＠\[({<（【「〔]+")
_TOP_LEVEL = re.compile(r"(?:xn--[a-z0-9-]+|[a-z]{2,24})(?=[^a-z0-9-]|-|$)", re.ASCII | re.IGNORECASE)


def _check_email(candidate: Candidate) -> tuple[int, int] | None:
    """Trim an address to its own characters; spare file names, machines and bare host names."""
    text = candidate.text
    if not _PLAIN_MAIL.fullmatch(text):
        return check_spelled(candidate)
    at = max(text.rfind("@"), text.rfind("＠"))
    start = _local_start(text[:at])
    end = _domain_end(text, at + 1)
    if start is None or end is None:
        return None
    local, top = text[start:at].lower(), re.split(r"[.．。]", text[at + 1 : end])[-1].lower()
    if top in _FILE_ENDINGS or local in _SERVICE_NAMES or len(text[at + 1 : end]) > 255:
        return None
    if text[end : end + 1] == "_":  # emphasis: "_ana@example.org_"
        start += len(text[start:at]) - len(text[start:at].lstrip("_"))
    return start, end


_LIKE_LATIN = ("LATIN", "FULLWIDTH", "CYRILLIC", "GREEK")  # letters of these replace each other in one word


def _local_start(local: str) -> int | None:
    """Where the local part begins: at "li" in "写信给li@a.cn", at "rené" in "rené@a.fr"."""
    foreign = next((place for place in reversed(range(len(local))) if not local[place].isascii()), -1)
    if foreign >= 0:
        char = local[foreign]
        tail = local[foreign + 1 :]
        if any(map(str.isalpha, tail)) and (is_unspaced(char) or _script(char) not in _LIKE_LATIN):
            start = next(place for place, letter in enumerate(tail) if letter.isalnum() or letter == "_")
            return foreign + 1 + start if tail[-1] != "." else None
    start = 0
    while start < len(local) and not (local[start].isalnum() or local[start] == "_"):
        start += 1
    return start if start < len(local) and local[-1] != "." else None


def _domain_end(text: str, start: int) -> int | None:
    """Where the domain ends, or None if there is no domain name.

    An ASCII top-level domain ends at the first other character ("a@b.org或"), unless the name is in another script.
    """
    end = len(text)
    dots = [place for place in range(start, end) if text[place] in ".．。"]
    for dot in reversed(dots):
        label = text[dot + 1 : end]
        folded = unicodedata.normalize("NFKC", label)
        if folded[:1].isascii():
            found = _TOP_LEVEL.match(folded)
            rest = folded[found.end() :].lstrip("_") if found else ""
            if found and not is_word(rest[:1]):
                fit = _trim(text, start, dot + 1 + found.end())
                if fit is not None:
                    return fit
            elif found and folded[:1].isalpha():
                return None
        elif sum(char.isalpha() for char in label) >= 2 and not text[start:dot].isascii():
            return _trim(text, start, dot + 1 + _letters(label))
        end = dot
    return None


def _letters(label: str) -> int:
    """How many characters at the start of a label are letters, marks, digits or hyphens."""
    for place, char in enumerate(label):
        if not (char.isalnum() or unicodedata.category(char)[0] == "M" or char == "-"):
            return place
    return len(label)


def _trim(text: str, start: int, end: int) -> int | None:
    """The end, if every label before it is valid: not empty, no hyphen at either end."""
    labels = re.split(r"[.．。]", text[start:end])
    fit = all(
        label and label[0] != "-" and label[-1] != "-" and _letters(label.replace("_", "-")) == len(label)
        for label in labels
    )
    return end if fit and len(labels) > 1 else None


def _script(char: str) -> str:
    return unicodedata.name(char, "").partition(" ")[0]


EMAIL = Kind(
    name="email",
    tag="EMAIL",
    words="local part, at sign, domain name; letters of any script; also `ana [at] example [dot] org`",
    gate=rf"[@＠]|{SPELLED_GATE}",
    pattern=_EMAIL_PATTERN,
    check=_check_email,
    finds=(
        "Write to ⟪ana.lopez+news@mail.example.org⟫.",
        "<⟪o'neil_7@example.co.uk⟫>, mailto:⟪x@example.com⟫?subject=hi",
        "Ecrivez à ⟪rené.dupont@exemple.fr⟫ !",
        "请写信到⟪zhang@example.com.cn⟫或打电话。",
        "ईमेल: ⟪राम@उदाहरण.भारत⟫ पर लिखें",
        "البريد: ⟪ahmad@example.net⟫، شكرا",
        "தொடர்பு⟪kumar@example.in⟫",
        "⟪ａｎａ＠ｅｘａｍｐｌｅ．ｃｏｍ⟫ (full width)",
        "mail ⟪ana [at] example [dot] org⟫ please",
        "mail ⟪ana (At) example (Dot) org⟫ or ⟪bo<at>example<dot>org⟫",
        "mail ⟪ana -at- example -dot- org⟫",
        "à ⟪ana (arobase) exemple.fr⟫, a ⟪ana ARROBA ejemplo.es⟫",
        "邮箱：⟪ana（at）example.com⟫",
        "_⟪ana@example.org⟫_ and **⟪bo@example.org⟫**",
        "to ⟪аna@example.org⟫ (its first letter is Cyrillic)",
        "post('⟪ana@example.org⟫'.strip())",
        "⟪ana@host_one.example.org⟫",
        "ติดต่อ⟪somchai@example.co.th⟫ได้",
        "⟪ana at example dot org⟫, ⟪ana dot bo at mail dot example dot org⟫",
        "⟪ana.bo AT example.org⟫, ⟪ana_bo(a)example.org⟫ and ⟪ana.bo @ example.org⟫",
        "mail: ⟪ana @ example.org⟫ or ⟪bo@ example.org⟫",
        "⟪ana arroba ejemplo punto es⟫, ⟪ana arobase exemple point fr⟫, ⟪nam a còng vidu chấm vn⟫",
        "⟪{ana,bo}@cs.example.edu⟫",
        "邮箱⟪zhang#example.cn⟫（#换成@），把★换成@：⟪li★example.cn⟫",
        "⟪ana&#64;example.org⟫ and ⟪ana@example[dot]org⟫",
    ),
    spares=(
        "icon@2x.png and logo@3x.jpg",
        "git clone git@github.com:o/r.git",
        "meet @ 5.30 p.m.",
        "npm i left-pad@1.3.0",
        "follow @ana_lopez on it",
        "a @ b . c",
        "user@localhost",
        "12@34.56",
        "x@-bad-.com",
        "Read more at example.com, or find us at example dot com",
        "see you @ example.com, order @ www.example.org",
        "She looked at the dot in the picture, and at polka dot skirts",
        "Section 5(a)applies.It is so",
        "a stay-at-home.mom, LOOK AT EXAMPLE.COM",
        "una arroba de vino. La otra",
        "C#example.com and foo*bar.com",
    ),
)

_IPV4_PATTERN = r"\p{Nd}{1,3}(?:\.\p{Nd}{1,3}){3}"
# Public resolvers are in manuals everywhere and identify nobody
_RESOLVERS = """8.8.8.8 8.8.4.4 1.1.1.1 1.0.0.1 9.9.9.9 149.112.112.112 208.67.222.222 208.67.220.220 4.2.2.1 4.2.2.2
    2001:4860:4860::8888 2001:4860:4860::8844 2606:4700:4700::1111 2606:4700:4700::1001 2620:fe::fe"""
WELL_KNOWN = frozenset(_RESOLVERS.split()) | {"239.255.255.250"}  # and the address of device discovery
_LOCAL_MULTICAST = ipaddress.IPv4Network("224.0.0.0/16")
# Words before a version, a section, a tariff or a figure, in the languages of ROOTS
_VERSION_WORDS = (
    r"v|ver\.?|versions?|versión|versão|versió|versioa|versi|phiên bản|release|build|firmware|kernel|driver|player|"
    r"plugin|"
    r"patch|update|browser|flash|skype|java|jdk|jre|chrome|chromium|firefox|opera|edge|safari|acrobat|reader|photoshop|"
    r"android|ios|windows|linux|office|directx|bios|sdk|api|app|"
    r"(?:sub)?section|sección|seção|secció|chapter|chapitre|capítulo|(?:sub)?clause|article|artículo|artigo|(?:sub)?paragraph|"
    r"paragraphe|párrafo|parágrafo|para\.?|rule|item|point|step|task|annex|annexe|anexo|appendix|alinéa|inciso|rubrique|"
    r"fig\.|figure|table|oid|ncm|hs|hscode|tariff|tarif|heading|subheading|position tarifaire|código|toleo|"
    r"ẹ̀yà|pasal|"
    r"điều|mục|điểm|固件|驱动|軟體|软件|版本|版|条|條|款|章|节|節|إصدار|الإصدار|النسخة|المادة|الفقرة|संस्करण|वर्शन|धारा|अनुच्छेद|সংস্করণ|ধারা|"
    r"பதிப்பு|సంస్కరణ|പതിപ്പ്|ಆವೃತ್ತಿ|ਸੰਸਕਰਣ|આવૃત્તિ|आवृत्ती|ورژن|§"
)
_version_before = seen_in(
    rf"(?:(?:^|[^\pL\pM])(?:{_VERSION_WORDS})|版本|版|固件|驱动)"
    r"(?:[\s\x{a0}:：.#=n°№-]|number|numbers|numéro|número|nº|no|code|codes|is|was|es|est|é|are|号|號|为|為|是|رقم|है){0,5}$"
)
# "updated from 41.2.9.101 to 41.2.9.114"
_updated_before = seen_in(
    r"(?:updat|upgrad|downgrad|actuali|mise? à jour|atuali|migra|更新|升级|升級|降级|"
    r"تحديث|ترقية|अपडेट|अपग्रेड|perbarui|nâng cấp|cập nhật)"
    r"[^\n;]{0,60}$"
)
_version_behind = seen_in(
    r"^(?:[ \t]{0,2}\(?(?:versions?|release|build|beta|alpha|rc ?[0-9]|patch|firmware|hotfix|版本)(?:[^\pL]|$)|"
    r",?[ \t](?:or|and|ou|o|et|y|e)[ \t](?:later|newer|above|higher|earlier|older|below|"
    r"supérieure?|ultérieure?|superior|posterior))"
)
# A name in front, as of a program: "Reader 23.0.6.120"
_NAME_BEFORE = re.compile(r"(?:^|[^\w.!?:])\s?[A-Z][\w+-]{2,}[ \xa0]$")


def _is_version(octets: list[str], before: str, after: str) -> bool:
    """Whether four numbers are a version, a section or a tariff, by the words and numbers around them."""
    if _version_before(before[-40:]) or _version_behind(after[:24]):
        return not _address_before(before[-30:])
    if _network_before(before[-30:]):
        return False
    named = "0" in octets[1:3] and _NAME_BEFORE.search(before[-30:]) is not None
    return named or _updated_before(before[-80:])


_address_before = seen_in(r"\bip(?:v4)?(?: address)?[\s:=]{1,3}$")
_network_before = seen_in(
    r"(?:\b(?:ip|dns|server|host|addr\w*|ping|serveur|servidor|adresse|dirección|endereço)\b|地址|عنوان)[^\n]{0,12}$"
)


def fold_digits(text: str) -> str:
    """Digits of every script, full-width forms, dashes and spaces as ASCII, one character for one."""
    if text.isascii():
        return text
    return "".join(_fold_char(char) for char in text)


def _fold_char(char: str) -> str:
    digit = unicodedata.digit(char, -1)
    if digit >= 0:
        return str(digit)
    if 0xFF01 <= ord(char) <= 0xFF5E:
        return chr(ord(char) - 0xFEE0)
    if unicodedata.category(char) == "Pd" or char == "−":
        return "-"
    return " " if unicodedata.category(char) == "Zs" else char


def _check_ipv4(candidate: Candidate) -> tuple[int, int] | None:
    """Four octets of a public address that are no version, section number, grouped amount or part of a longer run."""
    text = fold_digits(candidate.text)
    before, after = candidate.before, candidate.after
    if is_word(before[-1:]) or is_word(after[:1]) or (before[-1:] in (".", "-", ",") and before[-2:-1].isdigit()):
        return None
    if after[:1] in (".", ",", "-") and after[1:2].isdigit():
        return None
    octets = text.split(".")
    if any((len(octet) > 1 and octet[0] == "0") or int(octet) > 255 for octet in octets) or text in WELL_KNOWN:
        return None
    address = ipaddress.IPv4Address(text)
    if not address.is_global or address in _LOCAL_MULTICAST or _is_version(octets, before, after):
        return None
    # 6.2.4.1 and 12.6.2.1 are sections far more often than hosts.
    if all(int(octet) < 32 for octet in octets) and not _network_before(before[-30:]):
        return None
    return 0, len(text)


_IPV6_PATTERN = r"[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?:\.[0-9]{1,3}){0,3}"
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")


def _named_by_colon(before: str) -> bool:
    """Whether a word, not a part of an address, is before the colon: "IPv6:", "User:"."""
    word = re.search(r"(\w+) ?:$", before[-24:])
    return word is not None and re.fullmatch(r"[0-9A-Fa-f]{1,4}", word[1]) is None


def _check_ipv6(candidate: Candidate) -> tuple[int, int] | None:
    """A public IPv6 address; a shortened one must be in 2000::/3, where all assigned ones are (RFC 4291)."""
    text, after = candidate.text, candidate.after
    if (
        (candidate.before[-1:] == ":" and not _named_by_colon(candidate.before))
        or is_word(candidate.before[-1:])
        or is_word(after[:1])
        or (after[:1] == ":" and text[-1] != ":" and re.match(r":[\w:]", after))
    ):
        return None
    text = text[:-1] if text.endswith(":") and not text.endswith("::") else text  # a colon may follow an address
    if (text.count(":") < 3 and "::" not in text) or text.lower() in WELL_KNOWN:
        return None
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        return None
    groups = text.split(":")
    if "::" in text:
        fit = address in _GLOBAL_UNICAST and sum(map(bool, groups)) >= 3 and any(char.isdigit() for char in text)
    else:
        fit = any(len(group) > 2 for group in groups)  # eight pairs are a MAC (EUI-64) or a fingerprint
    return (0, len(text)) if fit and address.is_global else None


def _check_ip(candidate: Candidate) -> tuple[int, int] | None:
    """IPv4 or IPv6."""
    return _check_ipv6(candidate) if ":" in candidate.text else _check_ipv4(candidate)


IP_ADDRESS = Kind(
    name="ip_address",
    tag="IP_ADDRESS",
    words="IPv4 (digits of any script) or IPv6, public addresses only",
    gate=r"\p{Nd}\.\p{Nd}{1,3}\.\p{Nd}{1,3}\.\p{Nd}|:[0-9A-Fa-f]{0,4}:",
    pattern=f"{_IPV4_PATTERN}|{_IPV6_PATTERN}",
    check=_check_ip,
    finds=(
        "from ⟪93.184.215.14⟫ at noon",
        "(⟪203.0.114.77⟫:8080)",
        "http://⟪151.101.1.69⟫/x",
        "العنوان ⟪٩٣.١٨٤.٢١٥.١٤⟫ هنا",
        "पता ⟪९३.१८४.२१५.१४⟫",
        "在⟪93.184.215.14⟫上",
        "host ⟪2606:2800:21f:cb07:6820:80da:af6b:8b2c⟫.",
        "⟪2a00:1450:4009:81f::200e⟫ answers",
        "[⟪2a00:1450:4009:81f::200e⟫]:443",
        "DNS ⟪7.7.6.5⟫",
        "from [IPv6:⟪2a02:8108:8ac0:1c5a:b5a8:1f2:9d3e:77aa⟫] by",
        "User:⟪2a02:8108:8ac0:1c5a:b5a8:1f2:9d3e:77aa⟫ wrote",
        "ip6:⟪2a00:1450:4009::200e⟫ -all",
        "⟪2a02:8108:8ac0:1c5a:b5a8:1f2:9d3e:77aa⟫: yes",
        "the host is ⟪45.12.0.100⟫, then ⟪45.12.3.101⟫",
    ),
    spares=(
        "192.168.1.1, 10.0.0.1, 127.0.0.1, 172.16.3.4",
        "version 12.4.26.118",
        "v2.14.33.10",
        "see 1.2.3.4",
        "6.2.4.1. Configuration of exim4 and 12.6.2.1 too",
        "restart dhcp3-server.\n4.5.1.1. Next",
        "multicast 224.0.0.251 and 239.255.255.250",
        "OID 1.3.6.1.4.1.311",
        "1.000.000.000",
        "256.300.1.1",
        "resolver 8.8.8.8",
        "::1 and fe80::1",
        "std::vector a::b",
        "at 12:34:56",
        "00:1A:2B:3C:4D:5E",
        "53:4f:a1:02:9b:77:e1:0c:aa:bb",
        "192.0.2.7 is for manuals",
        "11.12.2024.10",
        "版本12.4.26.118",
        "the firmware version is 41.0.15.36",
        "Reader 23.0.6.120 was released",
        "upgraded from 41.2.9.101 to 41.2.9.114",
        "版本号为：45.12.3.100",
        "subparagraph 45.2.3.1 of the law",
        "tariff code 84.71.30.12",
        "45.12.3.100 or later",
        "map<a::b> x; c::d and beef::dead",
    ),
)
