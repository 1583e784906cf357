"""The normal form of a web address: two spellings of one address have the same one.

In a path and a query, what need not be percent-encoded is decoded, and what must be is encoded as UTF-8 in upper case
(RFC 3986, section 6.2.2); dot segments are resolved. A host is in lower case, without `www.`, and each of its labels
that is not ASCII is in Punycode (UTS 46, not transitional). Scheme, port, fragment and slashes at the end do not count.
"""

import re
import unicodedata
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

if TYPE_CHECKING:
    import pyarrow as pa

_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_PLAIN = re.compile(r"[A-Za-z0-9\-._~:/?\[\]@!$&'()*+,;=]*")  # nothing in it is percent-encoded or should be
_CODED = re.compile(r"%[0-9A-Fa-f]{2}|[^A-Za-z0-9\-._~:/?\[\]@!$&'()*+,;=]")
_IGNORED = re.compile("[\u00ad\u200b\u2060\ufe00-\ufe0f\ufeff]")  # characters that UTS 46 takes out of a host
_ODD_HOST = r"^[^/]*//[^/?#]*(%|[^\x00-\x7f])"  # of a URL whose host may be spelled in another way
_FULL_STOPS = re.compile("[.\u3002]")  # the others become one of these in NFKC


def normal_url(url: str) -> str:
    """The normal form of a URL: host, path and query. A URL that cannot be taken apart is returned without spaces."""
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        return url.strip()
    query = f"?{_normal_escapes(parts.query)}" if parts.query else ""
    path = _without_dot_segments(_normal_escapes(parts.path)).rstrip("/")
    return site_of(url) + path + query


def same_address(urls: "pa.Array", url: str) -> "pa.Array":
    """Which of some URLs have the normal form of `url`, which may be without its scheme: a mask."""
    import pyarrow as pa  # slow to import, and settings need only the normal form
    import pyarrow.compute as pc

    wanted = normal_url(url if "://" in url else f"https://{url}")
    host = wanted.partition("/")[0].partition("?")[0]
    likely = pc.or_(
        pc.match_substring(urls, host, ignore_case=True),  # much faster than the normal form of each URL
        pc.match_substring_regex(urls, _ODD_HOST),
    )
    return pa.array(
        [
            bool(may) and normal_url(each) == wanted
            for may, each in zip(likely.to_pylist(), urls.to_pylist(), strict=True)
        ],
        pa.bool_(),
    )


def site_of(url: str) -> str:
    """The normal form of a URL's host; "" where there is none."""
    try:
        place = urlsplit(url.strip()).netloc.rpartition("@")[2]
    except ValueError:
        return ""
    if place.startswith("["):
        return place[1:].partition("]")[0].lower()
    return normal_host(place.partition(":")[0])


def normal_host(host: str) -> str:
    """The normal form of a host. `www.` stays where only a top-level domain would be left."""
    if "%" in host:
        host = unquote(host)
    if not host.isascii():
        host = ".".join(map(_in_ascii, _FULL_STOPS.split(_mapped(host))))
    host = host.lower().strip(".")
    rest = host.removeprefix("www.")
    return rest if "." in rest else host


def host_of(url: str) -> str:
    """The host of a URL as it is shown: in lower case, without a dot at its end; "" where there is none."""
    try:
        return (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return ""


def _mapped(host: str) -> str:
    """A host by the mapping of UTS 46: NFKC, small letters. A sharp s and a final sigma stay."""
    lower = "".join(char.lower() for char in unicodedata.normalize("NFKC", _IGNORED.sub("", host)))
    return unicodedata.normalize("NFKC", lower)


def _in_ascii(label: str) -> str:
    return label if label.isascii() else "xn--" + label.encode("punycode").decode("ascii")


def _normal_escapes(text: str) -> str:
    """A path or a query that decodes all that may be, and encodes all that must be."""
    return text if _PLAIN.fullmatch(text) else _CODED.sub(_normal_escape, text)


def _normal_escape(found: re.Match[str]) -> str:
    sign = found[0]
    if len(sign) == 1:
        return quote(sign, safe="", errors="surrogatepass")
    char = chr(int(sign[1:], 16))
    return char if char in _UNRESERVED else sign.upper()


def _without_dot_segments(path: str) -> str:
    """A path without `.` and `..` (RFC 3986, section 5.2.4)."""
    if "/." not in path or not path.startswith("/"):
        return path
    kept: list[str] = []
    for segment in path.split("/")[1:]:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    return "/" + "/".join(kept)
