"""The list of a takedown: what is requested to be removed, and which documents a request means.

A list has one request in each line: a URL, or one of

    domain:example.org            a site with all its subdomains
    id:<urn:uuid:...>             a document
    sha256:9f86d0...              a document by the digest of its text (UTF-8)
    source:press-example          a source of the catalogue

A line that begins with # is a comment, and so is what follows a space and a #. Anything else behind a request is an
error: the request could mean something else with it.
"""

import hashlib
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import urlsplit

from filters.personal_data import redact_url
from pipelines.addresses import normal_url, site_of
from roots.errors import InputError

_KINDS = ("url", "domain", "id", "sha256", "source")
_Key = tuple[str, str]  # kind, and what is requested in its normal form

_NOTE = "write a note behind a space and a #"
_COMMENT = re.compile(r"\s#.*$")
_INVISIBLE = "\u200b\u200e\u200f\u2060\ufeff"  # copied with text, but no part of a request
_HOST = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*|[0-9a-f:.]+")  # a name in its normal form, or an address of IPv6
_ID = re.compile(r"<[^<>\s]+>|[^<>\s#()\[\]]+")
_SOURCE = re.compile(r'"[^"]+"|[^\s"#()\[\]]+')
_HEX = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Request:
    """One line of a list."""

    written: str
    keys: frozenset[_Key]  # a document that has one of them is requested


@dataclass(frozen=True)
class Requests:
    """What is requested to be removed."""

    requests: tuple[Request, ...]

    @cached_property
    def _wanted(self) -> dict[str, set[str]]:
        """What is requested, by kind."""
        wanted: dict[str, set[str]] = {kind: set() for kind in _KINDS}
        for request in self.requests:
            for kind, value in request.keys:
                wanted[kind].add(value)
        return wanted

    @property
    def by_text(self) -> bool:
        """Whether a text is requested by its digest; only then `hits` needs texts."""
        return bool(self._wanted["sha256"])

    def match(self, id_: str, url: str | None, text: str | None = None, source: str | None = None) -> bool:
        """Whether a document is requested."""
        return next(self.hits(id_, url, text, source), None) is not None

    def hits(self, id_: str, url: str | None, text: str | None = None, source: str | None = None) -> Iterator[_Key]:
        """Yield the key of each request that means a document."""
        wanted = self._wanted
        if wanted["id"] and (plain := _plain_id(id_)) in wanted["id"]:
            yield "id", plain
        if source in wanted["source"] and source is not None:
            yield "source", source
        if url and wanted["url"] and (address := normal_url(url)) in wanted["url"]:
            yield "url", address
        if url and wanted["domain"]:
            labels = site_of(url).split(".")
            sites = (".".join(labels[place:]) for place in range(len(labels)))
            yield from (("domain", site) for site in sites if site in wanted["domain"])
        if wanted["sha256"] and text is not None and (found := digest(text)) in wanted["sha256"]:
            yield "sha256", found

    def wants_text(self, text: str) -> bool:
        """Whether a text is requested by its digest."""
        return self.by_text and digest(text) in self._wanted["sha256"]

    def unmatched(self, hits: Collection[_Key]) -> tuple[str, ...]:
        """The requests without a hit, as they were written, in the order of the list."""
        return tuple(request.written for request in self.requests if request.keys.isdisjoint(hits))


def digest(text: str) -> str:
    """sha256 of a text in UTF-8, as hexadecimal digits."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def read_requests(path: Path) -> Requests:
    """Read a list. Raises InputError with the line number for a line that is not a request; none may be ignored."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8: {error}") from None
    return parse_requests(lines, str(path))


def parse_requests(lines: Iterable[str], name: str = "the list") -> Requests:
    """The requests in the lines of the list `name`. Raises InputError as `read_requests` does."""
    found: list[Request] = []
    for number, line in enumerate(lines, 1):
        written = line.strip()
        text = _COMMENT.sub("", written).strip().strip(_INVISIBLE).strip()
        if not text or text.startswith("#"):
            continue
        try:
            found.append(Request(written, frozenset(_keys(text))))
        except ValueError as error:
            raise InputError(f"{name}, line {number}: {error}") from None
    if not found:
        raise InputError(f"{name} requests nothing")
    return Requests(tuple(found))


def _keys(text: str) -> Iterator[_Key]:
    """The keys of a request. Raises ValueError if it is none."""
    kind, _, value = text.partition(":")
    value = value.strip()
    if kind == "domain":
        yield kind, _site(value)
    elif kind == "id":
        yield kind, _plain_id(_checked(_ID, value, f"an id has no spaces or brackets; {_NOTE}"))
    elif kind == "sha256":
        yield kind, _checked(_HEX, value.lower(), f"a sha256 has 64 hexadecimal digits; {_NOTE}")
    elif kind == "source":
        yield kind, _checked(_SOURCE, value, f"write a source with spaces in quotes; {_NOTE}").strip('"')
    elif kind.lower() in ("http", "https") and value.startswith("//"):
        if any(char.isspace() for char in text):
            raise ValueError(f"a URL has no spaces: write %20 for one, and one URL in a line; {_NOTE}")
        _checked(_HOST, site_of(text), "the URL has no host")
        # A release has tags in place of e-mail addresses, and an address may be written with escapes.
        yield from (("url", each) for each in {normal_url(redact_url(text)), redact_url(normal_url(text))})
    else:
        raise ValueError("not a request: write a URL, domain:, id:, sha256: or source:")


def _site(value: str) -> str:
    """The site that a request means. Raises ValueError where it is none, or only a part of one."""
    address = value if "://" in value else f"//{value.removeprefix('*').removeprefix('.')}"
    parts = urlsplit(address)
    if parts.scheme not in ("", "http", "https") or parts.username or parts.path.strip("/"):
        raise ValueError("write a domain alone, such as domain:example.org; a URL means one page")
    if parts.query or parts.fragment or any(char.isspace() for char in value):
        raise ValueError(f"write a domain alone, such as domain:example.org; {_NOTE}")
    return _checked(_HOST, site_of(address), f"{value!r} is no domain")


def _checked(form: re.Pattern[str], value: str, problem: str) -> str:
    if not form.fullmatch(value):
        raise ValueError(problem)
    return value


def _plain_id(id_: str) -> str:
    """An id as it is compared: without angle brackets; a UUID in small letters."""
    plain = id_.strip("<>")
    return plain.lower() if plain[:9].lower() == "urn:uuid:" else plain
