from fractions import Fraction
from itertools import product

import numpy as np
import pytest

from muon_theory.polar import (
    COEFFICIENTS,
    certified_worst_error,
    matmuls_per_step,
    minimax_polynomial,
    mixed_degree_schedule,
    polar_express,
    scalar_map,
)
from muon_theory.polar.coefficient_tables import POLAR_EXPRESS
from muon_theory.polar.remez import best_odd_polynomial


def greedy_error(lower: float, degrees: tuple[int, ...]) -> float:
    l, u = Fraction(lower), Fraction(1)
    error = 1 - l
    for degree in degrees:
        _, error = best_odd_polynomial(degree, l, u)
        l, u = 1 - error, 1 + error
    return float(error)


def test_the_published_polar_express_rows_are_the_cushioned_greedy_composition():
    made = polar_express(1e-3, 8, cushion=0.02407327424182761)
    for t, (ours, printed) in enumerate(zip(made.steps, POLAR_EXPRESS, strict=True)):
        # Row 7 belongs to an interval of width 1e-3, where the equations of the published float64 solver are
        # conditioned like 1e6: its last five digits are rounding.
        tolerance = 1e-10 if t == 6 else 1e-12
        assert ours == pytest.approx([float(c) for c in printed], rel=0, abs=tolerance)


def test_the_modded_nanogpt_rows_are_polar_express_with_safety_and_cushion():
    made = polar_express(1e-3, 5, cushion=0.02, safety=1.02)
    for ours, printed in zip(made.steps, COEFFICIENTS["amsel_2025_nanogpt"].steps, strict=True):
        assert ours == pytest.approx(printed, rel=0, abs=1e-12)


def test_the_cans_rows_are_the_plain_greedy_composition_to_the_digits_printed():
    made = polar_express(1e-3, 5)
    for ours, printed in zip(made.steps, COEFFICIENTS["grishina_2025"].steps, strict=True):
        assert tuple(round(c, 4) for c in ours) == printed
    # Rounding to four digits costs 6e-3 in the worst error.
    assert made.worst_error == pytest.approx(0.113448, abs=1e-6)
    assert certified_worst_error("grishina_2025", 5, 1e-3) == pytest.approx(0.119836, abs=1e-6)


@pytest.mark.parametrize("interval", [(0.1, 1.0), (0.01, 1.0), (0.5, 1.3), (0.9, 1.1)])
def test_the_cubic_has_its_closed_form(interval):
    a, b = interval
    w = (a * a + a * b + b * b) / 3
    row, error = minimax_polynomial(3, a, b)
    bottom = 2 * w**1.5 + a * a * b + a * b * b
    assert row == pytest.approx((6 * w / bottom, -2 / bottom), rel=1e-12)
    assert error == pytest.approx((2 * w**1.5 - a * a * b - a * b * b) / bottom, rel=1e-10)


@pytest.mark.parametrize("degree", [3, 5, 7, 9, 11, 13])
@pytest.mark.parametrize("lower", [1e-7, 1e-3, 0.3, 0.99])
def test_the_best_polynomial_equioscillates(degree, lower):
    row, error = best_odd_polynomial(degree, Fraction(lower), Fraction(1))
    grid = [Fraction(float(x)) for x in np.geomspace(lower, 1, 301)]
    values = [1 - x * sum(c * x ** (2 * i) for i, c in enumerate(row)) for x in grid]
    assert float(max(map(abs, values)) / error) <= 1 + 1e-12
    signs = np.sign([float(v / error) for v in values])
    assert np.count_nonzero(np.diff(signs)) == (degree + 1) // 2
    assert abs(float(values[0] / error)) == pytest.approx(1, rel=1e-12)


def test_no_perturbed_polynomial_does_better():
    row, error = minimax_polynomial(5, 0.01)
    grid = np.geomspace(0.01, 1, 20001)
    rng = np.random.default_rng(0)
    for _ in range(50):
        other = np.asarray(row) * (1 + 1e-3 * rng.standard_normal(3))
        assert np.abs(1 - grid * (other[0] + other[1] * grid**2 + other[2] * grid**4)).max() > error


