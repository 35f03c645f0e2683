"""Oracles of single norms: their printed values and where they are attained."""

import numpy as np

from muon_theory.claim import Claim, Finding, Mutation

PAPER = "Kravatskiy et al. 2025, arXiv 2512.09678"
ROUNDING = "float64 rounding of decompositions and sums of at most 42 entries"


def _schatten(swap: bool = False) -> Finding:
    """Distance of the oracle to the stated D and value over fro_q, p in {1.25, 2, 3, 8}; then the two limits."""
    import torch

    from muon_theory.norms import Schatten

    predicted, measured = [], []
    M = torch.from_numpy(np.random.default_rng(0).standard_normal((4, 6)))
    U, sigma, Vt = torch.linalg.svd(M, full_matrices=False)
    for p in (1.25, 2.0, 3.0, 8.0):
        q = p / (p - 1)
        total = torch.sum(sigma**q)
        D = (U * sigma ** (q - 1)) @ Vt / total ** (1 / q if swap else (q - 1) / q)
        predicted += [0.0, 1.0, 1.0]
        measured += [
            torch.linalg.norm(D + Schatten(p).lmo(M)).item(), (torch.sum(M * D) / total ** (1 / q)).item(),
            (Schatten(p).dual(M) / total ** (1 / q)).item(),
        ]  # fmt: skip
    near_polar = torch.linalg.norm(Schatten(1e4).lmo(M) + U @ Vt).item()
    near_first = torch.linalg.norm(Schatten(1.0001).lmo(M) + torch.outer(U[:, 0], Vt[0])).item()
    # The limits are approached at the rate |log(sigma_r/sigma_1)|/p and (sigma_2/sigma_1)^10000.
    return Finding([*predicted, 0.0], [*measured, max(0.0, near_polar - 1e-3) + near_first])


def _rms_to_rms(inverted: bool = False) -> Finding:
    """Norm and value of D = sqrt(m/n) U V^T on a 7 x 3 matrix, and its distance to the oracle."""
    import torch

    from muon_theory.norms import RMSToRMS

    m, n = 7, 3
    M = torch.from_numpy(np.random.default_rng(0).standard_normal((m, n)))
    U, sigma, Vt = torch.linalg.svd(M, full_matrices=False)
    D = (n / m if inverted else m / n) ** 0.5 * U @ Vt
    norm = RMSToRMS()
    return Finding(
        [1.0, 1.0, 1.0, 0.0],
        [
            norm.value(D).item(), (norm.dual(M) / sigma.sum()).item() / (m / n) ** 0.5,
            (torch.sum(M * D) / norm.dual(M)).item(), torch.linalg.norm(D + norm.lmo(M)).item(),
        ],
    )  # fmt: skip


def _three_oracles(frobenius_value: bool = False) -> Finding:
    """For the max, nuclear and Frobenius norm: <M, D> over the value, and by how much 1000 points exceed it."""
    import torch

    from muon_theory.norms import Frobenius, MaxEntry, Nuclear

    M = torch.from_numpy(np.random.default_rng(0).standard_normal((4, 6)))
    U, sigma, Vt = torch.linalg.svd(M, full_matrices=False)
    size = torch.linalg.norm(M)
    stated = [
        (MaxEntry(), torch.sign(M), size if frobenius_value else M.abs().sum()),
        (Nuclear(), torch.outer(U[:, 0], Vt[0]), sigma[0]),
        (Frobenius(), M / size, size),
    ]
    X = torch.from_numpy(np.random.default_rng(1).standard_normal((1000, 4, 6)))
    predicted, measured = [], []
    for norm, D, value in stated:
        ratios = torch.sum(M * X, dim=(1, 2)) / norm.value(X) / value
        predicted += [1.0, 1.0, 0.0, 0.0]
        measured += [
            (torch.sum(M * D) / value).item(), norm.value(D).item(), torch.linalg.norm(D + norm.lmo(M)).item(),
            max(0.0, ratios.max().item() - 1),
        ]  # fmt: skip
    return Finding(predicted, measured)


def claims() -> list[Claim]:
    """The claims KF-11 to KF-13.

    Returns:
        The claims.

    Source: the rows of the inventory; each claim names its own.
    """
    return [
        Claim(
            id="KF-11",
            statement="Schatten p, 1/p + 1/q = 1: D = U diag(sigma^{q-1}) V^T / (sum sigma^q)^{(q-1)/q} with value "
            "fro_q(sigma); p -> inf gives the polar factor, p -> 1 gives u1 v1^T",
            source=f"{PAPER}, list of LMOs",
            relation="==",
            method="float64 evaluation",
            evaluate=_schatten,
            mutations=(Mutation("exponent 1/q in the denominator", {"swap": True}),),
            expected="holds",
            attribution="printed",
            tolerance=1e-12,
            tolerance_reason=ROUNDING,
        ),
        Claim(
            id="KF-12",
            statement="norm sqrt(n/m) sigma_1: D = sqrt(m/n) U V^T with value sqrt(m/n) nuc",
            source=f"{PAPER}, list of LMOs",
            relation="==",
            method="float64 evaluation",
            evaluate=_rms_to_rms,
            mutations=(Mutation("sqrt(n/m) in D", {"inverted": True}),),
            expected="holds",
            attribution="printed",
            tolerance=1e-12,
            tolerance_reason=ROUNDING,
        ),
        Claim(
            id="KF-13",
            statement="entrywise max norm: D = sign M, value the sum of |M_ij|; nuclear: D = u1 v1^T, value sigma_1; "
            "Frobenius: D = M/fro(M); 1000 random points of each ball never exceed the value",
            source=f"{PAPER}, list of LMOs",
            relation="==",
            method="property test",
            evaluate=_three_oracles,
            mutations=(Mutation("value fro(M) for the max norm", {"frobenius_value": True}),),
            expected="holds",
            attribution="printed",
            tolerance=1e-12,
            tolerance_reason=ROUNDING,
        ),
    ]
