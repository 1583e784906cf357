"""The pages that we labelled: what a block is, and that a label never fits another text."""

import hashlib
import json
from pathlib import Path

import pytest

from tests.benchmarks.main_text import LABELS, LabelledPage, blocks, digest, labelled_pages
from tests.support.paths import ROOT

DATA = ROOT.parent / "shared" / "data"
PAGE = b"""<html><head><title>T</title></head><body><ul><li><a href=/>Home</a></ul><h1>The <i>title</i></h1>
<p>First &amp; second<br>line<script>x("<p>")</script> of it<p>By <b>us</b><!-- <p>gone --><div>Read also</div>"""
WANTED = ["The title", "First & second", "line of it"]


def label(tmp_path: Path, **changes: object) -> Path:
    """Write an archive of one page, and its label."""
    http = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + PAGE
    head = f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Record-ID: <urn:uuid:1>\r\nContent-Length: {len(http)}\r\n"
    head += "WARC-Target-URI: http://a.example/\r\n\r\n"
    (tmp_path / "pages.warc").write_bytes(head.encode() + http + b"\r\n\r\n")
    row = {
        "archive": "pages.warc",
        "offset": 0,
        "sha256": hashlib.sha256(PAGE).hexdigest(),
        "url": "http://a.example/",
        "language": "en",
        "kind": "article",
        "charset": "utf-8",
        "text": f"1-3:{digest(WANTED)}",
        "also": f"4:{digest(['By us'])}",
    }
    path = tmp_path / "labels.jsonl"
    path.write_text(json.dumps(row | changes) + "\n", encoding="utf-8")
    return path


def test_blocks_are_the_text_between_block_tags() -> None:
    assert blocks(PAGE.decode()) == ["Home", *WANTED, "By us", "Read also"]
    assert blocks("<p><ruby>漢<rp>(</rp><rt>かん</rt><rp>)</rp></ruby>字<a title='a > b'>.</a>") == ["漢字."]


def test_a_labelled_page_is_rebuilt_from_its_archive(tmp_path: Path) -> None:
    (page,) = labelled_pages(tmp_path, label(tmp_path))
    assert (page.wanted, page.also, page.unwanted) == (WANTED, ["By us"], ["Home", "Read also"])
    assert (page.record.url, page.language, page.kind) == ("http://a.example/", "en", "article")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sha256": "0" * 64}, "another page stands at offset 0 of pages.warc"),
        ({"text": f"0-2:{digest(WANTED)}"}, "blocks 0-2 are not those that were labelled"),
        ({"also": f"9:{digest(['By us'])}"}, "blocks 9 are not those that were labelled"),
    ],
)
def test_a_label_of_another_text_is_refused(tmp_path: Path, changes: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        list(labelled_pages(tmp_path, label(tmp_path, **changes)))


def test_a_block_that_stands_elsewhere_too_is_no_unwanted_snippet(tmp_path: Path) -> None:
    (page,) = labelled_pages(tmp_path, label(tmp_path))
    long, other, teaser = ("a sentence of more than twenty characters " * 2, "b" * 30, "another page's sentence")
    page = LabelledPage(page.record, "", "en", "article", [long, "short"], [other], [long[:40], other, teaser])
    assert page.snippets() == ((long[:60],), (teaser,))


@pytest.mark.skipif(not DATA.is_dir(), reason="the shared archives are not beside the repository")
def test_every_label_fits_the_shared_archives() -> None:
    pages = list(labelled_pages(DATA))
    assert len(pages) == len(LABELS.read_text(encoding="utf-8").splitlines())
    assert all(page.wanted for page in pages)
