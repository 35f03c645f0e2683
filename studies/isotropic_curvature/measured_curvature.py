"""Measured curvature: which growth H has the loss of a trained network, and is it a function of ||D zeta|| at all?

Question: the isotropic curvature model takes the cost of a step D beyond first order to be E H(||D zeta||). On the
middle layer of a network trained on digits: which exponent has the remainder loss(W - rD) - loss + r <G, D>, along
random orthogonal D and along polar(G); and does it change under left rotations OD, which no such cost can see?

Claim: the exponent is 2 at small r and 2.2 to 2.5 further out, without a jump (a language model, relayed). A public
research log finds curvature along Muon's updates 4 to 20 times the mean over their left rotations (77M parameters).

Source: Su 2025, arXiv 2511.00674, Figure 1 (relayed); rotation test: a public research log of 2026. Here: GELU network
64-64-64-10, float64, whole training set, all D orthogonal, r in units of the root mean square singular value of W; fits
in log-log: small r in [.002, .02], middle r in [.1, 1]; the peak is the largest slope over a factor 2 of r.

Cost: quick 3 s (one seed), full 3 min on one core: 3 optimizers x 5 seeds x 3 moments, learning rates untuned.
"""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from torch import Tensor, nn

from muon_theory.claim import Claim, Estimate, Finding, Mutation
from muon_theory.problems import load_images, mlp
from muon_theory.reporting.engine import serially
from muon_theory.reporting.style import DOUBLE_COLUMN, OKABE_ITO, color_of, small_print
from muon_theory.rooms.isotropic_curvature.growth import LossAround
from muon_theory.training import train
from studies.isotropic_curvature._remainders import WIDTH, remainders

CONTROL = "linear network"
OPTIMIZERS = {"muon": ("Muon", 0.02), "adamw": ("AdamW", 1e-3), "sgd": ("SGD", 0.05)}


def network(optimizer: str, steps: int, seed: int) -> LossAround:
    """Training loss as a function of the middle layer's weight; the control is linear, untrained, with square loss."""
    images, linear = load_images("digits"), optimizer == CONTROL
    model = mlp(images.features, (WIDTH, WIDTH), images.classes, seed=seed)
    activation = model.relu1 = model.relu2 = nn.Identity() if linear else nn.GELU()
    if not linear:
        train(images, optimizer, lr=OPTIMIZERS[optimizer][1], steps=steps, seed=seed, model=model)
    W1, b1, W2, b2, W3, b3 = (parameter.detach().double() for parameter in model.parameters())
    hidden, labels = activation(images.train_images.double() @ W1.T + b1), images.train_labels

    def loss(weight: Tensor) -> Tensor:
        outputs = activation(hidden @ weight.T + b2) @ W3.T + b3
        if linear:
            return ((outputs - nn.functional.one_hot(labels, images.classes)) ** 2).sum(1).mean()
        return nn.functional.cross_entropy(outputs, labels)

    return LossAround(loss, W2)


def cell(optimizer: str, steps: int, draws: int, seed: int) -> list[dict[str, Any]]:
    """One network: what `remainders` finds around it."""
    return remainders(network(optimizer, steps, seed), optimizer=optimizer, steps=steps, seed=seed, draws=draws)


def compute(*, seed: int = 0, quick: bool = False, map_cells=serially) -> pd.DataFrame:
    """One row per network, kind of direction and radius."""
    moments, seeds, draws, names = ((60,), 1, 2, ("muon",)) if quick else ((30, 100, 300), 5, 8, tuple(OPTIMIZERS))
    runs = [(name, steps) for name in names for steps in moments] + [(CONTROL, 0)]
    fixed = [{"optimizer": name, "steps": t, "draws": draws} for name, t in runs]
    return map_cells(cell, [each | {"seed": seed + i} for each in fixed for i in range(seeds)])


