"""Runs to a target and the noise measured there."""

import math

import pytest
import torch

from muon_theory.problems import load_images, mlp
from muon_theory.training import train
from muon_theory.training.optimizer_choice import OptimizerOptions
from muon_theory.training.target_run import _noise, train_to_target

DIGITS = load_images("digits")


@pytest.mark.parametrize("name", ["sgd", "adamw", "muon"])
def test_the_target_is_reached_where_the_plain_run_reaches_it(name):
    options = OptimizerOptions(lr=0.02, momentum=0.9)
    found = train_to_target(DIGITS, name, options, batch=64, target=1.2, largest=200, hidden=(32,), window=256)
    run = train(DIGITS, name, lr=0.02, momentum=0.9, steps=200, batch=64, hidden=(32,))
    means = run["loss"].rolling(4).mean()
    assert found.steps == int((means <= 1.2).to_numpy().argmax()) + 1
    assert math.isnan(found.noise_norm)


def test_a_target_out_of_reach_or_a_diverging_run_is_inf():
    slow = train_to_target(DIGITS, "sgd", OptimizerOptions(lr=1e-6), batch=64, target=0.1, largest=5)
    wild = train_to_target(DIGITS, "sgd", OptimizerOptions(lr=1e6), batch=64, target=0.1, largest=50)
    assert math.isinf(slow.steps)
    assert math.isinf(wild.steps)


def test_the_noise_does_not_depend_on_how_many_batches_measure_it():
    model = mlp(DIGITS.features, (16,), DIGITS.classes, seed=0)
    few, many = _noise(model, DIGITS, 10), _noise(model, DIGITS, 40)
    assert few[0] == pytest.approx(many[0], rel=0.02)  # the full gradient, up to the images left over
    assert few[2] == pytest.approx(many[2], rel=0.15)  # sigma, from 10 and 40 draws
    assert few[1] <= few[2] * math.sqrt(sum(min(p.shape) for p in model.parameters() if p.ndim == 2))


def test_sigma_is_the_deviation_of_single_gradients():
    model = mlp(DIGITS.features, (8,), DIGITS.classes, seed=0)
    weights = [p for p in model.parameters() if p.ndim == 2]
    singles = []
    for image, label in zip(DIGITS.train_images[:400], DIGITS.train_labels[:400], strict=True):
        loss = torch.nn.functional.cross_entropy(model(image[None]), label[None])
        singles.append(torch.cat([g.flatten() for g in torch.autograd.grad(loss, weights)]).double())
    stack = torch.stack(singles)
    expected = float((stack - stack.mean(0)).square().sum(1).mean().sqrt())
    assert _noise(model, DIGITS, 40)[2] == pytest.approx(expected, rel=0.15)


def test_bad_values_are_named():
    with pytest.raises(ValueError, match="target = 0"):
        train_to_target(DIGITS, "sgd", OptimizerOptions(lr=0.1), batch=64, target=0.0, largest=5)
    with pytest.raises(ValueError, match="noise_batches = 1"):
        train_to_target(DIGITS, "sgd", OptimizerOptions(lr=0.1), batch=64, target=1.0, largest=5, noise_batches=1)
