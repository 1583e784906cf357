import importlib.util
import random
import re

import lxml.html
import pytest
from trafilatura import xpaths

from pipelines.archives.records import Record
from pipelines.extraction.engines import tidy, without_copies
from pipelines.extraction.extractors import DEFAULT, EXTRACTORS, LEARNED, QUICK, Bounds
from pipelines.extraction.page import extract_page, find_engine
from pipelines.extraction.tree_engines import ENGINES, JOINERS
from roots.errors import SettingsError

SENTENCES = {
    "ar": "يَذهَبُ الأولاد إلى المدرسة كل صباح، ثم يعودون إلى البيت عند الظهر.",
    "fa": "می‌خواهم کتاب‌های تازه‌ای بخوانم و آن‌ها را به دوستانم بدهم.",
    "hi": "बच्चे हर सुबह विद्यालय जाते हैं और क्‍षमा माँगकर दोपहर को घर लौटते हैं।",
    "bn": "ছেলেমেয়েরা রোজ সকালে স্কুলে যায়, র‍্যাব তাদের পথ দেখায়।",
    "ta": "குழந்தைகள் தினமும் காலையில் பள்ளிக்குச் சென்று மதியம் வீடு திரும்புகிறார்கள்.",
    "ml": "കുട്ടികൾ എല്ലാ ദിവസവും രാവിലെ സ്കൂളിൽ പോകുന്നു, അവന്‍ വരുന്നു.",
    "th": "เด็กๆ ไปโรงเรียนทุกเช้า และกลับบ้านตอนเที่ยงวันของทุกวัน",
    "km": "កុមារ​ទៅ​សាលា​រៀន​រាល់​ព្រឹក ហើយ​ត្រឡប់​មក​ផ្ទះ​វិញ​នៅ​ពេល​ថ្ងៃត្រង់។",
    "zh": "孩子们每天早上去学校上课，中午回家吃饭，下午再去图书馆看书。",
    "vi": "Trẻ em đến trường mỗi buổi sáng và trở về nhà vào buổi trưa mỗi ngày.",
    "yo": "Àwọn ọmọ máa ń lọ sí ilé-ìwé ní òwúrọ̀, wọ́n sì máa ń padà sílé ní ọ̀sán.",
    "fr": "Les enfants vont à l’école chaque matin et rentrent à la maison vers midi.",
    "sw": "Watoto huenda shuleni kila asubuhi na kurudi nyumbani saa sita mchana.",
}


def main_text(html, name):
    body = html.encode("utf-8", "replace")
    record = Record("urn:1", None, None, 0, "response", 200, "text/html", "utf-8", body, None)
    return extract_page(record, find_engine(name), name, Bounds())[0]


def page(paragraphs):
    body = "".join(f"<p>{text}</p>" for text in paragraphs)
    return (
        "<!DOCTYPE html><html><head><title>Title</title><script>var hidden = 1;</script></head><body><nav><ul>"
        '<li><a href="/">Home</a></li><li><a href="/a">About us</a></li></ul></nav>'
        f"<article><h1>Headline</h1>{body}</article><footer><p>Imprint and contact</p></footer></body></html>"
    )


@pytest.mark.parametrize("name", EXTRACTORS)
@pytest.mark.parametrize("language", SENTENCES)
def test_every_engine_keeps_every_character_of_every_script(name, language):
    sentences = [f"{SENTENCES[language]} {number}" for number in range(8)]
    text = main_text(page(sentences), name)
    assert [line for line in text.split("\n") if line and line != "Headline"] == sentences
    assert "hidden" not in text
    assert "About us" not in text
    assert "Imprint" not in text


@pytest.mark.parametrize("name", EXTRACTORS)
def test_joiners_written_as_entities_are_kept(name):
    spelled = [
        f"می{entity}خواهم کتاب‌های تازه‌ای بخوانم و بدهم {number}" for number in range(8) for entity in ("&zwnj;",)
    ]
    text = main_text(page([*spelled, "ന&#8205;&#x200c;&#X200D;ന " * 20]), name)
    assert text.count("می\u200cخواهم") == 8
    assert text.count("ന\u200d\u200c\u200dന") == 20


@pytest.mark.parametrize("name", EXTRACTORS)
def test_joiners_survive_on_a_page_of_hieroglyphs(name):
    glyphs = "".join(map(chr, range(0x13000, 0x13010)))
    text = main_text(page([f"{glyphs} می‌خواهم {number} " * 8 for number in range(4)]), name)
    assert text.count(f"{glyphs} می\u200cخواهم") == 32


