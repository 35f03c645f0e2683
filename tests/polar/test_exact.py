"""The exact polar factor against scipy, by spectrum, and what it does with zero directions."""

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from muon_theory.polar import nuclear_norm_and_polar, polar_factor
from muon_theory.polar.exact import default_rank_tolerance
from muon_theory.polar.gram_eigh import polar_by_gram
from muon_theory.polar.qdwh import inverse_condition_bound, qdwh
from muon_theory.spectra import log_uniform_spectrum, noise_floor, prescribed_matrix

EPSILON = np.finfo(float).eps
METHODS = ["auto", "svd", "gram", "qdwh"]
SHAPES = [(1, 1), (1, 7), (7, 1), (2, 2), (5, 3), (3, 5), (64, 64), (96, 130), (130, 96)]
HALF = [torch.bfloat16, torch.float16]


def two_levels(r, big, low):
    return np.where(np.arange(r) < big, 1.0, low)


def orthogonality(U):
    A = U.numpy() if U.shape[0] <= U.shape[1] else U.numpy().T
    return np.linalg.norm(A @ A.T - np.eye(len(A)))


def assert_matches_scipy(X, condition_number, method):
    r = min(X.shape)
    U = polar_factor(X, method=method)
    reference = scipy.linalg.polar(X.numpy())[0]
    assert U.shape == X.shape
    assert U.dtype == torch.float64
    assert np.linalg.norm(U.numpy() - reference, 2) <= 20 * EPSILON * max(condition_number, r**0.5)
    assert orthogonality(U) <= 1e-13 * r**0.5


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("condition_number", [1.0, 1e2, 1e4, 1e7, 1e10])
def test_float64_matches_scipy_and_is_orthogonal(shape, condition_number, method):
    r = min(shape)
    log_uniform = prescribed_matrix(log_uniform_spectrum(r, condition_number), *shape, seed=1)
    assert_matches_scipy(log_uniform, condition_number if r > 1 else 1, method)
    clustered = prescribed_matrix(two_levels(r, (r + 3) // 4, 1 / condition_number), *shape, seed=2)
    assert_matches_scipy(clustered, condition_number if r > 1 else 1, method)


@pytest.mark.parametrize("shape", [(512, 2048), (2048, 512)])
@pytest.mark.parametrize("method", ["svd", "qdwh"])
def test_float64_matches_scipy_for_large_matrices(shape, method):
    assert_matches_scipy(prescribed_matrix(log_uniform_spectrum(512, 1e10), *shape, seed=3), 1e10, method)


@st.composite
def matrices(draw):
    rows, columns = draw(st.integers(1, 30)), draw(st.integers(1, 30))
    r = min(rows, columns)
    rank = draw(st.integers(0, r))
    condition_number = 10 ** draw(st.floats(0, 12))
    sigma = np.zeros(r)
    if rank:
        sigma[:rank] = log_uniform_spectrum(rank, condition_number, seed=draw(st.integers(0, 99)))
    return sigma, rows, columns, draw(st.integers(0, 99))


def prescribed_factor(sigma, rows, columns, seed, tolerance):
    """U V^T with the singular vectors that prescribed_matrix gives this seed."""
    return prescribed_matrix((sigma > tolerance).astype(float), rows, columns, seed=seed)


@given(drawn=matrices(), method=st.sampled_from(METHODS))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_zero_directions_stay_zero_and_the_others_become_one(drawn, method):
    sigma, rows, columns, seed = drawn
    tolerance = 1e-13  # below every prescribed value and above the rounding of the rebuilt matrix
    X = prescribed_matrix(sigma, rows, columns, seed=seed)
    expected = prescribed_factor(sigma, rows, columns, seed, 0)
    U = polar_factor(X, rank_tolerance=tolerance, method=method)
    smallest = sigma[sigma > 0].min(initial=1.0)
    allowed = 20 * EPSILON * max(1 / smallest, min(rows, columns) ** 0.5)
    assert torch.linalg.matrix_norm(U - expected, 2) <= allowed
    found = torch.linalg.svdvals(U).numpy()
    assert np.abs(found - (sigma > 0)).max() <= 1e-13 * len(found) ** 0.5


@given(drawn=matrices(), method=st.sampled_from(METHODS))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_float32_directions_above_the_tolerance_are_kept_and_exact(drawn, method):
    sigma, rows, columns, seed = drawn
    X = prescribed_matrix(sigma, rows, columns, seed=seed, dtype=torch.float32)
    U = polar_factor(X, method=method)
    assert U.dtype == torch.float32
    tolerance = default_rank_tolerance(rows, columns, torch.float32)
    left, stored, right = torch.linalg.svd(X.double(), full_matrices=False)
    kept = (stored > tolerance * stored[0]).double()
    if ((stored / max(stored[0], 1e-300) / tolerance - 1).abs() < 0.1).any():
        return  # on the verge the routes may decide differently
    assert torch.linalg.matrix_norm(U.double() - (left * kept) @ right, 2) <= 5 * torch.finfo(torch.float32).eps


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, *HALF])
def test_the_factor_of_a_diagonal_matrix_is_its_signs(method, dtype):
    X = torch.tensor([[2.0, 0.0, 0.0], [0.0, -0.5, 0.0]], dtype=dtype)
    expected = torch.tensor([[1.0, 0.0, 0.0], [0.0, -1.0, 0.0]], dtype=dtype)
    assert torch.equal(polar_factor(X, method=method), expected)
    assert torch.equal(polar_factor(X.mT, method=method), expected.mT)
    assert torch.equal(polar_factor(-X, method=method), -expected)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, *HALF])
