"""Deliver a release: publish a work folder, sign it if asked, load it as a check, and send it to the Hub if asked."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipelines.dedup.released import remove_signatures, write_signatures
from pipelines.job import work as folders
from pipelines.publishing.publish import Selection, publish_release
from pipelines.publishing.push import push
from pipelines.publishing.settings import Delivery
from pipelines.publishing.validate import validate
from roots.errors import PublishError
from roots.executors import Executor
from roots.stage import Progress


@dataclass(frozen=True)
class Delivered:
    """A release that was written and loads, and the commits that it took to send it."""

    delivery: Delivery
    manifest: Mapping[str, Any]
    left_out: tuple[str, ...]  # languages without a document to publish, by their codes
    commits: tuple[str, ...] | None  # None: it was not sent

    def lines(self) -> Iterator[str]:
        """Describe it for a person."""
        splits = [counts for each in self.manifest["languages"].values() for counts in each["splits"].values()]
        rows, files = sum(counts["rows"] for counts in splits), len(self.manifest["files"])
        yield f"{self.delivery.folder}: version {self.manifest['version']}, {rows} documents in {files} files"
        if self.left_out:
            yield f"left out, as no document of them can be published: {', '.join(self.left_out)}"
        yield "datasets loads it, whole and as a stream; its card is valid for the Hub"
        if self.commits is not None:
            yield f"{self.delivery.repository}: {len(self.commits)} commits"


def deliver(delivery: Delivery, executor: Executor, progress: Progress | None = None) -> Delivered:
    """Publish, sign, check and send.

    Raises PublishError if the text did not pass redact or verify, or if the release does not load; it is then not sent.
    Raises StageFailed if some files could not be made, PushError if the Hub refuses.
    """
    folder = delivery.folder
    selection = Selection(delivery.work, delivery.languages, delivery.rights)
    manifest = publish_release(selection, folder, delivery.publishing, executor, progress)
    remove_signatures(folder)  # of what was published here before
    if delivery.signatures:
        write_signatures(folder, delivery.scheme, executor, progress)
    if problems := list(validate(folder)):
        raise PublishError(f"{folder} does not load as it should; nothing was sent:\n" + "\n".join(problems))
    commits = tuple(push(folder, delivery.pushing, progress)) if delivery.pushing and delivery.send else None
    published = {language["code"] for language in manifest["languages"].values()}
    asked = delivery.languages or folders.languages(delivery.work)
    return Delivered(delivery, manifest, tuple(code for code in asked if code not in published), commits)
