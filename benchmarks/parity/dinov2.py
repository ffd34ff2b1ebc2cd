"""Ask timm for DINOv2 features of the cases in tests/detectors_cases.py.

Run in an environment that has it (timm 1.0, torchvision); it writes tests/dinov2_peers.npz, against which
tests/test_dinov2.py holds ours:

    python benchmarks/parity/dinov2.py

The images reach the network as in dgm-eval, by torchvision's transforms. timm interpolates position embeddings in
another way than DINOv2's own code, which dgm-eval runs: it is given embeddings that are interpolated as that code does.
"""

import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

import without_cuda  # noqa: F401  isort: skip

import timm
from torchvision import transforms

TESTS = Path(__file__).resolve().parents[2] / "tests"
sys.path.insert(0, str(TESTS))
import detectors_cases as cases  # noqa: E402

MODELS = {f"dinov2-{size}": f"vit_{size}_patch14_dinov2" for size in ("small", "base", "large")}
NAMES = {
    "cls_token": "embeddings.cls_token",
    "pos_embed": "embeddings.position_embeddings",
    "patch_embed.proj": "embeddings.patch_embeddings.projection",
    "norm": "layernorm",
    "attn.proj": "attention.output.dense",
    "ls1.gamma": "layer_scale1.lambda1",
    "ls2.gamma": "layer_scale2.lambda1",
}


def hub_names(name):
    """The names on the hub of what timm calls `name`: three for its queries, keys and values."""
    head, kind = name.rsplit(".", 1) if name.endswith((".weight", ".bias")) else (name, "")
    parts = head.split(".")
    block, rest = (f"encoder.layer.{parts[1]}.", ".".join(parts[2:])) if parts[0] == "blocks" else ("", head)
    end = f".{kind}" if kind else ""
    if rest == "attn.qkv":
        return [f"{block}attention.attention.{of}{end}" for of in ("query", "key", "value")]
    return [f"{block}{NAMES.get(rest, rest)}{end}"]


def network(model):
    """timm's network for images of 224 pixels with the random weights."""
    names = {name: hub_names(name) for name in timm.create_model(model, num_classes=0).state_dict()}
    shapes = {}
    for name, tensor in timm.create_model(model, num_classes=0).state_dict().items():
        for one in names[name]:
            shapes[one] = (tensor.shape[0] // len(names[name]), *tensor.shape[1:])
    arrays = cases.transformer_weights(shapes)
    state = {name: torch.cat([torch.from_numpy(arrays[one]) for one in of]) for name, of in names.items()}
    places = state["pos_embed"]
    grid = places[:, 1:].reshape(1, 37, 37, -1).permute(0, 3, 1, 2)
    grid = F.interpolate(grid, scale_factor=(16.1 / 37, 16.1 / 37), mode="bicubic")
    state["pos_embed"] = torch.cat([places[:, :1], grid.permute(0, 2, 3, 1).reshape(1, 256, -1)], dim=1)
    found = timm.create_model(model, num_classes=0, img_size=224).eval()
    found.load_state_dict(state)
    return found


@torch.no_grad()
def main():
    torch.set_num_threads(1)
    pixels = transforms.Compose(
        [
            transforms.Resize((224, 224), transforms.InterpolationMode.BICUBIC),
            transforms.ToTensor(),
            transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )
    stored = {}
    for name, model in MODELS.items():
        of = network(model)
        for shape in cases.SHAPES:
            images = np.repeat(cases.images(shape), 3 // shape[0], axis=1).transpose(0, 2, 3, 1)
            found = of(torch.stack([pixels(Image.fromarray(image)) for image in images]))
            key = f"{name} {'x'.join(map(str, shape))}"
            stored[f"{key} features"] = found[:, :: cases.STRIDE].numpy()
            stored[f"{key} norm"] = found.double().norm(dim=1).numpy()
            print(key, "features", found.mean().item(), "+-", found.std().item(), flush=True)
    packages = ("torch", "timm", "torchvision", "pillow")
    stored["versions"] = np.array([f"{name} {version(name)}" for name in packages])
    np.savez_compressed(TESTS / "dinov2_peers.npz", **stored)


if __name__ == "__main__":
    main()
