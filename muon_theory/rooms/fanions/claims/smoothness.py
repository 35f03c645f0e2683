"""The least-squares problem: its smoothness in the dual Ky Fan geometry, one step along P_k, and rotations."""

from collections.abc import Callable

import numpy as np

from muon_theory.claim import Claim, Finding, Mutation
from muon_theory.rooms.fanions.least_squares import (
    LeastSquares,
    descend,
    dual_ky_fan_smoothness,
    least_squares,
    one_step_decrease,
)

Array = np.ndarray


def _leading(X: Array, k: int) -> Array:
    """P_k of a batch of numpy matrices, by the library's oracle."""
    import torch

    from muon_theory.norms import DualKyFan

    return -DualKyFan(k).lmo(torch.from_numpy(np.ascontiguousarray(X))).numpy()


def _smoothness(factor: float = 1.0, n: int = 6, seeds: int = 20, restarts: int = 6, rounds: int = 60) -> Finding:
    """<D, A D B>/(factor L_k) at the stated D, largest deviation from 1; excess over 1 of power ascent; every k."""
    problems = [least_squares(n, seed) for seed in range(seeds)]
    A, B = (
        np.stack([(Q * a) @ Q.T for Q, a in pairs])[:, None]
        for pairs in ([(p.left, p.a) for p in problems], [(p.right, p.b) for p in problems])
    )
    bound = factor * np.stack([dual_ky_fan_smoothness(p.a, p.b) for p in problems])
    starts = np.random.default_rng(0).standard_normal((seeds, restarts, n, n))
    measured = []
    for k in range(1, n + 1):
        sharpest = np.stack([p.sharpest_direction(k) for p in problems])[:, None]
        attained = np.sum(sharpest * (A @ sharpest @ B), axis=(1, 2, 3)) / bound[:, k - 1]
        D = _leading(starts, k)
        for _ in range(rounds):
            D = _leading(A @ D @ B, k)
        reached = np.sum(D * (A @ D @ B), axis=(2, 3)) / bound[:, k - 1 : k]
        measured += [1 + float(np.max(np.abs(attained - 1))), max(1.0, float(reached.max()))]
    return Finding(1.0, measured)


def _decrease(factor: float = 1.0, n: int = 6, seeds: int = 30) -> Finding:
    """Smallest decrease of one step over its bound, every k; then at the sharpest X, k = 1, 3, 6; L_k times factor."""
    ratios = np.empty((seeds, n))
    for seed in range(seeds):
        problem = least_squares(n, seed)
        ratios[seed] = [_decrease_ratio(problem, problem.start, k, factor) for k in range(1, n + 1)]
    problem = least_squares(n, 0)
    sharp = [_decrease_ratio(problem, problem.sharpest_direction(k), k, factor) for k in (1, 3, 6)]
    return Finding(1.0, [*ratios.min(axis=0).tolist(), *sharp], attained=min(sharp))


def _decrease_ratio(problem: LeastSquares, X: Array, k: int, factor: float) -> float:
    """Decrease of one step of length KF_k(G)/(factor L_k) over KF_k(G)^2/(2 factor L_k)."""
    G = problem.gradient(X)
    length = np.linalg.svd(G, compute_uv=False)[:k].sum() / dual_ky_fan_smoothness(problem.a, problem.b)[k - 1] / factor
    decrease = problem.value(X) - problem.value(X - length * _leading(G, k))
    return float(decrease / (one_step_decrease(problem, X)[k - 1] / factor))


def _rotation(claimed: tuple[str, ...] = ("muon", "f_muon", "fanion_4", "nsgd")) -> Finding:
    """Relative distance of a run to the run in the eigenbasis, n = 16, 50 steps: claimed ones, then the rest."""
    from muon_theory.norms import DualKyFan, Frobenius, MaxEntry, Spectral, f_fanion, s_fanion

    norms = {"muon": Spectral(), "f_muon": f_fanion(None), "fanion_4": DualKyFan(4), "nsgd": Frobenius(),
             "sign": MaxEntry(), "s_muon": s_fanion(None, 0.5, 0.1)}  # fmt: skip
    problem = least_squares(16, 0)
    errors = {}
    for name, norm in norms.items():
        X, _ = descend(problem, _numpy_step(norm.lmo), lr=0.01, beta=0.5, steps=50)
        Y, _ = descend(problem.in_eigenbasis(), _numpy_step(norm.lmo), lr=0.01, beta=0.5, steps=50)
        errors[name] = float(np.linalg.norm(problem.left.T @ X @ problem.right - Y) / np.linalg.norm(Y))
    others = [float(errors[name] > 0.01) for name in norms if name not in claimed]
    return Finding([0.0] * len(claimed) + [1.0] * len(others), [*(errors[name] for name in claimed), *others])


def _numpy_step(lmo: Callable) -> Callable[[Array], Array]:
    """An oracle on numpy arrays."""
    import torch

    return lambda M: lmo(torch.from_numpy(np.ascontiguousarray(M))).numpy()


def claims() -> list[Claim]:
    """The claims LS-01, LS-02 and LS-07.

    Returns:
        The claims.

    Source: the rows of the inventory; each claim names its own.
    """
    return [
        Claim(
            id="LS-01",
            statement="L_k = max <D, A D B> over the dual Ky Fan k ball = sum_{i<=k} lam_i(A) lam_i(B), attained at "
            "D = Q_A[:, :k] Q_B[:, :k]^T; power ascent never exceeds it (20 seeds, 6 x 6, every k)",
            source="derived here: convex maximum at rank-k partial isometries, interlacing",
            relation="==",
            method="property test",
            evaluate=_smoothness,
            mutations=(Mutation(".95 L_k", {"factor": 0.95}),),
            expected="holds",
            attribution="ours",
            tolerance=1e-12,
            tolerance_reason="float64 rounding of sums of 36 products below 1",
            tier="medium",
        ),
        Claim(
            id="LS-02",
            statement="one step of length KF_k(G)/L_k along P_k(G) lowers F by at least KF_k(G)^2/(2 L_k); equality at "
            "X = Q_A[:, :k] Q_B[:, :k]^T",
            source="derived here from LS-01",
            relation=">=",
            method="property test",
            evaluate=_decrease,
            mutations=(Mutation(".9 L_k in both places", {"factor": 0.9}),),
            expected="holds",
            attribution="ours",
            tolerance=1e-12,
            tolerance_reason="float64 rounding of sums of 36 products below 1",
        ),
        Claim(
            id="LS-07",
            statement="runs of Muon, F-Muon, Fanion-4 and normalised gradient descent commute with rotating the "
            "problem to its eigenbasis; sign descent and S-Muon do not (n = 16, 50 steps)",
            source="derived here from KF-14 and KF-15",
            relation="==",
            method="float64 evaluation",
            evaluate=_rotation,
            mutations=(Mutation("S-Muon claimed too", {"claimed": ("muon", "f_muon", "fanion_4", "nsgd", "s_muon")}),),
            expected="holds",
            attribution="ours",
            tolerance=1e-8,
            tolerance_reason="50 steps amplify rounding of 16 x 16 decompositions",
        ),
    ]
