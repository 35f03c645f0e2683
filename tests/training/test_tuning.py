"""The tuning contract: interior optima, natural boundaries, the same search for all."""

import math

import pytest

from muon_theory.training.comparison import paired_difference
from muon_theory.training.tuning import Grid, learning_rates, momenta, tune, weight_decays


def bowl(trials):
    """A loss with its optimum at (lr, momentum, decay) = (target, 0.9, 0)."""
    return [math.log(t["lr"] / t["target"]) ** 2 + (t["momentum"] - 0.9) ** 2 + t["weight_decay"] for t in trials]


GRIDS = {"lr": learning_rates(1.0, count=3), "momentum": momenta(), "weight_decay": weight_decays()}
START = {"lr": 1.0, "momentum": 0.95, "weight_decay": 0.0}


def test_the_grid_grows_until_the_optimum_is_interior_for_every_configuration():
    found = tune(bowl, [{"target": 0.01}, {"target": 1.0}, {"target": 64.0}], START, GRIDS)
    assert [f["lr"] for f in found] == [2.0**-7, 1.0, 64.0]
    assert all(f["momentum"] == 0.9 for f in found)


def test_zero_decay_is_a_natural_boundary():
    assert tune(bowl, [{"target": 1.0}], START, GRIDS)[0]["weight_decay"] == 0.0


def test_momentum_zero_is_a_natural_boundary():
    losses = lambda trials: [t["momentum"] for t in trials]  # noqa: E731  a one-line loss
    assert tune(losses, [{}], {"momentum": 0.9}, {"momentum": momenta()}) == [{"momentum": 0.0}]


def test_an_optimum_that_stays_at_the_edge_is_refused():
    with pytest.raises(ValueError, match="still at the edge after 3 extensions"):
        tune(lambda trials: [t["lr"] for t in trials], [{}], {"lr": 1.0}, {"lr": learning_rates(1.0)}, extensions=3)


def test_divergence_counts_as_worst_and_moves_the_grid_down():
    def losses(trials):
        return [math.nan if t["lr"] > 0.01 else (t["lr"] - 0.004) ** 2 for t in trials]

    assert tune(losses, [{}], {"lr": 1.0}, {"lr": learning_rates(1.0)}) == [{"lr": 2.0**-8}]


def test_a_configuration_that_always_diverges_is_named():
    with pytest.raises(ValueError, match="still at the edge"):
        tune(lambda trials: [math.inf] * len(trials), [{"q": 1}], {"lr": 1.0}, {"lr": learning_rates(1.0)})


def test_every_configuration_gets_the_same_initial_trials():
    seen = []

    def losses(trials):
        seen.append([(t["target"], t["lr"]) for t in trials])
        return [abs(t["lr"] - 1.0) for t in trials]

    tune(losses, [{"target": 1}, {"target": 2}], {"lr": 1.0}, {"lr": learning_rates(1.0, count=3)})
    assert seen == [[(1, 0.5), (1, 1.0), (1, 2.0), (2, 0.5), (2, 1.0), (2, 2.0)]]


@pytest.mark.parametrize("values", [(1.0,), (2.0, 1.0), (1.0, 1.0)])
def test_a_grid_needs_ascending_values(values):
    with pytest.raises(ValueError, match="ascending"):
        Grid(values, abs, abs)


def test_a_missing_start_is_named():
    with pytest.raises(ValueError, match="momentum"):
        tune(bowl, [{}], {"lr": 1.0}, {"momentum": momenta()})


def test_a_clear_paired_difference_has_a_word_and_a_noisy_one_has_none():
    assert paired_difference([1, 2, 3, 4, 5], [2, 3.1, 4, 5.1, 6]).word == "better"
    assert paired_difference([2, 3.1, 4, 5.1, 6], [1, 2, 3, 4, 5]).word == "worse"
    assert paired_difference([1, 2, 3, 4, 5], [5, 4, 3, 2, 1.1]).word == "undecided"


def test_the_interval_is_students():
    found = paired_difference([1.0, 2.0, 3.0], [0.0, 0.0, 0.0])
    half = 4.302652729911275 / math.sqrt(3)  # t quantile .975 with 2 degrees of freedom, sd 1
    assert (found.mean, found.lower, found.upper) == pytest.approx((2.0, 2 - half, 2 + half))


def test_a_diverged_run_leaves_the_comparison_undecided():
    assert paired_difference([math.nan, 1.0], [2.0, 2.0]).word == "undecided"


def test_unpaired_samples_are_refused():
    with pytest.raises(ValueError, match="3 and 2"):
        paired_difference([1, 2, 3], [1, 2])
