import numpy as np
import pytest
import torch

from muon_theory.polar import method_steps, orthogonalize, polar_express, scalar_map, taylor_coefficients
from muon_theory.polar.gram_iteration import dense_cost, gram_cost, gram_restart, gram_steps, polynomial_of_gram
from muon_theory.spectra import prescribed_matrix

SIZE = (48, 192)


def wide(condition_number: float, dtype: torch.dtype) -> tuple[torch.Tensor, np.ndarray]:
    sigma = np.logspace(0, -np.log10(condition_number), SIZE[0])
    sigma = sigma / np.linalg.norm(sigma)
    return prescribed_matrix(sigma, *SIZE, seed=1).to(dtype), sigma


def worst_difference(O: torch.Tensor, sigma: np.ndarray, method: str, steps: int) -> float:
    if not torch.isfinite(O).all():
        return np.inf
    mapped = np.asarray(sigma)
    for row in method_steps(method, steps):
        mapped = sum(c * mapped ** (2 * i + 1) for i, c in enumerate(row))
    found = np.sort(torch.linalg.svdvals(O.double()).numpy())
    return float(np.abs(found - np.sort(mapped)).max())


@pytest.mark.parametrize("degree", [3, 5, 7, 9, 11, 13, 15])
def test_the_polynomial_of_a_matrix_is_the_sum_of_its_powers(degree):
    A = torch.randn(4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    A = A @ A.T / 10
    row = tuple(float(c) for c in taylor_coefficients(degree))
    powers = sum((c * torch.linalg.matrix_power(A, i) for i, c in enumerate(row)), torch.zeros_like(A))
    before = A.clone()
    assert torch.allclose(polynomial_of_gram(A, row), powers, rtol=1e-12, atol=1e-12)
    X = torch.randn(4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(polynomial_of_gram(A, row, X), powers @ X, rtol=1e-12, atol=1e-12)
    assert torch.equal(A, before)


@pytest.mark.parametrize("restart_after", [None, 1, 2, 3])
@pytest.mark.parametrize("steps", [1, 2, 3, 5])
def test_gram_and_dense_agree_in_float64(restart_after, steps):
    X, _ = wide(1e3, torch.float64)
    rows = method_steps("amsel_2025", steps)
    dense = X
    for row in rows:
        dense = polynomial_of_gram(dense @ dense.mT, row, dense)
    assert torch.allclose(gram_steps(X, rows, restart_after=restart_after), dense, rtol=0, atol=1e-10)


@pytest.mark.parametrize("kappa", [1e1, 1e2, 1e3, 1e4, 1e6])
def test_float32_needs_no_restart_within_five_steps(kappa):
    for method in ("amsel_2025", "you_2024", "jordan_2024"):
        X, sigma = wide(kappa, torch.float32)
        O = gram_steps(X, method_steps(method, 5))
        # The error of a float32 Gram matrix, eps / (2 sigma), times the slope of five steps at sigma, both at most 500.
        assert worst_difference(O, sigma, method, 5) < 2e-2


def test_float32_needs_a_restart_for_ten_steps():
    X, sigma = wide(1e5, torch.float32)
    rows = method_steps("you_2024", 10)
    assert worst_difference(gram_steps(X, rows), sigma, "you_2024", 10) > 1
    restarted = gram_steps(X, rows, restart_after=gram_restart(torch.float32))
    assert worst_difference(restarted, sigma, "you_2024", 10) < 5e-3


def test_float32_without_restart_does_not_reach_the_accuracy_of_the_dense_form():
    X, sigma = wide(1e3, torch.float32)
    rows = method_steps("amsel_2025", 10)
    assert worst_difference(gram_steps(X, rows), sigma, "amsel_2025", 10) > 1e-3
    assert worst_difference(gram_steps(X, rows, restart_after=3), sigma, "amsel_2025", 10) < 1e-5


@pytest.mark.parametrize("kappa", [1e2, 1e3, 1e6])
def test_bfloat16_without_restart_blows_up_and_with_it_does_not(kappa):
    X, sigma = wide(kappa, torch.bfloat16)
    rows = method_steps("amsel_2025", 5)
    assert worst_difference(gram_steps(X, rows), sigma, "amsel_2025", 5) > 5
    restarted = gram_steps(X, rows, restart_after=gram_restart(torch.bfloat16))
    assert worst_difference(restarted, sigma, "amsel_2025", 5) < 0.25


def test_bfloat16_takes_the_dense_form_on_its_own_and_the_restarted_one_on_request():
    X, _ = wide(1e3, torch.float32)
    plain = orthogonalize(X, compute_dtype=torch.bfloat16)
    assert torch.equal(plain, orthogonalize(X, compute_dtype=torch.bfloat16, form="dense"))
    gram = orthogonalize(X, compute_dtype=torch.bfloat16, form="gram")
    assert not torch.equal(plain, gram)
    assert torch.linalg.matrix_norm(gram.float(), 2) < 1.4


def test_the_gram_form_pays_from_an_aspect_ratio_of_three_halves_on():
    rows = method_steps("amsel_2025", 5)
    for n, m, pays in ((128, 128, False), (128, 160, False), (128, 224, True), (128, 512, True)):
        assert (gram_cost(n, m, rows, 3) < dense_cost(n, m, rows)) == pays
        X = torch.randn(n, m, generator=torch.Generator().manual_seed(2))
        form = "gram" if pays else "dense"
        assert torch.equal(orthogonalize(X), orthogonalize(X, form=form))
        assert torch.equal(orthogonalize(X.mT), orthogonalize(X.mT, form=form))


def test_one_step_is_never_worth_the_gram_form():
    rows = method_steps("amsel_2025", 1)
    assert gram_cost(8, 800, rows, 3) >= dense_cost(8, 800, rows)


def test_degree_nine_converges_in_the_gram_form_too():
    nine = polar_express(1e-2, 4, degree=9)
    X, sigma = wide(1e1, torch.float64)
    O = gram_steps(X, nine.coefficients(4), restart_after=3)
    assert np.abs(scalar_map(nine, 4)(sigma) - 1).max() < 1e-9
    assert float((torch.linalg.svdvals(O) - 1).abs().max()) < 1e-9
