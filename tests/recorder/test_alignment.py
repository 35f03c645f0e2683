import math

import numpy as np
import pandas as pd
import pytest
import torch

from muon_theory.optimizers import Muon
from muon_theory.polar import inexactness, orthogonalize
from muon_theory.recorder import SpectrumRecorder, every, read_matrices, read_spectra
from muon_theory.recorder.alignment import (
    alignment_deficits,
    orthogonalizer_input,
    plan_recording,
    predict_update,
    recognize_updates,
    whole_spectra,
)
from muon_theory.recorder.evolution import shown_places, spectrum_bands, subspace_drift


def _table(*rows: tuple[str, list[float]], shape: tuple[int, int] = (2, 9)) -> pd.DataFrame:
    names = {"run": "a", "layer": "w", "rows": shape[0], "columns": shape[1], "noise_floor": 1e-9, "dtype": "float32"}
    return pd.DataFrame([
        names | {"step": i, "kind": kind, "sigma": np.array(sigma)} for i, (kind, sigma) in enumerate(rows)
    ])


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """Eight steps of our Muon in float64 on two matrices, the matrices stored too."""
    folder = tmp_path_factory.mktemp("recording")
    generator = torch.Generator().manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Linear(24, 16, bias=False), torch.nn.Tanh(), torch.nn.Linear(16, 6, bias=False)
    )
    model = model.double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    optimizer = Muon(model.parameters(), lr=0.02, weight_decay=0.0, method="jordan_2024", ns_steps=5)
    with SpectrumRecorder(optimizer, model, folder, schedule=every(1), store_matrices=True):
        for _ in range(8):
            x = torch.randn(32, 24, generator=generator, dtype=torch.float64)
            optimizer.zero_grad()
            (model(x) - x[:, :6]).square().mean().backward()
            optimizer.step()
    return folder


def test_a_deficit_is_that_of_a_hand_computation():
    # sigma / ||sigma|| = .8, .6; f(x) = 1.5 x - .5 x^3: .944, .792; 1 - (4 * .944 + 3 * .792) / 7
    found = alignment_deficits(_table(("lmo_input", [4.0, 3.0])), ["taylor_3"], [1])
    assert found["deficit"].tolist() == pytest.approx([1 - (4 * 0.944 + 3 * 0.792) / 7])


def test_a_deficit_of_a_recorded_spectrum_is_the_one_measured_on_the_stored_matrix(recording):
    rows, kind = orthogonalizer_input(read_spectra(recording))
    assert kind == "lmo_input"
    found = alignment_deficits(rows, ["jordan_2024", "taylor_5"], [3, 5]).set_index([
        "layer",
        "step",
        "method",
        "steps",
    ])
    seen = 0
    for row, matrix in read_matrices(recording):
        if row["kind"] != "lmo_input":
            continue
        for method in ("jordan_2024", "taylor_5"):
            for steps in (3, 5):
                measured = inexactness(matrix, orthogonalize(matrix, method, steps))
                predicted = found.loc[(row["layer"], row["step"], method, steps)]
                assert predicted["deficit"] == pytest.approx(measured.alignment_deficit, abs=1e-9)
                assert predicted["overshoot"] == pytest.approx(measured.overshoot, abs=1e-9)
                seen += 1
    assert seen == 2 * 8 * 4


def test_zero_spectra_lose_nothing_and_nan_spectra_are_nan():
    found = alignment_deficits(_table(("momentum", [0.0, 0.0]), ("momentum", [math.nan] * 2)), ["taylor_5"])
    assert found["deficit"].tolist()[0] == 0
    assert math.isnan(found["deficit"].tolist()[1])


def test_the_input_falls_back_to_momentum_then_gradient_and_says_so():
    both = _table(("gradient", [1.0, 1.0]), ("momentum", [2.0, 1.0]))
    rows, kind = orthogonalizer_input(both)
    assert (kind, len(rows)) == ("momentum", 1)
    assert orthogonalizer_input(both[both["kind"] == "gradient"])[1] == "gradient"
    with pytest.raises(ValueError, match="recorded is weight; a deficit needs lmo_input, momentum, gradient"):
        orthogonalizer_input(_table(("weight", [1.0, 1.0])))


def test_a_predicted_update_is_sorted_anew_and_scaled_by_least_squares():
    sigma = np.array([3.0, 1.0])
    x = sigma / math.sqrt(10)
    images = 3.4445 * x - 4.7750 * x**3 + 2.0315 * x**5
    assert images[0] < images[1]  # the step turns the order round
    recorded = 0.02 * np.sort(images)[::-1]
    found = predict_update(sigma, recorded, "jordan_2024", 1)
    assert found.scale == pytest.approx(0.02)
    assert found.sigma == pytest.approx(recorded)
    assert found.relative_error < 1e-12
    doubled = predict_update(sigma, [0.04, 0.01], "exact")
    assert doubled.scale == pytest.approx(0.025)
    assert doubled.relative_error == pytest.approx(np.hypot(0.015, 0.015) / np.hypot(0.04, 0.01))
    assert predict_update(sigma, [0.3, 0.1], "none").relative_error < 1e-12


