"""Perplexity by a model small enough to work out by hand."""

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from filters.language import Reading, load_language
from filters.signals.measures import measure
from filters.signals.perplexity import normalise, perplexities
from pipelines.filter import Measure
from pipelines.job.settings import FilterSettings
from pipelines.models.files import perplexity_model, signal_models
from roots.errors import InputError
from roots.stage import settings_of

pytest.importorskip("kenlm", reason="KenLM is not installed: pip install 'roots-corpus[perplexity]'")

# log10 of probabilities; back-off weights after them. "the" then "cat" is a known pair, all else backs off.
ARPA = """\\data\\
ngram 1=5
ngram 2=1

\\1-grams:
-2.0\t<unk>
0\t<s>\t-0.5
-1.0\t</s>
-0.7\tthe\t-0.3
-1.1\tcat\t-0.2

\\2-grams:
-0.1\tthe cat

\\end\\
"""


@pytest.fixture
def model(tmp_path: Path) -> str:
    path = tmp_path / "tiny.arpa"
    path.write_text(ARPA, encoding="utf-8")
    return str(path)


# <s> backs off: -0.5 - 0.7 for "the"; "the cat": -0.1; end after "cat" backs off: -0.2 - 1.0. In all -2.5 of 3.
# An unknown word: -0.5 - 2.0, then its end with no back-off weight: -1.0. In all -3.5 of 2.
WORKED = [("the cat", 10 ** (2.5 / 3)), ("dog", 10 ** (3.5 / 2)), ("", 10**1.5)]


@pytest.mark.parametrize(("text", "value"), WORKED)
def test_perplexity_equals_the_numbers_worked_by_hand(model: str, text: str, value: float) -> None:
    assert perplexities([text], perplexity_model(model))[0] == pytest.approx(round(value, 1))
    reading = Reading(script="Latn", perplexity_model=model)
    signals = measure(pa.array([text]), reading, signal_models(reading))
    assert signals["perplexity"][0].as_py() == pytest.approx(round(value, 1))


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("  «Oui»…\n12 fois — ", '"Oui"...00 fois  - '),
        ("第１章。", "第0章."),
        ("९ अंक", "0 अंक"),
        ("a\u00a0b\u3000c", "a b c"),
    ],
)
def test_a_text_is_normalised_as_the_models_were_trained(text: str, plain: str) -> None:
    assert normalise(text) == plain


def test_without_a_model_it_is_null_and_with_one_its_digest_decides(model: str, tmp_path: Path) -> None:
    french = load_language("fr", "roots")
    assert french.bounds["perplexity"].max == 1770
    assert measure(pa.array(["the cat"]), french.reading)["perplexity"].null_count == 1
    with_model = replace(french, reading=replace(french.reading, perplexity_model=model))
    settings = settings_of(Measure.of(FilterSettings(), with_model))
    assert settings != settings_of(Measure.of(FilterSettings(), french))
    assert model not in str(settings)
    copy = tmp_path / "copy.arpa"
    copy.write_text(ARPA, encoding="utf-8")
    same = replace(french, reading=replace(french.reading, perplexity_model=str(copy)))
    assert settings_of(Measure.of(FilterSettings(), same)) == settings


def test_a_missing_model_is_refused_before_any_work(tmp_path: Path) -> None:
    absent = replace(load_language("fr"), reading=Reading("Latn", perplexity_model=str(tmp_path / "absent")))
    with pytest.raises(InputError, match="no file"):
        Measure.of(FilterSettings(), absent)


def test_pieces_are_cut_by_a_sentencepiece_model(model: str, tmp_path: Path) -> None:
    sentencepiece = pytest.importorskip("sentencepiece")
    (tmp_path / "text").write_text("the cat sat\nthe cat ran\n" * 20, encoding="utf-8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(tmp_path / "text"), model_prefix=str(tmp_path / "pieces"), vocab_size=13, minloglevel=2
    )
    pieces = str(tmp_path / "pieces.model")
    cut = sentencepiece.SentencePieceProcessor(model_file=pieces).encode("the cat", out_type=str)
    by_pieces = perplexities(["the cat"], perplexity_model(model, pieces))
    assert by_pieces[0] == perplexities([" ".join(cut)], perplexity_model(model))[0]
