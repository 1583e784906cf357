import html
import random

import numpy as np
import pytest
from resiliparse.parse.html import HTMLTree, NodeType

from filters.main_text import layout as col
from filters.main_text.scan import scan
from filters.main_text.tags import NAMES


def texts(page):
    found = scan(page.encode("utf-8", "surrogatepass"))
    return [found.block_text(number) for number in range(len(found.blocks))]


def paths(page):
    found = scan(page.encode())
    for number in range(len(found.blocks)):
        node, names = found.blocks[number, col.B_NODE], []
        while node > 0:
            names.append(NAMES[found.nodes[node, col.N_TAG]])
            node = found.nodes[node, col.N_PARENT]
        yield found.block_text(number), "/".join(reversed(names))


@pytest.mark.parametrize(
    ("page", "blocks"),
    [
        ("<p>one <b>big</b>\n  word<p>two", ["one big word", "two"]),
        ("a<br>b<br/>c", ["a", "b", "c"]),
        ("un<i>believ</i>able <span>x</span><span>y</span>", ["unbelievable xy"]),
        ("<my-name>Ann</my-name><my-name>Bob</my-name>", ["Ann Bob"]),
        ("<td>a<td>b", ["a", "b"]),
        ("<ul><li>a<li>b</ul>c", ["a", "b", "c"]),
        ("<pre>\n  def f():\n\n    return 1  \n</pre>", ["  def f():\n\n    return 1"]),
        ("<pre>a<br>b</pre>", ["a\nb"]),
        ("你好\n世界 a\nb", ["你好世界 a b"]),
        ("<ruby>漢<rp>(</rp><rt>kan</rt><rp>)</rp>字<rt>ji</ruby>です", ["漢字です"]),
        ("a<script>if (a < b) { '<p>x' }</script>b<style>p{}</style>c", ["abc"]),
        ("<script><!-- <script>x</script> --></script>y", ["y"]),
        ("<svg><title>t</title><svg></svg>x</svg>y<template><template></template>x</template>z", ["yz"]),
        ("a <!-- <p> x --> b <!--> c <!doctype x> d </ e> f", ["a b c d f"]),
        ("1 < 2 <3 a<b>c</b> & d", ["1 < 2 <3 ac & d"]),
        ("so\u00adft\ue000 \u00a0\u3000 x", ["soft x"]),
        ("می\u200cخواهم क्\u200dष", ["می\u200cخواهم क्\u200dष"]),
        ('<a title="x > y" href=z>l</a>', ["l"]),
        ("<title>t</title><body><p>x", ["x"]),
        ("", []),
    ],
)
def test_blocks_are_the_lines_that_a_browser_shows(page, blocks):
    assert texts(page) == blocks


REFERENCES = """
    &amp; &amp &eacute; &eacute &notit; &notin; &NotEqualTilde; &#233; &#xE9 &#128; &#0; &#xD800; &#x110000;
    &#99999999999; &unknown; & &; &#; &#x; &copy2 &fjlig; &CounterClockwiseContourIntegral;
"""


@pytest.mark.parametrize("reference", REFERENCES.split())
def test_references_are_what_the_standard_says(reference):
    assert texts(f"<p>x{reference}y") == [html.unescape(f"x{reference}y").replace("\u00a0", " ")]


@pytest.mark.parametrize(
    ("page", "path"),
    [
        ("<div><p>a<div>x</div></div>", "div/div"),
        ("<ul><li>a<ul><li>b</ul><li>x</ul>", "ul/li"),
        ("<table><tr><td>a<td>x</table>", "table/tr/td"),
        ("<table><tr><td><table><tr><td>a</table>x</table>", "table/tr/td"),
        ("<dl><dt>a<dd>x</dl>", "dl/dd"),
        ("<h1>a<h2>x</h2>", "h2"),
        ("<div></p></span></td>x</div>", "div"),
        ("<div><a href=1>a</div>x", ""),
    ],
)
def test_elements_end_where_the_standard_ends_them(page, path):
    assert dict(paths(page))["x"] == path


def test_links_end_through_blocks():
    page = scan(b"<div><a href=1>four<p>five5</a>two</p></div><a>none</a>")
    assert page.blocks[:, col.B_LINKED].tolist() == [4, 5, 0]


def test_noscript_is_read_where_the_rest_is_nearly_empty():
    post = "<p>" + "A long answer to the question. " * 20
    assert len(texts(f"<p>menu<noscript>{post}</noscript>")) == 2
    assert texts(f"<p>{'The text of the page. ' * 30}<noscript>{post}</noscript>") == [
        ("The text of the page. " * 30).strip()
    ]


def browser_text(page):
    """All text of a page by lexbor's tree, without white space."""
    parts = []

    def walk(node):
        if node.type == NodeType.TEXT:
            parts.append(node.text)
        elif node.type != NodeType.ELEMENT or node.tag not in SILENT:
            child = node.first_child
            while child:
                walk(child)
                child = child.next

    walk(HTMLTree.parse(page).body)
    return "".join("".join(parts).split())


SILENT = {"script", "style", "noscript", "textarea", "iframe", "svg", "select", "template", "title"}
PIECES = [
    "<div>", "</div>", "<p class='a b'>", "</p>", "<br>", "<ul><li>", "</ul>", "<table><tr><td>",
    "</td></tr></table>", "<b>", "</b>", "<a href=x>", "</a>", "<h2>", "</h2>", "word ", "Satz. ", "字", "&amp;",
    "&eacute;", " ", "<!-- c -->", "<script>x<y</script>", "<style>p{}</style>", "<span id='q>'>", "</span>",
    "<hr>", "<blockquote>", "</blockquote>", "<img alt='a'>", "<dd>", "<section>",
]  # fmt: skip


def test_no_text_is_lost_or_made_beside_lexbor():
    chance = random.Random(7)
    for _ in range(300):
        page = "<!doctype html><body>" + "".join(chance.choices(PIECES, k=chance.randrange(1, 60)))
        assert sorted("".join("".join(texts(page)).split())) == sorted(browser_text(page)), page


@pytest.mark.parametrize("size", [0, 1, 7, 200, 3000])
def test_random_bytes_do_no_harm(size):
    chance = np.random.default_rng(size)
    alphabet = np.frombuffer(b"<>/=\"'&#;!-? \nabpdtr0\xc3\xa9\xe4\xff\xf0", np.uint8)
    for _ in range(60):
        for page in (chance.bytes(size), alphabet[chance.integers(0, len(alphabet), size)].tobytes()):
            found = scan(page)
            assert (found.blocks[:, col.B_END] > found.blocks[:, col.B_START]).all()
            assert (found.nodes[1:, col.N_PARENT] < np.arange(1, len(found.nodes))).all()
            assert found.nodes[0, col.N_CHARS] == found.blocks[:, col.B_CHARS].sum()


@pytest.mark.parametrize(
    "piece", ["<b>", "<div>", "<svg>", "<!--", "<script>", "<title>", "</p>", "<td>", "<a href=x>", "&amp", "<p a='"]
)
def test_time_is_linear_in_the_size_of_a_page(piece):
    pages = [piece.encode() * (count // len(piece)) for count in (10_000, 400_000)]
    assert [len(scan(page).nodes) <= col.MOST_NODES for page in pages] == [True, True]
