"""Dumps of wikis in XML: pages as rows, whatever packs or cuts the dump, and prose from wikitext."""

import bz2
import gzip
import sys
from collections.abc import Callable
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pipelines.archives.limits import Limits
from pipelines.archives.records import Record
from pipelines.cli.main import main
from pipelines.documents.wikitext import WITH_GAPS, prose_of, quick_prose
from pipelines.index import faults_of
from pipelines.sources.doors import parts_of, read_source, read_source_at
from pipelines.sources.layouts import LAYOUTS, TableSettings, find_layout
from pipelines.sources.tables import find_table
from pipelines.verify import verify
from roots.errors import InputError
from tests.support.tables import jsonl, tar_of

needs_engine = pytest.mark.skipif(
    not pytest.importorskip("importlib.util").find_spec("mwparserfromhell"),
    reason="wikitext is an extra: pip install -e '.[wikipedia]'",
)
HEAD = """<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/" version="0.11" xml:lang="fr">
  <siteinfo>
    <sitename>Wikipédia</sitename>
    <dbname>frwiki</dbname>
    <base>https://fr.wikipedia.org/wiki/Wikip%C3%A9dia:Accueil_principal</base>
    <namespaces><namespace key="0" case="first-letter" /><namespace key="1">Discussion</namespace></namespaces>
  </siteinfo>
"""
TAIL = "</mediawiki>\n"
SENTENCE = "Le chat dort sur la table et la maison est calme pendant que les enfants jouent dans le jardin. "


def page(number: int, text: str = SENTENCE, title: str = "", ns: int = 0, more: str = "") -> str:
    return f"""  <page>
    <title>{escape(title or f"Article {number}", quote=False)}</title>
    <ns>{ns}</ns>
    <id>{number}</id>
    {more}<revision>
      <id>{1000 + number}</id>
      <parentid>999</parentid>
      <timestamp>2026-01-02T03:04:05Z</timestamp>
      <contributor><username>Jeanne</username><id>77</id></contributor>
      <model>wikitext</model>
      <text bytes="9" xml:space="preserve">{escape(text)}</text>
    </revision>
  </page>
"""


PAGES = [
    page(1, f"'''Chat''' &amp; {SENTENCE}", "Chat & chien: l'été"),
    page(2, "#REDIRECTION [[Chat]]", more='<redirect title="Chat" />\n    '),
    page(3, "Bonjour !", "Discussion:Chat", ns=1),
    page(4, SENTENCE),
    page(5, ""),
    page(6, SENTENCE),
]
PROBLEMS = [None, "redirect", "no_article", None, None, None]


def streams(parts: list[str]) -> bytes:
    """A dump as bzip2 in many streams: the head, two pages a stream, the tail."""
    head, *pages, tail = parts
    pairs = ["".join(pages[at : at + 2]) for at in range(0, len(pages), 2)]
    return b"".join(bz2.compress(part.encode()) for part in (head, *pairs, tail))


PACKINGS: dict[str, Callable[[list[str]], bytes]] = {
    "frwiki.xml": lambda parts: "".join(parts).encode(),
    "frwiki.xml.bz2": lambda parts: bz2.compress("".join(parts).encode()),
    "frwiki.xml.gz": lambda parts: gzip.compress("".join(parts).encode()),
    "frwiki-multistream.xml.bz2": streams,
}


def put(folder: Path, name: str, parts: list[str]) -> Path:
    (folder / name).write_bytes(PACKINGS[name](parts))
    return folder / name


def read(path: Path, part: range | None = None, **limits: int) -> list[Record]:
    return list(read_source(path, TableSettings(), Limits(**limits), part))


@pytest.mark.parametrize("name", PACKINGS)
def test_every_page_of_a_dump_is_a_row(name: str, tmp_path: Path) -> None:
    path = put(tmp_path, name, [HEAD, *PAGES, TAIL])
    assert faults_of([path], ["fr"]) == {}
    records = read(path)
    assert [each.problem for each in records] == PROBLEMS
    first = records[0]
    assert first.body.decode() == f"'''Chat''' &amp; {SENTENCE}"
    assert first.id == "urn:mediawiki:frwiki:1:1001"
    assert first.url == "https://fr.wikipedia.org/wiki/Chat_%26_chien:_l%27%C3%A9t%C3%A9"
    assert (first.date, first.license) == ("2026-01-02T03:04:05Z", "CC-BY-SA-4.0")
    assert records[1].url == "https://fr.wikipedia.org/wiki/Article_2"


