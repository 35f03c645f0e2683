"""Newton-Schulz steps inside a Muon step: the products they cost, the alignment they leave, the descent they buy."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from muon_theory.rooms.newton_schulz_convergence.taylor import iterated, singular_value_map, taylor_weight

Values: TypeAlias = "float | NDArray[np.float64]"


def chained_step(X: Any, k: int) -> Any:
    """One Taylor step as the paper counts it: sum_s c_s (I - X X^T)^s X, built up by k products with X's shape.

    Args:
        X: (m, n) array, or any object with `.T`, `@`, `+`, `-` and scalar `*`.
        k: Taylor order, integer >= 1.

    Returns:
        p_k(X X^T) X, of the kind of X.

    Source: Kim and Oh 2026, arXiv 2601.19156, Algorithm 1 and Appendix E.
    Cost: k + 1 products of 2 m^2 n flops.

    >>> chained_step(np.array([[0.5]]), 1)
    array([[0.6875]])
    """
    gram = X @ X.T
    power, result = X, X
    for s in range(1, k + 1):
        power = power - gram @ power
        result = result + power * float(taylor_weight(s))
    return result


def horner_step(X: Any, k: int) -> Any:
    """One Taylor step with the polynomial evaluated on the m x m Gram matrix by Horner's rule, then one product with X.

    Args:
        X: (m, n) array with m <= n, or any object with `.T`, `@`, `+`, `-` and scalar `*`.
        k: Taylor order, integer >= 1.

    Returns:
        p_k(X X^T) X, of the kind of X.

    Source: derived here (Horner's rule), checked by claim KO-COST.
    Cost: two products of 2 m^2 n flops and k - 1 products of 2 m^3 flops.

    >>> horner_step(np.array([[0.5]]), 1)
    array([[0.6875]])
    """
    from muon_theory.polar import taylor_coefficients  # imports torch, which the other formulas here do without

    gram = X @ X.T
    powers = [float(c) for c in taylor_coefficients(2 * k + 1)]
    # The polynomial is kept as matrix + scalar * identity: the scalar part needs no product.
    matrix, scalar = gram * powers[-1], powers[-2]
    for coefficient in reversed(powers[:-2]):
        matrix, scalar = matrix @ gram + gram * scalar, coefficient
    return matrix @ X + X * scalar


def chained_flops(rows: int, columns: int, k: int, q: int) -> int:
    """The printed cost of q Taylor steps, 2 q (k + 1) m^2 n flops.

    Args:
        rows: m >= 1.
        columns: n >= m.
        k: Taylor order, integer >= 1.
        q: number of steps, integer >= 0.

    Returns:
        Flops of the matrix products (a multiplication and an addition are two).

    A ValueError names sizes, an order or a number of steps out of range.

    Source: Kim and Oh 2026, arXiv 2601.19156, Appendix E.

    >>> chained_flops(4, 16, 2, 1)
    1536
    """
    _require_sizes(rows, columns, k, q)
    return 2 * q * (k + 1) * rows**2 * columns


def horner_flops(rows: int, columns: int, k: int, q: int) -> int:
    """The cost of q Taylor steps by Horner's rule on the Gram matrix, q (4 m^2 n + 2 (k - 1) m^3) flops.

    Args:
        rows: m >= 1.
        columns: n >= m.
        k: Taylor order, integer >= 1.
        q: number of steps, integer >= 0.

    Returns:
        Flops of the matrix products.

    A ValueError names sizes, an order or a number of steps out of range.

    Source: derived here, checked by claim KO-COST.

    >>> horner_flops(4, 16, 2, 1)
    1152
    """
    _require_sizes(rows, columns, k, q)
    return q * (4 * rows**2 * columns + 2 * (k - 1) * rows**3)


def schatten_exponent(smallest: Values, image: Values) -> Values:
    """The p for which <C, X_q> >= Schatten-p norm of C after q Taylor steps: p = 1 + log(image)/log(smallest).

    Args:
        smallest: kap = sigma_min/fro(C) in (0, 1).
        image: a lower bound on s_q(kap), in (0, 1]: the exact value, or 1 - (1 - kap)^(a_k^q).

    Returns:
        p in [1, 2]: 2 without a step, towards 1 (the nuclear norm) with many.

    Raises:
        ValueError: a smallest value outside (0, 1), or an image outside (0, 1].

    Source: FedMuon, ICLR 2026, as relayed (k = 1, image 1 - (1 - kap)^(1.5^q)); other k derived here, claim FED-02.

    >>> float(schatten_exponent(0.1, 0.1))
    2.0
    """
    kap, value = np.asarray(smallest), np.asarray(image)
    if not (np.all((kap > 0) & (kap < 1)) and np.all((value > 0) & (value <= 1))):
        raise ValueError(f"smallest = {smallest!r}, image = {image!r}: give numbers in (0, 1) and in (0, 1]")
    return 1 + np.log(image) / np.log(smallest)


def gaussian_alignment(size: int, k: int, q: int) -> float:
    """The alignment <C, X_q>/nuc(C) of a large square Gaussian C, from the quarter-circle law of its singular values.

    int x s_q(x/sqrt n) sqrt(4 - x^2) dx / int x sqrt(4 - x^2) dx over [0, 2], with C normalised by its Frobenius norm.

    Args:
        size: n >= 1, C is n x n with independent normal entries.
        k: Taylor order, integer >= 1.
        q: number of steps, integer >= 0.

    Returns:
        1 - alignment deficit in (0, 1].

    Raises:
        ValueError: a size below 1.

    Source: derived here (Marchenko and Pastur 1967 for the law), checked by claim KO-GAP-B.
    Accuracy: quadrature 1e-9; the law itself is right to about 1/n.

    >>> round(gaussian_alignment(1024, 2, 5), 3)
    0.674
    """
    if size < 1:
        raise ValueError(f"size = {size!r}: give an integer >= 1")
    # x = 2 sin(angle) removes the square root's singularity; the weight becomes sin cos^2.
    nodes, weights = np.polynomial.legendre.leggauss(400)
    angle = (nodes + 1) * math.pi / 4
    x = 2 * np.sin(angle)
    weight = weights * np.sin(angle) * np.cos(angle) ** 2
    return float(np.sum(weight * iterated(singular_value_map, k, x / math.sqrt(size), q)) / np.sum(weight))


def one_step_bound(
    value: Values, gradient_norm: Values, tracking_error: Values, *, smoothness: Values, step_size: Values,
    operator_error: Values = 0.0, tracking_factor: float = 2.0,
) -> Values:  # fmt: skip
    """The bound on f after one step: f - eta (1-e) nuc(g) + 2 eta nuc(g - N) + (L/2) eta^2 (1+e)^2  (K1).

    Args:
        value: f before the step.
        gradient_norm: nuc(g), g the gradient there.
        tracking_error: nuc(g - N), N the matrix that was orthogonalised.
        smoothness: L, spectral to nuclear norm.
        step_size: eta >= 0.
        operator_error: e = op(O - P(N)) >= 0.
        tracking_factor: the constant of the third term; 2 is the paper's, 2 - e suffices when op(O) <= 1.

    Returns:
        The right side, unit of f.

    Source: Kim and Oh 2026, arXiv 2601.19156, proof of Theorem 1.

    >>> one_step_bound(0.5, 1.0, 0.0, smoothness=1.0, step_size=1.0)
    0.0
    """
    descent = step_size * (1 - operator_error) * gradient_norm
    curvature = smoothness / 2 * step_size**2 * (1 + operator_error) ** 2
    return value - descent + tracking_factor * step_size * tracking_error + curvature


def gradient_norm_bound(smoothness: Values, gap: Values) -> Values:
    """The largest nuclear norm a gradient can have: nuc(grad f(W))^2 <= 2 L (f(W) - inf f).

    Args:
        smoothness: L, spectral to nuclear norm.
        gap: f(W) - inf f >= 0.

    Returns:
        sqrt(2 L gap), unit loss / weight.

    Raises:
        ValueError: a smoothness or a gap that is negative or NaN.

    Source: derived here (descent lemma along the polar factor), checked by claim KO-G0; the paper uses sqrt(2 r L gap).

    >>> gradient_norm_bound(2.0, 1.0)
    2.0
    """
    if not (np.all(np.asarray(smoothness) >= 0) and np.all(np.asarray(gap) >= 0)):
        raise ValueError(f"smoothness = {smoothness!r}, gap = {gap!r}: give numbers >= 0")
    return (2 * smoothness * gap) ** 0.5


def heavy_ball_contraction(
    momentum: Fraction, scaled_step_squared: Fraction, factor: Fraction | None = None
) -> Fraction:
    """The quantity theta = 4 L^2 eta^2 K/(1 - b)^4, K = b^2 + (1-b)^2, that the proof of Theorem 3 needs below 1/4.

    Args:
        momentum: b in [0, 1), exact.
        scaled_step_squared: (L eta)^2, exact.
        factor: another value for K; None takes b^2 + (1-b)^2.

    Returns:
        theta, exact.

    Source: Kim and Oh 2026, arXiv 2601.19156, appendix, proof of Theorem 3.

    >>> heavy_ball_contraction(Fraction(0), Fraction(1, 16))
    Fraction(1, 4)
    """
    spread = momentum**2 + (1 - momentum) ** 2 if factor is None else factor
    return 4 * scaled_step_squared * spread / (1 - momentum) ** 4


def _require_sizes(rows: int, columns: int, k: int, q: int) -> None:
    """Raise unless 1 <= rows <= columns, k >= 1 and q >= 0."""
    if not (1 <= rows <= columns and k >= 1 and q >= 0):
        raise ValueError(
            f"rows, columns, k, q = {rows}, {columns}, {k}, {q}: need 1 <= rows <= columns, k >= 1, q >= 0"
        )
