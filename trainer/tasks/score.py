"""Log-likelihoods of continuations, and generated text, from any causal language model.

Requests are read in batches of similar length. What the requests of one question have in common is read once, where the
model can continue from a cache. Shapes: B rows, T tokens, V rows of the vocabulary, d hidden.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - everyone's name for it
from tokenizers import Tokenizer
from torch import Tensor

from trainer.model.decoder import AlibiLM

_SHARED = 4  # a shorter common beginning is read with each request
_LOGITS = 1 << 24  # held at once
_TOKENS = 4_096  # of one batch, padding included


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
    def hidden(self, group: Sequence[Sequence[TokenRequest]]) -> Iterator[tuple[TokenRequest, Tensor]]:
        """Yield each request of a batch of questions with the states (T, d) or logits (T, V) before its last token."""

    @abstractmethod
    def logits(self, states: Tensor) -> Tensor:
        """Return the logits (N, V) of states (N, d)."""

    @abstractmethod
    def continue_tokens(self, prompts: Tensor, count: int, done: Callable[[Tensor], bool]) -> Tensor:
        """Return the likeliest continuation (B, at most `count`) of prompts (B, T); `done` sees it after each token."""

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
        found: dict[int, list[Likelihood]] = {}
        for batch in _batches(questions):
            flat = self._read([questions[at] for at in batch])
            for at in batch:
                found[at] = [flat.pop(0) for _ in questions[at]]
            say(len(found))
        return [found[at] for at in range(len(questions))]

    def _read(self, questions: Sequence[Sequence[TokenRequest]]) -> list[Likelihood]:
        """Return the likelihoods of the requests of one batch, in order."""
        states: list[Tensor] = []
        targets: list[int] = []
        sizes: list[int] = []
        for request, each in self.hidden(questions):
            states.append(each[len(each) - request.counted :])
            targets += request.tokens[len(request.tokens) - request.counted :]
            sizes.append(request.counted)
        stacked = torch.cat(states)
        wanted = torch.tensor(targets, device=stacked.device)
        nats, best = [], []
        width = max(1, self.logits(stacked[:1]).shape[-1])
        for start in range(0, max(1, len(targets)), max(1, _LOGITS // width)):
            part = slice(start, start + max(1, _LOGITS // width))
            logits = self.logits(stacked[part]).float()
            here = wanted[part]
            nats.append(-F.cross_entropy(logits, here, reduction="none").double())
            best.append(logits.argmax(-1) == here)
        pieces = torch.split(torch.cat(nats), sizes)
        right = torch.split(torch.cat(best), sizes)
        return [Likelihood(float(n.sum()), bool(b.all())) for n, b in zip(pieces, right, strict=True)]

    @torch.no_grad()
    def generate(
        self, prompts: Sequence[str], count: int, stops: Sequence[str], say: Callable[[int], None] = lambda done: None
    ) -> list[str]:
        """Return the likeliest continuation of each prompt: at most `count` tokens, up to a stop text or an end."""
        room = max(1, self.longest - count)
        cut = [[*each.ids[-room:]] or [self.prefix] for each in self.tokenizer.encode_batch(list(prompts))]
        found: dict[int, str] = {}
        for batch in _equal_lengths(cut):
            rows = torch.tensor([cut[at] for at in batch])
            made = self.continue_tokens(rows, count, lambda newest: all(self._ended(r, stops) for r in newest.tolist()))
            found |= {at: self._text(row, stops) for at, row in zip(batch, made.tolist(), strict=True)}
            say(len(found))
        return [found[at] for at in range(len(prompts))]

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


def _batches(questions: Sequence[Sequence[TokenRequest]]) -> Iterator[list[int]]:
    """Yield the numbers of questions that are read together: similar beginnings and lengths, long ones first."""
    sizes = [(_common(each), max(len(r.tokens) for r in each)) for each in questions]
    batch: list[int] = []
    held = longest = 0
    for at in sorted(range(len(questions)), key=lambda at: sizes[at], reverse=True):
        longest = max(longest, sizes[at][1])
        if batch and (held + len(questions[at])) * longest > _TOKENS:
            yield batch
            batch, held, longest = [], 0, sizes[at][1]
        batch.append(at)
        held += len(questions[at])
    if batch:
        yield batch


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


def _common(requests: Sequence[TokenRequest]) -> int:
    """Return how many tokens all requests of a question begin with, without the last one that is read."""
    least = min(len(request.tokens) for request in requests) - 2
    first = requests[0].tokens
    if len(requests) == 1:
        return 0
    for at in range(max(0, least)):
        if any(request.tokens[at] != first[at] for request in requests):
            return at if at >= _SHARED else 0
    return max(0, least) if least >= _SHARED else 0


def padded(rows: Sequence[Sequence[int]], device: torch.device) -> Tensor:
    """Put rows of tokens in one batch (B, T), padded on the right with zeros, which no counted token sees."""
    longest = max(map(len, rows))
    return torch.tensor([[*row, *([0] * (longest - len(row)))] for row in rows], device=device)


class OurModel(CausalModel):
    """A decoder of ours, or one of BLOOM's architecture."""

    def __init__(self, model: AlibiLM, *about: Any) -> None:
        super().__init__(*about)
        self.model = model

    def hidden(self, group: Sequence[Sequence[TokenRequest]]) -> Iterator[tuple[TokenRequest, Tensor]]:
        """Read what the requests of a question have in common once, and continue from there."""
        device = self.model.head.device
        flat = [(number, request) for number, requests in enumerate(group) for request in requests]
        shared = min(map(_common, group))
        rests = padded([request.tokens[shared:-1] for _, request in flat], device)
        if not shared:
            states = self.model.hidden(rests)
        else:
            cache = self.model.new_cache()
            before = self.model.hidden(padded([each[0].tokens[:shared] for each in group], device), cache=cache)
            owners = torch.tensor([number for number, _ in flat], device=device)
            cache.layers = [layer and (layer[0][owners], layer[1][owners]) for layer in cache.layers]
            states = torch.cat([before[owners], self.model.hidden(rests, cache=cache)], dim=1)
        for row, (_, request) in enumerate(flat):
            yield request, states[row, : len(request.tokens) - 1]

    def logits(self, states: Tensor) -> Tensor:
        """Multiply with the head."""
        return F.linear(states, self.model.head)

    def continue_tokens(self, prompts: Tensor, count: int, done: Callable[[Tensor], bool]) -> Tensor:
        """Take the likeliest token again and again, from a cache."""
        cache = self.model.new_cache()
        tokens, made = prompts.to(self.model.head.device), prompts[:, :0]
        for _ in range(count):
            tokens = self.model.step(tokens, cache).argmax(-1, keepdim=True)
            made = torch.cat([made, tokens.cpu()], dim=1)
            if done(made):
                break
        return made
