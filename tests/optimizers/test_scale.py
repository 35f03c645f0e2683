import copy
import pickle

import pytest
import torch
from torch import nn

from muon_theory.optimizers.scale import Scale, normalized_outputs, scale_groups


def parameter_with_gradients(shape, count, *, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    parameter = nn.Parameter(torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype))
    return parameter, [torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype) for _ in range(count)]


def run(optimizer, parameter, gradients):
    for gradient in gradients:
        parameter.grad = gradient.clone()
        optimizer.step()
    return parameter.detach().clone()


@pytest.mark.parametrize("outputs", ["rows", "columns"])
@pytest.mark.parametrize("measure", ["rms", "l2"])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_a_step_is_the_rule_written_down(outputs, measure, momentum):
    parameter, gradients = parameter_with_gradients((6, 4), 3)
    dim = 1 if outputs == "rows" else 0
    weight, buffer = parameter.detach().clone(), torch.zeros(6, 4, dtype=torch.float64)
    for gradient in gradients:
        buffer = momentum * buffer + (1 - momentum) * gradient
        norm = (buffer**2).mean(dim, keepdim=True).sqrt() if measure == "rms" else buffer.norm(dim=dim, keepdim=True)
        weight = (1 - 0.1 * 0.3) * weight - 0.1 * buffer / norm
    optimizer = Scale([parameter], 0.1, momentum, 0.3, outputs=outputs, measure=measure)
    torch.testing.assert_close(run(optimizer, parameter, gradients), weight, rtol=1e-12, atol=1e-12)


def test_the_released_codes_update_is_ours():
    # p -= lr * g / sqrt(mean(g^2, dim)).clamp_min(1e-8), dim = 1 for layers stored as (out, in)
    parameter, (gradient,) = parameter_with_gradients((5, 7), 1, dtype=torch.float32)
    expected = parameter.detach() - 0.01 * gradient / (gradient**2).mean(1, keepdim=True).sqrt().clamp_min(1e-8)
    torch.testing.assert_close(run(Scale([parameter], 0.01), parameter, [gradient]), expected)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_units_do_not_depend_on_the_gradients_scale_and_zero_units_stay_zero(scale):
    G = torch.randn(4, 9, generator=torch.Generator().manual_seed(1))
    G[2] = 0
    C = normalized_outputs(G * scale)
    torch.testing.assert_close(C, normalized_outputs(G))
    assert torch.equal(C[2], torch.zeros(9))
    torch.testing.assert_close(C.norm(dim=1), torch.tensor([1.0, 1.0, 0.0, 1.0]))


def test_half_precision_is_computed_in_float32():
    G = torch.randn(3, 50_000, generator=torch.Generator().manual_seed(2)).to(torch.float16)
    norm = normalized_outputs(G).float().norm(dim=1)
    assert (norm - 1).abs().max() < 2**-11


def test_kernels_are_normalised_by_output_channel():
    parameter, (gradient,) = parameter_with_gradients((5, 3, 2, 2), 1)
    before = parameter.detach().clone()
    update = (before - run(Scale([parameter], 1.0, measure="l2"), parameter, [gradient])).flatten(1)
    torch.testing.assert_close(update.norm(dim=1), torch.ones(5, dtype=torch.float64))


def test_without_momentum_nothing_is_stored():
    parameter, gradients = parameter_with_gradients((3, 4), 2)
    optimizer = Scale([parameter])
    run(optimizer, parameter, gradients)
    assert optimizer.state_dict()["state"] == {}


def test_gradients_are_not_modified_and_lmo_input_is_not_the_buffer():
    parameter, (gradient,) = parameter_with_gradients((3, 4), 1)
    optimizer = Scale([parameter], momentum=0.9)
    parameter.grad = gradient.clone()
    optimizer.step()
    assert torch.equal(parameter.grad, gradient)
    lmo_input = optimizer.lmo_input(parameter)
    buffer = optimizer.state[parameter]["momentum_buffer"]
    assert torch.equal(lmo_input, buffer)
    assert lmo_input.data_ptr() != buffer.data_ptr()


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))])
def test_a_copied_optimizer_goes_on_like_the_original(duplicate):
    parameter, gradients = parameter_with_gradients((4, 3), 6)
    optimizer = Scale([parameter], momentum=0.8, check_finite=False)
    run(optimizer, parameter, gradients[:3])
    twin_parameter, twin = duplicate((parameter, optimizer))
    assert twin.check_finite is False
    assert torch.equal(run(optimizer, parameter, gradients[3:]), run(twin, twin_parameter, gradients[3:]))


