"""`roots why URL --page FILE`: every block of a page, kept or left out, with its score, and nothing of it runs."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipelines.cli.main import main
from pipelines.extraction import learned
from pipelines.extraction.blocks import About, as_page, judged_blocks
from tests.pipelines.test_extract import FRENCH, SWAHILI, page, write_archive

ATTACK = "&lt;script&gt;alert(1)&lt;/script&gt; &lt;img src=x onerror=alert(1)&gt; ana@example.org"
ARABIC = "تفتح المكتبة أبوابها كل صباح في الساعة التاسعة ويأتي إليها القراء من الحي كله."
MENU = "<nav><ul><li><a href=/>Accueil</a><li><a href=/a>Abonnez-vous</a></ul></nav>"
HTML = "text/html; charset=utf-8"
BODY = page([*FRENCH, f"Il écrit : {ATTACK}", ARABIC, *(f"{line} Encore." for line in FRENCH)], MENU)


class Tags(HTMLParser):
    """All tags and attributes of a file."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, list[tuple[str, str | None]]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, attrs))


def shown(text: str) -> dict[str, tuple[str, float]]:
    """Of each block of a file, whether it is kept and its score."""
    found = re.findall(r'<span class="mark">(kept|left out), ([\d.]+)</span>\n<p dir="auto">(.*?)</p>', text, re.DOTALL)
    return {block: (mark, float(score)) for mark, score, block in found}


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("blocks")
    pages = [(HTML, BODY), (HTML, page(SWAHILI)), ("text/plain; charset=utf-8", "\r\n".join(FRENCH))]
    archive = write_archive(folder / "a.warc.gz", pages)
    for command in (["index", "--input", str(archive)], ["extract", "--lang", "fr"]):
        arguments = [command[0], str(folder / "work"), *command[1:], "--executor", "serial", "--quiet"]
        result = CliRunner().invoke(main, arguments, catch_exceptions=False)
        assert result.exit_code == 0, result.output
    return folder / "work"


def why(work: Path, number: int, target: Path, *more: str) -> tuple[int, str]:
    arguments = ["why", f"http://x.example/{number}", "--work", str(work), "--page", str(target), *more]
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    return result.exit_code, result.output


def test_kept_and_left_out_blocks_are_marked_and_nothing_of_the_page_runs(work: Path, tmp_path: Path) -> None:
    assert why(work, 0, tmp_path / "page.html")[0] == 0
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    blocks = shown(text)
    assert [blocks[line][0] for line in (FRENCH[0], ARABIC)] == ["kept", "kept"]
    assert blocks["Abonnez-vous"][0] == "left out"
    assert blocks["Abonnez-vous"][1] < 0.5 < blocks[FRENCH[0]][1]
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &lt;img src=x onerror=alert(1)&gt; PI:EMAIL" in text
    tags = Tags(text).found
    assert not {"script", "img", "link", "iframe"} & {tag for tag, _ in tags}
    assert not [name for _, attributes in tags for name, _ in attributes if name.startswith("on") or name == "href"]


@pytest.mark.parametrize(
    ("number", "reason"), [(1, "dropped before extraction as extract.other_language"), (2, "its text is by plain")]
)
def test_a_page_without_judged_blocks_is_refused_with_the_reason(
    work: Path, tmp_path: Path, number: int, reason: str
) -> None:
    code, said = why(work, number, tmp_path / "page.html")
    assert code == 2
    assert reason in said
    assert not (tmp_path / "page.html").exists()


def test_another_model_than_that_of_the_run_is_refused(work: Path, tmp_path: Path) -> None:
    (tmp_path / "model.npz").write_bytes(b"other")
    code, said = why(work, 0, tmp_path / "page.html", "--main-text-model", str(tmp_path / "model.npz"))
    assert (code, "used another model" in said) == (2, True)


def test_where_another_engine_decided_its_text_says_what_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learned, "_UNSURE", 1.1)
    archive = write_archive(tmp_path / "a.warc.gz", [(HTML, BODY)])
    (row,) = judged_blocks(str(archive), {}, {}, ("", "text"))([0])
    kept = {text: is_kept for text, _, is_kept in row["blocks"]}
    assert (kept[FRENCH[0]], kept["Abonnez-vous"]) == (True, False)


def test_an_address_is_text_alone() -> None:
    about = About("javascript:alert('<script>')", "fr", "learned, resiliparse", None, "kept")
    text = as_page(about, [("x" * 30_000, 0.5, True)] * 3)
    assert "<script" not in text
    assert "The model was unsure" in text
    assert "x" * 20_001 not in text
    assert text.count('class="block kept"') == 3


def test_a_large_page_is_shown_as_far_as_a_bound() -> None:
    about = About("http://x.example/", "fr", "learned", 1.0, "kept")
    text = as_page(about, [("x" * 30_000, 0.5, True)] * 60)
    assert "The first 50 blocks follow." in text
    assert text.count('class="block kept"') == 50
    assert "The first 5,000 blocks follow." in as_page(about, [("x", 0.5, True)] * 5001)
