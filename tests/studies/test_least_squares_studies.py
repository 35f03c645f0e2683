"""Facts in the tables of the studies on the least-squares problem, against runs computed one by one."""

from functools import cache

import numpy as np
import pytest
import torch

from muon_theory.rooms.fanions.least_squares import METHODS, blended_direction, descend, least_squares
from studies.fanions import least_squares as decayed
from studies.fanions import least_squares_constant as constant
from studies.fanions import least_squares_floor as floor
from studies.fanions import least_squares_published as published


@cache
def quick_constant():
    return constant.compute(quick=True)


@cache
def quick_decayed():
    return decayed.compute(quick=True)


def test_the_best_run_of_a_constant_rate_is_repeated_by_a_single_run():
    row = quick_constant().query("method == 'f_muon' and route == 'exact' and seed == 1 and target == 1.0").iloc[0]
    problem = least_squares(8, 1)

    def step(M):
        return -blended_direction(torch.from_numpy(M), METHODS["f_muon"], "exact").numpy()

    values = descend(problem, step, lr=row["lr"], beta=row["beta"], steps=int(row["score"]))[1] / 306
    below = values < values[0] / 306
    assert below[-1]
    assert not below[:-1].any()


def test_tuning_for_each_seed_is_never_worse_than_one_tuning_for_all():
    for rows, losses in ((quick_constant(), "target"), (quick_decayed(), "horizon")):
        table = rows.pivot_table("score", ["method", "route", losses, "seed"], "tuned").dropna()
        assert (table[decayed.EACH].to_numpy() <= table[decayed.ALL].to_numpy()).all()


def test_horizons_between_two_measured_ones_are_interpolated_in_the_logarithm():
    table = quick_decayed().copy()
    table["score"] = -np.log(table["horizon"]) * 2  # a final loss of horizon^-2
    needed = decayed.needed(table, "muon", "exact", decayed.ALL)
    expected = (306 / np.array(decayed.LOSSES)) ** 0.5
    reached = (expected >= 12) & (expected <= 25)
    np.testing.assert_allclose(needed.to_numpy()[reached], np.stack([expected, expected], axis=1)[reached], rtol=1e-12)
    assert np.isnan(needed.to_numpy()[~reached]).all()


def test_the_leading_part_is_that_of_the_singular_value_decomposition():
    M = torch.from_numpy(np.random.default_rng(0).standard_normal((6, 6)))
    U, _, V = torch.linalg.svd(M)
    for k in (1, 3, 6):
        expected = U[:, :k] @ V[:k]
        torch.testing.assert_close(floor.leading_part(M, k, False), expected, rtol=0, atol=1e-8)
        blend = (expected + M / torch.linalg.matrix_norm(M)) / 2
        torch.testing.assert_close(floor.leading_part(M, k, True), blend, rtol=0, atol=1e-8)


def test_a_decayed_run_starts_at_one_and_takes_its_last_step_at_a_small_rate():
    losses = floor.history(5, 0, 0.05, lambda M: floor.leading_part(M, 5, False), beta=0.5, steps=50, decay=True)
    assert losses[0] == 1
    assert losses[-1] < losses.min() * 1.5


@pytest.mark.parametrize("method", published.PUBLISHED)
def test_the_thinned_grid_keeps_the_published_optimum(method):
    lr, beta, _ = published.PUBLISHED[method]
    assert beta in dict(published.grid_of(method))[lr]


def test_the_problem_in_the_published_order_of_draws_has_the_published_spectra():
    problem = published.published_problem(40, 42)
    assert problem.start.std() == pytest.approx(0.1, rel=0.1)
    assert problem.a.min() >= 0
    assert problem.b.max() <= 1
    np.testing.assert_allclose(problem.left @ problem.left.T, np.eye(40), atol=1e-5)
