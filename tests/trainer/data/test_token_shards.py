import hashlib
import json
import math
import random
import string
from dataclasses import replace

import numpy as np
import pytest

from roots.errors import InputError, SettingsError, ShardError
from roots.settings import build

pytest.importorskip("tokenizers", reason="tokenizers is not installed: pip install 'roots-corpus[train]'")

from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from trainer import corpus
from trainer.data.feed import IGNORE_INDEX, DataPosition, Feed, prefetch
from trainer.data.order import Turns, permuted
from trainer.data.packing import PACKINGS, BestFit, best_fit
from trainer.data.token_shards import SIDECAR, TokenShards, read_sidecar, token_schema, write_token_shards
from trainer.settings import TokenizerSettings, TokensSettings
from trainer.tokenizer.dropout import DropoutEncoder
from trainer.tokenizer.files import END_ID, load_tokenizer, save_tokenizer, tokenizer_digest
from trainer.tokenizer.training import train_tokenizer

LANGUAGES = {
    "fr": "Le chien dort près de la rivière à côté du vieux pont. ",
    "hi": "कुत्ता नदी के पास सो रहा है। ",
    "yo": "Ajá náà ń sùn ní ẹ̀gbẹ́ odò. ",
    "zh": "狗在河边睡觉。",
}


@pytest.fixture(scope="module")
def work(tmp_path_factory, write_shards):
    folder = tmp_path_factory.mktemp("work")
    for number, (language, text) in enumerate(LANGUAGES.items()):
        for split, count in (("train", 40 + 10 * number), ("validation", 6)):
            texts = [f"{split} {i} " + text * (1 + (7 * i) % 11) for i in range(count)]
            write_shards(folder / language, [*texts, ""], split)
    sources = {language: corpus.shard_paths(folder, language, "train") for language in LANGUAGES}
    trained = train_tokenizer(sources, TokenizerSettings(vocabulary=640, reserved=16, budget_mb=1))
    save_tokenizer(trained, folder / "tokenizer")
    for language in LANGUAGES:
        write(folder, language)
    return folder


def write(folder, language):
    sources = {split: corpus.shard_paths(folder, language, split) for split in corpus.SPLITS}
    tokenizer = load_tokenizer(folder / "tokenizer")
    return write_token_shards(sources, tokenizer, language, folder / "tokens" / language, TokensSettings())


@pytest.mark.parametrize("language", LANGUAGES)
def test_documents_come_back_byte_for_byte(work, language):
    tokenizer = load_tokenizer(work / "tokenizer")
    shards = TokenShards(work / "tokens" / language, "validation", tokenizer_digest(tokenizer))
    texts = [text for _, text in corpus.documents(corpus.shard_paths(work, language, "validation"))]
    assert len(shards.starts) == len(texts) + 1
    for index, text in enumerate(texts):
        ids = shards.document(index)
        assert ids[0] == END_ID
        assert tokenizer.decode(ids[1:].tolist(), skip_special_tokens=False) == text
        assert shards.n_bytes[index] == len(text.encode())
    sidecar = read_sidecar(work / "tokens" / language)
    assert sidecar["totals"]["validation"]["bytes"] == sum(len(t.encode()) for t in texts)
    assert sidecar["width"] == 16


def test_unchanged_tokens_are_kept_and_other_tokenizers_refused(work, tmp_path):
    folder = work / "tokens" / "fr"
    name = next(iter(read_sidecar(folder)["files"]))
    before = (folder / name).stat().st_mtime_ns
    first = (folder / SIDECAR).read_bytes()
    write(work, "fr")
    assert (folder / name).stat().st_mtime_ns == before
    assert (folder / SIDECAR).read_bytes() == first
    with pytest.raises(InputError, match="another tokenizer"):
        TokenShards(folder, "train", "0" * 64)
    with pytest.raises(InputError, match="roots tokens"):
        TokenShards(tmp_path, "train")


@pytest.mark.parametrize("language", LANGUAGES)
def test_skipped_merges_cut_the_same_text_in_other_ways(work, language):
    tokenizer = load_tokenizer(work / "tokenizer")
    merges = DropoutEncoder(tokenizer)
    text = LANGUAGES[language] * 3 + "</s>\n\n 1987"
    plain = tokenizer.encode(text, add_special_tokens=False).ids
    assert merges.encode(text, 0.0, random.Random(1)) == plain
    one, two = (merges.encode(text, 0.3, random.Random(seed)) for seed in (1, 2))
    assert one != two
    assert one == merges.encode(text, 0.3, random.Random(1))
    assert len(plain) < len(one) < len(text.encode()) == len(merges.encode(text, 1.0, random.Random(1)))
    assert tokenizer.decode(one, skip_special_tokens=False) == text


