"""Every language file is whole, names its sources, and judges its own examples as it says."""

import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from filters import language as languages
from filters.language import SEGMENTER_NAMES, Bound, Example, bound_sets, find_code, known_codes, load_language
from filters.signals.measures import measure
from filters.signals.rules import LANGUAGE_SCORE, judge, rules_of
from filters.text.characters import SCRIPTS
from filters.text.words import SEGMENTERS, cut_texts
from roots.errors import SettingsError
from tests.support.paths import ROOT

ROOTS_LANGUAGES = [
    "ak", "ar", "as", "bm", "bn", "ca", "en", "es", "eu", "fon", "fr", "gu", "hi", "id", "ig", "ki", "kn", "lg", "ln",
    "ml", "mr", "ne", "nso", "ny", "or", "pa", "pt", "rn", "rw", "sn", "st", "sw", "ta", "te", "tn", "ts", "tum", "tw",
    "ur", "vi", "wo", "xh", "yo", "zh", "zht", "zu",
]  # fmt: skip
WITH_BOUNDS_OF_ROOTS = ["ar", "bn", "ca", "en", "es", "eu", "fr", "hi", "id", "pt", "ur", "vi", "zh"]


def test_there_is_a_file_for_each_of_the_46_languages_of_roots() -> None:
    assert len(ROOTS_LANGUAGES) == 46
    assert list(known_codes()) == ROOTS_LANGUAGES


@pytest.mark.parametrize("code", ROOTS_LANGUAGES)
def test_a_language_file_is_whole(code: str) -> None:
    language = load_language(code)
    assert language.code == code
    assert len(language.iso639_3) == 3
    assert language.tag == f"{language.iso639_3}_{language.script}"
    assert language.script in SCRIPTS
    assert language.reading.segmenter in SEGMENTERS
    assert language.reading.flagged_words
    for name in bound_sets(code):
        bounds = load_language(code, name).bounds
        assert rules_of(bounds)
        assert all(bound.source for bound in bounds.values())
    for words in (language.reading.function_words, language.reading.flagged_words):
        assert all(word == word.strip().lower() and word for word in words)


EXAMPLES = [
    (code, example)
    for code in ROOTS_LANGUAGES
    for language in [load_language(code)]
    for example in (*language.kept, *language.dropped)
]


@pytest.mark.parametrize(("code", "example"), EXAMPLES, ids=[f"{c}-{e.reason or 'kept'}" for c, e in EXAMPLES])
def test_a_language_judges_its_examples_as_its_file_says(code: str, example: Example) -> None:
    language = load_language(code)
    bounds = {signal: bound for signal, bound in language.bounds.items() if signal != LANGUAGE_SCORE}
    _, failed = judge(measure(pa.array([example.text]), language.reading), rules_of(bounds))
    reason = example.reason
    assert (reason in failed[0].as_py()) if reason else failed[0].as_py() == []


@pytest.mark.parametrize("code", ROOTS_LANGUAGES)
def test_every_language_shows_documents_kept_and_dropped(code: str) -> None:
    language = load_language(code)
    assert language.kept
    assert language.dropped


WORDS = tomllib.loads((ROOT / "tests/fixtures" / "words.toml").read_text(encoding="utf-8"))
NOT_YET = {"zht": {"來的"}}  # what is known to be cut otherwise than by a person


@pytest.mark.parametrize("code", ROOTS_LANGUAGES)
def test_words_are_cut_as_a_person_does(code: str) -> None:
    text = pa.array([WORDS[code]["text"]], pa.large_string())
    batch = cut_texts(text, load_language(code).reading.segmenter)
    spans = zip(batch.words.starts.tolist(), batch.words.ends.tolist(), strict=True)
    found = ["".join(map(chr, batch.codes[start:end])) for start, end in spans]
    assert set(found) - set(WORDS[code]["words"]) == NOT_YET.get(code, set())
    assert code in NOT_YET or found == WORDS[code]["words"]


