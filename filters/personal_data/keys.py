"""Keys and tokens that give access to something."""

import math
import re
from collections import Counter

from filters.personal_data.candidate import Candidate, Kind, is_word
from filters.personal_data.cues import KEY_CUES, any_of

# Forms that issuers publish so that leaks can be found: a prefix, then a fixed alphabet and length.
ISSUED = (
    r"(?:AKIA|ASIA|AGPA|AROA|AIDA)[A-Z0-9]{16}",  # Amazon
    r"gh[pousr]_[A-Za-z0-9]{36,251}",  # GitHub
    r"github_pat_[A-Za-z0-9_]{22,200}",
    r"gl(?:pat|dt|rt|ptt|cbt)-[A-Za-z0-9_-]{20,60}",  # GitLab
    r"xox[abeoprs]-[A-Za-z0-9-]{10,200}",  # Slack
    r"xapp-[0-9]-[A-Za-z0-9-]{20,200}",
    r"(?:sk|rk|pk|whsec)_(?:live|test)?_?[A-Za-z0-9]{16,200}",  # Stripe
    r"AIza[A-Za-z0-9_-]{35}",  # Google
    r"GOCSPX-[A-Za-z0-9_-]{28}",
    r"ya29\.[A-Za-z0-9_-]{20,250}",
    r"sk-(?:proj-|ant-|or-|svcacct-)?[A-Za-z0-9_-]{20,250}",  # OpenAI, Anthropic, OpenRouter
    r"hf_[A-Za-z0-9]{30,40}",  # Hugging Face
    r"npm_[A-Za-z0-9]{36}",
    r"pypi-[A-Za-z0-9_-]{50,250}",
    r"SG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{16,64}",  # SendGrid
    r"key-[0-9a-f]{32}",  # Mailgun
    r"(?:AC|SK)[0-9a-f]{32}",  # Twilio
    r"dop_v1_[0-9a-f]{64}",  # DigitalOcean
    r"shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}",  # Shopify
    r"EAA[A-Za-z0-9]{60,250}",  # Facebook
    r"[0-9]{8,10}:AA[A-Za-z0-9_-]{33}",  # Telegram
    r"eyJ[A-Za-z0-9_-]{10,500}\.eyJ[A-Za-z0-9_-]{10,900}\.[A-Za-z0-9_-]{10,500}",  # JSON web token, RFC 7519
    r"AGE-SECRET-KEY-1[A-Z0-9]{58}",
    r"\$2[abxy]\$[0-9]{2}\$[./A-Za-z0-9]{53}",  # a password's bcrypt
)
# Prefixes that nothing else has: a key with such a prefix needs no digit.
_SIGNED = ("AKIA", "ASIA", "ghp_", "gho_", "ghs_", "ghu_", "ghr_", "github_pat_", "hf_", "npm_", "glpat-", "AIza")

# A name that announces a secret, then the secret
_SECRET_NAMES = (
    any_of(KEY_CUES, "[ _-]?") + "|[a-z_-]{0,20}(?:secret|token|apikey|api[_-]key|passwd|password|passphrase|pwd|"
    "access[_-]?key|account[_-]?key|private[_-]?key|credential|signature)[a-z_-]{0,20}|senha|contraseña|密码|密碼"
)
_NAMED = (
    rf"(?i:{_SECRET_NAMES})"
    r"[\"'`\]]{0,2}\s{0,3}(?:=>|:=|[:=：]|\s|is|es|est|é|是)\s{0,3}[\"'`]?[A-Za-z0-9+/_.=-]{16,256}"
    r"|(?i:authorization)[\"']?\s?[:=]\s?[\"']?(?i:basic|bearer|token) [A-Za-z0-9+/_.=-]{16,256}"
    r"|hooks\.slack\.com/(?:services|workflows)/[A-Za-z0-9/]{20,120}"
    r"|discord(?:app)?\.com/api/webhooks/[0-9]{10,24}/[A-Za-z0-9_-]{20,100}"
    r"|[?&](?:sig|X-Amz-Signature|X-Goog-Signature)=[A-Za-z0-9+/_.=-]{16,256}"
)
_BARE = r"[A-Za-z0-9][A-Za-z0-9_+/=-]{31,255}"