def test_each_copy_of_the_training_text_is_cut_in_its_own_way(work, tmp_path):
    sources = {split: corpus.shard_paths(work, "hi", split) for split in corpus.SPLITS}
    tokenizer = load_tokenizer(work / "tokenizer")
    several = TokensSettings(copies=3, dropout=0.2)
    for folder in ("a", "b"):
        write_token_shards(sources, tokenizer, "hi", tmp_path / folder, several)
    assert read_sidecar(tmp_path / "a") == read_sidecar(tmp_path / "b")
    texts = [text for _, text in corpus.documents(sources["train"])]
    shards = TokenShards(tmp_path / "a", "train")
    assert len(shards.n_bytes) == 3 * len(texts)
    cuts = [[shards.document(copy * len(texts) + at).tolist() for at in range(len(texts))] for copy in range(3)]
    for copy in cuts:
        assert [tokenizer.decode(ids[1:], skip_special_tokens=False) for ids in copy] == texts
    assert cuts[0] != cuts[1] != cuts[2] != cuts[0]
    held_out = TokenShards(tmp_path / "a", "validation")
    assert held_out.read(0, held_out.tokens).tolist() == (
        TokenShards(work / "tokens" / "hi", "validation").read(0, held_out.tokens).tolist()
    )
    before = read_sidecar(tmp_path / "a")["files"]
    after = write_token_shards(sources, tokenizer, "hi", tmp_path / "a", replace(several, dropout=0.3))["files"]
    changed = {name.partition("/")[0] for name in before if before[name]["sha256"] != after[name]["sha256"]}
    assert changed == {"train"}
    with pytest.raises(SettingsError, match="all the same"):
        build(TokensSettings, {"copies": 2}, "tokens")


