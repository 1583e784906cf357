"""What a browser never shows is no text, and words of a sentence stay where they are."""

import time

import pytest

from pipelines.archives.records import Record
from pipelines.extraction.extractors import EXTRACTORS, Bounds
from pipelines.extraction.markup import readable
from pipelines.extraction.page import extract_page, find_engine

TALES = [
    f"The {animal} crossed the frozen lake before dawn, and nobody in the {place} believed the tracks they found there."
    for animal, place in zip(
        ("fox", "hare", "wolf", "heron", "otter", "lynx"),
        ("mill", "inn", "school", "chapel", "market", "station"),
        strict=True,
    )
]
LONG_PAGE = [f"{tale} (chapter {chapter})" for chapter in range(5) for tale in TALES]  # taken from end to end
LENGTHS = {"short": TALES, "long": LONG_PAGE}
HAN = ["渔民在清晨把小船推下水，傍晚才回到岸边。", "老师让学生们把院子里的落叶扫成一堆，再装进竹筐。"]


def text_of(body: str, name: str = "cascade") -> str:
    return whole_text_of(f"<article>{body}</article>", name)


def whole_text_of(body: str, name: str) -> str:
    html = f"<html><head><title>t</title></head><body>{body}</body></html>"
    record = Record("urn:1", None, None, 0, "response", 200, "text/html", "utf-8", html.encode(), None)
    return extract_page(record, find_engine(name), name, Bounds())[0] or ""


def among(piece: str, tales: list[str]) -> str:
    paragraphs = [f"<p>{tale}</p>" for tale in tales]
    return "".join([*paragraphs[:2], piece, *paragraphs[2:]])


@pytest.mark.parametrize("name", EXTRACTORS)
@pytest.mark.parametrize("tales", LENGTHS.values(), ids=LENGTHS)
@pytest.mark.parametrize(
    "piece",
    [
        "<xml><w:View>UNSEEN</w:View></xml>",
        "<p><XML><o:p>UNSEEN</o:p></XML>It snowed.</p>",
        "<w:WordDocument><w:Zoom>UNSEEN</w:Zoom></w:WordDocument>",
        "<template><p>UNSEEN</p><template>UNSEEN</template><p>UNSEEN</p></template>",
        "<canvas>UNSEEN</canvas>",
        "<dialog><p>UNSEEN, though it is a sentence that is long enough to be taken for the text.</p></dialog>",
        "<div hidden><p>UNSEEN, though it is a sentence that is long enough to be taken for the text of it.</p></div>",
        "<noembed>UNSEEN</noembed>",
        "<style>p{margin:0}</style>.UNSEEN{color:red}</style>",
        "<STYLE>p{margin:0}</STYLE>@media print{.UNSEEN{color:red}}",
        "<script>write('</script>'); UNSEEN = 1; }</script>",
    ],
)
def test_what_no_reader_sees_is_no_text(piece, tales, name):
    text = text_of(among(piece, tales), name)
    assert "UNSEEN" not in text
    assert all(text.count(tale) == 1 for tale in tales)


@pytest.mark.parametrize(
    "shown",
    [
        "<pre><code>.menu{color:red} @media print{p{margin:0}}</code></pre>",
        "<p>&lt;template&gt; holds what scripts copy, and &lt;canvas&gt; what they draw, as every beginner learns.</p>",
        "<style>p{margin:0}</style>It snowed all through the night, and the road to the harbour was closed.</style>",
        "<xml><p>It snowed all through the night, and the road to the harbour was closed until noon.</p></xml>",
        "<script>var part = '<template>'</script><p>It snowed all through the night, and the road was closed.</p>",
        "<!-- <canvas> --><p>It snowed all through the night, and the road to the harbour was closed.</p>",
    ],
)
def test_what_a_reader_sees_stays(shown):
    text = text_of(among(shown, TALES))
    seen = shown if "</p>" not in shown else shown[shown.index("<p>") + 3 :]
    word = "margin:0}}" if "<code>" in shown else "as every beginner" if "lt;" in shown else "snowed all through"
    assert word in seen
    assert text.count(word) == 1
    assert all(tale in text for tale in TALES)


