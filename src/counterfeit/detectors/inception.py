"""The Inception-v3 network of 2015-12-05, on which FID, KID and IS are defined.

Szegedy et al. 2016 (arXiv:1512.00567), as in TensorFlow's frozen graph: 1008 classes, no auxiliary head, average pools
that do not count their padding, and one max-pool where the paper has an average (Mixed_7c). The modules have
torchvision's names, so that the converted weights that all PyTorch tools use load unchanged.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from counterfeit import catalog
from counterfeit.detectors.detector import Detector
from counterfeit.detectors.entry import DETECTORS, Entry, Options, compiled
from counterfeit.detectors.resize import PROTOCOLS, SIDE
from counterfeit.detectors.weights import Standard, fill, weights
from counterfeit.errors import InputError
from counterfeit.nets.initial import Seeded

FEATURES = 2048
CLASSES = 1008
PROTOCOL = "tf1"  # the default


class Conv(nn.Module):
    """Convolution, batch norm, ReLU; `pad` preserves height and width at stride 1."""

    def __init__(self, c: int, out: int, kernel: int | tuple[int, int], stride: int = 1, pad: bool = True) -> None:
        super().__init__()
        height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = (height // 2, width // 2) if pad else 0
        self.conv = nn.Conv2d(c, out, (height, width), stride, padding, bias=False)
        self.bn: nn.Module = nn.BatchNorm2d(out, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)), inplace=True)


class AverageConv(Conv):
    """3x3 average pool that does not count the padding, then 1x1 convolution, batch norm, ReLU.

    The pool is computed after the convolution: the two commute, and there are fewer channels to average.
    """

    def __init__(self, c: int, out: int) -> None:
        super().__init__(c, out, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.avg_pool2d(self.conv(x), 3, stride=1, padding=1, count_include_pad=False)
        return F.relu(self.bn(x), inplace=True)


class MaxConv(Conv):
    """3x3 max-pool, then 1x1 convolution, batch norm, ReLU."""

    def __init__(self, c: int, out: int) -> None:
        super().__init__(c, out, 1)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.max_pool2d(x, 3, stride=1, padding=1))


class MixedA(nn.Module):
    """Mixed_5b, 5c, 5d: (B, c, 35, 35) -> (B, 224 + pool, 35, 35)."""

    def __init__(self, c: int, pool: int) -> None:
        super().__init__()
        self.branch1x1 = Conv(c, 64, 1)
        self.branch5x5_1 = Conv(c, 48, 1)
        self.branch5x5_2 = Conv(48, 64, 5)
        self.branch3x3dbl_1 = Conv(c, 64, 1)
        self.branch3x3dbl_2 = Conv(64, 96, 3)
        self.branch3x3dbl_3 = Conv(96, 96, 3)
        self.branch_pool = AverageConv(c, pool)

    def forward(self, x: Tensor) -> Tensor:
        five = self.branch5x5_2(self.branch5x5_1(x))
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch1x1(x), five, double, self.branch_pool(x)], 1)


class MixedB(nn.Module):
    """Mixed_6a: (B, c, 35, 35) -> (B, 480 + c, 17, 17)."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.branch3x3 = Conv(c, 384, 3, stride=2, pad=False)
        self.branch3x3dbl_1 = Conv(c, 64, 1)
        self.branch3x3dbl_2 = Conv(64, 96, 3)
        self.branch3x3dbl_3 = Conv(96, 96, 3, stride=2, pad=False)

    def forward(self, x: Tensor) -> Tensor:
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch3x3(x), double, F.max_pool2d(x, 3, stride=2)], 1)


