"""When Python looks for cycles of garbage: seldom. Stages make millions of short-lived objects and hardly a cycle."""

import gc

EVERY = 50_000  # new objects; Python's own 700 made looking 6 % of a run


def collect_seldom() -> None:
    """Look seldom from now on, and never among the half million objects that imports made. Once a process is enough."""
    gc.freeze()
    gc.set_threshold(EVERY, 20, 20)
