"""The charset of a page, by evidence."""

import csv

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.text.charset import codec_of, decode_page
from pipelines.archives.limits import Limits
from pipelines.archives.records import read_records
from tests.support.paths import ROOT

BUILT = ROOT.parent / "shared" / "data" / "warc" / "built"
FRENCH = "Les élèves français étudient à l'école où l'été dernier ils ont gagné le prix de la ville de Nîmes. " * 4
RUSSIAN = "Кошка спит на столе, а дети играют в саду возле дома, пока светит солнце. " * 4
ARABIC = "القط ينام على الطاولة والأطفال يلعبون في حديقة البيت تحت الشمس. " * 4
CHINESE = "猫在桌子上睡觉,孩子们在院子里玩耍,太阳照着房子。" * 8
TAIWAN = "貓在桌子上睡覺,孩子們在院子裡玩耍,太陽照著房子。" * 8
JAPANESE = "猫はテーブルの上で眠り、子どもたちは庭で遊んでいます。" * 8
KOREAN = (
    "고양이는 탁자 위에서 자고 아이들은 마당에서 놀고 있습니다. 오늘은 날씨가 맑아서 많은 사람들이 공원에 나왔습니다. "
    "우리 가족은 저녁에 함께 밥을 먹고 이야기를 나누었습니다. 내일은 비가 온다고 하니 우산을 가지고 가야 합니다."
)
POLISH = "Kot śpi na stole, a dzieci bawią się w ogrodzie, gdy świeci słońce i żółte liście spadają. " * 4

# text, how it is stored, HTTP label, meta label -> charset, evidence
EVIDENCE = [
    (FRENCH, "utf-8", "utf-8", "", "utf-8", "http"),
    (FRENCH, "utf-8", "", "utf-8", "utf-8", "meta"),
    (FRENCH, "utf-8", "", "", "utf-8", "utf-8"),
    (FRENCH, "utf-8", "iso-8859-1", "", "utf-8", "utf-8"),
    (FRENCH, "utf-8", "gb2312", "big5", "utf-8", "utf-8"),
    (FRENCH, "utf-8", "klingon", "", "utf-8", "utf-8"),
    (FRENCH, "utf-8-sig", "iso-8859-1", "", "utf-8", "bom"),
    (FRENCH, "utf-16", "utf-8", "utf-8", "utf-16le", "bom"),
    (FRENCH, "utf-16-le", "", "", "utf-16le", "detector"),
    (FRENCH, "utf-16-be", "iso-8859-1", "", "utf-16be", "detector"),
    (FRENCH, "cp1252", "iso-8859-1", "", "windows-1252", "http"),
    (FRENCH, "cp1252", "", "latin1", "windows-1252", "meta"),
    (FRENCH, "cp1252", "utf-8", "windows-1252", "windows-1252", "meta"),
    (FRENCH, "cp1252", "", "", "windows-1252", "detector"),
    (FRENCH, "cp1252", "", "utf-8", "windows-1252", "detector"),
    (RUSSIAN, "cp1251", "windows-1251", "", "windows-1251", "http"),
    (RUSSIAN, "cp1251", "iso-8859-1", "windows-1251", "windows-1251", "meta"),
    (RUSSIAN, "koi8-r", "iso-8859-1", "", "koi8-r", "detector"),
    (ARABIC, "cp1256", "iso-8859-1", "", "windows-1256", "detector"),
    (ARABIC, "iso8859-6", "", "", "iso-8859-6", "detector"),
    (CHINESE, "gb2312", "gb2312", "", "gb18030", "http"),
    (CHINESE, "gb18030", "", "", "gb18030", "detector"),
    (CHINESE, "gb18030", "iso-8859-1", "utf-8", "gb18030", "detector"),
    (TAIWAN, "big5", "", "big5", "big5", "meta"),
    (TAIWAN, "big5", "", "", "big5", "detector"),
    (JAPANESE, "shift_jis", "x-sjis", "", "shift_jis", "http"),
    (JAPANESE, "euc-jp", "", "", "euc-jp", "detector"),
    (JAPANESE, "iso2022_jp", "iso-2022-jp", "", "iso-2022-jp", "http"),
    (KOREAN, "euc-kr", "ks_c_5601-1987", "", "euc-kr", "http"),
    (KOREAN, "euc-kr", "", "", "euc-kr", "detector"),
    (POLISH, "iso8859-2", "iso-8859-2", "", "iso-8859-2", "http"),
    ("plain ASCII only", "ascii", "", "", "utf-8", "utf-8"),
]


