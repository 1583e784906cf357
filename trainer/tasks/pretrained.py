"""Open a model to evaluate: a run of ours, an export, or a folder of another causal model of transformers.

Weights are read from safetensors only. BLOOM's architecture is read by our own decoder, others by transformers.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor

from roots.errors import InputError
from trainer.model import checkpoint
from trainer.model.decoder import empty_model
from trainer.tasks.score import CausalModel, Draw, OurModel, Pass, TokenRequest, padded
from trainer.tokenizer.files import END_ID, load_tokenizer, read_configuration, tokenizer_digest

_TOKENS = 2_048  # of one batch of another architecture, padding included


def open_model(place: Path, longest: int, tokenizers: Sequence[Path] = ()) -> CausalModel:
    """Open a model to evaluate with rows of at most `longest` tokens.

    The tokenizer of a run is the one of `tokenizers` that it was trained with. Raises InputError if there is none, or
    if the weights cannot be read.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if not (place / "config.json").is_file():
        model, state = checkpoint.load_decoder(place, device)
        return OurModel(model, _tokenizer_of(state["tokenizer"], place, tokenizers), END_ID, [END_ID], longest)
    config = read_configuration(place / "config.json")
    tokenizer = load_tokenizer(place)
    prefix, ends = _special(place, tokenizer, config)
    about = (tokenizer, prefix, ends, longest)
    if config.get("model_type") == "bloom" and not config.get("apply_residual_connection_post_layernorm"):
        start = checkpoint.read_start(place)
        model = empty_model(start.shape, device=device)
        model.load_state_dict(start.weights, strict=True)
        return OurModel(model.eval(), *about)
    return _OtherModel(place, device, *about)


def _tokenizer_of(digest: str, run: Path, known: Sequence[Path]) -> Tokenizer:
    """Return the tokenizer that a run was trained with."""
    for folder in (*known, run / "tokenizer", *(each / "tokenizer" for each in list(run.resolve().parents)[:3])):
        if folder.is_file() or (folder / "tokenizer.json").is_file():
            tokenizer = load_tokenizer(folder)
            if tokenizer_digest(tokenizer) == digest:
                return tokenizer
    raise InputError(f"the tokenizer of {run} is not beside it: name it with --tokenizer")


def _special(place: Path, tokenizer: Tokenizer, config: dict[str, object]) -> tuple[int, list[int]]:
    """Return the token that begins a text without context, and those that end one."""
    named = read_configuration(place / "tokenizer_config.json")
    found: dict[str, int] = {}
    for name in ("bos_token", "eos_token"):
        token = named.get(name)
        token = token.get("content") if isinstance(token, dict) else token
        at = tokenizer.token_to_id(token) if isinstance(token, str) else config.get(f"{name}_id")
        if isinstance(at, int):
            found[name] = at
    if not found:
        raise InputError(f"{place} names no bos_token or eos_token")
    ends = [found["eos_token"]] if "eos_token" in found else []
    return found.get("bos_token", found.get("eos_token", 0)), ends


class _OtherModel(CausalModel):
    """A causal model of another architecture, read by transformers."""

    def __init__(self, place: Path, device: torch.device, *about: Any) -> None:
        super().__init__(*about)
        try:
            from transformers import AutoModelForCausalLM
        except ImportError:
            raise InputError("this architecture needs transformers: pip install transformers") from None
        try:
            loaded = AutoModelForCausalLM.from_pretrained(
                place, dtype=torch.float32, local_files_only=True, trust_remote_code=False, use_safetensors=True
            )
        except (OSError, ValueError, RuntimeError, KeyError) as error:
            raise InputError(f"{place} cannot be opened: {str(error)[:300]}") from None
        self.model = loaded.to(device).eval()
        positions = getattr(loaded.config, "max_position_embeddings", None)
        self.longest = min(self.longest, positions or self.longest)

    def passes(self, requests: Sequence[TokenRequest]) -> Iterator[Pass]:
        """Read requests of similar length together, padded on the right."""
        order = sorted(range(len(requests)), key=lambda at: len(requests[at].tokens), reverse=True)
        while order:
            longest = len(requests[order[0]].tokens) - 1
            batch, order = order[: max(1, _TOKENS // longest)], order[max(1, _TOKENS // longest) :]
            rows = [requests[at].tokens[:-1] for at in batch]
            mask = padded([[1] * len(row) for row in rows], self.model.device)
            logits = self.model(input_ids=padded(rows, self.model.device), attention_mask=mask).logits
            places = [
                (at, list(range(longest * line + len(row) - requests[at].counted, longest * line + len(row))))
                for line, (at, row) in enumerate(zip(batch, rows, strict=True))
            ]
            yield logits.flatten(0, 1), places

    def logits(self, states: Tensor) -> Tensor:
        """Return the states, which are logits already."""
        return states

    def continue_tokens(self, prompts: Tensor, count: int, done: Callable[[Tensor], bool], draw: Draw) -> Tensor:
        """Draw one token after another; all is read each time, for the caches of transformers differ."""
        tokens = prompts.to(self.model.device)
        for _ in range(count):
            logits = self.model(input_ids=tokens, use_cache=False).logits[:, -1]
            tokens = torch.cat([tokens, draw(logits.float()).to(tokens.device)], dim=1)
            if done(tokens[:, prompts.shape[1] :].cpu()):
                break
        return tokens[:, prompts.shape[1] :].cpu()
