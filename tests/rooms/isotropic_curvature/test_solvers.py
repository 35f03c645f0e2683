import math

import numpy as np
import pytest
import torch

from muon_theory.rooms.isotropic_curvature.exact_solver import posynomial_spectrum, power_spectrum, quartic_spectrum
from muon_theory.rooms.isotropic_curvature.growth import Growth, LossAround, kinked_growth, power_growth
from muon_theory.rooms.isotropic_curvature.moments import power_moment
from muon_theory.rooms.isotropic_curvature.sampled_solver import (
    certified_bound,
    circle_squares,
    radial_slope_norm,
    solve_sampled,
    sphere_squares,
)

SIGMA = np.array([3.0, 2.0, 1.0, 0.5, 0.2, 0.05])


@pytest.mark.parametrize("p", [1.05, 1.5, 2.0, 2.5, 3.7, 4.0, 12.0, 60.0])
def test_exact_solutions_are_stationary_and_their_gap_closes(p):
    solution = power_spectrum(SIGMA, p, 7)
    pull = 2 * power_moment(solution.s, p, 7).gradient
    assert np.abs(solution.s * pull / SIGMA - 1).max() < 1e-10
    assert abs(solution.gap) < 1e-8 * abs(solution.value)


@pytest.mark.parametrize("p", [1.5, 2.0, 2.5, 3.0, 4.0, 8.0])
@pytest.mark.parametrize("decay", [1.0, 0.5])
def test_the_residual_of_a_large_problem_is_small(p, decay):
    assert power_spectrum(np.arange(1.0, 257.0) ** -decay, p).residual <= 1e-8


def test_exact_and_sampled_programs_agree_up_to_sampling():
    z = sphere_squares(6, 4000, seed=0)
    for p in (1.5, 2.5, 4.0):
        sampled, exact = solve_sampled(SIGMA, power_growth(p), z), power_spectrum(SIGMA, p)
        assert sampled.gap < 1e-7 * abs(sampled.value)
        assert sampled.s / sampled.s[0] == pytest.approx(exact.s / exact.s[0], rel=0.02)


def test_scaling_of_the_gradient_and_of_the_growth():
    base = power_spectrum(SIGMA, 3.0)
    assert power_spectrum(16 * SIGMA, 3.0).s == pytest.approx(4 * base.s, rel=1e-10)
    assert power_spectrum(SIGMA, 3.0, scale=16.0).s == pytest.approx(base.s / 4, rel=1e-10)
    assert power_spectrum(SIGMA[::-1], 3.0).s == pytest.approx(base.s[::-1], rel=1e-12)


def test_zero_modes_stay_zero():
    assert power_spectrum([2.0, 0.0, 1.0], 3.0).s[1] == 0
    assert solve_sampled([2.0, 0.0, 1.0], power_growth(3.0), sphere_squares(3, 200, seed=0)).s[1] == 0
    assert power_spectrum([0.0, 0.0], 3.0).s.tolist() == [0, 0]
    assert solve_sampled([0.0, 0.0], power_growth(3.0), sphere_squares(2, 20, seed=0)).value == 0


def test_one_mode_is_the_calculus_exercise():
    # n = 1: -g s + c s^p, so s^(p-1) = g / (c p).
    assert power_spectrum([3.0], 2.5, scale=0.7).s[0] == pytest.approx((3 / (0.7 * 2.5)) ** (1 / 1.5), rel=1e-12)


def test_a_sum_of_powers_equals_the_sampled_solution():
    terms = [(0.4, 2.0), (0.1, 4.0), (0.05, 3.0)]
    growth = Growth(
        lambda r: sum(c * r**p for c, p in terms),
        lambda r: sum(c * p * r ** (p - 1) for c, p in terms),
        lambda r: sum(c * p * (p - 1) * r ** (p - 2) for c, p in terms),
    )
    exact = posynomial_spectrum(SIGMA, terms)
    sampled = solve_sampled(SIGMA, growth, sphere_squares(6, 4000, seed=1))
    assert exact.gap < 1e-9
    assert sampled.s == pytest.approx(exact.s, rel=0.02)


def test_cardano_agrees_for_wide_matrices_too():
    assert quartic_spectrum(SIGMA, 0.2, 9) == pytest.approx(power_spectrum(SIGMA, 4.0, 9, scale=0.2).s, rel=1e-10)


@pytest.mark.parametrize("seed", range(4))
def test_the_kinked_solution_is_that_of_a_cone_program(seed):
    cvxpy = pytest.importorskip("cvxpy")
    generator = np.random.default_rng(seed)
    n = 4
    z = sphere_squares(n, 40, seed=seed)
    sigma = np.sort(generator.exponential(size=n))[::-1]
    low, high = 0.1 * sigma.sum(), (4 + 2 * seed) * sigma.sum()
    solution = solve_sampled(sigma, kinked_growth(low, high, 0.7), z)
    s = cvxpy.Variable(n, nonneg=True)
    norms = [cvxpy.norm(cvxpy.multiply(np.sqrt(row), s)) for row in z]
    growth = sum(low * r + (high - low) * cvxpy.pos(r - 0.7) for r in norms) / len(z)
    problem = cvxpy.Problem(cvxpy.Minimize(growth - sigma @ s))
    problem.solve(solver=cvxpy.CLARABEL)
    assert solution.value == pytest.approx(problem.value, rel=1e-6)
    assert solution.s == pytest.approx(s.value, abs=2e-3)
    assert 0 <= solution.gap <= 1e-7 * abs(solution.value)


