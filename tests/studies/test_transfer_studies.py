"""Facts in the cells of the studies of hyperparameter transfer, on small sizes."""

import numpy as np
import pandas as pd
import pytest

from studies.hyperparameter_transfer import learning_rate_across_widths as rates
from studies.hyperparameter_transfer import top_k_share as shares
from studies.hyperparameter_transfer import transfer_exponents as powers


def _bowls(shift: dict[str, float]) -> pd.DataFrame:
    rows = [
        {"arm": arm, "width": width, "log2_lr": x, "steps": 1, "seed": seed, "loss": (x - shift[arm] * i) ** 2 + seed}
        for arm in rates.ARMS for i, width in enumerate((64, 128, 256, 512)) for x in np.arange(-4, 4.5, 0.5)
        for seed in range(3)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_the_best_rates_of_bowls_are_their_centres():
    table = _bowls({"Adam, muP": 0.1, "Adam, standard": -1.0, "Muon, muP": 0.4})
    found = rates.best_rates(table, draws=5)
    np.testing.assert_allclose(found["Adam, standard"][0], [0, -1, -2, -3], atol=1e-9)
    assert {claim.id: claim.check().verdict for claim in rates.claims(table)} == {
        "HT-13": "holds",
        "HT-13-MUON": "holds",
    }


def test_the_claims_on_rates_can_fail():
    table = _bowls({"Adam, muP": 0.5, "Adam, standard": -1.0, "Muon, muP": 0.4})
    verdicts = {claim.id: claim.check().verdict for claim in rates.claims(table)}
    assert verdicts == {"HT-13": "refuted", "HT-13-MUON": "refuted"}


@pytest.mark.parametrize("name", shares.OPTIMIZERS)
def test_all_directions_together_carry_everything(name):
    rows = pd.DataFrame(shares.cell(name, width=24, lr=0.01, steps=20, seed=0, shares=True))
    whole = rows[rows["k"] == 256]["share"]
    assert len(whole) == 4  # two matrices, twice
    np.testing.assert_allclose(whole, 1.0, rtol=1e-9)


@pytest.mark.parametrize("system", powers.SYSTEMS)
def test_every_system_gives_a_row_a_width_and_a_word(system):
    rows = powers.cell(system, quick=True, seed=0)
    assert rows["width"].is_monotonic_increasing
    assert set(rows["word"]) <= {"fast", "slow", "undecided"}
    assert (rows["a"] >= 0).all()
    assert (rows["b"] >= 0).all()


def test_the_system_made_slow_is_slow_where_its_limit_is_known():
    row = powers.cell("made slow", quick=True, seed=0).iloc[0]
    assert row["exact alpha"] == pytest.approx(0.7, abs=0.01)
    assert row["exact beta"] == pytest.approx(0.35, abs=0.03)
