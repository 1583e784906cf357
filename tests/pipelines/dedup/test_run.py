"""The stage dedup: what it removes and for which document, with any workers, memory, order and interruptions."""

import itertools
import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from filters.near_duplicates import signatures as near
from filters.near_duplicates.rules import LineRule
from pipelines.dedup.audit import differing_passages
from pipelines.dedup.candidates import CandidatePairs, ExactCopies, UrlCopies
from pipelines.dedup.duplicates import Duplicates, ShingleSets
from pipelines.dedup.groups import DocumentGroups
from pipelines.dedup.run import Outcomes, estimate_scratch, plan_memory, run_dedup
from pipelines.dedup.scratch import MemoryPlan, StepShards
from pipelines.dedup.settings import PRESETS, DedupSettings, KeepBy, parse_bytes, with_preset
from pipelines.dedup.sign import SignedDocuments, keep_ranks, url_keys
from roots import shards
from roots.errors import LossError, SettingsError, ShardError, StageFailed
from roots.executors import Local, Serial
from roots.schema import DEDUP
from roots.settings import build, parse_pairs
from roots.stage import Manifest

BASE = pa.schema([pa.field(name, pa.string()) for name in ("id", "text", "date", "url", "license", "drop")]
                 + [pa.field("score", pa.float32())])  # fmt: skip
JUDGED = pa.schema([pa.field("id", pa.string()), pa.field("drop", pa.string())])
Rows = list[dict[str, Any]]


def words(rng: random.Random, count: int) -> list[str]:
    return ["".join(rng.choices("abcdefghij", k=7)) for _ in range(count)]


def corpus(seed: int = 1, families: int = 30) -> Rows:
    """Originals, near copies of several strengths, exact copies, copies with other digits, short texts."""
    rng = random.Random(seed)
    texts: list[str] = []
    for family in range(families):
        base = words(rng, rng.choice([40, 120, 300]))
        texts.append(" ".join(base))
        for _ in range(family % 4):
            copy = list(base)
            for _ in range(max(1, int(len(copy) * rng.choice([0.005, 0.02, 0.06])))):
                copy[rng.randrange(len(copy))] = words(rng, 1)[0]
            texts.append(" ".join(copy))
        if family % 5 == 0:
            texts += [" ".join(base), "  ".join(base).upper().lower(), " ".join(base) + " 2024!"]
    texts += [
        "short",
        "short",
        "tiny text",
        "",
        "42",
        "汉语是世界上使用人数最多的语言之一，" * 3,
        "汉语是世界上使用人数最多的语言之一。" * 3,
    ]
    rows: Rows = [
        {"id": f"<{number:04d}>", "text": text, "date": f"20{number % 25:02d}-01-02T03:04:05Z"}
        for number, text in enumerate(texts)
    ]
    for year in (2019, 2021):
        text = " ".join(words(rng, 50))
        rows.append({"id": f"<fetch {year}>", "text": text, "date": f"{year}-01-02", "url": "https://a.org/page"})
    rng.shuffle(rows)
    return rows


OLDER = "<fetch 2019>"  # an older fetch of one page: it is removed for its URL


def lay(folder: Path, rows: Rows, parts: int) -> dict[str, list[Path]]:
    """Write rows as chains of two stages; each stage drops one row in each shard."""
    chains: dict[str, list[Path]] = {}
    for part in range(parts):
        name = f"part-{part}.parquet"
        mine = rows[part::parts]
        full = [{"id": f"<dropped-{part}>", "text": "gone", "date": None, "drop": "base.test"}]
        full += [{**row, "drop": None} for row in mine]
        full.insert(2, {"id": f"<judged-{part}>", "text": mine[0]["text"] if mine else "", "date": None, "drop": None})
        kept = [row for row in full if row["drop"] is None]
        judged = [{"id": row["id"], "drop": "judge.test" if "judged" in row["id"] else None} for row in kept]
        chains[name] = [folder / "base" / name, folder / "judged" / name]
        for path, schema, content in zip(chains[name], (BASE, JUDGED), (full, judged), strict=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            shards.write(path, schema, [pa.RecordBatch.from_pylist(content, schema)], path.parent.name, 1, f"{part}")
    return chains


def result(target: Path, manifest: Manifest) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for name in manifest.shards for row in pq.read_table(target / name).to_pylist()}


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> tuple[Rows, dict[str, list[Path]], Path, Manifest]:
    folder = tmp_path_factory.mktemp("reference")
    rows = corpus()
    chains = lay(folder, rows, 3)
    return rows, chains, folder / "dedup", run_dedup(chains, folder / "dedup", DedupSettings(), Serial())


