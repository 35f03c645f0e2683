import math

import pytest
import torch
from torch import nn

from muon_theory.optimizers import Hybrid, Muon
from muon_theory.problems import tutorial_conv_net
from muon_theory.training.recipe_optimizers import RescaledMuon, airbench_muon, tutorial_muon
from muon_theory.training.tutorial_muon import TutorialMuon, five_jordan_steps


def gradients(model, steps, seed=0):
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        for parameter in model.parameters():
            parameter.grad = torch.randn(parameter.shape, generator=generator)
        yield


def written_from_the_formulas(X):
    """Two lines of the iteration, in bfloat16."""
    Y = X.bfloat16() / (X.bfloat16().norm() + 1e-7)
    for _ in range(5):
        A = Y @ Y.T
        Y = 3.4445 * Y + (-4.7750 * A + 2.0315 * A @ A) @ Y
    return Y.float()


def test_a_step_is_the_formulas_one():
    model = nn.Sequential(nn.Conv2d(3, 32, 3), nn.Flatten(), nn.Linear(40, 20), nn.Linear(20, 40))
    expected = {name: p.detach().clone() for name, p in model.named_parameters()}
    buffers = {name: torch.zeros_like(p) for name, p in expected.items()}
    optimizer = tutorial_muon(model, lr=0.01, momentum=0.95)
    for _ in gradients(model, 4):
        for name, p in model.named_parameters():
            G, B = p.grad, buffers[name]
            if p.ndim >= 2:
                B.copy_(0.95 * B + 0.05 * G)
                X = (0.05 * G + 0.95 * B).flatten(1)
                tall = X.shape[0] > X.shape[1]
                O = written_from_the_formulas(X.T).T if tall else written_from_the_formulas(X)
                factor = max(1.0, p.grad.size(-2) / p.grad.size(-1)) ** 0.5
                expected[name] -= 0.01 * factor * O.reshape(p.shape)
            else:
                B.copy_(0.95 * B + G)
                expected[name] -= 0.01 * (G + 0.95 * B)
        optimizer.step()
    for name, p in model.named_parameters():
        scale = 4 * 0.01
        assert (p - expected[name]).abs().max() < 0.03 * scale, name  # bfloat16: 8 bits, five steps
        if p.ndim < 2:
            assert torch.allclose(p, expected[name], atol=1e-6)


def test_the_librarys_own_parts_give_the_same_steps_where_kernels_are_square():
    one, two = tutorial_conv_net(seed=0), tutorial_conv_net(seed=0)
    lean = tutorial_muon(one, lr=0.01, momentum=0.95)
    kernels, matrices, vectors = ([p for p in two.parameters() if lower <= p.ndim <= upper]
                                  for lower, upper in ((3, 9), (2, 2), (0, 1)))  # fmt: skip
    muon = Muon([{"params": kernels, "adjust_lr_fn": "none"}, {"params": matrices}], lr=0.01, weight_decay=0.0,
                momentum=0.95, compute_dtype=torch.bfloat16)  # fmt: skip
    parts = Hybrid([muon, torch.optim.SGD(vectors, lr=0.01, momentum=0.95, nesterov=True)])
    start = [p.detach().clone() for p in one.parameters()]
    for _ in zip(gradients(one, 3), gradients(two, 3), strict=True):
        lean.step()
        parts.step()
    for before, first, second in zip(start, one.parameters(), two.parameters(), strict=True):
        moved = (first - before).norm()
        assert (first - second).norm() < 0.02 * moved
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(one.parameters(), two.parameters(), strict=True)
               if a.ndim < 2)  # fmt: skip


def test_the_shape_factor_is_that_of_the_unflattened_gradient():
    kernels = {(32, 3, 3, 3): 1.0, (8, 2, 6, 3): math.sqrt(2), (4, 2, 3, 6): 1.0, (30, 10): math.sqrt(3), (10, 30): 1.0}
    for shape, factor in kernels.items():
        weight = nn.Parameter(torch.zeros(shape))
        optimizer = TutorialMuon([weight], lr=1.0, momentum=0.0)
        weight.grad = torch.randn(shape, generator=torch.Generator().manual_seed(1))
        optimizer.step()
        expected = five_jordan_steps(weight.grad.flatten(1)).float().norm() * factor
        assert torch.linalg.vector_norm(weight).item() == pytest.approx(expected.item(), rel=1e-3)
    # the flattened shape would have given the first kernel sqrt(32 / 27)
    assert optimizer.lmo_input(weight).shape == (10, 30)


