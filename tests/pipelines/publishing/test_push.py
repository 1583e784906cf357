"""Pushing a release to a small Hub that runs in the test."""

import json
from pathlib import Path

import huggingface_hub.constants
import pyarrow.parquet as pq
import pytest

from pipelines import release
from pipelines.publishing.card import write_release_card
from pipelines.publishing.push import push
from pipelines.publishing.settings import PushSettings, TakedownSettings
from pipelines.publishing.takedown import takedown
from pipelines.publishing.takedown_list import parse_requests
from pipelines.release import RELEASED, write_parquet, write_release_manifest
from roots.errors import InputError, PublishError, PushError, SettingsError
from roots.executors import Serial
from roots.settings import build
from tests.support.hub import Hub, serve

# The client itself calls its HTTP library with a deprecated argument.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content:DeprecationWarning")


@pytest.fixture
def hub(monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)  # the server has no Xet storage
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
    monkeypatch.setenv("HF_TOKEN", "hf_of_no_one")
    with serve() as server:
        yield server


@pytest.fixture
def folder(tmp_path) -> Path:
    """A small release of three files, written by hand."""
    import pyarrow as pa

    root = tmp_path / "release"
    files = {}
    for number in range(3):
        name = f"data/fra_Latn/train-{number:05d}-of-00003.parquet"
        rows = [
            {"id": f"{number}-{n}", "text": f"texte {number} {n}", "url": f"http://a.example/{number}/{n}"}
            for n in range(4)
        ]
        files[name] = write_parquet(root / name, RELEASED, [pa.RecordBatch.from_pylist(rows, RELEASED)]).as_values()
    files["clusters/fra_Latn.parquet"] = write_parquet(
        root / "clusters/fra_Latn.parquet", release.CLUSTERS, []
    ).as_values()
    stage = {"rows": 1, "kept": 1, "drops": {}, "settings": {}, "version": 1}
    language = {
        "code": "fr",
        "name": "French",
        "made_by": {},
        "dedup": {},
        "inputs": {},
        "words": 1,
        "sources": {},
        "left_out": {},
        "pii": {},
        "stages": dict.fromkeys(("extract", "dedup", "redact"), stage),
        "splits": {"train": {"rows": 12, "text_bytes": 1, "bytes": 1, "characters": 1}},
    }
    manifest = {
        "format": 1,
        "name": "ours",
        "version": "1.0.0",
        "rights": {},
        "sources": {},
        "files": files,
        "settings": {"license": "other", "license_link": "", "contact": "x", "citation": ""}
        | {"unredacted": False, "unverified": False},
        "languages": {"fra_Latn": language},
        "history": [{"version": "1.0.0", "date": "", "note": "first"}],
    }
    write_release_manifest(root, manifest)
    write_release_card(root, manifest)
    return root


def settings(hub: Hub, **values) -> PushSettings:
    return build(PushSettings, {"repo": "me/ours", "endpoint": hub.url, **values}, "push")


def contents(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def test_a_push_sends_the_folder_to_a_private_repository_in_few_commits(hub, folder):
    seen = []
    commits = push(folder, settings(hub, commit_files=3), lambda name, done, total: seen.append((done, total)))
    assert hub.files("me/ours") == contents(folder)
    assert hub.repos["me/ours"]["private"]
    assert len(commits) == 3
    assert seen[-1][0] == seen[-1][1] > 0
    assert hub.repos["me/ours"]["commits"][-1]["message"] == "Version 1.0.0"
    assert "README.md" not in hub.repos["me/ours"]["commits"][-2]["files"]


def test_the_same_push_again_sends_nothing(hub, folder):
    push(folder, settings(hub))
    sent, made = list(hub.uploads), len(hub.repos["me/ours"]["commits"])
    assert push(folder, settings(hub)) == []
    assert hub.uploads == sent
    assert len(hub.repos["me/ours"]["commits"]) == made


def test_a_broken_push_continues_where_it_stopped(hub, folder):
    hub.fail_after = 2
    with pytest.raises(PushError, match="not sent twice"):
        push(folder, settings(hub, commit_files=1))
    assert "README.md" not in hub.files("me/ours")
    assert len(hub.uploads) == 2
    hub.fail_after = None
    push(folder, settings(hub, commit_files=1))
    assert hub.files("me/ours") == contents(folder)
    assert len(hub.uploads) == len(set(hub.uploads)) == 4


def test_after_a_takedown_only_changed_files_are_sent_and_the_history_is_squashed(hub, folder):
    push(folder, settings(hub))
    before = len(hub.uploads)
    takedown(folder, parse_requests(["id:1-2"]), TakedownSettings(signed_off_by="A"), Serial())
    push(folder, settings(hub))
    assert len(hub.uploads) == before + 1
    assert hub.files("me/ours") == contents(folder)
    (commit,) = hub.repos["me/ours"]["commits"]
    assert "takedowns/1.0.1.json" in commit["files"]
    ids = {row["id"] for path in folder.glob("data/*/*.parquet") for row in pq.read_table(path).to_pylist()}
    assert "1-2" not in ids


def test_files_that_left_the_release_are_deleted_and_files_of_others_stay(hub, folder):
    push(folder, settings(hub))
    hub.files("me/ours")["data/fra_Latn/old.parquet"] = b"old"
    hub.files("me/ours")["notes.md"] = b"by hand"
    push(folder, settings(hub))
    assert set(hub.files("me/ours")) == {*contents(folder), "notes.md"}


def test_a_file_that_did_not_arrive_is_an_error(hub, folder):
    hub.lose = "data/fra_Latn/train-00001-of-00003.parquet"
    with pytest.raises(PushError, match="train-00001"):
        push(folder, settings(hub))


def test_a_release_that_is_damaged_or_did_not_pass_is_not_pushed(hub, folder):
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["settings"]["unredacted"] = True
    path.write_text(json.dumps(manifest))
    with pytest.raises(PublishError, match="redact"):
        push(folder, settings(hub))
    assert hub.repos == {}
    push(folder, settings(hub, unredacted=True))
    next(folder.glob("data/*/*.parquet")).write_bytes(b"x")
    with pytest.raises(InputError, match="not the file"):
        push(folder, settings(hub, unredacted=True))


def test_a_card_that_the_hub_refuses_is_an_error_and_is_sent_last(hub, folder):
    card = folder / "README.md"
    card.write_text(card.read_text().replace('license: "other"', 'license: "CC BY"'))
    with pytest.raises(PushError, match="CC BY"):
        push(folder, settings(hub))
    assert "README.md" not in hub.files("me/ours")


def test_a_hub_that_cannot_be_reached_is_a_push_error(folder):
    with pytest.raises(PushError):
        push(folder, PushSettings(repo="me/ours", endpoint="http://127.0.0.1:9"))


@pytest.mark.parametrize("repo", ["", "ours", "me/", "/ours", "me/ours/x"])
def test_a_bad_name_of_a_repository_is_refused(repo):
    with pytest.raises(SettingsError, match="user/name"):
        build(PushSettings, {"repo": repo}, "push")