@pytest.mark.parametrize("name", EXTRACTORS)
def test_forbidden_characters_do_no_harm(name):
    bad = "\x00 \x01 \x0b \x0c \x1b \x7f \x80 \x9f \ud800 \udfff \ufeff &#0; &#xd800; &#x110000; \ufffe \U0010ffff"
    text = main_text(page([f"{SENTENCES['fr']} {bad} {number}" for number in range(8)]), name)
    assert text.count("rentrent à la maison") == 8
    assert text.encode("utf-8").decode("utf-8") == text
    assert not any(ch < " " and ch != "\n" for ch in text)


@pytest.mark.parametrize("name", EXTRACTORS)
@pytest.mark.parametrize("html", ["", " ", "\x00", "<html>", "<!-- ", "<html><body></body></html>"])
def test_nothing_is_none(name, html):
    assert main_text(html, name) is None


@pytest.mark.parametrize("name", EXTRACTORS)
def test_a_page_gives_the_same_text_whatever_came_before(name):
    pages = [page([f"{SENTENCES[language]} {number}" for number in range(5)] * 2) for language in SENTENCES]
    first = {html: main_text(html, name) for html in pages}
    shuffled = pages * 3
    random.Random(5).shuffle(shuffled)
    assert all(main_text(html, name) == first[html] for html in shuffled)


def test_the_cascade_takes_what_the_precise_setting_misses():
    items = "".join(f"<div><span>{SENTENCES['sw']} {number}</span></div>" for number in range(20))
    html = f"<html><body><div id='list'>{items}</div></body></html>"
    assert len(main_text(html, "cascade") or "") >= 20 * len(SENTENCES["sw"])


def test_tidy_changes_only_lines_and_controls():
    assert tidy("a \r\nb\rc\u2028d\x85e\n\n\n\nf\t\n") == "a\nb\nc\nd\ne\n\nf"
    assert tidy("  indented\n\tcode") == "  indented\n\tcode"
    assert tidy("\x00a\x1fb\x7fc\ud800d\ufeff") == "abcd"
    kept = "e\u0301 ﬁ ½ Ａ " + JOINERS.replace("\u200b", "") + " \u00ad\u202b\u200f ก็ क़"
    assert tidy(kept) == kept
    assert tidy(tidy("x \n\n \n\n y")) == tidy("x \n\n \n\n y")


def test_spaces_without_a_width_stay_only_where_they_mark_words():
    assert tidy("trư\u200bờng \u200bhọc\u200b\u200b, 新\u200b闻") == "trường học, 新闻"
    for kept in ("ภาษา\u200bไทย", "ខ្ញុំ\u200bcafe\u200bល្អ", "सन्\u200cमार्ग", "ക്\u200d"):
        assert tidy(kept) == kept


VERSES = [
    f"The {thing} of the old town is closed in winter, and no one knows why." for thing in ("mill", "inn", "well")
]
REFRAIN = ["Row on, row on, the night is long,", "the lamp is low, we sing our song."]


@pytest.mark.parametrize(
    ("lines", "once"),
    [
        (VERSES + VERSES, VERSES),
        (["Home", *VERSES, "Share", *VERSES, "", *VERSES, "Imprint"], ["Home", *VERSES, "Share", "", "Imprint"]),
        ([" ".join(VERSES)] * 2, [" ".join(VERSES)]),
        (["本店今日关门，老板说明天上午九点再来。" * 8] * 2, ["本店今日关门，老板说明天上午九点再来。" * 8]),
    ],
)
def test_a_page_that_holds_its_text_twice_gives_it_once(lines, once):
    assert without_copies("\n".join(lines)).split("\n") == once


@pytest.mark.parametrize(
    "lines",
    [
        [VERSES[0], *REFRAIN, VERSES[1], *REFRAIN, VERSES[2], *REFRAIN],
        ["Buy now and save!"] * 14,
        [line for line in VERSES for _ in range(2)],
        [*VERSES, *VERSES[::-1]],
        VERSES * 6,
        VERSES,
    ],
)
def test_a_refrain_and_other_repetition_stay(lines):
    assert without_copies("\n".join(lines)) == "\n".join(lines)


