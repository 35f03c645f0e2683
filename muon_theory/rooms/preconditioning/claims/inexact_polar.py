"""Inexact orthogonalization: the threshold of the ratio, the range and floor of the deployed quintic, momentum."""

from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np

from muon_theory.claim import Claim, Enclosure, Finding, Mutation
from muon_theory.polar import certified_range, scalar_map
from muon_theory.rooms.preconditioning.directions import Settings, settings_grid
from muon_theory.rooms.preconditioning.iteration_counts import factorization_instances, iteration_counts
from muon_theory.rooms.preconditioning.scalar_modes import inexact_worst_ratio, scalar_errors
from muon_theory.rooms.preconditioning.schedules import geometric_steps, smallest_ratio

HERE = "derived here; not read in arXiv 2601.13474"
QUINTIC = "jordan_2024"
RANGES = ((Fraction(6818, 10_000), Fraction(12_024, 10_000)), (Fraction(7, 10), Fraction(6, 5)),
          (Fraction(1, 2), Fraction(3, 2)))  # fmt: skip
FLOORS = {5: 1.067e-3, 6: 3.098e-4, 8: 2.611e-5, 10: 2.201e-6}
SCALES = (1, 1.05, 1.1, 1.2, 1.3, 1.5, 1.7, 2, 2.5, 3)
MU_RATIOS = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.93, 0.95, 0.96)


def _threshold(below: Fraction = Fraction(0)) -> Finding:
    """Worst E_t / rho^t at rho* - below: exact over 60 steps, and with random effective steps on 2000 targets."""
    exact, random = [], []
    generator, sigma = np.random.default_rng(0), np.random.default_rng(1).uniform(size=2000)
    for lower, upper in RANGES:
        rho = smallest_ratio(lower, upper) - below
        exact.append(inexact_worst_ratio(lower, upper, rho, 60))
        effective = np.where(generator.random((40, 2000)) < 0.5, float(lower), float(upper))
        steps = geometric_steps(float(rho), 40, lower=float(lower))[:, None] * effective
        ratios = scalar_errors(sigma, steps) / float(rho) ** np.arange(41)[:, None]
        random.append(float(ratios[:20].max()) - 1e-9)
    return Finding(1, [*exact, *random], provable=1, attained=max(random))


def _image(upper: float = 1.20237) -> Finding:
    """Certified range of phi_5 on [.003, 1], and the threshold of the ratio it gives."""
    low, high = certified_range(QUINTIC, 5, 0.003)
    ratio = Enclosure(smallest_ratio(low, high) - 1e-12, smallest_ratio(low, high) + 1e-12)
    return Finding([0.68183, upper, smallest_ratio(0.68183, upper)], [low, high, ratio])


def _supremum(value: float | None = None) -> Finding:
    """Suprema of phi_T over [1e-8, 1] for five T, and of phi_5, phi_6 above the last preimage of the maximum."""
    x = np.logspace(-8, 0, 400_001)
    peak = float(scalar_map(QUINTIC, 1)(np.linspace(0.5, 0.6, 100_001)).max())
    suprema = [float(scalar_map(QUINTIC, T)(x).max()) for T in (1, 5, 6, 8, 10)]
    above = [float(scalar_map(QUINTIC, T)(x[x > edge]).max()) for T, edge in ((5, 0.00519), (6, 0.00151))]
    return Finding([value or peak] * 5 + [1.13436, 1.13436], [*suprema, *above])


def _floor(swap: bool = False) -> Finding:
    """Roots of phi_T = 1/2, slopes at 0, and how far phi_T falls below 1/2 right of the root."""
    from scipy.optimize import brentq

    roots, slopes, failures = [], [], []
    for T, x in FLOORS.items():
        phi = scalar_map(QUINTIC, T)
        roots.append(float(np.asarray(brentq(lambda v, phi=phi: float(phi(v)) - 0.5, x / 2, 2 * x))))
        slopes.append(float(phi(1e-12)) / 1e-12)
        right = phi(np.logspace(np.log10(roots[-1]), 0, 20_001))
        failures.append(float(np.sum(right < 0.5 - 1e-12)))
    predicted = list(FLOORS.values())
    if swap:
        predicted[:2] = predicted[1::-1]
    return Finding([*predicted, 484.9, 1670, 19816, 235105, 0, 0, 0, 0], [*roots, *slopes, *failures])


@lru_cache(maxsize=4)
def _fixed_depth_counts(condition_number: float) -> tuple[float, ...]:
    """Best-tuned steps to fro(X X^T - M) <= 1e-3 lam_min: exact, then q = 5, 6, 8, 10, 15."""
    ratios = (0.5, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9)
    measure, start = factorization_instances([condition_number], [0])
    grids = [settings_grid("polar", SCALES, ratios, relative=True)]
    grids += [settings_grid("newton_schulz", SCALES, ratios, relative=True, steps=q) for q in (5, 6, 8, 10, 15)]
    return tuple(_best(measure, start, grid, 1e-3 / condition_number, 150) for grid in grids)


def _best(measure: Any, start: Any, settings: Settings, target: float, cap: int) -> float:
    return float(iteration_counts(measure, start, settings, target, cap, first_only=True).min())


