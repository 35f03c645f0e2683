"""Wrong behaviour seen in other packages (2025 to 2026), each described in a line or two, and asked of ours."""

import io
import math

import pytest
import torch
from torch import nn

from muon_theory.norms import Spectral
from muon_theory.optimizers import (
    Dion,
    Fanion,
    FFanion,
    LmoDescent,
    Muon,
    MuonAll,
    Neon,
    SFanion,
    muon_with_adamw,
    parameter_roles,
)
from muon_theory.polar import COEFFICIENTS, orthogonalize


def gaussian(*shape, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


def one_step(build, gradient, *, start=None):
    """What one step with a gradient adds to the weights, divided by minus the learning rate 0.5."""
    start = torch.zeros_like(gradient) if start is None else start
    parameter = nn.Parameter(start.clone())
    optimizer = build([parameter], lr=0.5, weight_decay=0.0)
    parameter.grad = gradient.clone()
    optimizer.step()
    return (start - parameter.detach()) / 0.5


def exact_muon(params, **options):
    return Muon(params, exact=True, **options)


ORTHOGONAL = {
    "Muon": exact_muon,
    "MuonAll": lambda params, **options: MuonAll(params, exact=True, **options),
    "LmoDescent": lambda params, **options: LmoDescent(params, Spectral(), **options),
    "Fanion": lambda params, **options: Fanion(params, None, **options),
}
every_orthogonal = pytest.mark.parametrize("build", ORTHOGONAL.values(), ids=ORTHOGONAL.keys())


@every_orthogonal
@pytest.mark.parametrize("norm", [1.0, 1e-6, 1e-8, 1e-10])
def test_small_gradients_do_not_switch_the_optimizer_off(build, norm):
    # an eps of 1e-7 (1e-6 with float16 products) beside the norm: the update of a gradient of norm 1e-8 shrinks from
    # 7.0 to 4.3, of 1e-10 to 0.05 in torch.optim.Muon; to 0.00 at 1e-6 in optimuon; MARS, NorMuon and others alike
    gradient = gaussian(64, 64)
    assert one_step(build, gradient * (norm / gradient.norm())).norm() == pytest.approx(8.0, rel=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=str)
@pytest.mark.parametrize("build", [Muon, exact_muon, lambda p, **o: FFanion(p, None, **o)], ids=["Muon", "exact", "F"])
def test_the_momentum_buffer_is_not_divided_by_its_norm(dtype, build):
    # torch 2.13, bfloat16 and nesterov=False: the division by the norm is done on the buffer itself (norm 1.00 in the
    # place of 4.6); the published code of F-Muon divides its buffer in place in every dtype
    parameter = nn.Parameter(torch.zeros(16, 16, dtype=dtype))
    optimizer = build([parameter], nesterov=False, momentum=0.5)
    parameter.grad = gaussian(16, 16, dtype=dtype)
    optimizer.step()
    torch.testing.assert_close(optimizer.state[parameter]["momentum_buffer"], 0.5 * parameter.grad)


def test_gradients_are_neither_overwritten_nor_consumed(case):
    # KellerJordan's Muon blends the gradient with the buffer in place, DeepSpeed too; heavyball sets it to None
    params = case.parameters()
    case.set_gradients(params, 0)
    copies = [parameter.grad.clone() for parameter in params]
    case.build(params).step()
    assert case.same([parameter.grad for parameter in params], copies)


def test_a_missing_gradient_is_no_gradient_of_zeros(case):
    # KellerJordan's Muon replaces None by zeros, so that momentum and decay move frozen parameters
    params = case.parameters()
    optimizer = case.build(params, weight_decay=0.5)
    case.train(optimizer, params, 1)
    before = case.values(params)
    optimizer.zero_grad()
    optimizer.step()
    assert case.same(case.values(params), before)


@every_orthogonal
def test_kernels_are_orthogonalized_as_one_matrix_and_scaled_by_its_shape(build):
    # torch.optim.Muon rejects kernels; omnimuon leaves them unorthogonalized (singular values 7 to 17); KellerJordan's
    # Muon and its copies read the shape factor sqrt(rows / columns) from the kernel's 3 x 3
    step = one_step(lambda p, **o: build(p, adjust_lr_fn="original", **o), gaussian(48, 2, 3, 3))
    torch.testing.assert_close(torch.linalg.svdvals(step.reshape(48, 18)), torch.full((18,), math.sqrt(48 / 18)))


@every_orthogonal
def test_equal_shapes_are_not_orthogonalized_as_one_tall_matrix(build):
    # dion with flatten=True, before its pull request 121: singular values of .03 to .2, update norm .92 for 8
    params = [nn.Parameter(torch.zeros(64, 64)) for _ in range(3)]
    for index, parameter in enumerate(params):
        parameter.grad = gaussian(64, 64, seed=index)
    build(params, lr=1.0, weight_decay=0.0).step()
    for parameter in params:
        torch.testing.assert_close(torch.linalg.svdvals(parameter.detach()), torch.ones(64), rtol=1e-4, atol=1e-4)


def test_a_plain_list_a_generator_groups_and_names_are_all_accepted(case):
    # pytorch_optimizer dies of a plain list of parameters, muon-fsdp2 takes groups only
    for arrange in (
        list,
        iter,
        lambda params: [{"params": params}],
        lambda params: [{"params": iter(params[:1])}, {"params": params[1:]}],
        lambda params: [(f"layer{i}", p) for i, p in enumerate(params)],
    ):
        params = case.parameters()
        before = case.values(params)
        after = case.train(case.build(arrange(params)), params, 1)
        assert not any(torch.equal(one, two) for one, two in zip(before, after, strict=True))


def test_a_closure_is_taken(case):
    # tauon raises TypeError
    params = case.parameters()
    assert case.build(params).step(lambda: 1.25) == 1.25


def test_nothing_is_printed_and_no_process_group_is_needed(case, capsys):
    # gram-newton-schulz prints from its constructor; KellerJordan's Muon needs torch.distributed to be initialised
    params = case.parameters()
    case.train(case.build(params), params, 1)
    assert capsys.readouterr() == ("", "")


def test_nothing_is_on_that_was_not_asked_for():
    # optimuon: per-row normalisation, cautious weight decay and float16 products are on by default; the published
    # Fanion code rescales the weights by default
    start, gradient = gaussian(6, 4, seed=1, dtype=torch.float64), gaussian(6, 4, dtype=torch.float64)
    for build in (
        Muon,
        MuonAll,
        Neon,
        lambda p, **o: Fanion(p, 2, **o),
        lambda p, **o: FFanion(p, 2, **o),
        lambda p, **o: SFanion(p, 2, **o),
        lambda p, **o: Dion(p, rank=2, **o),
    ):
        from_zero, from_start = one_step(build, gradient), one_step(build, gradient, start=start)
        torch.testing.assert_close(from_zero, from_start, rtol=1e-12, atol=1e-12)
        parameter = nn.Parameter(start.clone())
        parameter.grad = gradient
        build([parameter], lr=0.0, weight_decay=0.5).step()
        assert torch.equal(parameter.detach(), start)


def test_every_singular_direction_can_be_asked_for():
    # the published Fanion code cuts k to min(m, n) - 1 without a word
    gradient = gaussian(5, 7)
    whole = one_step(lambda p, **o: Fanion(p, 5, **o), gradient)
    torch.testing.assert_close(torch.linalg.svdvals(whole), torch.ones(5))
    with pytest.raises(ValueError, match="k is 6"):
        Fanion([nn.Parameter(gradient)], 6)


def natural(method, steps):
    """Whether a set is used as its authors meant: one that says "cycle" is defined for whole rounds only."""
    chosen = COEFFICIENTS[method]
    return chosen.extension != "cycle" or steps % len(chosen.steps) == 0


@pytest.mark.parametrize("steps", range(1, 9))
@pytest.mark.parametrize("method", COEFFICIENTS)
def test_no_coefficient_set_turns_the_leading_direction_round(method, steps):
    # emerging-optimizers: the set "aol" after Frobenius normalisation gives <NS(M), M> = -0.994 for M of rank one;
    # the cycled quintic schedule has gain .164 for 1 at six steps
    spiked = torch.outer(gaussian(12), gaussian(20, seed=1)) + 1e-3 * gaussian(12, 20, seed=2)
    for M in (torch.outer(gaussian(12), gaussian(20, seed=1)), spiked):
        O = orthogonalize(M, method, steps)  # noqa: E741
        assert float((O * M).sum() / torch.linalg.matrix_norm(M, 2)) > (
            0.5 if steps >= 5 and natural(method, steps) else 0
        )


def test_a_schedule_of_five_rows_is_not_started_again_at_the_sixth_step():
    # emerging-optimizers, "quintic" with six steps: largest error .94, with five .03
    sigma = torch.logspace(0, -1, 16, dtype=torch.float64)
    for method in (method for method in COEFFICIENTS if natural(method, 6)):
        errors = [(orthogonalize(torch.diag(sigma), method, s).diag() - 1).abs().max() for s in (5, 6, 7)]
        assert max(errors[1:]) < max(0.45, 1.5 * errors[0]), method


@pytest.mark.parametrize("kind", [Muon, MuonAll])
def test_a_schedule_of_five_steps_is_run_at_another_number_with_a_warning(kind):
    for steps in (1, 4, 6, 9):  # 6 begins the schedule anew: NeMo's 'quintic' sends the largest singular value to .164
        with pytest.warns(UserWarning, match=rf"you_2024 is a schedule of 5 steps, and ns_steps is {steps}:"):
            optimizer = kind([nn.Parameter(torch.eye(3))], method="you_2024", ns_steps=steps)
        assert optimizer.param_groups[0]["ns_steps"] == steps
    for options in ({"ns_steps": 0}, {"ns_steps": 5}, {"ns_steps": 10}, {"ns_steps": 6, "exact": True}):
        kind([nn.Parameter(torch.eye(3))], **{"method": "you_2024", **options})  # a warning is an error here


@every_orthogonal
@pytest.mark.parametrize("shape", [(1, 9), (9, 1), (1, 1)])
def test_matrices_of_one_row_or_column_have_one_direction(build, shape):
    # a [1, N] weight crashes other Muons under FSDP2
    step = one_step(lambda p, **o: build(p, adjust_lr_fn="original", **o), gaussian(*shape))
    assert step.norm() == pytest.approx(max(1.0, math.sqrt(shape[0] / shape[1])), rel=1e-5)


def test_resuming_in_half_precision_does_not_change_the_dtype_of_the_state(case):
    # DeepSpeed crashed when a bfloat16 run was resumed
    params = case.parameters(dtype=torch.bfloat16)
    optimizer = case.build(params)
    case.train(optimizer, params, 2)
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    file.seek(0)
    twins = [nn.Parameter(value) for value in case.values(params)]
    second = case.build(twins)
    second.load_state_dict(torch.load(file, weights_only=True))
    assert case.same(case.everything(optimizer, params), case.everything(second, twins))
    assert case.same(case.train(optimizer, params, 2, first=2), case.train(second, twins, 2, first=2))


def test_float64_parameters_are_not_orthogonalized_in_bfloat16():
    # torch.optim.Muon always iterates in bfloat16: singular values off by 3e-3 whatever the number of steps
    gradient = gaussian(16, 16, dtype=torch.float64)
    step = one_step(lambda p, **o: Muon(p, method="amsel_2025", ns_steps=14, **o), gradient)
    torch.testing.assert_close(torch.linalg.svdvals(step), torch.ones(16, dtype=torch.float64), rtol=1e-9, atol=1e-9)


def test_heads_embeddings_and_tied_weights_do_not_reach_muon():
    # automuon sorts by the number of dimensions only; others by hard-coded names
    model = nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 4), nn.Linear(4, 9))
    assert [name for name, _ in parameter_roles(model).matrices] == ["1.weight"]
    tied = nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 4, bias=False), nn.Linear(4, 9, bias=False))
    tied[2].weight = tied[0].weight
    roles = parameter_roles(tied)
    assert [name for name, _ in roles.matrices] == ["1.weight"]
    assert len(roles.rest) == 1
    assert [type(inner).__name__ for inner in muon_with_adamw(tied).optimizers] == ["Muon", "AdamW"]
