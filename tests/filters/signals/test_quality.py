"""The classifier of good and bad text: trained by one command, asked by the filter stage, measured on unseen text."""

import json
from pathlib import Path
from random import Random

import pyarrow as pa
import pytest
from click.testing import CliRunner

from filters.language import Reading, load_language
from filters.signals.measures import MEASURES, measure
from filters.signals.quality import CHARACTERS, qualities, quality_line
from pipelines.cli.main import main
from pipelines.filter import Measure
from pipelines.job.settings import FilterSettings
from pipelines.models.files import quality_model, signal_models
from pipelines.models.quality import describe_quality, train_quality
from pipelines.models.settings import QualityTraining
from roots.errors import InputError, SettingsError
from roots.stage import settings_of

pytest.importorskip("floret", reason="floret is not installed: pip install 'roots-corpus[lid]'")

GOOD = ["the river bends past the mill", "a farmer brings wheat", "children fish from the bridge", "the flood was high"]
BAD = ["buy now cheap", "click here to win", "best price casino", "hot deal free shipping"]
SMALL = QualityTraining(dim=8, bucket=1000, epochs=20)


def write(path: Path, phrases: list[str], count: int = 120) -> Path:
    random = Random(len(phrases[0]))
    texts = [" and ".join(random.choices(phrases, k=6)) + f" {number}" for number in range(count)]
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("quality")
    good, bad = write(folder / "good.jsonl", GOOD), write(folder / "bad.jsonl", BAD)
    options = ["--set", "quality.dim=8", "--set", "quality.bucket=1000", "--set", "quality.epochs=20"]
    target = folder / "model.bin"
    done = CliRunner().invoke(
        main, ["quality", "train", "--good", str(good), "--bad", str(bad), "--to", str(target), *options]
    )
    assert done.exit_code == 0, done.output
    assert "area under ROC 1.000" in done.output
    return target


def test_good_and_bad_text_are_told_apart(trained: Path) -> None:
    texts = ["The mill by the river.\nA farmer.", "BUY NOW! Free shipping, casino", ""]
    found = qualities(texts, quality_model(str(trained)))
    assert found[0] > 0.9
    assert found[1] < 0.1
    assert 0 <= found[2] <= 1
    reading = Reading("Latn", quality_model=str(trained))
    signal = measure(pa.array(["the river and the mill"]), reading, signal_models(reading))["quality"]
    assert signal.type == MEASURES["quality"].type == pa.float32()
    assert signal[0].as_py() > 0.9


def test_the_card_says_what_it_was_made_of(trained: Path) -> None:
    card = json.loads(trained.with_suffix(".json").read_text())
    assert card["documents"] == {"good": 120, "bad": 120, "of each": 120}
    assert card["held out"]["documents"] == 24
    assert sorted(card["files"]["good"]) == ["good.jsonl"]


def test_the_same_text_in_another_order_gives_the_same_model(trained: Path, tmp_path: Path) -> None:
    folder = trained.parent
    lines = (folder / "good.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "good.jsonl").write_text("".join(reversed(lines)))
    train_quality([tmp_path / "good.jsonl"], [folder / "bad.jsonl"], tmp_path / "model.bin", SMALL)
    assert (tmp_path / "model.bin").read_bytes() == trained.read_bytes()


def test_without_a_model_it_is_null_and_with_one_its_digest_decides(trained: Path, tmp_path: Path) -> None:
    french = load_language("fr")
    assert measure(pa.array(["le moulin"]), french.reading)["quality"].null_count == 1
    (tmp_path / "fr.bin").write_bytes(trained.read_bytes())
    named = FilterSettings(quality_model=str(tmp_path / "{code}.bin")).models(french)
    assert named.reading.quality_model == str(tmp_path / "fr.bin")
    settings = settings_of(Measure.of(FilterSettings(), named))
    assert settings != settings_of(Measure.of(FilterSettings(), french))
    assert str(tmp_path) not in str(settings)


def test_too_little_text_and_text_of_one_kind_are_refused(tmp_path: Path) -> None:
    good, few = write(tmp_path / "good.jsonl", GOOD), write(tmp_path / "few.jsonl", BAD, 40)
    with pytest.raises(InputError, match="40 documents are too few"):
        train_quality([good], [few], tmp_path / "model.bin", SMALL)
    with pytest.raises(SettingsError, match="cannot separate"):
        describe_quality(train_quality([good], [good], tmp_path / "model.bin", SMALL))


def test_a_text_is_read_the_same_in_training_and_after() -> None:
    assert quality_line(" Ab\n12\t__label__bad\ud800 ") == "ab 00 bad?"
    assert len(quality_line("x" * CHARACTERS * 2)) == CHARACTERS
