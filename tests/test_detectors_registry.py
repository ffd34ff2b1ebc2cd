"""Every registered detector: what it returns, and that an image's features depend on that image alone."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

import counterfeit as cf
import detectors_cases as cases
from counterfeit import data, detectors
from counterfeit.detectors import DETECTORS, PROTOCOLS
from counterfeit.detectors.dinov2 import DinoV2
from counterfeit.detectors.inception import InceptionV3
from counterfeit.detectors.small_cnn import FOLDER, load_small_cnn, read_card

SHIPPED = ["mnist-cnn", "fashion-cnn", "cifar10-cnn"]
LARGE = ["inception", "dinov2-small"]
# Of the issue: what a shipped network has to reach on its test split.
LEAST_ACCURACY = {"mnist-cnn": 0.993, "fashion-cnn": 0.92, "cifar10-cnn": 0.88}


@pytest.fixture(scope="session")
def random_inception(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of random Inception weights, in the form of the standard one."""
    path = tmp_path_factory.mktemp("weights") / "random.pth"
    shapes = {name: tuple(tensor.shape) for name, tensor in InceptionV3().state_dict().items()}
    torch.save({name: torch.from_numpy(array) for name, array in cases.weights(shapes).items()}, path)
    return path


@pytest.fixture(params=[*SHIPPED, "stacked-mnist-cnn", *(pytest.param(name, marks=pytest.mark.full) for name in LARGE)])
def detector(request: pytest.FixtureRequest) -> detectors.Detector:
    return load(request.param, request)


def load(name: str, request: pytest.FixtureRequest) -> detectors.Detector:
    if name == "inception":
        path = request.getfixturevalue("random_inception")
        return detectors.load(name, weights=path, any_weights=True, device="cpu")
    if name == "dinov2-small":
        path = request.getfixturevalue("tmp_path") / "random.safetensors"
        safetensors.torch.save_file(DinoV2(384, 12, 6).state_dict(), path)
        return detectors.load(name, weights=path, any_weights=True, device="cpu")
    return detectors.load(name, device="cpu")


def noise(n: int, shape: tuple[int, int, int], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, *shape), np.uint8)


def test_what_a_detector_says_and_returns(detector: detectors.Detector) -> None:
    """Gray and color, smaller and larger than the network's own size."""
    registered = detector.name.split("@")[0]
    assert f"{detector.dim} features" in DETECTORS[registered].summary
    assert detector.weights_sha256 is not None and len(detector.weights_sha256) == 64
    for shape in ((1, 28, 28), (3, 97, 64)):
        if registered == "stacked-mnist-cnn" and shape[0] == 1:  # it needs a digit in each channel
            continue
        found = detector(noise(2, shape))
        assert found.features.shape == (2, detector.dim) and found.features.dtype == np.float32
        assert np.abs(found.features[0] - found.features[1]).max() > 0
        assert detector.classifier == (found.probabilities is not None)
        if found.probabilities is None:
            continue
        assert found.probabilities.dtype == np.float32
        assert found.probabilities.shape[0] == 2 and found.probabilities.min() >= 0
        assert found.probabilities.sum(1) == pytest.approx(1, abs=1e-5)


def test_features_are_the_same_bits_in_any_batch_and_place(detector: detectors.Detector) -> None:
    images = noise(detector.block + 3, (3, 32, 32))
    images.flags.writeable = False  # as a memory map of a folder is
    whole = detector(images)
    alone = detector(images[1:2])
    turned = detector(images[1:9][::-1])
    for field in ("features", "probabilities") if detector.classifier else ("features",):
        assert np.array_equal(getattr(whole, field)[1:2], getattr(alone, field))
        assert np.array_equal(getattr(whole, field)[1:9], getattr(turned, field)[::-1])


def test_progress_counts_the_images() -> None:
    detector = detectors.load("mnist-cnn", device="cpu")
    done: list[int] = []
    detector(noise(300, (1, 28, 28)), done.append)
    assert done == [256, 44]


def test_gray_images_are_replicated_for_color_networks_and_color_made_gray_for_gray_ones() -> None:
    gray = noise(2, (1, 40, 30))
    for name in SHIPPED:
        detector = detectors.load(name, device="cpu")
        # The luma's weights sum to 1, up to rounding.
        assert detector(gray.repeat(3, axis=1)).features == pytest.approx(detector(gray).features, abs=1e-4)


@pytest.mark.parametrize("protocol", list(PROTOCOLS))
def test_the_name_says_the_protocol_and_the_weights(protocol: str, random_inception: Path) -> None:
    detector = detectors.load("inception", weights=random_inception, any_weights=True, protocol=protocol)
    sha256 = hashlib.sha256(random_inception.read_bytes()).hexdigest()
    assert detector.name == ("inception" if protocol == "tf1" else f"inception:{protocol}") + f"@{sha256[:8]}"
    assert (detector.protocol, detector.weights_sha256) == (protocol, sha256)


@pytest.mark.parametrize("name", SHIPPED)
def test_cards(name: str) -> None:
    card = read_card(name)
    file = FOLDER / f"{name}.safetensors"
    assert card.name == name and card.sha256 == detectors.load(name).weights_sha256
    assert file.stat().st_size <= 4e6
    assert card.test_accuracy >= LEAST_ACCURACY[name]


