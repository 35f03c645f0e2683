"""Question: does blending Fanion-k with the signs of the momentum, S-Fanion-k, help training, each blend and eta tuned?

Claim: S-Muon (alpha = 1/2, eta = .003) is as good as Muon on CIFAR-10 (94.03 and 94.01 %), a little worse on language.
Here learning rate, eta, momentum and weight decay are tuned for every alpha at k = 1 and k = r; alpha = 1 is Neon or
Muon, alpha = 0 sign descent. Tuned are the length lr (alpha sqrt k + (1 - alpha) eta sqrt(m n)), m n of the largest
hidden matrix, and eta at equal length on a grid of factor 4. Beyond eta = 1.28
and 3e-4 the step is that of alpha = 0 or 1: natural boundaries. The ends have no eta, so three trials fewer.

Source: Kravatskiy et al. 2025, arXiv 2512.09678, tables on CIFAR-10 and language models (the claim).

Cost: quick 4 s (digits, length and eta only), full 3 min on one core (MNIST, a third of an epoch, 8 paired seeds).
"""

from __future__ import annotations

from functools import cache
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from muon_theory.claim import Claim, Estimate, Finding, Mutation
from muon_theory.optimizers.fanion import SFanion
from muon_theory.problems import load_images
from muon_theory.reporting.engine import serially
from muon_theory.reporting.style import DOUBLE_COLUMN, OKABE_ITO, small_print
from muon_theory.training.comparison import paired_difference
from muon_theory.training.hidden_matrices import train_hidden_matrices
from muon_theory.training.tuned_comparison import final_losses, tuned_runs
from muon_theory.training.tuning import Grid, learning_rates, momenta, weight_decays
from studies.fanions._blend_panels import gain_over_the_better_end, loss_against_alpha

images_of = cache(load_images)
ETA = 0.02
ETAS = Grid((0.005, 0.02, 0.08), lambda eta: eta / 4 if eta > 4e-4 else None, lambda eta: eta * 4 if eta < 1 else None)


def cell(
    k: int, alpha: float, dataset: str, width: int, steps: int, seed: int, length: float, momentum: float,
    weight_decay: float, windows: int, eta: float = ETA,
) -> pd.DataFrame:  # fmt: skip
    """One run with learning rate length / (alpha sqrt k + (1 - alpha) eta sqrt(m n))."""
    images = images_of(dataset)
    lr = length / (alpha * k**0.5 + (1 - alpha) * eta * (width * images.features) ** 0.5)

    def build(matrices):
        options = {"weight_decay": weight_decay, "alpha": alpha, "eta": eta, "check_finite": False}
        return SFanion(matrices, k, lr, momentum, **options)

    run = train_hidden_matrices(images, build, steps=steps, seed=seed, hidden=(width, width), windows=windows)
    fixed = {"k": k, "alpha": alpha, "eta": eta, "width": width, "dataset": dataset, "seed": seed, "lr": lr,
             "length": length, "momentum": momentum, "weight_decay": weight_decay}  # fmt: skip
    return pd.DataFrame({**fixed, **run.to_dict("list")})


def compute(*, seed: int = 0, quick: bool = False, dataset: str | None = None, map_cells=serially) -> pd.DataFrame:
    """One row per run; `phase` tells the trials from the paired runs; alpha = 0, the same for all k, runs once."""
    width = 16 if quick else 32
    alphas = (0.5,) if quick else (0.25, 0.5, 0.75)
    ends = [{"k": width, "alpha": 0.0}, {"k": 1, "alpha": 1.0}, {"k": width, "alpha": 1.0}]
    blends = [{"k": k, "alpha": alpha} for k in (1, width) for alpha in alphas]
    shared = {"dataset": dataset or ("digits" if quick else "mnist"), "width": width, "steps": 60 if quick else 312}
    lengths, start = {"length": learning_rates(0.64, count=3 if quick else 5)}, {"length": 0.64, "momentum": 0.9}
    rest = {} if quick else {"momentum": momenta((0.8, 0.9, 0.95)), "weight_decay": weight_decays((0.0, 0.03, 0.3))}
    tables = [
        tuned_runs(
            cell, compared, start | {"weight_decay": 0.0, "eta": ETA}, lengths | etas | rest, shared=shared, windows=1,
            tuning_seeds=[seed + 1000] if quick else [seed + 1000, seed + 1001],
            seeds=[seed + i for i in range(2 if quick else 8)], map_cells=map_cells,
            refined=None if quick else "length",
        )
        for compared, etas in ((ends, {}), (blends, {"eta": ETAS}))
    ]  # fmt: skip
    return pd.concat(tables, ignore_index=True)


