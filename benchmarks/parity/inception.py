"""Ask torch-fidelity, pytorch-fid and clean-fid for Inception features of the cases in tests/detectors_cases.py.

Run in an environment that has them (torch-fidelity 0.4.0, pytorch-fid 0.3.0, clean-fid 0.1.35, torchvision); it writes
tests/detectors_peers.npz, against which tests/test_detectors_parity.py holds ours:

    python benchmarks/parity/inception.py

clean-fid's own file of weights is a TorchScript program that cannot be given others. So its resizing is its own, and
the network behind it is torch-fidelity's, which leaves 299x299 pixels as they are and scales them as clean-fid does.
"""

import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from unittest import mock

import numpy as np
import torch

import without_cuda  # noqa: F401  isort: skip

import pytorch_fid.inception
import torch_fidelity.feature_extractor_inceptionv3
from cleanfid.resize import build_resizer

TESTS = Path(__file__).resolve().parents[2] / "tests"
sys.path.insert(0, str(TESTS))
import detectors_cases as cases  # noqa: E402


def torch_fidelity_network(weights_path):
    """Its extractor, which gives pool3 and the logits without bias."""
    extractor = torch_fidelity.feature_extractor_inceptionv3.FeatureExtractorInceptionV3
    return extractor("inception", ["2048", "logits_unbiased"], str(weights_path))


def weights_file(path):
    """Write the random weights; the names and shapes are those of torchvision's modules, as patched by pytorch-fid."""
    pytorch_fid.inception.load_state_dict_from_url = lambda *_, **__: shapes  # it only ever downloads
    shapes = pytorch_fid.inception._inception_v3(num_classes=1008, aux_logits=False, weights=None).state_dict()
    arrays = cases.weights({name: tuple(tensor.shape) for name, tensor in shapes.items()})
    counters = {name: tensor for name, tensor in shapes.items() if name not in arrays}
    state = {name: torch.from_numpy(array) for name, array in arrays.items()} | counters
    torch.save(state, path)
    pytorch_fid.inception.load_state_dict_from_url = lambda *_, **__: state


@torch.no_grad()
def features(protocol, network, pytorch_fid_network, images):
    """(N, 2048), and the logits (N, 1008) of torch-fidelity."""
    rgb = np.repeat(images, 3 // images.shape[1], axis=1)
    if protocol == "pytorch-fid":
        return pytorch_fid_network(torch.from_numpy(rgb).float() / 255)[0][:, :, 0, 0], None
    if protocol == "tf1":
        return network(torch.from_numpy(rgb))
    resize = build_resizer("clean")
    pixels = np.stack([resize(image.transpose(1, 2, 0)).transpose(2, 0, 1) for image in rgb])
    # clean-fid's InceptionV3W.forward is (x - 128) / 128, then the layers. torch-fidelity's does the same, its resize
    # of 299x299 to 299x299 being the identity; only its check for uint8 stands in the way.
    with mock.patch.object(torch_fidelity.feature_extractor_inceptionv3, "vassert"):
        return network(torch.from_numpy(pixels))


def main():
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "random.pth"
        weights_file(path)
        network = torch_fidelity_network(path)
        other = pytorch_fid.inception.InceptionV3([3]).eval()
    stored = {}
    for protocol in cases.PROTOCOLS:
        for shape in cases.SHAPES:
            pool, logits = features(protocol, network, other, cases.images(shape))
            key = f"{protocol} {'x'.join(map(str, shape))}"
            stored[f"{key} features"] = pool[:, :: cases.STRIDE].numpy()
            stored[f"{key} norm"] = pool.double().norm(dim=1).numpy()
            if protocol == "tf1":
                stored[f"{key} logits"] = logits[:, :: cases.STRIDE].numpy()
            print(key, "features", pool.mean().item(), "+-", pool.std().item(), flush=True)
    packages = ("torch", "torch-fidelity", "pytorch-fid", "clean-fid", "pillow")
    stored["versions"] = np.array([f"{name} {version(name)}" for name in packages])
    np.savez_compressed(TESTS / "detectors_peers.npz", **stored)


if __name__ == "__main__":
    main()
