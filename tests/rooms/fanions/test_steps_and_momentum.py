from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muon_theory.rooms.fanions.draft_steps import nuclear_step, soft_threshold_step
from muon_theory.rooms.fanions.matrix_family import SHAPES, matrix_family
from muon_theory.rooms.fanions.momentum_rules import impulse_response, momentum_direction

SPECTRA = st.lists(st.floats(1e-3, 100), min_size=1, max_size=7).map(lambda s: np.array(sorted(s, reverse=True)))
QUIET = settings(max_examples=60, deadline=None, derandomize=True)


@QUIET
@given(SPECTRA, st.floats(0.1, 10))
def test_what_a_threshold_removes_is_the_sum_of_what_it_leaves(sigma, penalty):
    step = penalty * soft_threshold_step(sigma, penalty)
    threshold = sigma[0] - step[0]
    assert step.sum() == pytest.approx(threshold, rel=1e-9)
    np.testing.assert_allclose(step, np.maximum(sigma - threshold, 0), atol=1e-12 * sigma[0])


@QUIET
@given(SPECTRA, st.floats(0.1, 10))
def test_the_steps_of_the_draft_grow_with_the_gradient_and_fall_with_the_penalty(sigma, penalty):
    for step in (soft_threshold_step, nuclear_step):
        np.testing.assert_allclose(step(4 * sigma, 2 * penalty), 2 * step(sigma, penalty), rtol=1e-12)


def test_a_step_needs_a_positive_penalty():
    for call in (lambda: soft_threshold_step([1.0], 0.0), lambda: nuclear_step([1.0], -1.0)):
        with pytest.raises(ValueError, match="positive number"):
            call()


@pytest.mark.parametrize("rule", ["coded", "written"])
def test_a_direction_is_the_recursion_run_on_the_gradients(rule):
    gradients = np.random.default_rng(0).standard_normal((4, 3, 2))
    beta, buffer = 0.7, np.zeros((3, 2))
    for gradient in gradients:
        buffer = beta * buffer + (gradient if rule == "coded" else (1 - beta) * gradient)
    np.testing.assert_allclose(momentum_direction(list(gradients), rule, beta), gradients[-1] + beta * buffer)


def test_without_momentum_both_rules_are_the_gradient():
    for rule in ("coded", "written"):
        assert impulse_response(rule, Fraction(0), 3) == [1, 0, 0]
    assert impulse_response("coded", 0.5, 0) == []


def test_bad_momentum_is_refused():
    with pytest.raises(ValueError, match="give 'coded' or 'written'"):
        impulse_response("heavy", 0.5, 2)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"beta = 1.0: give a number in \[0, 1\)"):
        impulse_response("coded", 1.0, 2)
    with pytest.raises(ValueError, match="gradients is empty"):
        momentum_direction([], "coded", 0.5)


def test_the_spiked_matrix_stands_out_by_its_leading_singular_value():
    for (m, n), (generic, spiked) in zip(SHAPES, matrix_family(), strict=True):
        assert generic.shape == spiked.shape == (m, n)
        np.testing.assert_allclose(np.linalg.matrix_rank(spiked - generic), 1)
        assert np.linalg.norm(spiked, 2) > np.linalg.norm(generic, 2)
