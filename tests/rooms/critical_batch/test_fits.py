"""Fits of steps-to-target."""

from typing import Any

import numpy as np
import pytest

from muon_theory.rooms.critical_batch.fits import FORMS, batch_interval, fit_steps, noise_scale

BATCH: Any = 2.0 ** np.arange(2, 12)


@pytest.mark.parametrize("form", FORMS)
def test_a_form_finds_its_own_constants_again(form):
    steps = FORMS[form][1](BATCH, 120.0, 2.5)
    fit = fit_steps(BATCH, steps, form)
    assert fit.steps == pytest.approx(120.0, rel=1e-4)
    assert fit.batch == pytest.approx(2.5, rel=1e-3)
    assert fit.residual < 1e-6


def test_another_form_fits_worse():
    steps = FORMS["additive"][1](BATCH, 50.0, 200.0)
    residuals: Any = {form: fit_steps(BATCH, steps, form).residual for form in FORMS}
    assert min(residuals, key=residuals.get) == "additive"
    assert min(value for form, value in residuals.items() if form != "additive") > 0.05


def test_targets_that_were_not_reached_are_left_out():
    steps = FORMS["linear"][1](BATCH, 10.0, 3.0)
    assert fit_steps([1.0, *BATCH], [np.inf, *steps], "linear").batch == pytest.approx(3.0, rel=1e-3)


def test_the_interval_of_the_batch_scale_covers_it_and_narrows_with_the_noise():
    generator = np.random.default_rng(0)
    exact = FORMS["additive"][1](BATCH, 50.0, 200.0)[:, None]
    noisy, calm = (exact * np.exp(scale * generator.standard_normal((len(BATCH), 9))) for scale in (0.2, 0.02))
    wide, narrow = (batch_interval(BATCH, steps, "additive", resamples=60) for steps in (noisy, calm))
    assert wide[0] < 200 < wide[1]
    assert narrow[0] < 200 < narrow[1]
    assert narrow[1] / narrow[0] < 1.2 < wide[1] / wide[0]
    with pytest.raises(ValueError, match="shape"):
        batch_interval(BATCH, exact[:, 0], "additive")


def test_bad_values_are_named():
    with pytest.raises(ValueError, match="form = 'cubic'"):
        fit_steps(BATCH, BATCH, "cubic")
    with pytest.raises(ValueError, match="2 finite pairs"):
        fit_steps([1, 2, 3], [1, 2, np.inf], "linear")
    with pytest.raises(ValueError, match="gradient_norm"):
        noise_scale(1.0, 0.0)
