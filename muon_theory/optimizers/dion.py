"""Dion: a rank-r step from one warm-started power iteration, with the part that was not used fed back.

The momentum B is seen through P, an orthonormal basis of the range of B Q, and R = B^T P. The step is P W^T with W made
from R, and only the part P R^T of B that the step could use is damped: what was not used stays in the buffer until its
turn comes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Literal

import torch
from torch import Tensor

from muon_theory.optimizers.checked_optimizer import CheckedOptimizer, alike, matrix_shape, signed_gradient
from muon_theory.optimizers.low_rank import (
    RIGHT_FACTORS,
    LowRankFactors,
    RightFactor,
    low_rank_direction,
    low_rank_factors,
)
from muon_theory.optimizers.validation import check_number, check_parameters, parameter_label
from muon_theory.polar.exact import default_rank_tolerance


class Dion(CheckedOptimizer):
    """Dion, Muon at rank r: a power iteration in place of an orthogonalization, with error feedback.

    With gradient G, buffer M, momentum mu, learning rate lr, decay w, W seen as an m x n matrix::

        B  = M + G                                       (`lmo_input`)
        P, R, Q = low_rank_factors(B, Q)
        M <- B - (1 - mu) P R^T                          (error feedback; without it M <- mu B)
        W <- (1 - lr w) W - lr sqrt(m / n) low_rank_direction(P, R)

    At r = min(m, n) with the polar right factor this is Muon with heavy-ball momentum; at smaller rank the error
    feedback makes every mode of the gradient take its turn.

    Args:
        params: parameters, named parameters or parameter groups; each tensor real floating point with ndim >= 2; more
            than two dimensions are flattened to (out, -1).
        lr: learning rate >= 0.
        momentum: mu in [0, 1).
        weight_decay: decoupled decay w >= 0, multiplied by the unadjusted lr.
        rank: r, at most min(m, n) of every parameter of the group; None takes ceil(rank_fraction * min(m, n)).
        rank_fraction: in (0, 1], used when `rank` is None.
        right: how the right factor is made from R, see `low_rank_direction`: "unit_columns" as published, "polar" or
            "qr".
        lr_scale: "spectral" multiplies the step by sqrt(m / n); "none" does not.
        error_feedback: whether only the used part of B is damped.
        exact: whether P and Q are the leading singular vectors of B by SVD: the step is then the linear minimization
            oracle of the dual Ky Fan r norm, whatever `right` is.
        power_iterations: iterations a step, at least 1.
        transpose: whether the iteration works on B^T, so that the QR is of an n x r matrix; None: when m > n.
        seed: of the first Q, together with the indices of group and parameter.
        maximize: whether to ascend.
        check_finite: whether each step first looks for NaN and inf and raises before anything is changed; None: on CPU.

    Raises:
        ValueError: if an argument or a parameter's shape is out of range.
        TypeError: if a parameter is not a real floating-point tensor.

    Source: Ahn, Xu, Abreu, Langford 2025, arXiv 2504.05295. Its code replaces the QR by a randomized Cholesky QR.

    Accuracy: half precision is computed in float32; M and Q are stored in the parameter's dtype.

    Cost: 5 m n r multiplications and a QR of a min(m, n) x r matrix; memory: M and max(m, n) r entries of Q.

    >>> weight = torch.nn.Parameter(torch.zeros(3, 2))
    >>> optimizer = Dion([weight], lr=0.1, rank=1, lr_scale="none", exact=True)
    >>> (2 * weight[0, 0] + weight[1, 1]).backward()
    >>> optimizer.step()
    >>> bool(torch.allclose(weight, torch.tensor([[-0.1, 0.0], [0.0, 0.0], [0.0, 0.0]])))
    True
    """

    state_names = frozenset({"momentum_buffer", "right_factor"})

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 0.01,
        momentum: float = 0.95,
        weight_decay: float = 0.01,
        *,
        rank: int | None = None,
        rank_fraction: float = 1.0,
        right: RightFactor = "unit_columns",
        lr_scale: Literal["spectral", "none"] = "spectral",
        error_feedback: bool = True,
        exact: bool = False,
        power_iterations: int = 1,
        transpose: bool | None = None,
        seed: int = 0,
        maximize: bool = False,
        check_finite: bool | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "weight_decay": weight_decay,
            "rank": rank,
            "rank_fraction": rank_fraction,
            "right": right,
            "lr_scale": lr_scale,
            "error_feedback": error_feedback,
            "exact": exact,
            "power_iterations": power_iterations,
            "transpose": transpose,
            "seed": seed,
            "maximize": maximize,
        }
        super().__init__(params, defaults, check_finite=check_finite)

    def check_options(self, options: dict[str, Any]) -> None:
        """Raise for options or parameters out of range.

        Args:
            options: a group with the defaults filled in.

        Raises:
            ValueError: if one is out of range.

        Source: elementary.
        """
        check_number("lr", options["lr"])
        check_number("weight_decay", options["weight_decay"])
        check_number("momentum", options["momentum"], below=1.0)
        _check_integer("power_iterations", options["power_iterations"], 1)
        _check_integer("seed", options["seed"], 0)
        if not 0 < options["rank_fraction"] <= 1:
            raise ValueError(f"rank_fraction is {options['rank_fraction']!r}; it must be in (0, 1]")
        for name, choices in (("right", RIGHT_FACTORS), ("lr_scale", ("spectral", "none"))):
            if options[name] not in choices:
                raise ValueError(f"{name} is {options[name]!r}; choose one of {choices}")
        remedy = "Dion steps matrices: give vectors and scalars to AdamW"
        check_parameters(options, "Dion", dimensions=2, remedy=remedy)
        if options["rank"] is not None:
            _check_integer("rank", options["rank"], 1)
            for index, entry in enumerate(options.get("params", ())):
                name, parameter = entry if isinstance(entry, tuple) else (f"parameter {index}", entry)
                smaller = min(parameter.shape[0], parameter.numel() // parameter.shape[0])
                if options["rank"] > smaller:
                    shape = tuple(parameter.shape)
                    raise ValueError(f"rank is {options['rank']}, but {name} of shape {shape} has rank {smaller} only")

    def _check_state(self) -> None:
        """Refuse, too, a rank or an orientation that is not the state's."""
        super()._check_state()
        for g, group in enumerate(self.param_groups):
            for i, parameter in enumerate(group["params"]):
                state = self.state.get(parameter, {})
                if "right_factor" in state and not group["exact"]:
                    size = self._size_of_right_factor(group, matrix_shape(parameter))
                    if tuple(state["right_factor"].shape) != size:
                        raise ValueError(
                            f"the right factor of {parameter_label(self, g, i)} has shape "
                            f"{tuple(state['right_factor'].shape)}, the group asks for {size}; nothing was changed: "
                            "rank and transpose are set before the first step"
                        )

    @staticmethod
    def _size_of_right_factor(group: dict[str, Any], shape: tuple[int, int]) -> tuple[int, int]:
        """Rows and columns of Q."""
        rows, columns = shape
        transposed = rows > columns if group["transpose"] is None else bool(group["transpose"])
        return rows if transposed else columns, _rank_of(group, rows, columns)

    # Tracing the loop over shapes gave the second shape the first one's directions (torch 2.13): it runs untraced.
    @torch._disable_dynamo  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]
    def step_group(self, group: dict[str, Any], parameters: list[Tensor]) -> None:
        """Step the parameters of a group, those of one shape together.

        Args:
            group: the group.
            parameters: those of its parameters that have a gradient.

        Source: Ahn et al. 2025, Algorithm 1.
        """
        for shape, batch in alike(parameters):
            self._step_alike(group, shape, batch)

    def _step_alike(self, group: dict[str, Any], shape: tuple[int, int], batch: list[Tensor]) -> None:
        """Step parameters that are matrices of one shape."""
        rows, columns = shape
        states = [self._state_of(parameter, group, shape) for parameter in batch]
        dtype = torch.promote_types(batch[0].dtype, torch.float32)
        gradients = torch.stack([signed_gradient(parameter, group).reshape(shape).to(dtype) for parameter in batch])
        momenta = torch.stack([state["momentum_buffer"].reshape(shape).to(dtype) for state in states])
        B = momenta + gradients
        transposed = rows > columns if group["transpose"] is None else bool(group["transpose"])
        scale = _power_of_two(B)  # against overflow of B Q; exact
        worked = (B.mT.contiguous() if transposed else B) / scale
        factors, D = self._factors(worked, states, group)
        used = (factors.P @ factors.R.mT) * scale
        used, D = (used.mT, D.mT) if transposed else (used, D)
        mu = group["momentum"]
        momenta = B - (1 - mu) * used if group["error_feedback"] else mu * B
        lr = float(group["lr"])
        step = lr * (math.sqrt(rows / columns) if group["lr_scale"] == "spectral" else 1.0)
        for i, (parameter, state) in enumerate(zip(batch, states, strict=True)):
            self.lmo_inputs[parameter] = B[i].to(parameter.dtype)
            state["momentum_buffer"].copy_(momenta[i].reshape(parameter.shape))
            if "right_factor" in state:
                state["right_factor"].copy_(factors.Q[i])
            parameter.mul_(1 - lr * group["weight_decay"])
            parameter.add_(D[i].reshape(parameter.shape).to(parameter.dtype), alpha=-step)

    def _factors(self, B: Tensor, states: list[dict[str, Any]], group: dict[str, Any]) -> tuple[LowRankFactors, Tensor]:
        """P, R, Q and the direction of a batch."""
        if not group["exact"]:
            Q = torch.stack([state["right_factor"].to(B.dtype) for state in states])
            factors = low_rank_factors(B, Q, power_iterations=group["power_iterations"])
            return factors, low_rank_direction(factors.P, factors.R, right=group["right"])
        r = _rank_of(group, B.shape[-2], B.shape[-1])
        U, sigma, V = torch.linalg.svd(B, full_matrices=False)
        tolerance = default_rank_tolerance(B.shape[-2], B.shape[-1], B.dtype)
        kept = (sigma > tolerance * sigma[..., :1])[..., None, :r]
        P, Q = U[..., :r], torch.where(kept, V.mT[..., :r], torch.zeros_like(V.mT[..., :r]))
        return LowRankFactors(P, Q * sigma[..., None, :r], Q), P @ Q.mT

    def _state_of(self, parameter: Tensor, group: dict[str, Any], shape: tuple[int, int]) -> dict[str, Any]:
        """The state of a parameter, made on its first step: M = 0, and Q Gaussian unless the SVD makes it idle."""
        self.momentum_buffer(parameter)
        state = self.state[parameter]
        if "right_factor" not in state and not group["exact"]:
            size = self._size_of_right_factor(group, shape)
            generator = torch.Generator().manual_seed(self._seed_of(parameter, group))
            Q = torch.randn(size, generator=generator, dtype=torch.float64)
            Q = Q / torch.linalg.vector_norm(Q, dim=0)
            state["right_factor"] = Q.to(device=parameter.device, dtype=parameter.dtype)
        return state

    def _seed_of(self, parameter: Tensor, group: dict[str, Any]) -> int:
        """Seed of a parameter's first Q: fixed by the option and by where the parameter stands."""
        indices = [
            (g, i) for g, other in enumerate(self.param_groups) for i, p in enumerate(other["params"]) if p is parameter
        ]
        g, i = indices[0]
        return (group["seed"] * 1_000_003 + g) * 1_000_003 + i


def _power_of_two(B: Tensor) -> Tensor:
    """A power of two (batch, 1, 1) by the largest entry of each matrix; one for a zero matrix."""
    largest = B.abs().amax((-2, -1), keepdim=True)
    return torch.where(largest > 0, largest / (2 * torch.frexp(largest)[0]), 1.0)


def _rank_of(group: dict[str, Any], rows: int, columns: int) -> int:
    """The rank a group's options mean for a matrix."""
    smaller = min(rows, columns)
    return group["rank"] if group["rank"] is not None else math.ceil(group["rank_fraction"] * smaller)


def _check_integer(name: str, value: Any, least: int) -> None:
    """Check that an option is an integer, at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{name} is {value!r}; it must be an integer >= {least}")
