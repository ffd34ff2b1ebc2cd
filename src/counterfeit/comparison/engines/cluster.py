"""Members as tasks of a Ray cluster, which need nothing in common but a run folder that all nodes reach.

A task whose node or process dies is started again elsewhere, and goes on from the last checkpoint in that folder; one
that fails by an error of its own is a failure, and is not tried again.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import msgspec

from counterfeit.comparison.grid import Member
from counterfeit.comparison.work import (
    Done,
    Engine,
    Failure,
    Order,
    Result,
    Task,
    Worker,
    in_one_line,
    message,
    result_of,
    task_of,
)
from counterfeit.errors import InputError
from counterfeit.models.plugins import load_sent
from counterfeit.runs import RunFolder
from counterfeit.system import paths
from counterfeit.system.allocator import keep_freed_memory
from counterfeit.system.console import say
from counterfeit.system.signals import Interrupted, deferred
from counterfeit.system.words import count

RETRIES = 10  # of a task whose node or process dies: each goes on where the last one was
STORE = 80_000_000  # bytes for Ray's object store: only lines of JSON pass through it
GRACE = 60  # seconds for tasks that are told to stop to reach a step boundary and write a checkpoint


def on_a_cluster(address: str | None, cpus: int) -> Engine:
    """An engine, see `comparison.engines`, on the cluster at `address`, or on one that is started here for None.

    Raises InputError: Ray is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # asked when ray is loaded
    try:
        import ray  # noqa: F401
    except ImportError:
        raise InputError("--engine ray needs Ray: pip install 'counterfeit[ray]'") from None
    return partial(_mapped, address=address, cpus=cpus)


def _mapped(members: Sequence[Member], order: Order, address: str | None, cpus: int) -> Iterator[tuple[int, Result]]:
    import ray

    line = message(order)
    with _joined(address), deferred() as stop:
        gpus = [int("cuda" in m.config.device or "cuda" in order.score.device) for m in members]
        _check_room(cpus, max(gpus), address)
        work = ray.remote(max_retries=RETRIES)(_work)
        pending = {
            work.options(num_cpus=cpus, num_gpus=gpu).remote(line, message(Task(member)), os.getcwd()): i
            for i, (member, gpu) in enumerate(zip(members, gpus, strict=True))
        }
        say(f"{count(len(members), 'run')} given to a Ray cluster of {count(len(_nodes()), 'node')}")
        while pending and not stop.is_set():
            for ref in ray.wait(list(pending), timeout=0.5)[0]:
                i = pending.pop(ref)
                result = _result(ref, members[i])
                outcome = f"failed: {result.error}" if isinstance(result, Failure) else "done"
                say(f"[{i + 1}/{len(members)}] {members[i]}: {outcome}")
                yield i, result
        if pending:
            for ref in pending:
                ray.cancel(ref)  # as Ctrl-C does
            ray.wait(list(pending), num_returns=len(pending), timeout=GRACE)
            raise Interrupted("stopped; run the same command to continue")


def _work(order: bytes, task: bytes, folder: str) -> bytes:
    """On a node: a member's work, in the folder from which the grid was started, where there is one of that name."""
    keep_freed_memory()  # Ray has started this process for our tasks alone
    what = msgspec.json.decode(order, type=Order)
    sys.argv = what.command
    if os.path.isdir(folder):
        os.chdir(folder)
    load_sent(what.plugins)
    return message(Worker(what).work(task_of(task)))


def _result(ref: Any, member: Member) -> Result:
    import ray

    try:
        result = result_of(ray.get(ref))
    except ray.exceptions.RayTaskError as error:  # not even begun: the package is missing there, or another version
        return Failure(member.path, f"its node cannot do the work: {str(error).strip().splitlines()[-1]}")
    except ray.exceptions.RayError as error:
        reason = in_one_line(error).partition(". ")[0]
        return Failure(member.path, f"its task died {RETRIES + 1} times ({reason}); run the same command to continue")
    if isinstance(result, Done) and not paths.is_url(member.path) and not RunFolder(member.path).holds_run():
        return Failure(member.path, "it lies on the node that trained it: give the grid an out that all nodes share")
    return result


@contextmanager
def _joined(address: str | None) -> Iterator[None]:
    """Within a cluster: one that this process has joined already, that at `address`, or for None one of its own."""
    import ray

    if ray.is_initialized():
        yield
        return
    _check_answers(address)
    own: dict[str, Any] = {} if address else {"include_dashboard": False, "object_store_memory": STORE}
    try:
        ray.init(address or "local", logging_level=logging.ERROR, log_to_driver=False, **own)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise InputError(f"cannot connect to a Ray cluster at {address} ({in_one_line(error)[:200]})") from None
    try:
        yield
    finally:
        ray.shutdown()


def _check_answers(address: str | None) -> None:
    """Ray asks at an address for many minutes. Raises InputError where nobody listens there."""
    place = urlsplit(address if address and "://" in address else f"//{address or ''}")
    try:
        if place.port:
            socket.create_connection((place.hostname or "", place.port), timeout=10).close()
    except (OSError, ValueError) as error:
        raise InputError(f"no Ray cluster answers at {address} ({error}): check it with `ray status`") from None


def _check_room(cpus: int, gpus: int, address: str | None) -> None:
    """Ray waits for a node that can hold a task; on this machine alone none will come. Raises InputError then."""
    if any(node.get("CPU", 0) >= cpus and node.get("GPU", 0) >= gpus for node in _nodes()):
        return
    wants = count(cpus, "core") + (" and a GPU" if gpus else "")
    if address is None:
        raise InputError(
            f"a run needs {wants}, which this machine does not have: lower --cpus-per-run or change --device"
        )
    say(f"no node of the cluster has {wants}: waiting for one")


def _nodes() -> list[dict[str, float]]:
    """What each living node has."""
    import ray

    return [node["Resources"] for node in ray.nodes() if node["Alive"]]
