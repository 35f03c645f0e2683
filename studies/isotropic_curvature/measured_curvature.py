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
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from muon_theory.claim import Claim, Estimate, Finding, Mutation
from muon_theory.polar import polar_factor
from muon_theory.problems import load_images, mlp
from muon_theory.reporting.engine import serially
from muon_theory.reporting.style import DOUBLE_COLUMN, OKABE_ITO, color_of, small_print
from muon_theory.training import train

WIDTH, CONTROL = 64, "linear network"
OPTIMIZERS = {"muon": 0.02, "adamw": 1e-3, "sgd": 0.05}
LABELS = {"muon": "Muon", "adamw": "AdamW", "sgd": "SGD"}
RADII = np.geomspace(2e-3, 8, 25)
FITS = {"p_small": (0.002, 0.02), "p_middle": (0.1, 1.0)}


class Probe:
    """A network, its middle layer's gradient, and the remainder along a direction; the control is linear, untrained."""

    def __init__(self, optimizer: str, steps: int, seed: int) -> None:
        images, self.square = load_images("digits"), optimizer == CONTROL
        model = mlp(images.features, (WIDTH, WIDTH), images.classes, seed=seed)
        self.activation = nn.Identity() if self.square else nn.GELU()
        model.relu1 = model.relu2 = self.activation
        if not self.square:
            train(images, optimizer, lr=OPTIMIZERS[optimizer], steps=steps, seed=seed, model=model)
        self.parameters = {name: value.detach().double() for name, value in model.named_parameters()}
        self.labels = images.train_labels
        self.hidden = self.activation(self._layer("layer1", images.train_images.double()))
        weight = self.parameters["layer2.weight"].requires_grad_()
        self.before = self._layer("layer2", self.hidden)
        loss = self._loss(self.before)
        self.gradient = torch.autograd.grad(loss, weight)[0]
        self.start, self.before = loss.item(), self.before.detach()
        self.scale = float(weight.detach().norm()) / WIDTH**0.5

    def _layer(self, name: str, inputs: Tensor) -> Tensor:
        return nn.functional.linear(inputs, self.parameters[f"{name}.weight"], self.parameters[f"{name}.bias"])

    def _loss(self, preactivation: Tensor) -> Tensor:
        outputs = self._layer("head", self.activation(preactivation))
        if self.square:
            return ((outputs - nn.functional.one_hot(self.labels, outputs.shape[1])) ** 2).sum(1).mean()
        return nn.functional.cross_entropy(outputs, self.labels)

    @torch.no_grad()
    def remainder(self, D: Tensor) -> np.ndarray:
        """Remainder loss(W - rD) - loss + r <G, D> at all radii."""
        moved, slope = self.hidden @ D.T, float((self.gradient * D).sum())
        steps = self.scale * RADII
        return np.array([float(self._loss(self.before - r * moved)) - self.start + r * slope for r in steps])


def cell(optimizer: str, steps: int, draws: int, seed: int) -> list[dict[str, Any]]:
    """One network: mean remainder along random orthogonal D and along the polar update, and over its left rotations."""
    probe, generator = Probe(optimizer, steps, seed), torch.Generator().manual_seed(seed)
    Q, R = torch.linalg.qr(torch.randn(draws, WIDTH, WIDTH, generator=generator, dtype=torch.float64))
    rotations, rows = Q * R.diagonal(dim1=1, dim2=2).sign()[:, None], []
    for kind, D in {"random": torch.eye(WIDTH, dtype=torch.float64), "polar": polar_factor(probe.gradient)}.items():
        even = np.mean([(probe.remainder(O @ D) + probe.remainder(-O @ D)) / 2 for O in rotations], axis=0)
        along = even if kind == "random" else probe.remainder(D)
        curvature = even[0] if kind == "random" else (along[0] + probe.remainder(-D)[0]) / 2
        logs, radii = np.log(np.where(along > 0, along, np.nan)), np.log(RADII)
        local = pd.Series((logs[2:] - logs[:-2]) / (radii[2:] - radii[:-2]))
        fits = {name: np.polyfit(radii[inside], logs[inside], 1)[0] if np.isfinite(logs[inside]).all() else np.nan
                for name, (low, high) in FITS.items() for inside in [(low <= RADII) & (high >= RADII)]}  # fmt: skip
        fixed = {"optimizer": optimizer, "steps": steps, "seed": seed, "draws": draws, "kind": kind,
                 "loss": probe.start, "rotation_ratio": curvature / even[0], "p_peak": local.max(), **fits}  # fmt: skip
        rows += [fixed | {"radius": r, "remainder": v, "exponent": e}
                 for r, v, e in zip(RADII, along, [np.nan, *local, np.nan], strict=True)]  # fmt: skip
    return rows


