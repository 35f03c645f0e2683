from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muon_theory.polar import (
    COEFFICIENTS,
    certified_range,
    certified_worst_error,
    exact_scalar_map,
    polar_express,
    scalar_map,
)
from muon_theory.polar.certified import certified_image

METHODS = (*COEFFICIENTS, "taylor_3", "taylor_9")


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("steps", [1, 3, 6])
def test_a_dense_grid_lies_inside_and_fills_the_enclosure(name, steps):
    lower = 1e-3
    grid = np.geomspace(lower, 1, 200_001)
    image = scalar_map(name, steps)(grid)
    lowest, highest = certified_range(name, steps, lower)
    rounding = 1e-13  # of the float64 image
    assert lowest - rounding <= image.min()
    assert image.max() <= highest + rounding
    # refine around the extreme grid points: a grid of step h misses a smooth extremum by curvature * h^2
    for extreme, value in ((image.argmin(), lowest), (image.argmax(), highest)):
        left, right = grid[max(0, extreme - 1)], grid[min(len(grid) - 1, extreme + 1)]
        fine = scalar_map(name, steps)(np.linspace(left, right, 20_001))
        assert np.abs(fine - value).min() < 1e-10


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    st.sampled_from(METHODS),
    st.integers(0, 4),
    st.fractions(0, 1, max_denominator=50),
    st.fractions(0, 1, max_denominator=50),
    st.fractions(0, 1, max_denominator=20),
)
def test_the_exact_image_of_every_rational_point_is_enclosed(name, steps, a, b, weight):
    low, high = min(a, b), max(a, b)
    lowest, highest = certified_range(name, steps, low, high)
    value = exact_scalar_map(name, steps)(low + weight * (high - low))
    assert Fraction(lowest) <= value <= Fraction(highest)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.sampled_from(METHODS), st.integers(0, 6), st.floats(1e-6, 0.5), st.floats(0.5, 1.0))
def test_a_wider_interval_has_a_wider_image(name, steps, lower, upper):
    inner = certified_range(name, steps, lower, upper)
    outer = certified_range(name, steps, lower / 2, 1)
    assert outer[0] <= inner[0] <= inner[1] <= outer[1]


def test_a_point_is_mapped_to_its_exact_value():
    lowest, highest = certified_image("jordan_2024", 3, Fraction(1, 3), Fraction(1, 3))
    exact = exact_scalar_map("jordan_2024", 3)(Fraction(1, 3))
    assert lowest <= exact <= highest
    assert highest - lowest < Fraction(1, 10**40)


@pytest.mark.parametrize("steps", range(1, 8))
def test_the_image_of_the_unit_interval_under_the_jordan_quintic_never_shrinks(steps):
    lowest, highest = certified_range("jordan_2024", steps, 0)
    assert lowest == 0
    assert highest == pytest.approx(1.2023686, abs=1e-7)


def test_the_jordan_band_is_mapped_onto_part_of_itself():
    lowest, highest = certified_range("jordan_2024", 1, 0.6818315, 1.2023686)
    assert (lowest, highest) == pytest.approx((0.6818315, 1.1343573), abs=1e-6)


def test_the_jordan_quintic_reaches_its_band_from_sharp_thresholds():
    band = certified_range("jordan_2024", 5, 0.5)[0], certified_range("jordan_2024", 1, 0)[1]
    band = (band[0] - 1e-9, band[1] + 1e-9)
    for steps, threshold in ((5, 0.00150513), (4, 0.00518439)):
        inside = certified_range("jordan_2024", steps, threshold)
        assert band[0] <= inside[0] <= inside[1] <= band[1]
        assert certified_range("jordan_2024", steps, threshold - 1e-7)[0] < band[0]
    assert certified_range("jordan_2024", 5, 1e-3, 1e-3)[0] == pytest.approx(0.470544, abs=1e-6)


@pytest.mark.parametrize("steps", range(5, 11))
def test_the_error_of_the_jordan_quintic_stays_where_it_is(steps):
    assert certified_worst_error("jordan_2024", steps, 0.01) == pytest.approx(0.3181685, abs=1e-6)


@pytest.mark.parametrize("degree", [3, 5, 7, 9, 11])
def test_a_taylor_method_never_leaves_the_unit_interval(degree):
    for steps in (1, 5, 12):
        lowest, highest = certified_range(f"taylor_{degree}", steps, 1e-3)
        assert lowest > 1e-3
        assert 1 <= highest <= 1 + 2.0**-52  # rounded outwards from 1 + 2^-200 at worst


@pytest.mark.parametrize("degree", [3, 5, 9])
def test_taylor_enclosures_are_nested_step_after_step(degree):
    ranges = [certified_range(f"taylor_{degree}", steps, 1e-4) for steps in range(10)]
    for (low, high), (next_low, next_high) in pairwise(ranges):
        assert low <= next_low <= next_high <= high + 2.0**-52


def test_enclosures_of_the_jordan_band_are_nested_step_after_step():
    band = certified_range("jordan_2024", 5, 0.5)[0], certified_range("jordan_2024", 1, 0)[1]
    ranges = [certified_range("jordan_2024", steps, *band) for steps in range(6)]
    for (low, high), (next_low, next_high) in pairwise(ranges):
        assert low <= next_low + 2.0**-50
        assert next_high <= high + 2.0**-50


def test_the_safety_of_the_norm_is_part_of_the_map():
    safety = float(COEFFICIENTS["amsel_2025_nanogpt"].norm_safety)
    assert safety == 1.02
    assert certified_range("amsel_2025_nanogpt", 0, 0.5) == (0.5, 1.0)
    with_it = certified_range("amsel_2025_nanogpt", 2, 0.51, 0.51)[0]
    assert with_it == pytest.approx(float(scalar_map("amsel_2025_nanogpt", 2)(0.51)), rel=1e-14)


def test_a_computed_schedule_certifies_its_own_error():
    made = polar_express(1e-2, 4, degree=(5, 9, 9, 9))
    assert certified_worst_error(made, 4, 1e-2) == made.worst_error
    assert made.worst_error == pytest.approx(8e-9, rel=0.01)


def test_many_steps_keep_the_enclosure_tight():
    lowest, highest = certified_image("jordan_2024", 40, Fraction(1, 2), Fraction(1, 2))
    assert highest - lowest < Fraction(1, 10**20)


@pytest.mark.parametrize("bad", [(-0.1, 1.0), (0.6, 0.5), (0.1, float("inf")), (float("nan"), 1.0)])
def test_an_interval_outside_the_half_line_is_refused(bad):
    with pytest.raises(ValueError, match="0 <= lower <= upper < inf"):
        certified_range("jordan_2024", 3, *bad)


def test_a_diverging_start_is_refused_in_words():
    with pytest.raises(ValueError, match="smaller upper"):
        certified_range("jordan_2024", 12, 0.1, 50.0)
