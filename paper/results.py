"""The numbers that the manuscript quotes, each computed from the table of the study it belongs to."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import pandas as pd

from muon_theory.reporting.table import read_table


class Figures:
    """The stored results of studies.

    Args:
        folder: the folder `figures/`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.table = cache(self._table)

    def _table(self, study: str) -> pd.DataFrame:
        return read_table(self.folder / study)

    def claim(self, study: str, name: str) -> dict[str, Any]:
        """The stored claim of a study."""
        stored = json.loads((self.folder / study / "claims.json").read_text(encoding="utf-8"))["claims"]
        return next(row for row in stored if row["id"] == name)


def digits(value: float, places: int = 2) -> str:
    """A number with some significant digits, thousands apart."""
    rounded = float(f"{value:.{places}g}")
    return f"{rounded:,.0f}" if abs(rounded) >= 100 else f"{rounded:g}"


RESULTS: dict[str, Callable[[Figures], str]] = {}


def result(name: str) -> Callable[[Callable[[Figures], str]], Callable[[Figures], str]]:
    """Register the number behind a name of the text."""

    def register(function: Callable[[Figures], str]) -> Callable[[Figures], str]:
        if name in RESULTS:
            raise ValueError(f"two results are named {name}")
        RESULTS[name] = function
        return function

    return register


RECORDED = "newton_schulz_convergence/recorded_gradients"
LOSS = "newton_schulz_convergence/loss_against_q"
FEEDBACK = "dion/error_feedback_on_least_squares"


@result("recorded.matrices")
def _matrices(figures: Figures) -> str:
    return str(len(figures.table(RECORDED).groupby(["optimizer", "seed", "layer", "kind", "step"])))


def _momentum(figures: Figures, quantity: str, method: str, how: str) -> str:
    """A statistic over the recorded momentum matrices after five steps of a method."""
    table = figures.table(RECORDED)
    table = table[(table["kind"] == "momentum") & (table["method"] == method) & (table["q"] == 5)]
    table = table.assign(constant=(1 + table["overshoot"]) / (1 - table["deficit"]))
    return digits(table[quantity].agg(how), 3)


for _how in ("median", "max"):
    RESULTS[f"recorded.chi.{_how}"] = partial(_momentum, quantity="chi", method="taylor_5", how=_how)
    for _method in ("taylor_5", "jordan_2024", "amsel_2025"):
        _name = f"recorded.constant.{_method.split('_')[0]}.{_how}"
        RESULTS[_name] = partial(_momentum, quantity="constant", method=_method, how=_how)


def _gap(figures: Figures, q: str, arm: str, end: str) -> str:
    """Paired difference of the final test loss to that of the exact polar factor, in nats."""
    from studies.newton_schulz_convergence.loss_against_q import final_differences

    table = figures.table(LOSS)
    table = table.assign(q=table["q"].astype(str))
    found = final_differences(table[table["phase"] == "runs"]).set_index(["q", "arm"])
    return digits(float(found.loc[(q, arm), end]))


for _q in ("0", "3", "5"):
    for _arm, _word in (("as is", "plain"), ("matched", "matched")):
        for _end in ("mean", "lower", "upper"):
            RESULTS[f"loss.gap.{_q}.{_word}.{_end}"] = partial(_gap, q=_q, arm=_arm, end=_end)


@result("loss.seeds")
def _loss_seeds(figures: Figures) -> str:
    return str(figures.table(LOSS).query("phase == 'runs'")["seed"].nunique())


@result("jordan.stall")
def _stall(figures: Figures) -> str:
    return digits(figures.claim("polar/certified_range", "PCR-JORDAN")["measured"][0], 3)


@result("feedback.harm")
def _harm(figures: Figures) -> str:
    return digits(min(figures.claim(FEEDBACK, "DN-18")["measured"]))


@result("feedback.help")
def _help(figures: Figures) -> str:
    return digits(max(figures.claim(FEEDBACK, "DN-23")["measured"]))


@result("feedback.law")
def _law(figures: Figures) -> str:
    return digits(max(figures.claim("dion/error_feedback_law", "EFL-SPECTRA")["measured"]))


def _measured(figures: Figures, study: str, name: str, how: Callable[[Any], Any], places: int = 2) -> str:
    """A statistic of what a stored claim measured."""
    measured = figures.claim(study, name)["measured"]
    return digits(abs(how(measured if isinstance(measured, list) else [measured])), places)


