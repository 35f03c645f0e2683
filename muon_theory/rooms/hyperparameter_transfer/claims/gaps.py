"""Loss gap and hyperparameter gap: the trivial rate, and what a stand-in for infinite width does to it."""

import numpy as np

from muon_theory.claim import Claim, Finding, Mutation
from muon_theory.rooms.hyperparameter_transfer.gaps import grid_minimum, parameter_gap_bound, transfer_gaps

PAPER = "Ghosh, Wu, Bietti 2025, arXiv 2512.22768"
FIT = {"limit": 3.137, "amplitude": 13.16, "power": 0.52}  # their Llama runs with Adam, loss against width


def _curvature(quartic: bool = False) -> Finding:
    """c/b^2 of phi_inf = cosh v - 1 + .3 v^3 at b = .03 and .01 against phi''/2 = 1/2, relative to b."""
    v = np.linspace(-1, 1, 20_001)
    limit = v**4 if quartic else np.cosh(v) - 1 + 0.3 * v**3
    at = np.array([0.03, 0.01])
    gaps = transfer_gaps(v, (v - at[:, None]) ** 2, limit)
    return Finding(0.5, (gaps.suboptimality / gaps.parameter**2).tolist())


def _uniform(constant: float = 2.0) -> Finding:
    """b_n over the bound for 300 quartic bowls with sinusoids added, and for a bump at the far end of the bound."""
    generator, v = np.random.default_rng(0), np.linspace(-4, 4, 8001)
    mu, fourth, eps, pace = (generator.uniform(low, high, 300)[:, None] for low, high in
                             ((0.3, 3), (0, 1), (0.01, 0.3), (0.5, 9)))  # fmt: skip
    limit = mu / 2 * v**2 + fourth * v**4
    moved, _ = grid_minimum(v, limit + eps * np.sin(pace * v + generator.uniform(0, 6, (300, 1))))
    ratio = float(np.max(np.abs(moved) * 2 / (parameter_gap_bound(eps, mu)[:, 0] * constant)))
    far = 2 * 0.999
    bump = v**2 / 2 + np.where(np.abs(v - far) < 0.002, -1.0, 1.0)  # eps = mu = 1
    worst = float(abs(v[bump.argmin()]) * 2 / (parameter_gap_bound(1.0, 1.0) * constant))
    return Finding(1.0, [ratio, worst], attained=worst)


def _minima_only(uniform: bool = False) -> Finding:
    """b_n of phi_n = (v - 1/n)^2 against 2 sqrt(a_n/mu), mu = 2."""
    n = np.array([10.0, 100.0, 1000.0])
    gap = 2 / n + 1 / n**2 if uniform else 0 * n
    return Finding(parameter_gap_bound(gap, 2.0).tolist(), (1 / n).tolist())


def _stand_in(largest: float = 2048.0) -> Finding:
    """Gap that the largest width leaves, over the gap at 1024."""
    return Finding(0.1, (largest / 1024) ** -FIT["power"])


def _slope_to_stand_in(asymptote: str = "largest width") -> Finding:
    """Slope of log(L(n) - L(2048)), n = 128 to 1024."""
    n = np.array([128.0, 256.0, 512.0, 1024.0, 2048.0])
    loss = FIT["limit"] + FIT["amplitude"] * n ** -FIT["power"]
    gap = loss[:-1] - (loss[-1] if asymptote == "largest width" else FIT["limit"])
    return Finding(-FIT["power"], float(np.polyfit(np.log(n[:-1]), np.log(gap), 1)[0]))


def claims() -> list[Claim]:
    """The claims on gaps.

    Returns:
        Rows HT-01, HT-02, HT-03, HT-08 and HT-09.

    Source: see each row.
    """
    return [
        Claim(id="HT-01", statement="c_n/b_n^2 -> phi_inf''(nu*)/2 as b_n -> 0", source=f"{PAPER}, proposition",
              relation="==", method="float64 evaluation", evaluate=_curvature,
              mutations=(Mutation("phi_inf = v^4, not strongly convex", {"quartic": True}),), expected="holds",
              attribution="printed", tolerance=0.02, tolerance_reason="the cubic term adds .3 b: .009 at b = .03"),
        Claim(id="HT-02", statement="phi_inf mu-strongly convex and sup |phi_n - phi_inf| <= eps give "
              "b_n <= 2 sqrt(eps/mu); the constant 2 cannot be lowered", source=f"{PAPER}, lemma", relation="<=",
              method="float64 evaluation", evaluate=_uniform,
              mutations=(Mutation("constant 1 in place of 2", {"constant": 1.0}),), expected="holds",
              attribution="printed"),
        Claim(id="HT-03", statement="b_n = O(a_n^(1/2)) where a_n is the gap of the minima alone, without local "
              "tightness", source=f"reading of {PAPER}; the source assumes a locally tight uniform gap", relation="<=",
              method="float64 evaluation", evaluate=_minima_only,
              mutations=(Mutation("a_n = sup |phi_n - phi_inf| on [-1, 1]", {"uniform": True}),), expected="refuted",
              attribution="folklore"),
        Claim(id="HT-08", statement="width 2048 stands in for infinity: its own gap is below 10 % of that at 1024",
              source=f"{PAPER}, n_max = 2048 with the fit L = 3.137 + 13.16 n^-.52", relation="<=",
              method="float64 evaluation", evaluate=_stand_in,
              mutations=(Mutation("n_max = 1e6", {"largest": 1e6}),), expected="refuted", attribution="implied"),
        Claim(id="HT-09", statement="measured against n_max = 2048, the loss gap keeps its power: slope within .05 of "
              "-.52 for n = 128..1024", source=f"derived here, with the fit of {PAPER}", relation="==",
              method="float64 evaluation", evaluate=_slope_to_stand_in,
              mutations=(Mutation("the fitted asymptote 3.137", {"asymptote": "fitted"}),), expected="refuted",
              attribution="implied", tolerance=0.05, tolerance_reason="half the distance of typical fitted powers"),
    ]  # fmt: skip
