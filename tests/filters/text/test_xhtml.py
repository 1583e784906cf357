"""Elements that close themselves hold nothing in XHTML, and only there."""

import time

import pytest

from filters.text.charset import has_xhtml_root, is_xhtml, with_end_tags
from filters.text.quick_text import quick_text

SPACE = "http://www.w3.org/1999/xhtml"
XHTML = "application/xhtml+xml"


@pytest.mark.parametrize("name", ["script", "style", "iframe", "textarea", "template", "noscript", "select", "svg"])
@pytest.mark.parametrize("form", ["<{}/>", "<{} src='a/b.js' />", '<{}\n id="x"/>'])
def test_quick_text_reads_on_behind_an_element_that_closes_itself(name: str, form: str) -> None:
    page = f"<p>avant</p>{form.format(name.upper() if name == 'style' else name)}<p>après</p>".encode()
    assert quick_text(page, xhtml=True).decode() == "avant\naprès"
    assert quick_text(page).decode() == "avant"


def test_quick_text_still_leaves_out_what_an_open_element_holds() -> None:
    assert quick_text(b"<p>a</p><script src='x'>b < c</script><p>d</p><script", xhtml=True) == b"a\nd"
    assert quick_text(b"<script/", xhtml=True) == b""


@pytest.mark.parametrize(
    ("page", "parsed"),
    [
        ("<script src='a.js'/>x", "<script src='a.js'></script>x"),
        ("<div id=\"a/b\" /><p>x</p>", "<div id=\"a/b\" ></div><p>x</p>"),
        ("<title/><a name='x'/>y", "<title></title><a name='x'></a>y"),
        ("a<br/>b<hr />c<img src='x'/><META a='b'/>", "a<br/>b<hr />c<img src='x'/><META a='b'/>"),
        ("<br:x/>", "<br:x/>"),
        ("<col/><colgroup/>", "<col/><colgroup></colgroup>"),
        ("<!-- <div/> --><div/>", "<!-- <div/> --><div></div>"),
        ("<script>x = '<b/>'</script><b/>", "<script>x = '<b/>'</script><b></b>"),
        ("<p title='a > b'/>", "<p title='a > b'></p>"),
        ("<p title='a/>", "<p title='a/>"),
        ("1 < 2 /> 3", "1 < 2 /> 3"),
    ],
)  # fmt: skip
def test_end_tags_are_added(page: str, parsed: str) -> None:
    assert with_end_tags(page) == parsed


@pytest.mark.parametrize(
    ("page", "root"),
    [
        (f"<html xmlns='{SPACE}'>", True),
        (
            f'\ufeff<?xml version="1.0"?>\n<!-- a > b --><!DOCTYPE html PUBLIC "x">\n<html lang="fr" xmlns="{SPACE}">',
            True,
        ),
        (f"<!DOCTYPE html [<!ENTITY a 'b'>]><html xmlns='{SPACE}'>", True),
        ("<html>", False),
        (f"<rss><html xmlns='{SPACE}'>", False),
        (f"<!-- <html xmlns='{SPACE}'> --><html>", False),
        (f"<html><p>{SPACE}</p>", False),
    ],
)
def test_the_root_tells_xhtml(page: str, root: bool) -> None:
    assert has_xhtml_root(page.encode()) is root
    assert is_xhtml("text/html", page.encode()) is root
    assert is_xhtml(XHTML, page.encode())


@pytest.mark.parametrize("piece", ["<!--", "<script ", "<div '", "<?", "<!a [", '<a b="/'])
def test_no_page_is_slow(piece: str) -> None:
    start = time.process_time()
    with_end_tags(piece * 20_000 + "/>")
    has_xhtml_root((piece * 2000 + SPACE).encode()[-4096:])
    assert time.process_time() - start < 1
