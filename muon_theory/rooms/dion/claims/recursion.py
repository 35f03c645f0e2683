"""The buffer, and the warm-started iteration: what error feedback keeps and how fast the subspace is found."""

from functools import lru_cache

import numpy as np

from muon_theory.claim import Claim, Finding, Mutation
from muon_theory.rooms.dion.draws import cold_draws

ROUNDING = "float64: products and decompositions of matrices of at most 12 columns"
BOUNDS = {"decaying": (0.03, 1e-5), "gaussian": (0.45, 0.13)}


def _fanion(error_feedback: bool = False) -> Finding:
    """Largest distance of a step of the optimizer to P_r of the heavy-ball buffer: 20 steps, 12 x 8, r = 1..8."""
    import torch

    from muon_theory.optimizers.dion import Dion

    gradients = torch.from_numpy(np.random.default_rng(0).standard_normal((20, 12, 8)))
    weights = [torch.nn.Parameter(torch.zeros(12, 8, dtype=torch.float64)) for _ in range(8)]
    groups = [{"params": [weight], "rank": r} for r, weight in enumerate(weights, 1)]
    optimizer = Dion(groups, 1.0, 0.9, 0.0, exact=True, lr_scale="none", error_feedback=error_feedback)
    buffer, largest = torch.zeros(12, 8, dtype=torch.float64), 0.0
    for gradient in gradients:
        before = [weight.detach().clone() for weight in weights]
        for weight in weights:
            weight.grad = gradient.clone()
        optimizer.step()
        buffer = 0.9 * buffer + gradient
        U, _, V = torch.linalg.svd(buffer, full_matrices=False)
        for r, (old, weight) in enumerate(zip(before, weights, strict=True), 1):
            distance = torch.linalg.matrix_norm(old - weight.detach() - U[:, :r] @ V[:r])
            largest = max(largest, float(distance))
    return Finding(0.0, largest)


def _kept(rank: int = 4) -> Finding:
    """Distance of the optimizer's buffer to mu P P^T B + (I - P P^T) B for r = 2, and to mu B for `rank`, 6 x 4."""
    import torch

    from muon_theory.optimizers.dion import Dion
    from muon_theory.optimizers.low_rank import low_rank_factors

    B = torch.from_numpy(cold_draws(1, rows=6, columns=4, rank=4)[0][1, 0])
    weights = [torch.nn.Parameter(torch.zeros_like(B)) for _ in range(2)]
    groups = [{"params": [weight], "rank": r} for weight, r in zip(weights, (2, rank), strict=True)]
    optimizer = Dion(groups, 1.0, 0.95, 0.0, transpose=False)
    for weight in weights:  # a first step without gradient shows the Q that the second one starts from
        weight.grad = torch.zeros_like(B)
    optimizer.step()
    Q = optimizer.state[weights[0]]["right_factor"].clone()
    for weight in weights:
        weight.grad = B.clone()
    optimizer.step()
    partial, full = (optimizer.state[weight]["momentum_buffer"] for weight in weights)
    P = low_rank_factors(B, Q).P
    used = P @ (P.T @ B)
    measured = [partial - (0.95 * used + B - used), full - 0.95 * B]
    return Finding([0.0, 0.0], [float(torch.linalg.matrix_norm(difference)) for difference in measured])


@lru_cache(maxsize=4)
def _subspace_errors(iterations_a_step: int) -> list[float]:
    """Sines of the largest angle between the span of Q and the leading right singular subspace, steps 1..14."""
    import torch

    from muon_theory.optimizers.low_rank import low_rank_factors
    from muon_theory.spectra import prescribed_matrix

    sigma = np.concatenate([np.linspace(3, 2, 8), np.linspace(1.4, 0.1, 32)])
    B = prescribed_matrix(sigma, 60, 40, seed=0)
    V = torch.linalg.svd(B, full_matrices=False)[2][:8]
    Q = torch.from_numpy(cold_draws(1)[1][1, 0])
    errors = []
    for _ in range(14):
        Q = low_rank_factors(B, Q, power_iterations=iterations_a_step).Q
        basis = torch.linalg.qr(Q).Q
        errors.append(float(torch.linalg.matrix_norm(basis - V.T @ (V @ basis), 2)))
    return errors


