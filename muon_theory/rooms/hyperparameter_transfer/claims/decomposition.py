"""The decomposition of a trajectory: eigenvalues of the alignment matrix, bound on b_n, choice of truncation."""

from itertools import product

import numpy as np

from muon_theory.claim import Claim, Finding, Mutation
from muon_theory.rooms.hyperparameter_transfer.decomposition import (
    alignment_matrix,
    minimise_proxy,
    proxy_objective,
    top_k_changes,
    transfer_bound,
)
from muon_theory.rooms.hyperparameter_transfer.gaps import grid_minimum

PAPER = "Ghosh, Wu, Bietti 2025, arXiv 2512.22768"


def _draw(seed: int = 0, size: int = 12) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """G, msign(G) and the singular values, descending."""
    G = np.random.default_rng(seed).standard_normal((size, size))
    U, sigma, Vt = np.linalg.svd(G)
    return G, U @ Vt, sigma


def _eigenvalues(swapped: bool = False) -> Finding:
    """Trace of S for a random dW; eigenvalues for dW = -G (- sigma^2) and dW = -msign(G) (- sigma)."""
    G, polar, sigma = _draw()
    other = _draw(1)[0]
    found = [np.linalg.eigvalsh(alignment_matrix(G, dW)) for dW in ((-polar, -G) if swapped else (-G, -polar))]
    predicted = [float(np.sum(G * other)), *(-(sigma**2)), *(-sigma)]
    return Finding(predicted, [float(np.trace(alignment_matrix(G, other))), *found[0], *found[1]])


def _shares(geometric: bool = False) -> Finding:
    """Top-10 and top-60 share of the decrease for gradient descent and Muon, sigma_i = 1/i, 200 modes."""
    i = np.arange(1, 201)
    sigma = 0.9**i if geometric else 1 / i
    G, changes = np.diag(sigma), (-np.diag(sigma), -np.eye(200))
    curves = [top_k_changes(G, change) for change in changes]
    return Finding([0.945, 0.993, 0.498, 0.796], [float(c[k] / c[-1]) for c in curves for k in (9, 59)])


def _sum_of_squares(power: int = 1) -> Finding:
    """Top-k change for dW = -G against the sum of the k largest sigma^power, k = 1, 3, 12."""
    G, _, sigma = _draw()
    sums, found = -np.cumsum(sigma**power), top_k_changes(G, -G)
    return Finding([float(sums[k]) for k in (0, 2, 11)], [float(found[k]) for k in (0, 2, 11)])


def _bounded(flat: bool = True) -> Finding:
    """b_n over J for 200 random pairs of curves, and for one where the residual is a slope."""
    generator, v, ratios = np.random.default_rng(0), np.linspace(-3, 3, 601), []
    for _ in range(200):
        mu, fourth, shift, level, slope, pace, phase = generator.uniform(
            [0.5, 0.0, -0.3, -0.3, 0.0, 0.2, 0.0], [2.0, 0.3, 0.3, 0.3, 0.3, 0.8, 6.3]
        )
        top_limit = mu / 2 * v**2 + fourth * v**4
        top = top_limit + 0.1 * level * np.sin(v) + 0.2 * (v - shift) ** 2
        residuals = [scale * slope * np.sin(pace * v + phase) for scale in (1.0, 0.6)]
        ratios.append(_ratio(v, top, top_limit, residuals, flat))
    sharp = _ratio(v, v**2, v**2, [0.4 * v, 0.0 * v], flat)
    return Finding(1.0, [max(ratios), sharp], attained=sharp)


def _ratio(v: np.ndarray, top: np.ndarray, top_limit: np.ndarray, residuals: list[np.ndarray], flat: bool) -> float:
    curve, limit = top + residuals[0], top_limit + residuals[1]
    bound = transfer_bound(v, curve, limit, top, top_limit)
    gap = abs(float(grid_minimum(v, curve)[0] - grid_minimum(v, limit)[0]))
    return gap / max(bound.bound if flat else 2 * bound.invariance**0.5, 1e-9)


def _coordinate_descent(tau: float = 1.0) -> Finding:
    """Smallest J_proxy over all truncations against what the descent finds: 15 random sets of curves, g = 4, K = 4."""
    generator, x, best, found = np.random.default_rng(0), np.linspace(0.0, 1.0, 4), [], []
    for _ in range(15):
        tops, widest = (np.cumsum(-generator.exponential(size=(4, 4)), axis=1) for _ in range(2))
        found.append(minimise_proxy(x, tops, widest, (tau, tau))[1])
        every = product(range(1, 5), repeat=4)
        best.append(min(proxy_objective(x, tops, widest, np.array(k), (tau, tau)) for k in every))
    return Finding(best, found)


def claims() -> list[Claim]:
    """The claims on the decomposition.

    Returns:
        Rows HT-10, HT-11, HT-10-SLIP, HT-J1 and HT-J2.

    Source: see each row.
    """
    return [
        Claim(id="HT-10", statement="the eigenvalues of (G^T dW + dW^T G)/2 sum to <G, dW>; they are -sigma_i^2 for "
              "dW = -G and -sigma_i for dW = -msign(G)", source="derived here", relation="==",
              method="float64 evaluation", evaluate=_eigenvalues,
              mutations=(Mutation("the two updates exchanged", {"swapped": True}),), expected="holds",
              attribution="ours", tolerance=1e-12, tolerance_reason="float64 rounding of 12 x 12 products"),
        Claim(id="HT-10-SLIP", statement="for dW = -G the top-k change is minus the sum of the k largest singular "
              "values (it is the sum of their squares)", source=f"{PAPER}, text on the decomposition", relation="==",
              method="float64 evaluation", evaluate=_sum_of_squares,
              mutations=(Mutation("their squares", {"power": 2}),), expected="refuted", attribution="printed",
              tolerance=1e-10, tolerance_reason="float64 rounding of 12 x 12 products"),
        Claim(id="HT-11", statement="with sigma_i = 1/i, 200 modes, the ten (sixty) largest carry .945 (.993) of the "
              "linear decrease under gradient descent and .498 (.796) under Muon", source="derived here", relation="==",
              method="float64 evaluation", evaluate=_shares,
              mutations=(Mutation("sigma_i = .9^i", {"geometric": True}),), expected="holds", attribution="ours",
              tolerance=5e-4, tolerance_reason="three digits are stated"),
        Claim(id="HT-J1", statement="b_n <= J = 2 sqrt(eps_inv) + eps_flat for every choice of strongly convex top "
              "curves, with equality where the residual is a slope", source=f"{PAPER}, proposition b_n <= t_n",
              relation="<=", method="float64 evaluation", evaluate=_bounded,
              mutations=(Mutation("without eps_flat", {"flat": False}),), expected="holds", attribution="printed",
              tolerance=1e-6, tolerance_reason="difference quotients on a grid of step .01"),
        Claim(id="HT-J2", statement="coordinate descent from K/2 finds the smallest J_proxy (on random curves it stops "
              "above it)", source=f"{PAPER}, Algorithm 1, which minimises J_proxy so", relation="==",
              method="float64 evaluation", evaluate=_coordinate_descent,
              mutations=(Mutation("tau = 0: the objective falls apart into grid points", {"tau": 0.0}),),
              expected="refuted", attribution="implied", tolerance=1e-12, tolerance_reason="float64 rounding"),
    ]  # fmt: skip
