"""Question: how many Newton-Schulz steps, of which coefficient set, does training need before the result is the SVD's?

Claim: five, by custom. Kim and Oh find one to three enough; here a number of steps is enough if the test loss is not
worse than that of the exact polar factor on paired seeds, once each has a learning rate of its own. Found: three of
Jordan's or You's; two of Polar Express are not told apart from the SVD, three are .004 nats worse and five again not;
five of Taylor's are still .007 nats (of .125) worse.

Source: Jordan 2024 (five steps); Kim and Oh 2026, arXiv 2601.19156, section 5 (q = 1 to 3). Only the learning rate is
tuned, for each set and q by the same search on a seed of its own; momentum .9, no decay (all three tuned, for one
set: newton_schulz_convergence/loss_against_q).

Cost: quick 4 s (digits), full 4 min on one core: MNIST, a third of an epoch, MLP 784-64-64-10 (55,000 parameters),
6 paired seeds, 17 rules.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from muon_theory.claim import Claim, Estimate, Finding, Mutation
from muon_theory.optimizers import Muon
from muon_theory.problems import load_images
from muon_theory.reporting.engine import serially
from muon_theory.reporting.style import DOUBLE_COLUMN, OKABE_ITO, color_of, small_print
from muon_theory.training.comparison import paired_difference
from muon_theory.training.hidden_matrices import train_hidden_matrices
from muon_theory.training.tuned_comparison import tuned_runs
from muon_theory.training.tuning import learning_rates

SETS = {"taylor_5": "Taylor, degree 5", "jordan_2024": "Jordan", "you_2024": "You", "amsel_2025": "Polar Express"}
COLORS = {"taylor_5": OKABE_ITO["green"], **{name: color_of(name) for name in list(SETS)[1:]}}
STEPS_Q, EXACT = (1, 2, 3, 5), "exact"
MEASURES = {"test_loss": ("test loss / nats", 1.0), "error": ("test error / %", 100.0)}
images_of = cache(load_images)


def cell(method: str, q: int, dataset: str, width: int, steps: int, seed: int, lr: float, windows: int) -> pd.DataFrame:
    """One run; method "exact" is the polar factor and has q = 0."""

    def build(matrices):
        options: dict[str, Any] = {"exact": True} if method == EXACT else {"method": method, "ns_steps": q}
        return Muon(matrices, lr, 0.0, 0.9, check_finite=False, **options)

    run = train_hidden_matrices(
        images_of(dataset), build, steps=steps, seed=seed, hidden=(width, width), windows=windows
    )
    fixed = {"method": method, "q": q, "dataset": dataset, "width": width, "seed": seed, "lr": lr}
    return pd.DataFrame({**fixed, **run.to_dict("list")})


def compute(*, seed: int = 0, quick: bool = False, dataset: str | None = None, map_cells=serially) -> pd.DataFrame:
    """One row per run; `phase` tells the tuning trials from the paired runs."""
    sets, counts = (("jordan_2024",), (1, 5)) if quick else (tuple(SETS), STEPS_Q)
    compared = [{"method": EXACT, "q": 0}, *({"method": name, "q": q} for name in sets for q in counts)]
    shared = {"dataset": dataset or ("digits" if quick else "mnist"), "width": 16 if quick else 64,
              "steps": 60 if quick else 312}  # fmt: skip
    return tuned_runs(
        cell, compared, {"lr": 0.08}, {"lr": learning_rates(0.08, count=3 if quick else 5)}, shared=shared, windows=1,
        tuning_seeds=[seed + 1000], seeds=[seed + i for i in range(2 if quick else 6)], map_cells=map_cells,
    )  # fmt: skip


def differences(table: pd.DataFrame, measure: str) -> pd.DataFrame:
    """Paired difference of every rule to the exact polar factor: method, q, mean, lower, upper and the word."""
    runs = table.query("phase == 'runs'").assign(error=lambda t: 1 - t.test_accuracy)
    wide = runs.pivot_table(index="seed", columns=["method", "q"], values=measure)
    rows = []
    for method, q in (each for each in wide.columns if each[0] != EXACT):
        found = paired_difference(wide[method, q].tolist(), wide[EXACT, 0].tolist())
        rows.append({"method": method, "q": q, "mean": found.mean, "lower": found.lower, "upper": found.upper,
                     "word": found.word})  # fmt: skip
    return pd.DataFrame(rows)


def enough(table: pd.DataFrame, measure: str = "test_loss") -> dict[str, float]:
    """The smallest q of each set from which on no number of steps is worse than the exact polar factor; NaN if none."""
    found: dict[str, float] = {}
    for method, rows in differences(table, measure).sort_values("q").groupby("method"):
        worse = rows.q[rows.word == "worse"]
        after = rows.q[rows.q > worse.max()] if len(worse) else rows.q
        found[str(method)] = float(after.min()) if len(after) else float("nan")
    return found


def figure(table: pd.DataFrame) -> Figure:
    """Difference to the exact polar factor in loss and error, and the tuned learning rate."""
    drawing, axes = plt.subplots(1, 3, figsize=(DOUBLE_COLUMN, 2.8))
    runs = table.query("phase == 'runs'")
    sets = [name for name in SETS if name in set(runs.method)]
    counts = sorted(set(runs.q) - {0})
    for axis, (measure, (label, scale)) in zip(axes, MEASURES.items(), strict=False):
        found, least = differences(table, measure), enough(table, measure)
        for i, name in enumerate(sets):
            rows = found.query("method == @name").set_index("q").reindex(counts)
            x = np.arange(len(counts)) + 0.16 * (i - (len(sets) - 1) / 2)
            span = scale * np.array([rows["mean"] - rows.lower, rows.upper - rows["mean"]])
            text = f"{SETS[name]}: q ≥ {least[name]:.0f}" if least[name] == least[name] else f"{SETS[name]}: none"
            axis.errorbar(x, scale * rows["mean"], span, fmt="o", ms=3, capsize=1.5, lw=0.8, color=COLORS[name],
                          label=text)  # fmt: skip
        axis.axhline(0, color=OKABE_ITO["black"], lw=0.6)
        axis.set(ylabel=f"{label}, minus exact", title=f"{'ab'[measure == 'error']}  not worse than the SVD from")
        axis.set_ylim(top=1.6 * axis.get_ylim()[1])  # room for the legend
        axis.legend(fontsize=6, loc="upper right")
    rates = runs.groupby(["method", "q"]).lr.first()
    for name in sets:
        axes[2].plot(range(len(counts)), rates[name].reindex(counts), "o-", color=COLORS[name])
    axes[2].axhline(rates[EXACT, 0], color=OKABE_ITO["black"], lw=0.8, label="exact")
    axes[2].set(yscale="log", ylabel="learning rate", title="c  tuned learning rate")
    axes[2].legend()
    for axis in axes:
        axis.set_xticks(range(len(counts)), [str(q) for q in counts])
        axis.set_xlabel("Newton–Schulz steps q")
    row, exact = runs.iloc[0], runs.query("method == @EXACT")
    text = f"{row.dataset}, MLP d-{row.width}-{row.width}-10, batch 64, {row.step + 1} steps, linear decay, float32, "
    text += f"CPU; {runs.seed.nunique()} paired seeds, 95 % intervals; learning rates tuned on other seeds. Exact: "
    text += f"{exact.test_loss.mean():.3f} nats, {100 * (1 - exact.test_accuracy.mean()):.2f} %."
    small_print(drawing, text.replace("; learning", ";\nlearning"))
    return drawing


def claims(table: pd.DataFrame) -> list[Claim]:
    """That five steps are enough and, for Taylor's, one is not; from five seeds on."""
    runs = table.query("phase == 'runs'")
    if runs.seed.nunique() < 5:
        return []
    found = {(row["method"], row["q"]): Estimate(row["mean"], row["lower"], row["upper"])
             for row in differences(table, "test_loss").to_dict("records")}  # fmt: skip
    rest: dict[str, Any] = {"method": "training run", "evaluate": _excess, "tier": "run", "unit": "nats"}
    five = {"found": found, "rules": [(name, 5) for name in SETS], "bound": 0.02}
    return [
        Claim(id="WQ-FIVE", statement="five steps of every coefficient set end within .02 nats of the exact polar "
              "factor, learning rates tuned", source="Jordan 2024 (five steps, folklore); run here", relation="<=",
              parameters=five, mutations=(Mutation("one Taylor step", {"rules": [("taylor_5", 1)]}),),
              expected="holds", attribution="folklore", **rest),
        Claim(id="WQ-ONE", statement="one quintic Taylor step ends at a higher test loss than the exact polar factor",
              source="run here", relation=">", parameters={"found": found, "rules": [("taylor_5", 1)], "bound": 0.0},
              mutations=(Mutation("the two exchanged", {"sign": -1.0}),), expected="holds", attribution="ours", **rest),
    ]  # fmt: skip


def _excess(*, found: dict, rules: list, bound: float, sign: float = 1.0) -> Finding:
    ends = [(found[rule], sorted((sign * found[rule].lower, sign * found[rule].upper))) for rule in rules]
    return Finding(bound, [Estimate(sign * each.value, *between) for each, between in ends])
