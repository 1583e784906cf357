"""The tree of errors, by size.

    RootsError
    ├── SettingsError     a setting cannot be used; raised before any work            (exit code 2)
    ├── InputError        a file the user named cannot be read as what it should be   (exit code 2)
    ├── ShardError        one shard is damaged, foreign or cannot be written
    └── StageFailed       some shards were not made; all others are done              (exit code 1)

A bad *document* is no exception: it is a row with a reason (`drop = "extract.timeout"`).
Every message says what is wrong and what to do next.
"""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches


class RootsError(Exception):
    """Anything this project raises on purpose: its text is for the user, and no traceback is needed."""

    exit_code = 1


class SettingsError(RootsError):
    """A setting cannot be used. Raised before any work is done."""

    exit_code = 2


class InputError(RootsError):
    """A file or folder that the user named is missing, empty or not of the kind it should be."""

    exit_code = 2


class ShardError(RootsError):
    """One shard is damaged, does not belong to its neighbours, or could not be written."""


class StageFailed(RootsError):  # noqa: N818 - it is the state of a stage, and the house calls it so
    """Some shards of a stage were not made; the others are done and running again resumes.

    `failures` maps the name of each missing shard to what went wrong.
    """

    def __init__(self, stage: str, failures: Mapping[str, str], done: int) -> None:
        self.stage = stage
        self.failures = dict(sorted(failures.items()))
        self.done = done
        lines = [f"  {name}: {why}" for name, why in list(self.failures.items())[:20]]
        more = len(self.failures) - len(lines)
        if more:
            lines.append(f"  and {more} more")
        head = (
            f"{stage}: {len(self.failures)} of {len(self.failures) + done} shards were not made; "
            "the others are done. Mend the cause and run the same command again: it makes only what is missing."
        )
        super().__init__("\n".join([head, *lines]))

    def __reduce__(self) -> tuple[type["StageFailed"], tuple[str, dict[str, str], int]]:
        return type(self), (self.stage, self.failures, self.done)


def unknown_name(kind: str, name: str, known: Iterable[str]) -> str:
    """Say that `name` is no `kind`, naming the nearest known one and all the others."""
    names = sorted(known)
    near = get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"unknown {kind} {name!r}.{hint} Known: {', '.join(names)}."
