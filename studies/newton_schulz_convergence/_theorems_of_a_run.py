"""The bound of each theorem with the constants measured on the run that belongs to it."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from muon_theory.rooms.critical_batch.four_settings import batch_terms
from muon_theory.rooms.newton_schulz_convergence.error_bounds import universal_alignment
from muon_theory.rooms.newton_schulz_convergence.rates import BoundTerms, Setting, average_bound
from muon_theory.rooms.newton_schulz_convergence.stationarity import (
    heavy_ball_bound,
    inexact_average_bound,
    trust_region_bound,
)
from muon_theory.training.measured_constants import MeasuredRun
from studies.newton_schulz_convergence._runs_of_theorems import RUNS, Use, oracle_uses

TERMS = {
    "start": "start D/(Tη)", "curvature": "curvature Lη", "drift": "drift of momentum", "noise": "noise",
    "initial_gradient": "first gradient",
}  # fmt: skip
VOID = "the bound is infinite"


class Known(NamedTuple):
    """What a theorem is told of a run; L, L_F and D are measured, the rest was chosen."""

    smoothness: float
    frobenius_smoothness: float
    gap: float
    steps: int
    step_size: float
    rank: int
    decay: float


def uses(name: str, run: MeasuredRun, known: Known) -> list[Use]:
    """The theorems that speak of a run, with their bounds at its measured constants.

    Args:
        name: key of `RUNS`.
        run: what it did.
        known: its constants.

    Returns:
        One entry a theorem; a bound that is infinite is the term `void`.
    """
    options = RUNS[name][3]
    average, unit = float(run.nuclear.mean()), (2 * known.smoothness * known.gap) ** 0.5
    weight, batch = 1 - options.get("momentum", 0.0), options.get("batch", 1)
    setting = Setting(known.smoothness, known.gap, known.steps, known.rank, run.noise, batch)
    common: dict[str, Any] = {"step_size": known.step_size, "gradient_weight": weight}
    nesterov = bool(options.get("nesterov", False))
    inexact: dict[str, Any] = {"nesterov": nesterov, "alignment_deficit": run.deficit, "overshoot": run.overshoot}
    found: list[Use] = []

    def add(id: str, label: str, bound: BoundTerms | dict[str, float], measured: float = average, scale: float = unit):
        named = bound if isinstance(bound, dict) else {TERMS[k]: float(v) for k, v in bound._asdict().items()}
        found.append(Use(id, label, measured, {k: v for k, v in named.items() if v}, measured / scale))

    if name in ("exact", "printed", "taylor", "noisy_plain", "noisy_taylor"):
        id, label = {
            "exact": ("BEST-01", "Kim–Oh Theorem 4, b = 0"), "printed": ("BEST-02", "Kim–Oh Theorem 4, b = .9"),
            "taylor": ("BEST-03", "Kim–Oh Theorem 1, 2 Taylor steps, b = 0"),
            "noisy_plain": ("KO-K3", "Kim–Oh Theorem 4, b = .9, noise"),
            "noisy_taylor": ("KO-T1", "Kim–Oh Theorem 1, 2 Taylor steps, b = .9, noise"),
        }[name]  # fmt: skip
        void = run.operator_error >= 1  # a singular value so small that the steps do not move it in float64
        terms = {VOID: math.inf} if void else average_bound(setting, **common, operator_error=run.operator_error)
        add(id, label, terms)
    if name == "exact":
        first = (2 * known.rank * known.smoothness * known.gap) ** 0.5
        add("BEST-14", "Kim–Oh Lemma 7, nuc(g₁)", {"√(2rLD)": first}, float(run.nuclear[0]))
    if name in ("plain", "look", "quintic", "additive"):
        id, label = {
            "plain": ("BEST-04", "Theorem A, b = .9"), "look": ("BEST-05", "Theorem A, Nesterov .9"),
            "quintic": ("BEST-07", "Theorem A, 5 quintic steps, b = 0"),
            "additive": ("BEST-11", "additive error .3, b = 0"),
        }[name]  # fmt: skip
        told: dict[str, Any] = {"alignment_deficit": 0.3, "overshoot": 0.3} if name == "additive" else inexact
        add(id, label, inexact_average_bound(setting, **common, **told))
    if name == "noisy":
        trace = run.noise_trace
        add("BEST-06", "Theorem A, b = 0, noise as tr Σ", inexact_average_bound(setting, **common, noise_norm=trace))
    if name == "noisy_plain":
        add("THA-03", "Theorem A, b = .9, noise √r σ", inexact_average_bound(setting, **common))
        traced = inexact_average_bound(setting, **common, noise_norm=run.noise_trace)
        add("THA-TR", "Theorem A, b = .9, noise tr Σ", traced)
        add("KV-01", "Kovalev's bound, b = .9, noise", trust_region_bound(setting, **common))
    if name == "noisy_quintic":
        bound = inexact_average_bound(setting, **common, **inexact)
        add("THA-04", "Theorem A, Nesterov .9, 5 quintic steps, noise", bound)
    if name == "noisy_taylor":
        rho = np.minimum(run.spectra.sum(-1) ** 2, known.rank)
        deficit = 1 - float(np.min(universal_alignment(2, 2, rank=known.rank, nuclear_rank=rho)))
        bound = inexact_average_bound(setting, **common, alignment_deficit=deficit)
        add("THA-UNI1", "Theorem A by the universal bound, 2 Taylor steps, noise", bound)
    if known.decay or name in ("noisy_plain", "noisy_look"):
        id, label = {
            "decay": ("BEST-08", "Theorem C, decay, b = 0"), "noisy_plain": ("THC-PLAIN", "Theorem C, b = .9, noise"),
            "decay_look": ("BEST-09", "Theorem C, decay, Nesterov .9"),
            "noisy_look": ("THC-NEST", "Theorem C, Nesterov .9, noise"),
            "noisy_decay": ("THC-WD", "Theorem C, decay, b = .9, noise"),
            "noisy_decay_look": ("THC-NWD", "Theorem C, decay, Nesterov .9, noise"),
        }[name]  # fmt: skip
        X, Y, Z = batch_terms(
            smoothness=known.smoothness, gap=known.gap, rank=known.rank, noise=run.noise or 1.0, nesterov=nesterov,
            step_size=known.step_size, momentum=1 - weight, weight_decay=known.decay, initial_norm=run.start_norm,
            initial_gradient=float(run.nuclear[0]),
        )  # fmt: skip
        noise = {"Y/√B, noise": Y / batch**0.5} if run.noise else {}
        terms = {"X/T, start": X / known.steps, "Z, step size": Z, **noise}
        add(id, label, terms, float(run.stationarity.mean()))
    if name == "recipe":
        add("BEST-10", "Kovalev's recipe", trust_region_bound(setting, **common))
    if name.endswith("descent"):
        ball = Setting(known.frobenius_smoothness, known.gap, known.steps, known.rank, run.noise, batch)
        quiet = Setting(known.frobenius_smoothness, known.gap, known.steps, known.rank, 0.0, batch)
        start, total = float(heavy_ball_bound(quiet, weight)), float(heavy_ball_bound(ball, weight))
        id, label = ("BEST-12", "") if name == "descent" else ("THB-01", ", noise")
        square = float(np.mean(run.frobenius**2))
        scale = 2 * known.frobenius_smoothness * known.gap
        add(id, f"Theorem B, heavy ball .5{label}", {"start": start, "noise": total - start}, square, scale)
    if name == "descent_appendix":
        scale = 2 * known.frobenius_smoothness * known.gap
        add("BEST-13", "Kim–Oh Theorem 3, appendix", {VOID: math.inf}, float(np.mean(run.frobenius**2)), scale)
    if name == "plain":
        found += oracle_uses(run.spectra, known.rank)
    return found
