"""DINOv2 (Oquab et al. 2023, arXiv:2304.07193): Vision Transformers trained on 142 million images without labels.

Their features follow what people take for realistic better than Inception's do (Stein et al. 2023, arXiv:2306.04675,
whose FD-DINOv2 is the Fréchet distance of the features of the largest one here). The modules have the names of the
files on the Hugging Face hub, so that these load unchanged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import safetensors
import safetensors.torch
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from counterfeit import catalog
from counterfeit.detectors.detector import Detector
from counterfeit.detectors.entry import DETECTORS, Entry, Options, compiled
from counterfeit.detectors.weights import Standard, fill, weights
from counterfeit.errors import InputError
from counterfeit.nets.initial import Seeded

SIDE, PATCH = 224, 14  # pixels
GRID = SIDE // PATCH  # patches along a side
PROTOCOL = f"RGB {SIDE}x{SIDE}, Pillow's bicubic, ImageNet's mean and std"
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
TRAINED = 37  # patches along a side of the images that the position embeddings belong to, 518 pixels
OFFSET = 0.1  # of a patch: the original code scales the position embeddings by (16 + 0.1) / 37
EPS = 1e-6


@dataclass(frozen=True)
class Size:
    """A trained network: its sizes, and its file on the hub."""

    name: str
    width: int
    depth: int
    heads: int
    revision: str
    sha256: str
    bytes: str

    @property
    def standard(self) -> Standard:
        """Its file of weights."""
        of = f"https://huggingface.co/facebook/{self.name}/resolve/{self.revision}/model.safetensors"
        metrics = f"those of {self.name}"
        return Standard(
            self.name, f"{self.name}/model.safetensors", self.sha256, self.bytes, (of,), parse, metrics, most=2 << 30
        )


# The digests are those by which public projects pin these revisions on the hub; see docs/metrics.md.
SIZES = (
    Size(
        "dinov2-small",
        384,
        12,
        6,
        "ed25f3a31f01632728cabb09d1542f84ab7b0056",
        "ae1e99fcefd534ed978cdeb8326f08030c96e28b7a81ffcbc98a857c84d14be1",
        "84 MiB",
    ),
    Size(
        "dinov2-base",
        768,
        12,
        12,
        "f9e44c814b77203eaa57a6bdbbd535f21ede1415",
        "d73036b56966966d07975d696bde331762f37297e2f095de8cea0040c3aa0841",
        "330 MiB",
    ),
    Size(
        "dinov2-large",
        1024,
        24,
        16,
        "47b73eefe95e8d44ec3623f8890bd894b6ea2d6c",
        "399fba97a95f22c36834418bc69373364a99af3a1153da1c0fb31db567c92e23",
        "1.1 GiB",
    ),
)


class Embeddings(nn.Module):
    """Images (B, 3, 224, 224) -> tokens (B, 1 + 256, width): a class token, then one for every patch."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.mask_token = nn.Parameter(torch.zeros(1, width))  # in the file, and used in its training only
        self.position_embeddings = nn.Parameter(torch.zeros(1, 1 + TRAINED**2, width))
        self.patch_embeddings = nn.ModuleDict({"projection": nn.Conv2d(3, width, PATCH, stride=PATCH)})

    def forward(self, x: Tensor) -> Tensor:
        patches = self.patch_embeddings["projection"](x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.cls_token.expand(len(x), -1, -1), patches], dim=1)
        return tokens + self.positions()

    def positions(self) -> Tensor:
        """(1, 1 + 256, width): the position embeddings for images of 224 pixels, interpolated as the original does."""
        grid = self.position_embeddings[:, 1:].unflatten(1, (TRAINED, TRAINED)).permute(0, 3, 1, 2)
        scale = (GRID + OFFSET) / TRAINED
        found = F.interpolate(grid, scale_factor=(scale, scale), mode="bicubic")
        return torch.cat([self.position_embeddings[:, :1], found.flatten(2).transpose(1, 2)], dim=1)