for _name, _study, _claim, _how in (
    ("batch.teacher.form", "critical_batch/four_settings", "FS-FORM", min),
    ("batch.teacher.theory", "critical_batch/four_settings", "FS-THEORY", max),
    ("batch.mnist.form", "critical_batch/samples_to_target", "STT-FORM", min),
    ("batch.mnist.theory", "critical_batch/samples_to_target", "STT-THEORY", min),
    ("batch.mnist.scale", "critical_batch/samples_to_target", "STT-SCALE", max),
    ("curvature.gradient", "isotropic_curvature/when_is_orthogonalization_optimal", "IC-40", min),
    ("curvature.rotation.low", "isotropic_curvature/measured_curvature", "IC-44", min),
    ("curvature.rotation.high", "isotropic_curvature/measured_curvature", "IC-44", max),
    ("condition.q.last", "preconditioning/iterations_against_condition_number", "MF-GRID-Q", max),
    ("condition.slope.muon", "preconditioning/iterations_against_condition_number", "MF-GRID-MUON", max),
    ("curvature.polar", "isotropic_curvature/when_is_orthogonalization_optimal", "IC-41", max),
    ("curvature.small", "isotropic_curvature/measured_curvature", "IC-42", max),
    ("curvature.peak.low", "isotropic_curvature/measured_curvature", "IC-33", min),
    ("curvature.peak.high", "isotropic_curvature/measured_curvature", "IC-33", max),
    ("transfer.adam", "hyperparameter_transfer/learning_rate_across_widths", "HT-13", max),
    ("transfer.muon", "hyperparameter_transfer/learning_rate_across_widths", "HT-13-MUON", max),
    ("transfer.sketch.low", "hyperparameter_transfer/transfer_exponents", "HT-14", min),
    ("transfer.sketch.high", "hyperparameter_transfer/transfer_exponents", "HT-14", max),
    ("transfer.top.ten.low", "hyperparameter_transfer/top_k_share", "HT-12", max),
    ("transfer.top.ten.high", "hyperparameter_transfer/top_k_share", "HT-12", min),
    ("transfer.top.two", "hyperparameter_transfer/top_k_share", "HT-12-K2", min),
    ("fanion.one", "fanions/which_k", "WK-SMALL", max),
    ("blend.frobenius.neon", "fanions/blend_with_frobenius", "BF-NEON", max),
    ("blend.sign.neon", "fanions/blend_with_sign", "BS-NEON", max),
    ("leastsquares.decay.low", "fanions/least_squares", "LS-23", min),
    ("leastsquares.decay.high", "fanions/least_squares", "LS-23", max),
    ("leastsquares.loose", "fanions/least_squares_constant", "LS-22", max),
    ("feedback.training", "dion/error_feedback_in_training", "DN-22", max),
    ("scale.share.low", "scale/momentum_placement", "SC-19-SHARE", min),
):
    RESULTS[_name] = partial(_measured, study=_study, name=_claim, how=_how, places=3)


def _steps(figures: Figures, method: str, kappa: float) -> str:
    """Median steps of a method at a condition number of the factorization problem."""
    table = figures.table("preconditioning/iterations_against_condition_number")
    chosen = table[(table["method"] == method) & (table["condition_number"] == kappa)]
    return digits(float(chosen["steps"].median()), 3)


for _word, _method in (("muon", "muon_exact"), ("gd", "gradient"), ("adam", "adam"), ("sign", "sign")):
    for _power in (1, 4, 6):
        RESULTS[f"steps.{_word}.{_power}"] = partial(_steps, method=_method, kappa=10.0**_power)


TABLES = {"MF-TABLES-GRID": "preconditioning/published_tables",
          "MF-METHOD-TABLES-GRID": "preconditioning/published_method_tables"}  # fmt: skip


@result("condition.tables.numbers")
def _numbers(figures: Figures) -> str:
    """Numbers of the derivation notes, both tables."""
    return str(sum(len(figures.table(study)) for study in TABLES.values()))


@result("condition.tables")
def _found(figures: Figures) -> str:
    """Largest relative error over the settings that were found."""
    return digits(max(float(figures.claim(study, name)["measured"]) for name, study in TABLES.items()))


@result("condition.start")
def _start(figures: Figures) -> str:
    """Steps from a start that does not commute over those from one that does, at the smallest condition number."""
    return digits(float(figures.claim("preconditioning/non_commuting_start", "ICL-START-LARGE")["measured"][0]))


@result("batch.decay.gradient")
def _decay_gradient(figures: Figures) -> str:
    """The gradient left over the Frank-Wolfe gap left; the claim states half of it."""
    measured = figures.claim("critical_batch/decay_times_rate", "DTR-GRADIENT")["measured"]
    return digits(2 * float(measured[0] if isinstance(measured, list) else measured))


def _slow_margin(figures: Figures, wider: bool, end: int) -> str:
    """The margin beta - alpha/2 of the slow example, or an end of its interval, with or without the widest network."""
    from studies.hyperparameter_transfer._slow_fits import verdicts, with_the_widest

    table = figures.table("hyperparameter_transfer/slow_example")
    return digits((with_the_widest(table) if wider else verdicts(table)[1]).margin[end])


for _wider, _part in ((False, "narrow"), (True, "wide")):
    for _end, _word in enumerate(("value", "lower", "upper")):
        result(f"transfer.slow.{_part}.{_word}")(partial(_slow_margin, wider=_wider, end=_end))


@result("condition.q.growth")
def _growth(figures: Figures) -> str:
    """Factor by which one more Newton-Schulz step extends the condition numbers that it follows."""
    return digits(10 ** float(figures.claim("preconditioning/fixed_q", "MF-Q-GROWTH")["measured"]))


def _completion(figures: Figures, word: str) -> str:
    """On how many of the noisy completion problems tuned AdamW is better or worse than tuned Muon."""
    from studies.preconditioning.noisy_factorization import paired

    found = paired(figures.table("preconditioning/noisy_factorization"), "tuned")
    return str([difference.word for difference in found].count(word))


for _word in ("better", "worse"):
    RESULTS[f"completion.{_word}"] = partial(_completion, word=_word)


@result("completion.seeds")
def _completion_seeds(figures: Figures) -> str:
    return str(figures.table("preconditioning/noisy_factorization").query("phase == 'tuned'")["seed"].nunique())


@result("curvature.diagram")
def _diagram(figures: Figures) -> str:
    """Points at which the sine and the linear program are compared, as the claim states."""
    words = figures.claim("isotropic_curvature/phase_diagram", "IC-38")["statement"].split()
    return words[words.index("of", words.index("all")) + 1]
