"""Lower bounds on the alignment that assume nothing, or only an interval, of the singular values."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from muon_theory.claim import Claim, Finding, Mutation
from muon_theory.polar import scalar_map
from muon_theory.polar.minimax import polar_express
from muon_theory.rooms.newton_schulz_convergence.error_bounds import (
    interval_alignment,
    universal_alignment,
    universal_floor,
)
from muon_theory.rooms.newton_schulz_convergence.taylor import iterated, singular_value_map

DERIVED = "derived here: s_q is concave and increasing"
SIZES = (2, 5, 16, 64, 256)
Array = NDArray[np.float64]


@lru_cache(maxsize=8)
def _spectra(r: int, draws: int) -> Array:
    """Spectra of Frobenius norm 1: log-uniform over up to 6 decades, Gaussian, two-level; the last one flat."""
    generator = np.random.default_rng(r)
    sigma = 10 ** (-generator.uniform(0, 6, (draws, 1)) * generator.random((draws, r)))
    sigma[1::3] = np.abs(generator.standard_normal(sigma[1::3].shape)) + 1e-12
    level = 10 ** -generator.uniform(0, 6, (len(sigma[2::3]), 1))
    sigma[2::3] = np.where(np.arange(r) < generator.integers(1, r, (len(level), 1)), 1.0, level)
    sigma[-1] = 1.0
    return sigma / np.linalg.norm(sigma, axis=1, keepdims=True)


def _universal_ratio(rank_share: float = 1.0) -> Finding:
    """The least alignment over its bound: k = 1, 2, 3 (all q, all spectra), then the flat ones at q = 0."""
    least, flat = [], []
    for k in (1, 2, 3):
        ratios = []
        for r in SIZES:
            x = _spectra(r, 120)
            rho = np.minimum(x.sum(axis=1) ** 2, r)
            knees = np.geomspace(1e-4, 1, 201)
            for q in range(9):
                alignment = np.sum(x * iterated(singular_value_map, k, x, q), axis=1) / x.sum(axis=1)
                if rank_share == 1:
                    bound = universal_alignment(k, q, rank=r, nuclear_rank=rho, knees=knees)
                else:
                    image = iterated(singular_value_map, k, knees, q)
                    bound = np.max(image * (1 - rank_share * r * knees / (4 * np.sqrt(rho)[:, None])), axis=1)
                ratios.append(np.min(alignment / np.maximum(bound, 1e-12)))
                if q == 0 and k == 1:
                    # tau = 2/sqrt(r) attains the maximum, on a finer grid
                    exact = universal_alignment(
                        1, 0, rank=r, nuclear_rank=float(r), knees=[2 / r**0.5 if r > 4 else 1.0]
                    )
                    flat.append(float(alignment[-1] / exact) if r > 4 else 1.0)
        least.append(float(min(ratios)))
    return Finding(1.0, [*least, *flat], attained=min(flat))


def _floor_ratio(root: bool = False) -> Finding:
    """Least alignment of two-level spectra over s_q(2/r)/2 (k = 2): r = 64 (q = 3, 5), 1024 (q = 3, 5, 8)."""
    ratios = []
    for r, steps in ((64, (3, 5)), (1024, (3, 5, 8))):
        large = np.unique(np.round(np.geomspace(1, r - 1, 40)))[:, None]
        level = np.geomspace(1e-6, 1, 400)[None, :]
        norm = np.sqrt(large + (r - large) * level**2)
        for q in steps:
            images = [iterated(singular_value_map, 2, x, q) for x in (1 / norm, level / norm)]
            total = large + (r - large) * level
            alignment = (large * images[0] + (r - large) * level * images[1]) / total
            floor = float(iterated(singular_value_map, 2, 2 / r**0.5, q)) / 2 if root else universal_floor(2, q, r)
            ratios.append(float(alignment.min()) / floor)
    return Finding(1.0, ratios)


def _interval_ratio(error_scale: float = 1.0, lower: float | None = None) -> Finding:
    """The least alignment over the certificate: the deployed quintic (l = .003), five Polar Express steps (l = .01)."""
    # `error_scale` multiplies delta; `lower` replaces l.
    maps = [("jordan_2024", 0.003), (polar_express(0.01, 5, degree=5, safety=1.0), 0.01)]
    ratios, grid = [], np.geomspace(1e-4, 1, 20_001)
    for method, l in maps:
        image = scalar_map(method, 5)
        delta = float(np.max(np.abs(1 - image(grid[grid >= l])))) * error_scale
        for r in SIZES:
            x = _spectra(r, 120)
            rho = np.minimum(x.sum(axis=1) ** 2, r)
            bound = interval_alignment(l if lower is None else lower, delta, rank=r, nuclear_rank=rho)
            kept = bound > 0
            alignment = np.sum(x * image(x), axis=1) / x.sum(axis=1)
            ratios.append(float(np.min(alignment[kept] / bound[kept])))
    return Finding(1.0, ratios, attained=min(ratios))


def claims() -> list[Claim]:
    """The claims THA-UNI1, THA-UNI2 and THA-LDELTA.

    Returns:
        The claims.

    Source: the rows of the inventory; each claim names its own.
    """
    return [
        Claim(
            id="THA-UNI1",
            statement="X_0 = C/fro(C), rho = nuc(C)^2/fro(C)^2: 1-ehat >= max_tau s_q(tau)(1 - r tau/(4 sqrt rho)), "
            "q = 0..8; attained at q = 0 by flat spectra",
            source=DERIVED,
            relation=">=",
            method="property test",
            evaluate=_universal_ratio,
            mutations=(Mutation("r tau/8 in place of r tau/4", {"rank_share": 0.5}),),
            expected="holds",
            attribution="ours",
            tolerance=1e-12,
            tolerance_reason="float64 rounding of sums of 256 terms; flat spectra have equality",
            tier="medium",
        ),
        Claim(
            id="THA-UNI2",
            statement="1-ehat >= s_q(2/r)/2 for every spectrum of r >= 2 singular values: two-level spectra, k = 2",
            source=f"{DERIVED}; THA-UNI1 at rho = 1, tau = 2/r",
            relation=">=",
            method="property test",
            evaluate=_floor_ratio,
            mutations=(Mutation("s_q(2/sqrt r)/2", {"root": True}),),
            expected="holds",
            attribution="ours",
        ),
        Claim(
            id="THA-LDELTA",
            statement="a map of [l,1] into [1-delta,1+delta] and of [0,l) to numbers >= 0 has "
            "1-ehat >= (1-delta)(1 - l r/sqrt(rho)): deployed quintic and Polar Express, five steps",
            source="derived here for the oracle model of Zhang and Lin 2026 (NorMuon)",
            relation=">=",
            method="property test",
            evaluate=_interval_ratio,
            mutations=(Mutation("delta halved", {"error_scale": 0.5}),),
            expected="holds",
            attribution="ours",
        ),
    ]