@pytest.mark.parametrize(("text", "stored", "http", "meta", "charset", "evidence"), EVIDENCE)
def test_the_first_evidence_that_bytes_do_not_contradict_decides(
    text: str, stored: str, http: str, meta: str, charset: str, evidence: str
) -> None:
    head = f'<html><head><meta charset="{meta}"></head>' if meta else "<html><head></head>"
    page = f"{head}<body><p>{text}</p></body></html>"
    decoded = decode_page(page.encode(stored), http or None)
    assert decoded == (page, charset, evidence)


def test_a_few_bad_bytes_do_not_change_the_charset() -> None:
    body = (FRENCH * 9).encode().replace(b"prix", b"pr\xffix", 1)
    decoded = decode_page(body, "utf-8")
    assert (decoded.charset, decoded.charset_from) == ("utf-8", "http")
    assert decoded.text.count("�") == 1


# text in UTF-8, bytes of windows-1252 that a site pasted into it
STRAY = [
    ("Bécasse, écureuil et hérisson vivent près du château.", b"<i>Andr\xe9</i>"),
    ("Ìwé àti ẹ̀kọ́ ni ó ń mú ọmọ gbọ́n.", b"\xa9 2019 |\xa0\xa0"),
    ("नदी के किनारे बच्चे पतंग उड़ाते हैं।", b"\x96 \x93menu\x94"),
    ("Anna’s “boat”", b"\xae"),
    ("Der Käse, die Brötchen und das Gemüse", b"Stra\xdfe"),
    ("Дощ іде цілий день", b"caf\xe9 \x80 \x85"),
]


@pytest.mark.parametrize(("text", "stray"), STRAY)
@pytest.mark.parametrize(
    ("http", "meta", "evidence"),
    [("utf-8", "", "http"), ("iso-8859-1", "utf-8", "meta"), ("", "", "utf-8"), ("gb2312", "windows-1252", "utf-8")],
)
def test_stray_bytes_do_not_make_a_utf8_page_anything_else(
    text: str, stray: bytes, http: str, meta: str, evidence: str
) -> None:
    head = f"<meta charset='{meta}'>" if meta else ""
    decoded = decode_page(f"{head}<p>{text}</p>".encode() + stray, http or None)
    assert text in decoded.text
    assert decoded.text.count("�") == len(stray) - len(stray.translate(None, bytes(range(128, 256))))
    assert (decoded.charset, decoded.charset_from) == ("utf-8", evidence)


@pytest.mark.parametrize(
    ("text", "codec", "charset"),
    [(FRENCH, "cp1252", "windows-1252"), (KOREAN, "cp949", "euc-kr"), (CHINESE, "gb18030", "gb18030"),
     (RUSSIAN, "cp866", "ibm866"), (POLISH, "iso8859-2", "iso-8859-2")],
)  # fmt: skip
def test_one_word_of_utf8_does_not_make_a_page_utf8(text: str, codec: str, charset: str) -> None:
    label = "iso-8859-1" if codec == "cp1252" else charset
    body = f"<meta charset='{label}'><p>{text}</p>".encode(codec) + "<i>Zoë Núñez</i>".encode()
    assert decode_page(body, "utf-8").charset == charset


