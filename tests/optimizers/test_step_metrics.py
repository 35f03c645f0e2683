import copy
import gc
import math

import pytest
import torch
from torch import nn

from muon_theory.optimizers import Muon, muon_with_adamw
from muon_theory.optimizers.step_metrics import UpdateRecord, get_post_step_metrics


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))


def stepped(optimizer, model):
    optimizer.zero_grad()
    model(torch.ones(2, 6)).square().sum().backward()
    optimizer.step()


@pytest.mark.parametrize(
    "build",
    [
        lambda model: torch.optim.AdamW(model.parameters(), lr=0.1),
        lambda model: torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=0.5),
        lambda model: muon_with_adamw(model, lr=0.1, weight_decay=0.1),
    ],
)
def test_norm_and_largest_entry_are_those_of_what_changed(build):
    model = network()
    optimizer = build(model)
    UpdateRecord(optimizer)
    for _ in range(2):
        before = copy.deepcopy(model.state_dict())
        stepped(optimizer, model)
    metrics = get_post_step_metrics(optimizer, model)
    assert set(metrics) == {f"update/{name}.{kind}" for name in before for kind in ("norm", "max")}
    for name, parameter in model.named_parameters():
        change = parameter.detach() - before[name]
        assert metrics[f"update/{name}.norm"] == pytest.approx(float(change.norm()), rel=1e-5)
        assert metrics[f"update/{name}.max"] == pytest.approx(float(change.abs().max()), rel=1e-5)


def test_muons_update_has_the_norm_its_rule_gives_it():
    model = nn.Linear(8, 4, bias=False)
    optimizer = Muon(model.parameters(), lr=0.1, weight_decay=0.0, exact=True)
    UpdateRecord(optimizer)
    model(torch.randn(16, 8, generator=torch.Generator().manual_seed(0))).square().sum().backward()
    optimizer.step()
    assert get_post_step_metrics(optimizer, model)["update/weight.norm"] == pytest.approx(0.1 * math.sqrt(4), rel=1e-5)


def test_what_was_left_alone_has_size_zero():
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    UpdateRecord(optimizer)
    model[0].weight.grad = torch.ones(5, 6)
    optimizer.step()
    metrics = get_post_step_metrics(optimizer, model)
    assert metrics["update/2.weight.norm"] == 0.0 < metrics["update/0.weight.norm"]


def test_measuring_changes_no_step():
    model, twin = network(), network()
    optimizer, other = muon_with_adamw(model), muon_with_adamw(twin)
    UpdateRecord(optimizer)
    for _ in range(3):
        stepped(optimizer, model)
        stepped(other, twin)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), twin.parameters(), strict=True))
    assert str(optimizer.state_dict().keys()) == str(other.state_dict().keys())


def test_nothing_measured_says_what_to_do():
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(ValueError, match=r"UpdateRecord\(optimizer\)"):
        get_post_step_metrics(optimizer, model)
    record = UpdateRecord(optimizer)
    with pytest.raises(ValueError, match="no step was measured"):
        get_post_step_metrics(optimizer, model)
    stepped(optimizer, model)
    with pytest.raises(ValueError, match="pass the model that is trained"):
        get_post_step_metrics(optimizer, network())
    record.close()
    stepped(optimizer, model)
    assert record.steps == 1


def test_an_optimizer_with_metrics_of_its_own_is_asked():
    class Spread(torch.optim.SGD):
        def get_post_step_metrics(self, module):
            return {"update/weight.norm": float(len(list(module.parameters())))}

    model = network()
    assert get_post_step_metrics(Spread(model.parameters(), lr=0.1), model) == {"update/weight.norm": 4.0}


def test_a_record_does_not_keep_its_optimizer_alive():
    from muon_theory.optimizers import step_metrics

    before = len(step_metrics._RECORDS)
    optimizer = torch.optim.SGD(network().parameters(), lr=0.1)
    UpdateRecord(optimizer)
    assert len(step_metrics._RECORDS) == before + 1
    del optimizer
    gc.collect()
    assert len(step_metrics._RECORDS) == before
