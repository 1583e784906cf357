"""A language file of one's own, outside the package, is named by its path."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from filters.language import load_language
from pipelines.cli.main import main
from pipelines.job.languages import load_any_language, load_text_language
from pipelines.job.request import Request
from pipelines.publishing.publish import Selection
from roots.errors import InputError, SettingsError
from tests.support.paths import ROOT

ARCHIVE = ROOT / "tests" / "fixtures" / "crawl" / "example-2024-00000.warc.gz"
TURKISH = 'name = "Turkish"\niso639_3 = "tur"\nscript = "Latn"\n'
SWAHILI = 'name = "Coastal"\niso639_3 = "swh"\nscript = "Latn"\nfunction_words = ["na", "ya", "wa", "kwa"]\n'


def roots(*arguments: str | Path, code: int = 0) -> str:
    result = CliRunner().invoke(main, [str(each) for each in arguments], catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result.output


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_three_lines_are_a_language(tmp_path: Path) -> None:
    language = load_any_language(str(write(tmp_path / "tr.toml", TURKISH)))
    assert (language.code, language.name, language.tag) == ("tr", "Turkish", "tur_Latn")
    assert language.bounds["words"] == load_language("zu").bounds["words"]
    thai = write(tmp_path / "th.toml", 'name = "Thai"\niso639_3 = "tha"\nscript = "Thai"\n')
    assert load_any_language(str(thai)).reading.segmenter == "icu"


def test_a_file_of_a_language_that_the_package_has_is_used_in_its_place(tmp_path: Path) -> None:
    own = write(
        tmp_path / "fr.toml", 'name = "Quebecois"\niso639_3 = "fra"\nscript = "Latn"\nfunction_words = ["le"]\n'
    )
    assert load_any_language(str(own)).reading.function_words == ("le",)
    assert load_any_language("fr").name == "French"


def test_a_run_by_the_path_of_a_file_goes_through_all_commands(tmp_path: Path) -> None:
    own = write(tmp_path / "my languages" / "coast.toml", SWAHILI)
    work = tmp_path / "work"
    roots("run", work, "--input", ARCHIVE, "--lang", own, "--quiet", "--executor", "serial")
    assert '"name": "Coastal"' in (work / "coast" / "manifest.json").read_text()
    assert "accounted for" in roots("verify", work, "--lang", "coast")
    assert "coast" in roots("status", work)
    roots("judge", work, "--lang", own, "--bounds", "default", "--quiet", "--executor", "serial")
    roots("report", work, "--lang", own)
    assert list(Selection(work, [str(own)]).datasets()) == ["coast"]
    assert "Coastal" in (work / "coast" / "report.html").read_text()


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("tr.toml", 'name = "Turkish"\n', "tr.toml has no iso639_3"),
        ("tr.toml", "name = Turkish", "not valid TOML"),
        ("tr.toml", TURKISH + 'segmenter = "spaces"\n', "tr.toml: segmenter 'spaces'"),
        ("tr.toml", TURKISH + 'function_word = ["ve"]\n', "Did you mean 'function_words'"),
        ("tr.toml", TURKISH + "function_words = {}\n", "tr.toml"),
        ("tr.toml", TURKISH + '[[kept]]\nreason = "words"\n', "text"),
        ("tr.toml", TURKISH + "[bounds]\nwords = 3\n", "is not a table"),
        ("tr.toml", TURKISH + "[bounds.default.words]\nleast = 3\n", "unknown setting 'least'"),
        ("index.toml", TURKISH, "name of its language's code"),
        ("python.toml", TURKISH, "name of its language's code"),
        ("My notes.toml", TURKISH, "name of its language's code"),
    ],
)
def test_a_file_that_is_none_of_a_language_is_named_before_any_work(
    name: str, text: str, said: str, tmp_path: Path
) -> None:
    own = write(tmp_path / name, text)
    printed = roots("run", tmp_path / "work", "--input", ARCHIVE, "--lang", own, code=2)
    assert said in printed
    assert printed.count("\n") == 1
    assert not (tmp_path / "work").exists()


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no file .*tr\.toml"):
        Request(tmp_path, ("index",), (str(tmp_path / "tr.toml"),))


def test_what_is_for_text_refuses_programs() -> None:
    with pytest.raises(SettingsError, match="this is for text"):
        load_text_language("c++")
