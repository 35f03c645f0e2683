"""The comparison after a decay, on losses that were made up: direction of the difference, target; and one real run."""

import itertools
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from studies.fanions import least_squares_decayed as study

SHIFTS = {"muon": 0.0, "f_muon": -0.3, "s_muon": 0.2, "nsgd": 0.5}


def _made(shifts: dict[str, float]) -> pd.DataFrame:
    """Losses 10^(-4 + shift) of paired runs; the tuning trials are much lower and must not count."""
    noise = np.random.default_rng(0)
    pairs = [("nsgd", "exact"), *itertools.product(("muon", "f_muon", "s_muon"), study.ROUTES)]
    rows = [
        {"method": method, "route": route, "steps": steps, "lr": 0.1, "momentum": 0.9, "n": 500, "seed": seed,
         "step": steps, "phase": phase,
         "test_loss": -4 + shifts[method] + (400 - steps) / 100 + 0.01 * noise.normal() - 3 * (phase == "tuning")}
        for (method, route), steps, seed, phase in itertools.product(pairs, (100, 400), range(5), ("runs", "tuning"))
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_who_is_ahead_and_by_how_much():
    table = _made(SHIFTS)
    for method, shift in SHIFTS.items():
        for route in study.ROUTES:
            assert study.against_muon(table, 400, route, method).mean == pytest.approx(shift, abs=0.05)
    verdicts = {claim.id: claim.check().verdict for claim in study.claims(table)}
    ahead = {"f_muon": "holds", "s_muon": "refuted", "nsgd": "refuted"}
    assert verdicts == {"LS-28": "holds"} | {name: ahead[method] for name, method, *_ in study.DECIDED}


def test_a_method_that_misses_the_target_is_told():
    table = _made(SHIFTS | {"s_muon": 1.5})
    assert study.claims(table)[0].check().verdict == "refuted"
    assert study.claims(table.assign(n=24)) == []


def test_a_decayed_run_ends_lower_than_it_starts_and_a_diverged_one_counts_as_worst():
    run: dict[str, Any] = {"method": "muon", "route": "ns3_bf16", "steps": 40, "momentum": 0.9, "n": 24, "seed": 0,
                           "windows": 1}  # fmt: skip
    [row] = study.cell(**run, lr=0.1)
    problem = study.least_squares(24, 0)
    assert row["test_loss"] < math.log10(0.1 * float(problem.value(problem.start)) * (500 / 24) ** 2)
    assert study.cell(**run, lr=1e30)[0]["test_loss"] == math.inf
