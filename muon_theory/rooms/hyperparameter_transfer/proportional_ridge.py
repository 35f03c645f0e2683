"""Random-feature ridge regression where samples, features and inputs grow in proportion: risk, best penalty, constants.

y = sigma_*(<x, b>) + noise with x ~ N(0, I_d), |b| = 1; features sigma(W x)/sqrt(n), W_ij ~ N(0, 1/d), sigma odd; both
functions centred with unit variance. N samples, n features: N/d -> psi1, n/d -> psi2; eta = psi1/psi2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class RidgeProblem:
    """The four numbers that the asymptotic risk depends on.

    Args:
        slope: mu1^2 = (E sigma'(z))^2 of the feature map, in (0, 1); mu2^2 = 1 - mu1^2.
        target_slope: the same of the target, in (0, 1].
        noise: s^2, variance of the label noise, >= 0.
        samples: psi1 = N/d > 0.

    Raises:
        ValueError: a value outside its range.

    Source: Ghosh, Wu, Bietti 2025, arXiv 2512.22768, random-feature theorem.
    """

    slope: float
    target_slope: float
    noise: float
    samples: float

    def __post_init__(self) -> None:
        if not 0 < self.slope < 1:
            raise ValueError(f"slope = {self.slope}: mu1^2 must lie in (0, 1), the feature map must not be linear")
        if not 0 < self.target_slope <= 1:
            raise ValueError(f"target_slope = {self.target_slope}: it must lie in (0, 1]")
        if not (self.noise >= 0 and self.samples > 0):
            raise ValueError(f"noise = {self.noise}, samples = {self.samples}: give noise >= 0 and samples > 0")


class Optimum(NamedTuple):
    """Best penalty and its risk. Source: elementary (a record)."""

    penalty: float
    risk: float


def gaussian_slope(function: Callable[[Array], Array]) -> float:
    """mu1^2 of a function once it is centred and has unit variance: (E z f(z))^2 / Var f(z), z standard normal.

    Args:
        function: elementwise on float64 arrays.

    Returns:
        mu1^2 in [0, 1].

    Source: elementary (Stein's identity, E f'(z) = E z f(z)).

    >>> round(gaussian_slope(lambda z: np.maximum(z, 0.0)), 4)
    0.7335
    """
    z = np.linspace(-12, 12, 48_001)
    weight = np.exp(-(z**2) / 2)
    weight /= weight.sum()
    values = function(z)
    mean = float(weight @ values)
    return float(weight @ (z * values)) ** 2 / float(weight @ (values - mean) ** 2)


def resolvents(
    problem: RidgeProblem, penalty: float, features: float, *, drop_eta: bool = False
) -> tuple[float, float, float, float]:
    """m1, m2 and their derivatives by lambda: the solution of the two printed fixed-point equations.

    With q = 1 + eta (lambda m1 - 1) they reduce to m2 = m1 / (1 + psi1 mu1^2 m1 q) and
    lambda m1 - 1 + (mu2^2 m1 + mu1^2 m2) q = 0; the left side rises in m1, so one bisection finds its only root.

    Args:
        problem: the problem.
        penalty: lambda > 0.
        features: psi2 = n/d > 0; inf for infinite width.
        drop_eta: the reduced equation without its factor q, as in the source's appendix; only for checking that slip.

    Returns:
        (m1, m2, m1', m2').

    Raises:
        ValueError: a penalty or a number of features that is not positive.

    Source: the two equations: Ghosh, Wu, Bietti 2025, arXiv 2512.22768, appendix; their reduction: derived here.

    >>> m1, m2, *_ = resolvents(RidgeProblem(0.8, 0.6, 0.0625, 4.0), 0.5, 8.0)
    >>> q = 1 + 0.5 * (0.5 * m1 - 1)
    >>> abs(0.5 * m1 - 1 + (0.2 * m1 + 0.8 * m2) * q) < 1e-12
    True
    """
    if not (penalty > 0 and features > 0):
        raise ValueError(f"penalty = {penalty}, features = {features}: give positive numbers")
    from scipy.optimize import brentq

    a, b, p, eta = problem.slope, 1 - problem.slope, problem.samples, problem.samples / features
    last = 0.0 if drop_eta else 1.0  # weight of the eta term in the first equation

    def parts(u: float) -> tuple[float, float, float]:
        m1, q = u / penalty, 1 + eta * (u - 1)
        return m1, q, 1 + p * a * m1 * q

    def equation(u: float) -> float:
        m1, q, below = parts(u)
        return u - 1 + (b * m1 + a * m1 / below) * (1 + last * eta * (u - 1))

    u = float(brentq(equation, max(0.0, 1 - 1 / eta) if eta > 0 else 0.0, 1.0, xtol=1e-16, rtol=1e-15))  # pyright: ignore
    m1, q, below = parts(u)
    f = 1 + last * eta * (u - 1)
    m2 = m1 / below
    # Derivatives of m1 = u/lambda, q and below by u (lambda fixed) and by lambda (u fixed).
    m1_u, m1_l, q_u, f_u = 1 / penalty, -u / penalty**2, eta, last * eta
    below_u, below_l = p * a * (m1_u * q + m1 * q_u), p * a * m1_l * q
    m2_u, m2_l = m1_u / below - m1 * below_u / below**2, m1_l / below - m1 * below_l / below**2
    by_u = 1 + (b * m1_u + a * m2_u) * f + (b * m1 + a * m2) * f_u
    u_slope = -(b * m1_l + a * m2_l) * f / by_u
    return m1, m2, m1_l + m1_u * u_slope, m2_l + m2_u * u_slope


def risk(problem: RidgeProblem, penalty: float, features: float, *, drop_eta: bool = False) -> float:
    """Test error, label noise included: R = -(mu2*^2 + s^2) m1'/m1^2 - mu1*^2 m2'/m1^2.

    Args:
        problem: the problem.
        penalty: lambda > 0.
        features: psi2 > 0; inf for infinite width.
        drop_eta: as in `resolvents`.

    Returns:
        The limit of E (y - f(x))^2.

    Raises:
        ValueError: as in `resolvents`.

    Source: Ghosh, Wu, Bietti 2025, arXiv 2512.22768, appendix; checked by simulation in claim HT-RF7.

    >>> round(risk(RidgeProblem(0.8, 0.6, 0.0625, 4.0), 1e9, 8.0), 4)
    1.0625
    """  # noqa: DOC502  (raised by resolvents)
    m1, _, m1_slope, m2_slope = resolvents(problem, penalty, features, drop_eta=drop_eta)
    rest = 1 - problem.target_slope + problem.noise
    return -(rest * m1_slope + problem.target_slope * m2_slope) / m1**2


def best_penalty(problem: RidgeProblem, features: float, *, drop_eta: bool = False) -> Optimum:
    """lambda*(psi2) and the risk there, by direct minimisation: the root of a fourth-order difference quotient of R.

    Args:
        problem: the problem; its optimum of infinite width must be positive.
        features: psi2 > 0; inf for infinite width.
        drop_eta: as in `resolvents`.

    Returns:
        The optimum; the penalty is accurate to about 1e-10 relative.

    Raises:
        ValueError: no minimum with lambda in the searched range (1e-4 to 1e4 times that of infinite width).

    Source: derived here.

    >>> best_penalty(RidgeProblem(0.8, 0.6, 0.0625, 4.0), float("inf")).penalty.__round__(6)
    0.416667
    """
    from scipy.optimize import brentq

    h = 2e-3

    def slope(log: float) -> float:
        at = [risk(problem, float(np.exp(log + k * h)), features, drop_eta=drop_eta) for k in (-2, -1, 1, 2)]
        return (8 * (at[2] - at[1]) - (at[3] - at[0])) / (12 * h)

    grid = np.log(limit_penalty(problem)) + np.linspace(-np.log(1e4), np.log(1e4), 17)
    slopes = [slope(float(x)) for x in grid]
    at = next((i for i in range(16) if slopes[i] < 0 <= slopes[i + 1]), None)
    if at is None:
        raise ValueError(f"no minimum between penalties {np.exp(grid[0]):g} and {np.exp(grid[-1]):g}")
    best = float(np.exp(brentq(slope, grid[at], grid[at + 1], xtol=1e-14)))  # pyright: ignore
    return Optimum(best, risk(problem, best, features, drop_eta=drop_eta))


def limit_penalty(problem: RidgeProblem) -> float:
    """lambda*(inf) = mu1^2 (s^2 + mu2*^2) / mu1*^2 - mu2^2, the best penalty of infinite width.

    Args:
        problem: the problem.

    Returns:
        The penalty, > 0.

    Raises:
        ValueError: it would not be positive: the risk is then smallest at lambda = 0 and no constant exists.

    Source: Ghosh, Wu, Bietti 2025, arXiv 2512.22768, appendix; claim HT-RF5.

    >>> round(limit_penalty(RidgeProblem(0.8, 0.6, 0.0625, 4.0)), 6)
    0.416667
    """
    a, target = problem.slope, problem.target_slope
    found = a * (problem.noise + 1 - target) / target - (1 - a)
    if found <= 0:
        raise ValueError(f"lambda*(inf) = {found:g} is not positive: no interior optimum, the theorem does not apply")
    return found


def limit_risk(problem: RidgeProblem) -> float:
    """Smallest risk of infinite width: psi1 ((mu2*^2 + s^2) t^2 + mu1*^2) / (psi1 t^2 - (t - 1)^2) at t of the optimum.

    Args:
        problem: the problem.

    Returns:
        The risk.

    Raises:
        ValueError: as in `limit_penalty`.

    Source: Ghosh, Wu, Bietti 2025, arXiv 2512.22768, appendix; claim HT-RF5.

    >>> problem = RidgeProblem(0.8, 0.6, 0.0625, 4.0)
    >>> abs(limit_risk(problem) - best_penalty(problem, float("inf")).risk) < 1e-12
    True
    """  # noqa: DOC502  (raised by limit_penalty)
    t, p = _limit_t(problem), problem.samples
    return p * ((1 - problem.target_slope + problem.noise) * t**2 + problem.target_slope) / (p * t**2 - (t - 1) ** 2)


def risk_constant(problem: RidgeProblem) -> float:
    """C_eta in min R = R_inf + C_eta psi1/psi2 + o(psi1/psi2), derived from the two equations with nothing dropped.

    Args:
        problem: the problem.

    Returns:
        C_eta > 0.

    Raises:
        ValueError: as in `limit_penalty`.

    Source: derived here, checked in claim HT-RF3; the constant of arXiv 2512.22768 drops a term (HT-RF1).

    >>> round(risk_constant(RidgeProblem(0.8, 0.6, 0.0625, 4.0)), 6)
    0.094897
    """  # noqa: DOC502  (raised by limit_penalty)
    t, a, p = _limit_t(problem), problem.slope, problem.samples
    b = 1 - a
    below = a**2 * (p * t - t + 1) * (p * t**2 - (t - 1) ** 2)
    return (1 - problem.target_slope + problem.noise) * (a + b * t) * (a + b * t**2) * (t - 1) ** 2 / below


def penalty_constant(problem: RidgeProblem) -> float:
    """C_lambda in lambda*(psi2) = lambda*(inf) + C_lambda psi1/psi2 + o(psi1/psi2), with nothing dropped.

    Args:
        problem: the problem.

    Returns:
        C_lambda.

    Raises:
        ValueError: as in `limit_penalty`.

    Source: derived here, checked in claim HT-RF4; the constant of arXiv 2512.22768 drops a term (HT-RF2).

    >>> round(penalty_constant(RidgeProblem(0.8, 0.6, 0.0625, 4.0)), 5)
    1.43961
    """  # noqa: DOC502  (raised by limit_penalty)
    t, a, p = _limit_t(problem), problem.slope, problem.samples
    b = 1 - a
    above = (
        a**2 * (-2 * p * t**3 + 3 * p * t**2 + 2 * t**3 - 5 * t**2 + 4 * t - 1)
        + 2 * a * b * (p * t**3 + t**4 - 2 * t**3 + t**2)
        + b**2 * (p * t**6 - t**6 + 4 * t**5 - 5 * t**4 + 2 * t**3)
    )
    return above / (a * p * t**3 * (t - 1))


def _limit_t(problem: RidgeProblem) -> float:
    """Give t = 1 + mu1^2 psi1 m1 > 1 at the optimum of infinite width: the root of lambda(t) = lambda*(inf)."""
    a, p = problem.slope, problem.samples
    target = limit_penalty(problem) + 1 - a  # a p/(t - 1) - a/t = target
    # target t^2 + (a - target - a p) t - a = 0 after multiplying by t (t - 1): one positive root, above one.
    middle = a - target - a * p
    return float((-middle + np.sqrt(middle**2 + 4 * target * a)) / (2 * target))