def test_resuming_from_a_saved_state_is_bit_equal():
    parameter, gradients = parameter_with_gradients((4, 3), 6, dtype=torch.float32)
    optimizer = Scale([parameter], momentum=0.8)
    weight = run(optimizer, parameter, gradients[:3])
    saved = copy.deepcopy(optimizer.state_dict())
    other = nn.Parameter(weight.clone())
    resumed = Scale([other])
    resumed.load_state_dict(saved)
    assert torch.equal(run(optimizer, parameter, gradients[3:]), run(resumed, other, gradients[3:]))


def test_maximize_mirrors_the_step():
    parameter, gradients = parameter_with_gradients((4, 3), 2)
    start = parameter.detach().clone()
    other = nn.Parameter(start.clone())
    down = run(Scale([parameter], momentum=0.5), parameter, gradients) - start
    up = run(Scale([other], momentum=0.5, maximize=True), other, gradients) - start
    torch.testing.assert_close(up, -down)


def test_groups_of_a_model_follow_the_roles():
    model = nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 4), nn.LayerNorm(4), nn.Linear(4, 9))
    model[1].bias.requires_grad_(False)
    groups, rest = scale_groups(model, momentum=0.7)
    assert [(g["outputs"], g["momentum"]) for g in groups] == [("rows", 0.0), ("columns", 0.0), ("rows", 0.7)]
    assert [g["params"][0].shape for g in groups] == [(4, 4), (9, 4), (9, 4)]
    assert len(rest) == 3
    Scale(groups)


def test_a_tied_head_is_stepped_once_as_a_head():
    embedding, head = nn.Embedding(9, 4), nn.Linear(4, 9, bias=False)
    head.weight = embedding.weight
    groups, rest = scale_groups(nn.Sequential(embedding, head))
    assert [(g["outputs"], g["momentum"], len(g["params"])) for g in groups] == [("rows", 0.9, 1)]
    assert rest == []


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_gradient_that_is_not_finite_is_rejected_before_anything_changes(value):
    first, (gradient,) = parameter_with_gradients((3, 4), 1)
    second = nn.Parameter(first.detach().clone())
    start = first.detach().clone()
    optimizer = Scale([first, second], momentum=0.9)
    first.grad, second.grad = gradient.clone(), gradient.clone()
    second.grad[0, 0] = value
    with pytest.raises(ValueError, match="parameter 1 of group 0.*NaN or inf"):
        optimizer.step()
    assert torch.equal(first, start)
    assert optimizer.state_dict()["state"] == {}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": -1.0}, "lr is -1.0"),
        ({"lr": torch.ones(2)}, "one element"),
        ({"momentum": 1.0}, r"momentum is 1.0; it must be in \[0, 1\)"),
        ({"weight_decay": float("nan")}, "weight_decay is nan"),
        ({"outputs": "cols"}, "outputs is 'cols'; choose 'rows' or 'columns'"),
        ({"measure": "L2"}, "measure is 'L2'"),
    ],
)
def test_options_out_of_range_are_rejected(options, message):
    with pytest.raises(ValueError, match=message):
        Scale([nn.Parameter(torch.ones(2, 2))], **options)


def test_vectors_empty_groups_and_repeated_parameters_are_rejected():
    weight = nn.Parameter(torch.ones(2, 2))
    with pytest.raises(ValueError, match=r"'gain' has|gain has shape \(3,\).*AdamW"):
        Scale([("gain", nn.Parameter(torch.ones(3)))])
    with pytest.raises(ValueError, match="group is empty"):
        Scale([{"params": []}])
    with pytest.raises(ValueError, match="given twice"):
        Scale([{"params": [weight]}, {"params": [weight]}])
    with pytest.raises(TypeError, match="real floating-point"):
        Scale([nn.Parameter(torch.ones(2, 2, dtype=torch.complex64))])
