"""The drawing of a recorded run: a page a layer, spectra over time, ranks, deficits, predicted updates and drift."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from muon_theory.recorder.alignment import alignment_deficits, orthogonalizer_input, predict_update, recognize_updates
from muon_theory.recorder.analysis import summarize_spectra
from muon_theory.recorder.evolution import LEVELS, spectrum_bands
from muon_theory.recorder.kinds import KINDS
from muon_theory.reporting.atomic import atomic_path
from muon_theory.reporting.style import DOUBLE_COLUMN, apply_style, color_of, small_print

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_EVENTS = 400
"""Steps of a series that a page draws at most; beyond it they are thinned evenly."""
_HEAT_ROWS = 64
_SETS = ("jordan_2024", "you_2024", "amsel_2025", "grishina_2025", "cubic5_2026", "taylor_5")


def save_run_figures(
    table: Any,
    target: Path,
    *,
    drift: Any = None,
    progress: Callable[[str], None] | None = None,
) -> list[Path]:
    """Draw a page for each run and layer and write it.

    Args:
        table: DataFrame, rows of `read_spectra`, not empty.
        target: a file ending in .pdf (all pages in one), .png (one layer only), or a folder, which gets a .pdf and a
            .png a layer.
        drift: DataFrame, rows of `subspace_drift`, or None.
        progress: called with the name of each layer after it is drawn.

    Returns:
        The files written.

    Raises:
        ValueError: several layers for one PNG, another ending, or no row.

    Source: elementary.
    """
    os.environ.setdefault("MPLBACKEND", "agg")
    import matplotlib.pyplot as plt
    from matplotlib.backends.backend_pdf import PdfPages

    pages = list(dict.fromkeys(zip(table["run"], table["layer"], strict=True)))
    if not pages:
        raise ValueError("table holds no recorded spectra")
    ending = target.suffix.lower()
    if ending not in {"", ".pdf", ".png"} and not target.is_dir():
        raise ValueError(f"figure {target}: give a name that ends in .pdf or .png, or a folder")
    if ending == ".png" and len(pages) > 1:
        raise ValueError(f"{target} takes one layer and {len(pages)} are wanted: name one with --layer, or use .pdf")

    def figures() -> Iterator[tuple[str, Figure]]:
        for run, layer in pages:
            own = table[(table["run"] == run) & (table["layer"] == layer)]
            turned = None if drift is None else drift[(drift["run"] == run) & (drift["layer"] == layer)]
            figure = layer_figure(own, turned)
            yield (layer if len({r for r, _ in pages}) == 1 else f"{run}_{layer}"), figure
            plt.close(figure)
            if progress is not None:
                progress(layer)

    written: list[Path] = []
    with apply_style():
        if ending == ".pdf":
            with atomic_path(target) as temporary, PdfPages(temporary, metadata={"CreationDate": None}) as pdf:
                for _, figure in figures():
                    pdf.savefig(figure)
            return [target]
        for name, figure in figures():
            files = [target] if ending == ".png" else [target / f"{_file_name(name)}{end}" for end in (".pdf", ".png")]
            for file in files:
                date: Any = {"CreationDate": None} if file.suffix == ".pdf" else {"Software": None}
                with atomic_path(file) as temporary:
                    figure.savefig(temporary, metadata=date)
            written += files
    return written


def layer_figure(table: Any, drift: Any = None) -> Figure:
    """The page of one layer of one run.

    A row for each recorded kind: the spectrum over time as a heat map, its quantile bands with the noise floor shaded,
    and its ranks and entropy; below, the alignment deficit of coefficient sets, the recorded update against the one
    that the best-fitting iteration predicts, and the drift of leading subspaces.

    Args:
        table: DataFrame, rows of `read_spectra` of one run and layer.
        drift: DataFrame, rows of `subspace_drift` of that run and layer, or None.

    Returns:
        The figure.

    Source: elementary.
    """
    import matplotlib.pyplot as plt

    kinds = [kind for kind in dict.fromkeys([*KINDS, *table["kind"]]) if kind in set(table["kind"])]
    steps = sorted(set(table["step"]))
    if len(steps) > MOST_EVENTS:
        kept = np.unique(np.round(np.linspace(0, len(steps) - 1, MOST_EVENTS)).astype(int))
        table = table[table["step"].isin([steps[place] for place in kept])]
    figure, axes = plt.subplots(
        len(kinds) + 1, 3, figsize=(DOUBLE_COLUMN * 1.3, 1.75 * (len(kinds) + 1) + 0.5), squeeze=False
    )
    for place, (row, kind) in enumerate(zip(axes, kinds, strict=False)):
        own = table[table["kind"] == kind]
        _heat_map(row[0], own, kind)
        _bands(row[1], own, kind, legend=place == 0)
        _ranks(row[2], own, legend=place == 0)
    _deficits(axes[-1][0], table)
    _prediction(axes[-1][1], table)
    _drift(axes[-1][2], drift)
    first = table.iloc[0]
    figure.suptitle(f"{_plain(first['layer'])} ({first['rows']} x {first['columns']}), {_plain(first['run'])}")
    shown = "" if len(steps) <= MOST_EVENTS else f", {MOST_EVENTS} of them drawn"
    small_print(figure, f"{len(steps)} recorded steps, {steps[0]} to {steps[-1]}{shown}. Hatched or grey: below the "
                "noise floor of the stored dtype.")  # fmt: skip
    return figure


def _heat_map(axes: Axes, own: Any, kind: str) -> None:
    """log10 sigma / sigma_1 over step and relative index; below the noise floor grey."""
    usable = [
        (step, sigma, floor)
        for step, sigma, floor in zip(own["step"], own["sigma"], own["noise_floor"], strict=True)
        if np.isfinite(sigma).all() and sigma[0] > 0
    ]
    axes.set_title(f"{kind}: sigma / sigma_1")
    axes.set_ylabel("index i / r")
    axes.set_xlabel("step")
    if not usable:
        _say(axes, "zero, or NaN, throughout")
        return
    length = len(usable[0][1])
    places = np.unique(np.round(np.linspace(0, length - 1, min(_HEAT_ROWS, length))).astype(int))
    values = np.array([np.where(sigma > floor, sigma / sigma[0], np.nan)[places] for _, sigma, floor in usable]).T
    axes.set_facecolor("#BBBBBB")
    axes.grid(visible=False)
    with np.errstate(divide="ignore"):
        image = axes.pcolormesh(
            _edges([step for step, _, _ in usable]), _edges((places + 1) / length), np.log10(values),
            cmap="viridis", rasterized=True,
        )  # fmt: skip
    axes.invert_yaxis()
    bar = axes.figure.colorbar(image, ax=axes, pad=0.02)
    bar.set_label("log10")


def _bands(axes: Axes, own: Any, kind: str, *, legend: bool) -> None:
    """Quantiles of sigma over time, the noise floor shaded; what is below a fifth of the floor lies on the border."""
    bands = spectrum_bands(own)
    steps, color = bands["step"].to_numpy(), color_of(kind)
    floor = bands["noise_floor"].to_numpy()
    every = np.concatenate([bands[level].to_numpy() for level in LEVELS] + [floor])
    positive = every[np.isfinite(every) & (every > 0)]
    axes.set_title("quantiles 0, 10, 25, 50, 75, 90, 100 %")
    axes.set_ylabel("sigma")
    axes.set_xlabel("step")
    if not len(positive):
        _say(axes, "zero, or NaN, throughout")
        return
    lowest = floor[np.isfinite(floor) & (floor > 0)].min(initial=np.inf) / 5
    bottom = lowest if np.isfinite(lowest) else positive.min() / 2
    values = {level: np.maximum(bands[level].to_numpy(), bottom) for level in LEVELS}
    for low, high, alpha in ((0.0, 1.0, 0.15), (0.1, 0.9, 0.25), (0.25, 0.75, 0.35)):
        axes.fill_between(steps, values[low], values[high], color=color, alpha=alpha, linewidth=0)
    axes.plot(steps, values[0.5], color=color, label="median")
    axes.plot(steps, values[1.0], color=color, linewidth=0.7, label="largest")
    axes.fill_between(
        steps, bottom, np.maximum(floor, bottom), facecolor="#CCCCCC", hatch="////", edgecolor="white", linewidth=0,
        label="below floor", zorder=0.5,
    )  # fmt: skip
    axes.set_yscale("log")
    axes.set_ylim(bottom=bottom)
    if legend:
        _legend_above(axes, 3)


def _ranks(axes: Axes, own: Any, *, legend: bool) -> None:
    """Stable, nuclear and effective rank, the last being the exponential of the entropy."""
    summary = summarize_spectra(own)
    steps = summary["step"].to_numpy()
    for name, values, style in (
        ("effective (exp entropy)", np.exp(summary["entropy"].to_numpy()), "-"),
        ("nuclear", summary["nuclear_rank"].to_numpy(), "--"),
        ("stable", summary["stable_rank"].to_numpy(), ":"),
    ):
        axes.plot(steps, values, style, color="black", label=name)
    axes.set_ylim(bottom=0)
    axes.set_title("ranks")
    axes.set_ylabel(f"rank (of {len(own['sigma'].iloc[0])})")
    axes.set_xlabel("step")
    if legend:
        _legend_above(axes)


def _deficits(axes: Axes, table: Any) -> None:
    """Alignment deficit of a few coefficient sets on the recorded input, five steps each."""
    axes.set_title("alignment deficit, 5 steps")
    axes.set_xlabel("step")
    try:
        rows, kind = orthogonalizer_input(table)
    except ValueError:
        _say(axes, "no LMO input, momentum\nor gradient was recorded")
        return
    found = alignment_deficits(rows, _SETS, [5])
    for name in _SETS:
        own = found[found["method"] == name]
        axes.plot(own["step"], own["deficit"], color=color_of(name), label=name)
    axes.axhline(0, color="#555555", linewidth=0.6)
    axes.set_ylabel(f"deficit on {kind}")
    _legend_above(axes, 2)


def _prediction(axes: Axes, table: Any) -> None:
    """The last recorded update against the prediction of the iteration that fits the layer best."""
    axes.set_title("update: recorded and predicted")
    axes.set_xlabel("index i")
    best = recognize_updates(table)
    if best.empty:
        _say(axes, "needs lmo_input and update\nof the same step")
        return
    name, count = str(best["method"].iloc[0]), int(best["steps"].iloc[0])
    both = {step: dict(zip(own["kind"], own["sigma"], strict=True)) for step, own in table.groupby("step")}
    usable = [
        (step, kinds["lmo_input"], kinds["update"])
        for step, kinds in both.items()
        if {"lmo_input", "update"} <= kinds.keys() and 0 < kinds["lmo_input"].max() < np.inf
    ]
    for (step, before, after), color in zip(
        [usable[0], usable[-1]][: len(usable)], ("#0072B2", "#D55E00"), strict=False
    ):
        found = predict_update(before, after, name, count)
        index = np.arange(1, len(after) + 1)
        axes.plot(index, after / found.scale, "o", color=color, markersize=2, label=f"step {step}")
        axes.plot(index, found.sigma / found.scale, color=color, linewidth=0.9)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("sigma / scale")
    title = name if name in {"exact", "none"} else f"{name}, {count} steps"
    axes.set_title(f"update (dots), {title}: {best['relative_error'].iloc[0]:.0e}")
    _legend_above(axes, 2)


def _drift(axes: Axes, drift: Any) -> None:
    """Overlap of leading subspaces between recorded steps."""
    axes.set_title("leading subspaces (dashed: right)")
    axes.set_xlabel("step")
    if drift is None or drift.empty:
        _say(axes, "no matrices were stored\n(store_matrices=True)")
        return
    for kind, own in drift.groupby("kind"):
        axes.plot(own["step"], own["left_overlap"], color=color_of(str(kind)), label=str(kind))
        axes.plot(own["step"], own["right_overlap"], "--", color=color_of(str(kind)))
    axes.set_ylim(0, 1.02)
    axes.set_yticks([0, 0.5, 1])
    axes.set_ylabel(f"overlap with before (k = {int(drift['k'].iloc[0])})")
    _legend_above(axes, 3)


def _legend_above(axes: Axes, columns: int = 1) -> None:
    """A legend in room made above the curves."""
    low, high = axes.get_ylim()
    rows = -(-len(axes.get_legend_handles_labels()[0]) // columns)
    share = 0.16 * rows
    if axes.get_yscale() == "log":
        axes.set_ylim(low, high * (high / low) ** (share / (1 - share)))
    else:
        axes.set_ylim(low, high + (high - low) * share / (1 - share))
    axes.legend(loc="upper right", ncols=columns, columnspacing=1.0, handlelength=1.4)


def _say(axes: Axes, text: str) -> None:
    axes.grid(visible=False)
    axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes, color="#555555", fontsize=7)


def _edges(centers: Any) -> np.ndarray:
    """Borders of cells around ascending centers."""
    values = np.asarray(centers, dtype=float)
    if len(values) == 1:
        return np.array([values[0] - 0.5, values[0] + 0.5])
    middles = (values[1:] + values[:-1]) / 2
    return np.concatenate([[2 * values[0] - middles[0]], middles, [2 * values[-1] - middles[-1]]])


def _file_name(name: str) -> str:
    return "".join(c if c.isalnum() or c in "._-" else "_" for c in name) or "layer"


def _plain(name: str) -> str:
    """A name in which matplotlib sees no formula."""
    return str(name).replace("$", r"\$")
