"""Spectra against the float64 SVD, by shape, by spectrum and by the accuracy asked."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from muon_theory.spectra import log_uniform_spectrum, prescribed_matrix, singular_values
from muon_theory.spectra.singular_values import gram_error

EPSILON = torch.finfo(torch.float64).eps
METHODS = ["auto", "gram", "qr", "svd"]


def two_levels(r, share, low):
    return np.where(np.arange(r) < max(1, round(share * r)), 1.0, low)


@st.composite
def spectra_of_matrices(draw):
    rows, columns = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    r = min(rows, columns)
    kind = draw(st.sampled_from(["log-uniform", "two levels", "rank one", "zero"]))
    condition_number = 10 ** draw(st.floats(0, 12))
    sigma = {
        "log-uniform": log_uniform_spectrum(r, condition_number, seed=draw(st.integers(0, 99))),
        "two levels": two_levels(r, draw(st.floats(0, 1)), 1 / condition_number),
        "rank one": np.eye(1, r)[0],
        "zero": np.zeros(r),
    }[kind]
    return sigma, rows, columns, draw(st.integers(0, 99))


@given(drawn=spectra_of_matrices())
@settings(max_examples=60, deadline=None, derandomize=True)
def test_every_route_finds_the_prescribed_spectrum_to_its_stated_accuracy(drawn):
    sigma, rows, columns, seed = drawn
    X = prescribed_matrix(sigma, rows, columns, seed=seed)
    for method in ("qr", "svd"):
        assert np.abs(singular_values(X, method=method).numpy() - sigma).max() <= 32 * EPSILON * sigma[0] + 1e-300
    asked = sigma >= 3e-6 * sigma[0]
    for method in ("auto", "gram"):
        found = singular_values(X, method=method).numpy()
        assert np.abs(found - sigma)[asked].max() <= 1e-4 * sigma[asked].max()
        assert (np.abs(found - sigma) <= 1e-4 * sigma)[asked].all()


@pytest.mark.parametrize("shape", [(300, 40), (40, 300), (256, 260)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_the_spectrum_is_that_of_the_stored_matrix_in_float64(shape, dtype):
    X = prescribed_matrix(log_uniform_spectrum(min(shape), 1e3), *shape, seed=1, dtype=dtype)
    truth = torch.linalg.svdvals(X.double())
    for method in METHODS:
        found = singular_values(X, method=method)
        assert found.dtype == torch.float64
        assert found.shape == (min(shape),)
        assert (found.diff() <= 0).all()
        torch.testing.assert_close(found, truth, rtol=1e-8, atol=0)


def test_the_default_keeps_its_promise_where_the_gram_route_alone_breaks_it():
    # half of the spectrum at the top and half at the floor is the worst that was found for the Gram route: 1.7e-4
    sigma = two_levels(512, 0.5, 3e-6)
    X = prescribed_matrix(sigma, 512, 1100, seed=2)
    assert np.abs(singular_values(X).numpy() / sigma - 1).max() <= 1e-4
    gram = singular_values(X, method="gram")
    error = np.abs(gram.numpy() / sigma - 1)
    assert 8e-5 < error.max() < 4e-4
    assert (error <= gram_error(gram).numpy()).all()


def test_the_default_does_not_leave_the_gram_route_for_a_log_uniform_spectrum():
    X = prescribed_matrix(log_uniform_spectrum(256, 1e6), 256, 600, seed=3)
    assert torch.equal(singular_values(X), singular_values(X, method="gram"))


@pytest.mark.parametrize("shape", [(30, 200), (60, 60)])
def test_a_higher_accuracy_is_kept_when_asked(shape):
    sigma = log_uniform_spectrum(30, 1e5)
    X = prescribed_matrix(sigma, *shape, seed=4)
    found = singular_values(X, accuracy=1e-9, floor=1e-5).numpy()[:30]
    assert np.abs(found / sigma - 1).max() <= 1e-9
    assert np.abs(singular_values(X).numpy()[:30] / sigma - 1).max() > 1e-12  # so the argument did something


def test_what_float64_cannot_give_is_refused():
    with pytest.raises(ValueError, match="accuracy 1e-12 at floor 1e-08 is beyond float64"):
        singular_values(torch.eye(3), accuracy=1e-12, floor=1e-8)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("exponent", [-1000, -100, 100, 900])
def test_a_power_of_two_scales_the_spectrum_exactly(method, exponent):
    X = prescribed_matrix(log_uniform_spectrum(7, 100.0), 7, 12, seed=5)
    scaled = torch.ldexp(torch.ldexp(X, torch.tensor(exponent // 2)), torch.tensor(exponent - exponent // 2))
    expected = [np.ldexp(s, exponent) for s in singular_values(X, method=method).tolist()]
    assert singular_values(scaled, method=method).tolist() == expected


@pytest.mark.parametrize("method", METHODS)
def test_subnormal_and_tiny_matrices_keep_their_spectrum(method):
    X = torch.tensor([[3e-310, 0.0], [0.0, 4e-310]], dtype=torch.float64)
    assert singular_values(X, method=method).tolist() == pytest.approx([4e-310, 3e-310], rel=1e-12)
    tiny = torch.tensor([[3e-30, 0.0, 0.0], [0.0, 4e-30, 0.0]], dtype=torch.float32)
    assert singular_values(tiny, method=method).tolist() == pytest.approx([4e-30, 3e-30], rel=1e-6)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("size", [(2, 3, 5, 4), (3, 140, 150), (1, 4, 4)])
def test_a_batch_gives_the_spectra_of_its_matrices(method, size):
    X = torch.randn(*size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    X[0] *= 1e-200
    found = singular_values(X, method=method)
    assert found.shape == (*size[:-2], min(size[-2:]))
    torch.testing.assert_close(found, torch.linalg.svdvals(X), rtol=1e-8, atol=0)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_an_empty_batch_gives_no_spectra(method, dtype):
    assert singular_values(torch.zeros(0, 3, 5, dtype=dtype), method=method).shape == (0, 3)


@pytest.mark.parametrize("method", METHODS)
def test_the_zero_matrix_has_a_zero_spectrum(method):
    assert singular_values(torch.zeros(3, 5), method=method).tolist() == [0.0, 0.0, 0.0]
    assert singular_values(torch.zeros(2, 200, 200, dtype=torch.float64), method=method).abs().max() == 0


@pytest.mark.parametrize("method", METHODS)
def test_the_input_is_left_alone_and_the_result_has_no_graph(method):
    X = torch.randn(4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1), requires_grad=True)
    before = X.detach().clone()
    found = singular_values(X, method=method)
    assert torch.equal(X.detach(), before)
    assert not found.requires_grad


def test_a_transposed_view_gives_the_same_spectrum():
    X = torch.randn(20, 30, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(singular_values(X.mT), singular_values(X), rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "lanczos"}, "method is 'lanczos'"),
        ({"accuracy": 0.0}, "accuracy is 0.0"),
        ({"accuracy": float("nan")}, "accuracy is nan"),
        ({"floor": 2.0}, "floor is 2.0"),
    ],
)
def test_a_bad_request_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        singular_values(torch.eye(3), **arguments)
