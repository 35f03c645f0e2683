import math
from fractions import Fraction

import numpy as np
import pytest

from muon_theory.rooms.isotropic_curvature.growth import power_growth
from muon_theory.rooms.isotropic_curvature.kink import (
    beta_conditions,
    beta_lower_bound,
    criterion_margin,
    planar_boundary,
    sampled_criterion,
    smallest_jump,
)
from muon_theory.rooms.isotropic_curvature.maps import (
    best_scale_value,
    elliptical_update,
    first_order_weights,
    left_average,
    mapped_spectrum,
    power_efficiency,
)
from muon_theory.rooms.isotropic_curvature.moments import even_moment, positive_part, power_moment, square_moments
from muon_theory.rooms.isotropic_curvature.sampled_solver import circle_squares, sphere_squares

S = np.array([2.0, 1.5, 1.0, 0.5])


@pytest.mark.parametrize("p", [0.7, 1.0, 1.5, 2.0, 2.5, 3.9, 4.0, 4.1, 8.0, 10.3])
def test_derivatives_of_a_moment_are_those_of_its_differences(p):
    moment, h = power_moment(S, p, 5, hessian=True), 1e-5
    assert moment.hessian is not None
    for i in range(4):
        shift = h * np.eye(4)[i]
        above, below = power_moment(np.sqrt(S**2 + shift), p, 5), power_moment(np.sqrt(S**2 - shift), p, 5)
        assert (above.value - below.value) / (2 * h) == pytest.approx(moment.gradient[i], rel=1e-6)
        assert (above.gradient - below.gradient) / (2 * h) == pytest.approx(moment.hessian[i], rel=1e-5, abs=1e-9)


@pytest.mark.parametrize("p", [1.5, 2.5, 3.0, 7.5])
def test_a_moment_does_not_depend_on_how_the_integral_is_written(p):
    values = [power_moment(S, p, 6, order=order).value for order in range(int(p / 2) + 1, int(p / 2) + 4)]
    assert values == pytest.approx([values[0]] * 3, rel=1e-12)


def test_even_powers_are_the_rational_recursion():
    squares = [Fraction(4), Fraction(9, 4), Fraction(1), Fraction(1, 4)]
    for k in (1, 2, 3, 6):
        assert power_moment(S, 2.0 * k, 5).value == pytest.approx(float(even_moment(squares, 5, k)), rel=1e-13)
    assert power_moment(S, 4.0001, 5).value == pytest.approx(power_moment(S, 4.0, 5).value, rel=1e-4)


def test_equal_singular_values_leave_nothing_random():
    assert power_moment(np.full(200, 3.0), 2.7, 200).value == pytest.approx(3**2.7, rel=1e-12)


def _inventory_integral(x):
    """E (x.z)_+ = (sum x + E|X|)/(2n), E|X| = (2/pi) int (1 - Re psi)/t^2 dt."""
    t = np.exp(np.arange(-45, 45, 0.02))
    y = 2 * t[:, None] * x
    size, angle = -0.25 * np.log1p(y * y).sum(1), 0.5 * np.arctan(y).sum(1)
    absolute = 2 / np.pi * ((-np.expm1(size) * np.cos(angle) + 2 * np.sin(angle / 2) ** 2) / t).sum() * 0.02
    return (x.sum() + absolute) / (2 * len(x))


@pytest.mark.parametrize("seed", range(5))
def test_the_positive_part_is_the_integral_over_the_absolute_value(seed):
    x = np.random.default_rng(seed).standard_normal(2 + seed)
    x[0], x[1] = abs(x[0]), -abs(x[1])
    moment, h = positive_part(x), 1e-6
    assert moment.hessian is not None
    assert moment.value == pytest.approx(_inventory_integral(x), rel=1e-10)
    assert x @ moment.gradient == pytest.approx(moment.value, rel=1e-12)
    for i, row in enumerate(np.eye(len(x))):
        slope = (positive_part(x + h * row).gradient - positive_part(x - h * row).gradient) / (2 * h)
        assert slope == pytest.approx(moment.hessian[i], rel=1e-5, abs=1e-8)


def test_the_positive_part_keeps_its_digits_where_it_is_rare():
    x = np.append(1.0, np.full(40, -1.0))  # P(x.z > 0) = P(Beta(1/2, 20) > 1/2), about 1e-8
    from scipy.stats import beta

    assert positive_part(x).gradient[0] == pytest.approx(beta.sf(0.5, 1.5, 20) / 41, rel=1e-10)


def test_signs_decide_alone_where_all_are_alike():
    assert positive_part([1.0, 3.0]).value == 2
    assert positive_part([-1.0, -3.0]).value == 0


@pytest.mark.parametrize("seed", range(30))
def test_the_smallest_jump_has_primal_and_dual_certificates(seed):
    generator = np.random.default_rng(seed)
    n = int(generator.integers(2, 16))
    sigma = np.sort(generator.exponential(size=n) ** generator.choice([0.1, 0.5, 1, 2]))[::-1]
    low = n * sigma.min() * 0.9 * generator.random()
    bound = smallest_jump(sigma, low)
    assert bound.residual < 1e-5
    assert criterion_margin(sigma, low, low + 0.999 * bound.jump, bound.direction) > 0
    assert criterion_margin(sigma, low, low + 1.001 * bound.jump, bound.direction) < 0
    assert (np.diff(bound.direction) <= 1e-9 * np.abs(bound.direction).max()).all()
    if low == 0:
        assert beta_lower_bound(sigma) <= bound.jump * (1 + 1e-9)


