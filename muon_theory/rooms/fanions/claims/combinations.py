"""Nonnegative combinations of oracles: the combination lemma, F-Fanion and S-Fanion duals, printed slips."""

from collections.abc import Iterator, Sequence

import numpy as np

from muon_theory.claim import Claim, Enclosure, Finding, Mutation
from muon_theory.rooms.fanions.ball_programs import far_projection
from muon_theory.rooms.fanions.matrix_family import matrix_family

PAPER = "Kravatskiy et al. 2025, arXiv 2512.09678"
PROJECTION = "projection from 1e6 away: rounding 1e-10, exact where the gaps of the spectrum exceed 1e-6"
ALPHAS = (0.3, 0.5, 0.9)


def _cases() -> Iterator[tuple[np.ndarray, int]]:
    """Every matrix of the family with every k."""
    for matrices in matrix_family():
        for M in matrices:
            for k in range(1, min(M.shape) + 1):
                yield M, k


def _weighted_balls(swap: bool = False) -> Finding:
    """Support of a_1 Frobenius + a_2 dual Ky Fan 2 + a_3 max + a_4 nuclear, 18 weights, every M; gauge of its point."""
    import torch

    from muon_theory.norms import Combined, DualKyFan, Frobenius, MaxEntry, Nuclear

    norms = (Frobenius(), DualKyFan(2), MaxEntry(), Nuclear())
    balls = (("frobenius", 1), ("dual_ky_fan", 2), ("max", 1), ("dual_ky_fan", 1))
    weights = 2 * np.random.default_rng(0).dirichlet(np.ones(4), size=18)
    matrices = [M for stack in matrix_family() for M in stack]
    predicted, measured = [], []
    for M in matrices:
        points = [far_projection(M, ball, k) for ball, k in balls]
        # The points decompose D and M is the dual witness: bounds of the gauge of D.
        upper = max(norm.value(torch.from_numpy(P)).item() for norm, P in zip(norms, points, strict=True))
        for a in weights:
            used = a[[1, 0, 2, 3]] if swap else a
            combined = Combined(tuple(used), norms)
            D = sum(x * P for x, P in zip(a, points, strict=True))
            value = combined.dual(torch.from_numpy(M)).item()
            predicted += [value, 0.0, 1.0]
            measured += [
                float(np.sum(M * D)), float(np.linalg.norm(D + combined.lmo(torch.from_numpy(M)).numpy())),
                Enclosure(float(np.sum(M * D)) / value, upper),
            ]  # fmt: skip
    return Finding(predicted, measured)


def _unscaled_sum(scaled: bool = False) -> Finding:
    """<M, D>/(gauge(D) dual(M)) for D the sum of the two oracles, without or with their weights; alpha = .3, k = 2."""
    import torch

    from muon_theory.norms import DualKyFan, Frobenius, f_fanion

    M, norm = torch.from_numpy(matrix_family()[0][0]), f_fanion(2, 0.3)
    a, b = (0.3, 0.7) if scaled else (1.0, 1.0)
    D = -a * DualKyFan(2).lmo(M) - b * Frobenius().lmo(M)
    return Finding(1.0, (torch.sum(M * D) / norm.value(D) / norm.dual(M)).item())


def _triangle(alpha: float | None = None) -> Finding:
    """Largest f(x + y)/(f(x) + f(y)), f = alpha KF_k + (1 - alpha) fro: three witnesses, or 50 000 pairs."""
    import torch

    from muon_theory.norms import Frobenius, KyFan

    def ratio(x: torch.Tensor, y: torch.Tensor, k: int, a: float) -> float:
        f_x, f_y, f_sum = (a * KyFan(k).value(z) + (1 - a) * Frobenius().value(z) for z in (x, y, x + y))
        return (f_sum / (f_x + f_y)).max().item()

    def diagonal(*entries: float) -> torch.Tensor:
        return torch.diag(torch.tensor(entries, dtype=torch.float64))

    if alpha is not None:
        x, y = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 50_000, 2, 2)))
        return Finding(1.0, [ratio(x, y, k, alpha) for k in (1, 2)])
    return Finding(
        1.0,
        [
            ratio(diagonal(1, 0), diagonal(0, 1), 2, 1.1), ratio(diagonal(1, 0.05), diagonal(1, -0.05), 2, -0.1),
            ratio(diagonal(1, 1), diagonal(1, -1), 1, 1.1),
        ],
    )  # fmt: skip


def _frobenius_dual(swap: bool = False, alphas: Sequence[float] = (0.3, 0.9)) -> Finding:
    """Dual of F-Fanion-k against the support of alpha (dual Ky Fan ball) + (1 - alpha) (Frobenius ball), every case."""
    import torch

    from muon_theory.norms import f_fanion

    predicted, measured = [], []
    for M, k in _cases():
        ky_fan, rest = (float(np.sum(M * far_projection(M, ball, k))) for ball in ("dual_ky_fan", "frobenius"))
        for alpha in alphas:
            predicted.append(f_fanion(k, 1 - alpha if swap else alpha).dual(torch.from_numpy(M)).item())
            measured.append(alpha * ky_fan + (1 - alpha) * rest)
    return Finding(predicted, measured)


