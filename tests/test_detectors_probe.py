"""Detectors of the user's own are looked at before they are trusted: random ones, and those that see the batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import counterfeit as cf
from counterfeit import detectors
from counterfeit.detectors import Detector, probed
from counterfeit.detectors.probe import LOOK, SHIFT, probe_images
from counterfeit.scoring import Scorer

SHAPE = (1, 28, 28)


def load(function) -> Detector:
    return detectors.load(function, device="cpu")


def flat(images: torch.Tensor) -> torch.Tensor:
    """Every seventh pixel."""
    return images.flatten(1)[:, ::7].float()


def convolutions(*more: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 5, stride=3), *more, nn.ReLU(), nn.Flatten(), nn.Linear(4 * 8 * 8, 6))


def in_training_mode(images: torch.Tensor) -> torch.Tensor:
    """Batch norm in training mode, in a function that nobody can look into."""
    return convolutions(nn.BatchNorm2d(4)).train()(images.float())


UNFIT = {
    "random": lambda x: flat(x) + 3 * torch.randn(len(x), 112),
    "dropout": lambda x: nn.functional.dropout(flat(x), 0.1),
    "batch norm": in_training_mode,
    "centered on the batch": lambda x: flat(x) - flat(x).mean(0),
    "whitened by the batch": lambda x: flat(x) / flat(x).std(0),
    "place in the batch": lambda x: flat(x) + 10 * torch.arange(len(x))[:, None],
}


@pytest.mark.parametrize("kind", UNFIT)
def test_a_detector_whose_features_depend_on_more_than_the_image_is_refused(kind: str, digits) -> None:
    with pytest.raises(
        cf.InputError, match="different features for the same image in another batch or call"
    ) as refused:
        cf.score(digits[0][:100], digits[0], detector=UNFIT[kind], metrics=["fid"])
    assert "\n" not in str(refused.value) and ".eval()" in str(refused.value)


def test_a_detector_that_counts_its_calls_is_refused() -> None:
    calls = []

    def counts(images: torch.Tensor) -> torch.Tensor:
        calls.append(len(images))
        return flat(images) * len(calls)

    def widens(images: torch.Tensor) -> torch.Tensor:
        calls.append(len(images))
        return flat(images)[:, : len(calls)]

    for function in (counts, widens):
        with pytest.raises(cf.InputError, match="in another batch or call"):
            probed(load(function), SHAPE)


@pytest.mark.parametrize(
    "function",
    [
        flat,
        lambda x: flat(x) * 0 + 3,  # a constant has no spread
        lambda x: flat(x) * (1 + 1e-6 * torch.randn(len(x), 1)),  # sums taken in another order
        lambda x: flat(x).bfloat16() * (1 + 2**-8 * torch.randint(0, 2, (len(x), 112))),  # and rounded to 8 bits
        lambda x: x.numpy()[:, :, ::2, ::2].reshape(len(x), -1).astype(np.float64),
    ],
    ids=["plain", "constant", "rounding", "bfloat16", "numpy"],
)
def test_rounding_is_no_randomness(function) -> None:
    probed(load(function), SHAPE)


def test_the_probe_tells_functions_apart_and_knows_one_again() -> None:
    found = [probed(load(lambda x, scale=scale: flat(x) * scale), SHAPE) for scale in (1, 1, 1.0001)]
    assert found[0] == found[1] != found[2] and len(found[0]) == 64
    assert probed(load(lambda x: flat(x).double()), SHAPE) != found[0], "features of another type are others"


def test_the_images_of_the_probe_are_the_same_everywhere() -> None:
    for shape in (SHAPE, (3, 33, 9)):
        images = probe_images(shape)
        assert images.shape == (LOOK + SHIFT, *shape) and images.dtype == np.uint8
        assert len(np.unique(images.reshape(len(images), -1), axis=0)) == len(images)
    assert probe_images(SHAPE)[0, 0, 0, :3].tolist() == [95, 130, 194], "numpy's PCG64 of seed 0"


def test_named_detectors_are_not_looked_at() -> None:
    data = cf.load_data("mnist5k")
    assert Scorer(detectors.load("mnist-cnn"), data).probe is None
    assert Scorer(load(flat), data).probe == probed(load(flat), SHAPE)


@pytest.mark.parametrize("of", ["module", "method"])
def test_a_module_in_training_mode_is_called_in_inference_mode_and_is_afterwards_as_it_was(of, digits, capsys) -> None:
    network = convolutions(nn.BatchNorm2d(4), nn.Dropout(0.5))
    network[1].eval()  # a frozen layer stays frozen
    before = [part.training for part in network.modules()]
    assert any(before) and not all(before)
    images = torch.from_numpy(digits[0])
    scaled = nn.Sequential(ToFloat(), network)
    moments = network[1].running_mean.clone()
    found = load(scaled if of == "module" else scaled.forward)(digits[0]).features
    assert "is in training mode: it is used in evaluation mode" in capsys.readouterr().err
    assert [part.training for part in network.modules()] == before
    assert torch.equal(network[1].running_mean, moments), "batch norm's moments stay"
    expected = scaled.eval()(images).detach().numpy()
    assert found == pytest.approx(expected, rel=1e-5, abs=1e-4), "float32, in blocks of another size"
    load(scaled)
    assert capsys.readouterr().err == "", "in inference mode there is nothing to say"


class ToFloat(nn.Module):
    """uint8 to float."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.float()


def test_float64_is_not_cut_to_float32_and_half_precision_is_widened(digits) -> None:
    """At a mean of 1e9 float32 has steps of 64, in which all of the differences between images are lost."""
    images = digits[0]

    def far(x: torch.Tensor) -> torch.Tensor:
        return flat(x).double() / 255 + 1e9

    found = load(far)(images).features
    assert found.dtype == np.float64 and np.ptp(found, axis=0).max() == pytest.approx(1, abs=1e-6)
    near = cf.score(images[:500], images[500:], detector=lambda x: flat(x).double() / 255, metrics=["fid"])
    moved = cf.score(images[:500], images[500:], detector=far, metrics=["fid"])
    # 1e9 has steps of 1e-7 in float64, so the features are off by that, of a spread of about 0.3.
    assert next(iter(moved.values())).value == pytest.approx(next(iter(near.values())).value, rel=1e-4)
    for dtype in (torch.float16, torch.bfloat16, torch.float32):
        assert load(lambda x, dtype=dtype: flat(x).to(dtype))(images[:9]).features.dtype == np.float32


def test_arrays_that_torch_cannot_take_are_one_line() -> None:
    with pytest.raises(
        cf.InputError, match=r"detector lambda\(\) fails on .*: ValueError: given numpy array has byte order"
    ):
        load(lambda x: x.numpy().reshape(len(x), -1).astype(">f4"))(probe_images(SHAPE))


def test_an_onnx_file_is_looked_at_and_its_library_named(tmp_path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="the extra counterfeit[onnx] is not installed")
    from test_detectors_input import ONNX

    (tmp_path / "mine.onnx").write_bytes(ONNX)
    data = cf.load_data("mnist5k")
    score = cf.score(data.images[:100], "mnist5k", detector=str(tmp_path / "mine.onnx"), metrics=["fid"])
    assert score.receipt["versions"]["onnxruntime"] == onnxruntime.__version__
    assert len(score.receipt["detector"]["probe_sha256"]) == 64 and "unidentified" not in score.receipt
