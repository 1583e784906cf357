"""The replay of FineWeb-2 writes configurations that read back, and names what both sides decide differently."""

import random
from pathlib import Path

from pipelines.job.languages import load_any_language
from tests.benchmarks import replay
from tests.benchmarks.replay import Document

PLAIN = "यह एक वाक्य है। " * 20


def test_a_written_configuration_reads_back_as_the_bounds_it_was_written_from(tmp_path: Path) -> None:
    usual = load_any_language("hi", "fineweb2", "fineweb2")
    replay.write_configuration(tmp_path / "hin_Deva.yml", usual)
    found = load_any_language("hi", tmp_path / "hin_Deva.yml", "fineweb2")
    for name, bound in usual.bounds.items():
        assert (found.bounds[name].min, found.bounds[name].max) == (bound.min, bound.max), name
    assert set(found.reading.function_words) == set(usual.reading.function_words[:15])


def test_texts_are_spoiled_the_same_way_each_time() -> None:
    first = [replay.spoiled(PLAIN, random.Random(seed)) for seed in range(40)]
    assert first == [replay.spoiled(PLAIN, random.Random(seed)) for seed in range(40)]
    assert len(set(first)) > 20
    assert all(first)


def test_a_document_on_which_both_sides_disagree_is_named_with_reasons_and_values() -> None:
    language = load_any_language("hi", "fineweb2", "fineweb2")
    found = {
        "same": Document("a", 0.9, {"words": 3}, ("words",)),
        "ours": Document("b", 0.9, {"words": 49}, ("words",)),
        "theirs": Document("c", 0.9, {"line_feeds": 0.31}),
        "score": Document("d", 0.5, {}),
        "kept": Document("e", 0.9),
    }
    reasons = {"same": "gopher_short_doc", "theirs": "list_ratio", "score": "language_score"}
    assert list(replay.disagreements(found, reasons, language)) == [
        "ours: datatrove keeps it; ours words, words = 49, allowed 50.0 to 100000.0",
        "theirs: datatrove list_ratio; ours keeps it, line_feeds = 0.31, allowed None to 0.316",
        "score: datatrove language_score; ours keeps it, language_score = 0.5, allowed 0.692 to None",
    ]


def test_a_copy_that_is_similar_to_no_other_document_is_named() -> None:
    rng = random.Random(0)
    texts = [" ".join(f"word{rng.randrange(900)}" for _ in range(200)) for _ in range(4)]
    texts.append(" ".join(texts[0].split()[:190] + ["other"] * 10))  # nearly all of the first
    found = {str(number): Document(text) for number, text in enumerate(texts)}
    lines = list(replay.wrongly_removed(found, list(found), ["4", "2"]))
    assert len(lines) == 1
    assert lines[0].startswith("2: the most similar is ")
    assert list(replay.wrongly_removed(found, list(found), [])) == []
