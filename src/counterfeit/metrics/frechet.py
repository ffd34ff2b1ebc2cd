"""Fréchet distance of features (FID), its standard error, and its limit for infinitely many samples (FID∞).

No matrix square root is computed. With factors Σa = A Aᵀ and Σb = B Bᵀ, tr((Σa Σb)^½) is the nuclear norm of Aᵀ B: a
sum of singular values, which are real and nonnegative for any rank. If both covariances have full rank, Σ √eigvalsh(Aᵀ
Σb A) with a Cholesky factor A gives the same number at lower cost.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from counterfeit.errors import InputError
from counterfeit.metrics.value import PROTOCOL_SEED, Floats, Value, as_features, as_pair, standard_errors

EPS = float(np.finfo(np.float64).eps)
MANY = 1 << 40  # images: used if the number is unknown; more than any covariance has columns


class Moments:
    """Number, mean (D,) and scatter (D, D) of a set of features, accumulated batch by batch in float64.

    Memory is O(D²) for any number of images. The result depends on the size and order of the batches only through
    rounding (Chan, Golub & LeVeque 1983). While there are at most D rows, the rows are stored too: they are an exact
    factor of the rank-deficient covariance, and replace an eigendecomposition that would take seconds at D = 2048.
    """

    def __init__(self, columns: int) -> None:
        self.n = 0
        self.mean: Floats = np.zeros(columns)
        self.scatter: Floats = np.zeros((columns, columns))
        self._rows: Floats | None = np.zeros((0, columns))

    @classmethod
    def of(cls, features: ArrayLike, name: str = "the") -> Moments:
        """The moments of one array (N, D), N at least 1; `name` identifies the set in an InputError."""
        rows = as_features(features, name, least=1)
        count, columns = rows.shape
        moments = cls(columns)
        moments.n = count
        moments.mean = rows.mean(axis=0)
        centered = rows - moments.mean
        moments.scatter = centered.T @ centered
        moments._rows = rows.copy() if count <= columns else None
        return moments

    @classmethod
    def given(cls, mean: Floats, covariance: Floats, n: int | None) -> Moments:
        """Make moments from a known mean (D,), covariance (D, D) and number of images, None if unknown."""
        moments = cls(len(mean))
        moments.n = MANY if n is None else n
        moments.mean, moments.scatter, moments._rows = mean, covariance * (moments.n - 1), None
        return moments

    def update(self, batch: ArrayLike, name: str = "the") -> None:
        """Add a batch (N, D)."""
        self.merge(Moments.of(batch, name))

    def merge(self, other: Moments) -> None:
        """Add the moments of another set."""
        if len(other.mean) != len(self.mean):
            raise InputError(f"a batch of {len(other.mean)} features cannot join moments of {len(self.mean)}")
        n = self.n + other.n
        if n == 0:
            return
        step = other.mean - self.mean
        self.mean = self.mean + step * (other.n / n)
        self.scatter = self.scatter + other.scatter + np.outer(step, step) * (self.n * other.n / n)
        if self._rows is not None and other._rows is not None and n <= len(self.mean):
            self._rows = np.concatenate([self._rows, other._rows])
        else:
            self._rows = None
        self.n = n

    @property
    def covariance(self) -> Floats:
        """The covariance (D, D) with denominator n - 1."""
        if self.n < 2:
            raise InputError(f"a covariance needs at least 2 images, not {self.n}")
        return self.scatter / (self.n - 1)

    def factor(self) -> Floats:
        """A matrix F (D, R) with F Fᵀ = covariance; R is at most n, or the numerical rank if n > D."""
        if self._rows is not None and self.n > 1:
            return (self._rows - self.mean).T / np.sqrt(self.n - 1)
        values, vectors = np.linalg.eigh(self.covariance)
        # Eigenvalues have about this absolute error; smaller ones are rounding, whose square root would matter.
        kept = values > len(values) * EPS * values[-1]
        return vectors[:, kept] * np.sqrt(values[kept])


def frechet_distance(a: Moments, b: Moments) -> float:
    """‖μa − μb‖² + tr Σa + tr Σb − 2 tr((Σa Σb)^½) in squared feature units, in [0, ∞): never complex, never NaN.

    The squared Fréchet (2-Wasserstein) distance between two Gaussians: Dowson & Landau 1982; for images Heusel et al.
    2017 (arXiv:1706.08500). Exact for rank-deficient covariances (Mathiasen & Hvilshøj 2020, arXiv:2009.14075). Raises
    InputError if a set has fewer than 2 images or the numbers of features differ.
    """
    if len(a.mean) != len(b.mean):
        raise InputError(f"the sets have {len(a.mean)} and {len(b.mean)} features; both must come from one detector")
    traces = np.trace(a.covariance) + np.trace(b.covariance)
    root = _fast_root_trace(a, b, traces)
    if root is None:
        root = float(np.linalg.svd(a.factor().T @ b.factor(), compute_uv=False).sum())
    step = a.mean - b.mean
    # The exact value is not negative; anything below zero is rounding.
    return max(0.0, float(step @ step + traces - 2 * root))


def _fast_root_trace(a: Moments, b: Moments, traces: float) -> float | None:
    """tr((Σa Σb)^½) by Cholesky, or None if that would lose digits."""
    if min(a.n, b.n) <= len(a.mean):
        return None
    try:
        lower = np.linalg.cholesky(a.covariance)
    except np.linalg.LinAlgError:
        return None
    values = np.linalg.eigvalsh(lower.T @ b.covariance @ lower)
    # An eigenvalue w has an error of about rounding = eps·max(w), so √w has one of about rounding/√w, or √rounding near
    # 0.
    rounding = EPS * values[-1]
    doubt = np.sum(rounding / np.sqrt(np.maximum(values, rounding))) if rounding > 0 else 0.0
    return float(np.sqrt(np.maximum(values, 0)).sum()) if doubt <= 1e-8 * traces else None


def fid(real: ArrayLike, fake: ArrayLike, *, error: bool = True) -> Value:
    """The Fréchet distance between features real (N, D) and fake (M, D), with its standard error.

    FID is biased upward by about c/N, with a c that depends on the model: compare only at equal N and M, or use
    `fid_infinity`. `error=False` skips the standard error, which costs more than the distance (7 s at D = 2048).
    The standard error is a first-order estimate. In simulations, relative to the spread over fresh sets, it is correct
    (0.95 to 1.1 times) if the distributions differ and N, M are well above D. If the distributions are equal, the
    first-order term vanishes, and the estimate is 1.3 to 1.6 times too large at any N; for N, M below D, 1.2 to 1.5
    times.
    Raises InputError (fewer than 2 images, numbers that are not finite, different numbers of columns).
    """
    real, fake = as_pair(real, fake)
    moments = Moments.of(real), Moments.of(fake)
    value = frechet_distance(*moments)
    if not error:
        return Value(value)
    of_real, of_fake = _standard_errors((real, fake), moments)
    return Value(
        value,
        float(np.hypot(of_real, of_fake)),
        "standard error from the sampling of both sets (infinitesimal jackknife); leaves out FID's bias",
        standard_errors(of_real, of_fake),
    )


def fid_to(real: Moments, fake: ArrayLike) -> Value:
    """FID of features fake (M, D) against the moments of real features; the same value as `fid` with both sets.

    The ± leaves out the sampling of the real images, which would need their individual features. Assuming normal
    features does not work: on MNIST this gave only 0.6 to 0.9 of the real images' part.
    Raises InputError as `fid` does.
    """
    fake = as_features(fake, "fake")
    moments = real, Moments.of(fake)
    value = frechet_distance(*moments)
    _, of_fake = _standard_errors((None, fake), moments)
    return Value(
        value,
        of_fake,
        "standard error from the sampling of the generated images alone (infinitesimal jackknife): that of the real "
        "ones cannot be known from their statistics; leaves out FID's bias",
        {"standard_error_fake": of_fake},
    )


def _standard_errors(sets: tuple[Floats | None, Floats], moments: tuple[Moments, Moments]) -> tuple[float, float]:
    """Each set's part of the standard error: the spread of the images' first-order influence on the distance, over √n.

    NaN for a set whose rows are not known.

    The influence of an image y of set b is 2 (μb − μa)·(y − μb) + (y − μb)ᵀ (I − T)(y − μb), where T is the linear
    optimal transport from b to a; with Aᵀ B = U S Vᵀ, yᵀ T y = ‖S^-½ Uᵀ Aᵀ y‖². Unlike a bootstrap, this repeats no
    image: repeats lower the rank and inflate FID itself.
    """
    factors = moments[0].factor(), moments[1].factor()
    left, values, right = np.linalg.svd(factors[0].T @ factors[1], full_matrices=False)
    # Directions that carry nothing (below √eps of the largest) would divide rounding by rounding.
    kept = values > np.sqrt(EPS) * values.max(initial=0.0)
    scale = np.sqrt(values[kept])
    maps = factors[1] @ right[kept].T / scale, factors[0] @ left[:, kept] / scale
    step = moments[0].mean - moments[1].mean
    errors = []
    for rows, own, transport, direction in zip(sets, moments, maps, (step, -step), strict=True):
        if rows is None:
            errors.append(np.nan)
            continue
        centered = rows - own.mean
        pull = 2 * centered @ direction + np.square(centered).sum(axis=1) - np.square(centered @ transport).sum(axis=1)
        errors.append(float(pull.std(ddof=1) / np.sqrt(own.n)))
    return errors[0], errors[1]


def fid_infinity(real: ArrayLike, fake: ArrayLike, *, points: int = 15, seed: int = PROTOCOL_SEED) -> Value:
    """FID∞: the intercept of a straight line through FID against 1/M, for seeded subsets of M images of fake.

    Chong & Forsyth 2020 (arXiv:1911.07023): 15 sizes at equal steps up to all fakes, real (N, D), fake (M, D). It
    removes the bias due to the number of fakes, but not that due to the number of reals. Since it is an intercept, it
    can be slightly negative.
    Raises InputError as `fid` does.
    """
    real, fake = as_pair(real, fake)
    count, columns = fake.shape
    reference = Moments.of(real)
    # FID is linear in 1/M only for M well above D, hence the second term.
    smallest = max(2, count // 10, min(2 * columns, count // 2))
    sizes = np.unique(np.linspace(smallest, count, points).astype(int))
    rng = np.random.RandomState(seed)
    values = [frechet_distance(reference, Moments.of(fake[rng.permutation(count)[:size]])) for size in sizes]
    if len(sizes) < 3:
        return Value(values[-1], notes=(f"{count} fakes are too few to extrapolate: this is the plain FID",))
    value, slope, fit_error = _line(1 / sizes, np.array(values))
    # The subsets share images, so the error of the fit leaves out the sampling of the whole set: add it.
    of_real, of_fake = _standard_errors((real, fake), (reference, Moments.of(fake)))
    of_fake = float(np.hypot(of_fake, fit_error))
    notes = () if count >= 4 * columns else (f"{count} fakes for {columns} features are too few to trust the line",)
    return Value(
        value,
        float(np.hypot(of_real, of_fake)),
        "standard error from the fitted line and the sampling of both sets",
        {
            "slope": slope,
            "smallest_subset": float(sizes[0]),
            "points": float(len(sizes)),
            **standard_errors(of_real, of_fake),
        },
        notes,
    )


def _line(x: Floats, y: Floats) -> tuple[float, float, float]:
    """Intercept, slope, and standard error of the intercept of the least-squares line through at least 3 points."""
    centered = x - x.mean()
    spread = float(centered @ centered)
    slope = float(centered @ y) / spread
    intercept = float(y.mean() - slope * x.mean())
    variance = float(np.square(y - intercept - slope * x).sum()) / (len(x) - 2)
    return intercept, slope, float(np.sqrt(variance * (1 / len(x) + x.mean() ** 2 / spread)))
