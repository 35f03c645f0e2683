import copy
import io
import math
import pickle

import pytest
import torch
from torch import nn

from muon_theory.optimizers import Muon, shape_factor
from muon_theory.polar import orthogonalize
from muon_theory.polar.exact import polar_factor

JORDAN = (3.4445, -4.7750, 2.0315)


def parameter_with_gradients(shape, count, *, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    parameter = nn.Parameter(torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype))
    return parameter, [torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype) for _ in range(count)]


def run(optimizer, parameter, gradients):
    for gradient in gradients:
        parameter.grad = gradient.clone()
        optimizer.step()
    return parameter.detach().clone()


@pytest.mark.parametrize("shape", [(12, 7), (7, 12), (9, 9), (1, 5), (33, 64)])
@pytest.mark.parametrize("nesterov", [True, False])
@pytest.mark.parametrize("adjust_lr_fn", [None, "original", "match_rms_adamw"])
def test_muon_equals_torch_within_bfloat16_rounding(shape, nesterov, adjust_lr_fn):
    options = {"lr": 0.03, "weight_decay": 0.2, "momentum": 0.9, "nesterov": nesterov, "adjust_lr_fn": adjust_lr_fn}
    ours, gradients = parameter_with_gradients(shape, 4)
    theirs = nn.Parameter(ours.detach().clone())
    run(Muon([ours], **options, compute_dtype=torch.bfloat16), ours, gradients)
    run(torch.optim.Muon([theirs], **options), theirs, gradients)
    # bfloat16 rounds to u = 2^-9; five steps on both sides leave 7 u of the update (measured), 16 u are allowed
    step = 0.03 * shape_factor(*shape, adjust_lr_fn)
    assert torch.linalg.matrix_norm(ours - theirs) <= 4 * step * 16 * 2**-9 * math.sqrt(min(shape))


def test_a_step_is_the_rule_written_down():
    parameter, gradients = parameter_with_gradients((6, 4), 3, dtype=torch.float64)
    weight, buffer = parameter.detach().clone(), torch.zeros(6, 4, dtype=torch.float64)
    for gradient in gradients:
        buffer = 0.8 * buffer + 0.2 * gradient
        direction = orthogonalize(0.8 * buffer + 0.2 * gradient, "jordan_2024", 5)
        weight = (1 - 0.1 * 0.3) * weight - 0.1 * math.sqrt(6 / 4) * direction
    optimizer = Muon([parameter], lr=0.1, weight_decay=0.3, momentum=0.8)
    torch.testing.assert_close(run(optimizer, parameter, gradients), weight, rtol=1e-12, atol=1e-12)


def test_the_tutorials_quintic_is_the_default_method():
    parameter, gradients = parameter_with_gradients((6, 4), 2)
    other = nn.Parameter(parameter.detach().clone())
    first = run(Muon([parameter]), parameter, gradients)
    assert torch.equal(first, run(Muon([other], ns_coefficients=JORDAN), other, gradients))


def test_ns_coefficients_take_the_place_of_the_method():
    parameter, gradients = parameter_with_gradients((6, 4), 1)
    Muon([parameter], lr=1.0, weight_decay=0.0, ns_coefficients=(15 / 8, -10 / 8, 3 / 8), ns_steps=3).zero_grad()
    start = parameter.detach().clone()
    optimizer = Muon([parameter], lr=1.0, weight_decay=0.0, ns_coefficients=(15 / 8, -10 / 8, 3 / 8), ns_steps=3)
    step = start - run(optimizer, parameter, gradients)
    torch.testing.assert_close(step, math.sqrt(1.5) * orthogonalize(gradients[0], "taylor_5", 3), rtol=1e-5, atol=1e-5)


def test_without_a_shape_factor_the_exact_update_of_a_tall_matrix_has_singular_values_lr():
    weight, (gradient, *_) = parameter_with_gradients((12, 5), 1)
    before = weight.detach().clone()
    run(Muon([weight], lr=0.03, weight_decay=0.0, exact=True, adjust_lr_fn="none"), weight, [gradient])
    torch.testing.assert_close(
        torch.linalg.svdvals(before - weight.detach()), torch.full((5,), 0.03), rtol=1e-5, atol=0
    )


