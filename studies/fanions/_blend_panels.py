"""Two panels on blends of Fanion-k with a second rule: loss against alpha, and the gain over the better end."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes

from muon_theory.reporting.style import OKABE_ITO
from muon_theory.training.comparison import paired_difference


def loss_against_alpha(axis: Axes, losses: Any, names: dict[int, str], end: str) -> None:
    """Median and range over seeds of the final loss; both curves start at alpha = 0, the second rule alone."""
    r = max(names)
    for k, color in ((1, "vermillion"), (r, "blue")):
        alphas = [0.0, *sorted(alpha for j, alpha in losses.columns if j == k and alpha > 0)]
        columns = losses[[(r if alpha == 0 else k, alpha) for alpha in alphas]]
        axis.fill_between(alphas, columns.min(), columns.max(), color=OKABE_ITO[color], alpha=0.15, linewidth=0)
        axis.plot(alphas, columns.median(), "o-", color=OKABE_ITO[color], label=names[k])
    ticks = [tick for tick in (0.15, 0.2, 0.3, 0.5, 1.0, 1.5, 2.0) if losses.min().min() <= 1.1 * tick]
    axis.set(yscale="log", xlabel=f"α (0: {end}; 1: Neon, Muon)", ylabel="test loss / nats", title="a  tuned loss")
    axis.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.set_yticks([], minor=True)
    axis.legend(loc="upper left")


def gain_over_the_better_end(axis: Axes, losses: Any, names: dict[int, str], end: str) -> None:
    """Paired difference in percent: of k = r to Muon, of k = 1 to the second rule alone, with the word."""
    r = max(names)
    for k, color, shift, reference in ((r, "blue", -0.02, (r, 1.0)), (1, "vermillion", 0.02, (r, 0.0))):
        for alpha in sorted(alpha for j, alpha in losses.columns if j == k and 0 < alpha < 1):
            ratio = 100 * (losses[k, alpha] / losses[reference] - 1)
            found = paired_difference(ratio.tolist(), [0.0] * len(ratio))
            spread = [[found.mean - found.lower], [found.upper - found.mean]]
            axis.errorbar([alpha + shift], [found.mean], spread, fmt="o", capsize=2, color=OKABE_ITO[color])
            axis.annotate(found.word, (alpha + shift, found.upper), rotation=90, fontsize=5.5, ha="center",
                          va="bottom", xytext=(0, 3), textcoords="offset points")  # fmt: skip
        against = "Muon" if k == r else end
        axis.plot([], [], "o", color=OKABE_ITO[color], label=f"{names[k]} against {against}")
    axis.axhline(0, color="black", linewidth=0.6)
    lowest, highest = axis.dataLim.intervaly
    axis.set_ylim(lowest - 0.5 * (highest - lowest), highest + 0.5 * (highest - lowest))
    axis.margins(x=0.15)
    axis.set(xlabel="α", ylabel="difference of loss / %", title="b  against the better end")
    axis.legend(loc="lower left", handlelength=0.8, fontsize=6)
