"""Deliver a release: publish a work folder, sign it if asked, load it as a check, and send it to the Hub if asked."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipelines.catalogue import Rights
from pipelines.dedup.released import remove_signatures, write_signatures
from pipelines.dedup.settings import build_dedup
from pipelines.publishing.publish import Publish, Selection, publish_release
from pipelines.publishing.push import Push, push
from pipelines.publishing.validate import validate
from roots.errors import PublishError
from roots.executors import Executor
from roots.settings import build
from roots.stage import Progress

DELIVERY_GROUPS = ("publish", "rights", "push", "dedup")  # groups of settings


@dataclass(frozen=True)
class Delivery:
    """What to publish, and where to."""

    work: Path
    target: str  # a folder; or user/name of the Hub, if no folder of that name exists
    languages: tuple[str, ...] = ()  # codes; none: all that have a dataset
    signatures: bool = False  # also write what a later dedup against this release needs
    send: bool = True  # to the Hub, if the target is there
    settings: Mapping[str, Mapping[str, object]] = field(default_factory=dict)  # of DELIVERY_GROUPS, as plain values

    @property
    def repository(self) -> str:
        """The repository of the Hub, as user/name; empty if the target is a folder."""
        on_hub = self.target.count("/") == 1 and not self.target.startswith((".", "/"))
        return self.target if on_hub and not Path(self.target).exists() else ""

    @property
    def folder(self) -> Path:
        """The folder of the release."""
        return self.work / "release" if self.repository else Path(self.target)


@dataclass(frozen=True)
class Delivered:
    """A release that was written and loads, and the commits that it took to send it."""

    delivery: Delivery
    manifest: Mapping[str, Any]
    commits: tuple[str, ...] | None  # None: it was not sent

    def lines(self) -> Iterator[str]:
        """Describe it for a person."""
        splits = [counts for each in self.manifest["languages"].values() for counts in each["splits"].values()]
        rows, files = sum(counts["rows"] for counts in splits), len(self.manifest["files"])
        yield f"{self.delivery.folder}: version {self.manifest['version']}, {rows} documents in {files} files"
        yield "datasets loads it, whole and as a stream; its card is valid for the Hub"
        if self.commits is not None:
            yield f"{self.delivery.repository}: {len(self.commits)} commits"


def deliver(delivery: Delivery, executor: Executor, progress: Progress | None = None) -> Delivered:
    """Publish, sign, check and send. A mistake in a setting is raised before any work.

    Raises PublishError if the text did not pass redact or verify, or if the release does not load; it is then not sent.
    Raises StageFailed if some files could not be made, PushError if the Hub refuses.
    """
    values, folder = delivery.settings, delivery.folder
    repo = {"repo": delivery.repository} if delivery.repository else {}
    settings = build(Publish, {**repo, **values.get("publish", {})}, "publish")
    rights = build(Rights, values.get("rights", {}), "rights")
    scheme = build_dedup(values.get("dedup", {})).scheme
    sending = build(Push, {**values.get("push", {}), **repo}, "push") if repo else None
    manifest = publish_release(
        Selection(delivery.work, delivery.languages, rights), folder, settings, executor, progress
    )
    remove_signatures(folder)  # of what was published here before
    if delivery.signatures:
        write_signatures(folder, scheme, executor, progress)
    if problems := list(validate(folder)):
        raise PublishError(f"{folder} does not load as it should; nothing was sent:\n" + "\n".join(problems))
    commits = tuple(push(folder, sending, progress)) if sending and delivery.send else None
    return Delivered(delivery, manifest, commits)
