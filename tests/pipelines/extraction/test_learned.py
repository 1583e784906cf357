import pytest

from pipelines.archives.records import Record
from pipelines.extraction import learned
from pipelines.extraction.extractors import LEARNED, Bounds
from pipelines.extraction.learned import Learned
from pipelines.extraction.page import extract_page, find_engine
from tests.benchmarks.main_text_fuzz import check

SENTENCE = "The ferry leaves the harbour at seven and comes back after dark, and nobody has ever missed it twice."
PAGE = (
    "<title>The ferry</title><ul><li><a href=/>Home</a><li><a href=/a>About us</a></ul><article><h1>The ferry</h1>"
    + "".join(f"<p>{SENTENCE} Part {number}." for number in range(8))
    + "</article><footer>Imprint and contact</footer>"
)


def extract(html, **settings):
    body = html.encode()
    record = Record("urn:1", None, None, 0, "response", 200, "text/html", "utf-8", body, None)
    return extract_page(record, find_engine(LEARNED, **settings), LEARNED, Bounds())


def test_the_share_of_the_page_is_known():
    found = extract(PAGE)
    assert found.engine == "learned"
    assert found.text.count(SENTENCE) == 8
    assert 0.8 < found.share < 1


def test_where_the_model_is_unsure_another_engine_decides(monkeypatch):
    monkeypatch.setattr(learned, "_UNSURE", 1.1)
    found = extract(PAGE)
    assert (found.engine, found.drop, found.share) == ("learned, resiliparse", None, None)
    assert found.text.count(SENTENCE) == 8


def test_all_content_holds_the_text(monkeypatch):
    text, page = extract(PAGE), extract(PAGE, content="page")
    assert set(text.text.split("\n")) <= set(page.text.split("\n"))


def test_a_page_of_too_many_blocks_is_too_large():
    assert extract("<p>x" * 100_001).drop == "extract.too_large"


def test_teasers_above_the_headline_are_no_text():
    teaser = (
        "<div><h3>Teaser</h3><p>Another story of the week, told in a sentence or two. It is of no use here.</p></div>"
    )
    story = f"<h1>The ferry</h1><p>{SENTENCE}</p><p>{SENTENCE} Again.</p>"
    found = extract(f"<title>The ferry</title>{teaser * 30}{story}").text
    assert found.count("Another story") <= 1  # the line right above a headline may belong to it
    assert found.count(SENTENCE) == 2


@pytest.mark.parametrize("page", ["<p>", "<script>x</script>", "<p>&nbsp;</p>"])
def test_a_page_without_text_is_empty(page):
    assert extract(page).drop == "extract.empty"


def test_broken_letters_are_mended():
    broken = PAGE.replace("harbour", "café à la crème".encode().decode("windows-1252"))
    assert extract(broken).text.count("café à la crème") == 8


def test_random_and_mutated_pages_do_no_harm():
    _, seconds = check(600, seed=5)
    assert seconds < 5


def test_a_formula_is_its_tex():
    math = '<math><semantics><mi>x</mi><annotation encoding="application/x-tex">x^2</annotation></semantics></math>'
    assert r"\(x^2\)" in Learned()(PAGE.replace("seven", f"the value {math}"))
