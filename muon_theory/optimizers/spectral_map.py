"""Any function of the singular values in the place of Muon's constant one, with the size of the update matched."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from muon_theory.optimizers.matrix_descent import MatrixDescent, Nesterov, ShapeRule
from muon_theory.polar.exact import default_rank_tolerance
from muon_theory.spectra.matrix_input import to_float64

SpectrumFunction = Callable[[Tensor], Tensor]
Match = Literal["polar", "unit", "spectral", "none"]

MATCHES = ("polar", "unit", "spectral", "none")


@dataclass(frozen=True)
class Power:
    """Power map sigma -> sigma^p: p = 0 is Muon, p = 1 (normalised) SGD; p < 0 lifts small singular values over large.

    Args:
        p: exponent, finite; the literature's range is [-1/4, 1].

    Raises:
        ValueError: if p is not finite.

    Source: elementary.

    >>> Power(0.5)(torch.tensor([1.0, 0.25])).tolist()
    [1.0, 0.5]
    """

    p: float

    def __post_init__(self) -> None:
        if not math.isfinite(self.p):
            raise ValueError(f"p is {self.p!r}; it must be finite")

    def __call__(self, sigma: Tensor) -> Tensor:
        """Powers of singular values.

        Args:
            sigma: singular values, shape (r,).

        Returns:
            sigma^p, same shape.

        Source: elementary.
        """
        return sigma**self.p


@dataclass(frozen=True)
class SoftThreshold:
    """Soft threshold sigma -> max(sigma - tau, 0), sigma relative to the largest.

    Args:
        tau: threshold in [0, 1), in units of sigma_1.

    Raises:
        ValueError: if tau is outside [0, 1).

    Source: elementary; the proximal map of the nuclear norm.

    >>> SoftThreshold(0.5)(torch.tensor([1.0, 0.25])).tolist()
    [0.5, 0.0]
    """

    tau: float

    def __post_init__(self) -> None:
        if not 0 <= self.tau < 1:
            raise ValueError(f"tau is {self.tau!r}; it must be in [0, 1), in units of the largest singular value")

    def __call__(self, sigma: Tensor) -> Tensor:
        """Singular values after the threshold.

        Args:
            sigma: singular values relative to the largest, shape (r,).

        Returns:
            max(sigma - tau, 0), same shape.

        Source: elementary.
        """
        return (sigma - self.tau).clamp_min(0)


@dataclass(frozen=True)
class RandomSpectrum:
    """Random spectrum: every singular value is replaced by a number drawn uniformly from [low, high], anew each step.

    The draw is a function of the seed and of the bits of sigma, so it needs no state: a resumed run draws the same.

    Args:
        seed: any non-negative integer.
        low: smallest value, finite.
        high: largest value, finite, >= low.

    Raises:
        ValueError: if low > high or one of them is not finite, or the seed is negative.

    Source: elementary.

    >>> sigma = torch.tensor([1.0, 0.25], dtype=torch.float64)
    >>> bool((RandomSpectrum(0)(sigma) == RandomSpectrum(0)(sigma.clone())).all())
    True
    """

    seed: int = 0
    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low <= self.high):
            raise ValueError(f"low is {self.low!r} and high {self.high!r}; they must be finite with low <= high")
        if self.seed < 0:
            raise ValueError(f"seed is {self.seed!r}; it must be >= 0")

    def __call__(self, sigma: Tensor) -> Tensor:
        """Random numbers in the place of singular values.

        Args:
            sigma: singular values, shape (r,).

        Returns:
            Independent uniform numbers of [low, high], same shape, dtype and device.

        Source: elementary.
        """
        bits = zlib.crc32(sigma.detach().cpu().double().contiguous().numpy().tobytes())
        drawn = torch.from_numpy(np.random.default_rng([self.seed, bits]).random(sigma.shape))
        return (self.low + (self.high - self.low) * drawn).to(sigma)


class SpectralMap(MatrixDescent):
    """Descent along U f(sigma) V^T of the momentum X = U diag(sigma) V^T, rescaled to a chosen size.

    The step is `W <- (1 - lr w) W - lr c s U diag(f(sigma)) V^T`, see `MatrixDescent`, s > 0 the factor of `match`.
    f = Power(0) is Muon with the exact polar factor. f is called for every matrix with sigma / sigma_1, descending from
    1 (which makes the update independent of the gradient's scale); with relative=False with sigma. Zero directions,
    those below the rank tolerance of `polar_factor`, stay zero whatever f makes of them.

    Groups may have functions of their own. A state_dict holds their labels (repr or qualified name) only, and loads
    into an optimizer built with the same ones; functions of one name, as lambdas of one function have, are not told
    apart. Pickling the optimizer itself pickles f, which Python does for named functions only.

    Args:
        params: parameters, named parameters or parameter groups; each tensor with ndim >= 2.
        f: callable, from a float64 tensor (r,) to one of the same shape: `Power`, `SoftThreshold`, `RandomSpectrum` or
            any other; need not be monotone or positive.
        lr: learning rate >= 0 (as Muon's), a float or a tensor of one element.
        momentum: b in [0, 1).
        nesterov: True or "coded", "written" or False, see `look_ahead_weight`.
        weight_decay: decoupled decay w >= 0, multiplied by the unadjusted lr.
        match: "polar": Frobenius norm sqrt(rank X), the exact polar factor's; "unit": Frobenius norm 1, normalised
            SGD's; "spectral": operator norm 1; "none": f as it is.
        relative: whether f gets sigma / sigma_1.
        adjust_lr_fn: shape factor c: "none" is 1, the others are Muon's.
        maximize: whether to ascend.
        check_finite: whether each step looks for NaN and inf in the gradients first; None: on CPU only.

    Raises:
        ValueError: if an option or a parameter's shape is out of range, a group is empty or a parameter is given twice;
            from `step` if f returns NaN, inf or another shape, before anything is changed.
        TypeError: if f is not callable, or a parameter is not a real floating-point tensor; from `step` if f does not
            return a tensor.

    Source: elementary.

    Cost: one SVD in float64 of each matrix.

    >>> weight = torch.nn.Parameter(torch.zeros(2, 2))
    >>> weight.grad = torch.diag(torch.tensor([4.0, 1.0]))
    >>> SpectralMap([weight], Power(0.5), lr=1.0, match="spectral").step()
    >>> weight.detach().diagonal()
    tensor([-1.0000, -0.5000])
    """  # noqa: DOC502  (raised by the checks below)

    def __init__(
        self,
        params: Iterable[Any],
        f: SpectrumFunction,
        lr: float | Tensor = 1e-3,
        momentum: float = 0.95,
        nesterov: Nesterov = True,
        weight_decay: float = 0.0,
        *,
        match: Match = "polar",
        relative: bool = True,
        adjust_lr_fn: ShapeRule | None = "none",
        maximize: bool = False,
        check_finite: bool | None = None,
    ) -> None:
        defaults = {
            "f": f,
            "lr": lr,
            "momentum": momentum,
            "nesterov": nesterov,
            "weight_decay": weight_decay,
            "match": match,
            "relative": relative,
            "adjust_lr_fn": adjust_lr_fn,
            "maximize": maximize,
        }
        super().__init__(params, defaults, objects=("f",), check_finite=check_finite)

    def object_label(self, value: Any) -> str:
        """Label of a function: its repr, or its qualified name where the repr is an address.

        Args:
            value: the function.

        Returns:
            The label, the same in every run.

        Source: elementary.
        """
        label = repr(value)
        if " at 0x" not in label:
            return label
        named = value if hasattr(value, "__qualname__") else type(value)
        return f"{named.__module__}.{named.__qualname__}"

    def check_options(self, options: dict[str, Any]) -> None:
        """Raise for options or parameters that the rule cannot take.

        Args:
            options: a group with the defaults filled in; "params" may be missing.

        Raises:
            ValueError: if an option is out of range.
            TypeError: if f is not callable.

        Source: elementary.
        """
        f = self._object(options, "f")
        if not callable(f) or isinstance(f, type):
            raise TypeError(f"f is {f!r}; give a callable from singular values to values, e.g. Power(0.5)")
        if options["match"] not in MATCHES:
            raise ValueError(f"match is {options['match']!r}; choose one of {MATCHES}")
        super().check_options(options)

    def direction(self, X: Tensor, group: dict[str, Any]) -> Tensor:
        """Minus U f(sigma) V^T of a batch of matrices, rescaled as the group asks.

        Args:
            X: LMO inputs, shape (batch, m, n), finite.
            group: a parameter group.

        Returns:
            Tensor of X's shape and dtype; zero matrices stay zero.

        Source: elementary.
        """
        f, tolerance = self._object(group, "f"), default_rank_tolerance(X.shape[-2], X.shape[-1], X.dtype)
        Y, exponent = to_float64(X)
        U, sigma, Vh = _svd(Y)
        alive = (sigma > tolerance * sigma[:, :1]) & (sigma > 0)
        if group["relative"]:
            sigma = sigma / torch.where(sigma[:, :1] > 0, sigma[:, :1], 1.0)
        elif exponent is not None:
            sigma = torch.ldexp(sigma, exponent[:, None])
        values = torch.stack([_mapped(f, each, kept) for each, kept in zip(sigma, alive, strict=True)])
        values = values * _factor(values, alive, group["match"])
        return -((U * values[:, None, :]) @ Vh).to(X)


def _svd(Y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Thin singular value decomposition of a batch."""
    return torch.linalg.svd(Y, full_matrices=False)


def _mapped(f: SpectrumFunction, sigma: Tensor, alive: Tensor) -> Tensor:
    """The function at the singular values of one matrix, zero in zero directions; checked."""
    values = f(sigma.clone())
    if not isinstance(values, Tensor):
        raise TypeError(f"f returned {type(values).__name__}; it must return a tensor. Nothing was changed")
    if values.shape != sigma.shape:
        raise ValueError(
            f"f returned shape {tuple(values.shape)} for {tuple(sigma.shape)}; it must keep the shape. "
            "Nothing was changed"
        )
    values = torch.where(alive, values.to(sigma), 0.0)
    if not bool(torch.isfinite(values).all()):
        worst = float(sigma[~torch.isfinite(values)][0])
        raise ValueError(f"f returned NaN or inf, first at sigma = {worst:g}; it must be finite. Nothing was changed")
    return values


def _factor(values: Tensor, alive: Tensor, match: str) -> Tensor:
    """What the mapped values of each matrix are multiplied by, shape (batch, 1)."""
    largest = values.abs().amax(-1, keepdim=True)
    if match == "none":
        return torch.ones_like(largest)
    scaled = values / torch.where(largest > 0, largest, 1.0)
    size = scaled.norm(dim=-1, keepdim=True) if match != "spectral" else (largest > 0).to(values)
    target = alive.sum(-1, keepdim=True).to(values).sqrt() if match == "polar" else torch.ones_like(size)
    return torch.where(size > 0, target / torch.where(size > 0, size * largest, 1.0), 0.0)