@pytest.mark.parametrize(
    ("name", "code"),
    [("fr", "fr"), ("fra", "fr"), ("fra_Latn", "fr"), ("French", "fr"), ("FR", "fr"), ("zh", "zh"), ("zhs", "zh"),
     ("zh-Hant", "zht"), ("zho_Hant", "zht"), ("zho", "zh"), ("cmn_Hani", "zh"), ("swa", "sw"), ("swh_Latn", "sw")],
)  # fmt: skip
def test_a_language_answers_to_its_names(name: str, code: str) -> None:
    assert find_code(name) == code


def test_an_unknown_language_names_the_nearest() -> None:
    with pytest.raises(SettingsError, match="unknown language 'eus_Latin'"):
        load_language("eus_Latin")
    with pytest.raises(SettingsError, match="Did you mean 'nso'"):
        load_language("nsoo")
    with pytest.raises(SettingsError, match="Did you mean 'roots'"):
        load_language("fr", "rots")


def test_the_bounds_of_roots_are_as_published() -> None:
    french = load_language("fr", "roots").bounds
    assert (french["words"].min, french["words"].max) == (13, 100_000)
    assert french["word_repetition"].max == 0.13
    assert french["function_words"].min == 0.27
    assert load_language("ur").reading.word_ngram == 7
    assert load_language("zh").reading.character_ngram == 3
    assert load_language("sw", "roots").bounds["special_characters"].max == 0.4  # ROOTS's default row


def test_bounds_of_ones_own_lie_over_the_default() -> None:
    language = load_language("fr", {"words": {"min": 3, "source": "mine"}, "digits": {"max": "none"}})
    assert language.bounds["words"] == Bound(3, 100_000, "mine")
    assert language.bounds["digits"].max is None
    assert language.bounds["signs"] == load_language("fr").bounds["signs"]
    with pytest.raises(SettingsError, match=r"min 3.0 is above max 2.0"):
        load_language("fr", {"words": {"min": 3, "max": 2}})
    with pytest.raises(SettingsError, match="unknown setting 'least'"):
        load_language("fr", {"words": {"least": 3}})


def test_fidelity_mode_reads_as_roots_did() -> None:
    assert load_language("fr", "roots", "roots").reading.segmenter == "roots"
    assert load_language("fr", "roots", "roots").reading.longest_word == 45
    with pytest.raises(SettingsError, match="none of repaired, roots, fineweb2"):
        load_language("fr", "roots", "other")


