from functools import cache

import matplotlib.pyplot as plt
import pytest
import torch

from muon_theory.polar import polar_factor
from muon_theory.reporting.style import apply_style
from studies.isotropic_curvature import measured_curvature, phase_diagram, when_is_orthogonalization_optimal

STUDIES = (measured_curvature, phase_diagram, when_is_orthogonalization_optimal)


@cache
def quick(study):
    return study.compute(quick=True)


@pytest.mark.parametrize("study", STUDIES)
def test_the_figure_is_drawn_from_the_table_alone(study):
    with apply_style():
        drawing = study.figure(quick(study).copy())
    assert len(drawing.axes) == 3
    plt.close(drawing)


def test_formula_and_program_agree_on_the_plane():
    for claim in phase_diagram.claims(quick(phase_diagram)):
        result = claim.check()
        assert claim.as_expected(result), (claim.id, result)


def test_at_the_second_power_polar_reaches_the_nuclear_rank():
    table = quick(when_is_orthogonalization_optimal).query("part == 'recorded' and p == 2")
    polar = table.query("map == 'polar'")
    assert polar["share"].to_numpy() == pytest.approx((polar["nuclear_rank"] / polar["modes"]).to_numpy(), rel=1e-9)
    assert table.query("map == 'gradient'")["share"].to_numpy() == pytest.approx(1, rel=1e-9)


def test_no_map_exceeds_the_optimum():
    table = quick(when_is_orthogonalization_optimal)
    assert table["share"].max() <= 1 + 1e-6
    beyond = table.query("part == 'kink' and strength > 1.2 * jump and map == 'polar'")
    assert len(beyond)
    assert beyond["share"].to_numpy() == pytest.approx(1, abs=1e-6)


def test_a_linear_network_is_exactly_quadratic():
    rows = quick(measured_curvature).query("optimizer == 'linear network'")
    assert rows["exponent"].dropna().to_numpy() == pytest.approx(2, abs=1e-3)


def test_the_remainder_is_that_of_the_network_itself():
    around = measured_curvature.network("muon", 5, 0)
    D = polar_factor(around.gradient)
    loss = float(around.loss(around.weight - 0.3 * D))
    expected = loss - around.value + 0.3 * float(torch.linalg.matrix_norm(around.gradient, "nuc"))
    assert around.remainder(D, [0.3])[0] == pytest.approx(expected, rel=1e-9)
