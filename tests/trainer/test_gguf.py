import json
import struct
import urllib.request

import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install 'roots-corpus[train]'")

import numpy as np
import torch

from roots.errors import InputError
from trainer import corpus
from trainer.gguf import read_bloom_tokenizer
from trainer.model import checkpoint
from trainer.model.decoder import Sampling
from trainer.model.shapes import SHAPES, Shape
from trainer.settings import ExportSettings, TokenizerSettings, TokensSettings
from trainer.steps import export_run, make_model, make_tokenizer, make_tokens
from trainer.tokenizer.files import load_tokenizer
from trainer.training.recipe import recipe_for

FILE = "model-f32.gguf"
TEXTS = [
    "le chat dort.\n\n\n  la cour",
    "a\u00a0b\u3000c 12,5 (d|e)…",
    "un </s> tapé <|reserved_3|>",
    "x\r\n\r\ny\t!",
    "हाँ। 猫",
]
NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}


class Reader:
    """Reads a GGUF file as its specification says."""

    def __init__(self, raw):
        self.raw, self.at = raw, 0
        magic, version, tensors, values = self.take("4sIQQ")
        assert (magic, version) == (b"GGUF", 3)
        self.values = {self.text(): self.value(self.take("I")[0]) for _ in range(values)}
        infos = [self.info() for _ in range(tensors)]
        start = -(-self.at // 32) * 32
        assert all((kind, offset % 32) == (0, 0) for _, _, kind, offset in infos)
        self.tensors = {
            name: np.frombuffer(raw, "<f4", int(np.prod(sizes)), start + offset).reshape(sizes[::-1])
            for name, sizes, _, offset in infos
        }

    def take(self, form):
        found = struct.unpack_from(f"<{form}", self.raw, self.at)
        self.at += struct.calcsize(f"<{form}")
        return found

    def text(self):
        return self.take(f"{self.take('Q')[0]}s")[0].decode()

    def value(self, kind):
        if kind == 8:
            return self.text()
        if kind == 9:
            inner, size = self.take("IQ")
            return [self.value(inner) for _ in range(size)]
        return self.take(NUMBERS[kind])[0]

    def info(self):
        name = self.text()
        return name, self.take(f"{self.take('I')[0]}Q"), *self.take("IQ")


@pytest.fixture(scope="module")
def work(tmp_path_factory, write_shards):
    """A work folder with a run whose tokenizer cuts as BLOOM's; 6 heads, which are no power of two."""
    torch.set_num_threads(1)
    work = tmp_path_factory.mktemp("gguf")
    for split in corpus.SPLITS:
        write_shards(work / "fr", [text + f"\n\nle chien {i} mange" for i in range(30) for text in TEXTS], split)
    small = TokenizerSettings(vocabulary=512, multiple=32, reserved=8, budget_mb=1, pattern="bloom")
    make_tokenizer(work, ["fr"], small)
    list(make_tokens(work, ["fr"], TokensSettings(multiple=48)))
    values = {"length": 32, "tokens": 40 * 256, "batch_tokens": 256, "attention": "key_bias", "evaluate_every": 0}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("trainer.model.shapes.SHAPES", {**SHAPES, "demo": Shape(2, 96, 6, 384)})
        make_model(work, ["fr"], recipe_for(values), say=lambda text: None)
    return work


@pytest.fixture(scope="module")
def exported(work):
    return export_run(work, ["fr"], work / "out", ExportSettings(name="petit", gguf=True))


def test_a_gguf_file_holds_the_model_and_its_tokenizer(work, exported):
    found = Reader((exported / FILE).read_bytes())
    model, state = checkpoint.load_decoder(work / "fr" / "model")
    names = ("general.architecture", "general.name", "bloom.block_count", "bloom.attention.head_count")
    assert [found.values[name] for name in names] == ["bloom", "petit", 2, 6]
    sizes = ("context_length", "embedding_length", "feed_forward_length")
    assert [found.values[f"bloom.{name}"] for name in sizes] == [state["length"], 96, 384]
    cut = {key.rpartition(".")[2]: value for key, value in found.values.items() if key.startswith("tokenizer.ggml.")}
    assert (cut["model"], cut["pre"], cut["add_bos_token"]) == ("gpt2", "bloom", False)
    ids = ("bos_token_id", "eos_token_id", "unknown_token_id", "padding_token_id")
    assert [cut[name] for name in ids] == [2, 2, 0, 3]
    tokenizer = load_tokenizer(exported)
    known = {at: token for token, at in tokenizer.get_vocab(with_added_tokens=True).items()}
    assert len(cut["tokens"]) == len(cut["token_type"]) == state["shape"]["vocabulary"] > len(known)
    assert len(set(cut["tokens"])) == len(cut["tokens"])
    assert all(cut["tokens"][at] == token for at, token in known.items())
    plain = set(tokenizer.get_vocab(with_added_tokens=False).values()) - {0, 1, 2, 3}
    assert {at for at, kind in enumerate(cut["token_type"]) if kind == 1} == plain
    assert cut["token_type"][:4] == [3] * 4
    assert cut["merges"][0].count(" ") == 1
    assert np.array_equal(found.tensors["token_embd.weight"], model.head.detach())
    assert len(found.tensors) == len(model.state_dict())


def test_queries_keys_and_values_stand_apart(work, exported):
    tensors = Reader((exported / FILE).read_bytes()).tensors
    attention = checkpoint.load_decoder(work / "fr" / "model")[0].blocks[1].self_attention
    x = torch.randn(5, 96, generator=torch.Generator().manual_seed(1))
    weight, bias = (torch.tensor(tensors[f"blk.1.attn_qkv.{name}"]) for name in ("weight", "bias"))
    apart = (x @ weight.T + bias).view(5, 3, 6, 16)
    with torch.no_grad():
        by_head = attention.query_key_value(x).view(5, 6, 3, 16)
    assert (apart - by_head.transpose(1, 2)).abs().max() < 1e-5


def test_llama_cpp_cuts_and_continues_text_as_we_do(work, exported):
    llama = pytest.importorskip("xllamacpp", reason="xllamacpp is not installed")
    tokenizer, (model, _) = load_tokenizer(exported), checkpoint.load_decoder(work / "fr" / "model")
    parameters = llama.CommonParams()
    parameters.model.path, parameters.n_ctx, parameters.cpuparams.n_threads = str(exported / FILE), 128, 1
    server = llama.Server(parameters)

    def ask(path, **values):
        wanted = urllib.request.Request(f"{server.listening_address}/{path}", json.dumps(values).encode())
        with urllib.request.urlopen(wanted) as answer:
            return json.load(answer)["tokens"]

    for text in TEXTS:
        assert ask("tokenize", content=text, parse_special=False) == tokenizer.encode(text).ids
    prompt = [2, *tokenizer.encode(TEXTS[0]).ids]
    ours = model.generate(torch.tensor([prompt]), 16, Sampling(temperature=0))[0].tolist()
    theirs = ask("completion", prompt=prompt, n_predict=16, temperature=0, return_tokens=True)
    assert theirs == ours[: len(theirs)]


def test_a_gguf_file_does_not_stay_beside_other_weights(work, tmp_path):
    folder = export_run(work, ["fr"], tmp_path / "out", ExportSettings(gguf=True))
    assert "llama.cpp" in (folder / "README.md").read_text()
    export_run(work, ["fr"], folder, ExportSettings())
    assert not (folder / FILE).exists()


@pytest.mark.parametrize(
    ("change", "fits"),
    [
        (lambda held: held["pre_tokenizer"]["pretokenizers"][0].update(behavior="Removed"), False),
        (lambda held: held["pre_tokenizer"]["pretokenizers"][1].update(add_prefix_space=True), False),
        (lambda held: held.update(pre_tokenizer=held["pre_tokenizer"]["pretokenizers"][1]), False),
        (lambda held: held.update(pre_tokenizer=None), False),
        (lambda held: held["pre_tokenizer"]["pretokenizers"][0]["pattern"].update(Regex=r" ?\p{L}+|\s"), False),
        (lambda held: held.update(normalizer={"type": "NFC"}), False),
        (lambda held: held["model"].update(type="Unigram"), False),
        (lambda held: held["model"].update(byte_fallback=True), False),
        (lambda held: held.update(decoder=None), True),
    ],
)
def test_only_a_tokenizer_that_cuts_as_blooms_is_written(work, tmp_path, change, fits):
    held = json.loads((work / "fr" / "tokenizer" / "tokenizer.json").read_text())
    change(held)
    (tmp_path / "tokenizer.json").write_text(json.dumps(held))
    if fits:
        assert read_bloom_tokenizer(tmp_path / "tokenizer.json") == held
        return
    with pytest.raises(InputError, match="no GGUF of"):
        read_bloom_tokenizer(tmp_path / "tokenizer.json")
