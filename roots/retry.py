"""Asking again: the one way to retry a call to a server.

Each wait is twice the one before, and cut by lot to between half and all of it, so that many clients do not come back
at the same moment.
"""

import random
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TypeVar

from roots.errors import InputError, ShardError

T = TypeVar("T")

# Errors of the stores' libraries that are no OSError, and those of them that say that there are no credentials.
_FAILURES = (
    ("aiohttp", "ClientError"),
    ("botocore.exceptions", "BotoCoreError"),
    ("gcsfs.retry", "HttpError"),
    ("google.auth.exceptions", "GoogleAuthError"),
)
_NO_CREDENTIALS = ("NoCredentialsError", "PartialCredentialsError", "DefaultCredentialsError")


@dataclass(frozen=True)
class Patience:
    """How often a call is tried, and how long is waited in between."""

    attempts: int = 10
    first_seconds: float = 0.25  # before the second attempt; doubled each time
    most_seconds: float = 40.0  # the longest wait, whatever a server asks for


_PATIENCE = Patience()


class BusyError(OSError):
    """A server has too much to do; `seconds` is how long it asks us to wait, 0 if it does not say."""

    def __init__(self, reason: str, seconds: float) -> None:
        super().__init__(reason)
        self.seconds = seconds


class Pace:
    """Keeps all threads together to a number of requests a second."""

    def __init__(self, per_second: float) -> None:
        self._every = 1 / per_second
        self._next = 0.0
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Wait until the next request may be sent."""
        with self._lock:
            turn = max(self._next, time.monotonic())
            self._next = turn + self._every
        time.sleep(max(0.0, turn - time.monotonic()))

    def hold(self, seconds: float) -> None:
        """Let nobody send a request for some time."""
        with self._lock:
            self._next = max(self._next, time.monotonic() + seconds)


def patiently(name: str, call: Callable[[], T], patience: Patience | None = None, pace: Pace | None = None) -> T:
    """Call until it succeeds. Raises ShardError with the last failure when all attempts have failed.

    What asking again cannot help is raised at once: FileNotFoundError as it is, a refusal as InputError. `name` stands
    in messages. A BusyError holds back all users of the `pace`.
    """
    patience = patience or _PATIENCE
    for attempt in range(1, patience.attempts + 1):
        if pace:
            pace.wait()
        try:
            return call()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            raise
        except _failures() as error:
            _check_hope(name, error)
            if attempt == patience.attempts:
                again = f"(asked {attempt} times): run the same command again later"
                raise ShardError(f"{name}: {_one_line(error)} {again}") from error
            pause = min(patience.most_seconds, patience.first_seconds * 2 ** (attempt - 1)) * random.uniform(0.5, 1.0)
            if isinstance(error, BusyError):
                pause = max(pause, min(patience.most_seconds, error.seconds))
                if pace:
                    pace.hold(pause)
        time.sleep(pause)
    raise AssertionError("not reached")


def _check_hope(name: str, error: BaseException) -> None:
    """Raise InputError where access is refused, and ShardError where the request itself is wrong."""
    answer = getattr(error, "response", None)  # of the Hub's errors
    status = getattr(error, "status", getattr(error, "code", getattr(answer, "status_code", None)))
    forbidden = isinstance(error, PermissionError) or str(error).startswith("Forbidden: ")  # the words of gcsfs
    if forbidden or status in (401, 403) or type(error).__name__ in _NO_CREDENTIALS:
        raise InputError(
            f"{name}: access is refused ({_one_line(error)}). Credentials are read from the environment, as the "
            "store's own tools read them"
        ) from None
    if status is not None and 400 <= status < 500 and status not in (408, 425, 429):
        raise ShardError(f"{name}: {_one_line(error)}") from error


def _failures() -> tuple[type[BaseException], ...]:
    """What the stores' libraries raise when a request fails, of those that are imported."""
    kinds: list[type[BaseException]] = [OSError]
    for module, name in _FAILURES:
        if module in sys.modules:
            kinds.append(getattr(sys.modules[module], name))
    if "huggingface_hub" in sys.modules:
        kinds.append(hub_error())
    return tuple(kinds)


def hub_error() -> type[Exception]:
    """The base of what huggingface_hub raises when a request fails, whichever HTTP library it uses.

    The Hub's own errors derive from that library's; a connection that breaks raises the library's alone.
    """
    errors = import_module("huggingface_hub.errors").HfHubHTTPError.__mro__
    others = (cls for cls in reversed(errors) if cls.__module__.split(".")[0] not in ("builtins", "huggingface_hub"))
    found: type[Exception] = next(others)
    return found


def _one_line(error: BaseException) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:300]
