"""A training step as a CUDA graph: recorded once, then started as a whole.

A step of a small net is some hundred kernels of a few microseconds each, and a GPU waits for Python between them. The
recorded step has no Python in it. What it reads and writes are the same places in memory every time: images and labels
are copied into them first, and the losses out of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from counterfeit.errors import InputError

T = TypeVar("T")
# batches of uint8 images (B, C, H, W) and labels (B,) or None -> named losses, scalars; the weights have moved
Batches = Sequence[tuple[Tensor, Tensor | None]]
Step = Callable[[Batches], dict[str, Tensor]]

WARM_UP = 3  # steps before the recording: libraries pick their kernels, and what they keep is allocated


class Graph(Protocol):
    """What records work for a device."""

    def warm_up(self, work: Callable[[], T]) -> T:
        """Do the work as it comes, as it must be done before it is recorded."""

    def record(self, work: Callable[[], T]) -> T:
        """Write down what the work asks of the device, which does not do it yet; its results are where they will be."""

    def replay(self) -> None:
        """Do the recorded work: same memory, new noise."""


def can_record(device: torch.device) -> bool:
    """Whether there are graphs for the device."""
    return device.type == "cuda"


class CudaGraph:
    """PyTorch's, for work whose random numbers come from one generator."""

    def __init__(self, generator: torch.Generator) -> None:
        self.device = generator.device
        with torch.cuda.device(self.device):  # the graph's own memory is on the current device
            self.graph = torch.cuda.CUDAGraph()
            self.graph.register_generator_state(generator)
            self.stream = torch.cuda.Stream()

    def warm_up(self, work: Callable[[], T]) -> T:
        usual = torch.cuda.current_stream(self.device)
        self.stream.wait_stream(usual)
        with torch.cuda.stream(self.stream):
            result = work()
        usual.wait_stream(self.stream)
        return result

    def record(self, work: Callable[[], T]) -> T:
        # A thread may be reading the next images meanwhile: what it asks of the device is no part of the recording.
        ours_alone = torch.cuda.graph(self.graph, stream=self.stream, capture_error_mode="thread_local")
        try:
            with torch.cuda.device(self.device), ours_alone:
                return work()
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            why = str(error).partition("\n")[0]
            raise InputError(
                f"the model's step cannot be recorded as a CUDA graph ({why}): --no-cuda-graph trains without"
            ) from error

    def replay(self) -> None:
        with torch.cuda.device(self.device):
            self.graph.replay()


class Captured:
    """A step that computes what the one given does, bit for bit: its first steps as they come, the others replayed."""

    def __init__(self, step: Step, graph: Graph) -> None:
        self.step, self.graph = step, graph
        self.warm = 0
        self.losses: dict[str, Tensor] | None = None  # until the step is recorded

    def __call__(self, batches: Batches) -> dict[str, Tensor]:
        if self.warm < WARM_UP:
            self.warm += 1
            return self.graph.warm_up(lambda: self.step(batches))
        if self.losses is None:
            self.inputs = [(pixels.clone(), None if y is None else y.clone()) for pixels, y in batches]
            self.losses = self.graph.record(lambda: self.step(self.inputs))
        for (to_pixels, to_y), (pixels, y) in zip(self.inputs, batches, strict=True):
            to_pixels.copy_(pixels)
            if to_y is not None and y is not None:
                to_y.copy_(y)
        self.graph.replay()
        return {name: loss.detach().clone() for name, loss in self.losses.items()}
