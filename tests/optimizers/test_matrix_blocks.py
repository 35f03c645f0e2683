import copy

import pytest
import torch
from torch import nn

from muon_theory.optimizers import Muon


def stepped(parameter, gradients, **options):
    parameter = nn.Parameter(parameter.clone())
    optimizer = Muon([parameter], lr=0.1, **options)
    for gradient in gradients:
        parameter.grad = gradient.clone()
        optimizer.step()
    return parameter.detach(), optimizer


def drawn(*shape):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(shape, generator=generator), [torch.randn(shape, generator=generator) for _ in range(2)]


@pytest.mark.parametrize("options", [{}, {"exact": True}, {"method": "auto"}, {"adjust_lr_fn": "spectral"}])
def test_fused_projections_step_like_separate_ones(options):
    weight, gradients = drawn(20, 8)
    fused, _ = stepped(weight, gradients, split_rows=(8, 8, 4), **options)
    for rows in (slice(0, 8), slice(8, 16), slice(16, 20)):
        alone, _ = stepped(weight[rows], [g[rows] for g in gradients], **options)
        torch.testing.assert_close(fused[rows], alone, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(3, 6, 5), (3, 4, 2, 3)])
def test_stacked_experts_step_like_separate_ones(shape):
    weight, gradients = drawn(*shape)
    together, optimizer = stepped(weight, gradients, stacked=1)
    for expert in range(3):
        alone, _ = stepped(weight[expert], [g[expert] for g in gradients])
        torch.testing.assert_close(together[expert], alone, rtol=1e-5, atol=1e-6)
    assert optimizer.lmo_input(optimizer.param_groups[0]["params"][0]).shape == (3, weight[0].numel())


def test_two_stacked_dimensions_and_fused_rows_go_together():
    weight, gradients = drawn(2, 2, 6, 4)
    together, _ = stepped(weight, gradients, stacked=2, split_rows=(4, 2))
    alone, _ = stepped(weight[1, 0, :4], [g[1, 0, :4] for g in gradients])
    torch.testing.assert_close(together[1, 0, :4], alone, rtol=1e-5, atol=1e-6)


def test_blocks_are_kept_by_a_saved_state():
    weight, gradients = drawn(12, 4)
    _, optimizer = stepped(weight, gradients, split_rows=(4, 4, 4))
    other = Muon([nn.Parameter(weight.clone())])
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    assert other.param_groups[0]["split_rows"] == (4, 4, 4)


@pytest.mark.parametrize(
    "options", [{"split_rows": (4, 4)}, {"split_rows": (12, 0)}, {"split_rows": ()}, {"stacked": 1}]
)
def test_blocks_that_do_not_fit_are_rejected_with_the_shape(options):
    with pytest.raises(ValueError, match=r"\(12, 4\)"):
        Muon([nn.Parameter(torch.zeros(12, 4))], **options)


@pytest.mark.parametrize("stacked", [-1, True, 1.0])
def test_a_number_of_stacked_dimensions_is_a_natural_number(stacked):
    with pytest.raises(ValueError, match="stacked"):
        Muon([nn.Parameter(torch.zeros(3, 4, 5))], stacked=stacked)
