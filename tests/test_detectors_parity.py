"""Our Inception features against those of torch-fidelity, pytorch-fid and clean-fid on the same random weights.

tests/detectors_peers.npz holds theirs; benchmarks/parity/inception.py writes it. The bound asked for is 1e-4 relative.
Folding batch norm, averaging behind a convolution and other kernels change the order of float32 sums: by 2.4e-6 at most
here, relative to the root mean square of an image's features. 1e-5 leaves room for other machines, while two protocols
differ by more than 1e-2.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import detectors_cases as cases
from counterfeit.detectors.inception import InceptionV3
from counterfeit.detectors.resize import PROTOCOLS
from counterfeit.detectors.weights import Weights, fill

TOLERANCE = 1e-5
PEERS = np.load(Path(__file__).parent / "detectors_peers.npz")


@pytest.fixture(scope="module")
def network() -> InceptionV3:
    network = InceptionV3()
    arrays = cases.weights({name: tuple(t.shape) for name, t in network.state_dict().items()})
    tensors = {name: torch.from_numpy(a) for name, a in arrays.items()}
    fill(network, Weights(Path("random.pth"), "", tensors), "inception")
    return network.fold()


@torch.inference_mode()
def ours(network: InceptionV3, protocol: str, shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    pixels = PROTOCOLS[protocol](torch.from_numpy(cases.images(shape))).expand(-1, 3, -1, -1)
    features, logits = network(pixels.contiguous(memory_format=torch.channels_last))
    return features.numpy(), logits.numpy()


def distance(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference of an image, relative to the root mean square of its features."""
    scale = np.sqrt((expected**2).mean(axis=1, keepdims=True))
    return float((np.abs(found - expected) / scale).max())


@pytest.mark.parametrize("protocol", cases.PROTOCOLS)
@pytest.mark.parametrize("shape", cases.SHAPES, ids=lambda shape: "x".join(map(str, shape)))
def test_features_are_those_of_the_peer(network: InceptionV3, protocol: str, shape: tuple[int, int, int]) -> None:
    key = f"{protocol} {'x'.join(map(str, shape))}"
    features, logits = ours(network, protocol, shape)
    apart = distance(features[:, :: cases.STRIDE], PEERS[f"{key} features"])
    print(f"{key}: features {apart:.1e}", end="")
    assert apart < TOLERANCE
    assert np.linalg.norm(features.astype(np.float64), axis=1) == pytest.approx(PEERS[f"{key} norm"], rel=TOLERANCE)
    if f"{key} logits" in PEERS:
        apart = distance(logits[:, :: cases.STRIDE], PEERS[f"{key} logits"])
        print(f", logits {apart:.1e}")
        assert apart < TOLERANCE


def test_the_cases_tell_the_protocols_apart() -> None:
    """And the images: a test that any features pass would prove nothing."""
    for shape in cases.SHAPES[:3]:
        found = [PEERS[f"{protocol} {'x'.join(map(str, shape))} features"] for protocol in cases.PROTOCOLS]
        for a, b in ((0, 1), (0, 2), (1, 2)):
            assert distance(found[a], found[b]) > 1000 * TOLERANCE
        assert distance(found[0][:1], found[0][1:]) > 1000 * TOLERANCE