def test_the_smallest_jump_of_special_spectra():
    assert smallest_jump([1.0, 1.0, 1.0]).jump == 3
    assert smallest_jump([1.0, 1.0], 0.5).jump == 1.5
    assert smallest_jump([1.0, 0.0]).jump == math.inf
    assert smallest_jump([1.0, 0.3], 0.8).jump == math.inf


def test_the_plane_by_formula_program_and_exact_integral():
    z = circle_squares(2000)
    for low, high in ((0.0, 1.0), (0.2, 1.5)):
        for share in (0.2, 0.5, 0.8):
            total = low + share * (high - low)
            boundary = float(planar_boundary(total, low, high))
            for factor in (0.99, 1.01):
                sigma = np.array([total + factor * boundary, total - factor * boundary]) / 2
                if sigma[1] <= low / 2:
                    continue
                inside = factor < 1
                assert (high - low >= smallest_jump(sigma, low).jump) == inside
                assert (sampled_criterion(sigma, low, high, z).distance < 1e-9) == inside
                assert (beta_conditions(sigma, low, high).min() >= 0) == inside


def test_the_linear_program_separates_or_represents():
    z = sphere_squares(3, 100, seed=0)
    sigma = np.array([0.6, 0.4, 0.2])
    for high in (1.3, 4.0):
        found = sampled_criterion(sigma, 0.0, high, z)
        assert np.abs(found.weights @ z / len(z) - sigma).sum() == pytest.approx(found.distance, abs=1e-9)
        x = found.separator
        assert x @ sigma - high * np.maximum(z @ x, 0).mean() == pytest.approx(found.distance, abs=1e-9)


def test_efficiencies_are_at_most_one_and_scale_free():
    from muon_theory.rooms.isotropic_curvature.exact_solver import power_spectrum

    sigma = np.array([1.0, 0.6, 0.3, 0.05])
    for p in (1.5, 2.0, 3.0, 9.0):
        s = power_spectrum(sigma, p).s
        assert power_efficiency(sigma, s, s, p) == pytest.approx(1)
        for name in ("gradient", "square root", "polar", "NS-3", "NS-5"):
            v = mapped_spectrum(sigma, name)
            value = power_efficiency(sigma, v, s, p)
            assert 0 < value <= 1 + 1e-12
            assert power_efficiency(7 * sigma, 3 * v, 5 * s, p) == pytest.approx(value)


def test_the_value_at_the_best_scale_is_that_of_a_power():
    z = sphere_squares(3, 500, seed=0)
    sigma, v = np.array([1.0, 0.5, 0.2]), np.array([2.0, 1.0, 1.0])
    mean = (np.sqrt(z @ v**2) ** 3).mean()
    t = (sigma @ v / (3 * mean)) ** 0.5
    assert best_scale_value(sigma, v, power_growth(3.0), z) == pytest.approx(t**3 * mean - t * (sigma @ v), rel=1e-9)
    assert best_scale_value(sigma, -v, power_growth(3.0), z) == 0


def test_first_order_weights_are_exact_at_the_fourth_power():
    exact = power_moment(S, 4.0, 6).gradient
    formula = first_order_weights(S, 4.0, 6)
    assert formula / formula[0] == pytest.approx(exact / exact[0], rel=1e-12)


def test_identities_of_the_sphere_on_draws():
    generator = np.random.default_rng(0)
    Q = generator.standard_normal((4, 5))
    A = Q.T @ Q
    zeta = generator.standard_normal((400_000, 5))
    values = ((zeta / np.linalg.norm(zeta, axis=1, keepdims=True)) @ Q.T) ** 2
    moments = square_moments(float(np.trace(A)), float(np.trace(A @ A)), 5)
    assert values.sum(1).mean() == pytest.approx(moments.mean, rel=0.01)
    assert values.sum(1).var() == pytest.approx(moments.variance, rel=0.02)
    assert moments.relative_variance == pytest.approx(moments.variance / moments.mean**2)


def test_left_averages_are_those_of_haar_rotations():
    from scipy.stats import ortho_group

    generator = np.random.default_rng(0)
    D, half = generator.standard_normal((3, 2)), generator.standard_normal((6, 6))
    hessian = half @ half.T
    rotations = ortho_group.rvs(3, 20_000, random_state=0)
    moved = (rotations @ D).reshape(-1, 6)
    mean = np.einsum("ki,ij,kj->k", moved, hessian, moved).mean()
    assert mean == pytest.approx(left_average(D, hessian.reshape(3, 2, 3, 2)), rel=0.02)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: power_moment([0.0], 2.0, 1), "not all zero"),
        (lambda: power_moment([1.0], 0.0, 1), "p = 0.0"),
        (lambda: power_moment([1.0, 1.0], 2.0, 1), "n = 1"),
        (lambda: power_moment([1.0], 3.0, 1, order=1), "above p/2"),
        (lambda: positive_part([]), "finite numbers"),
        (lambda: positive_part([math.inf]), "finite numbers"),
        (lambda: smallest_jump([0.0, 0.0]), "sigma is zero"),
        (lambda: smallest_jump([1.0], -1.0), "low = -1"),
        (lambda: smallest_jump([1.0, -2.0]), "singular values >= 0"),
        (lambda: planar_boundary(1.0, 2.0, 1.0), "low < high"),
        (lambda: beta_conditions([1.0], 1.0, 1.0), "low < high"),
        (lambda: sampled_criterion([1.0], 2.0, 1.0, np.ones((2, 1))), "must not fall"),
        (lambda: mapped_spectrum([1.0], "cubic"), "choose one of"),
        (lambda: elliptical_update(np.eye(2), -np.eye(2)), "positive definite"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
