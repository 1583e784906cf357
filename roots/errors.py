"""The tree of errors, by size.

    RootsError
    ├── SettingsError     a setting cannot be used; raised before any work            (exit code 2)
    ├── InputError        a file the user named cannot be read as what it should be   (exit code 2)
    ├── ShardError        one shard is damaged, foreign or cannot be written
    ├── StageFailed       some shards were not made; all others are done              (exit code 1)
    └── NotReady          a step needs shards that other ranks have still to make     (exit code 3)

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


class NotReady(RootsError):  # noqa: N818 - a state, not a fault
    """A step needs all shards of a stage, and other ranks have not made theirs yet (see roots.stage.Share).

    `missing` maps the name of each shard that is not there to the rank that makes it.
    """

    exit_code = 3

    def __init__(self, stage: str, missing: Mapping[str, int], waited: float) -> None:
        self.stage = stage
        self.missing = dict(sorted(missing.items()))
        self.waited = waited
        lines = [f"  {name} (rank {rank})" for name, rank in list(self.missing.items())[:20]]
        more = len(self.missing) - len(lines)
        if more > 0:
            lines.append(f"  and {more} more")
        ranks = ", ".join(str(rank) for rank in sorted(set(self.missing.values()))[:20])
        head = (
            f"{stage}: {len(self.missing)} shards of other ranks ({ranks}) are not made yet"
            + (f", after waiting {waited:g} s" if waited else "")
            + "; this rank's own are. Run the same command again when they are there, or wait for them: --wait SECONDS."
        )
        super().__init__("\n".join([head, *lines]))

    def __reduce__(self) -> tuple[type["NotReady"], tuple[str, dict[str, int], float]]:
        return type(self), (self.stage, self.missing, self.waited)


def unknown_name(kind: str, name: str, known: Iterable[str]) -> str:
    """Say that `name` is no `kind`, naming the nearest known one and all the others."""
    names = sorted(known)
    near = get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"unknown {kind} {name!r}.{hint} Known: {', '.join(names)}."