def test_the_zero_matrix_has_the_zero_factor(method, dtype):
    for shape in [(1, 1), (3, 2), (2, 4, 4), (150, 150)]:
        found = polar_factor(torch.zeros(shape, dtype=dtype), method=method)
        assert found.dtype == dtype
        assert torch.equal(found, torch.zeros(shape, dtype=dtype))
    assert polar_factor(torch.zeros(2, 2, dtype=dtype), method=method, rank_tolerance=0).abs().max() == 0


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shape", [(20, 35), (35, 20), (150, 150)])
def test_a_rank_one_matrix_has_a_rank_one_factor(method, shape):
    for dtype, error in [(torch.float64, 1e-14), (torch.float32, 3e-7), (torch.bfloat16, 0.02), (torch.float16, 2e-3)]:
        X = prescribed_matrix([5.0], *shape, seed=4, dtype=dtype)
        expected = prescribed_matrix([1.0], *shape, seed=4)
        assert torch.linalg.matrix_norm(polar_factor(X, method=method).double() - expected, 2) <= error


def test_the_matrix_itself_is_the_product_of_its_factors():
    # U^T X must be symmetric positive semidefinite: a wrong sign or a transposed factor is not
    for shape in [(40, 25), (25, 40)]:
        X = prescribed_matrix(log_uniform_spectrum(25, 1e3), *shape, seed=5)
        U = polar_factor(X)
        H = U.mT @ X
        torch.testing.assert_close(H, H.mT, rtol=0, atol=1e-14)
        torch.testing.assert_close(U @ H, X, rtol=0, atol=1e-14)
        assert torch.linalg.eigvalsh(H).min() > -1e-14


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("exponent", [-100, 100])
def test_a_power_of_two_changes_no_bit(method, dtype, exponent):
    X = prescribed_matrix(log_uniform_spectrum(12, 1e3), 12, 20, seed=6, dtype=dtype)
    assert torch.equal(
        polar_factor(torch.ldexp(X, torch.tensor(exponent)), method=method), polar_factor(X, method=method)
    )


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("scale", [1e-300, 1e-30, 1e30, 1e300])
def test_the_factor_does_not_depend_on_the_scale(method, scale):
    X = prescribed_matrix(log_uniform_spectrum(12, 1e3), 12, 20, seed=6)
    torch.testing.assert_close(
        polar_factor(X * scale, method=method), polar_factor(X, method=method), rtol=0, atol=1e-12
    )
    if 1e-31 < scale < 1e31:
        found = polar_factor((X * scale).float(), method=method)
        torch.testing.assert_close(found, polar_factor(X).float(), rtol=0, atol=1e-4)  # 1e-7 * kappa from the rounding


