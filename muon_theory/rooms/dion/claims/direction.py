"""The geometry of one Dion step: which ball it lies in, and how the right factor may be made."""

from functools import lru_cache
from typing import Any

import numpy as np

from muon_theory.claim import Claim, Finding, Mutation
from muon_theory.rooms.dion.draws import cold_draws

ROUNDING = "float64: a QR, two products and an SVD of 60 x 40 matrices"
CODE = "Ahn et al. 2025, arXiv 2504.05295, Algorithm 1"


@lru_cache(maxsize=1)
def _steps() -> Any:
    """B and its factors P, R, Q after one cold iteration, batched over two spectra and ten seeds."""
    import torch

    from muon_theory.optimizers.low_rank import low_rank_factors

    B, Q = (torch.from_numpy(array) for array in cold_draws(10))
    return B, low_rank_factors(B, Q)


def _directions(right: str) -> Any:
    from muon_theory.optimizers.low_rank import low_rank_direction

    _, factors = _steps()
    return low_rank_direction(factors.P, factors.R, right=right)  # pyright: ignore[reportArgumentType]


def _singular_values(D: Any) -> np.ndarray:
    return np.linalg.svd(np.asarray(D), compute_uv=False)


def _full_rank(right: str = "unit_columns") -> Finding:
    """Relative distance of the full-rank step to polar(B), one cold iteration on a Gaussian 6 x 4 matrix."""
    import torch

    from muon_theory.optimizers.low_rank import low_rank_direction, low_rank_factors
    from muon_theory.polar import polar_factor

    B, Q = (torch.from_numpy(array[1, 0]) for array in cold_draws(1, rows=6, columns=4, rank=4))
    P, R, _ = low_rank_factors(B, Q)
    polar = polar_factor(B)
    distance = torch.linalg.matrix_norm(low_rank_direction(P, R, right=right) - polar)  # pyright: ignore
    return Finding(0.0, float(distance / torch.linalg.matrix_norm(polar)))


def _norms(frobenius: bool = False) -> Finding:
    """Largest deviations: fro(D) from sqrt r, nuc(D) beyond r, column lengths of Q from 1."""
    _, (P, R, Q) = _steps()
    if frobenius:
        Q = R / R.norm(dim=(-2, -1), keepdim=True) * 8**0.5
    sigma = _singular_values(P @ Q.mT)
    length = np.asarray(Q.norm(dim=-2))
    excess = max(0.0, float(sigma.sum(-1).max()) / 8 - 1)
    measured = [float(np.abs((sigma**2).sum(-1) / 8 - 1).max()), excess, float(np.abs(length - 1).max())]
    return Finding([0.0, 0.0, 0.0], measured, attained=float(sigma.sum(-1).max()) / 8)


def _in_the_ball(right: str = "unit_columns") -> Finding:
    """Largest spectral norm for each kind of spectrum."""
    largest = _singular_values(_directions(right))[..., 0].max(-1)
    return Finding(1.0, largest.tolist(), attained=float(largest.max()))


def _largest_spectral_norm(bound: float = 8**0.5) -> Finding:
    """Largest spectral norm for R = v 1^T, and for a cold step whose R is within 1e-3 of that."""
    import torch

    from muon_theory.optimizers.low_rank import low_rank_direction, low_rank_factors

    generator = torch.Generator().manual_seed(0)
    P = torch.linalg.qr(torch.randn(60, 8, generator=generator, dtype=torch.float64)).Q
    v = torch.randn(40, 1, generator=generator, dtype=torch.float64)
    witness = low_rank_direction(P, v.expand(40, 8))
    near = v + 1e-3 * torch.randn(40, 8, generator=generator, dtype=torch.float64)
    cold = low_rank_factors(P @ near.mT, torch.linalg.pinv(near).mT)  # this Q makes the QR return P
    stepped = low_rank_direction(cold.P, cold.R)
    measured = [float(_singular_values(D)[0]) for D in (witness, stepped)]
    return Finding(bound, measured, attained=measured[0])


def _restricted_oracle(right: str = "polar") -> Finding:
    """Largest |op(D) - 1| and largest relative gap of <B, D> to nuc(P^T B)."""
    B, (P, R, _) = _steps()
    D = np.asarray(_directions(right))
    value, best = np.sum(np.asarray(B) * D, axis=(-2, -1)), _singular_values(R).sum(-1)
    return Finding(
        [0.0, 0.0], [float(np.abs(_singular_values(D)[..., 0] - 1).max()), float(np.abs(value / best - 1).max())]
    )


def _downhill(right: str = "plain_qr") -> Finding:
    """Smallest of the cosines <r_j, w_j> between the columns of R and those of W, per kind of spectrum."""
    import torch

    _, (P, R, _) = _steps()
    W = torch.linalg.qr(R).Q if right == "plain_qr" else _directions(right).mT @ P
    cosines = np.asarray((W * R).sum(-2) / R.norm(dim=-2))
    smallest = cosines.min(axis=(-2, -1))
    return Finding(0.0, smallest.tolist(), attained=float(smallest.min()))


