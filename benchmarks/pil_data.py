"""Images an item at a time, as torchvision's MNIST and CIFAR10 with ToTensor() give them."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset


class PilDataset(Dataset):
    """Pairs of a float32 image (C, H, W) in [0, 1] and a label, of uint8 (N, C, H, W) and labels (N,)."""

    def __init__(self, images: np.ndarray, labels: np.ndarray) -> None:
        self.images, self.labels = images.transpose(0, 2, 3, 1), labels

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        picture = Image.fromarray(self.images[i].squeeze())
        array = np.array(picture, copy=True)
        tensor = torch.from_numpy(array).view(picture.height, picture.width, -1).permute(2, 0, 1).contiguous()
        return tensor.to(torch.float32).div(255), int(self.labels[i])