def test_a_subnormal_matrix_has_its_factor():
    X = torch.tensor([[5e-324, 0.0], [0.0, -5e-324]], dtype=torch.float64)
    assert polar_factor(X).tolist() == [[1.0, 0.0], [0.0, -1.0]]
    assert polar_factor(torch.tensor([[1e-45, 0.0]])).tolist() == [[1.0, 0.0]]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("size", [(2, 3, 5, 4), (3, 140, 150), (4, 6, 6)])
def test_a_batch_gives_the_factors_of_its_matrices(method, dtype, size):
    X = torch.randn(*size, generator=torch.Generator().manual_seed(0), dtype=dtype)
    X[0] *= 1e-20
    X[-1] = 0
    X[1] = prescribed_matrix(log_uniform_spectrum(min(size[-2:]), 1e6), *size[-2:], seed=7, dtype=dtype)
    found = polar_factor(X, method=method)
    assert found.shape == X.shape
    assert found.is_contiguous()
    for one, alone in zip(found.reshape(-1, *size[-2:]), X.reshape(-1, *size[-2:]), strict=True):
        torch.testing.assert_close(one, polar_factor(alone, method=method), rtol=0, atol=1e-6 if alone.norm() else 0)


@pytest.mark.parametrize("method", METHODS)
def test_an_empty_batch_is_returned_empty(method):
    for dtype in (torch.float64, torch.float32):
        assert polar_factor(torch.zeros(2, 0, 3, 5, dtype=dtype), method=method).shape == (2, 0, 3, 5)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, *HALF])
def test_the_input_is_left_alone_and_dtype_and_shape_are_kept(method, dtype):
    X = torch.randn(6, 4, generator=torch.Generator().manual_seed(1)).to(dtype).requires_grad_()
    before = X.detach().clone()
    found = polar_factor(X, method=method)
    assert torch.equal(X.detach(), before)
    assert (found.dtype, found.shape, found.requires_grad) == (dtype, X.shape, False)
    orthonormal = before[:2, :2] * 0 + torch.eye(2, dtype=dtype)
    assert polar_factor(orthonormal, method=method).data_ptr() != orthonormal.data_ptr()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("shape", [(40, 90), (200, 30)])
def test_directions_around_the_default_tolerance_fall_on_the_documented_side(dtype, shape):
    tolerance = default_rank_tolerance(*shape, dtype)
    assert tolerance == max(shape) * torch.finfo(dtype).eps
    sigma = [1.0, 4 * tolerance, tolerance / 4]
    for method in METHODS:
        U = polar_factor(prescribed_matrix(sigma, *shape, seed=8, dtype=dtype), method=method)
        found = torch.linalg.svdvals(U.double())
        assert found[1] > 0.99
        assert found[2] < 0.01


@pytest.mark.parametrize("method", METHODS)
def test_the_tolerance_of_the_caller_decides(method):
    X = prescribed_matrix([1.0, 1e-2, 1e-5, 1e-9], 4, 6, seed=9)
    for tolerance, rank in [(0.0, 4), (1e-12, 4), (1e-7, 3), (1e-3, 2), (0.5, 1)]:
        U = polar_factor(X, rank_tolerance=tolerance, method=method)
        assert torch.linalg.svdvals(U).numpy() == pytest.approx([1.0] * rank + [0.0] * (4 - rank), abs=1e-12)


@pytest.mark.parametrize("dtype", HALF)
def test_short_formats_keep_the_directions_of_a_large_matrix(dtype):
    # max(m, n) * eps exceeds 1 here: read literally it would make every direction a zero direction
    X = prescribed_matrix(log_uniform_spectrum(64, 30.0), 64, 1100, seed=15, dtype=dtype)
    assert 1100 * torch.finfo(dtype).eps > 1
    found = torch.linalg.svdvals(polar_factor(X).double())
    assert (found - 1).abs().max() < 2 * torch.finfo(dtype).eps


@pytest.mark.parametrize("dtype", HALF)
def test_rounding_a_low_rank_matrix_to_a_short_format_makes_no_direction(dtype):
    for k in (1, 5):
        for shape in ((4, 6), (30, 200), (128, 128)):
            k = min(k, 4)
            X = prescribed_matrix(np.ones(k), *shape, seed=10, dtype=dtype)
            assert noise_floor(dtype, shape, k**0.5) < default_rank_tolerance(*shape, dtype)
            assert torch.linalg.matrix_norm(polar_factor(X).double()) == pytest.approx(k**0.5, rel=0.01)


