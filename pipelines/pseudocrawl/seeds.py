"""The seeds of a pseudocrawl: sites or parts of sites, each with its language, and their place in an index.

The index of a crawl is sorted by SURT key: the host reversed, then the path, in lower case ("com,example)/news"). All
captures of a seed are in a few ranges of that order. Source: Laurençon et al. 2022, section 2.2, whose seeds were a
domain or a URL prefix and a language each; Internet Archive, SURT (these keys were checked against `surt` 0.3.1).
"""

import re
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from filters.language import find_code
from roots.errors import InputError, RootsError

_WWW = re.compile(r"www\d*\.")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_PORTS = {"http": 80, "https": 443}
_SEEDS_BYTES = 16 << 20  # the longest list of seeds that is read: ROOTS had 614 seeds
_SAFE = "/!$&'()*+,;=:@~-._%"  # characters that a path holds unescaped


@dataclass(frozen=True, slots=True)
class Seed:
    """A site or a part of one, and the language it is expected to be in."""

    site: str  # as the user wrote it: "example.org", or "https://example.org/news/"
    language: str  # two-letter code, as the user expects it; a page's language is found from its text

    @property
    def ranges(self) -> tuple[tuple[str, str], ...]:
        """The ranges of SURT keys, from `low` up to but without `high`, that hold the seed's captures.

        A domain means all hosts below it; a URL prefix means its host alone, with or without "www".
        Raises ValueError for anything else.
        """
        is_url = "://" in self.site or "/" in self.site
        parts = urlsplit(self.site if "://" in self.site else f"https://{self.site}")
        if parts.scheme not in _PORTS or parts.query or parts.fragment or parts.username:
            raise ValueError("name a domain (example.org) or a prefix of URLs (https://example.org/news/)")
        host = _surt_host(parts.hostname or "")
        if not is_url:
            return tuple(_prefixed(host + end) for end in (")", ",", ":"))
        port = "" if parts.port in (None, _PORTS[parts.scheme]) else f":{parts.port}"
        path = quote(unquote(parts.path), safe=_SAFE).lower() or "/"
        key = f"{host}{port}){path}"
        if path != "/" and path.endswith("/"):  # the folder's own key has no slash at its end
            bare = key.removesuffix("/")
            return (bare, bare + "\x00"), _prefixed(key), _prefixed(bare + "?")
        return (_prefixed(key),)


def _surt_host(host: str) -> str:
    """A host as SURT keys begin: "www.example.org" is "org,example". Raises ValueError if it is not a host."""
    try:
        name = _WWW.sub("", host.encode("idna").decode().lower().strip("."), count=1) if host else ""
    except UnicodeError:
        raise ValueError(f"{host!r} is no name of a host") from None
    labels = name.split(".")
    if not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError(f"{host!r} is no name of a host")
    if len(labels) < 2:
        raise ValueError(f"{host!r} is a whole top-level domain")
    if labels[-1].isdigit():
        ip_address(name)
    return ",".join(reversed(labels))


def _prefixed(prefix: str) -> tuple[str, str]:
    """The range of all keys that begin with `prefix`."""
    return prefix, prefix[:-1] + chr(ord(prefix[-1]) + 1)


def read_seeds(path: Path) -> tuple[Seed, ...]:
    """Read a list of seeds: in each line a site, a tab and a language. Lines that begin with # are comments.

    A first line `site<TAB>language` is a header. Returns the seeds sorted, each once.
    Raises InputError that names the line of a mistake.
    """
    try:
        if path.stat().st_size > _SEEDS_BYTES:
            raise InputError(f"{path} is larger than {_SEEDS_BYTES >> 20} MiB: that is no list of seeds")
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8 text") from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from None
    found: set[Seed] = set()
    for number, line in enumerate(lines, 1):
        cells = [cell.strip() for cell in line.split("\t")]
        if not line.strip() or line.startswith("#") or (number == 1 and cells[-1].lower() == "language"):
            continue
        if len(cells) != 2:
            raise InputError(f"{path}, line {number}: write a site, a tab and a language, such as example.org\\tfr")
        try:
            seed = Seed(cells[0], find_code(cells[1]))
            _ = seed.ranges
        except (ValueError, RootsError) as error:
            raise InputError(f"{path}, line {number}: {error}") from None
        found.add(seed)
    if not found:
        raise InputError(f"{path} names no site")
    return tuple(sorted(found, key=lambda seed: (seed.site, seed.language)))
