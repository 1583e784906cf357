"""Markdown of the blocks of a page, read by a parser of CommonMark that is not ours."""

from html import escape
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from filters.main_text.choose import text_of
from filters.main_text.scan import scan
from pipelines.cli.main import main
from pipelines.extraction.markdown import markdown_of
from roots import shards
from tests.support.killing import CRAWL

PARSER = MarkdownIt("commonmark").enable("table")
SIGNS = st.text(alphabet="\\`*_[]()<>#+-=~|&;:$!./1 aßव", min_size=1, max_size=30)


def markdown(html: str) -> str:
    page = scan(html.encode())
    return markdown_of(page, np.ones(len(page.blocks), np.bool_))


def plain(html: str) -> list[str]:
    page = scan(html.encode())
    return text_of(page, np.ones(len(page.blocks), np.bool_)).split("\n")


def parsed(text: str) -> list[Token]:
    return PARSER.parse(text)


def shown(text: str) -> list[str]:
    """What a reader of the rendered text sees, by paragraph, cell or line of code."""
    lines = []
    for token in parsed(text):
        if token.type == "inline":
            inner = token.children or []
            lines += "".join("\n" if "break" in each.type else each.content for each in inner).split("\n")
            assert {each.type for each in inner} <= {"text", "hardbreak", "softbreak", "text_special"}, text
        elif token.type == "fence":
            lines += token.content.rstrip("\n").split("\n")
        assert token.type not in {"html_block", "code_block", "hr"}, text
    return lines


def test_structure_is_kept() -> None:
    html = """<h1>Title *of* it</h1><p>A paragraph with_under_score, <b>bold</b>.<br>second line</p>
<ul><li>one</li><li>two<ul><li>nested<p>more of it</p></li><li>again</li></ul></li><li>three</li></ul>
<ol><li>first</li><li>second</li></ol>
<blockquote><p>Quoted one.</p><p>Quoted two.</p><ul><li>in it</li></ul></blockquote>
<pre><code>def f():
    return "```"
</code></pre>
<h2>Table</h2><table><tr><th>a|b</th><th>c</th></tr><tr><td>1</td><td>2</td></tr><tr><td>3</td></tr></table>
<p># no heading</p><p>1. no list</p><p>- no item</p><p>Euler: \\(e^{i\\pi}=-1\\) costs $5.</p>"""
    assert markdown(html) == (
        "# Title \\*of\\* it\n\nA paragraph with_under_score, bold.\\\nsecond line\n\n"
        "- one\n- two\n  - nested\n\n    more of it\n  - again\n- three\n\n1. first\n2. second\n\n"
        "> Quoted one.\n>\n> Quoted two.\n>\n> - in it\n\n"
        '````\ndef f():\n    return "```"\n````\n\n'
        "## Table\n\n| a\\|b | c |\n| --- | --- |\n| 1 | 2 |\n| 3 |\n\n"
        "\\# no heading\n\n1\\. no list\n\n\\- no item\n\nEuler: $e^{i\\pi}=-1$ costs \\$5."
    )


def test_a_line_break_behind_a_long_line_ends_the_paragraph() -> None:
    assert markdown(f"<p>{'word ' * 30}<br>next") == f"{'word ' * 29}word\n\nnext"


@pytest.mark.parametrize(
    "text",
    [
        "نص عربي مع كلمات", "हिन्दी में एक वाक्य", "বাংলা বাক্য", "தமிழ் வரி", "ประโยคภาษาไทย", "中文的一句话", "日本語の文",
        "tiếng Việt", "ọ̀rọ̀ Yorùbá",
    ],
)  # fmt: skip
def test_every_script_stays_as_it_is(text: str) -> None:
    assert markdown(f"<h3>{text}</h3><ol><li>{text}</ol>") == f"### {text}\n\n1. {text}"


@settings(max_examples=300)
@given(st.lists(SIGNS, min_size=1, max_size=4), st.sampled_from(["p", "h2", "li", "blockquote", "div"]))
def test_no_text_is_read_as_markup(texts: list[str], tag: str) -> None:
    html = "".join(f"<{tag}>{escape(text)}</{tag}>" for text in texts)
    expected = [line.removeprefix("- ") if tag == "li" else line for line in plain(html) if line]
    found = shown(markdown(html))
    assert [" ".join(line.split()) for line in found] == [" ".join(line.split()) for line in expected]


@settings(max_examples=100)
@given(st.lists(st.lists(SIGNS.filter(str.strip), min_size=2, max_size=3), min_size=2, max_size=4))
def test_cells_come_back(rows: list[list[str]]) -> None:
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    page = scan(f"<table>{body}</table>".encode())
    expected = [page.block_text(block) for block in range(len(page.blocks))]
    found = [cell for cell in shown(markdown(f"<table>{body}</table>")) if cell]
    assert [" ".join(cell.split()) for cell in found] == [" ".join(cell.split()) for cell in expected]


def test_the_lists_and_quotes_of_a_page_are_those_that_a_parser_finds() -> None:
    html = "<ol><li>a<blockquote><p>b</p><ul><li>c</li><li>d</li></ul></blockquote></li><li>e</li></ol><p>f</p>"
    opened = [token.type for token in parsed(markdown(html)) if token.type.endswith("_open")]
    assert opened == [
        "ordered_list_open", "list_item_open", "paragraph_open", "blockquote_open", "paragraph_open",
        "bullet_list_open", "list_item_open", "paragraph_open", "list_item_open", "paragraph_open",
        "list_item_open", "paragraph_open", "paragraph_open",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "html",
    [
        "<blockquote>" * 300 + "<p>line</p>" * 2000,
        "<ul><li>" * 300 + "<p>line</p>" * 2000,
        "<table>" + "<tr>" + "<td>a" * 3000 + "".join("<tr><td>b<td>c" for _ in range(3000)) + "</table>",
        "<p>line<br>" * 3000,
    ],
    ids=["quotes", "lists", "a wide table", "breaks"],
)
def test_hostile_nesting_does_not_grow(html: str) -> None:
    assert len(markdown(html)) < 8 * len(html)


def test_a_run_gives_markdown_where_it_is_asked(tmp_path: Path) -> None:
    archive = str(CRAWL / "example-2024-00000.warc.gz")
    options = ["--input", archive, "--lang", "fr", "--executor", "serial", "--quiet", "--set", "extract.form=markdown"]
    result = CliRunner().invoke(main, ["run", str(tmp_path), *options])
    assert result.exit_code == 0, result.output
    texts = [
        text
        for path in (tmp_path / "fr" / "shards").glob("*/*.arrow")
        for batch in shards.read_stream(path)
        for text in batch["text"].to_pylist()
    ]
    assert texts
    assert sum(text.startswith("# ") or "\n# " in text for text in texts) > len(texts) // 2


def test_the_form_is_one_of_the_learned_extractor() -> None:
    for setting in ("extract.form=html", "extract.form=markdown"):
        options = ["x", "--lang", "fr", "--set", setting, "--set", "extract.extractor=resiliparse"]
        result = CliRunner().invoke(main, ["run", *options])
        assert result.exit_code == 2
        assert "form" in result.output
