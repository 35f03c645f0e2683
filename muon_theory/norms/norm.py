"""What a norm can be asked here, and the sign of a linear minimization oracle.

A norm and its dual belong to one unit ball B = {D : value(D) <= 1}: `value` is the gauge of B, `dual` its support
function, and `lmo(G)` the point of B where <G, D> is SMALLEST, so that it points downhill and the step of an optimizer
is W <- W + lr lmo(G). The signs are set here once; a norm only says where its ball extends furthest along G.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from muon_theory.polar.exact import default_rank_tolerance
from muon_theory.spectra.matrix_input import require_matrix, shift_exponent, to_float64


class Norm(ABC):
    r"""A norm of real matrices with its dual norm and its linear minimization oracle (LMO).

    `dual(G) = max {<G, D> : value(D) <= 1}` and `lmo(G) = argmin {<G, D> : value(D) <= 1}`, hence
    `<G, lmo(G)> = -dual(G)`, and `value(lmo(G)) = 1` unless G = 0. Where the minimizer is not unique, directions (or
    entries, rows, columns) in which G vanishes stay zero, and those which tie share equally; lmo(0) = 0.

    All three take dense real floating-point tensors of shape (*batch, rows, columns) with finite entries, refuse
    anything else with a TypeError or ValueError that says why, work in float64 after a power-of-two scaling (so the
    unit of the matrix does not matter), never modify their argument and carry no autograd graph.

    Source: elementary; the sign convention of conditional-gradient methods, Pethick et al. 2025 (arXiv 2502.07529).

    Example:
        >>> from muon_theory.norms import Spectral
        >>> Spectral().value(torch.tensor([[3.0, 0.0], [0.0, -4.0]]))
        tensor(4.)
    """

    @property
    def unitarily_invariant(self) -> bool:
        """Whether value(O X W) = value(X) for all orthogonal O and W: whether only singular values count."""
        return False

    def value(self, X: Tensor) -> Tensor:
        """The norm of X.

        Args:
            X: matrices of shape (*batch, rows, columns), any real floating-point dtype; not modified.

        Returns:
            Tensor of shape (*batch,) in the unit of X, float64 for float64 input, else float32 (inf beyond its range).

        Source: the norm's own docstring.

        Example:
            >>> from muon_theory.norms import Nuclear
            >>> Nuclear().value(torch.eye(3))
            tensor(3.)
        """
        Y, exponent = self._checked(X, "X")
        return _result(self._gauge(Y), exponent, X)

    def dual(self, G: Tensor) -> Tensor:
        """The dual norm of G, max {<G, D> : value(D) <= 1}.

        Args:
            G: matrices of shape (*batch, rows, columns), any real floating-point dtype; not modified.

        Returns:
            Tensor of shape (*batch,) in the unit of G, float64 for float64 input, else float32 (inf beyond its range).

        Source: the norm's own docstring.

        Example:
            >>> from muon_theory.norms import Spectral
            >>> Spectral().dual(torch.eye(3))
            tensor(3.)
        """
        Y, exponent = self._checked(G, "G")
        return _result(self._support(Y), exponent, G)

    def lmo(self, G: Tensor) -> Tensor:
        """The point of the unit ball at which <G, D> is smallest: it points downhill.

        Args:
            G: matrices of shape (*batch, rows, columns), any real floating-point dtype; not modified.

        Returns:
            New tensor of G's shape, dtype and device, without unit; zero for a zero matrix.

        Source: the norm's own docstring.

        Example:
            >>> from muon_theory.norms import Frobenius
            >>> Frobenius().lmo(torch.tensor([[3.0, -4.0]]))
            tensor([[-0.6000,  0.8000]])
        """
        Y, _ = self._checked(G, "G")
        D = self._maximizer(Y, default_rank_tolerance(G.shape[-2], G.shape[-1], G.dtype))
        return (0.0 - D).to(device=G.device, dtype=G.dtype)  # 0 - D: no negative zeros

    def _checked(self, X: Tensor, name: str) -> tuple[Tensor, Tensor | None]:
        """The matrix in float64, scaled by a power of two, and the exponent."""
        Y = require_matrix(X, name)
        self._check_shape(Y.shape[-2], Y.shape[-1])
        return to_float64(Y)

    def _check_shape(self, rows: int, columns: int) -> None:  # noqa: B027  (most shapes suit)
        """Refuse matrices of a shape for which the norm is not defined."""

    def _parts(self, rows: int, columns: int) -> tuple[tuple[float, Norm], ...]:  # noqa: ARG002  (subclasses use them)
        """The unit ball for matrices of this shape as a Minkowski sum of weighted simplest balls."""
        return ((1.0, self),)

    @abstractmethod
    def _gauge(self, Y: Tensor) -> Tensor:
        """The norm of float64 matrices, shape (*batch,)."""

    @abstractmethod
    def _support(self, Y: Tensor) -> Tensor:
        """The dual norm of float64 matrices, shape (*batch,)."""

    @abstractmethod
    def _maximizer(self, Y: Tensor, tolerance: float) -> Tensor:
        """Where the unit ball extends furthest along Y; sigma <= tolerance * sigma_1 counts as zero."""

    def _projection(self, Y: Tensor, radius: Tensor) -> Tensor:  # noqa: ARG002  (subclasses use them)
        """The nearest point of {value <= radius}; what `Combined` needs for the gauge of a mixture."""
        raise TypeError(
            f"{type(self).__name__} has no projection onto its ball, which Combined.value needs; "
            "give the class a method _projection(Y, radius)"
        )


def _result(values: Tensor, exponent: Tensor | None, X: Tensor) -> Tensor:
    """Scaled back, in the dtype of results, on the device of the argument."""
    kind = torch.float64 if X.dtype == torch.float64 else torch.float32
    values = shift_exponent(values, exponent).to(kind)
    return values if kind == torch.float64 else values.to(X.device)