@pytest.mark.parametrize("condition_number", [1e1, 1e3, 1e4, 1e5])
def test_the_gram_route_says_whether_it_can_be_trusted(condition_number):
    Y = prescribed_matrix(two_levels(30, 15, 1 / condition_number), 30, 60, seed=11)
    truth = prescribed_matrix(np.ones(30), 30, 60, seed=11)
    error = torch.linalg.matrix_norm(polar_by_gram(Y, 1e-7, 1.0)[0] - truth, 2).item()
    assert error <= 8 * EPSILON * condition_number**2
    for accuracy in (1e-12, 1e-9, 1e-6):
        assert bool(polar_by_gram(Y, 1e-7, accuracy)[1]) == (8 * EPSILON * condition_number**2 <= accuracy)


def test_the_gram_route_distrusts_directions_below_its_resolution():
    Y = prescribed_matrix([1.0, 1e-9], 5, 9, seed=12)
    assert not bool(polar_by_gram(Y, 1e-12, 1e-3)[1])  # 1e-9 is above this tolerance but invisible
    assert bool(polar_by_gram(Y, 1e-6, 1e-3)[1])


@pytest.mark.parametrize("condition_number", [1.0, 1e1, 1e5, 1e10, 1e14])
def test_qdwh_reaches_the_factor_from_a_poor_bound(condition_number):
    R = np.linalg.qr(prescribed_matrix(log_uniform_spectrum(40, condition_number), 40, 40, seed=13).numpy())[1]
    reference = scipy.linalg.polar(R)[0]
    bound = inverse_condition_bound(torch.from_numpy(R))
    assert 1 / condition_number / 60 <= bound <= 1 / condition_number
    for lower in (bound, bound * 1e-3):
        U = qdwh(torch.from_numpy(R), lower)
        assert np.linalg.norm(U.numpy() - reference, 2) <= 20 * EPSILON * max(condition_number, 40**0.5)
        assert orthogonality(U) <= 1e-13


def test_qdwh_needs_six_iterations_at_most(monkeypatch):
    factorizations = []
    for name in ("qr", "cholesky"):
        original = getattr(torch.linalg, name)

        def counted(X, original=original):
            factorizations.append(original.__name__)
            return original(X)

        monkeypatch.setattr(torch.linalg, name, counted)
    for lower, most in [(1e-16, 6), (1e-5, 5), (0.1, 4)]:
        factorizations.clear()
        qdwh(torch.eye(3, dtype=torch.float64), lower)
        assert len(factorizations) == most


def test_the_condition_bound_of_a_singular_matrix_is_zero():
    assert inverse_condition_bound(torch.zeros(3, 3, dtype=torch.float64)) == 0
    assert inverse_condition_bound(torch.tensor([[1.0, 2.0], [0.0, 0.0]], dtype=torch.float64)) == 0
    for lower in (0.0, -1.0, 1.5, float("nan")):
        with pytest.raises(ValueError, match="lower is"):
            qdwh(torch.eye(2, dtype=torch.float64), lower)


def test_the_nuclear_norm_comes_with_the_factor_in_float64():
    sigma = np.array([3.0, 1.0, 1e-9])
    X = prescribed_matrix(sigma, 5, 3, seed=14)
    norm, factor = nuclear_norm_and_polar(torch.stack([X * 1e-200, -X]))
    assert (norm / torch.tensor([1e-200, 1.0], dtype=torch.float64)).tolist() == pytest.approx(
        [sigma.sum()] * 2, rel=1e-14
    )
    torch.testing.assert_close(factor[1], polar_factor(-X), rtol=0, atol=1e-14)
    assert nuclear_norm_and_polar(X.bfloat16())[1].dtype == torch.float64


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "newton"}, "method is 'newton'; choose one of"),
        ({"rank_tolerance": -1e-3}, "rank_tolerance is -0.001"),
        ({"rank_tolerance": 1.0}, "rank_tolerance is 1.0"),
        ({"rank_tolerance": float("nan")}, "rank_tolerance is nan"),
    ],
)
def test_a_bad_request_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        polar_factor(torch.eye(3), **arguments)
