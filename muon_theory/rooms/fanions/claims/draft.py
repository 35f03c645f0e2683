"""The earliest draft of the Fanion paper: steepest descent steps that are not oracles of a ball."""

import numpy as np
from scipy.optimize import minimize, nnls

from muon_theory.claim import Claim, Finding, Mutation
from muon_theory.rooms.fanions.draft_steps import nuclear_step, soft_threshold_step

DRAFT = "Kravatskiy et al., earliest draft of arXiv 2512.09678"


def _spectra() -> list[np.ndarray]:
    """Singular values of five Gaussian 4 x 6 matrices."""
    return [np.linalg.svd(np.random.default_rng(seed).standard_normal((4, 6)), compute_uv=False) for seed in range(5)]


def _soft_threshold(ratio: float = 1.0, penalty: float = 0.7) -> Finding:
    """Distance of the soft threshold to a nonnegative least-squares solve, per seed; 1 if it is not F-Neon's."""
    distances, differences = [], []
    for sigma in _spectra():
        # penalty/2 (|d|^2 + (sum d)^2) - <sigma, d> is |A d - b|^2 / 2 up to a constant.
        A = penalty**0.5 * np.vstack([np.eye(4), np.ones((1, 4))])
        minimizer = nnls(A, np.append(sigma / penalty**0.5, 0.0))[0]
        step = soft_threshold_step(sigma, penalty, ratio=ratio)
        distances.append(float(np.linalg.norm(step - minimizer) / np.linalg.norm(minimizer)))
        neon = 0.5 * np.eye(4)[0] + 0.5 * sigma / np.linalg.norm(sigma)
        differences.append(1 - float(step @ neon / (np.linalg.norm(step) * np.linalg.norm(neon))))
    return Finding([0.0] * 5 + [1.0], [*distances, float(max(differences) > 1e-3)])


def _homogeneity(squares_inside: bool = False) -> Finding:
    """The draft's "norm" of 4 X over that of X = [1]; every norm gives 4."""
    power = 2 if squares_inside else 1
    value = [((abs(x) ** power + abs(x) ** power) / 2) ** 0.5 for x in (1.0, 4.0)]
    return Finding(4.0, value[1] / value[0])


def _nuclear_descent(factor: float = 1.0, penalty: float = 0.7) -> Finding:
    """Relative distance of `factor` times the nuclear step to a bounded minimisation, per seed."""
    distances = []
    for seed, sigma in enumerate(_spectra()):
        start = np.random.default_rng(seed).uniform(size=4)
        found = minimize(
            lambda d, s=sigma: (-s @ d + penalty * d.sum() ** 2, -s + 2 * penalty * d.sum()), start, jac=True,
            method="L-BFGS-B", bounds=[(0.0, None)] * 4, options={"ftol": 1e-15, "gtol": 1e-10},
        ).x  # fmt: skip
        step = factor * nuclear_step(sigma, penalty)
        distances.append(float(np.linalg.norm(step - found) / np.linalg.norm(found)))
    return Finding(0.0, distances)


def claims() -> list[Claim]:
    """The claims OS-01, OS-02 and OS-03.

    Returns:
        The claims.

    Source: the rows of the inventory; each claim names its own.
    """
    return [
        Claim(
            id="OS-01",
            statement="argmin -<G,D> + (lam/2)(fro(D)^2 + nuc(D)^2) = U (sigma - tau)_+ V^T / lam with "
            "sum (sigma_i - tau)_+ = tau; it is not F-Neon",
            source=f"{DRAFT}, proof of F*-Neon",
            relation="==",
            method="float64 evaluation",
            evaluate=_soft_threshold,
            mutations=(Mutation("sum (sigma - tau)_+ = 2 tau", {"ratio": 2.0}),),
            expected="holds",
            attribution="printed",
            tolerance=1e-10,
            tolerance_reason="float64 rounding of a five-row least-squares solve",
        ),
        Claim(
            id="OS-02",
            statement="||X||^2 = (fro(X) + nuc(X)) / 2 defines a norm: ||4 X|| = 4 ||X|| at X = [1]",
            source=f"{DRAFT}, definition of F*; the squares are missing inside",
            relation="==",
            method="float64 evaluation",
            evaluate=_homogeneity,
            mutations=(Mutation("squares inside", {"squares_inside": True}),),
            expected="refuted",
            attribution="printed",
        ),
        Claim(
            id="OS-03",
            statement="nuclear steepest descent: argmin -<G,D> + lam nuc(D)^2 = sigma_1 u1 v1^T / (2 lam)",
            source=f"{DRAFT}, nuclear steepest descent",
            relation="==",
            method="float64 evaluation",
            evaluate=_nuclear_descent,
            mutations=(Mutation("1/lam for 1/(2 lam)", {"factor": 2.0}),),
            expected="holds",
            attribution="printed",
            tolerance=1e-6,
            tolerance_reason="the stopping rule of the quasi-Newton minimisation",
        ),
    ]
