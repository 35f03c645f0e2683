import math
from fractions import Fraction

import numpy as np
import pytest
import sympy
from flint import arb, ctx, fmpq, fmpq_poly
from hypothesis import given, settings
from hypothesis import strategies as st

from muon_theory.polar import scalar_map, taylor_coefficients
from muon_theory.rooms.newton_schulz_convergence import taylor
from muon_theory.rooms.newton_schulz_convergence.polynomial_range import enclosure

ORDERS = range(1, 9)
orders = st.integers(1, 6)
unit = st.fractions(0, 1, max_denominator=1000)
checked = settings(max_examples=40, deadline=None, derandomize=True)


@pytest.mark.parametrize("k", ORDERS)
def test_the_polynomial_is_the_series_of_the_inverse_square_root(k):
    u = sympy.symbols("u")
    series = sympy.series((1 - u) ** sympy.Rational(-1, 2), u, 0, k + 1).removeO()
    naive = sympy.Poly(series, u)
    assert [taylor.taylor_weight(s) for s in range(k + 1)] == [
        Fraction(str(naive.coeff_monomial(u**s))) for s in range(k + 1)
    ]
    assert taylor.newton_schulz_polynomial(k, Fraction(1, 3)) == Fraction(str(naive.eval(sympy.Rational(2, 3))))


@pytest.mark.parametrize("k", ORDERS)
def test_the_power_basis_agrees_with_the_polar_floor(k):
    coefficients = taylor.newton_schulz_polynomial(k, fmpq_poly([0, 1])).coeffs()
    assert [Fraction(str(c)) for c in coefficients] == list(taylor_coefficients(2 * k + 1))


@pytest.mark.parametrize("k", ORDERS)
def test_the_step_is_the_integral_of_its_slope(k):
    s, x = sympy.symbols("s x")
    integral = sympy.integrate(sympy.expand((1 - x**2) ** k), (x, 0, s))
    value = sympy.Rational(str(taylor.slope_at_zero(k))) * integral.subs(s, sympy.Rational(2, 7))
    assert taylor.singular_value_map(k, Fraction(2, 7)) == Fraction(str(value))


@pytest.mark.parametrize("k", ORDERS)
def test_the_constants_are_the_limits_they_claim(k):
    u, s = sympy.symbols("u s")
    p = sum(sympy.Rational(math.comb(2 * j, j), 4**j) * u**j for j in range(k + 1))
    residual = sympy.Poly(sympy.expand(1 - (1 - u) * p**2), u)
    assert taylor.residual_constant(k) == Fraction(str(residual.coeff_monomial(u ** (k + 1))))
    step = sympy.expand(s * p.subs(u, 1 - s**2))
    error = sympy.Poly(sympy.expand((1 - step).subs(s, 1 - u)), u)
    assert [error.coeff_monomial(u**j) for j in range(k + 1)] == [0] * (k + 1)
    assert taylor.error_constant(k) == Fraction(str(error.coeff_monomial(u ** (k + 1))))
    assert taylor.slope_at_zero(k) == Fraction(str(step.diff(s).subs(s, 0)))


@checked
@given(orders, unit)
def test_the_maps_agree_with_each_other_exactly(k, sigma):
    image = taylor.singular_value_map(k, sigma)
    assert taylor.squared_map(k, sigma**2) == image**2
    assert taylor.residual_map(k, 1 - sigma**2) == 1 - image**2


@checked
@given(orders, unit)
def test_every_kind_of_number_gives_the_same_value(k, x):
    for step in (taylor.newton_schulz_polynomial, taylor.singular_value_map, taylor.squared_map, taylor.residual_map):
        exact = step(k, x)
        assert isinstance(exact, Fraction)
        rounded = fmpq(x.numerator, x.denominator)
        assert str(step(k, rounded)) == str(exact)
        assert step(k, float(x)) == pytest.approx(float(exact), rel=1e-13, abs=1e-15)
        assert step(k, np.array([float(x)]))[0] == pytest.approx(float(exact), rel=1e-13, abs=1e-15)
        with ctx.workprec(100):
            interval = enclosure(step(k, arb(rounded)))
            assert interval.lower <= exact <= interval.upper


@checked
@given(orders, st.integers(0, 5), st.floats(1e-6, 1))
def test_iterating_agrees_with_the_scalar_map_of_the_polar_floor(k, q, sigma):
    expected = float(scalar_map(f"taylor_{2 * k + 1}", q)(sigma))
    assert taylor.iterated(taylor.singular_value_map, k, sigma, q) == pytest.approx(expected, rel=1e-12)


def test_a_tiny_residual_keeps_its_relative_accuracy():
    exact = taylor.residual_map(2, Fraction(1, 10**30))
    assert taylor.residual_map(2, 1e-30) == pytest.approx(float(exact), rel=1e-14)


def test_zero_and_one_are_fixed():
    for k in ORDERS:
        assert taylor.singular_value_map(k, Fraction(0)) == 0
        assert taylor.singular_value_map(k, Fraction(1)) == 1
        assert taylor.residual_map(k, 0.0) == 0.0


@pytest.mark.parametrize("k", [0, -1])
def test_an_order_below_one_is_refused(k):
    for function in (taylor.slope_at_zero, taylor.residual_constant, taylor.error_constant):
        with pytest.raises(ValueError, match="k, the Taylor order"):
            function(k)
    with pytest.raises(ValueError, match="k, the Taylor order"):
        taylor.singular_value_map(k, 0.5)


def test_negative_counts_are_refused():
    with pytest.raises(ValueError, match="s must be"):
        taylor.taylor_weight(-1)
    with pytest.raises(ValueError, match="q, the number of steps"):
        taylor.iterated(taylor.residual_map, 1, 0.5, -1)


def test_a_decimal_becomes_the_fraction_it_prints():
    assert str(taylor.rational("3.4445")) == "6889/2000"
