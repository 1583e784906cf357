import json
import math

import pytest

from filters.personal_data import KINDS, Span, find, regions_of
from filters.personal_data.regions import REGIONS
from pipelines.pii_eval.evaluate import PiiEval, evaluate, judge, read_labelled, score, shape
from pipelines.pii_eval.generate import LOOK_ALIKES, VALUES, Labelled, generate, sentences
from pipelines.pii_eval.peers import PEERS, _apart, _replaced, contenders, of_preset
from pipelines.pii_eval.scores import STRICT, Counts, Report, kinds_table, wilson
from roots.errors import InputError, SettingsError
from tests.support.paths import ROOT

GOLD = ROOT.parent / "shared/data/pii_gold/pii_multilingual.jsonl.gz"


def test_generated_text_is_labelled_where_the_value_stands():
    documents = list(generate(7, 2))
    assert len({document.language for document in documents}) >= 15
    for document in documents:
        for span in document.spans:
            assert span.kind in KINDS
            assert document.text[span.start : span.end].strip() == document.text[span.start : span.end] != ""


def test_the_same_seed_makes_the_same_documents_and_another_makes_others():
    assert list(generate(1, 1, ["fr"])) == list(generate(1, 1, ["fr"]))
    assert list(generate(1, 1, ["fr"])) != list(generate(2, 1, ["fr"]))


def test_every_language_has_a_sentence_for_look_alikes_and_for_most_kinds():
    for language, table in sentences().items():
        assert "other" in table, language
        assert len(set(table) & set(VALUES)) >= 10, language
        assert all(sentence.count("{}") == 1 for sentence in table.values()), language
    assert len(LOOK_ALIKES) >= 15


def test_counts_of_one_document():
    labelled = [Span("email", 0, 5), Span("email", 10, 15), Span("phone", 20, 30)]
    found = [Span("email", 0, 5), Span("email", 11, 15), Span("email", 40, 44), Span("phone", 50, 60)]
    counts = score(labelled, found, "email")
    assert (counts.hit, counts.exact, counts.missed, counts.right, counts.wrong) == (2, 1, 0, 2, 1)
    assert counts.precision == pytest.approx(2 / 3)
    assert counts.recall == 1
    assert counts.f1 == pytest.approx(0.8)
    assert math.isnan(Counts().f1)


def test_intervals_hold_the_value_and_shrink_with_more():
    low, high = wilson(90, 100)
    assert low == pytest.approx(0.8256, abs=1e-3)
    assert high == pytest.approx(0.9448, abs=1e-3)
    few = Counts(hit=9, missed=1, documents=[(1, 0, 0)] * 9 + [(0, 0, 1)])
    many = Counts(hit=900, missed=100, documents=[(1, 0, 0)] * 900 + [(0, 0, 1)] * 100)
    (a, b), (c, d) = few.f1_interval(), many.f1_interval()
    assert a <= few.f1 <= b
    assert d - c < b - a


def test_ours_meets_its_goals_on_generated_text_and_beats_every_preset():
    (report,) = evaluate(PiiEval(per_kind=6, seed=3, peers=()))
    assert len({language for _, language in report.scores["ours"]}) >= 15
    assert set(STRICT) < set(report.kinds("ours"))
    assert list(report.shortfalls()) == []


def test_a_better_peer_and_a_missed_aim_are_said():
    good, bad = Counts(hit=9, right=9, missed=1), Counts(hit=9, right=9, missed=2, wrong=1)
    key = ("email", "fr")
    report = Report("test", {"ours": {key: bad}, "peer": {key: good}, "other": {("phone", "fr"): good}}, [])
    assert [each.split(":")[0] for each in report.shortfalls()] == ["email", "email"]
    assert list(Report("test", {"ours": {key: good}, "peer": {key: bad}}, []).shortfalls()) == []


