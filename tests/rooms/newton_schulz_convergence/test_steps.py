from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from muon_theory.polar import orthogonalize
from muon_theory.rooms.newton_schulz_convergence.steps import (
    chained_flops,
    chained_step,
    gaussian_alignment,
    gradient_norm_bound,
    heavy_ball_contraction,
    horner_flops,
    horner_step,
    one_step_bound,
    schatten_exponent,
)
from muon_theory.rooms.newton_schulz_convergence.taylor import iterated, singular_value_map, slope_at_zero


@pytest.mark.parametrize("step", [chained_step, horner_step])
@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.integers(1, 5), st.integers(1, 6), st.integers(0, 6), st.integers(0, 1000))
def test_both_forms_of_a_step_are_that_of_orthogonalize(step, k, rows, extra, seed):
    X = np.random.default_rng(seed).standard_normal((rows, rows + extra))
    X /= np.linalg.norm(X)
    expected = orthogonalize(torch.from_numpy(X), f"taylor_{2 * k + 1}", 1).numpy()
    np.testing.assert_allclose(step(X, k), expected, atol=1e-13)


def test_the_two_costs_agree_exactly_where_the_statement_says():
    for rows in range(1, 6):
        for columns in range(rows, 9):
            for k in range(1, 5):
                printed, horner = chained_flops(rows, columns, k, 3), horner_flops(rows, columns, k, 3)
                assert printed >= horner
                assert (printed == horner) == (rows == columns or k == 1)


def test_flops_are_the_sums_of_the_products():
    # k = 3 at 4 x 16: the Gram matrix and three chained products; the Gram matrix, two square products and the last.
    assert chained_flops(4, 16, 3, 2) == 2 * 4 * (2 * 4 * 4 * 16)
    assert horner_flops(4, 16, 3, 2) == 2 * (2 * (2 * 4 * 4 * 16) + 2 * (2 * 4 * 4 * 4))


def test_the_exponent_runs_from_two_to_one():
    x, slope = 0.01, float(slope_at_zero(1))
    exponents = [float(schatten_exponent(x, 1 - (1 - x) ** (slope**q))) for q in range(0, 20, 2)]
    assert exponents[0] == pytest.approx(2.0, abs=1e-12)
    assert all(a > b for a, b in zip(exponents[:-1], exponents[1:], strict=True) if a > 1 + 1e-9)
    assert exponents[-1] == pytest.approx(1.0, abs=1e-6)


def test_the_gaussian_alignment_is_that_of_a_random_matrix():
    sigma = np.linalg.svd(np.random.default_rng(5).standard_normal((256, 256)), compute_uv=False)
    x = sigma / np.sqrt(np.sum(sigma**2))
    for k, q in ((1, 4), (2, 0), (2, 3), (3, 2)):
        measured = np.sum(x * iterated(singular_value_map, k, x, q)) / np.sum(x)
        # One draw scatters by about .09/n in the middle of the range.
        assert gaussian_alignment(256, k, q) == pytest.approx(measured, abs=0.5 / 256)


def test_without_steps_the_gaussian_alignment_is_frobenius_over_nuclear():
    assert gaussian_alignment(100, 2, 0) == pytest.approx(3 * np.pi / 8 / 10, rel=1e-10)


def test_the_one_step_bound_is_the_descent_lemma_when_the_gradient_is_orthogonalised():
    generator = np.random.default_rng(0)
    for _ in range(50):
        g = generator.standard_normal((3, 4))
        U, sigma, Vt = np.linalg.svd(g, full_matrices=False)
        eta, smoothness = generator.uniform(0.01, 1.0), generator.uniform(0.1, 5.0)
        expected = 1.0 - eta * np.sum(g * (U @ Vt)) + smoothness * eta**2 / 2
        found = one_step_bound(1.0, float(sigma.sum()), 0.0, smoothness=smoothness, step_size=eta)
        assert found == pytest.approx(expected, rel=1e-12)


def test_the_gradient_norm_bound_is_the_best_step_of_the_descent_lemma():
    smoothness, gap = 3.0, 0.7
    norm = gradient_norm_bound(smoothness, gap)
    steps = np.linspace(0.0, 2.0, 20_001)
    least = np.min(gap - steps * norm + smoothness / 2 * steps**2)
    assert least == pytest.approx(0.0, abs=1e-8)


def test_impossible_sizes_and_ranges_are_refused():
    with pytest.raises(ValueError, match="columns"):
        chained_flops(5, 4, 2, 1)
    with pytest.raises(ValueError, match="q >= 0"):
        horner_flops(4, 4, 2, -1)
    with pytest.raises(ValueError, match="smallest"):
        schatten_exponent(1.0, 1.0)
    with pytest.raises(ValueError, match="size"):
        gaussian_alignment(0, 2, 1)
    with pytest.raises(ValueError, match="gap"):
        gradient_norm_bound(1.0, -1.0)


def test_the_contraction_needs_a_step_below_the_appendix_one():
    b = Fraction(9, 10)
    spread = b**2 + (1 - b) ** 2
    appendix = (1 - b) ** 4 / (16 * spread)
    assert heavy_ball_contraction(b, appendix) == Fraction(1, 4)
    assert heavy_ball_contraction(b, appendix * Fraction(99, 100)) < Fraction(1, 4)