def test_vectors_move_as_with_a_twentyfold_learning_rate():
    bias = nn.Parameter(torch.zeros(3))
    optimizer = TutorialMuon([bias], lr=0.01)
    for _ in range(400):
        bias.grad = torch.ones(3)
        before = bias.detach().clone()
        optimizer.step()
    assert (before - bias)[0].item() == pytest.approx(0.01 * 20, rel=1e-3)
    assert optimizer.lmo_input(bias) is None


def test_orthogonalising_handles_zero_tall_and_large_matrices():
    assert torch.equal(five_jordan_steps(torch.zeros(3, 5)), torch.zeros(3, 5, dtype=torch.bfloat16))
    X = torch.randn(60, 20, generator=torch.Generator().manual_seed(0))
    sigma = torch.linalg.svdvals(five_jordan_steps(X).float())
    assert sigma.min() > 0.6
    assert sigma.max() < 1.25
    assert torch.equal(five_jordan_steps(X.T), five_jordan_steps(X).T)


@pytest.mark.parametrize(("name", "value"), [("lr", -1), ("lr", math.nan), ("momentum", 1.0), ("weight_decay", -0.1)])
def test_bad_options_are_errors(name, value):
    with pytest.raises(ValueError, match=f"{name} is"):
        TutorialMuon([nn.Parameter(torch.zeros(2, 2))], **{name: value})


@pytest.mark.parametrize("decades", [0.0, 1.0, 3.0])
def test_two_steps_at_once_are_as_close_to_the_exact_iteration(decades, monkeypatch):
    generator = torch.Generator().manual_seed(0)
    U, V = (torch.linalg.qr(torch.randn(n, 512, generator=generator, dtype=torch.float64)).Q for n in (512, 1024))
    X = ((U * torch.logspace(0, -decades, 512, dtype=torch.float64)) @ V.T).float()
    sigma = torch.logspace(0, -decades, 512, dtype=torch.float64)
    sigma = sigma / sigma.norm()
    for _ in range(5):
        sigma = 3.4445 * sigma - 4.7750 * sigma**3 + 2.0315 * sigma**5
    exact = (U * sigma) @ V.T
    at_once = (five_jordan_steps(X).double() - exact).norm() / exact.norm()
    tall = five_jordan_steps(X.T).double().T
    assert torch.equal(tall, five_jordan_steps(X).double())
    monkeypatch.setattr("muon_theory.training.tutorial_muon._MANY_ROWS", 10_000)
    one_by_one = (five_jordan_steps(X).double() - exact).norm() / exact.norm()
    assert 0 < one_by_one != at_once
    assert at_once < 1.5 * one_by_one + 0.02, (at_once, one_by_one)


def test_airbenchs_groups_have_their_rates_decays_and_norms():
    from muon_theory.problems import airbench_net

    model = airbench_net(widths=(8, 8, 8), seed=0)
    optimizer = airbench_muon(model, lr=0.24, momentum=0.6, weight_decay=2e-6)
    muon, sgd = optimizer.optimizers
    assert isinstance(muon, RescaledMuon)
    assert sorted(len(group["params"]) for group in optimizer.param_groups) == [1, 1, 6, 6]
    whiten, biases, head = sgd.param_groups
    assert (whiten["lr"], whiten["decay_share"], biases["lr"], head["lr"]) == (0.053, 3 / 8, 0.053, 0.67)
    assert head["weight_decay"] * head["lr"] == pytest.approx(2e-6 * 2000)
    assert (sgd.defaults["momentum"], sgd.defaults["nesterov"]) == (0.85, True)
    for p in model.parameters():
        p.grad = torch.zeros_like(p)
    muon.step()
    for p in muon.param_groups[0]["params"]:
        assert p.norm().item() == pytest.approx(math.sqrt(8), rel=1e-5)
    learned = {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert learned == {id(p) for p in model.parameters() if p.requires_grad}


@pytest.mark.parametrize("shape", [(512, 700), (515, 600), (600, 512)])
def test_products_by_halves_are_the_whole_ones(shape, monkeypatch):
    X = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    by_halves = five_jordan_steps(X).float()
    monkeypatch.setattr("muon_theory.training.tutorial_muon._MANY_ROWS", 10_000)
    whole = five_jordan_steps(X).float()
    assert (by_halves - whole).norm() < 0.01 * whole.norm()  # to the bit where a product's blocking is not its rounding
