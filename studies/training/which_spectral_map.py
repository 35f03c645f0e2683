"""Question: which function f of the momentum's singular values makes the best update U f(S) V^T, sizes being equal?

Claim: none but f = 1 is needed, says Muon. If the curvature along u_i v_i^T grows as sigma_i^a, the best diagonal step
has p = 1 - a; if the cost of a step were radial and grew as r^e, e would fix the map. Found: p = 1/4, 0, -1/4, F-Muon
and even a random spectrum are not told apart; p = 1 and 1/2 are .045 and .018 nats (of .163) worse, and so, by .014, is
1 - a = -.60; e = 2.00 gives back the gradient, the worst.

Source: Su 2025, arXiv 2511.00674 (the radial model, relayed); the diagonal step is elementary. Both exponents are
measured here on the training loss along runs with the polar factor: a along the singular pairs of the gradient of 2000
images, e between half and twice r = .08 along random isometries. All updates have the polar factor's Frobenius norm,
sqrt(rank). Only the learning rate is tuned (two seeds of their own, steps of sqrt 2); momentum .9, no decay.

Cost: quick 4 s (digits), full 6 min on one core: MNIST, a third of an epoch, MLP 784-32-32-10, 8 paired seeds, 9 maps.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from torch import nn

from muon_theory.claim import Claim, Mutation
from muon_theory.optimizers import Power, SpectralMap
from muon_theory.problems import load_images
from muon_theory.reporting.engine import serially
from muon_theory.reporting.style import DOUBLE_COLUMN, OKABE_ITO, small_print
from muon_theory.training.hidden_matrices import train_hidden_matrices
from muon_theory.training.tuned_comparison import differences_to, final_losses, tuned_runs
from muon_theory.training.tuning import learning_rates
from studies.training._paired import excess, over_seeds
from studies.training._spectral_maps import RADIUS, exponents, function

MAPS = {"p = 1": 1.0, "p = 1/2": 0.5, "p = 1/4": 0.25, "p = 0": 0.0, "p = -1/4": -0.25, "random": 0.0, "F-Muon": 0.5,
        "radial": 0.0, "diagonal": 0.0}  # fmt: skip
MUON, COUNT = "p = 0", 2000
LABELS = {"p = 1": "p = 1 (SGD)", "p = 0": "p = 0 (Muon)", "random": "random", "F-Muon": "F-Muon, α = ½",
          "radial": "radial cost rᵉ", "diagonal": "diagonal 1 − a"}  # fmt: skip
images_of = cache(load_images)


def cell(
    name: str, p: float, dataset: str, width: int, steps: int, seed: int, lr: float, windows: int, probe: bool = False
) -> pd.DataFrame:
    """One run; with `probe`, the measured exponents after each window instead of the losses."""
    images, seen = images_of(dataset), []

    def build(matrices):
        groups = [{"params": [W], "f": function(name, p, W.shape[1])} for W in matrices]
        return SpectralMap(groups, Power(0.0), lr, 0.9, check_finite=False)

    def observe(model: nn.Module) -> dict[str, float]:
        if probe:
            inputs, labels = images.train_images[:COUNT].double(), images.train_labels[:COUNT]
            model.double()
            seen.extend(exponents(model, layer, inputs, labels, seed) for layer in ("layer1.weight", "layer2.weight"))
            model.float()
        return {}

    run = train_hidden_matrices(
        images, build, steps=steps, seed=seed, hidden=(width, width), windows=windows, observe=observe
    )
    fixed = {"name": name, "p": p, "dataset": dataset, "width": width, "seed": seed, "lr": lr}
    return pd.DataFrame(seen).assign(dataset=dataset, seed=seed) if probe else run.assign(**fixed)


def compute(*, seed: int = 0, quick: bool = False, dataset: str | None = None, map_cells=serially) -> pd.DataFrame:
    """One row per run, and per probe of the curvature (phase "curvature")."""
    shared = {"dataset": dataset or ("digits" if quick else "mnist"), "width": 16 if quick else 32,
              "steps": 60 if quick else 312}  # fmt: skip
    seeds = [seed + i for i in range(2 if quick else 8)]
    probe = {"name": MUON, "p": 0.0, "lr": RADIUS, "windows": 3, "probe": True}
    measured = map_cells(cell, [{**shared, **probe, "seed": seed + 2000 + i} for i in range(1 if quick else 5)])
    e, a = max(2.0, round(measured.e.median(), 2)), round(measured.a.median(), 2)
    maps = MAPS | {"radial": e, "diagonal": round(1 - a, 2)}
    names = ("p = 1", MUON, "radial", "diagonal", "random") if quick else tuple(MAPS)
    table = tuned_runs(
        cell, [{"name": name, "p": maps[name]} for name in names], {"lr": 0.08},
        {"lr": learning_rates(0.08, count=3 if quick else 5)}, shared=shared, windows=1, seeds=seeds,
        tuning_seeds=[seed + 1000 + i for i in range(1 if quick else 2)], map_cells=map_cells,
        refined=None if quick else "lr",
    )  # fmt: skip
    return pd.concat([measured.assign(phase="curvature"), table], ignore_index=True)


def figure(table: pd.DataFrame) -> Figure:
    """Loss of every map against the polar factor's, loss against the learning rate, and the measured exponents."""
    drawing, (final, rates, curvature) = plt.subplots(1, 3, figsize=(DOUBLE_COLUMN, 3.0), width_ratios=(1.2, 1, 0.8))
    losses: Any = final_losses(table, ["name"])
    names = [name for name in MAPS if name in losses.columns][::-1]
    found, runs = differences_to(losses, MUON), table.query("phase == 'runs'")
    p = runs.groupby("name").p.first()
    for y, name in enumerate(names):
        final.plot(losses[name] - losses[MUON], [y] * len(losses), "|", color=OKABE_ITO["grey"], ms=5)
        row, color = found.loc[name], OKABE_ITO["blue" if name == MUON else "vermillion"]
        final.errorbar(row["mean"], y, xerr=[[row["mean"] - row.lower], [row.upper - row["mean"]]], fmt="o", capsize=2,
                       color=color)  # fmt: skip
        final.annotate("" if name == MUON else row.word, (1.02, y), xycoords=("axes fraction", "data"), fontsize=6,
                       va="center")  # fmt: skip
    texts = {"radial": f"radial, e = {p.get('radial', 2):.2f}", "diagonal": f"diagonal, p = {p.get('diagonal', 0):.2f}"}
    final.set_yticks(range(len(names)), [texts.get(name, LABELS.get(name, name)) for name in names])
    final.axvline(0, color=OKABE_ITO["black"], lw=0.6)
    final.set(xlabel="test loss minus Muon's / nats", title="a  tuned, paired")
    tried = table.query("phase == 'tuning'").groupby(["name", "lr"]).test_loss.mean()
    for name, color in (("p = 1", "grey"), ("p = 1/2", "orange"), (MUON, "blue"), ("p = -1/4", "purple"),
                        ("random", "green"), ("F-Muon", "sky")):  # fmt: skip
        if name in names:
            curve = tried[name]
            rates.plot(curve.index, curve, ".-", color=OKABE_ITO[color], label=LABELS.get(name, name))
    rates.set(xscale="log", yscale="log", xlabel="learning rate", ylabel="test loss / nats", title="b  tuning seeds")
    rates.set_yticks([0.2, 0.3, 0.5, 1, 2], ["0.2", "0.3", "0.5", "1", "2"])
    rates.minorticks_off()
    rates.legend(fontsize=5.5)
    probes = table.query("phase == 'curvature'")
    for i, (layer, rows) in enumerate(probes.groupby("layer")):
        for j, name in enumerate("ae"):
            curvature.plot(2 * j + 0.7 * i + 0.3 * rows.seed.rank(pct=True), rows[name], "o", ms=3, fillstyle="none",
                           color=OKABE_ITO[("blue", "vermillion")[i]], label=layer if j == 0 else None)  # fmt: skip
    curvature.set_xticks([0.5, 2.5], ["a: curvature\n∝ σᵃ", "e: cost\n∝ rᵉ"])
    curvature.set(ylabel="exponent", title="c  measured", xlim=(-0.3, 3.5), xlabel="matrix: see legend")
    curvature.legend(fontsize=5.5)
    row, trials = runs.iloc[0], (table.phase == "tuning").sum()
    text = f"{row.dataset}, MLP d-{row.width:.0f}-{row.width:.0f}-10, batch 64, {row.step + 1:.0f} steps, linear decay,"
    text += f" float32, CPU; {runs.seed.nunique()} paired seeds (bars), 95 % intervals; {trials} tuning trials.\n"
    text += f"Updates of equal Frobenius norm; head, biases: AdamW. c: {len(probes)} probes on {COUNT} training images."
    small_print(drawing, text)
    return drawing


