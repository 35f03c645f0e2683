"""Question: do Muon and MuonAll fine-tune as well as AdamW, and does Muon suffer on a model that AdamW pretrained?

Claim: they are at par with AdamW (the MuonAll paper); Muon degrades what Adam pretrained, the more the stronger the
update (2605.10468); the control is a model that Muon pretrained to the same loss.

Source: Page, Joshi, Sonawane 2025, arXiv 2511.06086 (summary); "Can Muon Fine-tune Adam-Pretrained Models?", arXiv
2605.10468 (abstract). Excess: expected cross-entropy over the entropy of the law, on the corpus tuned on.

Cost: quick 4 s, full 2 min on one core. Scale: causal transformer of 60,352 parameters (V = 64, d = 64, one block),
pretrained on 307,200 (AdamW) or 256,000 (Muon) tokens of one bigram law, fine-tuned on another: a stream of 51,200
tokens, or 2,048 tokens seen 12 times. Learning rate tuned for each, momentum and decay (0) not; 5 paired seeds.
"""

from __future__ import annotations

import copy
import math
from dataclasses import asdict
from functools import lru_cache

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from torch import nn

from muon_theory.problems import bigram_zipf, transformer
from muon_theory.reporting.engine import serially
from muon_theory.reporting.style import DOUBLE_COLUMN, OKABE_ITO, small_print
from muon_theory.training.comparison import paired_difference
from muon_theory.training.fine_tuning import excess_loss, language_optimizer, token_batches
from muon_theory.training.language_run import train_on_tokens
from muon_theory.training.tuning import learning_rates, tune

SIZES = {"full": (64, 64, 32, 16, 1.0), "quick": (16, 8, 4, 8, 0.01)}  # V, width, length, batch, part of all steps
PRETRAINING = {"adamw": (0.003, 600), "muon": (0.005, 500)}  # learning rate and steps, to the same loss
FINE_TUNING = {"stream": 100, "few tokens": 50}
KEPT_SEQUENCES = 64
ARMS = {"adamw": ("adamw", "muon", "muon_all"), "muon": ("adamw", "muon")}  # by the start
COLORS = {"adamw": "orange", "muon": "blue", "muon_all": "green"}
SCALED = "muon_all_scaled"
DRIFT = 0.5


@lru_cache(maxsize=64)
def pretrained(start: str, size: str, seed: int) -> nn.Module:
    """The model that fine-tuning starts from; not to be modified."""
    vocabulary, width, length, batch, part = SIZES[size]
    lr, steps = PRETRAINING[start]
    model, steps = transformer(vocabulary, width, layers=1, length=length, seed=seed), round(part * steps)
    data = token_batches(bigram_zipf(vocabulary, seed=seed), steps, batch, length, seed=seed)
    train_on_tokens(model, language_optimizer(start, model, lr), data, steps=steps)
    return model


def cell(start: str, regime: str, arm: str, lr: float, size: str, seed: int) -> dict:
    """One fine-tuning: excess on the new law and on the old one, before and after."""
    vocabulary, _, length, batch, part = SIZES[size]
    old, new = bigram_zipf(vocabulary, seed=seed), bigram_zipf(vocabulary, seed=seed, drift=DRIFT)
    model, steps = copy.deepcopy(pretrained(start, size, seed)), max(4, round(part * FINE_TUNING[regime]))
    before = [excess_loss(model, law, length, seed=seed + 2) for law in (new, old)]
    kept = KEPT_SEQUENCES if regime == "few tokens" else None
    data = token_batches(new, steps, batch, length, kept=kept, seed=seed + 1)
    run = train_on_tokens(model, language_optimizer(arm, model, lr), data, steps=steps)
    after = [
        math.inf if run["diverged"].any() else excess_loss(model, law, length, seed=seed + 2) for law in (new, old)
    ]
    return {"start": start, "regime": regime, "arm": arm, "lr": lr, "size": size, "seed": seed, "before": before[0],
            "old_before": before[1], "excess": after[0], "old_excess": after[1]}  # fmt: skip


