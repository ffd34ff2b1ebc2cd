"""What is wrong with a detector, its options or its images is said in one line: what, where, and the fix."""

from __future__ import annotations

import base64
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import counterfeit as cf
from counterfeit import detectors
from counterfeit.detectors import entry

IMAGES = np.random.default_rng(0).integers(0, 256, (70, 3, 16, 16), np.uint8)

# The mean over the width, flattened: one input `images` uint8 (B, C, H, W), one output `features` float32 (B, D).
ONNX = base64.b64decode(
    "CAg6vAEKHAoGaW1hZ2VzEgF4IgRDYXN0KgkKAnRvGAGgAQIKMAoBeBIBbSIKUmVkdWNlTWVhbioLCgRheGVzQAOgAQcqDwoIa2VlcGRpbXMYAKAB"
    "AgojCgFtEghmZWF0dXJlcyIHRmxhdHRlbioLCgRheGlzGAGgAQISAWdaJAoGaW1hZ2VzEhoKGAgCEhQKAxIBQgoDEgFDCgMSAUgKAxIBV2IcCghm"
    "ZWF0dXJlcxIQCg4IARIKCgMSAUIKAxIBREIECgAQDQ=="
)
# The same, but that it takes float32: the type's number in the input's description.
ONNX_OF_FLOATS = ONNX.replace(b"\x0a\x18\x08\x02\x12\x14", b"\x0a\x18\x08\x01\x12\x14")


def refused(*says: str):
    """Expect an InputError of one line with all of `says`."""

    class Refused:
        def __enter__(self):
            self.context = pytest.raises(cf.InputError)
            self.error = self.context.__enter__()

        def __exit__(self, *what):
            caught = self.context.__exit__(*what)
            message = str(self.error.value)
            assert "\n" not in message
            for words in says:
                assert words in message, f"{words!r} is not in {message!r}"
            return caught

    return Refused()


def test_unknown_detectors() -> None:
    with refused("no detector named 'mnist-cn'", "did you mean 'mnist-cnn'?", ".onnx"):
        detectors.load("mnist-cn")
    with refused("detector is 3; it must be text or a path or a function"):
        detectors.load(3)  # type: ignore[arg-type]
    with refused("--device gpu cannot be used here"):
        detectors.load("mnist-cnn", device="gpu")
    with refused("no resize protocol named 'tf2'", "did you mean 'tf1'?"):
        detectors.load("inception", protocol="tf2")


@pytest.mark.parametrize("option", [{"weights": "a.pth"}, {"any_weights": True}, {"protocol": "clean"}])
@pytest.mark.parametrize("detector", ["mnist-cnn", "mine.onnx", lambda x: x])
def test_options_that_do_not_go_with_a_detector(detector, option) -> None:
    with refused("--" + next(iter(option)).replace("_", "-"), "is only for inception"):
        detectors.load(detector, **option)


@pytest.mark.parametrize("detector", ["mine.onnx", lambda x: x])
def test_compile_goes_with_named_detectors_only(detector) -> None:
    with refused("--compile is only for the named detectors"):
        detectors.load(detector, compile=True)


