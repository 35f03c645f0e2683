"""Facts of the studies that train Fanions, their blends and Dion: ends that coincide, and claims that can fail."""

from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest

from muon_theory.problems import load_images, mlp
from studies.dion import error_feedback_in_training as feedback
from studies.fanions import blend_with_frobenius, blend_with_sign, which_k

SMALL = {"dataset": "digits", "width": 8, "steps": 6, "seed": 3, "length": 0.5, "momentum": 0.9, "weight_decay": 0.0}


def loss_of(study, **options):
    return float(study.cell(**(SMALL | {"windows": 1} | options))["test_loss"].iloc[-1])


@pytest.mark.parametrize("k", [1, 8])
def test_at_alpha_one_every_blend_is_fanion_k(k):
    expected = loss_of(which_k, k=k)
    assert loss_of(blend_with_frobenius, k=k, alpha=1.0) == expected
    assert loss_of(blend_with_sign, k=k, alpha=1.0) == expected


@pytest.mark.parametrize("study", [blend_with_frobenius, blend_with_sign])
def test_at_alpha_zero_k_and_eta_do_not_matter(study):
    assert loss_of(study, k=1, alpha=0.0) == loss_of(study, k=8, alpha=0.0)
    assert loss_of(blend_with_sign, k=1, alpha=0.0, eta=0.5) == pytest.approx(loss_of(blend_with_sign, k=1, alpha=0.0))


def test_at_full_rank_error_feedback_changes_nothing_but_rounding():
    losses = [loss_of(feedback, rank=8, feedback=arm) for arm in (True, False)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


def test_all_directions_hold_the_whole_nuclear_norm_and_one_the_largest_share():
    images, model = load_images("digits"), mlp(64, (8, 8), seed=0)
    shares = [which_k.gradient_shares(model, images, k, count=200)["share"] for k in range(1, 9)]
    assert shares[-1] == 1.0
    assert np.diff(shares).min() >= 0
    assert np.diff(shares, 2).max() <= 1e-6


def planted(columns: list[str], losses: Any, seeds: int) -> pd.DataFrame:
    """A table of paired runs with given losses and a little noise."""
    noise = np.random.default_rng(0)
    return pd.DataFrame([
        {**dict(zip(columns, key, strict=True)), "seed": seed, "step": 9, "phase": "runs",
         "test_loss": loss + 1e-4 * noise.standard_normal()}
        for (key, loss), seed in product(losses.items(), range(seeds))
    ])  # fmt: skip


PLANTED: dict[Any, tuple[list[str], dict[tuple[Any, ...], float]]] = {
    which_k: (["k"], {(k,): 1.0 / k for k in (1, 2, 4, 8, 32)}),
    blend_with_frobenius: (
        ["k", "alpha"],
        {(1, 0.5): 0.2, (1, 1.0): 0.5, (32, 0.0): 0.15, (32, 0.5): 0.1, (32, 1.0): 0.1},
    ),
    blend_with_sign: (["k", "alpha"], {(1, 0.5): 0.2, (1, 1.0): 0.5, (32, 0.0): 0.15, (32, 0.5): 0.1, (32, 1.0): 0.1}),
    feedback: (["rank", "feedback"], {(4, True): 0.2, (4, False): 0.3, (32, True): 0.1, (32, False): 0.1}),
}


@pytest.mark.parametrize("study", PLANTED)
def test_planted_losses_give_the_verdict_and_every_mutation_flips_it(study):
    columns, losses = PLANTED[study]
    found = study.claims(planted(columns, losses, 6))
    assert found
    for claim in found:
        result = claim.check()
        assert result.verdict == "holds", claim.id
        assert set(result.mutation_verdicts) == {"refuted"}, claim.id


@pytest.mark.parametrize("study", PLANTED)
def test_four_seeds_claim_nothing(study):
    assert study.claims(planted(*PLANTED[study], 4)) == []
