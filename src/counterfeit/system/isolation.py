"""Keep the process's settings from changing our numbers, and restore those that we change.

A notebook may have autocast enabled, another default dtype or device, gradients disabled, or numpy's errors enabled.
Every public function that computes runs within `isolated()`, which sets everything that the numbers depend on and
restores it at the end.
"""

from __future__ import annotations

import functools
import multiprocessing
import os
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from typing import ParamSpec, TypeVar, cast

import numpy as np
import torch
from torch.backends import cudnn

from counterfeit.errors import InputError
from counterfeit.system.float32 import set_tf32
from counterfeit.system.openmp import Watch

P = ParamSpec("P")
T = TypeVar("T")

DEVICES = ("cpu", "cuda", "mps", "xpu")  # devices for which a user may have enabled autocast


@contextmanager
def isolated() -> Iterator[None]:
    """Compute in float32 on the CPU by default, without autocast, with gradients where they are requested.

    May be nested, and entered by several threads at once.
    """
    with ExitStack() as held:
        held.enter_context(_PROCESS)
        held.enter_context(torch.inference_mode(False))
        held.enter_context(torch.enable_grad())
        for device in DEVICES:
            if torch.is_autocast_enabled(device):
                held.enter_context(torch.autocast(device, enabled=False))
        if torch.get_default_device().type != "cpu":  # only then: it costs some Python time per operator
            held.enter_context(torch.device("cpu"))
        held.enter_context(np.errstate(divide="warn", over="warn", under="ignore", invalid="warn"))
        yield


class _Process:
    """Settings of the whole process rather than a thread: the first thread sets them, the last one restores them."""

    def __init__(self) -> None:
        self.lock, self._inside, self.watch = threading.Lock(), 0, Watch()
        self._held = ExitStack()

    def __enter__(self) -> None:
        with self.lock:
            if not self._inside:
                self._set()
            self._inside += 1

    def _set(self) -> None:
        self.watch.wake()
        self._held.callback(torch.set_default_dtype, torch.get_default_dtype())
        torch.set_default_dtype(torch.float32)
        # By default, NVIDIA GPUs compute convolutions in TF32, with errors of 1e-3, and choose kernels by their
        # speed of that moment, by which no run could be continued exactly.
        self._held.callback(set_tf32(False))
        for name, value in (("deterministic", True), ("benchmark", False)):
            self._held.callback(setattr, cudnn, name, getattr(cudnn, name))
            setattr(cudnn, name, value)

    def __exit__(self, *error: object) -> None:
        with self.lock:
            self._inside -= 1
            if self._inside == 0:
                self.watch.rest()
                self._held.close()


_PROCESS = _Process()


def _forked() -> None:
    """Prepare the child of a fork, in which the parent's threads do not exist: waiting for them would never end.

    So the child computes on one core, and gets a lock that no thread of the parent holds. Its numbers differ only by
    the order in which threads would have summed.
    """
    torch.set_num_threads(1)
    _PROCESS.lock, _PROCESS.watch = threading.Lock(), Watch()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


def refuse_import_of_main() -> None:
    """Raise InputError if this process was started by `spawn` and is now importing the script that started it.

    Without a main guard, the script would run again in this process and train again into the same folder.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise InputError(
            'a process of your script is running the script again: put what it does below `if __name__ == "__main__":`'
        )


def alone(function: Callable[P, T]) -> Callable[P, T]:
    """Decorate a public function to compute within `isolated()`.

    If it returns a generator, each item is computed within `isolated()`, but not what the caller does between two
    items.
    """

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        with isolated():
            result = function(*args, **kwargs)
        return cast(T, _item_by_item(result)) if isinstance(result, Generator) else result

    return call


def _item_by_item(items: Generator[T, None, None]) -> Generator[T, None, None]:
    try:
        while True:
            with isolated():
                try:
                    item = next(items)
                except StopIteration:
                    return
            yield item
    finally:
        with isolated():
            items.close()
