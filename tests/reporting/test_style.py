import re

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb

from muon_theory.polar import COEFFICIENTS
from muon_theory.reporting.style import COLORS, DOUBLE_COLUMN, OKABE_ITO, apply_style, color_of, draw, small_print

TABLE = pd.DataFrame({"x": [1.0, 2.0, 3.0], "y": [1.0, 4.0, 9.0]})


def _line(table: pd.DataFrame):
    figure, axis = plt.subplots(figsize=(DOUBLE_COLUMN, 2))
    axis.plot(table["x"], table["y"], color=color_of("muon"))
    axis.set(xlabel="step", ylabel="loss (nats)")
    small_print(figure, "3 points")
    return figure


def _noise(table: pd.DataFrame):
    figure, axis = plt.subplots(figsize=(DOUBLE_COLUMN, 5))
    axis.imshow(np.random.default_rng(0).random((400, 700)), interpolation="nearest")
    return figure


def test_equal_tables_give_equal_bytes_with_embedded_fonts_and_no_date(tmp_path):
    for name in ("a", "b"):
        draw(_line, TABLE, tmp_path / name)
    for file in ("figure.pdf", "figure.png"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    content = (tmp_path / "a" / "figure.pdf").read_bytes()
    assert b"CreationDate" not in content
    assert b"/Subtype /Type3" not in content
    assert re.search(rb"/Subtype /(Type0|TrueType|CIDFontType2)", content)


def test_a_png_never_exceeds_200_kb(tmp_path):
    draw(_noise, TABLE, tmp_path)
    assert (tmp_path / "figure.png").stat().st_size <= 200_000


def test_the_style_ends_with_the_block_and_figures_are_closed(tmp_path):
    plt.close("all")  # other tests' figures
    before = dict(mpl.rcParams)
    with apply_style():
        assert mpl.rcParams["pdf.fonttype"] == 42
    draw(_line, TABLE, tmp_path)
    assert dict(mpl.rcParams) == before
    assert plt.get_fignums() == []


def test_a_failing_figure_leaves_no_files(tmp_path):
    def broken(table):
        raise KeyError("no such column")

    with pytest.raises(KeyError):
        draw(broken, TABLE, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_every_optimizer_and_coefficient_set_has_a_colour_and_the_optimizers_differ():
    for name in COEFFICIENTS:
        assert re.fullmatch("#[0-9A-Fa-f]{6}", color_of(name)), name
    assert len({COLORS[name] for name in ("sgd", "adamw", "muon", "muon_exact")}) == 4
    assert color_of("a name never seen") == color_of("a name never seen")


def test_the_optimizers_stay_apart_in_grey():
    grey = sorted(
        np.dot(to_rgb(COLORS[name]), (0.299, 0.587, 0.114)) for name in ("sgd", "adamw", "muon", "muon_exact")
    )
    assert min(np.diff(grey)) > 0.1
    assert OKABE_ITO["blue"] == "#0072B2"
