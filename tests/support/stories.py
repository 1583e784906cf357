"""Small made English stories, the trusted text of tests of bounds."""

import numpy as np

SUBJECTS = ["the miller", "a child", "the old river", "my neighbour", "the road", "our teacher", "a farmer"]
VERBS = ["sees", "follows", "forgets", "draws", "finds", "remembers", "crosses"]
OBJECTS = ["the bridge", "a small boat", "the garden wall", "the last house of the village", "an open door"]


def story(seed: int) -> str:
    rng = np.random.default_rng(seed)
    pick = lambda of: of[int(rng.integers(len(of)))]  # noqa: E731
    return " ".join(
        f"{pick(SUBJECTS).capitalize()} {pick(VERBS)} {pick(OBJECTS)} and then {pick(SUBJECTS)} {pick(VERBS)} it."
        for _ in range(20)
    )


STORIES = [story(seed) for seed in range(80)]
