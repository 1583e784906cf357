"""push: a release folder to a data set repository of the Hugging Face Hub, by huggingface_hub.

Few large commits, the card and the manifest in the last one: readers never see a card of files that are not there.
What the repository has already, by sha256, is not sent again: a push that broke goes on where it was.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from pipelines import release
from pipelines.publishing.card_head import LICENSE_FILE
from roots.errors import InputError, PublishError, PushError, SettingsError
from roots.stage import Progress

_OURS = ("data/", "clusters/", "pointers/", "takedowns/")  # folders of a repository that belong to the release


@dataclass(frozen=True)
class Push:
    """Settings of a push. The token is the client's business (HF_TOKEN, `hf auth login`); it is never stored here."""

    repo: str = ""  # user/name
    private: bool = True  # of a repository that is made by this push
    commit_files: int = 100
    commit_bytes: int = 50_000_000_000
    endpoint: str = ""  # empty: the Hub, or HF_ENDPOINT
    forget: bool = True  # after a takedown, squash the repository's history: old commits still have what was removed
    unredacted: bool = False  # push a release that was published without redact or verify

    def __post_init__(self) -> None:
        user, slash, name = self.repo.partition("/")
        if not (user and slash and name) or "/" in name:
            raise ValueError(f"repo = {self.repo!r}: write it as user/name")
        if self.commit_files < 1 or self.commit_bytes < 1:
            raise ValueError("commit_files and commit_bytes must be above 0")


def push(folder: Path, settings: Push, progress: Progress | None = None) -> list[str]:
    """Send a release to its repository. Returns the ids of the commits made; none when all was there.

    Raises InputError for a release that is not whole, PublishError for one that did not pass redact or verify,
    PushError when the Hub refuses or ends up with other files.
    """
    hub = _client()
    manifest = release.read_manifest(folder)
    if not settings.unredacted and (manifest["settings"]["unredacted"] or manifest["settings"]["unverified"]):
        raise PublishError(f"{folder} did not pass redact and verify: set push.unredacted=true to push it all the same")
    for problem in release.check_files(folder):
        raise InputError(f"{folder}: {problem}")
    api = hub.HfApi(endpoint=settings.endpoint or None)
    try:
        api.create_repo(settings.repo, repo_type="dataset", private=settings.private, exist_ok=True)
        commits = _send(hub, api, folder, manifest, settings, progress)
        _check_remote(api, manifest, settings)
        if settings.forget and commits and len(manifest["history"]) > 1:
            api.super_squash_history(
                settings.repo, repo_type="dataset", commit_message=f"Version {manifest['version']}"
            )
    except _http_error() as error:
        raise PushError(
            f"the Hub refused or is not there: {error}. Push again: what arrived is not sent twice"
        ) from error
    except (OSError, RuntimeError) as error:
        raise PushError(f"the push broke: {error}. Push again: what arrived is not sent twice") from error
    except ValueError as error:  # what the client makes of a card that the Hub finds invalid
        raise PushError(f"the Hub does not take it: {error}") from error
    return commits


def _client() -> Any:
    try:
        import huggingface_hub
    except ImportError:
        raise SettingsError("pushing needs huggingface_hub: pip install 'roots-corpus[datasets]'") from None
    return huggingface_hub


def _http_error() -> type[Exception]:
    """The error above all those of the client's HTTP library, whichever it is: the Hub's own is one of them."""
    errors = import_module("huggingface_hub.errors").HfHubHTTPError.__mro__
    others = (cls for cls in reversed(errors) if cls.__module__.split(".")[0] not in ("builtins", "huggingface_hub"))
    found: type[Exception] = next(others)
    return found


def _send(
    hub: Any, api: Any, folder: Path, manifest: Mapping[str, Any], settings: Push, progress: Progress | None
) -> list[str]:
    """Make the commits."""
    remote = _remote(api, settings)
    entries = {**manifest["files"], **manifest.get("pointers", {})}
    missing = [name for name in sorted(entries) if remote.get(name) != entries[name]["sha256"]]
    total, done = sum(entries[name]["bytes"] for name in missing), 0
    commits: list[str] = []
    for number, names in enumerate(_batches(missing, entries, settings), 1):
        operations = [hub.CommitOperationAdd(name, str(folder / name)) for name in names]
        message = f"Version {manifest['version']}: files, part {number}"
        commits.append(api.create_commit(settings.repo, operations, commit_message=message, repo_type="dataset").oid)
        done += sum(entries[name]["bytes"] for name in names)
        if progress:
            progress(names[-1], done, total)
    small = [name for name in ("README.md", LICENSE_FILE, "manifest.json") if (folder / name).is_file()]
    small += sorted(f"takedowns/{path.name}" for path in folder.glob("takedowns/*.json"))
    operations = [hub.CommitOperationAdd(name, str(folder / name)) for name in small]
    old = sorted(name for name in remote if name.startswith(_OURS) and name not in entries and name not in small)
    operations += [hub.CommitOperationDelete(name) for name in old]
    before = api.repo_info(settings.repo, repo_type="dataset").sha
    last = api.create_commit(
        settings.repo, operations, commit_message=f"Version {manifest['version']}", repo_type="dataset"
    ).oid
    return commits if last == before else [*commits, last]


def _batches(names: Sequence[str], entries: Mapping[str, Any], settings: Push) -> Iterator[list[str]]:
    """Cut files into commits."""
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


def _remote(api: Any, settings: Push) -> dict[str, str | None]:
    """The files of the repository and the sha256 of the large ones."""
    found: dict[str, str | None] = {}
    for item in api.list_repo_tree(settings.repo, recursive=True, repo_type="dataset"):
        if hasattr(item, "blob_id"):  # a file; folders have tree ids
            found[item.path] = item.lfs.sha256 if item.lfs else None
    return found


def _check_remote(api: Any, manifest: Mapping[str, Any], settings: Push) -> None:
    """Raise PushError unless the repository has every file of the manifest, and no other in its place."""
    remote = _remote(api, settings)
    for name, entry in sorted({**manifest["files"], **manifest.get("pointers", {})}.items()):
        if name not in remote:
            raise PushError(f"{name} is not in {settings.repo} after the push: push again")
        if remote[name] not in (entry["sha256"], None):
            raise PushError(f"{name} in {settings.repo} is another file than the release has: push again")
