from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines import redact as module
from pipelines.redact import Redact
from roots import shards
from roots.errors import SettingsError
from roots.schema import DEDUP, EXTRACT
from roots.settings import build
from roots.stage import settings_of

SECRET = "ana.lopez@example.org"
TEXTS = [f"Écrivez à {SECRET} !", "हिन्दी क्षि \u200d", "gone", "从93.184.215.14来", "", "a@b.co c@d.co e@f.co"]


@pytest.fixture
def chain(tmp_path: Path) -> list[Path]:
    """An extract shard that drops one row and a dedup shard over the rest."""
    rows = [
        {"id": str(n), "text": text, "drop": "extract.x" if text == "gone" else None} for n, text in enumerate(TEXTS)
    ]
    kept = [{"id": row["id"], "drop": None} for row in rows if not row["drop"]]
    made = []
    for name, schema, data in (("extract", EXTRACT, rows), ("dedup", DEDUP, kept)):
        path = tmp_path / f"{name}.parquet"
        shards.write(path, schema, [pa.RecordBatch.from_pylist(data, schema)], name, 1, "f")
        made.append(path)
    return made


def make(stage: Redact, chain: list[Path]) -> list[dict]:
    return pa.Table.from_batches(list(stage.make("a.parquet", chain)), stage.schema).to_pylist()


def test_each_kept_row_has_one_row_in_the_same_order(chain):
    rows = make(Redact(), chain)
    assert [row["id"] for row in rows] == ["0", "1", "3", "4", "5"]
    assert [row["text"] for row in rows] == [
        "Écrivez à PI:EMAIL !", TEXTS[1], "从PI:IP_ADDRESS来", "", "PI:EMAIL PI:EMAIL PI:EMAIL",
    ]  # fmt: skip
    assert rows[0]["pii"] == [{"kind": "email", "start": 10, "end": 31}]
    assert all(row["drop"] is None for row in rows)


def test_redacted_values_are_not_in_the_shard(chain, tmp_path):
    path = tmp_path / "redact.parquet"
    shards.write(path, Redact.schema, Redact().make("a.parquet", chain), "redact", 1, "f")
    assert SECRET not in str(pq.read_table(path).to_pylist())
    assert SECRET not in str(pq.read_metadata(path).metadata)


def test_documents_with_many_spans_can_be_dropped(chain):
    rows = make(Redact(drop_over=2), chain)
    assert [row["drop"] for row in rows] == [None, None, None, None, "redact.too_many"]
    assert rows[-1]["text"] is None


def test_batches_are_bounded_by_bytes_and_hold_the_same_rows(chain, monkeypatch):
    whole = make(Redact(), chain)
    monkeypatch.setattr(module, "_BATCH_BYTES", 10)
    batches = list(Redact().make("a.parquet", chain))
    assert len(batches) > 2
    assert pa.Table.from_batches(batches).to_pylist() == whole


def test_replacements_depend_on_the_secret_and_only_its_digest_is_recorded(chain, tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(b"sixteen bytes...")
    stage = Redact(style="synthetic", secret_file=str(secret))
    text = make(stage, chain)[0]["text"]
    assert SECRET not in text
    assert "@example." in text
    assert "sixteen" not in str(settings_of(stage))
    assert str(secret) not in str(settings_of(stage))
    secret.write_bytes(b"another 16 bytes")
    other = Redact(style="synthetic", secret_file=str(secret))
    assert settings_of(other) != settings_of(stage)
    assert make(other, chain)[0]["text"] != text


def test_the_language_of_a_document_gives_the_countries_of_its_phone_numbers(tmp_path):
    texts = []
    for language in ("fra", "zul"):
        path = tmp_path / "one.parquet"
        row = {"id": "1", "text": "et 01 23 45 67 89 là", "language": language}
        shards.write(path, EXTRACT, [pa.RecordBatch.from_pylist([row], EXTRACT)], "extract", 1, "f")
        texts.append(make(Redact(), [path])[0]["text"])
    assert texts == ["et PI:PHONE là", "et 01 23 45 67 89 là"]


def test_recorded_settings_name_the_kinds_and_style_of_a_preset():
    assert settings_of(Redact(preset="fineweb"))["kinds"] == ["email", "ip_address"]
    assert settings_of(Redact(preset="bigcode"))["style"] == "starcoder"
    assert "license_plate" not in settings_of(Redact())["kinds"]


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"kinds": ["emial"]}, "email"),
        ({"style": "rots"}, "roots"),
        ({"preset": "our"}, "ours"),
        ({"style": "synthetic"}, "secret_file"),
        ({"style": "synthetic", "secret_file": "/nowhere/at/all"}, "cannot read"),
        ({"drop_over": -1}, "0 or more"),
    ],
)
def test_a_bad_setting_is_refused_before_any_work(values, word):
    with pytest.raises(SettingsError, match=word):
        build(Redact, values, "redact")


def test_source_code_loses_addresses_and_keys_and_nothing_else():
    text = "@traced\nPOINT = (48.858370, 2.294480)\nHOST = '93.184.215.14'\nmail('ana@example.org')\n# @ana_lopez\n"
    clean = "@traced\nPOINT = (48.858370, 2.294480)\nHOST = 'PI:IP_ADDRESS'\nmail('PI:EMAIL')\n# @ana_lopez\n"
    assert Redact().redacted({"id": "1", "text": text, "language": "python"})["text"] == clean
    assert "PI:USER" in Redact().redacted({"id": "1", "text": text, "language": "fra"})["text"]
    assert "PI:USER" in Redact(kinds=("user",)).redacted({"id": "1", "text": text, "language": "python"})["text"]


def test_pages_begin_at_the_same_words_after_lines_and_values_are_replaced():
    text = "Ask ana@example.org.\nMenu\nPage two at 93.184.215.14 ends.\nPage three"
    places = [0, text.index("Page two"), text.index("93.184") + 4, text.index("Page three")]
    menu = {"start": text.index("Menu"), "end": text.index("Page two")}
    row = {"id": "1", "text": text, "language": "eng", "page_starts": places, "lines": [menu]}
    found = Redact().redacted(row)
    assert found["text"] == "Ask PI:EMAIL.\nPage two at PI:IP_ADDRESS ends.\nPage three"
    assert [found["text"][start : start + 10] for start in found["page_starts"]] == [
        "Ask PI:EMA",
        "Page two a",
        "PI:IP_ADDR",
        "Page three",
    ]
    assert Redact().redacted({**row, "page_starts": None})["page_starts"] is None
    assert Redact(drop_over=1).redacted(row)["page_starts"] is None