Reference = tuple[Rows, dict[str, list[Path]], Path, Manifest]


def test_each_kept_row_of_the_stage_before_has_a_row_in_the_same_order(reference: Reference) -> None:
    rows, chains, target, manifest = reference
    assert manifest.rows == len(rows) == manifest.kept + sum(manifest.drops.values())
    for name in chains:
        table = pq.read_table(target / name)
        assert table.schema.equals(DEDUP)
        ids = [row for batch in shards.read_kept(chains[name], ["id"]) for row in batch["id"].to_pylist()]
        assert table["id"].to_pylist() == ids
    assert set(manifest.drops) == {"dedup.url", "dedup.exact", "dedup.near"}


def test_every_removal_has_its_evidence_and_names_a_kept_document(reference: Reference) -> None:
    rows, _, target, manifest = reference
    marks = result(target, manifest)
    texts = {row["id"]: row["text"] for row in rows}
    for name, mark in marks.items():
        if mark["drop"] is None:
            assert mark["duplicate_of"] is None
            assert mark["jaccard"] is None
            assert mark["minhash_cluster_size"] >= 1
            continue
        head = mark["duplicate_of"]
        assert marks[head]["drop"] is None
        assert mark["minhash_cluster_size"] is None
        if mark["drop"] == "dedup.url":
            assert (name, head, mark["jaccard"]) == (OLDER, "<fetch 2021>", None)
            continue
        pair = pa.array([texts[head], texts[name]])
        signs = near.sign_texts(pair, near.Scheme())
        if mark["drop"] == "dedup.exact":
            assert tuple(signs.content[0]) == tuple(signs.content[1])
        exact = near.jaccards(*near.shingle_sets(pair, near.Scheme()), np.array([0]), np.array([1]))[0]
        if signs.units[0] == signs.units[1]:
            assert mark["jaccard"] == 1
        else:
            assert mark["jaccard"] == pytest.approx(exact)
            assert exact >= 0.8


def test_cluster_sizes_count_what_a_kept_document_stands_for(reference: Reference) -> None:
    _, _, target, manifest = reference
    marks = result(target, manifest)
    assert sum(mark["minhash_cluster_size"] or 0 for mark in marks.values()) == len(marks)
    for name, mark in marks.items():
        if mark["drop"] is None:
            stands_for = sum(other["duplicate_of"] == name for other in marks.values())
            assert mark["minhash_cluster_size"] == 1 + stands_for


def by_hand(rows: Rows, threshold: float = 0.8) -> set[str]:
    """Ids kept by brute force: the longest first, and no document that is similar to a kept one."""
    texts = pa.array([row["text"] for row in rows])
    sets = near.shingle_sets(texts, near.Scheme())
    signs = near.sign_texts(texts, near.Scheme())
    content = [(*pair, units) for pair, units in zip(signs.content.tolist(), signs.units.tolist(), strict=True)]
    tie = near.text_digests(pa.array([row["id"] for row in rows]))
    order = sorted(range(len(rows)), key=lambda row: (-len(rows[row]["text"].encode()), int(tie[row])))
    kept: list[int] = []
    for row in order:
        found = near.jaccards(*sets, np.array(kept, dtype=np.int64), np.full(len(kept), row))
        if not any(content[head] == content[row] for head in kept) and not (found >= threshold).any():
            kept.append(row)
    return {rows[row]["id"] for row in kept}


