import copy
import logging
import pickle

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from muon_theory.optimizers.parameter_groups import hybrid, muon_with_adamw
from muon_theory.optimizers.routing import route_parameters


class Attention(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.a = nn.Linear(width, 3 * width, bias=False)
        self.b = nn.Linear(width, width, bias=False)

    def forward(self, x):
        q, k, v = self.a(x).chunk(3, -1)
        return self.b(F.scaled_dot_product_attention(q, k, v))


class Experts(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.c = nn.Parameter(torch.randn(3, width, width))

    def forward(self, x):
        return torch.einsum("btd,edo->bto", x, self.c)


class Language(nn.Module):
    """Names say nothing; the head comes first in the model's order."""

    def __init__(self, tied=False, width=8, functional=False):
        super().__init__()
        torch.manual_seed(0)
        self.m = nn.Linear(width, 11, bias=False)
        self.n = nn.Parameter(torch.randn(11, width)) if functional else nn.Embedding(11, width)
        self.o = nn.Parameter(torch.randn(1, 5, width))
        self.p = Attention(width)
        self.q = Experts(width)
        self.r = nn.LayerNorm(width)
        if tied:
            self.m.weight = self.n if functional else self.n.weight

    def forward(self, tokens):
        x = (self.n[tokens] if isinstance(self.n, nn.Parameter) else self.n(tokens)) + self.o[:, : tokens.shape[1]]
        x = x + self.p(x)
        return self.m(self.r(x + self.q(x)))


TOKENS = torch.zeros(2, 4, dtype=torch.long)


def roles(model, **options):
    return {route.name: route.role for route in route_parameters(model, **options).routes}


def test_the_graph_finds_the_head_wherever_it_stands():
    found = roles(Language(), example=TOKENS)
    assert found == {
        "m.weight": "head",
        "n.weight": "embedding",
        "o": "table",
        "p.a.weight": "fused",
        "p.b.weight": "hidden",
        "q.c": "stack",
        "r.weight": "vector",
        "r.bias": "vector",
    }


@pytest.mark.parametrize("functional", [False, True])
def test_tied_weights_are_found_whether_the_embedding_is_a_module_or_an_index(functional):
    model = Language(tied=True, functional=functional)
    found = roles(model, example=TOKENS)
    assert list(found.values()).count("tied") == 1
    assert "head" not in found.values()


def test_a_table_that_is_indexed_is_an_embedding():
    assert roles(Language(functional=True), example=TOKENS)["n"] == "embedding"


def test_tied_modules_are_found_without_running_the_model():
    assert roles(Language(tied=True))["m.weight"] == "tied"


def test_a_residual_stream_without_a_head_has_none():
    class Backbone(nn.Module):
        def __init__(self):
            super().__init__()
            self.blocks = nn.ModuleList(nn.Linear(4, 4) for _ in range(3))

        def forward(self, x):
            for block in self.blocks:
                x = x + block(x).relu()
            return x

    assert "head" not in roles(Backbone(), example=torch.zeros(2, 4)).values()


def test_every_output_has_its_head():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.policy, self.value, self.trunk = nn.Linear(6, 3), nn.Linear(6, 2), nn.Linear(4, 6)

        def forward(self, x):
            x = self.trunk(x).tanh()
            return {"policy": self.policy(x), "rest": (self.value(x),)}

    found = roles(Two(), example=(torch.zeros(2, 4),))
    assert [name for name, role in found.items() if role == "head"] == ["policy.weight", "value.weight"]
    assert found["trunk.weight"] == "hidden"


def test_running_the_example_changes_nothing():
    model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(), nn.Linear(6, 2))
    before, random_state = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    roles(model, example=torch.randn(5, 4, generator=torch.Generator().manual_seed(0)))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random_state)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_convolutions_are_matrices_groups_are_split_and_depthwise_kernels_are_vectors():
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3, groups=2), nn.Conv2d(8, 8, 3, groups=8), nn.Flatten(), nn.Linear(8, 3)
    )
    plain, grouped, depthwise = (route for route in route_parameters(model).routes if len(route.shape) == 4)
    assert (plain.role, plain.split_rows) == ("convolution", None)
    assert (grouped.role, grouped.split_rows) == ("convolution", (4, 4))
    assert (depthwise.role, depthwise.optimizer) == ("vector", "adamw")


def test_fused_projections_of_torchs_own_modules_are_split():
    routing = route_parameters(nn.ModuleList([nn.MultiheadAttention(8, 2), nn.LSTM(5, 4), nn.GRU(5, 4), nn.RNN(5, 4)]))
    found = {route.name: route.split_rows for route in routing.routes if len(route.shape) == 2}
    assert found["0.in_proj_weight"] == (8, 8, 8)
    assert found["1.weight_ih_l0"] == (4, 4, 4, 4)
    assert found["2.weight_hh_l0"] == (4, 4, 4)
    assert found["3.weight_hh_l0"] is None


def test_a_wide_layer_of_a_perceptron_is_not_taken_for_attention():
    model = nn.Sequential(nn.Linear(4, 12), nn.ReLU(), nn.Linear(12, 4), nn.Linear(4, 2))
    assert roles(model)["0.weight"] == "hidden"


