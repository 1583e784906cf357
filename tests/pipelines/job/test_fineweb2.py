"""FineWeb-2's configurations as bounds: every key, every mistake, and a job that judges by one."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from click.testing import CliRunner

from filters.language import Bound
from filters.signals.measures import measure
from filters.signals.rules import judge, rules_of
from pipelines.cli.main import main
from pipelines.job.fineweb2 import is_configuration, like_settings
from pipelines.job.languages import load_any_language
from pipelines.job.request import build_settings, plan_jobs
from roots.atomic import read_manifest
from roots.errors import InputError, SettingsError

# Written by us in the form of FineWeb-2's files.
CONFIGURATION = """
language_score: 0.7
dup_line_frac: 0.25
top_n_grams: [[2, 0.2], [3, 0.19], [4, 0.18]]
dup_n_grams:
- - 5
  - 0.15
- [6, 0.14]
- [7, 0.13]
- [8, 0.12]
- [9, 0.11]
- [10, 0.1]
line_punct_thr: 0.1
new_line_ratio: 0.3
min_avg_word_length: 2
max_avg_word_length: 20
max_non_alpha_words_ratio: 0.8
stopwords:
- का
- 'है'
- "में"
"""


def write(path: Path, old: str = "", new: str = "", text: str = CONFIGURATION) -> Path:
    """A configuration in which `old` is replaced by `new`."""
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    return path


def bounds_of(path: Path) -> Mapping[str, Bound]:
    return load_any_language("hi", path, "fineweb2").bounds


def test_every_key_is_a_bound(tmp_path: Path) -> None:
    language = load_any_language("hi", write(tmp_path / "hin_Deva.yml"), "fineweb2")
    limits = {name: (bound.min, bound.max) for name, bound in language.bounds.items()}
    assert limits == {
        "language_score": (0.7, None),
        "repeated_lines": (None, 0.25),
        "top_2_gram": (None, 0.2), "top_3_gram": (None, 0.19), "top_4_gram": (None, 0.18),
        "repeated_5_grams": (None, 0.15), "repeated_6_grams": (None, 0.14), "repeated_7_grams": (None, 0.13),
        "repeated_8_grams": (None, 0.12), "repeated_9_grams": (None, 0.11), "repeated_10_grams": (None, 0.1),
        "punctuated_lines": (0.1, None),
        "line_feeds": (None, 0.3),
        "mean_word_length": (2, 20),
        "alphabetic_words": (0.8, None),
        # what FineWeb-2's pipeline fixes for all languages
        "words": (50, 100_000), "hash_signs": (None, 0.1), "ellipses": (None, 0.1), "bullet_lines": (None, 0.9),
        "ellipsis_lines": (None, 0.3), "different_function_words": (2, None), "repeated_text": (None, 0.1),
    }  # fmt: skip
    assert language.bounds["line_feeds"].source == "FineWeb-2, hin_Deva.yml"
    reading = language.reading
    assert set(reading.function_words) == {"का", "है", "में"}
    assert (reading.segmenter, reading.definitions, reading.joiner) == ("indic", "fineweb2", None)


OFF = [
    ("dup_line_frac: 0.25", "dup_line_frac: 0", "repeated_lines", Bound()),
    ("min_avg_word_length: 2\n", "min_avg_word_length: 0\n", "mean_word_length", Bound(max=20)),
    ("max_avg_word_length: 20", "max_avg_word_length: 0", "mean_word_length", Bound(min=2)),
    ("ratio: 0.8", "ratio: 0.0", "alphabetic_words", Bound()),
    ("line_punct_thr: 0.1", "line_punct_thr: -1", "punctuated_lines", Bound(min=-1)),  # no share is below
    ("[[2, 0.2], ", "[", "top_2_gram", Bound()),  # an n without a limit
    ("[2, 0.2]", "[2, 1.17]", "top_2_gram", Bound(max=1.17)),
    ("new_line_ratio: 0.3", "new_line_ratio: 0", "line_feeds", Bound(max=0)),  # not off there
]


@pytest.mark.parametrize(("old", "new", "signal", "expected"), OFF)
def test_what_is_off_there_is_off_here(old: str, new: str, signal: str, expected: Bound, tmp_path: Path) -> None:
    found = bounds_of(write(tmp_path / "a.yml", old, new))[signal]
    assert (found.min, found.max) == (expected.min, expected.max)


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\nb: &b [*a, *a, *a, *a, *a]\nstopwords: [*b, *b, *b]\n"
WRONG = [
    ("stopwords:", "stop_words:", SettingsError, "unknown key 'stop_words'. Did you mean 'stopwords'"),
    ("line_punct_thr: 0.1\n", "", SettingsError, "lacks line_punct_thr"),
    ("language_score: 0.7", "language_score: high", SettingsError, "language_score = 'high' is not a number"),
    ("language_score: 0.7", "language_score: true", SettingsError, "language_score = True is not a number"),
    ("language_score: 0.7", "language_score: .nan", SettingsError, "language_score is not finite"),
    ("language_score: 0.7", "language_score: 2020-01-01", SettingsError, "is not a number"),
    ("dup_line_frac: 0.25", "dup_line_frac: [0.25]", SettingsError, "dup_line_frac"),
    ("[2, 0.2]", "[2, .inf]", SettingsError, "top_n_grams is not finite"),
    ("[2, 0.2]", "[5, 0.2]", SettingsError, "top_n_grams has n = 5: each of 2 to 4 may stand once"),
    ("[3, 0.19]", "[2, 0.19]", SettingsError, "top_n_grams has n = 2"),
    ("[2, 0.2]", "[2]", SettingsError, "top_n_grams"),
    ("[2, 0.2]", "0.2", SettingsError, "top_n_grams"),
    ("max_avg_word_length: 20", "max_avg_word_length: 1", SettingsError, "min 2.0 is above max 1.0"),
    ("- का", "- no", SettingsError, "stopwords holds False, which is no text: write it in quotes"),
    ("- का", "- 7", SettingsError, "stopwords holds 7"),
    ("- का", "- !!python/object/apply:os.system ['x']", InputError, "is not valid YAML"),
    ("- का", "- !!binary aGVs", SettingsError, "which is no text"),
    ("language_score: 0.7", "language_score: 0.7\nlanguage_score: 0.1", InputError, "a key stands twice"),
    ("language_score: 0.7", "language_score: " + "9" * 5000, InputError, "is not valid YAML"),
    ("language_score: 0.7", "language_score: " + "[" * 3000, InputError, "is not valid YAML"),
    ("language_score: 0.7", "language_score: &a 0.7", None, ""),  # an anchor alone is harmless
    ("dup_line_frac: 0.25", "dup_line_frac: *a", InputError, "alias"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "error", "message"), WRONG)
def test_a_mistake_is_named(old: str, new: str, error: type[Exception] | None, message: str, tmp_path: Path) -> None:
    path = write(tmp_path / "hin_Deva.yml", old, new)
    if error is None:
        assert bounds_of(path)
        return
    with pytest.raises(error, match=message) as raised:
        bounds_of(path)
    assert str(path) in str(raised.value)
    assert len(str(raised.value)) < 1000


@pytest.mark.parametrize("text", ["", "just text", "[1, 2]", "\x00", "a: b: c", BOMB, "x" * 70_000])
def test_a_file_that_is_no_configuration_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises((InputError, SettingsError), match=r"hin_Deva\.yml"):
        bounds_of(write(tmp_path / "hin_Deva.yml", text=text))


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "hin_Deva.yml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="is not valid YAML"):
        bounds_of(tmp_path / "hin_Deva.yml")
    with pytest.raises(InputError, match="cannot read"):
        bounds_of(tmp_path / "none.yml")


def test_empty_stopwords_are_refused(tmp_path: Path) -> None:
    text = CONFIGURATION.partition("stopwords")[0] + "stopwords: []\n"
    with pytest.raises(SettingsError, match="stopwords is empty"):
        bounds_of(write(tmp_path / "a.yml", text=text))


def test_a_folder_has_one_configuration_a_language(tmp_path: Path) -> None:
    write(tmp_path / "hin_Deva.yml")
    write(tmp_path / "ben_Beng.yml", "language_score: 0.7", "language_score: 0.4")
    assert load_any_language("bn", tmp_path, "fineweb2").bounds["language_score"].min == 0.4
    assert load_any_language("hi", tmp_path, "fineweb2").bounds["language_score"].min == 0.7
    with pytest.raises(InputError, match=r"no configuration of Telugu: looked for tel_Telu\.yml"):
        load_any_language("te", tmp_path, "fineweb2")


def test_a_language_needs_a_splitter_that_is_known_and_installed(tmp_path: Path, monkeypatch: Any) -> None:
    path = write(tmp_path / "a.yml")
    with pytest.raises(SettingsError, match=r"wol_Latn is not known here.*tokenizer_assignment\.csv"):
        load_any_language("wo", path, "fineweb2")
    assert load_any_language("wo", path, "fineweb2", "unicode").reading.segmenter == "unicode"
    with pytest.raises(SettingsError, match=r"unknown splitter 'indik'\. Did you mean 'indic'"):
        load_any_language("wo", path, "fineweb2", "indik")
    monkeypatch.setattr("pipelines.job.fineweb2.find_spec", lambda name: None)
    with pytest.raises(SettingsError, match=r"spacy:fr .* needs spacy: pip install 'roots-corpus\[fineweb2\]'"):
        load_any_language("fr", path, "fineweb2")
    monkeypatch.setattr("pipelines.job.fineweb2.find_spec", lambda name: None if name == "spacy.lang.qq" else name)
    with pytest.raises(SettingsError, match="spaCy has no language 'qq'"):
        load_any_language("fr", path, "fineweb2", "spacy:qq")
    assert load_any_language("fr", path, "fineweb2").reading.segmenter == "spacy:fr"


TABLE = """code_3,code_1,script,name,family,type,tok_code,proxy
swh,sw,Latn,Swahili,Bantu,SpaCyTokenizer,tn,TRUE
hin,hi,Latn,Hindi,,StanzaTokenizer,kmr,TRUE
hin,hi,Deva,Hindi,,,,
hin,hi,Deva,Hindi,,IndicNLPTokenizer,hi,
urd,ur,Arab,Urdu,,IndicNLPTokenizer,ur,
twi,tw,Latn,Twi,,WhitespaceTokenizer,,
wol,wo,Latn,Wolof,,StanzaTokenizer,wo,
cmn,zh,Hani,Chinese,,SpaCyTokenizer,zh,
"""


def test_datatroves_table_of_splitters_is_read(tmp_path: Path, monkeypatch: Any) -> None:
    path, table = write(tmp_path / "a.yml"), tmp_path / "tokenizer_assignment.csv"
    table.write_text(TABLE, encoding="utf-8")
    monkeypatch.setattr("pipelines.job.fineweb2.find_spec", lambda name: name)
    expected = {"sw": "spacy:tn", "hi": "indic", "ur": "indic-urdu", "tw": "spacy:xx", "zh": "spacy:zh"}
    for code, splitter in expected.items():
        assert load_any_language(code, path, "fineweb2", str(table)).reading.segmenter == splitter
    with pytest.raises(SettingsError, match=r"StanzaTokenizer, which is not here: --set filter\.splitter=spacy:xx"):
        load_any_language("wo", path, "fineweb2", str(table))
    with pytest.raises(SettingsError, match="has no splitter for fra_Latn"):
        load_any_language("fr", path, "fineweb2", str(table))
    for text in ("", "a,b\n1,2\n"):
        table.write_text(text)
        with pytest.raises(InputError, match="is not datatrove's table"):
            load_any_language("hi", path, "fineweb2", str(table))
    with pytest.raises(InputError, match="cannot read"):
        load_any_language("hi", path, "fineweb2", "none.csv")


def test_settings_that_do_not_go_together_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.yml")
    with pytest.raises(SettingsError, match="--like fineweb2:"):
        load_any_language("hi", str(path))
    with pytest.raises(SettingsError, match="natural languages only"):
        load_any_language("python", path, "fineweb2")
    with pytest.raises(SettingsError, match="splitter = 'indic' is for definitions = fineweb2"):
        build_settings({"filter": {"splitter": "indic"}})
    with pytest.raises(SettingsError, match="way to take plain text"):
        build_settings({"extract": {"plain": "exat"}})
    with pytest.raises(SettingsError, match=r"unknown project 'fineweb'\. Did you mean 'fineweb2'"):
        like_settings("fineweb:x.yml")
    with pytest.raises(SettingsError, match="neither a configuration"):
        like_settings("fineweb2:nowhere")


def test_a_folder_in_the_way_is_not_taken_for_configurations(tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "fineweb2").mkdir()
    monkeypatch.chdir(tmp_path)
    assert not is_configuration("fineweb2")
    assert like_settings("fineweb2:fineweb2")["filter"]["bounds"] == "./fineweb2"
    assert is_configuration("./fineweb2")


def test_bounds_of_our_own_files_are_judged_by_the_same_definitions() -> None:
    values = like_settings("fineweb2")
    job = plan_jobs(Path("work"), ["hi"], {}, values)[0]
    assert job.language is not None
    assert job.language.reading.definitions == "fineweb2"
    assert job.language.bounds["top_2_gram"].max == 0.208
    assert len(job.language.reading.function_words) > 20


# Documents in Hindi with values worked by hand, by datatrove's definitions.
SENTENCE = "यह एक छोटा वाक्य है और घर में सब लोग बैठे हैं।"
OTHER = "पेड़ पर चिड़िया का घोंसला दिखाई देता है हमेशा।"
LETTERS = [chr(0x915 + n) for n in range(12)]
GOOD = "\n".join(f"वाक्य{x} में राम{x} का घर{x} बना{x}।" for x in LETTERS)  # 12 lines, 72 words, all lines end in a mark
VERDICTS = [
    (SENTENCE, "words"),
    (GOOD, None),
    (GOOD.replace("।", ""), "punctuated_lines"),
    ("\n".join([OTHER] * 8), "repeated_lines"),
    (" ".join([GOOD, *("1" * n for n in range(1, 20))]), "alphabetic_words"),  # 72 of 103 words have a letter
    (GOOD.replace("का", "की").replace("में", "मे"), "different_function_words"),
]


@pytest.mark.parametrize(("text", "reason"), VERDICTS)
def test_documents_are_judged_by_a_configuration(text: str, reason: str | None, tmp_path: Path) -> None:
    language = load_any_language("hi", write(tmp_path / "a.yml"), "fineweb2")
    rules = tuple(rule for rule in rules_of(language.bounds) if rule.signal != "language_score")
    _, failed = judge(measure(pa.array([text]), language.reading), rules)
    assert reason in failed[0].as_py() if reason else not failed[0].as_py()


def test_a_run_judges_like_fineweb2_on_texts_as_they_are(tmp_path: Path) -> None:
    texts = {"good": f"  {GOOD} \n\n\n{SENTENCE}\u200b \n", "bad": GOOD.replace("।", "")}
    rows = "".join(json.dumps({"id": key, "text": text}) + "\n" for key, text in texts.items())
    (tmp_path / "in.jsonl").write_text(rows)
    write(tmp_path / "hin_Deva.yml", "language_score: 0.7", "language_score: 0.3")
    command = ["run", str(tmp_path / "work"), "--input", str(tmp_path / "in.jsonl"), "--lang", "hi", "--quiet"]
    command += ["--executor", "serial", "--like", f"fineweb2:{tmp_path}", "--set", "dedup.audit=0"]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    manifest = read_manifest(tmp_path / "work" / "hi" / "filter")
    assert (manifest["kept"], manifest["drops"]) == (1, {"filter.punctuated_lines": 1})
    shard = next((tmp_path / "work" / "hi" / "shards").glob("*/*.arrow"))
    with pa.memory_map(str(shard)) as file:
        assert pa.ipc.open_stream(file).read_all()["text"].to_pylist() == [texts["good"]]