def compute(*, seed: int = 0, quick: bool = False, map_cells=serially) -> pd.DataFrame:
    """One row per network, kind of direction and radius."""
    moments, seeds, draws, names = ((60,), 1, 2, ("muon",)) if quick else ((30, 100, 300), 5, 8, tuple(OPTIMIZERS))
    runs = [(name, steps) for name in names for steps in moments] + [(CONTROL, 0)]
    fixed = [{"optimizer": name, "steps": steps, "draws": draws} for name, steps in runs]
    return map_cells(cell, [each | {"seed": seed + i} for each in fixed for i in range(seeds)])


def figure(table: pd.DataFrame) -> Figure:
    """Local exponents along random directions and along the update; curvature over that of left rotations."""
    drawing, axes = plt.subplots(1, 3, figsize=(DOUBLE_COLUMN, 2.7), width_ratios=(1, 1, 1.1))
    moments = sorted(set(table["steps"]) - {0})
    titles = {"random": "mean over random orthogonal D", "polar": "D = polar(G)"}
    for axis, (kind, title) in zip(axes, titles.items(), strict=False):
        for steps, name in zip(moments, ("sky", "blue", "black"), strict=False):
            part = table.query(f"optimizer == 'muon' and kind == '{kind}' and steps == {steps}")
            spread, shade = part.groupby("radius")["exponent"].agg(["min", "median", "max"]), OKABE_ITO[name]
            axis.fill_between(spread.index, spread["min"], spread["max"], color=shade, alpha=0.2, linewidth=0)
            text = f"{steps} steps of Muon, loss {part['loss'].median():.2g}"
            axis.plot(spread.index, spread["median"], color=shade, label=text)
        axis.axhspan(2.2, 2.5, color=OKABE_ITO["yellow"], alpha=0.4, linewidth=0, label="reported for GPT-2")
        axis.set(xscale="log", xlabel="step size r", title=title, ylim=(0, 6))
    axes[0].set_ylabel("local exponent of the remainder")
    axes[0].legend(loc="upper left")
    for i, name in enumerate(OPTIMIZERS):
        for j, steps in enumerate(moments):
            ratios = table.query(f"kind == 'polar' and optimizer == '{name}' and steps == {steps}")
            ratios = ratios.drop_duplicates("seed")["rotation_ratio"]
            place, label = np.full(len(ratios), j + 0.18 * (i - 1)), LABELS[name] if j == 0 else None
            axes[2].plot(place, ratios, "o", fillstyle="none", ms=4, color=color_of(name), label=label)
    axes[2].axhline(1, color=OKABE_ITO["grey"], linewidth=0.8)
    axes[2].set_xticks(range(len(moments)), labels=[str(steps) for steps in moments])
    axes[2].set_yscale("symlog", linthresh=1)
    axes[2].set(xlabel="training steps", title="curvature along polar(G) /\nmean over its left rotations")
    axes[2].legend(loc="upper left")
    scale = f"digits, GELU network 64-64-64-10, middle layer, float64, {table['seed'].nunique()} seed(s)"
    small_print(drawing, f"{scale}, {table['draws'].iloc[0]} rotations each. Lines: medians; bands: all seeds.")
    return drawing
