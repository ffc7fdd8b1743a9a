"""Looks whether a local cluster is still able to work."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gostage_workers.cluster import LocalCluster


def trouble_of(cluster: LocalCluster) -> str | None:
    """Say what has ended for good that should not have: the server, or a worker."""
    server = cluster.server
    if server is not None and server.pid is None:
        return f"the server has ended:\n{server.log_tail()}"
    return next(filter(None, (worker.process.error for worker in cluster.workers)), None)
