"""The momentum error and the averaged bounds of Kim and Oh, term by term.

Every bound is returned as its five terms (start, curvature, momentum drift, noise, initial gradient), because which of
them rules says more than their sum. Momentum b enters as `gradient_weight` o = 1 - b in (0, 1], so that o = 1e-12 keeps
its digits. Everything is elementwise: any argument may be a float or an array. Values out of range raise ValueError.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Values: TypeAlias = "float | NDArray[np.float64]"

#: Smallest constant of the sum of the three rates for the printed tuning with an exact polar factor.
RATE_CONSTANT = 3 + math.sqrt(2)


@dataclass(frozen=True)
class Setting:
    """What the bounds of Kim and Oh know of a problem and of a run; floats, or arrays that broadcast.

    Args:
        smoothness: L > 0 with nuc(grad f(X) - grad f(Y)) <= L op(X - Y); unit loss / weight^2.
        initial_gap: D = f(W_0) - inf f >= 0; unit loss.
        steps: T >= 1.
        rank: r = min(rows, columns) >= 1.
        noise: sigma >= 0, E fro(sample gradient - gradient)^2 <= sigma^2; unit loss / weight.
        batch: B >= 1 samples a step (any positive number is accepted).

    Raises:
        ValueError: a value that is NaN, infinite or outside its range.

    Source: Kim and Oh 2026, arXiv 2601.19156, Assumptions 1 and 2.

    >>> Setting(smoothness=1.0, initial_gap=1.0, steps=100, rank=4, noise=0.0, batch=1).deterministic_rate
    0.1
    """

    smoothness: Values
    initial_gap: Values
    steps: Values
    rank: Values
    noise: Values
    batch: Values

    def __post_init__(self) -> None:
        for field in fields(self):
            value = np.asarray(getattr(self, field.name))
            positive = (value >= 0) if field.name in ("noise", "initial_gap") else (value > 0)
            if not np.all(np.isfinite(value) & positive):
                raise ValueError(f"{field.name} = {value}: give a finite number > 0 (noise and initial_gap may be 0)")

    @property
    def deterministic_rate(self) -> Values:
        """The rate sqrt(L D / T); unit loss / weight. Source: Kim and Oh 2026, Theorem 1, first term."""
        return (self.smoothness * self.initial_gap / self.steps) ** 0.5

    @property
    def start_rate(self) -> Values:
        """The rate sigma r / sqrt(B T); unit loss / weight. Source: Kim and Oh 2026, Theorem 1, second term."""
        return self.noise * self.rank / (self.batch * self.steps) ** 0.5

    @property
    def stochastic_rate(self) -> Values:
        """The rate (r sigma^2 L D / (B T))^(1/4); unit loss / weight. Source: Kim and Oh 2026, Theorem 1, last term."""
        return (self.rank * self.noise**2 / self.batch) ** 0.25 * self.deterministic_rate**0.5

    @property
    def rates(self) -> Values:
        """The sum of the three rates; unit loss / weight. Source: Kim and Oh 2026, Theorem 1."""
        return self.deterministic_rate + self.start_rate + self.stochastic_rate


class BoundTerms(NamedTuple):
    """A bound as five terms that add up, the factor 1/(1 - eps) included in each; unit loss / weight.

    Source: Kim and Oh 2026, arXiv 2601.19156, proof of Theorem 1.
    """

    start: Values
    curvature: Values
    drift: Values
    noise: Values
    initial_gradient: Values

    @property
    def total(self) -> Values:
        """The bound: the sum of its terms. Source: elementary."""
        return sum(self)  # pyright: ignore[reportReturnType]


def noise_factor(gradient_weight: Values) -> Values:
    """Variance of the averaged noise over the variance of one gradient's, V_H = (1 - b)/(1 + b) = o/(2 - o).

    Args:
        gradient_weight: o = 1 - b in (0, 1], the weight of the newest gradient in the exponential average.

    Returns:
        V_H, pure number in (0, 1].

    Source: Kim and Oh 2026, arXiv 2601.19156, proof of Theorem 1.

    >>> noise_factor(0.5)
    0.3333333333333333
    """
    _require_weight(gradient_weight)
    return gradient_weight / (2 - gradient_weight)


def tracking_error_bound(
    setting: Setting, step: Values, *, step_size: Values, gradient_weight: Values, gradient_norm: Values,
    operator_error: Values = 0.0,
) -> BoundTerms:  # fmt: skip
    """The bound on E nuc(g_t - N_t): b L eta (1+e)/(1-b) + b^t nuc(g_1) + sqrt(V_H) sqrt(r) sigma/sqrt(B)  (K2).

    Args:
        setting: L, r, sigma, B (D and T are not used).
        step: t >= 1.
        step_size: eta >= 0.
        gradient_weight: o = 1 - b.
        gradient_norm: nuc(g_1), at the starting point.
        operator_error: e, the largest op(O - P(N)) so far.

    Returns:
        The terms drift, noise and initial gradient (the other two are 0), unit loss / weight.

    Source: Kim and Oh 2026, arXiv 2601.19156, proof of Theorem 1.

    >>> setting = Setting(smoothness=1.0, initial_gap=1.0, steps=1, rank=1, noise=0.0, batch=1)
    >>> tracking_error_bound(setting, 1, step_size=0.1, gradient_weight=0.5, gradient_norm=1.0)
    BoundTerms(start=0.0, curvature=0.0, drift=0.1, noise=0.0, initial_gradient=0.5)
    """
    _require_weight(gradient_weight)
    momentum = 1 - gradient_weight
    drift = momentum * setting.smoothness * step_size * (1 + operator_error) / gradient_weight
    noise = (noise_factor(gradient_weight) * setting.rank / setting.batch) ** 0.5 * setting.noise
    return BoundTerms(0.0, 0.0, drift, noise, momentum**step * gradient_norm)


def average_bound(
    setting: Setting, *, step_size: Values, gradient_weight: Values, operator_error: Values = 0.0,
    initial_gradient: Values | None = None,
) -> BoundTerms:  # fmt: skip
    """The bound on the run's average of E nuc(gradient), for any step size and momentum  (K3).

    With b = 1 - o and e the operator error the terms are 1/(1-e) times: start D/(T eta), curvature (L eta/2)(1+e)^2,
    drift 2 b L eta (1+e)/(1-b), noise 2 sigma sqrt(r/B) sqrt(V_H), initial gradient 2 b G/(T(1-b)), nuc(g_1) <= G.

    Args:
        setting: the problem and the run.
        step_size: eta > 0.
        gradient_weight: o = 1 - b in (0, 1].
        operator_error: e in [0, 1), the largest op(O - P(N)) of the run.
        initial_gradient: G; None takes the paper's sqrt(2 r L D). `gradient_norm_bound` is smaller by sqrt(r).

    Returns:
        The five terms, unit loss / weight.

    Source: Kim and Oh 2026, arXiv 2601.19156, proof of Theorem 1.

    >>> setting = Setting(smoothness=1.0, initial_gap=1.0, steps=100, rank=4, noise=0.0, batch=1)
    >>> round(average_bound(setting, step_size=0.1, gradient_weight=1.0).total, 12)
    0.15
    """
    _require_weight(gradient_weight)
    chi = worst_case_factor(operator_error)
    momentum = 1 - gradient_weight
    printed = (2 * setting.rank * setting.smoothness * setting.initial_gap) ** 0.5
    start_norm: Values = printed if initial_gradient is None else initial_gradient
    return BoundTerms(
        start=chi * setting.initial_gap / (setting.steps * step_size),
        curvature=chi * setting.smoothness * step_size / 2 * (1 + operator_error) ** 2,
        drift=chi * 2 * momentum * setting.smoothness * step_size * (1 + operator_error) / gradient_weight,
        noise=chi * 2 * setting.noise * (setting.rank / setting.batch * noise_factor(gradient_weight)) ** 0.5,
        initial_gradient=chi * 2 * momentum * start_norm / (setting.steps * gradient_weight),
    )


def printed_step_size(setting: Setting, gradient_weight: Values) -> Values:
    """The step size of Theorem 1, eta = sqrt((1 - b) D / (T L)).

    Args:
        setting: the problem and the run.
        gradient_weight: o = 1 - b in (0, 1].

    Returns:
        eta, unit weight.

    Source: Kim and Oh 2026, arXiv 2601.19156, Theorem 1.

    >>> printed_step_size(Setting(1.0, 1.0, 100, 4, 0.0, 1), 1.0)
    0.1
    """
    _require_weight(gradient_weight)
    return (gradient_weight * setting.initial_gap / (setting.steps * setting.smoothness)) ** 0.5


def printed_gradient_weight(setting: Setting) -> Values:
    """The momentum of Theorem 1 as 1 - b = min{ sqrt(L D B)/(sigma sqrt(r T)), 1 }.

    Args:
        setting: the problem and the run; without noise the weight is 1.

    Returns:
        o = 1 - b in (0, 1], exact to a few ulp however small.

    Source: Kim and Oh 2026, arXiv 2601.19156, Theorem 1.

    >>> printed_gradient_weight(Setting(1.0, 1.0, 100, 4, 1.0, 1))
    0.05
    """
    numerator = np.sqrt(setting.smoothness * setting.initial_gap * setting.batch)
    denominator = setting.noise * np.sqrt(setting.rank * setting.steps)
    # numerator/max(numerator, denominator) is min{numerator/denominator, 1} without dividing by a zero noise.
    weight = numerator / np.maximum(numerator, denominator)
    return float(weight) if np.ndim(weight) == 0 else weight


def average_bound_at_printed_step(
    setting: Setting, gradient_weight: Values, operator_error: Values = 0.0
) -> BoundTerms:
    """The averaged bound at the step size of Theorem 1, as the paper writes it  (K4).

    1/(1-e) [ sqrt(LD/T) ( (1 + 2b(1+e))/sqrt(1-b) + (1+e)^2 sqrt(1-b)/2 ) + 2 sigma sqrt(r/B) sqrt((1-b)/(1+b))
    + 2b sqrt(2rLD)/(T(1-b)) ].

    Args:
        setting: the problem and the run.
        gradient_weight: o = 1 - b in (0, 1].
        operator_error: e in [0, 1).

    Returns:
        The five terms, unit loss / weight; equal to `average_bound` at `printed_step_size`.

    Source: Kim and Oh 2026, arXiv 2601.19156, proof of Theorem 1.

    >>> average_bound_at_printed_step(Setting(1.0, 1.0, 100, 4, 0.0, 1), 1.0).curvature
    0.05
    """
    chi, momentum, rate = worst_case_factor(operator_error), 1 - gradient_weight, setting.deterministic_rate
    initial = (2 * setting.rank / setting.steps) ** 0.5 * rate / gradient_weight
    return BoundTerms(
        start=chi * rate / gradient_weight**0.5,
        curvature=chi * rate * (1 + operator_error) ** 2 * gradient_weight**0.5 / 2,
        drift=chi * rate * 2 * momentum * (1 + operator_error) / gradient_weight**0.5,
        noise=chi * 2 * setting.noise * (setting.rank / setting.batch) ** 0.5 * noise_factor(gradient_weight) ** 0.5,
        initial_gradient=chi * 2 * momentum * initial,
    )


def tuned_average_bound(setting: Setting, operator_error: Values = 0.0, *, sharp: bool = False) -> BoundTerms:
    """The averaged bound at the step size and the momentum of Theorem 1, where that momentum is positive  (K5).

    1/(1-e) [ (1+e)^2 sqrt(1-b)/2 sqrt(LD/T) + (1 + 2b(1+e) + 2/sqrt(1+b)) (r sigma^2 LD/(BT))^(1/4)
    + 2 sqrt(2) b sigma r/sqrt(BT) ].

    Args:
        setting: the problem and the run, with sqrt(LDB) < sigma sqrt(rT).
        operator_error: e in [0, 1).
        sharp: take sqrt(r) for r in the last term, which nuc(g_1)^2 <= 2 L D allows.

    Returns:
        The five terms, unit loss / weight; equal to `average_bound` there.

    Raises:
        ValueError: the noise is too small, so that the printed momentum is 0; or an operator error outside [0, 1).

    Source: Kim and Oh 2026, arXiv 2601.19156, proof of Theorem 1; `sharp` is derived here, checked by claim KO-K3-SR.

    >>> round(tuned_average_bound(Setting(1.0, 1.0, 100, 4, 1.0, 1)).noise, 6)
    0.640513
    """
    weight = printed_gradient_weight(setting)
    if np.any(np.asarray(weight) >= 1):
        raise ValueError("setting: the noise is so small that the printed momentum is 0; use average_bound instead")
    chi, momentum, quartic = worst_case_factor(operator_error), 1 - weight, setting.stochastic_rate
    last = setting.start_rate / setting.rank**0.5 if sharp else setting.start_rate
    return BoundTerms(
        start=chi * quartic,
        curvature=chi * (1 + operator_error) ** 2 * weight**0.5 / 2 * setting.deterministic_rate,
        drift=chi * 2 * momentum * (1 + operator_error) * quartic,
        noise=chi * 2 / (2 - weight) ** 0.5 * quartic,
        initial_gradient=chi * 2 * math.sqrt(2) * momentum * last,
    )


def worst_case_factor(operator_error: Values) -> Values:
    """The factor chi = 1/(1 - eps) by which Newton-Schulz worsens the bound of exact Muon.

    Args:
        operator_error: eps = op(O - P(N)) in [0, 1).

    Returns:
        chi >= 1, pure number.

    Raises:
        ValueError: an error outside [0, 1): the bound is void there.

    Source: Kim and Oh 2026, arXiv 2601.19156, Theorem 2.

    >>> worst_case_factor(0.5)
    2.0
    """
    if not np.all((np.asarray(operator_error) >= 0) & (np.asarray(operator_error) < 1)):
        raise ValueError(f"operator_error = {operator_error!r} is outside [0, 1): the bound says nothing there")
    return 1 / (1 - operator_error)


def sufficient_steps(
    setting: Setting, accuracy: Values, chi: Values = 1.0, *, constant: float = RATE_CONSTANT
) -> tuple[Values, Values, Values]:
    """The three numbers of steps whose maximum brings the tuned bound to an accuracy (Taylor steps, so op(O) <= 1).

    9 c^2 chi^2 L D/eps^2, 9 c^2 chi^2 r^2 sigma^2/(B eps^2), 81 c^4 chi^4 r sigma^2 L D/(B eps^4).

    Args:
        setting: L, D, r, sigma, B (T is not used).
        accuracy: eps > 0, the goal for the averaged nuclear norm of the gradient; unit loss / weight.
        chi: the worst-case factor >= 1.
        constant: c, the constant of the sum of the three rates.

    Returns:
        The three step counts, not rounded.

    Source: Kim and Oh 2026, arXiv 2601.19156, Theorem 1 (order); constants derived here, checked by claim KO-T1-CX.

    >>> sufficient_steps(Setting(1.0, 1.0, 1, 1, 1.0, 1), 1.0, constant=1.0)
    (9.0, 9.0, 81.0)
    """
    gap = setting.smoothness * setting.initial_gap
    variance = setting.noise**2 / setting.batch
    scale = (3 * constant * chi / accuracy) ** 2
    return scale * gap, scale * setting.rank**2 * variance, scale**2 * setting.rank * variance * gap


def _require_weight(gradient_weight: Values) -> None:
    """Raise where 1 - b is outside (0, 1]."""
    weight = np.asarray(gradient_weight)
    if not np.all((weight > 0) & (weight <= 1)):
        raise ValueError(f"gradient_weight = {gradient_weight!r}: give 1 - momentum, a number in (0, 1]")
