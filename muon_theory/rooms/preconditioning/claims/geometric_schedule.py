"""The scalar sequences: the bound of the geometric schedule, that it is tight, and where it ends."""

from fractions import Fraction
from functools import lru_cache

import numpy as np

from muon_theory.claim import Claim, Finding, Mutation
from muon_theory.rooms.preconditioning.scalar_modes import (
    exact_iterates,
    exact_worst_ratio,
    limiting_error,
    plateau,
    scalar_errors,
)
from muon_theory.rooms.preconditioning.schedules import geometric_steps

HERE = "derived here; not read in arXiv 2601.13474"
RATIOS = (0.5, 0.6, 0.7, 0.8, 0.9)
FLOOR = 1e-13


@lru_cache(maxsize=4)
def _targets(count: int) -> tuple[Fraction, ...]:
    """Random fractions in [0, 1]."""
    return tuple(Fraction(int(n), 10**6) for n in np.random.default_rng(0).integers(0, 10**6, count))


@lru_cache(maxsize=2)
def _sigma() -> np.ndarray:
    return np.concatenate([[0.0, 1.0], np.random.default_rng(1).uniform(size=20_000)])


def _bound(ratio: Fraction | None = None) -> Finding:
    """The largest error over rho^t: exact for three rho, and in floats (less the rounding floor) for five."""
    exact = [Fraction(1, 2), Fraction(3, 5), Fraction(9, 10)] if ratio is None else [ratio]
    worst: list[Fraction | float] = [
        exact_worst_ratio([*_targets(200), Fraction(0), Fraction(1)], rho, 40) for rho in exact
    ]
    for rho in RATIOS if ratio is None else ():
        powers = rho ** np.arange(61)[:, None]
        worst.append(float(((scalar_errors(_sigma(), geometric_steps(rho, 60)) - FLOOR) / powers).max()))
    return Finding(1, worst, provable=1, attained=max(worst))


def _attained(largest: float = 1.0, first: int = 0) -> Finding:
    """The largest error over rho^t down to rho^t = 1e-3, for sigma up to `largest` and t from `first` on."""
    sigma, worst = _sigma()[_sigma() <= largest], []
    for rho in RATIOS:
        steps = int(np.log(1e-3) / np.log(rho))
        errors = scalar_errors(sigma, geometric_steps(rho, steps)) / rho ** np.arange(steps + 1)[:, None]
        worst.append(float(errors[first:].max()))
    return Finding(1 - 1e-6, worst, attained=min(worst))


def _bisection(ratio: Fraction = Fraction(1, 2)) -> Finding:
    """How many of 50 targets have an iterate that is no multiple of 2^-t or further than 2^-t away."""
    failures = 0
    for sigma in _targets(50):
        iterates = list(enumerate(exact_iterates(sigma, ratio, 30)))
        failures += not all((s * 2**t).denominator == 1 and abs(abs(s) - sigma) * 2**t <= 1 for t, s in iterates)
    return Finding(0, failures)


def _below_one_half(factor: float = 2.0) -> Finding:
    ratios, sigma = (0.3, 0.4, 0.45, 0.49), np.append(_sigma()[1:], 1e-5)
    final = [float(scalar_errors(sigma, geometric_steps(rho, 60))[-1].max()) for rho in ratios]
    return Finding([limiting_error(rho) * (1 - factor * rho) / (1 - 2 * rho) for rho in ratios], final)


def _overestimated(scales: tuple[float, ...] = (1.0, 1.5, 3.0, 10.0)) -> Finding:
    powers = 0.7 ** np.arange(61)[:, None]
    errors = [scalar_errors(_sigma(), geometric_steps(0.7, 60, scale=c)) - FLOOR for c in scales]
    worst = [float((error / powers).max()) for error in errors]
    return Finding(list(scales), worst, attained=max(w / c for w, c in zip(worst, scales, strict=True)))


def _underestimated(share: float = 1.0) -> Finding:
    scales = (0.5, 0.9, 0.99)
    final = [float(scalar_errors([1.0], geometric_steps(0.7, 60, scale=c))[-1, 0]) for c in scales]
    return Finding([share * (1 - c) for c in scales], final)