ISSUED_KEY = re.compile("|".join(f"(?:{pattern})" for pattern in ISSUED))
# The name, the sign and the quote before a secret; and the secret
_ASSIGNED = re.compile(
    r"(?P<name>[\w .?&-]{1,80}?)[\"'`\]]{0,2}\s{0,3}(?:=>|:=|[:=：]|\s(?:is|es|est|é)\s|是|\s)\s{0,3}[\"'`]?"
    r"(?:(?i:basic|bearer|token) )?(?P<value>[A-Za-z0-9+/_.-][A-Za-z0-9+/_.=-]{15,255})$"
)
_HOOK = re.compile(r"(?:hooks\.slack|discord)[^\s]*/(?P<value>[A-Za-z0-9_-]{16,100})$")
_ANNOUNCES = re.compile(
    rf"(?:{_SECRET_NAMES}|authorization|[?&](?:sig|x-amz-signature|x-goog-signature)$)", re.IGNORECASE
)
_MORE = re.compile(r"(?:[A-Za-z0-9+/_.~-]|%[0-9A-Fa-f]{2})*")
_URL = re.compile(r"(?:[a-z][a-z0-9+.-]{1,12}://|www\.|/|\?|&|\.[a-z]{2,4}/)[^\s]*$", re.IGNORECASE)
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_HEX = re.compile(r"(?:0x)?[0-9a-fA-F]+")
_TO_LAST_LINE = re.compile(r"[A-Za-z0-9+/=:,.\s-]*?-----END[A-Z0-9 ]{1,48}-----")
_BODY_LINES = re.compile(r"(?:\s{0,4}[A-Za-z0-9+/=]{20,80}(?=\s|$))*")


def entropy(text: str) -> float:
    """Shannon entropy of the characters of a text, in bits per character."""
    return -sum(n / len(text) * math.log2(n / len(text)) for n in Counter(text).values())


def _check_key(candidate: Candidate) -> tuple[int, int] | None:
    """A secret of a known issuer, one after a name that announces it, or a random string of letters and digits."""
    text, before = candidate.text, candidate.before
    joined = is_word(before[-1:]) and before[-1:].isascii()
    if is_word(candidate.after[:1]):
        return None
    issued = None if joined else ISSUED_KEY.match(text)
    if issued:
        fit = entropy(issued.group()) > 2.5 and (
            issued.group().startswith(_SIGNED) or any(map(str.isdigit, issued.group()))
        )
        return (0, issued.end()) if fit else None
    found = _HOOK.search(text) or _ASSIGNED.match(text)
    if found and (found.re is _HOOK or _ANNOUNCES.search(found["name"])):
        return _named_secret(found, candidate)
    if joined or _URL.search(before[-120:]) or before[-1:] in ("$", "+", "=") or candidate.after[:1] in ("/", "@", "+"):
        return None
    return (0, len(text)) if _random(text, named=False) and not _is_digest(candidate) else None


def _named_secret(found: re.Match[str], candidate: Candidate) -> tuple[int, int] | None:
    """The secret after its name, as far as it goes on in percent signs; None if it looks written."""
    start = found.start("value")
    secret = found["value"].rstrip(".=")
    if len(secret) < 16 or secret[0] in "/." or _SLUG.fullmatch(secret) or not _random(secret, named=True):
        return None
    if candidate.after[:1] == "%":
        more = _MORE.match(candidate.text + candidate.after, start)
        return start, more.end() if more else start + len(secret)
    return start, start + len(secret)


