"""E-mail addresses in words, with gaps, or for several people: "ana at example dot org", "{ana,bo}@example.org"."""

import re

from filters.personal_data.candidate import Candidate, is_word, seen_in

# The sign and the dot in words. Of "at" and "chez" more is asked than of words that are a name of the sign only.
_NAMES = (
    "arroba|arrova|arobase|aroba|chiocciola|a còng|a cong|艾特|圈a|アット|アットマーク|собака|آت|ایٹ|एट|ऐट|"
    "অ্যাট|એટ|ਐਟ|அட்|యాట్"
)
_AT_WORDS = f"at|chez|{_NAMES}"
_DOT_WORDS = (
    "dot|punto|ponto|punt|point|puntu|titik|chấm|cham|nukta|nokta|punkt|точка|点|點|ドット|نقطة|دوت|ڈاٹ|डॉट|डाट|ডট|ડોટ|ਡਾਟ|"
    "டாட்|డాట్|ಡಾಟ್|ഡോട്ട്"
)
_OPEN, _CLOSE = r"[\[({<（【〔「]", r"[\])}>）】〕」]"
_LOCAL = r"[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}"
_LABEL = r"[A-Za-z0-9-]{1,63}"
_TOP = r"[A-Za-z]{2,24}"
_CODE = r"&#0{0,4}64;|&#[xX]0{0,4}40;|&commat;|%40"  # the sign as sources of pages and URLs write it
_DOT_WORD = (
    rf"(?: ?{_OPEN} ?(?i:{_DOT_WORDS}|\.) ?{_CLOSE} ?| ?-(?i:dot)- ?|_(?i:dot)_| {{1,2}}(?i:{_DOT_WORDS}) {{1,2}})"
)
_DOT = rf"(?:{_DOT_WORD}|\. ?)"
_CLEAR_AT = (
    rf" ?{_OPEN} ?(?i:{_AT_WORDS}|a|ä|ät|à|et|@) ?{_CLOSE} ?| -(?i:at)- |{_CODE}| {{1,2}}(?i:{_NAMES}) {{1,2}}|"
    r" {0,2}(?:艾特|アット(?:マーク)?) {0,2}"
)
_WEAK_AT = r" {1,2}(?i:at|chez) {1,2}|-(?i:at)-|_(?i:at)_"
_GAP_AT = r" {1,2}[@＠] {0,2}|[@＠] {1,2}"
_HEAD = rf"{_LOCAL}(?:{_DOT_WORD}{_LOCAL}){{0,2}}"
_PLAIN = rf"{_LABEL}(?:[.．]{_LABEL}){{0,5}}[.．]{_TOP}"
_WORDS = rf"{_LABEL}(?:{_DOT}{_LABEL}){{0,4}}{_DOT_WORD}{_TOP}"
_MEMBER = r"[A-Za-z0-9._%+-]{1,40}"
_SEVERAL = rf"[{{\[(<] ?{_MEMBER}(?: ?[,;|/] ?{_MEMBER}){{1,12}} ?[}}\])>] ?[@＠] ?{_PLAIN}"
# Another sign for the at sign, and words that say so: "ana#example.org (#换成@)"
_OTHER = r"[#＃★☆※*&$!~^]"
_REPLACED = (
    rf"{_LOCAL}{_OTHER}{_PLAIN}[^\n@＠]{{0,24}}{_OTHER}[^\n@＠]{{0,24}}[@＠]|"
    rf"[@＠][^\n@＠]{{0,12}}{_LOCAL}{_OTHER}{_PLAIN}"
)
SPELLED_PATTERN = "|".join(
    [
        rf"{_HEAD}(?:{_CLEAR_AT}){_LABEL}(?:{_DOT}{_LABEL}){{0,5}}{_DOT}{_TOP}",
        rf"{_HEAD}(?:{_WEAK_AT}|{_GAP_AT}|[@＠]){_WORDS}",
        rf"{_LOCAL}(?: AT |{_GAP_AT}){_PLAIN}",
        _SEVERAL,
        _REPLACED,
    ]
)
SPELLED_GATE = "|".join(
    [
        rf"{_OPEN} ?(?i:{_AT_WORDS}|a|ä|ät|à|et) ?{_CLOSE}| -(?i:at)- |{_CODE}",
        rf" (?i:{_NAMES}) |艾特|アット| AT [A-Za-z0-9.-]+\.[A-Za-z]",
        rf"[ _-](?i:at|chez)[ _-] ?[A-Za-z0-9.-]+{_DOT_WORD}",
    ]
)

