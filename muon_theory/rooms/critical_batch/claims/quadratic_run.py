"""A run on the quadratic whose constants are known: steps to the target against T(B), and the batch that wins."""

from functools import lru_cache

import numpy as np

from muon_theory.claim import Claim, Finding, Mutation
from muon_theory.rates import momentum_run, quadratic_problem, spectral_oracle
from muon_theory.rooms.critical_batch.batch_size import critical_batch, steps_needed
from muon_theory.rooms.critical_batch.four_settings import BatchTerms, batch_terms

BATCHES = np.array([1, 4, 16, 64, 256, 1024])
STEP_SIZE, GOAL, NOISE, RUNS = 0.004, 0.5, 1.0, 8


@lru_cache(maxsize=2)
def _measured(momentum: float) -> np.ndarray:
    """First T at which the running mean of nuc(g) is at most the goal, for every batch size; -1: not within 700."""
    problem = quadratic_problem(4, 4, 0)
    first = []
    for batches, steps in ((BATCHES[:4], 700), (BATCHES[4:], 300)):
        run = momentum_run(
            problem, spectral_oracle("exact"), steps=steps, step_size=STEP_SIZE, momentum=momentum,
            noise=NOISE / batches**0.5, runs=RUNS, seed=1,
        )  # fmt: skip
        mean = np.cumsum(run.gradient_norm.mean(-1), axis=0) / np.arange(1, steps + 1)[:, None]
        first += [int(np.argmax(column <= GOAL)) + 1 if (column <= GOAL).any() else -1 for column in mean.T]
    return np.array(first)


def _terms(momentum: float) -> BatchTerms:
    problem = quadratic_problem(4, 4, 0)
    start = np.zeros((4, 4))
    return batch_terms(
        smoothness=problem.smoothness, gap=float(problem.value(start)), rank=4, noise=NOISE, step_size=STEP_SIZE,
        momentum=momentum, initial_gradient=float(np.linalg.norm(problem.gradient(start), "nuc")),
    )  # fmt: skip


def _bounded(share: float = 1.0) -> Finding:
    """Measured T over T(B), for every momentum and batch with a finite T(B)."""
    ratios, provable = [], []
    for momentum in (0.0, 0.5):
        steps = steps_needed(_terms(momentum), GOAL, BATCHES.astype(float))
        measured = _measured(momentum)
        ratios += [m / s for m, s in zip(measured, steps, strict=True) if np.isfinite(s) and m > 0]
        provable.append(float(steps[-1]))
    return Finding(share, ratios, attained=max(ratios))


def _predicted(quantity: str = "fewest samples") -> Finding:
    """B* of Theorem C over the batch with the fewest samples (or where T becomes flat), b = 0: off by a factor of?"""
    measured = _measured(0.0)
    reached = measured > 0
    if quantity == "fewest samples":
        best = BATCHES[np.where(reached, measured * BATCHES, np.inf).argmin()]
    else:
        best = BATCHES[(measured <= 1.1 * measured[-1]) & reached].min()
    ratio = float(critical_batch(_terms(0.0), GOAL).batch / best)
    return Finding(4.0, max(ratio, 1 / ratio))


def claims() -> list[Claim]:
    """The claims on a run.

    Returns:
        Rows CB-19 and CB-20.

    Source: see each row.
    """
    return [
        Claim(id="CB-19", statement="a run on a quadratic reaches the target within T(B) of Theorem C, b = 0 and .5",
              source="derived here (Theorem C)", relation="<=", method="simulation", evaluate=_bounded,
              mutations=(Mutation("T(B)/2", {"share": 0.5}),), expected="holds", attribution="ours", tier="medium"),
        Claim(id="CB-20", statement="B* of the bound is within a factor 4 of the batch with the fewest samples there",
              source="natural reading of arXiv 2507.01598 (version 5 itself says it predicts no absolute value)",
              relation="<=", method="simulation", evaluate=_predicted,
              mutations=(Mutation("the batch beyond which T is flat (within 10 %)", {"quantity": "flat"}),),
              expected="refuted", attribution="implied", tier="medium"),
    ]  # fmt: skip
