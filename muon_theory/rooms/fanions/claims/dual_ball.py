"""The dual Ky Fan ball and P_k: the duality inequality, norms of the update, ties and stability."""

import numpy as np

from muon_theory.claim import Claim, Finding, Mutation
from muon_theory.rooms.fanions.matrix_family import matrix_family

PAPER = "Kravatskiy et al. 2025, arXiv 2512.09678"
ROUNDING = "float64 rounding of sums of at most 7 singular values below 40"


def _duality(shift: int = 0) -> Finding:
    """The largest <Y, D> / (KF_k(D) max(sigma_1(Y), nuc(Y)/(k + shift))) over 4000 pairs 4 x 6, for each k."""
    import torch

    from muon_theory.norms import KyFan

    generator = np.random.default_rng(0)
    Y, D = generator.standard_normal((2, 4000, 4, 6))
    # Half of the pairs share their singular vectors: exponential spectra, those of D flat, plain or peaked.
    U, _, Vt = np.linalg.svd(Y[:2000], full_matrices=False)
    spectra = -np.sort(-generator.exponential(size=(2, 2000, 4)), axis=-1)
    spectra[1] **= generator.choice([0.05, 1.0, 4.0], size=(2000, 1))
    Y[:2000], D[:2000] = (np.einsum("bik,bk,bkj->bij", U, s, Vt) for s in spectra)
    inner, sigma, ratios = np.sum(Y * D, axis=(1, 2)), np.linalg.svd(Y, compute_uv=False), []
    for k in range(1, 5):
        dual = np.maximum(sigma[:, 0], sigma.sum(axis=-1) / (k + shift))
        ratios.append(float(np.max(inner / (KyFan(k).value(torch.from_numpy(D)).numpy() * dual))))
    return Finding(1.0, ratios, attained=max(ratios))


def _norms_of_update(exponent: float = 0.5) -> Finding:
    """Spectral, Frobenius and nuclear norm of P_k on the family; then KF_3(M), <M, P_1>, rank one 4 x 5."""
    import torch

    from muon_theory.norms import DualKyFan, KyFan

    predicted, measured = [], []
    for matrices in matrix_family():
        for k in range(1, min(matrices.shape[1:]) + 1):
            sigma = torch.linalg.svdvals(DualKyFan(k).lmo(torch.from_numpy(matrices))).numpy()
            predicted += [1.0, k**exponent, float(k)] * 2
            measured += [x for s in sigma for x in (s[0], np.linalg.norm(s), s.sum())]
    a, b = np.random.default_rng(0).standard_normal((2, 5))
    M = torch.from_numpy(np.outer(a[:4], b))
    size = float(np.linalg.norm(a[:4]) * np.linalg.norm(b))
    return Finding(
        [*predicted, 1.0, 1.0],
        [*map(float, measured), KyFan(3).value(M).item() / size, -float(torch.sum(M * DualKyFan(3).lmo(M))) / size],
    )


def _tied_maximizer(second: float = 1.0) -> Finding:
    """<M, D> / KF_2(M), the gauge of D and its distance to P_2, for D = u1 v1^T + U_2 (I/3) V_2^T."""
    import torch

    from muon_theory.norms import DualKyFan, KyFan

    generator = np.random.default_rng(0)
    U, V = (np.linalg.qr(generator.standard_normal((size, size)))[0][:, :4] for size in (5, 6))
    M = (U * [3.0, second, 1.0, 1.0]) @ V.T
    D, P = (U * [1.0, 1 / 3, 1 / 3, 1 / 3]) @ V.T, U[:, :2] @ V[:, :2].T
    value = KyFan(2).value(torch.from_numpy(M)).item()
    gauge = DualKyFan(2).value(torch.from_numpy(D)).item()
    return Finding([1.0, 1.0, (2 / 3) ** 0.5], [float(np.sum(M * D)) / value, gauge, float(np.linalg.norm(D - P))])


def _stability(half: float = 0.5) -> Finding:
    """Smallest (KF_k(M) - <M, D>) / (half (sigma_k - sigma_{k+1}) fro(D - P_k)^2), k = 1, 2, 3; then the witness."""
    import torch

    from muon_theory.norms import DualKyFan

    generator = np.random.default_rng(0)
    M, noise = generator.standard_normal((2, 20_000, 4, 4))
    closeness = 10.0 ** generator.uniform(-3, 1, size=(20_000, 1, 1))
    sigma = np.linalg.svd(M, compute_uv=False)
    ratios = []
    for k in (1, 2, 3):
        P = -DualKyFan(k).lmo(torch.from_numpy(M)).numpy()
        D = P + closeness * noise
        D /= np.maximum(1.0, DualKyFan(k).value(torch.from_numpy(D)).numpy())[:, None, None]
        loss = sigma[:, :k].sum(axis=-1) - np.sum(M * D, axis=(1, 2))
        quadratic = half * (sigma[:, k - 1] - sigma[:, k]) * np.sum((D - P) ** 2, axis=(1, 2))
        ratios.append(float(np.min(loss / quadratic)))
    a = np.array([np.cos(0.3), np.sin(0.3)])
    M, P = np.diag([1.0, 0.0]), np.diag([1.0, 0.0])
    D = np.outer(a, a)
    ratios.append(float((1 - np.sum(M * D)) / (half * np.sum((D - P) ** 2))))
    return Finding(1.0, ratios, attained=min(ratios))


