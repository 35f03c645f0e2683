"""Details of a step, kept on request: the spectra an exact Muon forms, and its updates before rounding."""

from __future__ import annotations

import pytest
import torch

from muon_theory.optimizers import Muon
from muon_theory.optimizers.matrix_blocks import matrix_blocks

SHAPES = [(4, 6), (4, 6), (6, 4), (8, 3, 2, 2), (150, 140)]


def _optimizer(dtype=torch.float32, **options):
    generator = torch.Generator().manual_seed(0)
    parameters = [torch.nn.Parameter(torch.randn(shape, generator=generator).to(dtype)) for shape in SHAPES]
    return parameters, Muon(parameters, lr=0.02, weight_decay=0.1, **options)


def _step(parameters, optimizer, seed=1):
    generator = torch.Generator().manual_seed(seed)
    for parameter in parameters:
        parameter.grad = torch.randn(parameter.shape, generator=generator).to(parameter.dtype)
    optimizer.step()


@pytest.mark.parametrize("options", [{"exact": True}, {"exact": True, "nesterov": False}, {"exact": False}])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_asking_changes_no_bit_of_the_step(options, dtype):
    outcomes = []
    for ask in (False, True):
        parameters, optimizer = _optimizer(dtype, **options)
        for seed in range(3):
            if ask:
                optimizer.keep_details(updates=True)
            _step(parameters, optimizer, seed)
        outcomes.append([*parameters, *(state["momentum_buffer"] for state in optimizer.state.values())])
    assert all(torch.equal(one, other) for one, other in zip(*outcomes, strict=True))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_an_exact_step_offers_the_spectrum_of_each_lmo_input(dtype):
    parameters, optimizer = _optimizer(dtype, exact=True)
    optimizer.keep_details()
    _step(parameters, optimizer)
    for parameter in parameters:
        expected = torch.linalg.svdvals(optimizer.lmo_input(parameter).double())
        torch.testing.assert_close(optimizer.lmo_spectrum(parameter), expected, rtol=1e-7, atol=0)
        assert optimizer.intended_update(parameter) is None
    optimizer.drop_details()
    assert optimizer.lmo_spectrum(parameters[0]) is None


def test_nothing_is_kept_where_nobody_asked_or_no_spectrum_is_formed():
    parameters, optimizer = _optimizer(exact=True)
    _step(parameters, optimizer)
    assert optimizer.details is None
    assert optimizer.lmo_spectrum(parameters[0]) is None
    parameters, optimizer = _optimizer()
    optimizer.keep_details()
    _step(parameters, optimizer)
    assert optimizer.lmo_spectrum(parameters[0]) is None


def test_fused_weights_offer_no_spectrum_for_their_matrix_is_not_what_was_orthogonalised():
    weight = torch.nn.Parameter(torch.randn(6, 4, generator=torch.Generator().manual_seed(0)))
    optimizer = Muon([{"params": [weight], "split_rows": (2, 4)}], lr=0.1, exact=True, weight_decay=0.0)
    optimizer.keep_details(updates=True)
    before = weight.detach().clone()
    _step([weight], optimizer)
    assert optimizer.lmo_spectrum(weight) is None
    torch.testing.assert_close(optimizer.intended_update(weight), weight - before, rtol=1e-5, atol=1e-7)
    assert len(matrix_blocks(optimizer.intended_update(weight), (2, 4), 0)) == 2


def test_the_intended_update_is_what_full_precision_weights_take_and_low_precision_ones_round():
    parameters, optimizer = _optimizer(torch.float64, exact=True)
    before = [parameter.detach().clone() for parameter in parameters]
    optimizer.keep_details(updates=True)
    _step(parameters, optimizer)
    for parameter, old in zip(parameters, before, strict=True):
        torch.testing.assert_close(optimizer.intended_update(parameter), parameter - old, rtol=1e-9, atol=1e-15)
    parameters, optimizer = _optimizer(torch.bfloat16, exact=True)
    for group in optimizer.param_groups:
        group.update(lr=2e-4, weight_decay=0.0)
    before = [parameter.detach().clone() for parameter in parameters]
    optimizer.keep_details(updates=True)
    _step(parameters, optimizer)
    parameter, old = parameters[0], before[0]
    meant = torch.linalg.svdvals(optimizer.intended_update(parameter)) / 2e-4
    torch.testing.assert_close(meant, torch.ones_like(meant), rtol=0.02, atol=0)
    rounded = torch.linalg.svdvals((parameter - old).float()) / 2e-4
    assert (rounded - 1).abs().max() > 0.2  # why it is offered
