import gzip
import hashlib
import json
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from roots.errors import InputError, SettingsError
from roots.settings import build

pytest.importorskip("tokenizers", reason="tokenizers is not installed: pip install 'roots-corpus[train]'")

from trainer import corpus, picture
from trainer.settings import SPECIAL_TOKENS, TokenizerSettings
from trainer.tokenizer import fertility, sampling
from trainer.tokenizer.feedback import LIMIT_EXPONENT, count_tokens, gini, reweigh, with_fixed_shares
from trainer.tokenizer.files import END_ID, find_tokenizer, load_tokenizer, save_tokenizer, tokenizer_digest
from trainer.tokenizer.patterns import PATTERNS, cut_by
from trainer.tokenizer.training import empty_tokenizer, train_monolingual, train_tokenizer

TEXTS = {
    "en": "The quick brown fox jumps over the lazy dog near the river bank, and 2024 was a year of 3,141 foxes.",
    "fr": "Le renard brun saute par-dessus le chien paresseux près de la rivière, aujourd'hui et demain encore.",
    "ar": "الثعلب البني السريع يقفز فوق الكلب الكسول، وكان العام ٢٠٢٤ عام الثعالب.",
    "hi": "तेज़ भूरी लोमड़ी आलसी कुत्ते के ऊपर कूदती है। यह नदी के पास हुआ।",
    "ta": "விரைவான பழுப்பு நரி சோம்பேறி நாயின் மேல் குதிக்கிறது.",
    "th": "สุนัขจิ้งจอกสีน้ำตาลกระโดดข้ามสุนัขขี้เกียจ",
    "zh": "敏捷的棕色狐狸跳过了懒狗。今天天气很好，我们去河边散步吧！",
    "vi": "Con cáo nâu nhanh nhẹn nhảy qua con chó lười biếng bên bờ sông.",
    "yo": "Ọ̀sán yìí, ajá náà ń sùn, ṣùgbọ́n kọ̀lọ̀kọ̀lọ̀ fò kọjá lórí rẹ̀.",
}


@pytest.fixture(scope="module")
def sources(tmp_path_factory, write_shards):
    work = tmp_path_factory.mktemp("work")
    made = {}
    for language, text in TEXTS.items():
        words = text.split() if " " in text else list(text)
        texts = [
            (" " if " " in text else "").join(words[i % len(words) :] + words[: i % 5]) + f"\nline {language} {i}"
            for i in range(60)
        ]
        write_shards(work / language, texts)
        made[language] = corpus.shard_paths(work, language, "train")
    return made


@pytest.fixture(scope="module", params=sorted(PATTERNS))
def trained(request, sources):
    return train_tokenizer(sources, TokenizerSettings(vocabulary=1024, pattern=request.param, budget_mb=1))


def test_ids_have_the_layout_of_bloom(trained):
    t = trained.tokenizer
    assert [t.token_to_id(s) for s in SPECIAL_TOKENS] == [0, 1, 2, 3]
    size = t.get_vocab_size()
    assert [t.token_to_id(f"<|reserved_{i}|>") for i in (0, 199)] == [size - 200, size - 1]
    assert size <= 1024
    assert trained.report["rows"] % 128 == 0


@pytest.mark.parametrize("language", TEXTS)
def test_every_text_comes_back_and_is_compressed(trained, language, tmp_path):
    save_tokenizer(trained, tmp_path)
    t = load_tokenizer(tmp_path)
    ids = t.encode(TEXTS[language], add_special_tokens=False).ids
    assert t.decode(ids, skip_special_tokens=False) == TEXTS[language]
    assert len(ids) < len(TEXTS[language].encode()) / 1.5


def test_any_unicode_comes_back_and_special_tokens_in_a_text_are_plain_text(trained, tmp_path):
    save_tokenizer(trained, tmp_path)
    t = load_tokenizer(tmp_path)
    assert fertility.round_trip_share(t, fertility.random_texts(300, seed=5)) == 1.0
    assert END_ID not in t.encode("a </s> b <|reserved_3|>", add_special_tokens=False).ids


