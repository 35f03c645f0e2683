import copy
import math
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from muon_theory.optimizers.dion import Dion
from muon_theory.optimizers.low_rank import _dense_columns, low_rank_direction, low_rank_factors
from muon_theory.optimizers.muon import Muon
from muon_theory.polar import polar_factor
from muon_theory.spectra import prescribed_matrix, singular_values

RIGHTS = ("unit_columns", "polar", "qr")


def tensors(shape, count, *, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype) for _ in range(count)]


def run(optimizer, parameter, gradients):
    for gradient in gradients:
        parameter.grad = gradient.clone()
        optimizer.step()
    return parameter.detach().clone()


def leading(B, r):
    U, _, V = torch.linalg.svd(B, full_matrices=False)
    return U[:, :r] @ V[:r]


@pytest.mark.parametrize("shape", [(6, 9), (9, 6), (7, 7)])
@pytest.mark.parametrize("error_feedback", [True, False])
@pytest.mark.parametrize("iterations", [1, 3])
def test_a_step_is_the_algorithm_written_down(shape, error_feedback, iterations):
    start, *gradients = tensors(shape, 5)
    parameter = nn.Parameter(start.clone())
    optimizer = Dion([parameter], 0.1, 0.9, 0.2, rank=3, error_feedback=error_feedback, power_iterations=iterations)
    transposed = shape[0] > shape[1]
    weight, M, Q = start, torch.zeros(shape, dtype=torch.float64), None
    for gradient in gradients:
        run(optimizer, parameter, [gradient])
        B = (M + gradient).T if transposed else M + gradient
        if Q is None:  # the first Q can be recovered from the seed only through the state it leaves behind
            Q = first_q(shape)
        for _ in range(iterations):
            P = torch.linalg.qr(B @ Q).Q
            R = B.T @ P
            Q = R / R.norm(dim=0)
        M = B - 0.1 * P @ R.T if error_feedback else 0.9 * B
        D = P @ Q.T
        M, D = (M.T, D.T) if transposed else (M, D)
        weight = (1 - 0.1 * 0.2) * weight - 0.1 * math.sqrt(shape[0] / shape[1]) * D
        torch.testing.assert_close(parameter.detach(), weight, rtol=1e-11, atol=1e-11)


def first_q(shape):
    """The Q that a Dion of rank 3 and seed 0 starts with, seen in its state after a step with a zero gradient."""
    probe = nn.Parameter(torch.zeros(shape, dtype=torch.float64))
    optimizer = Dion([probe], rank=3)
    run(optimizer, probe, [torch.zeros(shape, dtype=torch.float64)])
    return optimizer.state[probe]["right_factor"].clone()


@pytest.mark.parametrize("right", RIGHTS)
def test_full_rank_polar_dion_is_muon_and_the_published_rule_is_not(right):
    start, *gradients = tensors((6, 4), 4)
    ours, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    result = run(Dion([ours], 0.1, 0.9, 0.0, right=right, lr_scale="none"), ours, gradients)
    muon = Muon([theirs], 0.1, 0.0, 0.9, nesterov=False, exact=True, adjust_lr_fn="spectral")
    reference = run(muon, theirs, gradients)  # its shape factor is taken out below
    distance = torch.linalg.matrix_norm((reference - start) / math.sqrt(6 / 4) - (result - start))
    assert (distance < 1e-12) == (right == "polar")


@pytest.mark.parametrize("r", [1, 2, 5, 8])
def test_exact_dion_without_error_feedback_is_the_fanion_of_the_heavy_ball_buffer(r):
    start, *gradients = tensors((12, 8), 20)
    parameter = nn.Parameter(start.clone())
    optimizer = Dion([parameter], 1.0, 0.9, 0.0, rank=r, exact=True, error_feedback=False, lr_scale="none")
    buffer = torch.zeros(12, 8, dtype=torch.float64)
    for gradient in gradients:
        before = parameter.detach().clone()
        buffer = 0.9 * buffer + gradient
        step = before - run(optimizer, parameter, [gradient])
        torch.testing.assert_close(step, leading(buffer, r), rtol=0, atol=1e-12)
        torch.testing.assert_close(optimizer.lmo_input(parameter), buffer)


