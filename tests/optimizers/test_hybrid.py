import copy
import importlib.util
import io
import math

import pytest
import torch
from torch import nn

from muon_theory.optimizers import Hybrid, Muon, muon_with_adamw


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3))


def train(model, optimizer, steps, *, start=0):
    for step in range(start, start + steps):
        generator = torch.Generator().manual_seed(step)
        optimizer.zero_grad()
        inputs = torch.randn(8, 6, generator=generator)
        (model(inputs) ** 2).sum().backward()
        optimizer.step()


def weights(model):
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def test_a_hybrid_steps_like_its_parts():
    one, two = network(), network()
    hybrid = muon_with_adamw(one, lr=0.02, adamw_lr=0.003, weight_decay=0.1)
    roles = dict(two.named_parameters())
    muon = Muon([roles["0.weight"], roles["2.weight"]], lr=0.02, weight_decay=0.1)
    rest = [roles[name] for name in ("0.bias", "2.bias", "4.weight", "4.bias")]
    adamw = torch.optim.AdamW(rest, lr=0.003, weight_decay=0.1)
    for step in range(4):
        train(one, hybrid, 1, start=step)
        muon.zero_grad()
        adamw.zero_grad()
        generator = torch.Generator().manual_seed(step)
        (two(torch.randn(8, 6, generator=generator)) ** 2).sum().backward()
        muon.step()
        adamw.step()
    assert torch.equal(weights(one), weights(two))


def test_resuming_a_hybrid_in_the_middle_is_bit_equal():
    model = network()
    optimizer = muon_with_adamw(model, lr=0.02)
    train(model, optimizer, 3)
    twin = network(1)
    twin.load_state_dict(model.state_dict())
    resumed = muon_with_adamw(twin, lr=0.5, adamw_lr=0.5, momentum=0.1)
    buffer = io.BytesIO()
    torch.save(optimizer.state_dict(), buffer)
    buffer.seek(0)
    resumed.load_state_dict(torch.load(buffer, weights_only=True))
    train(model, optimizer, 3, start=3)
    train(twin, resumed, 3, start=3)
    assert torch.equal(weights(model), weights(twin))


def test_the_state_is_shared_after_construction_and_loading():
    model = network()
    hybrid = muon_with_adamw(model)
    train(model, hybrid, 1)
    hybrid.load_state_dict(hybrid.state_dict())
    assert all(inner.state is hybrid.state for inner in hybrid.optimizers)
    inner_groups = [group for inner in hybrid.optimizers for group in inner.param_groups]
    assert all(one is two for one, two in zip(hybrid.param_groups, inner_groups, strict=True))
    assert set(hybrid.state) == set(model.parameters())


def test_the_state_of_optimizers_that_were_stepped_before_is_kept():
    model = network()
    muon = Muon([model[0].weight])
    train(model, muon, 2)
    buffer = muon.state[model[0].weight]["momentum_buffer"]
    assert (
        Hybrid([muon, torch.optim.SGD([model[2].weight], lr=0.1)]).state[model[0].weight]["momentum_buffer"] is buffer
    )


def test_learning_rate_schedulers_reach_every_part():
    model = network()
    hybrid = muon_with_adamw(model, lr=0.1, adamw_lr=0.01)
    scheduler = torch.optim.lr_scheduler.LambdaLR(hybrid, lambda step: 0.5**step)
    train(model, hybrid, 1)
    scheduler.step()
    assert [inner.param_groups[0]["lr"] for inner in hybrid.optimizers] == [0.05, 0.005]


def test_step_hooks_run_once_and_see_the_hybrid():
    model = network()
    hybrid = muon_with_adamw(model)
    seen = []
    hybrid.register_step_pre_hook(lambda optimizer, *_: seen.append(("before", optimizer)))
    hybrid.register_step_post_hook(lambda optimizer, *_: seen.append(("after", optimizer)))
    train(model, hybrid, 1)
    assert seen == [("before", hybrid), ("after", hybrid)]


