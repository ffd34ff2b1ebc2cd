"""The processes of a job as threads: what they compute is the same, and they need nothing to be started."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, BrokenBarrierError
from typing import Any, TypeVar, final

import torch
from torch import Tensor

from counterfeit.system.distributed import Group

T = TypeVar("T")


@final
class Threads(Group):
    """A process of a job whose processes are threads."""

    stride = 1

    def __init__(self, rank: int, barrier: Barrier, said: list[Any]) -> None:
        self.rank, self.world, self.barrier, self.said = rank, len(said), barrier, said

    def exchange(self, value: T) -> list[T]:
        self.said[self.rank] = value
        self.barrier.wait()  # all have said it
        heard = list(self.said)
        self.barrier.wait()  # all have heard it
        return heard

    def average(self, tensors: Sequence[Tensor]) -> None:
        copies = self.exchange([tensor.detach().clone() for tensor in tensors])
        for tensor, of_ranks in zip(tensors, zip(*copies, strict=True), strict=True):
            tensor.copy_(torch.stack(of_ranks).mean(0))

    def any(self, flag: bool) -> bool:
        return any(self.exchange(flag))

    def everyone(self, work: Callable[[], T]) -> T:
        return work()

    def by_first(self, work: Callable[[], T]) -> T:
        return self.exchange(work() if self.first else None)[0]  # type: ignore[return-value]

    def gather(self, value: T) -> list[T] | None:
        heard = self.exchange(value)
        return heard if self.first else None


def together(world: int, work: Callable[[Group], T]) -> list[T]:
    """What each of so many processes makes of the work, by rank; the error of one, if there is any."""
    barrier, said = Barrier(world), [None] * world

    def of(rank: int) -> T:
        try:
            return work(Threads(rank, barrier, said))
        except BaseException:
            barrier.abort()
            raise

    with ThreadPoolExecutor(world) as pool:
        futures = [pool.submit(of, rank) for rank in range(world)]
    errors = [future.exception() for future in futures]
    for error in sorted(filter(None, errors), key=lambda error: isinstance(error, BrokenBarrierError)):
        raise error
    return [future.result() for future in futures]
