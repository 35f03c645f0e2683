"""The loss of one matrix, and what is measured along its runs."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from muon_theory.problems import load_images
from muon_theory.training.measured_constants import (
    hidden_matrix_loss,
    local_smoothness,
    measured_run,
    newest_noise_price,
    settled_run,
)

IMAGES = load_images("digits")


@pytest.fixture(scope="module")
def loss():
    return hidden_matrix_loss(IMAGES, hidden=(12, 6), count=60, seed=0)


def test_the_gradient_is_that_of_the_loss(loss):
    generator = np.random.default_rng(0)
    W, E = loss.start, generator.standard_normal(loss.start.shape)
    ahead, behind = (loss.value_and_gradient(W + h * E)[0] for h in (1e-5, -1e-5))
    assert (ahead - behind) / 2e-5 == pytest.approx(np.sum(loss.value_and_gradient(W)[1] * E), rel=1e-8)


def test_batches_average_to_the_full_gradient(loss):
    parts = [loss.value_and_gradient(loss.start, part)[1] for part in torch.arange(60).split(20)]
    assert np.mean(parts, 0) == pytest.approx(loss.value_and_gradient(loss.start)[1], abs=1e-14)


@pytest.mark.parametrize("hidden", [(12, 6), (6, 12)])
def test_the_noise_is_that_of_single_images(hidden):
    loss = hidden_matrix_loss(IMAGES, hidden=hidden, count=40, seed=1)
    g = loss.value_and_gradient(loss.start)[1]
    single = np.stack([loss.value_and_gradient(loss.start, torch.tensor([i]))[1] for i in range(40)]) - g
    side = single if g.shape[0] <= g.shape[1] else single.swapaxes(1, 2)
    covariance = np.mean(side @ side.swapaxes(1, 2), 0)
    sigma, trace = loss.noise(loss.start)
    assert sigma**2 == pytest.approx(np.mean(np.sum(single**2, (1, 2))))
    assert trace == pytest.approx(np.sqrt(np.maximum(np.linalg.eigvalsh(covariance), 0)).sum())
    assert sigma <= trace <= sigma * math.sqrt(min(g.shape))


def test_an_exact_run_without_momentum_is_polar_descent(loss):
    run = measured_run(loss, steps=3, step_size=0.1)
    W = loss.start
    for t in range(3):
        value, g = loss.value_and_gradient(W)
        U, sigma, Vt = np.linalg.svd(g, full_matrices=False)
        assert run.values[t] == pytest.approx(value)
        assert run.nuclear[t] == pytest.approx(sigma.sum())
        assert run.spectra[t] == pytest.approx(sigma / np.linalg.norm(sigma))
        W = W - 0.1 * U @ Vt
    assert run.last == pytest.approx(W)
    assert (run.operator_error, run.deficit, run.overshoot, run.noise) == (0, 0, 0, 0)


def test_descent_follows_the_averaged_gradient(loss):
    run = measured_run(loss, steps=2, step_size=3.0, momentum=0.5, oracle="none")
    g = loss.value_and_gradient(loss.start)[1]
    second = loss.value_and_gradient(loss.start - 1.5 * g)[1]
    assert run.last == pytest.approx(loss.start - 1.5 * g - 3 * (0.25 * g + 0.5 * second))


def test_the_smoothness_is_a_secant_below_the_local_one(loss):
    run = measured_run(loss, steps=1, step_size=0.1)
    g, last = loss.value_and_gradient(loss.start)[1], loss.value_and_gradient(run.last)[1]
    assert run.smoothness == pytest.approx(np.linalg.norm(g - last, "nuc") / 0.1)
    assert run.frobenius_smoothness <= run.smoothness <= 6 * run.frobenius_smoothness
    assert local_smoothness(loss, loss.start, radius=0.1) >= run.smoothness


def test_inexactness_and_decay_are_measured(loss):
    quintic = measured_run(loss, steps=5, step_size=0.1, oracle="jordan_2024", oracle_steps=5)
    assert 0 < quintic.deficit < 1
    assert 0 < quintic.overshoot < 0.21
    rough = measured_run(loss, steps=5, step_size=0.1, additive_error=0.3)
    assert rough.operator_error == 0.3
    assert max(rough.deficit, rough.overshoot) <= 0.3
    decayed = measured_run(loss, steps=5, step_size=0.1, weight_decay=0.5)
    inner = np.sum(loss.start * loss.value_and_gradient(loss.start)[1])
    assert decayed.stationarity[0] == pytest.approx(decayed.nuclear[0] + 0.5 * inner)


def test_a_batch_brings_noise_and_reproducibility(loss):
    one, two, other = (measured_run(loss, steps=4, step_size=0.1, batch=8, seed=seed) for seed in (0, 0, 1))
    assert one.last == pytest.approx(two.last, abs=0)
    assert not np.allclose(one.last, other.last)
    assert 0 < one.noise <= one.noise_trace
    assert newest_noise_price(loss, loss.start, batch=60 * 1000, draws=2) < newest_noise_price(
        loss, loss.start, batch=4
    )


def test_a_settled_run_used_the_constants_of_the_one_before(loss):
    first = measured_run(loss, steps=4, step_size=0.1)
    run, eta, decay = settled_run(
        loss, lambda L, _: 0.1 * L, lambda L: 0.01 / L, guess=(1.0, 1.0), rounds=1, steps=4, momentum=0.5
    )
    assert (eta, decay) == (0.1, 0.01)
    second = settled_run(loss, lambda L, _: 0.1 * L, lambda _: 0.0, guess=(1.0, 1.0), rounds=2, steps=4)
    assert second[1] == pytest.approx(0.1 * first.smoothness)
    assert len(run.nuclear) == 4


def test_numbers_out_of_range_are_refused(loss):
    with pytest.raises(ValueError, match="count is 0"):
        hidden_matrix_loss(IMAGES, count=0, seed=0)
    for wrong in ({"steps": 0}, {"step_size": 0.0}, {"momentum": 1.0}):
        with pytest.raises(ValueError, match="steps, step_size, momentum"):
            measured_run(loss, **{"steps": 1, "step_size": 0.1, **wrong})
    with pytest.raises(ValueError, match="rounds is 0"):
        settled_run(loss, lambda L, _: L, lambda L: 0 * L, guess=(1.0, 1.0), rounds=0, steps=1)


def test_a_zero_gradient_is_measured_without_a_warning(loss):
    still = dataclasses.replace(loss, head=torch.zeros_like(loss.head))
    run = measured_run(still, steps=2, step_size=0.1)
    assert run.last == pytest.approx(still.start)
    assert run.nuclear == pytest.approx(0)
