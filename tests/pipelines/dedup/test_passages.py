"""Passages: what stands in several documents is cut out of all but one, however the work is divided."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from filters.text.words import remove_spans
from pipelines.dedup import passages as dedup_passages
from pipelines.dedup import run as dedup_run
from pipelines.dedup import scratch
from pipelines.dedup.passages import PassageCuts, PassageExcerpts, PassagePlaces, PassagePrints
from pipelines.dedup.run import run_dedup
from pipelines.dedup.settings import DedupSettings, with_preset
from pipelines.redact import edited
from pipelines.why import explain_dedup
from roots.executors import Serial, Threads
from tests.filters.fingerprints.test_repeats import expected
from tests.pipelines.dedup.test_lines import Rows, lay, result

LEAST = 40
SETTINGS = DedupSettings(passages=LEAST, passage_border="grapheme", audit=0)
SCRIPTS = ("az", "ая", "一龥", "กฮ", "ሀፐ")  # the first and the last letter of each
Run = tuple[Rows, dict[str, list[Path]], Path, dict[str, dict[str, Any]]]


def words(rng: random.Random, script: str, characters: int) -> str:
    first, last = map(ord, script)
    text = ""
    while len(text) < characters:
        text += "".join(chr(rng.randint(first, last)) for _ in range(rng.randrange(2, 8))) + " "
    return text[:characters]


def corpus(seed: int = 1) -> Rows:
    """Documents of different lengths, with passages that others have, too."""
    rng = random.Random(seed)
    rows: Rows = []
    for script in SCRIPTS:
        shared = [words(rng, script, rng.choice([LEAST - 1, LEAST, 60, 300])) for _ in range(8)]
        for number in range(20):
            parts = [words(rng, script, rng.randrange(20, 200)) + rng.choice(shared) for _ in range(rng.randrange(4))]
            text = words(rng, script, 150) + "".join(parts)
            rows.append({"id": f"<{script} {number}>", "text": text, "url": f"https://{script[0]}.org/{number}"})
    lengths: set[int] = set()
    for row in rows:  # `keep` prefers the longest: no two are of one length
        while len(row["text"].encode()) in lengths:
            row["text"] += "x"
        lengths.add(len(row["text"].encode()))
    rng.shuffle(rows)
    return rows


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("passages")
    rows = corpus()
    chains = lay(folder, rows, 3)
    return (
        rows,
        chains,
        folder / "dedup",
        result(folder / "dedup", run_dedup(chains, folder / "dedup", SETTINGS, Serial())),
    )


def test_all_copies_but_that_of_the_longest_document_are_cut_out(reference: Run) -> None:
    rows, _, _, marks = reference
    ordered = sorted(rows, key=lambda row: -len(row["text"].encode()))
    must = expected([row["text"] for row in ordered], LEAST)
    cut = [{at for line in marks[row["id"]]["lines"] for at in range(line["start"], line["end"])} for row in ordered]
    assert cut == must
    assert sum(map(len, must)) > 3000
    assert {line["rule"] for mark in marks.values() for line in mark["lines"]} == {"passage"}
    assert min(line["times"] for mark in marks.values() for line in mark["lines"]) == 2


def test_any_division_of_the_work_gives_the_same_bytes(
    reference: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, chains, target, marks = reference
    monkeypatch.setattr(dedup_passages, "BLOCK_BYTES", 1)
    monkeypatch.setattr(dedup_passages, "_SORTED_PRINTS", 50)
    monkeypatch.setattr(dedup_passages, "_SORTED_CHARACTERS", 1000)
    monkeypatch.setattr(dedup_passages, "_READ_CHARACTERS", 500)
    monkeypatch.setattr(scratch, "_PRINT_BYTES", 1 << 24)
    run_dedup(dict(reversed(chains.items())), tmp_path / "many", SETTINGS, Threads(2))
    assert len(list((tmp_path / "many" / "places").glob("*.parquet"))) > 5
    for name in chains:
        assert (tmp_path / "many" / name).read_bytes() == (target / name).read_bytes()
    monkeypatch.undo()
    other = lay(tmp_path, random.Random(8).sample(rows, len(rows)), 5)
    assert result(tmp_path / "other", run_dedup(other, tmp_path / "other", SETTINGS, Serial())) == marks


@pytest.mark.parametrize("stage", [PassagePrints, PassagePlaces, PassageExcerpts, PassageCuts])
def test_damaged_shards_are_made_again_and_a_dead_sub_step_resumes(
    stage: Any, reference: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, chains, _, whole = reference
    make: Callable[..., Any] = stage.make

    def dies(self: Any, name: str, sources: Any) -> Any:
        yield from list(make(self, name, sources))[:1]
        raise MemoryError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(stage, "make", dies)
        with pytest.raises(Exception, match="killed"):
            run_dedup(chains, tmp_path, SETTINGS, Serial())
    assert result(tmp_path, run_dedup(chains, tmp_path, SETTINGS, Serial())) == whole
    for path in (tmp_path / stage.name.removeprefix("dedup.")).glob("*.parquet"):
        path.write_bytes(path.read_bytes()[:-50])
    for name in chains:
        (tmp_path / name).unlink()
    assert result(tmp_path, run_dedup(chains, tmp_path, SETTINGS, Serial())) == whole


def test_without_passages_nothing_is_cut_and_their_scratch_is_removed(reference: Run, tmp_path: Path) -> None:
    _, chains, _, marks = reference
    run_dedup(chains, tmp_path, SETTINGS, Serial())
    plain = result(tmp_path, run_dedup(chains, tmp_path, DedupSettings(audit=0), Serial()))
    assert {mark["lines"] and 1 for mark in plain.values()} == {None}
    assert {name: {**mark, "lines": None} for name, mark in marks.items()} == plain
    assert not [path for step in dedup_passages.PASSAGE_STEPS for path in (tmp_path / step).glob("*.parquet")]
    more = dedup_run.estimate_scratch(chains, SETTINGS) - dedup_run.estimate_scratch(chains, DedupSettings())
    assert more > sum(path.stat().st_size for chain in chains.values() for path in chain) / 2


NOTICE = "The council asks all who live by the river to boil their water until Friday. It will send word by radio."


def pages(*texts: str) -> Rows:
    """A document for each text, with sentences of its own around it; the first is the longest."""
    rng = random.Random(3)
    return [
        {
            "id": f"<{number}>",
            "url": f"https://{number}.org/",
            "text": f"{words(rng, 'az', 300 - 20 * number).strip()}.\n{text}\n{words(rng, 'az', 300).strip()}.",
        }
        for number, text in enumerate(texts)
    ]


def cut_texts(tmp_path: Path, rows: Rows, **settings: Any) -> dict[str, str]:
    target = tmp_path / "dedup"
    chosen = DedupSettings(**{"passages": LEAST, **settings})
    marks = result(target, run_dedup(lay(tmp_path, rows, 2), target, chosen, Serial()))
    return {row["id"]: edited(row["text"], marks[row["id"]]["lines"]) for row in rows}


@pytest.mark.parametrize(
    ("border", "left"),
    [("grapheme", "Here:Now."), ("sentence", f"Here: {NOTICE[:77]}Now."), ("line", f"Here: {NOTICE} Now.")],
)
def test_a_passage_is_cut_at_the_borders_asked_for(border: str, left: str, tmp_path: Path) -> None:
    rows = pages(f"First {NOTICE} Then.", f"Here: {NOTICE} Now.")
    texts = cut_texts(tmp_path, rows, passage_border=border)
    assert texts["<0>"] == rows[0]["text"]
    assert texts["<1>"].split("\n")[1] == left


def test_lines_and_passages_are_recorded_once_and_in_order(tmp_path: Path) -> None:
    texts = [f"{NOTICE}\nShare this page\nMore words that both have, and that are long enough.\nEnd {n}" for n in "abc"]
    rows = [{**row, "url": f"https://a.org/{row['id']}"} for row in pages(*texts)]
    target = tmp_path / "dedup"
    settings = DedupSettings(passages=LEAST, passage_border="line", lines=("newspaper",))
    marks = result(target, run_dedup(lay(tmp_path, rows, 1), target, settings, Serial()))
    for row in rows[1:]:
        lines = marks[row["id"]]["lines"]
        assert [line["rule"] for line in lines] == ["newspaper"] * 3
        assert "Share" not in remove_spans(row["text"], [(line["start"], line["end"]) for line in lines])


def test_a_document_of_passages_only_is_dropped(tmp_path: Path) -> None:
    rows = [*pages(NOTICE, "Other words."), {"id": "<all>", "url": "https://all.org/", "text": NOTICE}]
    target = tmp_path / "dedup"
    manifest = run_dedup(lay(tmp_path, rows, 1), target, DedupSettings(passages=LEAST), Serial())
    marks = result(target, manifest)
    assert marks["<all>"]["drop"] == "dedup.lines"
    report = json.loads((target / "report.json").read_text("utf-8"))["lines"]
    assert report["rules"] == {"passage": {"lines": 1, "characters": len(NOTICE)}}
    assert (report["documents"], report["emptied"], report["most_repeated"]) == (1, 1, [])
    (said,) = explain_dedup(marks["<all>"], {"text": NOTICE})
    assert said.startswith("passage cut out (characters of it stand in 2 places): The council")


def test_a_removed_copy_is_cut_as_if_it_stood_in_the_place_of_the_kept_one(tmp_path: Path) -> None:
    rows = pages(NOTICE, NOTICE)
    copies = [{**row, "id": row["id"] + "copy", "url": row["url"] + "copy"} for row in rows]
    texts = cut_texts(tmp_path, [*rows, *copies])
    assert texts["<0>"] == texts["<0>copy"] == rows[0]["text"]
    assert texts["<1>"] == texts["<1>copy"] == rows[1]["text"].replace(NOTICE + "\n", "")


@pytest.mark.parametrize("settings", [{"scope": "source"}, {"alone": ("1.org",)}], ids=["source", "alone"])
def test_documents_that_are_not_compared_keep_their_passages(settings: dict[str, Any], tmp_path: Path) -> None:
    rows = pages(NOTICE, NOTICE)
    assert cut_texts(tmp_path, rows, **settings) == {row["id"]: row["text"] for row in rows}


def test_settings_of_passages_are_checked() -> None:
    with pytest.raises(ValueError, match=r"passages = 5 is not 0 or in \[20, 10000\]"):
        DedupSettings(passages=5)
    with pytest.raises(ValueError, match="border of passages"):
        DedupSettings(passage_border="word")
    assert with_preset({"preset": "roots"})["passages"] == 200
    assert DedupSettings().passages == 0
