import importlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.compute as pc
import pytest
from joblib.externals.loky import get_reusable_executor
from pandas.testing import assert_frame_equal

from muon_theory.reporting import cell_results
from muon_theory.reporting import engine as engine_module
from muon_theory.reporting.engine import Engine, serially

SOURCE = """
import os, signal, sys, time
import numpy as np
import pandas as pd

def noted(folder, name):
    with open(os.path.join(folder, "calls"), "a") as file:
        file.write(f"{name}\\n")

def listed(i):
    return {"i": i, "sigma": np.arange(i + 1.0), "label": f"cell {i}", "missing": None if i else 0.5}

def several(i):
    return pd.DataFrame({"i": [i] * i, "value": np.arange(i) / 3})

def counted(i, folder, pause=0.0):
    noted(folder, i)
    time.sleep(pause)
    return {"i": i, "square": i * i}

def fragile(i, folder):
    noted(folder, i)
    if i == 1:
        raise ValueError("a message\\nof two lines")
    if i == 2 and os.path.exists(os.path.join(folder, "kill")):
        os.kill(os.getpid(), signal.SIGKILL)
    return {"i": i, "square": i * i}

def threads(i):
    import torch
    return {"i": i, "threads": torch.get_num_threads(), "data": os.environ.get("MUON_THEORY_DATA", "")}

def unjoinable(i):
    return {"value": "text" if i else 1.5}

def renamed(label):
    if label == 1:
        raise KeyError(label)
    return {"label": f"cell {label}"}

def taken(i):
    return {"error": 0.5}

def nothing(i):
    return None
"""

RUN = """
import signal, sys
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs are started to ignore it
from muon_theory.reporting.engine import Engine
import engine_cells
folder = Path(sys.argv[1])
cells = [{"i": i, "folder": str(folder), "pause": 0.15} for i in range(12)]
table = Engine(2, folder / "cache", progress=False).map_cells(engine_cells.counted, cells)
assert table["i"].tolist() == list(range(12))
"""


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    """A module of cells that workers can import: they learn the path when they start."""
    folder = tmp_path_factory.mktemp("cells")
    (folder / "engine_cells.py").write_text(SOURCE)
    get_reusable_executor().shutdown(wait=True)
    sys.path.insert(0, str(folder))
    yield importlib.import_module("engine_cells")
    get_reusable_executor().shutdown(wait=True)
    sys.path.remove(str(folder))
    del sys.modules["engine_cells"]


def _calls(folder: Path) -> list[int]:
    return [int(float(line)) for line in (folder / "calls").read_text().split()]


def test_parallel_cached_and_serial_runs_give_the_same_table_in_the_order_of_the_cells(cells, tmp_path):
    grid = [{"i": i} for i in (5, 0, 3, 1)]
    serial = serially(cells.listed, grid)
    parallel = Engine(2, tmp_path, progress=False).map_cells(cells.listed, grid)
    cached = Engine(2, tmp_path, progress=False).map_cells(cells.listed, grid)
    assert serial["i"].tolist() == [5, 0, 3, 1]
    assert serial["sigma"][2].tolist() == [0, 1, 2, 3]
    assert serial["missing"].dtype == np.float64
    assert_frame_equal(serial, parallel)
    assert_frame_equal(serial, cached)


def test_a_cell_may_give_any_number_of_rows(cells, tmp_path):
    table = Engine(2, tmp_path, progress=False).map_cells(cells.several, [{"i": i} for i in (2, 0, 3)])
    assert table["i"].tolist() == [2, 2, 3, 3, 3]
    assert table["value"][4] == 2 / 3
    assert Engine(1, progress=False).map_cells(cells.several, []).empty


def test_a_finished_cell_is_read_from_the_cache(cells, tmp_path):
    grid = [{"i": i, "folder": str(tmp_path)} for i in range(4)]
    first = Engine(1, tmp_path / "cache", progress=False)
    first.map_cells(cells.counted, grid[:3])
    second = Engine(1, tmp_path / "cache", progress=False)
    second.map_cells(cells.counted, grid)
    assert _calls(tmp_path) == [0, 1, 2, 3]
    assert dict(second.counts) == {"cached": 3, "computed": 1, "failed": 0}


