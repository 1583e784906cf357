"""Push a release folder to a data set repository of the Hugging Face Hub, with huggingface_hub.

A push makes few large commits. The card and the manifest are in the last one, so readers never see a card of files that
are missing. Files that the repository already has, by sha256, are not sent again: a broken push can be continued.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from pipelines import release
from pipelines.publishing.card_head import LICENSE_FILE
from pipelines.publishing.croissant import CROISSANT_FILE
from pipelines.publishing.settings import PushSettings
from roots.errors import InputError, PublishError, PushError, SettingsError
from roots.retry import hub_error
from roots.stage import Progress

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_OURS = ("data/", "clusters/", "pointers/", "takedowns/")  # folders of a repository that belong to the release


def push(folder: Path, settings: PushSettings, progress: Progress | None = None) -> list[str]:
    """Send a release to its repository. Returns the ids of the commits; none if the repository had everything.

    Raises InputError if the release is not complete, PublishError if it did not pass redact or verify, PushError if the
    Hub refuses or ends up with other files.
    """
    hub = _client()
    manifest = release.read_release_manifest(folder)
    if not settings.unredacted and (manifest["settings"]["unredacted"] or manifest["settings"]["unverified"]):
        raise PublishError(f"{folder} did not pass redact and verify: set push.unredacted=true to push it anyway")
    for problem in release.check_files(folder):
        raise InputError(f"{folder}: {problem}")
    api = hub.HfApi(endpoint=settings.endpoint or None)
    try:
        api.create_repo(settings.repo, repo_type="dataset", private=settings.private, exist_ok=True)
        repository = _Repository(api, settings.repo)
        commits = _send(repository, folder, manifest, settings, progress)
        _check_remote(repository, manifest)
        if settings.forget and commits and len(manifest["history"]) > 1:
            api.super_squash_history(
                settings.repo, repo_type="dataset", commit_message=f"Version {manifest['version']}"
            )
    except hub_error() as error:
        raise PushError(
            f"the Hub refused or cannot be reached: {error}. Push again: what arrived is not sent twice"
        ) from error
    except (OSError, RuntimeError) as error:
        raise PushError(f"the push broke: {error}. Push again: what arrived is not sent twice") from error
    except ValueError as error:  # the client raises it for a card that the Hub finds invalid
        raise PushError(f"the Hub does not accept it: {error}") from error
    return commits


def _client() -> ModuleType:
    try:
        import huggingface_hub
    except ImportError:
        raise SettingsError("pushing needs huggingface_hub: pip install 'roots-corpus[datasets]'") from None
    return huggingface_hub


@dataclass(frozen=True)
class _Repository:
    """A data set repository of the Hub."""

    api: "HfApi"
    name: str

    def files(self) -> dict[str, str | None]:
        """Its files, with the sha256 of the large ones; None for the others."""
        from huggingface_hub.hf_api import RepoFile

        found: dict[str, str | None] = {}
        for item in self.api.list_repo_tree(self.name, recursive=True, repo_type="dataset"):
            if isinstance(item, RepoFile):
                found[item.path] = item.lfs.sha256 if item.lfs else None
        return found

    def last_commit(self) -> str | None:
        return self.api.repo_info(self.name, repo_type="dataset").sha

    def commit(self, folder: Path, add: Sequence[str], message: str, delete: Sequence[str] = ()) -> str:
        """Add files of a folder and delete others, in one commit; returns its id."""
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        operations: list[CommitOperationAdd | CommitOperationDelete] = []
        operations += [CommitOperationAdd(name, str(folder / name)) for name in add]
        operations += [CommitOperationDelete(name) for name in delete]
        made = self.api.create_commit(self.name, operations, commit_message=message, repo_type="dataset")
        return str(made.oid)


def _send(
    repository: _Repository,
    folder: Path,
    manifest: release.ReleaseManifest,
    settings: PushSettings,
    progress: Progress | None,
) -> list[str]:
    """Make the commits; returns their ids."""
    remote = repository.files()
    entries = {**manifest["files"], **manifest.get("pointers", {})}
    missing = [name for name in sorted(entries) if remote.get(name) != entries[name]["sha256"]]
    total, done = sum(entries[name]["bytes"] for name in missing), 0
    commits: list[str] = []
    for number, names in enumerate(_batches(missing, entries, settings), 1):
        commits.append(repository.commit(folder, names, f"Version {manifest['version']}: files, part {number}"))
        done += sum(entries[name]["bytes"] for name in names)
        if progress:
            progress(names[-1], done, total)
    small = [name for name in ("README.md", LICENSE_FILE, CROISSANT_FILE, "manifest.json") if (folder / name).is_file()]
    small += sorted(f"takedowns/{path.name}" for path in folder.glob("takedowns/*.json"))
    old = sorted(name for name in remote if name.startswith(_OURS) and name not in entries and name not in small)
    before = repository.last_commit()
    last = repository.commit(folder, small, f"Version {manifest['version']}", old)
    return commits if last == before else [*commits, last]


def _batches(
    names: Sequence[str], entries: Mapping[str, release.FileEntry], settings: PushSettings
) -> Iterator[list[str]]:
    """Group files into commits."""
    batch: list[str] = []
    size = 0
    for name in names:
        if batch and (len(batch) == settings.commit_files or size + entries[name]["bytes"] > settings.commit_bytes):
            yield batch
            batch, size = [], 0
        batch.append(name)
        size += entries[name]["bytes"]
    if batch:
        yield batch


def _check_remote(repository: _Repository, manifest: release.ReleaseManifest) -> None:
    """Raise PushError unless the repository has every file of the manifest as it is."""
    remote = repository.files()
    for name, entry in sorted({**manifest["files"], **manifest.get("pointers", {})}.items()):
        if name not in remote:
            raise PushError(f"{name} is not in {repository.name} after the push: push again")
        if remote[name] not in (entry["sha256"], None):
            raise PushError(f"{name} in {repository.name} is not the file of this release: push again")
