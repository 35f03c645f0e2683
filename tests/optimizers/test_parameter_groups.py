import pytest
import torch
from torch import nn

from muon_theory.optimizers import muon_with_adamw, parameter_roles


class Language(nn.Module):
    def __init__(self, tied):
        super().__init__()
        self.embedding = nn.Embedding(11, 6)
        self.attention = nn.MultiheadAttention(6, 2)
        self.gain = nn.Parameter(torch.ones(6))
        self.first = nn.Linear(6, 9)
        self.second = nn.Linear(9, 6)
        self.norm = nn.LayerNorm(6)
        self.head = nn.Linear(6, 11, bias=False)
        if tied:
            self.head.weight = self.embedding.weight


def names(parameters):
    return [name for name, _ in parameters]


@pytest.mark.parametrize("tied", [False, True])
def test_embeddings_head_and_vectors_are_left_to_adamw(tied):
    model = Language(tied)
    roles = parameter_roles(model)
    assert names(roles.matrices) == [
        "attention.in_proj_weight",
        "attention.out_proj.weight",
        "first.weight",
        "second.weight",
    ]
    assert ("head.weight" in names(roles.rest)) is not tied
    assert "embedding.weight" in names(roles.rest)
    both = [parameter for _, parameter in roles.matrices + roles.rest]
    assert len(both) == len(set(both)) == len(list(model.parameters()))


def test_all_matrices_go_to_muon_on_request():
    roles = parameter_roles(Language(False), matrices="all")
    assert {"embedding.weight", "head.weight"} < set(names(roles.matrices))
    assert all(parameter.ndim == 1 for _, parameter in roles.rest)


def test_convolutions_go_to_muon_and_named_parameters_to_adamw():
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3), nn.Flatten(), nn.Linear(4, 3))
    assert names(parameter_roles(model).matrices) == ["0.weight", "1.weight"]
    assert names(parameter_roles(model, adamw_names=["0.*"]).matrices) == ["1.weight"]


def test_frozen_parameters_are_in_neither():
    model = nn.Sequential(nn.Linear(3, 3).requires_grad_(False), nn.Linear(3, 3), nn.Linear(3, 2))
    roles = parameter_roles(model)
    assert not {"0.weight", "0.bias"} & set(names(roles.matrices + roles.rest))


def test_a_model_of_matrices_only_needs_no_adamw():
    model = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 2, bias=False))
    assert [type(inner).__name__ for inner in muon_with_adamw(model, matrices="all").optimizers] == ["Muon"]


def test_options_reach_both_parts():
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2))
    muon, adamw = muon_with_adamw(
        model, lr=0.1, adamw_lr=0.2, weight_decay=0.3, adamw_betas=(0.5, 0.6), ns_steps=2, method="taylor_3"
    ).optimizers
    expected = {"lr": 0.1, "weight_decay": 0.3, "ns_steps": 2, "method": "taylor_3"}
    assert expected.items() <= muon.param_groups[0].items()
    assert {"lr": 0.2, "weight_decay": 0.3, "betas": (0.5, 0.6)}.items() <= adamw.param_groups[0].items()


def test_requests_without_sense_are_rejected():
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2))
    with pytest.raises(ValueError, match="'hidden' or 'all'"):
        parameter_roles(model, matrices="some")
    with pytest.raises(ValueError, match="'stem.*' matches none"):
        parameter_roles(model, adamw_names=["stem.*"])
    with pytest.raises(ValueError, match="no hidden matrix"):
        muon_with_adamw(nn.Linear(3, 2))
    with pytest.raises(ValueError, match="no trainable parameter"):
        parameter_roles(nn.Linear(3, 2).requires_grad_(False))
