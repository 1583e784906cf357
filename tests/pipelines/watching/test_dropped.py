"""dropped: what a run dropped, drawn for a person to read."""

import re
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipelines.cli.main import main
from pipelines.watching.dropped import list_dropped
from roots import shards
from tests.support.killing import CRAWL


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first archive of the example crawl, for French."""
    target = tmp_path_factory.mktemp("work")
    options = ["--input", str(CRAWL / "example-2024-00000.warc.gz"), "--lang", "fr", "--executor", "serial", "--quiet"]
    assert CliRunner().invoke(main, ["run", str(target), *options]).exit_code == 0
    return target


def ask(work: Path, *options: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["dropped", str(work), *options])
    return result.exit_code, result.output


def shown(lines: str) -> list[str]:
    return re.findall(r"<(urn:[^>]+)>$", lines, re.MULTILINE)


def test_every_dropped_row_is_counted_and_shown_once(work: Path) -> None:
    drops = Counter[str]()
    for path in [*(work / "index").glob("*.parquet"), *(work / "fr").glob("*/*.parquet")]:
        drops.update(row["drop"] for batch in shards.read(path, ["drop"]) for row in batch.to_pylist() if row["drop"])
    _, printed = ask(work, "--lang", "fr", "--limit", "0")
    counts = {name: int(count) for count, name in re.findall(r"^ +(\d+)  (\S+)$", printed, re.MULTILINE)}
    assert counts == drops
    assert len(shown(printed)) == len(set(shown(printed))) == sum(drops.values())


def test_a_document_is_shown_with_its_numbers_beside_the_bounds_and_its_first_words(work: Path) -> None:
    _, printed = ask(work, "--reason", "filter.words")
    assert re.search(r"words +3  \(20 to 100000\)\n.*\n.*\n    the text begins: Brouillon", printed)
    assert "stop_word" not in printed  # within its bounds
    assert not re.search("index|extract|dedup", printed.partition("\n\n")[0])


def test_a_page_whose_main_text_was_not_taken_shows_the_languages_of_its_quick_text(work: Path) -> None:
    (block, *_) = ask(work, "--reason", "extract", "--limit", "1")[1].split("\n\n")[1:]
    assert "languages of the quick text" in block


def test_some_documents_are_drawn_evenly_and_the_same_in_each_call(work: Path) -> None:
    every = list(list_dropped(work, "fr", limit=0))
    few = list(list_dropped(work, "fr", limit=5))
    assert few == list(list_dropped(work, "fr", limit=5))
    assert len(shown("\n".join(few))) == 5
    assert "  5 of them, drawn evenly (--limit 0 for all):" in few
    assert set(shown("\n".join(few))) < set(shown("\n".join(every)))
    first = shown("\n".join(every))[:5]
    assert set(shown("\n".join(few))) != set(first)  # no mere beginning of the list


@pytest.mark.parametrize(
    ("options", "said"),
    [(("--reason", "filter.wrds"), "Did you mean 'filter.words'?"), (("--lang", "xq"), "xq")],
)
def test_what_matches_nothing_is_an_error(work: Path, options: tuple[str, ...], said: str) -> None:
    code, printed = ask(work, *options)
    assert code == 2
    assert said in printed


def test_a_folder_without_a_run_is_an_error(tmp_path: Path) -> None:
    code, printed = ask(tmp_path)
    assert code == 2
    assert "run `roots run" in printed