def test_elements_that_are_shown_stay():
    assert readable("<template shadowrootmode=open><p>text</p></template>").count("text") == 1
    assert readable("<dialog class=a open><p>text</p></dialog>").count("text") == 1


@pytest.mark.parametrize("name", EXTRACTORS)
def test_words_of_neighbouring_blocks_are_not_glued(name):
    pieces = (
        "<details open><summary>{}</summary>{}</details><fieldset><legend>{}</legend>{}</fieldset>{}<menu><li>{}</menu>"
    )
    text = text_of(among(f"<div>{pieces.format(*TALES)}</div>", LONG_PAGE), name)
    assert not any(f"{tale}The" in text for tale in TALES)


@pytest.mark.parametrize("name", EXTRACTORS)
@pytest.mark.parametrize("tales", LENGTHS.values(), ids=LENGTHS)
@pytest.mark.parametrize(
    ("written", "read"),
    [
        (
            "The storm of <time datetime=1927>4 March 1927</time> took the pier.",
            "The storm of 4 March 1927 took the pier.",
        ),
        ("<b>On</b> <TIME>4 March</TIME> it snowed there.", "On 4 March it snowed there."),
        ("She said <q>never</q> to all of them.", "She said never to all of them."),
        ("The sum was <output>40</output> and <data value=3>three</data> coins.", "The sum was 40 and three coins."),
        ("Write it into the <label>Name</label> field today.", "Write it into the Name field today."),
        ("He wrote &amp;lt;b&amp;gt; on the board that day.", "He wrote &lt;b&gt; on the board that day."),
    ],
)
def test_words_stay_in_their_sentence(written, read, tales, name):
    assert read in text_of(among(f"<p>{written} {TALES[0]}</p>", tales[1:]), name)


def test_a_date_on_a_line_of_its_own_is_left_to_the_engines():
    assert readable("<div><time>4 March 1927</time></div>") == "<div><time>4 March 1927</time></div>"
    assert readable("<label>Name</label><input>") == "<label>Name</label><input>"


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("The biblio&shy;theque and the li\u00adbra&#173;ry are old", "The bibliotheque and the library are old"),
        ("Take <math alttext='a^2 &lt; b'><mi>a</mi></math> here", "Take \\(a^2 < b\\) here"),
        (
            "Take <math display=block><semantics><mi>a</mi><annotation encoding='application/x-tex'>a_1</annotation>"
            "</semantics></math> here",
            "Take \\[a_1\\] here",
        ),
        ("Take <math><mi>a</mi><mo>=</mo><mn>2</mn></math> here", "Take a = 2 here"),
        ("The &rlm;mark&lrm; and \u2067the other\u2069 one", "The \u200fmark\u200e and \u2067the other\u2069 one"),
        ("\u3000\u3000The indent of this one", "The indent of this one"),
        ("A price&nbsp;: 20\u202f000\u2009euros here", "A price : 20 000 euros here"),
        ("The e\u0301lan of it", "The e\u0301lan of it"),
        ("An icon \ue000here of the site", "An icon here of the site"),
    ],
)
def test_short_and_long_pages_are_cleaned_alike(written, read):
    pages = [text_of(among(f"<p>{written}. {TALES[0]}</p>", tales)) for tales in LENGTHS.values()]
    lines = [[line for line in text.split("\n") if line.startswith(read)] for text in pages]
    assert lines[0] == lines[1] == [f"{read}. {TALES[0]}"]


@pytest.mark.parametrize("name", EXTRACTORS)
def test_a_line_break_between_wide_characters_is_no_space(name):
    broken = [f"<p>{text[:7]}\r\n      {text[7:12]} \n{text[12:]}</p>" for text in HAN * 5]
    text = text_of("\n".join(broken), name)
    assert all(text.count(line) == 5 for line in HAN)
    assert text.count("\n") >= 9


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("漢字\nかな", "漢字かな"),
        ("漢字<b>\n強調</b>\n文", "漢字<b>強調</b>文"),
        ("他说：\n“好”", "他说：“好”"),
        ("漢字\nword", "漢字\nword"),
        ("한국\n사람", "한국\n사람"),
        ("<p>漢字</p>\n<p>漢字</p>", "<p>漢字</p>\n<p>漢字</p>"),
        ("<pre>漢\n字</pre>\n漢\n字", "<pre>漢\n字</pre>\n漢字"),
        ("word\nword", "word\nword"),
    ],
)
def test_lines_are_joined_only_between_wide_characters(written, read):
    assert readable(written) == read


