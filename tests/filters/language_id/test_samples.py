"""Samples that a language model learns from: cut at spaces, bounded, roughened, repeatable."""

from random import Random

from filters.language_id import samples as lid_samples
from filters.language_id.arbiter import model_line
from filters.language_id.samples import Roughness, TextSource, cut_sample, roughen, samples, without_marks


def test_normal_text_is_what_says_the_language() -> None:
    assert model_line("Été 2024: l'AN, e\u0301te\u0301!").split() == ["été", "l'an", "été"]
    assert model_line("হ্যাঁ ১২, 3").split() == ["হ্যাঁ", "১২"]
    assert model_line("a\ud800b") == "a b"


def test_marks_are_taken_from_latin_letters_only() -> None:
    assert without_marks("ọmọ náà été Việt") == "omo naa ete Viet"
    assert without_marks("हिन्दी বাংলা தமிழ் العَرَبية") == "हिन्दी বাংলা தமிழ் العَرَبية"


def test_cuts_are_at_spaces_and_bounded() -> None:
    document = " ".join(f"word{number}" for number in range(500))
    for seed in range(200):
        piece = cut_sample(document, Roughness(), Random(seed))
        assert 0 < len(piece) <= 400
        assert set(piece.split(" ")) <= set(document.split(" "))
    assert cut_sample("short", Roughness(), Random(1)) == "short"


def test_samples_are_the_same_for_the_same_seed() -> None:
    sources = [TextSource("a", "x", ("one two three " * 90, "four five " * 80)), TextSource("b", "x", ("six " * 400,))]
    first, second = (list(samples(sources, 50, Roughness(), Random(3))) for _ in range(2))
    assert first == second
    assert len(first) == 50
    assert first != list(samples(sources, 50, Roughness(), Random(4)))


def test_menus_stay_within_their_share() -> None:
    rough = Roughness(menu=1.0, bare=0.0)
    text = "Mačka spava na stolu dok se deca igraju u bašti ispred kuće, " * 4
    for seed in range(50):
        added = len(roughen(text, rough, Random(seed))) - len(text)
        assert 0 <= added <= rough.menu_share * len(text) + max(map(len, lid_samples._MENU)) + 1
