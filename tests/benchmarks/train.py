"""Tokens per second of a whole training step, beside two peers; on a GPU also the table of attention kernels.

    python -m tests.benchmarks.train [--threads 1] [--rounds 5] [--lengths 512 2048] [--gpu-only]

The peers on a CPU are a decoder as nanoGPT's README configures it (learned positions, no biases, full logits, autocast
for bfloat16) and transformers' BloomForCausalLM. All have 6 layers, width 384, 6 heads and 32,768 rows. A step is
forward, backward, clipping and a fused AdamW update of the same rows in the same dtype. transformers' model computes
attention with ALiBi in full, its only way. Rounds are interleaved, and medians are printed. With one thread, time is
the CPU time of the process, so that other processes do not count; with more, it is the time by the clock. Aims are
printed with the results; the exit code is 1 if one is missed. Without a GPU, that part says so.

Our float32 products are by oneDNN (trainer/model/matmul.py). Where MKL is slow, that is most of our lead, so our model
is also measured on the products that torch uses ("ours, MKL's products"). bfloat16 is compared with our float32 on the
faster products, and with MKL's. Freed memory stays in the process (roots/process.py), for the peers, too.
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from roots.process import keep_freed_memory
from trainer import picture
from trainer.data.feed import Feed
from trainer.data.token_shards import SIDECAR, TokenShards, token_schema
from trainer.model import attention
from trainer.model.decoder import empty_model
from trainer.model.shapes import SHAPES, Shape
from trainer.training.optimiser import Optimiser
from trainer.training.recipe import Recipe

ROOT = Path(__file__).resolve().parents[2]
SHAPE = SHAPES["small"]
NANOGPT = 0.98  # aim: times its tokens per second, at every length
BLOOM = {512: 1.1, 2048: 1.7}  # aim: times transformers' tokens per second in float32, by length
BF16 = 1.6  # aim: times our float32
FEED = 0.01  # aim: share of the time of a step
GPU_TOKENS = {"125m": 360_000, "350m": 148_000, "1b": 65_000}  # aim: tokens per second on one H100
H100_MATRICES = 800e12  # operations per second of an H100; on other GPUs the aims are a share of their own
Step = Callable[[Tensor, Tensor], None]


class PlainBlock(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.first, self.second = nn.LayerNorm(shape.hidden, bias=False), nn.LayerNorm(shape.hidden, bias=False)
        self.qkv = nn.Linear(shape.hidden, 3 * shape.hidden, bias=False)
        self.out = nn.Linear(shape.hidden, shape.hidden, bias=False)
        self.up = nn.Linear(shape.hidden, 4 * shape.hidden, bias=False)
        self.down = nn.Linear(4 * shape.hidden, shape.hidden, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        rows, length, width = x.shape
        parts = self.qkv(self.first(x)).split(width, dim=2)
        q, k, v = (part.view(rows, length, self.heads, -1).transpose(1, 2) for part in parts)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).reshape(rows, length, width))
        return x + self.down(F.gelu(self.up(self.second(x))))


class Plain(nn.Module):
    """A GPT-2 without biases: learned positions, pre-LayerNorm, tied head, plain cross-entropy."""

    def __init__(self, shape: Shape, length: int) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(shape.vocabulary, shape.hidden), nn.Embedding(length, shape.hidden)
        self.blocks = nn.ModuleList([PlainBlock(shape) for _ in range(shape.layers)])
        self.last = nn.LayerNorm(shape.hidden, bias=False)
        nn.init.normal_(self.words.weight, std=0.02)

    def forward(self, tokens: Tensor, targets: Tensor) -> Tensor:
        x = self.words(tokens) + self.places(torch.arange(tokens.shape[1], device=tokens.device))
        for block in self.blocks:
            x = block(x)
        logits = F.linear(self.last(x), self.words.weight)
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


def ours(
    shape: Shape, length: int, bf16: bool, device: torch.device, recompute: bool = False, fast: bool = False
) -> Step:
    kernel = attention.choose_kernel(
        "auto", device, torch.bfloat16 if bf16 else torch.float32, shape.heads, shape.head_dim
    )
    model = empty_model(shape, kernel, device, recompute)
    model.init_weights(0)
    optimiser = Optimiser(model, Recipe(length=length, batch_tokens=length), masters=bf16)
    if device.type == "cpu":
        keep_freed_memory()
    if fast:
        for block in model.blocks:
            block.compile()

    def step(tokens: Tensor, targets: Tensor) -> None:
        (model(tokens, targets) / targets.numel()).backward()
        optimiser.collect()
        optimiser.clip()
        optimiser.step(10**6)

    return step


def theirs(model: nn.Module, loss: Callable[[Tensor, Tensor], Tensor], bf16: bool) -> Step:
    update = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.95), fused=True)

    def step(tokens: Tensor, targets: Tensor) -> None:
        with torch.autocast("cpu", torch.bfloat16) if bf16 else nullcontext():
            value = loss(tokens, targets)
        value.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        update.step()
        update.zero_grad(set_to_none=True)

    return step


def bloom(shape: Shape) -> tuple[nn.Module, Callable[[Tensor, Tensor], Tensor]]:
    from transformers import BloomConfig, BloomForCausalLM

    config = BloomConfig(
        vocab_size=shape.vocabulary, hidden_size=shape.hidden, n_layer=shape.layers, n_head=shape.heads, use_cache=False
    )
    model = BloomForCausalLM(config).train()

    def loss(tokens: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(model(tokens).logits.flatten(0, 1).float(), targets.flatten())

    return model, loss


def on_torchs_products(step: Step) -> Step:
    def slower(tokens: Tensor, targets: Tensor) -> None:
        torch.backends.mkldnn.enabled = False
        step(tokens, targets)
        torch.backends.mkldnn.enabled = True

    return slower


def candidates(length: int, bf16: bool) -> dict[str, Step]:
    torch.manual_seed(0)
    plain = Plain(SHAPE, length)
    hugging, loss = bloom(SHAPE)
    mine = ours(SHAPE, length, bf16, torch.device("cpu"))
    found = {"ours": mine, "nanoGPT": theirs(plain, plain, bf16), "transformers Bloom": theirs(hugging, loss, bf16)}
    return found if bf16 else found | {"ours, MKL's products": on_torchs_products(mine)}


def measured(length: int, bf16: bool, rounds: int) -> dict[str, float]:
    """Return the tokens per second of every contender: medians of interleaved rounds, without the first."""
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    steps = candidates(length, bf16)
    rows = torch.randint(0, SHAPE.vocabulary, (max(1, 1024 // length), length))
    times: dict[str, list[float]] = {name: [] for name in steps}
    for round_ in range(rounds + 1):
        for name, step in steps.items():
            start = clock()
            step(rows, rows.roll(-1, 1))
            if round_:
                times[name].append(clock() - start)
    return {name: rows.numel() / median(taken) for name, taken in times.items()}


def cpu(lengths: list[int], rounds: int) -> list[tuple[str, float, float]]:
    """Print the table of CPU speeds; return the aims as (what, measured, at least)."""
    kinds = [("fp32", False), *([("bf16", True)] if torch.cpu._is_avx512_bf16_supported() else [])]
    rows, held, notes, own, likes = [], [], [], {}, {}
    for length in lengths:
        for kind, bf16 in kinds:
            speeds = measured(length, bf16, rounds)
            mine, plain, hugging, *alike = speeds.values()
            own[length, kind], likes[length, kind] = mine, [*alike, mine][0]
            rows.append([length, kind, mine, plain, hugging, mine / plain, mine / hugging, alike[0] if alike else None,
                         mine * SHAPE.flops_per_token(length, causal=True) / 1e9])  # fmt: skip
            held.append((f"T={length} {kind}, x nanoGPT", mine / plain, NANOGPT))
            if not bf16 and length in BLOOM:
                held.append((f"T={length} {kind}, x transformers Bloom", mine / hugging, BLOOM[length]))
        if len(kinds) == 2:
            fast = own[length, "bf16"]
            held.append((f"T={length}, bf16 over fp32", fast / own[length, "fp32"], BF16))
            notes.append(f"T={length}: bf16 over our own fp32 on MKL's products: {fast / likes[length, 'fp32']:.2f}")
    head = ["T", "dtype", "ours tok/s", "nanoGPT", "transformers Bloom", "x nanoGPT", "x Bloom", "ours, MKL's products",
            "ours GFLOP/s"]  # fmt: skip
    print("\n".join([picture.markdown_table(head, rows), *notes]))
    fed = feed_speed(lengths[0])
    print(f"feed: {fed / 1e6:.0f} million tokens/s of one core, at T={lengths[0]}")
    held.append(("the feed, x 100 times the fastest step", fed * FEED / max(own.values()), 1.0))
    print(f"float32 matrix products: {matmul_rate(torch.device('cpu'), torch.float32) / 1e9:.0f} GFLOP/s; ", end="")
    print(f"bfloat16: {matmul_rate(torch.device('cpu'), torch.bfloat16) / 1e9:.0f} GFLOP/s")
    return held


def feed_speed(length: int, documents: int = 4_000) -> float:
    """Return the tokens per CPU second that the feed reads from token shards on disk."""
    rng = np.random.default_rng(0)
    sizes = np.maximum(2, rng.lognormal(5.6, 1.0, documents)).astype(np.int64)
    ids = rng.integers(4, SHAPE.vocabulary, int(sizes.sum()), dtype=np.uint16)
    starts = np.concatenate([[0], np.cumsum(sizes)])
    ids[starts[:-1]] = 2
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "train" / "data-00000-of-00001.arrow"
        path.parent.mkdir()
        columns = token_schema(16)
        lists = pa.LargeListArray.from_arrays(pa.array(starts), pa.array(ids))
        rest = [pa.array([str(i) for i in range(documents)]), pa.array(["xx"] * documents),
                pa.array(sizes.astype(np.uint32))]  # fmt: skip
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, columns) as writer:
            writer.write_batch(pa.RecordBatch.from_arrays([lists, *rest], schema=columns))
        sidecar = {"language": "xx", "tokenizer": "", "rows": SHAPE.vocabulary,
                   "files": {"train/data-00000-of-00001.arrow": {"sha256": ""}}}  # fmt: skip
        (Path(folder) / SIDECAR).write_text(json.dumps(sidecar), encoding="utf-8")
        feed = Feed([TokenShards(Path(folder), "train")], length)
        made, start = 0, time.process_time()
        while time.process_time() - start < 1:
            made += feed.batch(np.arange(made // length, made // length + 32)).tokens.size
        return made / (time.process_time() - start)


def peak_memory() -> None:
    """Measure the peak memory of one step of each contender, each in its own process."""
    for name in ("ours", "transformers Bloom"):
        code = f"import tests.benchmarks.train as b;b.torch.set_num_threads(1);b.one_step({name!r})"
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
        print(f"peak memory of one step at T=2048, fp32, {name}: {done.stdout.strip()} MB")


def one_step(name: str) -> None:
    """Take one step and print how much memory the process has used at most, in MB.

    Not `ru_maxrss`: a process that is started by a large one begins with its maximum.
    """
    rows = torch.randint(0, SHAPE.vocabulary, (2, 2048))
    if name == "ours":
        step = ours(SHAPE, 2048, False, torch.device("cpu"))
    else:
        model, loss = bloom(SHAPE)
        step = theirs(model, loss, False)
    step(rows, rows.roll(-1, 1))
    status = Path("/proc/self/status").read_text(encoding="ascii")
    print(next(int(line.split()[1]) // 1024 for line in status.splitlines() if line.startswith("VmHWM")))


def matmul_rate(device: torch.device, dtype: torch.dtype, size: int | None = None) -> float:
    """Return the operations per second of a large matrix product, the most that this machine can do."""
    side = size or (8192 if device.type == "cuda" else 1024)
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    best = math.inf
    for _ in range(8):
        attention._wait(device)
        start = time.perf_counter()
        a @ b
        attention._wait(device)
        best = min(best, time.perf_counter() - start)
    return 2 * side**3 / best


def gpu() -> list[tuple[str, float, float]]:
    """Print speeds of the presets and the table of attention kernels on a GPU; say so where there is none.

    Gives what was promised, as shares of the measured rate of matrix products: (what, measured, at least).
    """
    if not torch.cuda.is_available():
        print("GPU: not run here (torch sees no CUDA device)")
        return []
    device = torch.device("cuda", 0)
    peak = matmul_rate(device, torch.bfloat16)
    name = torch.cuda.get_device_name(device)
    print(f"{name}, torch {torch.__version__}: bfloat16 matrix products {peak / 1e12:.0f} TFLOP/s")
    rows, held = [], []
    for preset, batch in (("125m", 32), ("350m", 16), ("1b", 8)):
        shape = SHAPES[preset]
        torch.cuda.reset_peak_memory_stats()
        step = ours(shape, 2048, True, device, fast=True)
        ids = torch.randint(0, shape.vocabulary, (batch, 2048), device=device)
        times = []
        for round_ in range(13):
            torch.cuda.synchronize()
            start = time.perf_counter()
            step(ids, ids.roll(-1, 1))
            torch.cuda.synchronize()
            times += [time.perf_counter() - start] if round_ >= 3 else []
        speed, work = ids.numel() / median(times), shape.flops_per_token(2048, causal=True)
        rows.append([preset, speed, speed * work / peak, torch.cuda.max_memory_allocated() / 2**30])
        held.append((f"{preset}, share of matrix rate", speed * work / peak, GPU_TOKENS[preset] * work / H100_MATRICES))
        del step
        torch.cuda.empty_cache()
    print(
        picture.markdown_table(
            ["preset", "tokens/s", "share of measured matrix rate (causal)", "peak memory GiB"], rows
        )
    )
    kernels(device)
    return held


def kernels(device: torch.device) -> None:
    """Measure every candidate kernel at several widths and lengths: useful TFLOP/s, and its error."""
    rows = []
    for width in (64, 72, 96, 120, 128):
        for length in (2048, 8192):
            heads, batch = 16, 65_536 // length // 2
            q, k, v = (torch.randn(batch, heads, length, width, device=device, dtype=torch.bfloat16) for _ in range(3))
            slopes = attention.alibi_slopes(heads).to(device)
            useful = 3.5 * 2 * batch * heads * length * length * width  # forward 2 products, backward 5; half is causal
            for name in attention.CANDIDATES["cuda"]:
                try:
                    small = [x[:1, :, :512] for x in (q, k, v)]
                    error = attention.error_of(attention.KERNELS[name], *small, slopes)
                    ms = attention.milliseconds(attention.KERNELS[name], q, k, v, slopes, 5)
                    rows.append([width, length, name, useful / ms / 1e9, error])
                except (RuntimeError, NotImplementedError) as reason:
                    rows.append([width, length, name, None, str(reason).splitlines()[0][:60]])
    print(picture.markdown_table(["head width", "T", "kernel", "TFLOP/s", "error against float64"], rows))


def main() -> None:
    """Run the parts that the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--lengths", type=int, nargs="+", default=[512, 2048])
    parser.add_argument("--gpu-only", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    held = []
    if not options.gpu_only:
        held += cpu(options.lengths, options.rounds)
        peak_memory()
    held += gpu()
    for what, found, wanted in held:
        print(f"{'met' if found >= wanted else 'MISSED'}: {what}: {found:.2f}, promised {wanted:.2f}")
    sys.exit(any(found < wanted for _, found, wanted in held))


if __name__ == "__main__":
    main()