@pytest.mark.parametrize("name", EXTRACTORS)
@pytest.mark.parametrize("language", ["fr", "vi", "yo", "hi", "ar"])
def test_a_page_that_was_encoded_twice_is_mended(name, language):
    sentences = [f"{SENTENCES[language]} à {number}" for number in range(8)]
    twice = page(sentences).encode().decode("latin-1")
    for code in range(0x80, 0xA0):
        twice = twice.replace(chr(code), bytes([code]).decode("cp1252", "replace").replace("\ufffd", chr(code)))
    assert main_text(twice, name) == main_text(page(sentences), name)


@pytest.mark.parametrize("name", EXTRACTORS)
@pytest.mark.parametrize("language", ["fr", "vi", "yo", "hi", "ar", "zh", "th"])
def test_a_page_that_was_read_as_iso_8859_1_is_mended(name, language):
    sentences = [f"{SENTENCES[language]} — {number}" for number in range(8)]
    assert main_text(page(sentences).encode().decode("latin-1"), name) == main_text(page(sentences), name)


def test_broken_letters_that_are_written_as_references_are_mended():
    broken = page([f"{SENTENCES['fr']} {number}" for number in range(8)])
    for letter, reference in (("à", "&Atilde;&nbsp;"), ("é", "&Atilde;&copy;"), ("’", "&acirc;&euro;&trade;")):
        broken = broken.replace(letter, reference)
    assert main_text(broken, "cascade").count(SENTENCES["fr"]) == 8


def test_an_unknown_engine_names_the_known_ones():
    with pytest.raises(SettingsError, match="Did you mean 'resiliparse'"):
        find_engine("resiliparce")
    assert DEFAULT in EXTRACTORS
    assert all(callable(find_engine(name)) for name in EXTRACTORS)
    assert {LEARNED, QUICK, *ENGINES} == set(EXTRACTORS)


def test_layout_is_no_text():
    cells = "".join(f"<tr><td>\n\t\t{SENTENCES['fr']} {number}</td></tr>" for number in range(6))
    table = "<tr><th>Ville</th><th>Habitants</th></tr><tr><td>Lyon</td><td>520 000</td></tr><tr><td></td><td></td></tr>"
    html = page([f"\n\t\t\t{SENTENCES['fr']}\n\t\t\t{number}" for number in range(6)]).replace(
        "</article>", f"<table>{cells}</table><table>{table}</table></article>"
    )
    text = main_text(html, "trafilatura")
    assert not any(line != line.strip() for line in text.split("\n"))
    assert f"\n{SENTENCES['fr']} 5\n" in text
    assert "| Lyon | 520 000 |" in text
    assert "| |" not in text


def test_indented_code_stays():
    code = "<pre>def f():\n    return 1\n</pre>"
    html = page([f"{SENTENCES['fr']} {number}" for number in range(8)]).replace("</article>", f"{code}</article>")
    assert "\n    return 1" in main_text(html, "trafilatura")


def test_the_quicker_xpaths_find_the_same_elements_in_the_same_order():
    spec = importlib.util.find_spec("trafilatura.xpaths")
    original = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(original)
    lists = {name: found for name, found in vars(original).items() if name.endswith(("_XPATH", "_ELEMENTS"))}
    words = sorted({word for found in lists.values() for each in found for word in re.findall(r"[\w-]{4,}", each.path)})
    trees = [lxml.html.fromstring(random_page(words, random.Random(seed))) for seed in range(20)]
    found_by = rewritten = 0
    for name, paths in lists.items():
        for before, now in zip(paths, getattr(xpaths, name), strict=True):
            rewritten += before.path != now.path
            for tree in trees:
                assert now(tree) == before(tree), before.path
                found_by += bool(now(tree))
    assert rewritten > 10
    assert found_by > 100


def random_page(words, random):
    parts = []
    for _ in range(300):
        names = ("id", "class", "style", "role")
        values = (f'{name}="{"" if random.random() < 0.1 else " ".join(random.sample(words, 2))}"' for name in names)
        attributes = " ".join(value for value in values if random.random() < 0.3)
        tag = random.choice(("div", "section", "list", "p", "span", "ul", "article", "aside", "item", "main"))
        parts.append(f"</{tag}>" if random.random() < 0.4 else f"<{tag} {attributes}>x")
    return f"<html><body>{''.join(parts)}</body></html>"