def test_the_file_is_the_same_for_any_number_of_threads(sources, tmp_path):
    script = (
        "import sys,pathlib;from trainer import corpus;"
        "from trainer.tokenizer import files,training as t;w=pathlib.Path(sys.argv[1]);"
        "s={l:corpus.shard_paths(w,l,'train') for l in sys.argv[3].split(',')};"
        "files.save_tokenizer(t.train_tokenizer(s,t.TokenizerSettings(vocabulary=1024,budget_mb=1)),pathlib.Path(sys.argv[2]))"
    )
    work = sources["en"][0].parents[3]
    digests = set()
    for run, (threads, seed) in enumerate((("1", "1"), ("2", "77"))):
        target = tmp_path / str(run)
        env = {
            "RAYON_NUM_THREADS": threads,
            "PYTHONHASHSEED": seed,
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": str(Path.cwd()),
        }
        command = [sys.executable, "-c", script, str(work), str(target), ",".join(sources)]
        subprocess.run(command, check=True, env=env)
        digests.add(hashlib.sha256((target / "tokenizer.json").read_bytes()).hexdigest())
    assert len(digests) == 1


def test_transformers_loads_the_folder(trained, tmp_path):
    transformers = pytest.importorskip("transformers", reason="transformers is not installed (the dev extra has it)")
    save_tokenizer(trained, tmp_path)
    loaded = transformers.AutoTokenizer.from_pretrained(tmp_path)
    text = TEXTS["fr"]
    assert loaded(text)["input_ids"] == trained.tokenizer.encode(text, add_special_tokens=False).ids
    assert (loaded.eos_token_id, loaded.pad_token_id, loaded.padding_side) == (2, 3, "left")


def test_marks_stay_in_words_and_digits_are_cut_in_twos():
    t = empty_tokenizer("roots")
    cut = lambda text: [text[a:b] for _, (a, b) in t.pre_tokenizer.pre_tokenize_str(text)]  # noqa: E731
    assert cut("हिन्दी में") == ["हिन्दी", " में"]
    assert cut("kọ̀lọ̀kọ̀lọ̀ fò") == ["kọ̀lọ̀kọ̀lọ̀", " fò"]
    assert cut("en 2024, l'an") == ["en", " 20", "24", ",", " l'an"]
    assert cut("a\n\n    b") == ["a", "\n\n", "   ", " b"]
    bloom = empty_tokenizer("bloom")
    for cutter in (bloom.pre_tokenizer, cut_by(PATTERNS["bloom"].counted)):
        pieces = [text for text, _ in cutter.pre_tokenize_str("x-2024, (y)  z")]
        assert pieces == ["x-2024", ",Ġ(", "y", ")Ġ", "Ġz"]


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("char", ["a", "漢", " ", "\n", "'", "٣", "́", "."])
def test_a_hostile_run_is_cut_in_linear_time_and_bounded_pieces(pattern, char):
    cutter = cut_by(PATTERNS[pattern].counted)
    pieces = cutter.pre_tokenize_str(char * 40_000)
    assert max(b - a for _, (a, b) in pieces) <= 33
    assert sum(b - a for _, (a, b) in pieces) == 40_000


def test_water_fill_and_quotas():
    assert sampling.water_fill({"a": 10, "b": 100, "c": 1000}, 210) == {"a": 10, "b": 100, "c": 100}
    assert sum(sampling.water_fill({"a": 5, "b": 7}, 9).values()) == pytest.approx(9)
    weights = sampling.language_weights({"en": 10**12, "sw": 10**8}, 0.5, 0.3)
    assert sum(weights.values()) == pytest.approx(1)
    assert 0.05 < weights["sw"] < 0.1  # 1 in 10,000 of the bytes
    given = sampling.quotas({"a": 0.5, "b": 0.3, "c": 0.2}, {"a": 10.0, "b": 1000.0, "c": 1000.0}, 100)
    assert given == pytest.approx({"a": 10, "b": 54, "c": 36})