def test_the_hybrid_steps_parts_as_if_they_were_separate():
    model = Language()
    optimizer = hybrid(model, example=TOKENS, lr=0.1, exact=True)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    model(TOKENS + torch.arange(4)).square().sum().backward()
    optimizer.step()
    for name in ("p.a.weight", "q.c"):
        change = (dict(model.named_parameters())[name].detach() - before[name]).reshape(3, 8, 8) / 0.1
        sigma = torch.linalg.svdvals(change)
        assert bool(((sigma - 1).abs() < 1e-4).sum() + (sigma < 1e-4).sum() == sigma.numel())


def test_overrides_go_before_the_rule_and_the_last_one_counts():
    routing = route_parameters(
        Language(),
        example=TOKENS,
        assign={"p.*": "adamw", "p.b.weight": "muon"},
        split={"p.a.weight": (), "p.b.*": (4, 4)},
        stacked={"q.c": 0},
    )
    found = {route.name: route for route in routing.routes}
    assert (found["p.a.weight"].optimizer, found["p.a.weight"].split_rows) == ("adamw", None)
    assert (found["p.b.weight"].optimizer, found["p.b.weight"].split_rows) == ("muon", (4, 4))
    assert found["q.c"].stacked == 0


@pytest.mark.parametrize(
    ("name", "what"), [("m.weight", "output head"), ("n.weight", "an embedding"), ("o", "a table")]
)
def test_a_head_or_embedding_given_to_muon_is_warned_of_by_name(name, what):
    with pytest.warns(UserWarning, match=rf"'{name}' is .*{what.split()[-1]}"):
        hybrid(Language(), example=TOKENS, assign={name: "muon"})


def test_the_routing_is_a_table_a_text_and_a_log_entry(caplog):
    with caplog.at_level(logging.INFO, logger="muon_theory"):
        optimizer = hybrid(Language(), example=TOKENS)
    table = optimizer.routing.table()
    assert list(table["name"]) == [name for name, _ in Language().named_parameters()]
    assert set(table["optimizer"]) == {"muon", "adamw"}
    lines = str(optimizer.routing).splitlines()
    assert "8+8+8" in next(line for line in lines if line.startswith("p.a.weight"))
    assert str(optimizer.routing) in caplog.text


def test_a_copied_hybrid_keeps_its_routing():
    model = Language()
    optimizer = hybrid(model)
    assert copy.deepcopy(optimizer).routing == optimizer.routing
    assert pickle.loads(pickle.dumps(optimizer)).routing == optimizer.routing


def test_vectors_do_not_decay_unless_asked():
    def decays(**options):
        groups = hybrid(Language(), weight_decay=0.1, **options).optimizers[1].param_groups
        return {name: group["weight_decay"] for group in groups for name in group["param_names"]}

    assert decays()["r.bias"] == 0.0 < decays()["n.weight"]
    assert decays(decay_vectors=True)["r.bias"] == 0.1


def test_requests_without_sense_are_rejected():
    with pytest.raises(ValueError, match="'x.\\*' matches none"):
        route_parameters(Language(), assign={"x.*": "muon"})
    with pytest.raises(ValueError, match="choose 'muon' or 'adamw'"):
        route_parameters(Language(), assign={"r.*": "sgd"})
    with pytest.raises(ValueError, match=r"'r.bias' has shape \(8,\)"):
        route_parameters(Language(), assign={"r.bias": "muon"})
    with pytest.raises(ValueError, match="add up to 24"):
        route_parameters(Language(), split={"p.a.*": (8, 8)})
    with pytest.raises(ValueError, match="no matrix is left"):
        route_parameters(Language(), stacked={"p.b.*": 1})
    with pytest.raises(ValueError, match="no trainable parameter"):
        route_parameters(nn.Linear(3, 3).requires_grad_(False))
    with pytest.raises(ValueError, match="nothing is left for Muon"):
        hybrid(nn.Linear(3, 3))
    with pytest.raises(ValueError, match="depends on no parameter"):
        route_parameters(_Constant(), example=torch.zeros(1))


class _Constant(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.ones(2, 2))

    def forward(self, x):
        return x


def test_a_tied_weight_is_the_head_wherever_it_is_defined():
    embedding, head = nn.Embedding(9, 4), nn.Linear(4, 9, bias=False)
    head.weight = embedding.weight
    model = nn.ModuleDict({"embedding": embedding, "head": head, "block": nn.Linear(4, 4, bias=False)})
    assert {route.name: route.role for route in route_parameters(model).routes} == {
        "embedding.weight": "tied",
        "block.weight": "hidden",
    }


def test_lazy_layers_and_sparse_embeddings_are_refused_by_name():
    with pytest.raises(ValueError, match=r"0.weight has no shape yet"):
        hybrid(nn.Sequential(nn.LazyLinear(8), nn.Linear(8, 4)))
    sparse = nn.Sequential(nn.Embedding(9, 4, sparse=True), nn.Linear(4, 4), nn.Linear(4, 9))
    for build in (hybrid, muon_with_adamw):
        with pytest.raises(ValueError, match="0 has sparse=True"):
            build(sparse)
        with pytest.raises(TypeError, match="model is a generator"):
            build(sparse.parameters())
    sparse[0].weight.requires_grad_(False)
    hybrid(sparse)
