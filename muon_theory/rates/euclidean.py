"""Gradient descent with a heavy ball in Euclidean norms: what named inequalities prove, and the exact worst case.

The Euclidean case can be checked against an exact answer: the worst case over all smooth functions of a method whose
steps are linear in gradients is a semidefinite program (performance estimation), which PEPit solves. The linear
program here knows less (descent lemma, Young's inequality), so its bound is at least the exact one; where they agree
nothing was lost. PEPit is needed for `exact_heavy_ball` only and is imported there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from muon_theory.rates.certificate import Certificate, Inequality, best_constant


@dataclass(frozen=True, kw_only=True)
class HeavyBall:
    """Gradient descent with momentum, W <- W - h N, N = b N + (1-b) G; in buffer form eta = (1-b) h.

    Args:
        smoothness: L_F > 0, Euclidean.
        initial_gap: D = f(W_0) - inf f >= 0.
        steps: T >= 1.
        step_size: h > 0 with L h <= 1.
        momentum: b in [0, 1).
        variance: E of the squared norm of the batch noise, >= 0.

    Raises:
        ValueError: an assumption that fails, named.

    Source: derived here (Theorem B of the room `newton_schulz_convergence` has h = (1-b)/L_F).

    >>> HeavyBall(smoothness=1, initial_gap=1, steps=4, step_size=2)
    Traceback (most recent call last):
        ...
    ValueError: smoothness * step_size = 2: the proof needs a number in (0, 1]
    """

    smoothness: Fraction | int
    initial_gap: Fraction | int
    steps: int
    step_size: Fraction | int
    momentum: Fraction | int = 0
    variance: Fraction | int = 0

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps = {self.steps}: the average over T steps needs an integer T >= 1")
        if not 0 < self.smoothness * self.step_size <= 1:
            raise ValueError(
                f"smoothness * step_size = {self.smoothness * self.step_size}: the proof needs a number in (0, 1]"
            )
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum = {self.momentum}: the moving average needs 0 <= b < 1")
        if self.initial_gap < 0 or self.variance < 0:
            raise ValueError(f"initial_gap, variance = {self.initial_gap}, {self.variance}: give numbers >= 0")


def heavy_ball_inequalities(method: HeavyBall, *, splits: Sequence[Fraction] = ()) -> list[Inequality]:
    """The named inequalities behind Theorem B: descent, and the recursion of the momentum error by Young's inequality.

    Unknowns: `f[t]` the loss, and the expected squared norms `g[t]` of the gradient, `n[t]` of N, `e[t]` of N - g.

    Args:
        method: what is assumed.
        splits: further weights theta > 0 of Young's inequality besides (1-b)/b.

    Returns:
        The inequalities.

    Source: derived here.

    >>> len(heavy_ball_inequalities(HeavyBall(smoothness=1, initial_gap=1, steps=1, step_size=1)))
    6
    """
    one, L, h = Fraction(1), Fraction(method.smoothness), Fraction(method.step_size)
    b, T, half = Fraction(method.momentum), method.steps, Fraction(method.step_size) / 2
    fresh = (1 - b) ** 2 * method.variance
    rows = [
        Inequality("initial gap", "definition of D", {"f[0]": one}, Fraction(method.initial_gap)),
        Inequality("lower bound", "definition of inf f", {f"f[{T}]": -one}, Fraction(0)),
        Inequality("momentum start", "N = 0 before", {"e[1]": one, "g[1]": -b * b}, fresh),
    ]
    for t in range(1, T + 1):
        rows.append(Inequality(
            "descent", "descent lemma, polarisation",
            {f"f[{t}]": one, f"f[{t - 1}]": -one, f"g[{t}]": half, f"n[{t}]": half - L * h * h / 2, f"e[{t}]": -half},
            Fraction(0), t,
        ))  # fmt: skip
        rows.append(Inequality("square", "a squared norm", {f"n[{t}]": -one}, Fraction(0), t))
        rows.append(
            Inequality("self bound", "descent lemma along g", {f"g[{t}]": one, f"f[{t - 1}]": -2 * L}, Fraction(0), t)
        )
        for theta in [(1 - b) / b, *splits] if b and t > 1 else []:
            row = {
                f"e[{t}]": one,
                f"e[{t - 1}]": -b * b * (1 + theta),
                f"n[{t - 1}]": -b * b * (1 + 1 / theta) * (L * h) ** 2,
            }
            rows.append(Inequality(f"Young {float(theta):.4g}", "Young; smoothness", row, fresh, t))
        if not b and t > 1:
            rows.append(Inequality("no memory", "N = G", {f"e[{t}]": one}, fresh, t))
    return rows


def provable_heavy_ball(method: HeavyBall, *, splits: Sequence[Fraction] = ()) -> Certificate:
    """The best bound on the averaged squared gradient norm that those inequalities prove.

    Args:
        method: what is assumed.
        splits: see `heavy_ball_inequalities`.

    Returns:
        The verified certificate.

    Source: derived here.

    >>> provable_heavy_ball(HeavyBall(smoothness=1, initial_gap=1, steps=5, step_size=1)).bound  # 2 L D/T
    Fraction(2, 5)
    """
    objective = {f"g[{t}]": Fraction(1, method.steps) for t in range(1, method.steps + 1)}
    return best_constant(objective, heavy_ball_inequalities(method, splits=splits))


def exact_heavy_ball(method: HeavyBall) -> float:
    """The largest averaged squared gradient norm over all smooth functions of any dimension, without noise.

    Args:
        method: what is assumed; its variance must be 0.

    Returns:
        The worst case, to about 1e-6 relative.

    Raises:
        ValueError: a variance > 0.

    Source: Drori and Teboulle 2014; Taylor, Hendrickx and Glineur 2017 (interpolation); PEPit, Goujaud et al. 2024.
    Cost: a semidefinite program of size T + 2, 0.1 s for T = 5; needs PEPit, one of the developers' tools.
    """
    if method.variance:
        raise ValueError(f"variance = {method.variance}: the exact worst case is for exact gradients, give 0")
    from PEPit import PEP, Expression
    from PEPit.functions import SmoothFunction

    problem = PEP()
    f = problem.declare_function(SmoothFunction, L=float(method.smoothness))
    x, lowest = problem.set_initial_point(), Expression()
    b, h = float(method.momentum), float(method.step_size)
    squares, moving = [], None
    for t in range(method.steps + 1):
        g, value = f.oracle(x)
        # f has infimum >= lowest exactly if it is at least that after the best step from every point.
        problem.add_constraint(value - g**2 / (2 * float(method.smoothness)) >= lowest)
        if t == 0:
            problem.add_constraint(value - lowest <= float(method.initial_gap))
        if t < method.steps:
            squares.append(g**2)
            moving = (1 - b) * g if moving is None else b * moving + (1 - b) * g
            x = x - h * moving
    problem.set_performance_metric(sum(squares[1:], squares[0]) / method.steps)
    worst = problem.solve(wrapper="cvxpy", solver="CLARABEL", verbose=0)
    return math.nan if worst is None else float(worst)