def test_conv_kernels_are_flattened_for_iteration_and_shape_factor():
    # other Muons read the factor from the kernel's 3 x 3 and get 1
    kernel, gradients = parameter_with_gradients((48, 2, 3, 3), 1)
    start = kernel.detach().clone()
    step = start - run(Muon([kernel], lr=1.0, weight_decay=0.0, exact=True), kernel, gradients)
    expected = math.sqrt(48 / 18) * polar_factor(gradients[0].reshape(48, 18)).reshape(48, 2, 3, 3)
    torch.testing.assert_close(step, expected, rtol=1e-5, atol=1e-5)


def test_channels_last_kernels_take_the_same_step():
    kernel, gradients = parameter_with_gradients((8, 3, 3, 3), 2)
    other = nn.Parameter(kernel.detach().clone().to(memory_format=torch.channels_last))
    first = run(Muon([kernel], exact=True), kernel, gradients)
    second = run(Muon([other], exact=True), other, [g.to(memory_format=torch.channels_last) for g in gradients])
    torch.testing.assert_close(first, second, rtol=1e-5, atol=1e-6)


def test_parameters_of_one_shape_do_not_mix():
    # flatten=True orthogonalised across parameters in another Muon
    pairs = [parameter_with_gradients((8, 2, 3, 3), 2, seed=seed) for seed in range(3)]
    alone = []
    for parameter, gradients in pairs:
        single = nn.Parameter(parameter.detach().clone())
        alone.append(run(Muon([single]), single, gradients))
    together = Muon([parameter for parameter, _ in pairs])
    for step in range(2):
        for parameter, gradients in pairs:
            parameter.grad = gradients[step].clone()
        together.step()
    for (parameter, _), expected in zip(pairs, alone, strict=True):
        torch.testing.assert_close(parameter.detach(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("elements", [1, 100, 10_000])
def test_the_size_of_a_batch_is_no_part_of_the_result(elements, monkeypatch):
    monkeypatch.setattr("muon_theory.optimizers.muon._BATCH_ELEMENTS", elements)
    pairs = [parameter_with_gradients((6, 5), 1, seed=seed) for seed in range(7)]
    for parameter, gradients in pairs:
        parameter.grad = gradients[0]
    starts = [parameter.detach().clone() for parameter, _ in pairs]
    Muon([parameter for parameter, _ in pairs], lr=1.0, weight_decay=0.0, exact=True).step()
    for (parameter, gradients), start in zip(pairs, starts, strict=True):
        expected = math.sqrt(6 / 5) * polar_factor(gradients[0])
        torch.testing.assert_close(start - parameter.detach(), expected, rtol=1e-4, atol=1e-5)


def test_large_and_small_matrices_of_mixed_dtypes_step_together():
    shapes = [
        ((130, 140), torch.float32),
        ((130, 140), torch.bfloat16),
        ((3, 140), torch.float64),
        ((140, 1), torch.float32),
    ]
    pairs = [parameter_with_gradients(shape, 1, dtype=dtype) for shape, dtype in shapes]
    for parameter, gradients in pairs:
        parameter.grad = gradients[0]
    starts = [parameter.detach().double().clone() for parameter, _ in pairs]
    Muon([parameter for parameter, _ in pairs], lr=1.0, weight_decay=0.0, exact=True).step()
    for (parameter, _), start in zip(pairs, starts, strict=True):
        rows, columns = parameter.shape
        norm = math.sqrt(max(1, rows / columns) * min(rows, columns))
        # adding to weights of size up to 4 rounds each entry to 4 u
        rounding = 4 * torch.finfo(parameter.dtype).eps * math.sqrt(rows * columns)
        assert torch.linalg.matrix_norm(start - parameter.detach().double()) == pytest.approx(norm, abs=rounding + 1e-5)


@pytest.mark.parametrize("scale", [1e-30, 1e-10, 1e-6, 1e10, 1e30])
@pytest.mark.parametrize("options", [{}, {"exact": True}, {"match_frobenius": True, "ns_steps": 2}])
def test_updates_do_not_depend_on_the_gradients_scale(scale, options):
    updates = []
    for factor in (1.0, scale):
        parameter, gradients = parameter_with_gradients((10, 6), 3)
        start = parameter.detach().clone()
        scaled = [gradient * factor for gradient in gradients]
        updates.append(start - run(Muon([parameter], weight_decay=0.0, **options), parameter, scaled))
    torch.testing.assert_close(updates[0], updates[1], rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("nesterov", [True, False])
def test_neither_gradient_nor_momentum_is_divided_in_place(dtype, nesterov):
    # torch 2.13 divides the buffer in place for bfloat16 parameters without Nesterov
    parameter, gradients = parameter_with_gradients((16, 16), 1, dtype=dtype)
    optimizer = Muon([parameter], nesterov=nesterov)
    run(optimizer, parameter, gradients)
    assert torch.equal(parameter.grad, gradients[0])
    expected = torch.zeros_like(gradients[0]).lerp(gradients[0], 0.05)
    torch.testing.assert_close(optimizer.state[parameter]["momentum_buffer"], expected, rtol=1e-2, atol=1e-3)
    assert parameter.dtype == dtype


def test_lmo_input_is_what_was_orthogonalised_and_no_state():
    parameter, gradients = parameter_with_gradients((5, 2, 2, 2), 2)
    optimizer = Muon([parameter], momentum=0.5)
    assert optimizer.lmo_input(parameter) is None
    run(optimizer, parameter, gradients)
    buffer = 0.5 * (0.5 * gradients[0]) + 0.5 * gradients[1]
    expected = (0.5 * buffer + 0.5 * gradients[1]).reshape(5, 8)
    torch.testing.assert_close(optimizer.lmo_input(parameter), expected)
    assert set(optimizer.state[parameter]) == {"momentum_buffer"}


def test_lmo_input_is_not_the_buffer_itself():
    parameter, gradients = parameter_with_gradients((5, 4), 2)
    optimizer = Muon([parameter], nesterov=False)
    run(optimizer, parameter, gradients[:1])
    before = optimizer.lmo_input(parameter).clone()
    kept = optimizer.lmo_input(parameter)
    run(optimizer, parameter, gradients[1:])
    assert torch.equal(kept, before)


@pytest.mark.parametrize(
    "options", [{}, {"exact": True}, {"compute_dtype": torch.bfloat16}, {"ns_coefficients": JORDAN}]
)
def test_resuming_from_a_saved_state_is_bit_equal(options):
    parameter, gradients = parameter_with_gradients((9, 5), 6)
    optimizer = Muon([parameter], **options)
    run(optimizer, parameter, gradients[:3])
    resumed = nn.Parameter(parameter.detach().clone())
    buffer = io.BytesIO()
    torch.save(optimizer.state_dict(), buffer)
    buffer.seek(0)
    second = Muon([resumed])
    second.load_state_dict(torch.load(buffer, weights_only=True))
    assert second.lmo_input(resumed) is None
    assert torch.equal(run(optimizer, parameter, gradients[3:]), run(second, resumed, gradients[3:]))


def test_a_state_saved_by_torchs_muon_loads():
    parameter, gradients = parameter_with_gradients((9, 5), 3)
    theirs = torch.optim.Muon([parameter], lr=0.02)
    run(theirs, parameter, gradients[:2])
    mine = nn.Parameter(parameter.detach().clone())
    ours = Muon([mine], compute_dtype=torch.bfloat16)
    ours.load_state_dict(copy.deepcopy(theirs.state_dict()))  # torch's state_dict shares tensors
    difference = run(theirs, parameter, gradients[2:]) - run(ours, mine, gradients[2:])
    assert ours.param_groups[0]["lr"] == 0.02
    assert torch.linalg.matrix_norm(difference) <= 0.02 * math.sqrt(9 / 5) * 0.03 * math.sqrt(5)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda optimizer: pickle.loads(pickle.dumps(optimizer))])
def test_a_copied_optimizer_goes_on_like_the_original(duplicate):
    parameter, gradients = parameter_with_gradients((4, 3), 2)
    optimizer = Muon([parameter])
    run(optimizer, parameter, gradients[:1])
    twin = duplicate(optimizer)
    assert torch.equal(
        run(optimizer, parameter, gradients[1:]), run(twin, twin.param_groups[0]["params"][0], gradients[1:])
    )


def test_exact_updates_are_orthogonal():
    parameter, gradients = parameter_with_gradients((8, 5), 1, dtype=torch.float64)
    start = parameter.detach().clone()
    step = start - run(Muon([parameter], lr=1.0, weight_decay=0.0, exact=True), parameter, gradients)
    torch.testing.assert_close(step.T @ step, 8 / 5 * torch.eye(5, dtype=torch.float64), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("rank", [1, 3, 6])
@pytest.mark.parametrize("steps", [0, 1, 5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_match_frobenius_gives_the_root_of_the_rank(rank, steps, dtype):
    parameter, _ = parameter_with_gradients((10, 6), 0, dtype=dtype)
    left, (right,) = (
        parameter_with_gradients((10, rank), 0, seed=1)[0].detach(),
        parameter_with_gradients((rank, 6), 1)[1],
    )
    parameter.grad = (left.double() @ right.double()).to(dtype)
    start = parameter.detach().clone()
    Muon([parameter], lr=1.0, weight_decay=0.0, ns_steps=steps, match_frobenius=True, adjust_lr_fn="original").step()
    norm = torch.linalg.matrix_norm(start - parameter.detach()) / math.sqrt(10 / 6)
    assert norm == pytest.approx(math.sqrt(rank), rel=1e-5)


@pytest.mark.parametrize("options", [{}, {"exact": True}, {"match_frobenius": True}, {"ns_steps": 0}])
def test_a_zero_gradient_changes_nothing_but_decay(options):
    parameter, _ = parameter_with_gradients((4, 3), 0)
    start = parameter.detach().clone()
    run(Muon([parameter], lr=0.1, weight_decay=0.5, **options), parameter, [torch.zeros(4, 3)])
    torch.testing.assert_close(parameter.detach(), 0.95 * start)


def test_parameters_without_gradient_are_left_alone():
    parameter, gradients = parameter_with_gradients((4, 3), 1)
    idle = nn.Parameter(torch.ones(4, 3))
    run(Muon([parameter, idle]), parameter, gradients)
    assert torch.equal(idle.detach(), torch.ones(4, 3))


def test_lmo_input_is_forgotten_by_a_step_without_gradient():
    parameter, gradients = parameter_with_gradients((4, 3), 1)
    optimizer = Muon([parameter])
    run(optimizer, parameter, gradients)
    parameter.grad = None
    optimizer.step()
    assert optimizer.lmo_input(parameter) is None


def test_maximize_mirrors_the_step():
    parameter, gradients = parameter_with_gradients((4, 3), 2)
    other = nn.Parameter(parameter.detach().clone())
    start = parameter.detach().clone()
    down = run(Muon([parameter], weight_decay=0.0), parameter, gradients) - start
    up = run(Muon([other], weight_decay=0.0, maximize=True), other, gradients) - start
    torch.testing.assert_close(up, -down, rtol=1e-4, atol=1e-6)


def test_step_returns_the_closures_loss():
    parameter = nn.Parameter(torch.eye(3))
    optimizer = Muon([parameter])

    def closure():
        optimizer.zero_grad()
        loss = (parameter**2).sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 3.0
    assert optimizer.step() is None


def test_learning_rate_schedulers_and_tensor_rates_work():
    parameter, gradients = parameter_with_gradients((4, 3), 2)
    optimizer = Muon([parameter], lr=torch.tensor(0.1), weight_decay=0.0, exact=True)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    first = run(optimizer, parameter, gradients[:1])
    scheduler.step()
    second = run(optimizer, parameter, gradients[:1])
    assert torch.linalg.matrix_norm(second - first) == pytest.approx(0.05 * math.sqrt(4 / 3) * math.sqrt(3), rel=1e-5)


def test_groups_have_their_own_options():
    one, two = nn.Parameter(torch.eye(3)), nn.Parameter(torch.eye(3))
    optimizer = Muon([{"params": [one], "lr": 0.5}], lr=0.1, exact=True, weight_decay=0.0)
    optimizer.add_param_group({"params": iter([two]), "exact": False, "ns_steps": 0})
    one.grad = two.grad = torch.eye(3)
    optimizer.step()
    torch.testing.assert_close(one.detach(), 0.5 * torch.eye(3))
    torch.testing.assert_close(two.detach(), (1 - 0.1 / math.sqrt(3)) * torch.eye(3))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_gradient_that_is_not_finite_is_rejected_before_anything_changes(value):
    one, gradients = parameter_with_gradients((4, 3), 1)
    two = nn.Parameter(torch.ones(4, 3))
    optimizer = Muon([("first", one), ("second", two)])
    one.grad, two.grad = gradients[0].clone(), torch.ones(4, 3)
    two.grad[1, 1] = value
    before = one.detach().clone()
    with pytest.raises(ValueError, match=r"parameter 1 of group 0 \('second', shape \(4, 3\)\) holds NaN or inf"):
        optimizer.step()
    assert torch.equal(one.detach(), before)
    assert not optimizer.state


def test_a_gradient_at_the_edge_of_its_dtype_is_finite():
    parameter = nn.Parameter(torch.zeros(4, 4))
    run(Muon([parameter], lr=1.0, exact=True), parameter, [3e38 * torch.eye(4)])
    torch.testing.assert_close(parameter.detach(), -torch.eye(4))


def test_sparse_gradients_are_rejected():
    parameter = nn.Parameter(torch.zeros(4, 4))
    parameter.grad = torch.eye(4).to_sparse()
    with pytest.raises(TypeError, match="dense"):
        Muon([parameter]).step()


@pytest.mark.parametrize("shape", [(), (5,), (0, 3)])
def test_shapes_muon_cannot_step_are_rejected(shape):
    with pytest.raises(ValueError, match=r"shape \("):
        Muon([nn.Parameter(torch.zeros(shape))])


def test_vectors_are_sent_to_adamw():
    with pytest.raises(ValueError, match="bias has shape .5,.*muon_with_adamw"):
        Muon(nn.Linear(4, 5).named_parameters())


@pytest.mark.parametrize("dtype", [torch.complex64, torch.int64])
def test_parameters_that_are_not_real_floating_point_are_rejected(dtype):
    with pytest.raises(TypeError, match="real floating-point"):
        Muon([torch.zeros(3, 3, dtype=dtype)])


@pytest.mark.parametrize(
    "options",
    [
        {"lr": -1.0},
        {"lr": math.nan},
        {"lr": torch.ones(2)},
        {"weight_decay": -0.1},
        {"momentum": 1.0},
        {"momentum": -0.1},
        {"momentum": math.nan},
        {"eps": -1e-8},
        {"nesterov": "written"},
        {"ns_steps": -1},
        {"ns_steps": 100},
        {"ns_steps": 2.5},
        {"ns_coefficients": (1.0, 2.0)},
        {"adjust_lr_fn": "moonlight"},
        {"method": "jordan"},
        {"method": "taylor_4"},
        {"compute_dtype": torch.int32},
        {"compute_dtype": "bfloat16"},
    ],
)
def test_options_out_of_range_are_rejected(options):
    name = next(iter(options))
    with pytest.raises(ValueError, match=r"taylor_4|degree" if options.get("method") == "taylor_4" else name):
        Muon([nn.Parameter(torch.eye(3))], **options)
    optimizer = Muon([nn.Parameter(torch.eye(3))])
    with pytest.raises(ValueError):
        optimizer.add_param_group({"params": [nn.Parameter(torch.eye(3))], **options})
    assert len(optimizer.param_groups) == 1
