"""When is orthogonalisation optimal: what do the maps of the spectrum reach under each growth of the curvature?

Question: in the isotropic curvature model, which share of the best possible decrease do the gradient, the square root
of its spectrum, the polar factor and Newton-Schulz steps reach, each at its best scale, for H = r^p and a kinked H; on
the spectra of gradients recorded in training?

Claim: the polar factor is best under an extreme kink only; at the exponents reported for a language model, 2.2 to 2.5,
the optimum is almost the gradient. At p = 2 the share of the polar factor is the nuclear rank over the number of modes.

Source: Su 2025, arXiv 2511.00674 (the model, relayed); shares derived here, exact integrals for powers, common random
numbers with certified gaps for the kink. n is the number of columns, also where m < n; zero modes are left out.

Cost: quick 4 s, full 1 min on one core: all 108 recorded gradients, 8 powers; kink at n = 16, 12 slopes.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from muon_theory.claim import Claim, Finding, Mutation
from muon_theory.reporting.engine import serially
from muon_theory.reporting.style import DOUBLE_COLUMN, OKABE_ITO, small_print
from muon_theory.rooms.isotropic_curvature.exact_solver import power_spectrum
from muon_theory.rooms.isotropic_curvature.growth import kinked_growth
from muon_theory.rooms.isotropic_curvature.kink import smallest_jump
from muon_theory.rooms.isotropic_curvature.maps import MAPS, best_scale_value, mapped_spectrum, power_efficiency
from muon_theory.rooms.isotropic_curvature.sampled_solver import solve_sampled, sphere_squares
from muon_theory.spectra import nuclear_rank, recorded_spectra

POWERS = (1.5, 2.0, 2.2, 2.5, 3.0, 4.0, 8.0, 32.0)
FLOOR = 1e-6  # singular values below this share of the largest are rounding of float32 and count as zero
SHADES = dict(zip(MAPS, ("green", "orange", "blue", "purple", "vermillion"), strict=True))
DECAYS = {"σᵢ = 1/i": 1.0, "σᵢ = 1/√i": 0.5}


def cell_recorded(name: str) -> list[dict]:
    """Shares of all maps and the optimum's condition, for every power, on one recorded spectrum."""
    event = recorded_spectra().query("name == @name").to_dict("records")[0]
    sigma = np.asarray(event["sigma"]) / event["sigma"][0]
    sigma = sigma[sigma > FLOOR]
    n = event["columns"]
    fixed = {"part": "recorded", "name": name, "dataset": event["dataset"], "kind": event["kind"], "modes": len(sigma),
             "columns": n, "nuclear_rank": float(nuclear_rank(sigma))}  # fmt: skip
    rows = []
    for p in POWERS:
        s = power_spectrum(sigma, p, n).s
        shares = {each: power_efficiency(sigma, mapped_spectrum(sigma, each), s, p, n) for each in MAPS}
        rows += [fixed | {"p": p, "map": each, "share": share, "flattening": float(sigma[-1] / sigma[0] * s[0] / s[-1])}
                 for each, share in shares.items()]  # fmt: skip
    return rows


def cell_kink(spectrum: str, strength: float, n: int, draws: int, seed: int) -> list[dict]:
    """Shares of all maps for A = 0, B = strength times the sum of sigma, on common random numbers."""
    sigma, z = np.arange(1.0, n + 1) ** -DECAYS[spectrum], sphere_squares(n, draws, seed=seed)
    sigma /= sigma.sum()
    growth = kinked_growth(0.0, strength)
    fixed = {"part": "kink", "name": spectrum, "strength": strength, "seed": seed, "columns": n,
             "jump": smallest_jump(sigma).jump}  # fmt: skip
    try:
        solution = solve_sampled(sigma, growth, z)
    except ValueError:  # unbounded: no best update
        return [fixed | {"map": each, "share": np.nan, "gap": np.nan} for each in MAPS]
    values = {each: best_scale_value(sigma, mapped_spectrum(sigma, each), growth, z) for each in MAPS}
    return [
        fixed | {"map": each, "share": value / solution.value, "gap": solution.gap} for each, value in values.items()
    ]


def compute(*, quick: bool = False, seed: int = 0, map_cells=serially) -> pd.DataFrame:
    """One row per spectrum, growth and map."""
    names = recorded_spectra().query("kind == 'gradient'")["name"].tolist()
    recorded = map_cells(cell_recorded, [{"name": name} for name in (names[::20] if quick else names)])
    strengths = np.geomspace(1.5, 300, 4 if quick else 12).round(3).tolist()
    n, draws, seeds = (8, 100, 1) if quick else (16, 512, 3)
    kinks = map_cells(cell_kink, [
        {"spectrum": spectrum, "strength": b, "n": n, "draws": draws, "seed": seed + i}
        for spectrum in DECAYS for b in strengths for i in range(seeds)
    ])  # fmt: skip
    return pd.concat([recorded, kinks], ignore_index=True)


