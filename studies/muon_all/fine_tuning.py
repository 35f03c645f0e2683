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
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from torch import nn

from muon_theory.claim import Claim, Estimate, Finding, Mutation
from muon_theory.problems import bigram_zipf, transformer
from muon_theory.reporting.engine import serially
from muon_theory.reporting.style import DOUBLE_COLUMN, OKABE_ITO, small_print
from muon_theory.training.comparison import paired_difference
from muon_theory.training.fine_tuning import excess_loss, language_optimizer, token_batches
from muon_theory.training.language_run import train_on_tokens
from studies.scale.momentum_placement import tuned_runs

SIZES = {"full": (64, 64, 32, 16, 1.0), "quick": (16, 8, 4, 8, 0.01)}  # V, width, length, batch, part of all steps
PRETRAINING = {"adamw": (0.003, 600), "muon": (0.005, 500)}  # learning rate and steps, to the same loss
FINE_TUNING = {"stream": 100, "few tokens": 50}
KEPT_SEQUENCES = 64
ARMS = {"adamw": ("adamw", "muon", "muon_all"), "muon": ("adamw", "muon")}  # by the start
COLORS = {"adamw": "orange", "muon": "blue", "muon_all": "green"}
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
        math.inf if run["diverged"].any() else excess_loss(model, law, length, seed=seed + 2)  # pyright: ignore
        for law in (new, old)
    ]
    return {"start": start, "regime": regime, "arm": arm, "lr": lr, "size": size, "seed": seed, "before": before[0],
            "old_before": before[1], "excess": after[0], "old_excess": after[1]}  # fmt: skip


def compute(*, seed: int = 0, quick: bool = False, map_cells=serially) -> pd.DataFrame:
    """One row per fine-tuning; `phase` tells the trials of the search from the paired runs."""
    size = "quick" if quick else "full"
    starts = [{"start": s, "regime": r, "size": size} for s in PRETRAINING for r in FINE_TUNING]
    compared = [start | {"arm": arm} for start in starts for arm in ARMS[start["start"]]]
    seeds = range(seed, seed + (2 if quick else 5))
    return tuned_runs(cell, compared, 0.016 if quick else 0.002, seed + 1000, seeds, map_cells)


def differences(table: Any) -> Any:
    """Paired differences of the excess to AdamW's from the same start, with AdamW's range over seeds."""
    rows = []
    for (start, regime), runs in table.query("phase == 'runs'").groupby(["start", "regime"], sort=False):
        wide = runs.pivot_table(index="seed", columns="arm", values="excess")
        spread = float(wide["adamw"].max() - wide["adamw"].min())
        for arm in (name for name in wide.columns if name != "adamw"):
            found = asdict(paired_difference(wide[arm].tolist(), wide["adamw"].tolist()))
            rows.append({"start": start, "regime": regime, "arm": arm, "range": spread, **found})
    return pd.DataFrame(rows)


def figure(table: Any) -> Figure:
    """Excess against the learning rate from both starts, and the paired differences."""
    drawing, axes = plt.subplots(1, 3, figsize=(DOUBLE_COLUMN, 2.8))
    found, trials = differences(table), table.query("phase == 'tuning'")
    for axis, regime in zip(axes, FINE_TUNING, strict=False):
        curves = trials[trials["regime"] == regime].groupby(["start", "arm", "lr"])["excess"].mean()
        for start, line in (("adamw", "o-"), ("muon", "s--")):
            for arm in ARMS[start]:
                curve = curves[start][arm]
                axis.plot(curve.index, curve, line, color=OKABE_ITO[COLORS[arm]], ms=3, label=f"{arm} after {start}")
        axis.set(xscale="log", yscale="log", xlabel="learning rate", ylabel="excess loss / nats", title=regime)
        axis.xaxis.minorticks_off()
    axes[1].legend(fontsize=5.5, loc="upper left")
    labels = ["\n".join([r["arm"], "after", r["start"], *r["regime"].split()]) for r in found.to_dict("records")]
    for place, row in enumerate(found.to_dict("records")):
        axes[2].errorbar(place, row["mean"], [[row["mean"] - row["lower"]], [row["upper"] - row["mean"]]], capsize=2,
                         fmt="o" if row["start"] == "adamw" else "s", color=OKABE_ITO[COLORS[row["arm"]]])  # fmt: skip
        axes[2].annotate(row["word"], (place, row["upper"]), rotation=90, fontsize=5.5, ha="center", va="bottom",
                         xytext=(0, 3), textcoords="offset points")  # fmt: skip
    axes[2].axhline(0, color="black", linewidth=0.6)
    axes[2].set_xticks(range(len(labels)), labels, fontsize=4.5)
    axes[2].set(title="paired", ylabel="excess minus AdamW's / nats", xlim=(-0.5, len(labels) - 0.5), ymargin=0.3)
    vocabulary, width, *_ = SIZES[table["size"].iloc[0]]
    model = f"Causal transformer, V = {vocabulary}, d = {width}, one block, bigram-Zipf laws, linear decay, CPU"
    seeds = f"{len(set(table['seed']) - set(trials['seed']))} paired seeds: mean and 95 % interval"
    tuned = f"Learning rate tuned alike ({len(trials)} trials, another seed)"
    small_print(drawing, f"{model}; {seeds}.\n{tuned}; a model that Muon pretrained is the control.")
    return drawing


def claims(table: Any) -> list[Claim]:
    """MA-11 and MA-12, from the paired differences."""
    if table["size"].iloc[0] != "full":
        return []
    found = differences(table).set_index(["start", "regime", "arm"]).sort_index()

    def paired(arm: str, *, size: bool = False) -> list[Estimate]:
        rows = [found.loc[("adamw", regime, arm)] for regime in FINE_TUNING]
        half = [row["upper"] - row["mean"] for row in rows]
        means = [abs(row["mean"]) if size else row["mean"] for row in rows]
        return [Estimate(mean, mean - h, mean + h) for mean, h in zip(means, half, strict=True)]

    ranges = [float(found.loc[("adamw", regime, "muon"), "range"]) for regime in FINE_TUNING]
    both = [*paired("muon", size=True), *paired("muon_all", size=True)]
    small = "(transformer of 60,352 parameters, bigram laws, tuned, a stream and few tokens)"
    return [
        Claim(id="MA-11", statement="after AdamW's pretraining, fine-tuning by Muon or MuonAll ends within the range of"
              f" AdamW's loss over seeds {small}", source="Page, Joshi, Sonawane 2025, arXiv 2511.06086, summary",
              relation="<=", method="training run", evaluate=Finding, tier="run", unit="nats", expected="holds",
              parameters={"predicted": ranges * 2, "measured": both}, attribution="relayed",
              mutations=(Mutation("judged by the paired difference: no difference at all", {"predicted": 0.0}),)),
        Claim(id="MA-12", statement=f"fine-tuning what AdamW pretrained, Muon ends at a higher loss than AdamW {small}",
              source="arXiv 2605.10468, abstract; same sign from a model that Muon pretrained", expected="refuted",
              relation=">", method="training run", evaluate=Finding, tier="run", unit="nats", attribution="relayed",
              parameters={"predicted": 0.0, "measured": paired("muon")},
              mutations=(Mutation("MuonAll in Muon's place", {"measured": paired("muon_all")}),)),
    ]  # fmt: skip