def test_the_shares_of_bloom_follow_from_its_sizes():
    # Shares of BLOOM's tokenizer text: five equal ones at the cap, then Arabic and smaller ones (Workshop 2022).
    sizes = {
        "en": 485,
        "zh": 261,
        "code": 230,
        "fr": 208,
        "es": 175,
        "ar": 75,
        "pt": 79,
        "vi": 44,
        "hi": 25,
        "bn": 19,
        "ta": 8,
    }
    weights = sampling.language_weights(sizes, 800 / sum(sizes.values()), 0.3)
    assert weights["en"] == pytest.approx(weights["es"])
    assert weights["ar"] / weights["en"] == pytest.approx(0.9, abs=0.06)  # 5.6 of 6.2
    assert weights["ta"] / weights["en"] == pytest.approx(0.46, abs=0.06)  # 3.2 of 6.2 with BLOOM's own, smaller cap


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("\n\na\n\nb\n\n\nc\n\n", "a\n\nb\n\n\nc"),
        ("a\n  \nb\r\n\r\nc", "a\n  \nb\r\n\r\nc"),
        ("a\n\nmenu\n\nb\nmenu\nc", "a\n\nb\nc"),
        ("a" + "\n" * 5000 + "b", "a" + "\n" * 17 + "b"),
    ],
)
def test_blank_lines_stay_between_lines_that_stay(text, kept, tmp_path, write_shards):
    paths = write_shards(tmp_path / "xx", ["menu", text])
    size = corpus.text_bytes(paths)
    assert list(sampling.sample_texts(paths, size, size, seed=1))[1] == kept


@pytest.mark.parametrize("pattern", ["roots", "bloom"])
def test_breaks_between_paragraphs_and_functions_are_one_token(tmp_path, write_shards, pattern):
    rng = random.Random(3)
    words = ["".join(rng.choices("abcdefgh", k=5)) for _ in range(400)]
    prose = ["\n\n".join(" ".join(rng.sample(words, 6)) for _ in range(5)) for _ in range(40)]
    code = ["\n\n\n".join(f"def {word}():\n\treturn {word}s" for word in rng.sample(words, 6)) for _ in range(30)]
    paths = write_shards(tmp_path / "fr", prose + code)
    small = TokenizerSettings(vocabulary=640, reserved=8, budget_mb=1, pattern=pattern)
    made = train_tokenizer({"fr": paths}, small).tokenizer
    for gap in ("\n\n", "\n\n\n"):
        assert len(made.encode(gap, add_special_tokens=False).ids) == 1


def test_repeated_lines_count_once(tmp_path, write_shards):
    text = "menu home about\nthe only line of its kind {}\n"
    paths = write_shards(tmp_path / "xx", [text.format(i) for i in range(20)])
    sampled = "\n".join(sampling.sample_texts(paths, corpus.text_bytes(paths), 500, seed=1))
    assert sampled.count("menu home about") == 1
    assert 15 <= sampled.count("the only line") <= 20


def test_feedback_makes_costs_more_even(sources):
    parallel = {k: [TEXTS[k]] * 3 for k in ("en", "yo", "fr", "vi")}
    few = {k: sources[k] for k in parallel}
    settings = TokenizerSettings(vocabulary=512, reserved=16, budget_mb=1, repeat=200, rounds=2, eta=2.0)
    report = train_tokenizer(few, settings, parallel).report
    assert len(report["rounds"]) == 3
    first, *later = [entry["gini"] for entry in report["rounds"]]
    assert min(later) <= first
    moved = report["rounds"][1]["quotas"]
    costs = report["rounds"][0]["costs"]
    before = report["rounds"][0]["quotas"]
    worst, cheapest = max(costs, key=costs.get), min(costs, key=costs.get)
    assert moved[worst] / before[worst] > 1.05 * moved[cheapest] / before[cheapest]


def test_the_language_with_the_highest_cost_weighs_more():
    new = reweigh({"a": 0.5, "b": 0.5}, {"a": 300, "b": 100}, 1.0, {})
    assert new == pytest.approx({"a": 0.75, "b": 0.25})


def test_a_limit_below_the_mean_cost_raises_the_weight_of_its_language():
    costs = {"a": 100, "b": 100, "c": 100}
    new = reweigh({"a": 0.2, "b": 0.4, "c": 0.4}, costs, 1.0, {"a": 80, "b": 120})
    assert new["b"] == new["c"]
    assert new["a"] / new["b"] == pytest.approx(0.5 * (100 / 80) ** LIMIT_EXPONENT)
    below = reweigh({"a": 0.5, "b": 0.5}, {"a": 70, "b": 130}, 1.0, {"a": 80})
    assert below["a"] / below["b"] == pytest.approx(
        (70 / 80) ** LIMIT_EXPONENT / 1.3
    )  # what it does not need, it gives back