def test_lmo_input_comes_from_the_part_that_has_it():
    model = network()
    hybrid = muon_with_adamw(model)
    assert hybrid.lmo_input(model[0].weight) is None
    train(model, hybrid, 1)
    assert hybrid.lmo_input(model[0].weight).shape == (5, 6)
    assert hybrid.lmo_input(model[4].weight) is None


def test_a_copied_hybrid_goes_on_like_the_original():
    model = network()
    optimizer = muon_with_adamw(model)
    train(model, optimizer, 2)
    twin, twin_optimizer = copy.deepcopy((model, optimizer))
    train(model, optimizer, 2, start=2)
    train(twin, twin_optimizer, 2, start=2)
    assert torch.equal(weights(model), weights(twin))
    assert all(inner.state is twin_optimizer.state for inner in twin_optimizer.optimizers)


def test_the_closure_is_called_once():
    model = network()
    hybrid = muon_with_adamw(model)
    calls = []

    def closure():
        calls.append(torch.is_grad_enabled())
        hybrid.zero_grad()
        loss = (model(torch.ones(2, 6)) ** 2).sum()
        loss.backward()
        return loss

    assert hybrid.step(closure).item() > 0
    assert calls == [True]


def test_a_gradient_muon_rejects_leaves_all_parameters_unchanged():
    model = network()
    hybrid = muon_with_adamw(model)
    (model(torch.ones(2, 6)) ** 2).sum().backward()
    model[2].weight.grad[0, 0] = math.nan
    before = weights(model)
    with pytest.raises(ValueError, match="2.weight"):
        hybrid.step()
    assert torch.equal(weights(model), before)


def test_groups_are_added_to_the_part_that_is_named():
    model = network()
    extra = nn.Parameter(torch.ones(3, 3))
    hybrid = Hybrid([Muon([model[0].weight]), torch.optim.AdamW([model[0].bias])])
    with pytest.raises(ValueError, match="0: Muon, 1: AdamW"):
        hybrid.add_param_group({"params": [extra]})
    with pytest.raises(ValueError, match="already"):
        hybrid.add_param_group({"params": [model[0].bias]}, optimizer=0)
    hybrid.add_param_group({"params": [extra], "exact": True}, optimizer=0)
    assert [len(inner.param_groups) for inner in hybrid.optimizers] == [2, 1]
    assert hybrid.param_groups[1]["params"] == [extra]
    train(model, hybrid, 1)
    hybrid.load_state_dict(hybrid.state_dict())


def test_what_is_no_set_of_disjoint_optimizers_is_rejected():
    parameter = nn.Parameter(torch.eye(2))
    with pytest.raises(ValueError, match="empty"):
        Hybrid([])
    with pytest.raises(TypeError, match="Linear"):
        Hybrid([nn.Linear(2, 2)])
    with pytest.raises(ValueError, match="two of the optimizers"):
        Hybrid([Muon([parameter]), torch.optim.SGD([parameter], lr=0.1)])


def test_what_is_done_to_a_part_directly_is_seen_by_the_hybrid():
    model = network()
    muon = Muon([model[0].weight])
    train(model, muon, 2)
    saved = copy.deepcopy(muon.state_dict())
    hybrid = Hybrid([muon, torch.optim.AdamW([model[0].bias])])
    train(model, hybrid, 1)
    muon.load_state_dict(saved)
    muon.add_param_group({"params": [model[2].weight], "lr": 0.5})
    stored = hybrid.state_dict()
    assert [group["lr"] for group in stored["param_groups"]] == [1e-3, 0.5, 1e-3]
    assert torch.equal(stored["state"][0]["momentum_buffer"], saved["state"][0]["momentum_buffer"])
    train(model, hybrid, 1)
    assert hybrid.lmo_input(model[2].weight) is not None
    assert all(inner.state is hybrid.state for inner in hybrid.optimizers)


def test_hybrid_is_the_function_wherever_it_is_imported_from():
    import muon_theory.optimizers as package
    from muon_theory.optimizers import hybrid
    from muon_theory.optimizers.joint_optimizer import Hybrid as Joint

    assert callable(hybrid)
    assert package.hybrid is hybrid
    assert Joint is package.Hybrid
    assert importlib.util.find_spec("muon_theory.optimizers.hybrid") is None  # a module of that name would shadow it
