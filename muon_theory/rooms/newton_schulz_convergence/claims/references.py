"""Statements of neighbours that bear on the bounds here: lower bounds, and two slips of Polar Express."""

from fractions import Fraction

import numpy as np

from muon_theory.claim import Claim, Finding, Mutation
from muon_theory.polar.remez import minimax_polynomial
from muon_theory.rates import Analysis, as_rational, largest_attained, provable_average
from muon_theory.rooms.newton_schulz_convergence.error_bounds import greedy_cubic_error
from muon_theory.rooms.newton_schulz_convergence.rates import Setting
from muon_theory.rooms.newton_schulz_convergence.stationarity import inexact_average_bound

TAO = "Tao, Yu and Zhang 2026, When and why SignSGD outperforms SGD, matrix part"
ZHANG = "Zhang and Lin 2026, The row normalization puzzle in Muon, Theorem 3.1"
EXPRESS = "Amsel et al. 2025, arXiv 2505.16932 (Polar Express)"


def _batch_rate(constant: float = 2**0.5 + 2) -> Finding:
    """Largest Theorem A bound at their eta and B over sqrt(LD/N) + (S^2 LD/N)^(1/4), N = BT: draws and an edge."""
    generator = np.random.default_rng(0)
    L, D, S = (np.exp(generator.uniform(-7, 7, 20_000)) for _ in range(3))
    T = np.floor(np.exp(generator.uniform(0, 14, 20_000)))
    L, D, S, T = (np.append(x, edge) for x, edge in ((L, 1.0), (D, 1.0), (S, 1e6), (T, 1.0)))
    B = np.maximum(1.0, S**2 * T / (D * L))
    terms = inexact_average_bound(
        Setting(L, D, T, 1, 0.0, B), step_size=np.sqrt(2 * D / (L * T)), gradient_weight=1.0, noise_norm=S
    )
    rate = np.sqrt(L * D / (B * T)) + (S**2 * L * D / (B * T)) ** 0.25
    return Finding(constant, float(np.max(np.asarray(terms.total) / rate)), provable=2**0.5 + 1)


def _batch_lower(constant: float = 1.7) -> Finding:
    """The average an instance reaches at their eta and B over (S^2 LD/N)^(1/4), where S^2 T = B D L; T = 50."""
    # Noise per batch S/sqrt(B) = sqrt(DL/T), and (S^2 LD/N)^(1/4) = sqrt(LD/T).
    analysis = Analysis(
        smoothness=1, initial_gap=Fraction(1, 2), steps=50, step_size=as_rational(0.02**0.5), noise=Fraction(1, 10)
    )
    found, proved = largest_attained(analysis, runs=64), provable_average(analysis, sharp=True)
    return Finding(constant, found.average * 10, provable=float(proved.bound) * 10, attained=found.average * 10)


def _row_normalised(normalise: bool = True) -> Finding:
    """<H, O>/op(O) on the hard gradient H, m = 4, 64, 1024: rows of the polar factor over their root mean square."""
    predicted, measured = [], []
    for m in (4, 64, 1024):
        H = np.zeros((m, 3))
        H[:, 0] = 1.0
        H[0, 0] = m
        H /= np.linalg.norm(H)  # rank one: the polar factor is H itself
        O = H / np.sqrt(np.mean(H**2, axis=1, keepdims=True)) if normalise else H
        measured.append(float(np.sum(H * O) / np.linalg.norm(O, 2)))
        predicted.append((2 * m - 1) / (m * (m * m + m - 1)) ** 0.5)
    return Finding(predicted, measured, attained=measured[-1])


def _proof_exponent(exponent: int = 4) -> Finding:
    """The optimal cubic's error on [.9, 1] against (1 - l^2)^exponent."""
    error = float(greedy_cubic_error(0.9, 1))
    return Finding((1 - 0.81) ** exponent, error, attained=error)


