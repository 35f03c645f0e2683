import math

import pytest
import torch

from muon_theory.optimizers import MuonAll, hybrid, scale_groups
from muon_theory.problems import context_model, transformer


def _tokens(*shape):
    return torch.randint(13, shape, generator=torch.Generator().manual_seed(0))


MODELS = [
    lambda seed: context_model(13, 8, 4, seed=seed),
    lambda seed: transformer(13, 8, 2, 2, 6, seed=seed),
    lambda seed: transformer(13, 8, 2, 1, 6, fused=False, norm="rms", seed=seed),
]


@pytest.mark.parametrize("build", MODELS)
def test_language_models_depend_on_their_seed_alone(build):
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    one, two, other = build(1), build(1), build(2)
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    assert one(_tokens(5, 4)).shape[-1] == 13


@pytest.mark.parametrize("build", MODELS[1:])
def test_a_later_token_does_not_change_earlier_logits(build):
    model, tokens = build(0), _tokens(3, 6)
    before = model(tokens)
    for place in range(6):
        changed = tokens.clone()
        changed[:, place] = (changed[:, place] + 1) % 13
        after = model(changed)
        assert torch.allclose(before[:, :place], after[:, :place], atol=1e-6)
        assert not torch.allclose(before[:, place:], after[:, place:], atol=1e-6)


@pytest.mark.parametrize("build", MODELS)
def test_with_a_head_of_zeros_the_loss_is_log_v(build):
    model = build(0)
    torch.nn.init.zeros_(model.head.weight)
    logits = model(_tokens(5, 4)).reshape(-1, 13)
    loss = torch.nn.functional.cross_entropy(logits, _tokens(len(logits)))
    assert loss.item() == pytest.approx(math.log(13), rel=1e-6)


def test_the_context_model_is_three_matrices():
    shapes = {name: tuple(value.shape) for name, value in context_model(100, 8, 2, seed=0).named_parameters()}
    assert shapes == {"embedding.weight": (100, 8), "hidden.weight": (8, 16), "head.weight": (100, 8)}


def test_the_hybrid_splits_fused_attention_and_leaves_embeddings_head_and_vectors_to_adamw():
    fused = transformer(13, 8, 2, 1, 6, seed=0)
    routing = hybrid(fused, example=_tokens(2, 6)).routing
    assert routing is not None
    by_name = {route.name: route for route in routing.routes}
    assert by_name["blocks.0.attention.query_key_value.weight"].split_rows == (8, 8, 8)
    muon = {name for name, route in by_name.items() if route.optimizer == "muon"}
    assert {name.rpartition("blocks.0.")[2] for name in muon} == {
        "attention.query_key_value.weight", "attention.output.weight", "mlp.0.weight", "mlp.2.weight",
    }  # fmt: skip
    assert {by_name[name].role for name in ("embedding.weight", "positions.weight")} <= {"embedding", "table"}
    assert by_name["head.weight"].role == "head"
    separate = hybrid(transformer(13, 8, 2, 1, 6, fused=False, seed=0)).routing
    assert separate is not None
    assert sum(route.optimizer == "muon" for route in separate.routes) == 6


def test_the_optimizers_of_the_studies_step_them():
    model, tokens = transformer(13, 8, 2, 1, 6, seed=0), _tokens(4, 7)
    for optimizer in (MuonAll(model.parameters(), 0.01), hybrid(model, lr=0.01)):
        loss = torch.nn.functional.cross_entropy(model(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert all(bool(value.isfinite().all()) for value in model.parameters())
    groups, rest = scale_groups(context_model(13, 8, 2, seed=0))
    assert [group["outputs"] for group in groups] == ["rows", "columns", "rows"]
    assert rest == []


def test_sizes_that_make_no_model_are_rejected():
    with pytest.raises(ValueError, match="multiple of heads"):
        transformer(13, 8, 3, seed=0)
    with pytest.raises(ValueError, match="norm is 'none'"):
        transformer(13, 8, 2, norm="none", seed=0)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="width is 0"):
        context_model(13, 0, seed=0)
