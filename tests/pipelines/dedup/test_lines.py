"""Repeated lines: which are removed and which copy stays, after documents; later stages read the text without them."""

import json
import random
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from filters.near_duplicates.rules import LINE_RULES, LineRule
from pipelines.dedup import lines as dedup_lines
from pipelines.dedup import run as dedup_run
from pipelines.dedup import scratch
from pipelines.dedup.run import run_dedup
from pipelines.dedup.settings import DedupSettings
from pipelines.redact import Redact, edited
from roots import shards
from roots.executors import Serial, Threads
from roots.stage import Manifest

BASE = pa.schema([pa.field(name, pa.string()) for name in ("id", "text", "date", "url", "language", "drop")])
Rows = list[dict[str, Any]]
MENU = ["Accueil", "الصفحة الرئيسية للموقع", "हमारे बारे में और जानकारी", "ติดต่อเราได้ที่นี่ทุกวันจันทร์", "Ẹ káàbọ̀ sí ojúlé wa"]
RULES = ("template", "newspaper", "boilerplate")


def sentence(rng: random.Random) -> str:
    return " ".join("".join(rng.choices("abcdefghijklm", k=6)) for _ in range(rng.randrange(4, 12)))


def corpus(seed: int = 3) -> Rows:
    """Three sites with menus; pages crawled twice, near copies, and a page that is only a menu."""
    rng = random.Random(seed)
    rows: Rows = []
    for site, pages in (("a.org", 40), ("b.org", 25), ("c.org", 3)):
        teasers = [sentence(rng) for _ in range(12)]
        for page in range(pages):
            body = [sentence(rng) for _ in range(rng.randrange(3, 9))]
            lines = [*MENU[: 2 + page % 4], *rng.sample(teasers, 1), "", *body, "", *rng.sample(MENU, 2)]
            url = f"https://{site}/{page}"
            rows.append({"id": f"<{site} {page}>", "text": "\n".join(lines), "date": "2020-01-01", "url": url})
            if page % 5 == 0:
                rows.append({**rows[-1], "id": f"<{site} {page} newer>", "date": "2021-01-01"})
            if page % 7 == 0:
                near = "\n".join([*lines[:-1], "and one more line"])
                rows.append({**rows[-1], "id": f"<{site} {page} near>", "text": near, "url": url + "?print"})
    rows.append({"id": "<menu>", "text": "\n".join(MENU[:3]), "date": None, "url": "https://a.org/menu"})
    rng.shuffle(rows)
    return rows


def lay(folder: Path, rows: Rows, parts: int) -> dict[str, list[Path]]:
    chains = {}
    for part in range(parts):
        path = folder / "base" / f"part-{part}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        batch = pa.RecordBatch.from_pylist(
            [{"language": "fra", "drop": None, **row} for row in rows[part::parts]], BASE
        )
        shards.write(path, BASE, [batch], "base", 1, f"{part}")
        chains[path.name] = [path]
    return chains


def result(target: Path, manifest: Manifest) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for name in manifest.shards for row in pq.read_table(target / name).to_pylist()}


Run = tuple[Rows, dict[str, list[Path]], Path, dict[str, dict[str, Any]]]


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("lines")
    rows = corpus()
    chains = lay(folder, rows, 3)
    manifest = run_dedup(chains, folder / "dedup", DedupSettings(lines=RULES), Serial())
    return rows, chains, folder / "dedup", result(folder / "dedup", manifest)


def by_hand(rows: Rows, marks: dict[str, dict[str, Any]], rules: tuple[str, ...]) -> dict[str, Counter[str]]:
    """How often each line must be removed from each kept document, counted without hashes or parts."""
    copies = ("dedup.url", "dedup.exact", "dedup.near")
    left = [row for row in rows if marks[row["id"]]["drop"] not in copies]
    site = {row["id"]: row["url"].split("/")[2] for row in left}
    lines = {row["id"]: [line.strip() for line in row["text"].split("\n") if line.strip()] for row in left}
    times: Counter[tuple[str, str]] = Counter((site[id_], line) for id_ in lines for line in lines[id_])
    pages: Counter[tuple[str, str]] = Counter((site[id_], line) for id_ in lines for line in set(lines[id_]))
    of = Counter(site.values())
    must: dict[str, Counter[str]] = defaultdict(Counter)
    for (where, line), count in times.items():
        taken = {
            "template": len(line) >= 15 and count >= 10, "newspaper": count >= 2,
            "boilerplate": pages[where, line] > max(10, of[where] / 100),
        }  # fmt: skip
        if any(taken[rule] for rule in rules):
            for id_ in lines:
                if site[id_] == where and line in lines[id_]:
                    must[id_][line] += lines[id_].count(line)
    return must


