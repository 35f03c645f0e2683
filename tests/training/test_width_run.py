"""Training across widths: factors on the rates, reproducible runs."""

import pytest

from muon_theory.problems import load_images, mlp
from muon_theory.training.width_run import width_optimizer, width_run

DIGITS = load_images("digits")


def test_at_the_base_width_every_rate_is_the_given_one():
    model = mlp(64, (64, 64), 10, seed=0)
    optimizer = width_optimizer("Adam, muP", model, mlp(64, (64, 64), 10, seed=1), 0.01)
    assert {group["lr"] for group in optimizer.param_groups} == {0.01}


def test_muon_keeps_its_rate_and_adam_divides_the_heads():
    model, base = mlp(64, (256, 256), 10, seed=0), mlp(64, (64, 64), 10, seed=0)
    rates = [group["lr"] for group in width_optimizer("Muon, muP", model, base, 0.1).param_groups]
    assert rates.count(0.1) == 1
    assert pytest.approx(0.001) in rates  # the head, .004 / 4


@pytest.mark.parametrize("arm", ["Adam, muP", "Adam, standard", "Muon, muP"])
def test_a_seed_gives_one_loss_and_training_lowers_it(arm):
    losses = [width_run(DIGITS, arm, width=32, lr=0.02, steps=steps, seed=1) for steps in (2, 60, 60)]
    assert losses[1] == losses[2] < 0.7 * losses[0]


def test_a_rate_beyond_measure_is_a_capped_loss():
    assert width_run(DIGITS, "Adam, standard", width=16, lr=1e30, steps=5, seed=0) == 20.0


def test_bad_values_are_named():
    with pytest.raises(ValueError, match="lr = 0"):
        width_run(DIGITS, "Adam, muP", width=16, lr=0.0, steps=5, seed=0)
    with pytest.raises(ValueError, match="arm is 'SGD'"):
        width_run(DIGITS, "SGD", width=16, lr=0.1, steps=5, seed=0)
