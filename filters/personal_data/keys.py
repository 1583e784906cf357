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
_NAMED = (
    rf"(?i:{any_of(KEY_CUES, '[ _-]?')})"
    r"[\"']?\s{0,3}(?:=>|:=|[:=：]|\s|is|es|est|é|是)\s{0,3}[\"']?[A-Za-z0-9+/_.=-]{16,256}"
)
_BARE = r"[A-Za-z0-9][A-Za-z0-9_+/=-]{31,255}"

ISSUED_KEY = re.compile("|".join(f"(?:{pattern})" for pattern in ISSUED))
_VALUE = re.compile(r"[A-Za-z0-9+/_.=-]{16,256}$")
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
    text = candidate.text
    if (is_word(candidate.before[-1:]) and candidate.before[-1:].isascii()) or is_word(candidate.after[:1]):
        return None
    issued = ISSUED_KEY.match(text)
    if issued:
        fit = entropy(issued.group()) > 2.5 and (
            issued.group().startswith(_SIGNED) or any(map(str.isdigit, issued.group()))
        )
        return (0, issued.end()) if fit else None
    value = _VALUE.search(text)
    if value and value.start() > 0:
        secret = value.group().rstrip(".=")
        fit = len(secret) >= 16 and secret[0] not in "/." and _random(secret, named=True)
        return (value.start(), value.start() + len(secret)) if fit else None
    if _URL.search(candidate.before[-120:]) or candidate.before[-1:] == "$" or candidate.after[:1] in ("/", "@"):
        return None
    return (0, len(text)) if _random(text, named=False) else None


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
