import re

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from muon_theory.polar import scalar_map, spectral_inexactness
from muon_theory.reporting.run_figures import layer_figure, save_run_figures
from muon_theory.reporting.style import apply_style


@pytest.fixture
def figure(recorded):
    with apply_style():
        made = layer_figure(recorded(layers=("a.weight",)))
    yield made
    plt.close(made)


def _panel(figure, title):
    (axes,) = [each for each in figure.axes if each.get_title(loc="left").startswith(title)]
    return axes


def test_the_heat_map_has_steps_across_and_indices_down_and_hides_what_is_below_the_floor(figure, recorded):
    axes = _panel(figure, "gradient")
    (mesh,) = axes.collections
    values = mesh.get_array()
    assert values.shape == (16, 12)
    assert axes.yaxis_inverted()
    rows = recorded(layers=("a.weight",)).query("kind == 'gradient'")
    for column, sigma in enumerate(rows["sigma"]):
        for index, value in enumerate(sigma):
            if value <= 1e-3:
                assert np.ma.getmaskarray(values)[index, column] or np.isnan(values[index, column])
            else:
                assert values[index, column] == pytest.approx(np.log10(value / sigma[0]))
    assert bool(np.isnan(np.ma.filled(values, np.nan)).any())
    assert mesh.get_coordinates()[0, :, 0].tolist() == [-5, *range(5, 115, 10), 115]


def test_curves_of_ranks_and_deficits_are_those_of_the_definitions(figure, recorded):
    rows = recorded(layers=("a.weight",)).query("kind == 'gradient'")["sigma"].tolist()
    lines = {line.get_label(): line for line in figure.axes[2].lines}
    assert lines["stable"].get_ydata().tolist() == pytest.approx([(s**2).sum() / s[0] ** 2 for s in rows])
    assert lines["nuclear"].get_ydata().tolist() == pytest.approx([s.sum() ** 2 / (s**2).sum() for s in rows])
    inputs = recorded(layers=("a.weight",)).query("kind == 'lmo_input'")["sigma"].tolist()
    deficits = {line.get_label(): line for line in _panel(figure, "alignment deficit").lines}
    wanted = [
        spectral_inexactness(s, scalar_map("jordan_2024", 5)(s / np.linalg.norm(s))).alignment_deficit for s in inputs
    ]
    assert deficits["jordan_2024"].get_xdata().tolist() == list(range(0, 120, 10))
    assert deficits["jordan_2024"].get_ydata().tolist() == pytest.approx(wanted)


def test_the_update_is_drawn_over_the_iteration_that_made_it_and_missing_matrices_are_said(figure):
    axes = _panel(figure, "update (dots), exact")
    assert {tuple(line.get_ydata().round(9)) for line in axes.lines} == {(1.0,) * 16}
    assert "no matrices were stored" in _panel(figure, "leading subspaces").texts[0].get_text()


def test_one_page_a_layer_in_a_pdf_a_png_of_one_and_a_folder_of_all(recorded, evil, tmp_path):
    table = recorded(steps=3, kinds=("gradient",))
    assert save_run_figures(table, tmp_path / "all.pdf") == [tmp_path / "all.pdf"]
    assert len(re.findall(rb"/Type /Page\b", (tmp_path / "all.pdf").read_bytes())) == 2
    written = save_run_figures(table, tmp_path / "folder")
    assert len(written) == 4
    assert {file.parent for file in written} == {tmp_path / "folder"}  # whatever the layer's name
    seen: list[str] = []
    one = table[table["layer"] == "a.weight"]
    save_run_figures(one, tmp_path / "one.png", progress=seen.append)
    assert seen == ["a.weight"]
    with Image.open(tmp_path / "one.png") as image:
        assert image.size[0] > 800
    with pytest.raises(ValueError, match="takes one layer and 2 are wanted: name one with --layer"):
        save_run_figures(table, tmp_path / "two.png")
    with pytest.raises(ValueError, match="ends in .pdf or .png, or a folder"):
        save_run_figures(table, tmp_path / "figure.jpg")
    with pytest.raises(ValueError, match="no recorded spectra"):
        save_run_figures(table.iloc[:0], tmp_path / "none.pdf")


def test_zero_and_nan_spectra_and_a_single_step_are_drawn(recorded, tmp_path):
    table = recorded(steps=1, layers=("w$_1",))
    table["sigma"] = [np.zeros(16), np.full(16, np.nan), np.zeros(16)]
    table["noise_floor"] = [0.0, np.nan, 0.0]
    drift = pd.DataFrame(columns=["run", "layer", "kind", "step", "k", "left_overlap", "right_overlap"])
    save_run_figures(table, tmp_path / "empty.png", drift=drift)
    assert (tmp_path / "empty.png").stat().st_size > 1000
