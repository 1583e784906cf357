import itertools
import re
import time

import pytest
import re2
from hypothesis import given
from hypothesis import strategies as st

from filters.personal_data import (
    DEFAULT_KINDS,
    KINDS,
    REDACTION_PRESETS,
    STYLES,
    Span,
    find_spans,
    redact,
    redact_url,
    regions_of,
)
from filters.personal_data.candidate import Candidate
from filters.personal_data.cues import PHONE_CUES
from filters.personal_data.search import REGIONS
from roots.errors import SettingsError

FINDS = [(kind.name, row) for kind in KINDS.values() for row in kind.finds]
SPARES = [(kind.name, row) for kind in KINDS.values() for row in kind.spares]


def parse(row: str) -> tuple[str, list[tuple[int, int]]]:
    """The text of a row, and the spans in its double angle brackets."""
    text, starts, spans = "", 0, []
    for part in re.split("([⟪⟫])", row):
        if part == "⟪":
            starts = len(text)
        elif part == "⟫":
            spans.append((starts, len(text)))
        else:
            text += part
    return text, spans


@pytest.mark.parametrize(("kind", "row"), FINDS)
def test_every_kind_finds_what_its_row_says(kind, row):
    text, spans = parse(row)
    assert spans
    assert [(span.start, span.end) for span in find_spans(text, [kind])] == spans


@pytest.mark.parametrize(("kind", "row"), SPARES)
def test_every_kind_spares_what_its_row_says(kind, row):
    assert find_spans(row, [kind]) == []


@pytest.mark.parametrize(("kind", "row"), SPARES)
def test_what_a_kind_spares_is_spared_in_longer_text_of_other_scripts(kind, row):
    assert find_spans(f"नमस्ते।\n{row}\nمرحبا", [kind]) == []


PIECES = """ana @ a. b.org 93.184. 215.14 AKIA Q3EGRTL7PX2ZKMNB 4111 - 1111 DE89 3704 +33 00:1A : 48.85837 , 2.29448
    1BvBMSEYstWet 0x ab12CD34 ef56 é 中 ٣ १२३ ( ) ° ' N °E -----BEGIN PRIVATE KEY ----- key= AB CDEFG 1234 H @ana_l [at]
    AB-123-CD"""


@pytest.mark.parametrize(
    "kind", [kind for preset in REDACTION_PRESETS.values() for kind in preset.kinds.values()], ids=lambda k: k.name
)
def test_a_gate_lets_through_all_that_its_pattern_matches(kind):
    gate, pattern = re2.compile(kind.gate), re2.compile(kind.pattern)
    for row in kind.finds:
        assert gate.search(parse(row)[0])

    @given(st.lists(st.sampled_from([*PIECES.split(), " ", "\n"]), max_size=12).map("".join))
    def holds(text):
        for match in pattern.finditer(text):
            # A check may ask for more than the pattern: only what it accepts must pass the gate.
            candidate = Candidate(match.group(), text[: match.start()], text[match.end() :], ("IN", "FR", "US"))
            if kind.check(candidate):
                assert gate.search(text)

    holds()


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_every_row_carries_its_proof(kind):
    assert len(kind.finds) >= 3
    assert len(kind.spares) >= 3
    assert kind.words
    assert kind.tag == kind.tag.upper()


@pytest.mark.parametrize(
    "row",
    [
        "mail ⟪a\u200bna@exam\xadple.org⟫, then ⟪bo\u2060@\u200bexample.org⟫ x\u200by",
        "อีเมล\u200b⟪somchai\u200b@example.co.th⟫\u200bได้",
        "call \u202a⟪+1 415-\u200b555-2671⟫\u202c",
        "from ⟪93.184.\ufeff215.14⟫ on",
    ],
)
def test_characters_without_a_width_hide_nothing(row):
    text, spans = parse(row)
    assert [(span.start, span.end) for span in find_spans(text, DEFAULT_KINDS)] == spans


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(("kind", "row"), FINDS)
def test_only_the_value_is_replaced(kind, row, style):
    text, spans = parse(row)
    clean = redact(text, find_spans(text, [kind]), style, b"secret")
    rest = [text[end:start] for end, start in itertools.pairwise([0, *itertools.chain(*spans), len(text)])][::2]
    assert re.fullmatch(".+".join(map(re.escape, rest)), clean, re.DOTALL)
    for start, end in spans:
        assert text[start:end] not in clean


