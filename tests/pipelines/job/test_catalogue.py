"""A run that reads a catalogue: each source has its own chain, and is known to the end."""

import json
from pathlib import Path

import pyarrow as pa
import pytest
from click.testing import CliRunner, Result

from pipelines.cli.main import main
from pipelines.dataset import SourceAccount, read_dataset
from pipelines.release import read_parquet
from pipelines.workbench.sources import sources_of
from roots import shards
from tests.support.sources import french, write_sources
from tests.support.tables import jsonl

SOURCES = 18
STAGES = ("index", "fr/extract", "fr/measure", "fr/filter", "fr/dedup", "fr/redact")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, [*arguments, "--executor", "serial", "--quiet"], catch_exceptions=False)


def rows(folder: Path, *columns: str) -> list[dict[str, object]]:
    found = (batch for path in sorted(folder.glob("*.parquet")) for batch in shards.read(path, list(columns)))
    return [row for batch in found for row in batch.to_pylist()]


def dataset(work: Path) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for path in sorted((work / "fr" / "shards").glob("*/*.arrow")):
        with pa.memory_map(str(path)) as source:
            found += pa.ipc.open_stream(source).read_all().to_pylist()
    return found


def receipts(work: Path) -> dict[str, str]:
    """Fingerprint of each shard of each stage."""
    return {
        f"{stage}/{name}": receipt["fingerprint"]
        for stage in STAGES
        for name, receipt in json.loads((work / stage / "manifest.json").read_text())["shards"].items()
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, str]:
    """The catalogue, the work folder and what the command said."""
    folder = tmp_path_factory.mktemp("catalogue")
    catalogue = write_sources(folder / "c", SOURCES, 5)
    result = run("run", str(folder / "work"), "--catalogue", str(catalogue), "--lang", "fr")
    assert result.exit_code == 0, result.output
    return catalogue, folder / "work", result.output


def account(work: Path) -> dict[str, SourceAccount]:
    return read_dataset(work, "fr")["sources"]


def test_each_document_says_its_source_and_licence(made: tuple[Path, Path, str]) -> None:
    found = dataset(made[1])
    ids = [str(row["id"]) for row in rows(made[1] / "index", "id")]
    assert len(set(ids)) == len(ids) == 5 * (SOURCES - 2)  # two are killed
    assert {row["license"] for row in found} == {"CC-BY-4.0"}
    assert {row["source"] for row in found} >= {
        "warc-000",
        "wet-001",
        "jsonl-002",
        "csv-004",
        "documents-006",
        "saved-007",
    }
    assert {name.partition("__")[0] for name in json.loads((made[1] / "inputs.json").read_text())} == {
        name for name, each in account(made[1]).items() if not each["kill"]
    }
    assert CliRunner().invoke(main, ["verify", str(made[1])]).exit_code == 0


def test_a_killed_source_stays_in_the_books_with_its_reason(made: tuple[Path, Path, str]) -> None:
    _, work, said = made
    assert account(work)["warc-008"]["kill"] == "broken sentences"
    assert account(work)["warc-008"]["steps"] == {}
    assert "warc-008                killed: broken sentences" in said
    assert "warc-008                killed: broken sentences" in CliRunner().invoke(main, ["status", str(work)]).output


def test_a_source_of_other_languages_is_not_extracted(made: tuple[Path, Path, str]) -> None:
    drops = account(made[1])["text-005"]["steps"]["extract"]["drops"]
    assert drops == {"extract.foreign_source": 5}


def test_each_source_has_its_own_bounds_and_least_size(made: tuple[Path, Path, str]) -> None:
    found = {name: each["steps"]["filter"]["drops"] for name, each in account(made[1]).items() if not each["kill"]}
    assert found["jsonl-002"] == {"filter.words": 1}  # the last document of each source is short
    assert found["jsonl-010"] == {}  # it leaves out the filter, and wants 10 bytes
    assert found["documents-006"] == {"filter.words": 1}
    rules = json.loads((made[1] / "fr/filter/manifest.json").read_text())
    own = {rule["signal"]: rule["min"] for rule in rules["apart"]["documents-006"]["rules"]}
    assert own["bytes"] == 1024
    assert "function_words" not in own
    assert {rule["signal"]: rule["min"] for rule in rules["apart"]["jsonl-010"]["rules"]} == {"bytes": 10}


