"""`spectra --figure`, `plan` and `report` on recordings, and what they say to bad input."""

import json
import math

import numpy as np
import pytest
import torch

from muon_theory.cli import main
from muon_theory.optimizers import Muon
from muon_theory.recorder import SpectrumRecorder, every
from muon_theory.recorder.layout import Spectrum
from muon_theory.recorder.store import SpectrumStore


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    generator = torch.Generator().manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Linear(20, 12, bias=False), torch.nn.Tanh(), torch.nn.Linear(12, 4, bias=False)
    )
    optimizer = Muon(model.parameters(), lr=0.02)
    with SpectrumRecorder(optimizer, model, folder, schedule=every(1)):
        for _ in range(4):
            x = torch.randn(16, 20, generator=generator)
            optimizer.zero_grad()
            (model(x) - x[:, :4]).square().mean().backward()
            optimizer.step()
    return str(folder)


@pytest.fixture(autouse=True)
def _surroundings(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("MUON_THEORY_DEBUG", raising=False)


def _stored(folder, kind, *spectra):
    folder.mkdir()
    store = SpectrumStore(folder, "made", 0, {"w": (2, 3)}, 8)
    for step, sigma in enumerate(spectra):
        store.append([Spectrum(step, "w", kind, 2, 3, "float32", 1e-7, np.array(sigma))])
    store.close()
    return str(folder)


@pytest.mark.parametrize("command", ["plan", "report"])
def test_help_fits_eighty_columns(command, capsys):
    assert main([command, "--help"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"Usage: muon-theory {command}")
    assert "Source:" not in printed
    assert max(map(len, printed.splitlines())) <= 80


def test_a_plan_is_shown_with_what_doing_less_loses_and_as_json(run, capsys):
    assert main(["plan", run, "--tolerance", "0.05"]) == 0
    shown = capsys.readouterr().out
    assert "8 matrices of kind lmo_input, 2 shapes" in shown
    assert "plan: " in shown
    assert "speeds assumed, relative to float32" in shown
    assert main(["plan", run, "--tolerance", "0.05", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["chosen"]["deficit"] <= 0.05
    assert data["chosen"]["admissible"]
    costs = [option["cost"] for option in data["doing_less"]]
    assert costs == sorted(costs, reverse=True)
    assert max(costs) < data["chosen"]["cost"]
    assert str(data["chosen"]["method"]) in shown


def test_speeds_decide_the_dtype_and_can_be_measured(run, capsys):
    words = ["plan", run, "--tolerance", "0.05", "--json"]
    for speed, dtype in (("8", "bfloat16"), ("0.1", "float32")):
        assert main([*words, "--speed", f"bfloat16={speed}"]) == 0
        assert json.loads(capsys.readouterr().out)["chosen"]["dtype"] == dtype
    assert main([*words, "--measure", "--dtype", "float32"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["cost_unit"] == "seconds a matrix"
    assert data["speeds"]["float32"] > 1e6
    assert data["chosen"]["cost"] == pytest.approx(data["chosen"]["flops"] / data["speeds"]["float32"])


def test_where_nothing_is_good_enough_the_closest_is_named_with_status_one(run, capsys):
    assert main(["plan", run, "--tolerance", "1e-9", "--most-steps", "2", "--method", "taylor_3"]) == 1
    printed = capsys.readouterr()
    assert "nothing keeps the deficit within 1e-09 on 99 %; the closest, taylor_3, 2 steps" in printed.err
    assert "plan: " not in printed.out


def test_a_recording_without_lmo_input_is_planned_on_its_momentum_and_says_so(tmp_path, capsys):
    folder = _stored(tmp_path / "momentum", "momentum", [2.0, 1.0], [0.0, 0.0], [math.nan, math.nan])
    assert main(["plan", folder]) == 0
    shown = capsys.readouterr().out
    assert "1 matrices of kind momentum, 1 shapes, 2 left out (zero, or NaN)" in shown
    assert "no LMO input was recorded: momentum stands for what is orthogonalized" in shown


def test_a_report_is_written_where_it_is_wanted(run, tmp_path, capsys):
    assert main(["report", run, "--out", "deep/page.html", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["layers"] == 2
    assert said["bytes"] == (tmp_path / "deep/page.html").stat().st_size
    assert said["runs"][0]["events"] == 4
    assert main(["report", run, "--layer", "2.weight", "--out", "page.html"]) == 0
    assert "page.html: 1 layers, " in capsys.readouterr().out
    assert '"name":"0.weight"' not in (tmp_path / "page.html").read_text()


def test_a_figure_is_drawn_beside_the_table(run, tmp_path, capsys):
    assert main(["spectra", run, "--layer", "0.weight", "--figure", "page.png"]) == 0
    printed = capsys.readouterr()
    assert "wrote page.png" in printed.err
    assert "lmo_input" in printed.out
    assert (tmp_path / "page.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["plan", "nowhere"], "there is no folder nowhere"),
        (["plan", "EMPTY"], "holds no recorded spectra"),
        (["plan", "WEIGHTS"], "recorded is weight; a deficit needs lmo_input, momentum, gradient"),
        (["plan", "NAN"], "all 1 recorded spectra of kind lmo_input are zero or hold NaN or inf"),
        (["plan", "ZERO"], "all 2 recorded spectra of kind lmo_input are zero or hold NaN or inf"),
        (["plan", "RUN", "--tolerance", "2"], "tolerance is 2.0"),
        (["plan", "RUN", "--share", "0"], "share is 0.0"),
        (["plan", "RUN", "--method", "nobody"], "unknown method 'nobody'"),
        (["plan", "RUN", "--dtype", "int8"], "--dtype int8: choose of float64, float32, bfloat16, float16"),
        (["plan", "RUN", "--speed", "fast"], "--speed fast: give it as DTYPE=NUMBER"),
        (["plan", "RUN", "--speed", "bfloat16=-1"], "NUMBER is positive"),
        (["plan", "RUN", "--speed", "bfloat16=2", "--measure"], "give --speed or --measure, not both"),
        (["plan", "RUN", "--layer", "nope"], "--layer nope: recorded are 0.weight, 2.weight"),
        (["report", "nowhere"], "there is no folder nowhere"),
        (["report", "EMPTY"], "holds no recorded spectra"),
        (["report", "RUN", "--out", "page.pdf"], "--out page.pdf: give a name that ends in .html"),
        (["report", "RUN", "--layer", "nope"], "--layer nope: recorded are"),
        (["spectra", "RUN", "--figure", "page.png"], "takes one layer and 2 are wanted"),
        (["spectra", "RUN", "--figure", "page.jpg"], "ends in .pdf or .png, or a folder"),
    ],
)
def test_bad_usage_is_told_in_one_line_with_status_two(words, told, run, tmp_path, capsys, caplog):
    (tmp_path / "empty").mkdir()
    places = {
        "RUN": run,
        "EMPTY": str(tmp_path / "empty"),
        "WEIGHTS": _stored(tmp_path / "weights", "weight", [1.0, 1.0]),
        "NAN": _stored(tmp_path / "nan", "lmo_input", [math.nan, math.nan]),
        "ZERO": _stored(tmp_path / "zero", "lmo_input", [0.0, 0.0], [0.0, 0.0]),
    }
    assert main([places.get(word, word) for word in words]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    assert line.startswith("muon-theory: ")
    assert told in line


def test_a_report_of_a_run_that_diverged_still_opens(tmp_path, capsys):
    folder = _stored(tmp_path / "nan", "lmo_input", [1.0, 0.5], [math.nan, math.nan])
    assert main(["report", folder, "--out", "page.html"]) == 0
    assert "NaN" not in (tmp_path / "page.html").read_text().split('id="data">')[1].split("</script>")[0]
