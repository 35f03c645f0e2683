"""One look for every figure: Okabe-Ito colours, one per optimizer and coefficient set, sizes, small print."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from muon_theory.reporting.atomic import atomic_path

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

SINGLE_COLUMN = 3.4
"""Width in inches of a figure that fills one column."""
DOUBLE_COLUMN = 7.0
"""Width in inches of a figure that fills the page."""
DPI = 150
LARGEST_PNG = 200_000
"""Bytes."""

OKABE_ITO: Mapping[str, str] = MappingProxyType({
    "black": "#000000", "orange": "#E69F00", "sky": "#56B4E9", "green": "#009E73", "yellow": "#F0E442",
    "blue": "#0072B2", "vermillion": "#D55E00", "purple": "#CC79A7", "grey": "#7F7F7F",
})  # fmt: skip
"""The palette of Okabe and Ito (2008), safe for colour-blind readers, and a grey."""

COLORS: Mapping[str, str] = MappingProxyType({
    # optimizers
    "sgd": OKABE_ITO["grey"], "adamw": OKABE_ITO["orange"], "muon": OKABE_ITO["blue"], "muon_exact": OKABE_ITO["black"],
    # kinds of matrices
    "gradient": OKABE_ITO["green"], "momentum": OKABE_ITO["vermillion"], "lmo_input": OKABE_ITO["blue"],
    "update": OKABE_ITO["purple"], "weight": OKABE_ITO["grey"],
    # ways to the polar factor
    "exact": OKABE_ITO["black"], "jordan_2024": OKABE_ITO["blue"], "you_2024": OKABE_ITO["sky"],
    "amsel_2025": OKABE_ITO["vermillion"], "amsel_2025_nanogpt": OKABE_ITO["orange"],
    "grishina_2025": OKABE_ITO["green"], "boissin_2025": OKABE_ITO["purple"],
    "boissin_2025_snapshot": "#882255", "deepseek_2026": OKABE_ITO["yellow"], "cubic5_2026": OKABE_ITO["grey"],
    "amsel_2025_gram": "#7A3B00",
    # Taylor steps, light to dark with the degree
    "taylor_3": "#A6DBC9", "taylor_5": "#5FBF9F", "taylor_7": "#009E73", "taylor_9": "#00704F", "taylor_11": "#00432F",
})  # fmt: skip
"""Colour of an optimizer, a kind of matrix or a method, the same in every figure."""

STYLE: Mapping[str, Any] = MappingProxyType({
    "figure.figsize": (DOUBLE_COLUMN, 2.8), "figure.dpi": DPI, "figure.constrained_layout.use": True,
    "savefig.dpi": DPI, "savefig.facecolor": "white",
    "font.size": 8.0, "axes.titlesize": 8.5, "axes.labelsize": 8.0, "legend.fontsize": 7.0,
    "xtick.labelsize": 7.0, "ytick.labelsize": 7.0,
    "axes.spines.top": False, "axes.spines.right": False, "axes.linewidth": 0.6, "axes.grid": True,
    "axes.titlelocation": "left", "axes.axisbelow": True,
    "grid.linewidth": 0.4, "grid.color": "#DDDDDD", "lines.linewidth": 1.2, "lines.markersize": 3.5,
    "legend.frameon": False, "xtick.major.width": 0.6, "ytick.major.width": 0.6,
    "axes.formatter.useoffset": False,
    "pdf.fonttype": 42, "ps.fonttype": 42, "svg.fonttype": "none", "mathtext.fontset": "dejavusans",
})  # fmt: skip
"""matplotlib settings of the house; TrueType fonts are embedded in PDFs so that text stays text."""

FALLBACK = tuple(OKABE_ITO[name] for name in ("blue", "vermillion", "green", "purple", "orange", "sky", "grey"))


def color_of(name: str) -> str:
    """Colour of an optimizer, a kind of matrix or a method.

    Args:
        name: a key of `COLORS`; any other name gets a colour of the palette that depends on the name only.

    Returns:
        A colour as `#RRGGBB`.

    Source: Okabe and Ito 2008, "Color Universal Design".

    >>> color_of("muon")
    '#0072B2'
    """
    return COLORS.get(name) or FALLBACK[sum(name.encode()) % len(FALLBACK)]


@contextmanager
def apply_style() -> Iterator[None]:
    """Draw with the house style inside the block; settings are as before afterwards.

    Yields:
        Nothing.

    Source: elementary.

    >>> import matplotlib
    >>> with apply_style():
    ...     matplotlib.rcParams["pdf.fonttype"]
    42
    """
    import matplotlib as mpl
    from cycler import cycler

    settings: Any = {**STYLE, "axes.prop_cycle": cycler(color=FALLBACK)}
    with mpl.rc_context(settings):
        yield


def small_print(figure: Figure, text: str) -> None:
    """Write the scale of evidence under a figure: samples, seeds, device.

    Args:
        figure: the figure; room is made below its axes.
        text: a line or two.

    Source: elementary.
    """
    width, height = figure.get_size_inches()
    lines = text.count("\n") + 1
    inches = 0.1 * lines + 0.04
    engine = figure.get_layout_engine()
    if engine is not None and hasattr(engine, "set"):
        engine.set(rect=(0, inches / height, 1, 1 - inches / height))  # pyright: ignore[reportCallIssue]
    figure.text(0.04 / width, 0.04 / height, text, fontsize=5.5, color="#555555", ha="left", va="bottom", wrap=False)


def draw(figure_of: Callable[[pd.DataFrame], Figure], table: pd.DataFrame, folder: Path) -> None:
    """Draw a figure from a table in the house style and write it as figure.pdf and figure.png, atomically.

    Args:
        figure_of: returns the figure for a table.
        table: one row one observation.
        folder: where; made if missing.

    Source: elementary. Equal tables give equal bytes: the files carry no date. A PNG beyond 200 kB gets a palette of
    256 colours, and then fewer dots per inch, until it fits.
    """
    import os

    os.environ.setdefault("MPLBACKEND", "agg")
    import matplotlib.pyplot as plt

    with apply_style():
        figure = figure_of(table)
        try:
            with atomic_path(folder / "figure.pdf") as temporary:
                figure.savefig(temporary, metadata={"CreationDate": None})
            with atomic_path(folder / "figure.png") as temporary:
                _save_png(figure, temporary)
        finally:
            plt.close(figure)


def _save_png(figure: Figure, path: Path) -> None:
    """A PNG that fits."""
    from PIL import Image

    for dots in (DPI, 120, 100, 80):
        figure.savefig(path, dpi=dots, metadata={"Software": None})
        if path.stat().st_size <= LARGEST_PNG:
            return
        with Image.open(path) as image:
            image.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True, dpi=(dots, dots))
        if path.stat().st_size <= LARGEST_PNG:
            return
