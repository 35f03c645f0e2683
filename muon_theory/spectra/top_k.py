"""The k leading singular triples of a matrix, to the accuracy that P_k = u_1 v_1^T + ... + u_k v_k^T is wanted with."""

from __future__ import annotations

import math
from functools import partial
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor

from muon_theory.spectra.lanczos import Triples, lanczos, lanczos_capacity
from muon_theory.spectra.leading_error import LeadingErrorEstimate, leading_error
from muon_theory.spectra.matrix_input import require_matrix, shift_exponent, to_float64
from muon_theory.spectra.singular_values import gram_matrix
from muon_theory.spectra.subspace_iteration import lobpcg, subspace_iteration

TopKMethod = Literal["auto", "svd", "gram", "lanczos", "block_lanczos", "block_power", "randomized", "lobpcg"]

_EPSILON = torch.finfo(torch.float64).eps
BLOCK = 8  # eight products at once cost about three single ones on a CPU, in float32 and float64
OVERSAMPLING = 10
_FLOAT32_UP_TO = 1e-4  # the finest accuracy that is tried in float32 first
_DENSE_UP_TO, _DENSE_SHARE = 400, 16
_PATIENCE = {"auto": 10, "others": 400}  # products a direction of the matrix before the iteration is given up


class TopK(NamedTuple):
    """The k leading singular triples; X V = U diag(sigma) up to rounding.

    Attributes:
        U: left vectors as columns, (*batch, m, k), zero where sigma is.
        sigma: singular values, (*batch, k), descending.
        V: right vectors as columns, (*batch, n, k), zero where sigma is.
        residual: ||X^T u_i - sigma_i v_i||, (*batch, k), in the unit of X.
        error: estimated relative Frobenius error of P_k, (*batch,), float64; inf where sigma_k = sigma_(k+1), so that
            P_k is one of many.
        matvecs: products of the matrix or its transpose with a vector, the most in the batch; 0 for dense methods.

    Source: elementary.
    """

    U: Tensor
    sigma: Tensor
    V: Tensor
    residual: Tensor
    error: Tensor
    matvecs: int