def _contraction(power: int = 2) -> Finding:
    """The last ratio of successive errors over (sigma_9/sigma_8)^power."""
    errors = _subspace_errors(1)
    return Finding(1.0, errors[-1] / errors[-2] / 0.7**power, attained=errors[-1] / errors[-2])


@lru_cache(maxsize=2)
def _distances(warm: bool) -> dict[str, list[float]]:
    """Median relative distance of P Q^T to P_8(B) after 10 and 30 iterations over 100 draws, per kind of spectrum."""
    import torch

    from muon_theory.optimizers.low_rank import low_rank_factors

    B, Q = (torch.from_numpy(array) for array in cold_draws(100))
    U, _, V = torch.linalg.svd(B, full_matrices=False)
    leading = U[..., :8] @ V[..., :8, :]
    generator = torch.Generator().manual_seed(0)
    found = []
    for iteration in range(1, 31):
        start = Q if warm else torch.randn(Q.shape, generator=generator, dtype=Q.dtype)
        P, _, Q = low_rank_factors(B, start)
        if iteration in (10, 30):
            distance = torch.linalg.matrix_norm(P @ Q.mT - leading) / torch.linalg.matrix_norm(leading)
            found.append(distance.median(-1).values.tolist())
    return {kind: [found[0][i], found[1][i]] for i, kind in enumerate(BOUNDS)}


def _convergence(warm: bool = True) -> Finding:
    distances = _distances(warm)
    return Finding(
        [bound for kind in BOUNDS for bound in BOUNDS[kind]], [d for kind in BOUNDS for d in distances[kind]]
    )


def claims() -> list[Claim]:
    """The claims DN-01, DN-02, DN-13 and DN-14.

    Returns:
        The claims.

    Source: the rows of the inventory; each claim names its own.
    """
    return [
        Claim(
            id="DN-01",
            statement="exact-SVD Dion without error feedback and shape factor steps along P_r(sum_t mu^t G), the "
            "oracle of the dual Ky Fan r ball (12 x 8, every r, 20 random gradients)",
            source="arXiv 2512.09678, second version, section on Dion; Pethick's note on PowerSGD",
            relation="==",
            method="property test",
            evaluate=_fanion,
            mutations=(Mutation("error feedback on", {"error_feedback": True}),),
            expected="holds",
            attribution="printed",
            tolerance=1e-11,
            tolerance_reason=f"{ROUNDING}; gaps between singular values of at least 1e-3",
        ),
        Claim(
            id="DN-02",
            statement="error feedback keeps M = mu P P^T B + (I - P P^T) B; at r = min(m, n) = n that is M = mu B, "
            "whatever Q (6 x 4, mu = .95)",
            source="derived here: R = B^T P, and P spans the range of B at full rank",
            relation="==",
            method="float64 evaluation",
            evaluate=_kept,
            mutations=(Mutation("r = n - 1", {"rank": 3}),),
            expected="holds",
            attribution="ours",
            tolerance=1e-13,
            tolerance_reason=ROUNDING,
        ),
        Claim(
            id="DN-13",
            statement="warm-started iteration on a constant B contracts the subspace error by "
            "(sigma_(r+1)/sigma_r)^2 = .49 a step (60 x 40, r = 8)",
            source="textbook (subspace iteration on B^T B)",
            relation="==",
            method="float64 evaluation",
            evaluate=_contraction,
            mutations=(Mutation("the first power, .70", {"power": 1}),),
            expected="holds",
            attribution="folklore",
            tolerance=0.1,
            tolerance_reason="the ratio of two successive errors, steps 13 and 14, not yet the limit",
        ),
        Claim(
            id="DN-14",
            statement="P Q^T -> P_r(B) for constant B: median relative distance after 10 and 30 iterations at most "
            ".03, 1e-5 (spectrum .8^i) and .45, .13 (Gaussian), 60 x 40, r = 8, 100 draws",
            source="derived here: subspace iteration, ratio .64 a step for .8^i. Medians, since means over ten draws "
            "vary (Gaussian, 30 iterations: .07 to .24 over thirty tens)",
            relation="<=",
            method="simulation",
            evaluate=_convergence,
            mutations=(Mutation("a new random Q each step", {"warm": False}),),
            expected="holds",
            attribution="ours",
        ),
    ]
