import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muon_theory.rooms.fanions.ball_programs import (
    dual_ball_maximizer,
    far_projection,
    gauge_bounds,
    ky_fan_ball_maximizer,
    project_spectrum,
)
from muon_theory.rooms.fanions.gauges import f_muon_gauge_roots

SPECTRA = st.lists(st.floats(0, 100), min_size=1, max_size=7).map(lambda s: np.array(sorted(s, reverse=True)))
QUIET = settings(max_examples=60, deadline=None, derandomize=True)


@QUIET
@given(SPECTRA, st.floats(0, 10), st.floats(0, 30))
def test_a_projection_lies_in_its_set_and_no_point_of_the_set_is_nearer(sigma, bound, total):
    z = project_spectrum(sigma, bound, total)
    slack = 1e-12 * (1 + sigma.sum() + bound)
    assert z.min() >= 0
    assert z.max() <= bound + slack
    assert z.sum() <= total + slack
    # The obtuse-angle condition <sigma - z, w - z> <= 0 at the vertices of the set.
    vertices = [np.zeros_like(z)]
    filled = np.zeros_like(z)
    for i in range(len(z)):
        filled[i] = min(bound, max(0.0, total - filled.sum()))
        vertices.append(filled.copy())
    assert all((sigma - z) @ (w - z) <= 1e-9 * (1 + sigma.max() ** 2 + bound**2) for w in vertices)


@QUIET
@given(SPECTRA.filter(lambda s: s[0] > 1e-3), st.floats(0.01, 0.99), st.data())
def test_the_two_bounds_of_a_gauge_agree_and_scale_with_the_matrix(sigma, alpha, data):
    k = data.draw(st.integers(1, len(sigma)))
    lower, upper = gauge_bounds(sigma, k, alpha)
    assert lower <= upper * (1 + 1e-13)
    assert lower == pytest.approx(upper, rel=1e-10)
    assert gauge_bounds(3 * sigma, k, alpha)[1] == pytest.approx(3 * upper, rel=1e-10)


@QUIET
@given(SPECTRA.filter(lambda s: s[0] > 1e-3), st.floats(0.01, 0.99))
def test_there_is_one_admissible_root_and_it_is_the_f_muon_norm(sigma, alpha):
    roots = f_muon_gauge_roots(sigma, alpha)
    assert len(roots) == 1
    assert roots[0] == pytest.approx(gauge_bounds(sigma, len(sigma), alpha)[1], rel=1e-9)


def test_a_gauge_lies_between_the_frobenius_norm_and_the_dual_norm_of_its_parts():
    sigma = np.array([3.0, 2.0, 1.0])
    values = [gauge_bounds(sigma, 2, alpha)[1] for alpha in (1e-9, 1 - 1e-9)]
    assert values == pytest.approx([14**0.5, 3.0], rel=1e-6)


def test_at_the_tie_of_both_branches_the_program_still_finds_the_dual_norm():
    sigma = np.array([3.0, 2.0, 1.0])
    assert sigma @ ky_fan_ball_maximizer(sigma, 2) == pytest.approx(3.0)


def test_zero_singular_values_change_neither_program():
    sigma = np.array([2.0, 0.0, 0.0])
    assert sigma @ ky_fan_ball_maximizer(sigma, 2) == pytest.approx(2.0)
    assert sigma @ dual_ball_maximizer(sigma, 2) == pytest.approx(2.0)


@pytest.mark.parametrize("k", [0, 0.5, 4, float("nan")])
def test_an_order_outside_the_spectrum_is_refused(k):
    for call in (
        lambda: ky_fan_ball_maximizer([1.0, 1.0], k),
        lambda: dual_ball_maximizer([1.0, 1.0], k),
        lambda: gauge_bounds([1.0, 1.0], k, 0.5),
    ):
        with pytest.raises(ValueError, match="give a number from 1 to the number of singular values"):
            call()


def test_a_blend_weight_at_or_beyond_its_ends_is_refused():
    for alpha in (0.0, 1.0, -0.1, 1.1):
        with pytest.raises(ValueError, match="strictly between 0 and 1"):
            gauge_bounds([1.0, 1.0], 1, alpha)


def test_an_unknown_ball_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="'frobenius', 'max' or 'dual_ky_fan'"):
        far_projection(np.eye(2), "spectral")
