"""The directions of Fanions where Lanczos finds them, against the oracle of the dual Ky Fan norm."""

import pytest
import torch
from torch import nn

from muon_theory.norms import DualKyFan
from muon_theory.optimizers import Fanion, FFanion
from muon_theory.optimizers.leading_directions import leading_directions
from muon_theory.spectra import prescribed_matrix
from muon_theory.spectra.top_k import lanczos_pays


def gaussian(*shape, seed=0, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def distance(D, X, k):
    return float(torch.linalg.matrix_norm(D.double() + DualKyFan(k).lmo(X.double())).max()) / k**0.5


@pytest.mark.parametrize("k", [1, 1.25, 3, 4.5])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
def test_large_matrices_get_the_same_directions_by_lanczos(k, dtype):
    X = gaussian(2, 420, 500, dtype=torch.float64).to(dtype)
    D = leading_directions(X, k, 1e-4)
    assert D.dtype == dtype
    assert distance(D, X, k) <= (1e-4 if dtype != torch.bfloat16 else 4e-3)


@pytest.mark.parametrize("k", [2, 2.5])
def test_directions_that_tie_share_in_large_matrices_too(k):
    sigma = [3.0, 2.0, 2.0, 2.0] + [1 - i / 500 for i in range(416)]
    X = prescribed_matrix(sigma, 420, 420)
    assert distance(leading_directions(X[None], k)[0], X, k) <= 1e-9


def test_a_fraction_between_directions_that_nearly_tie_is_exact():
    sigma = [3.0, 2.0, 2.0 - 1e-9] + [1 - i / 500 for i in range(417)]
    X = prescribed_matrix(sigma, 420, 420)
    assert lanczos_pays(420, 420, 3)
    assert distance(leading_directions(X[None], 2.5)[0], X, 2.5) <= 1e-4


def test_the_rank_may_be_below_k():
    X = prescribed_matrix([3.0, 2.0], 420, 450)
    assert distance(leading_directions(X[None], 4)[0], X, 4) <= 1e-4
    assert not leading_directions(torch.zeros(1, 420, 450), 4).any()


def test_the_accuracy_of_an_optimizer_is_that_of_its_steps():
    gradient = gaussian(420, 420, seed=3)
    for accuracy in (1e-2, 1e-8):
        parameter = nn.Parameter(torch.zeros_like(gradient))
        parameter.grad = gradient.clone()
        Fanion([parameter], 3, lr=1.0, accuracy=accuracy).step()
        assert distance(-parameter.detach(), gradient, 3) <= accuracy


@pytest.mark.parametrize("accuracy", [0.0, 1.0, -1e-3, float("nan")])
def test_an_accuracy_out_of_range_is_rejected(accuracy):
    with pytest.raises(ValueError, match="accuracy is"):
        FFanion([nn.Parameter(torch.ones(4, 3))], 2, accuracy=accuracy)