def test_feedback_brings_a_language_within_its_limit(sources):
    parallel = {k: [TEXTS[k], f"line {k} 59"] for k in ("en", "yo", "fr", "vi", "ar")}
    few = {k: sources[k] for k in parallel}
    settings = TokenizerSettings(vocabulary=512, reserved=16, budget_mb=1, repeat=200, rounds=3, own_rows=2048)
    without = train_tokenizer(few, settings, parallel)
    bare = replace(settings, vocabulary=2048, multiple=1, reserved=0, repeat=1)
    limit = 0.8 * count_tokens(train_monolingual({"ar": few["ar"]}, bare)["ar"], parallel["ar"])
    assert count_tokens(without.tokenizer, parallel["ar"]) > limit
    with_ = train_tokenizer(few, replace(settings, within={"ar": 0.8}), parallel)
    assert with_.report["limits"] == pytest.approx({"ar": limit})
    assert count_tokens(with_.tokenizer, parallel["ar"]) < count_tokens(without.tokenizer, parallel["ar"])
    rounds = with_.report["rounds"]
    best = min(rounds, key=lambda entry: (entry["missed"], entry["gini"]))
    assert with_.report["sampled_bytes"] == best["quotas"]
    assert min(rounds, key=lambda entry: entry["gini"])["missed"] > best["missed"]
    for entry in rounds:
        assert entry["missed"] == pytest.approx(max(0, entry["costs"]["ar"] / limit - 1))


def test_the_gini_coefficient_is_right_for_worked_examples():
    assert gini([1, 1, 1]) == pytest.approx(0)
    assert gini([0, 0, 0, 1]) == pytest.approx(0.75)


def test_bad_settings_and_inputs_are_refused(sources, tmp_path):
    with pytest.raises(SettingsError, match="multiple"):
        build(TokenizerSettings, {"vocabulary": 1000}, "tokenizer")
    with pytest.raises(SettingsError, match="Did you mean 'bloom'"):
        build(TokenizerSettings, {"pattern": "blom"}, "tokenizer")
    with pytest.raises(SettingsError, match="parallel"):
        train_tokenizer(sources, TokenizerSettings(vocabulary=1024, rounds=1))
    with pytest.raises(SettingsError, match="only feedback"):
        build(TokenizerSettings, {"within": {"fr": 1.1}}, "tokenizer")
    with pytest.raises(SettingsError, match="above 0"):
        build(TokenizerSettings, {"within": {"fr": 0}, "rounds": 1}, "tokenizer")
    with pytest.raises(SettingsError, match="between 0 and 1"):
        build(TokenizerSettings, {"shares": {"fr": 1.5}}, "tokenizer")
    with pytest.raises(SettingsError, match="own_rows"):
        build(TokenizerSettings, {"own_rows": 100}, "tokenizer")
    with pytest.raises(SettingsError, match="budget_mb"):
        build(TokenizerSettings, {"budget_mb": 0}, "tokenizer")
    settings = TokenizerSettings(vocabulary=1024, rounds=1, within={"ar": 1.1})
    with pytest.raises(SettingsError, match="no parallel text of 'ar'"):
        train_tokenizer(sources, settings, {"en": ["a"], "fr": ["b"]})
    with pytest.raises(InputError, match="no shards"):
        corpus.shard_paths(tmp_path, "fr", "train")
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(InputError, match=r"not a tokenizer\.json"):
        load_tokenizer(tmp_path)


def test_a_tokenizer_is_found_by_path_and_in_a_package(trained, tmp_path, monkeypatch):
    package = f"package_with_{trained.report['settings']['pattern']}"
    (tmp_path / package).mkdir()
    (tmp_path / package / "__init__.py").touch()
    save_tokenizer(trained, tmp_path / package / "data")
    monkeypatch.syspath_prepend(tmp_path)
    wanted = tokenizer_digest(trained.tokenizer)
    assert tokenizer_digest(find_tokenizer(str(tmp_path / package / "data"))) == wanted
    assert tokenizer_digest(find_tokenizer(f"{package}:data/tokenizer.json")) == wanted
    with pytest.raises(InputError, match="package 'nosuchpackage'"):
        find_tokenizer("nosuchpackage:x.json")
    with pytest.raises(InputError, match="roots tokenizer train"):
        find_tokenizer(str(tmp_path / "absent"))


