import json
import re

import numpy as np
import pytest

from muon_theory.polar import plan, scalar_map, spectral_inexactness
from muon_theory.reporting.run_report import report_data, report_page, write_report

LARGEST_PAGE = 5_000_000


def test_the_data_are_those_of_the_recording_and_on_the_right_axes(recorded):
    table = recorded(steps=3, shape=(4, 9))
    data = report_data(table, title="Title")
    (run,) = data["runs"]
    assert (run["name"], run["events"], run["first"], run["last"]) == ("one", 3, 0, 20)
    layer = run["layers"][0]
    assert (layer["name"], layer["rows"], layer["columns"]) == ("a.weight", 4, 9)
    series = layer["series"]["gradient"]
    assert series["steps"] == [0, 10, 20]
    assert series["index"] == [1, 2, 3, 4]
    wanted = table.query("layer == 'a.weight' and kind == 'gradient'")["sigma"].tolist()
    assert np.allclose(series["sigma"], wanted, rtol=1e-3)
    sigma = wanted[1]
    assert series["stable"][1] == pytest.approx((sigma**2).sum() / sigma[0] ** 2, rel=1e-3)
    assert series["frobenius"][1] == pytest.approx(np.linalg.norm(sigma), rel=1e-5)
    share = sigma / sigma.sum()
    assert series["entropy"][1] == pytest.approx(-(share * np.log(share)).sum(), rel=1e-3)
    assert series["effective"][1] == pytest.approx(np.exp(-(share * np.log(share)).sum()), rel=1e-3)


def test_deficits_are_listed_by_number_of_steps_then_by_recorded_step(recorded):
    table = recorded(steps=3, shape=(4, 9))
    deficits = report_data(table)["runs"][0]["layers"][0]["deficits"]
    assert (deficits["kind"], deficits["steps"]) == ("lmo_input", [0, 10, 20])
    inputs = table.query("layer == 'a.weight' and kind == 'lmo_input'")["sigma"].tolist()
    for count in (1, 5, 8):
        for place, sigma in enumerate(inputs):
            images = scalar_map("jordan_2024", count)(sigma / np.linalg.norm(sigma))
            wanted = spectral_inexactness(sigma, images).alignment_deficit
            assert deficits["methods"]["jordan_2024"][count - 1][place] == pytest.approx(wanted, rel=1e-2, abs=1e-6)


def test_the_iteration_and_the_plan_are_those_of_the_library(recorded):
    table = recorded()
    data = report_data(table, tolerance=0.02)
    assert data["runs"][0]["layers"][0]["fit"]["method"] == "exact"
    inputs = table.query("kind == 'lmo_input'")
    wanted = plan(list(inputs["sigma"]), [(16, 40)] * len(inputs), tolerance=0.02)
    assert wanted.chosen is not None
    assert data["plan"]["chosen"]["method"] == wanted.chosen.method
    assert data["plan"]["chosen"]["cost"] == wanted.chosen.cost
    assert len(data["plan"]["doing_less"]) == len(wanted.doing_less())


def test_long_recordings_are_thinned_and_the_page_says_how(recorded):
    table = recorded(steps=400, layers=tuple(f"layer{i}" for i in range(5)), shape=(64, 80))
    data = report_data(table)
    page = report_page(data)
    assert len(page.encode()) < LARGEST_PAGE
    series = data["runs"][0]["layers"][4]["series"]["gradient"]
    assert series["steps"][0] == 0
    assert series["steps"][-1] == 3990
    assert 40 <= len(series["steps"]) <= 160
    assert len(series["index"]) <= 48
    said = " ".join(data["notes"])
    assert re.search(r"at most \d+ recorded steps are shown", said)
    assert "at most 48 singular values are shown" in said


def test_many_layers_fit_and_too_many_are_refused(recorded):
    many = recorded(steps=5, layers=tuple(f"layer{i}" for i in range(300)), kinds=("gradient",), shape=(8, 8))
    assert len(report_page(report_data(many)).encode()) < LARGEST_PAGE
    absurd = recorded(steps=1, layers=tuple(f"layer{i}" for i in range(3000)), kinds=("gradient",), shape=(2, 2))
    with pytest.raises(ValueError, match="too many for one page: choose some with --layer"):
        report_data(absurd)


def test_names_cannot_break_out_of_the_page(recorded, evil):
    page = report_page(report_data(recorded(steps=2), title=evil))
    assert page.count("<script") == 2
    assert page.count("</script") == 2
    assert evil not in page
    (data,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, flags=re.DOTALL)
    assert json.loads(data)["title"] == evil
    assert [layer["name"] for layer in json.loads(data)["runs"][0]["layers"]] == ["a.weight", evil]


def test_the_page_asks_for_nothing_from_elsewhere(recorded):
    page = report_page(report_data(recorded(steps=2)))
    addresses = set(re.findall(r"https?://[^\s\"'`]+", page))
    assert addresses == {"http://www.w3.org/2000/svg"}  # the name of a namespace, never fetched
    assert "default-src 'none'" in page
    assert not re.search(r"<(?:link|script|img)[^>]+(?:src|href)=\"(?!data:)", page)


def test_nan_and_zero_spectra_and_missing_kinds_still_make_a_page(recorded):
    table = recorded(steps=4)
    table.at[0, "sigma"] = np.full(16, np.nan)
    table.at[0, "noise_floor"] = np.nan
    table.at[1, "sigma"] = np.zeros(16)
    data = report_data(table)
    series = data["runs"][0]["layers"][0]["series"]
    assert series["gradient"]["sigma"][0] == [None] * 16
    assert series["lmo_input"]["effective"][0] == 0
    assert series["lmo_input"]["entropy"][0] is None
    json.loads(json.dumps(data, allow_nan=False))
    weights = report_data(recorded(steps=2, kinds=("weight",)))
    assert weights["plan"] is None
    assert weights["runs"][0]["layers"][0]["deficits"] is None
    assert "No plan: recorded is weight" in weights["notes"][-1]
    table["sigma"] = [np.zeros(16)] * len(table)
    assert "are zero or hold NaN" in report_data(table)["notes"][-1]
    with pytest.raises(ValueError, match="no recorded spectra"):
        report_data(table.iloc[:0])


def test_the_file_is_written_whole_and_its_folder_made(tmp_path, recorded):
    path = write_report(report_data(recorded(steps=2)), tmp_path / "new" / "page.html")
    assert path.read_text().startswith("<!DOCTYPE html>")
    assert [file.name for file in path.parent.iterdir()] == ["page.html"]
