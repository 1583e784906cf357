import json
from pathlib import Path
from random import Random

import pytest

from filters.language_id.samples import TextSource
from pipelines.models.language_id_text import wanted_labels
from pipelines.models.settings import LanguageIdTraining
from roots.errors import InputError
from tests.benchmarks.lid.roots46 import Choice, Inputs, choose_text, make_roots46, read_declarations


def test_restricted_text_is_a_last_resort() -> None:
    much, little, shut = (TextSource(name, "x", ("a" * size,)) for name, size in (("m", 900), ("l", 10), ("r", 900)))
    chosen = choose_text(
        {"fra_Latn": [much], "bam_Latn": [little]},
        {"fra_Latn": [shut], "bam_Latn": [shut], "fon_Latn": [shut]},
        Choice(enough=100),
    )
    assert chosen == {"bam_Latn": [little, shut], "fon_Latn": [shut], "fra_Latn": [much]}


def declaration(code: str, text: str) -> str:
    return f'<html data-iso6393="{code}"><body><h1>T</h1><p>{text}</p></body></html>'


def test_declarations_that_would_mislead_a_model_are_left_out(tmp_path: Path) -> None:
    for name, code, text in (
        ("hun", "hun", "szabadság &amp; jog " * 80),
        ("013", "und", "nothing " * 200),
        ("vie_han", "vie", "越南" * 600),
        ("067", "fra", "patois " * 200),
        ("tiny", "pol", "short"),
    ):
        (tmp_path / f"{name}.html").write_text(declaration(code, text), encoding="utf-8")
    found = read_declarations(tmp_path)
    assert list(found) == ["hun_Latn"]
    assert "&" in found["hun_Latn"][0].documents[0]
    with pytest.raises(InputError, match="no declaration"):
        read_declarations(tmp_path / "absent")


def test_the_model_is_made_of_open_text_declarations_and_sentences_and_its_card_names_the_choice(tmp_path) -> None:
    pytest.importorskip("floret")
    folder, declarations = tmp_path / "text", tmp_path / "declarations"
    folder.mkdir()
    declarations.mkdir()
    for number, code in enumerate(wanted_labels()):
        random = Random(number)
        words = ["".join(random.choice("abcdefghijklmnoprstuvwy") for _ in range(5)) for _ in range(40)]
        lines = [" ".join(random.choices(words, k=40)) for _ in range(20)]
        (folder / f"{code}.txt").write_text("\n".join(lines), encoding="utf-8")
    (declarations / "hun.html").write_text(declaration("hun", "szabadság és jog " * 80), encoding="utf-8")
    (tmp_path / "extra.tum").write_text("mwana wakuluta\nku sukulu", encoding="utf-8")
    small = LanguageIdTraining(
        count=20, pair_count=20, other_count=10, bucket=1000, rare=5, epochs=1, examples=5, other_examples=5
    )
    inputs = Inputs((folder,), (), declarations, {"tum_Latn": tmp_path / "extra.tum"})
    card = make_roots46(inputs, tmp_path / "model.ftz", small)
    assert card["sources"]["hun_Latn"] == {"udhr": ["free (United Nations)", 1361]}
    assert set(card["sources"]["tum_Latn"]) == {"extra.tum", "text/tum.txt"}
    assert json.loads((tmp_path / "model.json").read_text("utf-8"))["training"]["enough"] == Choice().enough
