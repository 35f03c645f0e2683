"""The comparison after a decay, on losses that were made up: direction of the difference, best rate, target."""

import numpy as np
import pandas as pd
import pytest

from studies.fanions import least_squares_decayed as study


def _made(shifts: dict[str, float]) -> pd.DataFrame:
    noise = np.random.default_rng(0)
    return pd.DataFrame([
        {"method": method, "lr": lr, "beta": beta, "n": 500, "steps": 400, "seed": seed,
         "loss": 10 ** (-4 + shift + 4 * np.log10(lr / 0.1) ** 2 + 9 * (0.9 - beta) + 0.01 * noise.normal())}
        for method, shift in shifts.items() for lr in (0.01, 0.1, 0.3) for beta in (0.8, 0.9) for seed in range(5)
    ])  # fmt: skip


def test_who_is_ahead_and_by_how_much():
    table = _made({"muon": 0.0, "f_muon": -0.3, "s_muon": 0.2, "nsgd": 0.5})
    assert {method: best[:2] for method, best in study.tuned(table).items()} == dict.fromkeys(study.NAMES, (0.1, 0.9))
    assert study.against_muon(table, "f_muon")[0] == pytest.approx(-0.3, abs=0.05)
    verdicts = {claim.id: claim.check().verdict for claim in study.claims(table)}
    assert verdicts == {"LS-28": "holds", "LS-29": "holds", "LS-30": "refuted", "LS-31": "refuted"}


def test_a_method_that_misses_the_target_is_told():
    table = _made({"muon": 0.0, "f_muon": 0.0, "s_muon": 1.5, "nsgd": 0.0})
    assert study.claims(table)[0].check().verdict == "refuted"
    assert (study.claims(table.assign(n=24))) == []


def test_a_cell_gives_a_row_a_seed_and_a_better_loss_than_the_start():
    rows = study.cell("muon", lr=0.1, beta=0.9, n=24, steps=40, seeds=[0, 1])
    assert [row["seed"] for row in rows] == [0, 1]
    start = [study.least_squares(24, seed) for seed in (0, 1)]
    for row, problem in zip(rows, start, strict=True):
        assert 0 < row["loss"] < 0.1 * float(problem.value(problem.start)) * (500 / 24) ** 2