def top_k(
    X: Tensor,
    k: int,
    *,
    accuracy: float = 1e-4,
    method: TopKMethod = "auto",
    start: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> TopK:
    r"""The k largest singular values of a matrix and their vectors, P_k to a relative Frobenius error of `accuracy`.

    `||U V^T - P_k||_F <= accuracy ||P_k||_F`. This means something where sigma_k > sigma_(k+1). Where they tie (or
    differ by rounding only), every maximizer of <X, D> over ||D||_op <= 1, ||D||_* <= k is as good: U V^T is one of
    them, with <X, U V^T> >= (1 - accuracy) (sigma_1 + ... + sigma_k), and `error` is inf, or larger than accuracy
    ("lanczos" may not notice: one vector does not see a copy beyond the k-th). Directions with
    sigma_i <= max(m, n) eps sigma_1 count as zero: their sigma, u and v are zero, and so P_k ends at the rank.

    Methods: "svd" and "gram" (eigenvectors of the float64 Gram matrix; the SVD where that is too inexact) are dense;
    "lanczos" and "block_lanczos" (one and eight vectors) bidiagonalise with thick restarts; "block_power" and
    "randomized" iterate on a subspace of k + 1 and k + 10 vectors; "lobpcg" on one of k + 2 with conjugate directions.
    The iterative ones handle one matrix after the other, the Lanczos ones in float32 first where accuracy >= 1e-4 and
    in float64 from there on where float32 does not suffice; matrices too small for them go to "gram". "auto" is "gram"
    for min(m, n) <= 400 or 16 k > min(m, n), where it costs less, and for accuracy below 1e-12 "svd"; otherwise
    "block_lanczos", and "svd" for a matrix on which that has not converged after 10 min(m, n) products. Blocks take
    twice the products, each at a third of the price, and see what one vector passes over: of 600 spectra with nearly
    tied leading values or the edge of a Gaussian matrix, "lanczos" was wrong about 33, "block_lanczos" about none.

    Args:
        X: shape (*batch, m, n), any real floating-point dtype, finite entries; not modified.
        k: from 1 to min(m, n).
        accuracy: relative Frobenius error of P_k, in (0, 1).
        method: see above.
        start: an earlier V (*batch, n, any), or U (*batch, m, any); a square X takes V. Zero columns are allowed.
        generator: for start vectors, on the CPU; without, the same fixed ones for every matrix.

    Returns:
        The triples in X's dtype (float32 for shorter formats) on X's device.

    Raises:
        TypeError: X is not a dense real tensor, k not an integer.
        ValueError: k or accuracy out of range, an unknown method, a start of the wrong shape, NaN or inf.

    Source: Golub and Kahan 1965; Baglama and Reichel 2005; Halko, Martinsson and Tropp 2011; Knyazev 2001; Kravatskiy
        et al. 2025 (arXiv 2512.09678) for the use.

    Accuracy: the iterative methods stop by an estimate, see `LeadingErrorEstimate`; `error` says what it was. A power
        of two that multiplies X multiplies sigma and residual exactly and changes nothing else.

    Cost: dense m n r + 9 r^3 multiply-adds, r = min(m, n); iterative m n for each of the `matvecs`: on Gaussian
        matrices, which have no gap, to 1e-4 about 130 (k = 5, n = 500) and 300 (n = 5000) one by one.

    Example:
        >>> found = top_k(torch.diag(torch.tensor([1.0, 4.0, 2.0])), 2)
        >>> found.sigma, (found.U @ found.V.mT).round().diagonal()
        (tensor([4., 2.]), tensor([0., 1., 1.]))
    """  # noqa: DOC502  (raised by the checks below)
    X = require_matrix(X, "X")
    m, n = X.shape[-2:]
    _check_request(m, n, k, accuracy, method)
    start = None if start is None else _right_start(X, start)
    Y, exponent = _moderate(X)
    matvecs = 0
    batch = Y.shape[:-2]
    auto_dense = "svd" if accuracy < 1e-12 else "gram"
    if method == "auto":
        chosen = "block_lanczos" if lanczos_pays(m, n, k) else auto_dense
    else:
        chosen = method if method in ("svd", "gram") or _fits(chosen := method, k, min(m, n)) else auto_dense
    if chosen in ("svd", "gram") or batch.numel() == 0:
        parts = _dense(Y.double(), k, accuracy, chosen, _zero_tolerance(X))
    else:
        patience = _PATIENCE["auto" if method == "auto" else "others"]
        single = partial(
            _iterative, k=k, accuracy=accuracy, method=chosen, tolerance=_zero_tolerance(X), patience=patience
        )
        starts = [None] * batch.numel() if start is None else start.reshape(-1, *start.shape[-2:])
        found = [
            single(A, start=given, generator=generator) for A, given in zip(Y.reshape(-1, m, n), starts, strict=True)
        ]
        matvecs = max(item[-1] for item in found)
        parts = tuple(
            torch.stack(part).reshape((*batch, *part[0].shape)) for part in zip(*(f[:-1] for f in found), strict=True)
        )
    U, sigma, V, residual, error = parts
    dtype = X.dtype if X.dtype in (torch.float32, torch.float64) else torch.float32
    if exponent is not None:
        sigma, residual = (shift_exponent(values.double(), exponent[..., None]) for values in (sigma, residual))
    U, sigma, V, residual = (part.to(X.device, dtype) for part in (U, sigma, V, residual))
    return TopK(U, sigma, V, residual, error.to(X.device), matvecs)


def lanczos_pays(m: int, n: int, k: int) -> bool:
    """Whether Lanczos is expected to be faster than the Gram matrix: min(m, n) > 400 and 16 k <= min(m, n).

    Args:
        m: rows.
        n: columns.
        k: how many triples.

    Returns:
        The rule that "auto" goes by.

    Source: measured here on Gaussian matrices on a CPU; on spectra that decay Lanczos pays earlier.

    Example:
        >>> lanczos_pays(5000, 5000, 5), lanczos_pays(512, 512, 64)
        (True, False)
    """
    return min(m, n) > _DENSE_UP_TO and min(m, n) >= _DENSE_SHARE * k


def _check_request(m: int, n: int, k: object, accuracy: float, method: str) -> None:
    """Refuse what cannot be asked."""
    if isinstance(k, bool) or not isinstance(k, int):
        raise TypeError(f"k is {k!r}; it must be an integer, the number of singular triples")
    if not 1 <= k <= min(m, n):
        raise ValueError(f"k is {k}; a {m} x {n} matrix has from 1 to {min(m, n)} singular triples")
    if not 0 < accuracy < 1:
        raise ValueError(f"accuracy is {accuracy!r}; it is a relative error and must lie in (0, 1)")
    if method not in get_args(TopKMethod):
        raise ValueError(f"method is {method!r}; choose one of {get_args(TopKMethod)}")


def _zero_tolerance(X: Tensor) -> float:
    """Relative size up to which a direction counts as zero: the rule of the polar factor."""
    epsilon = torch.finfo(X.dtype).eps
    return min(max(X.shape[-2:]) * epsilon, 0.5) if X.dtype in (torch.float32, torch.float64) else epsilon


def _right_start(X: Tensor, start: Tensor) -> Tensor:
    """Right vectors from an earlier V or U."""
    start = require_matrix(start, "start")
    m, n = X.shape[-2:]
    if start.shape[:-2] == X.shape[:-2] and start.shape[-2] == n:
        return start
    if start.shape[:-2] == X.shape[:-2] and start.shape[-2] == m:
        return X.mT.float() @ start.float()
    raise ValueError(
        f"start has shape {tuple(start.shape)}; for X of shape {tuple(X.shape)} pass an earlier V or U, with {n} or "
        f"{m} rows and the same batch"
    )


def _moderate(X: Tensor) -> tuple[Tensor, Tensor | None]:
    """X in float32 or float64 with entries whose squares are harmless, and the power of two taken out."""
    if X.device.type == "mps" or X.shape[:-2].numel() == 0:
        return to_float64(X)
    if X.ndim == 2 and 1e-3 < max(map(abs, map(float, torch.aminmax(X)))) < 1e3:
        return X if X.dtype == torch.float64 else X.float(), None
    if X.dtype == torch.float64:
        return to_float64(X)
    exponent = torch.frexp(X.float().abs().amax(dim=(-2, -1)))[1]
    return shift_exponent(X.double(), -exponent[..., None, None]).float(), exponent


def _fits(method: str, k: int, r: int) -> bool:
    """Whether an iterative method has room in r dimensions."""
    if method in ("lanczos", "block_lanczos"):
        block = 1 if method == "lanczos" else BLOCK
        return lanczos_capacity(k, block) + block <= r
    return (3 * (k + 2) if method == "lobpcg" else k + 1) <= r


def _iterative(
    Y: Tensor,
    *,
    k: int,
    accuracy: float,
    method: str,
    tolerance: float,
    patience: int,
    start: Tensor | None,
    generator: torch.Generator | None,
) -> tuple[Any, ...]:
    """One matrix: in float32 while that is exact enough, then in float64; by the SVD if patience runs out."""
    generator = torch.Generator().manual_seed(0) if generator is None else generator
    matvecs, found = 0, None
    if not bool(Y[0].any()) and not bool(Y.any()):
        return (*_dense(Y, k, accuracy, "zero", tolerance), 0)
    single = accuracy >= _FLOAT32_UP_TO and method in ("lanczos", "block_lanczos")
    dtypes = (torch.float32, torch.float64) if single else (torch.float64,)
    rows = None if start is None else start.mT
    for dtype in dtypes:
        A = Y.to(dtype)
        # singular values that float32 cannot tell from zero are left to float64
        limit = max(tolerance, 64 * torch.finfo(dtype).eps) if dtype != torch.float64 else tolerance
        estimate = LeadingErrorEstimate(
            k, accuracy, limit, torch.finfo(dtype).eps, krylov=method in ("lanczos", "block_lanczos")
        )
        budget = (_PATIENCE["auto"] if dtype != dtypes[-1] else patience) * min(A.shape)
        found = _iterate(A, k, method, rows, estimate, generator, budget)
        matvecs += found.matvecs
        hidden = dtype == torch.float32 and found.rank < k and limit > tolerance
        if found.error <= accuracy and not hidden:
            break
        rows = found.right
    if found is None or (found.error > accuracy and not found.exhausted):
        return (*_dense(Y.double(), k, accuracy, "svd", tolerance), matvecs)
    if found.right.dtype != Y.dtype and Y.dtype == torch.float64:
        return (*_polished(Y, found, k), matvecs + 2 * k)
    kept = torch.arange(k, device=Y.device) < found.rank
    U, V = (rows.mT * kept for rows in (found.left, found.right))
    error = torch.tensor(found.error, dtype=torch.float64)
    return U, found.sigma[:k] * kept, V, found.residual * kept, error, matvecs


def _iterate(
    A: Tensor,
    k: int,
    method: str,
    rows: Tensor | None,
    estimate: LeadingErrorEstimate,
    generator: torch.Generator,
    budget: int,
) -> Triples:
    """One run of an iterative method in the dtype of A."""
    n, r = A.shape[-1], min(A.shape)
    width = {"lanczos": 1, "block_lanczos": BLOCK, "block_power": k + 1, "randomized": min(k + OVERSAMPLING, r)}
    w = width.get(method, k + 2)
    first = torch.randn(w, n, generator=generator, dtype=torch.float64).to(A)
    if rows is not None:
        rows = rows.to(A)
        if w < len(rows):  # a block of sums stands for vectors that do not fit
            rows = torch.stack([part.sum(dim=0) for part in rows.tensor_split(w)])
        first[: len(rows)] = torch.where((rows != 0).any(dim=1, keepdim=True), rows, first[: len(rows)])
    if method in ("lanczos", "block_lanczos"):
        return lanczos(A, k, start=first, estimate=estimate, generator=generator, budget=budget)
    route = lobpcg if method == "lobpcg" else subspace_iteration
    return route(A, k, start=first, estimate=estimate, generator=generator, budget=budget)


def _polished(Y: Tensor, found: Triples, k: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Triples found in float32, made orthonormal and consistent in float64 by one more product from each side."""
    V = torch.linalg.qr(found.right[: found.rank].double().mT).Q
    U, sigma, Wt = torch.linalg.svd(Y @ V, full_matrices=False)
    V = V @ Wt.mT
    residual = torch.linalg.vector_norm(Y.mT @ U - V * sigma, dim=0)
    below = found.sigma[found.rank] if found.rank < len(found.sigma) else torch.zeros(()).to(sigma)
    error = max(found.error, 0.0) if math.isfinite(found.error) else leading_error(sigma, residual, below)
    pad = k - found.rank
    U, V = (torch.nn.functional.pad(part, (0, pad)) for part in (U, V))
    sigma, residual = (torch.nn.functional.pad(part, (0, pad)) for part in (sigma, residual))
    return U, sigma, V, residual, torch.tensor(error, dtype=torch.float64)


def _dense(Y: Tensor, k: int, accuracy: float, method: str, tolerance: float) -> tuple[Tensor, ...]:
    """Batches by the eigenvectors of the Gram matrix or by the SVD, in float64."""
    if Y.shape[-2] > Y.shape[-1]:
        V, sigma, U, residual, error = _dense(Y.mT, k, accuracy, method, tolerance)
        return U, sigma, V, residual, error
    Y = Y.double()
    if method == "gram":
        U, sigma, V, error = _by_gram(Y, k)
        doubtful = error > accuracy
        if bool(doubtful.any()):
            parts = _by_svd(Y[doubtful], k)
            for part, better in zip((U, sigma, V, error), parts, strict=True):
                part[doubtful] = better
    else:
        U, sigma, V, error = _by_svd(Y, k)
    kept = (sigma > tolerance * sigma[..., :1]).to(sigma.dtype)
    smallest = torch.where(kept > 0, sigma, math.inf).amin(dim=-1)
    error = torch.where(kept[..., -1] > 0, error, 8 * _EPSILON * sigma[..., 0] / smallest)  # rank below k
    U, sigma, V = U * kept[..., None, :], sigma * kept, V * kept[..., None, :]
    residual = torch.linalg.vector_norm(Y.mT @ U - V * sigma[..., None, :], dim=-2)
    return U, sigma, V, residual, torch.where(sigma[..., 0] == 0, 0, error)


def _by_svd(Y: Tensor, k: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """U, sigma, V and the error that rounding leaves in P_k."""
    U, sigma, Vt = torch.linalg.svd(Y, full_matrices=False)
    gap = sigma[..., k - 1] - sigma[..., k] if k < sigma.shape[-1] else sigma[..., k - 1]
    error = torch.where(gap > 0, 8 * _EPSILON * sigma[..., 0] / gap, math.inf)
    return U[..., :k].contiguous(), sigma[..., :k].contiguous(), Vt[..., :k, :].mT.contiguous(), error


def _by_gram(Y: Tensor, k: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The same from the eigenvectors of Y Y^T, which squares everything."""
    values, vectors = torch.linalg.eigh(gram_matrix(Y))
    values, vectors = values.flip(-1).clamp_min(0), vectors.flip(-1)
    U, leading = vectors[..., :k].contiguous(), values[..., :k]
    W = Y.mT @ U
    sigma = torch.linalg.vector_norm(W, dim=-2)
    V = W / torch.where(sigma == 0, 1, sigma)[..., None, :]
    below = values[..., k] if k < values.shape[-1] else torch.zeros_like(values[..., 0])
    gap = torch.minimum(leading[..., -1] - below, leading[..., -1])
    error = torch.where(gap > 0, 8 * _EPSILON * values[..., 0] / gap, math.inf)
    return U, sigma, V, error
