"""Log-likelihoods of continuations, and generated text, from any causal language model.

What requests have in common at their beginning is read once: the requests of a row are a tree of tokens. Other models
than ours read each request, in batches of similar length. Shapes: B rows, T tokens, V rows of the vocabulary, d hidden.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - everyone's name for it
from tokenizers import Tokenizer
from torch import Tensor

from trainer.model.attention import Layout
from trainer.model.decoder import AlibiLM

_LOGITS = 1 << 22  # held at once
_ROW = 256  # tokens of a row that holds several requests; a longer request has a row of its own

Draw = Callable[[Tensor], Tensor]  # logits (B, V) -> tokens (B, 1)
Pass = tuple[Tensor, list[tuple[int, list[int]]]]  # states (N, d); requests, and where the counted tokens are predicted


@dataclass(frozen=True)
class TokenRequest:
    """Tokens to read, of which the last `counted` have their log-likelihood counted."""

    tokens: tuple[int, ...]
    counted: int


@dataclass(frozen=True)
class Likelihood:
    """The log-likelihood of a continuation in nats, and whether each of its tokens was the likeliest."""

    nats: float
    greedy: bool


class CausalModel(ABC):
    """A causal language model and its tokenizer."""

    def __init__(self, tokenizer: Tokenizer, prefix: int, ends: Sequence[int], longest: int) -> None:
        """`prefix` is the token before a text without context, `ends` those that end a text."""
        self.tokenizer, self.prefix, self.ends, self.longest = tokenizer, prefix, frozenset(ends), longest

    @abstractmethod
    def passes(self, requests: Sequence[TokenRequest]) -> Iterator[Pass]:
        """Yield the states of the model, and the requests that are read from them; each request once."""

    @abstractmethod
    def logits(self, states: Tensor) -> Tensor:
        """Return the logits (N, V) of states (N, d)."""

    @abstractmethod
    def continue_tokens(self, prompts: Tensor, count: int, done: Callable[[Tensor], bool], draw: Draw) -> Tensor:
        """Return a continuation (B, at most `count`) of prompts (B, T); `done` sees it after each token."""

    def requests(self, pairs: Sequence[tuple[str, str]]) -> list[TokenRequest]:
        """Cut contexts and continuations into tokens as lm-evaluation-harness does.

        Spaces at the end of a context move to its continuation. Both are cut into tokens as one text; the continuation
        is what stands behind the tokens of the context alone. Only the last `longest` tokens are read.
        """
        texts = [(context.rstrip(), context + continuation) for context, continuation in pairs]
        contexts = sorted({bare for bare, _ in texts})
        encode = self.tokenizer.encode_batch
        alone = dict(zip(contexts, (each.ids for each in encode(contexts)), strict=True))
        whole = encode([text for _, text in texts])
        plain = encode([text for context, text in pairs if not context], add_special_tokens=False)
        found = []
        for (context, _), (bare, _), both in zip(pairs, texts, whole, strict=True):
            first, last = (alone[bare], both.ids[len(alone[bare]) :]) if context else ([self.prefix], plain.pop(0).ids)
            tokens = [*first, *last]
            if not context and last[:1] == [self.prefix]:
                tokens, last = tokens[1:], last[1:]
            if len(tokens) < 2:
                tokens = [self.prefix, *tokens]
            kept = tokens[-(self.longest + 1) :]
            found.append(TokenRequest(tuple(kept), min(len(last), len(kept) - 1)))
        return found

    def windows(self, text: str) -> list[TokenRequest]:
        """Cut a text into requests that count each of its tokens once; each but the first sees a full window."""
        ids = self.tokenizer.encode(text, add_special_tokens=False).ids
        tokens = [self.prefix, *ids]
        found = []
        for start in range(0, len(ids), self.longest):
            counted = min(self.longest, len(ids) - start)
            stop = start + counted + 1
            found.append(TokenRequest(tuple(tokens[max(0, stop - self.longest - 1) : stop]), counted))
        return found

    @torch.no_grad()
    def score(
        self, questions: Sequence[Sequence[TokenRequest]], say: Callable[[int], None] = lambda done: None
    ) -> list[list[Likelihood]]:
        """Return the likelihoods of the requests of each question; `say` is given the number of questions done."""
        flat = [request for requests in questions for request in requests]
        found: dict[int, Likelihood] = {}
        for states, places in self.passes(flat):
            found |= self._read(flat, states, places)
            say(len(found) * len(questions) // len(flat))
        answers = iter([found[at] for at in range(len(flat))])
        return [[next(answers) for _ in requests] for requests in questions]

    def _read(
        self, requests: Sequence[TokenRequest], states: Tensor, places: Sequence[tuple[int, list[int]]]
    ) -> dict[int, Likelihood]:
        """Return the likelihoods of the requests of one pass. Each state is multiplied with the head once."""
        counted = [requests[number].tokens[len(requests[number].tokens) - len(at) :] for number, at in places]
        used, node = np.unique(np.array([each for _, at in places for each in at], np.int64), return_inverse=True)
        wanted = np.array([token for tokens in counted for token in tokens], np.int64)
        nats, likeliest = np.zeros(len(wanted)), np.zeros(len(wanted), bool)
        step = max(1, _LOGITS // max(1, self.logits(states[:1]).shape[-1]))
        for start in range(0, len(used), step):
            rows = torch.from_numpy(used[start : start + step]).to(states.device)
            logits = self.logits(states[rows]).float()
            here = np.flatnonzero((node >= start) & (node < start + step))
            at = torch.from_numpy(node[here] - start).to(states.device)
            token = torch.from_numpy(wanted[here]).to(states.device)
            nats[here] = (logits[at, token] - logits.logsumexp(-1)[at]).double().cpu().numpy()
            likeliest[here] = (logits.argmax(-1)[at] == token).cpu().numpy()
        found, stop = {}, 0
        for (number, _), tokens in zip(places, counted, strict=True):
            part = slice(stop, stop + len(tokens))
            stop = part.stop
            found[number] = Likelihood(float(nats[part].sum()), bool(likeliest[part].all()))
        return found

    @torch.no_grad()
    def generate(
        self,
        prompts: Sequence[str],
        count: int,
        stops: Sequence[str],
        say: Callable[[int], None] = lambda done: None,
        draw_for: Callable[[Sequence[int]], Draw] = lambda numbers: likeliest,
        watch: Callable[[str], None] | None = None,
    ) -> list[str]:
        """Return the continuation of each prompt: at most `count` tokens, up to a stop text or an end.

        `draw_for` gives how the next tokens are drawn for the prompts of these numbers; by default they are the
        likeliest. `watch` is given the text of a single prompt after each token.
        """
        room = max(1, self.longest - count)
        cut = [[*each.ids[-room:]] or [self.prefix] for each in self.tokenizer.encode_batch(list(prompts))]
        found: dict[int, str] = {}
        for batch in _equal_lengths(cut):
            rows = torch.tensor([cut[at] for at in batch])
            made = self.continue_tokens(rows, count, self._watcher(stops, watch), draw_for(batch))
            found |= {at: self._text(row, stops) for at, row in zip(batch, made.tolist(), strict=True)}
            say(len(found))
        return [found[at] for at in range(len(prompts))]

    def _watcher(self, stops: Sequence[str], watch: Callable[[str], None] | None) -> Callable[[Tensor], bool]:
        """Return a function that shows the first row, and says whether all rows have ended."""

        def done(newest: Tensor) -> bool:
            rows = newest.tolist()
            if watch is not None:
                watch(self._text(rows[0], stops))
            return all(self._ended(row, stops) for row in rows)

        return done

    def _text(self, ids: Sequence[int], stops: Sequence[str]) -> str:
        """Return generated tokens as text, up to an end or a stop text."""
        end = next((at for at, each in enumerate(ids) if each in self.ends), len(ids))
        text: str = self.tokenizer.decode(list(ids[:end]), skip_special_tokens=True)
        for stop in filter(None, stops):
            text = text.partition(stop)[0]
        return text

    def _ended(self, ids: Sequence[int], stops: Sequence[str]) -> bool:
        if self.ends & set(ids):
            return True
        text: str = self.tokenizer.decode(list(ids), skip_special_tokens=True)
        return any(stop in text for stop in stops if stop)


def likeliest(logits: Tensor) -> Tensor:
    """Return the likeliest token of each row."""
    return logits.argmax(-1, keepdim=True)


def _equal_lengths(rows: Sequence[Sequence[int]], most: int = 32) -> Iterator[list[int]]:
    """Yield the numbers of rows that have the same length, at most `most` together."""
    order = sorted(range(len(rows)), key=lambda at: len(rows[at]))
    batch: list[int] = []
    for at in order:
        if batch and (len(rows[batch[0]]) != len(rows[at]) or len(batch) == most):
            yield batch
            batch = []
        batch.append(at)
    if batch:
        yield batch


class _Tree:
    """Tokens that requests have in common stand once in a row; each token sees those before it in its own request."""

    def __init__(self) -> None:
        self.tokens: list[int] = []
        self.parents: list[int] = []
        self.depths: list[int] = []
        self.path: list[int] = []  # places of the tokens of the newest request
        self.places: list[tuple[int, list[int]]] = []

    def shared(self, tokens: Sequence[int]) -> int:
        """Return how many tokens the newest request and these begin with together."""
        pairs = zip(self.path, tokens, strict=False)
        return next((at for at, (place, token) in enumerate(pairs) if self.tokens[place] != token),
                    min(len(self.path), len(tokens)))  # fmt: skip

    def add(self, number: int, tokens: Sequence[int], counted: int) -> None:
        """Add the tokens of a request that a model reads."""
        self.path = self.path[: self.shared(tokens)]
        for token in tokens[len(self.path) :]:
            self.parents.append(self.path[-1] if self.path else -1)
            self.depths.append(len(self.path))
            self.path.append(len(self.tokens))
            self.tokens.append(token)
        self.places.append((number, self.path[len(self.path) - counted :]))

    def bias(self, slopes: Tensor, dtype: torch.dtype) -> Tensor:
        """Return what is added to attention, (1, H, T, T): ALiBi by distance within a request, -inf for all others."""
        size = len(self.tokens)
        seen = np.zeros((size, size), bool)
        for at, parent in enumerate(self.parents):
            if parent >= 0:
                seen[at] = seen[parent]
            seen[at, at] = True
        depth = torch.tensor(self.depths, device=slopes.device, dtype=torch.float32)
        hidden = torch.from_numpy(~seen).to(slopes.device)
        distance = (depth[None, :] - depth[:, None]).masked_fill(hidden, -torch.inf)
        return (slopes.float()[:, None, None] * distance)[None].to(dtype)


def padded(rows: Sequence[Sequence[int]], device: torch.device) -> Tensor:
    """Put rows of tokens in one batch (B, T), padded on the right with zeros, which no counted token sees."""
    longest = max(map(len, rows))
    return torch.tensor([[*row, *([0] * (longest - len(row)))] for row in rows], device=device)


class OurModel(CausalModel):
    """A decoder of ours, or one of BLOOM's architecture."""

    def __init__(self, model: AlibiLM, *about: Any) -> None:
        super().__init__(*about)
        self.model = model
        model.set_kernel("additive")  # the one that takes a bias of our own

    def passes(self, requests: Sequence[TokenRequest]) -> Iterator[Pass]:
        """Read what requests have in common once, whether of one question or of several."""
        tree = _Tree()
        for number in sorted(range(len(requests)), key=lambda at: requests[at].tokens):
            tokens = requests[number].tokens[:-1]
            if tree.tokens and len(tree.tokens) + len(tokens) - tree.shared(tokens) > _ROW:
                yield self._states(tree), tree.places
                tree = _Tree()
            tree.add(number, tokens, requests[number].counted)
        if tree.tokens:
            yield self._states(tree), tree.places

    def _states(self, tree: _Tree) -> Tensor:
        """Return the states (T, d) of a row."""
        tokens = torch.tensor([tree.tokens], device=self.model.head.device)
        dtype = self.model.head.dtype
        bias = tree.bias(self.model.blocks[0].self_attention.slopes, dtype)
        return self.model.hidden(tokens, Layout(tokens, (), {dtype: bias}))[0]

    def logits(self, states: Tensor) -> Tensor:
        """Multiply with the head."""
        return F.linear(states, self.model.head)

    def continue_tokens(self, prompts: Tensor, count: int, done: Callable[[Tensor], bool], draw: Draw) -> Tensor:
        """Draw one token after another, from a cache."""
        cache = self.model.new_cache()
        tokens, made = prompts.to(self.model.head.device), prompts[:, :0]
        for _ in range(count):
            tokens = draw(self.model.step(tokens, cache).float()).to(tokens.device)
            made = torch.cat([made, tokens.cpu()], dim=1)
            if done(made):
                break
        return made