# Words and numbers with signs between them: "2022-01-01-some-long-name-2"
_SLUG = re.compile(r"(?:[A-Za-z]+|[0-9]{1,6})(?:[-_.](?:[A-Za-z]+|[0-9]{1,6})){2,}")
_DIGEST = re.compile(r"(?:sha-?(?:1|224|256|384|512)|md5|blake\w*|h1)[-:=]$", re.IGNORECASE)
_DIGEST_TEXT = re.compile(r"(?:sha(?:1|224|256|384|512)|md5)[-:=]|Qm[1-9A-HJ-NP-Za-km-z]{44}$")
_DIGEST_NAME = re.compile(
    r"(?:integrity|checksum|digest|hash|fingerprint|etag|base64,?)[\"']?\s{0,3}[:=]?\s{0,3}[\"']?$", re.IGNORECASE
)
_DATA_BEHIND = re.compile(r"\r?\n[A-Za-z0-9+/=]{20,}(?:\s|$)")
_DATA_LINE = re.compile(r"(?:^|\n)[A-Za-z0-9+/]{60,}={0,2}\r?\n$")


def _is_digest(candidate: Candidate) -> bool:
    """Whether a random string is a checksum, an address of content, or a part of encoded data."""
    text, before, after = candidate.text, candidate.before, candidate.after
    if _DIGEST_TEXT.match(text) or _DIGEST.search(before[-12:]) or _DIGEST_NAME.search(before[-40:]):
        return True
    if len(text) > 200 or re.search(r"[A-Za-z0-9]/$", before[-2:]):
        return True
    line = before[-1:] in ("", "\n") and after[:1] in ("", "\n", "\r")
    block = _DATA_LINE.search(before[-120:]) or (
        len(text) >= 60 and re.match(r"\r?\n[A-Za-z0-9+/=]{20,}(?:\s|$)", after)
    )
    return bool(line and block)


def _check_private_key(candidate: Candidate) -> tuple[int, int]:
    """From the first line of a private key to its last, or to the end of its body if the last line is missing."""
    body = _TO_LAST_LINE.match(candidate.after) or _BODY_LINES.match(candidate.after)
    return 0, len(candidate.text) + (body.end() if body else 0)


def _random(text: str, named: bool) -> bool:
    """Whether a string looks random rather than written: mixed classes, high entropy, no words.

    A string after a name may be hexadecimal. A bare one may not: hashes are common in code and download pages.
    """
    digits = sum(char.isdigit() for char in text)
    letters = sum(char.isalpha() for char in text)
    if digits < 2 or letters < 2 or _UUID.fullmatch(text):
        return False
    if _HEX.fullmatch(text):
        return named and len(text) >= 20 and entropy(text) > 3.0
    if named:
        return entropy(text) > 3.2 and not _words(text)
    mixed = any(char.islower() for char in text) and any(char.isupper() for char in text) and digits >= 4
    return mixed and entropy(text) > 4.2 and not _words(text) and sum(char in "/_-+=" for char in text) <= len(text) / 8


def _words(text: str) -> bool:
    """Whether most of a string is runs of letters in one case, as in words, paths and camelCase names."""
    runs = re.findall(r"[A-Z]?[a-z]{4,}|[A-Z]{4,}|[0-9]{6,}", text)
    return sum(map(len, runs)) > 0.5 * len(text)