_PARTS = re.compile(
    rf"(?P<local>{_HEAD})(?:(?P<clear>{_CLEAR_AT})|(?P<weak>{_WEAK_AT})|(?P<gap>{_GAP_AT})|[@＠])"
    rf"(?P<host>{_LABEL}(?:(?:{_DOT}){_LABEL})*(?:{_DOT}){_TOP})"
)
_REPLACED_PARTS = re.compile(
    rf"(?:[@＠][^\n@＠]*?)??(?P<address>{_LOCAL}(?P<sign>{_OTHER}){_PLAIN})(?P<rest>.*)", re.DOTALL
)
_ANY_DOT = re.compile(_DOT)
_DOT_WORD_IN = re.compile(_DOT_WORD)
_SINGLE = re.compile(rf" ?{_OPEN} ?(?:a|ä|à|et) ?{_CLOSE} ?", re.IGNORECASE)  # "(a)" is an item of a list as well
_LIKE_LOCAL = re.compile(r"[A-Za-z0-9]+[._+][A-Za-z0-9]|[A-Za-z]+[0-9]")
_MAIL_HOST = re.compile(
    r"(?:gmail|googlemail|yahoo|ymail|rocketmail|hotmail|outlook|live|msn|icloud|aol|gmx|proton|protonmail|mail|rediffmail|"
    r"yandex|qq|163|126|sina|foxmail|orange|wanadoo|laposte|free|uol|bol|terra)$"
)
_KNOWN_TOPS = """com org net edu gov int mil info biz name io ai dev app online site xyz club shop cat eus gal coop
    museum asia africa world email"""
_TOPS = frozenset(_KNOWN_TOPS.split())
_TOPS_IN_PROSE = "am an as at be by do de en es et he id in is it la le lo me mi mu my no on or pa se si so to us ve"
_WORD_TOPS = frozenset(_TOPS_IN_PROSE.split())
_NO_HOSTS = frozenset(["www", "the", "a", "an", "this", "each", "every", "polka"])
_ENDINGS = "html htm php asp jsp pdf png jpg gif svg js css py txt zip exe json xml"
_FILES = frozenset(_ENDINGS.split())
# Words before "at" that are nobody's address: "find us at", "more at", "look at"
_BEFORE_AT = """us me it them him her you this that more here there now online live look looked looking stop stopped
    found find available visit is are was be site website web page pages blog shop store home work aim aimed arrive
    arrived stay based all order buy read see watch and or up out in on not only free starts start stared glance glanced
    point pointed meet held works worked lives lived hosted running office house out one two"""
_NOBODY = frozenset(_BEFORE_AT.split())
_mail_before = seen_in(
    r"(?:mail|mél|m[eé]l\b|courriel|correo|correu|posta|surel|barua pepe|imeyil|imeli|thư|contact|contat|write|writing|"
    r"reach|écri|escri|hubungi|liên hệ|wasiliana|邮箱|郵箱|邮件|郵件|信箱|联系|聯絡|メール|메일|"
    r"البريد|بريد|إيميل|ايميل|ای ?میل|ईमेल|मेल|ইমেইল|ইমেল|ઇમેઇલ|ਈਮੇਲ|மின்னஞ்சல்|ఇమెయిల్|ಇಮೇಲ್|ഇമെയിൽ)[^\n]{0,32}$"
)


def check_spelled(candidate: Candidate) -> tuple[int, int] | None:
    """The address, if a clear sign, a known domain and the words around it leave little doubt that it is one."""
    if is_word(candidate.before[-1:]) or candidate.before[-1:] in ("@", "/"):
        return None
    parts = _PARTS.fullmatch(candidate.text)
    if parts is None:
        return _check_replaced(candidate)
    labels = [label.lower() for label in _ANY_DOT.split(parts["host"])]
    if is_word(candidate.after[:1]) or not _is_host(labels) or parts["local"].endswith((".", "-")):
        return None
    single = parts["clear"] and _SINGLE.fullmatch(parts["clear"])
    if parts["clear"] and not single:
        fit = _is_known(labels[-1]) or ". " not in parts["host"]
    else:
        fit = _is_likely(parts, labels, candidate.before)
    return (0, len(candidate.text)) if fit else None


def _is_likely(parts: re.Match[str], labels: list[str], before: str) -> bool:
    """Whether "at", or an at sign with gaps, is between a name and a domain: "ana_b at example dot org"."""
    if not _is_known(labels[-1]) or labels[0] in _NO_HOSTS:
        return False
    gap, local = parts["gap"], parts["local"]
    if not (parts["clear"] or parts["weak"] or (gap and gap.startswith(" "))):
        return True
    if local.lower() in _NOBODY:
        return False
    spelled = parts["weak"] and _DOT_WORD_IN.search(parts["host"]) and labels[-1] not in _WORD_TOPS
    named = _LIKE_LOCAL.search(local) or _DOT_WORD_IN.search(local) or _MAIL_HOST.match(labels[-2])
    return bool(spelled or named) or _mail_before(before[-60:])


def _is_known(top: str) -> bool:
    return len(top) == 2 or top in _TOPS


def _is_host(labels: list[str]) -> bool:
    fit = all(label and label[0] != "-" and label[-1] != "-" for label in labels)
    return fit and len(labels) > 1 and labels[-1] not in _FILES


def _check_replaced(candidate: Candidate) -> tuple[int, int] | None:
    """Addresses of several people, and those whose at sign is replaced, with words that say so."""
    text = candidate.text
    if text[0] in "{[(<":
        labels = re.split(r"[@＠.．]", text.lower())
        fit = _is_known(labels[-1]) and _is_host(labels[-2:]) and not is_word(candidate.after[:1])
        return (0, len(text)) if fit else None
    parts = _REPLACED_PARTS.match(text)
    if parts is None or parts["sign"] not in parts["rest"] + candidate.before[-24:] * (text[0] in "@＠"):
        return None
    return parts.span("address")
