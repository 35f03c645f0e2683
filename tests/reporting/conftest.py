"""A made-up recording for the tests of reports."""

import numpy as np
import pandas as pd
import pytest

EVIL = "</script><script>document.title='broken'</script><!--\u2028&amp;"


@pytest.fixture(scope="session")
def evil():
    """A layer's name that tries to break out of a page."""
    return EVIL


@pytest.fixture(scope="session")
def recorded():
    """Makes rows of a recording: spectra that flatten with the step, updates by the exact polar factor."""
    return _recorded


def _recorded(
    steps=12, layers=("a.weight", EVIL), kinds=("gradient", "lmo_input", "update"), shape=(16, 40), runs=("one",)
):
    random = np.random.default_rng(0)
    rows = []
    for run in runs:
        for step in range(steps):
            for layer in layers:
                for kind in kinds:
                    flat = np.full(min(shape), 0.02)
                    decay = np.logspace(0, -4 + 3 * step / max(steps, 2), min(shape))
                    sigma = flat if kind == "update" else np.sort(decay * random.uniform(0.5, 1, min(shape)))[::-1]
                    rows.append({
                        "run": run, "step": 10 * step, "layer": layer, "kind": kind, "rows": shape[0],
                        "columns": shape[1], "dtype": "float32", "noise_floor": 1e-3, "sigma": sigma,
                    })  # fmt: skip
    return pd.DataFrame(rows)
