import io
import json
import random
import tarfile

import numpy as np
import pytest
from click.testing import CliRunner

from filters.language_id.samples import TextSource
from filters.main_text import layout as col
from pipelines.cli.main import main
from pipelines.extraction.learned import Learned
from pipelines.models.files import sha256_of_main_text
from pipelines.models.main_text.files import load_main_text
from pipelines.models.main_text.pages import read_samples, transplants
from pipelines.models.main_text.training import Sample, folds, prepare, shortened
from roots.errors import InputError, SettingsError

WORDS = [
    "river",
    "mill",
    "bridge",
    "school",
    "winter",
    "bread",
    "garden",
    "music",
    "market",
    "letter",
    "window",
    "island",
    "ferry",
    "stone",
    "morning",
]


def sentence(chance):
    return " ".join(chance.choices(WORDS, k=chance.randrange(8, 20))).capitalize() + "."


def page(chance):
    paragraphs = [sentence(chance) + " " + sentence(chance) for _ in range(chance.randrange(7, 12))]
    menu = "".join(f"<li><a href=/{word}>{word}</a></li>" for word in chance.sample(WORDS, 8))
    teasers = "".join(f"<div class=teaser><a href=x>{sentence(chance)}</a></div>" for _ in range(6))
    body = "".join(f"<p>{text}</p>" for text in paragraphs)
    head = f"<title>{paragraphs[0][:20]}</title><ul class=menu>{menu}</ul>"
    return f"{head}<div class=story>{body}</div><div>{teasers}</div>", "\n".join(paragraphs)


def package(path, count):
    chance = random.Random(count)
    rows, pages = [], []
    for number in range(count):
        html, gold = page(chance)
        url = f"https://site{number % 8}.test/{number}"
        rows.append({"id": f"{number}", "url": url, "text": gold, "type": "article"})
        pages.append((f"pages/{number}.html", html))
    with tarfile.open(path, "w:gz") as tar:
        for name, text in [*pages, ("gold.jsonl", "\n".join(map(json.dumps, rows)))]:
            held = tarfile.TarInfo(name)
            held.size = len(text.encode())
            tar.addfile(held, io.BytesIO(text.encode()))
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Two models of the same pages: their paths, and the output of the command."""
    folder = tmp_path_factory.mktemp("models")
    pages = package(folder / "pages.tar.gz", 24)
    settings = ["--set", "main_text.trees=6", "--set", "main_text.folds=2"]
    made = [folder / "one.npz", folder / "two.npz"]
    for target in made:
        done = CliRunner().invoke(
            main, ["extractor", "train", "--pages", str(pages), "--to", str(target), *settings], catch_exceptions=False
        )
        assert done.exit_code == 0, done.output
    return made


def test_the_same_pages_make_the_same_model_and_a_card_by_site(trained):
    one, two = trained
    assert one.read_bytes() == two.read_bytes()
    card = json.loads(one.with_suffix(".json").read_text())
    assert card["sha256"] == sha256_of_main_text(str(one))
    assert card["pages"] == 24
    assert card["on pages of other sites"]["all"]["F1"] > 0.7


def test_a_trained_model_finds_the_text_of_a_new_site(trained):
    html, gold = page(random.Random(99))
    found = Learned(str(trained[0]))(html).split("\n")
    assert set(gold.split("\n")) <= set(found)
    assert "river" not in found


@pytest.mark.parametrize("harm", ["cut", "pickled", "renamed", "feature", "none"])
def test_a_damaged_model_is_named(trained, tmp_path, harm):
    path = tmp_path / "bad.npz"
    arrays = dict(np.load(trained[0]))
    if harm == "renamed":
        arrays["names"] = arrays["names"][::-1]
    elif harm == "feature":
        arrays["first_features"] = arrays["first_features"] + np.uint8(200)
    elif harm == "pickled":
        arrays["words"] = np.array([{}], dtype=object)
    if harm != "none":
        np.savez(path, **arrays)
    if harm == "cut":
        path.write_bytes(path.read_bytes()[:-900])
    with pytest.raises(InputError, match=r"bad\.npz"):
        load_main_text(str(path))


def test_the_models_digest_is_a_setting_of_extract(trained):
    from pipelines.extract import Extract

    own = Extract(language="fra", main_text_model=str(trained[0]))
    assert own.main_text_sha256 == sha256_of_main_text(str(trained[0])) != Extract(language="fra").main_text_sha256
    assert Extract(language="fra", extractor="cascade").main_text_sha256 == ""
    with pytest.raises((SettingsError, ValueError), match="content"):
        Extract(language="fra", content="pages")


def samples(count):
    chance = random.Random(5)
    made = [page(chance) for _ in range(count)]
    return [Sample(html.encode(), gold, f"site{number // 2}") for number, (html, gold) in enumerate(made)]


def test_pages_of_one_site_or_with_one_text_are_in_one_fold():
    pages = list(prepare([*samples(20), Sample(b"<p>x", samples(1)[0].gold, "elsewhere")]))
    found = folds(pages, 5)
    assert found[20] == found[0]
    assert all(found[number] == found[number + 1] for number in range(0, 20, 2))
    assert len(set(found)) > 2


def test_a_shortened_page_keeps_all_but_most_of_its_text():
    (whole,) = prepare(samples(1))
    less = shortened(whole, random.Random(1))
    assert 0 < (less.labels >= 0.5).sum() <= 4 < (whole.labels >= 0.5).sum()
    assert (less.labels < 0.5).sum() == (whole.labels < 0.5).sum()
    assert less.page.nodes[0, col.N_CHARS] == less.page.blocks[:, col.B_CHARS].sum()


def test_transplants_have_other_text_and_the_same_labels():
    pages = list(prepare(samples(6)))
    text = " ".join(["孩子们每天早上去学校上课。", "老渔夫划着小船去湖心撒网。"] * 50)
    made = list(transplants(pages, {"zho_Hans": [TextSource("s", "CC0", (text,))]}, 6, seed=1))
    assert len(made) == 6
    assert all("river" not in one.page.block_text(9) for one in made)
    assert {tuple(one.labels.tolist()) for one in made} == {tuple(one.labels.tolist()) for one in pages}


def test_pages_that_cannot_be_read_are_named(tmp_path):
    (tmp_path / "x.tar.gz").write_bytes(b"no tar")
    with pytest.raises(InputError, match=r"x\.tar\.gz"):
        list(read_samples([tmp_path / "x.tar.gz"], []))
    (tmp_path / "gold.jsonl").write_text("{")
    with pytest.raises(InputError, match=r"gold\.jsonl"):
        list(read_samples([], [tmp_path / "gold.jsonl"]))
