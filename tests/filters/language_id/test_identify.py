"""Texts and pages are identified, and the gate lets pages pass."""

from collections.abc import Callable

import pytest

from filters.language import known_codes, load_language
from filters.language_id.identify import TEXT_SAMPLE, gate, identify, identify_page, text_sample
from filters.language_id.scripts import script_of
from filters.text.quick_text import PAGE_SAMPLE, page_sample
from pipelines.models.files import WIDE, load_model

TEXTS = {
    "fra_Latn": "Le chat dort sur la table pendant que les enfants jouent dans le jardin de la maison.",
    "arb_Arab": "القط ينام على الطاولة والأطفال يلعبون في حديقة البيت تحت أشعة الشمس الدافئة.",
    "hin_Deva": "बिल्ली मेज़ पर सो रही है और बच्चे घर के बगीचे में खेल रहे हैं, सूरज चमक रहा है।",
    "ben_Beng": "বিড়ালটি টেবিলের উপর ঘুমাচ্ছে এবং শিশুরা বাড়ির বাগানে খেলা করছে।",
    "tam_Taml": "பூனை மேசையின் மீது தூங்குகிறது, குழந்தைகள் தோட்டத்தில் விளையாடுகிறார்கள்.",
    "tha_Thai": "แมวนอนอยู่บนโต๊ะ เด็กๆ กำลังเล่นอยู่ในสวนหน้าบ้าน",
    "zho_Hans": "猫在桌子上睡觉,孩子们在院子里玩耍,太阳照着这间房子,妈妈在厨房里做饭。",
    "zho_Hant": "貓在桌子上睡覺,孩子們在院子裡玩耍,太陽照著這間房子,媽媽在廚房裡做飯。",
    "jpn_Jpan": "猫はテーブルの上で眠り、子どもたちは庭で遊んでいます。天気がいいですね。",
    "kor_Hang": "고양이는 탁자 위에서 자고 아이들은 마당에서 놀고 있습니다.",
    "vie_Latn": "Con mèo ngủ trên bàn trong khi trẻ em chơi đùa ngoài vườn trước nhà.",
    "swh_Latn": "Paka amelala juu ya meza na watoto wanacheza katika bustani ya nyumba yetu leo asubuhi.",
    "npi_Deva": "बिरालो टेबुलमा सुतिरहेको छ र बालबालिकाहरू घरको बगैंचामा खेलिरहेका छन्।",
    "srp_Cyrl": "Мачка спава на столу док се деца играју у башти испред куће.",
}


@pytest.mark.parametrize("label", TEXTS)
def test_a_text_gets_the_label_of_its_language_and_script(label: str) -> None:
    found = identify(TEXTS[label], load_model())
    assert found[0][0] == label
    assert 1 <= len(found) <= 3
    assert [score for _, score in found] == sorted((score for _, score in found), reverse=True)
    assert all(0 <= score <= 1 for _, score in found)


def test_serbian_in_latin_letters_gets_the_latin_script() -> None:
    labels = [
        label for label, _ in identify("Mačka spava na stolu dok se deca igraju u bašti ispred kuće.", load_model())
    ]
    assert all(label.endswith("_Latn") for label in labels)


def test_arabic_with_the_signs_of_the_quran_is_arabic() -> None:
    text = (
        "ٱلۡقِطُّ يَنَامُ عَلَى ٱلطَّاوِلَةِ وَٱلۡأَطۡفَالُ يَلۡعَبُونَ فِي حَدِيقَةِ ٱلۡبَيۡتِ تَحۡتَ أَشِعَّةِ ٱلشَّمۡسِ، وَهَـٰذَا ٱلۡبَيۡتُ لِجَدَّتِي ٱلَّتِي تَسۡكُنُ فِيهِ مُنۡذُ سِنِينَ."
    )
    label, score = identify(text, load_model())[0]
    assert (label, score >= 0.5) == ("arb_Arab", True)


