"""Seeded features for the tests of metrics, and for the script that asks the peers about the same features.

Only numpy's RandomState, whose streams are frozen, and elementwise arithmetic: the same numbers on every machine.
"""

import numpy as np


def features(seed, n, d, stretch=1.0, shift=0.0, relu=False):
    """Features (n, d), float64: columns of unequal scale that depend on each other and are skewed."""
    normal = np.random.RandomState(seed).standard_normal((n, d))
    scale = np.exp(-3 * np.arange(d) / d)
    mixed = normal + 0.5 * np.roll(normal, 1, axis=1) + 0.3 * normal**2
    mixed = stretch * scale * mixed + shift * scale
    return np.maximum(mixed, 0) if relu else mixed


def logits(seed, n, classes):
    """Classifier outputs (n, classes), float64: sure of some images, unsure of others."""
    rng = np.random.RandomState(seed)
    return rng.standard_normal((n, classes)) * (1 + 4 * rng.rand(n, 1))


# name: real, fake, size of a KID subset. "few" and "one-few" have fewer images than features.
CASES = {
    "plain": (features(1, 1500, 64), features(2, 1500, 64, 1.1, 0.1), 1000),
    "relu": (features(3, 1200, 32, relu=True), features(4, 1700, 32, 0.8, 0.2, relu=True), 1000),
    "few": (features(5, 40, 64), features(6, 60, 64, 1.2, 0.3), 30),
    "one-few": (features(7, 500, 64), features(8, 50, 64, 0.7), 50),
}
LOGITS = {"10 classes": logits(9, 1503, 10), "1008 classes": logits(10, 700, 1008)}


def deficient(n):
    """Two sets of n images with 2,048 features, as from Inception: covariances of rank n - 1."""
    return features(20 + n, n, 2048), features(21 + n, n, 2048, 1.2, 0.1)


def softmax(x):
    """Class probabilities of logits (n, classes)."""
    powers = np.exp(x - x.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def longdouble_fid(real, fake):
    """FID in np.longdouble by another way than the library's: the nuclear norm is tr(Uᵀ C), C = U H the polar form.

    U comes from Newton-Schulz, X ← X (3 I − Xᵀ X) / 2, which drives every singular value that is not 0 to 1 and needs
    matrix products only, so that numpy's long double, which has no LAPACK, will do.
    """
    x, y = real.astype(np.longdouble), fake.astype(np.longdouble)
    step = x.mean(axis=0) - y.mean(axis=0)
    x = (x - x.mean(axis=0)) / np.sqrt(np.longdouble(len(x) - 1))
    y = (y - y.mean(axis=0)) / np.sqrt(np.longdouble(len(y) - 1))
    product = x @ y.T
    polar = product / np.sqrt((product**2).sum())
    for _ in range(60):
        # 60 rounds multiply rounding in the null space by 1.5^60 = 4e10, from 1e-19: it still counts for nothing.
        polar = 1.5 * polar - 0.5 * polar @ (polar.T @ polar)
    return step @ step + (x**2).sum() + (y**2).sum() - 2 * (polar * product).sum()