def figure(table: pd.DataFrame) -> Figure:
    """Shares against the power on recorded spectra, against their nuclear rank, and against the strength of a kink."""
    drawing, axes = plt.subplots(1, 3, figsize=(DOUBLE_COLUMN, 2.9), width_ratios=(1.1, 1, 1.1))
    recorded = table.query("part == 'recorded'")
    for name, shade in SHADES.items():
        color = OKABE_ITO[shade]
        spread = recorded.query(f"map == '{name}'").groupby("p")["share"].quantile(np.array([0.1, 0.5, 0.9])).unstack()
        axes[0].fill_between(spread.index, spread[0.1], spread[0.9], color=color, alpha=0.12, linewidth=0)
        axes[0].plot(spread.index, spread[0.5], color=color, label=name)
    axes[0].axvspan(2.2, 2.5, color=OKABE_ITO["yellow"], alpha=0.4, linewidth=0)
    axes[0].set(xscale="log", xlabel="power p of H = rᵖ", ylabel="share of the best decrease", ylim=(0, 1.02))
    axes[0].set_xticks([1.5, 2, 3, 4, 8, 32], labels=["1.5", "2", "3", "4", "8", "32"])
    axes[0].set_xticks([], minor=True)
    axes[0].set_title(f"{recorded['name'].nunique()} recorded gradients")
    for name in ("gradient", "polar", "NS-5"):
        part = recorded.query(f"map == '{name}' and p == 2.5")
        rank = part["nuclear_rank"] / part["modes"]
        axes[1].plot(rank, part["share"], ".", ms=2.5, color=OKABE_ITO[SHADES[name]])
    axes[1].plot([0, 1], [0, 1], color=OKABE_ITO["grey"], linewidth=0.8, linestyle=":")
    axes[1].set(xlabel="nuclear rank of G / its modes", title="p = 2.5", xlim=(0, 1), ylim=(0, 1.02))
    spectrum = next(iter(DECAYS))
    kinks = table.query(f"part == 'kink' and name == '{spectrum}'")
    for name, shade in SHADES.items():
        spread = kinks.query(f"map == '{name}'").groupby("strength")["share"].agg(["min", "median", "max"])
        axes[2].fill_between(spread.index, spread["min"], spread["max"], color=OKABE_ITO[shade], alpha=0.2, linewidth=0)
        axes[2].plot(spread.index, spread["median"], color=OKABE_ITO[shade])
    axes[2].axvline(kinks["jump"].iloc[0], color=OKABE_ITO["black"], linewidth=0.8, linestyle="--")
    axes[2].set(xscale="log", xlabel="slope B above the kink / Σσ", ylim=(0, 1.02))
    axes[2].set_title(f"kinked H, A = 0, {spectrum}, n = {int(kinks['columns'].iloc[0])}")
    drawing.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=5)
    note = "Left: medians, 10 to 90 % of spectra; yellow: reported for GPT-2. Dotted: share = nuclear rank / modes."
    kink = "Right: common random numbers, certified gaps; dashed: exact smallest jump for a polar optimum."
    small_print(drawing, f"{note}\n{kink} Every map at its best scale.")
    return drawing


def claims(table: pd.DataFrame) -> list[Claim]:
    """Shares on recorded spectra, for the full profile."""
    recorded = table.query("part == 'recorded'")
    if len(set(recorded["name"])) < 100:
        return []

    def least(name: str, p: float) -> Finding:
        return Finding(0.95, float(recorded.query(f"map == '{name}' and p == {p}")["share"].to_numpy(float).min()))

    def better(p: float, name: str = "polar") -> Finding:
        shares = recorded.query(f"p == {p}").pivot(index="name", columns="map", values="share")
        return Finding(0.5, float(np.mean(shares[name].to_numpy(float) > shares["gradient"].to_numpy(float))))

    return [
        Claim(id="IC-40", statement="p = 2.5: the gradient has 95 % of the best decrease on every recorded spectrum",
              source="derived here", relation=">=", method="float64 evaluation", evaluate=least,
              parameters={"name": "gradient", "p": 2.5}, mutations=(Mutation("polar factor", {"name": "polar"}),),
              expected="holds", attribution="ours", tier="run"),
        Claim(id="IC-41", statement="p = 8: the polar factor beats the gradient direction on most recorded spectra",
              source="derived here", relation=">=", method="float64 evaluation", evaluate=better, parameters={"p": 8.0},
              mutations=(Mutation("the square root in its place", {"name": "square root"}),), expected="refuted",
              attribution="ours", tier="run"),
    ]  # fmt: skip