@pytest.mark.parametrize("name", EXTRACTORS)
@pytest.mark.parametrize(
    "ruby",
    [
        "<ruby>{}<rp>(</rp><rt>READ</rt><rp>)</rp></ruby>",
        "<RUBY>{}<RT>READ</RUBY>",
        "<ruby><rb>{}</rb><rtc><rt>READ</rt></rtc></ruby>",
    ],
)
def test_readings_of_characters_are_left_out(ruby, name):
    def marked(text: str) -> str:
        return "".join(char if char in "，。" else ruby.format(char) for char in text)

    text = text_of("".join(f"<p>{marked(line)}</p>" for line in HAN * 8), name)
    assert "READ" not in text
    assert all(text.count(line) == 8 for line in HAN)


@pytest.mark.parametrize("name", EXTRACTORS)
def test_the_posts_of_a_thread_come_once(name):
    posts = "".join(f"<li class=comment><div class=comment-body><p>{tale}</p></div></li>" for tale in TALES)
    text = text_of(f"<h1>Tracks</h1><p>Who saw them?</p><ol class=commentlist>{posts}</ol>", name)
    assert [text.count(tale) for tale in TALES] == [1] * len(TALES)


MENU = "<a href=/>Harbour</a><br><a href=/news>News</a>"


@pytest.mark.parametrize("name", ["cascade", "trafilatura"])
@pytest.mark.parametrize(
    "layout",
    [
        "<table><tr><td>{menu}</td><td>{broken}</td></tr></table>",
        "<TABLE width=600><TR><TD>{menu}<TD><FONT size=2>{broken}</FONT></TABLE>",
        "<table><tbody><tr><td>{menu}</td><td>{paragraphs}</td></tr><tr><td></td><td>{paragraph}</td></tr></table>",
        "<table><tr><td>{menu}</td><td><table><tr><td>{broken}</td></tr></table></td></tr></table>",
    ],
)
def test_the_cells_of_a_layout_are_blocks(layout, name):
    blocks = {
        "menu": MENU,
        "broken": "<br><br>".join(TALES),
        "paragraphs": "".join(f"<p>{tale}</p>" for tale in TALES),
        "paragraph": "<p>It snowed all through the night, and the road to the harbour was closed until noon.</p>",
    }
    lines = text_of(layout.format(**blocks), name).split("\n")
    assert all(lines.count(tale) == 1 for tale in TALES)
    assert not any("|" in line or "Harbour" in line for line in lines)


@pytest.mark.parametrize("name", ["cascade", "trafilatura"])
@pytest.mark.parametrize(
    ("table", "row"),
    [
        ("<tr><th>Year</th><th>Boats</th></tr><tr><td>1927</td><td>14</td></tr>", "| 1927 | 14 |"),
        ("<tr><td><p>1927</p></td><td><p>14</p></td></tr><tr><td><p>1928</p></td><td>9</td></tr>", "| 1927 | 14 |"),
        (
            "".join(f"<tr><td>{n}</td><td>{tale}<br>{tale}</td></tr>" for n, tale in enumerate(TALES[:3], 1927)),
            f"| 1927 | {TALES[0]} {TALES[0]} |",
        ),
    ],
)
def test_the_rows_of_data_stay_rows(table, row, name):
    assert row in text_of(among(f"<table>{table}</table>", TALES), name)


