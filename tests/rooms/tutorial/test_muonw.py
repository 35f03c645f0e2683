"""MuonW against the optimizers it is made of."""

import pytest
import torch
from torch import nn

from muon_theory.optimizers import Muon, UpdateRecord, get_post_step_metrics
from muon_theory.problems import mlp
from muon_theory.rooms.tutorial.muonw import MuonW


def _gradients(model, seed):
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)


def _difference(first, second):
    return max(
        float((a - b).detach().abs().max()) for a, b in zip(first.parameters(), second.parameters(), strict=True)
    )


def test_its_two_rules_are_the_librarys_muon_and_torchs_adamw():
    one, two = (mlp(12, (8, 6), 4, seed=0) for _ in range(2))
    optimizer = MuonW(one.named_parameters(), lr=0.02, weight_decay=0.1)
    matrices = [p for name, p in two.named_parameters() if p.ndim == 2 and "head" not in name]
    rest = [p for name, p in two.named_parameters() if p.ndim == 1 or "head" in name]
    inner = [Muon(matrices, 0.02, 0.1), torch.optim.AdamW(rest, lr=0.02, betas=(0.95, 0.95), weight_decay=0.1)]
    for seed in range(4):
        _gradients(one, seed)
        _gradients(two, seed)
        optimizer.step()
        for part in inner:
            part.step()
    assert _difference(one, two) < 1e-5


def test_selective_decay_leaves_entries_without_a_gradient_alone():
    for selective, expected in ((True, 1.0), (False, 0.95)):
        weight = nn.Parameter(torch.ones(3))
        optimizer = MuonW([("w", weight)], lr=0.5, weight_decay=0.1, selective_updates=selective)
        weight.grad = torch.tensor([0.0, 1.0, -1.0])
        optimizer.step()
        assert weight[0].item() == pytest.approx(expected)
        assert weight[1].item() == pytest.approx(0.95 - 0.5, abs=1e-6)


def test_metrics_are_of_the_update_before_rate_and_decay_and_are_forgotten_once_read():
    model = nn.Linear(5, 3)
    optimizer = MuonW(model.named_parameters(), lr=1e-3, weight_decay=0.5)
    before = model.weight.detach().clone()
    _gradients(model, 0)
    optimizer.step()
    update = (before * (1 - 5e-4) - model.weight.detach()) / 1e-3
    metrics = get_post_step_metrics(optimizer, model)
    assert metrics["update/weight.norm"] == pytest.approx(update.norm().item(), rel=1e-3)
    assert metrics["update/weight.max"] == pytest.approx(update.abs().max().item(), rel=1e-3)
    assert set(get_post_step_metrics(optimizer, model).values()) == {0.0}


def test_the_librarys_metrics_include_the_rate():
    model = nn.Linear(5, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    UpdateRecord(optimizer)
    _gradients(model, 0)
    optimizer.step()
    found = get_post_step_metrics(optimizer, model)["update/weight.norm"]
    assert model.weight.grad is not None
    assert found == pytest.approx(0.1 * model.weight.grad.norm().item(), rel=1e-4)


def test_a_second_rate_is_adamws_and_a_route_is_obeyed():
    model = mlp(4, (4,), 2, seed=0)
    optimizer = MuonW(model.named_parameters(), lr=0.1, adamw_lr=0.01, route=lambda _name, _ndim: "adamw")
    assert [group["lr"] for group in optimizer.param_groups] == [0.01]


@pytest.mark.parametrize(
    ("options", "message"),
    [({"lr": -1.0}, "lr is -1.0"), ({"betas": (1.0, 0.9)}, "betas are"), ({"weight_decay": -0.1}, "weight_decay is")],
)
def test_arguments_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        MuonW(nn.Linear(2, 2).named_parameters(), **options)


def test_an_unknown_route_is_refused():
    with pytest.raises(ValueError, match="route sends weight to 'heavy_ball'"):
        MuonW(nn.Linear(2, 2).named_parameters(), route=lambda _name, _ndim: "heavy_ball")
