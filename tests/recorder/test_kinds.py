"""The recorded momentum and LMO input against values computed by hand, and against what the optimizer really did."""

from __future__ import annotations

import pytest
import torch
from torch.optim.optimizer import Optimizer

from muon_theory.recorder.kinds import as_matrix, has_lmo_input, lmo_input, momentum, needs_weight_before

STEPS = 4


def _walk(optimizer: Optimizer, parameter: torch.nn.Parameter, seed: int = 0):
    """Steps with random gradients; yields gradient, weight before and weight after each."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(STEPS):
        parameter.grad = torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
        before = parameter.detach().clone()
        optimizer.step()
        yield parameter.grad, before, parameter.detach().clone()


def _parameter(*shape: int) -> torch.nn.Parameter:
    return torch.nn.Parameter(torch.randn(*shape, generator=torch.Generator().manual_seed(7), dtype=torch.float64))


@pytest.mark.parametrize("nesterov", [True, False])
def test_the_buffer_of_torch_muon_is_an_average_and_its_input_follows_nesterov(nesterov):
    parameter = _parameter(3, 5)
    optimizer = torch.optim.Muon([parameter], lr=0.1, momentum=0.9, nesterov=nesterov, weight_decay=0.3)
    buffer = torch.zeros(3, 5, dtype=torch.float64)
    for gradient, _, _ in _walk(optimizer, parameter):
        buffer = 0.9 * buffer + 0.1 * gradient
        expected = 0.1 * gradient + 0.9 * buffer if nesterov else buffer
        torch.testing.assert_close(momentum(optimizer, parameter), buffer, rtol=1e-14, atol=1e-15)
        taken = lmo_input(optimizer, parameter, optimizer.param_groups[0], None)
        torch.testing.assert_close(taken, expected, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("nesterov", [True, False])
def test_the_recorded_input_is_what_torch_muon_hands_to_its_orthogonalizer(nesterov, monkeypatch):
    handed: list[torch.Tensor] = []
    original = torch.optim._muon._zeropower_via_newtonschulz

    def spy(matrix, *rest):
        handed.append(matrix.clone())
        return original(matrix, *rest)

    monkeypatch.setattr(torch.optim._muon, "_zeropower_via_newtonschulz", spy)
    parameter = torch.nn.Parameter(torch.randn(4, 6))
    optimizer = torch.optim.Muon([parameter], nesterov=nesterov)
    for index, _ in enumerate(_walk(optimizer, parameter)):
        assert torch.equal(lmo_input(optimizer, parameter, optimizer.param_groups[0], None), handed[index])


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"weight_decay": 0.2},
        {"maximize": True, "weight_decay": 0.2},
        {"momentum": 0.9},
        {"momentum": 0.9, "dampening": 0.5},
        {"momentum": 0.9, "dampening": 0.5, "weight_decay": 0.2, "maximize": True},
        {"momentum": 0.9, "nesterov": True},
        {"momentum": 0.9, "nesterov": True, "weight_decay": 0.2},
        {"momentum": 0.9, "nesterov": True, "weight_decay": 0.2, "foreach": False},
    ],
)
def test_the_input_of_sgd_is_its_step_over_the_learning_rate(options):
    parameter = _parameter(3, 5)
    optimizer = torch.optim.SGD([parameter], lr=0.25, **options)
    group = optimizer.param_groups[0]
    for _, before, after in _walk(optimizer, parameter):
        kept = before if needs_weight_before(optimizer, parameter, group) else None
        taken = lmo_input(optimizer, parameter, group, kept)
        torch.testing.assert_close(taken, (before - after) / 0.25, rtol=1e-12, atol=1e-13)


def test_the_first_buffer_of_sgd_is_the_gradient_undamped_and_later_ones_are_damped():
    parameter = _parameter(2, 3)
    optimizer = torch.optim.SGD([parameter], lr=0.1, momentum=0.8, dampening=0.5)
    buffer = None
    for gradient, _, _ in _walk(optimizer, parameter):
        buffer = gradient.clone() if buffer is None else 0.8 * buffer + 0.5 * gradient
        torch.testing.assert_close(momentum(optimizer, parameter), buffer, rtol=1e-14, atol=1e-15)


def test_the_weight_before_the_step_is_kept_only_where_sgd_needs_it():
    parameter = _parameter(2, 3)

    def needed(**options) -> bool:
        optimizer = torch.optim.SGD([parameter], lr=0.1, **options)
        return needs_weight_before(optimizer, parameter, optimizer.param_groups[0])

    assert needed(weight_decay=0.1)
    assert needed(weight_decay=0.1, momentum=0.9, nesterov=True)
    assert not needed(weight_decay=0.1, momentum=0.9)
    assert not needed(momentum=0.9, nesterov=True)


def test_a_buffer_left_over_from_a_momentum_that_was_switched_off_is_not_the_input():
    parameter = _parameter(2, 3)
    optimizer = torch.optim.SGD([parameter], lr=0.25, momentum=0.9)
    group = optimizer.param_groups[0]
    list(_walk(optimizer, parameter))
    group["momentum"] = 0.0
    for gradient, _, _ in _walk(optimizer, parameter, seed=1):
        assert torch.equal(lmo_input(optimizer, parameter, group, None), gradient)


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.AdamW, torch.optim.NAdam, torch.optim.Adamax])
def test_the_adam_family_has_its_first_moment_as_momentum_and_no_lmo_input(kind):
    parameter = _parameter(2, 3)
    optimizer = kind([parameter], betas=(0.9, 0.99))
    average = torch.zeros(2, 3, dtype=torch.float64)
    for gradient, _, _ in _walk(optimizer, parameter):
        average = 0.9 * average + 0.1 * gradient
        torch.testing.assert_close(momentum(optimizer, parameter), average, rtol=1e-14, atol=1e-15)
        assert lmo_input(optimizer, parameter, optimizer.param_groups[0], None) is None
    assert not has_lmo_input(optimizer)


def test_asking_for_momentum_leaves_the_state_of_the_optimizer_as_it_was():
    parameter = _parameter(2, 3)
    optimizer = torch.optim.SGD([parameter], lr=0.1)
    assert momentum(optimizer, parameter) is None
    assert not optimizer.state


def test_a_subclass_with_its_own_step_has_no_known_rule_and_one_without_keeps_it():
    class Renamed(torch.optim.SGD):
        pass

    class Rewritten(torch.optim.SGD):
        def step(self):
            return None

    parameter = _parameter(2, 3)
    assert has_lmo_input(Renamed([parameter], lr=0.1))
    assert not has_lmo_input(Rewritten([parameter], lr=0.1))


def test_an_optimizer_that_offers_its_lmo_input_is_believed():
    class Offering(torch.optim.SGD):
        def lmo_input(self, parameter):
            return torch.full_like(parameter, 5.0)

    parameter = _parameter(2, 3)
    optimizer = Offering([parameter], lr=0.1)
    parameter.grad = torch.ones_like(parameter)
    taken = lmo_input(optimizer, parameter, optimizer.param_groups[0], None)
    assert torch.equal(taken, torch.full_like(parameter, 5.0))


def test_the_inner_optimizers_of_a_hybrid_keep_their_rules():
    class Several(torch.optim.Optimizer):
        def __init__(self, optimizers):
            super().__init__([group for inner in optimizers for group in inner.param_groups], {})
            self.optimizers = optimizers
            for inner in optimizers:
                self.state.update(inner.state)
                inner.state = self.state

        def step(self):
            for inner in self.optimizers:
                inner.step()

    one, two = _parameter(2, 3), _parameter(3, 2)
    inner = torch.optim.SGD([one], lr=0.1, momentum=0.9, nesterov=True), torch.optim.AdamW([two])
    optimizer = Several(inner)
    one.grad, two.grad = torch.ones_like(one), torch.ones_like(two)
    optimizer.step()
    first, second = optimizer.param_groups
    torch.testing.assert_close(lmo_input(optimizer, one, first, None), 1.9 * torch.ones_like(one))
    assert lmo_input(optimizer, two, second, None) is None
    assert momentum(optimizer, two) is not None


def test_sparse_gradients_and_kernels_become_dense_matrices():
    kernel = torch.arange(24.0).reshape(2, 3, 2, 2)
    assert torch.equal(as_matrix(kernel), kernel.reshape(2, 12))
    sparse = torch.sparse_coo_tensor([[0, 2]], torch.ones(2, 4), (3, 4), check_invariants=True)
    assert torch.equal(as_matrix(sparse), torch.tensor([[1.0], [0.0], [1.0]]).expand(3, 4))
