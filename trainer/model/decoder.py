"""The decoder: BLOOM's architecture with BLOOM's parameter names, so that both load each other's state dict.

Embedding, LayerNorm, then blocks of [LayerNorm, attention with ALiBi, residual; LayerNorm, 4h, tanh-GELU, h, residual],
LayerNorm, and the embedding again as head. Shapes: B rows, T tokens, H heads, D width of a head, d hidden.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F  # noqa: N812 - everyone's name for it
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from trainer.model.attention import KERNELS, Layout, alibi_slopes, attend_to_cache
from trainer.model.loss import linear_cross_entropy
from trainer.model.matmul import Linear
from trainer.model.shapes import Shape


@dataclass
class _Cache:
    """Keys and values of the tokens read so far, a pair (B, H, T, D) per layer, and the leading padding of each row."""

    layers: list[tuple[Tensor, Tensor] | None]
    padding: Sequence[int] | None = None


class Attention(nn.Module):
    """Self-attention; query, key and value are one matrix with rows ordered by (head, which of the three, width)."""

    slopes: Tensor

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.head_dim = shape.head_dim
        self.query_key_value = Linear(shape.hidden, 3 * shape.hidden)
        self.dense = Linear(shape.hidden, shape.hidden)
        self.register_buffer("slopes", alibi_slopes(shape.heads), persistent=False)
        self.kernel = "key_bias"
        self.part = (0, 1)  # this rank, and the number of ranks that share the heads

    def forward(self, x: Tensor, layout: Layout | None, cache: _Cache | None = None, layer: int = 0) -> Tensor:
        """Map x (B, T, d) to (B, T, d); with a cache, x are the tokens after it."""
        rows, length, _ = x.shape
        mixed = self.query_key_value(x).view(rows, length, -1, 3, self.head_dim)
        q, k, v = (each.transpose(1, 2) for each in mixed.unbind(3))
        rank, ranks = self.part
        slopes = self.slopes.chunk(ranks)[rank]
        if cache is None:
            out = KERNELS[self.kernel](q, k, v, slopes, layout)
        else:
            before = cache.layers[layer]
            if before is not None:
                k, v = torch.cat([before[0], k], dim=2), torch.cat([before[1], v], dim=2)
            cache.layers[layer] = (k, v)
            out = attend_to_cache(q, k, v, slopes, cache.padding)
        attended: Tensor = self.dense(out.transpose(1, 2).reshape(rows, length, -1))
        return attended


class _MLP(nn.Module):
    """Two matrices with a tanh-GELU between them."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.dense_h_to_4h = Linear(shape.hidden, 4 * shape.hidden)
        self.dense_4h_to_h = Linear(4 * shape.hidden, shape.hidden)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, T, d) -> (B, T, d)."""
        out: Tensor = self.dense_4h_to_h(F.gelu(self.dense_h_to_4h(x), approximate="tanh"))
        return out


def _dropped(x: Tensor, share: float) -> Tensor:
    """Set a share of x to 0 and scale the rest; on a CPU by one random byte a value, so in steps of 1/256.

    torch draws one random number a value, which takes ten times as long there.
    """
    if not share or x.device.type != "cpu":
        return F.dropout(x, share) if share else x
    limit = min(255, max(1, round(256 * share)))
    drawn = torch.empty(-(-x.numel() // 8), dtype=torch.int64).random_(-(1 << 63), None)
    kept = (drawn.view(torch.uint8)[: x.numel()] >= limit).view(x.shape)
    return x * kept.to(x.dtype).mul_(256 / (256 - limit))


class _Block(nn.Module):
    """One layer: attention and feed-forward, each with a LayerNorm before and a residual around it."""

    def __init__(self, shape: Shape, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = dropout
        self.input_layernorm = nn.LayerNorm(shape.hidden, eps=shape.epsilon)
        self.self_attention = Attention(shape)
        self.post_attention_layernorm = nn.LayerNorm(shape.hidden, eps=shape.epsilon)
        self.mlp = _MLP(shape)

    def forward(self, x: Tensor, layout: Layout | None = None, cache: _Cache | None = None, layer: int = 0) -> Tensor:
        """x (B, T, d) -> (B, T, d)."""
        share = self.dropout if self.training else 0.0
        x = x + _dropped(self.self_attention(self.input_layernorm(x), layout, cache, layer), share)
        out: Tensor = x + _dropped(self.mlp(self.post_attention_layernorm(x)), share)
        return out


class _Transformer(nn.Module):
    """Embedding, blocks and last LayerNorm: all parameters of the model."""

    def __init__(self, shape: Shape, dropout: float) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(shape.vocabulary, shape.hidden)
        self.word_embeddings_layernorm = nn.LayerNorm(shape.hidden, eps=shape.epsilon)
        self.h = nn.ModuleList([_Block(shape, dropout) for _ in range(shape.layers)])
        self.ln_f = nn.LayerNorm(shape.hidden, eps=shape.epsilon)


@dataclass
class Sampling:
    """How the next token is drawn."""

    temperature: float = 0.8  # 0 takes the likeliest token
    top_k: int = 50  # draw from this many likeliest tokens; 0 is all
    banned: tuple[int, ...] = field(default=())  # ids that are never drawn
    top_p: float = 1.0  # draw from the likeliest tokens whose chances sum up to this (nucleus sampling, Holtzman 2020)


class AlibiLM(nn.Module):
    """The language model; a call with targets returns the summed loss, without them the logits."""

    def __init__(self, shape: Shape, kernel: str = "key_bias", recompute: bool = False, dropout: float = 0.0) -> None:
        super().__init__()
        self.shape = shape
        self.recompute = recompute
        self.dropout = dropout  # of embeddings and of what a block adds, in training; BLOOM's hidden_dropout
        self.transformer = _Transformer(shape, dropout)
        self.set_kernel(kernel)

    def set_kernel(self, name: str) -> None:
        """Use an attention kernel of `trainer.model.attention.KERNELS` in all layers."""
        for block in self.blocks:
            block.self_attention.kernel = name

    @property
    def blocks(self) -> list[_Block]:
        """The layers, from input to output."""
        return list(self.transformer.h)  # type: ignore[arg-type]

    @property
    def head(self) -> Tensor:
        """The output matrix (V, d): the embedding."""
        return self.transformer.word_embeddings.weight

    def hidden(self, tokens: Tensor, layout: Layout | None = None, cache: _Cache | None = None) -> Tensor:
        """Return the last hidden states (B, T, d) of tokens (B, T)."""
        body = self.transformer
        x = body.word_embeddings_layernorm(body.word_embeddings(tokens))
        x = _dropped(x, self.dropout if self.training else 0.0)
        for number, block in enumerate(body.h):
            if self.recompute and self.training:
                x = checkpoint(block, x, layout, use_reentrant=False)
            else:
                x = block(x, layout, cache, number)
        out: Tensor = body.ln_f(x)
        return out

    def forward(self, tokens: Tensor, targets: Tensor | None = None, layout: Layout | None = None) -> Tensor:
        """Return logits (B, T, V) of tokens (B, T); with targets (B, T), the summed loss of those that are not -100."""
        x = self.hidden(tokens, layout)
        if targets is None:
            return F.linear(x, self.head)
        return linear_cross_entropy(x.flatten(0, 1), self.head, targets.flatten())

    @torch.no_grad()
    def init_weights(self, seed: int) -> None:
        """Set the first values: normal with std `init_std`, or init_std / sqrt(2 L) for writers to the residual stream.

        Biases are 0, LayerNorms 1 and 0. Equal seeds give equal values on any device.
        """
        generator = torch.Generator().manual_seed(seed)
        narrow = self.shape.init_std / math.sqrt(2 * self.shape.layers)
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                written = name.endswith(("self_attention.dense.weight", "mlp.dense_4h_to_h.weight"))
                std = narrow if written else self.shape.init_std
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * std)
            else:
                parameter.fill_(1.0 if name.endswith("weight") else 0.0)
        for block in self.blocks:
            block.self_attention.slopes.copy_(alibi_slopes(self.shape.heads))

    @torch.no_grad()
    def step(self, tokens: Tensor, cache: _Cache) -> Tensor:
        """Read tokens (B, N) after those in the cache; return the logits of the last one (B, V)."""
        return F.linear(self.hidden(tokens, cache=cache)[:, -1], self.head)

    def new_cache(self, padding: Sequence[int] | None = None) -> _Cache:
        """Return an empty cache; `padding` is the number of leading pad tokens of each row."""
        return _Cache([None] * self.shape.layers, padding)

    @torch.no_grad()
    def generate(
        self,
        prompt: Tensor,
        count: int,
        sampling: Sampling,
        seed: int = 0,
        stop: Callable[[Tensor], bool] | None = None,
    ) -> Tensor:
        """Continue prompts (B, T) by up to `count` tokens; `stop` sees the newest tokens (B,) and may end early."""
        generator = torch.Generator(device=prompt.device).manual_seed(seed)
        cache = self.new_cache()
        made: list[Tensor] = []
        tokens = prompt
        for _ in range(count):
            logits = self.step(tokens, cache).float()
            if sampling.banned:
                logits[:, list(sampling.banned)] = -torch.inf
            tokens = draw(logits, sampling, [generator])
            made.append(tokens)
            if stop is not None and stop(tokens[:, 0]):
                break
        return torch.cat(made, dim=1) if made else prompt[:, :0]


def draw(logits: Tensor, sampling: Sampling, generators: Sequence[torch.Generator]) -> Tensor:
    """Draw one token per row, (B, 1), by one generator for all rows or by one for each."""
    if sampling.temperature == 0:
        return logits.argmax(-1, keepdim=True)
    if sampling.top_k:
        kept = logits.topk(min(sampling.top_k, logits.shape[-1])).values[:, -1:]
        logits = logits.masked_fill(logits < kept, -torch.inf)
    chances = (logits / sampling.temperature).softmax(-1)
    if sampling.top_p < 1:
        ordered = chances.sort(-1, descending=True)
        beyond = ordered.values.cumsum(-1) - ordered.values >= sampling.top_p
        chances = chances.masked_fill(torch.zeros_like(beyond).scatter(-1, ordered.indices, beyond), 0)
    if len(generators) == 1:
        return torch.multinomial(chances, 1, generator=generators[0])
    return torch.cat([torch.multinomial(row, 1, generator=own) for row, own in zip(chances, generators, strict=True)])[
        :, None
    ]


def empty_model(
    shape: Shape,
    kernel: str = "key_bias",
    device: torch.device | None = None,
    recompute: bool = False,
    dropout: float = 0.0,
) -> AlibiLM:
    """Make a model with memory for its parameters but no values in it yet."""
    with torch.device("meta"):
        model = AlibiLM(shape, kernel, recompute, dropout)
    model.to_empty(device=device or torch.device("cpu"))
    for block in model.blocks:
        block.self_attention.slopes.copy_(alibi_slopes(shape.heads))
    return model
