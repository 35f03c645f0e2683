"""Question: what do MuonW's name rule, its single learning rate and its masked decay cost or buy?

Claim: it keeps AdamW for embeddings, head and vectors, so that Muon and AdamW complement each other.

Source: allenai/OLMo pull request 882 (rule: Muon unless the name contains "embed" or "head"; decay where grad != 0).
Arms differ in the names that one and the same transformer's parameters carry, or in one option of MuonW.

Cost: quick 4 s, full 2 min on one core. Scale: causal transformer of 17,888 parameters (V = 64, d = 32, one block),
bigram-Zipf law, 100 steps of 16 x 32 tokens, linear decay; the learning rate of each arm tuned by one search on another
seed (where there are two, both), momentum and decay not; 5 paired seeds.
"""

from __future__ import annotations

import math
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from muon_theory.claim import Claim, Estimate, Finding, Mutation
from muon_theory.problems import bigram_zipf, transformer
from muon_theory.reporting.engine import serially
from muon_theory.reporting.style import DOUBLE_COLUMN, OKABE_ITO, small_print
from muon_theory.training.comparison import PairedDifference, paired_difference
from muon_theory.training.fine_tuning import excess_loss, token_batches
from muon_theory.training.language_run import train_on_tokens
from muon_theory.training.tuned_comparison import differences_to, final_losses, tuned_runs
from muon_theory.training.tuning import learning_rates
from studies.tutorial._muonw_names import muonw

SIZES = {"full": (64, 32, 32, 16), "quick": (16, 8, 4, 8)}  # V, width, length, batch
ARMS = {"roles": "blue", "roles, two rates": "sky", "as named here": "green", "attention_heads": "purple",
        "OLMo's names": "vermillion", "AdamW": "orange"}  # fmt: skip
DECAY = 0.3