def test_a_monolingual_tokenizer_needs_the_fewest_tokens(sources):
    settings = TokenizerSettings(vocabulary=512, reserved=16, budget_mb=1, shares={"en": 0.5})
    common = train_tokenizer(sources, settings).tokenizer
    own = train_monolingual({"yo": sources["yo"]}, settings)
    assert count_tokens(own["yo"], [TEXTS["yo"]]) < count_tokens(common, [TEXTS["yo"]])


def test_fixed_shares_are_kept():
    assert with_fixed_shares({"en": 0.1, "fr": 0.6, "sw": 0.3}, {"en": 0.4}) == pytest.approx(
        {"en": 0.4, "fr": 0.4, "sw": 0.2}
    )
    with pytest.raises(SettingsError, match="is not a table"):
        build(TokenizerSettings, {"shares": ["en"]}, "tokenizer")


def test_evaluation_counts_words_premiums_and_monolingual_cost(trained, tmp_path):
    rows = ["1-2\tdu\t_\t_\t_\t_\t_\t_\t_\t_", "1\tde\t_\t_\t_\t_\t_\t_\t_\t_", "2\tle\t_\t_\t_\t_\t_\t_\t_\t_",
            "3\tchien\t_\t_\t_\t_\t_\t_\t_\tSpaceAfter=No", "4\t.\t_\t_\t_\t_\t_\t_\t_\t_"]  # fmt: skip
    bank = tmp_path / "fr_x-ud-dev.conllu.gz"
    with gzip.open(bank, "wt", encoding="utf-8") as file:
        file.write("# text = du chien.\n" + "\n".join(rows) + "\n\n")
    assert list(fertility.read_treebank(bank)) == [[("du", False), ("chien", True), (".", False)]]
    (tmp_path / "p").mkdir()
    for name, language in (("eng_Latn.dev", "en"), ("fra_Latn.dev", "fr"), ("yor_Latn.dev", "yo")):
        (tmp_path / "p" / name).write_text(TEXTS[language] + "\n" + TEXTS[language][:30] + "\n")
    parallel = fertility.read_parallel(tmp_path / "p")
    assert sorted(parallel) == ["en", "fr", "yo"]
    assert len(fertility.read_parallel(tmp_path / "p", "odd")["fr"]) == 1
    found = fertility.compare_tokenizers({"ours": trained.tokenizer}, parallel, [bank], {"fr": trained.tokenizer})
    ours = found["ours"]
    assert ours["premium"]["en"] == 1
    assert ours["mean_premium"] == pytest.approx((ours["premium"]["fr"] + ours["premium"]["yo"]) / 2)
    assert ours["over_monolingual"] == {"fr": 1.0}
    assert ours["fertility"][bank.name]["words"] == 3
    markdown, svg = fertility.render_comparison(found)
    assert "mean premium" in markdown
    assert svg.startswith("<svg")
    json.dumps(found)


def test_pictures_escape_the_text_they_show():
    svg = picture.draw_bars("<b>", "x", {"<script>": {"a&b": 1.0}})
    assert "<script>" not in svg
    assert "&lt;script&gt;" in svg
    assert (
        picture.draw_curves("t", "x", "y", {"nan": [(0.0, float("nan"))], "a": [(0, 1), (1, 2)]}).count("<polyline")
        == 2
    )


def test_importing_the_trainer_loads_no_torch():
    names = "trainer, trainer.corpus, trainer.tokenizer.sampling, trainer.training.recipe, sys"
    code = f"import {names}; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    loaded = set(done.stdout.split())
    assert "trainer.training.recipe" in loaded
    assert not {"torch", "tokenizers", "transformers"} & loaded


def test_shares_and_limits_of_unknown_languages_are_refused_by_name():
    sources = {"fr": [Path("never-read")], "sw": [Path("never-read")]}
    for name in ("shares", "within"):
        settings = TokenizerSettings(vocabulary=512, reserved=16, rounds=1, **{name: {"sv": 0.5}})
        with pytest.raises(SettingsError, match=f"tokenizer.{name}: unknown language 'sv'. Did you mean 'sw'"):
            train_tokenizer(sources, settings)