@pytest.mark.parametrize("name", PACKINGS)
def test_pages_are_found_again_by_their_places(name: str, tmp_path: Path) -> None:
    path = put(tmp_path, name, [HEAD, *PAGES, TAIL])
    records = read(path)
    places = [each.offset for each in records]
    assert places == sorted(set(places))
    for wanted in (records, records[::2], records[3:4], records[4:]):
        again = read_source_at(path, [each.offset for each in wanted], TableSettings(), Limits(), False)
        assert list(again) == wanted


@pytest.mark.parametrize("name", ["frwiki.xml", "frwiki-multistream.xml.bz2"])
def test_a_large_dump_is_cut_into_parts_that_have_each_page_once(name: str, tmp_path: Path) -> None:
    path = put(tmp_path, name, [HEAD, *(page(number, SENTENCE * number) for number in range(1, 40)), TAIL])
    whole = read(path)
    for size in (path.stat().st_size // 2, 500, 3000):
        parts = parts_of(path, size)
        assert len(parts) > 1
        assert all(one.stop == two.start for one, two in pairwise(parts))
        assert [each for part in parts for each in read(path, part)] == whole


def test_a_dump_in_one_packed_stream_stays_whole(tmp_path: Path) -> None:
    assert parts_of(put(tmp_path, "frwiki.xml.bz2", [HEAD, *PAGES, TAIL]), 100) == []


@pytest.mark.parametrize("name", PACKINGS)
def test_a_cut_dump_gives_its_pages_and_says_so(name: str, tmp_path: Path) -> None:
    path = put(tmp_path, name, [HEAD, *PAGES])
    assert [each.problem for each in read(path)] == [*PROBLEMS, "truncated"]
    pages = [page(number, f"{number} {hash(number * 1.7)} {SENTENCE}") for number in range(3000)]
    path = put(tmp_path, name, [HEAD, *pages, TAIL])
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    problems = [each.problem for each in read(path)]
    assert (set(problems[:-1]), problems[-1]) == ({None}, "truncated")
    if name != "frwiki.xml.bz2":  # bzip2 unpacks blocks of 900 kB, and this dump has two
        assert 1500 < len(problems) < 2500


def test_damage_to_a_stream_costs_no_other(tmp_path: Path) -> None:
    path = put(tmp_path, "frwiki-multistream.xml.bz2", [HEAD, *(page(number) for number in range(20)), TAIL])
    data = bytearray(path.read_bytes())
    starts = [at for at in range(len(data)) if data.startswith(b"BZh91AY", at)]
    data[starts[4] + 30 : starts[4] + 40] = bytes(10)
    path.write_bytes(data)
    problems = [each.problem for each in read(path)]
    assert problems.count(None) == 18
    assert problems.count("truncated") == 1


def test_hostile_pages_are_rows_with_reasons(tmp_path: Path) -> None:
    pages = [
        page(1, "x" * 300_000),
        page(2).replace("<id>2</id>", ""),
        "<page></page>",
        page(3).replace("wikitext", "json"),
        page(4, "&lol9; \ud83d".encode("utf-8", "replace").decode()),
        page(5).replace("</text>", ""),
        page(6),
    ]
    records = read(put(tmp_path, "frwiki.xml", [HEAD, *pages, TAIL]), body_bytes=100_000)
    assert [each.problem for each in records] == ["too_large", None, None, "no_article", None, None, None]
    assert len({each.id for each in records}) == len(records)
    assert [each.body for each in records[2:3] + records[5:6]] == [b"", b""]
    assert records[4].body == b"&lol9; ?"


@pytest.mark.parametrize("junk", ["<page>", "<title ", "<page><title", "<text", "</title>", "<revision>", "<!--"])
def test_junk_in_a_dump_takes_linear_time(junk: str, tmp_path: Path) -> None:
    parts = [HEAD, page(1), "<page>", junk * (3_000_000 // len(junk)), "</page>", page(2), TAIL]
    records = read(put(tmp_path, "frwiki.xml", parts), body_bytes=1_000_000)
    assert [records[0].id, records[-1].id] == ["urn:mediawiki:frwiki:1:1001", "urn:mediawiki:frwiki:2:1002"]
    assert {record.problem for record in records[1:-1]} <= {"too_large", None}
    assert len(records) < 10
    small = [HEAD, page(1), "<page>", junk * (900_000 // len(junk)), "</page>", page(2), TAIL]
    assert read(put(tmp_path, "frwiki.xml", small), body_bytes=1_000_000)[-1].problem is None


def test_a_page_with_its_history_has_its_newest_text(tmp_path: Path) -> None:
    old, new = page(1, "Ancien."), page(1, "Nouveau.").replace("1001", "2002")
    both = old.partition("  </page>")[0] + new[new.index("<revision>") :]
    (record,) = read(put(tmp_path, "frwiki.xml", [HEAD, both, TAIL]))
    assert (record.body, record.id) == (b"Nouveau.", "urn:mediawiki:frwiki:1:2002")


def test_entities_of_a_dump_are_refused(tmp_path: Path) -> None:
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>\n' + HEAD
    with pytest.raises(InputError, match="declares a document type or entities"):
        find_table(put(tmp_path, "frwiki.xml", [bomb, *PAGES, TAIL]), TableSettings())


def test_a_wiki_of_another_site_has_no_licence(tmp_path: Path) -> None:
    head = HEAD.replace("fr.wikipedia.org", "wiki.example")
    assert {each.license for each in read(put(tmp_path, "frwiki.xml", [head, *PAGES, TAIL]))} == {None}


def test_the_layout_of_a_dump_is_known() -> None:
    columns = ["text", "id", "url", "date", "license", "wikitext"]
    assert find_layout(columns, TableSettings(), "x").content_type == LAYOUTS["wikipedia-xml"].content_type


# wikitext -> prose, and whether a sentence has a gap
PROSE: dict[str, tuple[str, str, bool]] = {
    "links": (
        "Un [[chat]], des [[chat|chats]] et [http://x.example un site].",
        "Un chat, des chats et un site.",
        False,
    ),
    "bold": ("'''Le chat''' ''dort''.", "Le chat dort.", False),
    "file": ("[[Fichier:a.jpg|vignette|Un [[chat]] noir.]]\nUn texte.", "Un texte.", False),
    "categories": ("Un texte.\n\n[[Catégorie:Chat]]\n[[Kategorie:Katze|Chat]]\n[[de:Katze]]", "Un texte.", False),
    "a link to a category": (
        "Voir [[:Catégorie:Chat]] et [[Aide:Bac|le bac]].",
        "Voir Catégorie:Chat et le bac.",
        False,
    ),
    "references": (
        "Un texte<ref name=a>{{ouvrage|titre=x}}</ref>, un autre<ref name=a />.",
        "Un texte, un autre.",
        False,
    ),
    "an infobox": ("{{Infobox\n| nom = Chat\n| n = {{nb|3}}\n}}\nUn texte.", "Un texte.", False),
    "a table": ("Un texte.\n{| class=x\n! a\n|-\n| b || c\n|}\nUn autre.", "Un texte.\nUn autre.", False),
    "a gap": ("Il y a {{nb|3000}} habitants.", "Il y a habitants.", True),
    "a gap at the end": ("La ville a {{nb|3000}}.", "La ville a.", True),
    "brackets of nothing": ("Le chat ({{lang-la|felis}}, {{API|x}}) dort.", "Le chat dort.", False),
    "a shown template": ("Le {{lang|la|felis ''catus''}} dort.", "Le felis catus dort.", False),
    "a number": ("Il y a {{formatnum:3000}} chats.", "Il y a 3000 chats.", False),
    "headings": ("== Vie ==\n=== Sommeil ===\nIl dort.\n== Notes ==\n<references />", "Vie\nSommeil\nIl dort.", False),
    "lists": ("* Un\n** [[Deux]]\n# Trois\n: Quatre", "Un\nDeux\nTrois\nQuatre", False),
    "comments and switches": ("__NOTOC__<!-- caché -->Un texte.", "Un texte.", False),
    "entities": ("Un&nbsp;chat &lt;noir&gt; &eacute;tait l&agrave;.", "Un chat <noir> était là.", False),
    "a formula": ("Soit <math>x^2</math> un nombre.", "Soit un nombre.", True),
    "no markup": ("<nowiki>[[chat]]</nowiki> dort.", "[[chat]] dort.", False),
    "our own signs": ("Un\x01 chat\x02 dort\x03.", "Un chat dort.", False),
    "combining marks": ("'''क्षि''' [[हिन्दी|हि]] Ẹ̀kọ́", "क्षि हि Ẹ̀kọ́", False),
}


@needs_engine
@pytest.mark.parametrize("case", PROSE)
def test_prose_of_wikitext(case: str) -> None:
    text, wanted, gap = PROSE[case]
    prose, engine = prose_of(text)
    assert prose == wanted
    assert (engine == WITH_GAPS) is gap


def test_the_quick_text_of_wikitext_has_little_markup() -> None:
    quick = quick_prose(f"{{{{Infobox|name={{{{a}}}}|area=3}}}}\n'''{SENTENCE}'''[[Fichier:a.jpg|thumb|x]]<ref>b</ref>")
    assert quick.split() == SENTENCE.split()


@pytest.mark.parametrize("part", ["{{", "[[a:", "[[", "{|", "<ref>", "<!--", "{{a|", "[http://", "(", "<", "''", "a:"])
def test_two_million_characters_of_hostile_wikitext_are_read_to_their_end(part: str) -> None:
    text = part * (2_000_000 // len(part))
    assert len(quick_prose(f"{SENTENCE}\n\n{text}")) <= len(SENTENCE) + 2 + len(text)


def roots(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(main, [*arguments, "--executor", "serial", "--quiet"], catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result.output


@needs_engine
def test_a_dump_goes_through_the_whole_job(tmp_path: Path) -> None:
    texts = [f"'''Article {number}.''' {SENTENCE * (number + 3)}Il a {{{{nb|{number}}}}} chats." for number in (1, 2)]
    path = put(tmp_path, "frwiki-multistream.xml.bz2", [HEAD, *(page(n, t) for n, t in enumerate(texts)), *PAGES, TAIL])
    said = roots("run", str(tmp_path / "work"), "--input", str(path), "--lang", "fr")
    assert "2 pages of a wiki lack in a sentence what a template shows there" in said
    assert list(verify(tmp_path / "work", "fr")) == []
    why = roots_why(tmp_path / "work", "https://fr.wikipedia.org/wiki/Article_2")
    assert "index.redirect" in why
    assert WITH_GAPS in roots_why(tmp_path / "work", "https://fr.wikipedia.org/wiki/Article_0")


def roots_why(work: Path, url: str) -> str:
    return CliRunner().invoke(main, ["why", url, "--work", str(work)], catch_exceptions=False).output


def test_a_page_of_an_html_dump_has_its_main_text_and_its_own_licence(tmp_path: Path) -> None:
    from pipelines.extraction.extractors import Bounds
    from pipelines.extraction.page import extract_page, find_engine

    html = (
        '<!DOCTYPE html><html lang="fr"><head><title>Chat</title></head><body class="mw-parser-output">'
        f'<section data-mw-section-id="0"><p>{SENTENCE * 3}<sup class="mw-ref"><a href="#cite_note-1">[1]</a></sup></p>'
        f'</section><section data-mw-section-id="1"><h2>Vie</h2><p>{SENTENCE * 3}</p></section></body></html>'
    )
    row = {
        "name": "Chat",
        "identifier": 7,
        "date_modified": "2026-01-02T03:04:05Z",
        "url": "https://fr.wikipedia.org/wiki/Chat",
        "license": [{"name": "CC", "identifier": "CC-BY-SA-4.0", "url": "https://creativecommons.org/x"}],
        "article_body": {"html": html, "wikitext": "Un texte."},
    }
    (tmp_path / "frwiki-NS0-20260101-ENTERPRISE-HTML.json.tar.gz").write_bytes(tar_of({"x_0.ndjson": jsonl([row])}))
    (record,) = read(tmp_path / "frwiki-NS0-20260101-ENTERPRISE-HTML.json.tar.gz")
    assert (record.url, record.license) == ("https://fr.wikipedia.org/wiki/Chat", "CC-BY-SA-4.0")
    found = extract_page(record, find_engine("resiliparse"), "resiliparse", Bounds())
    assert found.drop is None
    assert found.text is not None
    assert found.text.count(SENTENCE.strip()) == 6


def test_without_the_extra_a_page_is_a_row_that_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipelines.extraction.extractors import Bounds
    from pipelines.extraction.page import extract_page, find_engine

    monkeypatch.setitem(sys.modules, "mwparserfromhell", None)
    record: Any = read(put(tmp_path, "frwiki.xml", [HEAD, *PAGES, TAIL]))[0]
    found = extract_page(record, find_engine("resiliparse"), "resiliparse", Bounds())
    assert (found.text, found.drop) == (None, "extract.no_engine")
