"""The leading singular triples against the float64 SVD: by method, by spectrum, and where P_k is not unique."""

import math
from typing import cast

import numpy as np
import pytest
import torch
from scipy.sparse.linalg import svds

from muon_theory.polar.exact import default_rank_tolerance
from muon_theory.spectra import prescribed_matrix, top_k
from muon_theory.spectra.leading_error import LeadingErrorEstimate, leading_error
from muon_theory.spectra.top_k import _zero_tolerance

METHODS = ["auto", "svd", "gram", "lanczos", "block_lanczos", "block_power", "randomized", "lobpcg"]
ITERATIVE = METHODS[3:]
R = 240
I = np.arange(R)
SPECTRA = {
    "Gaussian": None,
    "1/i": 1 / (I + 1),
    ".8^i": 0.8**I,
    "spiked": np.where(I < 5, 3.0, 1.0) * (1 - 1e-3 * I),
    "clustered": np.where(I < 5, 1 + 1e-3 * (4 - I), 0.9 - 1e-3 * I),
}


def gaussian(*shape, seed=0, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def matrix(spectrum, rows=R, columns=R, seed=1):
    sigma = SPECTRA[spectrum]
    return gaussian(rows, columns, seed=seed) if sigma is None else prescribed_matrix(sigma, rows, columns, seed=seed)


def leading(X, k):
    U, _, Vt = torch.linalg.svd(X.double(), full_matrices=False)
    return U[..., :k] @ Vt[..., :k, :]


def error(found, X):
    k = found.sigma.shape[-1]
    return float((found.U.double() @ found.V.double().mT - leading(X, k)).norm() / k**0.5)


@pytest.mark.parametrize("accuracy", [1e-2, 1e-4, 1e-9])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("spectrum", SPECTRA)
def test_the_leading_directions_are_as_accurate_as_asked(spectrum, method, accuracy):
    X = matrix(spectrum)
    found = top_k(X, 5, accuracy=accuracy, method=method)
    assert error(found, X) <= accuracy
    assert float(found.error) <= accuracy
    truth = torch.linalg.svdvals(X)[:5]
    torch.testing.assert_close(found.sigma, truth, rtol=max(2 * accuracy, 1e-12), atol=0)
    assert (found.residual <= max(20 * accuracy, 1e-11) * truth[0]).all()
    assert (found.matvecs == 0) == (method in ("auto", "svd", "gram"))


@pytest.mark.parametrize("shape", [(500, 150), (150, 500)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("method", METHODS)
def test_every_shape_and_dtype(method, shape, dtype):
    X = gaussian(*shape, dtype=dtype)
    found = top_k(X, 3, accuracy=1e-3, method=method)
    assert found.U.shape == (shape[0], 3)
    assert found.V.shape == (shape[1], 3)
    assert found.U.dtype == (dtype if dtype != torch.bfloat16 else torch.float32)
    assert error(found, X) <= 1e-3
    for vectors in (found.U, found.V):
        torch.testing.assert_close((vectors.mT @ vectors).double(), torch.eye(3).double(), rtol=0, atol=2e-5)


@pytest.mark.parametrize("method", ITERATIVE)
@pytest.mark.parametrize("tied", [(1, 2), (4, 3), (0, 9), (3, 40)])
def test_where_singular_values_tie_the_result_is_one_of_the_maximizers(method, tied):
    first, count = tied
    sigma = 0.5 * 0.97**I
    sigma[: first + count] = 1.0
    sigma[:first] += 1.0 / np.arange(1, first + 1)
    X = prescribed_matrix(sigma, R, R, seed=3)
    found = top_k(X, 5, accuracy=1e-4, method=method)
    D = found.U @ found.V.mT
    assert float((D * X).sum()) == pytest.approx(sigma[:5].sum(), rel=1e-4)
    assert float(torch.linalg.svdvals(D)[0]) <= 1 + 1e-6
    unique = first + count == 5 or sigma[4] > sigma[5]
    if method != "lanczos":  # one vector at a time does not see a copy beyond the k-th
        assert (float(found.error) <= 1e-4) == unique
    if unique:
        assert error(found, X) <= 1e-4


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("split", [0.0, 1e-10, 1e-8, 1e-6, 1e-4])
@pytest.mark.parametrize("copies", [6, 8, 12])
def test_a_split_too_small_to_be_seen_is_not_said_to_be_seen(copies, split, dtype):
    sigma = np.where(np.arange(400) < copies, 1 - split * np.arange(400), 0.5)  # the rest is flat, and looks settled
    X = prescribed_matrix(sigma, 500, 400, seed=1).to(dtype)
    found = top_k(X, 5, accuracy=1e-3, method="block_lanczos")
    error = (found.U.double() @ found.V.double().mT - leading(X, 5)).norm().item() / 5**0.5
    assert found.error.item() > error / 10 or error < 1e-6
    assert (X * (found.U @ found.V.mT)).sum().item() > (1 - 1e-3) * sigma[:5].sum()


@pytest.mark.parametrize("method", ["lanczos", "block_lanczos"])
def test_a_value_that_occurs_more_often_than_the_block_is_wide_is_found_as_often(method):
    sigma = np.concatenate([np.full(10, 2.0), 0.9 ** np.arange(R - 10)])
    X = prescribed_matrix(sigma, R, R, seed=4)
    found = top_k(X, 10, method=method)
    torch.testing.assert_close(found.sigma, torch.full((10,), 2.0, dtype=torch.float64), rtol=1e-6, atol=0)
    assert error(found, X) <= 1e-4


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_directions_beyond_the_rank_are_zero(method, dtype):
    X = prescribed_matrix([3.0, 2.0, 1.0], R, R, seed=5, dtype=dtype)
    found = top_k(X, 5, method=method)
    assert (found.sigma[3:] == 0).all()
    assert (found.U[:, 3:] == 0).all()
    assert (found.V[:, 3:] == 0).all()
    torch.testing.assert_close((found.U @ found.V.mT).double(), leading(X, 3), rtol=0, atol=1e-4)
    assert float(found.error) <= 1e-4


@pytest.mark.parametrize("method", METHODS)
def test_the_zero_matrix_has_no_direction(method):
    found = top_k(torch.zeros(2, 90, 80), 2, method=method)
    assert all(not bool(part.any()) for part in found[:5])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("shape", "k"), [((1, 7), 1), ((7, 1), 1), ((1, 1), 1), ((6, 4), 4), ((40, 60), 40)])
def test_small_matrices_and_all_directions(method, shape, k):
    X = gaussian(*shape)
    found = top_k(X, k, method=method)
    torch.testing.assert_close(found.U @ found.V.mT, leading(X, k), rtol=0, atol=1e-4)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("exponent", [-100, -7, 100])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_a_power_of_two_changes_the_singular_values_alone(method, exponent, dtype):
    X = gaussian(130, 120, dtype=dtype)
    plain, scaled = (top_k(matrix, 2, method=method) for matrix in (X, X * 2.0**exponent))
    assert torch.equal(plain.U, scaled.U)
    assert torch.equal(plain.V, scaled.V)
    assert torch.equal(plain.sigma * 2.0**exponent, scaled.sigma)
    assert float(plain.error) == float(scaled.error)


@pytest.mark.parametrize("method", ["auto", "block_lanczos"])
def test_units_do_not_matter(method):
    X = gaussian(130, 120)
    for unit in (1e-300, 1e-30, 1e30, 1e300):
        assert error(top_k(X * unit, 2, method=method), X) <= 1e-4


@pytest.mark.parametrize("method", METHODS)
def test_a_batch_is_its_matrices(method):
    X = gaussian(2, 3, 130, 140)
    found = top_k(X, 2, method=method)
    assert found.U.shape == (2, 3, 130, 2)
    assert found.error.shape == (2, 3)
    for i in range(2):
        for j in range(3):
            single = top_k(X[i, j], 2, method=method)
            torch.testing.assert_close(single.U @ single.V.mT, found.U[i, j] @ found.V[i, j].mT, rtol=0, atol=1e-12)
    assert top_k(X[:0], 2, method=method).U.shape == (0, 3, 130, 2)


@pytest.mark.parametrize("method", ["block_lanczos", "block_power", "randomized", "lobpcg"])
@pytest.mark.parametrize("side", ["U", "V"])
def test_a_start_nearby_saves_products(method, side):
    X = gaussian(300, 320)
    cold = top_k(X, 5, accuracy=1e-3, method=method)
    near = X + 1e-4 * gaussian(300, 320, seed=7)
    warm = top_k(near, 5, accuracy=1e-3, method=method, start=getattr(cold, side))
    assert error(warm, near) <= 1e-3
    assert warm.matvecs < cold.matvecs


def test_the_result_is_the_same_every_time_and_follows_its_generator():
    X = gaussian(450, 450)
    assert all(torch.equal(a, b) for a, b in zip(top_k(X, 3)[:5], top_k(X, 3)[:5], strict=True))
    seeds = [top_k(X, 3, generator=torch.Generator().manual_seed(seed)).V for seed in (1, 1, 2)]
    assert torch.equal(seeds[0], seeds[1])
    assert not torch.equal(seeds[0], seeds[2])


@pytest.mark.parametrize(("k", "bound"), [(5, 165), (50, 530)])
def test_lanczos_needs_about_the_published_number_of_products(k, bound):
    # Kravatskiy et al. 2025 print 131 to 1e-4 (k = 5) and 462 to 3e-7 (k = 50) for Gaussian 500 x 500 matrices
    for seed in range(3):
        X = gaussian(500, 500, seed=seed)
        found = top_k(X, k, accuracy=9e-5, method="lanczos")
        assert error(found, X) <= 9e-5
        assert found.matvecs <= bound


def test_arpack_finds_the_same():
    X = gaussian(450, 600)
    U, _, Vt = cast("tuple[np.ndarray, np.ndarray, np.ndarray]", svds(X.numpy(), k=4, tol=0))
    found = top_k(X, 4, accuracy=1e-8)
    np.testing.assert_allclose((found.U @ found.V.mT).numpy(), U @ Vt, atol=1e-8)


def test_the_bound_is_first_order_exact_for_a_residual_along_the_next_direction():
    X = torch.diag(torch.tensor([2.0, 1.0, 0.5], dtype=torch.float64))
    turn = 1e-4
    v = torch.tensor([math.cos(turn), math.sin(turn), 0], dtype=torch.float64)
    sigma = (X @ v).norm()
    u = X @ v / sigma
    residual = (X.mT @ u - sigma * v).norm()
    true = (torch.outer(u, v) - leading(X, 1)).norm()
    bound = leading_error(sigma[None], residual[None], torch.tensor(1.0, dtype=torch.float64))
    assert bound == pytest.approx(float(true), rel=1e-3)


def test_an_estimate_without_a_gap_never_claims_success():
    estimate = LeadingErrorEstimate(1, 1e-3, 1e-12, 2e-16, krylov=True)
    ones, rows = torch.ones(2, dtype=torch.float64), torch.eye(1, 3)
    estimate.update(ones, 1e-3 * ones, rows, rows)
    assert not estimate.reached
    assert not estimate.exhausted
    estimate.update(ones, 0 * ones, rows, rows)
    assert estimate.exhausted
    assert math.isinf(estimate.error)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_zero_means_what_it_means_for_the_polar_factor(dtype):
    assert _zero_tolerance(torch.zeros(30, 7, dtype=dtype)) == default_rank_tolerance(30, 7, dtype)


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        ({"k": 0}, ValueError, "k is 0"),
        ({"k": 4}, ValueError, "from 1 to 3"),
        ({"k": 1.5}, TypeError, "integer"),
        ({"k": True}, TypeError, "integer"),
        ({"accuracy": 0.0}, ValueError, "accuracy"),
        ({"accuracy": math.nan}, ValueError, "accuracy"),
        ({"method": "power"}, ValueError, "choose one of"),
        ({"start": torch.ones(5, 1)}, ValueError, "start has shape"),
        ({"X": torch.tensor([[1.0, math.nan]]), "k": 1}, ValueError, "NaN"),
        ({"X": torch.tensor([[1.0, math.inf]]), "k": 1}, ValueError, "NaN or inf"),
        ({"X": torch.ones(3), "k": 1}, ValueError, "two dimensions"),
    ],
)
def test_bad_requests_are_refused(arguments, kind, words):
    with pytest.raises(kind, match=words):
        top_k(**({"X": torch.ones(3, 4), "k": 1} | arguments))


def test_a_block_misses_no_direction_where_one_vector_does():
    # nearly tied values at the k-th place, and the edge of a Gaussian matrix; a vector misses about 1 in 20
    generator = np.random.default_rng(0)
    n, missed = 300, 0
    for trial in range(60):
        edge = 2 * math.sqrt(n) * np.cos(np.sort(generator.beta(1.5, 1.5, n)) * math.pi / 2)
        cluster = np.concatenate([1 + 2e-3 * generator.uniform(size=6), np.sort(generator.uniform(size=n - 6))[::-1]])
        sigma = np.sort(edge if trial % 2 else cluster)[::-1].copy()
        k, accuracy = int(generator.integers(1, 6)), 10 ** -generator.uniform(1.5, 4)
        found = top_k(torch.diag(torch.from_numpy(sigma)), k, accuracy=accuracy, method="block_lanczos")
        exact = torch.eye(n, dtype=torch.float64)[:, :k]
        error = float((found.U @ found.V.mT - exact @ exact.mT).norm()) / k**0.5
        missed += float(found.error) <= accuracy < error
    assert missed == 0
