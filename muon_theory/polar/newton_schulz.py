"""Newton-Schulz orthogonalization: odd polynomials of a matrix that push its singular values towards one."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from muon_theory.polar.coefficients import CoefficientSet, Row, coefficient_set
from muon_theory.polar.gram_iteration import dense_cost, gram_cost, gram_restart, gram_steps, polynomial_of_gram

Form = Literal["auto", "dense", "gram"]
_NARROW = (torch.float16, torch.bfloat16)
_FLOATS = (torch.float64, torch.float32, *_NARROW)


def orthogonalize(
    G: Tensor,
    method: str | CoefficientSet = "amsel_2025",
    steps: int = 5,
    *,
    compute_dtype: torch.dtype | None = None,
    form: Form = "auto",
    check_finite: bool | None = None,
) -> Tensor:
    """The approximate polar factor of G by `steps` Newton-Schulz steps.

    X_0 = G / (norm_safety ||G||_F), X_t = p_t(X_{t-1} X_{t-1}^T) X_{t-1}; the result is U diag(f(sigma / ||G||_F)) V^T
    with f = `scalar_map(method, steps)` and G = U diag(sigma) V^T. A preconditioned method ("aol") starts from
    D G / norm_safety instead, D_ii = (sum_j abs(G G^T)_ij)^(-1/2), which has no singular value above 1: it tends to
    polar(D G), not to polar(G). With zero steps the result is G / ||G||_F for every method. Zero stays zero.

    Args:
        G: shape (*batch, m, n), m and n >= 1, any real float dtype, finite; never modified.
        method: a key of `COEFFICIENTS`, "taylor_<degree>", or a `CoefficientSet`.
        steps: number of steps, an integer >= 0.
        compute_dtype: dtype of the products; None takes G's, and float32 for float16 and bfloat16 input.
        form: "dense" iterates on X; "gram" on the small Gram matrix X X^T (the same polynomial), restarted every
            third step, in half precision every second; "auto" takes the cheaper of the two in float32 and float64, else
            dense.
        check_finite: whether to look for NaN and inf first (one reduction, which on a GPU waits for the device); None
            checks on the CPU only. Unchecked, a NaN or inf makes its own matrix NaN.

    Returns:
        Shape, dtype and device of G.

    A TypeError names a G that is not a dense real floating-point tensor, or steps that are no integer; a ValueError a G
    with fewer than two dimensions, no entries, NaN or inf, negative steps, an unknown method or form.

    Source: Bjorck and Bowie 1971 (the iteration); Jordan et al. 2024 (its use); gram-newton-schulz 2026 (Gram form).

    Accuracy: the scalar map up to rounding times its slope, at most the product of the leading coefficients (3.4445^q
    for `jordan_2024`). bfloat16 has a floor of about 4e-3 in the singular values, and its singular directions go wrong
    beyond condition number 1e3, which no step repairs; float16 loses Gram entries below 6e-8.

    Differentiable by autograd, which keeps the intermediate products.

    Cost: for n <= m, q quintic steps: dense q (4 n^2 m + 2 n^3) flops; Gram at q = 5 with its restart 8 n^2 m + 28 n^3.

    >>> G = torch.tensor([[3e-20, 0.0], [0.0, 4e-20]])
    >>> orthogonalize(G, "taylor_5", 6).round(decimals=4)
    tensor([[1., 0.],
            [0., 1.]])
    """
    chosen = coefficient_set(method)
    rows = chosen.coefficients(steps)
    dtype = _check_input(G, compute_dtype, form, check_finite)
    wide = torch.promote_types(torch.promote_types(G.dtype, dtype), torch.float32)
    X = _power_of_two_scaled(G.to(wide))
    transposed = X.shape[-2] > X.shape[-1]
    if transposed:
        X = X.mT.contiguous()
    if rows and chosen.preconditioner == "aol":
        X = _row_scaled(X)
    else:
        X = _divided(X, torch.linalg.matrix_norm(X, keepdim=True))
    if rows:
        X = X / float(chosen.norm_safety)
    X = _iterate(X.to(dtype), rows, form)
    return (X.mT if transposed else X).to(G.dtype).contiguous()


def _check_input(G: Tensor, compute_dtype: torch.dtype | None, form: str, check_finite: bool | None) -> torch.dtype:
    """Refuse what has no polar factor here; return the dtype of the products."""
    if not isinstance(G, Tensor):
        raise TypeError(f"G must be a torch.Tensor, got {type(G).__name__}; wrap it with torch.as_tensor")
    if G.dtype not in _FLOATS:
        raise TypeError(f"G must be float16, bfloat16, float32 or float64, got {G.dtype}; pass G.to(torch.float32)")
    if G.layout != torch.strided:
        raise TypeError(f"G must be a dense tensor, got layout {G.layout}; convert it with G.to_dense()")
    if compute_dtype is not None and compute_dtype not in _FLOATS:
        raise TypeError(f"compute_dtype must be float16, bfloat16, float32 or float64, got {compute_dtype}")
    if form not in {"auto", "dense", "gram"}:
        raise ValueError(f"form must be 'auto', 'dense' or 'gram', got {form!r}")
    if G.ndim < 2:
        raise ValueError(f"G must have at least two dimensions, got shape {tuple(G.shape)}; reshape a vector to (n, 1)")
    if 0 in G.shape[-2:]:
        raise ValueError(f"G must have entries, got the empty shape {tuple(G.shape)}")
    if check_finite is None:
        check_finite = G.device.type == "cpu"
    if check_finite and not bool(torch.isfinite(G).all()):
        raise ValueError("G must be finite, it contains NaN or inf; look for a diverged loss before this step")
    if compute_dtype is not None:
        return compute_dtype
    return torch.float32 if G.dtype in _NARROW else G.dtype


def _power_of_two_scaled(X: Tensor) -> Tensor:
    """Each matrix divided by a power of two that brings its largest entry into [1, 2); exact, zero stays zero."""
    largest = X.abs().amax(dim=(-2, -1), keepdim=True)
    mantissa, _ = torch.frexp(largest)
    return _divided(X, largest / (2 * mantissa))


def _divided(X: Tensor, divisor: Tensor) -> Tensor:
    """X / divisor, and X itself where the divisor is zero or not a number."""
    return X / torch.where(divisor > 0, divisor, torch.ones_like(divisor))


def _row_scaled(X: Tensor) -> Tensor:
    """D X with D_ii = (sum_j abs(X X^T)_ij)^(-1/2): largest singular value at most 1 (Prach and Lampert 2022)."""
    return _divided(X, (X @ X.mT).abs().sum(dim=-1, keepdim=True).sqrt())


def _iterate(X: Tensor, rows: tuple[Row, ...], form: str) -> Tensor:
    """The steps on a wide matrix, in the form asked for."""
    restart = gram_restart(X.dtype)
    if form == "auto":
        n, m = X.shape[-2:]
        cheap = X.dtype not in _NARROW and gram_cost(n, m, rows, restart) < dense_cost(n, m, rows)
        form = "gram" if cheap else "dense"
    if form == "gram" and rows:
        return gram_steps(X, rows, restart_after=restart)
    for row in rows:
        X = polynomial_of_gram(X @ X.mT, row, X)
    return X
