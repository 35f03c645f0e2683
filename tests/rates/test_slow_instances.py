"""The functions behind the lower bounds keep what they promise: smoothness, gap, and slope at the iterates."""

import numpy as np
import pytest

from muon_theory.rates.slow_instances import ColumnInstance, constant_step_averages, rising_slope

INSTANCES = [ColumnInstance(m, 0.1, 2.0, 1.0, step) for m in (2, 7, 40) for step in (0.001, 0.05, 0.4)]


@pytest.mark.parametrize("instance", INSTANCES)
def test_the_gradient_is_lipschitz_from_the_spectral_to_the_nuclear_norm(instance):
    generator = np.random.default_rng(0)
    for _ in range(200):
        X = generator.normal(size=(instance.rows, 3)) * 10.0 ** generator.uniform(-3, 1)
        Y = X + generator.normal(size=X.shape) * 10.0 ** generator.uniform(-4, 1)
        change = np.linalg.norm(instance.gradient(Y) - instance.gradient(X), "nuc")
        assert change <= instance.smoothness * np.linalg.norm(Y - X, 2) * (1 + 1e-9)


@pytest.mark.parametrize("instance", INSTANCES)
def test_the_loss_falls_by_no_more_than_the_gap(instance):
    h, steps = instance.slope * instance.alignment, min(instance.steps, 400)
    x = np.linspace(0, steps * instance.step + 2 * h / instance.smoothness, 400_001)
    slopes = rising_slope(x, h, instance.smoothness, instance.step, steps)
    along = np.concatenate([[0], np.cumsum((slopes[1:] + slopes[:-1]) / 2 * np.diff(x))]).min()
    across = (instance.slope**2 - h**2) / (2 * instance.smoothness)
    assert across - along <= instance.gap + 1e-6


def test_the_slope_is_kept_at_every_iterate_of_the_path():
    instance = INSTANCES[4]
    for count in (0, 1, min(instance.steps, 50)):
        X = np.zeros((instance.rows, 2))
        X[:, 0] = count * instance.step / instance.rows**0.5
        assert np.linalg.norm(instance.gradient(X)) == pytest.approx(instance.slope, rel=1e-6)


def test_a_batch_that_does_not_divide_the_samples_is_refused():
    with pytest.raises(ValueError, match="divide"):
        constant_step_averages(1.0, 1.0, 10, [0.1], 3)


def test_bad_numbers_are_refused():
    with pytest.raises(ValueError, match="two rows"):
        ColumnInstance(1, 1.0, 1.0, 1.0, 1.0)