def figure(table: pd.DataFrame) -> Figure:
    """Final loss against alpha for both k, and the loss of the trials against eta."""
    losses: Any = final_losses(table, ["k", "alpha"])
    r = max(k for k, _ in losses.columns)
    names = {r: "S-Muon (k = r)", 1: "S-Neon (k = 1)"}
    drawing, axes = plt.subplots(1, 3, figsize=(DOUBLE_COLUMN, 2.7))
    loss_against_alpha(axes[0], losses, names, "sign descent")
    gain_over_the_better_end(axes[1], losses, names, "sign desc.")
    trials = table.query("phase == 'tuning' and alpha == .5 and momentum == .9 and weight_decay == 0")
    means: Any = trials.groupby(["k", "eta", "length"])["test_loss"].mean()
    for k, color in ((r, "blue"), (1, "vermillion")):
        curve = means.loc[k].groupby("eta").min()
        axes[2].plot(curve.index, curve, "o-", color=OKABE_ITO[color], label=f"{names[k]}, α = ½")
    axes[2].set(
        xscale="log",
        yscale="log",
        title="c  trials: loss against η",
        ylabel="test loss / nats",
        xlabel="η at equal length",
    )
    axes[2].set_yticks([0.16, 0.18, 0.2, 0.25, 0.5, 1, 2], ["0.16", "0.18", "0.2", "0.25", "0.5", "1", "2"])
    axes[2].set_yticks([], minor=True)
    axes[2].margins(y=0.15)
    axes[2].legend()
    row, trials = table.query("phase == 'runs'").iloc[0], (table.phase == "tuning").sum()
    text = f"{row.dataset}, MLP d-{row.width}-{row.width}-10 (r = {row.width}), batch 64, {row.step + 1} steps, linear "
    text += f"decay, float32, CPU; {len(losses)} paired seeds: a: median and range; "
    text += "b: 95 % interval.\nHidden matrices by S-Fanion-k, each "
    text += f"(k, α) tuned alike ({trials} trials on other seeds), blends in η too; head and biases by AdamW."
    small_print(drawing, text)
    return drawing


def claims(table: pd.DataFrame) -> list[Claim]:
    """That the sign part rescues Neon, and that half of it costs Muon little; from five seeds on."""
    losses: Any = final_losses(table, ["k", "alpha"])
    if len(losses) < 5:
        return []
    r = max(k for k, _ in losses.columns)
    values = {f"{k} {alpha:g}": losses[k, alpha].tolist() for k, alpha in losses.columns}
    source = "Kravatskiy et al. 2025, arXiv 2512.09678, table on CIFAR-10 (accuracies); this study"
    rows = [
        ("BS-NEON", "S-Neon (alpha = 1/2) ends at a lower loss than Neon, each tuned", "1 0.5", "1 1", 1.0, "implied",
         Mutation("exchanged", {"first": "1 1", "second": "1 0.5"})),
        ("BS-MUON", "S-Muon (alpha = 1/2) ends at no more than 1.1 times Muon's loss, each tuned", f"{r} 0.5", f"{r} 1",
         1.1, "printed", Mutation("Neon against S-Muon", {"first": "1 1", "second": f"{r} 0.5"})),
    ]  # fmt: skip
    return [
        Claim(id=name, statement=words, source=source, relation="<", method="training run", evaluate=_difference,
              parameters={"values": values, "first": first, "second": second, "factor": factor}, mutations=(mutation,),
              expected="holds", attribution=attribution, tier="run", unit="nats")  # pyright: ignore[reportArgumentType]
        for name, words, first, second, factor, attribution, mutation in rows
    ]  # fmt: skip


def _difference(*, values: dict[str, list[float]], first: str, second: str, factor: float) -> Finding:
    found = paired_difference(values[first], [factor * loss for loss in values[second]])
    return Finding(0.0, Estimate(found.mean, found.lower, found.upper))
