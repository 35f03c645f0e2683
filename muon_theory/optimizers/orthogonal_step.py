"""The map from a batch of momentum matrices to a batch of updates, as a Muon group asks for it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from muon_theory.polar import CoefficientSet, orthogonalize
from muon_theory.polar.exact import default_rank_tolerance, polar_factor
from muon_theory.polar.factor_and_spectrum import polar_factor_and_spectrum
from muon_theory.polar.few_steps import few_steps
from muon_theory.spectra import singular_values


@dataclass(frozen=True)
class Orthogonalizer:
    """Orthogonalization of a batch of matrices by the options of a Muon group.

    Args:
        method: a key of `COEFFICIENTS`, "taylor_<degree>", a `CoefficientSet`, or "auto" for `few_steps`.
        steps: number of Newton-Schulz steps, >= 0; idle with "auto".
        exact: whether to take the exact polar factor instead.
        compute_dtype: dtype of the iteration or None.
        match_frobenius: whether to rescale to the Frobenius norm of the exact polar factor, sqrt(rank).

    Source: elementary.

    >>> G = torch.diag(torch.tensor([4.0, 1.0]))
    >>> Orthogonalizer(method="jordan_2024", steps=0, match_frobenius=True)(G[None]).norm()
    tensor(1.4142)
    """

    method: str | CoefficientSet
    steps: int
    exact: bool = False
    compute_dtype: torch.dtype | None = None
    match_frobenius: bool = False

    @classmethod
    def of_group(cls, group: dict[str, Any]) -> Orthogonalizer:
        """The orthogonalizer that a parameter group of `Muon` describes.

        Args:
            group: a parameter group.

        Returns:
            The orthogonalizer.

        Source: elementary.
        """
        method = group["method"] if group["ns_coefficients"] is None else _constant_steps(group["ns_coefficients"])
        return cls(method, group["ns_steps"], group["exact"], group["compute_dtype"], group["match_frobenius"])

    def __call__(self, X: Tensor) -> Tensor:
        """Orthogonalize a batch.

        Args:
            X: matrices, shape (batch, m, n), real floating point and finite.

        Returns:
            O, same shape and dtype. A zero matrix stays zero.

        Source: Jordan 2024 (Newton-Schulz); elementary (rescaling).

        Cost: one `polar_factor`, `few_steps` or `orthogonalize` call; with `match_frobenius` one `singular_values` call
        more.
        """
        if self.exact:
            return polar_factor(X)
        if self.method == "auto":
            update = few_steps(X, compute_dtype=self.compute_dtype)
        else:
            update = orthogonalize(X, self.method, self.steps, compute_dtype=self.compute_dtype)
        return update * _rescaling(X, update) if self.match_frobenius else update

    def with_spectrum(self, X: Tensor) -> tuple[Tensor, Tensor | None]:
        """Orthogonalize a batch and keep the singular values where they are formed anyway.

        Args:
            X: as in a call.

        Returns:
            O, bit for bit that of a call, and the singular values of the matrices, shape (batch, min(m, n)), float64,
            descending; None unless `exact`.

        Source: elementary.
        """
        return polar_factor_and_spectrum(X) if self.exact else (self(X), None)


def _rescaling(X: Tensor, update: Tensor) -> Tensor:
    """Factor (batch, 1, 1) that brings each update to the Frobenius norm sqrt(rank X)."""
    tolerance = default_rank_tolerance(X.shape[-2], X.shape[-1], X.dtype)
    sigma = singular_values(X, floor=tolerance, method="svd" if X.dtype == torch.float64 else "auto")
    rank = (sigma > tolerance * sigma[..., :1]).sum(-1).to(torch.float64)
    norm = torch.linalg.matrix_norm(update.double())
    factor = torch.where(norm > 0, rank.sqrt() / norm.clamp_min(torch.finfo(torch.float64).tiny), 1.0)
    return factor.to(update.dtype)[..., None, None]


def _constant_steps(coefficients: tuple[float, float, float]) -> CoefficientSet:
    """The coefficient set that repeats one quintic given by hand; nothing is known about its error."""
    row = tuple(Fraction(float(coefficient)) for coefficient in coefficients)
    return CoefficientSet(
        name="ns_coefficients",
        exact_steps=(row,),
        interval=(0.0, 1.0),
        worst_error=math.inf,
        natural_steps=5,
        extension="repeat",
        source="given by hand",
    )