def test_tags_are_written_as_in_roots_and_starcoder():
    text = "ana@example.org from 93.184.215.14"
    spans = find_spans(text, ["email", "ip_address"])
    assert redact(text, spans, "roots") == "PI:EMAIL from PI:IP_ADDRESS"
    assert redact(text, spans, "starcoder") == "<EMAIL> from <IP_ADDRESS>"


def test_redaction_is_by_span_not_by_string():
    text = "93.184.215.14 in version 93.184.215.14"
    assert redact(text, find_spans(text, ["ip_address"]), "roots") == "PI:IP_ADDRESS in version 93.184.215.14"


@pytest.mark.parametrize(
    "around",
    ["e\u0301 ", "क्षि ", "ক্ষ ", "ส้ม ", "நீ ", "中文", "ọ̀rọ̀ ", "Việt ", "👩‍👩‍👧 ", "مَرْحَبًا ", "\u200f", "\x00", "\ud800"],
)
def test_text_outside_the_spans_is_exact_in_every_script(around):
    text = f"{around}ana@example.org {around}"
    spans = find_spans(text, ["email"])
    assert [text[span.start : span.end] for span in spans] == ["ana@example.org"]
    assert redact(text, spans, "roots") == f"{around}PI:EMAIL {around}"


def test_a_combining_mark_is_replaced_with_its_character():
    text = "93.184.215.14\u0301 x"
    assert redact(text, find_spans(text, ["ip_address"]), "roots") == "PI:IP_ADDRESS x"


@given(st.text(st.sampled_from("ab1.@:-/= é中٣\u0301\n[]AKI0"), max_size=300))
def test_spans_of_any_text_are_ordered_apart_and_inside(text):
    spans = find_spans(text, KINDS)
    edges = [0, *itertools.chain.from_iterable((span.start, span.end) for span in spans), len(text)]
    assert edges == sorted(edges)
    assert all(span.start < span.end for span in spans)


@given(st.text(max_size=200))
def test_a_text_without_personal_data_is_unchanged(text):
    if not find_spans(text, KINDS):
        assert redact(text, [], "roots") == text


@given(st.text(st.sampled_from("ab1.@ é中٣"), max_size=60), st.text(st.sampled_from("ab1. é中٣"), max_size=60))
def test_redacted_text_of_one_kind_holds_no_more_of_it(before, after):
    text = f"{before} ana@example.org {after}"
    assert not find_spans(redact(text, find_spans(text, ["email"]), "starcoder"), ["email"])


ADVERSARIAL = [
    "a" * 64, "@", "a@", "a.", "a@a.", "1.", "1.1.1.1.", "1:", ":", "a:", "::", "1 ", "1234 ", "1-", "+1 ", "(1) ",
    "A1", "aB3", "a/", "x7Gk29Lm", "=", "key=", "api_key ", "-----BEGIN PRIVATE KEY-----", "eyJ", "eyJa.", "ghp_a",
    "+33", "4111 ", "4111", "1 2", "(1", "1)", "1/", "48.8583, ", "1°", "0x1", "1A:", "bc1q", "DE89", "@ab", "1234-",
    "中@", "٣.", "é@", "\u0301", "[at]", "a [at] ", "\n", "sk-", "FR76 ", "0x", "a@中.",
]  # fmt: skip


def seconds(text: str) -> float:
    start = time.process_time()
    find_spans(text, KINDS, regions_of("fr"))
    return time.process_time() - start


