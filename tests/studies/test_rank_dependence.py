"""Facts of the study rank_dependence: slopes recover planted power laws, claims can fail, arms are paired."""

import math
from itertools import product

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection

from muon_theory.problems import load_images
from muon_theory.reporting.claim_check import claim_row
from studies.newton_schulz_convergence import rank_dependence as study

PLANTED = {"sgd": (0.25, 0.05), "muon_exact": (0.3, -0.2), "muon": (0.38, -0.19)}
SMALL = {"dataset": "digits", "steps": 4, "seed": 3, "lr": 0.1, "momentum": 0.9, "probed": 128, "probes": 2}


def planted_table(seeds=5, noise=0.0, powers=PLANTED):
    """A table whose norms are exact power laws c_seed r^p, times lognormal noise."""
    generator = np.random.default_rng(0)
    rows = []
    for name, (h, head), seed, r in product(powers, enumerate(study.HEADS), range(seeds), study.WIDTHS):
        scale = (1 + seed) * math.exp(noise * generator.standard_normal())
        norms = {norm: scale * r ** (powers[name][h] - 0.1 * i) for i, norm in enumerate(study.NORMS)}
        rows.append({"optimizer": name, "head": head, "seed": seed, "width": r, "test_loss": 0.1, "phase": "runs",
                     "dataset": "planted", "steps": 1, "probed": 64, **norms})  # fmt: skip
    tuning = {**rows[0], "phase": "tuning", **dict.fromkeys(study.NORMS, math.nan)}
    return pd.DataFrame([tuning, *rows])


def verdicts(table):
    return {claim.id: claim_row("study", claim) for claim in study.claims(table)}


def test_the_slopes_recover_planted_power_laws():
    found = study.powers(planted_table())
    for name, planted in PLANTED.items():
        for head, power in zip(study.HEADS, planted, strict=True):
            for i, norm in enumerate(study.NORMS):
                assert found.loc[(name, head), norm].to_numpy() == pytest.approx(power - 0.1 * i, abs=1e-12)


def test_the_slope_is_the_least_squares_slope():
    table = planted_table(seeds=1, noise=0.3)
    runs = table[(table.phase == "runs") & (table.optimizer == "sgd") & (table["head"] == "fixed")]
    expected = np.polyfit(np.log(runs.width), np.log(runs.nuclear), 1)[0]
    assert study.powers(table).nuclear["sgd", "fixed", 0] == pytest.approx(expected, abs=1e-12)


def test_a_broken_run_leaves_no_slope_and_decides_nothing():
    table = planted_table()
    broken = (table.optimizer == "muon") & (table["head"] == "fixed") & (table.seed == 2) & (table.width == 64)
    table.loc[broken, "test_loss"] = math.inf
    found = study.powers(table).nuclear
    assert found.isna().sum() == 1
    assert math.isnan(found["muon", "fixed", 2])
    assert verdicts(table)["KO-RANK-HEAD"]["verdict"] != "holds"


def test_the_claims_hold_and_fail_as_planted():
    rows = verdicts(planted_table(noise=0.01))
    assert {key: row["verdict"] for key, row in rows.items()} == {
        "KO-RANK-SGD": "holds", "KO-RANK-ORDER": "refuted", "KO-RANK-HEAD": "holds"}  # fmt: skip
    assert all(row["as_expected"] for row in rows.values())


def test_the_published_powers_and_a_square_root_would_give_other_verdicts():
    published = {name: (power, power) for name, power in study.PUBLISHED.items()}
    rows = verdicts(planted_table(noise=0.01, powers=published))
    assert rows["KO-RANK-ORDER"]["verdict"] == "holds"
    assert rows["KO-RANK-HEAD"]["verdict"] != "holds"
    assert (
        verdicts(planted_table(noise=0.01, powers=PLANTED | {"sgd": (0.6, 0.6)}))["KO-RANK-SGD"]["verdict"] == "refuted"
    )


def test_fewer_than_five_seeds_claim_nothing():
    assert study.claims(planted_table(seeds=4)) == []


def test_the_figure_draws_what_the_table_holds():
    drawing = study.figure(planted_table(noise=0.05))
    left, right = drawing.axes
    lines = [collection for collection in right.collections if isinstance(collection, LineCollection)]
    published = [segment[0][1] for collection in lines for segment in collection.get_segments()]
    assert set(study.PUBLISHED.values()) <= {round(y, 6) for y in published}
    assert len(left.lines) >= 2 * len(study.OPTIMIZERS)


def test_a_cell_is_the_same_for_the_same_seed_and_its_heads_meet_at_the_middle_width():
    cells = [study.cell("muon", study.MIDDLE, head, **SMALL) for head in ("fixed", "fixed", "scaled")]
    assert cells[0] == cells[1]
    assert cells[0] | {"head": "scaled"} == cells[2]
    assert study.cell("muon", 16, "fixed", **SMALL) != study.cell("muon", 16, "scaled", **SMALL) | {"head": "fixed"}


def test_optimizers_start_from_the_same_gradient():
    first = {name: study.cell(name, 16, "fixed", **(SMALL | {"steps": 1, "probes": 1})) for name in study.OPTIMIZERS}
    for norm in study.NORMS:
        assert len({row[norm] for row in first.values()}) == 1


def test_nuclear_norms_lie_between_the_frobenius_norm_and_its_multiple_by_the_root_of_the_rank():
    row = study.cell("sgd", 16, "fixed", **SMALL)
    assert row["frobenius"] < row["nuclear"] < 4 * row["frobenius"]


def test_a_broken_cell_is_a_row_with_infinite_loss(monkeypatch):
    images = load_images("digits")
    images.train_images[100:] = math.nan
    monkeypatch.setattr(study, "load_images", lambda _: images)
    assert study.cell("sgd", 16, "fixed", **SMALL)["test_loss"] == math.inf


def test_the_quick_profile_tunes_every_optimizer_alike_and_pairs_the_seeds():
    cells = []

    def recorded(function, batch):
        assert function is study.cell
        cells.extend(batch)
        return pd.DataFrame([{**cell, "test_loss": (math.log(cell["lr"]) - 0.1) ** 2} for cell in batch])

    table = study.compute(quick=True, map_cells=recorded)
    tuning, runs = table[table.phase == "tuning"], table[table.phase == "runs"]
    assert tuning.groupby("optimizer").lr.apply(lambda rates: sorted(rates)).map(tuple).nunique() == 1
    assert set(tuning.seed).isdisjoint(runs.seed)
    assert runs.groupby(["optimizer", "width", "head"]).seed.apply(lambda seeds: tuple(sorted(seeds))).nunique() == 1
    assert runs.lr.nunique() == 1