def _remez_constant(constant: float = 2.0) -> Finding:
    """Largest |p* - p_NS5| on [l, 1] over (1-l)^3, l = .9, .99, .999; p* the best quintic, p_NS5 the Taylor one."""
    ratios = []
    for l in (0.9, 0.99, 0.999):
        row, _ = minimax_polynomial(5, l)
        y = np.linspace(l, 1, 4001)
        # Differences of coefficients lose digits; both are written around y = 1.
        best = np.polynomial.Polynomial([0, row[0], 0, row[1], 0, row[2]])
        taylor = np.polynomial.Polynomial([0, 15 / 8, 0, -10 / 8, 0, 3 / 8])
        ratios.append(float(np.max(np.abs((best - taylor)(y)))) / (1 - l) ** 3)
    return Finding(constant, ratios, attained=max(ratios), provable=5.0)


def claims() -> list[Claim]:
    """The claims TYZ-01, TYZ-02-OWN, ROWNORM-ALIGN, PE-SLIP and PE-REMEZ.

    Returns:
        The claims.

    Source: each claim names its own.
    """
    return [*_lower_bounds(), *_slips()]


def _lower_bounds() -> list[Claim]:
    return [
        Claim(
            id="TYZ-01",
            statement="b = 0, eta = sqrt(2D/(LT)), B = max{1, S^2 T/(DL)}, N = BT, S = tr Sigma: average <= "
            "(sqrt 2 + 2)(sqrt(LD/N) + (S^2 LD/N)^(1/4)), by THA-JENSEN sqrt 2 + 1",
            source=f"{TAO} (rate printed without constants; constants derived here from Theorem A)",
            relation="<=",
            method="property test",
            evaluate=_batch_rate,
            mutations=(Mutation("constant 3.3", {"constant": 3.3}),),
            expected="holds",
            attribution="ours",
        ),
        Claim(
            id="TYZ-02-OWN",
            statement="at that eta and B an instance of r = 1 has an average of at least 1.7 (S^2 LD/N)^(1/4): the "
            "rate is "
            "attained up to sqrt 2 + 1 over 1.7",
            source=f"{TAO} prove a lower bound of this order for constant eta; the instance was found here",
            relation=">=",
            method="simulation",
            evaluate=_batch_lower,
            mutations=(Mutation("constant 2.45, above what is provable", {"constant": 2.45}),),
            expected="holds",
            attribution="implied",
        ),
        Claim(
            id="ROWNORM-ALIGN",
            statement="on the gradient (m,1,..,1)^T e_1^T the row-normalised polar factor has alignment "
            "(2m-1)/sqrt(m(m^2+m-1)) per unit of spectral norm, about 2/sqrt m, where the polar factor has 1",
            source=f"hard instance of {ZHANG} (lower bound floor(m D L/(32 eps^2)) steps); alignment derived here",
            relation="==",
            method="float64 evaluation",
            evaluate=_row_normalised,
            mutations=(Mutation("no row normalisation", {"normalise": False}),),
            expected="holds",
            attribution="implied",
            tolerance=1e-12,
            tolerance_reason="float64 rounding of sums of 1024 terms",
        ),
    ]


def _slips() -> list[Claim]:
    return [
        Claim(
            id="PE-SLIP",
            statement="the optimal error is at most (1-l^2)^((d+1)^T) (the exponent of the printed proof): d = 3, T = "
            "1, l = .9",
            source=f"{EXPRESS}, appendix, proof of Theorem 4.3; the theorem has (q+1)^T, d = 2q+1",
            relation="<=",
            method="float64 evaluation",
            evaluate=_proof_exponent,
            mutations=(Mutation("exponent q + 1 = 2, as the theorem states", {"exponent": 2}),),
            expected="refuted",
            attribution="printed",
        ),
        Claim(
            id="PE-REMEZ",
            statement="max |p* - p_NS5| <= 2 (1-l)^3 on [l,1], l = .9, .99, .999",
            source=f"{EXPRESS}, appendix on the Remez algorithm; since 1 - p_NS5(y) = (1-y)^3 (8+9y+3y^2)/8 the "
            f"constant 5 "
            "is safe",
            relation="<=",
            method="float64 evaluation",
            evaluate=_remez_constant,
            mutations=(Mutation("constant 5", {"constant": 5.0}),),
            expected="refuted",
            attribution="printed",
            printed=2.0,
        ),
    ]
