"""What is refused as a matrix, and that the passage to float64 loses nothing."""

import re

import pytest
import torch

from muon_theory.polar import inexactness, polar_factor
from muon_theory.polar.exact import nuclear_norm_and_polar
from muon_theory.spectra import singular_values
from muon_theory.spectra.matrix_input import require_matrix, shift_exponent, to_float64

WITH_NAN = torch.tensor([[1.0, 2.0], [float("nan"), float("inf")]])
REFUSED = [
    ([[1.0, 2.0]], TypeError, "is a list, not a torch.Tensor; pass torch.as_tensor"),
    (torch.tensor([[1, 2]]), TypeError, "has dtype torch.int64; it must be real floating-point"),
    (torch.tensor([[True]]), TypeError, "has dtype torch.bool"),
    (torch.tensor([[1 + 2j]]), TypeError, "has dtype torch.complex64; complex matrices are not supported"),
    (torch.eye(2).to_sparse(), TypeError, "has layout torch.sparse_coo"),
    (torch.ones(3), ValueError, "has shape (3,); a matrix needs two dimensions"),
    (torch.tensor(1.0), ValueError, "has shape (); a matrix needs two dimensions"),
    (torch.zeros(0, 3), ValueError, "has shape (0, 3); a matrix without entries"),
    (torch.zeros(2, 3, 0), ValueError, "has shape (2, 3, 0); a matrix without entries"),
    (WITH_NAN, ValueError, "has 2 entries that are NaN or infinite, the first at index (1, 0)"),
    (WITH_NAN.bfloat16(), ValueError, "has 2 entries"),
    (torch.full((2, 1, 1), float("inf"), dtype=torch.float64), ValueError, "has 2 entries"),
]


@pytest.mark.parametrize(
    ("function", "name"), [(singular_values, "X"), (polar_factor, "G"), (nuclear_norm_and_polar, "G")]
)
@pytest.mark.parametrize(("argument", "kind", "message"), REFUSED)
def test_bad_matrices_are_refused_by_name_value_and_remedy(function, name, argument, kind, message):
    with pytest.raises(kind, match="^" + re.escape(f"{name} {message}")):
        function(argument)


@pytest.mark.parametrize(("argument", "kind", "message"), REFUSED)
def test_inexactness_refuses_the_same_matrices(argument, kind, message):
    with pytest.raises(kind, match="^" + re.escape(f"G {message}")):
        inexactness(argument, torch.eye(2))


def test_finite_entries_whose_sum_overflows_are_accepted():
    X = torch.full((3, 4), 1e308, dtype=torch.float64)
    assert require_matrix(X) is not None
    assert polar_factor(X).numpy() == pytest.approx(1 / 12**0.5, rel=1e-12)


def test_opposite_infinities_do_not_cancel():
    with pytest.raises(ValueError, match="2 entries"):
        require_matrix(torch.tensor([[float("inf"), float("-inf")]]))


@pytest.mark.parametrize("exponent", [-1070, -600, 0, 1, 600, 1020])
def test_the_passage_to_float64_is_exact(exponent):
    X = torch.tensor([[1.0, -0.5], [0.25, 0.0]], dtype=torch.float64)
    X = shift_exponent(X, torch.tensor(exponent))
    Y, found = to_float64(X)
    assert 0.5 <= Y.abs().max() < 1
    assert found is not None
    assert torch.equal(shift_exponent(Y, found), X)


def test_shorter_formats_pass_unchanged():
    X = torch.tensor([[1e-45, 3e38]], dtype=torch.float32)
    Y, exponent = to_float64(X)
    assert exponent is None
    assert torch.equal(Y.float(), X)
