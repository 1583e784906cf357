"""The tree of errors: every error that this project raises on purpose is here.

    RootsError            exit code 1, unless another is named
    ├── SettingsError     a setting cannot be used; raised before any work                    (exit code 2)
    ├── InputError        a file the user named cannot be read as what it should be           (exit code 2)
    │   └── MissingRange  a server has no such file, or no such range in it                   (exit code 2)
    ├── ShardError        one shard is damaged, foreign or cannot be written
    ├── StageFailed       some shards were not made; all others are done
    ├── NotReady          a step needs shards that other ranks have still to make             (exit code 3)
    ├── GuardError        the guarded process cannot start, or is killed from outside again and again
    ├── LossError         sources lost more documents to dedup than its alarm allows
    ├── PublishError      a release must not be published as it is
    ├── PushError         the Hub refused a release, or does not have what was sent
    ├── TakedownError     a takedown did not remove all it should
    ├── RebuildError      a released text cannot be made again as it was
    └── TrainingFailed    training cannot go on

A bad *document* is no exception: it is a row with a reason (`drop = "extract.timeout"`).
Every message says what is wrong and what to do next.
"""

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches

_LISTED = 20  # shards that a message names at most


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


class StageFailed(RootsError):  # noqa: N818 - the state of a stage
    """Some shards of a stage were not made; the others are done and running again resumes.

    `failures` maps the name of each missing shard to what went wrong.
    """

    def __init__(self, stage: str, failures: Mapping[str, str], done: int) -> None:
        self.stage = stage
        self.failures = dict(sorted(failures.items()))
        self.done = done
        head = (
            f"{stage}: {len(self.failures)} of {len(self.failures) + done} shards were not made; "
            "the others are done. Remove the cause and run the same command again: it makes only what is missing."
        )
        super().__init__(with_lines(head, [f"{name}: {why}" for name, why in self.failures.items()]))

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
        ranks = ", ".join(str(rank) for rank in sorted(set(self.missing.values()))[:_LISTED])
        head = (
            f"{stage}: {len(self.missing)} shards of other ranks ({ranks}) are not made yet"
            + (f", after waiting {waited:g} s" if waited else "")
            + "; this rank's own are. Run the same command again when they are there, or wait for them: --wait SECONDS."
        )
        super().__init__(with_lines(head, [f"{name} (rank {rank})" for name, rank in self.missing.items()]))

    def __reduce__(self) -> tuple[type["NotReady"], tuple[str, dict[str, int], float]]:
        return type(self), (self.stage, self.missing, self.waited)


class GuardError(RootsError):
    """The guarded process cannot start, or is killed from outside again and again."""


class MissingRange(InputError):  # noqa: N818 - a state, not a fault: a caller may go on without it
    """A file is not there, or is shorter than the range asked for. Asking again would not help."""


class LossError(RootsError):
    """Sources lost a larger share of their documents than `dedup.alarm` allows."""


class PublishError(RootsError):
    """A release must not be published or pushed as it is."""


class PushError(RootsError):
    """The Hub refused a release, or does not have what was sent."""


class TakedownError(RootsError):
    """A takedown did not remove all it should; the release was left as it was."""


class RebuildError(RootsError):
    """A released text cannot be made again as it was."""


class TrainingFailed(RootsError):  # noqa: N818 - as StageFailed
    """Training cannot go on; the checkpoints before are whole."""


def with_lines(head: str, lines: Sequence[str]) -> str:
    """A sentence, and the first _LISTED of the lines that it is about."""
    more = [f"and {len(lines) - _LISTED} more"] if len(lines) > _LISTED else []
    return "\n  ".join([head, *lines[:_LISTED], *more])


def unknown_name(kind: str, name: str, known: Iterable[str]) -> str:
    """Say that `name` is no `kind`, naming the nearest known one and all the others."""
    names = sorted(known)
    near = get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"unknown {kind} {name!r}.{hint} Known: {', '.join(names)}."
