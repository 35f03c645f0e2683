"""What the published means and standard deviations of the Fanion paper do and do not separate."""

from collections.abc import Sequence
from fractions import Fraction

from muon_theory.claim import Claim, Finding, Mutation

PAPER = "Kravatskiy et al. 2025, arXiv 2512.09678"
# Accuracy of F-Muon on CIFAR-10 at Muon's learning rate for each alpha in [0, 1], 10 runs each.
ALPHA_SWEEP = {1.0: 0.9394, 0.9: 0.9387, 0.8: 0.9393, 0.7: 0.9396, 0.6: 0.9379, 0.5: 0.9365, 0.4: 0.9337, 0.3: 0.9291,
               0.2: 0.9229, 0.1: 0.9099, 0.0: 0.8770}  # fmt: skip


def _separation(deviations: tuple[float, float] = (0.13, 0.10), counts: Sequence[int] = (10, 200)) -> Finding:
    """Standard errors between S-Muon (94.03) and Muon (94.01) for each number of runs."""
    variance = sum(deviation**2 for deviation in deviations)
    return Finding(2.0, [(94.03 - 94.01) / (variance / count) ** 0.5 for count in counts])


def _alpha_sweep(deviation: float = 0.002, runs: int = 10) -> Finding:
    """Standard errors by which each alpha below 1 beats alpha = 1 (<= 2), then those of alpha = 1/2 (<= -3)."""
    error = deviation * (2 / runs) ** 0.5
    gains = {alpha: (accuracy - ALPHA_SWEEP[1.0]) / error for alpha, accuracy in ALPHA_SWEEP.items() if alpha < 1}
    return Finding([2.0] * len(gains) + [-3.0], [*gains.values(), gains[0.5]])


def _effective_sign_step(include_lr: bool = False) -> Finding:
    """The weight (1 - alpha) eta of the sign part, with or without lr, against the printed 6.3e-4."""
    lr, alpha, eta = Fraction(42, 100), Fraction(1, 2), Fraction(3, 1000)
    return Finding(Fraction(63, 100_000), (lr if include_lr else 1) * (1 - alpha) * eta)


def claims() -> list[Claim]:
    """The claims PB-01, PB-02 and SF-04.

    Returns:
        The claims.

    Source: the rows of the inventory; each claim names its own.
    """
    return [
        Claim(
            id="PB-01",
            statement="S-Muon (94.03 +- .13 %) beats Muon (94.01 +- .10 %) on CIFAR-10 airbench by 2 standard errors, "
            "with 10 or with 200 runs",
            source=f"{PAPER}, CIFAR-10 table (means and deviations as published)",
            relation=">=",
            method="float64 evaluation",
            evaluate=_separation,
            mutations=(Mutation("deviations .05, 200 runs", {"deviations": (0.05, 0.05), "counts": (200,)}),),
            expected="refuted",
            attribution="implied",
            unit="standard errors",
        ),
        Claim(
            id="PB-02",
            statement="in the published sweep at Muon's learning rate no alpha in [0, 1) beats alpha = 1 by 2 standard "
            "errors, and alpha = 1/2 is worse by more than 3 (10 runs each, deviation .002)",
            source=f"{PAPER}, result file of the alpha sweep",
            relation="<=",
            method="float64 evaluation",
            evaluate=_alpha_sweep,
            mutations=(Mutation("deviation .02", {"deviation": 0.02}),),
            expected="holds",
            attribution="ours",
            unit="standard errors",
        ),
        Claim(
            id="SF-04",
            statement="the effective sign step (1 - alpha) eta is 6.3e-4 at lr .42, alpha 1/2, eta .003",
            source=f"{PAPER}, experiments with S-Muon; the number printed is lr (1 - alpha) eta",
            relation="==",
            method="exact rational",
            evaluate=_effective_sign_step,
            mutations=(Mutation("include lr", {"include_lr": True}),),
            expected="refuted",
            attribution="printed",
            tag="arithmetic",
        ),
    ]