def test_kept_documents_are_those_of_brute_force(reference: Reference) -> None:
    rows, _, target, manifest = reference
    kept = {name for name, mark in result(target, manifest).items() if mark["drop"] is None}
    wanted = by_hand([row for row in rows if row["id"] != OLDER])
    # A pair near the threshold may share no band, as recall is below 1. Nothing is removed that brute force keeps.
    assert wanted <= kept
    assert len(kept - wanted) <= 2


def test_short_texts_are_only_compared_exactly(reference: Reference) -> None:
    rows, _, target, manifest = reference
    marks = result(target, manifest)
    short = {row["id"]: row["text"] for row in rows if len(row["text"]) < 12}
    removed = [short[name] for name in short if marks[name]["drop"]]
    assert removed == ["short"]


def test_a_copy_with_other_digits_stays_if_its_head_is_removed(tmp_path: Path) -> None:
    """It equals a removed document by ROOTS's rule, but is not similar to the kept document."""
    rng = random.Random(3)
    base = ["".join(rng.choices("abcdefghij", k=9)) for _ in range(200)]
    numbered = [word if place % 3 else f"{word} {place}" for place, word in enumerate(base)]
    rows: Rows = [
        {"id": "longer", "text": " ".join([*base, "with", "three", "more"]) + "!" * 900, "date": None},
        {"id": "first", "text": " ".join(base) + "!" * 800, "date": None},
        {"id": "digits", "text": " ".join(numbered), "date": None},
    ]
    target = tmp_path / "dedup"
    chains = lay(tmp_path, rows, 1)
    marks = result(target, run_dedup(chains, target, DedupSettings(jaccard=0.9), Serial()))
    assert marks["first"]["duplicate_of"] == "longer"
    content = near.sign_texts(pa.array([rows[1]["text"], rows[2]["text"]]), near.Scheme()).content
    assert tuple(content[0]) == tuple(content[1])
    assert marks["digits"]["drop"] is None


@pytest.mark.parametrize(("rule", "kept"), [("verified", 3), ("roots", 1)])
def test_tables_of_other_numbers_are_copies_only_by_roots_rule(rule: str, kept: int, tmp_path: Path) -> None:
    rng = random.Random(3)
    rows: Rows = []
    for number in range(3):
        table = "\n".join(f"Goals: {rng.randrange(100)}, points: {rng.randrange(100)}." for _ in range(60))
        rows.append({"id": f"table {number}", "text": table, "date": None})
    manifest = run_dedup(lay(tmp_path, rows, 1), tmp_path / "dedup", DedupSettings(exact=rule), Serial())
    assert manifest.kept == kept
    assert set(manifest.drops) == ({"dedup.exact"} if kept == 1 else set())


def outcomes(target: Path, manifest: Manifest) -> list[tuple[str, Any]]:
    return sorted((name, tuple(mark.items())) for name, mark in result(target, manifest).items())


