"""MuonAll: one rule for every tensor. A vector is orthogonalised as the diagonal matrix that it spans, at O(n) cost.

The polar factor of diag(g) is diag(sign(g)); Newton-Schulz sends diag(g) to the diagonal matrix of its scalar map, so
that neither the n x n matrix nor its products are ever needed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from muon_theory.optimizers.checked_optimizer import CheckedOptimizer, alike, matrix_shape, signed_gradient
from muon_theory.optimizers.muon import AdjustLearningRate, shape_factor
from muon_theory.optimizers.orthogonal_step import Orthogonalizer
from muon_theory.optimizers.validation import check_iteration, check_number, check_parameters
from muon_theory.polar import CoefficientSet, coefficient_set
from muon_theory.polar.exact import default_rank_tolerance


def orthogonalize_diagonal(
    g: Tensor, method: str | CoefficientSet = "jordan_2024", steps: int = 6, *, compute_dtype: torch.dtype | None = None
) -> Tensor:
    """The diagonal of `orthogonalize(diag(g), method, steps)`, computed entry by entry.

    x_0 = g / (norm_safety ||g||_2), x_t = c1 x + (c3 s + c5 s^2 + ...) x with s = x^2; the products are rounded in the
    order (c5 s) s + c3 s in which the dense iteration c1 X + (c3 A + (c5 A) A) X rounds them, so that the two agree to
    the bit in half precision. A preconditioned method ("aol") starts from sign(g) / norm_safety.

    Args:
        g: vectors of shape (*batch, n), real floating point, finite; not modified.
        method: a key of `COEFFICIENTS`, "taylor_<degree>", or a `CoefficientSet`.
        steps: number of steps, an integer >= 0.
        compute_dtype: dtype of the steps; None takes g's, and float32 for half precision.

    Returns:
        Shape and dtype of g. A zero vector stays zero, a zero entry too.

    Source: derived here (a diagonal matrix stays diagonal), checked in tests/optimizers; the rule is that of Page,
    Joshi, Sonawane 2025, arXiv 2511.06086, which forms the matrix.

    Accuracy: the scalar map up to rounding times its slope, at most the product of the leading coefficients.

    Cost: about 4 passes a quintic step; the matrix form takes 3 n^3 multiplications a step and n^2 memory.

    >>> orthogonalize_diagonal(torch.tensor([3e-20, -4e-20, 0.0]), "taylor_5", 6).round(decimals=4)
    tensor([ 1., -1.,  0.])
    """
    chosen = coefficient_set(method)
    rows = chosen.coefficients(steps)
    narrow = g.dtype.itemsize < 4
    dtype = compute_dtype or (torch.float32 if narrow else g.dtype)
    x = _normalized(g.to(torch.promote_types(torch.promote_types(g.dtype, dtype), torch.float32)))
    if rows and chosen.preconditioner == "aol":
        x = x.sign()
    x = (x / float(chosen.norm_safety) if rows else x).to(dtype)
    for row in rows:
        square = x * x
        factor = row[-1] * square
        for c in row[-2:0:-1]:
            factor = factor * square + c * square
        x = row[0] * x + factor * x
    return x.to(g.dtype)


def _normalized(g: Tensor) -> Tensor:
    """Vectors divided by their norm, at any scale; zero stays zero."""
    largest = g.abs().amax(-1, keepdim=True)
    g = g / torch.where(largest > 0, largest, 1.0)
    norm = torch.linalg.vector_norm(g, dim=-1, keepdim=True)
    return g / torch.where(norm > 0, norm, 1.0)


class MuonAll(CheckedOptimizer):
    """MuonAll, Muon for every tensor of a model: matrices as they are, vectors as diagonal matrices.

    With gradient G, buffer B, momentum b, learning rate lr, decay w and shape factor c::

        B <- b B + (1 - b) G
        X  = b B + (1 - b) G  with Nesterov, else B     (`lmo_input`)
        O  = orthogonalize(X) for a matrix, orthogonalize_diagonal(X) for a vector or scalar
        W <- (1 - lr w) W - lr c O

    The source keeps the heavy-ball buffer B <- b B + G, which is 1 / (1 - b) times this one: the steps are the same.
    Embeddings and output heads are orthogonalised too. With one learning rate an entry of a vector moves about sqrt(n)
    times as far as an entry of an n x n matrix: O of a vector has entries of about +-1, which is sign descent smoothed.

    Args:
        params: parameters, named parameters or parameter groups; each tensor real floating point, of any dimension;
            tensors of more than two dimensions are flattened to (out, -1).
        lr: learning rate >= 0; the source's default .02.
        weight_decay: decoupled decay w >= 0; the source has none.
        momentum: b in [0, 1).
        nesterov: whether X looks one step ahead.
        ns_steps: number of Newton-Schulz steps, 0 to 99; the source takes 6.
        adjust_lr_fn: None, "original", "match_rms_adamw" or "spectral" for matrices, see `shape_factor`; for a vector,
            a square matrix of n^2 entries of which n are used, c is 1, and .2 with "match_rms_adamw".
        method: a key of `COEFFICIENTS` or "taylor_<degree>".
        exact: whether O is the exact polar factor: for a vector its signs.
        compute_dtype: dtype of the iteration; None leaves it to `orthogonalize`.
        maximize: whether to ascend.
        check_finite: whether each step first looks for NaN and inf and raises before anything is changed; None: on CPU.

    Raises:
        ValueError: if an argument is out of range.
        TypeError: if a parameter is not a real floating-point tensor.

    Source: Page, Joshi, Sonawane 2025, arXiv 2511.06086, and its released code; the O(n) form is derived here.

    Cost: of a matrix as for `Muon`, of a vector O(n).

    >>> gain = torch.nn.Parameter(torch.ones(2))
    >>> optimizer = MuonAll([gain], lr=0.1, exact=True)
    >>> (gain @ torch.tensor([3.0, -4.0])).backward()
    >>> optimizer.step()
    >>> gain.data
    tensor([0.9000, 1.1000])
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 0.02,
        weight_decay: float = 0.0,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_steps: int = 6,
        adjust_lr_fn: AdjustLearningRate | None = None,
        *,
        method: str = "jordan_2024",
        exact: bool = False,
        compute_dtype: torch.dtype | None = None,
        maximize: bool = False,
        check_finite: bool | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "nesterov": nesterov,
            "ns_steps": ns_steps,
            "adjust_lr_fn": adjust_lr_fn,
            "method": method,
            "exact": exact,
            "compute_dtype": compute_dtype,
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
        """  # noqa: DOC502  (raised by the checks below)
        check_number("lr", options["lr"])
        check_number("weight_decay", options["weight_decay"])
        check_number("momentum", options["momentum"], below=1.0)
        shape_factor(1, 1, options["adjust_lr_fn"])
        coefficient_set(options["method"])
        check_iteration(options | {"method": "jordan_2024"} if options["exact"] else options)
        check_parameters(options, "MuonAll", dimensions=0, remedy="")

    def step_group(self, group: dict[str, Any], parameters: list[Tensor]) -> None:
        """Step the parameters of a group: vectors one by one, matrices of one shape together.

        Args:
            group: the group.
            parameters: those of its parameters that have a gradient.

        Source: Page, Joshi, Sonawane 2025.
        """
        vector_factor = 0.2 if group["adjust_lr_fn"] == "match_rms_adamw" else 1.0
        for parameter in (p for p in parameters if p.ndim < 2):
            X = self._advanced(parameter, group).reshape(-1)
            self._apply(parameter, X, self._of_vector(X, group), group, vector_factor)
        orthogonalizer = Orthogonalizer(
            group["method"], group["ns_steps"], exact=group["exact"], compute_dtype=group["compute_dtype"]
        )
        for shape, batch in alike(p for p in parameters if p.ndim >= 2):
            inputs = torch.stack([self._advanced(parameter, group).reshape(shape) for parameter in batch])
            factor = shape_factor(*matrix_shape(batch[0]), group["adjust_lr_fn"])
            for parameter, X, update in zip(batch, inputs, orthogonalizer(inputs), strict=True):
                self._apply(parameter, X, update, group, factor)

    def _advanced(self, parameter: Tensor, group: dict[str, Any]) -> Tensor:
        """The LMO input after advancing the momentum; never the buffer itself."""
        gradient = signed_gradient(parameter, group)
        buffer = self.momentum_buffer(parameter).lerp_(gradient, 1 - group["momentum"])
        return gradient.lerp(buffer, group["momentum"]) if group["nesterov"] else buffer.clone()

    def _of_vector(self, X: Tensor, group: dict[str, Any]) -> Tensor:
        """The update of a vector."""
        if not group["exact"]:
            return orthogonalize_diagonal(X, group["method"], group["ns_steps"], compute_dtype=group["compute_dtype"])
        tolerance = default_rank_tolerance(X.numel(), X.numel(), X.dtype)
        return torch.where(X.abs() > tolerance * X.abs().amax(), X.sign(), torch.zeros_like(X))

    def _apply(self, parameter: Tensor, X: Tensor, update: Tensor, group: dict[str, Any], factor: float) -> None:
        """Decay and step one parameter."""
        lr = float(group["lr"])
        self.lmo_inputs[parameter] = X
        parameter.mul_(1 - lr * group["weight_decay"])
        parameter.add_(update.reshape(parameter.shape), alpha=-lr * factor)