def figure(table: pd.DataFrame) -> Figure:
    """Local exponents along random directions and along the update; curvature over that of left rotations."""
    drawing, axes = plt.subplots(1, 3, figsize=(DOUBLE_COLUMN, 2.9), width_ratios=(1, 1, 1.1))
    moments = sorted(set(table["steps"]) - {0})
    for axis, kind, title in zip(axes, ("random", "polar"), ("random orthogonal D", "D = polar(G)"), strict=False):
        for steps, name in zip(moments, ("sky", "blue", "black"), strict=False):
            part = table.query(f"optimizer == 'muon' and kind == '{kind}' and steps == {steps}")
            spread, shade = part.groupby("radius")["exponent"].agg(["min", "median", "max"]), OKABE_ITO[name]
            axis.fill_between(spread.index, spread["min"], spread["max"], color=shade, alpha=0.2, linewidth=0)
            text = f"Muon, {steps} steps, loss {part['loss'].median():.2g}"
            axis.plot(spread.index, spread["median"], color=shade, label=text)
        axis.axhspan(2.2, 2.5, color=OKABE_ITO["yellow"], alpha=0.4, linewidth=0, label="reported for GPT-2")
        axis.set(xscale="log", xlabel="step size r", title=title, ylim=(0, 6))
    axes[0].set_ylabel("local exponent of the remainder")
    drawing.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
    for i, (name, (label, _)) in enumerate(OPTIMIZERS.items()):
        for j, steps in enumerate(moments):
            ratios = table.query(f"kind == 'polar' and optimizer == '{name}' and steps == {steps}")
            ratios, text = ratios.drop_duplicates("seed")["rotation_ratio"], label if j == 0 else None
            place = np.full(len(ratios), j + 0.18 * (i - 1))
            axes[2].plot(place, ratios, "o", fillstyle="none", ms=4, color=color_of(name), label=text)
    axes[2].axhline(1, color=OKABE_ITO["grey"], linewidth=0.8)
    axes[2].set_xticks(range(len(moments)), labels=[str(steps) for steps in moments])
    axes[2].set_yscale("symlog", linthresh=1)
    axes[2].set(xlabel="training steps", title="curvature of polar(G) / its rotations", ylim=(-50, 80))
    axes[2].legend(loc="center right")
    scale = f"{table['seed'].nunique()} seeds, {table['draws'].max()} rotations. Lines: medians; bands: all seeds"
    small_print(drawing, f"digits, GELU network 64-64-64-10, middle layer, float64, {scale}; gaps: negative.")
    return drawing


def claims(table: pd.DataFrame) -> list[Claim]:
    """What the full profile shows, with intervals over seeds."""
    networks = table.drop_duplicates(["optimizer", "steps", "seed", "kind"])

    def found(bound: float, column: str, kind: str = "random", steps: int = 300, control: bool = False) -> Finding:
        names, moment = ((CONTROL,), 0) if control else (OPTIMIZERS, steps)
        chosen = [f"optimizer == '{name}' and kind == '{kind}' and steps == {moment}" for name in names]
        means = [networks.query(rows)[column].agg(["mean", "sem"]) for rows in chosen]  # 2.776: 95 %, five seeds
        return Finding(bound, [Estimate(m, m - 2.776 * e, m + 2.776 * e) for m, e in means])

    after, peak = "after 300 steps of Muon, AdamW, SGD", {"column": "p_peak"}
    ratio, source = {"column": "rotation_ratio", "kind": "polar"}, "Su 2025, arXiv 2511.00674, Figure 1 (relayed)"
    rows: list[tuple[Any, ...]] = [
        ("IC-33", f"{after}, random D: the exponent stays at or below 2.5 at all r", source, "<=", 2.5, peak, "refuted",
         Mutation("after 30 steps", {"steps": 30})),
        ("IC-42", f"{after}, random D: the exponent is 2 at small r", source, "==", 2.0, {"column": "p_small"}, "holds",
         Mutation("middle r", {"column": "p_middle"})),
        ("IC-43", f"{after}, random D: further out it exceeds 2.2", source, ">=", 2.2, peak, "holds",
         Mutation("a linear network with square loss", {"control": True})),
        ("IC-44", f"{after}: curvature along polar(G) is the mean over its left rotations, as for every radial cost",
         "assumption of the model", "==", 1.0, ratio, "refuted", Mutation("random orthogonal D", {"kind": "random"})),
        ("IC-45", "after 30 steps: curvature along polar(G) is not negative, as for every radial cost",
         "assumption of the model", ">=", 0.0, ratio | {"steps": 30}, "refuted", Mutation("300 steps", {"steps": 300})),
    ]  # fmt: skip
    return [
        Claim(id=name, statement=statement, source=f"{origin}; run here", relation=relation, method="training run",
              evaluate=found, parameters={"bound": bound} | parameters, mutations=(mutation,), expected=expected,
              attribution="relayed", tier="run", tolerance=0.005, tolerance_reason="cubic terms at r = .02")
        for name, statement, origin, relation, bound, parameters, expected, mutation in rows if len(networks) > 9
    ]  # fmt: skip
