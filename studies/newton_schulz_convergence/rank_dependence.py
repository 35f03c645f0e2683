"""Rank dependence: how does the nuclear norm of the gradient along training grow with the rank of the layer?

Question: The first convolution of width r = 16 to 216 is a matrix r x 216. With which power of r does the nuclear norm
of its gradient, averaged over a run, grow under SGD with momentum, exact Muon and Muon with q = 3 quintic steps? Is it
1/2 for SGD and less for Muon, what is the share of minibatch noise, and does the optimizer alone decide?

Claim: Kim and Oh's bounds grow as r^(1/2) for SGD, and as r^0 (deterministic term) to r^(1/4) (leading noise term) for
Muon. Their ablation reports the powers .292, .102 and -.106: ordered as the bounds, none of them 1/2.

Source: Kim and Oh 2026, arXiv 2601.19156, Theorems 1 and 3, appendix H, Table 8 (CifarNet on CIFAR-10, 50 epochs). Ours
is a small network (frozen stem, the convolution, a linear head) and a short run; the convolution's rule has no decay
and no Nesterov momentum, and AdamW trains the head with the rate .01 at every width, or .01 * 64/r. The convolution's
learning rate and momentum are tuned for each optimizer at r = 64, where the two heads are one, and kept, as published.

Cost: quick 15 s (digits, 24 steps, r to 128), full 6 min on 2 cores (MNIST, 208 steps of 64 images, 5 paired seeds).
"""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from scipy.stats import t as student

from muon_theory.claim import Claim, Estimate, Finding, Mutation
from muon_theory.problems import load_images
from muon_theory.problems.networks import first_convolution_net
from muon_theory.reporting.engine import serially
from muon_theory.reporting.style import DOUBLE_COLUMN, color_of, small_print
from muon_theory.training import evaluate
from muon_theory.training.comparison import paired_difference
from muon_theory.training.one_matrix import train_one_matrix
from muon_theory.training.tuning import learning_rates, momenta, tune

WIDTHS, MIDDLE, BATCH, HEAD_LR, TESTED = (16, 32, 64, 128, 216), 64, 64, 0.01, 2000
OPTIMIZERS = {"sgd": "SGD, momentum", "muon_exact": "Muon, exact", "muon": "Muon, q = 3"}
PUBLISHED = {"sgd": 0.292, "muon_exact": 0.102, "muon": -0.106}
BOUNDS = {"sgd": 0.5, "muon_exact": [0, 0.25], "muon": [0, 0.25]}
HEADS = {"fixed": "fixed rate", "scaled": "rate ∝ 1/r"}
NORMS = {"nuclear": "nuclear norm", "large_nuclear": "of a large batch", "noise_nuclear": "of minibatch noise",
         "frobenius": "Frobenius norm"}  # fmt: skip


