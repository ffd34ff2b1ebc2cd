"""FID against closed forms, extended precision and its own symmetries."""

import json
from pathlib import Path

import numpy as np
import pytest

from counterfeit.errors import InputError
from counterfeit.metrics.frechet import Moments, fid, fid_infinity, frechet_distance
from metrics_cases import deficient, features, longdouble_fid

TRUTH = json.loads((Path(__file__).parent / "metrics_truth.json").read_text())["fid_d2048_by_n"]


def rotation(rng, d):
    return np.linalg.qr(rng.standard_normal((d, d)))[0]


def sample(rng, n, root, mean=0.0):
    """n rows whose sample mean is `mean` and whose sample covariance is root rootᵀ, both exactly."""
    rows = rng.standard_normal((n, len(root)))
    orthonormal = np.linalg.qr(rows - rows.mean(axis=0))[0]
    return np.sqrt(n - 1) * orthonormal @ root.T + mean


def value(real, fake):
    return fid(real, fake, error=False).value


# Closed forms. The samples hit their moments to about 1e-15 of the trace, which is what 1e-11 leaves room for.


def test_equal_covariances_leave_the_means():
    rng = np.random.default_rng(0)
    root = rotation(rng, 24) * np.linspace(0.1, 3, 24)
    shift = rng.standard_normal(24)
    assert value(sample(rng, 90, root), sample(rng, 70, root, shift)) == pytest.approx(shift @ shift, rel=1e-11)


def test_commuting_covariances():
    rng = np.random.default_rng(1)
    basis, a, b = rotation(rng, 24), rng.uniform(0.01, 3, 24), rng.uniform(0.01, 3, 24)
    got = value(sample(rng, 90, basis * a), sample(rng, 70, basis * b))
    assert got == pytest.approx(np.sum((a - b) ** 2), rel=1e-11)


def test_covariances_that_do_not_commute():
    # The optimal map from N(0, A) to N(0, T A T) is T itself where T is symmetric and positive: FID = tr (I−T) A (I−T).
    rng = np.random.default_rng(2)
    root = rotation(rng, 16) * np.linspace(0.2, 2, 16)
    basis = rotation(rng, 16)
    transport = basis * rng.uniform(0.3, 2, 16) @ basis.T
    got = value(sample(rng, 50, root), sample(rng, 60, transport @ root))
    rest = (np.eye(16) - transport) @ root
    assert got == pytest.approx(np.sum(rest**2), rel=1e-11)


@pytest.mark.parametrize("n", [40, 3000])
def test_identical_sets_give_zero(n):
    rng = np.random.default_rng(3)
    rows = features(1, n, 256) @ rotation(rng, 256)
    assert value(rows, rows) <= 1e-10
    # The same Gaussian from other rows: only rounding is left, a part in 1e15 of the traces.
    assert value(rows, -rows[::-1] + 2 * rows.mean(axis=0)) <= 1e-10