def test_the_error_depends_only_on_the_ratio_of_the_ends():
    assert minimax_polynomial(7, 0.02, 2.0)[1] == pytest.approx(minimax_polynomial(7, 0.01, 1.0)[1], rel=1e-12)


def test_a_point_interval_gives_the_taylor_polynomial():
    row, error = minimax_polynomial(5, 1.0, 1.0)
    assert (row, error) == ((1.875, -1.25, 0.375), 0.0)


@pytest.mark.parametrize(
    ("lower", "matmuls", "degrees", "error"),
    [
        (1e-2, 15, (5, 9, 9, 9), 8.0e-9),
        (1e-3, 15, (5, 9, 9, 9), 0.058),
        (1e-3, 16, (9, 9, 9, 9), 9.9e-3),
        (1e-3, 18, (3, 9, 9, 9, 9), 4.3e-5),
    ],
)
def test_mixed_degrees_beat_the_quintic_under_the_same_budget(lower, matmuls, degrees, error):
    found_degrees, rows, found = mixed_degree_schedule(lower, matmuls)
    assert sorted(found_degrees) == sorted(degrees)
    assert found == pytest.approx(error, rel=0.01)
    assert found < greedy_error(lower, (5,) * (matmuls // 3))
    assert tuple(2 * len(row) - 1 for row in rows) == found_degrees


@pytest.mark.parametrize(("lower", "matmuls"), [(1e-1, 9), (1e-2, 13), (1e-3, 14), (1e-5, 12)])
def test_the_search_finds_the_best_of_all_sequences(lower, matmuls):
    best = min(
        greedy_error(lower, degrees)
        for count in range(1, matmuls // 2 + 1)
        for degrees in product((3, 5, 7, 9), repeat=count)
        if sum(map(matmuls_per_step, degrees)) <= matmuls
    )
    assert mixed_degree_schedule(lower, matmuls)[2] == pytest.approx(best, rel=1e-12)


def test_a_mixed_schedule_runs_as_a_coefficient_set_with_the_error_it_states():
    degrees, _, error = mixed_degree_schedule(1e-2, 15)
    made = polar_express(1e-2, len(degrees), degree=degrees)
    assert made.matmuls == 15
    assert made.worst_error == pytest.approx(error, rel=1e-4)
    grid = np.geomspace(1e-2, 1, 2001)
    assert np.abs(scalar_map(made, len(degrees))(grid) - 1).max() <= made.worst_error + 1e-14


def test_the_greedy_composition_obeys_its_theorem():
    for degree, lower, steps in product((3, 5, 9), (0.5, 0.1, 1e-3), (1, 2, 3)):
        order = (degree - 1) // 2
        assert greedy_error(lower, (degree,) * steps) <= (1 - lower**2) ** ((order + 1) ** steps)


def test_a_budget_that_outruns_rounding_is_not_spent():
    degrees, _, error = mixed_degree_schedule(0.5, 60)
    assert error < 2.0**-200
    assert sum(map(matmuls_per_step, degrees)) < 30


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: minimax_polynomial(4, 0.1), "odd"),
        (lambda: minimax_polynomial(3, 0.0), "0 < lower"),
        (lambda: minimax_polynomial(3, 2.0, 1.0), "lower <= upper"),
        (lambda: minimax_polynomial(3, float("nan")), "0 < lower"),
        (lambda: minimax_polynomial(3, 0.1, float("inf")), "upper < inf"),
        (lambda: polar_express(0.1, 0), "steps"),
        (lambda: polar_express(0.1, 2, degree=[3]), "2 of them"),
        (lambda: polar_express(0.1, 2, degree=6), "odd"),
        (lambda: polar_express(0.1, 2, cushion=1.0), "cushion"),
        (lambda: polar_express(0.1, 2, safety=0.9), "safety"),
        (lambda: polar_express(2.0, 2), "lower <= upper"),
        (lambda: mixed_degree_schedule(0.1, 1), "at least the 2"),
        (lambda: mixed_degree_schedule(1.0, 5), "below 1"),
        (lambda: mixed_degree_schedule(0.1, 5, degrees=(2,)), "odd"),
        (lambda: mixed_degree_schedule(0.1, 5, degrees=()), "at least"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