def test_exact_dion_with_error_feedback_uses_modes_at_the_frequency_of_the_law():
    sigma = torch.tensor([10.0, 2.0, 1.0, 0.5, 0.25], dtype=torch.float64)
    G = torch.diag(sigma)
    parameter = nn.Parameter(torch.zeros(5, 5, dtype=torch.float64))
    optimizer = Dion([parameter], 1.0, 0.95, 0.0, rank=2, exact=True, lr_scale="none")
    run(optimizer, parameter, [G] * 300)
    settled = parameter.detach().clone()
    used = (settled - run(optimizer, parameter, [G] * 1500)) / 1500
    law = torch.tensor([1, 8 / 15, 4 / 15, 2 / 15, 1 / 15], dtype=torch.float64)  # min(1, c sigma) with c = 4/15
    torch.testing.assert_close(used.diagonal(), law, rtol=0, atol=4e-3)
    assert (used - torch.diag(used.diagonal())).abs().max() < 1e-3


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 12), st.floats(0, 12), st.integers(0, 2**31 - 1))
def test_directions_keep_their_norms_whatever_the_spectrum(m, n, r, decades, seed):
    small = min(m, n)
    r = min(r, small)
    generator = torch.Generator().manual_seed(seed)
    sigma = 10.0 ** (-decades * torch.rand(small, generator=generator, dtype=torch.float64)).sort()[0]
    B = prescribed_matrix(sigma.sort(descending=True)[0], m, n, seed=seed % 1000)
    Q = torch.randn(n, r, generator=generator, dtype=torch.float64)
    P, R, _ = low_rank_factors(B, Q)
    for right in RIGHTS:
        D = low_rank_direction(P, R, right=right)
        values = singular_values(D, method="svd")
        assert values.square().sum() == pytest.approx(r, rel=1e-9) or decades > 10  # beyond: numerically zero columns
        assert values.sum() <= r * (1 + 1e-9)
        assert values[0] <= (math.sqrt(r) if right == "unit_columns" else 1) * (1 + 1e-9)
    best = low_rank_direction(P, R, right="polar")
    assert (B * best).sum() == pytest.approx(float(singular_values(R, method="svd").sum()), rel=1e-9)


def test_the_sign_trap_a_plain_qr_of_r_goes_uphill_and_ours_does_not():
    B, Q = tensors((20, 12), 1)[0], tensors((12, 5), 1, seed=1)[0]
    P, R, _ = low_rank_factors(B, Q)
    plain = P @ torch.linalg.qr(R).Q.T
    uphill = (P.T @ B * (P.T @ plain)).sum(1)  # <p_j p_j^T B, D>, mode by mode
    ours = (P.T @ B * (P.T @ low_rank_direction(P, R, right="qr"))).sum(1)
    assert (uphill < 0).any()
    assert (ours > 0).all()
    assert (ours - uphill.abs()).abs().max() < 1e-12