def _printed_ball(radius: float = 0.5) -> Finding:
    """Nuclear norm of P_2(M), whose dual Ky Fan 2 norm is 1, for every matrix of the family."""
    import torch

    from muon_theory.norms import DualKyFan, Nuclear

    nuclear = [
        value
        for matrices in matrix_family()
        for P in [DualKyFan(2).lmo(torch.from_numpy(matrices))]
        for value in (Nuclear().value(P) / DualKyFan(2).value(P)).tolist()
    ]
    return Finding(radius, nuclear)


def claims() -> list[Claim]:
    """The claims KF-03, KF-08, KF-09, KF-10 and KF-18.

    Returns:
        The claims.

    Source: the rows of the inventory; each claim names its own.
    """
    return [
        Claim(
            id="KF-03",
            statement="<Y,D> <= KF_k(D) max(sigma_1(Y), nuc(Y)/k) for all Y, D (4000 pairs, every k)",
            source="derived here: KF_k is the support function of {sigma_1 <= 1, nuc <= k}",
            relation="<=",
            method="property test",
            evaluate=_duality,
            mutations=(Mutation("nuc/(k+1) for nuc/k", {"shift": 1}),),
            expected="holds",
            attribution="ours",
            tolerance=1e-12,
            tolerance_reason=ROUNDING,
            tier="medium",
        ),
        Claim(
            id="KF-08",
            statement="sigma_1(P_k) = 1, fro(P_k) = sqrt k, nuc(P_k) = k when rank M >= k; if rank M = q < k, P_q is "
            "already optimal",
            source=f"{PAPER}, remark on the size of the update; the rank-deficient case derived here",
            relation="==",
            method="float64 evaluation",
            evaluate=_norms_of_update,
            mutations=(Mutation("fro(P_k) = k", {"exponent": 1.0}),),
            expected="holds",
            attribution="printed",
            tolerance=1e-12,
            tolerance_reason=ROUNDING,
        ),
        Claim(
            id="KF-09",
            statement="at a tie sigma_k = sigma_{k+1} the maximiser is not unique: sigma = (3,1,1,1), k = 2, "
            "D = u1 v1^T + U_2 (I_3/3) V_2^T is feasible, optimal, and sqrt(2/3) away from P_2",
            source="derived here",
            relation="==",
            method="float64 evaluation",
            evaluate=_tied_maximizer,
            mutations=(Mutation("sigma_2 = 1.01, where D loses .0067", {"second": 1.01}),),
            expected="holds",
            attribution="ours",
            tolerance=1e-12,
            tolerance_reason=ROUNDING,
        ),
        Claim(
            id="KF-10",
            statement="stability: KF_k(M) - <M,D> >= (sigma_k - sigma_{k+1})/2 fro(D - P_k)^2 for all D in the dual "
            "ball (60 000 draws 4 x 4); attained at M = diag(1, 0), k = 1, D = a a^T, a = (cos .3, sin .3)",
            source="derived here: M = sum (sigma_j - sigma_{j+1}) P_j, <P_j,D> <= min(j,k), "
            "fro(D - P_k)^2 <= 2 (k - <P_k,D>)",
            relation=">=",
            method="property test",
            evaluate=_stability,
            mutations=(Mutation(".55 for 1/2", {"half": 0.55}),),
            expected="holds",
            attribution="ours",
            tolerance=1e-8,
            tolerance_reason="differences of 1e-7 of values near 5 in float64",
            tier="medium",
        ),
        Claim(
            id="KF-18",
            statement="the dual Ky Fan 2 unit ball lies in the l1 ball of singular values of radius 1/2",
            source=f"{PAPER}, appendix on balls (versions 1 and 2); the radius is k = 2, witness P_2(M)",
            relation="<=",
            method="float64 evaluation",
            evaluate=_printed_ball,
            mutations=(Mutation("radius 2", {"radius": 2.0}),),
            expected="refuted",
            attribution="printed",
            tolerance=1e-12,
            tolerance_reason=ROUNDING,
        ),
    ]
