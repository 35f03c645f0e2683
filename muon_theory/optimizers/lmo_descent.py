"""Momentum and the linear minimization oracle of a norm: normalised SGD, sign descent, Muon and their kin at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor

from muon_theory.norms import Frobenius, MaxEntry, Norm, SumEntries
from muon_theory.optimizers.matrix_descent import MatrixDescent, Nesterov, ShapeRule

_ENTRYWISE = (Frobenius, MaxEntry, SumEntries)


class LmoDescent(MatrixDescent):
    """Descent along the oracle of a norm: argmin over the unit ball of <X, D>, X the momentum.

    The step is `W <- (1 - lr w) W + lr c norm.lmo(X)`, see `MatrixDescent`. Frobenius() is normalised SGD, MaxEntry()
    sign descent, Spectral() Muon with the exact polar factor, Nuclear() Neon, DualKyFan(k) Fanion-k. The step's length
    in the norm is lr c, whatever the gradient's scale; a zero X gives a zero step.

    Groups may have norms of their own. A state_dict holds a norm's repr, and loads into an optimizer that was built
    with the same norm. Frobenius and entrywise norms step vectors too, every other one matrices only.

    Args:
        params: parameters, named parameters or parameter groups.
        norm: a norm of `muon_theory.norms`.
        lr: learning rate >= 0 (as Muon's), a float or a tensor of one element.
        momentum: b in [0, 1).
        nesterov: True or "coded": what the codes and torch.optim.Muon do; "written": what the papers write; False.
            See `look_ahead_weight`.
        weight_decay: decoupled decay w >= 0, multiplied by the unadjusted lr.
        adjust_lr_fn: shape factor c: "none" is 1, the others are Muon's (None means "original"), see `shape_factor`.
        maximize: whether to ascend.
        check_finite: whether each step looks for NaN and inf in the gradients first and raises ValueError before
            anything is changed; None: on CPU only.

    Raises:
        ValueError: if an option or a parameter's shape is out of range, a group is empty or a parameter is given twice.
        TypeError: if the norm is none, or a parameter is not a real floating-point tensor.

    Source: Pethick et al. 2025, arXiv 2502.07529; arXiv 2512.09678v2, section 1.

    >>> import torch
    >>> weight = torch.nn.Parameter(torch.zeros(2, 2))
    >>> optimizer = LmoDescent([weight], MaxEntry(), lr=0.5)
    >>> weight.grad = torch.tensor([[3.0, -1.0], [0.0, 2.0]])
    >>> optimizer.step()
    >>> weight.tolist()
    [[-0.5, 0.5], [0.0, -0.5]]
    """  # noqa: DOC502  (raised by the checks below)

    def __init__(
        self,
        params: Iterable[Any],
        norm: Norm,
        lr: float | Tensor = 1e-3,
        momentum: float = 0.95,
        nesterov: Nesterov = True,
        weight_decay: float = 0.0,
        *,
        adjust_lr_fn: ShapeRule | None = "none",
        maximize: bool = False,
        check_finite: bool | None = None,
    ) -> None:
        defaults = {
            "norm": norm,
            "lr": lr,
            "momentum": momentum,
            "nesterov": nesterov,
            "weight_decay": weight_decay,
            "adjust_lr_fn": adjust_lr_fn,
            "maximize": maximize,
        }
        super().__init__(params, defaults, objects=("norm",), check_finite=check_finite)

    def check_options(self, options: dict[str, Any]) -> None:
        """Raise for options or parameters that the rule cannot take.

        Args:
            options: a group with the defaults filled in; "params" may be missing.

        Raises:
            TypeError: if the norm is none.

        Source: elementary.
        """
        norm = self._object(options, "norm")
        if isinstance(norm, type) or not callable(getattr(norm, "lmo", None)):
            raise TypeError(f"norm is {norm!r}; give a norm with an lmo, e.g. muon_theory.norms.Spectral()")
        super().check_options(options)

    def least_dimensions(self, options: dict[str, Any]) -> int:
        """Least number of dimensions of the parameters of a group: 1 where the norm means the same for vectors.

        Args:
            options: a group with the defaults filled in.

        Returns:
            1 for Frobenius and entrywise norms, else 2.

        Source: elementary.
        """
        return 1 if isinstance(self._object(options, "norm"), _ENTRYWISE) else 2

    def direction(self, X: Tensor, group: dict[str, Any]) -> Tensor:
        """Oracle of the group's norm at a batch of matrices.

        Args:
            X: LMO inputs, shape (batch, m, n), finite.
            group: a parameter group.

        Returns:
            norm.lmo(X), of X's shape and dtype: `<X, D> = -dual(X)`.

        Source: Pethick et al. 2025, arXiv 2502.07529.
        """
        return self._object(group, "norm").lmo(X).to(X.dtype)


def sign_descent(params: Iterable[Any], lr: float | Tensor = 1e-3, **options: Any) -> LmoDescent:
    """Sign descent with momentum (Signum): the oracle of the largest absolute entry.

    Args:
        params: parameters of any number of dimensions, or groups of them.
        lr: learning rate, the absolute change of every entry whose momentum is not zero.
        **options: further arguments of `LmoDescent`.

    Returns:
        LmoDescent with MaxEntry().

    Source: Bernstein et al. 2018, arXiv 1802.04434 (signSGD).

    >>> import torch
    >>> bias = torch.nn.Parameter(torch.zeros(3))
    >>> bias.grad = torch.tensor([1e-6, 0.0, -2.0])
    >>> sign_descent([bias], lr=0.25).step()
    >>> bias.tolist()
    [-0.25, 0.0, 0.25]
    """
    return LmoDescent(params, MaxEntry(), lr, **options)


def normalized_sgd(params: Iterable[Any], lr: float | Tensor = 1e-3, **options: Any) -> LmoDescent:
    """Normalised SGD with momentum: the oracle of the Frobenius norm, for every tensor by itself.

    Args:
        params: parameters of any number of dimensions, or groups of them.
        lr: learning rate, the Frobenius norm of every tensor's step.
        **options: further arguments of `LmoDescent`.

    Returns:
        LmoDescent with Frobenius().

    Source: Cutkosky, Mehta 2020, arXiv 2002.03305.

    >>> import torch
    >>> weight = torch.nn.Parameter(torch.zeros(1, 2))
    >>> weight.grad = torch.tensor([[3.0, 4.0]])
    >>> normalized_sgd([weight], lr=0.5).step()
    >>> weight.detach()
    tensor([[-0.3000, -0.4000]])
    """
    return LmoDescent(params, Frobenius(), lr, **options)