def compute(*, seed: int = 0, quick: bool = False, map_cells=serially) -> pd.DataFrame:
    """One row per fine-tuning; `phase` tells the trials of the search from the paired runs."""
    size = "quick" if quick else "full"
    compared = [
        {"start": s, "regime": r, "arm": a, "size": size} for s in PRETRAINING for r in FINE_TUNING for a in ARMS[s]
    ]
    trials = []

    def losses(candidates: list[dict]) -> list[float]:
        table = map_cells(cell, [{**c, "seed": seed + 1000} for c in candidates])
        trials.append(table.assign(phase="tuning"))
        return table["excess"].tolist()

    grid = learning_rates(0.016, count=3) if quick else learning_rates(0.002)
    best = tune(losses, compared, {"lr": 0.002}, {"lr": grid})
    runs = [c | b for c, b in zip(compared, best, strict=True)]
    runs += [run | {"arm": SCALED} for run in runs if run["arm"] == "muon_all"]
    final = map_cells(cell, [{**run, "seed": seed + s} for run in runs for s in range(2 if quick else 5)])
    return pd.concat([*trials, final.assign(phase="runs")], ignore_index=True)


def differences(table: pd.DataFrame) -> pd.DataFrame:
    """Paired differences of the excess to AdamW's from the same start, with AdamW's range over seeds."""
    rows = []
    for (start, regime), runs in table.query("phase == 'runs'").groupby(["start", "regime"], sort=False):
        wide = runs.pivot_table(index="seed", columns="arm", values="excess")
        spread = float(wide["adamw"].max() - wide["adamw"].min())
        for arm in (name for name in wide.columns if name != "adamw"):
            found = asdict(paired_difference(wide[arm].tolist(), wide["adamw"].tolist()))
            rows.append({"start": start, "regime": regime, "arm": arm, "range": spread, **found})
    return pd.DataFrame(rows)


def figure(table: pd.DataFrame) -> Figure:
    """Excess against the learning rate from both starts, and the paired differences."""
    drawing, axes = plt.subplots(1, 3, figsize=(DOUBLE_COLUMN, 2.8))
    found, runs = differences(table), table.query("phase == 'runs'")
    for axis, regime in zip(axes, FINE_TUNING, strict=False):
        curves = (
            table[table["regime"] == regime].query("phase == 'tuning'").groupby(["start", "arm", "lr"])["excess"].mean()
        )
        for start, line in (("adamw", "o-"), ("muon", "s--")):
            for arm in ARMS[start]:
                curve = curves[start][arm]
                axis.plot(curve.index, curve, line, color=OKABE_ITO[COLORS[arm]], ms=3, label=f"{arm} after {start}")
        axis.set(xscale="log", yscale="log", xlabel="learning rate", ylabel="excess loss / nats", title=regime)
    axes[0].legend(fontsize=5.5)
    labels = []
    for place, row in enumerate(found[found["arm"] != SCALED].to_dict("records")):
        axes[2].errorbar(place, row["mean"], [[row["mean"] - row["lower"]], [row["upper"] - row["mean"]]], capsize=2,
                         fmt="o" if row["start"] == "adamw" else "s", color=OKABE_ITO[COLORS[row["arm"]]])  # fmt: skip
        axes[2].annotate(row["word"], (place, row["upper"]), rotation=90, fontsize=5.5, ha="center", va="bottom",
                         xytext=(0, 3), textcoords="offset points")  # fmt: skip
        labels.append(f"{row['arm']} after {row['start']}, {row['regime']}")
    axes[2].axhline(0, color="black", linewidth=0.6)
    axes[2].margins(y=0.3)
    axes[2].set_xticks(range(len(labels)), labels, fontsize=5.5, rotation=30, ha="right")
    axes[2].set(title="tuned, paired", ylabel="excess minus AdamW's / nats", xlim=(-0.5, len(labels) - 0.5))
    vocabulary, width, *_ = SIZES[runs["size"].iloc[0]]
    trials = (table["phase"] == "tuning").sum()
    note = (
        f"Causal transformer, V = {vocabulary}, d = {width}, one block, bigram-Zipf laws, linear decay, CPU; "
        f"{runs['seed'].nunique()} paired seeds: mean and 95 % interval.\n"
        f"Learning rate tuned alike ({trials} trials, another seed); a model that Muon pretrained is the control."
    )
    small_print(drawing, note)
    return drawing