class MixedC(nn.Module):
    """Mixed_6b to 6e: (B, 768, 17, 17) -> the same; `width` channels inside."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.branch1x1 = Conv(768, 192, 1)
        self.branch7x7_1 = Conv(768, width, 1)
        self.branch7x7_2 = Conv(width, width, (1, 7))
        self.branch7x7_3 = Conv(width, 192, (7, 1))
        self.branch7x7dbl_1 = Conv(768, width, 1)
        self.branch7x7dbl_2 = Conv(width, width, (7, 1))
        self.branch7x7dbl_3 = Conv(width, width, (1, 7))
        self.branch7x7dbl_4 = Conv(width, width, (7, 1))
        self.branch7x7dbl_5 = Conv(width, 192, (1, 7))
        self.branch_pool = AverageConv(768, 192)

    def forward(self, x: Tensor) -> Tensor:
        seven = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        double = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        double = self.branch7x7dbl_5(self.branch7x7dbl_4(double))
        return torch.cat([self.branch1x1(x), seven, double, self.branch_pool(x)], 1)


class MixedD(nn.Module):
    """Mixed_7a: (B, 768, 17, 17) -> (B, 1280, 8, 8)."""

    def __init__(self) -> None:
        super().__init__()
        self.branch3x3_1 = Conv(768, 192, 1)
        self.branch3x3_2 = Conv(192, 320, 3, stride=2, pad=False)
        self.branch7x7x3_1 = Conv(768, 192, 1)
        self.branch7x7x3_2 = Conv(192, 192, (1, 7))
        self.branch7x7x3_3 = Conv(192, 192, (7, 1))
        self.branch7x7x3_4 = Conv(192, 192, 3, stride=2, pad=False)

    def forward(self, x: Tensor) -> Tensor:
        three = self.branch3x3_2(self.branch3x3_1(x))
        seven = self.branch7x7x3_4(self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x))))
        return torch.cat([three, seven, F.max_pool2d(x, 3, stride=2)], 1)


class MixedE(nn.Module):
    """Mixed_7b, 7c: (B, c, 8, 8) -> (B, 2048, 8, 8). The pool is an average in 7b and, as in the graph, a max in 7c."""

    def __init__(self, c: int, max_pool: bool) -> None:
        super().__init__()
        self.branch1x1 = Conv(c, 320, 1)
        self.branch3x3_1 = Conv(c, 384, 1)
        self.branch3x3_2a = Conv(384, 384, (1, 3))
        self.branch3x3_2b = Conv(384, 384, (3, 1))
        self.branch3x3dbl_1 = Conv(c, 448, 1)
        self.branch3x3dbl_2 = Conv(448, 384, 3)
        self.branch3x3dbl_3a = Conv(384, 384, (1, 3))
        self.branch3x3dbl_3b = Conv(384, 384, (3, 1))
        self.branch_pool = MaxConv(c, 192) if max_pool else AverageConv(c, 192)

    def forward(self, x: Tensor) -> Tensor:
        three = self.branch3x3_1(x)
        double = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        branches = [
            self.branch1x1(x),
            self.branch3x3_2a(three),
            self.branch3x3_2b(three),
            self.branch3x3dbl_3a(double),
            self.branch3x3dbl_3b(double),
            self.branch_pool(x),
        ]
        return torch.cat(branches, 1)


class InceptionV3(nn.Module):
    """(B, 3, 299, 299), roughly in [-1, 1] -> features (B, 2048) and logits without bias (B, 1008)."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = Conv(3, 32, 3, stride=2, pad=False)
        self.Conv2d_2a_3x3 = Conv(32, 32, 3, pad=False)
        self.Conv2d_2b_3x3 = Conv(32, 64, 3)
        self.Conv2d_3b_1x1 = Conv(64, 80, 1)
        self.Conv2d_4a_3x3 = Conv(80, 192, 3, pad=False)
        self.Mixed_5b = MixedA(192, pool=32)
        self.Mixed_5c = MixedA(256, pool=64)
        self.Mixed_5d = MixedA(288, pool=64)
        self.Mixed_6a = MixedB(288)
        self.Mixed_6b = MixedC(128)
        self.Mixed_6c = MixedC(160)
        self.Mixed_6d = MixedC(160)
        self.Mixed_6e = MixedC(192)
        self.Mixed_7a = MixedD()
        self.Mixed_7b = MixedE(1280, max_pool=False)
        self.Mixed_7c = MixedE(2048, max_pool=True)
        self.fc = nn.Linear(FEATURES, CLASSES)  # its bias is in the file, but not used by the Inception Score

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))  # (B, 64, 147, 147)
        x = F.max_pool2d(x, 3, stride=2)
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x))  # (B, 192, 71, 71)
        x = F.max_pool2d(x, 3, stride=2)
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(x)))  # (B, 288, 35, 35)
        x = self.Mixed_6a(x)
        x = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(x))))  # (B, 768, 17, 17)
        x = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x)))  # (B, 2048, 8, 8)
        features = x.mean((2, 3))
        return features, features @ self.fc.weight.T

    def fold(self) -> InceptionV3:
        """Fold every batch norm into the convolution before it, for inference only; return self."""
        self.eval().requires_grad_(False)
        for module in self.modules():
            if isinstance(module, Conv) and isinstance(module.bn, nn.BatchNorm2d):
                module.conv, module.bn = fuse_conv_bn_eval(module.conv, module.bn), nn.Identity()
        return self


