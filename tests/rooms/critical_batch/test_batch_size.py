"""Steps, samples and the critical batch size."""

import numpy as np
import pytest

from muon_theory.rooms.critical_batch.batch_size import (
    critical_batch,
    kim_oh_critical_batch,
    kim_oh_samples,
    retuned_critical_batch,
    retuned_steps,
    steps_needed,
)
from muon_theory.rooms.critical_batch.four_settings import BatchTerms

TERMS = BatchTerms(X=5.0, Y=3.0, Z=0.2)


@pytest.mark.parametrize("form", ["sqrt", "linear"])
def test_after_the_needed_steps_the_bound_is_the_goal(form):
    batch = np.array([20.0, 100.0, 1e4])
    steps = steps_needed(TERMS, 1.0, batch, form)
    noise = TERMS.Y / batch ** (0.5 if form == "sqrt" else 1.0)
    np.testing.assert_allclose(TERMS.X / steps + noise + TERMS.Z, 1.0, rtol=1e-12)


@pytest.mark.parametrize("form", ["sqrt", "linear"])
def test_no_batch_needs_fewer_samples_than_the_critical_one(form):
    best = critical_batch(TERMS, 1.0, form)
    grid = best.batch * np.geomspace(0.3, 30, 2000)
    samples = grid * steps_needed(TERMS, 1.0, grid, form)
    assert samples.min() >= best.samples * (1 - 1e-12)
    assert best.samples == pytest.approx(best.batch * float(steps_needed(TERMS, 1.0, best.batch, form)), rel=1e-12)
    assert samples[np.abs(grid / best.batch - 1) < 0.01].min() <= best.samples * 1.001


def test_with_the_step_tuned_anew_the_bound_at_the_best_step_is_the_goal():
    known = {"gap": 2.0, "smoothness": 3.0, "floor": 0.7, "noise_term": 1.5, "goal": 0.5}
    best = retuned_critical_batch(**known)
    steps = float(retuned_steps(**known, batch=best.batch))
    assert steps == pytest.approx(best.steps, rel=1e-12)
    eta = np.geomspace(1e-4, 10, 100_000)
    bound = known["gap"] / (eta * steps) + known["floor"] * known["smoothness"] * eta
    assert bound.min() + known["noise_term"] / best.batch**0.5 == pytest.approx(0.5, rel=1e-6)


def test_too_small_a_batch_never_reaches_the_goal():
    assert np.isinf(steps_needed(TERMS, 1.0, (TERMS.Y / 0.8) ** 2 * 0.999))
    assert np.isinf(retuned_steps(gap=1.0, smoothness=1.0, floor=0.5, noise_term=1.0, goal=1.0, batch=1.0))


def test_a_goal_below_the_floor_gets_no_number():
    for function in (lambda: steps_needed(TERMS, 0.2, 10.0), lambda: critical_batch(TERMS, 0.1)):
        with pytest.raises(ValueError, match="not above the floor Z = 0.2"):
            function()


def test_bad_values_are_named():
    with pytest.raises(ValueError, match="batch = 0"):
        steps_needed(TERMS, 1.0, 0)
    with pytest.raises(ValueError, match="form = 'root'"):
        critical_batch(TERMS, 1.0, "root")  # pyright: ignore[reportArgumentType]  (refused)
    with pytest.raises(ValueError, match="goal = 0"):
        retuned_critical_batch(gap=1.0, smoothness=1.0, floor=0.5, noise_term=1.0, goal=0.0)


def test_kim_and_ohs_samples_double_beyond_their_critical_batch():
    known = {"gap": 2.0, "rank": 5, "noise": 1.0, "goal": 0.3, "chi": 1.1}
    best = kim_oh_critical_batch(**known)
    flat, end, double = kim_oh_samples(np.array([1.0, best, 2 * best]), **known)
    assert flat == pytest.approx(end, rel=1e-12)
    assert double == pytest.approx(2 * end, rel=1e-12)
