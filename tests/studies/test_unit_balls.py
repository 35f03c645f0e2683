"""Facts in the table of the unit balls, against formulas for two singular values."""

from functools import cache

import numpy as np
import pytest

from studies.fanions import unit_balls


@cache
def quick():
    return unit_balls.compute(quick=True, spacing=15.0)


def of(family, k):
    return quick().query(f"family == {family!r} and k == {k}").reset_index(drop=True)


@pytest.mark.parametrize("k", unit_balls.FAMILIES["Ky Fan"])
def test_values_are_those_of_two_singular_values(k):
    rows = of("Ky Fan", k)
    angle = np.deg2rad(rows["angle_degrees"])
    large, small = np.maximum(np.cos(angle), np.sin(angle)), np.minimum(np.cos(angle), np.sin(angle))
    ky_fan, capped = large + (k - 1) * small, np.maximum(large, (large + small) / k)
    assert rows["value"].to_numpy() == pytest.approx(ky_fan.to_numpy(), rel=1e-12)
    assert of("dual Ky Fan", k)["value"].to_numpy() == pytest.approx(capped.to_numpy(), rel=1e-12)


def test_the_rays_end_on_the_boundary_and_the_steps_lie_beyond_none_of_its_tangents():
    for _, rows in quick().groupby(["family", "k"]):
        ends, steps = rows[["d1", "d2"]].to_numpy(), rows[["step_1", "step_2"]].to_numpy()
        angle = np.deg2rad(rows["angle_degrees"].to_numpy())
        gradients = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        assert ((gradients @ ends.T).max(axis=1) <= rows["dual"].to_numpy() * (1 + 1e-8)).all()
        assert (gradients * steps).sum(axis=1) == pytest.approx(rows["dual"].to_numpy(), rel=1e-12)


def test_every_claim_of_the_table_holds_and_every_mutation_flips_it():
    for claim in unit_balls.claims(quick()):
        result = claim.check()
        assert result.verdict == "holds", claim.id
        assert "holds" not in result.mutation_verdicts, claim.id


def test_the_figure_is_drawn_from_the_table_alone():
    import matplotlib.pyplot as plt

    drawing = unit_balls.figure(quick())
    assert len(drawing.axes) == 4
    plt.close(drawing)