@pytest.mark.parametrize("rank", [1, 5, 20])
def test_many_images_of_low_rank(rank):
    # n > d, but both covariances are singular, on subspaces that only overlap: no Cholesky, eigenvalues at rounding.
    rng = np.random.default_rng(4)
    basis = rotation(rng, 32)
    a, b = np.zeros(32), np.zeros(32)
    a[:rank], b[rank // 2 : rank // 2 + rank] = 2.0, 3.0
    real, fake = sample(rng, 80, np.eye(32)) @ (basis * a).T, sample(rng, 99, np.eye(32)) @ (basis * b).T
    assert value(real, fake) == pytest.approx(np.sum((a - b) ** 2), rel=1e-11)
    assert value(real, real) <= 1e-10


def test_wide_spectrum_falls_back_from_cholesky():
    # Eigenvalues from 1 to 1e-12: those of the product span 1e-24, far below rounding.
    rng = np.random.default_rng(5)
    basis, a = rotation(rng, 64), np.logspace(0, -6, 64)
    assert value(sample(rng, 200, basis * a), sample(rng, 300, basis * 2 * a)) == pytest.approx(np.sum(a**2), rel=1e-9)


@pytest.mark.parametrize("n", [5, 100, 500])
def test_rank_deficient_at_2048_against_extended_precision(n):
    # tests/metrics_truth.json: 80-bit Newton-Schulz, for n = 5 confirmed by mpmath with 40 digits.
    assert value(*deficient(n)) == pytest.approx(TRUTH[str(n)], rel=1e-12)
    assert value(deficient(n)[0], deficient(n)[0][::-1]) <= 1e-10


@pytest.mark.parametrize("sizes", [(30, 30), (30, 200), (200, 30), (150, 200), (64, 64), (65, 65), (64, 65)])
def test_every_mixture_of_sizes_against_long_double(sizes):
    # d = 64: fewer images than features in none, either or both of the sets, and the edge n = d, d + 1.
    real, fake = features(1, sizes[0], 64), features(2, sizes[1], 64, 1.3, 0.2)
    assert value(real, fake) == pytest.approx(float(longdouble_fid(real, fake)), rel=1e-10)


# Symmetries


def test_symmetric_and_unmoved_by_shift_and_rotation():
    rng = np.random.default_rng(6)
    real, fake, turn = features(1, 300, 20), features(2, 200, 20, 1.2), rotation(rng, 20)
    expected = value(real, fake)
    assert value(fake, real) == pytest.approx(expected, rel=1e-10)
    assert value(real @ turn + 5, fake @ turn + 5) == pytest.approx(expected, rel=1e-10)
    assert value(3 * real, 3 * fake) == pytest.approx(9 * expected, rel=1e-10)


@pytest.mark.parametrize("n", [30, 64, 65, 700])
def test_batches_and_order_do_not_matter(n):
    rng = np.random.default_rng(7)
    real, fake = Moments.of(features(1, 500, 64)), features(2, n, 64, 1.2) + 30  # an offset makes careless sums cancel
    expected = frechet_distance(real, Moments.of(fake))
    for cuts in ([1], [7, 8, 29], range(1, n), range(16, n, 16)):
        stream = Moments(64)
        for batch in np.split(rng.permutation(fake), list(cuts)):
            stream.update(batch)
        assert stream.n == n
        assert frechet_distance(real, stream) == pytest.approx(expected, rel=1e-9)


def test_moments_merge_as_a_tree():
    rows = features(3, 1000, 16) + 100
    parts = [Moments.of(part) for part in np.array_split(rows, 8)]
    while len(parts) > 1:
        for left, right in zip(parts[::2], parts[1::2], strict=True):
            left.merge(right)
        parts = parts[::2]
    np.testing.assert_allclose(parts[0].mean, rows.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(parts[0].covariance, np.cov(rows, rowvar=False), rtol=1e-10, atol=1e-14)


def test_moments_hold_no_reference_to_a_reused_buffer():
    buffer = features(4, 8, 16)
    stream = Moments.of(buffer)
    before = stream.factor().copy()
    buffer[:] = 0
    np.testing.assert_array_equal(stream.factor(), before)


def test_memory_of_a_stream_is_bounded_by_the_square_of_the_features():
    stream = Moments(8)
    for seed in range(50):
        stream.update(features(seed, 100, 8))
    held = sum(part.nbytes for part in vars(stream).values() if isinstance(part, np.ndarray))
    assert stream.n == 5000 and held <= 2 * 8 * (8 * 8 + 8)


def test_float32_features_are_summed_in_float64():
    real, fake = (1000 + features(seed, 400, 16).astype(np.float32) for seed in (1, 2))
    assert real.dtype == np.float32
    assert value(real, fake) == value(real.astype(np.float64), fake.astype(np.float64))


def test_moments_refuse_what_does_not_fit():
    stream = Moments(4)
    with pytest.raises(InputError, match="at least 2 images, not 0"):
        _ = stream.covariance
    with pytest.raises(InputError, match="5 features cannot join moments of 4"):
        stream.update(np.ones((3, 5)))
    with pytest.raises(InputError, match="the features: 1 of 3 images have NaN"):
        stream.update([[1, 2, 3, 4], [1, 2, 3, np.inf], [0, 0, 0, 0]])
    with pytest.raises(InputError, match="4 and 5 features"):
        frechet_distance(Moments(4), Moments(5))


# Uncertainty and extrapolation, by simulation. Seeded; the bounds are wide enough for the noise of so few repeats.


@pytest.mark.parametrize(
    ("n", "d", "stretch", "least", "most"),
    [
        (300, 8, 1.3, 0.8, 1.25),  # n well above d, distributions that differ: right, within the noise
        (300, 8, 1.0, 1.0, 1.7),  # the same distribution: the first-order term vanishes, measured 1.27 over 600 draws
        (60, 100, 1.3, 1.0, 1.7),  # n below d: errs on the large side, measured 1.24 over 200 draws
    ],
)
def test_standard_error_against_the_spread_over_repeated_sampling(n, d, stretch, least, most):
    found = [fid(features(2 * i, n, d), features(2 * i + 1, n, d, stretch)) for i in range(100)]
    spread = np.std([one.value for one in found])  # itself known to 7 %
    assert least < np.mean([one.uncertainty for one in found]) / spread < most


def test_the_error_has_a_part_for_each_set_and_leaves_the_value_alone():
    real, fake = features(1, 200, 16), features(2, 200, 16, 1.2)
    parts = fid(real, fake)
    assert parts.value == value(real, fake)
    assert parts.uncertainty == pytest.approx(np.hypot(*parts.extras.values()))


def test_fid_infinity_removes_the_bias_of_few_fakes():
    rng = np.random.default_rng(8)
    scale = np.exp(-np.arange(16) / 5)
    real = sample(rng, 2000, np.diag(scale))
    truth = 16 * 0.1**2 + np.sum((0.2 * scale) ** 2)
    found = [fid_infinity(real, 1.2 * scale * rng.standard_normal((400, 16)) + 0.1) for _ in range(40)]
    plain = [value(real, 1.2 * scale * rng.standard_normal((400, 16)) + 0.1) for _ in range(40)]
    values, errors = np.array([one.value for one in found]), np.array([one.uncertainty for one in found])
    error_of_mean = values.std() / np.sqrt(40)
    assert abs(values.mean() - truth) < 3 * error_of_mean < np.mean(plain) - truth
    assert np.mean(np.abs(values - truth) < 2 * errors) >= 0.85


def test_fid_infinity_says_when_it_cannot():
    assert fid_infinity(features(1, 50, 4), features(2, 3, 4)).notes
    assert "too few to trust" in fid_infinity(features(1, 50, 16), features(2, 50, 16)).notes[0]
