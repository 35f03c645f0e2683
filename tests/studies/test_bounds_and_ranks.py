"""The studies that hold bounds against training: each bound is the room's, and claims can fail."""

import math

import numpy as np
import pandas as pd
import pytest

from muon_theory.reporting.claim_check import claim_row
from muon_theory.rooms.newton_schulz_convergence.rates import Setting
from muon_theory.rooms.newton_schulz_convergence.stationarity import inexact_average_bound
from studies.newton_schulz_convergence import bound_against_training, rank_against_sgd
from studies.newton_schulz_convergence._runs_of_theorems import RUNS, oracle_uses


@pytest.fixture(scope="module")
def one_seed():
    return pd.DataFrame(bound_against_training.cell(0, "digits", 64, 1, 1))


def five_seeds(table):
    return pd.concat([table.assign(seed=seed) for seed in range(5)], ignore_index=True)


def test_every_run_serves_a_theorem_and_every_theorem_has_its_row(one_seed):
    assert set(one_seed["run"]) == set(RUNS)
    assert {f"BEST-{i:02d}" for i in range(1, 20)} <= set(one_seed["id"])
    assert one_seed["id"].is_unique


def test_a_bound_is_that_of_the_room_at_the_constants_of_the_run(one_seed):
    row = one_seed.set_index("id").loc["BEST-05"]
    setting = Setting(row.L, row.D, int(row["T"]), int(row["rank"]), 0.0, 1)
    bound = inexact_average_bound(setting, step_size=row.eta, gradient_weight=0.1, nesterov=True)
    assert row.bound == pytest.approx(bound.total)
    assert row.share == pytest.approx(max(bound) / bound.total)
    assert row.observed == pytest.approx(row.measured / math.sqrt(2 * row.L * row.D))


def test_the_claims_hold_flip_and_can_fail(one_seed):
    table = five_seeds(one_seed)
    for claim in bound_against_training.claims(table):
        assert claim_row("study", claim)["as_expected"], claim.id
    broken = {
        c.id: claim_row("study", c)["verdict"] for c in bound_against_training.claims(table.eval("measured = 1e9"))
    }
    assert set(broken.values()) == {"refuted"}
    assert bound_against_training.claims(one_seed) == []


def test_an_oracle_fact_is_the_worst_over_the_run():
    flat, steep = np.full(4, 0.5), np.array([1.0, 0.2, 0.1, 0.05]) / np.linalg.norm([1.0, 0.2, 0.1, 0.05])
    alone = {use.id: use for use in oracle_uses(steep[None], 4)}
    both = {use.id: use for use in oracle_uses(np.stack([flat, steep]), 4)}
    assert all(both[id].observed >= use.observed for id, use in alone.items())
    assert all(use.measured <= sum(use.terms.values()) * (1 + 1e-9) for use in both.values())


def planted(powers):
    rows = [
        {"family": family, "rank": r, "seed": seed, "share": share, "observed": (1 + seed) * r**found, "both": r**both}
        for family, (found, both) in powers.items() for r in (4, 8, 16) for share in (0.3, 0.1) for seed in range(5)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_powers_of_the_rank_are_recovered_and_decide_the_claims():
    laws = {"flat": (0.0, 0.0), "gaussian": (0.1, 0.1), "power": (0.5, 0.9), "network": (0.9, 0.9)}
    found = rank_against_sgd.powers(planted(laws), "observed")
    assert found == {name: pytest.approx([law[0]] * 5) for name, law in laws.items()}
    verdicts = {c.id: claim_row("study", c)["verdict"] for c in rank_against_sgd.claims(planted(laws))}
    assert verdicts == {"KO-SGD-ONLY-L": "refuted", "KO-SGD-BOTH": "holds", "KO-SGD-LEVEL": "holds"}
    laws["power"] = (0.1, 0.9)
    verdicts = {c.id: claim_row("study", c)["verdict"] for c in rank_against_sgd.claims(planted(laws))}
    assert verdicts["KO-SGD-BOTH"] == "refuted"
