"""Fanions: descent along the leading k singular directions of the momentum, alone or blended with a second oracle."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Literal

from torch import Tensor

from muon_theory.norms import Frobenius, MaxEntry, Norm
from muon_theory.optimizers.checked_optimizer import matrix_shape
from muon_theory.optimizers.leading_directions import DEFAULT_ACCURACY, leading_directions
from muon_theory.optimizers.matrix_descent import MatrixDescent, Nesterov, ShapeRule

AdjustedPart = Literal["blend", "leading"]

ADJUSTED_PARTS = ("blend", "leading")


class Fanion(MatrixDescent):
    """Fanion-k: descent along P_k(X) = sum over i <= k of u_i v_i^T, the oracle of the dual Ky Fan k norm.

    The step is `W <- (1 - lr w) W - lr c P_k(X)`, see `MatrixDescent`; `||P_k||_F = sqrt(k)`. k = 1 is Neon, k = r (the
    smaller size) Muon with the exact polar factor. A k that is not whole takes a fraction of the next direction. Zero
    directions stay zero, so fewer than k are taken where the rank of X is below k.

    Args:
        params: parameters, named parameters or parameter groups; each tensor with ndim >= 2.
        k: how many directions, 1 <= k <= min(rows, columns) of every matrix of the group; None: all of each matrix.
        lr: learning rate >= 0 (as Muon's), a float or a tensor of one element.
        momentum: b in [0, 1).
        nesterov: True or "coded" (the published code, torch's Muon), "written" (the paper) or False.
        weight_decay: decoupled decay w >= 0, multiplied by the unadjusted lr.
        adjust_lr_fn: shape factor c: "none" is 1 (as published), the others are Muon's.
        accuracy: relative Frobenius error of P_k allowed where Lanczos finds it, in (0, 1): matrices with more than 400
            rows and columns and 16 k, see `leading_directions`. All others are exact.
        maximize: whether to ascend.
        check_finite: whether each step looks for NaN and inf in the gradients first; None: on CPU only.

    Raises:
        ValueError: if an option or a parameter's shape is out of range, a group is empty or a parameter is given twice.
        TypeError: if a parameter is not a real floating-point tensor.

    Source: arXiv 2512.09678v2, lemma on the oracle of the dual Ky Fan ball.

    >>> import torch
    >>> weight = torch.nn.Parameter(torch.zeros(3, 3))
    >>> weight.grad = torch.diag(torch.tensor([3.0, 2.0, 1.0]))
    >>> Fanion([weight], k=2, lr=1.0).step()
    >>> weight.detach().diagonal()
    tensor([-1., -1.,  0.])
    """  # noqa: DOC502  (raised by the checks below)

    def __init__(
        self,
        params: Iterable[Any],
        k: float | None,
        lr: float | Tensor = 1e-3,
        momentum: float = 0.95,
        nesterov: Nesterov = True,
        weight_decay: float = 0.0,
        *,
        adjust_lr_fn: ShapeRule | None = "none",
        accuracy: float = DEFAULT_ACCURACY,
        maximize: bool = False,
        check_finite: bool | None = None,
        **blend: Any,
    ) -> None:
        defaults = {
            "k": k,
            "lr": lr,
            "momentum": momentum,
            "nesterov": nesterov,
            "weight_decay": weight_decay,
            "adjust_lr_fn": adjust_lr_fn,
            "accuracy": accuracy,
            "maximize": maximize,
        }
        unknown = blend.keys() - self._blend_options
        if unknown:
            raise TypeError(f"{type(self).__name__} has no option {sorted(unknown)[0]!r}")
        super().__init__(params, defaults | blend, check_finite=check_finite)

    _blend_options: frozenset[str] = frozenset()

    def check_options(self, options: dict[str, Any]) -> None:
        """Raise for options or parameters that the rule cannot take.

        Args:
            options: a group with the defaults filled in; "params" may be missing.

        Raises:
            ValueError: if k, accuracy, alpha, eta, adjusted_part or another option is out of range, or a matrix has
                fewer than k directions.

        Source: elementary.
        """
        k = options["k"]
        if k is not None and (isinstance(k, bool) or not isinstance(k, int | float) or not 1 <= k < math.inf):
            raise ValueError(f"k is {k!r}; it must be a number >= 1, or None for all directions")
        if not 0.0 < options.get("accuracy", DEFAULT_ACCURACY) < 1.0:
            raise ValueError(f"accuracy is {options['accuracy']!r}; it is a relative error and must be in (0, 1)")
        if not 0.0 <= options.get("alpha", 1.0) <= 1.0:
            raise ValueError(f"alpha is {options['alpha']!r}; it must be in [0, 1], or the blend is no norm's oracle")
        if not 0.0 < options.get("eta", 1.0) < math.inf:
            raise ValueError(f"eta is {options['eta']!r}; it must be finite and > 0")
        if options.get("adjusted_part", "blend") not in ADJUSTED_PARTS:
            raise ValueError(f"adjusted_part is {options['adjusted_part']!r}; choose one of {ADJUSTED_PARTS}")
        super().check_options(options)
        if k is None:
            return
        for index, entry in enumerate(options.get("params", ())):
            name, parameter = entry if isinstance(entry, tuple) else (f"parameter {index}", entry)
            if k > min(matrix_shape(parameter)):
                raise ValueError(
                    f"k is {k!r}, but {name} of shape {tuple(parameter.shape)} has {min(matrix_shape(parameter))} "
                    "directions only: lower k, take k=None for all, or give it a group with a k of its own"
                )

    def direction(self, X: Tensor, group: dict[str, Any]) -> Tensor:
        """Minus the leading k singular directions of a batch of matrices.

        Args:
            X: LMO inputs, shape (batch, m, n), finite.
            group: a parameter group.

        Returns:
            -P_k(X), of X's shape and dtype.

        Source: arXiv 2512.09678v2, lemma on the oracle of the dual Ky Fan ball.
        """
        return -leading_directions(X, group["k"], group.get("accuracy", DEFAULT_ACCURACY))

    def step_factor(self, rows: int, columns: int, group: dict[str, Any]) -> float:
        """Factor that the direction of a matrix of this shape is multiplied by, besides the learning rate.

        Args:
            rows: of the flattened matrix.
            columns: of the flattened matrix.
            group: a parameter group.

        Returns:
            c of adjust_lr_fn, and 1 where `direction` has multiplied P_k by it.

        Source: derived here, checked in tests/optimizers/test_fanion.py.
        """
        return 1.0 if group.get("adjusted_part") == "leading" else super().step_factor(rows, columns, group)

    def _blended(self, X: Tensor, group: dict[str, Any], second: Norm) -> Tensor:
        """The Fanion direction and that of a second norm by their weights; a part of weight zero is not computed."""
        alpha = group["alpha"]
        if alpha == 0:
            return (group.get("eta", 1.0) * second.lmo(X)).to(X.dtype)
        c = super().step_factor(X.shape[-2], X.shape[-1], group) if group["adjusted_part"] == "leading" else 1.0
        leading = -c * alpha * leading_directions(X, group["k"], group.get("accuracy", DEFAULT_ACCURACY))
        if alpha == 1:
            return leading.to(X.dtype)
        return (leading + (1 - alpha) * group.get("eta", 1.0) * second.lmo(X)).to(X.dtype)


class Neon(Fanion):
    """Neon: descent along u_1 v_1^T, the leading singular direction of the momentum; the oracle of the nuclear norm.

    Args:
        params: parameters, named parameters or parameter groups; each tensor with ndim >= 2.
        lr: learning rate >= 0.
        momentum: b in [0, 1).
        nesterov: True or "coded", "written" or False.
        weight_decay: decoupled decay w >= 0.
        **options: further arguments of `Fanion`: adjust_lr_fn, accuracy, maximize, check_finite.

    Raises:
        ValueError: as `Fanion`.
        TypeError: as `Fanion`.

    Source: arXiv 2512.09678v2 (Neon: Fanion-1).

    >>> import torch
    >>> weight = torch.nn.Parameter(torch.zeros(2, 3))
    >>> weight.grad = torch.ones(2, 3)
    >>> Neon([weight], lr=6**0.5).step()
    >>> bool(torch.allclose(weight, -torch.ones(2, 3)))
    True
    """  # noqa: DOC502  (raised by Fanion)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-3,
        momentum: float = 0.95,
        nesterov: Nesterov = True,
        weight_decay: float = 0.0,
        **options: Any,
    ) -> None:
        super().__init__(params, 1, lr, momentum, nesterov, weight_decay, **options)


class FFanion(Fanion):
    """F-Fanion-k: descent along alpha P_k(X) + (1 - alpha) X / ||X||_F, Fanion-k blended with normalised SGD.

    The oracle of the norm whose dual is alpha KyFan_k + (1 - alpha) Frobenius. k = 1 is F-Neon, k = None F-Muon;
    alpha = 1 Fanion-k, alpha = 0 normalised SGD.

    Args:
        params: parameters, named parameters or parameter groups; each tensor with ndim >= 2.
        k: how many directions, 1 <= k <= min(rows, columns); None: all of each matrix.
        lr: learning rate >= 0.
        momentum: b in [0, 1).
        nesterov: True or "coded", "written" or False.
        weight_decay: decoupled decay w >= 0.
        alpha: weight of P_k, in [0, 1]; beyond, the blend is no norm's oracle. (The published code's `sgd_coeff` is
            1 - alpha.)
        adjusted_part: what the shape factor c of adjust_lr_fn multiplies. "blend", as in the published GPT runs: both
            parts, so that the step is lr c times the oracle of the norm above. "leading": P_k only, so that the step is
            lr times the oracle of the norm whose dual is c alpha KyFan_k + (1 - alpha) Frobenius. Idle at c = 1.
        **options: further arguments of `Fanion`: adjust_lr_fn, accuracy, maximize, check_finite.

    Raises:
        ValueError: as `Fanion`, and if alpha is outside [0, 1].
        TypeError: as `Fanion`.

    Source: arXiv 2512.09678v2 (F-Fanions; conic combinations of oracles).

    >>> import torch
    >>> weight = torch.nn.Parameter(torch.zeros(2, 2))
    >>> weight.grad = torch.diag(torch.tensor([4.0, 3.0]))
    >>> FFanion([weight], k=1, lr=1.0, alpha=0.5).step()
    >>> weight.detach().diagonal()
    tensor([-0.9000, -0.3000])
    """  # noqa: DOC502  (raised by Fanion)

    _blend_options = frozenset({"alpha", "adjusted_part"})

    def __init__(
        self,
        params: Iterable[Any],
        k: float | None = None,
        lr: float | Tensor = 1e-3,
        momentum: float = 0.95,
        nesterov: Nesterov = True,
        weight_decay: float = 0.0,
        *,
        alpha: float = 0.5,
        adjusted_part: AdjustedPart = "blend",
        **options: Any,
    ) -> None:
        blend = {"alpha": alpha, "adjusted_part": adjusted_part}
        super().__init__(params, k, lr, momentum, nesterov, weight_decay, **blend, **options)

    def direction(self, X: Tensor, group: dict[str, Any]) -> Tensor:
        """Blend of the Fanion direction and the normalised momentum.

        Args:
            X: LMO inputs, shape (batch, m, n), finite.
            group: a parameter group.

        Returns:
            -alpha P_k(X) - (1 - alpha) X / ||X||_F, of X's shape and dtype; with adjusted_part "leading" c alpha in
            alpha's place.

        Source: arXiv 2512.09678v2 (F-Fanions).
        """
        return self._blended(X, group, Frobenius())


class SFanion(Fanion):
    """S-Fanion-k: descent along alpha P_k(X) + (1 - alpha) eta sign(X), Fanion-k blended with sign descent.

    The oracle of the norm whose dual is alpha KyFan_k + (1 - alpha) eta SumEntries (the source prints (1 - alpha)/eta,
    which is no norm of this oracle). k = 1 is S-Neon, k = None S-Muon.

    Args:
        params: parameters, named parameters or parameter groups; each tensor with ndim >= 2.
        k: how many directions, 1 <= k <= min(rows, columns); None: all of each matrix.
        lr: learning rate >= 0.
        momentum: b in [0, 1).
        nesterov: True or "coded", "written" or False.
        weight_decay: decoupled decay w >= 0.
        alpha: weight of P_k, in [0, 1].
        eta: entry of the sign part relative to P_k, > 0; that part's Frobenius norm is eta sqrt(rows columns).
        adjusted_part: what the shape factor c of adjust_lr_fn multiplies. "leading", as in the published GPT runs: P_k
            only. An entry of the sign part then moves by lr (1 - alpha) eta in a matrix of any shape, which is what c
            is to bring about for P_k. "blend": both parts, as of `FFanion`. Idle at c = 1.
        **options: further arguments of `Fanion`: adjust_lr_fn, accuracy, maximize, check_finite.

    Raises:
        ValueError: as `Fanion`, and if alpha is outside [0, 1] or eta is not positive.
        TypeError: as `Fanion`.

    Source: arXiv 2512.09678v2 (S-Fanions); the dual norm derived here, checked in tests/norms.

    >>> import torch
    >>> weight = torch.nn.Parameter(torch.zeros(2, 2))
    >>> weight.grad = torch.diag(torch.tensor([4.0, 3.0]))
    >>> SFanion([weight], k=1, lr=1.0, alpha=0.5, eta=0.2).step()
    >>> weight.detach().diagonal()
    tensor([-0.6000, -0.1000])
    """  # noqa: DOC502  (raised by Fanion)

    _blend_options = frozenset({"alpha", "eta", "adjusted_part"})

    def __init__(
        self,
        params: Iterable[Any],
        k: float | None = None,
        lr: float | Tensor = 1e-3,
        momentum: float = 0.95,
        nesterov: Nesterov = True,
        weight_decay: float = 0.0,
        *,
        alpha: float = 0.5,
        eta: float = 0.01,
        adjusted_part: AdjustedPart = "leading",
        **options: Any,
    ) -> None:
        blend = {"alpha": alpha, "eta": eta, "adjusted_part": adjusted_part}
        super().__init__(params, k, lr, momentum, nesterov, weight_decay, **blend, **options)

    def direction(self, X: Tensor, group: dict[str, Any]) -> Tensor:
        """Blend of the Fanion direction and the signs of the momentum.

        Args:
            X: LMO inputs, shape (batch, m, n), finite.
            group: a parameter group.

        Returns:
            -alpha P_k(X) - (1 - alpha) eta sign(X), of X's shape and dtype; with adjusted_part "leading" c alpha in
            alpha's place.

        Source: arXiv 2512.09678v2 (S-Fanions).
        """
        return self._blended(X, group, MaxEntry())
