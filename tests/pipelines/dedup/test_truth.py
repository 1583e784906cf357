"""The commands that measure how correct dedup is, on small data in the published formats."""

import gzip
import json
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.dedup.settings import DedupSettings
from tests.benchmarks import dedup_truth as truth

SHORT = {"words": 2, "bands": 50, "rows": 4, "jaccard": 0.5, "url": "none", "audit": 0}


def words(rng: random.Random, count: int) -> list[str]:
    return ["".join(rng.choices("abcdefghij", k=6)) for _ in range(count)]


def core_rows() -> list[dict[str, object]]:
    """Eight papers: a pair that is found, a triple with one missed, a false pair, and a single paper."""
    rng = random.Random(5)
    one, two, three, four = (words(rng, 60) for _ in range(4))

    def paper(id_: int, text: list[str], labelled: list[int]) -> dict[str, object]:
        return {
            "core_id": str(id_), "processed_title": " ".join(text[:6]), "processed_abstract": " ".join(text[6:]),
            "labelled_duplicates": [str(other) for other in labelled],
        }  # fmt: skip

    return [
        paper(1, one, [2]), paper(2, [*one, "more"], [1]),
        paper(3, two, [4, 5]), paper(4, ["a", *two], [3, 5]), paper(5, words(rng, 60), [3, 4]),
        paper(6, three, []), paper(7, [*three, "x"], []),
        paper(8, four, []),
    ]  # fmt: skip


def test_core_is_scored_as_in_its_paper() -> None:
    found = truth.score_core(core_rows(), DedupSettings(**SHORT))
    # 1, 2: found. 3, 4: found without 5. 5: missed. 6, 7: wrongly together. 8: rightly alone.
    assert found["documents"] == 8
    assert found["accuracy"] == 3 / 8
    assert found["precision, duplicates"] == 2 / 6
    assert found["recall, duplicates"] == 2 / 3
    assert found["precision, others"] == 1 / 2
    assert found["recall, others"] == 1 / 5
    assert found["macro precision"] == pytest.approx((2 / 6 + 1 / 2) / 2)
    assert found["macro F1"] == pytest.approx((4 / 9 + 2 / 7) / 2)


def test_the_adjusted_rand_index_is_that_computed_by_hand() -> None:
    # By hand: of 15 pairs 6 are together in one, 3 in the other, 2 in both.
    one, other = [0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 2, 2]
    assert truth.adjusted_rand(one, other) == pytest.approx((2 - 6 * 3 / 15) / (4.5 - 6 * 3 / 15))
    assert truth.adjusted_rand(one, ["a"] * 3 + ["b"] * 3) == 1
    assert truth.adjusted_rand([1, 2, 3], [1, 2, 3]) == 1
    rng = random.Random(2)
    labels = [rng.randrange(5) for _ in range(2000)]
    assert abs(truth.adjusted_rand(labels, rng.sample(labels, 2000))) < 0.01


@pytest.mark.parametrize("kind", ["jsonl", "jsonl.gz", "parquet"])
def test_the_commands_read_data_at_a_path(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = random.Random(7)
    rows = []
    for cluster in range(6):
        article = words(rng, 80)
        for _ in range(1 + cluster % 3):
            noisy = [word if rng.random() > 0.02 else "ocr" for word in article]
            rows.append({"article": " ".join(noisy), "cluster": cluster})
    rows.append({"article": "of another subject altogether, yet labelled as one of them", "cluster": 0})
    path = tmp_path / "test" / f"news.{kind}"
    path.parent.mkdir()
    text = "".join(json.dumps(row) + "\n" for row in rows)
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif kind == "jsonl":
        path.write_text(text)
    else:
        path.write_bytes(gzip.compress(text.encode()))
    assert truth.main(["news", str(tmp_path)]) == 0
    lines = capsys.readouterr().out
    wanted = truth.adjusted_rand([row["cluster"] for row in rows], [*[row["cluster"] for row in rows[:-1]], "other"])
    assert 0.729 < wanted < 1
    assert f"{wanted:.4f}" in lines
    assert "targets met" in lines
    assert truth.main(["news", str(path), "--set", "words=40"]) == 1  # no articles are that similar
    assert "MISSED" in capsys.readouterr().out


def test_the_command_for_core_runs_and_needs_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "core.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in core_rows()))
    assert truth.main(["core", str(path)]) == 1
    assert "macro F1" in capsys.readouterr().out
    with pytest.raises(SystemExit, match=r"no \.jsonl"):
        truth.main(["core", str(tmp_path / "nothing")])
    with pytest.raises(SystemExit):
        truth.main(["core"])


@pytest.mark.skipif(not truth.TEXTS.is_dir(), reason="no ../shared/data: real texts are not part of the repository")
def test_the_tables_of_real_texts_meet_targets(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(truth, "LANGUAGES", ("hi", "zh"))
    list_of = truth.edited_texts
    monkeypatch.setattr(truth, "edited_texts", lambda language: list_of(language, 60))
    truth.main(["texts"])
    lines = capsys.readouterr().out.splitlines()
    assert [row.split()[0] for row in lines[1:4]] == ["hi", "zh", "all"]
    assert lines[3].split()[-2] == "1.0000"  # precision, by construction
    assert truth.main(["natural"]) == 0
    assert "1.0000" in capsys.readouterr().out