def test_any_executor_memory_and_order_gives_the_same_bytes(
    reference: Reference, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, chains, target, _ = reference
    want = {name: (target / name).read_bytes() for name in chains}
    backwards = dict(reversed(chains.items()))
    run_dedup(backwards, tmp_path / "two", DedupSettings(memory="1G"), Local(2))
    # Many groups with all sets in memory; one group, block by block; many groups, found by many tasks.
    for folder, nodes, group_bytes, set_bytes, groups in (
        ("many", 1000, 20_000, 9_000, 2),
        ("blocks", 1000, 1 << 30, 9_000, 1),
        ("spread", 50, 20_000, 90_000, 2),
    ):
        cuts = MemoryPlan(3, 4, nodes, group_bytes, set_bytes, block_bytes=5_000)
        monkeypatch.setattr("pipelines.dedup.run.plan_memory", lambda *_, cuts=cuts: cuts)
        run_dedup(chains, tmp_path / folder, DedupSettings(), Serial())
        assert len(list((tmp_path / folder / "settle").glob("*.parquet"))) >= groups
    assert (len(list((tmp_path / "blocks/settle").glob("*.parquet"))), (tmp_path / "many/weigh").exists()) == (1, False)
    assert len(list((tmp_path / "spread/groups").glob("*.parquet"))) > 1
    monkeypatch.setattr("pipelines.dedup.run.plan_memory", plan_memory)
    run_dedup(
        chains, tmp_path / "spread", DedupSettings(memory="1G"), Serial()
    )  # one task again removes the shards of many
    left = {path.parent.name for path in (tmp_path / "spread").glob("*/*.parquet")}
    assert left == STEPS
    for folder in ("two", "many", "blocks", "spread"):
        assert {name: (tmp_path / folder / name).read_bytes() for name in chains} == want


def test_other_files_and_another_order_give_the_same_outcomes(reference: Reference, tmp_path: Path) -> None:
    rows, _, target, manifest = reference
    shuffled = random.Random(9).sample(rows, len(rows))
    other = run_dedup(lay(tmp_path, shuffled, 5), tmp_path / "dedup", DedupSettings(), Serial())
    assert outcomes(tmp_path / "dedup", other) == outcomes(target, manifest)


def test_a_second_run_makes_nothing_and_damaged_shards_are_made_again(reference: Reference, tmp_path: Path) -> None:
    _, chains, target, _ = reference
    run_dedup(chains, tmp_path, DedupSettings(), Serial())
    again = run_dedup(chains, tmp_path, DedupSettings(), Serial())
    assert again.made == 0
    scratch = sorted(path for path in tmp_path.rglob("*.parquet") if path.parent != tmp_path)
    assert {path.parent.name for path in scratch} == STEPS
    for number, path in enumerate(scratch):
        if number % 3 == 0:
            path.unlink()
        elif number % 3 == 1:
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        else:
            damaged = bytearray(path.read_bytes())
            damaged[len(damaged) // 3] ^= 0x55
            path.write_bytes(bytes(damaged))
    for name in chains:
        (tmp_path / name).unlink()
    run_dedup(chains, tmp_path, DedupSettings(), Serial())
    assert {name: (tmp_path / name).read_bytes() for name in chains} == {
        name: (target / name).read_bytes() for name in chains
    }


STEP_ORDER = ("sign", "urls", "exact", "pairs", "groups", "sets", "settle", "queries", "compare", "losses")
STEPS = set(STEP_ORDER)
STAGES = [
    SignedDocuments, UrlCopies, ExactCopies, CandidatePairs, DocumentGroups,
    ShingleSets, Duplicates, Outcomes,
]  # fmt: skip


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.__name__)
def test_a_sub_step_that_dies_resumes(
    stage: Any, reference: Reference, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, chains, target, _ = reference
    make = stage.make
    calls = itertools.count()

    def dies(self: Any, name: str, sources: Any) -> Any:
        for batch in make(self, name, sources):
            yield batch
            if next(calls) >= 0:
                raise MemoryError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(stage, "make", dies)
        with pytest.raises(StageFailed):
            run_dedup(chains, tmp_path, DedupSettings(), Serial())
    run_dedup(chains, tmp_path, DedupSettings(), Serial())
    assert {name: (tmp_path / name).read_bytes() for name in chains} == {
        name: (target / name).read_bytes() for name in chains
    }


def test_a_large_bucket_is_removed_without_comparing_all_pairs(tmp_path: Path) -> None:
    rng = random.Random(2)
    base = words(rng, 300)
    rows: Rows = []
    for number in range(2000):
        text = [*base, *words(rng, 2)]
        rows.append({"id": f"<{number}>", "text": " ".join(text), "date": None})
    chains = lay(tmp_path, rows, 2)
    manifest = run_dedup(chains, tmp_path / "dedup", DedupSettings(audit=0), Serial())
    assert manifest.kept == 1
    pairs = sum(pq.read_metadata(path).num_rows for path in (tmp_path / "dedup" / "pairs").glob("*.parquet"))
    assert pairs < 14 * 2000 * (2 * near.BUCKET_HEADS + near.ALL_PAIRS // 2)


KEPT = [
    ("longest", "long"),
    ("oldest", "old"),
    ("newest", "new"),
    ({"highest": "score"}, "new"),
    ({"lowest": "score"}, "old"),
    ({"prefer": "license", "order": ["cc0", "cc-by"]}, "long"),
    ({"prefer": "license", "order": ["none", "mit"]}, "old"),
]


@pytest.mark.parametrize(("keep", "kept"), KEPT)
def test_the_setting_keep_says_which_copy_is_kept(keep: object, kept: str, tmp_path: Path) -> None:
    rng = random.Random(4)
    base = words(rng, 200)
    rows: Rows = [
        {"id": "old", "text": " ".join(base), "date": "2019-05-01T00:00:00Z", "score": -2.5, "license": "mit"},
        {"id": "new", "text": " ".join([*base, "x"]), "date": "2023-05-01", "score": 0.5, "license": None},
        {"id": "long", "text": " ".join([*base, "a", "longer", "end"]), "date": None, "license": "cc-by"},
    ]
    manifest = run_dedup(
        lay(tmp_path, rows, 1), tmp_path / "dedup", build(DedupSettings, {"keep": keep}, "dedup"), Serial()
    )
    marks = result(tmp_path / "dedup", manifest)
    assert [name for name, mark in marks.items() if mark["drop"] is None] == [kept]
    assert marks[kept]["minhash_cluster_size"] == 3


@pytest.mark.parametrize(
    "keep", ["longst", "highest:score", {}, {"highest": "a", "lowest": "b"}, {"prefer": "license"}, {"order": ["a"]}]
)
def test_a_rule_for_keep_that_does_not_exist_is_refused(keep: object) -> None:
    with pytest.raises(SettingsError, match=r"dedup.*keep"):
        build(DedupSettings, {"keep": keep}, "dedup")


def test_tables_and_lists_of_toml_say_which_copy_and_which_lines() -> None:
    def of(*pairs: str) -> DedupSettings:
        return build(DedupSettings, parse_pairs(f"dedup.{pair}" for pair in pairs)["dedup"], "dedup")

    settings = of('lines=["newspaper", {characters = 15, times = 10}]', 'keep={prefer = "source", order = ["a", "b"]}')
    assert settings.keep == KeepBy(prefer="source", order=("a", "b"))
    assert [rule.label for rule in settings.line_rules] == ["newspaper", "characters=15 times=10"]
    assert of("lines=newspaper,template").lines == ("newspaper", "template")
    assert of("lines={pages = 10, share = 0.02}").line_rules == (LineRule(pages=10, share=0.02),)
    for bad in ("repeated:15:10", "{characters = 15}", '["template", {times = 1}]'):
        with pytest.raises(SettingsError, match=r"dedup.*lines"):
            of(f"lines={bad}")


def test_the_default_settings_are_recorded_as_before() -> None:
    values = DedupSettings().as_values()
    assert (values["keep"], values["lines"]) == ("longest", [])
    assert build(DedupSettings, with_preset({"preset": "roots"}), "dedup").as_values()["lines"] == [
        "boilerplate",
        "newspaper",
    ]


def test_numbers_rank_in_their_order() -> None:
    values = [-np.inf, -3.5, -1e-300, -0.0, 0.0, 1e-300, 2.0, np.inf]
    batch = pa.RecordBatch.from_pydict({"n": [*values, None]})
    lowest = keep_ranks(batch, KeepBy(lowest="n")).tolist()
    highest = keep_ranks(batch, KeepBy(highest="n")).tolist()
    assert lowest == sorted(lowest)
    assert lowest[3] == lowest[4]
    assert highest[:-1] == sorted(highest[:-1], reverse=True)
    assert highest[-1] == max(highest)


URL_KEYS = [
    ("https://a.org/x/", "http://a.org/x", "exact", True),
    ("https://a.org/x#top", "https://a.org/x", "exact", True),
    ("https://a.org/x?id=1", "https://a.org/x?id=2", "exact", False),
    ("https://a.org/x?id=1", "https://a.org/x?id=2", "page", True),
    ("https://a.org/x/amp", "https://a.org/x", "page", True),
    ("https://a.org/X", "https://a.org/x", "exact", False),
]


@pytest.mark.parametrize(("one", "other", "rule", "equal"), URL_KEYS)
def test_urls_that_count_as_one(one: str, other: str, rule: str, equal: bool) -> None:
    keys = url_keys(pa.array([one, other, None, "books/1.docx"]), rule).to_pylist()
    assert (keys[0] == keys[1]) is equal
    assert keys[2:] == ["", ""]


def test_the_newest_fetch_of_a_url_stays(tmp_path: Path) -> None:
    """It stays even if its text differs. If it is removed as a copy, all fetches name the document it copies."""
    rng = random.Random(4)
    base, other = words(rng, 200), words(rng, 200)
    page = "https://a.org/page"
    rows: Rows = [
        {"id": "first fetch", "text": " ".join([*base, "long", "old"]), "date": "2019-01-01", "url": page},
        {"id": "last fetch", "text": " ".join(other), "date": "2021-01-01", "url": page + "#x"},
        {"id": "elsewhere", "text": " ".join([*other, "and", "more"]), "date": "2020-01-01", "url": "https://b.org/"},
        {"id": "likes the first", "text": " ".join(base), "date": "2020-01-01", "url": None},
        {"id": "without", "text": "no url here at all and nothing like it", "date": None, "url": ""},
    ]
    chains = lay(tmp_path, rows, 2)
    marks = result(tmp_path / "dedup", run_dedup(chains, tmp_path / "dedup", DedupSettings(), Serial()))
    assert marks["first fetch"]["drop"] == "dedup.url"
    assert marks["first fetch"]["duplicate_of"] == marks["last fetch"]["duplicate_of"] == "elsewhere"
    assert marks["first fetch"]["jaccard"] is None
    assert marks["last fetch"]["drop"] == "dedup.near"
    assert marks["likes the first"]["drop"] is None  # a document that is removed for its URL removes nothing
    assert marks["elsewhere"]["minhash_cluster_size"] == 3
    marks = result(tmp_path / "off", run_dedup(chains, tmp_path / "off", DedupSettings(url="none"), Serial()))
    assert marks["first fetch"]["drop"] is None


def test_dedup_of_no_documents(tmp_path: Path) -> None:
    chains = lay(tmp_path, [], 2)
    manifest = run_dedup(chains, tmp_path / "dedup", DedupSettings(), Serial())
    assert (manifest.rows, manifest.kept) == (0, 0)
    assert result(tmp_path / "dedup", manifest) == {}


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ({"jaccard": 0.0}, "jaccard"), ({"keep": "longst"}, "longest"), ({"url": "exat"}, "exact"),
        ({"exact": "root"}, "roots"),
        ({"memory": "lots"}, "512M or 2G"),
        ({"bands": 0}, "bands"), ({"words": 0}, "words"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_used_are_refused(bad: Mapping[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        DedupSettings(**bad)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_run_and_settings_take_precedence(name: str, tmp_path: Path) -> None:
    settings = build(DedupSettings, with_preset({"preset": name, "seed": 5, "audit": 0}), "dedup")
    assert settings.seed == 5
    assert (settings.bands, settings.rows) == (
        PRESETS[name]["bands"],
        PRESETS[name]["rows"],
    )
    manifest = run_dedup(lay(tmp_path, corpus(families=8), 1), tmp_path / "dedup", settings, Serial())
    assert manifest.drops["dedup.exact"] > 0


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(SettingsError, match="fineweb2"):
        with_preset({"preset": "fineweb"})
    assert with_preset({"words": 4}) == {"words": 4}


def test_code_that_differs_in_punctuation_is_no_copy(tmp_path: Path) -> None:
    lines = [f"result = first {sign} second;" for sign in ("+", "-")]
    rows: Rows = [{"id": line, "text": line, "date": None} for line in [*lines, lines[0].replace(" ", "\t\t")]]
    for rule, kept in (("code", 2), ("verified", 1)):
        manifest = run_dedup(
            lay(tmp_path / rule, rows, 1), tmp_path / rule / "dedup", DedupSettings(exact=rule), Serial()
        )
        assert manifest.kept == kept


def test_sizes_of_memory() -> None:
    assert parse_bytes("2G") == parse_bytes("2 GiB") == 2 << 30
    assert parse_bytes("1.5m") == 3 << 19
    assert parse_bytes("7") == 7


def test_too_little_memory_or_disk_is_refused_before_any_work(
    reference: Reference, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chains = reference[1]
    with pytest.raises(SettingsError, match="at least"):
        run_dedup(chains, tmp_path / "dedup", DedupSettings(memory="100M"), Serial())
    monkeypatch.setattr("pipelines.dedup.run.estimate_scratch", lambda *_: 1 << 60)
    with pytest.raises(SettingsError, match="scratch space"):
        run_dedup(chains, tmp_path / "dedup", DedupSettings(), Serial())
    assert not (tmp_path / "dedup").exists()


def test_scratch_stays_below_the_estimate(reference: Reference) -> None:
    _, chains, target, _ = reference
    bytes_of_rows = sum(
        receipt.body_bytes
        for path in target.rglob("*.parquet")
        if path.parent.name in STEP_ORDER[:7] and (receipt := shards.read_receipt(path))
    )
    assert 0 < bytes_of_rows < estimate_scratch(chains, DedupSettings()) + 40_000  # small files have headers


def test_a_manifest_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(ShardError, match=r"manifest\.json"):
        StepShards.of(tmp_path / "manifest.json")


def test_every_sub_step_reports_progress(reference: Reference, tmp_path: Path) -> None:
    seen: dict[str, tuple[int, int]] = {}
    run_dedup(
        reference[1],
        tmp_path,
        DedupSettings(),
        Serial(),
        lambda stage, done, total, _: seen.update({stage: (done, total)}),
    )
    assert [name.removeprefix("dedup.") for name in seen if name != "dedup"] == list(STEP_ORDER)
    assert all(done == total > 0 for done, total in seen.values())


def test_the_report_is_what_brute_force_finds(reference: Reference, tmp_path: Path) -> None:
    rows, chains, target, manifest = reference
    run_dedup(chains, tmp_path, DedupSettings(audit=10**6), Serial())
    report = json.loads((tmp_path / "report.json").read_text("utf-8"))
    marks = result(target, manifest)
    texts = pa.array([row["text"] for row in rows])
    sets = near.shingle_sets(texts, near.Scheme())
    one, other = np.triu_indices(len(rows), 1)
    jaccard = near.jaccards(*sets, one, other)
    assert report["sample"]["pairs"] == (jaccard >= 0.5).sum()
    for interval in report["sample"]["intervals"]:
        inside = (jaccard >= interval["from"]) & ((jaccard < interval["to"]) | (interval["to"] == 1))
        assert interval["pairs"] == inside.sum()
    removed = np.array([marks[row["id"]]["drop"] is not None for row in rows])
    above = jaccard >= 0.8
    resolved = (removed[one] | removed[other])[above]
    assert report["sample"]["recall_above_threshold"]["of"] == above.sum() > 20
    assert report["sample"]["recall_above_threshold"]["recall"] == pytest.approx(resolved.mean(), abs=1e-4)
    assert report["sample"]["precision_of_removals"]["precision"] == 1
    assert report["sample"]["precision_of_removals"]["of"] > 10
    nearest = report["sample"]["nearest_to_threshold"]
    assert nearest
    assert nearest[0]["left"] != nearest[0]["right"]
    sizes = sorted((mark["minhash_cluster_size"] or 0 for mark in marks.values()), reverse=True)
    assert [row["size"] for row in report["largest_clusters"]] == sizes[: len(report["largest_clusters"])]


def test_any_division_of_the_work_gives_the_same_report(
    reference: Reference, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, chains, target, _ = reference
    monkeypatch.setattr("pipelines.dedup.run.plan_memory", lambda *_: MemoryPlan(3, 4, 50, 20_000, 9_000, 5_000))
    run_dedup(chains, tmp_path, DedupSettings(memory="3G"), Serial())
    assert (tmp_path / "report.json").read_bytes() == (target / "report.json").read_bytes()


def test_a_host_that_loses_too_much_is_named_and_is_an_error_with_strict(tmp_path: Path) -> None:
    rng = random.Random(7)
    base = " ".join(words(rng, 100))
    rows: Rows = [
        {"id": f"<{number}>", "text": base, "date": None, "url": f"https://me@copies.org:80/{number}"}
        for number in range(120)
    ]
    rows += [
        {"id": f"<own {number}>", "text": " ".join(words(rng, 50)), "date": None, "url": f"https://own.org/{number}"}
        for number in range(120)
    ]
    chains = lay(tmp_path, rows, 2)
    run_dedup(chains, tmp_path / "dedup", DedupSettings(), Serial())
    report = json.loads((tmp_path / "dedup" / "report.json").read_text("utf-8"))
    assert report["alarms"] == [{"source": "copies.org", "rows": 120, "lost": 119}]
    with pytest.raises(LossError, match=r"copies\.org: 119 of 120"):
        run_dedup(chains, tmp_path / "dedup", DedupSettings(strict=True), Serial())


def test_differing_passages_are_cut_between_graphemes() -> None:
    left, right = differing_passages("क" * 60 + "कि" + "x" * 200, "क" * 60 + "की" + "x" * 200)
    assert left.startswith("क")
    assert "ि" in left
    assert "ी" in right


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_new_documents_are_compared_with_a_release_that_does_not_change(kind: str, tmp_path: Path) -> None:
    rng = random.Random(12)
    base, other = words(rng, 200), words(rng, 100)
    released = pa.table(
        {
            "id": ["r1", "r1 again", "r2", "r3"],
            "text": [" ".join(base), " ".join(base), " ".join([*base, "x"]), " ".join(other)],
            "url": [None, None, "https://a.org/page", None],
            "date": ["2019-01-01"] * 4,
        }
    )
    file = tmp_path / f"train-00000.{kind}"
    if kind == "parquet":
        pq.write_table(released, file)
    else:
        with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_stream(sink, released.schema) as writer:
            writer.write_table(released)
    rows: Rows = [
        {"id": "near", "text": " ".join([*base, "much", "longer", "than", "it"]), "date": "2024-01-01"},
        {"id": "copy", "text": " ".join(other), "date": "2024-01-01"},
        {"id": "same page", "text": " ".join(words(rng, 50)), "date": "2024-01-01", "url": "https://a.org/page"},
        {"id": "fresh", "text": " ".join(words(rng, 60)), "date": "2024-01-01"},
    ]
    chains = lay(tmp_path, rows, 2)
    against = {"train-00000": [file]}
    manifest = run_dedup(chains, tmp_path / "dedup", DedupSettings(keep="newest"), Serial(), against=against)
    marks = result(tmp_path / "dedup", manifest)
    assert set(marks) == {row["id"] for row in rows}
    assert marks["near"]["duplicate_of"] in ("r1", "r1 again", "r2")
    assert (marks["copy"]["drop"], marks["copy"]["duplicate_of"]) == ("dedup.exact", "r3")
    assert (marks["same page"]["drop"], marks["same page"]["duplicate_of"]) == ("dedup.url", "r2")
    assert marks["fresh"]["drop"] is None
    assert not list((tmp_path / "dedup").glob("released*"))
    alone = run_dedup(chains, tmp_path / "alone", DedupSettings(keep="newest"), Serial())
    assert alone.kept == 4
