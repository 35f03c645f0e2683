"""What every oracle keeps: rotations (but not under the sign part), scale, and the unit length of the step."""

from collections.abc import Sequence

import numpy as np

from muon_theory.claim import Claim, Enclosure, Finding, Mutation
from muon_theory.rooms.fanions.matrix_family import matrix_family

PAPER = "Kravatskiy et al. 2025, arXiv 2512.09678"
ROUNDING = "float64 rounding of decompositions and sums of at most 42 entries"


def _rotated_error(norms: Sequence, sign: float = 0.0) -> list[float]:
    """fro(D(O M W) - O D(M) W) / fro(D(M)), D = -lmo + sign * sign(M), largest of 50 draws 4 x 6, for each norm."""
    import torch

    M, left, right = (
        torch.from_numpy(np.random.default_rng(0).standard_normal((50, *shape))) for shape in ((4, 6), (4, 4), (6, 6))
    )
    O, W = torch.linalg.qr(left)[0], torch.linalg.qr(right)[0]
    errors = []
    for norm in norms:
        D, rotated = (sign * torch.sign(X) - norm.lmo(X) for X in (M, O @ M @ W))
        error = torch.linalg.norm(rotated - O @ D @ W, dim=(1, 2)) / torch.linalg.norm(D, dim=(1, 2))
        errors.append(error.max().item())
    return errors


def _equivariance(sign: float = 0.0) -> Finding:
    """The largest relative error of Ky Fan, dual Ky Fan and F-Fanion k in {1, 2, 4}, and of Schatten 1.5, 3."""
    from muon_theory.norms import DualKyFan, KyFan, Schatten, f_fanion

    norms = [family(k) for k in (1, 2, 4) for family in (KyFan, DualKyFan, f_fanion)]
    return Finding(0.0, _rotated_error([*norms, Schatten(1.5), Schatten(3.0)], sign))


def _sign_equivariance(eta: float = 0.5) -> Finding:
    """The same for S-Fanion k in {1, 2, 4}, alpha = 1/2; then the change of its dual norm on I_2 rotated."""
    import torch

    from muon_theory.norms import Combined, DualKyFan, MaxEntry

    norms = [Combined((0.5, 0.5 * eta), (DualKyFan(k), MaxEntry())) for k in (1, 2, 4)]
    errors = _rotated_error(norms)
    rotation = torch.tensor([[1.0, -1.0], [1.0, 1.0]], dtype=torch.float64) / 2**0.5
    before, after = norms[0].dual(torch.stack([torch.eye(2, dtype=torch.float64), rotation])).tolist()
    return Finding(0.0, [*errors, after - before])


def _scale_change(epsilon: float = 0.0) -> Finding:
    """fro(lmo(c M) - lmo(M)) / fro(lmo(M)), largest over c and the family, for every norm of the catalogue."""
    import torch

    from muon_theory.norms import ALL_NORMS

    measured = []
    for name, norm in ALL_NORMS.items():
        worst = 0.0
        for M in map(torch.from_numpy, matrix_family()):
            D = norm.lmo(M)
            for c in (1e-30, 1e-3, 7.0, 1e30):
                scaled = norm.lmo(c * M)
                if epsilon and name == "frobenius":
                    scaled = -c * M / (torch.linalg.norm(c * M, dim=(1, 2), keepdim=True) + epsilon)
                change = torch.linalg.norm(scaled - D, dim=(1, 2)) / torch.linalg.norm(D, dim=(1, 2))
                worst = max(worst, change.max().item())
        measured.append(worst)
    return Finding(0.0, measured)


def _gauge_of_step(factor: float = 1.0) -> Finding:
    """The norm of factor * lmo(M) for every norm of the catalogue and every shape of the family: enclosed, or value."""
    import torch

    from muon_theory.norms import ALL_NORMS, Combined

    measured = []
    for name, norm in ALL_NORMS.items():
        for M in map(torch.from_numpy, matrix_family()):
            D = norm.lmo(M)
            if isinstance(norm, Combined):
                # The parts of the step decompose it, and M is the dual witness: bounds of a gauge without closed form.
                steps = [part.lmo(M) for part in norm.norms]
                rest = D - sum(a * step for a, step in zip(norm.weights, steps, strict=True))
                upper = max(part.value(Z).max().item() for part, Z in zip(norm.norms, steps, strict=True))
                lower = (-torch.sum(M * D, dim=(1, 2)) / norm.dual(M)).min().item()
                slack = torch.linalg.norm(rest, dim=(1, 2)).max().item()
                measured.append(Enclosure(factor * (lower - slack), factor * (upper + slack)))
            if not isinstance(norm, Combined) or name.startswith(("f_", "s_")):
                measured += norm.value(factor * D).tolist()
    return Finding(1.0, measured)


def claims() -> list[Claim]:
    """The claims KF-14 to KF-17.

    Returns:
        The claims.

    Source: the rows of the inventory; each claim names its own.
    """
    return [
        Claim(
            id="KF-14",
            statement="LMO(O M W) = O LMO(M) W for orthogonal O, W: Ky Fan, dual Ky Fan, Schatten, F-Fanion",
            source=f"{PAPER}, unitary invariance; derived here for every k",
            relation="==",
            method="property test",
            evaluate=_equivariance,
            mutations=(Mutation("add 1e-3 sign(M) to D", {"sign": 1e-3}),),
            expected="holds",
            attribution="implied",
            tolerance=1e-10,
            tolerance_reason="rounding 1e-16 amplified by the gap sigma_k - sigma_{k+1} of 50 Gaussian draws (1e3)",
        ),
        Claim(
            id="KF-15",
            statement="the same equivariance holds for S-Fanion, and its dual norm is unitarily invariant",
            source="tempting extension of KF-14; counterexample I_2 rotated by 45 degrees",
            relation="==",
            method="property test",
            evaluate=_sign_equivariance,
            mutations=(Mutation("eta = 0", {"eta": 0.0}),),
            expected="refuted",
            attribution="folklore",
            tolerance=1e-10,
            tolerance_reason="rounding 1e-16 amplified by the gap sigma_k - sigma_{k+1} of 50 Gaussian draws (1e3)",
        ),
        Claim(
            id="KF-16",
            statement="lmo(c M) = lmo(M) for c in {1e-30, 1e-3, 7, 1e30}, every norm of the catalogue",
            source="elementary: an LMO depends on the direction only",
            relation="==",
            method="property test",
            evaluate=_scale_change,
            mutations=(Mutation("M/(fro(M) + 1e-8)", {"epsilon": 1e-8}),),
            expected="holds",
            attribution="ours",
            tolerance=1e-12,
            tolerance_reason=ROUNDING,
        ),
        Claim(
            id="KF-17",
            statement="the norm of lmo(M) is 1 for every norm of the catalogue and every M of the family",
            source="elementary: a linear function is extreme on the boundary of the ball",
            relation="==",
            method="property test",
            evaluate=_gauge_of_step,
            mutations=(Mutation("scale D by 1.001", {"factor": 1.001}),),
            expected="holds",
            attribution="ours",
            tolerance=1.1e-10,
            tolerance_reason="the program behind the norm of S-Fanion stops with its certified bounds 1e-10 apart",
        ),
    ]