def cut_out(rows: Rows, marks: dict[str, dict[str, Any]]) -> dict[str, Counter[str]]:
    texts = {row["id"]: row["text"] for row in rows}
    return {
        id_: Counter(texts[id_][line["start"] : line["end"]].strip() for line in mark["lines"])
        for id_, mark in marks.items()
        if mark["lines"] and not mark["duplicate_of"]
    }


@pytest.mark.parametrize("rules", [(rule,) for rule in RULES] + [RULES])
def test_every_copy_is_removed_as_counted_by_hand(rules: tuple[str, ...], reference: Run, tmp_path: Path) -> None:
    rows, chains, _, _ = reference
    manifest = run_dedup(chains, tmp_path, DedupSettings(lines=rules, every_copy=True, audit=0), Serial())
    marks = result(tmp_path, manifest)
    must = by_hand(rows, marks, rules)
    assert cut_out(rows, marks) == must
    assert sum(counts.total() for counts in must.values()) > 50
    assert marks["<menu>"]["drop"] == ("dedup.lines" if "template" not in rules or len(rules) > 1 else None)


def test_the_first_copy_stays_in_the_document_that_keep_prefers(reference: Run) -> None:
    rows, _, _, marks = reference
    must, found = by_hand(rows, marks, RULES), cut_out(rows, marks)
    left: Counter[tuple[str, str]] = Counter()
    texts = {row["id"]: row for row in rows}
    for id_, counts in must.items():
        for line, count in (counts - found.get(id_, Counter())).items():
            left[texts[id_]["url"].split("/")[2], line] += count
            longer = [
                other for other in must if line in must[other] and texts[other]["url"][:14] == texts[id_]["url"][:14]
            ]
            assert len(texts[id_]["text"].encode()) == max(len(texts[other]["text"].encode()) for other in longer)
    everywhere = {(texts[id_]["url"].split("/")[2], line) for id_ in must for line in must[id_]}
    assert set(left) == everywhere
    assert set(left.values()) == {1}


def test_numbers_and_rules_are_recorded(reference: Run) -> None:
    rows, _, target, marks = reference
    report = json.loads((target / "report.json").read_text("utf-8"))["lines"]
    kept = [line for mark in marks.values() if mark["lines"] and not mark["duplicate_of"] for line in mark["lines"]]
    assert sum(rule["lines"] for rule in report["rules"].values()) == len(kept) > 100
    assert sum(rule["characters"] for rule in report["rules"].values()) == sum(x["end"] - x["start"] for x in kept)
    assert report["documents"] == sum(bool(mark["lines"]) and not mark["duplicate_of"] for mark in marks.values())
    assert report["emptied"] == sum(mark["drop"] == "dedup.lines" for mark in marks.values()) == 1
    most = report["most_repeated"][0]
    texts = [row["text"] for row in rows if marks[row["id"]]["drop"] in (None, "dedup.lines") and "a.org" in row["url"]]
    assert (most["source"], most["rule"]) == ("a.org", "newspaper")
    assert most["line"] in MENU
    assert most["times"] == sum(text.split("\n").count(most["line"]) for text in texts)
    assert {line["times"] for line in kept} >= {2, most["times"]}


def test_documents_are_removed_before_lines(tmp_path: Path) -> None:
    """An article that was crawled twice has all its lines twice: if lines came first, nothing would be left."""
    rng = random.Random(1)
    article = "\n".join(sentence(rng) for _ in range(30))
    rows = [
        {"id": f"<{year}>", "text": article, "date": f"{year}-01-01", "url": "https://a.org/1"} for year in (2020, 2021)
    ]
    rows.append({"id": "<near>", "text": article + "\nend of it", "date": None, "url": "https://a.org/2"})
    manifest = run_dedup(lay(tmp_path, rows, 1), tmp_path / "dedup", DedupSettings(lines=("newspaper",)), Serial())
    marks = result(tmp_path / "dedup", manifest)
    (kept,) = [mark for mark in marks.values() if mark["drop"] is None]
    assert kept["lines"] == []
    assert manifest.drops == {"dedup.near": 1, "dedup.url": 1}


