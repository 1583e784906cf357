import itertools
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.personal_data import KINDS, STYLES, Span, find, redact
from roots.errors import SettingsError

FINDS = [(kind.name, row) for kind in KINDS.values() for row in kind.finds]
SPARES = [(kind.name, row) for kind in KINDS.values() for row in kind.spares]


def parse(row: str) -> tuple[str, list[tuple[int, int]]]:
    """A row of a table as its text and the spans that stand in double angle brackets."""
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
    assert [(span.start, span.end) for span in find(text, [kind])] == spans


@pytest.mark.parametrize(("kind", "row"), SPARES)
def test_every_kind_spares_what_its_row_says(kind, row):
    assert find(row, [kind]) == []


@pytest.mark.parametrize(("kind", "row"), SPARES)
def test_what_a_kind_spares_is_spared_in_longer_text_of_other_scripts(kind, row):
    assert find(f"नमस्ते।\n{row}\nمرحبا", [kind]) == []


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_every_row_carries_its_proof(kind):
    assert len(kind.finds) >= 3
    assert len(kind.spares) >= 3
    assert kind.words
    assert kind.tag == kind.tag.upper()


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(("kind", "row"), FINDS)
def test_the_value_goes_and_all_else_stays(kind, row, style):
    text, spans = parse(row)
    clean = redact(text, find(text, [kind]), style)
    rest = [text[end:start] for end, start in itertools.pairwise([0, *itertools.chain(*spans), len(text)])][::2]
    assert re.fullmatch(".+".join(map(re.escape, rest)), clean, re.DOTALL)
    for start, end in spans:
        assert text[start:end] not in clean


def test_tags_are_those_of_roots_and_of_starcoder():
    text = "ana@example.org from 93.184.215.14"
    spans = find(text, ["email", "ip_address"])
    assert redact(text, spans, "roots") == "PI:EMAIL from PI:IP_ADDRESS"
    assert redact(text, spans, "starcoder") == "<EMAIL> from <IP_ADDRESS>"


def test_redaction_is_by_span_not_by_string():
    text = "93.184.215.14 in version 93.184.215.14"
    assert redact(text, find(text, ["ip_address"]), "roots") == "PI:IP_ADDRESS in version 93.184.215.14"


@pytest.mark.parametrize(
    "around",
    ["e\u0301 ", "क्षि ", "ক্ষ ", "ส้ม ", "நீ ", "中文", "ọ̀rọ̀ ", "Việt ", "👩‍👩‍👧 ", "مَرْحَبًا ", "\u200f", "\x00", "\ud800"],
)
def test_text_outside_the_spans_is_exact_in_every_script(around):
    text = f"{around}ana@example.org {around}"
    spans = find(text, ["email"])
    assert [text[span.start : span.end] for span in spans] == ["ana@example.org"]
    assert redact(text, spans, "roots") == f"{around}PI:EMAIL {around}"


def test_a_combining_mark_goes_with_the_character_it_sits_on():
    text = "93.184.215.14\u0301 x"
    assert redact(text, find(text, ["ip_address"]), "roots") == "PI:IP_ADDRESS x"


@given(st.text(st.sampled_from("ab1.@:-/= é中٣\u0301\n[]AKI0"), max_size=300))
def test_spans_are_ordered_apart_and_inside_whatever_the_text(text):
    spans = find(text, KINDS)
    edges = [0, *itertools.chain.from_iterable((span.start, span.end) for span in spans), len(text)]
    assert edges == sorted(edges)
    assert all(span.start < span.end for span in spans)


@given(st.text(max_size=200))
def test_a_clean_text_comes_back_as_it_was(text):
    if not find(text, KINDS):
        assert redact(text, [], "roots") == text


@given(st.text(st.sampled_from("ab1.@ é中٣"), max_size=60), st.text(st.sampled_from("ab1. é中٣"), max_size=60))
def test_redacted_text_of_one_kind_holds_no_more_of_it(before, after):
    text = f"{before} ana@example.org {after}"
    assert not find(redact(text, find(text, ["email"]), "starcoder"), ["email"])


ADVERSARIAL = [
    "a" * 64, "@", "a@", "a.", "a@a.", "1.", "1.1.1.1.", "1:", ":", "a:", "::", "1 ", "1234 ", "1-", "+1 ", "(1) ",
    "A1", "aB3", "a/", "x7Gk29Lm", "=", "key=", "api_key ", "-----BEGIN PRIVATE KEY-----", "eyJ", "eyJa.", "ghp_a",
    "中@", "٣.", "é@", "\u0301", "[at]", "a [at] ", "\n", "sk-", "FR76 ", "0x", "a@中.",
]  # fmt: skip


def seconds(text: str) -> float:
    start = time.process_time()
    find(text, KINDS)
    return time.process_time() - start


@pytest.mark.parametrize("piece", ADVERSARIAL)
def test_time_is_linear_on_adversarial_text(piece):
    find(piece * 10, KINDS)
    text = piece * (20_000 // len(piece))
    once = min(seconds(text) for _ in range(2))
    assert min(seconds(text * 4) for _ in range(2)) < 8 * once + 0.1  # a quadratic search takes 16 times as long
    assert once < 2


def test_an_unknown_kind_or_style_names_the_nearest():
    with pytest.raises(SettingsError, match="email"):
        find("x", ["emial"])
    with pytest.raises(SettingsError, match="roots"):
        redact("x", [Span("email", 0, 1)], "root")
