import io
import math

import pytest
import torch
from torch import nn

from muon_theory.norms import ALL_NORMS, ColumnNorm, DualKyFan, Frobenius, MaxEntry, Nuclear, RMSToRMS, Spectral
from muon_theory.optimizers import Hybrid, LmoDescent, Muon, normalized_sgd, sign_descent


def gaussian(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def run(build, gradients, *, start=None):
    parameter = nn.Parameter(torch.zeros_like(gradients[0]) if start is None else start.clone())
    optimizer = build([parameter])
    for gradient in gradients:
        parameter.grad = gradient.clone()
        optimizer.step()
    return parameter.detach(), optimizer.lmo_input(parameter)


@pytest.mark.parametrize("name", ALL_NORMS)
def test_the_step_has_length_lr_in_the_norm_and_descends_by_the_dual_norm(name):
    norm, gradient = ALL_NORMS[name], gaussian(6, 5)
    step, _ = run(lambda p: LmoDescent(p, norm, lr=0.25, momentum=0.0), [gradient])
    assert torch.equal(step, 0.25 * norm.lmo(gradient))
    # how exact norms are is asked of the norms; gauges that are programs are solved to 1e-7
    assert float(norm.value(step)) == pytest.approx(0.25, rel=1e-5)
    assert float((step * gradient).sum()) == pytest.approx(-0.25 * float(norm.dual(gradient)), rel=1e-5)


@pytest.mark.parametrize("name", ALL_NORMS)
def test_every_norm_steps_batches_kernels_and_zeros(name):
    params = [nn.Parameter(torch.zeros(6, 5)) for _ in range(3)] + [nn.Parameter(torch.zeros(7, 2, 3))]
    gradients = [gaussian(6, 5).float(), torch.zeros(6, 5), gaussian(6, 5, seed=1).float(), gaussian(7, 2, 3).float()]
    for parameter, gradient in zip(params, gradients, strict=True):
        parameter.grad = gradient
    LmoDescent(params, ALL_NORMS[name], lr=1.0).step()
    assert float(params[1].detach().abs().max()) == 0
    for parameter, gradient in zip(params, gradients, strict=True):
        matrix = gradient.reshape(gradient.shape[0], -1)
        expected = ALL_NORMS[name].lmo(matrix)
        torch.testing.assert_close(parameter.detach().reshape(matrix.shape), expected, rtol=1e-5, atol=1e-6)


def test_the_coded_look_ahead_is_the_sum_of_the_codes_and_of_torchs_muon():
    gradients = [gaussian(5, 4, seed=seed) for seed in range(4)]
    b, total = 0.7, torch.zeros(5, 4, dtype=torch.float64)
    for gradient in gradients:
        total = b * total + gradient
    direction = gradients[-1] + b * total
    weights = [1 + b, b**2, b**3, b**4]
    torch.testing.assert_close(direction, sum(w * g for w, g in zip(weights, reversed(gradients), strict=True)))
    for nesterov in (True, "coded"):
        _, X = run(lambda p, n=nesterov: LmoDescent(p, Spectral(), momentum=b, nesterov=n), gradients)
        torch.testing.assert_close(X, (1 - b) * direction, rtol=1e-12, atol=1e-12)
    _, theirs = run(lambda p: Muon(p, momentum=b), gradients)
    torch.testing.assert_close(X, theirs, rtol=1e-12, atol=1e-12)


def test_the_written_look_ahead_weighs_the_newest_gradient_more():
    gradients = [gaussian(5, 4, seed=seed) for seed in range(4)]
    b, average = 0.7, torch.zeros(5, 4, dtype=torch.float64)
    for gradient in gradients:
        average = b * average + (1 - b) * gradient
    direction = gradients[-1] + b * average
    weights = [1 + b * (1 - b), b**2 * (1 - b), b**3 * (1 - b), b**4 * (1 - b)]
    torch.testing.assert_close(direction, sum(w * g for w, g in zip(weights, reversed(gradients), strict=True)))
    _, X = run(lambda p: LmoDescent(p, Spectral(), momentum=b, nesterov="written"), gradients)
    torch.testing.assert_close(X, direction / (1 + b), rtol=1e-12, atol=1e-12)


def test_without_nesterov_the_buffer_is_taken_and_without_momentum_the_gradient():
    gradients = [gaussian(5, 4, seed=seed) for seed in range(2)]
    _, X = run(lambda p: LmoDescent(p, Spectral(), momentum=0.5, nesterov=False), gradients)
    torch.testing.assert_close(X, 0.25 * gradients[0] + 0.5 * gradients[1])
    _, X = run(lambda p: LmoDescent(p, Spectral(), momentum=0.5, nesterov=0), gradients)
    torch.testing.assert_close(X, 0.25 * gradients[0] + 0.5 * gradients[1])
    for nesterov in (True, False, "written"):
        _, X = run(lambda p, n=nesterov: LmoDescent(p, Spectral(), momentum=0.0, nesterov=n), gradients)
        torch.testing.assert_close(X, gradients[1])


def test_the_spectral_norm_makes_muon_with_the_exact_polar_factor():
    gradients, start = [gaussian(6, 4, seed=seed) for seed in range(3)], gaussian(6, 4, seed=9)
    options = {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.3}
    ours, _ = run(lambda p: LmoDescent(p, Spectral(), adjust_lr_fn="original", **options), gradients, start=start)
    muon, _ = run(lambda p: Muon(p, exact=True, **options), gradients, start=start)
    torch.testing.assert_close(ours, muon, rtol=1e-12, atol=1e-12)


def test_the_rms_to_rms_norm_is_the_spectral_norm_with_the_spectral_shape_factor():
    gradients = [gaussian(6, 3)]
    one, _ = run(lambda p: LmoDescent(p, RMSToRMS()), gradients)
    two, _ = run(lambda p: LmoDescent(p, Spectral(), adjust_lr_fn="spectral"), gradients)
    torch.testing.assert_close(one, two, rtol=1e-12, atol=1e-15)


def test_sign_descent_and_normalised_sgd_are_their_formulas_for_every_shape():
    for shape in ((7,), (1,), (4, 3), (4, 3, 2, 2)):
        gradient = gaussian(*shape)
        signs, _ = run(lambda p: sign_descent(p, 0.5), [gradient])
        torch.testing.assert_close(signs, -0.5 * gradient.sign())
        normalised, _ = run(lambda p: normalized_sgd(p, 0.5), [gradient])
        torch.testing.assert_close(normalised, -0.5 * gradient / gradient.norm())


def test_groups_have_norms_of_their_own_and_a_state_keeps_their_names():
    one, two = nn.Parameter(gaussian(4, 3)), nn.Parameter(gaussian(4, 3))
    optimizer = LmoDescent([{"params": [one], "norm": Nuclear()}, {"params": [two]}], MaxEntry(), lr=1.0)
    starts = one.detach().clone(), two.detach().clone()
    one.grad = two.grad = gaussian(4, 3, seed=1)
    optimizer.step()
    torch.testing.assert_close(one.detach() - starts[0], Nuclear().lmo(one.grad))
    torch.testing.assert_close(two.detach() - starts[1], MaxEntry().lmo(two.grad))
    assert [group["norm"] for group in optimizer.state_dict()["param_groups"]] == ["Nuclear()", "MaxEntry()"]


def test_a_state_saved_with_another_norm_is_refused_and_nothing_is_changed():
    parameter = nn.Parameter(gaussian(4, 3))
    saved = LmoDescent([parameter], DualKyFan(2), lr=0.5).state_dict()
    other = LmoDescent([parameter], DualKyFan(3), lr=0.25)
    with pytest.raises(ValueError, match=r"saved with norm DualKyFan\(k=2\).*has DualKyFan\(k=3\)"):
        other.load_state_dict(saved)
    assert other.param_groups[0]["lr"] == 0.25
    LmoDescent([parameter], DualKyFan(2)).load_state_dict(saved)


def test_a_norm_assigned_to_a_group_is_used_from_then_on():
    parameter = nn.Parameter(torch.zeros(4, 3))
    optimizer = LmoDescent([parameter], Spectral(), lr=1.0, momentum=0.0)
    optimizer.param_groups[0]["norm"] = MaxEntry()
    parameter.grad = gaussian(4, 3).float()
    optimizer.step()
    torch.testing.assert_close(parameter.detach(), -parameter.grad.sign())


def test_a_state_saved_by_torchs_muon_loads():
    parameter = nn.Parameter(gaussian(6, 4))
    theirs = torch.optim.Muon([parameter], lr=0.02, momentum=0.8)
    parameter.grad = gaussian(6, 4, seed=1)
    theirs.step()
    ours = LmoDescent([parameter], Spectral())
    ours.load_state_dict(theirs.state_dict())
    assert (ours.param_groups[0]["lr"], ours.param_groups[0]["momentum"]) == (0.02, 0.8)
    assert ours.param_groups[0]["norm"] == "Spectral()"
    ours.step()


def test_a_hybrid_of_two_norms_and_adamw_resumes_bit_equal():
    def build():
        torch.manual_seed(0)
        params = [nn.Parameter(torch.randn(s)) for s in ((4, 3), (4, 4), (5,))]
        parts = [
            LmoDescent(params[:1], Nuclear()),
            LmoDescent(params[1:2], ColumnNorm()),
            torch.optim.AdamW(params[2:]),
        ]
        return params, Hybrid(parts)

    def steps(params, optimizer, which):
        for step in which:
            for index, parameter in enumerate(params):
                parameter.grad = gaussian(*parameter.shape, seed=10 * step + index).float()
            optimizer.step()

    params, optimizer = build()
    steps(params, optimizer, range(2))
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    file.seek(0)
    twins, second = build()
    for twin, parameter in zip(twins, params, strict=True):
        twin.data.copy_(parameter.data)
    second.load_state_dict(torch.load(file, weights_only=True))
    steps(params, optimizer, range(2, 4))
    steps(twins, second, range(2, 4))
    assert all(torch.equal(one, two) for one, two in zip(params, twins, strict=True))


def test_a_scheduler_that_cycles_momentum_is_followed():
    parameter = nn.Parameter(torch.zeros(4, 3))
    optimizer = LmoDescent([parameter], Spectral())
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=4)
    buffer, seen = torch.zeros(4, 3), []
    for step in range(3):
        seen.append(optimizer.param_groups[0]["momentum"])
        parameter.grad = gaussian(4, 3, seed=step).float()
        optimizer.step()
        scheduler.step()
        buffer = seen[-1] * buffer + (1 - seen[-1]) * parameter.grad
    assert len(set(seen)) > 1
    torch.testing.assert_close(optimizer.state[parameter]["momentum_buffer"], buffer)