def _sign_dual(printed: bool = False, etas: Sequence[float] = (0.05, 0.5)) -> Finding:
    """Dual of S-Fanion-k, k in {1, r}, against the support of alpha (dual Ky Fan) + (1 - alpha) eta (max ball)."""
    import torch

    from muon_theory.norms import KyFan, SumEntries, s_fanion

    predicted, measured = [], []
    for X, k in _cases():
        if k not in (1, min(X.shape)):
            continue
        M = torch.from_numpy(X)
        ky_fan, sign = (float(np.sum(X * far_projection(X, ball, k))) for ball in ("dual_ky_fan", "max"))
        for alpha in ALPHAS:
            for eta in etas:
                factor = 1 / eta if printed else eta
                predicted += [
                    (alpha * KyFan(k).value(M) + (1 - alpha) * factor * SumEntries().value(M)).item(),
                    s_fanion(k, alpha, factor).dual(M).item(),
                ]
                measured += [alpha * ky_fan + (1 - alpha) * eta * sign] * 2
    return Finding(predicted, measured)


def claims() -> list[Claim]:
    """The claims CC-01 to CC-03, FF-01, SF-01 and SF-02.

    Returns:
        The claims.

    Source: the rows of the inventory; each claim names its own.
    """
    return [
        Claim(
            id="CC-01",
            statement="max of <M, sum a_i D_i> over D_i in the balls B_i, a_i >= 0, is sum a_i dual_i(M), attained at "
            "the weighted sum of the oracles, of gauge 1: Frobenius, dual Ky Fan 2, entrywise max, nuclear; 18 weights",
            source=f"{PAPER}, lemma on conic combinations",
            relation="==",
            method="property test",
            evaluate=_weighted_balls,
            mutations=(Mutation("swap two weights", {"swap": True}),),
            expected="holds",
            attribution="printed",
            tolerance=1e-8,
            relative_tolerance=1e-8,
            tolerance_reason=PROJECTION,
        ),
        Claim(
            id="CC-02",
            statement="the LMO of a combination is the sum of the LMOs without their weights (value ratio 1): "
            "alpha = .3, k = 2",
            source=f"{PAPER}, last line of the proof of the combination lemma as displayed",
            relation="==",
            method="float64 evaluation",
            evaluate=_unscaled_sum,
            mutations=(Mutation("put the weights back", {"scaled": True}),),
            expected="refuted",
            attribution="printed",
            tolerance=1e-10,
            tolerance_reason="float64 rounding of the gauge",
        ),
        Claim(
            id="CC-03",
            statement="for alpha > 1 or alpha < 0, alpha KF_k + (1 - alpha) fro is still a norm (triangle inequality)",
            source=f"practice of {PAPER}: alpha = 1.1 and -.1 are run",
            relation="<=",
            method="float64 evaluation",
            evaluate=_triangle,
            mutations=(Mutation("alpha = .9, 50 000 pairs", {"alpha": 0.9}),),
            expected="refuted",
            attribution="implied",
            tolerance=1e-12,
            tolerance_reason="float64 rounding of a ratio of norms of 2 x 2 matrices",
        ),
        Claim(
            id="FF-01",
            statement="F-Fanion-k has the dual norm alpha KF_k + (1 - alpha) fro",
            source=f"{PAPER}, F-Fanion",
            relation="==",
            method="property test",
            evaluate=_frobenius_dual,
            mutations=(Mutation("swap alpha and 1 - alpha", {"swap": True}),),
            expected="holds",
            attribution="printed",
            relative_tolerance=1e-8,
            tolerance_reason=PROJECTION,
        ),
        Claim(
            id="SF-01",
            statement="S-Fanion-k has the dual norm alpha KF_k + (1 - alpha) eta sum |M_ij|",
            source="derived here: eta times the max ball has the support function eta sum |M_ij|",
            relation="==",
            method="property test",
            evaluate=_sign_dual,
            mutations=(Mutation("(1 - alpha)/eta as printed", {"printed": True}),),
            expected="holds",
            attribution="ours",
            relative_tolerance=1e-8,
            tolerance_reason=PROJECTION,
        ),
        Claim(
            id="SF-02",
            statement="S-Fanion-k has the dual norm alpha KF_k + ((1 - alpha)/eta) sum |M_ij|",
            source=f"{PAPER}, versions 1 and 2, S-Fanion",
            relation="==",
            method="property test",
            evaluate=_sign_dual,
            parameters={"printed": True},
            mutations=(Mutation("eta = 1, where both agree", {"etas": (1.0,)}),),
            expected="refuted",
            attribution="printed",
            relative_tolerance=1e-8,
            tolerance_reason=PROJECTION,
        ),
    ]
