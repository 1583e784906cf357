"""One way to ask again: longer and longer waits, a server's own wish, and no second question where it cannot help."""

from collections.abc import Callable

import pytest

from roots import retry
from roots.errors import InputError, ShardError
from roots.retry import BusyError, Pace, Patience, patiently


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds of each wait; nobody really waits."""
    found: list[float] = []
    monkeypatch.setattr(retry.time, "sleep", found.append)
    return found


def failing(*errors: Exception) -> Callable[[], str]:
    left = list(errors)

    def call() -> str:
        if left:
            raise left.pop(0)
        return "done"

    return call


def test_waits_double_up_to_the_longest(waits: list[float]) -> None:
    with pytest.raises(ShardError, match=r"name: broken \(asked 6 times\)"):
        patiently("name", failing(*[OSError("broken")] * 6), Patience(6, 1.0, 4.0))
    assert [half <= wait <= 2 * half for wait, half in zip(waits, (0.5, 1, 2, 2, 2), strict=True)] == [True] * 5


def test_a_busy_server_decides_how_long_to_wait_within_bounds(waits: list[float]) -> None:
    assert patiently("x", failing(BusyError("503", 7.0), BusyError("503", 1e9)), Patience(3, 0.1, 60.0)) == "done"
    assert waits == [7.0, 60.0]


def test_a_busy_server_holds_back_all_threads(waits: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry.time, "monotonic", lambda: 100.0)
    pace = Pace(per_second=10.0)
    patiently("x", failing(BusyError("503", 7.0)), Patience(2, 0.1, 60.0), pace)
    waits.clear()
    pace.wait()  # of another thread
    assert waits == [pytest.approx(7.1)]


@pytest.mark.parametrize("error", [FileNotFoundError("x"), PermissionError("x")])
def test_what_asking_again_cannot_help_is_asked_once(error: Exception, waits: list[float]) -> None:
    with pytest.raises((FileNotFoundError, InputError)):
        patiently("x", failing(error))
    assert waits == []
