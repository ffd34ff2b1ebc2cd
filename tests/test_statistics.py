"""Reference statistics: written, read back, read as other tools write them, refused where they cannot be right."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import counterfeit as cf
from counterfeit import detectors
from counterfeit.detectors.inception import InceptionV3
from counterfeit.metrics.frechet import fid
from counterfeit.scoring import judge, statistics
from counterfeit.settings import ScoreConfig
from detectors_cases import weights

FID = "FID[mnist-cnn]"


@pytest.fixture
def written(digits, tmp_path: Path) -> Path:
    """Statistics of 500 digits, by mnist-cnn."""
    return cf.stats(digits[0][:500], tmp_path / "own" / "real.npz", detector="mnist-cnn")


@pytest.mark.parametrize("n", [500, 100], ids=["more images than features", "fewer"])
def test_what_is_written_gives_the_fid_of_the_images_themselves(digits, n: int, tmp_path: Path) -> None:
    """Moments come batch by batch in one way and at once in the other: rounding, 1e-9 relative at most."""
    images = digits[0]
    path = cf.stats(images[:n], tmp_path / "real.npz", detector="mnist-cnn")
    whole = cf.score(images[500:], images[:n], detector="mnist-cnn", metrics=["fid"])[FID]
    found = cf.score(images[500:], path)[FID]
    assert found.value == pytest.approx(whole.value, rel=1e-9)
    assert found.uncertainty == pytest.approx(whole.extras["standard_error_fake"], rel=1e-6)
    assert "generated images alone" in found.uncertainty_kind and found.floor is None


def test_the_command_writes_a_choice_and_the_receipt_says_all_that_the_file_carries(tmp_path: Path, command) -> None:
    out = tmp_path / "real.npz"
    done = command("stats", "mnist5k", "--out", out, "-n", 300, "--seed", 3)
    assert done.code == 0 and done.out == f"{out}\n", done.err
    np.savez(tmp_path / "fakes.npz", images=cf.load_data("mnist5k").images[:200])
    done = command("score", tmp_path / "fakes.npz", "--real", out, "--json")
    assert done.code == 0, done.err
    score = json.loads(done.out)
    assert list(score["metrics"]) == [FID]
    assert score["metrics"][FID]["notes"] == [
        "200 images are few, and FID is biased upward: compare at equal n only, or read FID-infinity"
    ]
    detector = detectors.load("mnist-cnn")
    assert score["receipt"]["real"] == {
        **{"name": str(out), "split": "statistics", "n": 300, "shape": [1, 28, 28], "source": "mnist5k:train"},
        **{"digest": hashlib.sha256(out.read_bytes()).hexdigest(), "version": cf.__version__},
        **{"images_digest": cf.load_data("mnist5k").digest, "detector": "mnist-cnn", "protocol": detector.protocol},
        "weights_sha256": detector.weights_sha256,
    }
    assert score["receipt"]["floor"] is None and score["receipt"]["floor_of_classes"] is None


def test_a_run_is_scored_and_compared_against_statistics(written: Path, tmp_path: Path) -> None:
    run = cf.train("vae", "mnist5k", out=tmp_path / "run", epochs=1, quiet=True)
    found = run.score(written, n=100)
    assert list(found) == [FID]
    table = cf.compare(tmp_path / "run", real=str(written), n=100, out=tmp_path / "c")
    assert table["runs"][0]["score"]["metrics"][FID]["value"] == found[FID].value, "the kept score is taken"
    assert f"against the statistics in {written}" in (tmp_path / "c" / "table.md").read_text()
    assert f"the statistics in {written}" in (tmp_path / "c" / "report.html").read_text()


@pytest.fixture(scope="module")
def random_inception(tmp_path_factory) -> Path:
    """A file of random Inception weights, as other tools would load it."""
    path = tmp_path_factory.mktemp("inception") / "random.pth"
    shapes = {name: tuple(tensor.shape) for name, tensor in InceptionV3().state_dict().items()}
    torch.save({name: torch.from_numpy(array) for name, array in weights(shapes).items()}, path)
    return path


@pytest.mark.full
def test_files_of_other_tools_are_taken_for_inception(random_inception: Path, tmp_path: Path, digits) -> None:
    """2,048 features without a word about the detector, of a folder whose 28 pixels are not stretched on the way."""
    images = digits[0][:12]
    loaded = {"weights": random_inception, "any_weights": True, "protocol": "pytorch-fid"}
    features = detectors.load("inception", **loaded)(images).features.astype(np.float64)
    mu, sigma = features[:6].mean(axis=0), np.cov(features[:6], rowvar=False)
    np.savez(tmp_path / "theirs.npz", mu=mu, sigma=sigma)  # as pytorch-fid does, which compresses for seconds
    others = {name: np.zeros(3) for name in ("mu_s", "sigma_s", "arr_0")}
    np.savez(
        tmp_path / "adm.npz", mu=mu, sigma=sigma.astype(np.float32), **others
    )  # guided-diffusion's reference batch
    adm = statistics.read(tmp_path / "adm.npz")
    assert statistics.is_statistics(tmp_path / "adm.npz") and (adm.n, dict(adm.words)) == (None, {})
    (tmp_path / "fakes").mkdir()
    for i, image in enumerate(images[6:]):
        Image.fromarray(image[0]).save(tmp_path / "fakes" / f"{i}.png")
    score = cf.score(tmp_path / "fakes", tmp_path / "theirs.npz", **{**loaded, "weights": str(random_inception)})
    ((name, found),) = score.items()
    assert name.startswith("FID[inception:pytorch-fid@")
    # sigma, unlike the rows, has eigenvalues that are rounding in place of 0: 1e-6, their root against the largest.
    assert found.value == pytest.approx(fid(features[:6], features[6:]).value, rel=1e-6)
    assert any("does not say which detector and resize" in note for note in found.notes)
    assert score.receipt["real"]["n"] is None and score.receipt["real"]["images_digest"] is None


@pytest.mark.full
def test_the_resize_that_a_file_names_is_taken(random_inception: Path, tmp_path: Path, digits) -> None:
    loaded = {"weights": str(random_inception), "any_weights": True}
    path = cf.stats(digits[0][:4], tmp_path / "r.npz", detector="inception", protocol="clean", **loaded)
    scorer = judge.prepared(ScoreConfig.of({"real": str(path), **loaded}))
    assert scorer.detector.name.startswith("inception:clean@")
    with pytest.raises(cf.InputError, match="whose protocol is 'clean', and inception@.* has 'tf1'"):
        cf.score(digits[0][4:8], path, detector="inception", **loaded)


GOOD = {"mu": np.zeros(224), "sigma": np.eye(224)}
NAMED = {**GOOD, "detector": np.array("mnist-cnn")}
SKEW = np.eye(224) + np.triu(np.full((224, 224), 0.1), 1)


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        (GOOD, "224 features and does not name their detector"),
        ({**NAMED, "mu": np.zeros(223)}, r"mu has the shape \(223,\) and sigma \(224, 224\)"),
        ({**NAMED, "mu": np.full(224, np.nan)}, "NaN or infinity"),
        ({**NAMED, "sigma": np.diag(np.r_[np.inf, np.ones(223)])}, "NaN or infinity"),
        ({**NAMED, "sigma": SKEW}, "not symmetric"),
        ({**NAMED, "sigma": np.diag(np.r_[-0.1, np.ones(223)])}, "eigenvalue -0.1"),
        ({**NAMED, "mu": np.array(["a"] * 224)}, "must be real numbers"),
        ({**NAMED, "n": np.array(1)}, r"its n is \[1\]"),
        ({**NAMED, "n": np.array(2.5)}, "not whole numbers"),
        ({**NAMED, "shape": np.array([1, 28])}, r"shape \[1, 28\]"),
        ({**NAMED, "detector": np.array([1, 2])}, "its detector is int64"),
        ({**NAMED, "mu": np.array([None] * 224)}, "'mu' cannot be read: it holds pickled objects"),
        ({**NAMED, "detector": np.array("mnist-cn")}, "did you mean 'mnist-cnn'"),
        ({**NAMED, "weights_sha256": np.array("0" * 64)}, "whose weights_sha256 is '0000"),
        ({**NAMED, "mu": np.zeros(9), "sigma": np.eye(9)}, "9 and 224 features"),
        ({**NAMED, "shape": np.array([3, 28, 28])}, "28x28 gray and the real ones"),
    ],
)
def test_files_that_cannot_be_right_are_refused_in_one_line(arrays, says: str, tmp_path: Path, digits) -> None:
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(cf.InputError, match=says) as error:
        cf.score(digits[0][:20], tmp_path / "bad.npz")
    assert "\n" not in str(error.value)


def test_what_statistics_cannot_do_is_said(written: Path, digits, tmp_path: Path) -> None:
    with pytest.raises(
        cf.InputError, match="contains only mu and sigma, and kid needs real images: pass --metrics fid"
    ):
        cf.score(digits[0], written, metrics=["fid", "kid"])
    with pytest.raises(cf.InputError, match="only score can use it as --real"):
        cf.cas(digits[0], written, labels=digits[1])
    with pytest.raises(cf.InputError, match="fashion-cnn has '"):
        cf.score(digits[0], written, detector="fashion-cnn")
    with pytest.raises(cf.InputError, match="is a function, which cannot be identified later"):
        cf.stats(digits[0], tmp_path / "s.npz", detector=lambda x: x.float().flatten(1))
    with pytest.raises(cf.InputError, match=r"are written to an \.npz file, such as s\.npy\.npz"):
        cf.stats(digits[0], tmp_path / "s.npy")
    with pytest.raises(cf.InputError, match="has 1,000 images, so take 2 to 1000"):
        cf.stats(digits[0], tmp_path / "s.npz", n=1001)
    np.savez(tmp_path / "inception.npz", mu=np.zeros(2048), sigma=np.eye(2048))
    with pytest.raises(cf.InputError, match="does not say which detector its statistics are of"):
        cf.score(digits[0], tmp_path / "inception.npz", detector="mnist-cnn")


def test_images_of_several_sides_have_no_size_to_be_seen_at(tmp_path: Path, random_inception: Path) -> None:
    np.savez(tmp_path / "theirs.npz", mu=np.zeros(2048), sigma=np.eye(2048))
    (tmp_path / "fakes").mkdir()
    for side in (16, 20):
        Image.new("RGB", (side, side)).save(tmp_path / "fakes" / f"{side}.png")
    with pytest.raises(cf.InputError, match="16x16.*20x20"):
        cf.score(tmp_path / "fakes", tmp_path / "theirs.npz", weights=str(random_inception), any_weights=True)


def test_the_file_of_the_images_is_not_written_over(digits, tmp_path: Path) -> None:
    own = tmp_path / "own.npz"
    np.savez(own, images=digits[0][:20])
    before = own.read_bytes()
    for source in (own, f"{own}:train"):
        with pytest.raises(cf.InputError, match="the file of the images and would be overwritten"):
            cf.stats(source, own)
    assert own.read_bytes() == before
    with pytest.raises(cf.InputError, match="array has 1 image; statistics need at least 2"):
        cf.stats(digits[0][:1], tmp_path / "s.npz")


def test_images_of_another_size_are_told_the_size_of_the_statistics(written: Path) -> None:
    small = np.zeros((4, 16, 16), np.uint8)
    with pytest.raises(cf.InputError, match="holds statistics of 28x28: pass --size 28"):
        cf.score(small, written, detector="mnist-cnn")
    assert cf.score(small, written, size=28)[FID].value > 0
