"""Facts in the table of the study of Dion's error feedback, on its quick profile."""

from functools import cache

import matplotlib.pyplot as plt
import pandas as pd
import pytest
import torch

from muon_theory.optimizers import Dion
from muon_theory.reporting.style import apply_style
from studies.dion import error_feedback_law
from studies.dion import error_feedback_on_least_squares as least_squares


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


@pytest.mark.parametrize("route", [least_squares.EXACT, least_squares.POWER])
def test_at_full_rank_error_feedback_changes_nothing(route):
    losses = [
        pd.DataFrame(least_squares.cell(n=6, route=route, rank=6, feedback=feedback, steps=20, seed=0))["loss"]
        for feedback in (True, False)
    ]
    assert losses[0].to_numpy() == pytest.approx(losses[1].to_numpy(), rel=1e-9)


@pytest.mark.parametrize("feedback", [True, False])
def test_the_batched_rule_of_the_study_is_the_optimizers(feedback):
    rows = pd.DataFrame(least_squares.cell(n=8, route=least_squares.EXACT, rank=3, feedback=feedback, steps=15, seed=1))
    A, B, start = least_squares.problem(8, 1)
    lr = rows["lr"].iloc[2]
    weight = torch.nn.Parameter(start.clone())
    optimizer = Dion([weight], lr, 0.9, 0.0, rank=3, exact=True, lr_scale="none", error_feedback=feedback)
    for step in range(15):
        optimizer.param_groups[0]["lr"] = lr * (1 - step / 15)
        weight.grad = A @ weight.detach() @ B
        optimizer.step()
    X = weight.detach()
    ratio = float((X * (A @ X @ B)).sum() / (start * (A @ start @ B)).sum())
    assert rows["loss"].iloc[2] == pytest.approx(ratio, rel=1e-9)


def test_the_quick_profile_runs_every_variant_and_draws():
    table = least_squares.compute(quick=True)
    assert len(least_squares.best(table)) == 12
    assert least_squares.claims(table) == []
    with apply_style():
        plt.close(least_squares.figure(table))
