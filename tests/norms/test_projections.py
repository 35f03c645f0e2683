"""Nearest points, against quadratic programs and by the inequality that characterises them."""

import cvxpy as cp
import pytest
import torch

from muon_theory.norms.projections import ky_fan, project_capped, project_ky_fan, project_power

INFINITE = torch.tensor(torch.inf, dtype=torch.float64)


def vectors(seed, count=60, r=5):
    """Spread, tied and partly zero vectors."""
    generator = torch.Generator().manual_seed(seed)
    s = torch.rand(count, r, generator=generator, dtype=torch.float64).pow(3) * 4
    s[::4] = (s[::4] * 2).round() / 2
    s[1::7, 2:] = 0
    return s


def is_nearest(s, z, inside):
    """<s - z, y - z> <= 0 for points y of the set, and z belongs to the set."""
    return bool(((s - z)[:, None] * (inside - z[:, None])).sum(dim=-1).max() < 1e-12)


def points(norm, radius, generator, r):
    """Points of the ball, many of them on its boundary with zeros and ties."""
    y = torch.rand(200, r, generator=generator, dtype=torch.float64).pow(2)
    y[::3] = (y[::3] > 0.3).double()
    y[1::3] *= (torch.rand(len(y[1::3]), r, generator=generator) > 0.5).double()
    return y * (radius / norm(y).clamp_min(1e-300))[:, None]


@pytest.mark.parametrize("k", [1, 1.5, 2, 3.25, 5])
@pytest.mark.parametrize("radius", [0.05, 0.8, 3.0])
def test_projection_on_a_ky_fan_ball_is_the_nearest_point(k, radius):
    s, generator = vectors(1), torch.Generator().manual_seed(2)
    z = project_ky_fan(s, k, torch.full((len(s),), radius, dtype=torch.float64))
    assert bool((ky_fan(z, k) <= radius + 1e-12).all())
    assert is_nearest(s, z, points(lambda y: ky_fan(y, k), radius, generator, 5))


@pytest.mark.parametrize("k", [1, 1.5, 2, 3.25, 5])
@pytest.mark.parametrize("radius", [0.05, 0.8, 3.0])
def test_projection_on_a_dual_ky_fan_ball_is_the_nearest_point(k, radius):
    s, generator = vectors(3), torch.Generator().manual_seed(4)
    size = torch.full((len(s),), radius, dtype=torch.float64)
    z = project_capped(s, size, k * size)
    assert bool((z.amax(dim=-1) <= radius + 1e-12).all() and (z.sum(dim=-1) <= k * radius + 1e-12).all())
    assert is_nearest(s, z, points(lambda y: torch.maximum(y.amax(-1), y.sum(-1) / k), radius, generator, 5))


@pytest.mark.parametrize("p", [1.1, 4 / 3, 2.0, 3.5, 20.0])
def test_projection_on_a_power_ball_is_the_nearest_point(p):
    s, generator = vectors(5, count=12), torch.Generator().manual_seed(6)
    z = project_power(s, p, torch.full((len(s),), 0.8, dtype=torch.float64))

    def norm(y):
        return y.pow(p).sum(dim=-1).pow(1 / p)

    assert bool((norm(z) <= 0.8 + 1e-12).all())
    assert is_nearest(s, z, points(norm, 0.8, generator, 5))


def test_the_moreau_halves_add_up():
    s, lam = vectors(7), torch.rand(60, dtype=torch.float64, generator=torch.Generator().manual_seed(8))
    for k in (1, 2.5, 4):
        rest = s - project_capped(s, lam, k * lam)  # the proximal point of lam times the Ky Fan norm
        assert torch.allclose(project_ky_fan(s, k, ky_fan(rest, k)), rest, atol=1e-12)


def test_projections_agree_with_quadratic_programs():
    s = vectors(9, count=4)
    z = cp.Variable(5)
    for row in s:
        for ball, ours in (
            ([cp.sum_largest(z, 2) <= 1, z >= 0], project_ky_fan(row, 2, torch.ones((), dtype=torch.float64))),
            ([z <= 0.5, cp.sum(z) <= 1.2, z >= 0], project_capped(row, 0.5 * INFINITE.sign(), 1.2 * INFINITE.sign())),
            ([cp.sum(z) <= 1.2, z >= 0], project_capped(row, INFINITE, 1.2 * INFINITE.sign())),
        ):
            least = cp.Problem(cp.Minimize(cp.sum_squares(z - row.numpy())), ball).solve(solver=cp.CLARABEL)
            assert (ours - row).square().sum().item() == pytest.approx(least, abs=1e-6)


def test_points_inside_stay_and_zero_stays():
    s, one = torch.tensor([0.3, 0.1, 0.0], dtype=torch.float64), torch.ones((), dtype=torch.float64)
    for z in (project_capped(s, one, one), project_ky_fan(s, 2, one), project_power(s, 3.0, one)):
        assert torch.equal(z, s)
    zero = torch.zeros(3, dtype=torch.float64)
    for z in (project_capped(zero, one, one), project_ky_fan(zero, 2, one), project_power(zero, 3.0, one)):
        assert torch.equal(z, zero)
