"""Question: how much of each theorem's bound does a training run use, and which term of the bound is to blame?

Claim: no bound is exceeded, with the L and the D of the run itself, the most favourable. At b = 0 the run has .7 of
Theorem 4's bound; at b = .9 a fifth of Theorem A's and .07 of Theorem 4's, whose sqrt(2rLD) rules; of A's and C's
with noise .11 to .19, mostly noise terms. Theorem 1 is void by chi_q, at most 1e-3; with the universal bound .05.

Source: the theorems as in the rooms newton_schulz_convergence and critical_batch; runs and measurements here.

Cost: quick 3 s, full 100 s on one core. Scale: 1024 images of MNIST (quick: 256 digits), the 32 x 64 matrix of a
perceptron, GELU, all else frozen, full-batch loss, 5 seeds (quick: 1), T of the theorem's row (50; 5; 64) and 4 T.
"""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import product

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from muon_theory.claim import Claim, Finding, Mutation
from muon_theory.problems import load_images
from muon_theory.rates import as_rational
from muon_theory.rates.euclidean import HeavyBall, provable_heavy_ball
from muon_theory.reporting.engine import serially
from muon_theory.reporting.style import DOUBLE_COLUMN, OKABE_ITO, small_print
from muon_theory.training import measured_constants as measure
from studies.newton_schulz_convergence._runs_of_theorems import BATCH, RUNS, Use
from studies.newton_schulz_convergence._theorems_of_a_run import Known, uses

LONG, EDGE = 4, 1e-5
KINDS = {"full batch": "blue", f"batch of {BATCH}": "vermillion", "oracle alone": "green"}


def cell(seed: int, dataset: str, count: int, factor: int, rounds: int) -> list[dict]:
    """All runs of one seed, T of each row times a factor: the theorems' bounds against what the runs did."""
    loss = measure.hidden_matrix_loss(load_images(dataset), count=count, seed=seed)
    pilot = measure.measured_run(loss, steps=100 * factor, step_size=0.5, seed=seed)
    best, first, done = float(pilot.values.min()), float(pilot.values[0]), {}
    for name, (constant, T, decay, options) in RUNS.items():
        D, descent = first - best, options.get("oracle") == "none"

        def step(L: float, L_F: float, c=constant, steps=T * factor, D=D, descent=descent) -> float:
            return c / L_F if descent else math.sqrt(D / (steps * L * c))

        def weight_decay(L: float, decay=decay, D=D) -> float:
            return decay * math.sqrt(L / (2 * D))

        run, eta, lam = measure.settled_run(
            loss, step, weight_decay, guess=(pilot.smoothness, pilot.frobenius_smoothness), rounds=rounds,
            steps=T * factor, seed=seed, **options,
        )  # fmt: skip
        done[name] = (run, eta, lam)
        best = min(best, float(run.values.min()))
    rows, D, r = [], first - best, min(loss.start.shape)
    local = measure.local_smoothness(loss, loss.start, radius=0.1, seed=seed)
    fixed = {"seed": seed, "factor": factor, "dataset": dataset, "count": count, "D": D, "local_L": local, "rank": r}
    for name, (run, eta, lam) in done.items():
        T = len(run.nuclear)
        found = uses(name, run, Known(run.smoothness, run.frobenius_smoothness, D, T, eta, r, lam))
        if name == "noisy":
            ends = (loss.start, run.last)
            price = max(measure.newest_noise_price(loss, W, batch=BATCH, seed=seed) for W in ends)
            found.append(Use("THA-JENSEN", "price of the newest noise, b = 0", price, {"the constant 2": 2.0}, price))
        facts = {"run": name, "T": T, "eta": eta, "L": run.smoothness, "L_F": run.frobenius_smoothness,
                 "noise": run.noise, "trace": run.noise_trace, "deficit": run.deficit, "overshoot": run.overshoot,
                 "operator_error": run.operator_error, "last_loss": run.values[-1]}  # fmt: skip
        for use in found:
            bound, term = sum(use.terms.values()), max(use.terms, key=lambda term: use.terms[term])
            share = use.terms[term] / bound if bound < math.inf else 1.0
            rows.append({"id": use.id, "label": use.label, "measured": use.measured, "bound": bound, "term": term,
                         "share": share, "observed": use.observed, **fixed, **facts})  # fmt: skip
    return rows


def compute(*, seed: int = 0, quick: bool = False, dataset: str = "", map_cells=serially) -> pd.DataFrame:
    """One row per theorem, seed and length of the runs."""
    fixed = {"dataset": dataset or ("digits" if quick else "mnist"), "count": 256 if quick else 1024}
    seeds, lengths = (1, (1,)) if quick else (5, (1, LONG))
    return map_cells(cell, [
        {**fixed, "seed": seed + s, "factor": factor, "rounds": 2}
        for factor in lengths for s in range(seeds)
    ])  # fmt: skip