def test_other_code_other_parameters_or_another_context_is_another_result(cells, tmp_path):
    cache, grid = tmp_path / "cache", [{"i": 1, "folder": str(tmp_path)}]
    Engine(1, cache, progress=False).map_cells(cells.counted, grid)
    Engine(1, cache, progress=False, context="other data").map_cells(cells.counted, grid)
    assert len(_calls(tmp_path)) == 2
    Engine(1, cache, progress=False).map_cells(cells.counted, [{**grid[0], "i": 1.0}])
    assert len(_calls(tmp_path)) == 3
    source = Path(cells.__file__)
    source.write_text(SOURCE.replace("i * i}", "i**2}"))
    Engine(1, cache, progress=False).map_cells(cells.counted, grid)
    assert len(_calls(tmp_path)) == 4
    source.write_text(SOURCE)
    Engine(1, cache, progress=False).map_cells(cells.counted, grid)
    assert len(_calls(tmp_path)) == 4


@pytest.mark.parametrize("content", [b"", b"PAR1 torn"])
def test_a_damaged_cache_file_is_computed_anew(cells, tmp_path, content):
    grid = [{"i": 1, "folder": str(tmp_path)}]
    expected = Engine(1, tmp_path / "cache", progress=False).map_cells(cells.counted, grid)
    (file,) = (tmp_path / "cache").rglob("*.parquet")
    file.write_bytes(content)
    assert_frame_equal(Engine(1, tmp_path / "cache", progress=False).map_cells(cells.counted, grid), expected)
    assert len(_calls(tmp_path)) == 2


@pytest.mark.parametrize("workers", [1, 2])
def test_a_failed_cell_is_a_row_with_its_error_and_is_tried_again(cells, tmp_path, workers):
    grid = [{"i": i, "folder": str(tmp_path)} for i in range(4)]
    for _ in range(2):
        engine = Engine(workers, tmp_path / "cache", progress=False)
        table = engine.map_cells(cells.fragile, grid)
        assert table["i"].tolist() == [0, 1, 2, 3]
        assert table["error"].isna().tolist() == [True, False, True, True]
        assert table["error"][1].startswith("ValueError: a message of two lines (engine_cells.py:")
        assert table["square"].fillna(-1).tolist() == [0, -1, 4, 9]
        assert engine.counts["failed"] == 1
    assert sorted(_calls(tmp_path)) == [0, 1, 1, 2, 3]


def test_a_failed_cell_leaves_out_parameters_that_mean_something_else_in_the_table(cells):
    table = Engine(1, progress=False).map_cells(cells.renamed, [{"label": i} for i in range(2)])
    assert table["label"].fillna("").tolist() == ["cell 0", ""]
    assert table["error"][1].startswith("KeyError: 1")


def test_a_killed_process_loses_only_its_own_cell(cells, tmp_path):
    (tmp_path / "kill").touch()
    grid = [{"i": i, "folder": str(tmp_path)} for i in range(6)]
    table = Engine(2, tmp_path / "cache", progress=False).map_cells(cells.fragile, grid)
    assert table["i"].tolist() == [0, 1, 2, 3, 4, 5]
    assert "process died (SIGKILL" in table["error"][2]
    assert table["square"].fillna(-1).tolist() == [0, -1, -1, 9, 16, 25]
    (tmp_path / "kill").unlink()
    assert Engine(2, tmp_path / "cache", progress=False).map_cells(cells.fragile, grid)["square"][2] == 4


def test_a_cell_runs_on_one_thread_and_sees_the_settings_of_its_call(cells, monkeypatch):
    import torch

    threads = torch.get_num_threads()
    for value in ("first", "second"):
        monkeypatch.setenv("MUON_THEORY_DATA", value)
        for table in (
            serially(cells.threads, [{"i": 0}]),
            Engine(2, progress=False).map_cells(cells.threads, [{"i": i} for i in range(3)]),
        ):
            assert set(table["threads"]) == {1}
            assert set(table["data"]) == {value}
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("run", [serially, Engine(1, progress=False).map_cells])
def test_a_parameter_that_is_no_json_value_is_refused_before_anything_runs(cells, tmp_path, run):
    with pytest.raises(TypeError, match="parameter pause = .* is ndarray; a cell takes JSON values"):
        run(cells.counted, [{"i": 0, "folder": str(tmp_path), "pause": np.zeros(2)}])
    assert not (tmp_path / "calls").exists()


def test_a_function_without_a_name_cannot_be_cached(tmp_path):
    with pytest.raises(ValueError, match="not a module-level function"):
        Engine(1, tmp_path, progress=False).map_cells(lambda i: {"i": i}, [{"i": 1}])


