"""Taylor Newton-Schulz on whole matrices: norm, polar factor, residual recursion and Theorem 2 of Kim and Oh.

The family of test matrices: 1x1, 2x5, 5x2, 8x8 and 16x40, each with log-spaced spectra, one small or one large singular
value and condition numbers 1, 10 and 1000; a 6x6 matrix of rank 4; and the spectrum .78, .62, .04.
"""

from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from muon_theory.claim import Claim, Finding, Mutation
from muon_theory.rooms.newton_schulz_convergence.error_bounds import operator_error
from muon_theory.rooms.newton_schulz_convergence.taylor import iterated, residual_map

PAPER = "Kim and Oh 2026, arXiv 2601.19156"
ORDERS = (1, 2, 3)
STEPS = 6
MATRIX_ROUNDING = (
    "six float64 matrix steps with inner dimension 40: each product rounds by at most 40 * 1.1e-16, and a_k^6 <= 110 "
    "enlarges what is left in small directions"
)
Array = NDArray[np.float64]


class Iterates(NamedTuple):
    """A stack of matrices of one shape, X_0 .. X_6 on each, and their exact polar factor. Source: elementary."""

    polar: Array
    X: list[Array]


@lru_cache(maxsize=8)
def _iterates(method: str, shift: float = 0.0) -> tuple[Iterates, ...]:
    """The iterates of a method on the family; `shift` is subtracted from the first coefficient of every step."""
    from muon_theory.polar import coefficient_set, orthogonalize, polar_factor

    chosen = coefficient_set(method)
    if shift:
        from dataclasses import replace

        rows = tuple((row[0] - Fraction(shift), *row[1:]) for row in chosen.exact_coefficients(STEPS))
        chosen = replace(chosen, exact_steps=rows)
    family = []
    for C in _family():
        X = [orthogonalize(C, chosen, j, form="dense").numpy() for j in range(STEPS + 1)]
        family.append(Iterates(polar_factor(C, rank_tolerance=1e-10).numpy(), X))
    return tuple(family)


@lru_cache(maxsize=1)
def _family() -> tuple[Any, ...]:
    """One float64 tensor (matrices, m, n) for each shape."""
    import torch

    from muon_theory.spectra import prescribed_matrix

    stacks = [[(np.array([1.0, 0.5, 0.2, 0.1, 0.0, 0.0]), 6, 6)], [(np.array([0.78, 0.62, 0.04]), 3, 3)]]
    for rows, columns in ((1, 1), (2, 5), (5, 2), (8, 8), (16, 40)):
        r = min(rows, columns)
        spectra = []
        for condition in (1.0, 10.0, 1000.0):
            spectra.append(np.geomspace(1.0, 1 / condition, r))
            spectra.append(np.append(np.ones(r - 1), 1 / condition))
            spectra.append(np.append(np.ones(1), np.full(r - 1, 1 / condition)))
        stacks.append([(sigma, rows, columns) for sigma in spectra])
    return tuple(torch.stack([prescribed_matrix(s, m, n, seed=0) for s, m, n in stack]) for stack in stacks)


def _largest_norm(method: str | None = None) -> Finding:
    """The largest op(X_j) for each Taylor order, or for another method."""
    methods = [method] if method else [f"taylor_{2 * k + 1}" for k in ORDERS]
    return Finding(1.0, [max(float(_op(X).max()) for f in _iterates(name) for X in f.X) for name in methods])


def _polar_change(shift: float = 0.0) -> Finding:
    """The largest entry of P(X_j) - P(C) for each Taylor order."""
    import torch

    from muon_theory.polar import polar_factor

    changes = []
    for k in ORDERS:
        stacks = [(f.polar, X) for f in _iterates(f"taylor_{2 * k + 1}", shift) for X in f.X]
        polars = [(P, polar_factor(torch.from_numpy(X), rank_tolerance=1e-10).numpy()) for P, X in stacks]
        changes.append(max(float(np.abs(P - Q).max()) for P, Q in polars))
    return Finding(0.0, changes)


def _residual_identities(identity: bool = False) -> Finding:
    """How far delta = 1 - lam_min^+ and eps = 1 - sqrt(1 - delta) are missed; `identity` takes I for the projector."""
    first, second = [], []
    for k in ORDERS:
        for f in _iterates(f"taylor_{2 * k + 1}"):
            for X in f.X:
                delta = _residual(f.polar, X, identity)
                first.append(np.abs(delta - (1 - _smallest(X) ** 2)).max())
                second.append(np.abs(_op(X - f.polar) - (1 - np.sqrt(np.maximum(1 - delta, 0.0)))).max())
    return Finding(0.0, [float(max(first)), float(max(second))])


