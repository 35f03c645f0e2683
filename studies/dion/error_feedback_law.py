"""Question: how often does Dion use each mode of a gradient that stays the same?

Claim: mode i is used with frequency min(1, c sigma_i), c such that the sum is r: neither the first r modes (Fanion) nor
all alike (Muon), but a mean between normalised gradient descent and Muon. Derived for exact singular vectors and mu
near 1; asked here of recorded spectra, of several mu, of one warm power step a step, and of noisy gradients.

Source: Ahn et al. 2025, arXiv 2504.05295 (the rule); the law is derived in the room `dion`.

Cost: quick 4 s, full 20 s on 2 cores. Scale: simulated; 5 exponential spectra of 16 modes, 4 spectra of 64 or 128 modes
recorded on digits and MNIST; the optimizer on 20 x 16 matrices, one seed of noise.
"""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from muon_theory.claim import Claim, Finding, Mutation
from muon_theory.optimizers.dion import Dion
from muon_theory.reporting.engine import serially
from muon_theory.reporting.style import DOUBLE_COLUMN, OKABE_ITO, small_print
from muon_theory.rooms.dion.error_feedback import law, law_scale, simulate_modes
from muon_theory.spectra import prescribed_matrix, recorded_spectra

MODES, RANK = 16, 4
RECORDED = ("digits/adamw/layer2/gradient/200", "digits/muon/layer1/momentum/500", "mnist/sgd/layer2/gradient/500",
            "mnist/muon/layer2/momentum/500")  # fmt: skip
ROUTES = {  # of the optimizer: exact singular vectors, error feedback, noise relative to the gradient, colour, marker
    "exact, no feedback": (True, False, 0.0, "grey", "x"),
    "exact": (True, True, 0.0, "black", "o"),
    "one power step": (False, True, 0.0, "blue", "+"),
    "one power step, noise": (False, True, 1.0, "vermillion", "."),
}


def spectrum(name: str) -> np.ndarray:
    """Singular values of a gradient, descending, the largest 1: exponential draws, or a recorded matrix."""
    if name.startswith("exponential"):
        sigma = np.sort(np.random.default_rng(int(name.split()[1])).exponential(size=MODES))[::-1]
    else:
        sigma = dict(zip(*(recorded_spectra()[column] for column in ("name", "sigma")), strict=True))[name]
    return sigma / sigma[0]


