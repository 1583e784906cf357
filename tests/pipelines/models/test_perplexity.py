"""Training a KenLM model: the input of the tool, the model it makes, and the message if it is missing."""

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipelines.cli.main import main
from pipelines.models.perplexity import train_perplexity
from pipelines.models.settings import PerplexityTraining
from roots.errors import InputError, SettingsError
from tests.filters.signals.test_perplexity import ARPA

pytest.importorskip("kenlm", reason="KenLM is not installed: pip install 'roots-corpus[perplexity]'")

# Stands for KenLM's tool: notes its arguments and its text, and answers with a tiny model.
TOOL = f"""#!/bin/sh
echo "$@" > "$(dirname "$0")/arguments"
while [ "$1" != --text ]; do shift; done
cp "$2" "$(dirname "$0")/text"
cat > "$4" <<'END'
{ARPA}END
"""


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "tools"
    folder.mkdir()
    (folder / "lmplz").write_text(TOOL)
    (folder / "lmplz").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/usr/bin{os.pathsep}/bin")
    return folder


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "good.jsonl"
    path.write_text(
        "".join(json.dumps({"text": f"The cat\nhas {number} lives — «oui»"}) + "\n" for number in range(10))
    )
    return path


def test_the_tool_reads_normalised_lines_and_its_model_is_kept(tools: Path, texts: Path, tmp_path: Path) -> None:
    target = tmp_path / "fr.kenlm"
    done = CliRunner().invoke(
        main, ["perplexity", "train", "-r", str(texts), "--to", str(target), "--set", "perplexity.held_out=5"]
    )
    assert done.exit_code == 0, done.output
    assert target.read_text() == ARPA
    lines = (tools / "text").read_text().splitlines()
    assert lines == ['The cathas 0 lives  -  "oui"'] * 8  # two of ten are held out; line feeds are control characters
    assert "-o 5 -S 40%" in (tools / "arguments").read_text()
    # <s> backs off (-0.5), six unknown words (-2 each), the end (-1): -13.5 of 7.
    assert "median perplexity of held-out text 84.8" in done.output


def test_without_the_tool_the_error_says_how_to_install_it(
    texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SettingsError, match="lmplz on the PATH"):
        train_perplexity([texts], tmp_path / "model")


def test_the_error_of_a_failing_tool_is_shown(tools: Path, texts: Path, tmp_path: Path) -> None:
    (tools / "lmplz").write_text("#!/bin/sh\necho 'no room' >&2\nexit 3\n")
    with pytest.raises(InputError, match="lmplz failed with code 3: no room"):
        train_perplexity([texts], tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_no_text_and_odd_settings_are_refused(tools: Path, tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("one document")
    with pytest.raises(InputError, match="no text"):
        train_perplexity([tmp_path / "one.txt"], tmp_path / "model")
    with pytest.raises(ValueError, match="order"):
        PerplexityTraining(order=9)