def _residual_recursion(power: bool = False) -> Finding:
    """The largest delta_{j+1} - phi_k(delta_j) for each Taylor order; `power` takes u^(k+1) for phi_k."""
    misses = []
    for k in ORDERS:
        worst = 0.0
        for f in _iterates(f"taylor_{2 * k + 1}"):
            deltas = [_residual(f.polar, X) for X in f.X]
            images = [delta ** (k + 1) if power else residual_map(k, delta) for delta in deltas]
            worst = max(worst, *(float(np.abs(a - b).max()) for a, b in zip(deltas[1:], images[:-1], strict=True)))
        misses.append(worst)
    return Finding(0.0, misses)


def _theorem_two(extra: int = 0) -> Finding:
    """Largest eps_q / bound over a grid of first residuals and the spot k=1, q=1, x=.03; largest excess on matrices."""
    grid = np.linspace(0.01, 0.999, 300)
    ratios = [_bound_ratio(1, 1, np.array([1 - 0.03**2]), extra)]
    ratios += [_bound_ratio(k, q, grid, extra) for k in ORDERS for q in range(1, 5)]
    excess = []
    for k in ORDERS:
        for f in _iterates(f"taylor_{2 * k + 1}"):
            delta = _residual(f.polar, f.X[0])
            bounds = [_error(delta ** ((k + 1) ** q + extra)) for q in range(STEPS + 1)]
            excess += [float((_op(X - f.polar) - bound).max()) for X, bound in zip(f.X, bounds, strict=True)]
    return Finding([1.0, 0.0], [max(ratios), max(excess)], attained=max(ratios))


def _bound_ratio(k: int, q: int, delta: Array, extra: int) -> float:
    """The largest eps_q / (1 - sqrt(1 - delta^((k+1)^q + extra))) where the bound is above underflow."""
    power = delta ** ((k + 1) ** q + extra)
    kept = power > 1e-250
    return float(np.max(_error(iterated(residual_map, k, delta, q))[kept] / _error(power)[kept]))


def _last_inequality(constant: Fraction = Fraction(1)) -> Finding:
    """(1 - sqrt(1-y))/y at y = 1 - t^2, t rational: largest of 1000, at y = .99 and .75, and as y -> 0 (2e-8)."""
    tiny = Fraction(1, 10**8)
    points = [Fraction(i, 1000) for i in range(1000)]
    largest, near_one, middle, loss = (
        max((1 - t) / (1 - t**2) for t in group) for group in (points, [Fraction(1, 10)], [Fraction(1, 2)], [1 - tiny])
    )
    return Finding([constant] * 3 + [Fraction(1, 2) + tiny], [largest, near_one, middle, loss], attained=largest)


def _gaussian_factor(wrong: bool = False) -> Finding:
    """chi_q of Gaussian n x n matrices, k = 2, by the exact recursion, against the bound (1 - delta_0^(3^q))^(-1/2)."""
    measured, predicted = [], []
    for size in (64, 1024):
        sigma = np.linalg.svd(np.random.default_rng(1).standard_normal((size, size)), compute_uv=False)
        x = float(sigma[-1] / np.sqrt(np.sum(sigma**2)))
        for q in (3, 5, 8):
            power = (5 if wrong else 3) ** q
            predicted.append(float((-np.expm1(power * np.log1p(-x * x))) ** -0.5))
            measured.append(1 / (1 - operator_error(2, x, q)))
    return Finding(predicted, measured)


def _error(delta: Any) -> Any:
    """1 - sqrt(1 - delta) without cancellation."""
    return delta / (1 + np.sqrt(1 - delta))


def _op(X: Array) -> Any:
    return np.linalg.svd(X, compute_uv=False)[..., 0]


def _smallest(X: Array) -> Any:
    """The smallest positive singular value of each matrix."""
    sigma = np.linalg.svd(X, compute_uv=False)
    return np.where(sigma > 1e-10 * sigma[..., :1], sigma, np.inf).min(axis=-1)


