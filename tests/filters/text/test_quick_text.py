"""The quick text of a page, and the sample its language is identified from."""

import pytest

from filters.text.quick_text import page_sample, quick_text, with_plain_spaces

# page -> its quick text
QUICK = {
    b"<p>a</p><p>b</p>": b"a\nb",
    b"a<b>b</b> c": b"a b c",
    b"<script>x < y</script>a": b"a",
    b"<SCRIPT type='a'>if (a</b>)</ScRiPt >a": b"a",
    b"a<!-- <p>x</p> -->b": b"a b",
    b"a<!-- x": b"a",
    b"a<!---->b": b"a b",
    b"<style>p{}</style\n>a": b"a",
    b"1 < 2 <3 > 0": b"1 < 2 <3 > 0",
    b"<?xml version='1'?><!doctype html>a": b"a",
    b"a <": b"a <",
    b"a <p": b"a",
    b"": b"",
    b"<": b"<",
    b"<!": b"",
    b"<!-": b"",
    b"</": b"",
    b"<scripted>a</scripted>": b"a",
    b"<svg><text>x</text></svg>a": b"a",
    "<ruby>漢<rp>(</rp><rt>kan</rt><rp>)</rp>字<rt>ji</ruby> <RB>文</RB>".encode(): "漢字 文".encode(),
    "<p>été\u3000日本</p>".encode(): "été\u3000日本".encode(),
}


@pytest.mark.parametrize("page", QUICK)
def test_the_quick_text_of_a_page_is_its_text_without_markup(page: bytes) -> None:
    assert quick_text(page) == QUICK[page]


def test_the_sample_of_a_page_has_character_references_decoded() -> None:
    assert page_sample("&eacute;t&eacute; &amp; hiver") == "été & hiver"


@pytest.mark.parametrize("space", ["&nbsp;", "&#160;", "&#xA0;", "&nbsp", "\u00a0", "\u202f", "&thinsp;"])
def test_words_joined_by_other_spaces_are_words(space: str) -> None:
    assert with_plain_spaces(f"kila{space}siku &amp; usiku") == "kila siku &amp; usiku"
