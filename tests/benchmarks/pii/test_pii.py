import pytest

from filters.personal_data import KINDS, Span, find_spans, regions_of
from pipelines.models.personal_data_eval import DetectionCounts, DetectionReport, detector_of
from tests.benchmarks.pii.generate import LOOK_ALIKES, VALUES, generate, sentences
from tests.benchmarks.pii.peers import _apart, _replaced, installed_detectors
from tests.benchmarks.pii.quality import STRICT, generated_report, shortfalls


def test_generated_text_is_labelled_where_the_value_is():
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


@pytest.mark.parametrize("kind", sorted(VALUES))
def test_a_generated_value_is_found_in_every_language(kind):
    missed = 0
    documents = [each for each in generate(11, 5) if any(span.kind == kind for span in each.spans)]
    for document in documents:
        spans = find_spans(document.text, [kind], regions_of(document.language))
        missed += not set(document.spans) & set(spans)
    # A quarter of the coordinates have no word or sign of a place beside them and are spared on purpose.
    assert missed <= len(documents) * (0.35 if kind == "coordinates" else 0.1)


def test_ours_meets_its_goals_on_generated_text_and_beats_every_preset():
    detectors = {name: detector_of(name) for name in ("ours", "roots", "fineweb", "bigcode")}
    report = generated_report(3, 6, detectors)
    assert len({language for _, language in report.counts["ours"]}) >= 15
    assert set(STRICT) < set(report.kinds("ours"))
    assert list(shortfalls(report)) == []


def test_a_better_peer_and_a_missed_goal_are_reported():
    good = DetectionCounts(hit=9, right=9, missed=1)
    bad = DetectionCounts(hit=9, right=9, missed=2, wrong=1)
    key = ("email", "fr")
    report = DetectionReport("test", {"ours": {key: bad}, "peer": {key: good}, "other": {("phone", "fr"): good}}, [])
    assert [each.split(":")[0] for each in shortfalls(report)] == ["email", "email"]
    assert list(shortfalls(DetectionReport("test", {"ours": {key: good}, "peer": {key: bad}}, []))) == []


def test_peers_that_are_not_installed_are_left_out():
    assert {"ours", "roots", "fineweb", "bigcode"} <= set(installed_detectors())


def test_spans_are_derived_from_a_peers_replacements():
    text = "to a@b.co, 1.2.3.4 and a@b.co"
    clean = "to \ue000, \ue001 and \ue000"
    assert _replaced(text, clean, {"\ue000": "email", "\ue001": "ip_address"}) == [
        Span("email", 3, 9),
        Span("ip_address", 11, 18),
        Span("email", 23, 29),
    ]


def test_of_overlapping_spans_the_first_stays():
    assert _apart([Span("a", 5, 9), Span("b", 0, 6), Span("c", 0, 5)]) == [Span("c", 0, 5), Span("a", 5, 9)]
