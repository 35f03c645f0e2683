"""Runs of any network with any optimizer: the same numbers as `train`, windows, divergence."""

import math

import pytest
import torch

from muon_theory.problems import load_images, mlp
from muon_theory.training import train
from muon_theory.training.network_run import train_network

IMAGES = load_images("digits")


def test_it_trains_as_train_does():
    model = mlp(64, (16,), seed=3)
    expected = train(IMAGES, "sgd", lr=0.1, momentum=0.9, steps=30, seed=3, hidden=(16,), schedule_lr="linear")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    found = train_network(IMAGES, model, optimizer, steps=30, seed=3, windows=3)
    assert found.test_loss.iloc[-1] == expected.test_loss.iloc[-1]
    assert found.train_loss.iloc[-1] == pytest.approx(expected.loss.iloc[-10:].mean())
    assert found.step.tolist() == [9, 19, 29]


def test_what_is_observed_joins_the_row():
    model = mlp(64, (8,), seed=0)
    run = train_network(IMAGES, model, torch.optim.SGD(model.parameters(), lr=0.1), steps=4, seed=0, windows=2,
                        observe=lambda each: {"parameters": sum(p.numel() for p in each.parameters())})  # fmt: skip
    assert run.parameters.tolist() == [610, 610]


def test_a_run_that_diverges_ends_and_says_so():
    model = mlp(64, (8,), seed=0)
    run = train_network(IMAGES, model, torch.optim.SGD(model.parameters(), lr=1e30), steps=20, seed=0, windows=20)
    assert bool(run.diverged.iloc[-1])
    assert math.isinf(run.test_loss.iloc[-1])
    assert len(run) < 20


def test_more_windows_than_steps_are_refused():
    model = mlp(64, (8,), seed=0)
    with pytest.raises(ValueError, match="windows is 5"):
        train_network(IMAGES, model, torch.optim.SGD(model.parameters(), lr=0.1), steps=4, seed=0, windows=5)
