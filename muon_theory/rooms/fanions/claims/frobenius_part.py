"""F-Fanion: its exact norm, limits, misprinted balls, and the length and conditioning of its step."""

from collections.abc import Callable

import numpy as np

from muon_theory.claim import Claim, Enclosure, Finding, Mutation
from muon_theory.rooms.fanions.ball_programs import gauge_bounds
from muon_theory.rooms.fanions.gauges import f_muon_gauge_roots
from muon_theory.rooms.fanions.matrix_family import matrix_family

PAPER = "Kravatskiy et al. 2025, arXiv 2512.09678"
ALPHAS = (0.1, 0.3, 0.5, 0.9)
TWO_SIDED = "a decomposition and a dual witness enclose the gauge to 1e-13 of its value"


def _spectra() -> list[np.ndarray]:
    """Singular values of every matrix of the family."""
    return [sigma for stack in matrix_family() for sigma in np.linalg.svd(stack, compute_uv=False)]


def _against_bounds(formula: Callable[[np.ndarray, int, float], float], orders: Callable[[int], list[int]]) -> Finding:
    """A formula for the gauge over its two-sided bounds, for every spectrum, alpha and the chosen k."""
    predicted, measured = [], []
    for sigma in _spectra():
        for alpha in ALPHAS:
            for k in orders(len(sigma)):
                value = formula(sigma, k, alpha)
                lower, upper = gauge_bounds(sigma, k, alpha)
                predicted.append(1.0)
                measured.append(Enclosure(lower / value, upper / value))
    return Finding(predicted, measured)


def _library_gauge(sigma: np.ndarray, k: float | None, alpha: float) -> float:
    """The library's F-Fanion-k norm of diag(sigma)."""
    import torch

    from muon_theory.norms import f_fanion

    return f_fanion(k, alpha).value(torch.diag(torch.from_numpy(sigma))).item()


def _only_root(sigma: np.ndarray, alpha: float, frobenius_sign: int = -1) -> float:
    """The admissible root of the F-Muon quadratics, NaN unless there is exactly one and the library agrees."""
    roots = f_muon_gauge_roots(sigma, alpha, frobenius_sign=frobenius_sign)
    agrees = len(roots) == 1 and abs(roots[0] / _library_gauge(sigma, None, alpha) - 1) < 1e-10
    return roots[0] if agrees else float("nan")


def _f_muon_gauge(frobenius_sign: int = -1) -> Finding:
    """Two-sided bounds over the one admissible root."""
    return _against_bounds(lambda sigma, _, alpha: _only_root(sigma, alpha, frobenius_sign), lambda r: [r])


def _f_neon_gauge(swap: bool = False) -> Finding:
    """Two-sided bounds over the equation of tau at k = 1."""
    import torch

    from muon_theory.norms import f_neon_gauge

    def formula(sigma: np.ndarray, _: int, alpha: float) -> float:
        return f_neon_gauge(torch.from_numpy(sigma), 1 - alpha if swap else alpha).item()

    return _against_bounds(formula, lambda _: [1])


def _f_fanion_gauge(without_sum: bool = False) -> Finding:
    """Two-sided bounds over the library's norm for every k."""
    return _against_bounds(
        lambda sigma, k, alpha: _library_gauge(sigma, None if without_sum else k, alpha),
        lambda r: list(range(1, r + 1)),
    )


def _limits(wrong: bool = False) -> Finding:
    """The gauge at alpha = 1 - 1e-6 and 1 over max(sigma_1, nuc/k), at 1e-6 and 0 over fro; every spectrum and k."""
    predicted, measured = [], []
    for sigma in _spectra():
        for k in range(1, len(sigma) + 1):
            top = sigma[:k].sum() if wrong else max(sigma[0], sigma.sum() / k)
            fro = float(np.linalg.norm(sigma))
            predicted += [1.0] * 4
            measured += [_library_gauge(sigma, k, alpha) / top for alpha in (1 - 1e-6, 1.0)]
            measured += [_library_gauge(sigma, k, alpha) / fro for alpha in (1e-6, 0.0)]
    return Finding(predicted, measured)


def _swapped_balls(swap_back: bool = False) -> Finding:
    """Gauge of F-Muon's step in alpha (nuclear) + (1 - alpha) (Frobenius), then of F-Neon's in the spectral one."""
    import torch

    from muon_theory.norms import f_fanion

    M, f_muon, f_neon = torch.from_numpy(matrix_family()[1][0]), f_fanion(None, 0.5), f_fanion(1, 0.5)
    balls = (f_muon, f_neon) if swap_back else (f_neon, f_muon)
    return Finding(1.0, [ball.value(norm.lmo(M)).item() for ball, norm in zip(balls, (f_muon, f_neon), strict=True)])


def _step_length(cross: float = 2.0) -> Finding:
    """fro(D)^2 of F-Fanion-k over alpha^2 k + (1-alpha)^2 + cross alpha (1-alpha) KF_k/fro; then of the pure steps."""
    import torch

    from muon_theory.norms import DualKyFan, Frobenius, MaxEntry, f_fanion

    predicted, measured = [], []
    for M in map(torch.from_numpy, matrix_family()):
        sums, fro = torch.linalg.svdvals(M).cumsum(dim=-1), torch.linalg.norm(M, dim=(1, 2))
        for k in range(1, sums.shape[-1] + 1):
            for alpha in (0.3, 0.5, 0.9):
                D = f_fanion(k, alpha).lmo(M)
                predicted += (
                    alpha**2 * k + (1 - alpha) ** 2 + cross * alpha * (1 - alpha) * sums[:, k - 1] / fro
                ).tolist()
                measured += torch.sum(D * D, dim=(1, 2)).tolist()
            predicted += [float(k), 1.0, float(M.shape[1] * M.shape[2])]
            measured += [
                torch.linalg.norm(norm.lmo(M[0])).item() ** 2 for norm in (DualKyFan(k), Frobenius(), MaxEntry())
            ]
    return Finding(predicted, measured)