def _residual(polar: Array, X: Array, identity: bool = False) -> Any:
    """The residual delta = op(Pi - X X^T), Pi the projector on the range."""
    projector = np.eye(X.shape[-2]) if identity else polar @ polar.swapaxes(-1, -2)
    return np.abs(np.linalg.eigvalsh(projector - X @ X.swapaxes(-1, -2))).max(axis=-1)


def claims() -> list[Claim]:
    """The claims KO-P1, KO-P2, KO-L1, KO-L2, KO-T2a, KO-T2b and KO-T2c.

    Returns:
        The claims in the order of the paper.

    Source: the rows of the inventory; each claim names its own.
    """
    return [
        Claim(
            id="KO-P1",
            statement="op(X_j) <= 1 for every Taylor iterate from op(X_0) <= 1",
            source=f"{PAPER}, Proposition 1",
            relation="<=",
            method="property test",
            evaluate=_largest_norm,
            mutations=(Mutation("the deployed quintic in place of Taylor steps", {"method": "jordan_2024"}),),
            expected="holds",
            attribution="printed",
            tolerance=1e-13,
            tolerance_reason=MATRIX_ROUNDING,
        ),
        Claim(
            id="KO-P2",
            statement="P(X_j) = P(C) for every j: Taylor steps keep the polar factor",
            source=f"{PAPER}, implicit in Definition 3",
            relation="==",
            method="property test",
            evaluate=_polar_change,
            mutations=(Mutation("step X <- (p_k(X X^T) - 1.5 I) X", {"shift": 1.5}),),
            expected="holds",
            attribution="implied",
            tolerance=1e-11,
            tolerance_reason=MATRIX_ROUNDING + "; the condition number 1000 of the polar factor enlarges it once more",
        ),
        Claim(
            id="KO-L1",
            statement="delta = 1 - lam_min^+ and eps = 1 - sqrt(1 - delta), exactly, also for C without full rank",
            source=f"{PAPER}, Lemma 1",
            relation="==",
            method="property test",
            evaluate=_residual_identities,
            mutations=(Mutation("identity in place of the projector on the range of C", {"identity": True}),),
            expected="holds",
            attribution="printed",
            tolerance=1e-11,
            tolerance_reason=MATRIX_ROUNDING + "; the square root divides it by the smallest singular value",
        ),
        Claim(
            id="KO-L2",
            statement="delta_{j+1} = phi_k(delta_j) exactly",
            source=f"{PAPER}, Lemma 2",
            relation="==",
            method="property test",
            evaluate=_residual_recursion,
            mutations=(Mutation("u^(k+1) in place of phi_k", {"power": True}),),
            expected="holds",
            attribution="printed",
            tolerance=1e-11,
            tolerance_reason=MATRIX_ROUNDING,
        ),
        *_theorem_two_claims(),
    ]


def _theorem_two_claims() -> Sequence[Claim]:
    return (
        Claim(
            id="KO-T2a",
            statement="eps_q <= 1 - sqrt(1 - delta_0^((k+1)^q)); largest quotient on a grid, excess on matrices",
            source=f"{PAPER}, Theorem 2",
            relation="<=",
            method="property test",
            evaluate=_theorem_two,
            mutations=(Mutation("exponent (k+1)^q + 1", {"extra": 1}),),
            expected="holds",
            attribution="printed",
            tolerance=1e-11,
            tolerance_reason=MATRIX_ROUNDING + "; the square root divides it by the smallest singular value",
        ),
        Claim(
            id="KO-T2b",
            statement="1 - sqrt(1-y) <= y on [0, 1]; attained at y = 1, a factor 2 lost as y -> 0",
            source=f"{PAPER}, Theorem 2, last inequality; the loss is derived here",
            relation="<=",
            method="exact rational",
            evaluate=_last_inequality,
            mutations=(Mutation("y/2 on the right", {"constant": Fraction(1, 2)}),),
            expected="holds",
            attribution="printed",
        ),
        Claim(
            id="KO-T2c",
            statement="chi_q <= (1 - delta_0^((k+1)^q))^(-1/2); Gaussian n x n, k = 2, n = 64 and 1024, q = 3, 5, 8",
            source=f"{PAPER}, Theorem 2",
            relation="<=",
            method="property test",
            evaluate=_gaussian_factor,
            mutations=(Mutation("exponent (2k+1)^q", {"wrong": True}),),
            expected="holds",
            attribution="printed",
            tier="medium",
        ),
    )
