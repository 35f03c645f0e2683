"""Wide matrices, where the theorem leaves the kink open, and elliptical inputs."""

from functools import lru_cache

import numpy as np

from muon_theory.claim import Claim, Finding, Mutation
from muon_theory.rooms.isotropic_curvature.exact_solver import power_spectrum
from muon_theory.rooms.isotropic_curvature.growth import kinked_growth
from muon_theory.rooms.isotropic_curvature.maps import elliptical_update
from muon_theory.rooms.isotropic_curvature.sampled_solver import solve_sampled, sphere_squares

SU = "Su 2025, arXiv 2511.00674"
LOG = "stated in a public research log of 2026; derived here"


@lru_cache(maxsize=64)
def _spread(sigma: tuple[float, ...], n: int, draws: int, seed: int) -> float:
    """s_max/s_min - 1 of the optimum for A = .05, B = 50, kink radius 1, on cyclically symmetrised samples."""
    s = solve_sampled(sigma, kinked_growth(0.05, 50.0), sphere_squares(n, draws, seed=seed)).s
    return float(s.max() / s.min()) - 1


def _wide(n: int = 6) -> Finding:
    """Spread for sigma = (.5, .3, .2) and n columns, three seeds, 3000 samples."""
    return Finding(1e-4, [_spread((0.5, 0.3, 0.2), n, 3000 // n, seed) for seed in range(3)])


def _concentration(ratio: int = 2) -> Finding:
    """Spread at m = 8 minus that at m = 2, n = ratio m, sigma linear from 2.5 to 1 with sum 1, five seeds."""
    measured = []
    for seed in range(5):
        spreads = []
        for m in (2, 8):
            sigma = np.linspace(2.5, 1.0, m)
            spreads.append(_spread(tuple((sigma / sigma.sum()).tolist()), ratio * m, 6144 // (ratio * m), seed))
        measured.append(spreads[1] - spreads[0])
    return Finding(0.0, measured)


def _problem(spread: float) -> tuple[np.ndarray, np.ndarray]:
    """A gradient 5 x 4 and a second moment with condition `spread`."""
    generator = np.random.default_rng(0)
    basis = np.linalg.qr(generator.standard_normal((4, 4)))[0]
    return generator.standard_normal((5, 4)), (basis * np.geomspace(1, spread, 4)) @ basis.T


def _elliptical(right: float = 0.5) -> Finding:
    """Largest slope of -<Q, G> + E ||Q C^(1/2) zeta||^4 at the reduced solution, gradient G C^-right."""
    G, C = _problem(10.0)
    n = 4
    values, vectors = np.linalg.eigh(C)
    sigma = np.linalg.svd(G @ (vectors * values**-right) @ vectors.T, compute_uv=False)
    Q = elliptical_update(G, C, power_spectrum(sigma, 4.0).s)
    S = Q.T @ Q
    # E ||Q C^(1/2) zeta||^4 = ((tr SC)^2 + 2 tr SCSC) / (n (n + 2)).
    slope = (4 * np.trace(S @ C) * Q @ C + 8 * Q @ C @ S @ C) / (n * (n + 2)) - G
    return Finding(0.0, float(np.abs(slope).max()))


def _newton_muon(spread: float = 10.0) -> Finding:
    """1 - cosine between polar(G C^(-1/2)) C^(-1/2) and msgn(G C^(-1))."""
    G, C = _problem(spread)
    Q = elliptical_update(G, C)
    U, _, Vh = np.linalg.svd(G @ np.linalg.inv(C), full_matrices=False)
    return Finding(0.0, 1 - float(np.sum(Q * (U @ Vh)) / np.linalg.norm(Q) / np.linalg.norm(U @ Vh)))


def claims() -> list[Claim]:
    """The claims IC-25, IC-26, IC-SPH6 and IC-SPH7.

    Returns:
        The claims.

    Source: the rows of the inventory; each claim names its own.
    """
    return [
        Claim(
            id="IC-25",
            statement="m < n with a kink: the optimum is still exactly orthogonal (n = 6, sigma = (.5, .3, .2), A = "
            ".05, B = 50, three seeds): spread s_max/s_min - 1",
            source=f"tempting extension of {SU}, Theorem 4 (left open there); run here: nearly orthogonal only",
            relation="<=",
            method="simulation",
            evaluate=_wide,
            mutations=(Mutation("n = m = 3", {"n": 3}),),
            expected="refuted",
            attribution="folklore",
            tier="medium",
        ),
        Claim(
            id="IC-26",
            statement="m < n: that spread falls as m grows at m/n = 1/2 and fixed A, B/T (condition 2.5, A = .05, B "
            "= 50, five paired seeds): spread at m = 8 minus that at m = 2",
            source=f"{SU}, remark on concentration (relayed); run here: it rises, .017, .066, .14, .25, .40 at m = "
            f"2, 4, 8, 16, 32, since the kink that a spectrum needs grows faster than ||Q zeta|| concentrates",
            relation="<=",
            method="simulation",
            evaluate=_concentration,
            mutations=(Mutation("m = n, where there is no spread", {"ratio": 1}),),
            expected="refuted",
            attribution="relayed",
            tolerance=1e-3,
            tolerance_reason="the certified gap leaves 1e-6 in s",
            tier="medium",
        ),
        Claim(
            id="IC-SPH6",
            statement="elliptical inputs u = C^(1/2) zeta: Q = P C^(-1/2), P the model's answer to G C^(-1/2): "
            "slope of the matrix program at it is zero (5 x 4, H = r^4, condition of C 10)",
            source=f"{LOG}: P = Q C^(1/2)",
            relation="==",
            method="float64 evaluation",
            evaluate=_elliptical,
            mutations=(Mutation("singular values of G C^(-1)", {"right": 1.0}),),
            expected="holds",
            attribution="relayed",
            tolerance=1e-10,
            tolerance_reason="float64; exact expectations solved to 1e-12",
        ),
        Claim(
            id="IC-SPH7",
            statement="the kinked model with elliptical inputs gives msgn(G C^(-1)): 1 - cosine to polar(G "
            "C^(-1/2)) C^(-1/2)",
            source="Newton-Muon's rule comes from a quadratic model and is another one (public research log of 2026); "
            "counterexample derived here",
            relation="==",
            method="float64 evaluation",
            evaluate=_newton_muon,
            mutations=(Mutation("C = I", {"spread": 1.0}),),
            expected="refuted",
            attribution="implied",
            tolerance=1e-12,
            tolerance_reason="float64",
        ),
    ]
