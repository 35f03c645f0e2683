import numpy as np
import pytest

from muon_theory.polar import scalar_map
from muon_theory.rooms.muon_all.vector_update import drawn_update, gaussian_update


@pytest.mark.parametrize("n", [4096, 1_000_000])
def test_the_expectation_matches_drawn_vectors(n):
    drawn, expected = drawn_update(n, 5), gaussian_update(n)
    # the norm fluctuates by 1/sqrt(2n); five vectors leave 1/sqrt(5n) of sampling error and phi has slopes of a few
    assert drawn.rms == pytest.approx(expected.rms, abs=8 / np.sqrt(n))
    assert drawn.share_small == pytest.approx(expected.share_small, abs=8 / np.sqrt(n))


def test_very_long_vectors_are_scaled_linearly_by_the_slope_at_zero():
    n = 1e14
    assert gaussian_update(n).rms == pytest.approx(3.4445**6 / np.sqrt(n), rel=1e-3)
    assert gaussian_update(n).share_small == pytest.approx(1, abs=1e-6)


def test_a_convergent_method_has_no_overshoot():
    assert gaussian_update(256, method="taylor_5", steps=12).rms < 1


def test_drawn_vectors_are_normalised_one_by_one():
    g = np.random.default_rng(0).standard_normal(10)
    update = scalar_map("jordan_2024", 6)(g / np.linalg.norm(g))
    assert drawn_update(10, 1).rms == pytest.approx(float(np.sqrt((update**2).mean())))