def test_the_account_has_the_bytes_that_each_step_left(made: tuple[Path, Path, str]) -> None:
    texts = {row["id"]: len(str(row["text"] or "").encode()) for row in rows(made[1] / "fr/extract", "id", "text")}
    sources = {row["id"]: row["source"] for row in rows(made[1] / "index", "id", "source")}
    kept = [row["id"] for row in rows(made[1] / "fr/dedup", "id", "drop") if row["drop"] is None]
    for name, each in account(made[1]).items():
        mine = [id_ for id_ in kept if sources[id_] == name]
        if steps := each["steps"]:
            assert (steps["dedup"]["kept"], steps["redact"]["kept"]) == (len(mine), len(mine))
            assert steps["dedup"]["bytes"] == sum(texts[id_] for id_ in mine)
            order = [steps[stage] for stage in ("index", "extract", "filter", "dedup", "redact")]
            assert [step["kept"] for step in order] == [*(step["rows"] for step in order[1:]), len(mine)]


def test_files_of_the_same_name_in_two_sources_are_two_documents(made: tuple[Path, Path, str]) -> None:
    steps = {name: each["steps"] for name, each in account(made[1]).items()}
    assert steps["documents-006"]["dedup"]["kept"] == steps["documents-014"]["dedup"]["kept"] == 3


def test_why_names_the_source(made: tuple[Path, Path, str]) -> None:
    said = CliRunner().invoke(main, ["why", "https://s2.example/1", "--work", str(made[1])]).output
    assert "source jsonl-002, licence CC-BY-4.0" in said
    (own,) = [row["id"] for row in rows(made[1] / "index", "id", "url") if row["url"] == "documents-006/books/1.docx"]
    assert "(at least 1024)" in CliRunner().invoke(main, ["why", str(own), "--work", str(made[1])]).output


def test_a_changed_entry_makes_only_its_own_shards_again(made: tuple[Path, Path, str]) -> None:
    catalogue, work, _ = made
    before, text = receipts(work), catalogue.read_text()
    catalogue.write_text(text.replace('name = "csv-004"', 'name = "csv-004"\nmin_bytes = 9999'))
    try:
        assert run("run", str(work), "--catalogue", str(catalogue), "--lang", "fr").exit_code == 0
        after = receipts(work)
        other = sorted(name for name in before if before[name] != after[name])
        assert [name for name in other if "dedup" not in name and "redact" not in name] == [
            "fr/filter/csv-004__a.csv.parquet"
        ]
        assert account(work)["csv-004"]["steps"]["filter"]["drops"] == {"filter.bytes": 4, "filter.words": 1}
        assert CliRunner().invoke(main, ["verify", str(work)]).output.endswith("every checksum is right\n")
        catalogue.write_text(text)
        assert run("filter", str(work), "--lang", "fr").exit_code == 0  # by what the work folder remembers
        assert receipts(work) == after
    finally:
        catalogue.write_text(text)
        assert run("run", str(work), "--catalogue", str(catalogue), "--lang", "fr").exit_code == 0
    assert receipts(work) == before


def test_the_workbench_shows_each_source_with_examples(made: tuple[Path, Path, str], tmp_path: Path) -> None:
    found = {str(each["name"]): each for each in sources_of(made[1], "fr", 100, True)}
    assert list(found) == list(account(made[1]))
    assert found["warc-008"]["kill"] == "broken sentences"
    assert found["csv-004"]["steps"] == account(made[1])["csv-004"]["steps"]
    examples = {each["reason"].partition(":")[0]: each for each in found["csv-004"]["examples"]}
    assert examples["filter.words"]["before"] == "Le pont est loin de la ville."
    assert examples["dedup.near"]["after"] == ""
    assert all(len(each["before"]) <= 100 for source in found.values() for each in source["examples"])
    page = tmp_path / "page.html"
    assert CliRunner().invoke(main, ["report", str(made[1]), "--lang", "fr", "--to", str(page)]).exit_code == 0
    assert "broken sentences" in page.read_text()


def test_why_says_that_the_source_of_a_document_was_killed_since(made: tuple[Path, Path, str]) -> None:
    catalogue, work, _ = made
    text = catalogue.read_text()
    catalogue.write_text(text.replace('name = "csv-004"', 'name = "csv-004"\nkill = "bad scans"'))
    try:
        assert run("index", str(work), "--catalogue", str(catalogue)).exit_code == 0
        said = CliRunner().invoke(main, ["why", "https://s4.example/1", "--work", str(work)]).output
        assert "is in the source csv-004, which the catalogue kills: bad scans" in said
    finally:
        catalogue.write_text(text)
        assert run("index", str(work), "--catalogue", str(catalogue)).exit_code == 0


