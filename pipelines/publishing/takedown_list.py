"""The list of a takedown: what is asked to go, and whether a document is meant.

One request a line: an address, or one of

    domain:example.org            a site with all its subdomains
    id:<urn:uuid:...>             a document
    sha256:9f86d0...              a document by the digest of its text (UTF-8)
    source:press-example          a source of the catalogue
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from filters.personal_data import redact_url
from roots.errors import InputError


@dataclass(frozen=True)
class Requests:
    """What is asked to go, ready to be looked up."""

    urls: frozenset[str] = frozenset()
    domains: frozenset[str] = frozenset()
    ids: frozenset[str] = frozenset()
    digests: frozenset[str] = frozenset()
    sources: frozenset[str] = frozenset()

    def ask_for(self, id_: str, url: str | None, text: str | None = None, source: str | None = None) -> bool:
        """Whether a document is asked for. Its text is looked at only where digests are."""
        if id_ in self.ids or (source is not None and source in self.sources):
            return True
        if url and (plain_url(url) in self.urls or (self.domains and self._of_domain(url))):
            return True
        return bool(self.digests) and text is not None and digest(text) in self.digests

    def _of_domain(self, url: str) -> bool:
        labels = host_of(url).split(".")
        return any(".".join(labels[place:]) in self.domains for place in range(len(labels)))


def digest(text: str) -> str:
    """sha256 of a text in UTF-8."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def host_of(url: str) -> str:
    """The host of an address in lower case; empty where there is none."""
    try:
        return (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return ""


def plain_url(url: str) -> str:
    """An address as it is compared: without scheme, `www.`, fragment and slash at the end; the host in lower case.

    E-mail addresses in it are tagged as in a release, so that a page can be named by its address as it was crawled.
    """
    try:
        parts = urlsplit(redact_url(url.strip()))
    except ValueError:
        return url.strip()
    host = (parts.hostname or "").removeprefix("www.")
    path = parts.path.rstrip("/")
    return f"{host}{path}" + (f"?{parts.query}" if parts.query else "")


_HEX = re.compile(r"[0-9a-f]{64}")


def read_requests(path: Path) -> Requests:
    """Read a list. Raises InputError, naming the line, for what is no request: nothing asked for may be passed over."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8: {error}") from None
    found: dict[str, set[str]] = {"url": set(), "domain": set(), "id": set(), "sha256": set(), "source": set()}
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        kind, value = _request(text)
        if kind not in found or not value:
            raise InputError(f"{path}, line {number}: no request: write an address, domain:, id:, sha256: or source:")
        found[kind].add(value)
    if not any(found.values()):
        raise InputError(f"{path} asks for nothing")
    return Requests(*(frozenset(found[kind]) for kind in ("url", "domain", "id", "sha256", "source")))


def _request(text: str) -> tuple[str, str]:
    kind, colon, value = text.partition(":")
    value = value.strip()
    if colon and kind in ("id", "source"):
        return kind, value
    if colon and kind == "domain":
        return kind, host_of(f"//{value.removeprefix('*.')}")
    if colon and kind == "sha256":
        return kind, value.lower() if _HEX.fullmatch(value.lower()) else ""
    if text.startswith(("http://", "https://")) and host_of(text):
        return "url", plain_url(text)
    return "", ""