def test_every_kind_is_shown_with_what_it_finds_spares_and_its_context_words():
    text = "\n".join(kinds_table())
    for kind in KINDS.values():
        assert f"{kind.name}   PI:{kind.tag}" in text
        for language in kind.context:
            assert language in REGIONS
    assert "(off by default)" in text
    assert {kind.name for kind in KINDS.values() if kind.context} == {
        "phone",
        "national_id",
        "payment_card",
        "key",
        "license_plate",
    }


@pytest.mark.skipif(not GOLD.is_file(), reason=f"no labelled text at {GOLD}")
def test_ours_meets_its_goals_on_labelled_text():
    (report,) = evaluate(PiiEval(data=str(GOLD), per_kind=0, peers=(), languages=("fr", "ar", "hi", "zh", "sw", "yo")))
    for kind in report.kinds("ours"):
        ours = report.total("ours", kind)
        assert ours.precision >= 0.95, kind
        assert ours.recall >= 0.9, kind


def test_a_report_tells_kinds_languages_and_false_positives_but_no_value():
    secret = "ana@example.org"
    documents = [
        Labelled("one", "fr", f"à {secret} !", (Span("email", 2, 17),)),
        Labelled("two", "fr", f"à {secret} !", ()),
    ]
    report = judge("test", documents, {"ours": of_preset("ours")}, ["email"])
    text = "\n".join(report.lines())
    assert "0.500" in text
    assert "two at 2: aaa@aaaaaaa.aaa" in text
    assert secret not in text
    (line,) = [line for line in text.split("\n") if line.startswith("email          fr ")]
    assert "0.500 [" in line
    assert "1.000 [" in line


def test_shape_shows_no_letter_or_digit_of_any_script():
    assert shape("Zoë-१२٣ 中") == "aaa-999 a"


@pytest.mark.parametrize(
    "line", ["{", "[]", '{"text": "x"}', '{"text": 1, "lang": "fr", "spans": [{"type": "EMAIL"}]}']
)
def test_labelled_text_that_is_none_is_refused(line, tmp_path):
    path = tmp_path / "gold.jsonl"
    path.write_text(line)
    with pytest.raises(InputError, match=r"gold\.jsonl"):
        list(read_labelled(path))


def test_labels_of_published_sets_become_our_kinds(tmp_path):
    path = tmp_path / "gold.jsonl"
    row = {"text": "a@b.co 1", "lang": "fr", "spans": [{"start": 0, "end": 6, "type": "EMAIL_ADDRESS"}]}
    row["spans"].append({"start": 7, "end": 8, "type": "PERSON"})
    path.write_text(json.dumps(row))
    assert list(read_labelled(path)) == [Labelled("0", "fr", "a@b.co 1", (Span("email", 0, 6),))]


def test_peers_that_are_not_installed_are_left_out_and_unknown_ones_refused():
    assert {"ours", "roots", "fineweb", "bigcode"} <= set(contenders(tuple(PEERS)))
    with pytest.raises(SettingsError, match="presidio"):
        PiiEval(peers=("presido",))


def test_spans_are_told_from_what_a_peer_put_in():
    text = "to a@b.co, 1.2.3.4 and a@b.co"
    clean = "to \ue000, \ue001 and \ue000"
    assert _replaced(text, clean, {"\ue000": "email", "\ue001": "ip_address"}) == [
        Span("email", 3, 9),
        Span("ip_address", 11, 18),
        Span("email", 23, 29),
    ]


def test_of_overlapping_spans_the_first_stays():
    assert _apart([Span("a", 5, 9), Span("b", 0, 6), Span("c", 0, 5)]) == [Span("c", 0, 5), Span("a", 5, 9)]


@pytest.mark.parametrize("kind", sorted(VALUES))
def test_a_generated_value_is_found_whatever_the_language(kind):
    missed = 0
    documents = [each for each in generate(11, 5) if any(span.kind == kind for span in each.spans)]
    for document in documents:
        spans = find(document.text, [kind], regions_of(document.language))
        missed += not set(document.spans) & set(spans)
    assert missed <= len(documents) * 0.1
