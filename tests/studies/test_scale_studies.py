"""Facts in the cells of the studies of SCALE and of fine-tuning, on small sizes."""

import math

import pandas as pd
import pytest

from studies.muon_all import fine_tuning
from studies.scale import gradient_variance_by_layer as variance
from studies.scale import momentum_placement, normalisation_cost, which_axis


def _timings(newton_schulz: float, svd: float, none: float) -> pd.DataFrame:
    rounds = [
        {"n": 1024, "round": i, "columns_s": 0.001, "newton_schulz_s": 0.001 * newton_schulz,
         "newton_schulz_bfloat16_s": 0.001 * newton_schulz, "svd_s": 0.001 * newton_schulz * svd,
         "no_steps_s": 0.001 * none}
        for i in range(5)
    ]  # fmt: skip
    return pd.DataFrame(rounds)


def test_the_claims_on_costs_follow_the_ratios_and_can_fail():
    verdicts = {claim.id: claim.check() for claim in normalisation_cost.claims(_timings(150.0, 0.6, 2.0))}
    assert verdicts["SC-17"].verdict == "holds"
    assert verdicts["SC-17"].mutation_verdicts == ("refuted",)
    assert verdicts["SC-17-SVD"].verdict == "refuted"
    slow = {claim.id: claim.check().verdict for claim in normalisation_cost.claims(_timings(5.0, 200.0, 2.0))}
    assert slow == {"SC-17": "refuted", "SC-17-SVD": "holds"}


def test_training_lowers_the_excess_and_a_seed_gives_one_number():
    problem = {"vocabulary": 40, "width": 8, "batch": 32, "seed": 3}
    first = momentum_placement.excess_loss(steps=1, lr=1e-4, **problem)
    trained = momentum_placement.excess_loss(steps=80, lr=0.02, **problem)
    assert 0 < trained < 0.7 * first
    assert trained == momentum_placement.excess_loss(steps=80, lr=0.02, **problem)


def test_the_arms_differ_in_what_they_name_only():
    cell = {"vocabulary": 30, "width": 6, "batch": 16, "steps": 20, "lr": 0.01, "seed": 0}
    losses = [momentum_placement.cell(arm, **cell)["excess"] for arm in momentum_placement.ARMS]
    losses += [which_axis.cell(arm, **cell)["excess"] for arm in which_axis.ARMS]
    assert losses[0] == losses[4]  # no momentum, output units
    assert len(set(losses)) == len(losses) - 1


def test_a_learning_rate_beyond_all_measure_is_a_row_with_an_infinite_excess():
    row = momentum_placement.cell("none", vocabulary=10, width=4, batch=8, steps=5, lr=1e38, seed=0)
    assert row["excess"] == math.inf


@pytest.mark.parametrize("model", variance.MODELS)
def test_variances_are_those_of_a_batch_and_layers_are_named(model):
    rows = pd.DataFrame(variance.cell(model, quick=True, seed=0))
    assert set(variance.LAYERS) <= set(rows["layer"])
    assert (rows["variance"] >= 0).all()
    assert variance.claims(rows) == []


def test_fine_tuning_starts_from_one_pretrained_model_and_moves_away_from_the_old_law():
    cell = {"start": "adamw", "regime": "stream", "lr": 0.003, "size": "quick", "seed": 0}
    rows = [fine_tuning.cell(arm=arm, **cell) for arm in ("adamw", "muon", "muon_all")]
    assert len({row["before"] for row in rows}) == 1
    assert len({row["excess"] for row in rows}) == 3
    assert fine_tuning.cell(arm="muon", **cell) == rows[1]
