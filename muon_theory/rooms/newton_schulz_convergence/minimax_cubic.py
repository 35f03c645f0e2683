"""The minimax cubic step on an interval, in its two published closed forms, and its greedy composition.

The odd cubic closest to 1 on [l, u] is a rescaled Taylor cubic. Composed greedily, each step is the best on the image
of the one before. The functions take the ends as floats, numpy arrays or `arb`.
"""

from typing import Any, TypeVar

from flint import arb

T = TypeVar("T")


def minimax_scale(lower: T, upper: T) -> T:
    """The scale A = sqrt(3/(u^2 + l u + l^2)) of the Polar Express form of the minimax cubic.

    Args:
        lower: lower end l > 0 of the interval.
        upper: upper end u > l.

    Returns:
        The scale, of the kind of the ends.

    Source: Amsel et al., 2025, arXiv 2505.16932, as relayed in two notes; checked in claim PE-01.

    >>> minimax_scale(1.0, 1.0)
    1.0
    """
    l, u = _ends(lower, upper)
    return _root(3 / (u * u + l * u + l * l))


def scaled_cubic(lower: T, upper: T, scale: T) -> tuple[T, T]:
    """The cubic p(x) = B (3Ax - (Ax)^3)/2 with B = 4/(2 + l u (l + u) A^3); the minimax cubic for A = `minimax_scale`.

    Args:
        lower: lower end l > 0 of the interval.
        upper: upper end u > l.
        scale: the scale A.

    Returns:
        (c1, c3) of p(x) = c1 x + c3 x^3.

    Source: Amsel et al., 2025, arXiv 2505.16932, as relayed in two notes; checked in claim PE-01.

    >>> [round(c, 6) for c in scaled_cubic(0.1, 1.0, minimax_scale(0.1, 1.0))]
    [3.963405, -3.570635]
    """
    l, u = _ends(lower, upper)
    a: Any = scale
    b = 4 / (2 + l * u * (l + u) * a**3)
    return 3 * a * b / 2, -(a**3) * b / 2


def minimax_cubic(lower: T, upper: T, *, mean_square: T | None = None) -> tuple[T, T]:
    """The odd cubic closest to 1 on [l, u]: p(x) = 2(3wx - x^3)/(2w^(3/2) + l^2 u + l u^2), w = (l^2 + lu + u^2)/3.

    Args:
        lower: lower end l > 0 of the interval.
        upper: upper end u > l.
        mean_square: w; None takes the best one.

    Returns:
        (c1, c3) of p(x) = c1 x + c3 x^3.

    Source: derived here in the form of CANS (Grishina et al., 2025, arXiv 2506.10935); claim PE-02.

    >>> [round(c, 6) for c in minimax_cubic(0.1, 1.0)]
    [3.963405, -3.570635]
    """
    l, u = _ends(lower, upper)
    w: Any = (l * l + l * u + u * u) / 3 if mean_square is None else mean_square
    denominator = 2 * w * _root(w) + l * u * (l + u)
    return 6 * w / denominator, -2 / denominator


def minimax_cubic_error(lower: T, upper: T) -> T:
    """The error E of the minimax cubic on [l, u]: E = (2w^(3/2) - l^2 u - l u^2)/(2w^(3/2) + l^2 u + l u^2).

    Args:
        lower: lower end l > 0 of the interval.
        upper: upper end u > l.

    Returns:
        The error, in [0, 1).

    Source: derived here, checked in claim PE-01.
    Accuracy: absolute; as u - l tends to 0 the difference cancels, use `arb` there.

    >>> round(minimax_cubic_error(0.1, 1.0), 7)
    0.6072301
    """
    l, u = _ends(lower, upper)
    w = (l * l + l * u + u * u) / 3
    middle, ends = 2 * w * _root(w), l * u * (l + u)
    return (middle - ends) / (middle + ends)


def greedy_cubic_error(lower: T, steps: int) -> T:
    """The error of the greedy composition of minimax cubics on [l, 1]: l' = 1 - E, u' = 1 + E.

    Args:
        lower: smallest singular value l, in (0, 1).
        steps: number of steps, integer >= 0.

    Returns:
        The largest distance of an image from 1.

    Source: Amsel et al., 2025, arXiv 2505.16932, Theorem 4.1 (the greedy composition is optimal).

    >>> round(greedy_cubic_error(1e-3, 9), 6)
    0.002167
    """
    start: Any = lower
    l, u, error = start, 0 * start + 1, 1 - start
    for _ in range(steps):
        error = minimax_cubic_error(l, u)
        l, u = 1 - error, 1 + error
    return error


def _ends(lower: Any, upper: Any) -> tuple[Any, Any]:
    return lower, upper


def _root(value: Any) -> Any:
    return value.sqrt() if isinstance(value, arb) else value**0.5
