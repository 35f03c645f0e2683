"""Facts in the table of the study of Dion's error feedback, on its quick profile."""

from functools import cache

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from muon_theory.reporting.style import apply_style
from studies.dion import error_feedback_law


@cache
def quick():
    return error_feedback_law.compute(quick=True)


def test_every_claim_of_the_study_is_as_expected_and_can_fail():
    for claim in error_feedback_law.claims(quick()):
        result = claim.check()
        assert claim.as_expected(result), (claim.id, result)


def test_the_same_seed_gives_the_same_row():
    parameters = {
        "route": "one power step, noise",
        "name": "exponential 0",
        "momentum": 0.9,
        "steps": 30,
        "burn_in": 10,
    }
    rows = [pd.DataFrame(error_feedback_law.cell(seed=seed, **parameters)) for seed in (3, 3, 4)]
    assert rows[0].equals(rows[1])
    assert not rows[0].equals(rows[2])


def test_frequencies_and_laws_add_up_to_the_rank():
    table = quick()
    modes = table[table["route"] == "modes"].groupby(["spectrum", "momentum"])
    assert modes["used"].sum().to_numpy() == pytest.approx(modes["rank"].first().to_numpy())
    assert modes["law"].sum().to_numpy() == pytest.approx(modes["rank"].first().to_numpy())


def test_without_feedback_the_optimizer_steps_along_the_first_modes_only():
    table = quick()
    used = table[table["route"] == "exact, no feedback"]["used"].to_numpy()
    assert used[: error_feedback_law.RANK] == pytest.approx(1)
    assert used[error_feedback_law.RANK :] == pytest.approx(0, abs=1e-9)


def test_the_figure_is_drawn_from_the_table_alone():
    with apply_style():
        drawing = error_feedback_law.figure(quick().copy())
    assert len(drawing.axes) == 3
    plt.close(drawing)