def figure(table: pd.DataFrame) -> Figure:
    """What a run used of each bound, every seed a point, with the name of the bound's largest term."""
    quiet, noisy, oracle = KINDS
    kind = np.select([table.term == "", table.noise > 0], [oracle, noisy], quiet)
    rows = table.assign(ratio=table.measured / table.bound, kind=kind)
    short = rows.query("factor == 1")
    order = short.groupby("label").ratio.median().sort_values().index.tolist()
    drawing, axis = plt.subplots(figsize=(DOUBLE_COLUMN, 5.0))
    for name, factor in product(KINDS, sorted(set(table.factor))):
        here = rows.query("kind == @name and factor == @factor")
        shift, marker, fill, length = (0.16, "o", "full", "T") if factor == 1 else (-0.16, "d", "none", f"{factor} T")
        axis.plot(here.ratio.clip(lower=EDGE), here.label.map(order.index) + shift, marker, ms=3, mew=0.7,
                  fillstyle=fill, color=OKABE_ITO[KINDS[name]], label=f"{name}, {length}")  # fmt: skip
    for label, here in short.groupby("label"):
        term, share = here.term.mode()[0], here.share.median()
        axis.text(1.3, order.index(label), f"{term}, {share:.0%}" if share < 1 else term, fontsize=5.5, va="center")
    axis.axvline(1, color=OKABE_ITO["black"], lw=0.8)
    axis.set(xscale="log", xlim=(EDGE / 1.5, 1.2), ylim=(-0.6, len(order) - 0.4), yticks=range(len(order)),
             yticklabels=order, ylabel="theorem",
             xlabel="measured / bound with the constants of the run")  # fmt: skip
    axis.text(1.3, len(order) - 0.3, "largest term, share", fontsize=5.5, va="bottom")
    axis.tick_params(axis="y", labelsize=6)
    drawing.legend(*axis.get_legend_handles_labels(), loc="outside upper center", ncols=6, columnspacing=0.8)
    one, least = rows.iloc[0], (short.local_L / short.L)[short["run"] == "plain"].median()
    small_print(
        drawing,
        f"{one['count']} images of {one.dataset}, one 32 x 64 matrix of a perceptron with GELU, all else frozen; "
        f"{rows.seed.nunique()} seeds. L: largest secant of the run, so the bounds are the most favourable;\nat the "
        f"start the function has at least {least:.1f} times that of b = .9. D: gap to the best loss seen. T = 50 "
        "(heavy ball 5, recipe 64). Points on the left edge: below the axis.",
    )
    return drawing


def claims(table: pd.DataFrame) -> list[Claim]:
    """OBS-<id>: no run, of either length, exceeds the bound of <id>; from five seeds on."""
    runs = f"{table['count'].iloc[0]} images of {table.dataset.iloc[0]}, {table.seed.nunique()} seeds"
    tries = [Fraction(1, 4), Fraction(1, 2), Fraction(2), Fraction(4)]
    method = HeavyBall(
        smoothness=1, initial_gap=tries[1], steps=5, step_size=as_rational(0.5 / 8**0.5), momentum=tries[1]
    )
    found = []
    for id, rows in table.groupby("id", sort=False) if table.seed.nunique() >= 5 else ():
        if id == "BEST-13":  # its printed bound is infinite: the best constant provable, for T = 5
            best = float(provable_heavy_ball(method, splits=tries).bound)
            rows = rows.query("factor == 1").assign(bound=best * 2 * rows.L_F * rows.D)
        finite = rows[np.isfinite(rows.bound)]
        bound, measured = finite.bound.to_numpy(), finite.measured.to_numpy()
        ratio, observed = measured / bound, float(finite.query("factor == 1").observed.max())
        less = 10.0 ** (math.ceil(math.log10(ratio.max())) - 1)
        found.append(Claim(
            id=f"OBS-{id}", statement=f"{finite.label.iloc[0]}: one matrix of a perceptron, {runs}: below the bound at "
            f"the run's own constants, {ratio.min():.2g} to {ratio.max():.2g} of it", source="run here", relation="<=",
            parameters={"predicted": bound.tolist(), "measured": measured.tolist(), "observed": observed},
            mutations=(Mutation(f"the bound times {less:g}", {"predicted": (less * bound).tolist()}),),
            method="training run", evaluate=Finding, expected="holds", attribution="ours", tier="run",
            relative_tolerance=1e-9, tolerance_reason="the best cubic has equality, in float64"))  # fmt: skip
    return found
