"""FID of rank-deficient sets at d = 2048 in extended precision: writes tests/metrics_truth.json.

    python benchmarks/parity/truth.py        (numpy and mpmath; a minute)

The nuclear norm by Newton-Schulz in 80-bit long double (tests/metrics_cases.py says how), for n = 5 also by
mpmath's singular values with 40 digits; both must agree.
"""

import json
import sys
from pathlib import Path

import mpmath
import numpy as np

TESTS = Path(__file__).resolve().parents[2] / "tests"
sys.path.insert(0, str(TESTS))

from metrics_cases import deficient, longdouble_fid  # noqa: E402


def mpmath_fid(real, fake):
    """The textbook formula on the n x n product, every step with 40 digits."""
    mpmath.mp.dps = 40
    n, m, d = len(real), len(fake), real.shape[1]
    x, y = ([[mpmath.mpf(float(v)) for v in row] for row in rows] for rows in (real, fake))
    mean_x, mean_y = ([mpmath.fsum(column) / len(rows) for column in zip(*rows, strict=True)] for rows in (x, y))
    x = [[v - c for v, c in zip(row, mean_x, strict=True)] for row in x]
    y = [[v - c for v, c in zip(row, mean_y, strict=True)] for row in y]
    product = mpmath.matrix([[mpmath.fdot(a, b) for b in y] for a in x])
    root = mpmath.fsum(mpmath.svd(product, compute_uv=False)) / mpmath.sqrt((n - 1) * (m - 1))
    traces = mpmath.fsum(mpmath.fdot(a, a) for a in x) / (n - 1) + mpmath.fsum(mpmath.fdot(b, b) for b in y) / (m - 1)
    return mpmath.fsum((mean_x[i] - mean_y[i]) ** 2 for i in range(d)) + traces - 2 * root


def main():
    """Write the truths."""
    assert np.finfo(np.longdouble).eps < 1e-18, "long double is no longer than double here"
    truths = {str(n): float(longdouble_fid(*deficient(n))) for n in (5, 100, 500)}
    other = float(mpmath_fid(*deficient(5)))
    assert abs(truths["5"] / other - 1) < 1e-15, (truths["5"], other)
    (TESTS / "metrics_truth.json").write_text(json.dumps({"fid_d2048_by_n": truths}, indent=2) + "\n")


if __name__ == "__main__":
    main()