def cell(optimizer: str, width: int, head: str, dataset: str, steps: int, seed: int, lr: float, momentum: float,
         probed: int, probes: int) -> dict:  # fmt: skip
    """One run: norms averaged over its steps, and over `probes` of them those of `probed` images and of the noise."""
    images = load_images(dataset)
    model = first_convolution_net(width, images.image_shape, images.classes, seed=seed)
    rest_lr = HEAD_LR * (MIDDLE / width if head == "scaled" else 1)
    run = train_one_matrix(images, model, "first.weight", optimizer, lr=lr, momentum=momentum, rest_lr=rest_lr,
                           steps=steps, batch=BATCH, seed=seed, norms_every=1 if probes else None,
                           probed=probed if probes else None, probe_every=steps // max(1, probes))  # fmt: skip
    test_loss = evaluate(model, images.test_images[:TESTED], images.test_labels[:TESTED])[0]
    return {"optimizer": optimizer, "width": width, "head": head, "dataset": dataset, "steps": steps, "seed": seed,
            "lr": lr, "momentum": momentum, "probed": probed, **run[list(NORMS)].mean().to_dict(),
            "test_loss": test_loss if math.isfinite(test_loss) and not run.diverged.any() else math.inf}  # fmt: skip


def compute(*, seed: int = 0, quick: bool = False, dataset: str | None = None, map_cells=serially) -> pd.DataFrame:
    """One row per run; `phase` tells the tuning trials from the paired runs; a run that broke has test loss inf."""
    shared: dict[str, Any] = {"steps": 24, "probed": 4 * BATCH} if quick else {"steps": 208, "probed": 8 * BATCH}
    shared["dataset"], trials = dataset or ("digits" if quick else "mnist"), []

    def losses(candidates: list[dict]) -> list[float]:
        table = map_cells(cell, [{**c, **shared, "seed": seed + 1000, "probes": 0} for c in candidates])
        trials.append(table.assign(phase="tuning"))
        return table.test_loss.tolist()

    rates = learning_rates(0.4, count=3 if quick else 5, factor=4 if quick else 2)
    grids = {"lr": rates} if quick else {"lr": rates, "momentum": momenta()}
    compared = [{"optimizer": name, "width": MIDDLE, "head": "fixed"} for name in OPTIMIZERS]
    tuned = zip(compared, tune(losses, compared, {"lr": 0.4, "momentum": 0.9}, grids), strict=True)
    arms = product(tuned, HEADS, WIDTHS[:4] if quick else WIDTHS, range(seed, seed + (3 if quick else 5)))
    cells = [{**c, **best, **shared, "width": width, "head": head, "seed": s, "probes": 3 if quick else 16}
             for (c, best), head, width, s in arms]  # fmt: skip
    return pd.concat([*trials, map_cells(cell, cells).assign(phase="runs")], ignore_index=True)


def powers(table: pd.DataFrame) -> pd.DataFrame:
    """Least-squares slopes of log(norm) against log r, by (optimizer, head, seed) and norm; NaN where a run broke."""
    runs = table[(table.phase == "runs") & np.isfinite(table.test_loss)]
    long = runs.melt(["optimizer", "head", "seed", "width"], list(NORMS), var_name="norm")
    wide = long.pivot(index=["optimizer", "head", "seed", "norm"], columns="width", values="value")
    x = np.log(wide.columns.to_numpy(float))
    return (np.log(wide) @ ((x - x.mean()) / ((x - x.mean()) ** 2).sum())).unstack("norm")


def figure(table: pd.DataFrame) -> Figure:
    """Left: averaged nuclear norm against r. Right: powers of four norms, the published ones and the bounds'."""
    runs = table[(table.phase == "runs") & np.isfinite(table.test_loss)].replace(HEADS | OPTIMIZERS)
    drawing, (left, right) = plt.subplots(1, 2, figsize=(DOUBLE_COLUMN, 3.6), width_ratios=(1, 1.7))
    sns.lineplot(pd.DataFrame(runs), x="width", y="nuclear", hue="optimizer", style="head", markers=["o", "s"],
                 style_order=HEADS.values(), hue_order=OPTIMIZERS.values(), palette=[*map(color_of, OPTIMIZERS)],
                 estimator="median", errorbar=("pi", 100), err_style="bars", ax=left)  # fmt: skip
    for axis, scale in ((left.xaxis, left.set_xscale), (left.yaxis, left.set_yscale)):
        scale("log", base=2)
        axis.set_major_formatter("{x:g}")
    left.set(xlabel="rank r", ylabel="nuclear norm of the gradient", xticks=sorted(set(runs.width)))
    long = powers(table).rename(columns=NORMS).melt(ignore_index=False, value_name="power").reset_index()
    arms, seeds = [name + head for name, head in product(OPTIMIZERS, HEADS)], len(set(runs.seed))
    look: Any = {"errorbar": ("se", student.ppf(0.975, seeds - 1)), "dodge": 0.5, "linestyle": "none",
                 "markers": ["o", "s", "^", "d"], "markersize": 3.5, "err_kws": {"linewidth": 1}}  # fmt: skip
    sns.pointplot(long, x=long.optimizer + long["head"], order=arms, y="power", hue="norm", hue_order=NORMS.values(),
                  ax=right, **look)  # fmt: skip
    for start, name in zip((-0.45, 1.55, 3.55), OPTIMIZERS, strict=True):
        right.hlines(PUBLISHED[name], start, start + 1.9, "black", label="published" if start < 0 else None)
        right.hlines(BOUNDS[name], start, start + 1.9, "black", ":", label="bounds" if start < 0 else None)
        right.text(start + 0.95, 0.97, OPTIMIZERS[name], ha="center", transform=right.get_xaxis_transform())
    sns.move_legend(left, "lower center", bbox_to_anchor=(0.5, 1), ncols=2)
    right.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3)
    right.set(xlabel="head", xticks=range(6), xticklabels=[*HEADS.values()] * 3, ylabel="power of r", ymargin=0.2)
    one = runs.iloc[0]
    small_print(drawing, f"{one.dataset}, 3x3 convolution 24 -> r, linear head (376 r weights), {one.steps} steps of "
                f"{BATCH} images, CPU, {seeds} paired seeds: median and range (left), mean and 95 % interval (right).\n"
                f"Large batch: {one.probed}. Published: CifarNet, CIFAR-10. Divided by √r: less 1/2.")  # fmt: skip
    return drawing


def claims(table: pd.DataFrame) -> list[Claim]:
    """Which powers exceed which, paired over seeds; from five seeds on."""
    nuclear = powers(table).nuclear.unstack("seed")
    values = dict(zip(map(" ".join, nuclear.index), nuclear.to_numpy().tolist(), strict=True))
    values |= {"1/2": [0.5] * nuclear.shape[1], "0": [0.0] * nuclear.shape[1]}
    arms = [(f"{name} fixed", f"{name} scaled") for name in OPTIMIZERS]
    (sgd, scaled), muons = arms[0], arms[1:]
    rows: list[tuple[Any, ...]] = [
        ("SGD", "under SGD the averaged nuclear norm grows more slowly than r^(1/2), either head", "holds", "ours",
         [("1/2", sgd), ("1/2", scaled)], "0 in place of 1/2", [("0", sgd), ("0", scaled)]),
        ("ORDER", "with a fixed head's rate the power is larger under SGD than under either Muon", "refuted", "implied",
         [(sgd, muon) for muon, _ in muons], "rate as 1/r", [(scaled, muon) for _, muon in muons]),
        ("HEAD", "under each optimizer the power is larger with the head's rate fixed than as 1/r", "holds", "ours",
         arms, "heads exchanged", [arm[::-1] for arm in arms]),
    ]  # fmt: skip
    return [
        Claim(id=f"KO-RANK-{name}", statement=statement, source="Kim and Oh 2026, Table 8; this study", relation=">",
              method="training run", evaluate=_exceeds, parameters={"values": values, "pairs": pairs}, tier="run",
              mutations=(Mutation(change, {"pairs": changed}),), expected=expected, attribution=attribution)
        for name, statement, expected, attribution, pairs, change, changed in rows if nuclear.shape[1] >= 5
    ]  # fmt: skip


def _exceeds(*, values: dict[str, list[float]], pairs: list[tuple[str, str]]) -> Finding:
    found = [paired_difference(values[first], values[second]) for first, second in pairs]
    return Finding(0.0, [Estimate(difference.mean, difference.lower, difference.upper) for difference in found])