def cell(arm: str, lr: float, size: str, steps: int, seed: int, windows: int, adamw_factor: float = 1.0,
         weight_decay: float = 0.0, masked: bool = False) -> dict:  # fmt: skip
    """One run: its excess loss, and the length of the rarest tokens' embeddings relative to the start's."""
    vocabulary, width, length, batch = SIZES[size]
    law = bigram_zipf(vocabulary, seed=seed)
    model = transformer(vocabulary, width, layers=1, length=length, seed=seed)
    rare = np.argsort(law.stationary)[: vocabulary // 4]
    before = model.embedding.weight.detach()[rare].norm().item()
    options = {"weight_decay": weight_decay, "selective_updates": masked, "adamw_lr": lr * adamw_factor}
    data = token_batches(law, steps, batch, length, seed=seed + 1)
    run = train_on_tokens(model, muonw(arm, model, lr, **options), data, steps=steps)
    excess = math.inf if True in run["diverged"].tolist() else excess_loss(model, law, length, seed=seed + 2)
    return {"arm": arm, "lr": lr, "adamw_factor": adamw_factor, "weight_decay": weight_decay, "masked": masked,
            "size": size, "step": steps - 1, "windows": windows, "seed": seed, "test_loss": excess,
            "rare": model.embedding.weight.detach()[rare].norm().item() / before}  # fmt: skip


def compute(*, seed: int = 0, quick: bool = False, map_cells=serially) -> pd.DataFrame:
    """One row per run; phase "decay" holds the pairs with and without the mask at the tuned rate of "as named here"."""
    shared = {"size": "quick" if quick else "full", "steps": 12 if quick else 100}
    seeds = [seed + i for i in range(2 if quick else 5)]
    grids = {"lr": learning_rates(0.016 if quick else 0.008, count=3 if quick else 5)}
    options: Any = {
        "shared": shared,
        "tuning_seeds": [seed + 1000],
        "seeds": seeds,
        "windows": 1,
        "map_cells": map_cells,
    }
    arms = [{"arm": arm} for arm in ARMS if arm != "roles, two rates"]
    one = tuned_runs(cell, arms, {"lr": 0.008}, grids, **options)
    grids |= {"adamw_factor": learning_rates(1.0, count=3)}
    two = tuned_runs(cell, [{"arm": "roles, two rates"}], {"lr": 0.008, "adamw_factor": 1.0}, grids, **options)
    lr = float(one.query("phase == 'runs' and arm == 'as named here'")["lr"].iloc[0])
    decay = {"arm": "as named here", "lr": lr, "windows": 1, "weight_decay": DECAY, **shared}
    pairs = map_cells(cell, [{**decay, "masked": masked, "seed": s} for masked in (False, True) for s in seeds])
    return pd.concat([one, two, pairs.assign(phase="decay")], ignore_index=True)


def masking(table: Any) -> dict[str, PairedDifference]:
    """Masked minus unmasked decay: of the excess loss, and of the log of the rare embeddings' length."""
    pairs = table.query("phase == 'decay'").assign(rare=lambda rows: np.log(rows["rare"]))
    wide = {name: pairs.pivot_table(index="seed", columns="masked", values=name) for name in ("test_loss", "rare")}
    return {name: paired_difference(part[True].tolist(), part[False].tolist()) for name, part in wide.items()}


def figure(table: Any) -> Figure:
    """Excess against the rate, paired differences to routing by roles, and what the mask does to rare embeddings."""
    drawing, (rate, paired, mask) = plt.subplots(1, 3, figsize=(DOUBLE_COLUMN, 2.8), width_ratios=(1.2, 1.2, 0.8))
    trials = table.query("phase == 'tuning' and adamw_factor == 1").groupby(["arm", "lr"])["test_loss"].mean()
    found: Any = differences_to(final_losses(table, ["arm"]), "roles")
    for place, (arm, color) in enumerate(ARMS.items()):
        if arm != "roles, two rates":
            rate.plot(trials[arm].replace(math.inf, math.nan), "o-", color=OKABE_ITO[color], label=arm)
        row = found.loc[arm]
        paired.errorbar(row["mean"], -place, xerr=[[row["mean"] - row["lower"]], [row["upper"] - row["mean"]]], fmt="o",
                        capsize=2, color=OKABE_ITO[color])  # fmt: skip
        word = f"  {row['word']}" if arm != "roles" else "  reference"
        paired.annotate(
            word, (row["upper"], -place), fontsize=6, va="center", xytext=(3, 0), textcoords="offset points"
        )
    rate.set(xscale="log", yscale="log", ylim=(None, 5), xlabel="rate", ylabel="excess loss / nats", title="a  trials")
    rate.legend(fontsize=5.5, loc="upper right", ncols=2)
    rate.set_xticks([0.002, 0.008, 0.032], ["0.002", "0.008", "0.032"])
    rate.minorticks_off()
    paired.axvline(0, color="black", linewidth=0.6)
    paired.margins(x=0.35)
    paired.set_yticks([-place for place in range(len(ARMS))], list(ARMS))
    paired.set(xlabel="excess minus that of roles / nats", title="b  tuned, paired")
    pairs = table.query("phase == 'decay'").pivot_table(index="seed", columns="masked", values="rare")
    for values in pairs.reindex(columns=[False, True]).to_numpy():
        mask.plot((0, 1), values, "o-", color=OKABE_ITO["green"], alpha=0.5)
    mask.set_xticks((0, 1), ("all entries", "grad ≠ 0"))
    mask.set(xlim=(-0.4, 1.4), ylabel="rare embeddings, length / start", title=f"c  decay {DECAY:g}")
    vocabulary, width, *_ = SIZES[table["size"].iloc[0]]
    text = f"Causal transformer, V = {vocabulary}, d = {width}, one block, bigram-Zipf law, {table['step'].max() + 1} "
    text += f"steps, linear decay, CPU; {len(pairs)} paired seeds, 95 % intervals.\n"
    small_print(drawing, text + f"Rates tuned alike ({(table['phase'] == 'tuning').sum()} trials, another seed).")
    return drawing


def claims(table: Any) -> list[Claim]:
    """TUT-18 and TUT-19-MASK, TUT-19-ATTENTION: paired differences of the full profile."""
    if table["size"].iloc[0] != "full":
        return []
    found: Any = differences_to(final_losses(table, ["arm"]), "roles")
    above = {arm: Estimate(*(float(found.loc[arm, end]) for end in ("mean", "lower", "upper"))) for arm in ARMS}
    rare = masking(table)["rare"]
    shared: dict[str, Any] = {"source": "Wei 2025; allenai/OLMo pull request 882; this study", "relation": ">",
                              "method": "training run", "evaluate": Finding, "tier": "run"}  # fmt: skip
    none = Mutation("routing by roles against itself", {"measured": above["roles"]})
    return [
        Claim(id="TUT-18", statement="Muon and AdamW complement each other: routed by roles they end at a lower excess "
              "than AdamW alone (small transformer, tuned, paired)", mutations=(none,),
              parameters={"predicted": 0.0, "measured": above["AdamW"]},
              expected="holds", attribution="printed", unit="nats", **shared),
        Claim(id="TUT-19-ATTENTION", statement="attention matrices called attention_heads, which MuonW's name rule "
              "gives to AdamW, end at a higher excess than routing by roles (tuned, paired)", mutations=(none,),
              unit="nats", parameters={"predicted": 0.0, "measured": above["attention_heads"]}, expected="holds",
              attribution="implied", **shared),
        Claim(id="TUT-19-MASK", statement="decay masked by grad != 0 leaves the embeddings of the rarest quarter of "
              "the tokens longer than decay of all entries (log of the ratio, paired)", expected="holds",
              parameters={"predicted": 0.0, "measured": Estimate(rare.mean, rare.lower, rare.upper)},
              mutations=(Mutation("the two exchanged", {"measured": -rare.mean}),), attribution="implied", **shared),
    ]  # fmt: skip
