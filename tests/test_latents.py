"""Lines, arcs, planes and directions of latents: closed forms."""

from __future__ import annotations

import numpy as np
import pytest

import counterfeit as cf
from counterfeit import latents

T = np.linspace(0, 1, 5, dtype=np.float32)


def draws(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def test_a_line_and_an_arc_have_both_ends_to_the_bit() -> None:
    start, end = draws(4, 7), draws(4, 7, seed=1)
    for path in (latents.line, latents.arc):
        found = path(start, end, T)
        assert found.shape == (4, 5, 7) and found.dtype == np.float32
        assert np.array_equal(found[:, 0], start) and np.array_equal(found[:, -1], end)


def test_an_arc_of_a_quarter_is_that_of_cosine_and_sine() -> None:
    found = latents.arc(np.array([[2.0, 0, 0]]), np.array([[0, 2.0, 0]]), np.array([0.25, 0.5, 0.75]))
    angle = np.pi / 2 * np.array([0.25, 0.5, 0.75])
    expected = 2 * np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1)
    assert np.allclose(found[0], expected, atol=1e-6)  # float32


def test_an_arc_keeps_the_norm_where_a_line_loses_it_and_turns_evenly() -> None:
    start = draws(6, 100)
    end = draws(6, 100, seed=1)
    end *= np.linalg.norm(start, axis=1, keepdims=True) / np.linalg.norm(end, axis=1, keepdims=True)
    norms = np.linalg.norm(latents.arc(start, end, T), axis=2)
    assert np.allclose(norms, norms[:, :1], rtol=1e-5)
    assert (np.linalg.norm(latents.line(start, end, T)[:, 2], axis=1) < 0.8 * norms[:, 0]).all()
    units = latents.arc(start, end, T).astype(float) / norms[..., None]
    turns = np.arccos((units[:, 1:] * units[:, :-1]).sum(axis=2))
    assert np.allclose(turns, turns[:, :1], rtol=1e-3)  # arccos of float32 near 1


@pytest.mark.parametrize("end", [(2.0, 4.0), (-1.0, -2.0), (0.0, 0.0)])
def test_where_there_is_no_arc_it_is_the_line(end: tuple[float, float]) -> None:
    start, end_ = np.array([[1.0, 2.0]]), np.array([end])
    assert np.allclose(latents.arc(start, end_, T), latents.line(start, end_, T), atol=1e-6)


def test_arcs_of_latents_that_are_images_are_those_of_their_numbers() -> None:
    start, end = draws(2, 3, 4, 4), draws(2, 3, 4, 4, seed=1)
    flat = latents.arc(start.reshape(2, -1), end.reshape(2, -1), T)
    assert np.array_equal(latents.arc(start, end, T).reshape(2, 5, -1), flat)


def test_a_plane_hits_its_corners_and_is_linear_between() -> None:
    origin, across, down = draws(3, 2, 2)
    u, v = np.array([-1.0, 0.0, 2.0]), np.array([0.5, 3.0])
    found = latents.plane(origin, across, down, u, v)
    assert found.shape == (2, 3, 2, 2)
    assert np.allclose(found[0, 0], origin - across + 0.5 * down)
    assert np.allclose(found[1, 2], origin + 2 * across + 3 * down)
    assert np.allclose(found[0, 1], found[0, 0] / 3 * 2 + found[0, 2] / 3)


def orthonormal(found: latents.Directions) -> bool:
    flat = found.axes.reshape(len(found.axes), -1).astype(float)
    return np.allclose(flat @ flat.T, np.eye(len(flat)), atol=1e-6)


def test_random_directions_are_orthonormal_seeded_and_as_long_as_latents_spread() -> None:
    like = 3 * draws(20_000, 5) + 1
    found = latents.random(like, 4, seed=2)
    assert found.axes.shape == (4, 5) and orthonormal(found)
    assert np.allclose(found.center, 1, atol=0.1) and np.allclose(found.scales, 3, atol=0.1)  # 4 standard errors
    assert np.array_equal(found.axes, latents.random(like, 4, seed=2).axes)
    assert not np.allclose(found.axes, latents.random(like, 4, seed=3).axes)
    assert latents.random(like, 99, seed=2).axes.shape == (5, 5), "no more than there are"


def test_principal_directions_are_the_axes_of_an_ellipsoid() -> None:
    turn = np.linalg.qr(draws(4, 4).astype(float))[0]
    codes = draws(50_000, 4) * np.array([4.0, 2.0, 1.0, 0.5]) @ turn.T + 7
    found = latents.principal(codes, 3)
    assert orthonormal(found)
    assert np.allclose(found.center, 7, atol=0.1) and np.allclose(found.scales, [4, 2, 1], rtol=0.02)
    assert np.allclose(np.abs((found.axes @ turn)[:, :3]), np.eye(3), atol=0.03)
    assert (found.axes.max(axis=1) == np.abs(found.axes).max(axis=1)).all(), "signs are the same everywhere"
    shaped = latents.principal(codes.reshape(-1, 2, 2), 3)
    assert np.allclose(shaped.axes.reshape(3, 4), found.axes, atol=1e-5)


def test_the_strongest_directions_of_a_linear_decoder_are_its_right_singular_vectors() -> None:
    a = draws(30, 6).astype(float) * np.array([5, 4, 3, 2, 1, 0.1])
    points = draws(3, 6, seed=1)
    found = latents.strongest(lambda z, i: z @ a.T + i, points, 0.1, draws(100, 6, seed=2), 4)
    expected = np.linalg.svd(a)[2][:4]
    assert orthonormal(found)
    assert np.allclose(np.abs(found.axes @ expected.T), np.eye(4), atol=1e-3)  # differences of float32 latents


def test_the_strongest_directions_of_a_curved_decoder_are_those_of_the_mean_metric() -> None:
    """pixels = z²: J = 2 diag(z), so that the metric is diagonal, of 4 times the means of z² over the points."""
    points = np.array([[1.0, 0.0, 3.0], [2.0, 0.0, -1.0]], np.float32)  # means of squares: 2.5, 0, 5
    found = latents.strongest(lambda z, i: z**2, points, 0.01, draws(50, 3), 3)
    assert np.allclose(np.abs(found.axes), np.eye(3)[[2, 0, 1]], atol=1e-3)


def test_a_direction_that_is_not_there_is_refused() -> None:
    found = latents.random(draws(10, 3), 2, seed=0)
    assert np.allclose(found.step(1), found.axes[1] * found.scales[1])
    for axis in (-1, 2):
        with pytest.raises(cf.InputError, match="choose 0 to 1"):
            found.step(axis)
