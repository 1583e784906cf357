"""A delivery says where a release goes, and is checked before any work."""

from pathlib import Path

import pytest

from pipelines.publishing.settings import Delivery
from roots.errors import SettingsError

CONTACT = {"publish": {"contact": "corpus@example.org"}}


def test_a_target_is_a_repository_unless_a_folder_of_that_name_exists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = Delivery(tmp_path, "user/name", settings=CONTACT)
    assert (found.repository, found.folder) == ("user/name", tmp_path / "release")
    assert found.publishing.repo == "user/name"
    assert found.pushing is not None
    (tmp_path / "user" / "name").mkdir(parents=True)
    for target in ("user/name", "./user", "release", str(tmp_path / "release")):
        found = Delivery(tmp_path, target, settings=CONTACT)
        assert (found.repository, found.folder, found.pushing) == ("", Path(target), None)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "contact"),
        ({**CONTACT, "rights": {"catalog": "x"}}, "Did you mean 'catalogue'"),
        ({**CONTACT, "dedup": {"preset": "rots"}}, "Did you mean 'roots'"),
        ({**CONTACT, "push": {"privat": False}}, "Did you mean 'private'"),
    ],
)
def test_a_mistake_in_any_of_its_groups_is_refused_when_it_is_made(
    settings: dict[str, dict[str, object]], said: str, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match=said):
        Delivery(tmp_path, "user/name", settings=settings)
