"""A Ray cluster of three nodes on this machine: a head that runs nothing, and two nodes of one CPU."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# A node is taken for dead after about three seconds without a sign of it, not after Ray's half a minute.
HEALTH = {
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 1000,
    "health_check_timeout_ms": 1000,
    "health_check_failure_threshold": 2,
}


class Nodes:
    """The cluster, and what may befall it."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        head = {"num_cpus": 0, "include_dashboard": False, "_system_config": HEALTH}
        self.cluster = Cluster(initialize_head=True, head_node_args=head)
        self.workers: list[Any] = [self.add(), self.add()]

    @property
    def address(self) -> str:
        return str(self.cluster.address)

    def add(self) -> Any:
        """One more node. Ray wants it started from the main thread."""
        return self.cluster.add_node(num_cpus=1, memory=4 << 30, wait=False)

    def kill(self, number: int) -> None:
        """Kill a node with all its processes."""
        self.cluster.remove_node(self.workers.pop(number), allow_graceful=False)

    def freeze(self, number: int, seconds: float) -> None:
        """Stop a node's raylet for a time in which it is taken for dead; what runs on the node runs on."""
        pid = self.workers.pop(number).all_processes["raylet"][0].process.pid
        os.kill(pid, signal.SIGSTOP)
        time.sleep(seconds)
        os.kill(pid, signal.SIGCONT)

    def shutdown(self) -> None:
        self.cluster.shutdown()


@contextmanager
def three_nodes(connect: bool = True) -> Iterator[Nodes]:
    """The cluster for a time; this process is its client where `connect` says so."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray

    nodes = Nodes()
    try:
        if connect:
            ray.init(address=nodes.address, log_to_driver=False, logging_level="ERROR")
        yield nodes
    finally:
        ray.shutdown()
        nodes.shutdown()
