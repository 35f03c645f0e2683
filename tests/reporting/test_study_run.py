import importlib
import json
import sys
from pathlib import Path

import pytest

from muon_theory.reporting.study import Study, chosen_studies, find_studies
from muon_theory.reporting.study_run import Settings, results_folder, run_study
from muon_theory.reporting.table import read_table

SOURCE = '''"""Question: what is
the square?

Claim: it is x * x.

Source: elementary.

Cost: none.
"""
import matplotlib.pyplot as plt

def cell(x, dataset):
    if x < 0:
        raise ValueError("x is negative")
    return {"x": x, "square": x * x, "dataset": dataset}

def compute(*, seed=0, quick=False, map_cells=None, dataset=None, points=(1, 2), broken=False):
    return map_cells(cell, [{"x": x, "dataset": dataset} for x in points])

def figure(table):
    if table["square"].max() > 100:
        raise KeyError("no room")
    assert table["square"].dtype == "int64"
    drawing, axis = plt.subplots()
    axis.plot(table["x"], table["square"])
    return drawing
'''


@pytest.fixture
def study(tmp_path, monkeypatch):
    (tmp_path / "square_study.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    yield Study("room/square", "square_study", tmp_path / "square_study.py")
    sys.modules.pop("square_study", None)


def _run(study, tmp_path, **settings):
    return run_study(study, Settings(workers=1, progress=False, **settings), tmp_path / "figures")


def test_a_run_leaves_its_table_figure_and_provenance(study, tmp_path):
    run = _run(study, tmp_path, quick=True)
    assert run.folder == tmp_path / "figures/room/square/quick"
    assert sorted(file.name for file in run.folder.iterdir()) == ["figure.pdf", "figure.png", "run.json", "table.csv"]
    assert read_table(run.folder)["square"].tolist() == [1, 4]
    record = json.loads((run.folder / "run.json").read_text())
    assert record["format_version"] == 1
    assert record["profile"] == "quick"
    assert record["parameters"] == {"seed": 0, "quick": True, "dataset": "digits"}
    assert record["cells"] == {"cached": 0, "computed": 2, "failed": 0}
    assert {"python", "numpy", "torch", "scipy", "muon_theory"} <= set(record["versions"])
    assert record["device"]["threads_per_cell"] == 1


def test_the_same_run_gives_the_same_bytes(study, tmp_path):
    first, second = (
        run_study(study, Settings(quick=True, workers=1, progress=False), tmp_path / name) for name in "ab"
    )
    for name in ("table.csv", "figure.pdf", "figure.png"):
        assert (first.folder / name).read_bytes() == (second.folder / name).read_bytes()


def test_a_failed_cell_stands_in_the_table_and_the_figure_shows_the_others(study, tmp_path):
    run = _run(study, tmp_path, quick=True, options={"points": [3, -1, 2]})
    assert run.errors[0].startswith("ValueError: x is negative (square_study.py:")
    assert run.counts["failed"] == 1
    table = read_table(run.folder)
    assert table["x"].tolist() == [3, -1, 2]
    assert table["error"].notna().tolist() == [False, True, False]
    assert (run.folder / "figure.png").exists()


def test_when_every_cell_failed_there_is_a_table_and_no_figure(study, tmp_path):
    run = _run(study, tmp_path, quick=True, options={"points": [-1]})
    assert sorted(file.name for file in run.folder.iterdir()) == ["run.json", "table.csv"]


def test_a_figure_that_fails_keeps_the_table(study, tmp_path):
    with pytest.raises(RuntimeError, match=r"the figure of room/square failed \(KeyError: 'no room'\)"):
        _run(study, tmp_path, quick=True, options={"points": [11]})
    (table,) = (tmp_path / "figures").rglob("table.csv")
    assert read_table(table.parent)["square"].tolist() == [121]


def test_an_unknown_option_names_the_known_ones(study, tmp_path):
    with pytest.raises(ValueError, match=r"room/square has no option 'q'; its options: dataset=None, points=\(1, 2\)"):
        _run(study, tmp_path, options={"q": 1})


def test_an_unwritable_folder_is_found_before_anything_is_computed(study, tmp_path):
    (tmp_path / "figures").write_text("a file")
    with pytest.raises(ValueError, match=r"cannot write to .*figures.*; name another folder with --out"):
        _run(study, tmp_path)


def test_a_missing_data_folder_says_how_to_fill_it(study, tmp_path):
    with pytest.raises(ValueError, match="no such folder; `muon-theory fetch mnist"):
        _run(study, tmp_path, data=tmp_path / "nowhere")


def test_other_data_of_the_same_name_is_another_result(study, tmp_path):
    (tmp_path / "data/mnist").mkdir(parents=True)
    (tmp_path / "data/mnist/images.gz").write_text("one")
    options = {"cache": tmp_path / "cache", "data": tmp_path / "data"}
    assert _run(study, tmp_path, **options).counts["computed"] == 2
    assert _run(study, tmp_path, **options).counts["cached"] == 2
    (tmp_path / "data/mnist/images.gz").write_text("another")
    assert _run(study, tmp_path, **options).counts["computed"] == 2
    assert _run(study, tmp_path, **options, dataset="digits").counts["computed"] == 2


@pytest.mark.parametrize(
    ("settings", "folder"),
    [
        (Settings(), ""),
        (Settings(dataset="mnist"), ""),
        (Settings(dataset="digits"), "digits"),
        (Settings(quick=True), "quick"),
        (Settings(quick=True, dataset="digits"), "quick"),
        (Settings(quick=True, dataset="mnist"), "quick/mnist"),
        (Settings(seed=3), "seed=3"),
        (Settings(quick=True, options={"steps": 5, "method": "taylor_3"}), "quick/steps=5,method=taylor_3"),
    ],
)
def test_only_the_standard_run_of_a_profile_takes_the_studys_own_folder(settings, folder):
    study = Study("polar/x", "studies.polar.x", Path("x.py"))
    assert results_folder(study, settings, Path("figures")) == Path("figures/polar/x") / folder


@pytest.mark.parametrize("value", ["../../../etc", "/tmp/elsewhere", "a b", [1, 2], "x" * 100])
def test_no_option_leads_out_of_the_figures(value):
    study = Study("polar/x", "studies.polar.x", Path("x.py"))
    folder = results_folder(study, Settings(options={"key": value}, dataset=None), Path("figures"))
    assert folder.parent == Path("figures/polar/x")
    assert folder.name.startswith("options-")


def test_a_section_of_the_docstring_is_read_without_importing(study):
    assert study.section("Question") == "what is the square?"
    assert study.section("Cost") == "none."
    assert study.section("Nothing") == ""
    assert "square_study" not in sys.modules


def test_studies_are_found_by_name_by_folder_and_by_path():
    names = [study.name for study in chosen_studies(["polar"])]
    assert "polar/q_and_degree" in names
    assert all(name.startswith("polar/") for name in names)
    assert [study.name for study in chosen_studies(["studies/polar/q_and_degree.py", "polar/q_and_degree"])] == [
        "polar/q_and_degree"
    ]
    assert [study.name for study in chosen_studies(["_template"])] == ["_template"]
    assert "_template" not in find_studies()


@pytest.mark.parametrize("name", ["polar/q_and_degre", "q_and_degree", "q_and_degrees"])
def test_a_misspelled_study_gets_the_nearest_name(name):
    with pytest.raises(ValueError, match=r"no study called '.*'; did you mean polar/q_and_degree\?"):
        chosen_studies([name])


def test_an_empty_name_is_no_study():
    with pytest.raises(ValueError, match="no study called ''"):
        chosen_studies([""])