def right(name: str, images: np.ndarray, labels: np.ndarray) -> float:
    probabilities = detectors.load(name)(images).probabilities
    assert probabilities is not None
    return float((probabilities.argmax(1) == labels).mean())


def test_it_reads_real_digits(digits) -> None:
    """They are among its training images, so that this is no test of how well it generalises."""
    assert right("mnist-cnn", *digits) >= 0.99


@pytest.mark.full
@pytest.mark.parametrize("name", SHIPPED)
def test_the_accuracy_on_the_card(name: str) -> None:
    """Other machines round differently, which may turn a handful of the 10,000 images."""
    card = read_card(name)
    test = data.load(card.data, "test")
    assert right(name, test.images, test.labels) == pytest.approx(card.test_accuracy, abs=5e-4)


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """The Fréchet distance of Gaussians fitted to two sets of features."""
    (m, s), (n, t) = ((x.mean(0, dtype=np.float64), np.cov(x, rowvar=False)) for x in (a, b))
    values, vectors = np.linalg.eigh(s)
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    cross = np.sqrt(np.linalg.eigvalsh(root @ t @ root).clip(0)).sum()
    return float(((m - n) ** 2).sum() + np.trace(s) + np.trace(t) - 2 * cross)


@pytest.mark.parametrize("kind", ["noise", "blur", "missing class"])
def test_a_distance_grows_with_the_damage(kind: str, digits) -> None:
    """Of half of 1,000 real digits to the other half, damaged: more damage, more distance, and none the least."""
    images, labels = digits
    detector = detectors.load("mnist-cnn")
    features = detector(images).features
    real, other = features[:500], features[500:]
    rng = np.random.default_rng(0)
    if kind == "missing class":
        damaged = [other[labels[500:] >= least] for least in (1, 3, 6)]
    elif kind == "noise":
        added = rng.normal(size=images[500:].shape)
        shaken = [(images[500:] + sigma * added).clip(0, 255).astype(np.uint8) for sigma in (15, 40, 80)]
        damaged = [detector(x).features for x in shaken]
    else:
        blurred, damaged = images[500:].astype(float), []
        for _ in range(3):
            for axis in (2, 3):
                blurred = (np.roll(blurred, 1, axis) + 2 * blurred + np.roll(blurred, -1, axis)) / 4
            damaged.append(detector(blurred.astype(np.uint8)).features)
    found = [distance(real, x) for x in (other, *damaged)]
    assert found == sorted(found) and found[-1] > 3 * found[0]


@pytest.mark.parametrize(
    ("name", "shape", "chosen", "says"),
    [
        ("mnist", (1, 28, 28), "mnist-cnn", "trained on mnist"),
        ("mnist5k", (1, 28, 28), "mnist-cnn", "trained on mnist"),
        ("fashion-mnist", (1, 28, 28), "fashion-cnn", "trained on fashion-mnist"),
        ("cifar10", (3, 32, 32), "cifar10-cnn", "trained on cifar10"),
        ("/my/faces", (3, 64, 64), "cifar10-cnn", "--detector inception"),
        ("/my/scans", (1, 64, 64), "fashion-cnn", "--weights PATH"),
    ],
)
def test_auto(name, shape, chosen: str, says: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COUNTERFEIT_CACHE", str(tmp_path))
    monkeypatch.delenv("COUNTERFEIT_INCEPTION", raising=False)
    found, reason = detectors.auto(name, shape)
    assert found == chosen and says in reason and "\n" not in reason


def test_auto_prefers_inception_for_a_folder_where_its_weights_are_at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUNTERFEIT_INCEPTION", "somewhere.pth")
    assert detectors.auto("/my/faces", (3, 64, 64))[0] == "inception"
    assert detectors.auto("cifar10", (3, 32, 32))[0] == "cifar10-cnn"


def test_every_detector_is_of_data_sets_that_there_are() -> None:
    known = {name for entry in DETECTORS.values() for name in entry.data}
    assert known == {"mnist", "mnist5k", "fashion-mnist", "cifar10", "stacked-mnist"} < set(data.DATASETS)


@pytest.mark.full
@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")  # torch.compile imports what torch deprecates
def test_compiled_features_are_the_same() -> None:
    """torch.compile fuses and reorders float32 sums; the C++ compiler takes its time."""
    images = noise(20, (3, 32, 32))
    plain, quick = (detectors.load("cifar10-cnn", device="cpu", compile=c)(images) for c in (False, True))
    assert quick.features == pytest.approx(plain.features, abs=1e-4)


def test_a_damaged_installation(tmp_path: Path) -> None:
    for suffix in ("json", "safetensors"):
        (tmp_path / f"mnist-cnn.{suffix}").write_bytes((FOLDER / f"mnist-cnn.{suffix}").read_bytes())
    load_small_cnn("mnist-cnn", tmp_path)
    (tmp_path / "mnist-cnn.safetensors").write_bytes(b"cut")
    with pytest.raises(cf.InputError, match="mnist-cnn.safetensors is damaged.*reinstall counterfeit"):
        load_small_cnn("mnist-cnn", tmp_path)
    (tmp_path / "mnist-cnn.json").write_text("{}")
    with pytest.raises(cf.InputError, match="mnist-cnn.json.*`name`.*reinstall counterfeit"):
        load_small_cnn("mnist-cnn", tmp_path)
