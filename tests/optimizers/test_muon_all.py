import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from muon_theory.optimizers.muon import Muon
from muon_theory.optimizers.muon_all import MuonAll, orthogonalize_diagonal
from muon_theory.polar import COEFFICIENTS, orthogonalize, polar_factor, scalar_map

PLAIN = [name for name in COEFFICIENTS if COEFFICIENTS[name].preconditioner is None]


def tensors(shape, count, *, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype) for _ in range(count)]


def run(optimizer, parameter, gradients):
    for gradient in gradients:
        parameter.grad = gradient.clone()
        optimizer.step()
    return parameter.detach().clone()


@pytest.mark.parametrize("method", [*COEFFICIENTS, "taylor_3", "taylor_7", "taylor_11"])
@pytest.mark.parametrize("steps", [0, 1, 6])
def test_the_linear_form_equals_the_diagonal_of_the_matrix_form(method, steps):
    (g,) = tensors(12, 1)
    g[3] = 0
    matrix = orthogonalize(torch.diag(g), method, steps, form="dense")
    assert torch.equal(matrix, torch.diag(matrix.diagonal()))
    # both round once a product; the slope at zero, at most 8.3 a step, amplifies what comes before
    torch.testing.assert_close(orthogonalize_diagonal(g, method, steps), matrix.diagonal(), rtol=1e-11, atol=1e-13)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.integers(1, 40), st.floats(0, 8), st.floats(-25, 25), st.sampled_from(PLAIN), st.integers(0, 2**31))
def test_entries_are_the_scalar_map_of_the_normalised_vector(n, decades, exponent, method, seed):
    generator = np.random.default_rng(seed)
    g = 10.0**exponent * generator.choice([-1.0, 1.0], n) * 10.0 ** (-decades * generator.random(n))
    expected = scalar_map(method, 6)(g / np.linalg.norm(g))
    assert np.allclose(orthogonalize_diagonal(torch.from_numpy(g), method, 6), expected, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("nesterov", [True, False])
@pytest.mark.parametrize("adjust_lr_fn", [None, "original", "spectral"])
def test_a_vector_steps_like_the_diagonal_matrix_under_muon(nesterov, adjust_lr_fn):
    start, *gradients = tensors(16, 21)
    vector, matrix = nn.Parameter(start.clone()), nn.Parameter(torch.diag(start))
    options = {"lr": 0.05, "momentum": 0.9, "nesterov": nesterov, "ns_steps": 6, "adjust_lr_fn": adjust_lr_fn}
    of_vector = run(MuonAll([vector], weight_decay=0.1, **options), vector, gradients)
    of_matrix = run(Muon([matrix], weight_decay=0.1, **options), matrix, [torch.diag(g) for g in gradients])
    torch.testing.assert_close(of_vector, of_matrix.diagonal(), rtol=1e-11, atol=1e-11)
    assert torch.equal(of_matrix, torch.diag(of_matrix.diagonal()))


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (5, 3, 2, 2)])
def test_matrices_step_as_under_muon(shape):
    start, *gradients = tensors(shape, 4)
    ours, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    step = run(MuonAll([ours], lr=0.05), ours, gradients)
    reference = run(Muon([theirs], lr=0.05, weight_decay=0.0, ns_steps=6), theirs, gradients)
    torch.testing.assert_close(step, reference, rtol=1e-12, atol=1e-12)


def test_the_heavy_ball_buffer_of_the_source_gives_the_same_steps():
    start, *gradients = tensors(16, 11)
    vector = nn.Parameter(start.clone())
    result = run(MuonAll([vector]), vector, gradients)
    buffer = torch.zeros(16, dtype=torch.float64)
    for g in gradients:
        buffer = 0.95 * buffer + g
        start = start - 0.02 * orthogonalize_diagonal(g + 0.95 * buffer)
    torch.testing.assert_close(result, start, rtol=1e-11, atol=1e-11)


