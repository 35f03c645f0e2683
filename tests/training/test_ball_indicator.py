"""The slow example: gradients, muP at the base width, reproducibility."""

import numpy as np
import pytest
import torch

from muon_theory.training.ball_indicator import _gradients, ball_indicator_losses


def test_gradients_are_those_of_autograd():
    generator = torch.Generator().manual_seed(0)
    shapes = [(2, 6, 3), (2, 1, 6), (2, 6, 1), (2, 1, 1)]
    weights = [torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_() for shape in shapes]
    X = torch.randn(8, 3, generator=generator, dtype=torch.float64)
    y = (X.square().sum(1) > 2.4).double()[:, None]
    W, c, v, b = weights
    logits = torch.relu(X @ W.mT + c) @ v + b
    loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, y.expand(2, 8, 1), reduction="none")
    expected = torch.autograd.grad(loss.mean(1).sum(), weights)
    with torch.no_grad():
        for found, true in zip(_gradients(weights, X, y), expected, strict=True):
            torch.testing.assert_close(found, true)


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