def test_large_batches_are_split_and_give_the_same(monkeypatch):
    gradients = [gaussian(9, 8, seed=seed).float() for seed in range(5)]
    ends = []
    for elements in (2**24, 1, 150):
        monkeypatch.setattr("muon_theory.optimizers.checked_optimizer._BATCH_ELEMENTS", elements)
        params = [nn.Parameter(torch.zeros(9, 8)) for _ in gradients]
        for parameter, gradient in zip(params, gradients, strict=True):
            parameter.grad = gradient
        LmoDescent(params, DualKyFan(3), lr=1.0).step()
        ends.append(torch.stack([parameter.detach() for parameter in params]))
    torch.testing.assert_close(ends[0], ends[1], rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(ends[0], ends[2], rtol=1e-6, atol=1e-7)


def test_a_norm_that_refuses_in_the_second_group_leaves_the_first_unchanged():
    one, two = nn.Parameter(gaussian(6, 6)), nn.Parameter(gaussian(6, 2))
    optimizer = LmoDescent([{"params": [one]}, {"params": [two], "norm": DualKyFan(3)}], Frobenius(), lr=1.0)
    before = one.detach().clone()
    one.grad, two.grad = gaussian(6, 6), gaussian(6, 2)
    with pytest.raises(ValueError, match="6 x 2 matrix has only 2"):
        optimizer.step()
    assert torch.equal(one.detach(), before)
    assert not optimizer.state


@pytest.mark.parametrize("norm", [None, "Spectral", Spectral, 3, lambda X: X])
def test_what_is_no_norm_is_rejected(norm):
    with pytest.raises((TypeError, ValueError), match="norm"):
        LmoDescent([nn.Parameter(torch.ones(2, 2))], norm)


@pytest.mark.parametrize("options", [{"nesterov": "looked"}, {"nesterov": 2}, {"adjust_lr_fn": "moonlight"}])
def test_unknown_choices_are_rejected(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        LmoDescent([nn.Parameter(torch.ones(2, 2))], Spectral(), **options)


def test_empty_groups_and_parameters_given_twice_are_rejected_and_nothing_is_added():
    one, two = nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(2, 2))
    optimizer = LmoDescent([one], Spectral())
    for group, text in (([], "empty"), ([two, two], "twice"), ([("w", two), ("w2", one)], "w2 of the group is given")):
        with pytest.raises(ValueError, match=text):
            optimizer.add_param_group({"params": group})
    with pytest.raises(TypeError, match="set"):
        optimizer.add_param_group({"params": {two}})
    with pytest.raises(TypeError, match="dict"):
        optimizer.add_param_group([two])
    assert len(optimizer.param_groups) == 1
    assert math.isclose(optimizer.param_groups[0]["lr"], 1e-3)