@pytest.mark.parametrize("n", [8, 64])
@pytest.mark.parametrize(("low", "high"), [(0.0, 3.0), (0.02, 100.0)])
def test_the_gap_of_kinked_programs_is_certified(n, low, high):
    z, sigma = sphere_squares(n, 2048 // n, seed=0), 1 / np.arange(1.0, n + 1)
    sigma /= sigma.sum()
    growth = kinked_growth(low, high)
    solution = solve_sampled(sigma, growth, z)
    assert solution.gap <= 1e-6 * abs(solution.value)
    # No feasible point lies below the bound.
    for scale in (0.5, 0.9, 1.0, 1.1):
        trial = scale * solution.s * np.random.default_rng(0).uniform(0.8, 1.2, n)
        assert growth.value(np.sqrt(z @ trial**2)).mean() - sigma @ trial >= solution.lower_bound


def test_several_kinks_and_a_smooth_part_at_once():
    growth = Growth(lambda r: 0.5 * r**2, lambda r: r, np.ones_like, ((0.5, 1.0), (1.0, 5.0), (2.0, 10.0)))
    solution = solve_sampled(1 / np.arange(1.0, 17.0), growth, sphere_squares(16, 128, seed=0))
    assert 0 <= solution.gap <= 1e-7 * abs(solution.value)


def test_any_dual_point_bounds_the_program_from_below():
    z, growth = sphere_squares(3, 100, seed=0), power_growth(3.0)
    sigma = np.array([2.0, 1.0, 0.5])
    best = solve_sampled(sigma, growth, z)
    generator = np.random.default_rng(0)
    for _ in range(20):
        s = best.s * generator.uniform(0.5, 2, 3)
        slopes = generator.uniform(0.5, 3, len(z))
        assert certified_bound(sigma, growth, z, s, slopes) <= best.value + 1e-12


def test_the_conjugate_bound_is_the_conjugate():
    y = np.array([0.0, 0.3, 1.0, 7.0])
    p = 3.0
    exact = (p - 1) * (y / p) ** (p / (p - 1))
    assert power_growth(p).conjugate_bound(y) == pytest.approx(exact, rel=1e-9)
    kinked = kinked_growth(0.5, 2.0, 3.0)
    assert kinked.conjugate_bound(np.array([0.2, 0.5, 1.0, 2.0])) == pytest.approx([0, 0, 1.5, 4.5], abs=1e-6)
    assert kinked.conjugate_bound(np.array([2.1]))[0] == math.inf


def test_the_dual_norm_decides_between_zero_and_unbounded():
    z = circle_squares()
    norm = radial_slope_norm([1.0, 0.2], z)
    assert norm == pytest.approx(1 / power_moment([1.0, 1e-9], 1.0, 2).value, rel=0.05)
    assert not solve_sampled([1.0, 0.2], kinked_growth(1.001 * norm, 9.0), z).s.any()
    assert solve_sampled([1.0, 0.2], kinked_growth(0.99 * norm, 9.0), z).s.all()
    with pytest.raises(ValueError, match="the program is unbounded"):
        solve_sampled([1.0, 0.2], kinked_growth(0.1, 0.999 * norm), z)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: power_spectrum([1.0, -1.0], 3.0), "finite singular values >= 0"),
        (lambda: power_spectrum([1.0, math.nan], 3.0), "finite singular values >= 0"),
        (lambda: power_spectrum([1.0, 1.0], 1.0), "powers > 1"),
        (lambda: power_spectrum([1.0, 1.0], 3.0, 1), "the number of columns is at least"),
        (lambda: power_spectrum([1.0], 3.0, scale=0.0), "coefficients must be > 0"),
        (lambda: posynomial_spectrum([1.0], []), "at least one power"),
        (lambda: quartic_spectrum([0.0], 1.0), "must be positive"),
        (lambda: power_growth(0.5), "convex for p >= 1"),
        (lambda: power_growth(2.0, -1.0), "scale = -1.0"),
        (lambda: kinked_growth(2.0, 1.0), "low < high"),
        (lambda: kinked_growth(0.0, 1.0, 0.0), "radius and jump must be positive"),
        (lambda: Growth(lambda r: r + 1, np.ones_like, np.zeros_like), "H must vanish at 0"),
        (lambda: Growth(np.sqrt, lambda r: 0.5 / np.sqrt(r + 1e-9), np.zeros_like), "H must be convex"),
        (lambda: Growth(lambda r: -r, lambda r: -np.ones_like(r), np.zeros_like), "nondecreasing"),
        (lambda: solve_sampled([1.0, 2.0], power_growth(2.0), np.ones((1, 2))), "at least 2 rows"),
        (lambda: solve_sampled([-1.0], power_growth(2.0), np.ones((3, 1))), "finite singular values >= 0"),
        (lambda: sphere_squares(9, 1, seed=0, symmetrise="all"), "'all' up to n = 6"),
        (lambda: sphere_squares(0, 1, seed=0), "both must be at least 1"),
        (lambda: LossAround(lambda W: (W * math.inf).sum(), torch.ones(1, 1)), "not finite"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
