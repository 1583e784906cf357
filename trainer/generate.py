"""Text from a model: continuations of prompts, by a run, an export, or another causal model's folder."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from trainer.model.decoder import Sampling, draw
from trainer.settings import GenerateSettings
from trainer.tasks.pretrained import open_model
from trainer.tasks.score import Draw


@dataclass(frozen=True)
class GenerateRequest:
    """A model, and what it is to continue. `tokenizers`: folders in which that of a run is looked for."""

    model: Path
    prompts: tuple[str, ...]
    tokenizers: tuple[Path, ...]
    settings: GenerateSettings


@dataclass(frozen=True)
class Generated:
    """A continuation; `sample` counts those of one prompt from 0."""

    prompt: str
    sample: int
    text: str


def generate_texts(
    request: GenerateRequest,
    say: Callable[[int], None] = lambda done: None,
    watch: Callable[[str], None] | None = None,
) -> list[Generated]:
    """Continue each prompt, in the order given, `samples` times.

    A continuation depends on the model, the prompt's number, its sample and the seed, not on the other prompts. `say`
    is given how many are done, `watch` the text so far where there is only one. Raises InputError for a model that
    cannot be opened.
    """
    settings = request.settings
    model = open_model(request.model, settings.length, request.tokenizers)
    sampling = Sampling(settings.temperature, settings.top_k, (), settings.top_p)
    asked = [(number, sample) for number in range(len(request.prompts)) for sample in range(settings.samples)]
    generators = {at: _generator(settings.seed, *asked[at]) for at in range(len(asked))}

    def draw_for(numbers: Sequence[int]) -> Draw:
        own = [generators[at] for at in numbers]

        def drawn(logits: Tensor) -> Tensor:
            return draw(logits.cpu(), sampling, own)

        return drawn

    prompts = [request.prompts[number] for number, _ in asked]
    alone = watch if len(asked) == 1 else None
    texts = model.generate(prompts, settings.tokens, settings.stop, say, draw_for, alone)
    return [Generated(prompt, sample, text) for prompt, (_, sample), text in zip(prompts, asked, texts, strict=True)]


def _generator(seed: int, number: int, sample: int) -> torch.Generator:
    (state,) = np.random.SeedSequence([seed, number, sample]).generate_state(1, np.uint32)
    return torch.Generator().manual_seed(int(state))