def test_cells_that_disagree_on_a_column_are_refused(cells):
    with pytest.raises(TypeError, match="cells disagree on the type of a column: .*value"):
        serially(cells.unjoinable, [{"i": 0}, {"i": 1}])


def test_a_cell_that_returns_no_rows_says_so(cells):
    with pytest.raises(TypeError, match="a cell returned NoneType"):
        serially(cells.nothing, [{"i": 0}])
    assert "returned NoneType" in Engine(1, progress=False).map_cells(cells.nothing, [{"i": 0}])["error"][0]


def test_the_column_error_is_kept_for_failures(cells):
    with pytest.raises(ValueError, match="the column name `error` is taken"):
        serially(cells.taken, [{"i": 0}])


def test_no_workers_are_refused():
    with pytest.raises(ValueError, match="workers = 0"):
        Engine(0)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_run_stopped_half_way_goes_on_from_there(cells, tmp_path, how):
    (tmp_path / "run.py").write_text(RUN)
    command = [sys.executable, str(tmp_path / "run.py"), str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(Path(cells.__file__).parent)}
    stopped = subprocess.Popen(command, env=environment, start_new_session=True, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(list(tmp_path.glob("cache/cells/*/[!.]*.parquet"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(stopped.pid, how)
    assert stopped.wait(timeout=30) != 0
    time.sleep(0.3)
    finished = len(list(tmp_path.glob("cache/cells/*/[!.]*.parquet")))
    assert 3 <= finished < 12
    before = len(_calls(tmp_path))
    subprocess.run(command, env=environment, check=True, timeout=60)
    assert len(_calls(tmp_path)) - before == 12 - finished
    assert all(pd.read_parquet(file)["square"].size == 1 for file in tmp_path.glob("cache/cells/*/[!.]*.parquet"))


def test_results_of_other_code_are_carried_over_once_a_sample_agrees(cells, tmp_path, monkeypatch):
    grid = [{"i": i} for i in range(6)]
    before = Engine(1, tmp_path, progress=False).map_cells(cells.several, grid)
    monkeypatch.setattr(engine_module, "function_hash", lambda _: "other code")
    engine = Engine(1, tmp_path, progress=False, carry=2)
    assert_frame_equal(engine.map_cells(cells.several, grid), before)
    assert dict(engine.counts) == {"cached": 0, "computed": 2, "carried": 4, "failed": 0}
    again = Engine(1, tmp_path, progress=False)
    assert_frame_equal(again.map_cells(cells.several, grid), before)
    assert again.counts["cached"] == 6


def test_nothing_is_carried_over_where_a_number_differs(cells, tmp_path, monkeypatch):
    grid = [{"i": i} for i in range(1, 5)]
    Engine(1, tmp_path, progress=False).map_cells(cells.several, grid)
    monkeypatch.setattr(engine_module, "function_hash", lambda _: "other code")
    for file in tmp_path.rglob("*.parquet"):
        table = cell_results.read_result(file)
        metadata = table.schema.metadata
        changed = table.set_column(0, table.column_names[0], pc.add(table.column(0), 1))
        origin = cell_results.Origin(*(metadata[name.encode()].decode() for name in cell_results.Origin._fields))
        cell_results.write_result(file, changed, origin)
    engine = Engine(1, tmp_path, progress=False, carry=1)
    expected = Engine(1, progress=False).map_cells(cells.several, grid)
    assert_frame_equal(engine.map_cells(cells.several, grid), expected)
    assert engine.counts["carried"] == 0
    assert engine.counts["computed"] == 4
    Engine(1, tmp_path, progress=False, context="later").map_cells(cells.several, [{"i": 9}])
    monkeypatch.setattr(engine_module, "function_hash", lambda _: "third code")
    engine.context = "later"
    engine.map_cells(cells.several, [{"i": 9}])  # right, but its function has been found to differ
    assert engine.counts["carried"] == 0
    assert engine.counts["computed"] == 5
    with pytest.raises(ValueError, match="carry = 0"):
        Engine(carry=0)


def test_results_for_other_data_or_versions_are_not_carried_over(cells, tmp_path, monkeypatch):
    grid = [{"i": i} for i in range(3)]
    Engine(1, tmp_path, progress=False).map_cells(cells.several, grid)
    monkeypatch.setattr(engine_module, "function_hash", lambda _: "other code")
    engine = Engine(1, tmp_path, progress=False, context="other data", carry=1)
    engine.map_cells(cells.several, grid)
    assert dict(engine.counts) == {"cached": 0, "computed": 3, "failed": 0}
