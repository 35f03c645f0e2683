"""The polar factor with its spectrum: the same bits as without, and the spectrum of the SVD."""

from __future__ import annotations

import pytest
import torch

from muon_theory.polar.exact import polar_factor
from muon_theory.polar.factor_and_spectrum import polar_factor_and_spectrum

SHAPES = [(3, 5), (5, 3), (1, 4), (4, 7, 9), (2, 2, 6, 4), (3, 160, 200), (2, 300, 140)]


def _matrices(shape, dtype, *, condition: float = 1.0):
    generator = torch.Generator().manual_seed(len(shape) + shape[-1])
    G = torch.randn(shape, generator=generator, dtype=torch.float64)
    G[..., 0, :] *= condition
    return G.to(dtype)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_factor_has_the_bits_it_has_without_its_spectrum(shape, dtype):
    for condition in (1.0, 1e-4):
        G = _matrices(shape, dtype, condition=condition)
        factor, sigma = polar_factor_and_spectrum(G)
        assert torch.equal(factor, polar_factor(G))
        assert sigma.shape == (*shape[:-2], min(shape[-2:]))
        torch.testing.assert_close(sigma, torch.linalg.svdvals(G.double()), rtol=1e-6, atol=1e-12)


def test_matrices_that_the_gram_matrix_cannot_resolve_are_taken_from_the_svd():
    G = torch.diag(torch.tensor([1.0, 1e-5, 3e-5]))  # 64 eps kappa^2 beyond float32's rounding
    stack = torch.stack([G, torch.eye(3), torch.zeros(3, 3)])
    factor, sigma = polar_factor_and_spectrum(stack)
    assert torch.equal(factor, polar_factor(stack))
    expected = torch.tensor([[1.0, 3e-5, 1e-5], [1.0, 1.0, 1.0], [0.0, 0.0, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(sigma, expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize("scale", [1e-30, 1e-6, 1e30])
def test_the_spectrum_is_in_the_unit_of_the_matrix(scale):
    G = scale * _matrices((4, 6), torch.float32)
    factor, sigma = polar_factor_and_spectrum(G)
    assert torch.equal(factor, polar_factor(G))
    torch.testing.assert_close(sigma, torch.linalg.svdvals(G.double()), rtol=1e-9, atol=0)


def test_what_polar_factor_refuses_is_refused():
    with pytest.raises(ValueError, match="NaN"):
        polar_factor_and_spectrum(torch.full((2, 2), torch.nan))
    with pytest.raises(ValueError, match="rank_tolerance"):
        polar_factor_and_spectrum(torch.eye(2), rank_tolerance=1.0)