ACCESS_KEY = Kind(
    name="key",
    tag="KEY",
    words="secrets with a published prefix, values after `api_key =`, and long strings of high entropy",
    gate="|".join([r"[0-9][A-Za-z0-9_+/=.-]{8}|[A-Za-z0-9_+/=.-]{8}[0-9]", *_SIGNED]),
    pattern="|".join([*ISSUED, _NAMED, _BARE]),
    check=_check_key,
    context=KEY_CUES,
    finds=(
        "aws ⟪AKIAQ3EGRTL7PX2ZKMNB⟫ ok",
        "token: ⟪ghp_R7kQ2mZ9xW4vT1bN8cL5sJ3hG6fD0aYeUoPi⟫",
        "⟪sk-proj-aB3dE5gH7jK9mN1pQ3sT5vX7zA9cE1g⟫,",
        'api_key = "⟪9f86d081884c7d659a2feaa0c55ad015⟫"',
        "Authorization: Bearer ⟪mF_9.B5f-4.1JqMkR7s2TzQwX⟫",
        "key ⟪x7Gk29LmQp4RtZ8vBn3WcYdS6fHj1EaU⟫ end",
        "密钥：⟪x7Gk29LmQp4RtZ8vBn3W⟫。",
        "api_key=⟪4c86d081884c7d659a2feaa0c55ad015⟫&page=1",
        'CHOIR_API_KEY: "⟪4c86d081884c7d659a2feaa0c55ad015⟫"',
        '"choir_secret": "⟪4c86d081884c7d659a2feaa0c55ad015⟫"',
        "MAIL_PASSWORD=⟪w7Gk29LmQp4RtZ8v⟫",
        'choirApiKey = "⟪4c86d081884c7d659a2feaa0c55ad015⟫"',
        "Authorization: Basic ⟪q7Rk2LmVx9TzBw4HsNc8YpJd⟫==",
        "https://hooks.slack.com/services/T01AB23CD/B04EF56GH/⟪q7Rk2LmVx9TzBw4HsNc8YpJd⟫",
        "?se=2030&sig=⟪q7Rk2LmVx9TzBw4HsNc8YpJd3GfUe6Aoabc%3D⟫",
        "⟪eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N⟫",
    ),
    spares=(
        "ISBN 978-3-16-148410-0, 9783161484100",
        "1995 1996 1997 1998 and 1990-1995-2000",
        "100 000 000 or 1,000,000,000,000",
        "/usr/local/lib/python3.11/site-packages/foo",
        "sha256 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "123e4567-e89b-12d3-a456-426614174000",
        "HTML5 CSS3 MP3, 16-bit-x-y-z",
        "integrity: sha512-q7Rk2LmVx9TzBw4HsNc8YpJd3GfUe6AoZi5KtMbXq7Rk2LmVx9TzBw4HsNc8YpJd3GfU==",
        "tool v1.2.3 h1:q7Rk2LmVx9TzBw4HsNc8YpJd3GfUe6AoZi5KtMbXabc=",
        "data:image/png;base64,q7Rk2LmVx9TzBw4HsNc8YpJd3GfUe6AoZi5KtMbX==",
        "the token is 2021-03-01-some-long-name-7",
        "secret=None, token=required, password = input('your password')",
        "thisIsAVeryLongCamelCaseIdentifierName2024Version3",
        "https://example.org/d/1A2b3C4d5E6f7G8h9I0jK1lM2nO3pQ4rS5t/view",
        "the token: internationalisation",
        "key /etc/dconf/db/local.d/00-power",
        "sk-learn-pipeline-with-custom-transformers",
        "================================",
        "password recovery is a secret of administrators123",
        "0123456789012345678901234567890123456789",
    ),
)

PRIVATE_KEY = Kind(
    name="private_key",
    tag="KEY",
    words="a whole private key in PEM or OpenPGP armour",
    gate=r"-----BEGIN",
    pattern=r"-----BEGIN [A-Z0-9 ]{0,24}PRIVATE KEY(?: BLOCK)?-----",
    check=_check_private_key,
    reach=8192,  # bytes: an RSA key of 8192 bits takes 6400
    finds=(
        "⟪-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n-----END PRIVATE KEY-----⟫\nbye",
        "⟪-----BEGIN RSA PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\nq80Zs1kM2f5xW7vT1bN8cL5s⟫\nand so on",
        "⟪-----BEGIN PGP PRIVATE KEY BLOCK-----\nVersion: 2.6\n\nlQHYBF\n=aB3d\n-----END PGP PRIVATE KEY BLOCK-----⟫",
    ),
    spares=(
        "-----BEGIN CERTIFICATE-----\nMIIEvQIBADANBgkq\n-----END CERTIFICATE-----",
        "-----BEGIN PUBLIC KEY-----\nMIIEvQIBADANBgkq\n-----END PUBLIC KEY-----",
        "the PRIVATE KEY of success",
    ),
)
