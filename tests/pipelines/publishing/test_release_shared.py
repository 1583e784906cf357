"""A release of real pages. It runs only if the project's shared data lie beside the checkout."""

import pytest

from pipelines import release
from pipelines.job.request import plan_jobs
from pipelines.job.stages import STAGES
from pipelines.job.work import find_archives
from pipelines.pipeline import run_stages
from pipelines.publishing.pointers import make_pointers, rebuild
from pipelines.publishing.publish import Selection, publish_release
from pipelines.publishing.settings import PublishSettings, RebuildSettings
from pipelines.publishing.validate import validate
from roots.executors import Serial
from tests.support.paths import ROOT

SHARED = ROOT.parent / "shared/data/warc/built/odd-charsets-bundle.warc.gz"


@pytest.mark.skipif(not SHARED.is_file(), reason=f"no shared data: {SHARED} is absent")
def test_real_pages_are_released_loaded_streamed_and_made_again_byte_for_byte(tmp_path, monkeypatch):
    import datasets

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    settings = {"shard": {"validation_share": 0.2}}
    for job in plan_jobs(tmp_path / "work", ["fr", "zh"], find_archives([str(SHARED)]), settings):
        run_stages(job, tuple(STAGES), Serial())
    folder = tmp_path / "release"
    manifest = publish_release(Selection(tmp_path / "work"), folder, PublishSettings(contact="x"), Serial())
    assert list(validate(folder)) == []
    for tag, language in manifest["languages"].items():
        whole = datasets.load_dataset(str(folder), tag, cache_dir=str(tmp_path / "cache"))
        stream = datasets.load_dataset(str(folder), tag, streaming=True, cache_dir=str(tmp_path / "cache"))
        for split, counts in language["splits"].items():
            rows = list(stream[split])
            assert rows == list(whole[split])
            assert len(rows) == counts["rows"] > 0
    make_pointers(folder, tmp_path / "pointers", Serial())
    rebuild(tmp_path / "pointers", tmp_path / "again", [str(SHARED)], RebuildSettings(), Serial())
    assert release.read_release_manifest(tmp_path / "again")["files"] == manifest["files"]
    assert list(release.check_files(tmp_path / "again")) == []
