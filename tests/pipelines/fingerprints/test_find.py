"""find: where a text stands in a corpus."""

import json
import random
import unicodedata
from pathlib import Path

import pyarrow as pa
import pytest
from click.testing import CliRunner

from filters.fingerprints.letters import letters_of
from filters.fingerprints.lookup import LEAST, LEAST_DENSE
from pipelines.cli.main import main
from pipelines.fingerprints.find import Finding, find_texts
from pipelines.fingerprints.page import find_page, found_lines
from roots import shards
from roots.errors import InputError
from roots.executors import Serial, make_executor
from roots.schema import DOCUMENT

ALPHABETS = {
    "en": "abcdefghijklmnoprstuvwy",
    "vi": "aăâbcdđeêghiklmnoôơpqrstuưvxyáàảãạấầẩẫậ",
    "yo": "abdeẹfgijklmnoọprsṣtuwy",
    "ar": "ابتثجحخدذرزسشصضطظعغفقكلمنهوي",
    "hi": "अआइईउऊएऐओऔकखगघचछजझटठडढणतथदधनपफबभमयरलवशसह",
    "bn": "অআইঈউঊএঐওঔকখগঘচছজঝটঠডঢণতথদধনপফবভমযরলশষসহ",
    "ta": "அஆஇஈஉஊஎஏஐகஙசஞடணதநபமயரலவழளறன",
    "th": "กขคงจฉชซดตถทธนบปผพฟภมยรลวสหอ",
    "zh": "天地玄黃宇宙洪荒日月盈昃辰宿列張寒來暑往秋收冬藏",
}
DENSE = ("th", "zh")


def words(rng: random.Random, code: str, letters: int) -> str:
    """Made-up text of a language's letters, with spaces where it has them."""
    out = []
    while letters > 0:
        word = "".join(rng.choices(ALPHABETS[code], k=min(letters, rng.randint(2, 9))))
        out.append(word)
        letters -= len(word)
    return ("" if code in DENSE else " ").join(out)


def count(text: str) -> int:
    return len(letters_of(pa.array([text])).units)


def lay(work: Path, texts: dict[str, list[str]], size: int = 50) -> Path:
    """A work folder with a dataset of these texts by language, `size` documents in a shard."""
    for code, documents in texts.items():
        target = work / code / "shards"
        entries = {}
        for number, start in enumerate(range(0, len(documents), size)):
            name = f"train/data-{number:05d}-of-00099.arrow"
            rows = [
                dict.fromkeys(DOCUMENT.names)
                | {"id": f"{code}-{row}", "url": f"https://{code}.example/{row}", "text": text}
                for row, text in enumerate(documents[start : start + size], start)
            ]
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            batches = [pa.RecordBatch.from_pylist(rows[at : at + 7], DOCUMENT) for at in range(0, len(rows), 7)]
            receipt = shards.write(target / name, DOCUMENT, batches, "shard", 1, f"{number}", group_bytes=1)
            entries[name] = {"rows": receipt.rows, "text_bytes": receipt.text_bytes, "sha256": ""}
        values = {"language": {"code": code, "tag": code, "name": code}, "shards": entries}
        (work / code / "manifest.json").write_text(json.dumps(values))
    return work


def find(work: Path, *texts: str, language: str = "") -> list[Finding]:
    return find_texts(work, texts, Serial(), language)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, list[str]]]:
    rng = random.Random(0)
    texts = {code: [words(rng, code, rng.randint(60, 900)) for _ in range(120)] for code in ALPHABETS}
    return lay(tmp_path_factory.mktemp("work"), texts), texts


@pytest.mark.parametrize("code", ALPHABETS)
def test_every_passage_of_the_least_length_is_found_in_its_document(corpus, code: str) -> None:
    work, texts = corpus
    rng, least = random.Random(code), LEAST_DENSE if code in DENSE else LEAST
    for number in rng.sample(range(120), 12):
        whole = texts[code][number]
        if count(whole) < least:
            continue
        start = rng.randrange(len(whole) - least)
        stop = start
        while stop < len(whole) and count(whole[start:stop]) < least:
            stop += 1
        if count(whole[start:stop]) < least:
            continue
        (found,) = find(work, words(rng, code, 90) + whole[start:stop] + words(rng, code, 90), language=code)
        assert f"{code}-{number}" in {document.id for document in found.documents}
        passage = found.documents[0].passages[0]
        assert whole[passage.start : passage.start + len(passage.text)] == passage.text


def test_case_punctuation_spaces_and_normal_form_make_no_difference(corpus) -> None:
    work, texts = corpus
    for code in ("en", "vi", "yo", "ar", "hi"):
        text = next(text for text in texts[code] if count(text) > 200)
        for changed in (
            text.upper(), unicodedata.normalize("NFD", text), text.replace(" ", ",  "), text.replace(" ", "\u200b \n"),
        ):  # fmt: skip
            (found,) = find(work, changed, language=code)
            assert found.documents[0].passages[0].text.strip() == text.strip()