BODIES = {  # each with six texts
    "blocks between paragraphs": (
        "<article><p>{0}</p><div>{1}</div><p>{2}</p><section>{3}</section><div>{4}</div><p>{5}</p></article>"
    ),
    "loose text between paragraphs": (
        "<div class=story>{0}<p>{1}</p>{2}<p>{3}</p><b>At noon,</b> {4}<center>{5}</center></div>"
    ),
    "double line breaks": "<h1>Tracks</h1>{0}<br><br>{1}<br><br>{2}<BR>\n<BR>{3}<br /><br />{4}<br><br><br>{5}",
    "text before the first paragraph": "<font face=Arial>{0}<p>{1}<p>{2}<p>{3}<p>{4}<p>{5}</font>",
    "text behind a line": "<center><b>Tracks</b></center><hr>{0}<p>{1}<p>{2}<p>{3}<p>{4}<p>{5}<hr><a href=i>Back</a>",
    "lead in the header": (
        "<article><header><h1>Tracks</h1><p>{0}</p></header><p>{1}</p><p>{2}</p><p>{3}</p><p>{4}</p><p>{5}</p></article>"
    ),
    "lead in the header of main": (
        "<main><header><h1>Tracks</h1><p>{0}</p></header><p>{1}</p><p>{2}</p><p>{3}</p><p>{4}</p><p>{5}</p></main>"
    ),
    "rows of one cell": ("<table><tr><td>{0}<tr><td>{1}<tr><td>{2}<tr><td>{3}<tr><td>{4}<tr><td>{5}</table>"),
    "spans in blocks": (
        "<div id=main><div><span>{0}</span></div><div><span>{1}</span></div><p>{2}</p><div>{3}</div>{4}<p>{5}</p></div>"
    ),
}


@pytest.mark.parametrize("name", EXTRACTORS)
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_text_is_found_wherever_it_stands(body, name):
    text = whole_text_of(body.format(*TALES), name)
    assert [text.count(tale) for tale in TALES] == [1] * len(TALES)
    assert [text.index(tale) for tale in TALES] == sorted(text.index(tale) for tale in TALES)


@pytest.mark.parametrize("name", EXTRACTORS)
@pytest.mark.parametrize(
    "part",
    [
        "<article><h2>Part {n} of it</h2><p>{tale}</p></article>",
        "<h2>Part {n} of it</h2><p>{tale}</p>",
        "<div><h3>Part {n} of it</h3><div>{tale}</div></div>",
        "<section><h4>Part {n} of it</h4>{tale}<br><br></section>",
    ],
)
def test_each_heading_stands_before_its_text(part, name):
    body = "".join(part.format(n=number, tale=tale) for number, tale in enumerate(TALES))
    lines = [line for line in whole_text_of(body, name).split("\n") if line]
    assert lines == [line for number, tale in enumerate(TALES) for line in (f"Part {number} of it", tale)]


def test_headings_of_other_text_are_left_out():
    teasers = "".join(f"<h3>Elsewhere {number}</h3><ul><li><a href=/{number}>More</a></li></ul>" for number in range(9))
    text = text_of("".join(f"<h2>Part {n}</h2><p>{tale}</p>" for n, tale in enumerate(TALES)))
    html = (
        f"<html><body><nav>{teasers}</nav><article>{among('', TALES)}</article><aside>{teasers}</aside></body></html>"
    )
    record = Record("urn:1", None, None, 0, "response", 200, "text/html", "utf-8", html.encode(), None)
    assert "Part 5" in text
    assert "Elsewhere" not in (extract_page(record, find_engine("cascade"), "cascade", Bounds())[0] or "")


def test_scripts_are_emptied_but_those_with_data():
    data = '<script type="application/ld+json">{"@type": "DiscussionForumPosting"}</script>'
    assert readable(f"<script src=a>var a = 1</script>{data}") == f"<script src=a></script>{data}"


def test_hostile_marks_take_time_in_proportion():
    marks = [
        "<canvas>",
        "<rt>",
        "<math>",
        "<template>",
        '<time "',
        "<script>",
        "<!--",
        "<time>x</time>",
        "字\n",
        "<table><td>",
    ]
    start = time.process_time()
    for mark in marks:
        readable(mark * 20_000)
    assert time.process_time() - start < 30
