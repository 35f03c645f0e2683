"""The stationarity bound X/T + Y/sqrt(B) + Z in the four settings: look-ahead or not, weight decay or not.

Arguments may be floats, rationals (no square root is taken of the momentum) or arrays that broadcast.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class BatchTerms(NamedTuple):
    """The coefficients of X/T + Y/sqrt(B) + Z; X in loss / weight times steps, Y and Z in loss / weight.

    Source: the form is that of arXiv 2507.01598 (as restated); the values are derived here, see `batch_terms`.
    """

    X: Any
    Y: Any
    Z: Any

    def bound(self, steps: Any, batch: Any) -> Any:
        """X/T + Y/sqrt(B) + Z. Source: elementary."""
        return self.X / steps + self.Y / batch**0.5 + self.Z


def lookahead_weight(momentum: Any, *, nesterov: bool) -> Any:
    """a_C: the share of the momentum buffer in the oracle's input, 1 plain, b with look-ahead.

    Args:
        momentum: b in [0, 1).
        nesterov: whether C_t = b N_t + (1 - b) G_t.

    Returns:
        a_C, of the type of `momentum`.

    Raises:
        ValueError: b is outside [0, 1).

    Source: derived here (Theorem C); claims THC-PLAIN, THC-NEST.

    >>> lookahead_weight(0.9, nesterov=True)
    0.9
    """  # noqa: DOC502  (raised by the checks below)
    _require_momentum(momentum)
    return momentum if nesterov else momentum**0


def noise_variance(momentum: Any, *, nesterov: bool) -> Any:
    """V: variance of the noise in the oracle's input over that of one batch gradient, in the long run.

    V_H = (1 - b)/(1 + b) for N_t, V_N = (1 - b)(1 + 2b - 2b^3)/(1 + b) for b N_t + (1 - b) G_t.

    Args:
        momentum: b in [0, 1), float, Fraction or array.
        nesterov: whether the oracle looks ahead.

    Returns:
        V, of the type of `momentum`.

    Raises:
        ValueError: b is outside [0, 1).

    Source: derived here; claims THA-05 and THA-06 of the room newton_schulz_convergence, CB-11.

    >>> from fractions import Fraction
    >>> noise_variance(Fraction(1, 2), nesterov=False), noise_variance(Fraction(1, 2), nesterov=True)
    (Fraction(1, 3), Fraction(7, 12))
    """  # noqa: DOC502  (raised by the checks below)
    _require_momentum(momentum)
    plain = (1 - momentum) / (1 + momentum)
    return plain * (1 + 2 * momentum - 2 * momentum**3) if nesterov else plain


def floor_factor(momentum: Any, *, nesterov: bool, weight_decay: bool) -> Any:
    """Z/(L eta): s^2/2 + 2 s a_C b/(1 - b) with s = 1 without decay, 2 with it.

    Args:
        momentum: b in [0, 1).
        nesterov: whether the oracle looks ahead.
        weight_decay: whether lambda > 0.

    Returns:
        The factor, of the type of `momentum`.

    Raises:
        ValueError: b is outside [0, 1).

    Source: derived here (Theorem C).

    >>> floor_factor(0.5, nesterov=False, weight_decay=False), floor_factor(0.5, nesterov=True, weight_decay=True)
    (2.5, 4.0)
    """  # noqa: DOC502  (raised by the checks below)
    a, s = lookahead_weight(momentum, nesterov=nesterov), 2 if weight_decay else 1
    return s * s / (2 * momentum**0) + 2 * s * a * momentum / (1 - momentum)


def batch_terms(
    *, smoothness: Any, gap: Any, rank: Any, noise: Any, step_size: Any, momentum: Any, nesterov: bool = False,
    weight_decay: Any = 0.0, initial_gradient: Any = 0.0, initial_norm: Any = 0.0,
) -> BatchTerms:  # fmt: skip
    """X, Y and Z of Theorem C.

    Args:
        smoothness: L > 0, nuc(grad f(X) - grad f(Y)) <= L op(X - Y); loss / weight^2.
        gap: D = f(W_0) - inf f >= 0; loss.
        rank: r = min(rows, columns) >= 1.
        noise: sigma > 0, E fro(sample gradient - gradient)^2 <= sigma^2; loss / weight. For sigma = 0 there is no
            critical batch size.
        step_size: eta > 0; weight.
        momentum: b in [0, 1).
        nesterov: whether the oracle looks ahead.
        weight_decay: lambda >= 0 with eta lambda <= 1; 1 / weight.
        initial_gradient: nuc(grad f(W_0)) >= 0; matters with momentum only.
        initial_norm: op(W_0), at most 1/lambda.

    Returns:
        The terms; the bound is on the mean of nuc(g), or with decay of nuc(g) + lambda <W, g>.

    Raises:
        ValueError: an assumption of the theorem fails; the message says which.

    Source: derived here (Theorem C), in the place of the four theorems of arXiv 2507.01598, which were not read.

    >>> batch_terms(smoothness=1.0, gap=1.0, rank=4, noise=1.0, step_size=0.1, momentum=0.0)
    BatchTerms(X=10.0, Y=4.0, Z=0.05)
    """  # noqa: DOC502  (raised by the checks below)
    positive = {"smoothness": smoothness, "step_size": step_size, "rank": rank, "noise": noise}
    for name, value in positive.items():
        if not np.all(np.isfinite(np.asarray(value, dtype=float)) & (np.asarray(value, dtype=float) > 0)):
            raise ValueError(f"{name} = {value}: the theorem needs a finite number > 0")
    for name, value in {"gap": gap, "weight_decay": weight_decay, "initial_gradient": initial_gradient}.items():
        if not np.all(np.isfinite(np.asarray(value, dtype=float)) & (np.asarray(value, dtype=float) >= 0)):
            raise ValueError(f"{name} = {value}: the theorem needs a finite number >= 0")
    if np.any(np.asarray(step_size * weight_decay, dtype=float) > 1):
        raise ValueError(
            f"eta lambda = {step_size * weight_decay} > 1: the iterates may leave the ball, no bound holds"
        )
    if np.any(np.asarray(initial_norm * weight_decay, dtype=float) > 1):
        raise ValueError(f"op(W_0) = {initial_norm} > 1/lambda: the theorem starts inside the ball")
    decayed = bool(np.any(np.asarray(weight_decay, dtype=float) > 0))
    if decayed and not np.all(np.asarray(weight_decay, dtype=float) > 0):
        raise ValueError("weight_decay mixes zero and positive values: ask for the two settings separately")
    a = lookahead_weight(momentum, nesterov=nesterov)
    return BatchTerms(
        gap / step_size + 2 * a * momentum * initial_gradient / (1 - momentum),
        2 * noise * (rank * noise_variance(momentum, nesterov=nesterov)) ** 0.5,
        floor_factor(momentum, nesterov=nesterov, weight_decay=decayed) * smoothness * step_size,
    )


def _require_momentum(momentum: Any) -> None:
    values = np.asarray(momentum, dtype=float)
    if not np.all((values >= 0) & (values < 1)):
        raise ValueError(f"momentum = {momentum}: the theorem needs 0 <= b < 1")