def claims(table: pd.DataFrame) -> list[Claim]:
    """What the maps and the exponents show, from five seeds on."""
    losses: Any = final_losses(table, ["name"])
    if len(losses) < 5:
        return []
    slopes = table.query("phase == 'curvature'").groupby("seed").a.median().tolist()
    rest: dict[str, Any] = {"method": "training run", "tier": "run", "source": "run here", "expected": "holds"}
    against = rest | {"relation": ">", "evaluate": excess, "unit": "nats", "attribution": "implied"}
    found, exchanged = differences_to(losses, MUON).to_dict("index"), (Mutation("exchanged", {"sign": -1.0}),)
    return [
        Claim(id="SM-GRADIENT", statement="at a tuned length the normalised momentum, p = 1, ends at a higher loss "
              "than its polar factor", parameters={"found": found, "names": ["p = 1"]}, mutations=exchanged, **against),
        Claim(id="SM-RADIAL", statement="so does the map optimal for a radial cost with the measured exponent",
              parameters={"found": found, "names": ["radial"]}, mutations=exchanged, **against),
        Claim(id="SM-SLOPE", statement="curvature along the gradient's singular pairs grows faster than sigma^(1/2)",
              relation=">", evaluate=over_seeds, parameters={"values": slopes, "bound": 0.5}, attribution="ours",
              mutations=(Mutation("than sigma^3", {"bound": 3.0}),), **rest),
    ]  # fmt: skip