def test_the_iteration_that_made_the_updates_is_recognised_with_its_scale(recording):
    found = recognize_updates(read_spectra(recording))
    best = found.groupby("layer").head(1)
    assert set(best["method"]) == {"jordan_2024"}
    assert set(best["steps"]) == {5}
    assert best["relative_error"].max() < 1e-6
    assert set(best["events"]) == {8}
    # learning rate times Muon's default shape factor sqrt(max(1, rows / columns)) = 1
    assert best["scale"].tolist() == pytest.approx([0.02, 0.02], rel=1e-6)


def test_a_plan_of_a_recording_is_that_of_its_inputs(recording):
    found, kind = plan_recording(read_spectra(recording), methods=["taylor_5"], dtypes=["float64"], tolerance=1e-3)
    assert (kind, found.count, found.left_out) == ("lmo_input", 16, 0)
    assert found.chosen is not None
    worst = [
        inexactness(m, orthogonalize(m, "taylor_5", found.chosen.steps)).alignment_deficit
        for row, m in read_matrices(recording)
        if row["kind"] == "lmo_input"
    ]
    assert found.chosen.deficit == pytest.approx(max(worst), abs=1e-9)
    with pytest.raises(ValueError, match="all 2 recorded spectra of kind gradient are zero or hold NaN"):
        plan_recording(_table(("gradient", [0.0, 0.0]), ("gradient", [math.nan] * 2)))


def test_condensed_spectra_are_filled_between_their_quantiles():
    whole = np.logspace(0, -3, 129)
    table = _table(("lmo_input", list(whole[::2])), ("lmo_input", [1.0]), shape=(129, 300))
    table["condensed"] = [True, False]
    table.at[1, "sigma"] = whole
    filled = whole_spectra(table)
    assert filled["sigma"][0] == pytest.approx(whole)
    assert filled["sigma"][1] is whole
    deficits = alignment_deficits(table, ["jordan_2024"], [5])["deficit"]
    assert deficits[0] == pytest.approx(deficits[1])
    assert len(table["sigma"][0]) == 65


def test_bands_are_quantiles_in_ascending_level():
    bands = spectrum_bands(_table(("gradient", [4.0, 2.0]), ("gradient", [math.nan, math.nan])), [0.0, 0.5, 1.0])
    assert bands.loc[0, [0.0, 0.5, 1.0]].tolist() == [2, 3, 4]
    assert bands.loc[1, [0.0, 0.5, 1.0]].isna().all()


def test_shown_places_keep_both_ends_and_never_exceed_the_limit():
    for count in (1, 2, 7, 48, 49, 1000, 12345):
        places = shown_places(count, 48)
        assert places[0] == 0
        assert places[-1] == count - 1
        assert len(places) <= 48
        assert (np.diff(places) > 0).all()


def test_drift_is_that_of_the_stored_matrices_between_neighbouring_steps(recording):
    found = subspace_drift(recording, k=2)
    matrices = {(row["layer"], row["kind"], row["step"]): matrix for row, matrix in read_matrices(recording)}
    row = found.query("layer == '0.weight' and kind == 'gradient' and step == 5").iloc[0]
    assert row["since"] == 4
    U, _, Vh = torch.linalg.svd(matrices["0.weight", "gradient", 4])
    Z, _, Wh = torch.linalg.svd(matrices["0.weight", "gradient", 5])
    cosines = torch.linalg.svdvals(U[:, :2].T @ Z[:, :2]).numpy()
    assert row["left_overlap"] == pytest.approx(np.mean(cosines**2))
    assert row["left_angle"] == pytest.approx(math.acos(cosines.min()))
    assert row["right_overlap"] == pytest.approx(float((Vh[:2] @ Wh[:2].T).square().sum() / 2))
    overlap = found.groupby("kind")["left_overlap"].mean()
    assert overlap["weight"] > overlap["gradient"]  # weights turn slowly
    assert len(found) == 2 * 5 * 7
    with pytest.raises(ValueError, match="k is 0"):
        subspace_drift(recording, k=0)


def test_without_stored_matrices_there_is_no_drift(tmp_path):
    model = torch.nn.Linear(3, 2, bias=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with SpectrumRecorder(optimizer, model, tmp_path, schedule=every(1)):
        model(torch.ones(1, 3)).sum().backward()
        optimizer.step()
    assert subspace_drift(tmp_path).empty