def cell(route: str, name: str, momentum: float, steps: int, burn_in: int, seed: int) -> list[dict]:
    """One row per mode: the law, and the share of steps in which the mode was used (the mean step along it)."""
    sigma = spectrum(name)
    r = max(RANK, len(sigma) // 8)
    used = (simulate_modes(sigma, r, momentum, steps, burn_in=burn_in).frequency if route == "modes"
            else _mean_step(route, sigma, momentum, steps, burn_in, seed))  # fmt: skip
    fixed = {"spectrum": name, "route": route, "rank": r, "momentum": momentum, "steps": steps}
    c, frequency = law_scale(sigma, r), law(sigma, r)
    return [fixed | {"mode": i + 1, "c_sigma": float(f"{c * sigma[i]:.6g}"), "law": float(frequency[i]),
                     "used": float(used[i])} for i in range(len(sigma))]  # fmt: skip


def _mean_step(route: str, sigma: np.ndarray, momentum: float, steps: int, burn_in: int, seed: int) -> np.ndarray:
    """The optimizer on a 20 x 16 gradient: the mean step in the basis of the gradient's singular vectors."""
    exact, feedback, noise = ROUTES[route][:3]
    G = prescribed_matrix(torch.from_numpy(sigma.copy()), 20, MODES, seed=seed)
    level = noise * float(torch.linalg.matrix_norm(G)) / (20 * MODES) ** 0.5
    generator = torch.Generator().manual_seed(seed)
    weight = torch.nn.Parameter(torch.zeros_like(G))
    optimizer = Dion([weight], 1.0, momentum, 0.0, rank=RANK, lr_scale="none", exact=exact, error_feedback=feedback)
    settled = weight
    for step in range(burn_in + steps):
        if step == burn_in:
            settled = weight.detach().clone()
        weight.grad = G + level * torch.randn(G.shape, generator=generator, dtype=G.dtype)
        optimizer.step()
    U, _, V = torch.linalg.svd(G, full_matrices=False)
    return (U.T @ ((settled - weight.detach()) / steps) @ V.T).diagonal().numpy()


def compute(*, seed: int = 0, quick: bool = False, map_cells=serially) -> pd.DataFrame:
    """One row per spectrum, route, mu and mode: the law and the measured frequency (mean step)."""
    names = [f"exponential {seed + i}" for i in range(1 if quick else 5)] + list(RECORDED[: 1 if quick else 4])
    momenta = [0.95, 0.9, 0.5] if quick else [0.98, 0.95, 0.9, 0.5]
    length = {"steps": 6_000, "burn_in": 6_000} if quick else {"steps": 40_000, "burn_in": 30_000}
    cells = [{"route": "modes", "name": n, "momentum": mu, "seed": seed, **length} for n in names for mu in momenta]
    length = {"steps": 600, "burn_in": 400} if quick else {"steps": 5_000, "burn_in": 2_000}
    cells += [{"route": route, "name": names[0], "momentum": 0.95, "seed": seed, **length} for route in ROUTES]
    return map_cells(cell, cells)


def figure(table: pd.DataFrame) -> Figure:
    """Left: frequency against c sigma. Middle: largest error against 1 - mu. Right: the optimizer's mean step."""
    drawing, axes = plt.subplots(1, 3, figsize=(DOUBLE_COLUMN, 2.6))
    modes: Any = table[table["route"] == "modes"]
    for kind, color, marker in (("recorded", "orange", "."), ("exponential", "blue", "+")):
        part = modes[modes["spectrum"].str.startswith("exponential") == (kind == "exponential")]
        shown = part[(part["momentum"] == 0.95) & (part["used"] > 0)]
        axes[0].loglog(shown["c_sigma"], shown["used"], marker, ms=4, color=OKABE_ITO[color], label=kind)
        error = (part["used"] - part["law"]).abs().groupby([part["spectrum"], 1 - part["momentum"]]).max()
        axes[1].loglog(error.index.get_level_values(1), error, marker, ms=5, color=OKABE_ITO[color], label=kind)
    line = np.geomspace(1e-3, modes["c_sigma"].max(), 200)
    axes[0].loglog(line, np.minimum(1, line), color="black", linewidth=0.8, label="min(1, cσ)")
    axes[0].set(xlabel="c σ", ylabel="share of steps a mode is used", xlim=(1e-3, None), ylim=(1e-3, 2))
    axes[1].loglog((0.015, 0.6), (0.00375, 0.15), color="black", linewidth=0.8, label=".25 (1 − μ)")
    axes[1].set(xlabel="1 − μ", ylabel="largest error of the law")
    axes[1].set_xticks((0.02, 0.05, 0.1, 0.5), labels=("0.02", "0.05", "0.1", "0.5"))
    axes[1].minorticks_off()
    _mean_steps(axes[2], table[table["route"] != "modes"])
    for axis in axes:
        axis.legend(fontsize=6)
    names = modes["spectrum"].unique().tolist()
    drawn = sum(name.startswith("exponential") for name in names)
    small_print(
        drawing,
        f"Simulated: {drawn} exponential spectra (16 modes, r = 4), {len(names) - drawn} recorded (r = n/8),"
        f" {modes['steps'].iloc[0]} steps. Right: the optimizer, 20 × 16, r = 4, μ = .95, one seed.",
    )
    return drawing


def _mean_steps(axis: Any, table: Any) -> None:
    exact = table[table["route"] == "exact"]
    axis.plot(exact["mode"], exact["law"], color="black", linewidth=0.8, label="law")
    for route, (*_, color, marker) in ROUTES.items():
        part = table[table["route"] == route]
        axis.plot(part["mode"], part["used"], marker, ms=4, fillstyle="none", color=OKABE_ITO[color], label=route)
    axis.set(xlabel="mode", ylabel="mean step along the mode", ylim=(-0.05, 1.1))


def claims(table: pd.DataFrame) -> list[Claim]:
    """The error of the law over all spectra and mu; that of the optimizer with one power step, noise or not."""
    errors: Any = table.assign(error=(table["used"] - table["law"]).abs())
    largest = errors.groupby("route")["error"].max().to_dict()
    modes = errors[errors["route"] == "modes"]
    scaled = (modes["error"] / (1 - modes["momentum"])).groupby(modes["spectrum"]).max().tolist()
    facts: list[tuple[str, str, list[float], float, Any]] = [
        ("EFL-SPECTRA", "exact singular vectors, exponential and recorded spectra: the law errs by at most .3 (1 - mu)",
         scaled, 0.3, {"predicted": 0.05}),
        ("EFL-POWER", "one warm power step (r = 4 of 16, mu = .95) follows the law within .03, noise of the gradient's "
         "norm or not", [largest["one power step"], largest["one power step, noise"]], 0.03,
         {"measured": [largest["exact, no feedback"]]}),
    ]  # fmt: skip
    return [
        Claim(id=name, statement=statement, source="derived here (room dion); measured by this study", relation="<=",
              method="simulation", evaluate=Finding, parameters={"predicted": predicted, "measured": measured},
              mutations=(Mutation("bound .05 (1 - mu)" if "predicted" in changed else "no error feedback", changed),),
              expected="holds", attribution="ours", tier="run")
        for name, statement, measured, predicted, changed in facts
    ]  # fmt: skip