def _compression(bound: float = 1.0) -> Finding:
    """F-Muon's alpha cond(D) on the family and on diag(1, 1e-12, 1e-12), for each alpha, at most `bound`."""
    import torch

    from muon_theory.norms import f_fanion

    witness = torch.diag(torch.tensor([1.0, 1e-12, 1e-12], dtype=torch.float64))[None]
    measured = []
    for alpha in (0.3, 0.5, 0.9):
        for M in (*map(torch.from_numpy, matrix_family()), witness):
            sigma = torch.linalg.svdvals(f_fanion(None, alpha).lmo(M))
            measured += (alpha * sigma[:, 0] / sigma[:, -1]).tolist()
    return Finding(bound, measured, attained=max(measured))


def claims() -> list[Claim]:
    """The claims FF-02 to FF-08.

    Returns:
        The claims.

    Source: the rows of the inventory; each claim names its own.
    """
    return [
        Claim(
            id="FF-02",
            statement="F-Muon norm: fro((sigma - alpha t)_+) = (1-alpha) t, i.e. (j alpha^2 - (1-alpha)^2) t^2 "
            "- 2 alpha S1 t + S2 = 0 with sigma_j >= alpha t >= sigma_{j+1}; exactly one (j, root) qualifies",
            source=f"derived here for the program printed in {PAPER}",
            relation="==",
            method="float64 evaluation",
            evaluate=_f_muon_gauge,
            mutations=(Mutation("+ (1-alpha)^2", {"frobenius_sign": 1}),),
            expected="holds",
            attribution="ours",
            tolerance=1e-10,
            tolerance_reason=TWO_SIDED,
        ),
        Claim(
            id="FF-03",
            statement="F-Neon norm, with (1-alpha) sum (sigma - tau)_+ = alpha fro(min(sigma, tau)), tau <= sigma_1: "
            "t = fro(min(sigma, tau))/(1-alpha)",
            source=f"derived here for the program printed in {PAPER}",
            relation="==",
            method="float64 evaluation",
            evaluate=_f_neon_gauge,
            mutations=(Mutation("swap alpha and 1 - alpha", {"swap": True}),),
            expected="holds",
            attribution="ours",
            tolerance=1e-10,
            tolerance_reason=TWO_SIDED,
        ),
        Claim(
            id="FF-04",
            statement="F-Fanion-k norm: the t with dist(sigma, {0 <= z <= alpha t, sum z <= k alpha t}) = (1-alpha) t",
            source="derived here for every k",
            relation="==",
            method="float64 evaluation",
            evaluate=_f_fanion_gauge,
            mutations=(Mutation("drop the bound on the sum", {"without_sum": True}),),
            expected="holds",
            attribution="ours",
            tolerance=1e-10,
            tolerance_reason=TWO_SIDED,
        ),
        Claim(
            id="FF-05",
            statement="limits of the F-Fanion-k norm: alpha -> 1 gives max(sigma_1, nuc/k), alpha -> 0 gives fro",
            source="derived here from the ball",
            relation="==",
            method="float64 evaluation",
            evaluate=_limits,
            mutations=(Mutation("alpha -> 1 compared with KF_k", {"wrong": True}),),
            expected="holds",
            attribution="ours",
            tolerance=1e-5,
            tolerance_reason="alpha = 1 - 1e-6 and 1e-6 change the value by up to 8e-6",
        ),
        Claim(
            id="FF-06",
            statement="the F-Muon ball is alpha (nuclear ball) + (1-alpha) (Frobenius ball), the F-Neon ball the same "
            "with the spectral ball: their steps have gauge 1 there (5 x 5, alpha = 1/2)",
            source=f"{PAPER}, versions 1 and 2, appendix on balls: primal and dual exchanged in the text",
            relation="==",
            method="float64 evaluation",
            evaluate=_swapped_balls,
            mutations=(Mutation("swap back", {"swap_back": True}),),
            expected="refuted",
            attribution="printed",
            tolerance=1e-10,
            tolerance_reason=TWO_SIDED,
        ),
        Claim(
            id="FF-07",
            statement="fro(D)^2 = alpha^2 k + (1-alpha)^2 + 2 alpha (1-alpha) KF_k/fro(M) for F-Fanion-k; k for "
            "Fanion-k, 1 for normalised gradient descent, m n for sign descent",
            source="derived here",
            relation="==",
            method="float64 evaluation",
            evaluate=_step_length,
            mutations=(Mutation("drop the cross term", {"cross": 0.0}),),
            expected="holds",
            attribution="ours",
            relative_tolerance=1e-12,
            tolerance_reason="float64 rounding of sums of at most 42 squares",
        ),
        Claim(
            id="FF-08",
            statement="F-Muon compresses: cond(D) <= 1/alpha for every full-rank M, approached near rank one",
            source="derived here: D has singular values alpha + (1-alpha) sigma_i/fro",
            relation="<=",
            method="property test",
            evaluate=_compression,
            mutations=(Mutation(".99/alpha", {"bound": 0.99}),),
            expected="holds",
            attribution="ours",
            tolerance=1e-12,
            tolerance_reason="float64 rounding of a ratio of singular values",
        ),
    ]