def test_a_source_is_taken_down_by_its_name(made: tuple[Path, Path, str], tmp_path: Path) -> None:
    folder, work = tmp_path / "release", made[1]
    given = ["--set", "publish.contact=a@example.org", "--set", "publish.date=2026-01-01"]
    assert run("publish", str(work), "--to", str(folder), *given).exit_code == 0
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["sources"]["warc-008"]["kill"] == "broken sentences"
    card = (folder / "README.md").read_text()
    assert "| warc-008 | broken sentences |" in card
    assert "10 sources have settings of their own" in card
    assert manifest["sources"]["csv-004"]["path"] == []  # places of the maker's disk are nobody's business
    released = set(manifest["languages"]["fra_Latn"]["sources"])
    assert "csv-004" in released
    (tmp_path / "list.txt").write_text("source:csv-004\n")
    signed = ["--set", "takedown.signed_off_by=me", "--set", "takedown.date=2026-02-02"]
    done = CliRunner().invoke(main, ["takedown", str(folder), "--list", str(tmp_path / "list.txt"), *signed])
    assert done.exit_code == 0, done.output
    left = [
        row
        for path in sorted(folder.glob("data/*/*.parquet"))
        for batch in read_parquet(path)
        for row in batch.to_pylist()
    ]
    assert left
    assert "csv-004" not in {row["source"] for row in left}
    copies = [
        row for path in folder.glob("clusters/*.parquet") for batch in read_parquet(path) for row in batch.to_pylist()
    ]
    assert "csv-004" not in {row["source"] for row in copies}


def test_a_source_has_its_own_lines_and_copies_and_its_language_is_believed(tmp_path: Path) -> None:
    menu = "Accueil et menu de la page"
    texts = [f"{menu}\n{french([1, number])}" for number in range(3)] * 2
    for name in "abc":
        (tmp_path / f"{name}.jsonl").write_bytes(jsonl([{"text": text + f"\n{name}."} for text in texts]))
    (tmp_path / "d.jsonl").write_bytes(
        jsonl([{"text": f"Das ist eine Seite über das Meer, Nummer {n}."} for n in (1, 2)])
    )
    (tmp_path / "sources.toml").write_text(
        '[[source]]\nname = "a"\npath = "a.jsonl"\nlines = [{characters = 10, times = 3}]\n'
        '[[source]]\nname = "b"\npath = "b.jsonl"\nlines = []\n'
        '[[source]]\nname = "c"\npath = "c.jsonl"\nleave_out = ["dedup"]\n'
        '[[source]]\nname = "d"\npath = "d.jsonl"\nlanguages = ["fr"]\nleave_out = ["language", "filter"]\n'
    )
    given = ["--catalogue", str(tmp_path / "sources.toml"), "--lang", "fr", "--set", "dedup.scope=source"]
    result = run("run", str(tmp_path / "work"), *given, "--set", "dedup.lines=[{characters = 10, times = 6}]")
    assert result.exit_code == 0, result.output
    found: dict[str, list[str]] = {}
    for row in dataset(tmp_path / "work"):
        found.setdefault(str(row["source"]), []).append(str(row["text"]))
    assert {name: len(each) for name, each in found.items()} == {"a": 3, "b": 3, "c": 6, "d": 2}
    menus = {name: sum(menu in text for text in each) for name, each in found.items()}
    assert menus == {"a": 1, "b": 3, "c": 1, "d": 0}  # the first copy of a line stays
    assert {row["language"] for row in dataset(tmp_path / "work")} == {"fra"}


def test_the_workbench_shows_what_steps_dropped_and_replaced(tmp_path: Path) -> None:
    text = french([3, 0])
    (tmp_path / "a.jsonl").write_bytes(
        jsonl([{"text": f"{text[:200]}\nDer Mond scheint hell über dem alten Dorf am See."}])
    )
    (tmp_path / "b.jsonl").write_bytes(jsonl([{"text": f"Écrivez à jean.dupont@press.example.\n{text}"}]))
    (tmp_path / "sources.toml").write_text(
        '[[source]]\nname = "a"\npath = "a.jsonl"\nsettings.extract.language_score = 1\n'
        '[[source]]\nname = "b"\npath = "b.jsonl"\n'
    )
    work, given = tmp_path / "work", ["--catalogue", str(tmp_path / "sources.toml"), "--lang", "fr"]
    assert run("run", str(work), *given).exit_code == 0
    found = [each for source in sources_of(work, "fr", 60, True) for each in source["examples"]]
    assert [(each["step"], each["reason"]) for each in found] == [
        ("extract", "extract.language"),
        ("redact", "redact: email"),
    ]
    assert text.startswith(found[0]["before"])
    assert found[1]["after"].startswith("Écrivez à PI:EMAIL.")
    assert "jean" not in str(found)
    assert "jean" in str(sources_of(work, "fr", 60, False))