def bare_tokenizer(names):
    """A byte-level BPE whose special tokens are `names`, in the order of their ids."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=names, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    tokenizer.train_from_iterator(["a b c"], trainer)
    tokenizer.encode_special_tokens = True
    return tokenizer


@pytest.mark.parametrize(
    "names", [[], ["</s>", "<unk>", "<pad>"], ["<pad>", "<unk>", "<s>", "</s>"], ["<|end|>"], ["<s>", "<pad>", "<eos>"]]
)
def test_a_tokenizer_whose_id_2_ends_no_document_is_refused_before_any_work(work, tmp_path, names):
    sources = {"train": corpus.shard_paths(work, "fr", "train")}
    with pytest.raises(InputError, match=r"no special token </s> with id 2"):
        write_token_shards(sources, bare_tokenizer(names), "fr", tmp_path / "tokens", TokensSettings())
    assert not (tmp_path / "tokens").exists()


def test_another_tokenizer_with_that_end_is_taken(work, tmp_path):
    sources = {"train": corpus.shard_paths(work, "fr", "train")}
    tokenizer = bare_tokenizer(["<pad>", "<mask>", "</s>"])
    write_token_shards(sources, tokenizer, "fr", tmp_path, TokensSettings())
    shards = TokenShards(tmp_path, "train")
    assert (shards.read(0, shards.tokens) == END_ID).sum() == len(shards.n_bytes)


def test_a_damaged_token_shard_is_named(work, tmp_path):
    sidecar = read_sidecar(work / "tokens" / "fr")
    for name in sidecar["files"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((work / "tokens" / "fr" / name).read_bytes()[:-40])
    (tmp_path / SIDECAR).write_text(json.dumps(sidecar))
    with pytest.raises(ShardError, match="damaged"):
        TokenShards(tmp_path, "train")


@pytest.mark.parametrize("size", [*range(1, 20), *[2**k + d for k in range(5, 15) for d in (-1, 0, 1)], 100_003])
def test_the_order_is_a_permutation(size):
    index = np.arange(size)
    for key in (0, 1, -7, 1 << 70):
        order = permuted(index, size, key)
        assert np.array_equal(np.sort(order), index)
    if size > 1000:
        other = permuted(index, size, 5)
        correlation = np.mean((other - other.mean()) * (index - index.mean())) / (other.std() * index.std())
        assert abs(correlation) < 0.1
        assert (other == permuted(index, size, 6)).mean() < 0.02


@pytest.mark.parametrize(
    "weights",
    [
        [1.0],
        [1, 1],
        [0.9, 0.1],
        [5, 3, 1, 0.01],
        list(range(1, 40)),
        [0, 1, 2],
        [29_000, 1, 1, 3],
        [0.99953, 0.00047],
        [3.0**-k for k in range(9)],
        [1e-12, 1.0, math.pi],
    ],
)
def test_every_prefix_holds_the_shares_within_two_rows(weights):
    source, turn = Turns(weights).at(np.arange(60_000))
    hits = source[:, None] == np.arange(len(weights))
    counts = np.cumsum(hits, axis=0)
    shares = np.array(weights) / sum(weights)
    owed = np.arange(1, 60_001)[:, None] * shares
    assert np.abs(counts - owed).max() < 2
    assert np.array_equal(turn, counts[np.arange(60_000), source] - 1)
    assert not counts[-1][np.array(weights) == 0].any()


def test_shares_hold_far_into_a_run_and_turns_have_no_gap():
    start = 10**11
    source, turn = Turns([0.9973, 0.0027]).at(np.arange(start, start + 50_000))
    for language, share in ((0, 0.9973), (1, 0.0027)):
        mine = turn[source == language]
        assert np.array_equal(mine, np.arange(mine[0], mine[0] + len(mine)))
        assert abs(mine[0] - share * start) < 2


def test_a_language_of_one_row_in_ten_thousand_is_read(work):
    rows = Feed(shards_of(work, "fr", "yo"), 32, weights={"fr": 0.9999, "yo": 0.0001})
    assert sum(source for source, _ in rows.rows_at(np.arange(50_000))) == 5


def test_the_plan_of_a_run_names_rows_share_and_epochs_of_each_language(work):
    feed = Feed(shards_of(work, "fr", "yo"), 32, weights={"fr": 3, "yo": 1})
    first, second = feed.packed[0].rows, feed.packed[1].rows
    assert feed.plan(4 * second).splitlines() == [
        f"fr: {first:,} rows, 75 % of the run, read {3 * second / first:.3g} times",
        f"yo: {second:,} rows, 25 % of the run, read 1 times",
    ]


@pytest.mark.parametrize("alpha", [0, 0.5, 1])
def test_an_exponent_below_one_gives_small_languages_more_rows(work, alpha):
    feed = Feed(shards_of(work, "fr", "yo"), 32, alpha=alpha)
    sizes = [packed.rows**alpha for packed in feed.packed]
    counts = np.bincount([source for source, _ in feed.rows_at(np.arange(2000))], minlength=2)
    assert np.abs(counts - 2000 * np.array(sizes) / sum(sizes)).max() < 2


def shards_of(work, *languages):
    return [TokenShards(work / "tokens" / language, "train") for language in languages]


@pytest.mark.parametrize("packing", PACKINGS)
def test_each_epoch_has_every_row_once_and_loses_no_token(work, packing):
    one = shards_of(work, "fr")
    rows = Feed(one, 32, packing, seed=3)
    batch = rows.batch(np.arange(rows.rows))
    assert len(rows.rows_at(np.arange(rows.rows))) == len(set(rows.rows_at(np.arange(rows.rows)))) == rows.rows
    again = rows.rows_at(np.arange(rows.rows, 2 * rows.rows))
    assert sorted(again) == sorted(rows.rows_at(np.arange(rows.rows)))
    assert again != rows.rows_at(np.arange(rows.rows))
    if packing == "bestfit":
        assert (batch.docs >= 0).sum() + rows.rows >= one[0].tokens  # T + 1 tokens a row, T of them inputs


def test_each_seed_and_language_has_its_own_order(work):
    index = np.arange(20)
    orders = {seed: Feed(shards_of(work, "fr"), 16, seed=seed).rows_at(index) for seed in (0, 1, 2)}
    assert orders[0] != orders[1] != orders[2] != orders[0]
    pair = Feed([*shards_of(work, "fr"), *shards_of(work, "fr")], 16, seed=1)
    rows = pair.rows_at(np.arange(40))
    assert [row for source, row in rows if source == 0] != [row for source, row in rows if source == 1]


def test_best_fit_cuts_only_long_documents(work):
    packed = BestFit(shards_of(work, "hi")[0], 64)
    sizes = np.diff(packed.shards.starts)
    assert packed._size.sum() == packed.shards.tokens
    assert len(packed._size) == sum(max(1, -(-size // 65)) for size in sizes)
    for row in range(packed.rows):
        assert packed._size[packed._first[row] : packed._first[row + 1]].sum() <= 65


@given(st.lists(st.integers(1, 50), max_size=200))
@settings(max_examples=50, deadline=None)
def test_best_fit_never_overfills(sizes):
    bins = best_fit(np.array(sizes, dtype=np.int64), 50)
    loads = np.bincount(bins, weights=sizes) if sizes else np.zeros(0)
    assert (loads <= 50).all()
    assert len(loads) <= 11 / 9 * (sum(sizes) / 50) + 1 + len([s for s in sizes if s > 25])  # 11/9 OPT, loosely


@pytest.mark.parametrize("packing", PACKINGS)
def test_targets_are_the_next_tokens_of_the_same_document(work, packing):
    rows = Feed(shards_of(work, "fr", "yo"), 48, packing, seed=1)
    batch = rows.batch(np.arange(20))
    counted = batch.targets != IGNORE_INDEX
    same = counted[:, :-1] & (batch.docs[:, 1:] == batch.docs[:, :-1])
    assert np.array_equal(batch.targets[:, :-1][same], batch.tokens[:, 1:][same])
    ends = counted[:, :-1] & (batch.docs[:, 1:] != batch.docs[:, :-1])
    assert (batch.targets[:, :-1][ends] == END_ID).all()
    assert ends.any()
    assert (batch.tokens[:, 1:][ends] == END_ID).all()


def test_rows_depend_on_the_position_alone(work):
    rows = Feed(shards_of(work, *LANGUAGES), 32, "concat", {"fr": 1, "hi": 1, "yo": 2, "zh": 1}, seed=9)
    whole = rows.batch(np.arange(300))
    for world in (1, 2, 3):
        parts = [rows.batch(np.arange(300)[rank::world]) for rank in range(world)]
        for rank, part in enumerate(parts):
            assert np.array_equal(part.tokens, whole.tokens[rank::world])
    sources = np.array([source for source, _ in rows.rows_at(np.arange(300))])
    assert (sources == 2).sum() == pytest.approx(120, abs=2)


def test_a_position_skips_the_rows_to_skip():
    place = DataPosition(0).skipping(3, 6).skipping(8, 9)
    positions, after = place.take(5)
    assert positions.tolist() == [0, 1, 2, 6, 7]
    positions, after = after.take(3)
    assert positions.tolist() == [9, 10, 11]
    assert after.position == 12


def test_batches_made_in_advance_are_the_same(work):
    rows = Feed(shards_of(work, "zh"), 16)
    made = list(prefetch(rows, DataPosition(4), iter([2, 3, 4])))
    assert [len(batch.tokens) for batch, _ in made] == [2, 3, 4]
    assert made[-1][1].position == 13
    assert np.array_equal(made[1][0].tokens, rows.batch(np.arange(6, 9)).tokens)
    early = prefetch(rows, DataPosition(), iter([1] * 1000))
    next(early)
    early.close()  # the thread ends: joined in the generator's finally


def test_bad_feeds_are_refused(work):
    one = shards_of(work, "fr")
    with pytest.raises(SettingsError, match="bestfit"):
        Feed(one, 16, "best")
    with pytest.raises(InputError, match="fewer tokens"):
        Feed(one, 10**6)


@pytest.mark.parametrize(
    ("weights", "named"),
    [
        ({"fr": 1.0, "jo": 1.0, "yo": 1.0}, "'jo'. Did you mean 'yo'"),
        ({"YO": 1.0, "fr": 1.0}, "'YO'"),
        ({"fr": 1.0, "yo": math.nan}, "yo = nan"),
        ({"fr": math.inf, "yo": 2.0}, "fr = inf"),
        ({"fr": 3.0, "yo": -0.5}, "yo = -0.5"),
        ({"yo": 1.0}, "no weight for fr; fr = 0"),
        ({"fr": 0.0, "yo": 0.0}, "all weights are 0"),
    ],
)
def test_weights_that_mean_nothing_are_refused_by_name(work, weights, named):
    with pytest.raises(SettingsError, match=named):
        Feed(shards_of(work, "fr", "yo"), 16, weights=weights)


def test_weights_need_no_sum_and_zero_leaves_a_language_out(work):
    pair = shards_of(work, "fr", "yo")
    assert {source for source, _ in Feed(pair, 16, weights={"fr": 0.0, "yo": 5.0}).rows_at(np.arange(99))} == {1}
    seven = Feed(pair, 16, weights={"fr": 7.0, "yo": 3.0}).rows_at(np.arange(1000))
    assert sum(source for source, _ in seven) == 300


def test_wide_vocabularies_take_four_bytes():
    assert token_schema(32).field("ids").type.value_type.bit_width == 32
    assert set(string.hexdigits) >= set(hashlib.sha256(b"").hexdigest())


def test_a_dataset_of_which_shards_are_missing_is_refused(tmp_path, write_shards):
    write_shards(tmp_path / "fr", ["Un texte."], "train")
    (made,) = corpus.shard_paths(tmp_path, "fr", "train")
    made.rename(made.with_name("data-00000-of-00003.arrow"))
    with pytest.raises(InputError, match="1 files of 3 shards"):
        corpus.shard_paths(tmp_path, "fr", "train")
