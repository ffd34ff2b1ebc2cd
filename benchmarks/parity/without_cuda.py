"""Imported first, it lets torchvision load beside a CPU build of PyTorch.

torchvision's wheel on the package index is built for CUDA: its C++ operators do not load, and it stops where it
describes two of them. What the peers take from it are transforms and Inception's blocks, which need none: it is enough
that the two exist.
"""

import torch

LIBRARY = torch.library.Library("torchvision", "FRAGMENT")
try:
    import torchvision  # noqa: F401
except RuntimeError:
    for operator in ("nms", "qnms"):
        LIBRARY.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