THEOREMS = {
    "eng": "Lemma 3. If G is a finite group and H ≤ G, then |H| divides |G|. Proof. The cosets gH, g ∈ G, partition G, "
    "and |gH| = |H| for all g ∈ G. Hence |G| = [G : H]·|H|, so |H| ∣ |G|. □",
    "por": "Teorema. Seja V um espaço vetorial e T: V → V linear. Se T² = T, então V = Ker T ⊕ Im T. Prova. Dado "
    "v ∈ V, v = (v − Tv) + Tv, com T(v − Tv) = Tv − T²v = 0. Se v ∈ Ker T ∩ Im T, então v = Tw "
    "e 0 = Tv = T²w = Tw = v. ∎",
    "swh": "Nadharia. Ikiwa a > b na c > 0, basi ac > bc. Uthibitisho. Kwa kuwa a − b > 0 na c > 0, tunapata "
    "(a − b)c > 0, yaani ac − bc > 0. ∎",
}


@pytest.mark.parametrize("code", THEOREMS)
def test_formulas_among_words_hide_no_language(code: str) -> None:
    label, score = identify(THEOREMS[code], load_model())[0]
    assert (label, score >= 0.5) == (f"{code}_Latn", True)


@pytest.mark.parametrize("text", ["", " \n ", "1234 ... !!", "🙂🙂"])
def test_a_text_without_letters_has_no_language(text: str) -> None:
    assert identify(text, load_model()) == []
    assert script_of(text) == "Zzzz"


def test_line_breaks_and_surrogates_do_not_change_the_label() -> None:
    model = load_model()
    text = TEXTS["fra_Latn"]
    assert identify(text.replace(" ", "\n"), model) == identify(text, model)
    assert identify(text + "\ud800", model)[0][0] == "fra_Latn"


def test_the_default_knows_every_language_that_has_a_file() -> None:
    model = load_model()
    assert all(model.knows(load_language(code).iso639_3) for code in known_codes())
    assert model.knows("hun")


@pytest.mark.parametrize("cut", [text_sample, page_sample])
def test_a_sample_is_bounded_and_holds_both_ends(cut: Callable[[str], str]) -> None:
    text = "a" * 5000 + "\n" + "m" * 5000 + "\n" + "z" * 5000
    part = cut(text)
    assert len(part) <= max(TEXT_SAMPLE, PAGE_SAMPLE) + 20
    assert {"a", "m", "z"} <= set(part)
    assert cut("short") == "short"


PAGES = [
    [{"label": "fra_Latn", "score": 0.9}, {"label": "eng_Latn", "score": 0.03}],
    [{"label": "eng_Latn", "score": 0.9}, {"label": "fra_Latn", "score": 0.04}],
    [],
    None,  # a document, which index does not open: it passes
    [{"label": "arz_Arab", "score": 0.6}],
]


def test_the_gate_passes_pages_that_may_be_in_the_language() -> None:
    known = load_model().labels
    assert gate(PAGES, "fra", 0.05, known) == [True, False, False, True, False]
    assert gate(PAGES, "fra", 0.01, known) == [True, True, False, True, False]
    assert gate(PAGES, "arb", 0.05, known) == [False, False, False, True, True]


def test_the_gate_is_open_for_languages_that_the_model_does_not_know() -> None:
    assert gate(PAGES, "wol", 0.05, load_model(WIDE).labels) == [True] * 5


@pytest.mark.parametrize("before", [20, 60, 100])
def test_the_gate_sees_a_second_language_in_a_part_of_a_page(before: int) -> None:
    # the part is longer than glances lie apart
    most, part = TEXTS["srp_Cyrl"] + "\n", (TEXTS["fra_Latn"] + "\n") * 12
    page = most * before + part + most * (120 - before)
    model = load_model()
    plain, looked = identify(page_sample(page), model), identify_page(page, model)
    rows = [[{"label": label, "score": score} for label, score in found] for found in (plain, looked)]
    assert looked[0][0] == "srp_Cyrl"
    assert gate(rows, "fra", 0.05, model.labels) == [False, True]


def test_a_page_whose_words_are_joined_by_nbsp_is_in_its_language() -> None:
    words = "Bibi alipanda mihogo na mahindi karibu na mto, kisha akatuonyesha jinsi ya kuyatunza hadi mavuno."
    for page in (words.replace(" ", "&nbsp;"), words.replace(" ", "\u00a0")):
        first, score = identify_page(page * 4, load_model())[0]
        assert (first, score > 0.9) == ("swh_Latn", True)
