import json
import math

import pytest
from click.testing import CliRunner

from filters.personal_data import KINDS, Span, describe_kinds
from filters.personal_data.search import REGIONS
from pipelines.cli.main import main
from pipelines.models.personal_data_eval import (
    DetectionCounts,
    Labelled,
    compare_detectors,
    count_spans,
    detector_of,
    evaluate_detection,
    read_labelled,
    shape,
)
from roots.errors import InputError
from tests.support.paths import ROOT

GOLD = ROOT.parent / "shared/data/pii_gold/pii_multilingual.jsonl.gz"


def write_labelled(path, *rows):
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return path


def test_hits_misses_and_exact_ends_of_one_document_are_counted():
    labelled = [Span("email", 0, 5), Span("email", 10, 15), Span("phone", 20, 30)]
    found = [Span("email", 0, 5), Span("email", 11, 15), Span("email", 40, 44), Span("phone", 50, 60)]
    counts = count_spans(labelled, found, "email")
    assert (counts.hit, counts.exact, counts.missed, counts.right, counts.wrong) == (2, 1, 0, 2, 1)
    assert counts.precision == pytest.approx(2 / 3)
    assert counts.recall == 1
    assert counts.f1 == pytest.approx(0.8)
    assert math.isnan(DetectionCounts().f1)


def test_the_interval_of_f1_holds_it_and_shrinks_with_more_documents():
    few = DetectionCounts(hit=9, missed=1, documents=[(1, 0, 0)] * 9 + [(0, 0, 1)])
    many = DetectionCounts(hit=900, missed=100, documents=[(1, 0, 0)] * 900 + [(0, 0, 1)] * 100)
    (a, b), (c, d) = few.f1_interval(), many.f1_interval()
    assert a <= few.f1 <= b
    assert d - c < b - a


def test_every_kind_is_described_with_what_it_finds_spares_and_its_context_words():
    text = "\n".join(describe_kinds())
    for kind in KINDS.values():
        assert f"{kind.name}   PI:{kind.tag}" in text
        for language in kind.context:
            assert language in REGIONS
    assert "(off by default)" in text
    with_context = {kind.name for kind in KINDS.values() if kind.context}
    assert with_context == {"phone", "national_id", "payment_card", "key", "license_plate"}


@pytest.mark.skipif(not GOLD.is_file(), reason=f"no labelled text at {GOLD}")
def test_ours_meets_its_goals_on_labelled_text():
    report = evaluate_detection(GOLD, ("fr", "ar", "hi", "zh", "sw", "yo"), {"ours": detector_of("ours")})
    for kind in report.kinds("ours"):
        ours = report.total("ours", kind)
        assert ours.precision >= 0.95, kind
        assert ours.recall >= 0.9, kind


def test_a_report_shows_kinds_languages_and_false_positives_but_no_value():
    secret = "ana@example.org"
    documents = [
        Labelled("one", "fr", f"à {secret} !", (Span("email", 2, 17),)),
        Labelled("two", "fr", f"à {secret} !", ()),
    ]
    report = compare_detectors("test", documents, {"ours": detector_of("ours")}, ["email"])
    text = "\n".join(report.lines())
    assert "two at 2: aaa@aaaaaaa.aaa" in text
    assert secret not in text
    (line,) = [line for line in text.split("\n") if line.startswith("email          fr ")]
    assert "0.500 [" in line
    assert "1.000 [" in line


def test_an_address_that_identifies_nobody_counts_neither_way(tmp_path):
    row = {"text": "from 10.0.0.1 and 93.184.215.14", "lang": "en"}
    row["spans"] = [{"start": 5, "end": 13, "type": "ip_address"}, {"start": 18, "end": 31, "type": "IP_ADDRESS"}]
    report = evaluate_detection(write_labelled(tmp_path / "gold.jsonl", row))
    for name in ("ours", "roots"):  # the rules of ROOTS find both
        counts = report.total(name, "ip_address")
        assert (counts.hit, counts.missed, counts.wrong) == (1, 0, 0)


def test_shape_shows_no_letter_or_digit_of_any_script():
    assert shape("Zoë-१٢٣ 中") == "aaa-999 a"


@pytest.mark.parametrize(
    "line", ["{", "[]", '{"text": "x"}', '{"text": 1, "lang": "fr", "spans": [{"type": "EMAIL"}]}']
)
def test_a_file_that_is_no_labelled_text_is_refused(line, tmp_path):
    path = tmp_path / "gold.jsonl"
    path.write_text(line)
    with pytest.raises(InputError, match=r"gold\.jsonl"):
        list(read_labelled(path))


def test_labels_of_published_sets_become_our_kinds(tmp_path):
    row = {"text": "a@b.co 1", "lang": "fr", "spans": [{"start": 0, "end": 6, "type": "EMAIL_ADDRESS"}]}
    row["spans"].append({"start": 7, "end": 8, "type": "PERSON"})
    path = write_labelled(tmp_path / "gold.jsonl", row)
    assert list(read_labelled(path)) == [Labelled("0", "fr", "a@b.co 1", (Span("email", 0, 6),))]


def test_a_file_without_a_known_label_is_refused(tmp_path):
    row = {"text": "Ana", "lang": "fr", "spans": [{"start": 0, "end": 3, "type": "PERSON"}]}
    with pytest.raises(InputError, match="email"):
        evaluate_detection(write_labelled(tmp_path / "gold.jsonl", row))


def test_the_command_measures_the_presets_on_a_file_of_labelled_text(tmp_path):
    row = {"text": "to ana@example.org", "lang": "fr", "spans": [{"start": 3, "end": 18, "type": "EMAIL"}]}
    path = write_labelled(tmp_path / "gold.jsonl", row, {**row, "lang": "sw"})
    done = CliRunner().invoke(main, ["pii", "eval", str(path), "--lang", "fr"], catch_exceptions=False)
    assert done.exit_code == 0
    for preset in ("ours", "roots", "fineweb", "bigcode"):
        assert f"email          {preset} " in done.output
    assert "email          sw " not in done.output
