"""Facts in the cells of the studies of hyperparameter transfer, on small sizes."""

import numpy as np
import pandas as pd
import pytest

from studies.hyperparameter_transfer import learning_rate_across_widths as rates
from studies.hyperparameter_transfer import slow_example
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


def _made(beta: float, alpha: float = 0.7, jitter: float = 0.0) -> pd.DataFrame:
    """A table of the slow example with powers of one's choice; the narrow widths have more rates than the widest."""
    noise = np.random.default_rng(0)
    rows = [
        {"width": n, "log2_rate": x, "seed": seed, "steps": 1, "dimension": 64,
         "loss": 0.1 + (n / 256) ** -alpha + 0.02 * (x + 9.0 + (n / 256) ** -beta + jitter * noise.normal()) ** 2}
        for seed in range(3) for n in (2**k for k in range(8, 14)) for x in (range(-12, -5) if n < 8192 else
                                                                            range(-11, -7))
    ]  # fmt: skip
    return pd.DataFrame(rows).sample(frac=1.0, random_state=0)


@pytest.mark.parametrize(("beta", "verdict"), [(0.2, "holds"), (1.0, "refuted")])
def test_the_slow_example_is_called_what_it_was_made(beta, verdict):
    table = _made(beta)
    widths, grid, curves = slow_example.curves_of(table)
    assert (widths[-1], curves.shape, (grid / np.log(2)).round().tolist()) == (8192, (3, 6, 4), [-11, -10, -9, -8])
    slow, wider, held_out, _, length = slow_example.claims(table)
    found = [claim.check().verdict for claim in (slow, wider, held_out, length)]
    assert found == [verdict, verdict, "holds", "holds"]
    _, fitted = slow_example.verdicts(table)
    assert fitted.margin[0] == pytest.approx(beta - 0.35, abs=0.05)


def test_the_held_out_width_can_miss_its_prediction():
    table = _made(0.2)
    table.loc[table["width"] == 8192, "loss"] += 0.01
    assert slow_example.claims(table)[2].check().verdict == "refuted"
