"""The slow example: gradients, muP at the base width, reproducibility."""

import numpy as np
import pytest
import torch

from muon_theory.training import ball_indicator
from muon_theory.training.ball_indicator import ball_indicator_losses


def test_gradients_are_those_of_autograd(monkeypatch):
    monkeypatch.setattr(ball_indicator, "_CHUNK", 4)
    classifier = ball_indicator._BallClassifier(width=6, dimension=3, batch=8, seed=0, base_width=2)
    X, y = torch.randn(8, 4, generator=torch.Generator().manual_seed(0)), torch.tensor([0.0, 1.0] * 4)
    X[:, -1] = 1
    weights = [part.clone().requires_grad_() for part in (classifier.W, classifier.v, classifier.b)]
    W, v, b = weights
    logits = torch.relu(X @ W.mT) @ v + b
    torch.testing.assert_close(classifier.logits(X), logits.detach())
    expected = torch.autograd.grad(torch.nn.functional.binary_cross_entropy_with_logits(logits, y), weights)
    found = classifier.gradients(X, y)
    for mine, true in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, true)
    optimizer = torch.optim.Adam([{"params": [W, b]}, {"params": [v], "lr": 0.1 * 2 / 6}], lr=0.1)
    for part, gradient in zip(weights, expected, strict=True):
        part.grad = gradient
    for step in (1, 2):
        classifier.adam_step([part.clone() for part in expected], rate=0.1, step=step)
        optimizer.step()
    for mine, true in zip((classifier.W, classifier.v, classifier.b), weights, strict=True):
        torch.testing.assert_close(mine, true.detach())


def test_rates_do_not_see_one_another_and_a_seed_gives_one_loss():
    options = {"seed": 3, "steps": 30, "dimension": 5, "batch": 32, "tests": 200}
    both = ball_indicator_losses(16, [-8.0, -5.0], **options)
    alone = ball_indicator_losses(16, [-5.0], **options)
    np.testing.assert_allclose(both[1], alone[0], rtol=1e-4)
    assert np.array_equal(both, ball_indicator_losses(16, [-8.0, -5.0], **options))


def test_a_rate_too_large_is_a_capped_loss():
    assert ball_indicator_losses(8, [40.0], seed=0, steps=5, dimension=3, batch=8, tests=50)[0] == 5.0


def test_a_size_of_zero_is_refused():
    with pytest.raises(ValueError, match="width = 0"):
        ball_indicator_losses(0, [-5.0], seed=0, steps=5)


def test_the_loss_is_the_mean_over_the_looks():
    options = {"seed": 0, "dimension": 3, "batch": 8, "tests": 50}
    single = [ball_indicator_losses(8, [-5.0], steps=steps, **options)[0] for steps in (30, 31, 32)]
    np.testing.assert_allclose(ball_indicator_losses(8, [-5.0], steps=32, looks=2, **options), np.mean(single[1:]))
    with pytest.raises(ValueError, match="looks = 3"):
        ball_indicator_losses(8, [-5.0], steps=32, looks=3, **options)
