"""torch-fidelity's FID of an exported .onnx beside ours, of the same latents and with the same detector.

    python benchmarks/parity/exported.py --peers .venv-peers [--run RUN]

torch-fidelity draws the latents, runs the file by itself, takes features by our mnist-cnn, and computes its FID. Ours
is that of the run's images of the same latents. RUN is one on MNIST that has no labels and whose latents are standard
normal; by default a VAE that is trained for it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

import counterfeit as cf
from counterfeit import detectors

SEED = 2020  # of torch-fidelity's latents, its default


def latents(n: int, size: int) -> np.ndarray:
    """As torch-fidelity draws them, in batches of 64 of one stream."""
    return np.random.RandomState(SEED).randn(n, size).astype(np.float32)


def theirs(path: Path, size: int, n: int, real: np.ndarray) -> float:
    """What torch-fidelity finds."""
    import without_cuda  # noqa: F401  isort: skip
    import torch_fidelity
    from torch_fidelity.feature_extractor_base import FeatureExtractorBase

    class Ours(FeatureExtractorBase):
        """Our detector as one of theirs."""

        def __init__(self, name, features_list, **_):
            super().__init__(name, features_list)
            self.detector = detectors.load("mnist-cnn", device="cpu")

        @staticmethod
        def get_provided_features_list():
            return ("features",)

        @staticmethod
        def get_default_feature_layer_for_metric(metric):
            return "features"

        @staticmethod
        def can_be_compiled():
            return False

        def forward(self, images):
            return (torch.from_numpy(np.asarray(self.detector(images.numpy()).features)),)

    class Real(torch.utils.data.Dataset):
        def __len__(self):
            return len(real)

        def __getitem__(self, place):
            return torch.from_numpy(np.array(real[place]))

    torch_fidelity.register_feature_extractor("counterfeit-mnist-cnn", Ours)
    found = torch_fidelity.calculate_metrics(
        input1=str(path),
        input1_model_z_type="normal",
        input1_model_z_size=size,
        input1_model_num_samples=n,
        input2=Real(),
        feature_extractor="counterfeit-mnist-cnn",
        fid=True,
        cuda=False,
        cache=False,
        rng_seed=SEED,
        verbose=False,
    )
    return float(found["frechet_inception_distance"])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--peers", type=Path, default=Path(".venv-peers"))
    parser.add_argument("--run", type=Path)
    parser.add_argument("-n", type=int, default=2000)
    asked = parser.parse_args()
    sys.path.append(str(next((asked.peers / "lib").glob("python3*/site-packages"))))  # after ours: our torch, our numpy
    with tempfile.TemporaryDirectory() as folder:
        run = cf.load(asked.run) if asked.run else cf.train("vae", "mnist5k", epochs=3, out=f"{folder}/run")
        path, (size,) = run.export(out=f"{folder}/generator.onnx"), run.model.latent_shape
        real = np.array(run.real("train").images[: asked.n])
        ours = cf.score(run.decode(latents(asked.n, size)), real, n=asked.n, detector="mnist-cnn", metrics=["fid"])
        value, other = ours["FID[mnist-cnn]"].value, theirs(path, size, asked.n, real)
    print(f"{asked.n} images of {run.model_name}: ours {value!r}, torch-fidelity's from the .onnx {other!r}")
    print(f"relative difference {abs(value / other - 1):.1e}")
    if not np.isclose(value, other, rtol=1e-3):  # a few pixels differ by a level
        raise SystemExit("they differ")


if __name__ == "__main__":
    main()
