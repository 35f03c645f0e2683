import math

import numpy as np
import pytest
import torch

from muon_theory.spectra.subspaces import leading_subspace, principal_angles, subspace_overlap


def test_angles_are_those_by_which_a_plane_was_turned():
    A = np.eye(5)[:, :2]
    B = A.copy()
    B[:, 0] = [math.cos(0.3), 0, math.sin(0.3), 0, 0]
    B[:, 1] = [0, math.cos(1e-9), 0, math.sin(1e-9), 0]
    assert principal_angles(A, B) == pytest.approx([1e-9, 0.3], rel=1e-6)
    mixed = B @ np.array([[2.0, 1.0], [-1.0, 3.0]])  # another basis of the same plane
    assert principal_angles(A, mixed) == pytest.approx([1e-9, 0.3], abs=1e-8)
    assert subspace_overlap(A, B) == pytest.approx((1 + math.cos(0.3) ** 2) / 2)


def test_leading_directions_are_those_of_the_largest_singular_values_on_the_asked_side():
    X = torch.zeros(3, 4)
    X[2, 1], X[0, 3] = 5.0, 1.0
    assert np.abs(leading_subspace(X, 1, "left")).ravel().tolist() == [0, 0, 1]
    assert np.abs(leading_subspace(X, 1, "right")).ravel().tolist() == [0, 1, 0, 0]
    assert leading_subspace(X, 2, "right").shape == (4, 2)


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="A has 3 rows and B 4"):
        principal_angles(np.eye(3), np.eye(4))
    with pytest.raises(ValueError, match="B must be a finite matrix"):
        principal_angles(np.eye(2), np.full((2, 1), math.nan))
    with pytest.raises(ValueError, match="k is 3; a 2 x 5 matrix has 1 to 2 directions"):
        leading_subspace(torch.ones(2, 5), 3)
    with pytest.raises(ValueError, match="one finite matrix"):
        leading_subspace(torch.full((2, 2), math.inf), 1)
    with pytest.raises(ValueError, match="side is 'up'"):
        leading_subspace(torch.ones(2, 2), 1, "up")  # pyright: ignore[reportArgumentType]