def test_a_removed_copy_is_edited_as_if_it_stood_in_the_place_of_the_kept_one(reference: Run) -> None:
    rows, _, _, marks = reference
    texts = {row["id"]: row["text"] for row in rows}
    compared = 0
    for id_, mark in marks.items():
        head = mark["duplicate_of"]
        if head and texts[head] == texts[id_]:
            compared += 1
            assert edited(texts[id_], mark["lines"]) == edited(texts[head], marks[head]["lines"])
    assert compared > 5


def test_any_division_of_the_work_gives_the_same_bytes(
    reference: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, chains, target, marks = reference
    monkeypatch.setattr(dedup_lines, "BLOCK_LINES", 20)
    monkeypatch.setattr(scratch, "_LINE_BYTES", 1 << 24)
    monkeypatch.setattr(dedup_run, "_EXACT_BYTES", 1 << 25)
    many = tmp_path / "many"
    run_dedup(dict(reversed(chains.items())), many, DedupSettings(lines=RULES), Threads(2))
    assert len(list((many / "repeats").glob("*.parquet"))) > 5
    assert len(list((many / "sizes").glob("*.parquet"))) > 1
    assert {name: (many / name).read_bytes() for name in chains} == {
        name: (target / name).read_bytes() for name in chains
    }
    assert (many / "report.json").read_bytes() == (target / "report.json").read_bytes()
    monkeypatch.undo()
    other = lay(tmp_path, random.Random(8).sample(rows, len(rows)), 5)
    manifest = run_dedup(other, tmp_path / "other", DedupSettings(lines=RULES), Serial())
    assert result(tmp_path / "other", manifest) == marks


SUB_STEPS = ["lines", "sizes", "repeats", "edits"]


def test_another_rule_redoes_only_lines_and_no_rule_removes_their_scratch(reference: Run, tmp_path: Path) -> None:
    _, chains, _, _ = reference
    made: list[str] = []

    def note(stage: str, done: int, total: int, receipt: object) -> None:
        if receipt is not None:
            made.append(stage.removeprefix("dedup."))

    def run(settings: DedupSettings) -> dict[str, Any]:
        made.clear()
        return result(tmp_path, run_dedup(chains, tmp_path, settings, Serial(), note))

    plain = run(DedupSettings())
    assert {mark["lines"] and 1 for mark in plain.values()} == {None}
    run(DedupSettings(lines=("newspaper",)))
    assert set(made) == {*SUB_STEPS, "dedup", "losses"}
    first = run(DedupSettings(lines=("boilerplate",)))
    assert set(made) == {"sizes", "repeats", "edits", "dedup", "losses"}
    assert first == run(DedupSettings(lines=("boilerplate",)))
    run(DedupSettings(lines=("boilerplate",), every_copy=True))
    assert set(made) == {"edits", "dedup", "losses"}
    run(DedupSettings(lines=("boilerplate",), every_copy=True, memory="3G"))
    assert set(made) <= {"groups"}  # they depend on the memory; nothing after them does
    assert run(DedupSettings()) == plain
    assert not [path for step in SUB_STEPS for path in (tmp_path / step).glob("*.parquet")]


STAGES = [dedup_lines.LineCounts, dedup_lines.SourceSizes, dedup_lines.RepeatedLines, dedup_lines.LineEdits]


@pytest.mark.parametrize("stage", STAGES, ids=SUB_STEPS)
def test_damaged_shards_are_made_again_and_a_dead_sub_step_resumes(
    stage: Any, reference: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, chains, _, _ = reference
    settings = DedupSettings(lines=("boilerplate", "newspaper", LineRule(share=0.2)), audit=0)
    whole = result(tmp_path / "whole", run_dedup(chains, tmp_path / "whole", settings, Serial()))
    make: Callable[..., Any] = stage.make

    def dies(self: Any, name: str, sources: Any) -> Any:
        yield from list(make(self, name, sources))[:1]
        raise MemoryError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(stage, "make", dies)
        with pytest.raises(Exception, match="killed"):
            run_dedup(chains, tmp_path / "dies", settings, Serial())
    assert result(tmp_path / "dies", run_dedup(chains, tmp_path / "dies", settings, Serial())) == whole
    scratch = sorted((tmp_path / "dies" / SUB_STEPS[STAGES.index(stage)]).glob("*.parquet"))
    for number, path in enumerate(scratch):
        data = bytearray(path.read_bytes())
        data[len(data) // 3] ^= 0x55
        path.write_bytes(bytes(data) if number % 2 else bytes(data[: len(data) // 2]))
    for name in chains:
        (tmp_path / "dies" / name).unlink()
    assert scratch
    assert result(tmp_path / "dies", run_dedup(chains, tmp_path / "dies", settings, Serial())) == whole


def test_redact_reads_the_text_without_the_lines(reference: Run, tmp_path: Path) -> None:
    rng = random.Random(9)
    secret = "ana.lopez@example.org"
    rows = [
        {"id": f"<{n}>", "text": f"Écrivez à notre rédaction ici\n\n{sentence(rng)} {secret}\n\n" + sentence(rng),
         "url": f"https://a.org/{n}"} for n in range(12)
    ]  # fmt: skip
    chains = lay(tmp_path, rows, 1)
    target = tmp_path / "dedup"
    marks = result(target, run_dedup(chains, target, DedupSettings(lines=("template",)), Serial()))
    ((name, chain),) = chains.items()
    table = pa.Table.from_batches(list(Redact().make(name, [*chain, target / name])), Redact.schema)
    assert sum(bool(mark["lines"]) for mark in marks.values()) == 11
    for row, before in zip(table.to_pylist(), rows, strict=True):
        left = edited(before["text"], marks[row["id"]]["lines"])
        assert left.startswith("Écrivez") == (not marks[row["id"]]["lines"])
        assert secret not in row["text"]
        ((start, end),) = [(span["start"], span["end"]) for span in row["pii"]]
        assert left[start:end] == secret
        assert row["text"] == left.replace(secret, "PI:EMAIL")


def test_the_estimate_of_scratch_space_includes_lines(reference: Run) -> None:
    _, chains, target, _ = reference
    bytes_of_rows = sum(
        receipt.body_bytes for step in SUB_STEPS for path in (target / step).glob("*.parquet")
        if (receipt := shards.read_receipt(path))
    )  # fmt: skip
    with_lines = dedup_run.estimate_scratch(chains, DedupSettings(lines=("newspaper",)))
    assert with_lines - dedup_run.estimate_scratch(chains, DedupSettings()) > 10_000
    assert 0 < bytes_of_rows < with_lines + 40_000


def test_boilerplate_needs_a_share_of_the_pages_of_a_large_source(tmp_path: Path) -> None:
    """1 % of 1,300 pages is 13: a line on 13 pages stays, one on 14 is removed; a small source needs only 11 pages."""
    rng = random.Random(2)
    rows = []
    for n in range(1300):
        extra = ["here on thirteen pages"] * (n < 13) + ["here on fourteen pages"] * (n < 14)
        rows.append({"id": f"<{n}>", "text": "\n".join([*extra, sentence(rng)]), "url": f"https://a.org/{n}"})
    rows += [
        {"id": f"<s{n}>", "text": "on eleven pages\n" + sentence(rng), "url": f"https://s.org/{n}"} for n in range(11)
    ]
    settings = DedupSettings(lines=("boilerplate",), every_copy=True, audit=0)
    marks = result(tmp_path / "dedup", run_dedup(lay(tmp_path, rows, 2), tmp_path / "dedup", settings, Serial()))
    texts = {row["id"]: row["text"] for row in rows}
    gone = Counter(texts[i][x["start"] : x["end"]].strip() for i, mark in marks.items() for x in mark["lines"])
    assert gone == {"here on fourteen pages": 14, "on eleven pages": 11}
    assert LINE_RULES["boilerplate"].share * 1300 == 13
    assert np.unique([x["times"] for mark in marks.values() for x in mark["lines"]]).tolist() == [11, 14]
