"""Digests of sources: computed once, remembered, and known again by their files."""

import hashlib
from pathlib import Path

import pytest

from roots import identity
from roots.executors import Serial
from roots.identity import Identities


def test_raw_inputs_are_digested_together_and_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [tmp_path / f"{number}.warc" for number in range(5)]
    for path in paths:
        path.write_text(path.name)
    known = Identities(tmp_path / ".inputs.json")
    known.know([*paths, *paths, tmp_path / "none.warc", tmp_path], Serial())
    monkeypatch.setattr(identity, "sha256_of", lambda path: "digested again")
    wanted = [hashlib.sha256(path.name.encode()).hexdigest() for path in paths]
    assert [known.of(path) for path in paths] == wanted
    paths[0].write_text("changed")
    assert known.of(paths[0]) == "digested again"