def _fixed_depth(condition_number: float = 1e4) -> Finding:
    exact, five, *deeper = _fixed_depth_counts(condition_number)
    return Finding([2.0, *[1 / 1.5] * 4], [five / exact, *[exact / count for count in deeper]], attained=five)


@lru_cache(maxsize=2)
def _momentum_counts(momenta: tuple[float, ...]) -> tuple[float, ...]:
    measure, start = factorization_instances([100.0], [0])
    scales = (0.3, 0.5, 1, 1.1, 1.3, 1.5, 2, 3)
    return tuple(
        _best(measure, start, settings_grid("polar", scales, MU_RATIOS, relative=True, momentum=[(mu, 0.0)]), 1e-5, 200)
        for mu in momenta
    )


def _momentum(momenta: tuple[float, ...] = (0.0, 0.5, 0.9, 0.95)) -> Finding:
    """Differences of consecutive best-tuned counts: the first two at least 1 step, the last not negative."""
    return Finding([1.0, 1.0, 0.0], np.diff(_momentum_counts(momenta)).tolist())


def claims() -> list[Claim]:
    """The claims MF-14 to MF-19.

    Returns:
        The claims.

    Source: the rows of the inventory; each claim names its own.
    """
    return [*_ranges(), *_counts()]


def _ranges() -> list[Claim]:
    return [
        Claim(
            id="MF-14",
            statement="effective steps c eta_t with any c in [lo, hi] and eta_t = (1 - rho) rho^t / lo keep "
            "abs(abs(s_t) - sigma) <= rho^t if and only if rho >= hi / (lo + hi)",
            source=f"{HERE}: the worst case is E <- max(E - lo eta, hi eta), run here in exact rationals",
            relation="<=",
            method="exact rational",
            evaluate=_threshold,
            mutations=(Mutation("rho = hi / (lo + hi) - 1/100", {"below": Fraction(1, 100)}),),
            expected="holds",
            attribution="ours",
        ),
        Claim(
            id="MF-15",
            statement="the 5-step quintic maps [.003, 1] onto [.68183, 1.20237], so it needs rho >= .6381",
            source=f"{HERE}, with MF-14; corrects 1.134 and .624, which hold above x = .00519 only",
            relation="==",
            method="certified interval",
            evaluate=_image,
            mutations=(Mutation("upper end 1.134", {"upper": 1.134}),),
            expected="holds",
            attribution="ours",
            tolerance=1e-5,
            tolerance_reason="the statement has five decimals; the range is certified to more",
        ),
        Claim(
            id="MF-16",
            statement="max phi on [0, 1] = 1.20237 is the supremum of phi_T over (0, 1] for every T >= 1; 1.13436 only "
            "above the last preimage of the maximum (x > .00519 for T = 5, .00151 for T = 6)",
            source=f"{HERE}: every value of [0, 1] has a preimage near 0",
            relation="==",
            method="float64 evaluation",
            evaluate=_supremum,
            mutations=(Mutation("1.134 over (0, 1]", {"value": 1.134}),),
            expected="holds",
            attribution="ours",
            relative_tolerance=1e-4,
            tolerance_reason="a logarithmic grid of 50000 points a decade; 1.13436 has five decimals",
        ),
        Claim(
            id="MF-17",
            statement="floor: phi_T >= 1/2 on [x_T, 1] with x_5, x_6, x_8, x_10 = 1.067e-3, 3.098e-4, 2.611e-5, "
            "2.201e-6; slope at 0 is 3.4445^T = 484.9, 1670, 19816, 235105",
            source=HERE,
            relation="==",
            method="float64 evaluation",
            evaluate=_floor,
            mutations=(Mutation("T = 5 and 6 exchanged", {"swap": True}),),
            expected="holds",
            attribution="ours",
            relative_tolerance=1e-3,
            tolerance_reason="the numbers of the statement have four digits",
        ),
    ]


def _counts() -> list[Claim]:
    return [
        Claim(
            id="MF-18",
            statement="a fixed depth loses the independence of kappa: at kappa = 1e4 best-tuned q = 5 needs >= 2 x the "
            "steps of the exact polar factor, q = 6, 8, 10, 15 at most 1.5 x (to 1e-3 lam_min, d = 16)",
            source=f"{HERE}; the floor of MF-17 is relative to the Frobenius norm of the gradient",
            relation=">=",
            method="simulation",
            evaluate=_fixed_depth,
            mutations=(Mutation("kappa = 10", {"condition_number": 10.0}),),
            expected="holds",
            attribution="ours",
            tier="medium",
        ),
        Claim(
            id="MF-19",
            statement="momentum slows the noiseless problem: best-tuned steps to 1e-3 lam_min at kappa = 100, exact "
            "polar, Nesterov, satisfy T(0) < T(.5) < T(.9) <= T(.95)",
            source=HERE,
            relation=">=",
            method="simulation",
            evaluate=_momentum,
            mutations=(Mutation("mu = 0 in all four arms", {"momenta": (0.0, 0.0, 0.0, 0.0)}),),
            expected="holds",
            attribution="ours",
            tier="medium",
        ),
    ]
