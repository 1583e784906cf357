"""decontaminate: texts of evaluation sets in a corpus, whole or slightly changed."""

import json
import random
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipelines.cli.main import main
from pipelines.fingerprints.decontaminate import SetReport, find_evaluation_leaks
from roots.errors import InputError
from roots.executors import Serial, make_executor
from tests.pipelines.fingerprints.test_find import ALPHABETS, DENSE, lay, words


def items(code: str, number: int = 6) -> list[str]:
    rng = random.Random(f"items {code}")
    return [words(rng, code, 40 if code in DENSE else 110) for _ in range(number)]


def write(folder: Path, name: str, texts: list[str]) -> Path:
    path = folder / name
    path.write_text("".join(json.dumps({"question": text, "label": 1}) + "\n" for text in texts), encoding="utf-8")
    return path


def changed(text: str, code: str) -> str:
    """One word of twelve is another, or one letter of eighteen."""
    if code in DENSE:
        return "".join(text[0] if at % 18 == 9 else sign for at, sign in enumerate(text))
    return " ".join("kkkkk" if at % 12 == 5 else word for at, word in enumerate(text.split(" ")))


def corpus(folder: Path, code: str, planted: list[str]) -> Path:
    rng = random.Random(f"corpus {code}")
    texts = [words(rng, code, 300) for _ in range(20)]
    return lay(
        folder, {code: [*texts, *(f"{words(rng, code, 200)} {text} {words(rng, code, 200)}" for text in planted)]}
    )


def found(reports: list[SetReport]) -> list[str]:
    return [str(each["text"]) for report in reports for each in report.found]


@pytest.mark.parametrize("code", ALPHABETS)
def test_an_item_is_found_whole_in_other_signs_and_with_changed_words(tmp_path: Path, code: str) -> None:
    one, two, three, *absent = items(code)
    work = corpus(tmp_path / "work", code, [one, two.upper().replace(" ", ", "), changed(three, code)])
    path = write(tmp_path, "set.jsonl", [one, two, three, *absent])
    (report,) = find_evaluation_leaks(work, [path], Serial())
    assert (report.records, report.items, report.too_short) == (6, 6, 0)
    assert found([report]) == [one, two, three]
    first = report.found[0]
    assert (first["record"], first["field"], first["similarity"]) == (0, "question", 1.0)
    assert first["held_as"] == "inside a longer text"
    assert first["documents"][0]["passage"].strip() == one.strip()


def test_texts_that_are_too_short_are_counted_and_never_called_clean(tmp_path: Path) -> None:
    work = corpus(tmp_path / "work", "en", ["yes it is"])
    path = write(tmp_path, "set.jsonl", ["yes it is", items("en")[0]])
    (report,) = find_evaluation_leaks(work, [path], Serial())
    assert (report.items, report.too_short, report.found) == (2, 1, ())


def test_an_item_that_is_a_document_and_one_that_many_hosts_hold_are_told_apart(tmp_path: Path) -> None:
    alone, common, _, *_ = items("en")
    rng = random.Random(3)
    texts = {code: [f"{words(rng, 'en', 300)} {common}"] for code in ("en", "fr", "sw", "id", "es")}
    texts["en"].append(alone)
    path = write(tmp_path, "set.jsonl", [alone, common])
    (report,) = find_evaluation_leaks(lay(tmp_path / "work", texts), [path], Serial())
    assert [(each["held_as"], each["hosts"]) for each in report.found] == [("item", 1), ("common text", 5)]


def test_a_sentence_that_only_begins_alike_is_no_item(tmp_path: Path) -> None:
    item = items("en")[0]
    work = corpus(tmp_path / "work", "en", [item[: len(item) // 2]])
    (report,) = find_evaluation_leaks(work, [write(tmp_path, "set.jsonl", [item])], Serial())
    assert not report.found


def test_a_changed_set_or_corpus_is_searched_again_and_nothing_else(tmp_path: Path) -> None:
    one, two, *_ = items("en")
    work = corpus(tmp_path / "work", "en", [one, two])
    path = write(tmp_path, "set.jsonl", [one])
    assert found(find_evaluation_leaks(work, [path], Serial())) == [one]
    (shard,) = (work / "en" / "leaks").glob("train/*.parquet")
    made = shard.stat().st_mtime_ns
    find_evaluation_leaks(work, [path], make_executor("local", 2))
    assert shard.stat().st_mtime_ns == made
    assert found(find_evaluation_leaks(work, [write(tmp_path, "set.jsonl", [one, two])], Serial())) == [one, two]
    assert shard.stat().st_mtime_ns != made


def test_the_command_reports_by_set_and_says_by_its_exit_code(tmp_path: Path) -> None:
    one, two, *_ = items("vi")
    work = corpus(tmp_path / "work", "vi", [one])
    (tmp_path / "sets").mkdir()
    write(tmp_path / "sets", "a.jsonl", [one, "ngắn"])
    (tmp_path / "sets" / "b.tsv").write_text(f"{two}\tx\n", encoding="utf-8")

    def ask(*options: str) -> tuple[int, str]:
        result = CliRunner().invoke(main, ["decontaminate", str(work), *options, "--executor", "serial", "--quiet"])
        return result.exit_code, result.output

    target = tmp_path / "leaks.json"
    code, printed = ask("--against", str(tmp_path / "sets"), "--columns", "text,label", "--json", str(target))
    assert code == 1
    assert "a.jsonl: 2 records, 1 texts judged, 1 too short to judge\n  1 of the texts stand" in printed
    assert "b.tsv: 1 records" in printed
    assert json.loads(target.read_text(encoding="utf-8"))[0]["found"][0]["text"] == one
    assert ask("--against", str(tmp_path / "sets" / "b.tsv"), "--columns", "text,label")[0] == 0
    assert CliRunner().invoke(main, ["decontaminate", str(tmp_path), "--against", str(target)]).exit_code == 2


def test_a_set_without_records_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("{broken\n")
    with pytest.raises(InputError, match="no record that can be read"):
        find_evaluation_leaks(corpus(tmp_path / "work", "en", []), [tmp_path / "a.jsonl"], Serial())