@pytest.mark.parametrize(
    ("script", "segmenter"), [("Thai", "icu"), ("Khmr", "icu"), ("Jpan", "icu"), ("Cyrl", "unicode")]
)
def test_a_short_file_gets_the_segmenter_that_its_script_needs(
    script: str, segmenter: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = languages._file

    def short(code: str) -> dict[str, object]:
        return {"name": "New", "iso639_3": "fra", "script": script} if code == "fr" else whole(code)

    monkeypatch.setattr(languages, "_file", short)
    assert load_language("fr").reading.segmenter == segmenter


ORDINARY = {
    "recipe": (
        "pt",
        "Ingredientes:\n- 3 cenouras\n- 150 g de lentilhas\n- 1/2 cebola\n- 700 ml de água\n- 1 c. de "
        "chá de cominho\nPreparo:\n1. Pique a cebola e as cenouras.\n2. Refogue tudo no azeite, 5 "
        "min.\n3. Junte a água e as lentilhas.\n4. Cozinhe por 25 min.\n5. Tempere com o cominho e "
        "sirva quente.",
    ),
    "law": (
        "fr",
        "Art. R. 44-2. - I. - Au second alinéa de l'article L. 18-3, les mots : « deux ans » sont "
        "remplacés par les mots : « cinq ans » ;\n2° Après le mot : « maire », il est ajouté : « , ou "
        "le conseil, ».\nII. - Le I est applicable à compter du 3 mars 2020.",
    ),
    "song": (
        "fr",
        "Le vent du soir ferme les portes,\nles feuilles dorment, presque mortes.\nReviens, mon frère, "
        "reviens chez nous,\nreviens, mon frère, reviens chez nous.\nLa soupe attend, le chien "
        "aussi,\nta chaise est vide depuis midi.\nReviens, mon frère, reviens chez nous,\nreviens, mon "
        "frère, reviens chez nous.",
    ),
    "choice": (
        "hi",
        "प्रश्न 1. सूर्य किस दिशा में उगता है?\n(क) पूर्व (ख) पश्चिम (ग) उत्तर (घ) दक्षिण\nउत्तर: "
        "(क)\nप्रश्न 2. मधुमक्खी हमें क्या देती है?\n(क) दूध (ख) शहद (ग) ऊन (घ) अंडा\nउत्तर: "
        "(ख)\nप्रश्न 3. वर्ष में कितने महीने होते हैं?\n(क) दस (ख) ग्यारह (ग) बारह (घ) तेरह\nउत्तर: (ग)",
    ),
    "talk of Damascus": (
        "ar",
        "مبارح رحت عالسوق مع أختي واشترينا خضرة وفواكه كتير، بس نسينا الخبز. لما رجعنا عالبيت كان أبوي "
        "قاعد عم يشرب قهوة مع الجيران، وضحكوا علينا كلهم.",
    ),
}


@pytest.mark.parametrize("kind", ORDINARY)
def test_ordinary_texts_of_special_kinds_are_kept(kind: str) -> None:
    code, text = ORDINARY[kind]
    language = load_language(code)
    bounds = {signal: bound for signal, bound in language.bounds.items() if signal != LANGUAGE_SCORE}
    _, failed = judge(measure(pa.array([text]), language.reading), rules_of(bounds))
    assert failed[0].as_py() == []


@pytest.mark.parametrize(
    ("name", "title", "line"),
    [
        ("el", "Greek", 'iso639_3 = "ell" and script = "Grek"'),
        ("km", "Khmer", 'iso639_3 = "khm" and script = "Khmr"'),
        ("nld", "Dutch", 'iso639_3 = "nld" and script = "Latn"'),
        ("Georgian", "Georgian", 'iso639_3 = "kat" and script = "Geor"'),
        ("ka-GE", "Georgian", "ka.toml"),
    ],
)
def test_a_language_without_a_file_is_named_with_the_file_it_needs(name: str, title: str, line: str) -> None:
    with pytest.raises(SettingsError) as caught:
        find_code(name)
    said = str(caught.value)
    assert f"{title} is not one of ours" in said
    assert line in said
    assert "Did you mean" not in said


def test_a_code_is_never_guessed_and_a_name_is_by_its_spelling() -> None:
    for name, hint in (("qq", ""), ("zzx", ""), ("swahilli", "'Swahili' (sw)"), ("es-MX", "'es' (Spanish)")):
        with pytest.raises(SettingsError) as caught:
            find_code(name)
        assert str(caught.value).partition(" Did you mean ")[2].partition("?")[0] == hint
    with pytest.raises(SettingsError, match=r"'zh'.* or 'zht'"):
        find_code("zh-SG")


@pytest.fixture
def own_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of language files of this test's own."""
    folder = tmp_path / "languages"
    shutil.copytree(ROOT / "filters" / "languages", folder)
    monkeypatch.setattr("filters.language.resources.files", lambda _: folder)
    _forget()
    yield folder
    monkeypatch.undo()
    _forget()


def _forget() -> None:
    for each in (languages._file, languages.known_codes, languages._names, languages.full_names):
        each.cache_clear()


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        ('name = "Greek"\n', ("el.toml", "iso639_3")),
        ('name = "Greek"\niso639_3 = "ell"\nscript = 3\n', ("el.toml", "script")),
        ("name = Greek\n", ("el.toml", "TOML")),
        ('name = "G"\niso639_3 = "ell"\nscript = "Grek"\nsegmenter = "words"\n', ("el.toml", "words", "unicode")),
    ],
)
def test_a_faulty_file_is_named_and_harms_no_other_language(own_files: Path, text: str, facts: tuple[str, ...]) -> None:
    (own_files / "el.toml").write_text(text)
    assert find_code("French") == "fr"
    with pytest.raises(SettingsError) as caught:
        load_language("el")
    for fact in facts:
        assert fact in str(caught.value)


def test_the_names_of_segmenters_are_those_that_cut_words() -> None:
    assert set(SEGMENTER_NAMES) == set(SEGMENTERS)