class Attention(nn.Module):
    """Self-attention with several heads: (B, T, width) -> the same."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.attention = nn.ModuleDict({name: nn.Linear(width, width) for name in ("query", "key", "value")})
        self.output = nn.ModuleDict({"dense": nn.Linear(width, width)})

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (
            self.attention[name](x).unflatten(2, (self.heads, -1)).transpose(1, 2) for name in ("query", "key", "value")
        )
        return self.output["dense"](F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2))


class Scale(nn.Module):
    """A factor for every feature."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.lambda1 = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.lambda1


class Block(nn.Module):
    """Attention and a perceptron, each added to what it is given, (B, T, width)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=EPS)
        self.attention = Attention(width, heads)
        self.layer_scale1 = Scale(width)
        self.norm2 = nn.LayerNorm(width, eps=EPS)
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(width, 4 * width), "fc2": nn.Linear(4 * width, width)})
        self.layer_scale2 = Scale(width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.layer_scale1(self.attention(self.norm1(x)))
        return x + self.layer_scale2(self.mlp["fc2"](F.gelu(self.mlp["fc1"](self.norm2(x)))))


class Encoder(nn.Module):
    """All blocks in a row."""

    def __init__(self, width: int, depth: int, heads: int) -> None:
        super().__init__()
        self.layer = nn.ModuleList(Block(width, heads) for _ in range(depth))

    def forward(self, x: Tensor) -> Tensor:
        for block in self.layer:
            x = block(x)
        return x


class DinoV2(nn.Module):
    """Pixels from `pixels` (B, 3, 224, 224) -> features (B, width): the class token after the last norm."""

    def __init__(self, width: int, depth: int, heads: int) -> None:
        super().__init__()
        self.embeddings = Embeddings(width)
        self.encoder = Encoder(width, depth, heads)
        self.layernorm = nn.LayerNorm(width, eps=EPS)

    def forward(self, x: Tensor) -> Tensor:
        return self.layernorm(self.encoder(self.embeddings(x))[:, 0])


def pixels(images: Tensor) -> Tensor:
    """uint8 (B, 1 or 3, H, W) -> float32 (B, 3, 224, 224) as dgm-eval has it: resized in 8 bits, then scaled."""
    resized = np.empty((*images.shape[:2], SIDE, SIDE), np.uint8)
    for image, out in zip(images.cpu().numpy(), resized, strict=True):
        for c, channel in enumerate(image):
            out[c] = Image.fromarray(channel).resize((SIDE, SIDE), resample=Image.Resampling.BICUBIC)
    mean, std = (torch.tensor(of, device=images.device)[:, None, None] for of in (MEAN, STD))
    return (torch.from_numpy(resized).to(images.device).expand(-1, 3, -1, -1).float() / 255 - mean) / std


def parse(content: bytes, path: Path) -> Mapping[str, Tensor]:
    """Read the tensors of a safetensors file, in which no code can hide."""
    try:
        return safetensors.torch.load(content)
    except (safetensors.SafetensorError, ValueError, KeyError, AttributeError) as error:
        fault = str(error).strip().splitlines() or [type(error).__name__]
        raise InputError(
            f"{path} is no safetensors file ({fault[0][:120]}); take model.safetensors of facebook/dinov2-… on the hub"
        ) from None


def make(size: Size, options: Options) -> Detector:
    """Make a detector. Its name shows the weights if they are not the standard ones."""
    options.refuse(size.name, "protocol")
    found = weights(size.standard, options.weights, options.any_weights)
    # These initial values are replaced at once: do not draw them from the user's generator.
    with Seeded(0):
        network = DinoV2(size.width, size.depth, size.heads)
    fill(network, found, size.name)
    network.eval().requires_grad_(False).to(options.device)
    block = 8 if options.device.type == "cpu" else 128
    shape = (block, 3, SIDE, SIDE)
    run = compiled(network, torch.zeros(shape, device=options.device)) if options.compile else network
    name = size.name if found.standard else f"{size.name}@{found.sha256[:8]}"
    return Detector(
        name,
        PROTOCOL,
        size.width,
        found.sha256,
        options.device,
        block,
        lambda images: (run(pixels(images)), None),
        any_size=True,
        classifier=False,
        large=True,
    )


for size in SIZES:
    DETECTORS.add(size.name, Entry(**vars(catalog.DETECTORS[size.name]), make=partial(make, size)))
