"""One member after another, in this process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from counterfeit.comparison.grid import Member
from counterfeit.comparison.work import Order, Pace, Result, Task, Worker


def in_turn(members: Sequence[Member], order: Order) -> Iterator[tuple[int, Result]]:
    """An engine: see `comparison.engines`."""
    worker, pace = Worker(order), Pace(members)
    for i, member in enumerate(members):
        result = worker.work(Task(member, f"[{i + 1}/{len(members)}] ", pace.left()))
        pace.add(member, result)
        yield i, result