def test_windows_1252_is_not_taken_where_the_detector_says_utf8(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("filters.text.charset.cchardet.detect", lambda body: {"encoding": "UTF-8"})
    assert decode_page("<p>déjà</p>".encode() + b"\xe9\xe8") == ("<p>déjà</p>��", "utf-8", "utf-8")


SHORT = ["打开电源，等待系统启动。", "第三章 使用说明", "如果没有声音，请检查连接线。", "按下开关后再次确认设置。"]
SHORT_TAIWAN = [
    "打開電源，等待系統啟動。",
    "第三章 使用說明",
    "如果沒有聲音，請檢查連接線。",
    "按下開關後再次確認設定。",
]


@pytest.mark.parametrize("form", ["<pre>{}</pre>", "<p>{}", "<ul><li>{}</ul>", "{}"])
def test_short_lines_of_chinese_in_gb2312(form: str) -> None:
    page = form.format("\n".join(SHORT))
    assert decode_page(page.encode("gb2312")) == (page, "gb18030", "detector")


@pytest.mark.parametrize(
    ("text", "codec", "charset"),
    [("\n".join(SHORT_TAIWAN), "big5", "big5"), (KOREAN, "euc-kr", "euc-kr"), (JAPANESE, "euc-jp", "euc-jp"),
     (RUSSIAN, "koi8-r", "koi8-r"), (ARABIC, "cp1256", "windows-1256"), (FRENCH, "cp1252", "windows-1252")],
)  # fmt: skip
def test_other_charsets_are_not_taken_for_gb2312(text: str, codec: str, charset: str) -> None:
    assert decode_page(f"<pre>{text}</pre>".encode(codec)).charset == charset


@pytest.mark.parametrize("label", ["utf-16le", "utf-16be", "UTF-16"])
@pytest.mark.parametrize("text", [CHINESE, JAPANESE, KOREAN, RUSSIAN])
def test_utf16_that_a_header_names(label: str, text: str) -> None:
    codec = "utf-16-be" if label == "utf-16be" else "utf-16-le"
    assert decode_page(text.encode(codec), label) == (text, codec.replace("-le", "le").replace("-be", "be"), "http")


@pytest.mark.parametrize(("text", "codec"), [(FRENCH, "utf-8"), (FRENCH, "cp1252"), (CHINESE, "utf-8")])
def test_a_page_that_is_not_utf16_is_not_read_so(text: str, codec: str) -> None:
    assert decode_page(f"<p>{text}</p>".encode(codec), "utf-16le").text == f"<p>{text}</p>"


REAL = "<meta charset=iso-8859-2>"


@pytest.mark.parametrize(
    "head",
    [
        f"<!-- <meta charset=windows-1251> -->{REAL}",
        f"<!-- a > b <META CHARSET='big5'>\n-->{REAL}",
        f"<script>document.write('<meta charset=koi8-r>')</script>{REAL}",
        f"<style>/* <meta charset=koi8-r> */</style>{REAL}",
        f"<meta name=keywords content='charset=windows-1252, charset=gbk'>{REAL}",
        f"<meta content='all about charset=big5' property='og:description'>{REAL}",
        f"<meta name=a data-charset=big5>{REAL}",
        f"<img alt='<meta charset=big5>'>{REAL}",
        "<meta http-equiv=Content-Type content='text/html; charset=iso-8859-2'>",
        "<meta content='text/html;charset=iso-8859-2' HTTP-EQUIV='content-type'/>",
        "<title>It's new</title><meta charset = 'ISO-8859-2' />",
    ],
)
def test_only_a_meta_element_is_a_label(head: str) -> None:
    page = f"<html><head>{head}</head><body><p>{POLISH}</p></body></html>"
    assert decode_page(page.encode("iso8859-2")) == (page, "iso-8859-2", "meta")


@pytest.mark.parametrize("false", ["<!-- {} -->", "<script>var a = '{}';</script>", "<textarea>{}</textarea>"])
def test_a_label_that_is_none_is_no_evidence(false: str) -> None:
    page = f"<html><head>{false.format('<meta charset=gb2312>')}</head><p>{FRENCH}</p></html>"
    assert decode_page(page.encode("cp1252")) == (page, "windows-1252", "detector")


@pytest.mark.parametrize("body", [b"", b"\0", b"\xff", b"\xff\xfe", b"\xef\xbb\xbf", b"\xed\xa0\x80", bytes(5000)])
def test_empty_and_binary_bodies_decode(body: bytes) -> None:
    text = decode_page(body, "utf-8").text
    assert "\0" not in text
    text.encode()


@given(st.binary(max_size=300), st.one_of(st.none(), st.text(max_size=20), st.sampled_from(["utf-16", "gbk", "utf-7"])))
def test_decoding_never_fails_and_its_text_can_be_written(body: bytes, label: str | None) -> None:
    text = decode_page(body, label).text
    text.encode()
    assert "\0" not in text


@pytest.mark.parametrize(
    ("label", "codec"),
    [
        ("ISO-8859-1", "cp1252"),
        (" 'latin1' ", "cp1252"),
        ("us-ascii", "cp1252"),
        ("GB2312", "gb18030"),
        ("shift-jis", "cp932"),
        ("ks_c_5601-1987", "cp949"),
        ("tis-620", "cp874"),
        ("utf8", "utf-8"),
        ("klingon", None),
        ("", None),
        (None, None),
        ("rot13", None),
        ("zip", None),
    ],
)
def test_labels_mean_what_browsers_take_them_for(label: str | None, codec: str | None) -> None:
    assert codec_of(label) == codec


@pytest.mark.skipif(not BUILT.is_dir(), reason="the shared test data are not here")
def test_pages_in_rare_charsets_decode() -> None:
    csv.field_size_limit(1 << 24)
    with (BUILT / "odd-charsets-bundle.manifest.tsv").open(encoding="utf-8", newline="") as file:
        truth = {row["url"]: row["charset"] for row in csv.DictReader(file, delimiter="\t")}
    wrong = []
    for record in read_records(BUILT / "odd-charsets-bundle.warc.gz", Limits()):
        wanted = record.body.decode(truth[str(record.url)], "replace").removeprefix("\ufeff")
        if decode_page(record.body, record.header_charset).text != wanted:
            wrong.append(record.url)
    assert len(truth) == 57
    assert wrong == []