def _constant_step(decay: float = 1.0) -> Finding:
    """The extremes over sigma of limsup error / eta, for four constant steps."""
    extremes = []
    for eta in (0.1, 0.03, 0.01, 0.003):
        sigma = _sigma()[1:]
        if decay == 1:
            last = plateau(eta, sigma)
        else:
            steps, few = eta * decay ** np.arange(int(np.ceil(3 / eta))), sigma[::10]
            last = scalar_errors(few[few < 0.5 * steps.sum()], steps)[-2:].max(0)
        extremes += [float(last.min()) / eta, float(last.max()) / eta]
    return Finding([0.5, 1.0] * 4, extremes, attained=extremes[-1])


def claims() -> list[Claim]:
    """The claims MF-03 to MF-06 and MF-11 to MF-13.

    Returns:
        The claims.

    Source: the rows of the inventory; each claim names its own.
    """
    return [*_the_bound(), *_its_limits()]


def _the_bound() -> list[Claim]:
    return [
        Claim(
            id="MF-03",
            statement="geometric schedule: abs(abs(s_t) - sigma) <= sigma_max rho^t for every sigma in [0, sigma_max], "
            "every t and rho in [1/2, 1), eta_t = (1 - rho) sigma_max rho^t, s_0 = 0+",
            source=f"{HERE}: with e <= eta/(1 - rho) a step leaves max(e - eta, eta), and rho >= 1/2 closes the "
            "induction",
            relation="<=",
            method="exact rational",
            evaluate=_bound,
            mutations=(Mutation("rho = 49/100", {"ratio": Fraction(49, 100)}),),
            expected="holds",
            attribution="ours",
        ),
        Claim(
            id="MF-04",
            statement="the bound of MF-03 is attained: the supremum of error / rho^t is 1",
            source=f"{HERE}: sigma = sigma_max attains it at every t",
            relation=">=",
            method="float64 evaluation",
            evaluate=_attained,
            mutations=(Mutation("without sigma > .9 and t = 0", {"largest": 0.9, "first": 1}),),
            expected="holds",
            attribution="ours",
        ),
        Claim(
            id="MF-05",
            statement="rho = 1/2 is bisection: abs(s_t) is a multiple of 2^-t and within 2^-t of sigma, for every t",
            source=HERE,
            relation="==",
            method="exact rational",
            evaluate=_bisection,
            mutations=(Mutation("rho = 3/5", {"ratio": Fraction(3, 5)}),),
            expected="holds",
            attribution="ours",
        ),
        Claim(
            id="MF-06",
            statement="for rho < 1/2 the worst final error over sigma is exactly 1 - 2 rho, at sigma -> 0+",
            source=f"{HERE}: the first step overshoots to 1 - rho, the others together take back rho",
            relation="==",
            method="float64 evaluation",
            evaluate=_below_one_half,
            mutations=(Mutation("1 - 1.9 rho", {"factor": 1.9}),),
            expected="holds",
            attribution="ours",
            tolerance=1e-4,
            tolerance_reason="the smallest sigma tried is 1e-5, the infimum is not attained",
        ),
    ]


def _its_limits() -> list[Claim]:
    return [
        Claim(
            id="MF-11",
            statement="an upper bound of sigma_max is enough: with eta_t = c (1 - rho) sigma_max rho^t, c >= 1, "
            "abs(abs(s_t) - sigma) <= c sigma_max rho^t (rho = .7)",
            source=HERE,
            relation="<=",
            method="float64 evaluation",
            evaluate=_overestimated,
            mutations=(Mutation("c = .99", {"scales": (0.99,)}),),
            expected="holds",
            attribution="ours",
        ),
        Claim(
            id="MF-12",
            statement="for c < 1 the final error at sigma = sigma_max is exactly 1 - c: the schedule travels c only",
            source=HERE,
            relation="==",
            method="float64 evaluation",
            evaluate=_underestimated,
            mutations=(Mutation("(1 - c)/2", {"share": 0.5}),),
            expected="holds",
            attribution="ours",
            tolerance=1e-8,
            tolerance_reason="60 steps at rho = .7 leave 5e-10 of travel",
        ),
        Claim(
            id="MF-13",
            statement="under a constant step eta the limsup of abs(abs(s_t) - sigma) fills [eta/2, eta]: no linear "
            "convergence without a schedule",
            source=f"{HERE}: the sequence ends in a cycle of two points at distance eta around sigma",
            relation="==",
            method="float64 evaluation",
            evaluate=_constant_step,
            mutations=(Mutation("a factor of .99 a step", {"decay": 0.99}),),
            expected="holds",
            attribution="ours",
            tolerance=2e-3,
            tolerance_reason="the extremes over 20000 random targets, eta / 20000 apart in phase",
        ),
    ]
