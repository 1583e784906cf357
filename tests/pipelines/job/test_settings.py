"""A mistake in the settings is answered before anything slow is imported."""

import re
import subprocess
import sys
import tomllib

import pytest

from pipelines.job.listing import list_settings
from pipelines.job.request import build_settings
from pipelines.job.stages import STAGES, load, settings_groups
from roots.errors import SettingsError
from tests.support.paths import ROOT

SLOW = ("numba", "numpy", "pyarrow", "trafilatura", "resiliparse", "fastwarc", "torch", "kenlm")
PROGRAM = f"""
import sys
from pipelines.job.request import build_settings, plan_jobs
values = {{
    "language_id": {{"model": "lid.176"}},
    "extract": {{"extractor": "resiliparse", "gate_score": 0.1}},
    "filter": {{"bounds": "roots", "definitions": "roots"}},
    "dedup": {{"preset": "roots", "keep": {{"highest": "words"}}, "source": "file", "lines": [{{"times": 3}}]}},
    "redact": {{"style": "roots", "kinds": ["email"]}},
    "shard": {{"rehydrate": [[2, 2]]}},
}}
build_settings(values)
assert [job.code for job in plan_jobs("work", ["fr", "python"], {{}}, values)] == ["fr", "python"]
print([name for name in {SLOW!r} if name in sys.modules])
"""


def test_settings_and_languages_are_checked_without_a_slow_library() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.stderr == ""
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("group", "values", "message"),
    [
        ("filtr", {}, "Did you mean 'filter'"),
        ("index", {"body_bytes": 0}, "body_bytes"),
        ("extract", {"extractor": "trafilature"}, "Did you mean 'trafilatura'"),
        ("extract", {"model": "lid.176"}, "language_id.model"),
        ("redact", {"kinds": ["emial"]}, "Did you mean 'email'"),
        ("redact", {"style": "synthetic"}, "secret_file"),
        ("dedup", {"source": "catalogue"}, "dedup.catalogue"),
        ("shard", {"validation_share": 1.0}, "validation_share"),
    ],
)
def test_a_wrong_setting_says_what_is_wrong(group: str, values: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        build_settings({group: values})


def test_every_name_in_the_table_is_code_that_exists() -> None:
    names = [
        name
        for row in STAGES.values()
        for name in (row.settings, row.program_settings, row.make, row.run, row.explain)
        if name
    ]
    assert all(callable(load(name)) for name in names)
    assert all(load(row.reasons) for row in STAGES.values() if row.reasons)
    assert list(settings_groups()) == ["index", "extract", "filter", "dedup", "redact", "shard"]


def test_the_list_of_settings_is_toml_that_the_stages_accept_as_their_defaults() -> None:
    listed = tomllib.loads("\n".join(list_settings()))
    stages = {group: listed[group] for group in ("language_id", "source", *settings_groups())}
    assert build_settings(stages) == build_settings({})


def test_every_setting_is_listed_with_what_it_means() -> None:
    assert [line for line in list_settings() if " = " in line and "  # " not in line] == []


def test_every_group_that_a_command_reads_is_listed() -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "pipelines" / "cli").glob("*.py"))
    read = set(re.findall(r'options\.(?:build\(\w+, |only\()"(\w+)"', source))
    assert len(read) > 10
    assert read <= {line.strip("[]") for line in list_settings() if line.startswith("[")}


def test_some_groups_are_listed_alone_and_an_unknown_one_is_refused() -> None:
    assert [line for line in list_settings(["shard", "filter"]) if line.startswith("[")] == ["[shard]", "[filter]"]
    with pytest.raises(SettingsError, match="Did you mean 'shard'"):
        list(list_settings(["shards"]))