@pytest.mark.parametrize("piece", ADVERSARIAL)
def test_time_is_linear_on_adversarial_text(piece):
    find_spans(piece * 10, KINDS)
    text = piece * (3_000 // len(piece))
    once = min(seconds(text) for _ in range(2))
    assert min(seconds(text * 4) for _ in range(2)) < 8 * once + 0.1  # a quadratic search takes 16 times as long
    assert once < 0.5


def test_stand_ins_belong_to_nobody_and_depend_on_value_and_secret():
    text = "ana@example.org bo@example.org ana@example.org 4111 1111 1111 1111"
    spans = find_spans(text, ["email", "payment_card"])
    first, second, third, *card = redact(text, spans, "synthetic", b"one").split(" ")
    assert first == third != second
    assert redact(text, spans, "synthetic", b"one") == redact(text, spans, "synthetic", b"one")
    assert redact(text, spans, "synthetic", b"two").split(" ")[0] != first
    assert re.fullmatch(r"[a-z]{8}@example\.(com|net|org)", first)
    assert [len(group) for group in card] == [4, 4, 4, 4]


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("123 456 789", "PI:KEY"),
        ("9781234567897", "PI:KEY"),
        ("1995 1996 1997", "PI:KEY"),
        ("/usr/local/bin/foo", "PI:KEY"),
        ("HTML5 CSS3 MP3", "PI:KEY"),
        ("12345678 or 2001 2002", "12345678 or 2001 2002"),
        ("ana@example.org by @ana_l from 10.0.0.1", "PI:EMAIL by PI:USER from PI:IP_ADDRESS"),
    ],
)
def test_the_preset_roots_makes_the_mistakes_of_roots(text, clean):
    assert redact(text, find_spans(text, REDACTION_PRESETS["roots"].kinds, preset="roots"), "roots") == clean


def test_the_preset_fineweb_takes_ascii_mail_and_public_ipv4_only():
    text = "ana@example.org 93.184.215.14 10.0.0.1 2606:2800:21f:cb07:6820:80da:af6b:8b2c"
    spans = find_spans(text, REDACTION_PRESETS["fineweb"].kinds, preset="fineweb")
    assert redact(text, spans, "fineweb").split()[:3] == ["email@example.com", "22.214.171.124", "10.0.0.1"]
    assert len(spans) == 2


def test_the_preset_bigcode_spares_short_addresses_away_from_dns():
    assert not find_spans("at 7.7.6.5", REDACTION_PRESETS["bigcode"].kinds, preset="bigcode")
    assert find_spans("dns 7.7.6.5", REDACTION_PRESETS["bigcode"].kinds, preset="bigcode")


def test_a_national_number_needs_its_country_or_a_cue():
    text = "call 01 23 45 67 89 please"
    assert not find_spans("so 01 23 45 67 89 and", ["phone"])
    assert find_spans("so 01 23 45 67 89 and", ["phone"], regions_of("fra"))
    assert find_spans(text, ["phone"])


def test_every_language_of_roots_has_its_countries_and_the_larger_ones_their_cues():
    assert len(REGIONS) >= 45
    assert len(PHONE_CUES) >= 30
    assert regions_of("fra") == regions_of("fr") != ()
    assert regions_of("xxx") == regions_of(None) == ()


def test_plates_are_off_unless_asked_for():
    assert "license_plate" not in DEFAULT_KINDS


def test_an_unknown_kind_or_style_names_the_nearest():
    with pytest.raises(SettingsError, match="email"):
        find_spans("x", ["emial"])
    with pytest.raises(SettingsError, match="roots"):
        redact("x", [Span("email", 0, 1)], "root")


@pytest.mark.parametrize(
    ("text", "kind", "other"),
    [
        ("token: 1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2", "crypto_address", "key"),
    ],
)
def test_of_kinds_that_overlap_the_earlier_row_wins(text, kind, other):
    assert find_spans(text, [other])
    assert [span.kind for span in find_spans(text, KINDS)] == [kind]


@pytest.mark.parametrize(
    ("url", "clean"),
    [
        ("https://a.test/?from=ana@example.org&x=1", "https://a.test/?from=PI:EMAIL&x=1"),
        ("https://a.test/?from=ana%40example.org", "https://a.test/?from=PI:EMAIL"),
        ("https://a.test/u/ana@example.org/#bo@example.org", "https://a.test/u/PI:EMAIL/#PI:EMAIL"),
        ("https://ana:secret@a.test/x", "https://a.test/x"),
        ("https://a.test/@ana/posts", None),
        ("https://cdn.test/npm/pkg@1.2.3/dist/a@2x.png", None),
        ("https://a.test/maps/@48.85,2.29", None),
        ("https://a.test/x%40y", None),
        ("https://a.test/", None),
        ("", None),
    ],
)
def test_only_mail_addresses_and_user_names_leave_a_url(url, clean):
    assert redact_url(url) == (url if clean is None else clean)
    assert redact_url(redact_url(url)) == redact_url(url)