def test_exact_updates_are_signs_with_zero_directions_left_alone():
    gradient = torch.tensor([3.0, -1.0, 0.0, 1e-12, -2.0])
    vector = nn.Parameter(torch.zeros(5))
    step = -run(MuonAll([vector], lr=1.0, exact=True), vector, [gradient])
    assert torch.equal(step, polar_factor(torch.diag(gradient)).diagonal())
    assert step.tolist() == [1.0, -1.0, 0.0, 0.0, -1.0]


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_updates_do_not_depend_on_the_gradients_scale(scale):
    (gradient,) = tensors(9, 1, dtype=torch.float32)
    torch.testing.assert_close(orthogonalize_diagonal(gradient * scale), orthogonalize_diagonal(gradient))


@pytest.mark.parametrize("shape", [(), (1,)])
def test_scalars_step_by_the_sign(shape):
    scalar = nn.Parameter(torch.zeros(shape))
    gain = scalar_map("jordan_2024", 6)(1.0)
    result = run(MuonAll([scalar], lr=0.5), scalar, [torch.full(shape, -7.0)])
    torch.testing.assert_close(result, torch.full(shape, 0.5 * float(gain)))


def test_a_zero_gradient_changes_nothing():
    vector = nn.Parameter(torch.ones(4))
    assert torch.equal(run(MuonAll([vector]), vector, [torch.zeros(4)]), torch.ones(4))


def test_match_rms_gives_vectors_the_rms_of_adamw():
    vector, matrix = nn.Parameter(torch.zeros(64)), nn.Parameter(torch.zeros(64, 64))
    optimizer = MuonAll([vector, matrix], lr=1.0, exact=True, adjust_lr_fn="match_rms_adamw")
    vector.grad, matrix.grad = tensors(64, 1, dtype=torch.float32)[0], tensors((64, 64), 1, dtype=torch.float32)[0]
    optimizer.step()
    for parameter in (vector, matrix):
        assert parameter.detach().square().mean().sqrt() == pytest.approx(0.2, rel=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_resuming_a_mixed_model_is_bit_equal(dtype):
    shapes = [(6,), (5, 4), (5, 4), (3, 2, 2, 2), ()]
    model = [nn.Parameter(tensors(s, 1, seed=i, dtype=dtype)[0]) for i, s in enumerate(shapes)]
    gradients = [tensors(s, 6, seed=9 + i, dtype=dtype) for i, s in enumerate(shapes)]

    def go(optimizer, parameters, times):
        for t in times:
            for parameter, sequence in zip(parameters, gradients, strict=True):
                parameter.grad = sequence[t].clone()
            optimizer.step()

    optimizer = MuonAll(model)
    go(optimizer, model, range(3))
    twins = [nn.Parameter(p.detach().clone()) for p in model]
    resumed = MuonAll(twins)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    go(optimizer, model, range(3, 6))
    go(resumed, twins, range(3, 6))
    assert all(torch.equal(a, b) for a, b in zip(model, twins, strict=True))


def test_neither_gradient_nor_buffer_is_handed_out_or_modified():
    vector, (gradient,) = nn.Parameter(torch.zeros(5)), tensors(5, 1, dtype=torch.float32)
    optimizer = MuonAll([vector], nesterov=False)
    vector.grad = gradient.clone()
    optimizer.step()
    assert torch.equal(vector.grad, gradient)
    assert optimizer.lmo_input(vector).data_ptr() != optimizer.state[vector]["momentum_buffer"].data_ptr()
    torch.testing.assert_close(optimizer.state[vector]["momentum_buffer"], 0.05 * gradient)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ns_steps": 6.0}, "ns_steps is 6.0"),
        ({"method": "taylor_4"}, "degree|taylor_4"),
        ({"adjust_lr_fn": "best"}, "adjust_lr_fn is 'best'"),
        ({"compute_dtype": torch.int32}, "compute_dtype"),
        ({"momentum": -0.1}, "momentum is -0.1"),
    ],
)
def test_options_out_of_range_are_rejected(options, message):
    with pytest.raises(ValueError, match=message):
        MuonAll([nn.Parameter(torch.ones(3))], **options)
