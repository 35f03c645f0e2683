"""Functions on which a method provably crawls, made for its step size: lower bounds that can be run.

Every function here is one that nothing but the path of the method sees: its derivative along the path is a constant at
the iterates and rises as fast as smoothness allows between them, so that little of the loss is used up a step.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class ColumnInstance:
    """F(X) = Phi(<o, x>) + Gamma(<p, x>), x the first column of X, o = (1,..,1)/sqrt m, p orthogonal to it.

    At X = 0 the gradient is -slope (m, 1,..,1)^T e_1^T / sqrt(m^2 + m - 1), or with `aligned` -slope o e_1^T; it is the
    same at <o, x> = k step for k = 0 .. steps, where Phi then levels off.

    Args:
        rows: m >= 2.
        slope: nuclear norm of the gradient at the iterates, > 0.
        smoothness: L of F, from the spectral to the nuclear norm, > 0.
        gap: D >= F(0) - inf F, > 0.
        step: spectral norm of the method's step, > 0.
        aligned: the gradient along o, on which dividing rows by their length changes nothing.

    Raises:
        ValueError: a number that is not positive, or fewer than two rows.

    Source: hard gradient: Zhang and Lin 2026, Theorem 3.1; the function was derived here.

    >>> instance = ColumnInstance(4, 0.02, 1.0, 1.0, 0.1)
    >>> round(float(np.linalg.norm(instance.gradient(np.zeros((4, 2))))), 6)
    0.02
    """

    rows: int
    slope: float
    smoothness: float
    gap: float
    step: float
    aligned: bool = False

    def __post_init__(self) -> None:
        if self.rows < 2 or not min(self.slope, self.smoothness, self.gap, self.step) > 0:
            raise ValueError(f"{self}: give at least two rows and slope, smoothness, gap and step above 0")

    @property
    def alignment(self) -> float:
        """<H, o> of the unit gradient H. Source: elementary."""
        m = self.rows
        return 1.0 if self.aligned else (2 * m - 1) / (m * (m * m + m - 1)) ** 0.5

    @property
    def steps(self) -> int:
        """Steps until the loss is used up: D less what levelling off takes, over the loss a step; at most 1e9.

        A step of length s along a slope h lowers F by h s - L s^2 / 4, as the derivative may rise and fall back in
        between; levelling off takes h^2 / (2 L) along the path and b^2 / (2 L) across it, h^2 + b^2 = slope^2.

        Source: derived here.
        """
        h, s, L = self.slope * self.alignment, self.step, self.smoothness
        used, left = h * s - L * s * s / 4, self.gap - self.slope**2 / (2 * L)
        return 10**9 if used * 10**9 < left else int(max(0.0, left) / used)

    def gradient(self, X: Array) -> Array:
        """Gradient at X, shape (m, n), n >= 1. Source: derived here."""
        m, L = self.rows, self.smoothness
        o, H = np.full(m, m**-0.5), np.ones(m)
        H[0] = 1.0 if self.aligned else m
        H /= np.linalg.norm(H)
        p = H - (H @ o) * o
        b = float(np.linalg.norm(p))
        p = p / b if b > 1e-12 else np.zeros(m)
        along = rising_slope(o @ X[:, 0], self.slope * self.alignment, L, self.step, self.steps)
        side = min(0.0, L * max(0.0, float(p @ X[:, 0])) - self.slope * b)
        G = np.zeros_like(X)
        G[:, 0] = float(along) * o + side * p
        return G


def rising_slope(x: ArrayLike, slope: ArrayLike, smoothness: float, step: ArrayLike, steps: ArrayLike) -> Array:
    """Derivative -h at x = 0, s, 2 s, .., T s, risen by L s / 2 half-way between, and levelling off behind T s.

    Args:
        x: places, any shape.
        slope: h > 0, broadcasting with x.
        smoothness: L > 0, of the derivative.
        step: s > 0.
        steps: T >= 0.

    Returns:
        The derivative; -h for x < 0.

    Source: derived here.

    >>> rising_slope([0.0, 0.5, 1.0, 2.0, 2.5, 9.0], 1.0, 1.0, 1.0, 2).tolist()
    [-1.0, -0.5, -1.0, -1.0, -0.5, 0.0]
    """
    x, h, s = np.asarray(x, dtype=float), np.asarray(slope, dtype=float), np.asarray(step, dtype=float)
    beyond, within = x - s * np.asarray(steps), np.mod(x, s)
    rise = np.where(beyond >= 0, np.minimum(smoothness * beyond, h), smoothness * np.minimum(within, s - within))
    return np.where(x > 0, rise, 0.0) - h


def row_normalised_survival(
    instance: ColumnInstance, limit: int, *, momentum: float, second: float, columns: int = 2, normalise: bool = True
) -> int:
    """Steps 0, 1, .. of NorMuon from X = 0 at which the nuclear norm of the gradient stays above slope / 2.

    C = EMA of the gradient, O its polar factor, v_i = EMA of the mean square of row i of O, rows divided by sqrt(v_i),
    the whole brought to the spectral norm `instance.step`.

    Args:
        instance: the function, made for the step.
        limit: largest number of steps.
        momentum: beta_1 in [0, 1).
        second: beta_2 in [0, 1).
        columns: n >= 1.
        normalise: False: no division of rows, which is Muon.

    Returns:
        The number of steps taken with the norm above, at most `limit`.

    Source: Zhang and Lin 2026 (NorMuon as analysed there, with the scale of its step free).

    >>> row_normalised_survival(ColumnInstance(4, 0.02, 1.0, 1.0, 0.01), 30, momentum=0.9, second=0.95)
    30
    """
    X = np.zeros((instance.rows, columns))
    C, v = np.zeros_like(X), np.zeros(instance.rows)
    for count in range(limit + 1):
        G = instance.gradient(X)
        if np.linalg.norm(G, 2) <= instance.slope / 2:  # one column: spectral and nuclear norm agree
            return count - 1
        C = momentum * C + (1 - momentum) * G
        O = C / np.linalg.norm(C, 2)  # the polar factor of a matrix of rank one
        v = second * v + (1 - second) * np.mean(O**2, axis=1)
        O = O / np.sqrt(v)[:, None] if normalise else O
        X = X - instance.step / np.linalg.norm(O, 2) * O
    return limit


def constant_step_averages(
    gap: float, noise: float, samples: int, step_size: ArrayLike, batch: int, *, runs: int = 64, seed: int = 0
) -> Array:
    """Average |f'| of sign descent x <- x - eta sign(f' + xi) on two functions of one variable with L = 1.

    The noise xi of a batch is S / sqrt(B) or its negative with equal chances. First function: derivative as in
    `rising_slope`, as steep as D allows T = N / B steps to be, run without noise. Second: derivative just below
    S / sqrt(B), so that the sign is a coin, until the loss D is used up.

    Args:
        gap: D > 0.
        noise: S > 0.
        samples: N.
        step_size: eta > 0, (e,).
        batch: B >= 1, a divisor of N.
        runs: random paths on the second function.
        seed: of the paths.

    Returns:
        Averages over t = 0 .. T - 1, (2, e).

    Raises:
        ValueError: a batch that does not divide the samples.

    Source: derived here, after the reduction of Tao, Yu and Zhang 2026 to SignSGD on the singular values.

    >>> constant_step_averages(1.0, 1.0, 16, [0.5], 4).round(3).tolist()
    [[0.55], [0.5]]
    """
    if samples % batch:
        raise ValueError(f"batch is {batch}; it must divide the number of samples, {samples}")
    eta, T, level = np.asarray(step_size, dtype=float), samples // batch, noise / batch**0.5
    h = np.sqrt((eta * T) ** 2 + 2 * (gap + T * eta**2 / 4)) - eta * T  # h eta T - T eta^2 / 4 + h^2 / 2 = D
    h = np.where(h > eta / 4, h, np.minimum(eta / 4, (2 * gap) ** 0.5))
    g = min(level, (2 * gap) ** 0.5) * (1 - 1e-9)
    room = (gap - g**2 / 2) / g
    generator, x, y = np.random.default_rng(seed), np.zeros_like(eta), np.zeros((runs, len(eta)))
    total = np.zeros((2, len(eta)))
    for _ in range(T):
        own = rising_slope(x, h, 1.0, eta, T)
        coin = np.minimum(0.0, np.maximum(y - room, 0.0) - g)
        total += [np.abs(own), np.abs(coin).mean(0)]
        x = x - eta * np.sign(own)
        y = y - eta * np.sign(coin + level * generator.choice((-1.0, 1.0), y.shape))
    return total / T
