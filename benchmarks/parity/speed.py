"""The algebra of FID against scipy's matrix square root, as pytorch-fid and clean-fid use it: seconds and results.

PYTHONPATH=src python benchmarks/parity/speed.py        (in an environment with scipy; half a minute)
"""

import sys
import time
from pathlib import Path

import numpy as np
import scipy
from scipy.linalg import sqrtm

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

from counterfeit.metrics.frechet import Moments, frechet_distance  # noqa: E402
from metrics_cases import features  # noqa: E402


def timed(function):
    """Seconds of the faster of two calls, and the result."""
    times = []
    for _ in range(2):
        start = time.perf_counter()
        result = function()
        times.append(time.perf_counter() - start)
    return min(times), result


def textbook(a, b):
    """The formula with one square root of the product."""
    root = sqrtm(a.covariance @ b.covariance)
    step = a.mean - b.mean
    return float(step @ step + np.trace(a.covariance + b.covariance - 2 * root.real))


def main(d=2048):
    """Print one line for sets with more images than features, and one for fewer."""
    print(f"numpy {np.__version__}, scipy {scipy.__version__}, d = {d}")
    for n in (5000, 500):
        turn = np.linalg.qr(features(0, d, d))[0]
        a, b = Moments.of(features(1, n, d) @ turn), Moments.of(features(2, n, d, 1.2, 0.1) @ turn)
        ours, value = timed(lambda a=a, b=b: frechet_distance(a, b))
        theirs, other = timed(lambda a=a, b=b: textbook(a, b))
        print(
            f"n = {n}: {ours:.2f} s against sqrtm's {theirs:.2f} s, {theirs / ours:.1f} times; "
            f"{value!r} and {other!r}, relative difference {abs(value / other - 1):.1e}"
        )


if __name__ == "__main__":
    main()
