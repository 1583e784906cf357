"""What stages may ask of an executor, without knowing which one it is."""

import pytest

from roots.executors import Executor, Local, Serial, Threads
from roots.executors.ray import Ray


@pytest.mark.parametrize(
    ("executor", "in_process", "sharing"),
    [(Serial(), True, 1), (Threads(3), True, 3), (Local(3), False, 3), (Ray(3), False, 1)],
)
def test_an_executor_says_where_tasks_run_and_who_shares_memory(
    executor: Executor, in_process: bool, sharing: int
) -> None:
    assert (executor.in_process, executor.tasks_sharing_memory) == (in_process, sharing)


def test_compiled_work_runs_in_threads_on_one_machine_and_stays_on_a_cluster() -> None:
    assert Local(3).for_compiled() == Threads(3)
    for executor in (Serial(), Threads(3), Ray(3)):
        assert executor.for_compiled() is executor