def _blended(right: str = "unit_columns") -> Finding:
    """Largest F-Fanion-3 gauge of D/2 + B / (2 fro(B)) over three cold 12 x 8 draws of each kind of spectrum."""
    import torch

    from muon_theory.norms import f_fanion
    from muon_theory.optimizers.low_rank import low_rank_direction, low_rank_factors

    B, Q = (torch.from_numpy(array) for array in cold_draws(3, rows=12, columns=8, rank=3))
    P, R, _ = low_rank_factors(B, Q)
    D = low_rank_direction(P, R, right=right)  # pyright: ignore[reportArgumentType]
    Y = D / 2 + B / (2 * torch.linalg.matrix_norm(B, keepdim=True))
    gauges = f_fanion(3, 0.5).value(Y).reshape(-1).tolist()
    return Finding(1.0, gauges, attained=max(gauges))


def claims() -> list[Claim]:
    """The claims DN-03 to DN-08 and DN-17.

    Returns:
        The claims.

    Source: the rows of the inventory; each claim names its own.
    """
    return [*_published_rule(), *_other_factors()]


def _published_rule() -> list[Claim]:
    return [
        Claim(
            id="DN-03",
            statement="full-rank Dion is Muon after one power step: P Q^T = polar(B) at r = min(m, n)",
            source="tempting; unit columns of R = B^T P need not be orthogonal (counterexample: a Gaussian 6 x 4 B)",
            relation="==",
            method="float64 evaluation",
            evaluate=_full_rank,
            mutations=(Mutation("the polar factor of R in place of Q", {"right": "polar"}),),
            expected="refuted",
            attribution="implied",
            tolerance=1e-12,
            tolerance_reason=ROUNDING,
        ),
        Claim(
            id="DN-04",
            statement="fro(P Q^T) = sqrt(r) and nuc(P Q^T) <= r, Q having unit columns (60 x 40, r = 8, spectra .8^i "
            "and Gaussian, ten seeds, cold Q)",
            source="derived here: P is orthonormal, nuc(A) <= sqrt(rank A) fro(A)",
            relation="==",
            method="property test",
            evaluate=_norms,
            mutations=(Mutation("R of Frobenius norm sqrt(r) for Q: the columns have other lengths",
                                {"frobenius": True}),),
            expected="holds",
            attribution="ours",
            tolerance=1e-13,
            tolerance_reason=ROUNDING,
        ),
        Claim(
            id="DN-05",
            statement="P Q^T lies in the dual Ky Fan r ball: op(P Q^T) <= 1 (same draws)",
            source="the identification of arXiv 2512.09678 (second version) read literally, for one power step",
            relation="<=",
            method="property test",
            evaluate=_in_the_ball,
            mutations=(Mutation("the polar factor of R in place of Q", {"right": "polar"}),),
            expected="refuted",
            attribution="implied",
            tolerance=1e-12,
            tolerance_reason=ROUNDING,
        ),
        Claim(
            id="DN-06",
            statement="op(P Q^T) <= sqrt(r), reached when all rows of P^T B are parallel, and approached by cold steps "
            "(r = 8)",
            source="derived here: op(Q) <= fro(Q) = sqrt(r); arXiv 2605.16341 (abstract) removes a sqrt(r)",
            relation="<=",
            method="float64 evaluation",
            evaluate=_largest_spectral_norm,
            mutations=(Mutation("sqrt(r)/1.01", {"bound": 8**0.5 / 1.01}),),
            expected="holds",
            attribution="ours",
            tolerance=1e-12,
            tolerance_reason=ROUNDING,
        ),
    ]  # fmt: skip


def _other_factors() -> list[Claim]:
    return [
        Claim(
            id="DN-07",
            statement="D = P polar(R)^T has op(D) = 1 and attains max <B, P W^T> over op(W) <= 1, which is nuc(P^T B)",
            source="derived here: duality of spectral and nuclear norm",
            relation="==",
            method="property test",
            evaluate=_restricted_oracle,
            mutations=(Mutation("Q with unit columns", {"right": "unit_columns"}),),
            expected="holds",
            attribution="ours",
            tolerance=1e-12,
            tolerance_reason=ROUNDING,
        ),
        Claim(
            id="DN-08",
            statement="sign trap: Q may be taken from a plain QR of R, that is every column keeps a nonnegative cosine "
            "with its column of R",
            source="tempting; signs of a QR are arbitrary (with a positive diagonal the update is another, legal one)",
            relation=">=",
            method="property test",
            evaluate=_downhill,
            mutations=(
                Mutation("force the signs", {"right": "qr"}),
                Mutation("unit columns", {"right": "unit_columns"}),
            ),
            expected="refuted",
            attribution="implied",
        ),
        Claim(
            id="DN-17",
            statement="D/2 + B/(2 fro(B)) with D = P Q^T stays in the F-Fanion-r ball (12 x 8, r = 3, cold Q)",
            source=f"the lemma on sums of balls (arXiv 2512.09678) read onto {CODE}",
            relation="<=",
            method="property test",
            evaluate=_blended,
            mutations=(Mutation("the polar factor of R in place of Q", {"right": "polar"}),),
            expected="refuted",
            attribution="implied",
            tolerance=1e-6,
            tolerance_reason="the gauge is found by bisection",
        ),
    ]