def test_a_source_says_its_form_and_columns(tmp_path: Path) -> None:
    (tmp_path / "a,b.dat").write_text(f'number,body\n1,"{french([4, 0])}"\n2,"{french([4, 1])}"\n')
    (tmp_path / "sources.toml").write_text(
        '[[source]]\nname = "a"\npath = "a,b.dat"\nform = "csv"\nfield = {text = "body", id = "number"}\n'
    )
    work = tmp_path / "work"
    assert run("index", str(work), "--catalogue", str(tmp_path / "sources.toml")).exit_code == 0
    found = rows(work / "index", "id", "kind", "drop", "source", "license")
    assert [(row["id"], row["kind"], row["drop"], row["license"]) for row in found] == [
        ("a:a,b.dat:1", "row", None, None),
        ("a:a,b.dat:2", "row", None, None),
    ]


def test_bounds_of_a_source_of_text_are_none_of_programs(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.py").write_text("def twice(number):\n    return 2 * number\n" * 9)
    (tmp_path / "a.jsonl").write_bytes(jsonl([{"text": french([2, number])} for number in range(3)]))
    (tmp_path / "sources.toml").write_text(
        '[[source]]\nname = "text"\npath = "a.jsonl"\nlanguages = ["fr"]\nbounds.words = {min = 1000}\n'
        '[[source]]\nname = "code"\npath = "src"\nlanguages = ["python"]\nleave_out = ["filter"]\n'
    )
    work = tmp_path / "work"
    result = run("run", str(work), "--catalogue", str(tmp_path / "sources.toml"), "--lang", "fr python")
    assert result.exit_code == 0, result.output
    steps = {name: each["steps"] for name, each in read_dataset(work, "python")["sources"].items()}
    assert steps["code"]["redact"]["kept"] == 1
    assert steps["text"]["extract"]["drops"] == {"extract.foreign_source": 3}
    assert read_dataset(work, "fr")["sources"]["text"]["steps"]["filter"]["drops"] == {"filter.words": 3}


ENTRY = '[[source]]\nname = "press"\npath = "a.txt"\n'
BROKEN = [
    (ENTRY + "min_byte = 3\n", "press: unknown setting 'min_byte'. Did you mean 'min_bytes'"),
    (ENTRY + 'min_bytes = "many"\n', "press.min_bytes = 'many' is not a whole number"),
    (ENTRY + ENTRY, "two sources have the name 'press'"),
    (ENTRY.replace("a.txt", "b.txt"), "source press of the catalogue: no file matches"),
    (ENTRY + "\n" + ENTRY.replace("press", "other"), "is in the source other, too: a file belongs to one source"),
    (ENTRY + "bounds.word = {min = 3}\n", "source press of the catalogue: unknown signal 'word'. Did you mean 'words'"),
    (ENTRY + 'leave_out = ["redact"]\n', "press: unknown step to leave out 'redact'"),
    (ENTRY + 'lines = ["templates"]\n', "press: unknown rule for lines 'templates'. Did you mean 'template'"),
    (ENTRY + 'leave_out = ["language"]\n', "press: to leave out language, name the one language"),
    (ENTRY + 'languages = ["frr-x"]\n', "source press of the catalogue: "),
    (ENTRY + "settings.dedup.words = 3\n", "press: unknown group of settings of a source 'dedup'"),
    (ENTRY + "settings.filter.word = 3\n", "source press of the catalogue: filter: unknown setting 'word'"),
    (ENTRY + 'form = "excel"\n', "source press of the catalogue: unknown form of a table 'excel'"),
    (ENTRY + 'field.txt = "body"\n', "press: unknown field 'txt'. Did you mean 'text'"),
    (ENTRY.replace("press", "a__b"), "'a__b' names a source: use letters, digits"),
    ('[[source]]\npath = "a.txt"\n', "entry 1"),
    ('[[source]]\nname = "press"\n', "press: name a path, addresses or files"),
    ('source = "a.txt"\n', "write each source as a table [[source]]"),
    ("", "has no source"),
]


@pytest.mark.parametrize(("text", "said"), BROKEN, ids=[said for _, said in BROKEN])
def test_a_broken_catalogue_is_refused_before_any_work(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Un texte.")
    (tmp_path / "sources.toml").write_text(text)
    result = run("run", str(tmp_path / "work"), "--catalogue", str(tmp_path / "sources.toml"), "--lang", "fr")
    assert result.exit_code == 2, result.output
    assert said in result.output
    assert not (tmp_path / "work").exists()
