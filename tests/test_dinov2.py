"""DINOv2: our network against timm's on the same random weights, its files of weights, and its scores.

tests/dinov2_peers.npz holds timm's features; benchmarks/parity/dinov2.py writes it. Attention by another kernel changes
the order of float32 sums, if at all: on the machine that asked timm, the features are the same bits.
"""

from __future__ import annotations

import hashlib
import pickle
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

import counterfeit as cf
import detectors_cases as cases
from counterfeit import detectors
from counterfeit.detectors import DETECTORS
from counterfeit.detectors.dinov2 import GRID, OFFSET, SIZES, TRAINED, DinoV2, Embeddings, Size, make, pixels
from counterfeit.detectors.weights import Weights, fill
from counterfeit.errors import DataError

TOLERANCE = 1e-5
PEERS = np.load(Path(__file__).parent / "dinov2_peers.npz")
SMALL = SIZES[0]
TINY = replace(SMALL, depth=1)  # of its blocks


def network(size: Size) -> DinoV2:
    """The network with the random weights that timm's had."""
    made = DinoV2(size.width, size.depth, size.heads)
    arrays = cases.transformer_weights({name: tuple(t.shape) for name, t in made.state_dict().items()})
    fill(made, Weights(Path("random"), "", {name: torch.from_numpy(a) for name, a in arrays.items()}), size.name)
    return made.eval()


ODD = cases.SHAPES[2]  # not square, and neither of its sides that of a patch
ALL = [(SMALL, (ODD,)), *(pytest.param(of, cases.SHAPES, marks=pytest.mark.full) for of in SIZES)]


@pytest.mark.parametrize(("size", "shapes"), ALL)
def test_features_are_those_of_timm(size: Size, shapes: tuple[tuple[int, int, int], ...]) -> None:
    of = network(size)
    for shape in shapes:
        with torch.inference_mode():
            found = of(pixels(torch.from_numpy(cases.images(shape)))).numpy()
        key = f"{size.name} {'x'.join(map(str, shape))}"
        expected = PEERS[f"{key} features"]
        scale = np.sqrt((expected**2).mean(axis=1, keepdims=True))
        apart = float((np.abs(found[:, :: cases.STRIDE] - expected) / scale).max())
        print(f"{key}: {apart:.1e}")
        assert apart < TOLERANCE
        assert np.linalg.norm(found.astype(np.float64), axis=1) == pytest.approx(PEERS[f"{key} norm"], rel=TOLERANCE)
        assert np.abs(expected[0] - expected[1]).max() > 1000 * TOLERANCE * scale.max(), "any features would pass"


def cubic(distance: np.ndarray) -> np.ndarray:
    """Keys's kernel with a = -0.75, which PyTorch takes."""
    x, a = np.abs(distance), -0.75
    near, far = (a + 2) * x**3 - (a + 3) * x**2 + 1, a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))


def test_position_embeddings_are_interpolated_by_the_scale_of_the_original() -> None:
    of = Embeddings(3)
    values = np.random.default_rng(0).standard_normal((TRAINED, TRAINED, 3))
    with torch.no_grad():
        of.position_embeddings[0, 1:] = torch.from_numpy(values).flatten(0, 1)
        found = of.positions()[0, 1:].unflatten(0, (GRID, GRID)).numpy()
    places = (np.arange(GRID) + 0.5) * TRAINED / (GRID + OFFSET) - 0.5
    beside = np.floor(places).astype(int)[:, None] + np.arange(-1, 3)  # (GRID, 4)
    weights = np.zeros((GRID, TRAINED))
    for i, taps in enumerate(beside):
        np.add.at(weights[i], taps.clip(0, TRAINED - 1), cubic(places[i] - taps))
    assert found == pytest.approx(np.einsum("ia,jb,abd->ijd", weights, weights, values), abs=1e-5)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """One block in place of twelve, for speed."""
    entry = replace(DETECTORS["dinov2-small"], make=partial(make, TINY))
    monkeypatch.setitem(DETECTORS._things, "dinov2-small", entry)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of random weights in the form of the hub's."""
    path = tmp_path_factory.mktemp("dinov2") / "model.safetensors"
    torch.manual_seed(0)
    safetensors.torch.save_file(DinoV2(TINY.width, TINY.depth, TINY.heads).state_dict(), path)
    return path


def test_a_file_of_weights_gives_a_detector_that_bears_its_digest(file: Path, tiny: None) -> None:
    with pytest.raises(cf.InputError, match=f"damaged or another file.*{SMALL.sha256}.*scores would not be those of"):
        detectors.load("dinov2-small", weights=file)
    detector = detectors.load("dinov2-small", weights=file, any_weights=True, device="cpu")
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    assert (detector.name, detector.weights_sha256) == (f"dinov2-small@{sha256[:8]}", sha256)
    assert detector.dim == 384 and f"{detector.dim} features" in DETECTORS["dinov2-small"].summary
    found = detector(np.random.default_rng(0).integers(0, 256, (3, 1, 20, 30), np.uint8))
    assert found.features.shape == (3, 384) and found.probabilities is None


def test_what_is_no_file_of_its_weights_is_refused_in_one_line(file: Path, tiny: None, tmp_path: Path) -> None:
    right = safetensors.torch.load_file(file)
    other = {
        "it has no layernorm.bias": {name: tensor for name, tensor in right.items() if name != "layernorm.bias"},
        "it also has head.bias": {**right, "head.bias": torch.zeros(2)},
        "its layernorm.bias is torch.float16": {**right, "layernorm.bias": torch.zeros(384).half()},
    }
    contents = {says: safetensors.torch.save(tensors) for says, tensors in other.items()}
    contents |= {"is no safetensors file": pickle.dumps({"a": 1}), "is no safetensors file ": b""}
    for says, content in contents.items():
        (tmp_path / "mine").write_bytes(content)
        with pytest.raises(cf.InputError) as error:
            detectors.load("dinov2-small", weights=tmp_path / "mine", any_weights=True)
        assert says in str(error.value) and "mine" in str(error.value) and "\n" not in str(error.value)
    with pytest.raises(cf.InputError, match="--protocol is only for inception"):
        detectors.load("dinov2-small", weights=file, any_weights=True, protocol="clean")


def test_it_is_fetched_from_the_hub_by_its_revision(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    monkeypatch.setenv("COUNTERFEIT_SOURCES", "registry")
    for size in SIZES:
        (url,) = size.standard.urls
        assert size.revision in url and size.name in url and len(size.sha256) == 64
        with pytest.raises(DataError, match=f"does not allow https: pass --weights PATH to a copy.*{size.name}"):
            detectors.load(size.name)


def test_a_score_by_it_has_no_classes(file: Path, tiny: None, digits) -> None:
    images = digits[0]
    options = {"detector": "dinov2-small", "weights": file, "any_weights": True, "device": "cpu"}
    with pytest.raises(cf.InputError, match="IS needs the class probabilities.*remove is from"):
        cf.score(images[:4], images[4:8], metrics=["is"], **options)
    score = cf.score(images[:4], images[4:8], n=4, **options)
    names = {name.partition("[")[0] for name in score}
    assert {"FID", "KID", "Precision"} <= names and not {"IS", "Class-KL", "Label-accuracy"} & names