@pytest.mark.parametrize("right", RIGHTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_directions_beyond_the_rank_of_the_buffer_stay_zero(right, dtype):
    a, b = tensors((20, 1), 1, dtype=dtype)[0], tensors((30, 1), 1, seed=1, dtype=dtype)[0]
    parameter = nn.Parameter(torch.zeros(20, 30, dtype=dtype))
    step = run(Dion([parameter], 1.0, 0.9, 0.0, rank=4, right=right, lr_scale="none"), parameter, [a @ b.T])
    torch.testing.assert_close(-step, polar_factor(a @ b.T), rtol=0, atol=1e-5 if dtype == torch.float32 else 1e-12)


def test_a_direction_that_was_zero_comes_back():
    parameter = nn.Parameter(torch.zeros(6, 6, dtype=torch.float64))
    optimizer = Dion([parameter], 1.0, 0.0, 0.0, rank=3, right="polar", lr_scale="none", power_iterations=30)
    first = torch.diag(torch.tensor([5.0, 0, 0, 0, 0, 0], dtype=torch.float64))
    second = torch.diag(torch.tensor([0, 0, 0, 4.0, 3.0, 2.0], dtype=torch.float64))
    run(optimizer, parameter, [first])  # Q is now e_1 and two more columns; e_1 is no direction of `second`
    before = parameter.detach().clone()
    step = before - run(optimizer, parameter, [second])
    torch.testing.assert_close(step, torch.diag(torch.tensor([0, 0, 0, 1.0, 1, 1], dtype=torch.float64)))


@pytest.mark.parametrize("size", [(2, 2), (5, 3), (64, 64), (300, 20)])
def test_the_columns_that_take_a_vanished_place_are_independent(size):
    columns = _dense_columns(torch.empty(size))
    assert float(torch.linalg.cond(columns.double())) < 1e4
    torch.testing.assert_close(columns.norm(dim=0), torch.ones(size[1]))


def test_a_zero_gradient_changes_nothing_and_keeps_the_first_q():
    parameter = nn.Parameter(torch.ones(4, 3))
    optimizer = Dion([parameter], 0.1, 0.9, 0.0)
    assert torch.equal(run(optimizer, parameter, [torch.zeros(4, 3)] * 2), torch.ones(4, 3))
    torch.testing.assert_close(optimizer.state[parameter]["right_factor"].norm(dim=0), torch.ones(3))


@pytest.mark.parametrize("scale", [1e-30, 1e30])
@pytest.mark.parametrize("options", [{}, {"right": "polar"}, {"right": "qr"}, {"exact": True}])
def test_updates_do_not_depend_on_the_gradients_scale(scale, options):
    gradients = tensors((5, 8), 3, dtype=torch.float32)
    steps = []
    for factor in (1.0, scale):
        parameter = nn.Parameter(torch.zeros(5, 8))
        optimizer = Dion([parameter], rank=2, weight_decay=0.0, **options)
        steps.append(run(optimizer, parameter, [g * factor for g in gradients]))
    torch.testing.assert_close(steps[0], steps[1], rtol=1e-4, atol=1e-6)


def test_warm_start_contracts_the_subspace_error_by_the_squared_gap():
    sigma = torch.cat([torch.linspace(3, 2, 8), torch.linspace(1.4, 0.1, 32)]).double()
    B = prescribed_matrix(sigma, 60, 40, seed=0)
    V = torch.linalg.svd(B, full_matrices=False)[2][:8]
    Q = tensors((40, 8), 1)[0]
    errors = []
    for _ in range(14):
        Q = low_rank_factors(B, Q).Q
        basis = torch.linalg.qr(Q).Q
        errors.append(float(torch.linalg.matrix_norm(basis - V.T @ (V @ basis), 2)))
    assert errors[-1] / errors[-2] == pytest.approx(0.49, rel=0.1)


def test_kernels_are_flattened_and_stepped_like_their_matrix():
    (gradient,) = tensors((6, 3, 2, 2), 1)
    kernel, matrix = nn.Parameter(torch.zeros_like(gradient)), nn.Parameter(torch.zeros_like(gradient.flatten(1)))
    of_kernel = run(Dion([kernel], rank_fraction=0.5), kernel, [gradient])
    assert torch.equal(of_kernel.flatten(1), run(Dion([matrix], rank_fraction=0.5), matrix, [gradient.flatten(1)]))


def test_channels_last_kernels_take_the_same_step():
    gradients = tensors((6, 3, 2, 2), 3)
    plain = nn.Parameter(torch.zeros_like(gradients[0]))
    last = nn.Parameter(torch.zeros_like(gradients[0]).to(memory_format=torch.channels_last))
    a = run(Dion([plain], rank=2), plain, gradients)
    b = run(Dion([last], rank=2), last, [g.to(memory_format=torch.channels_last) for g in gradients])
    torch.testing.assert_close(a, b, rtol=1e-13, atol=1e-13)


def test_parameters_of_one_shape_step_together_as_they_would_alone():
    gradients = [tensors((5, 7), 3, seed=s) for s in range(3)]
    together = [nn.Parameter(torch.zeros(5, 7, dtype=torch.float64)) for _ in gradients]
    optimizer = Dion(together, rank=2)
    for t in range(3):
        for parameter, sequence in zip(together, gradients, strict=True):
            parameter.grad = sequence[t].clone()
        optimizer.step()
    for i, sequence in enumerate(gradients):
        idle = [nn.Parameter(torch.zeros(5, 7, dtype=torch.float64)) for _ in range(i)]
        alone = nn.Parameter(torch.zeros(5, 7, dtype=torch.float64))
        torch.testing.assert_close(run(Dion([*idle, alone], rank=2), alone, sequence), together[i].detach())


def test_the_first_q_depends_on_seed_and_place_only():
    def first(seed, place):
        parameters = [nn.Parameter(torch.zeros(4, 4)) for _ in range(place + 1)]
        optimizer = Dion(parameters, rank=2, seed=seed)
        run(optimizer, parameters[place], [torch.zeros(4, 4)])
        return optimizer.state[parameters[place]]["right_factor"]

    assert torch.equal(first(3, 1), first(3, 1))
    assert not torch.equal(first(3, 1), first(3, 0))
    assert not torch.equal(first(3, 1), first(4, 1))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("options", [{}, {"exact": True}, {"right": "polar", "error_feedback": False}])
def test_resuming_from_a_saved_state_is_bit_equal(dtype, options):
    shapes = [(6, 9), (9, 6), (6, 9), (4, 3, 2, 2)]
    gradients = [tensors(shape, 6, seed=i, dtype=dtype) for i, shape in enumerate(shapes)]

    def go(optimizer, parameters, times):
        for t in times:
            for parameter, sequence in zip(parameters, gradients, strict=True):
                parameter.grad = sequence[t].clone()
            optimizer.step()

    model = [nn.Parameter(torch.ones(shape, dtype=dtype)) for shape in shapes]
    optimizer = Dion(model, rank_fraction=0.4, **options)
    go(optimizer, model, range(3))
    twins = [nn.Parameter(p.detach().clone()) for p in model]
    resumed = Dion(twins, rank_fraction=0.4, **options)
    stream = pickle.dumps(optimizer.state_dict())
    resumed.load_state_dict(pickle.loads(stream))
    go(optimizer, model, range(3, 6))
    go(resumed, twins, range(3, 6))
    assert all(torch.equal(a, b) for a, b in zip(model, twins, strict=True))


def test_a_copied_optimizer_goes_on_like_the_original():
    parameter, gradients = nn.Parameter(torch.zeros(5, 4)), tensors((5, 4), 6, dtype=torch.float32)
    optimizer = Dion([parameter], rank=2)
    run(optimizer, parameter, gradients[:3])
    twin_parameter, twin = copy.deepcopy((parameter, optimizer))
    assert torch.equal(run(optimizer, parameter, gradients[3:]), run(twin, twin_parameter, gradients[3:]))


def test_gradients_are_not_modified_and_maximize_mirrors_the_step():
    gradients = tensors((5, 4), 3)
    results = []
    for maximize in (False, True):
        parameter = nn.Parameter(torch.zeros(5, 4, dtype=torch.float64))
        optimizer = Dion([parameter], rank=2, maximize=maximize)
        kept = gradients[0].clone()
        parameter.grad = kept
        optimizer.step()
        assert torch.equal(kept, gradients[0])
        results.append(run(optimizer, parameter, gradients[1:]))
    torch.testing.assert_close(results[0], -results[1])


def test_closures_schedulers_and_missing_gradients_work():
    parameter, idle = nn.Parameter(torch.zeros(3, 3)), nn.Parameter(torch.ones(3, 3))
    optimizer = Dion([parameter, idle], lr=1.0)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.1)

    def closure():
        optimizer.zero_grad()
        loss = (parameter - torch.eye(3)).square().sum()
        loss.backward()
        return loss.item()

    assert optimizer.step(closure) == pytest.approx(3.0)
    scheduler.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.1)
    assert torch.equal(idle, torch.ones(3, 3))
    assert optimizer.lmo_input(idle) is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rank": 0}, "rank is 0; it must be an integer >= 1"),
        ({"rank": 4}, "rank is 4, but parameter 0 of shape .3, 5. has rank 3 only"),
        ({"rank_fraction": 0.0}, "rank_fraction is 0.0"),
        ({"right": "svd"}, "right is 'svd'"),
        ({"lr_scale": None}, "lr_scale is None"),
        ({"power_iterations": 0}, "power_iterations is 0"),
        ({"momentum": 1.0}, "momentum is 1.0"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_options_out_of_range_are_rejected(options, message):
    with pytest.raises(ValueError, match=message):
        Dion([nn.Parameter(torch.ones(3, 5))], **options)


def test_vectors_are_rejected():
    with pytest.raises(ValueError, match="AdamW"):
        Dion([nn.Parameter(torch.ones(3))])


@pytest.mark.slow
def test_a_compiled_step_over_several_shapes_equals_the_eager_one():
    shapes = [(6, 8), (8, 5), (6, 8), (4, 3, 2, 2)]
    gradients = [tensors(shape, 3, seed=i) for i, shape in enumerate(shapes)]
    results = []
    for compiled in (False, True):
        parameters = [nn.Parameter(torch.zeros(shape, dtype=torch.float64)) for shape in shapes]
        optimizer = Dion(parameters, rank=2, check_finite=False)
        step = torch.compile(lambda o=optimizer: o.step(), backend="eager") if compiled else optimizer.step
        for t in range(3):
            for parameter, sequence in zip(parameters, gradients, strict=True):
                parameter.grad = sequence[t].clone()
            step()
        results.append([parameter.detach().clone() for parameter in parameters])
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


@pytest.mark.parametrize("options", [{"rank": 3}, {"transpose": True}])
def test_a_rank_or_orientation_changed_after_the_first_step_is_refused(options):
    weight = nn.Parameter(torch.zeros(4, 6))
    optimizer = Dion([weight], rank=1)
    weight.grad = torch.ones(4, 6)
    optimizer.step()
    before = weight.detach().clone()
    optimizer.param_groups[0].update(options)
    with pytest.raises(ValueError, match="nothing was changed: rank and transpose are set before the first step"):
        optimizer.step()
    assert torch.equal(weight, before)


def test_gradients_at_the_edge_of_their_dtype_do_not_overflow():
    weight = nn.Parameter(torch.zeros(6, 4))
    weight.grad = torch.full((6, 4), 3e38)
    Dion([weight], lr=1.0, rank=1, lr_scale="none", weight_decay=0.0).step()
    torch.testing.assert_close(weight.detach(), torch.full((6, 4), -(24**-0.5)))