def parse(content: bytes, path: Path) -> Mapping[str, Tensor]:
    """Read the tensors of a .pth file; `weights_only` allows nothing but tensors and plain containers in it."""
    try:
        tensors = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file can make torch raise almost anything
        fault = str(error).strip().splitlines() or [type(error).__name__]
        raise InputError(f"{path} does not contain PyTorch weights ({fault[0][:120]})") from None
    named = isinstance(tensors, dict) and all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in tensors.items()
    )
    if not named:
        raise InputError(f"{path} holds a {type(tensors).__name__}, not a dictionary of tensors (a state_dict)")
    return dict(tensors)


# The same file under two names: the releases of pytorch-fid and torch-fidelity
WEIGHTS = Standard(
    detector="inception",
    file="inception/pt_inception-2015-12-05-6726825d.pth",
    sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
    size="91 MiB",
    urls=(
        "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",
        "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth",
    ),
    parse=parse,
    metrics="FID, KID or IS",
    variable="COUNTERFEIT_INCEPTION",
    elsewhere="; pytorch-fid and torch-fidelity keep one in ~/.cache/torch/hub/checkpoints",
)


def make(options: Options) -> Detector:
    """Make the Inception detector. Its name shows the protocol and the weights if they are not the standard ones."""
    protocol = options.protocol or PROTOCOL
    resize = PROTOCOLS[protocol]
    found = weights(WEIGHTS, options.weights, options.any_weights)
    # These initial values are replaced at once: do not draw them from the user's generator.
    with Seeded(0):
        network = InceptionV3()
    fill(network, found, "inception")
    # The fastest settings in float32: channels last and few rows on a CPU, neither on an H200 (benchmarks/gpu.py).
    on_cpu = options.device.type == "cpu"
    layout, block = (torch.channels_last, 16) if on_cpu else (torch.contiguous_format, 128)
    network.fold().to(options.device, memory_format=layout)  # type: ignore[call-overload]
    run = compiled(network, torch.zeros(block, 3, SIDE, SIDE, device=options.device)) if options.compile else network

    def detect(images: Tensor) -> tuple[Tensor, Tensor]:
        pixels = resize(images).expand(-1, 3, -1, -1)  # repeats grayscale three times
        features, logits = run(pixels.contiguous(memory_format=layout))
        return features, logits.softmax(1)

    name = "inception" if protocol == PROTOCOL else f"inception:{protocol}"
    if not found.standard:
        name += f"@{found.sha256[:8]}"
    return Detector(name, protocol, FEATURES, found.sha256, options.device, block, detect, any_size=True)


DETECTORS.add("inception", Entry(**vars(catalog.DETECTORS["inception"]), make=make))
