"""The final shards: every kept document once, split by id, balanced by bytes, loadable by `datasets`."""

import math
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest

from pipelines.job.settings import ShardSettings
from pipelines.shard import SPLITS, in_validation, run_shard
from roots import shards
from roots.errors import SettingsError
from roots.executors import Serial
from roots.schema import DEDUP, EXTRACT, INDEX, REDACT, VERDICT
from roots.settings import build, parse_pairs


def fill(schema: pa.Schema, rows: list[dict[str, object]]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(rows, schema)


@pytest.fixture
def chains(tmp_path: Path) -> dict[str, list[Path]]:
    """Three archives of 400 documents each; every fourth is dropped by dedup, before redact."""
    made: dict[str, list[Path]] = {}
    for archive in ("a", "b", "c"):
        ids = [f"<urn:{archive}:{n}>" for n in range(400)]
        kept = [n for n in range(400) if n % 4]
        stages = {
            "index": (
                INDEX,
                [
                    {"id": ids[n], "url": f"https://{archive}/{n}", "file_path": archive, "offset": n}
                    for n in range(400)
                ],
            ),
            "extract": (EXTRACT, [{"id": ids[n], "text": "secret", "language": "fra"} for n in range(400)]),
            "filter": (VERDICT, [{"id": ids[n]} for n in range(400)]),
            "dedup": (DEDUP, [{"id": ids[n], "drop": None if n % 4 else "dedup.exact"} for n in range(400)]),
            "redact": (
                REDACT,
                [
                    {"id": ids[n], "text": f"texte {n} " * (1 + n % 7), "url": f"https://{archive}/{n}", "pii": []}
                    for n in kept
                ],
            ),
        }
        for stage, (schema, rows) in stages.items():
            path = tmp_path / stage / f"{archive}.parquet"
            path.parent.mkdir(exist_ok=True)
            shards.write(path, schema, [fill(schema, rows)], stage, 1, "f")
            made.setdefault(f"{archive}.parquet", []).append(path)
    return made


def texts_of(target: Path, split: str) -> list[str]:
    return [
        row["text"]
        for path in sorted((target / split).glob("*.arrow"))
        for batch in shards.read_stream(path)
        for row in batch.to_pylist()
    ]


def test_every_kept_document_is_in_exactly_one_shard(chains: dict[str, list[Path]], tmp_path: Path) -> None:
    manifest = run_shard(chains, tmp_path / "shards", ShardSettings(shard_bytes=5000), Serial())
    rows = [row for split in SPLITS for path in sorted((tmp_path / "shards" / split).glob("*.arrow"))
            for batch in shards.read_stream(path) for row in batch.to_pylist()]  # fmt: skip
    assert manifest.kept == len(rows) == 900
    assert len({row["id"] for row in rows}) == 900
    assert all(row["text"].startswith("texte") for row in rows)
    assert {row["url"] for row in rows} == {f"https://{a}/{n}" for a in "abc" for n in range(400) if n % 4}


def test_shards_are_balanced_by_bytes_and_checked(chains: dict[str, list[Path]], tmp_path: Path) -> None:
    manifest = run_shard(chains, tmp_path / "shards", ShardSettings(shard_bytes=5000), Serial())
    train = [receipt.text_bytes for name, receipt in manifest.shards.items() if name.startswith("train/")]
    assert len(train) > 4
    assert max(train) < 1.15 * min(train)
    for name, receipt in manifest.shards.items():
        assert shards.check(tmp_path / "shards" / name) == receipt


def test_the_split_depends_on_the_id_alone(chains: dict[str, list[Path]], tmp_path: Path) -> None:
    run_shard(chains, tmp_path / "one", ShardSettings(), Serial())
    chains.pop("a.parquet")
    run_shard(chains, tmp_path / "two", ShardSettings(), Serial())
    assert set(texts_of(tmp_path / "two", "validation")) <= set(texts_of(tmp_path / "one", "validation"))
    ids = pa.array([f"<urn:x:{n}>" for n in range(20000)])
    assert 0.045 < in_validation(ids, ShardSettings()).mean() < 0.055
    assert in_validation(ids, ShardSettings(validation_share=0.0)).sum() == 0


def test_another_shard_size_removes_the_old_shards(chains: dict[str, list[Path]], tmp_path: Path) -> None:
    run_shard(chains, tmp_path / "shards", ShardSettings(shard_bytes=5000), Serial())
    run_shard(chains, tmp_path / "shards", ShardSettings(), Serial())
    assert [p.name for p in sorted((tmp_path / "shards").glob("*/*.arrow"))] == ["data-00000-of-00001.arrow"] * 2


def test_datasets_loads_them_both_ways(chains: dict[str, list[Path]], tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="the extra [datasets] is not installed")
    run_shard(chains, tmp_path / "shards", ShardSettings(shard_bytes=5000), Serial())
    from_disk = datasets.load_from_disk(str(tmp_path / "shards"))
    files = {split: str(tmp_path / "shards" / split / "*.arrow") for split in SPLITS}
    loaded = datasets.load_dataset("arrow", data_files=files, cache_dir=str(tmp_path / "cache"))
    for split in SPLITS:
        assert from_disk[split]["text"][:] == loaded[split]["text"][:] == texts_of(tmp_path / "shards", split)
    assert from_disk["train"].num_rows + from_disk["validation"].num_rows == 900


def test_a_truncated_shard_is_found(chains: dict[str, list[Path]], tmp_path: Path) -> None:
    run_shard(chains, tmp_path / "shards", ShardSettings(), Serial())
    path = tmp_path / "shards" / "train" / "data-00000-of-00001.arrow"
    path.write_bytes(path.read_bytes()[:-50])
    assert shards.read_receipt(path) is None
    with pytest.raises(shards.ShardError, match="cut short"):
        shards.check(path)


def test_without_kept_documents_the_dataset_is_empty(chains: dict[str, list[Path]], tmp_path: Path) -> None:
    for chain in chains.values():
        shards.write(
            chain[-2],
            DEDUP,
            [fill(DEDUP, [{"id": f"{n}", "drop": "dedup.exact"} for n in range(400)])],
            "dedup",
            1,
            "f",
        )
        shards.write(chain[-1], REDACT, [], "redact", 1, "f")  # fmt: skip
    manifest = run_shard(chains, tmp_path / "shards", ShardSettings(), Serial())
    assert manifest.rows == 0
    assert texts_of(tmp_path / "shards", "train") == []


SIZES = (1, 2, 6, 150)  # of the cluster of document n: SIZES[n % 4]; that of 1 is dropped before


@pytest.mark.parametrize(
    ("rehydrate", "wanted"),
    [((), {2: 1.0, 6: 1.0, 150: 1.0}), (((2, 3.0), (5, 2.5), (100, 1.0)), {2: 3.0, 6: 2.5, 150: 1.0})],
)
def test_documents_with_many_copies_are_repeated_as_set(
    rehydrate: tuple[tuple[int, float], ...], wanted: dict[int, float], chains: dict[str, list[Path]], tmp_path: Path
) -> None:
    """FineWeb-2's rehydration: by the size of a document's cluster, independent of the number of shards."""
    for chain in chains.values():
        (path,) = [path for path in chain if path.parent.name == "dedup"]
        rows = [row for batch in shards.read(path) for row in batch.to_pylist()]
        rows = [{**row, "minhash_cluster_size": SIZES[n % 4] if n % 4 else None} for n, row in enumerate(rows)]
        shards.write(path, DEDUP, [pa.RecordBatch.from_pylist(rows, DEDUP)], "dedup", 1, "f")
    found = []
    for shard_bytes in (4000, 10**9):
        target = tmp_path / str(shard_bytes)
        run_shard(chains, target, ShardSettings(shard_bytes=shard_bytes, rehydrate=rehydrate), Serial())
        rows = [row for path in sorted(target.glob("*/*.arrow"))
                for batch in shards.read_stream(path) for row in batch.to_pylist()]  # fmt: skip
        found.append(sorted((row["id"], row["minhash_cluster_size"]) for row in rows))
    assert found[0] == found[1]
    for size, times in wanted.items():
        each = Counter(id_ for id_, other in found[0] if other == size)
        assert len(each) == 300
        assert each.total() / 300 == pytest.approx(times, abs=0.1)
        assert set(each.values()) == {math.floor(times), math.ceil(times)}


@pytest.mark.parametrize("bad", ["2:2", "[2]", "[2, 2]", "[[1, 2]]", "[[2, 0.5]]", "[[2, 1000]]", "[['x', 2]]"])
def test_a_wrong_rehydration_is_refused_by_name(bad: str) -> None:
    with pytest.raises(SettingsError, match="rehydrate"):
        build(ShardSettings, parse_pairs([f"shard.rehydrate={bad}"])["shard"], "shard")


def test_rehydration_is_written_as_pairs_of_size_and_times() -> None:
    built = build(ShardSettings, parse_pairs(["shard.rehydrate=[[5, 2.5], [2, 3]]"])["shard"], "shard")
    assert built.weights == [(2, 3.0), (5, 2.5)]
