import math

import pytest
import torch
from torch import nn

from muon_theory.norms import DualKyFan, Nuclear, Spectral, f_fanion, s_fanion
from muon_theory.optimizers import (
    Fanion,
    FFanion,
    LmoDescent,
    Muon,
    Neon,
    SFanion,
    normalized_sgd,
    shape_factor,
    sign_descent,
)
from muon_theory.spectra import prescribed_matrix


def gaussian(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def run(build, gradients, *, start=None):
    parameter = nn.Parameter(torch.zeros_like(gradients[0]) if start is None else start.clone())
    optimizer = build([parameter])
    for gradient in gradients:
        parameter.grad = gradient.clone()
        optimizer.step()
    return parameter.detach()


def leading(X, k):
    """P_k by numpy's definition: the sum of the leading u v^T, the last with the fraction."""
    U, _, Vh = torch.linalg.svd(X, full_matrices=False)
    weights = torch.tensor([min(1.0, max(0.0, k - i)) for i in range(min(X.shape))], dtype=X.dtype)
    return (U * weights) @ Vh


GRADIENTS = [gaussian(7, 5, seed=seed) for seed in range(3)]
OPTIONS = {"lr": 0.1, "momentum": 0.8, "weight_decay": 0.2}


def momentum_of(gradients, b=0.8):
    buffer = torch.zeros_like(gradients[0])
    for gradient in gradients:
        buffer = b * buffer + (1 - b) * gradient
        yield b * buffer + (1 - b) * gradient


def written_down(direction):
    """The weights after the steps of a rule, by its formula."""
    weight = gaussian(7, 5, seed=9)
    for X in momentum_of(GRADIENTS):
        weight = (1 - 0.1 * 0.2) * weight - 0.1 * direction(X)
    return weight


RULES = {
    "Neon": (lambda p: Neon(p, **OPTIONS), lambda X: leading(X, 1)),
    "Fanion 2": (lambda p: Fanion(p, 2, **OPTIONS), lambda X: leading(X, 2)),
    "Fanion 2.75": (lambda p: Fanion(p, 2.75, **OPTIONS), lambda X: leading(X, 2.75)),
    "Fanion 5": (lambda p: Fanion(p, 5, **OPTIONS), lambda X: leading(X, 5)),
    "Fanion all": (lambda p: Fanion(p, None, **OPTIONS), lambda X: leading(X, 5)),
    "F-Fanion 3": (
        lambda p: FFanion(p, 3, alpha=0.3, **OPTIONS),
        lambda X: 0.3 * leading(X, 3) + 0.7 * X / X.norm(),
    ),
    "F-Muon": (lambda p: FFanion(p, **OPTIONS), lambda X: 0.5 * leading(X, 5) + 0.5 * X / X.norm()),
    "S-Fanion 3": (
        lambda p: SFanion(p, 3, alpha=0.3, eta=0.05, **OPTIONS),
        lambda X: 0.3 * leading(X, 3) + 0.7 * 0.05 * X.sign(),
    ),
    "S-Muon": (lambda p: SFanion(p, eta=0.2, **OPTIONS), lambda X: 0.5 * leading(X, 5) + 0.5 * 0.2 * X.sign()),
}


@pytest.mark.parametrize("name", RULES)
def test_three_steps_are_the_rule_written_down(name):
    build, direction = RULES[name]
    ours = run(build, GRADIENTS, start=gaussian(7, 5, seed=9))
    torch.testing.assert_close(ours, written_down(direction), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    ("build", "norm"),
    [
        (lambda p: Neon(p, **OPTIONS), Nuclear()),
        (lambda p: Fanion(p, 3, **OPTIONS), DualKyFan(3)),
        (lambda p: Fanion(p, None, **OPTIONS), Spectral()),
        (lambda p: FFanion(p, 2.5, alpha=0.25, **OPTIONS), f_fanion(2.5, 0.25)),
        (lambda p: SFanion(p, 2, alpha=0.25, eta=0.1, **OPTIONS), s_fanion(2, 0.25, 0.1)),
    ],
)
def test_every_member_is_the_descent_along_the_oracle_of_its_norm(build, norm):
    expected = run(lambda p: LmoDescent(p, norm, **OPTIONS), GRADIENTS)
    torch.testing.assert_close(run(build, GRADIENTS), expected, rtol=1e-10, atol=1e-12)


def test_the_ends_of_the_family_are_muon_normalised_sgd_and_sign_descent():
    muon = run(lambda p: Muon(p, exact=True, **OPTIONS), GRADIENTS)
    torch.testing.assert_close(run(lambda p: Fanion(p, 5, adjust_lr_fn=None, **OPTIONS), GRADIENTS), muon)
    for blend in (FFanion, SFanion):
        one = run(lambda p, kind=blend: kind(p, 2, alpha=1.0, **OPTIONS), GRADIENTS)
        assert torch.equal(one, run(lambda p: Fanion(p, 2, **OPTIONS), GRADIENTS))
    nsgd = run(lambda p: normalized_sgd(p, **OPTIONS), GRADIENTS)
    torch.testing.assert_close(run(lambda p: FFanion(p, 2, alpha=0.0, **OPTIONS), GRADIENTS), nsgd)
    signs = run(lambda p: sign_descent(p, **OPTIONS), GRADIENTS)
    torch.testing.assert_close(run(lambda p: SFanion(p, 2, alpha=0.0, eta=1.0, **OPTIONS), GRADIENTS), signs)


@pytest.mark.parametrize("k", [1, 2, 4, None])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_the_step_has_frobenius_norm_root_k_until_the_rank_is_used_up(k, dtype):
    G = prescribed_matrix([4.0, 2.0, 1.0, 0.0], 6, 4, dtype=dtype)
    step = run(lambda p: Fanion(p, k, lr=1.0), [G])
    assert float(step.norm()) == pytest.approx(math.sqrt(min(3, k or 4)), rel=1e-5)


def test_tied_directions_share_so_that_the_step_does_not_depend_on_the_basis():
    G = prescribed_matrix([3.0, 2.0, 2.0, 1.0], 6, 4)
    step = run(lambda p: Fanion(p, 2, lr=1.0), [G])
    torch.testing.assert_close(
        torch.linalg.svdvals(step), torch.tensor([1.0, 0.5, 0.5, 0.0], dtype=torch.float64), rtol=1e-9, atol=1e-9
    )
    assert float((step * G).sum()) == pytest.approx(-5.0)


@pytest.mark.parametrize("k", [0, 0.5, -1, math.nan, math.inf, True, "2"])
def test_a_k_below_one_or_no_number_is_rejected(k):
    with pytest.raises(ValueError, match="k is"):
        Fanion([nn.Parameter(torch.ones(4, 3))], k)


def test_a_k_beyond_the_directions_of_a_matrix_is_rejected_by_the_matrix_name():
    wide, narrow = nn.Parameter(torch.ones(8, 8)), nn.Parameter(torch.ones(8, 3))
    with pytest.raises(ValueError, match=r"k is 4, but head of shape \(8, 3\) has 3 directions"):
        Fanion([("body", wide), ("head", narrow)], 4)
    optimizer = Fanion([wide], 4)
    with pytest.raises(ValueError, match="has 3 directions only"):
        optimizer.add_param_group({"params": [narrow]})
    optimizer.add_param_group({"params": [narrow], "k": 3})
    assert [group["k"] for group in optimizer.param_groups] == [4, 3]


@pytest.mark.parametrize("alpha", [-0.1, 1.1, math.nan])
@pytest.mark.parametrize("kind", [FFanion, SFanion])
def test_a_blend_that_is_no_norms_oracle_is_rejected(kind, alpha):
    with pytest.raises(ValueError, match="alpha is"):
        kind([nn.Parameter(torch.ones(4, 3))], alpha=alpha)


@pytest.mark.parametrize("rule", ["original", "match_rms_adamw", "spectral", None, "none"])
@pytest.mark.parametrize("shape", [(7, 5), (5, 7)])
def test_the_shape_factor_multiplies_the_blend_or_the_leading_part_alone(rule, shape):
    G = gaussian(*shape, seed=3)
    c = 1.0 if rule == "none" else shape_factor(*shape, rule)
    options = {"lr": 0.5, "weight_decay": 0.0, "adjust_lr_fn": rule}
    P = leading(G, 3)
    for kind, second, default in ((FFanion, 0.7 * G / G.norm(), "blend"), (SFanion, 0.7 * 0.2 * G.sign(), "leading")):
        blend = {"alpha": 0.3} | ({"eta": 0.2} if kind is SFanion else {})
        expected = {"blend": -0.5 * c * (0.3 * P + second), "leading": -0.5 * (c * 0.3 * P + second)}
        for part, step in expected.items():
            ours = run(lambda p, k=kind, a=part, b=blend: k(p, 3, adjusted_part=a, **b, **options), [G])
            torch.testing.assert_close(ours, step, rtol=1e-12, atol=1e-12)
        ours = run(lambda p, k=kind, b=blend: k(p, 3, **b, **options), [G])
        torch.testing.assert_close(ours, expected[default], rtol=1e-12, atol=1e-12)
    with pytest.raises(ValueError, match="adjusted_part is 'sign'"):
        SFanion([nn.Parameter(torch.ones(4, 3))], adjusted_part="sign")


@pytest.mark.parametrize("eta", [0.0, -1.0, math.nan, math.inf])
def test_an_eta_that_is_not_positive_is_rejected(eta):
    with pytest.raises(ValueError, match="eta is"):
        SFanion([nn.Parameter(torch.ones(4, 3))], eta=eta)


def test_options_of_another_member_are_rejected():
    with pytest.raises(TypeError, match="alpha"):
        Fanion([nn.Parameter(torch.ones(4, 3))], 2, alpha=0.5)
    with pytest.raises(TypeError, match="eta"):
        FFanion([nn.Parameter(torch.ones(4, 3))], 2, eta=0.5)


def test_hyperparameters_changed_between_steps_are_used():
    parameter = nn.Parameter(torch.zeros(4, 4))
    optimizer = FFanion([parameter], 1, lr=1.0, momentum=0.0, alpha=1.0)
    optimizer.param_groups[0].update(k=None, alpha=0.0)
    parameter.grad = 5 * torch.eye(4)
    optimizer.step()
    torch.testing.assert_close(parameter.detach(), -0.5 * torch.eye(4))