def test_what_is_not_there_is_not_found(corpus) -> None:
    work, texts = corpus
    strange = words(random.Random(99), "en", 400)
    halves = texts["en"][0][:70] + strange[:30] + texts["en"][1][:70]
    (none, half) = find(work, strange, halves, language="en")
    assert none.documents == half.documents == ()
    assert "no document holds a passage of 100 letters" in next(found_lines(none, 5))


def test_a_short_text_is_looked_for_as_a_whole(corpus) -> None:
    work, texts = corpus
    piece = texts["hi"][5].split()[1] + " " + texts["hi"][5].split()[2]
    (found,) = find(work, piece.replace(" ", "-"))
    assert "hi-5" in {document.id for document in found.documents}
    assert all(piece in document.passages[0].text for document in found.documents)
    (none,) = find(work, "zqxzqx zqx")
    assert "no document holds the whole of it" in next(found_lines(none, 5))


def test_a_text_of_several_documents_names_each_with_its_part(tmp_path: Path) -> None:
    rng = random.Random(1)
    one, two, other = (words(rng, "en", 300) for _ in range(3))
    work = lay(tmp_path, {"en": [other, f"{one} {other}", two]})
    (found,) = find(work, f"{one}\n\nsome words between\n\n{two[:250]}")
    assert [document.id for document in found.documents] == ["en-1", "en-2"]
    assert [document.passages[0].letters for document in found.documents] == [300, count(two[:250])]
    assert 0.9 < found.covered() < 1
    page = find_page([found], "work <1>", 10)
    assert page.count("<mark>") == 4
    assert "work &lt;1&gt;" in page
    assert "<script" not in page


def test_the_index_is_made_once_and_renewed_with_the_corpus(tmp_path: Path) -> None:
    rng = random.Random(2)
    texts = [words(rng, "en", 200) for _ in range(4)]
    work = lay(tmp_path, {"en": texts})
    assert find(work, texts[3])[0].documents
    (index,) = (work / "en" / "find").glob("train/*.parquet")
    made = index.stat().st_mtime_ns
    find(work, texts[2])
    assert index.stat().st_mtime_ns == made
    lay(work, {"en": [*texts[:3], words(rng, "en", 200)]})
    assert not find(work, texts[3])[0].documents
    assert index.stat().st_mtime_ns != made


def test_any_number_of_workers_makes_the_same_index(corpus, tmp_path: Path) -> None:
    _, texts = corpus
    held = []
    for name, executor in (("a", Serial()), ("b", make_executor("local", 2))):
        work = lay(tmp_path / name, {"en": texts["en"], "zh": texts["zh"]}, size=30)
        find_texts(work, ["x" * 200], executor)
        held.append({path.relative_to(work): path.read_bytes() for path in sorted(work.rglob("find/**/*.parquet"))})
    assert len(held[0]) == 8
    assert held[0] == held[1]


@pytest.mark.parametrize("text", ["a" * 50_000, "ab" * 20_000, "- " * 500 + "x" * 150])
def test_periodic_text_takes_little_time_and_is_found(tmp_path: Path, text: str) -> None:
    work = lay(tmp_path, {"en": ["a" * 60_000, "ab" * 30_000, "y" * 300 + "x" * 150]})
    assert find(work, text)[0].documents


def test_a_text_without_letters_is_refused(corpus) -> None:
    with pytest.raises(InputError, match="0 letters"):
        find(corpus[0], " .,! ")


def test_a_short_text_in_a_large_corpus_is_refused(corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.fingerprints.find._MOST_SCANNED", 1000)
    with pytest.raises(InputError, match="Give a longer text"):
        find(corpus[0], "short text")


def test_the_command_says_by_its_exit_code_whether_anything_was_found(corpus, tmp_path: Path) -> None:
    work, texts = corpus
    text = next(text for text in texts["ar"] if count(text) > 150)

    def ask(*options: str) -> tuple[int, str]:
        result = CliRunner().invoke(main, ["find", str(work), *options, "--executor", "serial", "--quiet"])
        return result.exit_code, result.output

    code, printed = ask(text, "--html", str(tmp_path / "a.html"), "--json", str(tmp_path / "a.jsonl"))
    assert code == 0
    assert "\u27e6" in printed
    assert "https://ar.example/" in printed
    assert 'dir="auto"' in (tmp_path / "a.html").read_text(encoding="utf-8")
    (values,) = map(json.loads, (tmp_path / "a.jsonl").read_text(encoding="utf-8").splitlines())
    assert values["documents"][0]["url"].startswith("https://ar.example/")
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps({"text": each}) + "\n" for each in (text, "q" * 120)))
    code, printed = ask(f"@{tmp_path / 'texts.jsonl'}")
    assert code == 0
    assert "1 of 2: " in printed
    assert "2 of 2: 120 letters: no document" in printed
    assert ask("q" * 120)[0] == 1
    assert ask("@nothing.txt")[0] == 2
    assert CliRunner().invoke(main, ["find", str(tmp_path), "text"]).exit_code == 2
