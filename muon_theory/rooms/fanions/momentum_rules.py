"""The two momentum rules of the Fanion paper: the one its code runs and the one its text writes."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Literal

Rule = Literal["coded", "written"]


def impulse_response(rule: Rule, beta: Fraction | float, steps: int) -> list[Fraction | float]:
    """The weights of g_t, g_{t-1}, ... in the direction M_t of a momentum rule with look-ahead.

    Coded: b <- beta b + g, M = g + beta b. Written: b <- beta b + (1 - beta) g, M = g + beta b.

    Args:
        rule: "coded" or "written".
        beta: momentum, in [0, 1); a Fraction gives exact weights.
        steps: number of weights, >= 0.

    Returns:
        The weights, the newest gradient's first.

    Raises:
        ValueError: an unknown rule, or beta outside [0, 1).

    Source: Kravatskiy et al. 2025, arXiv 2512.09678 (written) and its public code (coded).

    >>> impulse_response("coded", Fraction(7, 10), 3)
    [Fraction(17, 10), Fraction(49, 100), Fraction(343, 1000)]
    """
    if rule not in ("coded", "written"):
        raise ValueError(f"rule = {rule!r}: give 'coded' or 'written'")
    if not 0 <= beta < 1:
        raise ValueError(f"beta = {beta}: give a number in [0, 1)")
    gain = 1 if rule == "coded" else 1 - beta
    buffer: Fraction | float = 0 * beta
    weights = []
    for gradient in [1, *[0] * (steps - 1)][:steps]:
        buffer = beta * buffer + gain * gradient
        weights.append(gradient + beta * buffer)
    return weights


def momentum_direction(gradients: Sequence, rule: Rule, beta: float):
    """M_t after the given gradients, the oldest first.

    Args:
        gradients: arrays, tensors or numbers of one shape; at least one.
        rule: "coded" or "written".
        beta: momentum, in [0, 1).

    Returns:
        The direction, of the gradients' type.

    Raises:
        ValueError: no gradient, an unknown rule, or beta outside [0, 1).

    Source: Kravatskiy et al. 2025, arXiv 2512.09678 (written) and its public code (coded).

    >>> momentum_direction([1.0, 2.0], "coded", 0.5)
    3.25
    """
    if len(gradients) == 0:
        raise ValueError("gradients is empty: give at least one")
    weights = impulse_response(rule, beta, len(gradients))
    return sum(weight * gradient for weight, gradient in zip(weights, reversed(gradients), strict=True))
