import math

import pytest
import torch
from torch import nn

from muon_theory.optimizers.learning_rates import XmodelRules, initial_std, initialize, step_norm, width_factor
from muon_theory.optimizers.parameter_groups import hybrid


def model(width):
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Embedding(32, width),
        nn.Linear(width, 4 * width),
        nn.ReLU(),
        nn.Linear(4 * width, width),
        nn.Linear(width, 16),
    )


@pytest.mark.parametrize(
    ("role", "fans", "base", "rule", "exponent"),
    [
        ("hidden", (512, 512), (128, 128), "none", 0),
        ("hidden", (512, 512), (128, 128), "original", 0),
        ("hidden", (512, 512), (128, 128), "spectral", 0),
        ("hidden", (512, 512), (128, 128), "match_rms_adamw", -0.5),
        ("hidden", (512, 512), (128, 128), "adamw", -1),
        ("embedding", (512, 1000), (128, 1000), "none", 0.5),
        ("embedding", (512, 1000), (128, 1000), "adamw", 0),
        ("head", (1000, 512), (1000, 128), "none", -0.5),
        ("head", (1000, 512), (1000, 128), "adamw", -1),
        ("tied", (512, 1000), (128, 1000), "adamw", 0),
        ("vector", (512, 1), (128, 1), "adamw", 0),
        ("head", (1000, 512), (1000, 128), "spectral", 0),
    ],
)
def test_rates_follow_the_published_powers_of_the_width(role, fans, base, rule, exponent):
    assert width_factor(role, fans, base, rule) == pytest.approx(4.0**exponent, rel=1e-12)


@pytest.mark.parametrize("rule", ["none", "original", "match_rms_adamw", "spectral", "adamw"])
@pytest.mark.parametrize("shape", [(64, 64), (64, 256), (256, 64)])
def test_the_scaled_update_keeps_its_operator_norm_between_rms_norms(rule, shape):
    wide = (4 * shape[0], 4 * shape[1])

    def operator_norm(fans, lr):
        return lr * step_norm(*fans, rule) * math.sqrt(fans[1] / fans[0])

    factor = width_factor("hidden", wide, shape, rule)
    assert operator_norm(wide, factor) == pytest.approx(operator_norm(shape, 1.0), rel=1e-12)


@pytest.mark.parametrize("shape", [(256, 256), (64, 512), (512, 64)])
def test_initial_matrices_have_operator_norm_of_order_one(shape):
    W = initial_std(*shape) * torch.randn(shape, generator=torch.Generator().manual_seed(0))
    norm = float(torch.linalg.matrix_norm(W, 2)) * math.sqrt(shape[1] / shape[0])
    assert 1.0 < norm < 2.1


def test_initialisation_goes_by_role():
    net = model(64)
    initialize(net)
    assert float(net[0].weight.detach().std()) == pytest.approx(1.0, rel=0.1)
    assert float(net[1].weight.detach().std()) == pytest.approx(1 / 8, rel=0.05)
    assert float(net[3].weight.detach().std()) == pytest.approx(1 / 32, rel=0.05)
    assert not net[4].weight.any()
    initialize(net, head="spectral", seed=1)
    assert float(net[4].weight.detach().std()) == pytest.approx(initial_std(16, 64), rel=0.1)


def test_the_same_seed_draws_the_same_without_touching_the_global_state():
    one, two = model(8), model(8)
    before = torch.get_rng_state()
    initialize(one, seed=3)
    initialize(two, seed=3)
    assert torch.equal(one[1].weight, two[1].weight)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_hybrid_scales_its_groups_from_a_base_model():
    optimizer = hybrid(model(64), base_model=model(16), lr=0.1, adamw_lr=0.01, adjust_lr_fn="match_rms_adamw")
    rates = {name: group["lr"] for group in optimizer.param_groups for name in group["param_names"]}
    assert rates["1.weight"] == pytest.approx(0.05)
    assert rates["3.weight"] == pytest.approx(0.05)
    assert rates["0.weight"] == rates["1.bias"] == pytest.approx(0.01)
    assert rates["4.weight"] == pytest.approx(0.0025)


def test_a_base_model_of_another_architecture_is_rejected():
    with pytest.raises(ValueError, match="'1.weight'"):
        hybrid(model(64), base_model=nn.Sequential(nn.Embedding(32, 8)))


def test_xmodel_rules_at_its_own_width():
    rules = XmodelRules.of_width(1536, layers=48, head_size=64)
    assert rules.hidden_std == pytest.approx(0.0408, abs=5e-5)
    assert rules.hidden_lr == pytest.approx(1.667e-3, abs=5e-7)
    assert rules.embedding_lr == 0.01
    assert rules.logit_multiplier == pytest.approx(1 / 6)
    assert rules.residual_multiplier == pytest.approx(1.4 / math.sqrt(48))
    assert rules.attention_scale == 1 / 64
    with pytest.raises(ValueError, match="width 0"):
        XmodelRules.of_width(0, layers=1, head_size=1)


def test_unknown_requests_are_rejected():
    with pytest.raises(ValueError, match="'zero' or 'spectral'"):
        initialize(model(8), head="one")
    with pytest.raises(ValueError, match="moonlight"):
        step_norm(4, 4, "moonlight")
