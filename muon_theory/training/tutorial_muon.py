"""The tutorial's Muon, one rule for all parameters: matrices and kernels orthogonalised, vectors by heavy ball.

The library's `Muon` with torch's SGD beside it gives the same steps up to bfloat16 rounding where kernels are square (a
test compares them). This class has the tutorial's shape factor for any kernel, and is lean enough for a CPU.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, overload

import torch
from torch import Tensor

from muon_theory.polar.gram_iteration import polynomial_of_gram

JORDAN = (3.4445, -4.7750, 2.0315)
_MANY_ROWS = 512  # from here on products by halves, and two steps on one Gram matrix, are faster


class TutorialMuon(torch.optim.Optimizer):
    """Muon as the tutorial trains with it.

    With gradient G and momentum b, for tensors of two or more dimensions, flattened to (out, -1)::

        B <- b B + (1 - b) G,  X = b B + (1 - b) G,  W <- (1 - lr w) W - lr c O,  O = five Jordan steps on X in bfloat16

    with c = sqrt(max(1, r)) and r the ratio of the last two dimensions of the tensor *before* it is flattened: rows to
    columns of a matrix, but 1 for a square kernel, whatever its channels. For vectors: B <- b B + G, w <- w - lr
    (G + b B), without the factor 1 - b, so that they move as with a learning rate 1 / (1 - b) times as large.

    Args:
        params: parameters or parameter groups.
        lr: learning rate, >= 0.
        momentum: b in [0, 1).
        weight_decay: w >= 0, of tensors of two or more dimensions; the tutorial has none.

    Raises:
        ValueError: if an argument is out of range.

    Source: Wei 2025, "Understanding the Muon Optimizer".

    Cost: the Newton-Schulz products in bfloat16: about a third of forward and backward of the tutorial's convolutional
    network with batches of 128, on a CPU with such products.

    >>> weight = torch.nn.Parameter(torch.zeros(2, 2))
    >>> optimizer = TutorialMuon([weight], lr=0.1)
    >>> (weight * torch.eye(2)).sum().backward()
    >>> optimizer.step()
    >>> bool((weight.diagonal() < -0.06).all()), weight[0, 1].item()
    (True, 0.0)
    """

    def __init__(
        self, params: Iterable[Any], lr: float = 1e-2, momentum: float = 0.95, weight_decay: float = 0.0
    ) -> None:
        for name, value, below in (("lr", lr, math.inf), ("momentum", momentum, 1.0), ("weight_decay", weight_decay,
                                                                                        math.inf)):  # fmt: skip
            if not 0 <= value < below:
                raise ValueError(f"{name} is {value!r}; it must be in [0, {below:g})")
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        self.lmo_inputs: dict[Tensor, Tensor] = {}

    def lmo_input(self, parameter: Tensor) -> Tensor | None:
        """LMO input: the matrix that was orthogonalised in the last step.

        Args:
            parameter: a parameter of this optimizer.

        Returns:
            The matrix, shape (out, -1), or None for a vector or before the first step.

        Source: elementary.
        """
        return self.lmo_inputs.get(parameter)

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Take one step; parameters without a gradient are left alone.

        Args:
            closure: recomputes the loss and the gradients, as in torch.

        Returns:
            The closure's loss, or None without one.

        Source: Wei 2025.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if "momentum_buffer" not in state:
                    state["momentum_buffer"] = torch.zeros_like(parameter)
                move = self._step_matrix if parameter.ndim >= 2 else self._step_vector
                move(parameter, parameter.grad, state["momentum_buffer"], group)
        return loss

    def _step_matrix(self, parameter: Tensor, gradient: Tensor, buffer: Tensor, group: dict[str, Any]) -> None:
        """Orthogonalise the look-ahead and step."""
        buffer.lerp_(gradient, 1 - group["momentum"])
        X = gradient.lerp(buffer, group["momentum"]).flatten(1)
        self.lmo_inputs[parameter] = X
        factor = math.sqrt(max(1.0, parameter.shape[-2] / parameter.shape[-1]))
        if group["weight_decay"]:
            parameter.mul_(1 - group["lr"] * group["weight_decay"])
        update = five_jordan_steps(X).reshape(parameter.shape)
        parameter.add_(update, alpha=-group["lr"] * factor)

    def _step_vector(self, parameter: Tensor, gradient: Tensor, buffer: Tensor, group: dict[str, Any]) -> None:
        """Heavy ball with a look-ahead."""
        buffer.mul_(group["momentum"]).add_(gradient)
        parameter.add_(gradient.add(buffer, alpha=group["momentum"]), alpha=-group["lr"])


def five_jordan_steps(X: Tensor) -> Tensor:
    """Five steps of Jordan's quintic in bfloat16, from X / ||X||_F.

    Of large matrices at least twice as wide as high (or the reverse), two steps are taken at once on the Gram matrix:
    the same polynomial in a fifth less time, rounded about as well. Three at once bfloat16 does not survive.

    Args:
        X: shape (m, n), finite.

    Returns:
        The approximate polar factor in bfloat16, shape (m, n); zero stays zero.

    Source: Jordan 2024; Wei 2025.

    >>> five_jordan_steps(torch.diag(torch.tensor([3.0, 4.0]))).diagonal().float().round(decimals=1)
    tensor([0.7000, 1.1000])
    """
    tall = X.shape[0] > X.shape[1]
    Y = (X.mT if tall else X).bfloat16().contiguous()
    Y = Y / (torch.linalg.vector_norm(Y) + 1e-7)
    for steps in (2, 2, 1) if _MANY_ROWS <= len(Y) <= Y.shape[1] // 2 else (1,) * 5:
        Y = polynomial_of_gram(_gram(Y), JORDAN, Y) if steps == 1 else _two_steps(Y)
    return Y.mT if tall else Y


def _two_steps(Y: Tensor) -> Tensor:
    """p(R') p(R) Y with R' = p(R) R p(R); p(R) = c I + S is never formed, which would round the identity's part."""
    c, R = JORDAN[0], _gram(Y)
    S = torch.addmm(R, R, R, beta=JORDAN[1], alpha=JORDAN[2])
    half = torch.addmm(R, S, R, beta=c)
    R = torch.addmm(half, half, S, beta=c)
    T = torch.addmm(R, R, R, beta=JORDAN[1], alpha=JORDAN[2])
    both = torch.addmm(S, T, S, beta=c).add_(T, alpha=c)
    return torch.addmm(Y, both, Y, beta=c * c)


def _gram(Y: Tensor) -> Tensor:
    """Y Y^T, of many rows by halves: the block below the diagonal is the mirror image of the one above."""
    n = len(Y)
    if n < _MANY_ROWS:
        return Y @ Y.mT
    half = n // 2
    A = Y.new_empty(n, n)
    torch.mm(Y[:half], Y.mT, out=A[:half])
    torch.mm(Y[half:], Y[half:].mT, out=A[half:, half:])
    A[half:, :half] = A[:half, half:].mT
    return A