def test_a_machine_that_cannot_compile(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(network):
        def run(_):
            raise RuntimeError("no C++ compiler found\nplease install one")

        return run

    monkeypatch.setattr(entry.torch, "compile", broken)
    with refused("--compile does not work here", "no C++ compiler found please", "leave it out"):
        detectors.load("mnist-cnn", compile=True)


@pytest.mark.parametrize(
    ("images", "says"),
    [
        (torch.zeros(2, 1, 28, 28), "not float32 (2, 1, 28, 28)"),
        (np.zeros((2, 1, 28, 28)), "not float64 (2, 1, 28, 28)"),
        (np.zeros((2, 28, 28), np.uint8), "not uint8 (2, 28, 28)"),
        (np.zeros((2, 28, 28, 3), np.uint8), "not uint8 (2, 28, 28, 3)"),
        (np.zeros((0, 1, 28, 28), np.uint8), "not uint8 (0, 1, 28, 28)"),
    ],
)
def test_images_that_are_none(images, says: str) -> None:
    with refused(says):
        detectors.load("mnist-cnn")(images)


def mean_color(images: torch.Tensor) -> torch.Tensor:
    """A detector of three features."""
    return images.float().mean((2, 3))


def test_a_function_is_a_detector() -> None:
    detector = detectors.load(mean_color, device="cpu")
    found = detector(IMAGES)
    assert (detector.name, detector.weights_sha256, found.probabilities) == ("mean_color()", None, None)
    assert found.features == pytest.approx(IMAGES.mean((2, 3)), rel=1e-5)
    as_array = detectors.load(lambda x: x.numpy().mean((2, 3)), device="cpu")  # numpy and float64 will do
    assert as_array.name == "lambda()"
    assert as_array(IMAGES).features == pytest.approx(found.features, rel=1e-5)


def test_an_object_with_a_call_is_a_detector() -> None:
    assert detectors.load(torch.nn.Flatten(), device="cpu").name == "Flatten()"


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda x: x.float(), "returns float32 (64, 3, 16, 16), not a floating-point tensor (64, D) for 64 images"),
        (lambda x: x.flatten(1), "returns uint8 (64, 768)"),
        (lambda x: x.float().mean(), "returns float32 ()"),
        (lambda x: x[:10].float().flatten(1), "returns float32 (10, 768)"),
        (lambda x: x.float().flatten(1)[:, :0], "returns float32 (64, 0)"),
        (lambda x: [1, 2], "returns list"),
        (lambda x: None, "returns NoneType"),
        (lambda x: x.float().flatten(1) / 0, "NaN or infinity for 64 of 64 images"),
        (lambda x: x.no_such_thing, "fails on uint8 images (64, 3, 16, 16) on cpu: AttributeError"),
    ],
)
def test_functions_that_are_no_detectors(function, says: str) -> None:
    with refused("detector lambda()", says):
        detectors.load(function, device="cpu")(IMAGES)


def test_a_function_that_changes_its_mind() -> None:
    widths = iter((5, 6))
    with refused("5 features per image, then 6"):
        detectors.load(lambda x: torch.ones(len(x), next(widths)), device="cpu")(IMAGES)


def test_nan_in_a_row_that_only_fills_up_the_block_does_not_matter() -> None:
    def only_first(x):
        features = torch.ones(64, 2)
        features[1:] = torch.nan
        return features

    assert detectors.load(only_first, device="cpu")(IMAGES[:1]).features.tolist() == [[1, 1]]


def test_onnx_without_onnxruntime(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with refused("mine.onnx needs onnxruntime", "pip install 'counterfeit[onnx]'"):
        detectors.load(tmp_path / "mine.onnx")


class TestOnnx:
    @pytest.fixture(autouse=True)
    def file(self, tmp_path: Path) -> Path:
        pytest.importorskip("onnxruntime", reason="the extra counterfeit[onnx] is not installed")
        file = tmp_path / "mine.onnx"
        file.write_bytes(ONNX)
        return file

    def test_a_file_is_a_detector(self, file: Path) -> None:
        detector = detectors.load(str(file))
        found = detector(IMAGES)
        assert (detector.name, len(detector.weights_sha256 or "")) == ("mine.onnx", 64)
        assert found.features == pytest.approx(IMAGES.mean(3).reshape(70, -1), rel=1e-5)

    def test_files_that_are_none(self, file: Path) -> None:
        file.write_bytes(ONNX[:50])
        with refused("mine.onnx is not an ONNX model that can be run"):
            detectors.load(file)
        file.write_bytes(ONNX_OF_FLOATS)
        with refused("takes tensor(float)", "not uint8 (B, C, H, W)", "export it with"):
            detectors.load(file)
        file.unlink()
        with refused("mine.onnx cannot be read (No such file or directory)"):
            detectors.load(file)
