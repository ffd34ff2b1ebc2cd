"""Where the members of a grid are worked on: in this process, in several of this machine, or on a Ray cluster.

An engine takes the members and what is to be done with them, and yields each member's place in the grid with its
result, in the order in which they end. All of them do `work.Worker.work`, and all that passes is plain types.
"""

from __future__ import annotations

import os
from functools import partial

from counterfeit.comparison.engines.cluster import on_a_cluster
from counterfeit.comparison.engines.processes import in_processes
from counterfeit.comparison.engines.serial import in_turn
from counterfeit.comparison.work import Engine
from counterfeit.errors import InputError

__all__ = ["chosen", "in_turn"]


def chosen(engine: str = "local", workers: int = 1, address: str | None = None, cpus_per_run: int = 1) -> Engine:
    """The engine that the options of `counterfeit compare` ask for.

    Args:
        engine: "local" or "ray".
        workers: processes on this machine; 1 for this one.
        address: of a Ray cluster; None to start one on this machine.
        cpus_per_run: cores that a run reserves on a Ray cluster, and its threads.

    Raises InputError: they do not go together, or Ray is not installed.
    """
    for option, value in (("--workers", workers), ("--cpus-per-run", cpus_per_run)):
        if value < 1:
            raise InputError(f"{option} is {value}; it must be 1 or more")
    if engine == "ray":
        if workers != 1:
            raise InputError(
                "--workers is for this machine, and --engine ray starts its own workers: leave one of them out"
            )
        return on_a_cluster(address, cpus_per_run)
    if engine != "local":
        raise InputError(f"--engine is {engine!r}; it must be local or ray")
    for option, given in (("--address", address is not None), ("--cpus-per-run", cpus_per_run != 1)):
        if given:
            raise InputError(f"{option} is for a Ray cluster: add --engine ray, or leave it out")
    if workers > 1 and os.name == "nt":
        raise InputError("--workers does not work on Windows: leave it out, or use WSL")
    return in_turn if workers == 1 else partial(in_processes, workers=workers)
