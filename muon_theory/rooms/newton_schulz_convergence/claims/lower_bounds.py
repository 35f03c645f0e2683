"""Lower bounds of neighbours, run: no batch and constant step beats the rate, and dividing rows costs their number."""

import numpy as np

from muon_theory.claim import Claim, Finding, Mutation
from muon_theory.rates.slow_instances import ColumnInstance, constant_step_averages, row_normalised_survival

TAO = "Tao, Yu and Zhang 2026, When and why SignSGD outperforms SGD, matrix part"
ZHANG = "Zhang and Lin 2026, The row normalization puzzle in Muon, Theorem 3.1"


def _no_better_tuning(constant: float = 0.5, each: bool = False) -> Finding:
    """Least average over 24 steps and 11 batches, the worse of two functions, over the rate; D = L = 1, N = 1024."""
    measured, eta, samples = [], np.geomspace(1e-3, 4, 24), 1024
    for noise in (8**-0.5, 1.0, 8**0.5):
        found = np.array([constant_step_averages(1.0, noise, samples, eta, 2**j, runs=16) for j in range(11)])
        least = found.min((0, 2)).max() if each else found.max(1).min()
        measured.append(float(least) / max(samples**-0.5, (noise**2 / samples) ** 0.25))
    return Finding([constant] * 3, measured, attained=min(measured))


def _survival(normalise: bool = True, draws: int = 40) -> Finding:
    """Least share of floor(m D L/(32 eps^2)) steps with nuclear norm above eps: m, D, L, eps, betas, step drawn."""
    generator, shares, possible = np.random.default_rng(0), [], []
    for _ in range(draws):
        m, (L, D) = int(np.exp(generator.uniform(np.log(2), np.log(200)))), np.exp(generator.uniform(-3, 3, 2))
        steps = int(np.exp(generator.uniform(0.1, 3)) * (m / 2 + 1))  # more than m / 2: eps < sqrt(D L) / 4
        slope = 2 * (m * D * L / (32 * (steps + 0.5))) ** 0.5
        worst = 2 * slope * ColumnInstance(m, slope, L, D, 1.0, not normalise).alignment / L
        size = worst * np.exp(generator.uniform(-3, 2) * generator.integers(0, 2))
        made = ColumnInstance(m, slope, L, D, float(size), not normalise)
        betas = generator.uniform(0, 0.99), generator.uniform(0, 0.999)
        alive = row_normalised_survival(made, steps, momentum=betas[0], second=betas[1], normalise=normalise)
        shares.append(alive / steps)
        possible.append(made.steps / steps)
    return Finding(1.0, min(shares), provable=float(min(possible)), attained=float(min(possible)))


def claims() -> list[Claim]:
    """The claims TYZ-02 and ROWNORM-01.

    Returns:
        The claims.

    Source: each claim names its own.
    """
    return [
        Claim(
            id="TYZ-02",
            statement="whatever the constant step and the batch B, with N = B T samples, on one of two functions of "
            "rank 1 made for them the average stays at half of max(sqrt(LD/N), (S^2 LD/N)^(1/4)) or more (noise of a "
            "batch of variance S^2/B)",
            source=f"{TAO} (lower bound of this order for constant steps, printed without constant); instances here",
            relation=">=",
            method="simulation",
            evaluate=_no_better_tuning,
            mutations=(Mutation("the function fixed before step and batch", {"each": True}),),
            expected="holds",
            attribution="printed",
        ),
        Claim(
            id="ROWNORM-01",
            statement="with m rows, a gap D and L-smoothness NorMuon of any constant step has a gradient of nuclear "
            "norm above eps < sqrt(DL)/4 for floor(m D L/(32 eps^2)) steps on some function (40 draws of m, D, L, eps, "
            "both betas and the step, the step that uses up most loss among them)",
            source=f"{ZHANG} (any deterministic step rule); functions derived here, which allow twice as many steps "
            "as m grows",
            relation=">=",
            method="property test",
            evaluate=_survival,
            mutations=(Mutation("rows not divided: Muon", {"normalise": False}),),
            expected="holds",
            attribution="printed",
        ),
    ]
