"""Jobs of several processes, as training and scoring see them; a single process pays nothing for it.

torchrun starts the processes and numbers them in the environment; torch.distributed connects them. All communication
goes through the few collectives in this module. Every process calls them in the same order; the first to arrive waits
for the others.
"""

from __future__ import annotations

import atexit
import os
import platform
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar, final

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from counterfeit.errors import Abandoned, InputError, ReportedElsewhere
from counterfeit.system.console import job_size
from counterfeit.system.device import pick_device

T = TypeVar("T")

# How long a process waits for another, which may be drawing, scoring or downloading. A process that dies closes its
# connections, so it is noticed at once.
PATIENCE = timedelta(days=1)
# CPU tensors carry stop flags, errors and features. They use gloo on every device, since gloo notices a dead process.
BACKENDS = {"cpu": "gloo", "cuda": "cpu:gloo,cuda:nccl"}
# Messages of gloo, which has no exception class for a lost connection.
LOST = ("closed by peer", "reset by peer", "Broken pipe", "imed out")


class Group(ABC):
    """The processes of a job.

    Attributes:
        rank: index of this process. Process 0 (`first`) writes files and prints messages.
        world: number of processes.
        stride: number of steps between two checks whether to stop.
    """

    rank: int
    world: int
    stride: int

    @property
    def first(self) -> bool:
        return self.rank == 0

    def part(self) -> slice:
        """The rows of a batch that this process computes: every `world`th. `world` must divide the batch size.

        With this choice, what a step does to parts of its rows is the same for any number of processes: the halves of a
        process's rows are its rows of the batch's halves.
        """
        return slice(self.rank, None, self.world)

    def shares(self, n: int, block: int) -> list[np.ndarray]:
        """Row indices of each process's share of `n` rows, by rank; blocks of `block` rows are dealt out in turn."""
        rows = np.arange(n)
        return [rows[rows // block % self.world == rank] for rank in range(self.world)]

    @abstractmethod
    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors of one dtype by their means over all processes, in place and in one message."""

    @abstractmethod
    def any(self, flag: bool) -> bool:
        """Whether `flag` is true in any process."""

    @abstractmethod
    def everyone(self, work: Callable[[], T]) -> T:
        """Do the work in every process, and go on when all have finished.

        An InputError or OSError in one process ends them all: it is raised there, and as `ReportedElsewhere` in the
        others.
        """

    @abstractmethod
    def by_first(self, work: Callable[[], T]) -> T:
        """Let the first process do the work; all wait, and get what it returns. Raises as `everyone` does."""

    @abstractmethod
    def gather(self, value: T) -> list[T] | None:
        """Collect every process's value, by rank, in the first process; the others get None."""


@final
class Alone(Group):
    """A single process."""

    rank, world, stride = 0, 1, 1

    def average(self, tensors: Sequence[Tensor]) -> None:
        pass

    def any(self, flag: bool) -> bool:
        return flag

    def everyone(self, work: Callable[[], T]) -> T:
        return work()

    def by_first(self, work: Callable[[], T]) -> T:
        return work()

    def gather(self, value: T) -> list[T]:
        return [value]


ALONE = Alone()


@final
class Joined(Group):
    """Processes connected by torch.distributed."""

    stride = 5  # few enough for slow steps: torchrun kills 30 seconds after it asks to stop

    def __init__(self) -> None:
        self.rank, self.world = dist.get_rank(), dist.get_world_size()

    def average(self, tensors: Sequence[Tensor]) -> None:
        if not tensors:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        with _connected():
            dist.all_reduce(flat)
        flat /= self.world
        for tensor, mean in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(mean.view(tensor.shape))

    def any(self, flag: bool) -> bool:
        answer = torch.tensor(int(flag))
        with _connected():
            dist.all_reduce(answer, dist.ReduceOp.MAX)
        return bool(answer)

    def everyone(self, work: Callable[[], T]) -> T:
        return self._together(work, tell=False)[self.rank]

    def by_first(self, work: Callable[[], T]) -> T:
        return self._together(work if self.first else lambda: None, tell=True)[0]

    def gather(self, value: T) -> list[T] | None:
        found: list[Any] | None = [None] * self.world if self.first else None
        with _connected():
            dist.gather_object(value, found)
        return found

    def _together(self, work: Callable[[], Any], tell: bool) -> list[Any]:
        """The results by rank; if `tell` is False, each process gets only its own.

        Raises the error of the first process that has one.
        """
        result, error = None, None
        try:
            result = work()
        except (InputError, OSError) as raised:
            error = raised
        gathered: list[Any] = [None] * self.world
        with _connected():
            dist.all_gather_object(gathered, (None if error is None else str(error), result if tell else None))
        faults = [(rank, fault) for rank, (fault, _) in enumerate(gathered) if fault is not None]
        if faults:
            rank, fault = faults[0]
            if rank == self.rank and error:
                raise error
            raise ReportedElsewhere(fault)
        results = [value for _, value in gathered]
        results[self.rank] = result
        return results


def join(device: str) -> Group:
    """The job that this process belongs to, according to the environment.

    Args:
        device: `auto`, `cpu` or `cuda`.

    Raises:
        InputError: the job has several processes, but torch.distributed, torchrun or a device per process is missing.
    """
    world = job_size()
    if world == 1:
        return ALONE
    if not dist.is_available():
        raise InputError(f"{world} processes need torch.distributed, which this PyTorch was built without: start one")
    if dist.is_initialized():
        return Joined()
    check_environment(world)
    kind = _device_kind(device)
    check_address()
    with _connected():
        dist.init_process_group(BACKENDS[kind], rank=int(os.environ["RANK"]), world_size=world, timeout=PATIENCE)
    atexit.register(dist.destroy_process_group)
    return Joined()


FIX = "start it with torchrun, or unset WORLD_SIZE, RANK and the other variables of torchrun"


def check_environment(world: int) -> None:
    """Raise InputError if torchrun's variables that number processes are incomplete, or contradict each other."""
    for name, most in (("RANK", world - 1), ("LOCAL_RANK", world - 1), ("LOCAL_WORLD_SIZE", world)):
        given = os.environ.get(name)
        if given is None:
            raise InputError(
                f"WORLD_SIZE is {world}, but torchrun did not start this process, {name} is not set: {FIX}"
            )
        least = 1 if name == "LOCAL_WORLD_SIZE" else 0
        if not (given.isascii() and given.isdecimal() and least <= int(given) <= most):
            raise InputError(f"{name} is {given!r}, of {world} processes {least} to {most}: {FIX}")
    here, rank, local = (int(os.environ[name]) for name in ("LOCAL_WORLD_SIZE", "RANK", "LOCAL_RANK"))
    if world % here or local >= here or local > rank:
        raise InputError(
            f"RANK {rank}, LOCAL_RANK {local} of {here} and WORLD_SIZE {world} do not belong to one job: {FIX}"
        )


def check_address() -> None:
    """Raise InputError if the job's address is invalid or its job has ended: joining that would wait forever."""
    host, port = os.environ.get("MASTER_ADDR"), os.environ.get("MASTER_PORT", "")
    if not host or not (port.isascii() and port.isdecimal() and 0 < int(port) < 1 << 16):
        raise InputError(f"MASTER_ADDR and MASTER_PORT are {host!r} and {port!r}, which is not an address: {FIX}")
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True":  # torchrun listens there while its job lives
        try:
            socket.create_connection((host, int(port)), timeout=60).close()
        except OSError as error:
            raise InputError(
                f"no torchrun responds at {host}:{port} ({error.strerror or error}), so its job has ended: {FIX}"
            ) from None


def count() -> int:
    """The number of processes that work together, this one included."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def _device_kind(device: str) -> str:
    """The device kind, `cpu` or `cuda`. Of several GPUs, this process gets its own, which `cuda` then refers to."""
    if device in ("auto", "cuda") and torch.cuda.is_available():
        local, there = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if local >= there:
            raise InputError(f"{platform.node()} has {there} GPUs: pass --nproc-per-node {there} or less to torchrun")
        torch.cuda.set_device(local)
    kind = str(pick_device(device))
    if kind not in BACKENDS:
        raise InputError(f"--device {kind} is for one process; several need cpu, or cuda with one GPU each")
    return kind


@contextmanager
def _connected() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, dist.DistError) or any(words in str(error) for words in LOST):
            raise Abandoned("another process of this job ended") from error
        raise
