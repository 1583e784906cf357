"""The settings of releases, one frozen dataclass a group, and what a delivery is. Nothing slow is imported here."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path

from filters.near_duplicates.rules import Scheme
from pipelines.catalogue import Rights
from pipelines.dedup.settings import build_dedup
from roots.settings import build

DELIVERY_GROUPS = ("publish", "rights", "push", "dedup")  # groups of settings of a delivery
LICENSE = re.compile(r"[a-z0-9][a-z0-9.+-]*")  # as the Hub spells licences: cc-by-4.0
_POLICIES = ("cluster", "promote")


@dataclass(frozen=True)
class PublishSettings:
    """Settings of a release."""

    name: str = "roots"  # of the collection
    version: str = "1.0.0"  # of the release
    date: str = ""  # of the version, ISO 8601; a release never reads the clock
    license: str = "other"  # of the collection, as the Hub spells it; each text keeps its own
    license_link: str = ""  # URL of its text; empty: LICENSE.md of the release
    repo: str = ""  # user/name on the Hub, which the card names in its example
    contact: str = ""  # where to ask for a takedown; required
    citation: str = ""  # BibTeX; empty: made from the name and the version
    file_bytes: int = 1_000_000_000  # of text in a file: about 400 MB of Parquet
    unredacted: bool = False  # publish text that did not pass `redact`
    unverified: bool = False  # publish a work folder that does not pass `verify`

    def __post_init__(self) -> None:
        if self.file_bytes < 1:
            raise ValueError(f"file_bytes = {self.file_bytes} is below 1")
        if not self.contact:
            raise ValueError("a release needs a contact for takedowns: set publish.contact=ADDRESS")
        if len(self.version.split(".")) != 3 or not all(part.isdigit() for part in self.version.split(".")):
            raise ValueError(f"version = {self.version!r}: three numbers with dots, such as 1.0.0")
        if not LICENSE.fullmatch(self.license):
            raise ValueError(f"license = {self.license!r}: as the Hub spells it, such as cc-by-4.0, or other")
        if self.license_link and not self.license_link.startswith(("https://", "http://")):
            raise ValueError(f"license_link = {self.license_link!r}: write the URL of the licence's text")


@dataclass(frozen=True)
class PushSettings:
    """Settings of a push. The client finds the token (HF_TOKEN, `hf auth login`); it is never stored here."""

    repo: str = ""  # user/name
    private: bool = True  # if this push makes the repository
    commit_files: int = 100  # in one commit, at most
    commit_bytes: int = 50_000_000_000  # in one commit, at most
    endpoint: str = ""  # empty: the Hub, or HF_ENDPOINT
    forget: bool = True  # after a takedown, squash the repository's history; old commits still hold what was removed
    unredacted: bool = False  # push even a release that was published without redact or verify

    def __post_init__(self) -> None:
        user, slash, name = self.repo.partition("/")
        if not (user and slash and name) or "/" in name:
            raise ValueError(f"repo = {self.repo!r}: write it as user/name")
        if self.commit_files < 1 or self.commit_bytes < 1:
            raise ValueError("commit_files and commit_bytes must be above 0")


@dataclass(frozen=True)
class TakedownSettings:
    """Settings of a takedown."""

    signed_off_by: str = ""  # who answers for it; required
    date: str = ""  # of the new version, ISO 8601; empty: today, in UTC
    policy: str = "cluster"  # cluster: all copies go; promote: a copy that was not named takes the place
    work: str = ""  # the work folder of the release, which has the text of promoted copies

    def __post_init__(self) -> None:
        if self.policy not in _POLICIES:
            raise ValueError(f"policy = {self.policy!r}: {' or '.join(_POLICIES)}")
        if not self.signed_off_by:
            raise ValueError("somebody must sign off a takedown: set takedown.signed_off_by=NAME")
        if self.date and not _is_date(self.date):
            raise ValueError(f"date = {self.date!r}: write it as 2026-11-30")
        if self.policy == "promote" and not self.work:
            raise ValueError("policy promote needs the work folder with the text of the copies: set takedown.work=PATH")


def _is_date(text: str) -> bool:
    """Whether a text is a day, or a day and a time, in ISO 8601."""
    try:
        return bool(datetime.fromisoformat(text))
    except ValueError:
        return False


@dataclass(frozen=True)
class RebuildSettings:
    """Settings of a rebuild."""

    secret_file: str = ""  # the secret of the style "synthetic", if the release was redacted with it


@dataclass(frozen=True)
class Delivery:
    """What to publish, and where to; it is checked when it is made.

    Raises SettingsError for a mistake in a setting.
    """

    work: Path
    target: str  # a folder; or user/name of the Hub, if no folder of that name exists
    languages: tuple[str, ...] = ()  # codes; none: all that have a dataset
    signatures: bool = False  # also write what a later dedup against this release needs
    send: bool = True  # to the Hub, if the target is there
    settings: Mapping[str, Mapping[str, object]] = field(default_factory=dict)  # of DELIVERY_GROUPS, as plain values

    def __post_init__(self) -> None:
        _ = self.publishing, self.rights, self.scheme, self.pushing

    @cached_property
    def repository(self) -> str:
        """The repository of the Hub, as user/name; empty if the target is a folder."""
        on_hub = self.target.count("/") == 1 and not self.target.startswith((".", "/"))
        return self.target if on_hub and not Path(self.target).exists() else ""

    @property
    def folder(self) -> Path:
        """The folder of the release."""
        return self.work / "release" if self.repository else Path(self.target)

    @cached_property
    def publishing(self) -> PublishSettings:
        """The settings of the release; its card names the repository."""
        return build(PublishSettings, {**self._repo, **self.settings.get("publish", {})}, "publish")

    @cached_property
    def rights(self) -> Rights:
        """Which documents may be published."""
        return build(Rights, self.settings.get("rights", {}), "rights")

    @cached_property
    def scheme(self) -> Scheme:
        """The scheme of the signatures."""
        return build_dedup(self.settings.get("dedup", {})).scheme

    @cached_property
    def pushing(self) -> PushSettings | None:
        """The settings of the push; None if the target is a folder."""
        if not self.repository:
            return None
        return build(PushSettings, {**self.settings.get("push", {}), **self._repo}, "push")

    @property
    def _repo(self) -> dict[str, str]:
        return {"repo": self.repository} if self.repository else {}
