import sys

import pytest
import torch
from torch import nn

from muon_theory.optimizers import Hybrid, Neon
from muon_theory.problems import load_images
from muon_theory.training.imported_optimizer import SHORT_NAMES, build_imported, imported_optimizer
from muon_theory.training.recipe_run import train_recipe

FOREIGN = """
import torch
class Foreign(torch.optim.SGD):
    def __init__(self, params, lr=0.1, *, strength: float = 1.0):
        super().__init__(params, lr=lr * strength)
def of_model(model, lr=0.1):
    return torch.optim.SGD(model.parameters(), lr=lr)
def nothing(model):
    return 3
class NoOptimizer:
    pass
"""


@pytest.fixture
def foreign(tmp_path, monkeypatch):
    (tmp_path / "foreign_package.py").write_text(FOREIGN)
    monkeypatch.syspath_prepend(tmp_path)
    yield "foreign_package"
    sys.modules.pop("foreign_package", None)


def model():
    return nn.Sequential(nn.Linear(6, 5), nn.Linear(5, 4))


def test_a_class_gets_the_parameters_and_its_options(foreign):
    optimizer = build_imported(f"{foreign}:Foreign", model(), {"lr": 0.5, "strength": 0.5})
    assert optimizer.param_groups[0]["lr"] == 0.25
    assert len(optimizer.param_groups[0]["params"]) == 4
    assert build_imported(f"{foreign}:of_model", model(), {"lr": 0.2}).param_groups[0]["lr"] == 0.2


def test_one_that_steps_matrices_only_gets_those_and_adamw_the_vectors():
    optimizer = build_imported("neon", model(), {"lr": 0.1, "momentum": 0.8, "adamw_lr": 0.02})
    assert isinstance(optimizer, Hybrid)
    first, second = optimizer.optimizers
    assert isinstance(first, Neon)
    assert first.param_groups[0]["momentum"] == 0.8
    assert second.param_groups[0]["lr"] == 0.02
    assert [p.ndim for p in second.param_groups[0]["params"]] == [1, 1]


def test_momentum_becomes_the_first_of_the_betas():
    optimizer = build_imported("torch.optim:AdamW", model(), {"momentum": 0.5})
    assert optimizer.param_groups[0]["betas"] == (0.5, 0.999)


def test_frozen_parameters_are_left_out():
    net = model()
    net[0].requires_grad_(False)
    assert len(build_imported("torch.optim:SGD", net, {"lr": 1.0}).param_groups[0]["params"]) == 2


def test_wrong_paths_and_options_are_errors(foreign):
    for told, path, options in (
        ("give one of the recipe, one of dion, f_fanion,", "adam", {}),
        ("cannot import no_such_package", "no_such_package:Adam", {}),
        ("torch.optim has no optimizer called Nothing", "torch.optim:Nothing", {}),
        ("has no optimizer called NoOptimizer", f"{foreign}:NoOptimizer", {}),
        ("torch.optim:SGD takes no alpha; it takes lr, momentum,", "torch.optim:SGD", {"alpha": 1}),
        ("refuses the model's parameters or its options: .*momentum", "neon", {"momentum": 2.0}),
        ("refuses the model's parameters or its options: Invalid learning rate", "torch.optim:SGD", {"lr": -1.0}),
    ):
        with pytest.raises(ValueError, match=told):
            build_imported(path, model(), options)
    with pytest.raises(TypeError, match="gave a int, which is no torch"):
        build_imported(f"{foreign}:nothing", model(), {})


@pytest.mark.parametrize("name", [*SHORT_NAMES, "torch.optim:RMSprop"])
def test_every_short_name_trains_by_a_recipe(name):
    imported_optimizer(name)
    options = {"k": 2} if name == "fanion" else {}
    table = train_recipe("tutorial", load_images("digits"), name, epochs=1, optimizer_args=options, lr=1e-3)
    assert not table.diverged.any()
    assert torch.isfinite(torch.tensor(table.train_loss[0]))
